//! Backends kept for requests that have waited: untouched until then, while another can be used.

use ipc_proto::control::ProbeFailureKind;
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::RequestId;

use super::{ALL, House, PULL, backend, cloud, house, places};
use crate::scheduler::catalog::{Backend, Overflow, Strategy};

/// A local backend, and a better one in the cloud for what has waited five seconds.
fn with_reserve(strategy: Strategy) -> House {
    let reserve = Backend { overflow: Overflow::After(5000), ..cloud("cloud", 1, &["m"]) };
    house(strategy, vec![backend("local", 900, &["m"]), reserve])
}

#[test]
fn sch_18_the_reserve_is_untouched_within_the_wait() {
    for strategy in ALL {
        let mut house = with_reserve(strategy);
        let asked: Vec<RequestId> = (0..3).map(|_| house.ask("m")).collect();
        house.pass(4999);
        assert_eq!(places(&house, &asked), ["local", "", ""], "{strategy:?}");
        let why = house.scheduler.explain(house.now, &asked[1].to_string()).unwrap();
        let verdict = if PULL.contains(&strategy) {
            "kept for what has waited 5 s"
        } else {
            "is bound to another backend"
        };
        assert!(why.decisions[0].candidates[0].verdict.contains(verdict), "{strategy:?}: {why:?}");
        house.pass(1);
        assert_eq!(
            places(&house, &asked),
            ["local", "cloud", "cloud"],
            "{strategy:?}: nothing else has happened"
        );
        assert_eq!(house.record(asked[1]).reason, "overflow", "{strategy:?}");
        house.complete(asked[0]);
        let late = house.ask("m");
        assert_eq!(house.place(late), "local", "{strategy:?}");
    }
}

#[test]
fn sch_18_the_reserve_is_used_at_once_when_nothing_else_can_be() {
    for strategy in ALL {
        let mut house = with_reserve(strategy);
        let (running, waiting) = (house.ask("m"), house.ask("m"));
        house.begin(running);
        for _ in 0..3 {
            house.probe(0, 1, Err(ProbeFailureKind::Unreachable));
        }
        assert_eq!(house.place(waiting), "cloud", "{strategy:?}");
        let next = house.ask("m");
        assert_eq!(house.place(next), "cloud", "{strategy:?}");
    }
}

#[test]
fn sch_18_what_was_bound_to_the_reserve_goes_back_when_another_can_be_used_again() {
    for strategy in ALL {
        let reserve =
            Backend { overflow: Overflow::After(5000), ..super::wide(cloud("cloud", 1, &["m"]), 1) };
        let mut house = house(strategy, vec![backend("local", 900, &["m"]), reserve]);
        for _ in 0..3 {
            house.probe(0, 1, Err(ProbeFailureKind::Unreachable));
        }
        let asked = [house.ask("m"), house.ask("m")];
        assert_eq!(places(&house, &asked), ["cloud", ""], "{strategy:?}");
        house.probe(0, 1, Ok(&["m"]));
        assert_eq!(places(&house, &asked), ["cloud", "local"], "{strategy:?}");
    }
}

#[test]
fn a_retry_goes_to_the_reserve_rather_than_back() {
    for strategy in ALL {
        let mut house = with_reserve(strategy);
        let id = house.ask("m");
        house.fail_with(id, FailureKind::ServerError);
        house.pass(1000);
        assert_eq!(house.place(id), "cloud", "{strategy:?}");
    }
}
