//! What a seed's world looks like: its backends, its load, its troubles.

use std::collections::BTreeMap;

use ipc_proto::control::BackendKind;
use ipc_proto::ids::{BackendId, ModelName};
use supervisor::scheduler::catalog::{Backend, Catalog, HealthPolicy, QueueLimits, RetryPolicy, Strategy};

use crate::dice::Dice;

/// The longest pause between two attempts, jitter and what overloaded backends ask for included, in milliseconds.
pub(crate) const LONGEST_PAUSE_MS: u64 = 1500;

/// The fixed facts of a run.
pub(crate) struct Scenario {
    pub(crate) catalog: Catalog,
    pub(crate) models: Vec<ModelName>,
    /// Clients that come.
    pub(crate) requests: u64,
    /// Mean time between two of them, in milliseconds.
    pub(crate) gap_ms: u64,
    /// How often in a thousand an attempt fails, by whatever failure.
    pub(crate) failures: u64,
    /// How often in a thousand a client leaves before its answer is complete.
    pub(crate) impatience: u64,
    /// How often in a thousand a frontend is so stuck that its offer lapses.
    pub(crate) lapses: u64,
    /// Crashes of either kind of child over the run.
    pub(crate) crashes: u64,
    /// Orders over the run.
    pub(crate) orders: u64,
    /// Times a backend goes away for a while.
    pub(crate) outages: u64,
    /// Whether the instance is stopped in the middle.
    pub(crate) stops_early: bool,
}

impl Scenario {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let models: Vec<ModelName> = ["red", "green", "blue"]
            .iter()
            .take(dice.pick(&[1, 2, 3]))
            .map(|name| ModelName::new(name))
            .collect();
        let backends = (0..dice.few(1, 4)).map(|id| (BackendId(id), backend(dice, id, &models))).collect();
        let catalog = Catalog {
            backends,
            aliases: BTreeMap::new(),
            clients: BTreeMap::new(),
            strategy: Strategy::DrainThenSwitch,
            queue: QueueLimits {
                max_waiting: if dice.per_mille(250) { 10 } else { 4096 },
                timeout_ms: dice.per_mille(250).then_some(20_000),
            },
            retry: RetryPolicy {
                max_attempts: dice.few(1, 5),
                initial_backoff_ms: dice.between(0, 200),
                max_backoff_ms: 800,
            },
            health: HealthPolicy {
                unhealthy_after_failed_probes: 2,
                probe_interval_ms: dice.per_mille(700).then_some(10_000),
            },
            frontends: dice.pick(&[1, 2, 3]),
            shutdown_grace_ms: 5000,
        };
        Self {
            catalog,
            models,
            requests: dice.between(50, 400),
            gap_ms: dice.between(5, 250),
            failures: dice.pick(&[0, 100, 400]),
            impatience: dice.between(0, 2) * 100,
            lapses: dice.between(0, 2) * 30,
            crashes: dice.between(0, 8),
            orders: dice.between(0, 8),
            outages: dice.between(0, 3),
            stops_early: dice.per_mille(150),
        }
    }
}

fn backend(dice: &mut Dice, id: u32, models: &[ModelName]) -> Backend {
    let serialize_by_model = dice.per_mille(700);
    // The first has every model, so that most requests are for somebody.
    let some = |dice: &mut Dice| -> Vec<ModelName> {
        models.iter().filter(|_| id == 0 || dice.per_mille(800)).cloned().collect()
    };
    Backend {
        name: format!("b{id}"),
        kind: if serialize_by_model { BackendKind::LmStudio } else { BackendKind::OpenAi },
        url: format!("http://b{id}"),
        priority: dice.pick(&[1, 2, 3]),
        slots: dice.few(1, 4),
        serialize_by_model,
        models: dice.per_mille(500).then(|| some(dice)),
    }
}
