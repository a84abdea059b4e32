//! RET-01..16: other attempts, other backends, time-outs, clients that leave, stops.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::wait::milliseconds_of;
use crate::support::{Gate, Instance, Script, Setup, Upstream, wait_until};

fn one() -> (Upstream, Instance) {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    (upstream, instance)
}

fn two() -> (Upstream, Upstream, Instance) {
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = Setup::with_two(&first, &second).start();
    (first, second, instance)
}

#[test]
fn ret_01_09_a_502_is_tried_on_the_other_backend_and_both_are_on_record() {
    let (first, second, instance) = two();
    first.always(Script::status(502));
    let answer = instance.client().chat("m");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-proxylm-attempts"), Some("2"));
    assert_eq!(answer.header("x-proxylm-backend"), Some("b2"));
    assert_eq!((first.count(), second.count()), (1, 1));
    assert_eq!(first.seen()[0].body, second.seen()[0].body);
    let row = instance.ended(&answer.request_id());
    assert_eq!((row.attempts, row.last_failed_backend.as_str(), row.backend.as_str()), (2, "b1", "b2"));
    assert_eq!(row.state.as_str(), "completed");
}

#[test]
fn ret_02_two_failing_backends_alternate_until_the_attempts_are_used_up() {
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance =
        Setup::with_two(&first, &second).settings(json!({ "retry": { "max_attempts": 4 } })).start();
    first.always(Script::status(502));
    second.always(Script::status(500));
    let answer = instance.client().chat("m");
    answer.assert_openai_error(502, "backend_error");
    assert_eq!((first.count(), second.count()), (2, 2));
    let row = instance.ended(&answer.request_id());
    assert_eq!((row.state.as_str(), row.attempts, row.upstream_status), ("failed", 4, Some(500)));
}

#[test]
fn ret_03_a_single_backend_gets_all_attempts() {
    let (upstream, instance) = one();
    upstream.next(Script::status(500));
    upstream.next(Script::status(500));
    assert_eq!(instance.client().chat("m").status, 200);
    assert_eq!(upstream.count(), 3);
    upstream.always(Script::status(500));
    assert_eq!(instance.client().chat("m").status, 502);
    assert_eq!(upstream.count(), 6);
}

#[test]
fn ret_04_the_pause_between_attempts_is_kept() {
    let upstream = Upstream::start(&["m"]);
    let pauses = json!({ "retry": { "initial_backoff_ms": 400, "max_backoff_ms": 400 } });
    let instance = Setup::with(&upstream).settings(pauses).start();
    upstream.next(Script::status(500));
    upstream.next(Script::status(500));
    let (answer, took) = milliseconds_of(|| instance.client().chat("m"));
    assert_eq!(answer.status, 200);
    assert!(took >= 600, "two pauses of 400 ms less a fifth: {took} ms");
}

#[test]
fn ret_05_a_refused_connection_takes_the_backend_down_and_its_requests_elsewhere() {
    let (mut first, second, instance) = two();
    first.die();
    let calls: Vec<_> = (0..5).map(|_| instance.client().start_chat("m")).collect();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    assert_eq!(second.count(), 5);
    assert_eq!(instance.backend("b1").health, "down");
    assert!(!instance.backend("b1").reason.is_empty());
}

#[test]
fn ret_06_a_refusal_by_the_backend_is_passed_on_after_one_attempt() {
    let (first, second, instance) = two();
    for status in [400, 401, 403, 404, 409, 422] {
        let body =
            format!("{{\"error\":{{\"message\":\"the backend's own words {status}\",\"extra\":[1]}}}}");
        let headers = [("content-type", "application/json"), ("x-own", "kept")];
        first.next(Script::answer(status, &headers, body.as_bytes()));
        let answer = instance.client().chat("m");
        assert_eq!((answer.status, answer.text()), (status, body));
        assert_eq!(answer.header("x-own"), Some("kept"));
        let row = instance.ended(&answer.request_id());
        assert_eq!((row.attempts, row.upstream_status, row.http_status), (1, Some(status), Some(status)));
        assert_eq!(row.state.as_str(), "failed");
    }
    assert_eq!((first.count(), second.count()), (6, 0));
    assert_eq!(instance.backend("b1").health, "up");
}

#[test]
fn ret_07_an_overloaded_backend_is_left_alone_and_the_other_serves() {
    for status in [429, 503, 529] {
        let (first, second, instance) = two();
        first.next(Script::come_again(status, "20"));
        assert_eq!(instance.client().chat("m").status, 200);
        assert_eq!((first.count(), second.count()), (1, 1));
        assert_eq!(instance.client().chat("m").status, 200);
        assert_eq!((first.count(), second.count()), (1, 2), "b1 rests for 20 s after {status}");
        assert_eq!(instance.backend("b1").health, "up");
    }
}

#[test]
fn ret_07_retry_after_is_waited_for_when_there_is_nobody_else() {
    let (upstream, instance) = one();
    upstream.next(Script::come_again(429, "1"));
    let (answer, took) = milliseconds_of(|| instance.client().chat("m"));
    assert_eq!((answer.status, upstream.count()), (200, 2));
    assert!(took >= 800, "it waited {took} ms");
    upstream.always(Script::come_again(429, "600"));
    let answer = instance.client().chat("m");
    answer.assert_openai_error(429, "backend_overloaded");
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((500..=600).contains(&after), "{after}");
}

#[test]
fn ret_08_a_silent_backend_costs_a_504_at_the_end_and_stays_healthy() {
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = Setup::new()
        .backend("b1", &first, json!({ "first_byte_timeout_seconds": 1 }))
        .backend("b2", &second, json!({ "priority": 200, "first_byte_timeout_seconds": 1 }))
        .settings(json!({ "retry": { "max_attempts": 2 } }))
        .start();
    first.always(Script::hang());
    assert_eq!(instance.client().chat("m").status, 200);
    second.always(Script::hang());
    let answer = instance.client().chat("m");
    answer.assert_openai_error(504, "first_byte_timeout");
    assert_eq!(instance.backend("b1").health, "up");
    assert_eq!(instance.ended(&answer.request_id()).attempts, 2);
    wait_until("the silent calls are given up", || first.running() + second.running() == 0);
}

#[test]
fn ret_10_attempts_are_visible_while_the_request_lives() {
    let (first, second, instance) = two();
    let gate = Gate::default();
    first.always(Script::status(500));
    second.always(Script::json("{}").after(&gate));
    let call = instance.client().start_chat("m");
    second.wait_for(1);
    wait_until("the live request shows its second attempt", || {
        let live = instance.snapshot().requests;
        live.len() == 1
            && live[0].attempts == 2
            && live[0].backend == "b2"
            && live[0].last_failed_backend == "b1"
    });
    gate.open_for_all();
    assert_eq!(call.answer().status, 200);
}

#[test]
fn ret_11_a_client_that_leaves_the_queue_costs_no_backend_call() {
    let (upstream, instance) = one();
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let waiting = instance.client().with("x-request-id", "left-the-queue").start_chat("m");
    instance.wait_for_queued(1);
    drop(waiting);
    instance.wait_for_queued(0);
    let row = instance.ended("left-the-queue");
    assert_eq!((row.state.as_str(), row.attempts), ("cancelled", 0));
    gate.open_for_all();
    assert_eq!(running.answer().status, 200);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn t113_a_client_that_leaves_between_two_attempts_ends_them_at_once() {
    let upstream = Upstream::start(&["m"]);
    let pauses = json!({ "retry": { "initial_backoff_ms": 60_000, "max_backoff_ms": 60_000 } });
    let instance = Setup::with(&upstream).settings(pauses).start();
    upstream.next(Script::status(500));
    let call = instance.client().with("x-request-id", "left-between").start_chat("m");
    upstream.wait_for(1);
    instance.wait_for_queued(1);
    drop(call);
    let row = instance.ended("left-between");
    assert_eq!((row.state.as_str(), row.attempts, upstream.count()), ("cancelled", 1, 1));
}

#[test]
fn ret_12_13_a_client_that_leaves_aborts_the_call_and_does_not_hurt_the_backend() {
    let (upstream, instance) = one();
    upstream.next(Script::hang());
    let call = instance.client().with("x-request-id", "left-running").start_chat("m");
    upstream.wait_for(1);
    let ((), took) = milliseconds_of(|| {
        drop(call);
        wait_until("the upstream call is aborted", || upstream.left() == 1);
    });
    assert!(took < 5_000, "{took} ms");
    assert_eq!(instance.ended("left-running").state.as_str(), "cancelled");
    instance.wait_for_quiet();
    let backend = instance.backend("b1");
    assert_eq!((backend.failures, backend.health.as_str()), (0, "up"));
}

#[test]
fn ret_14_a_stop_lets_running_requests_finish_and_refuses_new_ones() {
    let (upstream, mut instance) = one();
    let gate = Gate::default();
    upstream.always(Script::json("{\"ok\":1}").after(&gate));
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let waiting = instance.client().start_chat("m");
    instance.wait_for_queued(1);
    instance.signal(Signal::SIGTERM);
    let refused = waiting.answer();
    refused.assert_openai_error(503, "draining");
    assert!(refused.header("retry-after").is_some());
    gate.open_for_all();
    let answer = running.answer();
    assert_eq!((answer.status, answer.text()), (200, "{\"ok\":1}".to_owned()));
    assert!(instance.wait_for_exit().success());
    assert_eq!(upstream.count(), 1);
}

#[test]
fn ret_14_what_outlasts_the_grace_is_ended_and_a_second_signal_ends_at_once() {
    let upstream = Upstream::start(&["m"]);
    let mut instance =
        Setup::with(&upstream).settings(json!({ "proxy": { "shutdown_grace_seconds": 1 } })).start();
    upstream.always(Script::hang());
    let call = instance.client().start_chat("m");
    upstream.wait_for(1);
    instance.signal(Signal::SIGTERM);
    assert!(instance.wait_for_exit().success());
    drop(call);

    let mut instance =
        Setup::with(&upstream).settings(json!({ "proxy": { "shutdown_grace_seconds": 3600 } })).start();
    let _call = instance.client().start_chat("m");
    upstream.wait_for(2);
    instance.signal(Signal::SIGINT);
    wait_until("it drains", || instance.snapshot().instance.phase == "draining");
    instance.signal(Signal::SIGINT);
    instance.wait_for_exit();
}

#[test]
fn ret_15_rows_left_open_by_a_crash_become_cancelled() {
    let (upstream, mut instance) = one();
    upstream.next(Script::hang());
    let _running = instance.client().with("x-request-id", "was-running").start_chat("m");
    upstream.wait_for(1);
    let _waiting = instance.client().with("x-request-id", "was-queued").start_chat("m");
    instance.wait_for_queued(1);
    let on_record = |state: &str| instance.history(&["--state", state]).len() == 1;
    wait_until("both are on record", || on_record("running") && on_record("queued"));
    instance.signal(Signal::SIGKILL);
    instance.wait_for_exit();
    let instance = instance.start_again();
    for id in ["was-running", "was-queued"] {
        let row = instance.ended(id);
        assert_eq!((row.state.as_str(), row.error_code.as_str()), ("cancelled", "restarted"));
        assert!(row.ended_unix_us.is_some());
    }
    assert_eq!(instance.client().chat("m").status, 200);
}

#[test]
fn ret_16_a_backend_that_hangs_on_probes_delays_nobody() {
    let (hung, good) = (Upstream::start(&["h"]), Upstream::start(&["m"]));
    hung.page("/v1/models", Script::hang());
    let instance = Setup::with_two(&hung, &good)
        .settings(json!({ "discovery": { "interval_seconds": 1, "timeout_seconds": 1 } }))
        .start();
    assert_eq!(instance.client().chat("m").status, 200);
    let before = good.probes().len();
    wait_until("the good backend is still looked after", || good.probes().len() > before + 1);
    assert_ne!(instance.backend("b1").health, "up");
}
