//! SCH-01..03, 10, 12, 13..17 and 19..21 as far as they can be seen from outside; the rest is the simulation's.

use serde_json::json;

use crate::support::client::Call;
use crate::support::upstream::chat_events;
use crate::support::{Gate, Instance, Script, Setup, Upstream, wait_until};

/// Sends one request after the other, each once the one before is in the queue.
fn queue_up(instance: &Instance, models: &[&str]) -> Vec<Call> {
    let before = instance.snapshot().instance.queued;
    let mut calls = Vec::new();
    for (index, model) in models.iter().enumerate() {
        calls.push(instance.client().start_chat(model));
        instance.wait_for_queued(before + index as u64 + 1);
    }
    calls
}

#[test]
fn sch_01_ten_at_once_on_one_slot_never_overlap() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let calls: Vec<_> = (0..10).map(|_| instance.client().start_chat("m")).collect();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    assert_eq!((upstream.count(), upstream.most_at_once()), (10, 1));
}

#[test]
fn sch_02_03_the_current_model_is_drained_in_order_before_the_switch() {
    let upstream = Upstream::start(&["a", "b"]);
    let instance = Setup::with(&upstream).start();
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let first = instance.client().start_chat("a");
    upstream.wait_for(1);
    let waiting = queue_up(&instance, &["a", "b", "a", "b", "a"]);
    gate.open_for_all();
    assert_eq!(first.answer().status, 200);
    for call in waiting {
        assert_eq!(call.answer().status, 200);
    }
    assert_eq!(upstream.models_asked(), ["a", "a", "a", "a", "b", "b"]);
    assert_eq!(upstream.most_at_once(), 1);
    let snapshot = instance.snapshot();
    assert_eq!(snapshot.backends[0].swaps, 2, "none → a → b");
}

#[test]
fn sch_03_inside_a_model_the_order_is_that_of_arrival() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let mut calls = vec![instance.client().with("x-request-id", "n0").start_chat("m")];
    upstream.wait_for(1);
    for n in 1..=8 {
        calls.push(instance.client().with("x-request-id", &format!("n{n}")).start_chat("m"));
        instance.wait_for_queued(n);
    }
    gate.open_for_all();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    let order: Vec<_> =
        upstream.seen().iter().map(|seen| seen.head.header("x-request-id").unwrap().to_owned()).collect();
    assert_eq!(order, ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"]);
}

#[test]
fn sch_04_a_request_goes_where_its_model_is_although_another_backend_is_preferred() {
    let (first, second) = (Upstream::start(&["a", "m"]), Upstream::start(&["m"]));
    let instance = Setup::with_two(&first, &second).start();
    let gate = Gate::default();
    first.next(Script::json("{}").after(&gate));
    let elsewhere = instance.client().start_chat("a");
    first.wait_for(1);
    assert_eq!(instance.client().chat("m").status, 200);
    gate.open_for_all();
    elsewhere.answer();
    instance.wait_for_quiet();
    assert_eq!(instance.client().chat("m").status, 200);
    assert_eq!((first.models_asked(), second.count()), (vec!["a".to_owned()], 2));
}

#[test]
fn sch_07_10_two_at_once_on_two_idle_backends_run_on_both() {
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = Setup::with_two(&first, &second).start();
    for round in 1..=20 {
        let gate = Gate::default();
        first.always(Script::json("{}").after(&gate));
        second.always(Script::json("{}").after(&gate));
        let calls = [instance.client().start_chat("m"), instance.client().start_chat("m")];
        first.wait_for(round);
        second.wait_for(round);
        gate.open_for_all();
        for call in calls {
            assert_eq!(call.answer().status, 200);
        }
    }
}

#[test]
fn sch_11_the_swap_flag_is_set_exactly_on_switches() {
    let upstream = Upstream::start(&["a", "b"]);
    let instance = Setup::with(&upstream).start();
    for (model, swap) in [("a", true), ("a", false), ("b", true), ("b", false), ("a", true)] {
        let row = instance.ended(&instance.client().chat(model).request_id());
        assert_eq!((row.swap, row.load_us.is_some()), (swap, swap), "{model}");
    }
    assert_eq!(instance.snapshot().counters.swaps, 3);
}

#[test]
fn sch_18_a_backend_of_lower_priority_is_left_alone_while_a_better_one_is_idle() {
    let (local, cloud) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = Setup::with(&local)
        .backend("cloud", &cloud, json!({ "priority": 900, "slots": 8, "serialize_by_model": false }))
        .start();
    for _ in 0..10 {
        assert_eq!(instance.client().chat("m").status, 200);
        instance.wait_for_quiet();
    }
    assert_eq!((local.count(), cloud.count()), (10, 0));
}

#[test]
fn sch_12_a_waiting_request_whose_backends_all_die_gets_503_in_bounded_time() {
    let mut upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream)
        .settings(json!({ "discovery": { "interval_seconds": 1, "unhealthy_after_failed_polls": 1 } }))
        .start();
    upstream.next(Script::hang());
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let waiting = instance.client().start_chat("m");
    instance.wait_for_queued(1);
    upstream.die();
    let answer = waiting.answer();
    assert!([502, 503].contains(&answer.status), "{}", answer.text());
    drop(running);
    instance.wait_for_quiet();
}

#[test]
fn sch_13_the_backend_that_failed_is_used_again_when_it_is_the_only_one_left() {
    let (first, mut second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = Setup::with_two(&first, &second).start();
    second.die();
    first.next(Script::status(500));
    let answer = instance.client().chat("m");
    assert_eq!((answer.status, first.count()), (200, 2), "{}", answer.text());
}

#[test]
fn sch_14_a_backend_that_is_down_gets_nothing_and_recovers_without_being_asked() {
    let mut upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream)
        .settings(json!({ "discovery": { "interval_seconds": 1, "unhealthy_after_failed_polls": 1 } }))
        .start();
    upstream.die();
    instance.wait_for_health("b1", "down");
    assert_eq!(instance.client().chat("m").status, 503);
    assert_eq!(upstream.count(), 0);
    upstream.revive();
    instance.wait_for_health("b1", "up");
    assert_eq!(instance.client().chat("m").status, 200);
}

#[test]
fn sch_15_of_a_hundred_requests_none_is_lost() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).settings(json!({ "proxy": { "frontends": 2 } })).start();
    let calls: Vec<_> = (0..100).map(|_| instance.client().start_chat("m")).collect();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    wait_until("all are on record", || {
        instance.history(&["--limit", "1000", "--state", "completed"]).len() == 100
    });
    let snapshot = instance.snapshot();
    assert_eq!((snapshot.counters.admitted, snapshot.counters.completed, snapshot.live), (100, 100, 0));
}

#[test]
fn sch_16_four_slots_run_four_at_once() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::new().backend("b1", &upstream, json!({ "slots": 4 })).start();
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let calls: Vec<_> = (0..6).map(|_| instance.client().start_chat("m")).collect();
    upstream.wait_for(4);
    instance.wait_for_queued(2);
    assert_eq!((upstream.running(), instance.backend("b1").slots_used), (4, 4));
    gate.open_for_all();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    assert_eq!(upstream.most_at_once(), 4);
}

#[test]
fn four_slots_do_not_run_two_models_on_a_backend_that_holds_one() {
    let upstream = Upstream::start(&["a", "b"]);
    let instance = Setup::new().backend("b1", &upstream, json!({ "slots": 4 })).start();
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("a");
    upstream.wait_for(1);
    let waiting = instance.client().start_chat("b");
    instance.wait_for_queued(1);
    assert_eq!(upstream.running(), 1);
    gate.open_for_all();
    assert_eq!((running.answer().status, waiting.answer().status), (200, 200));
    assert_eq!(upstream.most_at_once(), 1);
}

#[test]
fn sch_17_a_full_queue_is_429_and_a_long_wait_503_both_with_retry_after() {
    let upstream = Upstream::start(&["m"]);
    let limits = json!({ "scheduler": { "max_queue": 1, "queue_timeout_seconds": 1 } });
    let instance = Setup::with(&upstream).settings(limits).start();
    upstream.next(Script::hang());
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let waiting = instance.client().start_chat("m");
    instance.wait_for_queued(1);
    let full = instance.client().chat("m");
    full.assert_openai_error(429, "queue_full");
    let late = waiting.answer();
    late.assert_openai_error(503, "queue_timeout");
    for refused in [&full, &late] {
        assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    }
    assert_eq!(upstream.count(), 1);
    assert_eq!(instance.snapshot().counters.queue_full, 1);
    drop(running);
}

#[test]
fn the_clients_own_patience_bounds_its_wait() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    upstream.next(Script::hang());
    let _running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let impatient = instance.client().with("x-proxylm-timeout-ms", "200");
    impatient.chat("m").assert_openai_error(503, "queue_timeout");
}

#[test]
fn sch_20_a_killed_worker_costs_only_its_own_running_request() {
    let (first, second) = (Upstream::start(&["a"]), Upstream::start(&["b"]));
    let instance = Setup::with_two(&first, &second).start();
    let gate = Gate::default();
    let events = chat_events("b", &["Hel", "lo"]);
    second.next(Script::gated(&events, &gate));
    let call = instance.client().start_stream("b");
    gate.open(1);
    let mut neighbour = call.stream();
    neighbour.next_event().unwrap();
    first.next(Script::hang());
    let hit = instance.client().start_chat("a");
    first.wait_for(1);
    instance.kill_worker("b1");
    assert_eq!(hit.answer().status, 200, "nothing had been sent: it is tried again");
    gate.open_for_all();
    assert_eq!(neighbour.rest().text(), events.concat());
}

#[test]
fn sch_21_requests_that_wait_for_a_backend_that_goes_down_move_to_another() {
    let (mut first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = Setup::with_two(&first, &second)
        .settings(json!({ "discovery": { "interval_seconds": 1, "unhealthy_after_failed_polls": 1 } }))
        .start();
    first.always(Script::hang());
    let gate = Gate::default();
    second.next(Script::json("{}").after(&gate));
    let running = [instance.client().start_chat("m"), instance.client().start_chat("m")];
    first.wait_for(1);
    second.wait_for(1);
    let waiting = queue_up(&instance, &["m", "m"]);
    first.die();
    gate.open_for_all();
    for call in waiting.into_iter().chain(running) {
        assert_eq!(call.answer().status, 200);
    }
}

#[test]
fn ten_thousand_cancelled_requests_leave_every_counter_at_zero() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::new()
        .backend("b1", &upstream, json!({ "slots": 4 }))
        .settings(json!({ "proxy": { "frontends": 2 }, "scheduler": { "max_queue": 20000 } }))
        .start();
    upstream.always(Script::hang());
    let client = instance.client();
    for _ in 0..50 {
        let calls: Vec<Call> = (0..200).map(|_| client.start_chat("m")).collect();
        drop(calls);
    }
    // Some are still on their way in while the first ones are gone already, so everything is looked at together.
    wait_until("all counters are back at zero", || {
        let snapshot = instance.snapshot();
        let slots: u32 = snapshot.backends.iter().map(|backend| backend.slots_used).sum();
        let held: u64 = snapshot.frontends.iter().map(|frontend| frontend.requests).sum();
        let counters = snapshot.counters;
        assert_eq!((counters.completed, counters.failed), (0, 0));
        snapshot.live + snapshot.instance.queued + u64::from(slots) + held == 0
            && counters.cancelled == counters.admitted
            && upstream.running() == 0
    });
    upstream.always(Script::json("{}"));
    assert_eq!(instance.client().chat("m").status, 200);
}
