//! The scheduler against a modelled world: frontends, workers, links and backends that are slow, die, hang, refuse and
//! overlap, clients that leave, operators that drain, cancel, restart and stop.
//!
//! A run is one seed. `PROXYLM_SIM_SEED=7` replays seed 7 with every event printed; `PROXYLM_SIM_SEEDS=10000` runs so
//! many. The second half breaks one law at a time and asserts that the world notices.

#![expect(clippy::print_stdout, reason = "a replayed seed is read by a person")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use supervisor::scheduler::catalog::Strategy;
use supervisor::scheduler::laws::{Laws, Sound};

#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/frontends.rs"]
mod frontends;
#[path = "simulation/scenario.rs"]
mod scenario;
#[path = "simulation/watch.rs"]
mod watch;
#[path = "simulation/workers.rs"]
mod workers;
#[path = "simulation/world.rs"]
mod world;

use world::{Run, World};

/// How many seeds an ordinary run tries.
const SEEDS: u64 = 256;
/// Within how many seeds a broken law must be noticed.
const SEEDS_PER_BROKEN_LAW: u64 = 128;

/// Runs one seed; an error says what the world or the scheduler itself found wrong.
fn run<L: Laws>(seed: u64, how: Run) -> Result<World<L>, String> {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::<L>::new(seed, how);
        world.run().map(|()| world)
    }));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned())
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_seed_ends_well() {
    if let Some(seed) = number("PROXYLM_SIM_SEED") {
        let how = Run { is_told: true, ..Run::default() };
        run::<Sound>(seed, how).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        return;
    }
    let (mut events, mut loans, mut ends) = (0, 0, BTreeMap::<String, u64>::new());
    for seed in 0..number("PROXYLM_SIM_SEEDS").unwrap_or(SEEDS) {
        let world = run::<Sound>(seed, Run::default()).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        events += world.events;
        loans += world.watch.loans_used;
        for (code, count) in world.watch.ends {
            *ends.entry(code).or_default() += count;
        }
    }
    println!("{events} events, {loans} attempts under loans; how requests ended: {ends:?}");
    let (good, all) = (ends[""], ends.values().sum::<u64>());
    assert!(loans * 50 > all, "hardly anything is lent: {loans} of {all}");
    assert!(good * 3 > all, "the world is so bad that it shows nothing: {good} of {all} ended well");
}

#[test]
fn every_seed_ends_well_under_every_strategy() {
    for seed in 0..number("PROXYLM_SIM_SEEDS").unwrap_or(SEEDS) {
        let strategy = Strategy::ALL[usize::try_from(seed).expect("few seeds") % Strategy::ALL.len()];
        let how = Run { strategy: Some(strategy), ..Run::default() };
        run::<Sound>(seed, how).unwrap_or_else(|wrong| panic!("{}, seed {seed}: {wrong}", strategy.as_str()));
    }
}

#[test]
fn the_same_seed_gives_the_same_effects() {
    for seed in 0..8 {
        let how = Run { is_kept: true, ..Run::default() };
        let first = run::<Sound>(seed, how).map(|world| world.effects);
        let second = run::<Sound>(seed, how).map(|world| world.effects);
        assert!(first.is_ok() && first == second, "seed {seed}");
    }
}

/// Asserts that some seed shows that something is wrong.
fn must_be_noticed<L: Laws>(how: Run) {
    let noticed =
        (0..SEEDS_PER_BROKEN_LAW).find_map(|seed| run::<L>(seed, how).err().map(|wrong| (seed, wrong)));
    let (seed, wrong) = noticed.expect("some seed notices");
    println!("noticed on seed {seed}: {wrong}");
}

/// A set of laws with one broken, and the test that it is noticed.
macro_rules! broken {
    ($test:ident, $name:ident, $law:ident) => {
        enum $name {}
        impl Laws for $name {
            const $law: bool = false;
        }
        #[test]
        fn $test() {
            must_be_noticed::<$name>(Run::default());
        }
    };
}

broken!(a_slot_freed_by_a_lapse_is_noticed, LapseFrees, ONLY_THE_WORKER_FREES);
broken!(news_of_another_generation_applied_is_noticed, GenerationsMixed, GENERATIONS_APART);
broken!(a_withdrawal_that_revokes_nothing_is_noticed, WithdrawalKeeps, WITHDRAWAL_REVOKES);
broken!(a_lost_frontend_ignored_is_noticed, LostFrontendKept, LOST_FRONTENDS_FORGOTTEN);
broken!(a_retry_that_forgets_its_place_is_noticed, RetryAtTheTail, RETRIES_KEEP_THEIR_PLACE);
broken!(a_switch_while_another_model_runs_is_noticed, SwitchAnytime, SWITCH_ONLY_WHEN_EMPTY);
broken!(a_recall_that_stops_what_runs_is_noticed, RecallStops, RECALLS_SPARE_THE_USED);
broken!(an_early_end_forgotten_is_noticed, EarlyEndForgotten, EARLY_ENDS_REMEMBERED);
broken!(an_exclusion_that_is_a_lock_is_noticed, ExclusionLocks, EXCLUSION_YIELDS);

#[test]
fn a_worker_without_tombstones_is_noticed() {
    must_be_noticed::<Sound>(Run { has_no_tombstones: true, ..Run::default() });
}
