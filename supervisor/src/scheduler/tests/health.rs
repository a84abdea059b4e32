//! When a backend is up, when it is down, how it comes back, and what clients are told of it.

use ipc_proto::control::{ProbeFailureKind as Kind, ToWorker};
use ipc_proto::ids::{BackendId, WorkerId};

use super::house::aliased;
use super::{House, backend, catalog, cloud};
use crate::scheduler::{Effect, Note};

fn unread() -> crate::scheduler::catalog::Backend {
    crate::scheduler::catalog::Backend { models: None, ..cloud("a", 1, &[]) }
}

fn health(house: &House) -> String {
    house.view("a").health
}

fn probes(house: &House) -> usize {
    let worker = WorkerId { backend: BackendId(0), generation: 1 };
    house.seen.iter().filter(|effect| **effect == Effect::ToWorker(worker, ToWorker::Probe)).count()
}

#[test]
fn dis_02_so_many_failed_probes_in_a_row_take_a_backend_down_and_one_good_one_brings_it_back() {
    let mut house = House::with(vec![unread()]);
    house.probe(0, 1, Ok(&["m"]));
    for failures in [2, 2, 3] {
        for _ in 0..failures {
            house.probe(0, 1, Err(Kind::Status(500)));
        }
        assert_eq!(health(&house), if failures == 3 { "down" } else { "up" });
        house.probe(0, 1, Ok(&["m"]));
        assert_eq!(health(&house), "up");
    }
}

#[test]
fn the_first_look_decides_at_once() {
    let mut house = House::with(vec![unread()]);
    assert_eq!(health(&house), "unknown");
    house.probe(0, 1, Err(Kind::Unreachable));
    assert_eq!((health(&house), house.view("a").reason), ("down".to_owned(), "no luck".to_owned()));
}

#[test]
fn dis_04_configured_models_need_no_look_and_forgive_a_strange_list() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    assert_eq!(health(&house), "up");
    for _ in 0..5 {
        house.probe(0, 1, Err(Kind::Shape));
    }
    assert_eq!(health(&house), "up");
    house.probe(0, 1, Ok(&["other"]));
    assert_eq!(house.view("a").models, ["m"]);
}

#[test]
fn busy_is_not_dead() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    let id = house.ask("m");
    house.begin(id);
    for _ in 0..9 {
        house.probe(0, 1, Err(Kind::Timeout));
    }
    assert_eq!(health(&house), "up");
    house.complete(id);
    for _ in 0..3 {
        house.probe(0, 1, Err(Kind::Timeout));
    }
    assert_eq!(health(&house), "down");
}

#[test]
fn dis_10_a_backend_that_is_down_is_looked_at_ever_more_rarely_even_without_discovery() {
    let mut quiet = catalog(vec![unread()]);
    quiet.health.probe_interval_ms = None;
    let mut house = House::of(quiet);
    house.probe(0, 1, Err(Kind::Unreachable));
    for (after_ms, expected) in
        [(999, 0), (1, 1), (2000, 2), (4000, 3), (8000, 4), (16_000, 5), (30_000, 6), (30_000, 7)]
    {
        house.pass(after_ms);
        assert_eq!(probes(&house), expected, "after {after_ms}");
        if expected > 0 {
            house.probe(0, 1, Err(Kind::Unreachable));
        }
    }
    house.probe(0, 1, Ok(&["m"]));
    assert_eq!((health(&house), house.scheduler.next_deadline()), ("up".to_owned(), None));
}

#[test]
fn dis_05_no_models_is_odd_but_up() {
    let mut house = House::with(vec![unread()]);
    house.probe(0, 1, Ok(&[]));
    assert_eq!(health(&house), "up");
    let odd = |effect: &Effect| matches!(effect, Effect::Note(Note::BackendOdd { .. }));
    assert_eq!(house.seen.iter().filter(|effect| odd(effect)).count(), 1);
}

#[test]
fn the_directory_is_published_when_it_changes_and_only_then() {
    let two = catalog(vec![
        cloud("b", 2, &["n", "m"]),
        crate::scheduler::catalog::Backend { models: None, ..cloud("a", 1, &[]) },
    ]);
    let mut house = House::of(aliased(two, "fast", "m", Some(0)));
    house.seen.clear();
    let published = |house: &House| {
        house.seen.iter().rev().find_map(|effect| match effect {
            Effect::Publish(directory) => Some((**directory).clone()),
            _ => None,
        })
    };
    assert_eq!(published(&house), None, "one backend has not been looked at");
    house.probe(1, 1, Ok(&["m"]));
    let directory = published(&house).unwrap();
    let listed: Vec<(String, Vec<String>)> =
        directory.models.iter().map(|model| (model.id.to_string(), model.served_by.clone())).collect();
    let named =
        |id: &str, by: &[&str]| (id.to_owned(), by.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(listed, [named("m", &["a", "b"]), named("n", &["b"]), named("fast", &["b"])]);
    assert_eq!((directory.ready, directory.backends_up, directory.backends), (true, 2, 2));
    assert_eq!(
        (directory.models[0].created, directory.models[0].owned_by.as_str()),
        (1_700_000_000, "proxylm")
    );
    house.seen.clear();
    house.probe(1, 1, Ok(&["m"]));
    assert_eq!(published(&house), None);
}

#[test]
fn the_doors_open_after_two_seconds_whoever_is_missing() {
    let mut house = House::with(vec![unread()]);
    assert_eq!(house.scheduler.phase(), "starting");
    house.pass(2000);
    assert_eq!(house.scheduler.phase(), "running");
    let shut =
        house.seen.iter().any(|effect| matches!(effect, Effect::Publish(directory) if !directory.ready));
    assert!(shut, "published, and not ready");
}
