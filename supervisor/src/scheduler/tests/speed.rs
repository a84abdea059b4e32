//! What one decision costs. A figure for a person; run with `--ignored --nocapture`.

use ipc_proto::ids::KeyId;

use super::{House, backend, catalog};
use crate::clock::Clock;
use crate::scheduler::catalog::{Catalog, Strategy};

/// Decisions that are timed.
const ROUNDS: u32 = 500;

/// Microseconds of one decision with so many models, backends and waiting requests.
fn decision_us(models: usize, backends: usize, waiting: usize) -> f64 {
    let names: Vec<String> = (0..models).map(|number| format!("model-{number}")).collect();
    let offered: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = (0..backends).map(|number| backend(&format!("backend-{number}"), 1, &offered)).collect();
    let mut many = Catalog { strategy: Strategy::ModelTurns, ..catalog(all) };
    many.queue.max_waiting = u64::MAX;
    let mut house = House::of(many);
    for number in 0..waiting + backends {
        let mut admission = house.admission(&names[number % models]);
        admission.key = KeyId(u32::try_from(number % 50).unwrap());
        house.admit(admission);
    }
    let clock = Clock::start();
    let now = house.now;
    for _ in 0..ROUNDS {
        let choice = house.scheduler.consult(|policy, board| policy.choose(board, now));
        assert!(matches!(choice, crate::scheduler::policy::Choice::Wait { .. }));
    }
    clock.now().seconds_since(crate::clock::Time(0)) * 1e6 / f64::from(ROUNDS)
}

#[test]
#[ignore = "a figure, not a check"]
fn one_decision() {
    println!("16 models, 8 backends, 1000 waiting: {:.1} us", decision_us(16, 8, 1000));
    println!("64 models, 32 backends, 1000 waiting: {:.1} us", decision_us(64, 32, 1000));
    println!("64 models, 32 backends, 10000 waiting: {:.1} us", decision_us(64, 32, 10_000));
}
