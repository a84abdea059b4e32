//! Attempts that fail: where the next one goes, when, and what the client is told in the end.

use ipc_proto::control::{Ending, ToWorker};
use ipc_proto::failure::{Failure, FailureKind, Wait};
use ipc_proto::ids::RequestId;
use ipc_proto::operator::RequestState;

use super::house::FRONTEND;
use super::{House, backend, catalog, cloud};
use crate::scheduler::{Effect, Event};

fn two() -> Vec<crate::scheduler::catalog::Backend> {
    vec![cloud("a", 1, &["m"]), cloud("b", 2, &["m"])]
}

/// The backends a request went to until it was refused, `kind` happening every time.
fn path(house: &mut House, kind: FailureKind) -> Vec<String> {
    let id = house.ask("m");
    let mut places = Vec::new();
    while house.refusal(id).is_none() {
        assert!(house.runs(id));
        places.push(house.place(id));
        house.fail_with(id, kind);
        house.pass(5000);
    }
    places
}

#[test]
fn ret_02_03_two_backends_alternate_and_one_gets_every_attempt() {
    let mut four = catalog(two());
    four.retry.max_attempts = 4;
    assert_eq!(path(&mut House::of(four), FailureKind::ServerError), ["a", "b", "a", "b"]);
    assert_eq!(
        path(&mut House::with(vec![cloud("a", 1, &["m"])]), FailureKind::ServerError),
        ["a", "a", "a"]
    );
}

#[test]
fn ret_01_09_a_failed_attempt_is_told_and_counted() {
    let mut house = House::with(two());
    let id = house.ask("m");
    house.fail(id, Failure::new(FailureKind::ServerError, "boom").with_status(502));
    let record = house.record(id);
    assert_eq!((record.state, record.attempts), (RequestState::Queued, 1));
    assert_eq!((record.last_failed_backend.as_str(), record.error.as_str()), ("a", "boom"));
    assert_eq!((house.view("a").failures, house.view("a").health.as_str()), (1, "up"));
    house.pass(1000);
    house.complete(id);
    let record = house.ended().pop().unwrap();
    assert_eq!((record.state, record.attempts, record.backend.as_str()), (RequestState::Completed, 2, "b"));
    assert_eq!(
        (record.error.as_str(), record.client.as_str(), record.upstream_status),
        ("", "alice", Some(200))
    );
    assert_eq!(house.scheduler.counters().retries, 1);
    assert!((400_000..=600_000).contains(&record.queue_us.unwrap()), "the pause is waiting: {record:?}");
}

#[test]
fn a_retry_keeps_its_place() {
    let mut house = House::with(vec![cloud("a", 1, &["m"])]);
    let asked: Vec<RequestId> = (0..6).map(|_| house.ask("m")).collect();
    house.fail_with(asked[0], FailureKind::ServerError);
    assert!(house.runs(asked[4]), "the slot is not kept for it");
    house.pass(1000);
    house.complete(asked[1]);
    assert!(house.runs(asked[0]) && !house.runs(asked[5]));
}

#[test]
fn ret_07_too_much_to_do_cools_the_backend_and_its_word_is_respected() {
    let busy = |after| {
        Failure::new(FailureKind::Overloaded, "429").with_status(429).with_retry_after_ms(Some(after))
    };
    let mut house = House::with(vec![cloud("a", 1, &["m"])]);
    let (first, second) = (house.ask("m"), house.ask("m"));
    house.fail(first, busy(7000));
    let third = house.ask("m");
    house.pass(6999);
    assert!(!house.runs(first) && !house.runs(third), "it asked for seven seconds");
    assert!(house.runs(second), "what runs goes on");
    house.pass(1);
    assert!(house.runs(first) && house.runs(third));
    let mut house = House::with(vec![cloud("a", 1, &["m"])]);
    let asked = house.ask("m");
    house.fail(asked, busy(60_000));
    assert_eq!(house.refusal(asked).unwrap().retry_after_ms, Some(60_000), "nobody waits a minute");
    let late = house.ask("m");
    assert_eq!(house.refusal(late).unwrap().kind, FailureKind::Overloaded);
    let mut house = House::with(two());
    let asked = house.ask("m");
    house.fail(asked, busy(60_000));
    house.pass(1000);
    assert_eq!(house.place(asked), "b", "with another backend there is no need to wait");
}

#[test]
fn sch_13_the_excluded_backend_is_used_when_it_is_the_only_one_left() {
    let mut house = House::with(two());
    let id = house.ask("m");
    house.fail_with(id, FailureKind::ServerError);
    let other = house.ask("m");
    house.fail_with(other, FailureKind::ServerError);
    for _ in 0..2 {
        house.pass(700);
    }
    assert_eq!((house.place(id).as_str(), house.place(other).as_str()), ("b", "b"));
    house.fail_with(id, FailureKind::Unreachable);
    assert_eq!(house.view("b").health, "down");
    house.pass(2000);
    assert_eq!(house.place(id), "a");
}

#[test]
fn ret_08_a_slow_answer_is_tried_elsewhere_and_its_backend_stays_up() {
    let mut house = House::with(two());
    let id = house.ask("m");
    house.fail_with(id, FailureKind::Timeout(Wait::FirstEvent));
    house.pass(1000);
    assert_eq!((house.place(id).as_str(), house.view("a").health.as_str()), ("b", "up"));
}

#[test]
fn an_offer_that_lapses_keeps_its_slot_until_the_worker_speaks_and_is_no_attempt() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let (id, next) = (house.ask("m"), house.ask("m"));
    let (worker, grant) = house.grant_of(id);
    house.pass(5000);
    assert!(house.seen.contains(&Effect::ToWorker(worker, ToWorker::Revoke { grant })));
    assert!(!house.runs(next));
    let failure = Failure::new(FailureKind::GrantLapsed, "late");
    house.tell(Event::AttemptFailed { frontend: FRONTEND, request: id, grant, failure });
    assert_eq!((house.record(id).attempts, house.view("a").slots_used), (0, 1));
    house.finish(id, Ending::NeverStarted, None);
    assert!(house.runs(id) && !house.runs(next), "its old place");
    assert_eq!(house.record(id).attempts, 1);
}

#[test]
fn a_worker_that_leaves_a_revocation_unanswered_is_killed() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let id = house.ask("m");
    let (worker, _) = house.grant_of(id);
    house.tell(Event::Withdraw { frontend: FRONTEND, request: id });
    assert_eq!(house.ended().len(), 0, "a grant of it still lives");
    house.pass(5000);
    assert!(house.seen.contains(&Effect::KillWorker(worker)));
    house.tell(Event::WorkerGone { worker });
    let record = house.ended().pop().unwrap();
    assert_eq!((record.state, record.error_code.as_str()), (RequestState::Cancelled, "client_gone"));
    assert_eq!(house.view("a").slots_used, 0);
}

#[test]
fn late_and_repeated_words_change_nothing() {
    let mut house = House::with(two());
    let id = house.ask("m");
    let (worker, grant) = house.grant_of(id);
    house.complete(id);
    let before = (house.ended().len(), house.scheduler.counters());
    house.finish(id, Ending::Complete, Some(200));
    house.close(id, 200, None);
    house.tell(Event::Begun { worker, grant, first_byte_us: 1 });
    house.tell(Event::Withdraw { frontend: FRONTEND, request: id });
    let failure = Failure::new(FailureKind::ServerError, "late");
    house.tell(Event::AttemptFailed { frontend: FRONTEND, request: id, grant, failure });
    assert_eq!((house.ended().len(), house.scheduler.counters()), before);
}
