//! `fair_share_round_robin`: so many in a row, then another model's turn.

use ipc_proto::failure::FailureKind;
use ipc_proto::ids::RequestId;

use super::{House, backend, order_after, order_of_service, places, under, wide};
use crate::scheduler::catalog::{Backend, Catalog, Strategy};

fn sharing(limit: u32, backends: Vec<Backend>) -> Catalog {
    let mut catalog = under(Strategy::FairShareRoundRobin, backends);
    catalog.knobs.max_consecutive_per_model = limit;
    catalog
}

fn one(limit: u32) -> Catalog {
    sharing(limit, vec![backend("a", 1, &["A", "B"])])
}

/// The models in the order in which they ran, the first included.
fn models_in_order(limit: u32, first: &str, models: &[&str]) -> String {
    let order = order_after(one(limit), first, models);
    let ran = order.into_iter().map(|number| models[number - 1]);
    std::iter::once(first).chain(ran).collect()
}

#[test]
fn sch_09_deep_queues_take_turns_of_three() {
    let deep = ["A", "A", "A", "A", "A", "B", "B", "B", "B", "B"];
    assert_eq!(models_in_order(3, "A", &deep), "AAABBBAAABB");
}

#[test]
fn sch_09_a_single_other_runs_after_the_third() {
    assert_eq!(models_in_order(3, "A", &["A", "A", "A", "B", "A", "A"]), "AAABAAA");
}

#[test]
fn sch_09_with_nobody_else_waiting_the_model_goes_on() {
    assert_eq!(models_in_order(3, "A", &["A"; 7]), "AAAAAAAA");
}

#[test]
fn sch_09_past_the_bound_the_first_other_to_come_is_next() {
    let mut house = House::of(one(3));
    for _ in 0..4 {
        let id = house.ask("A");
        house.complete(id);
    }
    let running = house.ask("A");
    let asked = ["A", "B"].map(|model| house.ask(model));
    house.complete(running);
    assert_eq!(order_of_service(&mut house, &asked), [2, 1]);
}

#[test]
fn sch_09_within_the_bound_the_current_model_is_first() {
    assert_eq!(order_after(one(3), "A", &["B", "A"]), [2, 1]);
}

#[test]
fn sch_09_without_a_bound_it_is_deferred() {
    for models in [["A", "B", "A", "B", "A", "B"], ["B", "B", "A", "A", "B", "A"]] {
        let plain = under(Strategy::DeferredModelThenCapable, vec![backend("a", 1, &["A", "B"])]);
        assert_eq!(order_after(one(0), "A", &models), order_after(plain, "A", &models));
    }
}

#[test]
fn sch_09_what_must_not_come_here_has_no_turn_here() {
    let mut house = House::of(sharing(1, vec![backend("a", 1, &["A", "B"]), backend("b", 2, &["B"])]));
    let (failing, on_b) = (house.ask("B"), house.ask("B"));
    house.fail_with(failing, FailureKind::ServerError);
    let running = house.ask("A");
    house.pass(1000);
    let next = house.ask("A");
    house.complete(running);
    assert_eq!(places(&house, &[next, on_b]), ["a", "b"]);
    assert!(!house.runs(failing));
}

#[test]
fn with_several_slots_the_bound_closes_the_backend_until_the_other_has_begun() {
    let mut house = House::of(sharing(3, vec![wide(backend("a", 1, &["A", "B"]), 2)]));
    let first: Vec<RequestId> = (0..2).map(|_| house.ask("A")).collect();
    let asked = ["A", "A", "B"].map(|model| house.ask(model));
    house.complete(first[0]);
    assert_eq!(places(&house, &asked), ["a", "", ""], "the third in a row");
    house.complete(first[1]);
    assert_eq!(places(&house, &asked), ["a", "", ""], "a slot stays free");
    house.complete(asked[0]);
    assert_eq!(places(&house, &asked), ["a", "", "a"]);
    assert_eq!(house.record(asked[2]).reason, "turn");
}
