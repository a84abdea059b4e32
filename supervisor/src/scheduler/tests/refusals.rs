//! Who is sent away, when, and with which word.

use dialect::{Dialect, Endpoint};
use ipc_proto::control::ProbeFailureKind;
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::{BackendId, RequestId};
use ipc_proto::operator::RequestState;

use super::house::aliased;
use super::{House, backend, catalog, cloud};
use crate::scheduler::Order;

fn kind(house: &House, id: RequestId) -> Option<FailureKind> {
    house.refusal(id).map(|failure| failure.kind)
}

#[test]
fn an_unknown_model_is_refused_and_recorded_once_the_frontend_has_spoken() {
    let mut house = House::with(vec![cloud("a", 1, &["m"])]);
    let id = house.ask("x");
    assert_eq!(kind(&house, id), Some(FailureKind::UnknownModel));
    assert_eq!(house.ended().len(), 0);
    house.close(id, 404, None);
    let record = house.ended().pop().unwrap();
    assert_eq!((record.state, record.error_code.as_str()), (RequestState::Failed, "model_not_found"));
    assert_eq!((record.http_status, record.attempts), (Some(404), 0));
}

#[test]
fn what_no_backend_of_the_model_can_do_is_untranslatable() {
    let dialects = vec![Dialect::Anthropic];
    let anthropic = crate::scheduler::catalog::Backend { dialects, ..cloud("a", 1, &["m"]) };
    let mut house = House::with(vec![anthropic]);
    for (endpoint, expected) in [
        (Endpoint::Embeddings, Some(FailureKind::Untranslatable)),
        (Endpoint::Completions, Some(FailureKind::Untranslatable)),
        (Endpoint::GeminiCountTokens, Some(FailureKind::Untranslatable)),
        (Endpoint::CountTokens, None),
        (Endpoint::Responses, None),
    ] {
        let mut admission = house.admission("m");
        admission.endpoint = endpoint;
        let id = house.admit(admission);
        assert_eq!(kind(&house, id), expected, "{endpoint:?}");
    }
}

#[test]
fn a_native_call_goes_to_its_backend_and_changes_no_model_there() {
    let mut house = House::with(vec![backend("a", 1, &["m"]), backend("b", 2, &["n"])]);
    let before = house.ask("n");
    house.complete(before);
    let mut admission = house.admission("");
    (admission.endpoint, admission.only) = (Endpoint::Native, Some(BackendId(1)));
    let id = house.admit(admission);
    assert_eq!(house.place(id), "b");
    assert!(!house.record(id).swap);
    assert_eq!(house.record(id).model, "");
}

#[test]
fn aliases_name_models_and_may_name_a_backend() {
    let two = catalog(vec![cloud("a", 1, &["m"]), cloud("b", 2, &["m"])]);
    let mut house = House::of(aliased(aliased(two, "fast", "m", None), "mine", "m", Some(1)));
    let (fast, mine) = (house.ask("fast"), house.ask("mine"));
    assert_eq!((house.place(fast).as_str(), house.place(mine).as_str()), ("a", "b"));
    assert_eq!(house.record(fast).model, "fast");
}

#[test]
fn nobody_waits_for_a_backend_that_is_down_at_arrival() {
    let mut house = House::with(vec![cloud("a", 1, &["m"])]);
    let first = house.ask("m");
    house.fail_with(first, FailureKind::Unreachable);
    let second = house.ask("m");
    let refusal = house.refusal(second).unwrap();
    assert_eq!((refusal.kind, refusal.retry_after_ms), (FailureKind::NoBackend, Some(1000)));
}

#[test]
fn sch_12_who_waits_when_the_last_backend_goes_waits_ten_seconds_more() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let (running, waiting) = (house.ask("m"), house.ask("m"));
    house.begin(running);
    for _ in 0..3 {
        house.probe(0, 1, Err(ProbeFailureKind::Unreachable));
    }
    assert_eq!(house.view("a").health, "down");
    house.pass(9999);
    assert_eq!(house.refusal(waiting), None);
    house.pass(1);
    assert_eq!(kind(&house, waiting), Some(FailureKind::NoBackend));
    assert!(house.runs(running), "what runs goes on");
}

#[test]
fn sch_14_ret_05_a_backend_that_comes_back_serves_without_a_new_request() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let (first, second) = (house.ask("m"), house.ask("m"));
    house.fail_with(first, FailureKind::Unreachable);
    house.pass(3000);
    house.probe(0, 1, Ok(&[]));
    assert!(house.runs(first) && !house.runs(second));
    house.complete(first);
    assert!(house.runs(second));
}

#[test]
fn sch_17_one_too_many_is_refused_and_one_who_need_not_wait_is_not() {
    let mut small = catalog(vec![backend("a", 1, &["m"])]);
    small.queue.max_waiting = 0;
    let mut house = House::of(small);
    let (first, second) = (house.ask("m"), house.ask("m"));
    assert!(house.runs(first));
    let refusal = house.refusal(second).unwrap();
    assert_eq!(refusal.kind, FailureKind::QueueFull);
    assert!(refusal.retry_after_ms >= Some(1000));
    assert_eq!(house.scheduler.counters().queue_full, 1);
}

#[test]
fn sch_17_waiting_ends_with_the_queues_time_or_the_clients() {
    let mut patient = catalog(vec![backend("a", 1, &["m"])]);
    patient.queue.timeout_ms = Some(2000);
    let mut house = House::of(patient);
    let (running, waiting) = (house.ask("m"), house.ask("m"));
    let mut admission = house.admission("m");
    admission.deadline_ms = Some(500);
    let hasty = house.admit(admission);
    let mut admission = house.admission("m");
    admission.deadline_ms = Some(0);
    let at_once = house.admit(admission);
    assert_eq!(kind(&house, at_once), Some(FailureKind::QueueTimeout));
    house.pass(500);
    assert_eq!((kind(&house, hasty), kind(&house, waiting)), (Some(FailureKind::QueueTimeout), None));
    house.pass(1500);
    assert_eq!(kind(&house, waiting), Some(FailureKind::QueueTimeout));
    assert!(house.runs(running));
}

#[test]
fn a_drained_backend_is_named_as_the_reason() {
    let mut house = House::with(vec![cloud("a", 1, &["m"])]);
    house.order(Order::Drain { backend: "a".to_owned() }).unwrap();
    let id = house.ask("m");
    assert_eq!(kind(&house, id), Some(FailureKind::Draining));
}

#[test]
fn before_the_first_look_everybody_waits() {
    let mut unread = cloud("a", 1, &[]);
    unread.models = None;
    let mut house = House::with(vec![unread]);
    let (known, unknown) = (house.ask("m"), house.ask("x"));
    assert_eq!((house.refusal(known), house.refusal(unknown)), (None, None));
    house.probe(0, 1, Ok(&["m"]));
    assert!(house.runs(known));
    house.pass(10_000);
    assert_eq!(kind(&house, unknown), Some(FailureKind::UnknownModel));
}
