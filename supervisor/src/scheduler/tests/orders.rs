//! Operators' orders.

use ipc_proto::control::{ToFrontend, ToWorker};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::operator::RequestState;

use super::house::FRONTEND;
use super::{House, backend, cloud};
use crate::scheduler::{Effect, Order};

#[test]
fn a_drained_backend_finishes_and_takes_nothing_new_until_it_is_used_again() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let (running, waiting) = (house.ask("m"), house.ask("m"));
    house.begin(running);
    let said = house.order(Order::Drain { backend: "a".to_owned() }).unwrap();
    assert_eq!(said, "a takes nothing new; 1 attempt still runs there");
    house.complete(running);
    assert!(house.view("a").draining && !house.runs(waiting));
    house.order(Order::Undrain { backend: "a".to_owned() }).unwrap();
    assert!(house.runs(waiting));
}

#[test]
fn an_unknown_backend_is_answered_with_the_known_ones() {
    let mut house = House::with(vec![cloud("a", 1, &["m"]), cloud("b", 2, &["m"])]);
    let refusal = house.order(Order::Drain { backend: "c".to_owned() }).unwrap_err();
    assert_eq!(refusal.message, "there is no backend \"c\"");
    assert_eq!(refusal.hint, "the backends are: a, b");
}

#[test]
fn a_waiting_request_is_cancelled_by_the_beginning_of_its_label() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let (_, waiting) = (house.ask("m"), house.ask("m"));
    house.order(Order::Cancel { request: "label-2".to_owned() }).unwrap();
    let told = Effect::ToFrontend(FRONTEND, ToFrontend::Cancel { request: waiting });
    assert!(house.seen.contains(&told));
    assert_eq!(house.scheduler.queued(), 0);
    house.close(waiting, 499, Some(Failure::new(FailureKind::Cancelled, "an operator cancelled it")));
    let record = house.ended().pop().unwrap();
    assert_eq!((record.state, record.error_code.as_str()), (RequestState::Cancelled, "cancelled"));
}

#[test]
fn a_running_request_is_cancelled_at_both_ends() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let running = house.ask("m");
    house.begin(running);
    let (worker, grant) = house.grant_of(running);
    house.order(Order::Cancel { request: running.to_string() }).unwrap();
    assert!(house.seen.contains(&Effect::ToWorker(worker, ToWorker::Revoke { grant })));
    assert_eq!(house.view("a").slots_used, 1, "only the worker frees the slot");
}

#[test]
fn a_cancellation_must_mean_one_request() {
    let mut house = House::with(vec![cloud("a", 1, &["m"])]);
    house.ask("m");
    house.ask("m");
    let refusal = |house: &mut House, request: &str| {
        house.order(Order::Cancel { request: request.to_owned() }).unwrap_err().message
    };
    assert_eq!(refusal(&mut house, "label-"), "2 live requests match \"label-\"");
    assert_eq!(refusal(&mut house, "lab"), "no live request \"lab\"");
    assert_eq!(refusal(&mut house, "nothing"), "no live request \"nothing\"");
}
