//! Scheduling's keys: what they come to in the catalog, what is refused, and what is odd.

use ipc_proto::control::Class;

use super::*;
use crate::scheduler::catalog::{self, Backend, Client, Knobs, LoadPolicy, Overflow, Strategy};

/// `VALID` with these sections, and these lines in its only backend.
fn with(sections: &str, of_backend: &[&str]) -> String {
    let lines = of_backend.iter().fold(String::new(), |lines, line| lines + "    " + line + "\n");
    format!("{VALID}{lines}{sections}\n")
}

fn catalog(text: &str) -> catalog::Catalog {
    loaded(text).config.catalog()
}

fn backend(line: &str) -> Backend {
    catalog(&with("", &[line])).backends[&BackendId(0)].clone()
}

fn knobs(scheduler: &str) -> Knobs {
    catalog(&with(&format!("scheduler: {{{scheduler}}}"), &[])).knobs
}

fn warnings(text: &str) -> Vec<String> {
    loaded(text).warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_said_is_model_turns_with_its_own_numbers() {
    let config = loaded(VALID).config;
    let catalog = config.catalog();
    assert_eq!((catalog.strategy, catalog.knobs), (Strategy::ModelTurns, Knobs::default()));
    assert_eq!(catalog.load_options, LoadPolicy::Bucket);
    assert_eq!((catalog.queue.max_waiting_per_model, catalog.queue.max_waiting_per_client), (None, None));
    let clients: Vec<_> = catalog.clients.into_values().collect();
    let client = |name: &str| Client { name: name.to_owned(), class: Class::Interactive, max_wait_ms: None };
    assert_eq!(clients, [client("a"), client("b")]);
    let backend = &catalog.backends[&BackendId(0)];
    assert_eq!((backend.slots, backend.max_models, backend.serialize_by_model), (None, None, None));
    assert_eq!((backend.overflow, backend.weight, backend.is_hosted), (Overflow::Auto, 1, false));
    assert_eq!((config.record(), config.heartbeat_ms(), config.strategy()), (None, 10_000, "model_turns"));
}

#[test]
fn every_strategy_goes_by_its_own_name() {
    for strategy in Strategy::ALL {
        let loaded = loaded(&with(&format!("routing: {{strategy: {}}}", strategy.as_str()), &[]));
        assert_eq!(loaded.config.catalog().strategy, strategy);
        assert_eq!(loaded.config.strategy(), strategy.as_str());
        let expected = usize::from(strategy == Strategy::FairShareRoundRobin);
        assert_eq!(loaded.warnings.len(), expected, "its bound is missing: {:?}", loaded.warnings);
    }
    let bounded = "routing: {strategy: fair_share_round_robin}\nscheduler: {max_consecutive_per_model: 3}";
    assert_eq!(warnings(&with(bounded, &[])), [""; 0]);
    assert_eq!(catalog(&with(bounded, &[])).knobs.max_consecutive_per_model, 3);
}

#[test]
fn every_number_of_the_rules_can_be_set() {
    let usual = Knobs::default();
    for (written, meant) in [
        ("max_wait: 30", Knobs { max_wait_ms: Some(30_000), ..usual }),
        ("max_wait: 0.25", Knobs { max_wait_ms: Some(250), ..usual }),
        ("max_wait: 0", Knobs { max_wait_ms: Some(0), ..usual }),
        ("max_wait: off", Knobs { max_wait_ms: None, ..usual }),
        ("max_wait: 'OFF'", Knobs { max_wait_ms: None, ..usual }),
        ("turn: 2.5", Knobs { turn: 2.5, ..usual }),
        ("linger: off", Knobs { linger: false, ..usual }),
        ("linger: auto", usual),
        ("pace: 2", Knobs { pace: Some(2.0), ..usual }),
        ("pace: off", Knobs { pace: None, ..usual }),
        ("burst: 1", Knobs { burst: 1, ..usual }),
    ] {
        assert_eq!(knobs(written), meant, "{written}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(folder.path().join(".env"), "T_WAIT=2.5\nT_PACE=off\n").unwrap();
    let text = with("scheduler: {max_wait: '${T_WAIT}', pace: '${T_PACE}'}", &[]);
    std::fs::write(&path, text).unwrap();
    let knobs = load(&path, &Overrides::default()).unwrap().config.catalog().knobs;
    assert_eq!((knobs.max_wait_ms, knobs.pace), (Some(2500), None));
}

#[test]
fn off_and_numbers_are_written_alike_in_every_format() {
    let toml = "[proxy]\nhost = \"127.0.0.1\"\n[scheduler]\nmax_wait = \"off\"\npace = 2\nturn = 3.5\n[[backends]]\nname = \"b\"\n\
                url = \"http://h\"\noverflow_after = 20\nmax_models = \"auto\"\n";
    let json = json!({
        "proxy": { "host": "127.0.0.1" },
        "scheduler": { "max_wait": "off", "pace": 2, "turn": 3.5 },
        "backends": [{ "name": "b", "url": "http://h", "overflow_after": 20, "max_models": "auto" }],
    });
    for (name, text) in [("c.toml", toml), ("c.json", &json.to_string())] {
        let catalog = load_text(name, text, &Overrides::default()).unwrap().config.catalog();
        assert_eq!((catalog.knobs.max_wait_ms, catalog.knobs.pace), (None, Some(2.0)), "{name}");
        assert_eq!(catalog.knobs.turn.to_bits(), 3.5_f64.to_bits(), "{name}");
        let backend = &catalog.backends[&BackendId(0)];
        assert_eq!((backend.overflow, backend.max_models), (Overflow::After(20_000), None), "{name}");
    }
}

#[test]
fn queues_are_bounded_per_model_and_per_key() {
    let bounds =
        "scheduler: {max_queue: 9, max_queue_per_model: 5, max_queue_per_key: 3, queue_timeout_seconds: 60}";
    let queue = catalog(&with(bounds, &[])).queue;
    assert_eq!((queue.max_waiting, queue.timeout_ms), (9, Some(60_000)));
    assert_eq!((queue.max_waiting_per_model, queue.max_waiting_per_client), (Some(5), Some(3)));
    let none = catalog(&with("scheduler: {max_queue_per_model: 0, max_queue_per_key: 0}", &[])).queue;
    assert_eq!((none.max_waiting_per_model, none.max_waiting_per_client), (None, None));
}

#[test]
fn clients_have_a_class_and_a_patience_of_their_own() {
    let text = VALID.replace("key: k1-secret", "key: k1-secret, class: batch, max_wait: 1.5");
    let clients = catalog(&text).clients;
    let [first, second] = [0, 1].map(|index| clients[&ipc_proto::ids::KeyId(index)].clone());
    assert_eq!((first.name.as_str(), first.class, first.max_wait_ms), ("a", Class::Batch, Some(1500)));
    assert_eq!((second.name.as_str(), second.class, second.max_wait_ms), ("b", Class::Interactive, None));
}

#[test]
fn backends_say_what_they_hold_and_when_they_help() {
    let all = "slots: 3\n    max_models: 2\n    serialize_by_model: true\n    overflow_after: 0.5";
    let said = backend(all);
    assert_eq!((said.slots, said.max_models), (Some(3), Some(2)));
    assert_eq!((said.serialize_by_model, said.overflow), (Some(true), Overflow::After(500)));
    let said =
        backend("slots: auto\n    max_models: auto\n    serialize_by_model: auto\n    overflow_after: auto");
    assert_eq!((said.slots, said.max_models), (None, None));
    assert_eq!((said.serialize_by_model, said.overflow), (None, Overflow::Auto));
    assert_eq!(backend("overflow_after: 0").overflow, Overflow::After(0), "at once");
    assert_eq!(backend("overflow_after: off").overflow, Overflow::Member);
    assert_eq!(
        catalog(&with("routing: {strategy: random}", &["weight: 7"])).backends[&BackendId(0)].weight,
        7
    );
}

#[test]
fn load_options_have_four_policies() {
    let policies = [LoadPolicy::Bucket, LoadPolicy::Pin, LoadPolicy::Pass, LoadPolicy::Strip];
    for (word, policy) in ["bucket", "pin", "pass", "strip"].into_iter().zip(policies) {
        assert_eq!(catalog(&with(&format!("compat: {{load_options: {word}}}"), &[])).load_options, policy);
    }
}

#[test]
fn heartbeats_come_in_seconds_or_not_at_all() {
    for (written, meant) in [("0", 0), ("1", 1000), ("0.02", 20), ("0.0001", 1)] {
        let text = VALID.replace("port: 8080", &format!("heartbeat_seconds: {written}"));
        assert_eq!(loaded(&text).config.heartbeat_ms(), meant, "{written}");
    }
}

#[test]
fn a_relative_record_starts_at_the_programs_folder() {
    let surroundings = check::Surroundings { folder: PathBuf::from("/opt/proxylm"), processors: 4 };
    for (written, meant) in [("./r.jsonl", "/opt/proxylm/r.jsonl"), ("/var/r.jsonl", "/var/r.jsonl")] {
        let scheduler = file::Scheduler { record: Some(written.to_owned()), ..file::Scheduler::default() };
        let file = file::File { scheduler, ..file::File::default() };
        let checked = check::check(file, &BTreeMap::new(), &surroundings);
        assert_eq!(checked.config.record().as_deref(), Some(Path::new(meant)), "{written}");
    }
}

#[test]
fn every_rule_broken_once_names_its_key() {
    let scheduler = |keys: &str| with(&format!("scheduler: {{{keys}}}"), &[]);
    let cases = [
        (scheduler("max_wait: -1"), "13:23: scheduler.max_wait: must be between 0 and 604800 or off, got -1"),
        (
            scheduler("max_wait: never"),
            "scheduler.max_wait: unknown value \"never\"; expected off or a number",
        ),
        (scheduler("max_wait: false"), "scheduler.max_wait: expected off or a number"),
        (scheduler("turn: -1"), "scheduler.turn: must be between 0 and 1000, got -1"),
        (scheduler("turn: off"), "scheduler.turn: expected a number"),
        (scheduler("linger: on"), "scheduler.linger: unknown value \"on\"; expected auto or off"),
        (scheduler("pace: -0.5"), "scheduler.pace: must be between 0 and 1000 or off, got -0.5"),
        (scheduler("burst: 0"), "scheduler.burst: must be at least 1, got 0"),
        (scheduler("max_queue_per_model: -1"), "scheduler.max_queue_per_model: must be at least 0"),
        (scheduler("max_queue_per_key: many"), "scheduler.max_queue_per_key: expected a whole number"),
        (scheduler("record: ' '"), "scheduler.record: is empty"),
        (scheduler("record: proxylm.db"), "scheduler.record: is the file of storage.database_path too"),
        (
            with("routing: {strategy: model_turn}", &[]),
            "unknown value \"model_turn\"; did you mean model_turns?",
        ),
        (with("compat: {load_options: keep}", &[]), "compat.load_options: unknown value \"keep\""),
        (with("", &["max_models: 0"]), "backends[0].max_models: must be between 1 and 65535 or auto, got 0"),
        (with("", &["overflow_after: -1"]), "must be between 0 and 604800 or auto or off, got -1"),
        (with("", &["overflow_after: soon"]), "expected auto, off or a number"),
        (with("", &["weight: 0"]), "backends[0].weight: must be between 1 and 65535, got 0"),
        (VALID.replace("k1-secret", "k1-secret, class: slow"), "api_keys[0].class: unknown value \"slow\""),
        (VALID.replace("k1-secret", "k1-secret, max_wait: -1"), "api_keys[0].max_wait: must be between 0"),
        (VALID.replace("port: 8080", "heartbeat_seconds: -1"), "proxy.heartbeat_seconds: must be between 0"),
    ];
    for (text, expected) in cases {
        let found = problems(&text);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{expected:?} is all, but {found:#?}\n{text}"
        );
    }
}

#[test]
fn what_is_no_number_is_refused_where_a_format_can_write_it() {
    for (written, expected) in [("nan", "got NaN"), ("inf", "got inf"), ("-inf", "got -inf")] {
        let text = format!("[scheduler]\nturn = {written}\npace = {written}\n");
        let error = load_text("c.toml", &text, &Overrides::default()).unwrap_err().to_string();
        for key in [
            "scheduler.turn: must be between 0 and 1000, ",
            "scheduler.pace: must be between 0 and 1000 or off, ",
        ] {
            assert!(error.contains(&format!("{key}{expected}")), "{error}");
        }
    }
}

#[test]
fn what_says_nothing_together_is_warned_of() {
    let all_overflow = with("", &["overflow_after: 20"]);
    let one_serves = format!("{all_overflow}  - {{name: two, url: 'http://h'}}");
    let cases = [
        (with("routing: {strategy: fifo}\nscheduler: {linger: off}", &[]), "scheduler.linger: has no effect"),
        (with("routing: {strategy: fifo}\nscheduler: {turn: 9}", &[]), "scheduler.turn: has no effect"),
        (with("routing: {strategy: fifo}\nscheduler: {pace: off}", &[]), "scheduler.pace: has no effect"),
        (with("routing: {strategy: fifo}\nscheduler: {burst: 9}", &[]), "for model_turns"),
        (with("routing: {strategy: fifo}\nscheduler: {max_wait: 9}", &[]), ""),
        (with("scheduler: {turn: 9, linger: off, pace: off, burst: 9}", &[]), ""),
        (
            with("scheduler: {max_queue: 5, max_queue_per_model: 6}", &[]),
            "max_queue_per_model: has no effect",
        ),
        (with("scheduler: {max_queue: 5, max_queue_per_key: 6}", &[]), "max_queue (5) is reached before"),
        (with("scheduler: {max_queue: 5, max_queue_per_key: 5}", &[]), ""),
        (with("", &["weight: 2"]), "backends[0].weight: has no effect: only strategy random"),
        (with("routing: {strategy: random}", &["weight: 2"]), ""),
        (with("", &["max_models: 2", "serialize_by_model: false"]), "backends[0].max_models: has no effect"),
        (with("", &["max_models: 2", "serialize_by_model: true"]), ""),
        (all_overflow, "backends[0].overflow_after: is set for every backend"),
        (one_serves, ""),
        (with("", &["overflow_after: 0"]), ""),
    ];
    for (text, expected) in cases {
        let found = warnings(&text);
        assert_eq!(found.len(), usize::from(!expected.is_empty()), "{found:?}\n{text}");
        assert!(found.concat().contains(expected), "{found:?}\n{text}");
    }
}

#[test]
fn one_server_is_one_backend() {
    let two = |first: &str, second: &str| {
        format!(
            "proxy: {{host: localhost}}\nbackends:\n  - {{name: one, {first}}}\n  - {{name: two, {second}}}\n"
        )
    };
    for kind in ["ollama", "lmstudio", "llamacpp", "vllm"] {
        let text =
            two(&format!("type: {kind}, url: 'http://h:1'"), &format!("type: {kind}, url: 'http://h:1/v1'"));
        let found = problems(&text);
        let expected =
            "backends[1].url: is the address of \"one\" too, and one server cannot be two backends";
        assert!(found.len() == 1 && found[0].starts_with("4:") && found[0].contains(expected), "{found:?}");
        assert!(load_yaml(&text).unwrap_err().hint().unwrap().contains("routing.models"));
    }
    let mixed = two("url: 'http://localhost:1234'", "type: lmstudio, url: 'http://127.0.0.1:1234'");
    assert_eq!(problems(&mixed).len(), 1, "an engine under another type's name is the same engine");
    let cases = [
        (two("type: ollama, url: 'http://h:1'", "type: ollama, url: 'http://h:2'"), 0),
        (two("url: 'http://h'", "url: 'http://h'"), 1),
        (two("url: 'https://api.openai.com', api_key: k1", "url: 'https://api.openai.com', api_key: k2"), 0),
        (two("url: 'https://api.openai.com', api_key: k1", "url: 'https://api.openai.com', api_key: k1"), 1),
        (
            two(
                "type: ollama, url: 'https://ollama.com', api_key: k1",
                "type: ollama, url: 'https://ollama.com'",
            ),
            0,
        ),
        (two("type: fake, models: [m]", "type: fake, models: [m]"), 0),
    ];
    for (text, expected) in cases {
        let found = warnings(&text);
        assert_eq!(found.len(), expected, "{found:?}\n{text}");
        assert!(!found.concat().contains("k1"), "{found:?}");
    }
}
