//! What the first rule must do: drain, then switch; first come first served; the best idle backend.

use ipc_proto::control::{Ending, LoadedModel, ProbeReport};
use ipc_proto::ids::{ModelName, RequestId};

use super::{House, backend, catalog, cloud};
use crate::scheduler::catalog::Strategy;

/// Asks for `models`, one after the other, while one backend is busy with `current`; gives the order of service.
fn order_of_service(offered: &[&str], current: &str, models: &[&str]) -> Vec<usize> {
    let mut house = House::with(vec![backend("a", 1, offered)]);
    let first = house.ask(current);
    house.begin(first);
    let waiting: Vec<RequestId> = models.iter().map(|model| house.ask(model)).collect();
    house.finish(first, Ending::Complete, Some(200));
    house.close(first, 200, None);
    let mut served = Vec::new();
    while let Some(next) =
        waiting.iter().position(|id| house.scheduler.record(house.now, *id).is_some_and(|_| house.runs(*id)))
    {
        served.push(next + 1);
        house.complete(waiting[next]);
    }
    served
}

#[test]
fn sch_02_the_current_model_is_drained_before_a_switch() {
    assert_eq!(order_of_service(&["m1", "m2"], "m1", &["m1", "m2", "m1"]), [1, 3, 2]);
    assert_eq!(order_of_service(&["q", "l"], "q", &["q", "l", "q", "l"]), [1, 3, 2, 4]);
}

#[test]
fn sch_03_one_model_is_served_first_come_first_served() {
    assert_eq!(order_of_service(&["m1"], "m1", &["m1", "m1", "m1"]), [1, 2, 3]);
}

#[test]
fn sch_01_ten_at_once_on_one_slot_never_run_together() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let mut asked: Vec<RequestId> = (0..10).map(|_| house.ask("m")).collect();
    for _ in 0..10 {
        assert_eq!(house.view("a").slots_used, 1);
        let at = asked.iter().position(|id| house.runs(*id)).unwrap();
        assert_eq!(at, 0, "in order of arrival");
        house.complete(asked.remove(at));
    }
    assert_eq!((house.view("a").slots_used, house.ended().len()), (0, 10));
}

#[test]
fn the_best_idle_backend_that_has_the_model_gets_the_request() {
    let three = || vec![backend("a", 100, &["m"]), backend("b", 200, &["m"]), backend("c", 300, &["m"])];
    let mut house = House::with(three());
    let asked: Vec<RequestId> = (0..4).map(|_| house.ask("m")).collect();
    let places: Vec<String> = asked.iter().map(|id| house.place(*id)).collect();
    assert_eq!(places, ["a", "b", "c", ""]);
    let mut house = House::with(vec![backend("a", 100, &["other"]), backend("b", 200, &["m"])]);
    let asked = house.ask("m");
    assert_eq!(house.place(asked), "b");
}

#[test]
fn sch_10_two_requests_within_a_millisecond_keep_two_idle_backends_busy() {
    for round in 0..1000_u64 {
        let models = ["m", "n"];
        let one_of = |bit: u64| models[usize::from(round & bit != 0)];
        let priorities = if round & 1 == 0 { (1, 2) } else { (2, 1) };
        let offered = |priority, name| backend(name, priority, &models);
        let mut house = House::with(vec![offered(priorities.0, "a"), offered(priorities.1, "b")]);
        // What has gone before, and so which models are loaded, differs, too.
        for _ in 0..round % 3 {
            let warming = [house.ask(one_of(2)), house.ask(one_of(4))];
            house.complete(warming[0]);
            if round & 8 == 0 {
                house.complete(warming[1]);
            } else {
                house.finish(warming[1], Ending::Cancelled, None);
                house.close(warming[1], 499, None);
            }
        }
        assert_eq!((house.view("a").slots_used, house.view("b").slots_used), (0, 0), "round {round}");
        let first = house.ask(one_of(16));
        house.pass_micros(round);
        let second = house.ask(one_of(32));
        let mut places = [house.place(first), house.place(second)];
        places.sort();
        assert_eq!(places, ["a", "b"], "round {round}");
        assert_eq!((house.view("a").slots_used, house.view("b").slots_used), (1, 1), "round {round}");
        assert!(house.runs(first) && house.runs(second));
    }
}

#[test]
fn the_cloud_comes_after_an_idle_better_backend_and_before_waiting() {
    let mut house = House::with(vec![backend("local", 1, &["m", "n"]), cloud("cloud", 9, &["m", "n"])]);
    let asked: Vec<RequestId> = ["m", "m", "n"].iter().map(|model| house.ask(model)).collect();
    let places: Vec<String> = asked.iter().map(|id| house.place(*id)).collect();
    assert_eq!(places, ["local", "cloud", "cloud"]);
    let mut house = House::with(vec![backend("local", 9, &["m"]), cloud("cloud", 1, &["m"])]);
    let asked = house.ask("m");
    assert_eq!((house.place(asked).as_str(), house.record(asked).swap), ("cloud", false));
}

#[test]
fn sch_16_four_slots_run_four_of_one_model_at_once_and_a_switch_waits_for_all() {
    let mut wide = backend("a", 1, &["m", "n"]);
    wide.slots = Some(4);
    let mut house = House::with(vec![wide]);
    let many: Vec<RequestId> = (0..5).map(|_| house.ask("m")).collect();
    let other = house.ask("n");
    assert_eq!(house.view("a").slots_used, 4);
    for id in &many[..4] {
        house.complete(*id);
    }
    assert!(house.runs(many[4]) && !house.runs(other), "one of m still runs");
    house.complete(many[4]);
    assert!(house.runs(other) && house.record(other).swap);
}

#[test]
fn sch_11_swaps_are_counted_when_they_come_true() {
    let mut house = House::with(vec![backend("a", 1, &["m", "n"])]);
    for (model, is_swap) in [("m", true), ("m", false), ("n", true), ("m", true)] {
        let id = house.ask(model);
        assert_eq!(house.record(id).swap, is_swap);
        house.complete(id);
    }
    assert_eq!((house.scheduler.counters().swaps, house.view("a").swaps), (3, 3));
    let refused = house.ask("n");
    assert!(house.view("a").loading);
    house.finish(refused, Ending::Declined, Some(404));
    house.close(refused, 404, None);
    assert_eq!((house.view("a").current_model.as_str(), house.scheduler.counters().swaps), ("m", 3));
    assert_eq!(
        house.ended().last().map(|record| (record.swap, record.error_code.clone())),
        Some((false, "backend_declined".to_owned()))
    );
}

#[test]
fn what_the_backend_says_is_loaded_counts_when_it_is_idle() {
    let mut catalog = catalog(vec![backend("a", 1, &["m", "n"]), backend("b", 2, &["m", "n"])]);
    catalog.strategy = Strategy::ModelAffinityLeastBusy;
    let mut house = House::of(catalog);
    let report = |loaded: &str| ProbeReport {
        models: Ok(Vec::new()),
        loaded: Some(vec![LoadedModel { id: ModelName::new(loaded), context: None }]),
        slots: None,
        max_models: None,
        took_us: 0,
    };
    house.told(1, 1, report("n"));
    let asked = house.ask("n");
    assert_eq!((house.place(asked).as_str(), house.record(asked).swap), ("b", false));
    house.told(1, 1, report("m"));
    assert_eq!(house.view("b").current_model, "n", "not while it is busy");
}

#[test]
fn a_new_request_does_not_wake_what_cannot_serve_it() {
    let mut house = House::of(catalog(vec![backend("a", 1, &["m1"]), backend("b", 2, &["mX"])]));
    let held = house.ask("mX");
    let waiting = house.ask("mX");
    let (first, second) = (house.ask("m1"), house.ask("m1"));
    assert_eq!(
        (house.place(held), house.place(waiting), house.place(first)),
        ("b".into(), String::new(), "a".into())
    );
    house.complete(first);
    assert!(house.runs(second) && !house.runs(waiting));
}
