//! What is refused, what is warned of, and in what words.

use super::*;

/// `VALID` with `from` replaced.
fn with(from: &str, to: &str) -> String {
    assert!(VALID.contains(from), "{from}");
    VALID.replace(from, to)
}

/// `VALID` with more lines in its only backend.
fn backend(more: &str) -> String {
    format!("{VALID}    {more}\n")
}

/// `VALID` with more sections.
fn section(more: &str) -> String {
    format!("{VALID}{more}\n")
}

/// Each of these texts has one problem, with these words in it.
#[track_caller]
fn refused(cases: &[(String, &str)]) {
    for (text, expected) in cases {
        let found = problems(text);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{expected:?} is all, but {found:#?}\n{text}"
        );
    }
}

#[test]
fn cfg_03_every_rule_of_proxy_and_auth_broken_once_names_section_and_key() {
    refused(&[
        (with("port: 8080", "host: ''"), "3:9: proxy.host: is empty"),
        (with("8080", "70000"), "3:9: proxy.port: must be between 0 and 65535, got 70000"),
        (with("8080", "-1"), "proxy.port: must be between 0 and 65535, got -1"),
        (with("8080", "eighty"), "proxy.port: expected a whole number"),
        (
            with("port: 8080", "log_level: loud"),
            "proxy.log_level: unknown value \"loud\"; expected debug, info",
        ),
        (with("port: 8080", "log: {format: xml}"), "proxy.log.format: unknown value"),
        (with("port: 8080", "frontends: 0"), "proxy.frontends: must be between 1 and 64 or auto, got 0"),
        (
            with("port: 8080", "frontends: many"),
            "proxy.frontends: unknown value \"many\"; expected auto or a whole number",
        ),
        (with("port: 8080", "limits: {max_body_mb: 0}"), "proxy.limits.max_body_mb: must be between"),
        (with("port: 8080", "shutdown_grace_seconds: -1"), "proxy.shutdown_grace_seconds: must be"),
        (with("name: b", "name: ''"), "7:14: auth.api_keys[1].name: is missing or empty"),
        (with("k2-secret", "''"), "auth.api_keys[1].key: is missing or empty"),
        (with("k2-secret", "'two secrets'"), "auth.api_keys[1].key: holds a space"),
        (with("k2-secret", "42"), "auth.api_keys[1].key: expected text (put it in quotes"),
        (with("admin-secret", "''"), "auth.admin_key: is empty"),
    ]);
}

#[test]
fn cfg_03_every_rule_of_the_middle_sections_broken_once_names_section_and_key() {
    refused(&[
        (section("routing: {strategy: magic}"), "routing.strategy: unknown value \"magic\""),
        (section("routing: {strategy: single}"), "routing.strategy: single is not available in this version"),
        (
            section("scheduler: {max_consecutive_per_model: -1}"),
            "scheduler.max_consecutive_per_model: must be at least 0, got -1",
        ),
        (section("scheduler: {max_queue: -1}"), "scheduler.max_queue: must be at least 0"),
        (with("retry: {}", "retry: {max_attempts: 0}"), "retry.max_attempts: must be at least 1, got 0"),
        (
            with("retry: {}", "retry: {initial_backoff_ms: -1}"),
            "retry.initial_backoff_ms: must be at least 0",
        ),
        (
            with("retry: {}", "retry: {max_backoff_ms: 100}"),
            "9:25: retry.max_backoff_ms: must not be less than initial_backoff_ms (500), got 100",
        ),
        (section("discovery: {enabled: maybe}"), "discovery.enabled: expected true or false"),
        (section("discovery: {interval_seconds: 0}"), "discovery.interval_seconds: must be between 1"),
        (
            section("discovery: {unhealthy_after_failed_polls: 0}"),
            "discovery.unhealthy_after_failed_polls: must be",
        ),
        (section("storage: {database_path: ' '}"), "storage.database_path: is empty"),
        (
            section("storage: {history_retention_days: -1}"),
            "storage.history_retention_days: must be at least 0",
        ),
        (section("storage: {vacuum_on_start: 1}"), "storage.vacuum_on_start: expected true or false"),
        (section("tui: {show_completed_minutes: -1}"), "tui.show_completed_minutes: must be at least 0"),
        (section("tui: 30"), "tui: expected a section"),
        (
            section("compat: {response_format_mode: strict}"),
            "compat.response_format_mode: unknown value \"strict\"; did you mean strict_reject?",
        ),
    ]);
}

#[test]
fn cfg_03_every_rule_of_backends_broken_once_names_section_and_key() {
    refused(&[
        (with("name: srv1", "name: ''"), "backends[0].name: is missing or empty"),
        (with("name: srv1", "name: a b"), "backends[0].name: \"a b\" is not 1 to 64 letters"),
        (backend("priority: high"), "backends[0].priority: expected a whole number"),
        (backend("slots: 0"), "backends[0].slots: must be between 1"),
        (backend("serialize_by_model: 1"), "backends[0].serialize_by_model: expected auto or true or false"),
        (backend("timeout_seconds: 0"), "backends[0].timeout_seconds: must be between 1"),
        (
            backend("api_key: é"),
            "backends[0].api_key: holds a space or a character that a header cannot carry",
        ),
        (backend("auth_type: basic"), "backends[0].auth_type: unknown value"),
        (backend("dialects: [claude]"), "backends[0].dialects[0]: unknown value \"claude\""),
        (backend("models: qwen"), "backends[0].models: expected a list"),
        (backend("models: [7]"), "backends[0].models[0]: expected text"),
        (backend("fake: {}"), "backends[0].fake: is only for type fake, and \"srv1\" is openai"),
        (with("url: http://127.0.0.1:1234", "type: fake"), "backends[0].fake.models: is empty"),
        ("proxy: {host: localhost}\nbackends: []".to_owned(), "2:11: backends: the list is empty"),
        ("[1, 2]".to_owned(), "expected a section"),
        (with("  - name: srv1\n    url: http://127.0.0.1:1234\n", ""), "backends: the list is empty"),
    ]);
}

#[test]
fn cfg_04_three_ways_to_repeat_a_key_are_three_errors() {
    let cases = [
        (
            with("name: b", "name: a"),
            "7:14: auth.api_keys[1].name: duplicate name \"a\": an earlier key has it too (line 6)",
        ),
        (
            with("k2-secret", "k1-secret"),
            "7:22: auth.api_keys[1].key: duplicate key: \"a\" and \"b\" have the same",
        ),
        (
            with("admin-secret", "k1-secret"),
            "8:14: auth.admin_key: equals the key of \"a\" in api_keys; it must differ",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(&text), [expected]);
    }
}

#[test]
fn cfg_05_a_bad_address_names_the_backend() {
    for (url, expected) in [
        ("ftp://127.0.0.1", "the scheme must be http or https"),
        ("'http://'", "the host is missing"),
        ("http://h:port", "the port must be a number"),
        ("http://u:secret@h", "put the key under api_key"),
        ("''", "is missing or empty"),
    ] {
        let found = problems(&with("http://127.0.0.1:1234", url));
        assert_eq!(found.len(), 1, "{found:?}");
        let start = "12:10: backends[0].url: of backend \"srv1\": ";
        assert!(found[0].starts_with(start) && found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn cfg_06_types_are_known_and_others_refused() {
    for kind in [
        "''",
        "openai",
        "openai-responses",
        "gemini",
        "ollama",
        "lmstudio",
        "llamacpp",
        "anthropic",
        "vllm",
        "OpenAI",
    ] {
        loaded(&backend(&format!("type: {kind}")));
    }
    assert!(
        problems(&backend("type: olama"))[0]
            .ends_with("backends[0].type: unknown value \"olama\"; did you mean ollama?")
    );
    assert!(problems(&backend("type: bedrock"))[0].contains("bedrock is not available in this version"));
}

#[test]
fn cfg_07_unknown_keys_are_told_with_place_and_help() {
    let cases = [
        (with("port: 8080", "prot: 8080"), "3:3: proxy.prot: unknown key; did you mean port?"),
        (with("proxy:", "proxi:"), "2:1: proxi: unknown key; did you mean proxy?"),
        (backend("timeout: 5"), "13:5: backends[0].timeout: unknown key; did you mean timeout_seconds?"),
        (
            section("tui: {colour: red}"),
            "13:7: tui.colour: unknown key; the keys here are show_completed_minutes",
        ),
        (
            backend("ports: []"),
            "13:5: backends[0].ports: backends[].ports is not available in this version of proxylm",
        ),
        (
            section("shutdown_grace_seconds: 5"),
            "13:1: shutdown_grace_seconds: unknown key here; did you mean proxy.shutdown_grace_seconds?",
        ),
        (section("proxy2: {}"), "13:1: proxy2: unknown key; did you mean proxy?"),
        (
            with("port: 8080", "tls: {cert: x}"),
            "3:3: proxy.tls: proxy.tls is not available in this version of proxylm",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(&text), [expected]);
    }
}

#[test]
fn a_file_that_cannot_be_read_comes_with_a_mend() {
    let cases = [
        ("c.yaml", "proxy:\n\tport: 1\n", "c.yaml:2:2: tabs", "put spaces"),
        ("c.json", "{\"proxy\": {},}", "c.json:1:14: ", "no comments"),
        ("c.toml", "[proxy]\nhost = here\n", "c.toml:2:8: ", "double quotes"),
    ];
    for (name, text, said, mend) in cases {
        let error = load_text(name, text, &Overrides::default()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains(mend)), "{error:?}");
    }
}

#[test]
fn all_problems_come_at_once_in_the_files_order() {
    let text = with("8080", "-1")
        .replace("admin-secret", "k1-secret")
        .replace("retry: {}", "retry: {max_atempts: 0}")
        .replace("http:", "ftp:");
    let found = problems(&text);
    let keys: Vec<_> = found.iter().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(keys, ["proxy.port", "auth.admin_key", "retry.max_atempts", "backends[0].url"], "{found:#?}");
}

#[test]
fn doubled_backends_name_both_lines() {
    let text = section("  - name: srv1\n    url: http://127.0.0.1:1235");
    assert_eq!(
        problems(&text),
        ["13:11: backends[1].name: duplicate name \"srv1\": an earlier backend has it too (line 11)"]
    );
}

#[test]
fn keys_with_two_names_must_agree() {
    loaded(&backend("slots: 2\n    max_concurrency: 2"));
    loaded(&backend("slots: 2\n    max_concurrency: 0"));
    let found = problems(&backend("slots: 2\n    max_concurrency: 3"));
    assert_eq!(
        found,
        [
            "14:22: backends[0].max_concurrency: is another name for backends[0].slots, which says something else"
        ]
    );
    let grace = with("port: 8080", "limits: {shutdown_seconds: 7}");
    assert_eq!(loaded(&grace).config.shutdown_grace, Duration::from_secs(7));
}

#[test]
fn without_keys_only_this_machine_may_ask() {
    let open = "backends: [{name: b, url: 'http://h'}]\n";
    let found = load_yaml(open).unwrap_err();
    assert!(found.to_string().contains("auth.api_keys: the list is empty"), "{found}");
    assert!(found.hint().is_some_and(|hint| hint.contains("127.0.0.1")));
    for host in ["127.0.0.1", "localhost", "'::1'"] {
        let config = loaded(&format!("{open}proxy: {{host: {host}}}\n")).config;
        assert!(!config.asks_for_keys(), "{host}");
    }
    let none = with("auth:", "auth:\n  mode: none");
    assert!(problems(&none)[0].contains("auth.mode: none is for loopback hosts"));
    let closed = loaded(&none.replace("port: 8080", "host: 127.0.0.1"));
    assert!(!closed.config.asks_for_keys());
    assert_eq!(closed.warnings.len(), 1, "the keys have no effect");
    assert!(problems(&with("auth:", "auth:\n  mode: external"))[0].contains("external is not available"));
}

#[test]
fn aliases_lead_to_models_and_backends_that_are_there() {
    let config =
        loaded(&section("routing: {models: {coder: {model: qwen, backend: srv1}, gpt: {model: llama}}}"))
            .config;
    let aliases = config.catalog().aliases;
    assert_eq!(aliases[&ModelName::new("coder")].backend, Some(BackendId(0)));
    assert_eq!(aliases[&ModelName::new("gpt")].model, ModelName::new("llama"));
    let cases = [
        ("coder: {}", "routing.models.coder.model: is missing"),
        (
            "coder: {model: q, backend: srv2}",
            "routing.models.coder.backend: there is no backend \"srv2\"; there are srv1",
        ),
        (
            "coder: {model: gpt}, gpt: {model: q}",
            "routing.models.coder.model: stands for another model itself",
        ),
        ("coder: {model: q, fallback: []}", "routing.models.*.fallback is not available in this version"),
        ("coder: qwen", "routing.models.coder: expected a section"),
    ];
    for (models, expected) in cases {
        let found = problems(&section(&format!("routing: {{models: {{{models}}}}}")));
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
    }
}

#[test]
fn what_works_but_is_odd_is_warned_of() {
    let cases = [
        (VALID.to_owned(), ""),
        (with("k1-secret", "sk-proxy-replace-me-secret"), "auth.api_keys[0].key: is the placeholder"),
        (section("routing: {strategy: fair_share_round_robin}"), "fair_share_round_robin without scheduler."),
        (
            section("scheduler: {max_consecutive_per_model: 3}"),
            "scheduler.max_consecutive_per_model: has no effect",
        ),
        (
            section("  - {name: srv2, url: 'http://127.0.0.1:1234/v1'}"),
            "backends[1].url: is the address of \"srv1\" too",
        ),
        (backend("type: fake\n    models: [m]"), "backends[0].url: is ignored"),
    ];
    for (text, expected) in cases {
        let warnings: Vec<_> = loaded(&text).warnings.iter().map(ToString::to_string).collect();
        assert!(!warnings.concat().contains("secret"), "{warnings:?}");
        assert_eq!(warnings.len(), usize::from(!expected.is_empty()), "{warnings:?}");
        assert!(warnings.concat().contains(expected), "{warnings:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_with_keys_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let warnings = |text: &str, mode| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        load(&path, &Overrides::default()).unwrap().warnings.len()
    };
    assert_eq!([warnings(VALID, 0o600), warnings(VALID, 0o644)], [0, 1]);
    let none =
        "proxy: {host: 127.0.0.1}\nauth: {admin_key: '${PATH:-x}'}\nbackends: [{name: b, url: 'http://h'}]";
    // The path of programs may hold what fits no header; that is not what this is about.
    let none = none.replace("${PATH:-x}", "${PROXYLM_TEST_NO_SUCH_VARIABLE:-x}");
    assert_eq!(warnings(&none, 0o644), 0, "the keys are elsewhere");
}

#[test]
fn values_from_the_environment_fit_every_kind_and_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let variables =
        "T_PORT=9000\nT_LEVEL=debug\nT_KEY=secret-from-outside\nT_OFF=false\nT_HOST=gpu\nT_NUMBER=12345\n";
    std::fs::write(folder.path().join(".env"), variables).unwrap();
    let text = with("8080", "${T_PORT}\n  log_level: env:T_LEVEL")
        .replace("k1-secret", "'${T_KEY}'")
        .replace("k2-secret", "'${T_NUMBER}'")
        .replace("http://127.0.0.1:1234", "http://${T_HOST}:1234\ndiscovery: {enabled: \"${T_OFF}\"}");
    std::fs::write(&path, &text).unwrap();
    let config = load(&path, &Overrides::default()).unwrap().config;
    assert_eq!((config.port, config.log_level()), (9000, LogLevel::Debug));
    assert_eq!(config.catalog().health.probe_interval_ms, None);
    assert_eq!(config.catalog().backends[&BackendId(0)].url, "http://gpu:1234");
    let access = config.access(Pepper::new([3; 32]));
    let digests = ["secret-from-outside", "12345"].map(|key| access.pepper.digest(key));
    assert_eq!([access.keys[0].digest, access.keys[1].digest], digests);
    for (from, to, expected) in [
        (
            "${T_PORT}",
            "${T_KEY}",
            "3:9: proxy.port: expected a whole number between 0 and 65535, and the environment's",
        ),
        ("env:T_LEVEL", "${T_KEY}", "proxy.log_level: expected debug, info"),
        ("http://${T_HOST}", "${T_KEY}", "backends[0].url: of backend \"srv1\": the scheme"),
        ("${T_NUMBER}", "${T_NONE}", "auth.api_keys[1].key: the environment variable T_NONE is not set"),
    ] {
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let error = load(&path, &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("secret-from"), "{expected}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
