//! The catalog: backends, model names, limits, as compiled from the configuration. Immutable; a reload brings a new one.

use std::collections::BTreeMap;

use ipc_proto::ids::{BackendId, KeyId, ModelName};
use ipc_proto::spec::BackendKind;

/// Everything the scheduler knows of the configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Catalog {
    /// The backends.
    pub backends: BTreeMap<BackendId, Backend>,
    /// Names that stand for another model.
    pub aliases: BTreeMap<ModelName, Alias>,
    /// Names of the clients, by their key.
    pub clients: BTreeMap<KeyId, String>,
    /// The strategy's name, as configured.
    pub strategy: Strategy,
    /// Bounds of the queue.
    pub queue: QueueLimits,
    /// Attempts and the pauses between them.
    pub retry: RetryPolicy,
    /// When a backend counts as down, and how often it is looked at.
    pub health: HealthPolicy,
    /// How many frontends to run.
    pub frontends: u16,
    /// How long running requests may go on after a stop, in milliseconds.
    pub shutdown_grace_ms: u64,
}

/// A configured backend, as far as scheduling is concerned.
#[derive(Clone, PartialEq, Debug)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// What software.
    pub kind: BackendKind,
    /// Its address as shown to operators.
    pub url: String,
    /// Lower is preferred.
    pub priority: i32,
    /// Attempts at once.
    pub slots: u32,
    /// Whether it must not be asked for a second model while one is answering: it would swap.
    pub serialize_by_model: bool,
    /// The models it is configured to have; `None`: whatever it lists.
    pub models: Option<Vec<ModelName>>,
}

/// What a model name stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alias {
    /// The real model.
    pub model: ModelName,
    /// The only backend to use; `None`: any that has the model.
    pub backend: Option<BackendId>,
}

/// The rules that choose among waiting requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// Serve what is loaded, oldest first; switch when nothing waits for it.
    DrainThenSwitch,
}

impl Strategy {
    /// The word for it in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DrainThenSwitch => "deferred_model_then_capable",
        }
    }
}

/// Bounds of the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueLimits {
    /// The most requests that may wait; one more is refused with 429.
    pub max_waiting: u64,
    /// How long one may wait, in milliseconds; `None`: until its client leaves.
    pub timeout_ms: Option<u64>,
}

/// Attempts and the pauses between them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// Attempts of one request over all backends, the first included.
    pub max_attempts: u32,
    /// The pause before the second attempt, in milliseconds; doubles with each further one.
    pub initial_backoff_ms: u64,
    /// The longest pause, in milliseconds.
    pub max_backoff_ms: u64,
}

/// When a backend counts as down, and how often it is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HealthPolicy {
    /// So many failed probes in a row take a backend down.
    pub unhealthy_after_failed_probes: u32,
    /// Between two probes of a backend that is up, in milliseconds; `None`: it is not probed while up.
    pub probe_interval_ms: Option<u64>,
}
