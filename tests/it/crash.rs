//! kill -9: what the death of a worker, a frontend or the supervisor costs, and whom.

use serde_json::json;

use crate::support::client::{Call, Stream};
use crate::support::instance::kill_now;
use crate::support::upstream::chat_events;
use crate::support::wait::milliseconds_of;
use crate::support::{Gate, Instance, Script, Setup, Upstream, wait_until};

/// Two backends of two slots each for the model `m`, under a rule that fills idle ones whatever a load costs.
fn two_of_two() -> (Upstream, Upstream, Instance) {
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = Setup::new()
        .backend("b1", &first, json!({ "slots": 2 }))
        .backend("b2", &second, json!({ "slots": 2, "priority": 200 }))
        .settings(json!({ "routing": { "strategy": "deferred_model_then_capable" } }))
        .start();
    (first, second, instance)
}

#[test]
fn killing_a_worker_with_fifty_queued_and_four_running_loses_nothing_that_had_not_begun() {
    let (first, second, instance) = two_of_two();
    let gate = Gate::default();
    let events = chat_events("m", &["Hel", "lo"]);
    let begun = || Script::stream_head().chunk(&events[0]).wait(&gate).chunk(events[1..].concat()).end();
    let silent = || Script::json("{}").after(&gate);
    first.next(begun());
    second.next(begun());
    // The oldest two take one slot of each backend as streams that have begun.
    let mut doomed = instance.client().start_stream("m").stream();
    assert_eq!(doomed.next_event().as_deref(), Some(events[0].trim_end()));
    first.always(silent());
    let mute = instance.client().start_chat("m");
    first.wait_for(2);
    let mut neighbour = instance.client().start_stream("m").stream();
    neighbour.next_event().unwrap();
    second.always(silent());
    let mute_neighbour = instance.client().start_chat("m");
    second.wait_for(2);
    let queued: Vec<Call> = (0..50).map(|_| instance.client().start_chat("m")).collect();
    instance.wait_for_queued(50);

    let ((), took) = milliseconds_of(|| {
        instance.kill_worker("b1");
        wait_until("the worker is back", || {
            let backend = instance.backend("b1");
            backend.generation == 2 && backend.worker == "ready"
        });
    });
    assert!(took < 5_000, "the worker is back after {took} ms");
    let id = doomed.head.header("x-request-id").unwrap().to_owned();
    let broken = doomed.rest();
    assert!(broken.complete && broken.text().contains("\"error\""), "{}", broken.text());
    assert!(!broken.text().contains("[DONE]"));
    gate.open_for_all();
    let unnoticed = [neighbour.rest(), mute_neighbour.answer()];
    assert_eq!((unnoticed[0].text(), unnoticed[1].status), (events.concat(), 200));
    for answer in unnoticed {
        let row = instance.ended(&answer.request_id());
        assert_eq!((row.backend.as_str(), row.attempts), ("b2", 1));
    }
    let mute = mute.answer();
    assert_eq!(mute.status, 200, "it had sent nothing");
    let row = instance.ended(&mute.request_id());
    assert_eq!((row.last_failed_backend.as_str(), row.attempts), ("b1", 2));
    for call in queued {
        assert_eq!(call.answer().status, 200);
    }
    let row = instance.ended(&id);
    assert_eq!((row.state.as_str(), row.error_code.as_str()), ("failed", "worker_lost"));
    instance.wait_for_quiet();
    assert_eq!(instance.snapshot().counters.completed, 53);
    assert_eq!(instance.snapshot().counters.restarts, 1);
}

#[test]
fn a_worker_that_is_the_only_one_is_restarted_and_answers_what_had_not_begun() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    upstream.next(Script::hang());
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let queued: Vec<Call> = (0..5).map(|_| instance.client().start_chat("m")).collect();
    instance.wait_for_queued(5);
    instance.kill_worker("b1");
    assert_eq!(running.answer().status, 200);
    for call in queued {
        assert_eq!(call.answer().status, 200);
    }
}

#[test]
fn killing_one_of_two_frontends_costs_only_its_own_clients() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::new()
        .backend("b1", &upstream, json!({ "slots": 8 }))
        .settings(json!({ "proxy": { "frontends": 2 } }))
        .start();
    wait_until("both frontends are there", || {
        instance.snapshot().frontends.iter().filter(|frontend| frontend.state == "ready").count() == 2
    });
    let gate = Gate::default();
    let events = chat_events("m", &["Hel", "lo"]);
    upstream.always(Script::stream_head().chunk(&events[0]).wait(&gate).chunk(events[1..].concat()).end());
    let mut streams: Vec<_> = (0..8).map(|_| instance.client().start_stream("m").stream()).collect();
    for stream in &mut streams {
        assert_eq!(stream.next_event().as_deref(), Some(events[0].trim_end()));
    }
    let victim = instance.snapshot().frontends.into_iter().max_by_key(|frontend| frontend.requests).unwrap();
    let (held, seat) = (victim.requests, victim.seat);
    kill_now(victim.pid.unwrap());
    wait_until("its slots are free", || u64::from(instance.backend("b1").slots_used) == 8 - held);
    wait_until("it is back", || {
        let frontends = instance.snapshot().frontends;
        frontends
            .iter()
            .any(|frontend| frontend.seat == seat && frontend.generation == 2 && frontend.state == "ready")
    });
    gate.open_for_all();
    let (whole, cut): (Vec<_>, Vec<_>) =
        streams.into_iter().map(Stream::rest).partition(|answer| answer.text() == events.concat());
    assert_eq!((whole.len() as u64, cut.len() as u64), (8 - held, held));
    instance.wait_for_quiet();
    for _ in 0..10 {
        assert_eq!(instance.client().start_stream("m").answer().status, 200);
    }
    instance.wait_for_quiet();
    let counters = instance.snapshot().counters;
    assert_eq!(counters.completed, 8 - held + 10);
    assert_eq!(counters.cancelled, held, "clients of the dead frontend are on record as cancelled");
}

#[test]
fn queued_requests_of_a_killed_frontend_vanish_and_the_others_keep_their_turn() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let _running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let _waiting: Vec<Call> = (0..3).map(|_| instance.client().start_chat("m")).collect();
    instance.wait_for_queued(3);
    kill_now(instance.snapshot().frontends[0].pid.unwrap());
    instance.wait_for_queued(0);
    wait_until("a frontend is there again", || instance.snapshot().frontends[0].state == "ready");
    gate.open_for_all();
    assert_eq!(instance.client().chat("m").status, 200);
    instance.wait_for_quiet();
    assert_eq!(instance.history(&["--state", "cancelled"]).len(), 4);
}

#[test]
fn a_worker_that_dies_again_and_again_is_started_with_growing_pauses_and_the_rest_goes_on() {
    let (first, second) = (Upstream::start(&["a"]), Upstream::start(&["b"]));
    let instance = Setup::with_two(&first, &second).start();
    for generation in 1..=3 {
        wait_until("a worker is there", || {
            let backend = instance.backend("b1");
            backend.generation == generation && backend.worker_pid.is_some() && backend.worker == "ready"
        });
        instance.kill_worker("b1");
        assert_eq!(instance.client().chat("b").status, 200);
    }
    wait_until("it is there for good", || instance.backend("b1").generation == 4);
    assert_eq!(instance.client().chat("a").status, 200);
}

#[test]
fn no_child_outlives_a_killed_supervisor() {
    let upstream = Upstream::start(&["m"]);
    let mut instance = Setup::with(&upstream).start();
    let snapshot = instance.snapshot();
    let mut children: Vec<_> = snapshot.frontends.iter().filter_map(|frontend| frontend.pid).collect();
    children.extend(snapshot.backends.iter().filter_map(|backend| backend.worker_pid));
    assert_eq!(children.len(), 2);
    instance.signal(nix::sys::signal::Signal::SIGKILL);
    instance.wait_for_exit();
    wait_until("the children are gone", || children.iter().all(|pid| !is_running(*pid)));
    let instance = instance.start_again();
    assert_eq!(instance.client().chat("m").status, 200);
    instance.wait_for_quiet();
}

fn is_running(pid: u32) -> bool {
    // A zombie that nobody has reaped yet is not running.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
