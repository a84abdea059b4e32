//! Bad input and bad days: one clear sentence, the right status or exit code, and nobody else hurt.

use std::net::TcpListener;

use serde_json::json;

use crate::support::{Gate, Instance, Script, Setup, Upstream, wait_until};

fn one() -> (Upstream, Instance) {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    (upstream, instance)
}

#[test]
fn every_fault_of_a_backend_before_its_answer_is_mended_by_the_other_one() {
    let faults = [
        ("resets", Script::default().reset()),
        ("closes", Script::default().close()),
        ("sends garbage", Script::default().write(b"\x00\xff\xfe not http at all\r\n\r\n").close()),
        ("says 500", Script::status(500)),
        ("says 529", Script::status(529)),
        ("says 429", Script::come_again(429, "1")),
        ("answers 200 with no body", Script::answer(200, &[("content-type", "application/json")], b"")),
        ("answers 200 with half a body", Script::default().write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"half\":").close()),
        ("answers 200 with a broken JSON", Script::json("{\"half\":")),
    ];
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    // Models by name and eager probing: a backend is back at once after each fault.
    let settings = json!({ "models": ["m"] });
    for (name, fault) in faults {
        let instance = Setup::new()
            .backend("b1", &first, settings.clone())
            .backend("b2", &second, json!({ "models": ["m"], "priority": 200 }))
            .start();
        first.next(fault);
        let answer = instance.client().chat("m");
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.header("x-proxylm-backend"), Some("b2"), "{name}");
        let row = instance.ended(&answer.request_id());
        assert_eq!((row.attempts, row.last_failed_backend.as_str()), (2, "b1"), "{name}");
    }
}

#[test]
fn every_fault_of_the_only_backend_is_one_honest_error() {
    let faults = [
        ("resets", Script::default().reset(), "backend_malformed"),
        ("sends garbage", Script::default().write(b"\x00\xff garbage\r\n\r\n").close(), "backend_malformed"),
        ("says 500", Script::status(500), "backend_error"),
        ("breaks its JSON", Script::json("{\"half\":"), "backend_malformed"),
    ];
    for (name, fault, code) in faults {
        let (upstream, instance) = one();
        upstream.always(fault);
        let answer = instance.client().chat("m");
        assert_eq!(answer.status, 502, "{name}: {}", answer.text());
        answer.assert_openai_error(502, code);
        let row = instance.ended(&answer.request_id());
        assert_eq!(
            (row.state.as_str(), row.error_code.as_str(), row.attempts),
            ("failed", code, 3),
            "{name}"
        );
        assert!(!row.error.is_empty(), "{name}");
    }
}

#[test]
fn a_stream_that_stalls_between_chunks_ends_with_an_error_event() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::new().backend("b1", &upstream, json!({ "idle_timeout_seconds": 1 })).start();
    let events = crate::support::upstream::chat_events("m", &["Hel", "lo"]);
    upstream.next(Script::stream_head().chunk(&events[0]).stall());
    let answer = instance.client().start_stream("m").answer();
    assert!(answer.text().contains("\"error\"") && !answer.text().contains("[DONE]"), "{}", answer.text());
    let row = instance.ended(&answer.request_id());
    assert_eq!((row.state.as_str(), row.error_code.as_str()), ("failed", "idle_timeout"));
    assert_eq!(instance.backend("b1").health, "up");
    wait_until("the upstream call is given up", || upstream.running() == 0);
}

#[test]
fn a_whole_answer_of_ten_megabytes_in_one_line_passes() {
    let (upstream, instance) = one();
    let body = format!("{{\"content\":\"{}\"}}", "x".repeat(10 << 20));
    upstream.next(Script::json(&body));
    let answer = instance.client().chat("m");
    assert!(answer.complete && answer.text() == body);
    assert_eq!(instance.ended(&answer.request_id()).response_bytes, body.len() as u64);
}

#[test]
fn clients_that_send_slowly_are_told_so_and_do_not_pin_a_frontend() {
    let upstream = Upstream::start(&["m"]);
    let limits = json!({ "proxy": { "limits": { "header_read_seconds": 1, "body_read_seconds": 1 } } });
    let instance = Setup::with(&upstream).settings(limits).start();
    let stranger = instance.stranger();
    let head_never_ends = stranger.raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\n");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\ncontent-length: 50\r\n\r\n",
        crate::support::KEY
    );
    let mut body_never_ends = stranger.raw(head.as_bytes());
    body_never_ends.write(b"{\"model\":");
    let answer = body_never_ends.answer();
    answer.assert_openai_error(408, "request_timeout");
    if let Some(stream) = head_never_ends.try_stream() {
        assert_eq!(stream.status(), 408);
    }
    assert_eq!(instance.client().chat("m").status, 200);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_port_in_use_is_said_with_what_to_do() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let upstream = Upstream::start(&["m"]);
    let said = Setup::with(&upstream).settings(json!({ "proxy": { "port": port } })).start_in_vain();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains(&port.to_string()) && said.err.contains("hint: "), "{}", said.err);
}

#[test]
fn two_instances_on_one_port_are_told_apart() {
    let (upstream, instance) = one();
    let port = instance.address().port();
    let said = Setup::with(&upstream).settings(json!({ "proxy": { "port": port } })).start_in_vain();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains(&port.to_string()), "{}", said.err);
    assert_eq!(instance.client().chat("m").status, 200);
}

#[test]
fn a_second_instance_on_one_run_directory_is_refused_and_the_first_unhurt() {
    let (upstream, instance) = one();
    let run_dir = instance.dir().join("run").display().to_string();
    let said = Setup::with(&upstream).flag("--run-dir", &run_dir).start_in_vain();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains(&run_dir) && said.err.contains("--run-dir"), "{}", said.err);
    assert_eq!(instance.client().chat("m").status, 200);
    assert_eq!(instance.ctl(&["status"]).code, 0);
}

#[test]
fn a_run_directory_whose_path_is_too_long_is_refused_with_a_hint() {
    let upstream = Upstream::start(&["m"]);
    let setup = Setup::with(&upstream);
    let long = setup.dir().join("d".repeat(120)).display().to_string();
    let said = setup.flag("--run-dir", &long).start_in_vain();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("too long") && said.err.contains("hint: "), "{}", said.err);
}

#[test]
fn a_run_directory_that_others_may_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let upstream = Upstream::start(&["m"]);
    let setup = Setup::with(&upstream);
    let open = setup.dir().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
    let said = setup.flag("--run-dir", &open.display().to_string()).start_in_vain();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("other users"), "{}", said.err);
}

#[test]
fn a_database_that_is_none_is_refused_by_name_and_left_alone() {
    let upstream = Upstream::start(&["m"]);
    let setup = Setup::with(&upstream);
    let path = setup.dir().join("history.db");
    let text = "this is a diary, not a database\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let said = setup.start_in_vain();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("history.db") && said.err.contains("hint: "), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_wrong_key_and_a_duplicate_backend_are_named_and_exit_with_2() {
    let upstream = Upstream::start(&["m"]);
    let doubled = Setup::with(&upstream).backend("b1", &upstream, json!({})).start_in_vain();
    assert_eq!(doubled.code, 2, "{doubled:?}");
    assert!(doubled.err.contains("b1") && doubled.err.contains("backends"), "{}", doubled.err);
    let unknown = Setup::with(&upstream).settings(json!({ "proxy": { "prot": 1 } })).start_in_vain();
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.err.contains("prot") && unknown.err.contains("port"), "{}", unknown.err);
}

#[test]
fn neighbours_of_a_misbehaving_client_notice_nothing() {
    let (upstream, instance) = one();
    let gate = Gate::default();
    upstream.next(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let stranger = instance.stranger();
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"POST / HTTP/1.1\r\nbad header\r\n\r\n",
    ] {
        drop(stranger.raw(junk));
    }
    gate.open_for_all();
    assert_eq!(running.answer().status, 200);
    assert_eq!(instance.snapshot().counters.restarts, 0);
}
