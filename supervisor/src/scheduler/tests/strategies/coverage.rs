//! `preserve_model_coverage`: the last copy of a model stays while somebody waits for it.

use ipc_proto::control::ProbeFailureKind;
use ipc_proto::failure::FailureKind;

use super::{House, backend, equals, order_after, places, under, warmed};
use crate::scheduler::Order;
use crate::scheduler::catalog::Strategy::PreserveModelCoverage;

/// Two backends at m1, both busy, and then requests for `models`.
fn two_holders(models: &[&str]) -> (House, [ipc_proto::ids::RequestId; 2], Vec<ipc_proto::ids::RequestId>) {
    let catalog = under(PreserveModelCoverage, equals(&[("a", 1), ("b", 2)], &["m1", "m2"]));
    let mut house = warmed(catalog, &[(0, "m1"), (1, "m1")]);
    let running = [house.ask("m1"), house.ask("m1")];
    let waiting = models.iter().map(|model| house.ask(model)).collect();
    (house, running, waiting)
}

#[test]
fn sch_08_the_sole_holder_with_work_keeps_its_model() {
    let one = || under(PreserveModelCoverage, vec![backend("a", 1, &["m1", "m2"])]);
    assert_eq!(order_after(one(), "m1", &["m2", "m1"]), [2, 1]);
    assert_eq!(order_after(one(), "m1", &["m1", "m2"]), [1, 2], "the first is for its model anyway");
}

#[test]
fn sch_08_the_sole_holder_without_work_takes_the_head() {
    let one = under(PreserveModelCoverage, vec![backend("a", 1, &["m1", "m2", "m3"])]);
    assert_eq!(order_after(one, "m1", &["m2", "m3"]), [1, 2]);
}

#[test]
fn sch_08_one_of_two_holders_takes_the_head() {
    let (mut house, running, waiting) = two_holders(&["m2", "m1"]);
    house.complete(running[0]);
    assert_eq!(places(&house, &waiting), ["a", ""]);
    assert!(house.record(waiting[0]).swap);
    assert_eq!(house.record(waiting[0]).reason, "turn");
}

#[test]
fn sch_08_who_holds_nothing_takes_the_head() {
    let mut house = House::of(under(PreserveModelCoverage, vec![backend("a", 1, &["m1", "m2"])]));
    let asked = ["m2", "m1"].map(|model| house.ask(model));
    assert_eq!(places(&house, &asked), ["a", ""]);
}

#[test]
fn sch_08_what_failed_here_is_no_head() {
    let catalog =
        under(PreserveModelCoverage, vec![backend("a", 1, &["m1", "m2"]), backend("b", 2, &["m2"])]);
    let mut house = House::of(catalog);
    let (failing, on_b) = (house.ask("m2"), house.ask("m2"));
    house.fail_with(failing, FailureKind::ServerError);
    let running = house.ask("m1");
    house.pass(1000);
    let next = house.ask("m1");
    house.complete(running);
    assert_eq!(places(&house, &[next, on_b]), ["a", "b"]);
    assert!(!house.runs(failing), "the head of all, but not for a");
}

#[test]
fn sd_07_of_two_holders_only_one_leaves() {
    let (mut house, running, waiting) = two_holders(&["m2", "m2", "m1"]);
    house.complete(running[0]);
    house.complete(running[1]);
    assert_eq!(places(&house, &waiting), ["a", "", "b"], "b has become the last that holds m1");
    house.complete(waiting[2]);
    assert_eq!(house.place(waiting[1]), "b", "now nobody waits for m1");
}

#[test]
fn a_holder_that_cannot_be_used_is_none() {
    for goes_down in [false, true] {
        let (mut house, running, waiting) = two_holders(&["m2", "m1"]);
        house.begin(running[1]);
        if goes_down {
            for _ in 0..3 {
                house.probe(1, 1, Err(ProbeFailureKind::Unreachable));
            }
        } else {
            house.order(Order::Drain { backend: "b".to_owned() }).unwrap();
        }
        house.complete(running[0]);
        assert_eq!(places(&house, &waiting), ["", "a"], "down: {goes_down}");
    }
}

#[test]
fn what_need_not_load_is_no_copy() {
    let local = backend("a", 1, &["m1", "m2"]);
    let cloud = super::wide(super::cloud("b", 2, &["m1", "m2"]), 1);
    let mut house = warmed(under(PreserveModelCoverage, vec![local, cloud]), &[(0, "m1"), (1, "m1")]);
    let running = [house.ask("m1"), house.ask("m1")];
    let waiting = ["m2", "m1"].map(|model| house.ask(model));
    house.complete(running[0]);
    assert_eq!(places(&house, &waiting), ["", "a"]);
}
