//! The configuration as a whole: text in, meaning or problems out.

use std::collections::BTreeMap;
use std::path::Path;

use ipc_proto::ids::{BackendId, ModelName};
use ipc_proto::secret::{Pepper, Secret};
use ipc_proto::spec::{BackendKind, Credential};
use serde_json::json;

use super::*;

mod rules;
mod scheduling;
mod shown;

/// A configuration with two clients, an administrator and one backend, in YAML.
const VALID: &str = "
proxy:
  port: 8080
auth:
  api_keys:
    - {name: a, key: k1-secret}
    - {name: b, key: k2-secret}
  admin_key: admin-secret
retry: {}
backends:
  - name: srv1
    url: http://127.0.0.1:1234
";

fn load_text(name: &str, text: &str, overrides: &Overrides) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    first_run::write(&path, text).unwrap();
    load(&path, overrides)
}

fn load_yaml(text: &str) -> Result<Loaded, ConfigError> {
    load_text("config.yaml", text, &Overrides::default())
}

#[track_caller]
fn loaded(text: &str) -> Loaded {
    load_yaml(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The problems of `text` without the file's path: `line:column: key: message`.
#[track_caller]
fn problems(text: &str) -> Vec<String> {
    let error = load_yaml(text).err().unwrap_or_else(|| panic!("it is accepted:\n{text}"));
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(!error.problems().is_empty(), "{error}");
    let all = error.to_string();
    all.lines()
        .map(|line| line.split_once("config.yaml:").expect("the path comes first").1.to_owned())
        .collect()
}

#[test]
fn cfg_02_09_a_short_file_gets_the_defaults() {
    let Loaded { config, warnings, .. } = loaded(VALID);
    assert_eq!(warnings, []);
    assert_eq!((config.host.as_str(), config.port, config.log_level()), ("0.0.0.0", 8080, LogLevel::Info));
    assert_eq!((config.history_retention_days, config.vacuum_on_start), (Some(30), false));
    assert_eq!(config.shutdown_grace, Duration::from_secs(30));
    let limits = config.client_limits();
    assert_eq!((limits.max_body_bytes, limits.max_connections), (32 << 20, 20_000));
    assert_eq!((limits.header_read_ms, limits.body_read_ms, limits.idle_ms), (10_000, 60_000, 400_000));
    let catalog = config.catalog();
    assert_eq!((catalog.queue.max_waiting, catalog.queue.timeout_ms), (4096, None));
    assert_eq!((catalog.retry.max_attempts, catalog.retry.initial_backoff_ms), (3, 500));
    assert_eq!((catalog.retry.max_backoff_ms, catalog.shutdown_grace_ms), (8000, 30_000));
    assert_eq!(catalog.health.probe_interval_ms, Some(30_000), "discovery is on");
    assert_eq!(catalog.health.unhealthy_after_failed_probes, 3);
    let backend = &catalog.backends[&BackendId(0)];
    assert_eq!((backend.kind, backend.priority, backend.slots_at_first()), (BackendKind::OpenAi, 100, 1));
    assert_eq!((backend.swaps_at_first(), &backend.models), (true, &None));
    let spec = config.worker_spec(BackendId(0), Path::new("/run/x")).unwrap();
    assert_eq!(spec.base_url, "http://127.0.0.1:1234");
    let timeouts = spec.timeouts;
    assert_eq!((timeouts.connect_ms, timeouts.first_event_ms), (10_000, 300_000));
    assert_eq!((timeouts.idle_ms, timeouts.total_ms), (300_000, 600_000));
    assert_eq!((spec.probe.interval_ms, spec.probe.timeout_ms), (30_000, 5000));
    assert_eq!((spec.credential, spec.ask_for_usage, spec.fake), (None, false, None));
    assert_eq!(config.worker_spec(BackendId(1), Path::new("/run/x")), None);
}

#[test]
fn toml_and_json_say_the_same_as_yaml() {
    let toml = r#"
        [proxy]
        port = 8080
        [auth]
        admin_key = "admin-secret"
        api_keys = [{ name = "a", key = "k1-secret" }, { name = "b", key = "k2-secret" }]
        [[backends]]
        name = "srv1"
        url = "http://127.0.0.1:1234"
    "#;
    let json = json!({
        "$schema": "./config.schema.json",
        "proxy": { "port": 8080 },
        "auth": {
            "admin_key": "admin-secret",
            "api_keys": [{ "name": "a", "key": "k1-secret" }, { "name": "b", "key": "k2-secret" }],
        },
        "backends": [{ "name": "srv1", "url": "http://127.0.0.1:1234" }],
    });
    let expected = loaded(VALID).config;
    for (name, text) in [("c.toml", toml), ("c.json", &json.to_string()), ("c.yml", VALID)] {
        let config = load_text(name, text, &Overrides::default()).unwrap().config;
        assert_eq!(show(&config), show(&expected), "{name}");
        assert_eq!(config.access(Pepper::new([1; 32])), expected.access(Pepper::new([1; 32])), "{name}");
    }
    assert!(matches!(load(Path::new("x.conf"), &Overrides::default()), Err(ConfigError::Ending { .. })));
}

#[test]
fn types_decide_slots_swaps_usage_and_how_keys_are_shown() {
    let cases = [
        ("lmstudio", "http://h:1", 1, true, true),
        ("ollama", "https://ollama.com", 1, true, true),
        ("llamacpp", "http://h:1", 1, true, true),
        ("vllm", "http://h:1", 8, true, true),
        ("anthropic", "https://api.anthropic.com", 8, false, false),
        ("openai", "https://api.openai.com/v1", 8, false, false),
        ("openai", "https://10.0.0.1", 1, true, false),
        ("openai", "http://api.openai.com", 1, true, false),
        ("''", "http://h:1", 1, true, false),
    ];
    for (kind, url, slots, serialize_by_model, ask_for_usage) in cases {
        let text =
            VALID.replace("http://127.0.0.1:1234", &format!("{url}\n    type: {kind}\n    api_key: key"));
        let config = loaded(&text).config;
        let backend = &config.catalog().backends[&BackendId(0)];
        assert_eq!(
            (backend.slots_at_first(), backend.swaps_at_first()),
            (slots, serialize_by_model),
            "{kind} {url}"
        );
        let spec = config.worker_spec(BackendId(0), Path::new("/")).unwrap();
        assert_eq!(spec.ask_for_usage, ask_for_usage, "{kind} {url}");
        let key = Secret::new("key");
        let shown = if kind == "anthropic" { Credential::ApiKey(key) } else { Credential::Bearer(key) };
        assert_eq!(spec.credential, Some(shown), "{kind} {url}");
    }
}

#[test]
fn what_is_said_counts_more_than_the_type() {
    let text = VALID.replace(
        "http://127.0.0.1:1234",
        "https://api.openai.com\n    slots: 3\n    serialize_by_model: true\n    api_key: k\n    auth_type: x-api-key\n    \
         priority: -5\n    models: [m1, '', m2]\n    header_timeout_seconds: 0\ncompat: {stream_usage: always}",
    );
    let config = loaded(&text).config;
    let backend = config.catalog().backends[&BackendId(0)].clone();
    assert_eq!((backend.slots_at_first(), backend.swaps_at_first(), backend.priority), (3, true, -5));
    assert_eq!(backend.models, Some(vec![ModelName::new("m1"), ModelName::new("m2")]));
    let spec = config.worker_spec(BackendId(0), Path::new("/")).unwrap();
    assert_eq!((spec.credential, spec.ask_for_usage), (Some(Credential::ApiKey(Secret::new("k"))), true));
    assert_eq!(spec.timeouts.first_event_ms, 0);
}

#[test]
fn cfg_08_an_explicit_zero_is_a_zero() {
    let text = format!(
        "{VALID}    models: []\n    idle_timeout_seconds: 0\nstorage: {{history_retention_days: 0}}\n\
         scheduler: {{max_queue: 0}}\ntui: {{show_completed_minutes: 0}}\n"
    )
    .replace("retry: {}", "retry: {initial_backoff_ms: 0, max_backoff_ms: 0}")
    .replace("port: 8080", "port: 0\n  shutdown_grace_seconds: 0");
    let config = loaded(&text).config;
    assert_eq!((config.history_retention_days, config.port), (None, 0));
    assert_eq!((config.show_completed, config.shutdown_grace), (Duration::ZERO, Duration::ZERO));
    let catalog = config.catalog();
    assert_eq!(
        (catalog.queue.max_waiting, catalog.retry.initial_backoff_ms, catalog.retry.max_backoff_ms),
        (0, 0, 0)
    );
    assert_eq!(config.worker_spec(BackendId(0), Path::new("/")).unwrap().timeouts.idle_ms, 0);
}

#[test]
fn cfg_10_a_relative_database_starts_at_the_programs_folder() {
    let file = |path: &str| file::File {
        storage: file::Storage { database_path: path.to_owned(), ..file::Storage::default() },
        ..file::File::default()
    };
    let surroundings = check::Surroundings { folder: PathBuf::from("/opt/proxylm"), processors: 4 };
    for (written, meant) in [
        ("./proxylm.db", "/opt/proxylm/proxylm.db"),
        ("var/h.db", "/opt/proxylm/var/h.db"),
        ("/var/h.db", "/var/h.db"),
    ] {
        let checked = check::check(file(written), &BTreeMap::new(), &surroundings);
        assert_eq!(checked.config.database_path, Path::new(meant), "{written}");
    }
}

#[test]
fn frontends_follow_the_processors() {
    let count = |processors| {
        let surroundings = check::Surroundings { folder: PathBuf::new(), processors };
        check::check(file::File::default(), &BTreeMap::new(), &surroundings).config.frontends()
    };
    let expected = if cfg!(target_os = "linux") { [2, 2, 2, 3, 8, 8] } else { [1; 6] };
    assert_eq!([1, 2, 4, 6, 16, 64].map(count), expected);
}

#[test]
fn cli_05_the_command_line_counts_more_than_the_file() {
    let overrides = Overrides {
        host: Some("127.0.0.1".to_owned()),
        port: Some(0),
        log_level: Some(LogLevel::Debug),
        demo: true,
    };
    // Without keys this file is good for nothing but a loopback host.
    let open = "backends: [{name: b, url: 'http://h'}]";
    let loaded = load_text("c.yaml", open, &overrides).unwrap();
    assert_eq!((loaded.config.port, loaded.config.log_level()), (0, LogLevel::Debug));
    assert_eq!(loaded.config.listen_address().unwrap(), "127.0.0.1:0".parse().unwrap());
    assert_eq!((loaded.config.backend_count(), loaded.demo_key), (3, None));
}

#[test]
fn a_demonstration_needs_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let missing = load(&path, &Overrides::default()).unwrap_err();
    assert!(missing.is_missing() && missing.hint().is_some_and(|hint| hint.contains("config init")));
    let loaded = load(&path, &Overrides { demo: true, ..Overrides::default() }).unwrap();
    assert_eq!(
        (loaded.config.host.as_str(), loaded.config.port, loaded.warnings.len()),
        ("127.0.0.1", 8080, 0)
    );
    let access = loaded.config.access(Pepper::new([7; 32]));
    let key = loaded.demo_key.expect("a key is asked for");
    assert_eq!((access.keys.len(), access.keys[0].name.as_str()), (1, "demo"));
    assert_eq!(access.keys[0].digest, access.pepper.digest(key.expose()));
    let fake = loaded.config.worker_spec(BackendId(0), Path::new("/")).unwrap().fake.unwrap();
    assert_eq!((fake.load_ms, fake.word_ms), (3000, 60));
    assert!(!path.exists(), "nothing is written");
}

#[test]
fn listening_takes_names_and_both_families() {
    let address = |host: &str| {
        let overrides = Overrides { host: Some(host.to_owned()), ..Overrides::default() };
        load_text("c.yaml", VALID, &overrides).unwrap().config.listen_address()
    };
    assert_eq!(address("0.0.0.0").unwrap(), "0.0.0.0:8080".parse().unwrap());
    assert_eq!(address("::1").unwrap(), "[::1]:8080".parse().unwrap());
    assert_eq!(address("[::]").unwrap(), "[::]:8080".parse().unwrap());
    assert!(address("localhost").unwrap().ip().is_loopback());
    assert!(matches!(address("no such host"), Err(ConfigError::Host { .. })));
}
