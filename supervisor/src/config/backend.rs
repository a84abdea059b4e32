//! One backend of the configuration, as meant: its address, and everything that follows from its type.

use dialect::Dialect;
use ipc_proto::ids::ModelName;
use ipc_proto::secret::Secret;
use ipc_proto::spec::{BackendKind, Credential, FakeSpec, Timeouts};

use super::address::{BaseUrl, same_server};
use super::check::Findings;
use super::file::{self, AuthType, File, OverflowAfter, StreamUsage};
use crate::scheduler::catalog::{self, Overflow, Strategy};

/// A checked backend.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct CheckedBackend {
    /// What the scheduler knows of it.
    pub(super) catalog: catalog::Backend,
    /// The key to present, and how.
    pub(super) credential: Option<Credential>,
    /// How long to wait for what.
    pub(super) timeouts: Timeouts,
    /// Whether the caller's own credentials go to it.
    pub(super) takes_callers_key: bool,
    /// Whether to ask for usage in streams.
    pub(super) ask_for_usage: bool,
    /// How the fake behaves.
    pub(super) fake: Option<FakeSpec>,
}

/// The longest name a backend may have.
const LONGEST_NAME: usize = 64;

/// Finds out what the backends of `file` mean.
pub(super) fn check_backends(file: &File, findings: &mut Findings<'_>) -> Vec<CheckedBackend> {
    if file.backends.is_empty() {
        findings.wrong_but(
            "backends",
            "the list is empty: at least one backend is needed",
            "add one, for example {name: local, url: \"http://127.0.0.1:1234\", type: lmstudio}; \
             or try `proxylm serve --demo`, which brings its own",
        );
    }
    let mut checked: Vec<CheckedBackend> = Vec::new();
    for (index, backend) in file.backends.iter().enumerate() {
        let at = format!("backends[{index}]");
        check_name(&file.backends[..index], backend, &at, findings);
        let one = check_backend(backend, file.compat.stream_usage, &at, findings);
        warn_of_backend(backend, file.routing.strategy, &at, findings);
        check_server(&checked, &one, &at, findings);
        checked.push(one);
    }
    warn_if_all_overflow(&checked, findings);
    checked
}

/// Slots and models belong to the server, not to a name for it: no server of ours has two.
fn check_server(before: &[CheckedBackend], one: &CheckedBackend, at: &str, findings: &mut Findings<'_>) {
    let catalog = &one.catalog;
    let is_same = |other: &&CheckedBackend| same_server(&other.catalog.url, &catalog.url);
    let Some(first) = before.iter().find(is_same) else { return };
    let (key, name) = (format!("{at}.url"), &first.catalog.name);
    let is_engine = |kind| {
        use BackendKind::{LlamaCpp, LmStudio, Ollama, Vllm};
        matches!(kind, Ollama | LmStudio | LlamaCpp | Vllm)
    };
    if catalog.is_hosted {
        // Somebody may well have two accounts there.
        if first.credential == one.credential {
            let message =
                format!("is the address of {name:?} too, with the same key; slots are counted for each");
            findings.odd(key, message);
        }
    } else if is_engine(catalog.kind) || is_engine(first.catalog.kind) {
        findings.wrong_but(
            &key,
            &format!(
                "is the address of {name:?} too, and one server cannot be two backends: its slots and models are \
                 counted once"
            ),
            "keep one of the two backends, with the slots of both; other names for its models go under \
             routing.models",
        );
    } else {
        findings
            .odd(key, format!("is the address of {name:?} too; slots are counted for each of the two alone"));
    }
}

/// Values that say nothing together.
fn warn_of_backend(backend: &file::Backend, strategy: Strategy, at: &str, findings: &mut Findings<'_>) {
    if backend.weight != 1 && strategy != Strategy::Random {
        findings.odd(format!("{at}.weight"), "has no effect: only strategy random draws by weight");
    }
    if backend.max_models.exactly().is_some() && backend.serialize_by_model.exactly() == Some(false) {
        let message = "has no effect: with serialize_by_model false, every model counts as loaded";
        findings.odd(format!("{at}.max_models"), message);
    }
}

/// Somebody has to be there that others can overflow.
fn warn_if_all_overflow(backends: &[CheckedBackend], findings: &mut Findings<'_>) {
    let waits = |backend: &CheckedBackend| matches!(backend.catalog.overflow, Overflow::After(ms) if ms > 0);
    if !backends.is_empty() && backends.iter().all(waits) {
        let message = "is set for every backend: each request waits so long, whether or not there is room";
        findings.odd("backends[0].overflow_after", message);
    }
}

fn check_name(before: &[file::Backend], backend: &file::Backend, at: &str, findings: &mut Findings<'_>) {
    let name = &backend.name;
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if name.is_empty() {
        findings.wrong(format!("{at}.name"), "is missing or empty; every backend needs a name");
    } else if !fits {
        let message =
            format!("{name:?} is not 1 to {LONGEST_NAME} letters, digits, dots, dashes or underscores");
        findings.wrong(format!("{at}.name"), message);
    } else if let Some(first) = before.iter().position(|other| other.name == *name) {
        let first = findings.line_of(&format!("backends[{first}].name"));
        findings.wrong(
            format!("{at}.name"),
            format!("duplicate name {name:?}: an earlier backend has it too{first}"),
        );
    }
}

fn check_backend(
    backend: &file::Backend,
    stream_usage: StreamUsage,
    at: &str,
    findings: &mut Findings<'_>,
) -> CheckedBackend {
    let kind = kind(backend.kind);
    let url = check_url(backend, kind, at, findings);
    let models: Vec<_> = backend.models.iter().filter(|model| !model.is_empty()).collect();
    CheckedBackend {
        catalog: catalog::Backend {
            name: backend.name.clone(),
            kind,
            dialects: dialects(backend, kind, at, findings),
            priority: backend.priority,
            slots: slots(backend, at, findings),
            max_models: backend.max_models.exactly(),
            serialize_by_model: backend.serialize_by_model.exactly(),
            is_hosted: url.as_ref().is_some_and(|url| url.is_public_https),
            overflow: match backend.overflow_after {
                OverflowAfter::Auto => Overflow::Auto,
                OverflowAfter::Off => Overflow::Member,
                OverflowAfter::Seconds(seconds) => Overflow::After(millis_of(seconds)),
            },
            weight: backend.weight,
            url: url.map(|url| url.text).unwrap_or_default(),
            models: (!models.is_empty()).then(|| models.iter().map(|model| ModelName::new(model)).collect()),
        },
        credential: credential(backend, kind, at, findings),
        takes_callers_key: backend.auth_type == AuthType::Passthrough,
        timeouts: timeouts(backend, at, findings),
        ask_for_usage: match (stream_usage, kind) {
            (StreamUsage::Never, _)
            | (StreamUsage::Auto, BackendKind::OpenAi | BackendKind::OpenAiResponses)
            | (_, BackendKind::Anthropic | BackendKind::Gemini) => false,
            (StreamUsage::Auto | StreamUsage::Always, _) => true,
        },
        fake: fake(backend, kind, &models, at, findings),
    }
}

/// The dialects that a backend speaks itself.
fn dialects(
    backend: &file::Backend,
    kind: BackendKind,
    at: &str,
    findings: &mut Findings<'_>,
) -> Vec<Dialect> {
    let mut dialects = Vec::new();
    for (index, named) in backend.dialects.iter().enumerate() {
        let dialect = Dialect::from(*named);
        if dialects.contains(&dialect) {
            findings.odd(format!("{at}.dialects[{index}]"), "is there already");
        } else {
            dialects.push(dialect);
        }
    }
    if dialects.is_empty() { kind.dialects().to_vec() } else { dialects }
}

fn kind(kind: file::Kind) -> BackendKind {
    match kind {
        file::Kind::OpenAi | file::Kind::Unsaid => BackendKind::OpenAi,
        file::Kind::OpenAiResponses => BackendKind::OpenAiResponses,
        file::Kind::Anthropic => BackendKind::Anthropic,
        file::Kind::Gemini => BackendKind::Gemini,
        file::Kind::Ollama => BackendKind::Ollama,
        file::Kind::LmStudio => BackendKind::LmStudio,
        file::Kind::LlamaCpp => BackendKind::LlamaCpp,
        file::Kind::Vllm => BackendKind::Vllm,
        file::Kind::Fake => BackendKind::Fake,
    }
}

fn check_url(
    backend: &file::Backend,
    kind: BackendKind,
    at: &str,
    findings: &mut Findings<'_>,
) -> Option<BaseUrl> {
    let key = format!("{at}.url");
    if kind == BackendKind::Fake {
        if !backend.url.is_empty() {
            findings.odd(key, "is ignored: a fake backend calls nobody");
        }
        return None;
    }
    let parsed = BaseUrl::parse(&backend.url);
    parsed.map_err(|message| findings.wrong(key, format!("of backend {:?}: {message}", backend.name))).ok()
}

fn slots(backend: &file::Backend, at: &str, findings: &mut Findings<'_>) -> Option<u32> {
    // Systems that limit concurrency with 0 meaning "no limit of mine" are moved here with their files.
    let other = backend.max_concurrency.filter(|slots| *slots > 0);
    findings
        .one_of((&format!("{at}.slots"), backend.slots.exactly()), (&format!("{at}.max_concurrency"), other))
}

fn credential(
    backend: &file::Backend,
    kind: BackendKind,
    at: &str,
    findings: &mut Findings<'_>,
) -> Option<Credential> {
    if backend.auth_type == AuthType::Passthrough && backend.api_key.is_some() {
        findings.odd(
            format!("{at}.api_key"),
            "is not used: with auth_type passthrough the caller's own key is sent",
        );
    }
    let key = backend.api_key.as_ref().map(file::Hidden::expose).filter(|key| !key.is_empty())?;
    findings.check_key_text(&format!("{at}.api_key"), key);
    let secret = Secret::new(key);
    match (backend.auth_type, kind) {
        (AuthType::None | AuthType::Passthrough, _) => None,
        (AuthType::XGoogApiKey, _) | (AuthType::Auto, BackendKind::Gemini) => {
            Some(Credential::GoogleKey(secret))
        }
        (AuthType::XApiKey, _) | (AuthType::Auto, BackendKind::Anthropic) => Some(Credential::ApiKey(secret)),
        (AuthType::Bearer | AuthType::Auto, _) => Some(Credential::Bearer(secret)),
    }
}

fn timeouts(backend: &file::Backend, at: &str, findings: &mut Findings<'_>) -> Timeouts {
    let first_event = findings.one_of(
        (&format!("{at}.first_byte_timeout_seconds"), backend.first_byte_timeout_seconds),
        (&format!("{at}.header_timeout_seconds"), backend.header_timeout_seconds),
    );
    let millis = |seconds: u32| u64::from(seconds) * 1000;
    Timeouts {
        connect_ms: millis(backend.connect_timeout_seconds),
        first_event_ms: millis(first_event.unwrap_or(300)),
        idle_ms: millis(backend.idle_timeout_seconds),
        total_ms: millis(backend.timeout_seconds),
    }
}

fn fake(
    backend: &file::Backend,
    kind: BackendKind,
    models: &[&String],
    at: &str,
    findings: &mut Findings<'_>,
) -> Option<FakeSpec> {
    if kind != BackendKind::Fake {
        if backend.fake.is_some() {
            findings.wrong(
                format!("{at}.fake"),
                format!("is only for type fake, and {:?} is {}", backend.name, kind.as_str()),
            );
        }
        return None;
    }
    let fake = backend.fake.clone().unwrap_or_default();
    let own: Vec<_> = fake.models.iter().filter(|model| !model.is_empty()).collect();
    let offered = if own.is_empty() { models } else { &own };
    if offered.is_empty() {
        findings.wrong(
            format!("{at}.fake.models"),
            format!("is empty: the fake {:?} needs a model to offer", backend.name),
        );
    }
    Some(FakeSpec {
        models: offered.iter().map(|model| ModelName::new(model)).collect(),
        load_ms: millis_of(fake.load_seconds),
        word_ms: fake.word_ms.into(),
        words: fake.words,
    })
}

/// Milliseconds of `seconds`, which were checked to be neither negative nor more than weeks. What is not 0 stays so.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to lie between 0 and some weeks"
)]
pub(super) fn millis_of(seconds: f64) -> u64 {
    let millis = seconds * 1000.0;
    // Not up alone: 0.007 s are a little more than 7 ms in binary.
    if millis > 0.0 { millis.round().max(1.0) as u64 } else { 0 }
}
