//! Children that die, hang, are replaced or end with the instance.

use ipc_proto::control::{ToFrontend, ToWorker};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{BackendId, FrontendId, WorkerId};
use ipc_proto::operator::RequestState;

use super::house::FRONTEND;
use super::{House, backend, catalog, cloud};
use crate::scheduler::{Effect, Event, Order};

fn worker(backend: u32, generation: u32) -> WorkerId {
    WorkerId { backend: BackendId(backend), generation }
}

#[test]
fn sch_20_a_dead_workers_requests_go_on_when_their_frontend_says_so() {
    let mut house = House::with(vec![backend("a", 1, &["m"]), backend("b", 2, &["n"])]);
    let (running, waiting, other) = (house.ask("m"), house.ask("m"), house.ask("n"));
    house.begin(running);
    house.begin(other);
    let (_, grant) = house.grant_of(running);
    house.tell(Event::WorkerGone { worker: worker(0, 1) });
    assert!(house.seen.contains(&Effect::StartWorker(worker(0, 2))), "at once");
    assert!(house.runs(other) && !house.runs(waiting));
    house.worker_starts(worker(0, 2));
    assert!(house.runs(waiting), "the slot is free");
    let failure = Failure::new(FailureKind::WorkerLost, "gone");
    house.tell(Event::AttemptFailed { frontend: FRONTEND, request: running, grant, failure });
    house.complete(waiting);
    assert!(house.runs(running));
    assert_eq!(house.record(running).attempts, 2);
}

#[test]
fn news_of_a_former_worker_is_no_news() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    house.tell(Event::WorkerGone { worker: worker(0, 1) });
    house.worker_starts(worker(0, 2));
    let id = house.ask("m");
    house.tell(Event::WorkerGone { worker: worker(0, 1) });
    assert_eq!((house.view("a").slots_used, house.view("a").generation), (1, 2));
    assert!(house.runs(id));
}

#[test]
fn a_worker_that_keeps_dying_is_started_ever_more_rarely_and_a_silent_one_is_killed() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    house.tell(Event::WorkerGone { worker: worker(0, 1) });
    house.tell(Event::WorkerGone { worker: worker(0, 2) });
    assert_eq!(house.view("a").worker, "backoff");
    house.pass(300);
    assert_eq!((house.view("a").worker.as_str(), house.view("a").generation), ("starting", 3));
    house.pass(10_000);
    assert!(house.seen.contains(&Effect::KillWorker(worker(0, 3))));
}

#[test]
fn a_dead_frontend_takes_its_clients_with_it() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let (active, waiting) = (house.ask("m"), house.ask("m"));
    house.begin(active);
    house.tell(Event::FrontendGone { frontend: FRONTEND });
    let second = FrontendId { seat: 0, generation: 2 };
    assert!(house.seen.contains(&Effect::StartFrontend(second)));
    let ended = house.ended();
    assert_eq!(ended.len(), 1, "the active one ends with its grant");
    assert_eq!((ended[0].exchange.clone(), ended[0].state), (waiting.to_string(), RequestState::Cancelled));
    house.finish(active, ipc_proto::control::Ending::Cancelled, None);
    assert_eq!(house.ended().len(), 2);
    assert_eq!((house.scheduler.queued(), house.view("a").slots_used), (0, 0));
}

#[test]
fn a_replaced_worker_finishes_first_and_nothing_waits_in_vain() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let (running, waiting) = (house.ask("m"), house.ask("m"));
    house.begin(running);
    house.order(Order::Restart { backend: "a".to_owned() }).unwrap();
    house.pass(60_000);
    house.complete(running);
    assert!(!house.runs(waiting));
    house.tell(Event::WorkerDrained { worker: worker(0, 1) });
    house.tell(Event::WorkerGone { worker: worker(0, 1) });
    house.worker_starts(worker(0, 2));
    assert!(house.runs(waiting));
    assert_eq!(house.scheduler.counters().restarts, 0, "it did not die");
}

#[test]
fn ret_14_a_stop_sends_away_who_waits_and_lets_finish_who_runs() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let (running, waiting) = (house.ask("m"), house.ask("m"));
    house.begin(running);
    house.tell(Event::Stop);
    assert_eq!(house.scheduler.phase(), "draining");
    assert_eq!(house.refusal(waiting).unwrap().kind, FailureKind::Draining);
    assert!(house.seen.contains(&Effect::ToFrontend(FRONTEND, ToFrontend::Drain { within_ms: 5000 })));
    house.close(waiting, 503, None);
    house.complete(running);
    house.tell(Event::FrontendDrained { frontend: FRONTEND });
    let drains = |effect: &Effect| matches!(effect, Effect::ToWorker(_, ToWorker::Drain { .. }));
    assert!(house.seen.iter().any(drains));
    house.tell(Event::WorkerDrained { worker: worker(0, 1) });
    assert_eq!(house.seen.iter().filter(|effect| **effect == Effect::Stopped).count(), 1);
    assert_eq!((house.ended().len(), house.scheduler.next_deadline()), (2, None));
}

#[test]
fn a_stop_ends_with_its_grace_and_a_second_one_ends_at_once() {
    for is_asked_twice in [false, true] {
        let mut house = House::with(vec![backend("a", 1, &["m"])]);
        let running = house.ask("m");
        house.begin(running);
        house.tell(Event::Stop);
        if is_asked_twice {
            house.tell(Event::Stop);
        } else {
            house.pass(6000);
        }
        assert_eq!(house.seen.last(), Some(&Effect::Stopped));
        assert!(house.seen.contains(&Effect::KillWorker(worker(0, 1))));
        assert_eq!(house.ended()[0].state, RequestState::Cancelled);
    }
}

#[test]
fn a_new_catalog_adds_and_removes_backends_under_way() {
    let mut old = catalog(vec![cloud("a", 1, &["m"]), cloud("b", 2, &["n"])]);
    let mut house = House::of(old.clone());
    let (stays, goes) = (house.ask("m"), house.ask("n"));
    let removed = old.backends.remove(&BackendId(1)).unwrap();
    old.backends.insert(BackendId(2), crate::scheduler::catalog::Backend { name: "c".to_owned(), ..removed });
    house.tell(Event::Reconfigured(std::sync::Arc::new(old)));
    assert!(house.runs(stays) && house.runs(goes), "what runs goes on");
    assert!(house.seen.contains(&Effect::StartWorker(worker(2, 1))));
    let names: Vec<String> = house.scheduler.backends(house.now).into_iter().map(|view| view.name).collect();
    assert_eq!(names, ["a", "c"]);
    house.worker_starts(worker(2, 1));
    let next = house.ask("n");
    assert_eq!(house.place(next), "c");
    house.tell(Event::WorkerGone { worker: worker(1, 1) });
    assert!(!house.seen.contains(&Effect::StartWorker(worker(1, 2))), "it is not wanted any more");
}
