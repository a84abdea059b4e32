//! The catalog: backends, model names, limits, as compiled from the configuration. Immutable; a reload brings a new one.

use std::collections::BTreeMap;

use dialect::Dialect;
use ipc_proto::control::Class;
use ipc_proto::ids::{BackendId, KeyId, ModelName};
use ipc_proto::spec::BackendKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything the scheduler knows of the configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Catalog {
    /// The backends.
    pub backends: BTreeMap<BackendId, Backend>,
    /// Names that stand for another model.
    pub aliases: BTreeMap<ModelName, Alias>,
    /// The clients, by their key.
    pub clients: BTreeMap<KeyId, Client>,
    /// The rules that choose among waiting requests.
    pub strategy: Strategy,
    /// The numbers in those rules.
    pub knobs: Knobs,
    /// What is done with options that make an engine load a model anew.
    pub load_options: LoadPolicy,
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
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// What software.
    pub kind: BackendKind,
    /// The dialects it speaks itself, the one it knows best first.
    pub dialects: Vec<Dialect>,
    /// Its address as shown to operators.
    pub url: String,
    /// Lower is preferred.
    pub priority: i32,
    /// Attempts at once; `None`: what the engine says, else 1 where swaps cost and 8 where they are free.
    pub slots: Option<u32>,
    /// Models it holds at once; `None`: what the engine says, else 1.
    pub max_models: Option<u32>,
    /// Whether it must not be asked for a second model while one is answering: it would swap. `None`: by its kind,
    /// its address and what is measured.
    pub serialize_by_model: Option<bool>,
    /// Whether its address is reachable from everywhere over TLS, as hosted services are: a hint for the above.
    pub is_hosted: bool,
    /// When requests may overflow to it.
    pub overflow: Overflow,
    /// Its share under [`Strategy::Random`], relative to the others'.
    pub weight: u32,
    /// The models it is configured to have; `None`: whatever it lists.
    pub models: Option<Vec<ModelName>>,
}

impl Backend {
    /// Whether a change of model costs it anything, before anything is measured.
    pub fn swaps_at_first(&self) -> bool {
        self.serialize_by_model.unwrap_or(match self.kind {
            BackendKind::Anthropic | BackendKind::Gemini => false,
            BackendKind::OpenAi | BackendKind::OpenAiResponses => !self.is_hosted,
            _ => true,
        })
    }

    /// How many attempts it takes at once, before it has told.
    pub fn slots_at_first(&self) -> u32 {
        self.slots.unwrap_or(match self.kind {
            BackendKind::Vllm | BackendKind::Anthropic | BackendKind::Gemini => 8,
            BackendKind::OpenAi | BackendKind::OpenAiResponses if self.is_hosted => 8,
            _ => 1,
        })
    }
}

/// What a model name stands for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alias {
    /// The real model.
    pub model: ModelName,
    /// The only backend to use; `None`: any that has the model.
    pub backend: Option<BackendId>,
}

/// When requests may overflow to a backend.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Overflow {
    /// At once, if it swaps freely and its priority is behind that of a backend that does not; else it is a member
    /// like any other.
    #[default]
    Auto,
    /// Never: it is a member like any other.
    Member,
    /// After so long in the queue, in milliseconds.
    After(u64),
}

/// A client.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Client {
    /// Its name in logs and history.
    pub name: String,
    /// The class of its requests, unless they name one.
    pub class: Class,
    /// For its requests, instead of [`Knobs::max_wait_ms`].
    pub max_wait_ms: Option<u64>,
}

/// The rules that choose among waiting requests.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Models take turns on a backend: drain, relieve most waiting per second of work, bounded waits.
    #[default]
    ModelTurns,
    /// Bound at arrival: to a backend that holds the model, the least busy of them; else the least busy of all.
    ModelAffinityLeastBusy,
    /// Bound at arrival: to the least busy backend.
    LeastBusy,
    /// Bound at arrival: to each backend in turn.
    RoundRobin,
    /// Serve what is loaded, oldest first; switch to the oldest request's model when nothing waits for it.
    DeferredModelThenCapable,
    /// The oldest request first, unless that would unload the last copy of a model that has work.
    PreserveModelCoverage,
    /// Like `deferred_model_then_capable`, but another model gets its turn after so many requests in a row.
    FairShareRoundRobin,
    /// Bound at arrival: to a backend drawn by weight.
    Random,
    /// Strictly by arrival, whatever is loaded: a yardstick for the others.
    Fifo,
}

impl Strategy {
    /// Every strategy, the default first.
    pub const ALL: [Self; 9] = [
        Self::ModelTurns,
        Self::ModelAffinityLeastBusy,
        Self::LeastBusy,
        Self::RoundRobin,
        Self::DeferredModelThenCapable,
        Self::PreserveModelCoverage,
        Self::FairShareRoundRobin,
        Self::Random,
        Self::Fifo,
    ];

    /// The word for it in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ModelTurns => "model_turns",
            Self::ModelAffinityLeastBusy => "model_affinity_least_busy",
            Self::LeastBusy => "least_busy",
            Self::RoundRobin => "round_robin",
            Self::DeferredModelThenCapable => "deferred_model_then_capable",
            Self::PreserveModelCoverage => "preserve_model_coverage",
            Self::FairShareRoundRobin => "fair_share_round_robin",
            Self::Random => "random",
            Self::Fifo => "fifo",
        }
    }
}

/// The numbers in the rules.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Knobs {
    /// A model with waiting requests may claim a backend after so long without one, in milliseconds; `None`: never.
    pub max_wait_ms: Option<u64>,
    /// A model can be driven out only after so many times its own load time.
    pub turn: f64,
    /// Whether a backend waits for follow-ups before it gives up a model.
    pub linger: bool,
    /// How far apart the excess of a burst is placed, in mean service times; `None`: plain order of arrival.
    pub pace: Option<f64>,
    /// So many waiting requests of one client and model keep their place.
    pub burst: u32,
    /// For [`Strategy::FairShareRoundRobin`]: requests in a row of one model while others wait; 0: no bound.
    pub max_consecutive_per_model: u32,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            max_wait_ms: Some(240_000),
            turn: 8.0,
            linger: true,
            pace: Some(1.0),
            burst: 4,
            max_consecutive_per_model: 0,
        }
    }
}

/// What is done with options of a request that would make an engine load the model anew.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadPolicy {
    /// The context is rounded up to a power of two and never shrinks; the other options stay as they were loaded.
    #[default]
    Bucket,
    /// Whatever was loaded first stays.
    Pin,
    /// They go to the engine as they are; another value is another model.
    Pass,
    /// They are taken out.
    Strip,
}

/// Bounds of the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueueLimits {
    /// The most requests that may wait; one more is refused with 429.
    pub max_waiting: u64,
    /// The most that may wait for one model; `None`: no bound of its own.
    pub max_waiting_per_model: Option<u64>,
    /// The most of one client that may wait; `None`: no bound of its own.
    pub max_waiting_per_client: Option<u64>,
    /// How long one may wait, in milliseconds; `None`: until its client leaves.
    pub timeout_ms: Option<u64>,
}

/// Attempts and the pauses between them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts of one request over all backends, the first included.
    pub max_attempts: u32,
    /// The pause before the second attempt, in milliseconds; doubles with each further one.
    pub initial_backoff_ms: u64,
    /// The longest pause, in milliseconds.
    pub max_backoff_ms: u64,
}

/// When a backend counts as down, and how often it is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HealthPolicy {
    /// So many failed probes in a row take a backend down.
    pub unhealthy_after_failed_probes: u32,
    /// Between two probes of a backend that is up, in milliseconds; `None`: it is not probed while up.
    pub probe_interval_ms: Option<u64>,
}
