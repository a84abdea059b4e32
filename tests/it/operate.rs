//! `proxylm ctl`: its verbs, their tables and JSON, and its exit codes.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use ipc_proto::operator::Snapshot;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{Said, run};
use crate::support::{Gate, Instance, Script, Setup, Upstream, wait_until};

fn two() -> (Upstream, Upstream, Instance) {
    let (first, second) = (Upstream::start(&["a"]), Upstream::start(&["b"]));
    let instance = Setup::with_two(&first, &second).start();
    (first, second, instance)
}

#[test]
fn status_shows_instance_frontends_backends_and_counters() {
    let (_first, _second, instance) = two();
    instance.client().chat("a");
    instance.wait_for_quiet();
    let text = instance.order(&["status"]);
    for word in
        ["running", "listening on http://127.0.0.1:", "1 admitted, 1 completed", "FRONTEND", "b1", "b2", "up"]
    {
        assert!(text.contains(word), "{word}:\n{text}");
    }
    assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    let snapshot = instance.snapshot();
    assert_eq!(snapshot.instance.phase, "running");
    assert_eq!(snapshot.instance.address, instance.address().to_string());
    assert_eq!(snapshot.instance.database, instance.database().display().to_string());
    assert_eq!((snapshot.frontends.len(), snapshot.backends.len()), (1, 2));
    assert_eq!(snapshot.backends[0].current_model, "a");
}

#[test]
fn backends_and_requests_have_tables_and_json() {
    let (first, _second, instance) = two();
    let gate = Gate::default();
    first.always(Script::json("{}").after(&gate));
    let calls = [instance.client().start_chat("a"), instance.client().start_chat("a")];
    first.wait_for(1);
    instance.wait_for_queued(1);
    let backends: Value = serde_json::from_str(&instance.order(&["backends", "--json"])).unwrap();
    assert_eq!((&backends[0]["name"], &backends[0]["slots_used"]), (&json!("b1"), &json!(1)));
    let requests: Value = serde_json::from_str(&instance.order(&["requests", "--json"])).unwrap();
    assert_eq!((&requests[0]["state"], &requests[1]["state"]), (&json!("running"), &json!("queued")));
    let table = instance.order(&["requests"]);
    assert!(table.starts_with("REQUEST") && table.contains("running") && table.contains("queued"), "{table}");
    assert!(instance.order(&["backends"]).contains("1/1"));
    gate.open_for_all();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
}

#[test]
fn drain_finishes_what_runs_takes_nothing_new_and_undrain_resumes() {
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = Setup::with_two(&first, &second).start();
    let gate = Gate::default();
    first.next(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("m");
    first.wait_for(1);
    instance.order(&["drain", "b1"]);
    assert!(instance.backend("b1").draining);
    gate.open_for_all();
    assert_eq!(running.answer().status, 200);
    assert_eq!(instance.client().chat("m").status, 200);
    assert_eq!((first.count(), second.count()), (1, 1));
    instance.order(&["drain", "b2"]);
    instance.client().chat("m").assert_openai_error(503, "draining");
    instance.order(&["undrain", "b1"]);
    assert_eq!(instance.client().chat("m").status, 200);
    assert_eq!((first.count(), second.count()), (2, 1));
}

#[test]
fn cancel_ends_a_queued_and_a_running_request_by_the_beginning_of_its_id() {
    let (first, _second, instance) = two();
    first.next(Script::hang());
    let running = instance.client().with("x-request-id", "job-alpha-1").start_chat("a");
    first.wait_for(1);
    let queued = instance.client().with("x-request-id", "job-beta-2").start_chat("a");
    instance.wait_for_queued(1);
    let both = instance.ctl(&["cancel", "job-"]);
    assert_eq!(both.code, 1, "two begin so: {both:?}");
    instance.order(&["cancel", "job-beta"]);
    assert!(queued.answer().status >= 400);
    instance.order(&["cancel", "job-alpha-1"]);
    assert!(running.answer().status >= 400);
    for id in ["job-alpha-1", "job-beta-2"] {
        assert_eq!(instance.ended(id).state.as_str(), "cancelled");
    }
    wait_until("the upstream call is aborted", || first.running() == 0);
    instance.wait_for_quiet();
    let none = instance.ctl(&["cancel", "job-alpha-1"]);
    assert_eq!(none.code, 1);
    assert!(none.err.starts_with("error: "), "{none:?}");
}

#[test]
fn restart_replaces_the_worker_without_losing_a_request() {
    let (first, _second, instance) = two();
    let gate = Gate::default();
    first.next(Script::json("{\"n\":1}").after(&gate));
    let running = instance.client().start_chat("a");
    first.wait_for(1);
    let queued = instance.client().start_chat("a");
    instance.wait_for_queued(1);
    let old = instance.backend("b1").worker_pid;
    instance.order(&["restart", "b1"]);
    gate.open_for_all();
    assert_eq!(running.answer().text(), "{\"n\":1}");
    assert_eq!(queued.answer().status, 200);
    wait_until("a new worker is there", || {
        let backend = instance.backend("b1");
        backend.generation == 2 && backend.worker == "ready" && backend.worker_pid != old
    });
    assert_eq!(instance.client().chat("a").status, 200);
}

#[test]
fn an_unknown_backend_is_refused_with_the_names_there_are() {
    let (_first, _second, instance) = two();
    for verb in ["drain", "undrain", "restart"] {
        let said = instance.ctl(&[verb, "b3"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(
            said.err.contains("b3") && said.err.contains("hint: ") && said.err.contains("b1"),
            "{}",
            said.err
        );
    }
    let scripted = instance.ctl(&["drain", "b3", "--json"]);
    let error: Value = serde_json::from_str(&scripted.err).unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("b3"), "{error}");
}

#[test]
fn stop_returns_when_the_instance_is_gone() {
    let (_first, _second, mut instance) = two();
    let said = instance.ctl(&["stop"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(instance.wait_for_exit().success());
    assert_eq!(instance.ctl(&["status"]).code, 3);
    let left: Vec<_> = std::fs::read_dir(instance.dir().join("run"))
        .map(|entries| {
            entries
                .map(|entry| entry.unwrap().file_name())
                .filter(|name| name.to_string_lossy().ends_with(".sock"))
                .collect()
        })
        .unwrap_or_default();
    assert!(left.is_empty(), "sockets are left behind: {left:?}");
}

#[test]
fn a_hangup_is_logged_and_ends_nothing() {
    let (first, _second, instance) = two();
    let gate = Gate::default();
    first.next(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("a");
    first.wait_for(1);
    let before = instance.snapshot();
    instance.signal(Signal::SIGHUP);
    wait_until("it is logged", || {
        instance.log().lines().any(|line| line.contains("reload is not available"))
    });
    gate.open_for_all();
    assert_eq!(running.answer().status, 200);
    assert_eq!(instance.client().chat("b").status, 200);
    let pids = |snapshot: &Snapshot| -> Vec<Option<u32>> {
        let workers = snapshot.backends.iter().map(|backend| backend.worker_pid);
        workers.chain(snapshot.frontends.iter().map(|frontend| frontend.pid)).collect()
    };
    assert_eq!(pids(&instance.snapshot()), pids(&before), "the same processes serve on");
}

#[test]
fn without_an_instance_the_exit_code_is_3_and_a_wrong_flag_is_2() {
    let nowhere = TempDir::new().unwrap();
    let run_dir = nowhere.path().join("none").display().to_string();
    let said = run(&["ctl", "--run-dir", &run_dir, "status"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("error: no proxylm is running") && said.err.contains("hint: "), "{}", said.err);
    assert_eq!(run(&["ctl", "frobnicate"]).code, 2);
    assert_eq!(run(&["ctl", "history", "--state", "pending"]).code, 2);
}

/// What `ctl status` says of a socket behind which somebody opens with `greeting`.
fn status_of_a_stranger(greeting: &'static [u8]) -> Said {
    let dir = TempDir::with_prefix("plm").unwrap();
    let listener = UnixListener::bind(dir.path().join("proxylm.sock")).unwrap();
    let stranger = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.write_all(greeting).unwrap();
        connection.read_exact(&mut [0; 8]).unwrap();
    });
    let said = run(&["ctl", "--run-dir", dir.path().to_str().unwrap(), "status"]);
    stranger.join().unwrap();
    said
}

#[test]
fn another_program_and_another_version_behind_the_socket_are_told_apart() {
    let mail = status_of_a_stranger(b"220 mail ready\r\n");
    assert_eq!(mail.code, 1, "{mail:?}");
    assert!(mail.err.contains("not proxylm"), "{}", mail.err);
    let other = status_of_a_stranger(b"plm\n\x63\x00\x00\x00");
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.err.contains("speaks protocol 99") && other.err.contains("hint: "), "{}", other.err);
}

#[test]
fn the_log_has_one_line_per_request_that_names_client_model_and_backend() {
    let (_first, _second, instance) = two();
    let answer = instance.client().with("x-request-id", "logged-1").chat("a");
    assert_eq!(answer.status, 200);
    instance.ended("logged-1");
    let line_of = |log: &str| -> Option<Value> {
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut found = lines
            .filter(|line| line["target"] == "proxylm::request" && line.to_string().contains("logged-1"));
        let line = found.next();
        assert!(found.next().is_none(), "one line only: {log}");
        line
    };
    wait_until("the line is there", || line_of(&instance.log()).is_some());
    let line = line_of(&instance.log()).unwrap().to_string();
    for word in ["tester", "\"a\"", "b1", "completed", "INFO"] {
        assert!(line.contains(word), "{word}: {line}");
    }
    assert!(
        instance.log().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{}",
        instance.log()
    );
}

#[test]
fn the_made_up_backend_answers_all_endpoints_and_swaps_models() {
    let instance = Setup::new().fake("fake", &["x", "y"], json!({})).start();
    let client = instance.client();
    for model in ["x", "y", "y"] {
        let answer = client.chat(model);
        assert_eq!((answer.status, answer.json()["object"].as_str()), (200, Some("chat.completion")));
    }
    let stream = client.start_stream("x").answer();
    assert!(stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    let embedding = client.post("/v1/embeddings", json!({ "model": "x", "input": "a" }).to_string());
    assert!(embedding.json()["data"][0]["embedding"].is_array());
    let message = json!({ "model": "x", "max_tokens": 5, "messages": [{ "role": "user", "content": "a" }] });
    assert_eq!(client.post("/v1/messages", message.to_string()).json()["type"], "message");
    assert_eq!(instance.backend("fake").swaps, 3);
}
