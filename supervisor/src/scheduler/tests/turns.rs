//! What the default strategy must do: models take turns. Nothing is learned here but by default: a load takes ten
//! seconds, a request five.

use std::sync::Arc;

use ipc_proto::control::{Class, Ending, ProbeReport};
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::{KeyId, RequestId};
use ipc_proto::operator::RequestState;

use super::{House, backend, catalog, cloud};
use crate::scheduler::catalog::{self, Catalog, Client, Overflow, Strategy};
use crate::scheduler::{Event, Order};

/// The catalog under the default strategy.
fn turns(backends: Vec<catalog::Backend>) -> Catalog {
    Catalog { strategy: Strategy::ModelTurns, ..catalog(backends) }
}

fn of(house: &mut House, key: u32, model: &str) -> RequestId {
    let mut admission = house.admission(model);
    admission.key = KeyId(key);
    house.admit(admission)
}

fn reason(house: &House, request: RequestId) -> String {
    house.record(request).reason
}

/// A backend that has run one request of `model`: ten seconds of load, five of answer.
fn holding(model: &str, offered: &[&str]) -> House {
    let mut house = House::of(turns(vec![backend("a", 1, offered)]));
    let first = house.ask(model);
    house.work(first, 10_000, 5000);
    house
}

/// Runs one request after the other, each for `milliseconds`, until none runs; the order in which they ran.
fn run_all(house: &mut House, asked: &[RequestId], milliseconds: u64) -> Vec<usize> {
    let mut order = Vec::new();
    let lives = |house: &House, id| house.scheduler.record(house.now, id).is_some();
    while let Some(at) = asked.iter().position(|id| lives(house, *id) && house.runs(*id)) {
        order.push(at);
        house.work(asked[at], 0, milliseconds);
    }
    order
}

#[test]
fn p19_alternating_requests_cost_one_load_per_model() {
    let mut house = House::of(turns(vec![backend("a", 1, &["m", "n"])]));
    let asked: Vec<RequestId> = ["m", "n", "m", "n", "m", "n"].iter().map(|model| house.ask(model)).collect();
    assert_eq!(reason(&house, asked[0]), "relief");
    assert_eq!(run_all(&mut house, &asked, 1000), [0, 2, 4, 1, 3, 5]);
    assert_eq!(house.scheduler.counters().swaps, 2);
}

#[test]
fn p8_p9_a_waiting_model_claims_a_backend_whose_turn_has_paid() {
    let mut house = holding("m", &["m", "n"]);
    let mut running = house.ask("m");
    let waiting = of(&mut house, 0, "n");
    let began = house.now;
    // One request of `m` is always waiting: it never runs dry.
    for _ in 0..60 {
        let next = house.ask("m");
        house.work(running, 0, 5000);
        running = next;
        if house.runs(waiting) {
            break;
        }
    }
    let waited_ms = house.now.since(began) / 1000;
    assert!(house.runs(waiting) && (240_000..=250_000).contains(&waited_ms), "{waited_ms}");
    assert_eq!(reason(&house, waiting), "claim_overdue");
}

#[test]
fn p11_a_claim_says_so_and_ends_with_its_reason() {
    let mut house = holding("m", &["m", "n"]);
    let running = house.ask("m");
    house.come(running);
    let behind = house.ask("m");
    let claimant = house.ask("n");
    house.pass(241_000);
    assert_eq!(house.view("a").next, "leaving m for n, waited 4:01");
    house.order(Order::Cancel { request: claimant.to_string() }).unwrap();
    assert_eq!(house.view("a").next, "");
    house.complete(running);
    assert!(house.runs(behind), "the model stays");
}

#[test]
fn p5_no_turn_is_ended_before_it_has_paid() {
    let mut house = holding("m", &["m", "n"]);
    let mut knobs = turns(vec![backend("a", 1, &["m", "n"])]);
    knobs.knobs.max_wait_ms = Some(20_000);
    house.tell(Event::Reconfigured(Arc::new(knobs)));
    let running = house.ask("m");
    house.come(running);
    house.ask("m");
    house.ask("n");
    house.pass(74_000);
    assert_eq!(house.view("a").next, "", "overdue for long, but eight loads are eighty seconds");
    house.pass(1001);
    assert!(house.view("a").next.starts_with("leaving m for n"));
    assert!(house.runs(running), "nothing is preempted");
}

#[test]
fn a_burst_of_one_client_does_not_keep_another_from_its_model() {
    let mut house = holding("m", &["m", "n"]);
    house.pass(80_000);
    let burst: Vec<RequestId> = (0..20).map(|_| of(&mut house, 0, "m")).collect();
    let other = of(&mut house, 1, "n");
    let mut served = 0;
    for id in burst {
        if house.runs(other) {
            break;
        }
        house.work(id, 0, 1000);
        served += 1;
    }
    assert!((4..=8).contains(&served), "the first few and what was due by then, not all twenty: {served}");
    assert_eq!(reason(&house, other), "claim_burst");
}

#[test]
fn pace_puts_the_excess_of_a_burst_behind_others_of_the_same_model() {
    let mut house = holding("m", &["m"]);
    let burst: Vec<RequestId> = (0..7).map(|_| of(&mut house, 0, "m")).collect();
    house.pass(1);
    let other = of(&mut house, 1, "m");
    let mut asked = burst;
    asked.push(other);
    // One runs, four keep their place; the excess is placed a mean service apart, behind the other's.
    assert_eq!(run_all(&mut house, &asked, 100), [0, 1, 2, 3, 4, 7, 5, 6]);
}

#[test]
fn p7_without_bursts_a_model_is_served_in_order_of_arrival() {
    let mut house = holding("m", &["m"]);
    let asked: Vec<RequestId> = (0..12).map(|at| of(&mut house, at % 3, "m")).collect();
    assert_eq!(run_all(&mut house, &asked, 100), (0..12).collect::<Vec<_>>());
}

#[test]
fn batch_requests_yield_until_they_are_old() {
    let mut house = holding("m", &["m"]);
    let running = house.ask("m");
    house.come(running);
    let mut batch = house.admission("m");
    batch.class = Some(Class::Batch);
    let batch = house.admit(batch);
    let prompt = house.ask("m");
    house.complete(running);
    assert!(house.runs(prompt) && !house.runs(batch));
    house.come(prompt);
    assert_eq!(house.record(batch).class, Class::Batch);
    house.pass(719_000);
    house.ask("m");
    house.pass(1000);
    house.complete(prompt);
    assert!(house.runs(batch), "three times the longest wait are over");
}

#[test]
fn the_class_of_a_key_counts_unless_the_request_names_one() {
    let mut classes = turns(vec![backend("a", 1, &["m"])]);
    let nightly = Client { name: "nightly".to_owned(), class: Class::Batch, max_wait_ms: None };
    classes.clients.insert(KeyId(1), nightly);
    let mut house = House::of(classes);
    let batch = of(&mut house, 1, "m");
    assert_eq!(house.record(batch).class, Class::Batch);
    let mut prompt = house.admission("m");
    (prompt.key, prompt.class) = (KeyId(1), Some(Class::Interactive));
    let prompt = house.admit(prompt);
    assert_eq!(house.record(prompt).class, Class::Interactive);
}

#[test]
fn a_client_may_be_promised_a_shorter_wait_of_its_own() {
    let claims_after = |key: u32, milliseconds: u64| {
        let mut promised = turns(vec![backend("a", 1, &["m", "n"])]);
        let hasty = Client { name: "hasty".to_owned(), max_wait_ms: Some(100_000), ..Client::default() };
        promised.clients.insert(KeyId(1), hasty);
        let mut house = House::of(promised);
        let first = house.ask("m");
        house.work(first, 10_000, 5000);
        let running = house.ask("m");
        house.come(running);
        house.ask("m");
        of(&mut house, key, "n");
        house.pass(milliseconds);
        house.view("a").next
    };
    assert_eq!(claims_after(1, 99_000), "");
    assert!(claims_after(1, 101_000).starts_with("leaving m for n"), "its own wait is over");
    assert_eq!(claims_after(0, 101_000), "", "the others wait as long as everybody");
    assert!(claims_after(0, 241_000).starts_with("leaving m for n"));
}

#[test]
fn p10_a_second_copy_is_loaded_only_for_a_queue_that_outlasts_the_load() {
    let mut house = House::of(turns(vec![backend("a", 1, &["m"]), backend("b", 2, &["m"])]));
    let first = house.ask("m");
    house.work(first, 10_000, 5000);
    let running = house.ask("m");
    house.come(running);
    house.pass(4000);
    let one = house.ask("m");
    assert!(!house.runs(one), "in six seconds it is done, in fifteen with a load");
    let two = house.ask("m");
    assert_eq!((house.place(one).as_str(), reason(&house, one).as_str()), ("b", "copy"));
    assert!(!house.runs(two));
}

#[test]
fn models_that_nobody_holds_come_before_second_copies() {
    let two = vec![backend("a", 1, &["m", "n"]), backend("b", 2, &["m", "n"])];
    let mut house = House::of(turns(two));
    house.order(Order::Drain { backend: "b".to_owned() }).unwrap();
    let first = house.ask("m");
    house.work(first, 10_000, 5000);
    let running = house.ask("m");
    house.come(running);
    let queued: Vec<RequestId> = (0..8).map(|_| house.ask("m")).collect();
    let other = house.ask("n");
    house.order(Order::Undrain { backend: "b".to_owned() }).unwrap();
    assert_eq!((house.place(other).as_str(), reason(&house, other).as_str()), ("b", "relief"));
    assert!(queued.iter().all(|id| !house.runs(*id)));
}

#[test]
fn with_room_for_two_models_nothing_is_evicted_and_the_least_used_idle_one_goes_third() {
    let mut wide = backend("a", 1, &["m", "n", "o"]);
    (wide.max_models, wide.slots) = (Some(2), Some(2));
    let mut house = House::of(turns(vec![wide]));
    let (m, n) = (house.ask("m"), house.ask("n"));
    assert!(house.runs(m) && house.runs(n));
    house.come(m);
    house.come(n);
    let o = house.ask("o");
    assert!(!house.runs(o), "both are busy");
    house.pass(11_000);
    house.complete(n);
    assert!(house.runs(o), "n is idle and has no work");
    let view = house.view("a");
    let turns: Vec<(&str, u32)> = view.turns.iter().map(|turn| (turn.model.as_str(), turn.running)).collect();
    assert_eq!((turns, view.max_models), (vec![("m", 1), ("o", 1)], Some(2)));
}

#[test]
fn a_fallback_is_used_when_no_member_can_start_at_once() {
    let mut fallback = cloud("cloud", 9, &["m", "n"]);
    fallback.overflow = Overflow::Auto;
    let mut house = House::of(turns(vec![backend("local", 1, &["m", "n"]), fallback.clone()]));
    let asked: Vec<RequestId> = ["m", "m", "n"].iter().map(|model| house.ask(model)).collect();
    let places: Vec<String> = asked.iter().map(|id| house.place(*id)).collect();
    assert_eq!(places, ["local", "cloud", "cloud"]);
    assert_eq!(reason(&house, asked[1]), "overflow");
    fallback.overflow = Overflow::After(30_000);
    let mut house = House::of(turns(vec![backend("local", 1, &["m", "n"]), fallback]));
    let (running, later) = (house.ask("m"), house.ask("n"));
    house.come(running);
    house.pass(29_999);
    assert!(!house.runs(later));
    house.pass(1);
    assert_eq!(house.place(later), "cloud");
}

#[test]
fn p14_backends_that_swap_freely_are_one_queue() {
    let mut house = House::of(turns(vec![cloud("x", 1, &["m", "n"]), cloud("y", 1, &["m", "n"])]));
    let asked: Vec<RequestId> =
        ["m", "n", "m", "n", "m", "n", "m", "n", "n", "m"].iter().map(|model| house.ask(model)).collect();
    assert!(asked[..8].iter().all(|id| house.runs(*id)), "four each");
    house.complete(asked[3]);
    assert!(house.runs(asked[8]) && !house.runs(asked[9]), "first come, first served");
}

#[test]
fn p12_a_backend_lingers_for_quick_follow_ups_and_not_for_ever() {
    let mut house = holding("m", &["m", "n"]);
    // An agent that comes back after half a second, again and again.
    for _ in 0..5 {
        house.pass(500);
        let next = house.ask("m");
        house.work(next, 0, 1000);
    }
    let other = house.ask("n");
    assert!(!house.runs(other), "a follow-up is expected");
    house.pass(400);
    let follow_up = house.ask("m");
    assert!(house.runs(follow_up));
    house.work(follow_up, 0, 1000);
    house.pass(1900);
    assert!(!house.runs(other), "half come within half a second, most within thrice the mean of such pauses");
    house.pass(300);
    assert!(house.runs(other), "none came in thrice the usual time");
    let counters = house.scheduler.counters();
    assert_eq!((counters.lingers_won, counters.lingers_lost), (1, 1));
}

#[test]
fn p13_a_retry_goes_elsewhere_at_once_and_back_after_a_while() {
    let two = vec![backend("a", 1, &["m"]), backend("b", 2, &["m"])];
    let mut house = House::of(turns(two));
    let failed = house.ask("m");
    house.fail_with(failed, FailureKind::ServerError);
    house.pass(700);
    assert_eq!((house.place(failed).as_str(), reason(&house, failed).as_str()), ("b", "retry"));
}

#[test]
fn what_an_engine_says_of_its_slots_counts() {
    let mut told = backend("a", 1, &["m"]);
    told.slots = None;
    let mut house = House::of(turns(vec![told]));
    let asked: Vec<RequestId> = (0..3).map(|_| house.ask("m")).collect();
    assert!(!house.runs(asked[1]));
    let report =
        ProbeReport { models: Ok(Vec::new()), loaded: None, slots: Some(3), max_models: Some(2), took_us: 0 };
    house.told(0, 1, report);
    assert!(house.runs(asked[1]) && house.runs(asked[2]));
    assert_eq!((house.view("a").slots, house.view("a").max_models), (3, Some(2)));
}

#[test]
fn a_free_backend_that_complains_gets_half_and_recovers_by_the_minute() {
    let mut free = cloud("a", 1, &["m"]);
    free.slots = None;
    let mut house = House::of(turns(vec![free, cloud("b", 2, &["m"])]));
    assert_eq!(house.view("a").slots, 8);
    let refused = house.ask("m");
    house.fail_with(refused, FailureKind::Overloaded);
    assert_eq!(house.view("a").slots, 4);
    house.pass(60_000);
    assert_eq!(house.view("a").slots, 5);
    house.pass(180_000);
    assert_eq!(house.view("a").slots, 8);
}

#[test]
fn a_live_request_is_explained() {
    let mut house = holding("m", &["m", "n"]);
    let running = house.ask("m");
    let waiting = house.ask("n");
    let behind = house.ask("n");
    let explained = house.scheduler.explain(house.now, &behind.to_string()).unwrap();
    let decision = explained.decisions.last().unwrap();
    assert_eq!((decision.reason.as_str(), decision.position), ("waits", Some(2)));
    let candidate = &decision.candidates[0];
    assert!(!candidate.eligible && !candidate.holds_model, "{candidate:?}");
    assert_eq!((candidate.load_ms > 0, candidate.verdict.is_empty()), (true, false));
    let explained = house.scheduler.explain(house.now, &running.to_string()).unwrap();
    let decision = &explained.decisions[0];
    assert_eq!((decision.chosen.as_str(), decision.reason.as_str()), ("a", "loaded"));
    let (records, _) = house.scheduler.live_requests(house.now, 10);
    let waits = records.iter().filter(|record| record.state == RequestState::Queued);
    let positions: Vec<_> = waits.map(|record| record.waiting.map(|waiting| waiting.position)).collect();
    assert_eq!(positions, [Some(1), Some(2)]);
    house.finish(running, Ending::Complete, Some(200));
    assert!(house.runs(waiting));
}

#[test]
fn queues_are_bounded_by_model_and_by_client() {
    let mut bounded = turns(vec![backend("a", 1, &["m", "n"])]);
    bounded.queue.max_waiting_per_model = Some(2);
    bounded.queue.max_waiting_per_client = Some(3);
    let mut house = House::of(bounded);
    let asked: Vec<RequestId> = ["m", "m", "m", "m"].iter().map(|model| house.ask(model)).collect();
    let refusal = house.refusal(asked[3]).unwrap();
    assert_eq!(refusal.kind, FailureKind::QueueFull);
    assert_eq!(refusal.detail, "2 requests for m wait already");
    let (third, fourth) = (house.ask("n"), house.ask("n"));
    assert_eq!(house.refusal(third), None);
    assert_eq!(house.refusal(fourth).unwrap().detail, "3 requests of this client wait already");
    let others = of(&mut house, 1, "n");
    assert_eq!(house.refusal(others), None);
}
