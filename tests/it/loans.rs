//! Slots lent ahead of requests, as far as they can be seen from outside: nobody notices but the clock.

use ipc_proto::operator::RequestState;
use serde_json::json;

use crate::support::instance::kill_now;
use crate::support::{Gate, Instance, Script, Setup, Upstream, wait_until};

/// A free-running backend with one model, and so many frontends before it.
fn instance(upstream: &Upstream, frontends: u16) -> Instance {
    let instance = Setup::new()
        .backend("b1", upstream, json!({ "type": "openai", "slots": 4, "serialize_by_model": false }))
        .settings(json!({ "proxy": { "frontends": frontends } }))
        .start();
    wait_until("every frontend is there", || {
        let ready = |state: &str| state == "ready";
        let frontends_now = instance.snapshot().frontends;
        frontends_now.iter().filter(|frontend| ready(&frontend.state)).count() == usize::from(frontends)
    });
    instance
}

fn wait_for_a_loan(instance: &Instance) {
    wait_until("a slot is lent", || instance.backend("b1").lent > 0);
}

#[test]
fn two_one_after_the_other_are_both_served_without_waiting() {
    let upstream = Upstream::start(&["m"]);
    let instance = instance(&upstream, 1);
    for _ in 0..2 {
        let answer = instance.client().chat("m");
        assert_eq!(answer.status, 200);
        let row = instance.ended(&answer.request_id());
        assert_eq!((row.state, row.queue_us, row.attempts), (RequestState::Completed, Some(0), 1));
        assert_eq!((row.backend.as_str(), row.http_status), ("b1", Some(200)));
        wait_for_a_loan(&instance);
    }
    let view = instance.backend("b1");
    assert_eq!((view.slots_used, view.lent), (0, 1));
    assert_eq!(instance.snapshot().counters.admitted, 2);
    // The loan may still have been on its way when the second one came; sooner or later one finds it there.
    wait_until("one begins under a loan", || {
        assert_eq!(instance.client().chat("m").status, 200);
        instance.log().contains("\"lent\":true")
    });
}

#[test]
fn a_worker_killed_with_a_loan_out_costs_nobody_anything() {
    let upstream = Upstream::start(&["m"]);
    let instance = instance(&upstream, 1);
    for _ in 0..5 {
        assert_eq!(instance.client().chat("m").status, 200);
        wait_for_a_loan(&instance);
        kill_now(instance.backend("b1").worker_pid.expect("it runs"));
        // At once: the loan is found lapsed, or its worker dead.
        let answer = instance.client().chat("m");
        assert_eq!(answer.status, 200, "{}", answer.text());
        instance.wait_for_quiet();
    }
}

#[test]
fn a_burst_gets_every_slot_although_some_are_lent() {
    let upstream = Upstream::start(&["m", "n"]);
    let instance = instance(&upstream, 2);
    // Several at once leave several loans behind, for m only.
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let calls: Vec<_> = (0..4).map(|_| instance.client().start_chat("m")).collect();
    upstream.wait_for(4);
    gate.open_for_all();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    wait_for_a_loan(&instance);
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let calls: Vec<_> = (0..4).map(|_| instance.client().start_chat("n")).collect();
    wait_until("all four run", || upstream.running() == 4);
    let view = instance.backend("b1");
    assert_eq!((view.slots_used, view.lent, view.queued), (4, 0, 0));
    gate.open_for_all();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    assert_eq!(upstream.most_at_once(), 4);
}
