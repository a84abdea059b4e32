//! CFG-01..12 and CLI-01..05: the configuration file and the command line.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{Lines, PROGRAM, Said, command, run, said};
use crate::support::instance::{ADMIN_KEY, merge};
use crate::support::wait::wait_for;
use crate::support::{Client, KEY, Setup, Upstream};

fn minimal() -> Value {
    json!({
        "auth": { "api_keys": [{ "name": "a", "key": "k1" }, { "name": "b", "key": "k2" }], "admin_key": "k3" },
        "backends": [{ "name": "srv1", "url": "http://127.0.0.1:1234" }]
    })
}

fn with(over: Value) -> Value {
    let mut config = minimal();
    merge(&mut config, over);
    config
}

fn with_backends(backends: &Value) -> Value {
    let mut config = minimal();
    config["backends"] = backends.clone();
    config
}

fn write(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("config.json");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path
}

fn config(verb: &str, config: &Value) -> Said {
    let dir = TempDir::new().unwrap();
    let path = write(dir.path(), &serde_json::to_string_pretty(config).unwrap());
    run(&["config", verb, "--config", path.to_str().unwrap()])
}

/// Fails unless `config` is refused with a message that has all these words.
#[track_caller]
fn refused(broken: &Value, words: &[&str]) -> String {
    let said = config("validate", broken);
    assert_eq!(said.code, 1, "{broken}: {said:?}");
    assert!(said.err.starts_with("error: "), "{}", said.err);
    for word in words {
        assert!(said.err.contains(word), "{word:?} is missing for {broken}: {}", said.err);
    }
    said.err
}

/// The program alone in a folder, as one who downloads it has it.
struct Download {
    dir: TempDir,
    program: PathBuf,
}

impl Download {
    fn new() -> Self {
        let dir = TempDir::with_prefix("plm").unwrap();
        let program = dir.path().join("proxylm");
        if std::fs::hard_link(PROGRAM, &program).is_err() {
            std::fs::copy(PROGRAM, &program).unwrap();
        }
        Self { dir, program }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Said {
        said(&command(&self.program, arguments).output().unwrap())
    }

    /// Serves until `look` has seen what it came for; returns everything printed.
    fn serve(&self, arguments: &[&str], look: impl FnOnce(&str, std::net::SocketAddr)) {
        let run_dir = self.path("run").display().to_string();
        let all: Vec<_> = ["serve", "--port", "0", "--run-dir", &run_dir]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let mut process = command(&self.program, &all).spawn().unwrap();
        let out = Lines::collect(process.stdout.take().unwrap());
        let log = Lines::collect(process.stderr.take().unwrap());
        let address = out.wait_for(|line| line.strip_prefix("listening on http://")?.trim().parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address:\n{}\n{}", out.text(), log.text()));
        assert!(out.wait_for(|line| line.contains("ctl status").then_some(())).is_some(), "{}", out.text());
        look(&out.text(), address);
        let stopped = self.run(&["ctl", "--run-dir", &run_dir, "stop"]);
        assert_eq!(stopped.code, 0, "{stopped:?}");
        assert!(wait_for(|| process.try_wait().unwrap()).is_some_and(|status| status.success()));
    }
}

#[test]
fn cfg_01_10_11_a_first_run_writes_an_owner_only_config_with_fresh_keys_beside_the_program_and_serves() {
    let download = Download::new();
    download.serve(&[], |printed, address| {
        let text = std::fs::read_to_string(download.path("config.yaml")).unwrap();
        let mode = download.path("config.yaml").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let keys: Vec<_> = printed
            .split(|c: char| c.is_whitespace() || "\"'`".contains(c))
            .filter(|word| word.starts_with("sk-proxylm-"))
            .collect();
        assert!(!keys.is_empty(), "{printed}");
        for key in &keys {
            assert!(text.contains(key), "the printed key is the one in the file");
        }
        assert!(!text.contains("replace-me"));
        assert_eq!(Client::anonymous(address).get("/v1/models").status, 401);
        assert!(keys.iter().any(|key| Client::new(address, key).get("/v1/models").status == 200));
        assert!(download.path("proxylm.db").exists(), "a relative path is relative to the program");
    });
    let before = std::fs::read_to_string(download.path("config.yaml")).unwrap();
    download.serve(&[], |printed, _| {
        assert!(!printed.contains("sk-proxylm-"), "keys are printed once: {printed}");
    });
    assert_eq!(std::fs::read_to_string(download.path("config.yaml")).unwrap(), before);
}

#[test]
fn the_demo_needs_no_config_and_its_curl_line_and_status_line_work() {
    let download = Download::new();
    download.serve(&["--demo"], |printed, address| {
        let curl = printed.lines().find(|line| line.contains("curl ")).expect("a curl line");
        let url = format!("http://{address}/v1/chat/completions");
        assert!(curl.contains(&url), "{curl}");
        let key = curl.split(['"', '\'', ' ']).find(|word| word.starts_with("sk-")).expect("with a key");
        let body =
            curl.split_once(" -d '").and_then(|(_, rest)| rest.split_once('\'')).expect("with a body").0;
        let answer = Client::new(address, key).post("/v1/chat/completions", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
        assert_eq!(Client::anonymous(address).chat("demo-small").status, 401);
        assert!(printed.lines().any(|line| line.contains("proxylm ctl status")), "{printed}");
        let run_dir = download.path("run").display().to_string();
        let status = download.run(&["ctl", "--run-dir", &run_dir, "status"]);
        let rows: Vec<_> = status.out.lines().filter(|line| line.starts_with("demo-")).collect();
        let is_up_and_fake = |row: &&str| row.contains("fake") && row.contains("up");
        assert!(rows.len() == 2 && rows.iter().all(is_up_and_fake), "{status:?}");
    });
    assert!(!download.path("config.yaml").exists(), "the demo writes no configuration");
}

#[test]
fn cfg_02_09_a_minimal_file_gets_the_documented_defaults() {
    let said = config("show", &minimal());
    assert_eq!(said.code, 0, "{said:?}");
    let defaults = [
        "host: 0.0.0.0",
        "port: 8080",
        "log_level: info",
        "strategy: model_turns",
        "max_attempts: 3",
        "initial_backoff_ms: 500",
        "max_backoff_ms: 8000",
        "enabled: true",
        "interval_seconds: 30",
        "unhealthy_after_failed_polls: 3",
        "history_retention_days: 30",
        "vacuum_on_start: false",
        "show_completed_minutes: 30",
        "response_format_mode: passthrough",
        "type: openai",
        "timeout_seconds: 600",
        "priority: 100",
    ];
    let shown = said.out.replace('"', "");
    for default in defaults {
        assert!(shown.contains(default), "{default} is missing in\n{}", said.out);
    }
    assert!(!said.out.contains("k1") && !said.out.contains("k3"), "secrets are masked: {}", said.out);
}

#[test]
fn cfg_03_each_rule_broken_once_is_refused_with_its_key() {
    let cases = [
        (with(json!({ "proxy": { "port": 70000 } })), "proxy.port"),
        (with(json!({ "proxy": { "port": -1 } })), "proxy.port"),
        (with(json!({ "proxy": { "host": "" } })), "proxy.host"),
        (with(json!({ "proxy": { "log_level": "loud" } })), "proxy.log_level"),
        (with(json!({ "auth": { "api_keys": [] } })), "auth.api_keys"),
        (with(json!({ "auth": { "api_keys": [{ "name": "", "key": "k" }] } })), "auth.api_keys"),
        (with(json!({ "auth": { "api_keys": [{ "name": "a", "key": "" }] } })), "auth.api_keys"),
        (with(json!({ "auth": { "admin_key": "" } })), "auth.admin_key"),
        (with(json!({ "routing": { "strategy": "magic" } })), "routing.strategy"),
        (
            with(json!({ "scheduler": { "max_consecutive_per_model": -1 } })),
            "scheduler.max_consecutive_per_model",
        ),
        (with(json!({ "retry": { "max_attempts": 0 } })), "retry.max_attempts"),
        (with(json!({ "retry": { "max_attempts": -2 } })), "retry.max_attempts"),
        (with(json!({ "retry": { "initial_backoff_ms": -1 } })), "retry.initial_backoff_ms"),
        (with(json!({ "retry": { "max_backoff_ms": 100 } })), "retry.max_backoff_ms"),
        (with(json!({ "discovery": { "interval_seconds": 0 } })), "discovery.interval_seconds"),
        (
            with(json!({ "discovery": { "unhealthy_after_failed_polls": 0 } })),
            "discovery.unhealthy_after_failed_polls",
        ),
        (with(json!({ "storage": { "database_path": "" } })), "storage.database_path"),
        (with(json!({ "storage": { "history_retention_days": -1 } })), "storage.history_retention_days"),
        (with(json!({ "tui": { "show_completed_minutes": -1 } })), "tui.show_completed_minutes"),
        (with(json!({ "compat": { "response_format_mode": "x" } })), "compat.response_format_mode"),
        (with_backends(&json!([])), "backends"),
        (with_backends(&json!([{ "name": "", "url": "http://h" }])), "name"),
        (with_backends(&json!([{ "name": "x", "url": "" }])), "url"),
        (
            with_backends(&json!([{ "name": "x", "url": "http://h", "timeout_seconds": 0 }])),
            "timeout_seconds",
        ),
    ];
    for (broken, key) in &cases {
        refused(broken, &[key]);
    }
}

#[test]
fn cfg_04_doubled_names_and_keys_are_three_distinct_errors() {
    let keys = |keys: Value| with(json!({ "auth": { "api_keys": keys } }));
    let twice = keys(json!([{ "name": "a", "key": "k1" }, { "name": "a", "key": "k2" }]));
    let name = refused(&twice, &["auth.api_keys", "a"]);
    let twice = keys(json!([{ "name": "a", "key": "k1" }, { "name": "b", "key": "k1" }]));
    let key = refused(&twice, &["auth.api_keys"]);
    let admin = refused(&with(json!({ "auth": { "admin_key": "k1" } })), &["auth.admin_key"]);
    assert!(name != key && key != admin && name != admin);
    assert!(!key.contains("k1") && !admin.contains("k1"), "no key in an error: {key} {admin}");
}

#[test]
fn cfg_05_a_bad_url_names_the_backend() {
    for url in ["http://", "ftp://host", "http://host:port", "not a url"] {
        refused(&with_backends(&json!([{ "name": "rack", "url": url }])), &["rack", "url"]);
    }
}

#[test]
fn cfg_06_the_backend_types_of_the_seed_are_taken_and_others_refused() {
    for kind in
        ["", "openai", "ollama", "lmstudio", "llamacpp", "anthropic", "vllm", "gemini", "openai-responses"]
    {
        let said =
            config("validate", &with_backends(&json!([{ "name": "x", "url": "http://h", "type": kind }])));
        assert_eq!(said.code, 0, "{kind:?}: {said:?}");
    }
    refused(
        &with_backends(&json!([{ "name": "x", "url": "http://h", "type": "bedrock" }])),
        &["type", "bedrock"],
    );
}

#[test]
fn cfg_07_an_unknown_key_is_refused_with_its_place_and_a_suggestion() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("config.yaml");
    let text = "proxy:\n  prot: 8080\nauth:\n  api_keys:\n    - {name: a, key: k}\nbackends:\n  - {name: b, url: http://h}\n";
    std::fs::write(&path, text).unwrap();
    let said = run(&["config", "validate", "--config", path.to_str().unwrap()]);
    assert_eq!(said.code, 1, "{said:?}");
    for word in ["config.yaml:2:", "prot", "port"] {
        assert!(said.err.contains(word), "{word}: {}", said.err);
    }
}

#[test]
fn cfg_08_an_explicit_zero_is_zero() {
    let zeros = json!({
        "storage": { "history_retention_days": 0 }, "tui": { "show_completed_minutes": 0 },
        "retry": { "initial_backoff_ms": 0, "max_backoff_ms": 0 }
    });
    let said = config("show", &with(zeros));
    for zero in [
        "history_retention_days: 0",
        "show_completed_minutes: 0",
        "initial_backoff_ms: 0",
        "max_backoff_ms: 0",
    ] {
        assert!(said.out.contains(zero), "{zero}: {said:?}");
    }
}

#[test]
fn cfg_12_a_url_that_ends_in_v1_or_a_slash_is_the_same_backend() {
    for tail in ["", "/", "/v1", "/v1/"] {
        let upstream = Upstream::start(&["m"]);
        let url = format!("{}{tail}", upstream.url());
        let instance = Setup::new().backend("b1", &upstream, json!({ "url": url })).start();
        assert_eq!(instance.client().chat("m").status, 200);
        assert_eq!(upstream.seen()[0].path(), "/v1/chat/completions");
        assert!(upstream.probes().iter().all(|probe| probe.path().starts_with("/v1/models")));
    }
}

#[test]
fn values_may_come_from_the_environment_and_an_unset_one_is_named() {
    let dir = TempDir::new().unwrap();
    let mut text = minimal();
    text["auth"]["admin_key"] = json!("${PLM_TEST_UNSET}");
    let path = write(dir.path(), &text.to_string());
    let unset = run(&["config", "validate", "--config", path.to_str().unwrap()]);
    assert_eq!(unset.code, 1);
    assert!(unset.err.contains("PLM_TEST_UNSET") && unset.err.contains("auth.admin_key"), "{}", unset.err);
    std::fs::write(dir.path().join(".env"), "PLM_TEST_UNSET=from-dot-env\n").unwrap();
    let set = run(&["config", "validate", "--config", path.to_str().unwrap()]);
    assert_eq!(set.code, 0, "{set:?}");
    text["backends"][0]["name"] = json!("${PLM_TEST_NAME:-by-default}");
    text["backends"][0]["api_key"] = json!("env:PLM_TEST_UNSET");
    write(dir.path(), &text.to_string());
    let shown = run(&["config", "show", "--config", path.to_str().unwrap()]);
    assert!(shown.out.contains("by-default") && !shown.out.contains("from-dot-env"), "{shown:?}");
}

#[test]
fn yaml_toml_and_json_say_the_same() {
    let dir = TempDir::new().unwrap();
    let yaml = "auth:\n  api_keys:\n    - name: a\n      key: k1\nretry:\n  max_attempts: 7\nbackends:\n  - name: b\n    url: http://h\n";
    let toml = "[[auth.api_keys]]\nname = \"a\"\nkey = \"k1\"\n[retry]\nmax_attempts = 7\n[[backends]]\nname = \"b\"\nurl = \"http://h\"\n";
    let json = json!({
        "auth": { "api_keys": [{ "name": "a", "key": "k1" }] }, "retry": { "max_attempts": 7 },
        "backends": [{ "name": "b", "url": "http://h" }]
    });
    let shown: Vec<_> = [
        ("c.yaml", yaml.to_owned()),
        ("c.yml", yaml.to_owned()),
        ("c.toml", toml.to_owned()),
        ("c.json", json.to_string()),
    ]
    .into_iter()
    .map(|(name, text)| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let said = run(&["config", "show", "--config", path.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{name}: {said:?}");
        said.out
    })
    .collect();
    assert!(shown.iter().all(|one| *one == shown[0]), "{shown:?}");
    assert!(shown[0].contains("max_attempts: 7"));
    let other = run(&["config", "validate", "--config", "/tmp/config.ini"]);
    assert!(other.code == 1 && other.err.contains(".yaml"), "{other:?}");
}

#[test]
fn cli_01_validate_prints_counts_and_strategy() {
    let said = config("validate", &minimal());
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.starts_with("OK: "), "{}", said.out);
    assert!(said.out.contains("(backends=1, api_keys=2, strategy=model_turns)"), "{}", said.out);
}

#[test]
fn cli_02_validate_complains_on_standard_error_and_exits_with_1() {
    let said = run(&["config", "validate", "--config", "/nonexistent/config.yaml"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.starts_with("error: ") && said.err.contains("/nonexistent/config.yaml"), "{}", said.err);
}

#[test]
fn cli_03_init_does_not_overwrite_unless_forced() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("config.yaml");
    let path_text = path.to_str().unwrap();
    std::fs::write(&path, "mine").unwrap();
    let refused = run(&["config", "init", "--path", path_text]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    let forced = run(&["config", "init", "--out", path_text, "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    assert!(forced.out.contains(path_text), "{}", forced.out);
    assert_eq!(run(&["config", "validate", "--config", path_text]).code, 0);
}

#[test]
fn cli_04_version_prints_name_version_and_system() {
    let expected = format!(
        "proxylm {} ({}/{})\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let said = run(&["version"]);
    assert_eq!((said.code, said.out), (0, expected));
}

#[test]
fn cli_05_host_and_port_flags_override_the_file() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream)
        .settings(json!({ "proxy": { "host": "127.0.0.2", "port": 1 } }))
        .flag("--host", "127.0.0.1")
        .flag("--port", "0")
        .start();
    assert_eq!(instance.address().ip().to_string(), "127.0.0.1");
    assert_ne!(instance.address().port(), 1);
    assert_eq!(instance.client().get("/healthz").status, 200);
}

#[test]
fn without_a_command_help_is_printed_and_a_wrong_flag_is_wrong_usage() {
    let help = run::<&str>(&[]);
    assert_eq!(help.code, 0);
    assert!(
        help.out.contains("serve") && help.out.contains("ctl") && !help.out.contains("__worker"),
        "{}",
        help.out
    );
    assert_eq!(run(&["serve", "--no-such-flag"]).code, 2);
    let by_hand = run(&["__worker", "--backend", "0", "--generation", "1", "--run-dir", "/tmp"]);
    assert!(by_hand.code == 1 && by_hand.err.contains("error: "), "{by_hand:?}");
}

#[test]
fn serve_refuses_a_wrong_config_with_2() {
    let said = Setup::new().start_in_vain();
    assert_eq!(said.code, 2, "no backends: {said:?}");
    assert!(said.err.contains("backends"), "{}", said.err);
    let missing = run(&["serve", "--demo=yes"]);
    assert_eq!(missing.code, 2);
}

#[test]
fn the_schema_is_json_and_knows_the_sections() {
    let said = run(&["config", "schema"]);
    let schema: Value = serde_json::from_str(&said.out).unwrap();
    for section in ["proxy", "auth", "routing", "retry", "backends"] {
        assert!(schema["properties"].get(section).is_some(), "{section}");
    }
    assert!(!said.out.contains(KEY) && !said.out.contains(ADMIN_KEY));
}
