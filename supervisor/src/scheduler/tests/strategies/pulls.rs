//! Backends that look into a common queue: which of them does, and what it finds.

use ipc_proto::failure::FailureKind;
use ipc_proto::ids::RequestId;

use super::{House, PULL, backend, equals, house, places, under, warmed};
use crate::scheduler::catalog::Strategy;

#[test]
fn sch_07_the_best_idle_backend_looks_first() {
    for strategy in PULL {
        let mut house = house(strategy, equals(&[("c", 300), ("a", 100), ("b", 200)], &["m"]));
        let asked: Vec<RequestId> = (0..4).map(|_| house.ask("m")).collect();
        assert_eq!(places(&house, &asked), ["a", "b", "c", ""], "{strategy:?}");
        let mut house =
            super::house(strategy, vec![backend("a", 100, &["other"]), backend("b", 200, &["m"])]);
        let asked = house.ask("m");
        assert_eq!(house.place(asked), "b", "{strategy:?}");
    }
}

#[test]
fn the_best_idle_backend_looks_first_even_if_another_has_the_model() {
    for strategy in PULL {
        let two = equals(&[("a", 100), ("b", 200)], &["m", "n"]);
        let mut house = warmed(under(strategy, two), &[(0, "n"), (1, "m")]);
        let asked = house.ask("m");
        assert_eq!((house.place(asked).as_str(), house.record(asked).swap), ("a", true), "{strategy:?}");
    }
}

#[test]
fn sch_10_sd_02_two_within_a_millisecond_keep_two_idle_backends_busy() {
    for strategy in PULL {
        for round in 0..1000_u64 {
            let one_of = |bit: u64| if round & bit == 0 { "m" } else { "n" };
            let priorities = if round & 1 == 0 { (1, 2) } else { (2, 1) };
            let two = equals(&[("a", priorities.0), ("b", priorities.1)], &["m", "n"]);
            let mut house = house(strategy, two);
            for _ in 0..round % 3 {
                let warming = house.ask(one_of(2));
                house.complete(warming);
            }
            let first = house.ask(one_of(4));
            house.pass_micros(round);
            let second = house.ask(one_of(8));
            let mut places = places(&house, &[first, second]);
            places.sort();
            assert_eq!(places, ["a", "b"], "{strategy:?}, round {round}");
        }
    }
}

#[test]
fn a_backend_takes_only_what_it_can_serve() {
    for strategy in PULL {
        let mut house = house(strategy, vec![backend("a", 1, &["m1"]), backend("b", 2, &["mX"])]);
        let held = house.ask("mX");
        let asked = ["mX", "m1", "m1"].map(|model| house.ask(model));
        assert_eq!(places(&house, &[held]), ["b"], "{strategy:?}");
        assert_eq!(places(&house, &asked), ["", "a", ""], "{strategy:?}");
    }
}

#[test]
fn what_failed_on_a_backend_is_left_to_the_other() {
    for strategy in PULL {
        let mut house = house(strategy, equals(&[("a", 1), ("b", 2)], &["m"]));
        let (id, on_b) = (house.ask("m"), house.ask("m"));
        house.fail_with(id, FailureKind::ServerError);
        house.pass(1000);
        assert!(!house.runs(id), "{strategy:?}: a is idle, and not for it");
        let next = house.ask("m");
        assert_eq!(house.place(next), "a", "{strategy:?}");
        house.complete(on_b);
        assert_eq!(house.place(id), "b", "{strategy:?}");
    }
}

#[test]
fn a_backend_that_becomes_free_looks_for_its_own_model_first() {
    for strategy in [Strategy::DeferredModelThenCapable, Strategy::PreserveModelCoverage] {
        let mut house = house(strategy, equals(&[("a", 1), ("b", 2)], &["m", "n"]));
        let (on_a, on_b) = (house.ask("m"), house.ask("n"));
        let asked = ["m", "n"].map(|model| house.ask(model));
        house.complete(on_b);
        assert_eq!(places(&house, &asked), ["", "b"], "{strategy:?}");
        house.complete(on_a);
        assert_eq!(places(&house, &asked), ["a", "b"], "{strategy:?}");
    }
}

#[test]
fn a_backend_that_need_not_load_goes_by_arrival() {
    for strategy in PULL {
        let mut catalog = under(strategy, vec![super::wide(super::cloud("a", 1, &["m", "n"]), 1)]);
        catalog.knobs.max_consecutive_per_model = 1;
        let mut house = House::of(catalog);
        let running = house.ask("m");
        let asked = ["n", "m", "m", "n"].map(|model| house.ask(model));
        house.complete(running);
        assert_eq!(super::order_of_service(&mut house, &asked), [1, 2, 3, 4], "{strategy:?}");
    }
}
