//! The tables of requests and counters, and what the other tables are tried with.

use ipc_proto::control::{Class, Waiting};
use ipc_proto::operator::{BackendView, RequestState};
use ipc_proto::spec::BackendKind;

use super::*;

/// The state of an instance that has nothing and has done nothing.
pub(super) fn snapshot() -> Snapshot {
    let instance = InstanceView {
        version: "1".to_owned(),
        pid: 7,
        address: "127.0.0.1:1".to_owned(),
        phase: "running".to_owned(),
        strategy: "model_turns".to_owned(),
        config: String::new(),
        database: "h.db".to_owned(),
        started_unix_us: 0,
        now_unix_us: 0,
        queued: 0,
        queue_limit: 10,
    };
    Snapshot {
        instance,
        frontends: Vec::new(),
        backends: Vec::new(),
        requests: Vec::new(),
        live: 0,
        learned: Vec::new(),
        counters: Counters::default(),
    }
}

/// A backend about which nothing is known.
pub(super) fn backend(name: &str) -> BackendView {
    BackendView {
        name: name.to_owned(),
        kind: BackendKind::Fake,
        url: String::new(),
        priority: 0,
        health: "up".to_owned(),
        reason: String::new(),
        draining: false,
        worker_pid: None,
        generation: 1,
        worker: "ready".to_owned(),
        slots_used: 0,
        lent: 0,
        slots: 1,
        max_models: None,
        current_model: String::new(),
        loading: false,
        turns: Vec::new(),
        next: String::new(),
        loaded_models: None,
        models: Vec::new(),
        queued: 0,
        failures: 0,
        swaps: 0,
    }
}

/// A request that has just come.
pub(super) fn record(id: &str) -> RequestRecord {
    RequestRecord {
        id: id.to_owned(),
        exchange: String::new(),
        client: String::new(),
        model: "m".to_owned(),
        endpoint: Endpoint::ChatCompletions,
        stream: false,
        state: RequestState::Queued,
        backend: String::new(),
        attempts: 0,
        swap: false,
        last_failed_backend: String::new(),
        http_status: None,
        upstream_status: None,
        error_code: String::new(),
        error: String::new(),
        warnings: String::new(),
        arrived_unix_us: 0,
        started_unix_us: None,
        ended_unix_us: None,
        queue_us: None,
        class: Class::Interactive,
        reason: String::new(),
        waiting: None,
        load_us: None,
        first_byte_us: None,
        total_us: None,
        input_tokens: None,
        output_tokens: None,
        cached_tokens: None,
        reasoning_tokens: None,
        request_bytes: 0,
        response_bytes: 0,
    }
}

/// The cell below `title` in the last line of `text`.
fn cell(text: &str, title: &str) -> String {
    let header = text.lines().next().unwrap();
    let line = text.lines().last().unwrap();
    let column = header.find(&title.to_uppercase()).unwrap_or_else(|| panic!("{title}: {text}"));
    line.get(column..).unwrap_or("").split("  ").next().unwrap_or("").to_owned()
}

#[test]
fn a_waiting_request_shows_class_place_and_expected_wait() {
    let waiting = RequestRecord {
        class: Class::Batch,
        waiting: Some(Waiting { position: 4, estimated_wait_ms: 92_000 }),
        ..record("job-1")
    };
    let running =
        RequestRecord { state: RequestState::Running, reason: "claim_overdue".to_owned(), ..record("job-2") };
    let mut snapshot = Snapshot { requests: vec![waiting], live: 1, ..snapshot() };
    let text = requests(&snapshot);
    for (title, shown) in [("class", "batch"), ("place", "4"), ("still waits", "~1 m 32 s"), ("reason", "-")]
    {
        assert_eq!(cell(&text, title), shown, "{text}");
    }
    snapshot.requests = vec![running];
    let text = requests(&snapshot);
    for (title, shown) in [("reason", "claim_overdue"), ("place", "-"), ("still waits", "-")] {
        assert_eq!(cell(&text, title), shown, "{text}");
    }
}

#[test]
fn the_history_says_why_and_for_what_class() {
    let text =
        history(&[RequestRecord { class: Class::Batch, reason: "overflow".to_owned(), ..record("job-1") }]);
    assert_eq!((cell(&text, "class"), cell(&text, "reason")), ("batch".to_owned(), "overflow".to_owned()));
}

#[test]
fn the_counters_tell_what_scheduling_saved() {
    let counters = Counters { avoided_reloads: 3, lingers_won: 4, lingers_lost: 5, ..Counters::default() };
    let text = status(&Snapshot { counters, ..snapshot() });
    assert!(text.contains("\n3 reloads avoided, 4 lingers won, 5 lost\n"), "{text}");
}

#[test]
fn durations_take_the_unit_that_fits() {
    let cases = [
        (0, "0.0 ms"),
        (1_250, "1.2 ms"),
        (250_000, "250 ms"),
        (2_340_000, "2.3 s"),
        (61_000_000, "1 m 01 s"),
        (3_720_000_000, "1 h 02 m"),
        (90_000_000_000, "1 d 01 h"),
    ];
    for (us, text) in cases {
        assert_eq!(duration_us(us), text);
    }
}

#[test]
fn what_is_expected_after_a_day_is_not_told_to_the_minute() {
    assert_eq!(expected_ms(86_399_999), "~23 h 59 m");
    assert_eq!((expected_ms(86_400_000), expected_ms(u64::MAX)), ("over a day".into(), "over a day".into()));
}

#[test]
fn text_is_cut_between_characters_and_kept_on_one_line() {
    assert_eq!(shorten("héllo\nthere", 6), "héllo ");
}
