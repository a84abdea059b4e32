//! What a seed's world looks like: its backends, its load, its troubles.

use std::collections::BTreeMap;

use dialect::Dialect;
use ipc_proto::ids::{BackendId, ModelName};
use ipc_proto::spec::BackendKind;
use supervisor::scheduler::catalog::{
    Alias, Backend, Catalog, HealthPolicy, Knobs, LoadPolicy, Overflow, QueueLimits, RetryPolicy, Strategy,
};

use crate::dice::Dice;

/// The longest pause between two attempts, jitter and what overloaded backends ask for included, in milliseconds.
pub(crate) const LONGEST_PAUSE_MS: u64 = 1500;

/// The fixed facts of a run.
pub(crate) struct Scenario {
    pub(crate) catalog: Catalog,
    pub(crate) models: Vec<ModelName>,
    /// What clients ask for: models and aliases.
    pub(crate) names: Vec<ModelName>,
    /// Clients that come.
    pub(crate) requests: u64,
    /// Mean time between two of them, in milliseconds.
    pub(crate) gap_ms: u64,
    /// How often in a thousand one comes hard on the heels of another.
    pub(crate) bunching: u64,
    /// How often in a thousand an attempt fails, by whatever failure.
    pub(crate) failures: u64,
    /// How often in a thousand a client leaves before its answer is complete.
    pub(crate) impatience: u64,
    /// How often in a thousand a frontend is so stuck that its offer lapses.
    pub(crate) lapses: u64,
    /// Crashes of either kind of child over the run.
    pub(crate) crashes: u64,
    /// New catalogs over the run.
    pub(crate) reloads: u64,
    /// Orders over the run.
    pub(crate) orders: u64,
    /// Times a backend goes away for a while.
    pub(crate) outages: u64,
    /// Whether the instance is stopped in the middle.
    pub(crate) stops_early: bool,
}

impl Scenario {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        // Where slots are lent; with few names and some quiet, so that loans are used.
        let is_free = dice.per_mille(400);
        let models: Vec<ModelName> = ["red", "green", "blue"]
            .iter()
            .take(if is_free { dice.pick(&[1, 2]) } else { dice.pick(&[1, 2, 3]) })
            .map(|name| ModelName::new(name))
            .collect();
        let backends = if is_free {
            free_running(dice, &models)
        } else {
            (0..dice.few(1, 4)).map(|id| (BackendId(id), backend(dice, id, &models))).collect()
        };
        let catalog = Catalog {
            backends,
            aliases: BTreeMap::from([
                (ModelName::new("crimson"), Alias { model: models[0].clone(), backend: None }),
                (ModelName::new("maroon"), Alias { model: models[0].clone(), backend: Some(BackendId(0)) }),
            ]),
            clients: BTreeMap::new(),
            strategy: dice.pick(&[Strategy::DeferredModelThenCapable, Strategy::ModelTurns]),
            knobs: Knobs { max_wait_ms: Some(dice.between(1000, 30_000)), turn: 0.1, ..Knobs::default() },
            load_options: LoadPolicy::default(),
            queue: QueueLimits {
                max_waiting: if dice.per_mille(250) { 10 } else { 4096 },
                max_waiting_per_model: None,
                max_waiting_per_client: None,
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
            frontends: if is_free { dice.pick(&[1, 2]) } else { dice.pick(&[1, 2, 3]) },
            shutdown_grace_ms: 5000,
        };
        Self {
            names: models.iter().chain(catalog.aliases.keys().skip(usize::from(is_free))).cloned().collect(),
            catalog,
            models,
            requests: dice.between(50, 400),
            gap_ms: if is_free { dice.between(20, 900) } else { dice.between(5, 250) },
            bunching: if is_free { dice.pick(&[0, 300, 600]) } else { 0 },
            failures: dice.pick(&[0, 100, 400]),
            impatience: dice.between(0, 2) * 100,
            lapses: dice.between(0, 2) * 30,
            crashes: dice.between(0, 8),
            reloads: if dice.per_mille(300) { dice.between(1, 4) } else { 0 },
            orders: dice.between(0, 8),
            outages: dice.between(0, 3),
            stops_early: dice.per_mille(150),
        }
    }
}

impl Scenario {
    /// Puts `strategy` in force, and gives it weights and a bound to go by.
    pub(crate) fn try_out(&mut self, dice: &mut Dice, strategy: Strategy) {
        self.catalog.strategy = strategy;
        self.catalog.knobs.max_consecutive_per_model = dice.few(0, 3);
        for backend in self.catalog.backends.values_mut() {
            backend.weight = dice.few(0, 2);
        }
    }
}

fn backend(dice: &mut Dice, id: u32, models: &[ModelName]) -> Backend {
    // The first has every model, so that most requests are for somebody.
    let some = |dice: &mut Dice| -> Vec<ModelName> {
        models.iter().filter(|_| id == 0 || dice.per_mille(800)).cloned().collect()
    };
    Backend {
        name: format!("b{id}"),
        kind: dice.pick(&[BackendKind::LmStudio, BackendKind::OpenAi, BackendKind::Fake]),
        dialects: vec![dice.pick(&[Dialect::OpenAi, Dialect::OpenAi, Dialect::Anthropic])],
        url: format!("http://b{id}"),
        priority: dice.pick(&[1, 2, 3]),
        slots: Some(dice.few(1, 4)),
        serialize_by_model: Some(dice.per_mille(700)),
        max_models: Some(dice.pick(&[1, 1, 2])),
        is_hosted: false,
        overflow: dice.pick(&[Overflow::Member, Overflow::Member, Overflow::Auto, Overflow::After(3000)]),
        weight: 1,
        models: dice.per_mille(500).then(|| some(dice)),
    }
}

/// Backends that need not swap and share no model.
fn free_running(dice: &mut Dice, models: &[ModelName]) -> BTreeMap<BackendId, Backend> {
    let first = if dice.per_mille(500) { models.len() } else { 1 };
    let parts = [&models[..first], &models[first..]];
    let parts = (0..).zip(parts).filter(|(_, part)| !part.is_empty());
    let free = parts.map(|(id, part)| {
        let of_any_kind = backend(dice, id, models);
        let slots = dice.pick(&[1, 4, 4]);
        let own = Backend {
            serialize_by_model: Some(false),
            models: Some(part.to_vec()),
            slots: Some(slots),
            ..of_any_kind
        };
        (BackendId(id), own)
    });
    free.collect()
}

/// The catalog after somebody has edited it: other slots, other priorities, a backend less.
pub(crate) fn edited(dice: &mut Dice, catalog: &Catalog) -> Catalog {
    let mut edited = catalog.clone();
    for backend in edited.backends.values_mut() {
        backend.slots = Some(dice.few(1, 4));
        backend.priority = dice.pick(&[1, 2, 3]);
        if dice.per_mille(100) {
            backend.url.push_str("/elsewhere");
        }
    }
    if edited.backends.len() > 1 && dice.per_mille(500) {
        edited.backends.pop_last();
    }
    edited.frontends = dice.pick(&[1, 2, 3]);
    edited
}
