//! SCH-12..14, 20 and 21 under every strategy: backends that fail, die and come back, and clients that leave.

use serde_json::json;

use crate::strategies::{ALL, all_good, queue_up, under, under_each};
use crate::support::client::Call;
use crate::support::upstream::chat_events;
use crate::support::{Gate, Script, Setup, Upstream, wait_until};

/// The discovery of a test that waits for a backend to go down.
fn quick_to_notice() -> serde_json::Value {
    json!({ "discovery": { "interval_seconds": 1, "unhealthy_after_failed_polls": 1 } })
}

#[test]
fn sch_12_a_waiting_request_whose_backends_all_die_gets_503_in_bounded_time() {
    under_each(&ALL, |strategy| {
        let (mut first, mut second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
        let instance = under(strategy, Setup::with_two(&first, &second).settings(quick_to_notice()));
        first.always(Script::hang());
        second.always(Script::hang());
        let calls: Vec<_> = (0..4).map(|_| instance.client().start_chat("m")).collect();
        wait_until("all are in", || instance.snapshot().live == 4);
        first.die();
        second.die();
        for call in calls {
            let answer = call.answer();
            assert!([502, 503].contains(&answer.status), "{strategy}: {}", answer.text());
        }
        instance.wait_for_quiet();
    });
}

#[test]
fn sch_13_the_backend_that_failed_is_used_again_when_it_is_the_only_one_left() {
    under_each(&ALL, |strategy| {
        let (first, mut second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
        let instance = under(strategy, Setup::with_two(&first, &second));
        second.die();
        first.next(Script::status(500));
        let answer = instance.client().chat("m");
        assert_eq!((answer.status, first.count()), (200, 2), "{strategy}: {}", answer.text());
    });
}

#[test]
fn sch_14_a_backend_that_is_down_gets_nothing_and_recovers_without_being_asked() {
    under_each(&ALL, |strategy| {
        let mut upstream = Upstream::start(&["m"]);
        let instance = under(strategy, Setup::with(&upstream).settings(quick_to_notice()));
        upstream.die();
        instance.wait_for_health("b1", "down");
        assert_eq!(instance.client().chat("m").status, 503, "{strategy}");
        assert_eq!(upstream.count(), 0);
        upstream.revive();
        instance.wait_for_health("b1", "up");
        assert_eq!(instance.client().chat("m").status, 200, "{strategy}");
    });
}

#[test]
fn sch_20_a_killed_worker_costs_only_its_own_running_request() {
    under_each(&ALL, |strategy| {
        let (first, second) = (Upstream::start(&["a"]), Upstream::start(&["b"]));
        let instance = under(strategy, Setup::with_two(&first, &second));
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
        assert_eq!(hit.answer().status, 200, "{strategy}: nothing had been sent: it is tried again");
        gate.open_for_all();
        assert_eq!(neighbour.rest().text(), events.concat(), "{strategy}");
    });
}

#[test]
fn sch_21_requests_that_wait_for_a_backend_that_goes_down_move_to_another() {
    under_each(&ALL, |strategy| {
        let (mut first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
        // By lot as good as all would go to the first one, too.
        let instance = under(
            strategy,
            Setup::new()
                .backend("b1", &first, json!({ "weight": 65_535 }))
                .backend("b2", &second, json!({ "priority": 200 }))
                .settings(quick_to_notice()),
        );
        first.always(Script::hang());
        let gate = Gate::default();
        second.always(Script::json("{}").after(&gate));
        let running = instance.client().start_chat("m");
        first.wait_for(1);
        // Whoever is not bound, or bound to the second one, makes that one busy; the others wait.
        let more: Vec<_> = (0..4).map(|_| instance.client().start_chat("m")).collect();
        wait_until("all are in", || instance.snapshot().live == 5);
        first.die();
        instance.wait_for_health("b1", "down");
        gate.open_for_all();
        all_good(more.into_iter().chain([running]));
        assert_eq!(second.count(), 5, "{strategy}");
    });
}

#[test]
fn sch_21_requests_that_wait_for_a_drained_backend_move_to_another() {
    under_each(&ALL, |strategy| {
        let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
        let instance = under(strategy, Setup::with_two(&first, &second));
        let gate = Gate::default();
        first.always(Script::json("{}").after(&gate));
        second.always(Script::json("{}").after(&gate));
        instance.order(&["drain", "b2"]);
        let running = instance.client().start_chat("m");
        first.wait_for(1);
        let waiting = queue_up(&instance, &["m", "m"]);
        instance.order(&["undrain", "b2"]);
        instance.order(&["drain", "b1"]);
        second.wait_for(1);
        gate.open_for_all();
        all_good(waiting.into_iter().chain([running]));
        assert_eq!((first.count(), second.count()), (1, 2), "{strategy}");
    });
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
