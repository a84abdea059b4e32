//! From the configuration as written to the configuration as meant: what the values mean together, every rule
//! that binds more than one value, and what is allowed but odd. All problems are found in one go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dialect::translate::FormatMode;
use ipc_proto::control::Class;
use ipc_proto::ids::{BackendId, ModelName};
use ipc_proto::secret::Secret;
use ipc_proto::spec::{ClientLimits, Compat, ProbeSpec};

use super::address::is_loopback;
use super::backend::millis_of;
use super::error::{Place, Problem, Warning};
use super::file::{self, AuthMode, Count, File};
use super::scheduling::check_scheduling;
use super::{Config, LogFormat, LogLevel};
use crate::scheduler::catalog::{Alias, Client, HealthPolicy, RetryPolicy};

/// What came of a check.
pub(super) struct Checked {
    /// What the file means; not to be used if there are problems.
    pub(super) config: Config,
    /// What is wrong, with no places yet.
    pub(super) problems: Vec<Problem>,
    /// What is odd.
    pub(super) warnings: Vec<Warning>,
}

/// What the meaning of a file depends on besides the file.
pub(super) struct Surroundings {
    /// Where relative paths start: the folder of the program.
    pub(super) folder: PathBuf,
    /// How many processors there are.
    pub(super) processors: usize,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        Self {
            folder: super::program_folder(),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

/// Finds out what `file` means.
///
/// `places` tells where its keys stand.
pub(super) fn check(file: File, places: &BTreeMap<String, Place>, surroundings: &Surroundings) -> Checked {
    let mut findings = Findings { problems: Vec::new(), warnings: Vec::new(), places };
    check_auth(&file, &mut findings);
    if file.proxy.host.trim().is_empty() {
        findings.wrong("proxy.host", "is empty; 0.0.0.0 is every interface, 127.0.0.1 this machine only");
    }
    if file.retry.max_backoff_ms < file.retry.initial_backoff_ms {
        let (most, first) = (file.retry.max_backoff_ms, file.retry.initial_backoff_ms);
        findings.wrong(
            "retry.max_backoff_ms",
            format!("must not be less than initial_backoff_ms ({first}), got {most}"),
        );
    }
    if file.storage.database_path.trim().is_empty() {
        findings.wrong("storage.database_path", "is empty; it needs the name of a file");
    }
    let scheduling = check_scheduling(&file, &surroundings.folder, &mut findings);
    let backends = super::backend::check_backends(&file, &mut findings);
    let aliases = check_aliases(&file, &mut findings);
    let shutdown_grace = shutdown_grace(&file.proxy, &mut findings);
    let frontends = frontends(file.proxy.frontends, surroundings.processors, &mut findings);
    let config = Config {
        host: file.proxy.host.trim().to_owned(),
        port: file.proxy.port,
        log_level: LogLevel::from(file.proxy.log_level),
        log_format: LogFormat::from(file.proxy.log.format),
        shutdown_grace,
        database_path: resolve(&surroundings.folder, file.storage.database_path.trim()),
        history_retention_days: Some(file.storage.history_retention_days).filter(|days| *days > 0),
        vacuum_on_start: file.storage.vacuum_on_start,
        show_completed: Duration::from_secs(u64::from(file.tui.show_completed_minutes) * 60),
        frontends,
        limits: limits(&file.proxy.limits),
        keys: clients(&file.auth),
        admin_key: file.auth.admin_key.as_ref().map(|key| Secret::new(key.expose())),
        backends,
        aliases,
        scheduling,
        retry: RetryPolicy {
            max_attempts: file.retry.max_attempts,
            initial_backoff_ms: file.retry.initial_backoff_ms.into(),
            max_backoff_ms: file.retry.max_backoff_ms.into(),
        },
        health: health(&file.discovery),
        probe: probe(&file.discovery),
        compat: compat(&file.compat),
        file,
    };
    Checked { config, problems: findings.problems, warnings: findings.warnings }
}

/// What has been found so far.
pub(super) struct Findings<'a> {
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
    places: &'a BTreeMap<String, Place>,
}

impl Findings<'_> {
    /// Something is wrong with `key`.
    pub(super) fn wrong(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(key, message));
    }

    /// Something is wrong with `key`, and this helps.
    pub(super) fn wrong_but(&mut self, key: &str, message: &str, hint: &str) {
        self.problems.push(Problem::new(key, message).hint(hint));
    }

    /// Something is odd about `key`.
    pub(super) fn odd(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Warning::new(key, message));
    }

    /// Where `key` stands, for the end of a sentence about another.
    pub(super) fn line_of(&self, key: &str) -> String {
        self.places.get(key).map(|place| format!(" (line {})", place.line)).unwrap_or_default()
    }

    /// A key's text goes into a header: it must be of what fits there. The text itself is not shown.
    pub(super) fn check_key_text(&mut self, key: &str, text: &str) {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.wrong(key, "holds a space or a character that a header cannot carry");
        }
        if text.contains("replace-me") {
            self.odd(key, "is the placeholder of a template; put a key of your own there");
        }
    }
}

fn check_auth(file: &File, findings: &mut Findings<'_>) {
    let auth = &file.auth;
    for (index, client) in auth.api_keys.iter().enumerate() {
        let at = format!("auth.api_keys[{index}]");
        let before = &auth.api_keys[..index];
        if client.name.trim().is_empty() {
            findings
                .wrong(format!("{at}.name"), "is missing or empty; every key needs the name of its client");
        } else if let Some(first) = before.iter().position(|other| other.name == client.name) {
            let first = findings.line_of(&format!("auth.api_keys[{first}].name"));
            let message = format!("duplicate name {:?}: an earlier key has it too{first}", client.name);
            findings.wrong(format!("{at}.name"), message);
        }
        if client.key.expose().is_empty() {
            findings.wrong(format!("{at}.key"), "is missing or empty; every client needs a key");
        } else if let Some(first) = before.iter().position(|other| other.key == client.key) {
            let message =
                format!("duplicate key: {:?} and {:?} have the same", before[first].name, client.name);
            findings.wrong(format!("{at}.key"), message);
        }
        findings.check_key_text(&format!("{at}.key"), client.key.expose());
    }
    if let Some(admin) = &auth.admin_key {
        if admin.expose().is_empty() {
            findings.wrong("auth.admin_key", "is empty; give it a key, or leave it out");
        } else if let Some(client) = auth.api_keys.iter().find(|client| client.key == *admin) {
            findings.wrong(
                "auth.admin_key",
                format!("equals the key of {:?} in api_keys; it must differ", client.name),
            );
        }
        findings.check_key_text("auth.admin_key", admin.expose());
    }
    check_openness(file, findings);
}

/// Without keys whoever reaches the port may ask, so nobody else must reach it.
fn check_openness(file: &File, findings: &mut Findings<'_>) {
    const HINT: &str =
        "list a key under auth.api_keys, or set proxy.host to 127.0.0.1 so that only this machine can ask";
    let is_open = !is_loopback(&file.proxy.host);
    let has_keys = !file.auth.api_keys.is_empty();
    match file.auth.mode {
        AuthMode::Keys if !has_keys && is_open => {
            let message = format!(
                "the list is empty, and {:?} can be reached from elsewhere: at least one key is needed",
                file.proxy.host
            );
            findings.wrong_but("auth.api_keys", &message, HINT);
        }
        AuthMode::None if is_open => {
            let message = format!(
                "none is for loopback hosts, and {:?} can be reached from elsewhere",
                file.proxy.host
            );
            findings.wrong_but("auth.mode", &message, HINT);
        }
        AuthMode::None if has_keys => {
            findings.odd("auth.mode", "is none, so nobody is asked for the keys under api_keys");
        }
        AuthMode::Keys | AuthMode::None => {}
    }
}

fn clients(auth: &file::Auth) -> Vec<(Client, Secret)> {
    let client = |written: &file::ApiKey| Client {
        name: written.name.clone(),
        class: match written.class {
            file::Class::Interactive => Class::Interactive,
            file::Class::Batch => Class::Batch,
        },
        max_wait_ms: written.max_wait.map(millis_of),
    };
    match auth.mode {
        AuthMode::None => Vec::new(),
        AuthMode::Keys => {
            auth.api_keys.iter().map(|key| (client(key), Secret::new(key.key.expose()))).collect()
        }
    }
}

fn check_aliases(file: &File, findings: &mut Findings<'_>) -> BTreeMap<ModelName, Alias> {
    let mut aliases = BTreeMap::new();
    for (name, alias) in &file.routing.models {
        let at = format!("routing.models.{name}");
        if name.is_empty() {
            findings.wrong("routing.models", "holds an empty name");
        }
        if alias.model.is_empty() {
            findings.wrong(format!("{at}.model"), "is missing: the real model that this name stands for");
        } else if alias.model != *name && file.routing.models.contains_key(&alias.model) {
            findings.wrong(format!("{at}.model"), "stands for another model itself; name the real model");
        }
        let backend = alias.backend.as_ref().and_then(|wanted| {
            let found = file.backends.iter().position(|backend| backend.name == *wanted);
            if found.is_none() {
                let names = file.backends.iter().map(|backend| backend.name.as_str());
                let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
                let message = format!("there is no backend {wanted:?}; there are {}", names.join(", "));
                findings.wrong(format!("{at}.backend"), message);
            }
            found.map(backend_id)
        });
        aliases.insert(ModelName::new(name), Alias { model: ModelName::new(&alias.model), backend });
    }
    aliases
}

/// The id of the backend at `index` in the file.
pub(super) fn backend_id(index: usize) -> BackendId {
    BackendId(u32::try_from(index).expect("a file holds fewer backends than that"))
}

fn shutdown_grace(proxy: &file::Proxy, findings: &mut Findings<'_>) -> Duration {
    const KEY: &str = "proxy.shutdown_grace_seconds";
    let others = [
        ("proxy.limits.shutdown_grace_seconds", proxy.limits.shutdown_grace_seconds),
        ("proxy.limits.shutdown_seconds", proxy.limits.shutdown_seconds),
    ];
    let mut seconds = proxy.shutdown_grace_seconds;
    for (other, said) in others {
        seconds = findings.one_of((KEY, seconds), (other, said));
    }
    Duration::from_secs(seconds.unwrap_or(30).into())
}

impl Findings<'_> {
    /// The value of a key that has two names: both may be given only if they agree.
    pub(super) fn one_of<T: PartialEq>(
        &mut self,
        main: (&str, Option<T>),
        other: (&str, Option<T>),
    ) -> Option<T> {
        match (main.1, other.1) {
            (Some(said), Some(again)) if said != again => {
                self.wrong(other.0, format!("is another name for {}, which says something else", main.0));
                Some(said)
            }
            (said, again) => said.or(again),
        }
    }
}

fn frontends(wanted: Count<1, 64>, processors: usize, findings: &mut Findings<'_>) -> u16 {
    let shares_ports = cfg!(target_os = "linux");
    match wanted {
        Count::Auto if !shares_ports => 1,
        Count::Auto if processors <= 4 => 2,
        Count::Auto => u16::try_from(processors / 2).unwrap_or(8).min(8),
        Count::Exactly(count) if count > 1 && !shares_ports => {
            findings.odd("proxy.frontends", "only one process can listen on this system, so there is one");
            1
        }
        Count::Exactly(count) => u16::try_from(count).unwrap_or(64),
    }
}

fn limits(limits: &file::Limits) -> ClientLimits {
    // As many of the longest bodies as this may wait in one frontend; ordinary ones are a thousand times smaller.
    const LONGEST_BODIES_HELD: u64 = 16;
    let max_body_bytes = u64::from(limits.max_body_mb) << 20;
    ClientLimits {
        max_body_bytes,
        max_held_bytes: max_body_bytes * LONGEST_BODIES_HELD,
        max_connections: limits.max_connections,
        header_read_ms: u64::from(limits.header_read_seconds) * 1000,
        body_read_ms: u64::from(limits.body_read_seconds) * 1000,
        idle_ms: u64::from(limits.idle_seconds) * 1000,
    }
}

fn health(discovery: &file::Discovery) -> HealthPolicy {
    let interval_ms = u64::from(discovery.interval_seconds) * 1000;
    HealthPolicy {
        unhealthy_after_failed_probes: discovery.unhealthy_after_failed_polls,
        probe_interval_ms: discovery.enabled.then_some(interval_ms),
    }
}

fn compat(written: &file::Compat) -> Compat {
    Compat {
        is_strict: written.translation == file::Translation::Strict,
        pass_unknown: written.unknown_fields == file::UnknownFields::Pass,
        format_mode: match written.response_format_mode {
            file::ResponseFormatMode::Passthrough => FormatMode::Passthrough,
            file::ResponseFormatMode::NormalizeJsonObject => FormatMode::NormalizeJsonObject,
            file::ResponseFormatMode::StrictReject => FormatMode::StrictReject,
        },
        max_tokens: written.default_max_tokens,
    }
}

fn probe(discovery: &file::Discovery) -> ProbeSpec {
    let interval_ms = u64::from(discovery.interval_seconds) * 1000;
    ProbeSpec {
        interval_ms: if discovery.enabled { interval_ms } else { 0 },
        timeout_ms: u64::from(discovery.timeout_seconds) * 1000,
    }
}

/// `path`, which starts at `folder` if it is relative; without the `./` that says so.
pub(super) fn resolve(folder: &Path, path: &str) -> PathBuf {
    folder.join(path).components().collect()
}
