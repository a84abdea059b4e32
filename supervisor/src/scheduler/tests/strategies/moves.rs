//! Requests that are bound and move: because their backend cannot be used, or because another has nothing to do.

use ipc_proto::control::ProbeFailureKind;
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::RequestId;

use super::{House, PUSH, backend, cloud, equals, house, places, under, warmed, wide};
use crate::scheduler::catalog::Strategy::{self, LeastBusy, ModelAffinityLeastBusy, Random, RoundRobin};
use crate::scheduler::{Event, Order};
use ipc_proto::ids::{BackendId, WorkerId};

/// Two backends with `slots`, and so many requests that some wait for each.
fn crowded(strategy: Strategy) -> (House, Vec<RequestId>) {
    let mut house = house(strategy, equals(&[("a", 1), ("b", 2)], &["m"]));
    let asked: Vec<RequestId> = (0..8).map(|_| house.ask("m")).collect();
    for id in asked.iter().filter(|id| !house.place(**id).is_empty()).copied().collect::<Vec<_>>() {
        house.begin(id);
    }
    (house, asked)
}

/// Completes what runs on b until nothing waits; gives how many ran there in all.
fn all_on_b(house: &mut House, asked: &[RequestId]) -> usize {
    for _ in 0..asked.len() {
        let running = asked.iter().find(|id| house.grant_is_live(**id) && house.place(**id) == "b").copied();
        let Some(running) = running else { break };
        house.complete(running);
    }
    asked.iter().filter(|id| house.place(**id) == "b").count()
}

#[test]
fn sch_21_sd_13_what_waits_for_a_backend_that_discovery_marks_down_moves() {
    for strategy in PUSH {
        let (mut house, asked) = crowded(strategy);
        let on_a = asked.iter().filter(|id| house.place(**id) == "a").count();
        for _ in 0..3 {
            house.probe(0, 1, Err(ProbeFailureKind::Unreachable));
        }
        house.probe(1, 1, Ok(&["m"]));
        assert_eq!(
            all_on_b(&mut house, &asked),
            asked.len() - on_a,
            "{strategy:?}: what runs on a goes on there"
        );
        assert!(
            house.ended().iter().all(|record| record.attempts == 1),
            "{strategy:?}: a move is no attempt"
        );
    }
}

#[test]
fn sd_05_what_comes_just_after_a_backend_went_down_does_not_wait_for_it() {
    for strategy in PUSH {
        let (mut house, mut asked) = crowded(strategy);
        let failing = asked.iter().find(|id| house.place(**id) == "a").copied();
        let Some(failing) = failing else { continue };
        house.fail_with(failing, FailureKind::Unreachable);
        asked.retain(|id| *id != failing);
        asked.push(house.ask("m"));
        house.pass(1000);
        asked.push(failing);
        assert_eq!(all_on_b(&mut house, &asked), asked.len(), "{strategy:?}");
    }
}

#[test]
fn sd_13_what_waits_for_a_drained_backend_or_one_without_a_worker_moves() {
    for strategy in PUSH {
        for is_drained in [true, false] {
            let (mut house, asked) = crowded(strategy);
            let on_a = asked.iter().filter(|id| house.place(**id) == "a").count();
            if is_drained {
                house.order(Order::Drain { backend: "a".to_owned() }).unwrap();
            } else {
                house.tell(Event::WorkerGone { worker: WorkerId { backend: BackendId(0), generation: 1 } });
            }
            assert_eq!(all_on_b(&mut house, &asked), asked.len() - on_a, "{strategy:?}, {is_drained}");
        }
    }
}

#[test]
fn sd_13_what_waits_for_a_backend_that_lost_the_model_moves() {
    for strategy in PUSH {
        let two = equals(&[("a", 1), ("b", 2)], &["m"]).into_iter();
        let two = two.map(|backend| crate::scheduler::catalog::Backend { models: None, ..backend }).collect();
        let mut house = house(strategy, two);
        house.probe(0, 1, Ok(&["m"]));
        house.probe(1, 1, Ok(&["m"]));
        let asked: Vec<RequestId> = (0..8).map(|_| house.ask("m")).collect();
        let on_a = asked.iter().filter(|id| house.place(**id) == "a").count();
        house.probe(0, 1, Ok(&["other"]));
        assert_eq!(all_on_b(&mut house, &asked), asked.len() - on_a, "{strategy:?}");
    }
}

#[test]
fn nobody_moves_when_there_is_nowhere_to_go() {
    for strategy in PUSH {
        let mut house = house(strategy, vec![backend("a", 1, &["m"])]);
        let (running, waiting) = (house.ask("m"), house.ask("m"));
        house.begin(running);
        for _ in 0..3 {
            house.probe(0, 1, Err(ProbeFailureKind::Unreachable));
        }
        house.complete(running);
        house.probe(0, 1, Ok(&["m"]));
        assert!(house.runs(waiting), "{strategy:?}");
    }
}

#[test]
fn sd_14_least_busy_moves_what_waits_to_a_backend_with_nothing_to_do() {
    let mut house = house(LeastBusy, equals(&[("a", 1), ("b", 2)], &["m", "n"]));
    let asked = ["m", "n", "m", "m"].map(|model| house.ask(model));
    assert_eq!(places(&house, &asked), ["a", "b", "", ""], "one waits for each");
    house.complete(asked[1]);
    house.complete(asked[3]);
    assert_eq!((house.place(asked[2]).as_str(), house.record(asked[2]).reason.as_str()), ("b", "loaded"));
    assert!(house.runs(asked[0]));
}

#[test]
fn sd_14_what_waits_for_the_model_the_idle_one_is_at_moves_first() {
    let mut catalog = under(LeastBusy, equals(&[("a", 1), ("b", 2)], &["m", "n"]));
    catalog = super::super::house::aliased(catalog, "m@a", "m", Some(0));
    let mut house = warmed(catalog, &[(1, "n")]);
    let running = [house.ask("m@a"), house.ask("n")];
    let more = [house.ask("m"), house.ask("m@a")];
    let last = house.ask("n");
    assert_eq!(places(&house, &running), ["a", "b"]);
    house.complete(running[1]);
    // The request that was bound to b is gone; two can move, and the later one is for the model b is at.
    let on_b: Vec<RequestId> = more.into_iter().chain([last]).filter(|id| house.place(*id) == "b").collect();
    assert_eq!(on_b, [last]);
}

#[test]
fn sd_14_affinity_moves_what_nobody_holds_and_leaves_the_rest_where_it_is_held() {
    let mut house = house(ModelAffinityLeastBusy, equals(&[("a", 1), ("b", 2)], &["m", "n", "o"]));
    let running = ["m", "n"].map(|model| house.ask(model));
    let (held, unheld) = (house.ask("m"), house.ask("o"));
    assert_eq!(places(&house, &running), ["a", "b"]);
    house.complete(running[1]);
    assert_eq!(places(&house, &[held, unheld]), ["", "b"]);
    house.complete(unheld);
    assert_eq!(house.place(held), "", "a has its model");
    let mut house = super::house(ModelAffinityLeastBusy, equals(&[("a", 1), ("b", 2)], &["m", "n", "o"]));
    let running = ["m", "n"].map(|model| house.ask(model));
    let behind_a = house.ask("m");
    let unheld = ["o", "o"].map(|model| house.ask(model));
    house.complete(running[1]);
    assert_eq!(places(&house, &[unheld[0]]), ["b"]);
    assert!(!house.runs(unheld[1]), "b has become the holder of o, and is busy");
    house.complete(unheld[0]);
    assert_eq!(places(&house, &[behind_a, unheld[1]]), ["", "b"]);
}

#[test]
fn sd_14_by_turn_and_by_lot_nobody_moves_to_an_idle_one() {
    for strategy in [RoundRobin, Random] {
        let two = [cloud("a", 1, &["m"]), cloud("b", 2, &["m"])].map(|backend| wide(backend, 1));
        let mut house = house(strategy, two.to_vec());
        let asked: Vec<RequestId> = (0..40).map(|_| house.ask("m")).collect();
        // Everything on b is served; then b is idle, and what waits for a stays.
        while let Some(id) =
            asked.iter().find(|id| house.grant_is_live(**id) && house.place(**id) == "b").copied()
        {
            house.complete(id);
        }
        assert_eq!((house.view("a").slots_used, house.view("b").slots_used), (1, 0), "{strategy:?}");
        assert!(house.scheduler.queued() > 5, "{strategy:?}");
    }
}
