//! Requests that are bound when they come: to whom.

use ipc_proto::control::ProbeFailureKind;
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::RequestId;

use super::{House, PUSH, backend, cloud, equals, house, places, under, warmed, wide};
use crate::scheduler::catalog::Strategy::{LeastBusy, ModelAffinityLeastBusy, Random, RoundRobin};

#[test]
fn sch_04_the_backend_that_has_the_model_wins_over_a_better_one() {
    let two = equals(&[("a", 100), ("b", 200)], &["m", "n"]);
    let mut house = warmed(under(ModelAffinityLeastBusy, two), &[(0, "n"), (1, "m")]);
    let asked: Vec<RequestId> = (0..3).map(|_| house.ask("m")).collect();
    assert_eq!(places(&house, &asked), ["b", "", ""], "however much waits there");
    assert!(!house.record(asked[0]).swap);
    house.complete(asked[0]);
    assert_eq!(house.place(asked[1]), "b", "the idle one has none of it");
}

#[test]
fn sch_04_of_several_that_have_the_model_the_least_busy_gets_it() {
    let three = equals(&[("a", 1), ("b", 2), ("c", 3)], &["m"]);
    let mut house = warmed(under(ModelAffinityLeastBusy, three), &[(1, "m"), (2, "m")]);
    let asked: Vec<RequestId> = (0..3).map(|_| house.ask("m")).collect();
    assert_eq!(places(&house, &asked), ["b", "c", ""]);
}

#[test]
fn sch_04_without_a_holder_the_least_busy_of_all_gets_it() {
    let mut house = house(ModelAffinityLeastBusy, equals(&[("a", 1), ("b", 2)], &["m", "n"]));
    let asked = ["m", "n"].map(|model| house.ask(model));
    assert_eq!(places(&house, &asked), ["a", "b"]);
}

#[test]
fn sch_05_least_busy_goes_by_load_then_priority() {
    let three = equals(&[("c", 300), ("a", 100), ("b", 200)], &["m"]);
    let mut house = house(LeastBusy, three);
    let asked: Vec<RequestId> = (0..6).map(|_| house.ask("m")).collect();
    assert_eq!(places(&house, &asked[..3]), ["a", "b", "c"]);
    // One more waits behind each, in the same order.
    for (done, next, place) in [(1, 4, "b"), (0, 3, "a"), (2, 5, "c")] {
        house.complete(asked[done]);
        assert_eq!(house.place(asked[next]), place);
    }
}

#[test]
fn sch_05_a_queue_of_none_wins_over_a_queue_of_five_and_warmth_does_not_count() {
    let two = equals(&[("a", 1), ("b", 2)], &["m", "n"]);
    let mut catalog = under(LeastBusy, two);
    catalog = super::super::house::aliased(catalog, "m@a", "m", Some(0));
    let mut house = House::of(catalog);
    for _ in 0..6 {
        house.ask("m@a");
    }
    let asked = house.ask("m");
    assert_eq!(house.place(asked), "b");
}

#[test]
fn sch_06_round_robin_goes_by_turn_in_the_order_of_the_configuration() {
    let mut house = house(RoundRobin, vec![cloud("b", 900, &["m"]), cloud("a", 1, &["m"])]);
    let asked: Vec<RequestId> = (0..4).map(|_| house.ask("m")).collect();
    assert_eq!(places(&house, &asked), ["b", "a", "b", "a"]);
}

#[test]
fn sch_06_round_robin_counts_over_all_models_and_retries() {
    let three = vec![cloud("a", 1, &["m", "n"]), cloud("b", 1, &["m"]), cloud("c", 1, &["m", "n"])];
    let mut house = house(RoundRobin, three);
    let asked = ["m", "n", "m"].map(|model| house.ask(model));
    assert_eq!(places(&house, &asked), ["a", "c", "c"], "0 of abc, 1 of ac, 2 of abc");
    house.fail_with(asked[0], FailureKind::ServerError);
    house.pass(1000);
    assert_eq!(house.place(asked[0]), "c", "3 of bc");
}

#[test]
fn a_retry_goes_elsewhere_and_back_if_there_is_nobody_else() {
    for strategy in PUSH {
        let mut house = house(strategy, vec![cloud("a", 1, &["m"]), cloud("b", 2, &["m"])]);
        let id = house.ask("m");
        let first = house.place(id);
        house.fail_with(id, FailureKind::ServerError);
        house.pass(1000);
        assert_ne!(house.place(id), first, "{strategy:?}");
        let mut house = super::house(strategy, vec![cloud("a", 1, &["m"])]);
        let id = house.ask("m");
        house.fail_with(id, FailureKind::ServerError);
        house.pass(1000);
        assert!(house.runs(id), "{strategy:?}");
    }
}

#[test]
fn who_is_down_or_lacks_the_model_is_passed_over_and_without_any_there_is_an_error() {
    for strategy in PUSH {
        let three = vec![cloud("a", 1, &["m"]), cloud("b", 2, &["other"]), cloud("c", 3, &["m"])];
        let mut house = house(strategy, three);
        for _ in 0..3 {
            house.probe(0, 1, Err(ProbeFailureKind::Unreachable));
        }
        let asked: Vec<RequestId> = (0..3).map(|_| house.ask("m")).collect();
        assert_eq!(places(&house, &asked), ["c"; 3], "{strategy:?}");
        for _ in 0..3 {
            house.probe(2, 1, Err(ProbeFailureKind::Unreachable));
        }
        let late = house.ask("m");
        assert_eq!(house.refusal(late).unwrap().kind, FailureKind::NoBackend, "{strategy:?}");
    }
}

/// How many of `count` requests each of two backends with these weights gets.
fn shares(weights: [u32; 2], count: usize) -> [usize; 2] {
    let mut two = [cloud("a", 1, &["m"]), cloud("b", 2, &["m"])].map(|backend| wide(backend, 10_000));
    (two[0].weight, two[1].weight) = (weights[0], weights[1]);
    let mut catalog = under(Random, two.to_vec());
    catalog.queue.max_waiting = 10_000;
    let mut house = House::of(catalog);
    let asked: Vec<RequestId> = (0..count).map(|_| house.ask("m")).collect();
    let on = |name: &str| places(&house, &asked).iter().filter(|place| *place == name).count();
    [on("a"), on("b")]
}

#[test]
fn lots_are_drawn_by_weight_and_alike_from_the_same_seed() {
    let drawn = shares([9, 1], 300);
    assert!((240..=295).contains(&drawn[0]) && drawn[0] + drawn[1] == 300, "{drawn:?}");
    assert_eq!(drawn, shares([9, 1], 300));
    assert_eq!(shares([0, 1], 20), [0, 20]);
    assert!(shares([0, 0], 100).iter().all(|share| *share > 25), "without weights all are equal");
}

#[test]
fn what_is_bound_is_drained_model_by_model_except_by_lot() {
    for strategy in PUSH {
        let mut house = house(strategy, vec![backend("a", 1, &["m", "n"])]);
        let running = house.ask("m");
        let asked = ["n", "m"].map(|model| house.ask(model));
        house.complete(running);
        let order = super::order_of_service(&mut house, &asked);
        assert_eq!(order, if strategy == Random { [1, 2] } else { [2, 1] }, "{strategy:?}");
    }
}
