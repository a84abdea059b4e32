//! What holds under every strategy.

use std::sync::Arc;

use ipc_proto::control::{Class, Ending, ProbeFailureKind};
use ipc_proto::failure::{FailureKind, Wait};
use ipc_proto::ids::RequestId;

use super::super::house::FRONTEND;
use super::{
    ALL, DRAINING, House, PULL, PUSH, backend, cloud, equals, house, order_after, order_of_service, places,
    under, wide,
};
use crate::scheduler::Event;
use crate::scheduler::catalog::{Catalog, Strategy};

/// One backend with these models.
fn one(strategy: Strategy, models: &[&str]) -> Catalog {
    under(strategy, vec![backend("a", 1, models)])
}

fn fails(house: &mut House, backend: u32, times: usize) {
    for _ in 0..times {
        house.probe(backend, 1, Err(ProbeFailureKind::Unreachable));
    }
}

#[test]
fn sch_01_ten_at_once_on_one_slot_never_run_together() {
    for strategy in ALL {
        let mut house = House::of(one(strategy, &["m"]));
        let asked: Vec<RequestId> = (0..10).map(|_| house.ask("m")).collect();
        for id in &asked {
            let running: Vec<&RequestId> = asked.iter().filter(|id| house.grant_is_live(**id)).collect();
            assert_eq!(running, [id], "{strategy:?}");
            house.complete(*id);
        }
        assert_eq!(house.ended().len(), 10);
    }
}

#[test]
fn sch_02_the_current_model_is_drained_before_a_switch() {
    for strategy in DRAINING {
        let order = order_after(one(strategy, &["m1", "m2"]), "m1", &["m1", "m2", "m1"]);
        assert_eq!(order, [1, 3, 2], "{strategy:?}");
        let order = order_after(one(strategy, &["q", "l"]), "q", &["q", "l", "q", "l"]);
        assert_eq!(order, [1, 3, 2, 4], "{strategy:?}");
    }
}

#[test]
fn sch_02_where_nothing_is_drained_it_goes_strictly_by_arrival() {
    for strategy in [Strategy::Fifo, Strategy::Random] {
        let order = order_after(one(strategy, &["m1", "m2"]), "m1", &["m1", "m2", "m1"]);
        assert_eq!(order, [1, 2, 3], "{strategy:?}");
        // Not even a free slot may be used by one that came later.
        let mut house = house(strategy, vec![wide(backend("a", 1, &["m", "n"]), 2)]);
        let asked = ["m", "n", "m"].map(|model| house.ask(model));
        assert_eq!(places(&house, &asked), ["a", "", ""], "{strategy:?}");
        assert_eq!(order_of_service(&mut house, &asked), [1, 2, 3], "{strategy:?}");
    }
}

#[test]
fn sch_03_one_model_is_served_first_come_first_served() {
    for strategy in ALL {
        assert_eq!(order_after(one(strategy, &["m1"]), "m1", &["m1"; 3]), [1, 2, 3], "{strategy:?}");
    }
}

#[test]
fn classes_are_not_told_apart() {
    for strategy in ALL {
        let mut house = House::of(one(strategy, &["m"]));
        let running = house.ask("m");
        let mut batch = house.admission("m");
        batch.class = Some(Class::Batch);
        let asked = [house.admit(batch), house.ask("m")];
        house.complete(running);
        assert_eq!(order_of_service(&mut house, &asked), [1, 2], "{strategy:?}");
    }
}

#[test]
fn sch_11_sd_01_a_swap_is_told_exactly_on_switches() {
    for strategy in ALL {
        let mut house = House::of(one(strategy, &["m", "n"]));
        for (model, is_swap) in [("m", true), ("m", false), ("n", true), ("n", false), ("m", true)] {
            let id = house.ask(model);
            assert_eq!(house.record(id).swap, is_swap, "{strategy:?}");
            house.complete(id);
        }
        assert_eq!(house.scheduler.counters().swaps, 3, "{strategy:?}");
    }
}

#[test]
fn sd_08_an_attempt_that_loaded_nothing_leaves_the_backend_at_its_model() {
    for strategy in DRAINING {
        let mut catalog = one(strategy, &["m", "n"]);
        catalog.retry.max_attempts = 1;
        let mut house = House::of(catalog);
        let first = house.ask("m");
        house.complete(first);
        let refused = house.ask("n");
        let asked = ["n", "m"].map(|model| house.ask(model));
        house.finish(refused, Ending::Declined, Some(404));
        house.close(refused, 404, None);
        assert_eq!(order_of_service(&mut house, &asked), [2, 1], "{strategy:?}: it is still at m");
        assert_eq!(house.view("a").swaps, 2, "{strategy:?}");
    }
}

#[test]
fn sch_12_sd_03_who_waits_when_every_backend_goes_is_refused_in_time() {
    for strategy in ALL {
        let mut house = house(strategy, equals(&[("a", 1), ("b", 2)], &["m"]));
        let asked: Vec<RequestId> = (0..5).map(|_| house.ask("m")).collect();
        fails(&mut house, 0, 3);
        fails(&mut house, 1, 3);
        let (running, waiting): (Vec<RequestId>, Vec<RequestId>) =
            asked.into_iter().partition(|id| house.grant_is_live(*id));
        for id in running {
            house.begin(id);
        }
        house.pass(9999);
        let kind = |house: &House, id| house.refusal(id).map(|failure| failure.kind);
        assert!(waiting.len() >= 3 && waiting.iter().all(|id| kind(&house, *id).is_none()), "{strategy:?}");
        house.pass(1);
        assert!(waiting.iter().all(|id| kind(&house, *id) == Some(FailureKind::NoBackend)), "{strategy:?}");
    }
}

#[test]
fn sch_13_sd_04_the_backend_that_failed_a_request_is_used_when_the_other_goes() {
    for strategy in ALL {
        // The other is busy for as long as it takes.
        let mut catalog = under(strategy, equals(&[("a", 1), ("b", 2)], &["m"]));
        catalog = super::super::house::aliased(catalog, "m@b", "m", Some(1));
        let mut house = House::of(catalog);
        let busy = house.ask("m@b");
        house.begin(busy);
        let id = house.ask("m");
        if house.place(id).is_empty() {
            // Bound to the busy one: by turn or by lot.
            continue;
        }
        house.fail_with(id, FailureKind::ServerError);
        house.pass(2000);
        assert!(!house.runs(id), "{strategy:?}: there is another");
        fails(&mut house, 1, 3);
        assert_eq!((house.runs(id), house.place(id).as_str()), (true, "a"), "{strategy:?}");
    }
}

#[test]
fn sd_06_a_retry_keeps_its_place() {
    for strategy in ALL {
        let mut house = House::of(one(strategy, &["m"]));
        let asked: Vec<RequestId> = (0..3).map(|_| house.ask("m")).collect();
        house.fail_with(asked[0], FailureKind::ServerError);
        assert!(house.runs(asked[1]), "{strategy:?}: the slot is not kept for it");
        house.pass(1000);
        house.complete(asked[1]);
        assert!(house.runs(asked[0]) && !house.runs(asked[2]), "{strategy:?}");
    }
}

#[test]
fn sd_10_a_slow_answer_takes_nobody_down_and_moves_nobody() {
    for strategy in ALL {
        let mut house = House::of(one(strategy, &["m"]));
        let (slow, waiting) = (house.ask("m"), house.ask("m"));
        house.fail_with(slow, FailureKind::Timeout(Wait::FirstEvent));
        assert_eq!(house.view("a").health, "up", "{strategy:?}");
        assert!(house.runs(waiting), "{strategy:?}");
        assert_eq!(house.record(waiting).attempts, 1, "{strategy:?}: the failure of another costs nothing");
    }
}

#[test]
fn sch_14_a_backend_that_is_down_gets_nothing_and_goes_on_when_it_is_back() {
    for strategy in ALL {
        let mut house = House::of(one(strategy, &["m"]));
        let (running, waiting) = (house.ask("m"), house.ask("m"));
        house.begin(running);
        fails(&mut house, 0, 3);
        house.complete(running);
        assert!(!house.runs(waiting), "{strategy:?}");
        house.probe(0, 1, Ok(&["m"]));
        assert!(house.runs(waiting), "{strategy:?}: nobody else has come");
    }
}

#[test]
fn sch_16_sd_11_four_slots_run_four_at_once() {
    for strategy in ALL {
        let mut house = house(strategy, vec![wide(backend("a", 1, &["m", "n"]), 4)]);
        let asked: Vec<RequestId> = (0..5).map(|_| house.ask("m")).collect();
        let running = |house: &House| asked.iter().filter(|id| house.runs(**id)).count();
        assert_eq!(running(&house), 4, "{strategy:?}");
        let other = house.ask("n");
        for id in &asked[..4] {
            house.complete(*id);
        }
        assert!(!house.runs(other), "{strategy:?}: one of m still runs");
        house.complete(asked[4]);
        assert!(house.runs(other), "{strategy:?}");
        // Where a change costs nothing, different models run side by side.
        let mut house = super::house(strategy, vec![cloud("a", 1, &["m", "n"])]);
        let asked = ["m", "n", "m", "n"].map(|model| house.ask(model));
        assert_eq!(places(&house, &asked), ["a"; 4], "{strategy:?}");
        assert!(asked.iter().all(|id| !house.record(*id).swap), "{strategy:?}");
    }
}

#[test]
fn two_models_at_once_stay_side_by_side() {
    for strategy in ALL {
        let mut two = wide(backend("a", 1, &["m", "n", "o"]), 2);
        two.max_models = Some(2);
        let mut house = house(strategy, vec![two]);
        let asked = ["m", "n"].map(|model| house.ask(model));
        assert_eq!(places(&house, &asked), ["a"; 2], "{strategy:?}");
        house.complete(asked[0]);
        house.complete(asked[1]);
        let again = ["m", "n"].map(|model| house.ask(model));
        assert!(again.iter().all(|id| !house.record(*id).swap), "{strategy:?}");
        house.complete(again[0]);
        let third = house.ask("o");
        assert!(house.record(third).swap, "{strategy:?}: m makes room");
        house.complete(again[1]);
        let kept = house.ask("n");
        assert!(!house.record(kept).swap, "{strategy:?}: n was used after m, and stays");
    }
}

#[test]
fn who_waits_stays_when_the_strategy_changes() {
    for (before, after) in PUSH.into_iter().flat_map(|push| PULL.map(|pull| (push, pull))) {
        for (before, after) in [(before, after), (after, before)] {
            let backends = || equals(&[("a", 1), ("b", 2)], &["m"]);
            let mut house = house(before, backends());
            let asked: Vec<RequestId> = (0..6).map(|_| house.ask("m")).collect();
            house.tell(Event::Reconfigured(Arc::new(under(after, backends()))));
            for _ in 0..6 {
                let running = asked.iter().find(|id| house.grant_is_live(**id)).copied();
                house.complete(running.expect("somebody runs"));
            }
            assert_eq!(house.ended().len(), 6, "{before:?} to {after:?}");
        }
    }
}

#[test]
fn a_client_that_leaves_makes_way() {
    for strategy in ALL {
        let mut house = house(strategy, vec![wide(backend("a", 1, &["m", "n"]), 2)]);
        let (first, in_the_way) = (house.ask("m"), house.ask("n"));
        let next = house.ask("m");
        house.tell(Event::Withdraw { frontend: FRONTEND, request: in_the_way });
        assert!(house.runs(first) && house.runs(next), "{strategy:?}");
    }
}

#[test]
fn who_asks_why_is_told_what_comes_first() {
    for strategy in ALL {
        let mut two = backend("a", 1, &["m", "n"]);
        two.max_models = Some(2);
        let mut house = house(strategy, vec![two]);
        let (_, first, id) = (house.ask("m"), house.ask("m"), house.ask("n"));
        assert!(!house.runs(first) && !house.runs(id));
        let explained = house.scheduler.explain(house.now, &id.to_string()).unwrap();
        let verdict = explained.decisions.last().map(|it| it.candidates[0].verdict.clone());
        let comes_first = verdict.unwrap().starts_with("first serves what waits for m");
        assert_eq!(comes_first, DRAINING.contains(&strategy), "{strategy:?}");
    }
}
