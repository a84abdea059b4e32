//! The keys of scheduling, as written: which rule chooses, its numbers, and how requests wait.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{OrOff, plain_number};
use crate::scheduler::catalog::Strategy;

/// Which backend serves which request.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// The rule that chooses among waiting requests and backends. `model_turns`: models take turns on a backend, so
    /// that few are loaded anew and nobody waits for long. The others are simpler, and each is better at one thing.
    pub strategy: Strategy,
    /// Names that stand for another model.
    pub models: BTreeMap<String, Alias>,
}

/// What a model name stands for.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["model"]))]
pub struct Alias {
    /// The real model.
    pub model: String,
    /// The only backend to use. Without it: any that has the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
}

/// How requests wait.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scheduler {
    /// After how long a model that requests wait for, and that no backend has, may claim a backend, in seconds. off:
    /// never. Requests of class batch yield to interactive ones for three times as long.
    pub max_wait: OrOff<604_800>,
    /// A model keeps its backend at least so many times as long as it took to load, unless nothing waits for it. More:
    /// fewer loads and longer waits. For strategy `model_turns`.
    #[serde(serialize_with = "plain_number")]
    #[schemars(range(min = 0, max = 1000))]
    pub turn: f64,
    /// Whether a backend that has run out of work waits a moment before it gives up its model, if follow-ups usually
    /// come soon. For strategy `model_turns`.
    pub linger: Linger,
    /// How far apart the requests of one client beyond its burst are placed in the queue, as a multiple of the usual
    /// time one takes. off: plain order of arrival. For strategy `model_turns`.
    pub pace: OrOff<1000>,
    /// How many waiting requests of one client for one model keep the place of their arrival. For strategy
    /// `model_turns`.
    #[schemars(range(min = 1))]
    pub burst: u32,
    /// The most requests that may wait; one more is refused with 429. 0: nothing may wait.
    pub max_queue: u32,
    /// The most requests that may wait for one model; one more is refused with 429. 0: no bound but `max_queue`.
    pub max_queue_per_model: u32,
    /// The most requests of one key that may wait; one more is refused with 429. 0: no bound but `max_queue`.
    pub max_queue_per_key: u32,
    /// How long a request may wait, in seconds. 0: until its client leaves.
    pub queue_timeout_seconds: u32,
    /// How many requests in a row one model may have while others wait, for strategy `fair_share_round_robin`. 0: as
    /// many as there are.
    pub max_consecutive_per_model: u32,
    /// A file in which every event and decision is written down, so that they can be replayed; it holds nothing of
    /// what clients say. A relative path starts at the folder of the program. Without it nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self {
            max_wait: OrOff::Exactly(240.0),
            turn: 8.0,
            linger: Linger::Auto,
            pace: OrOff::Exactly(1.0),
            burst: 4,
            max_queue: 4096,
            max_queue_per_model: 0,
            max_queue_per_key: 0,
            queue_timeout_seconds: 0,
            max_consecutive_per_model: 0,
            record: None,
        }
    }
}

/// Whether a backend waits for follow-ups before it gives up its model.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Linger {
    /// If they usually come soon enough to be worth it.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// How much a client minds waiting.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// Nobody does: it yields to interactive requests for the same model.
    Batch,
}

/// What happens to options of a request that would make an engine load its model anew.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoadOptions {
    /// The context is rounded up to a power of two and never shrinks; the others stay as they were loaded.
    #[default]
    Bucket,
    /// All stay as they were loaded first.
    Pin,
    /// They go to the engine as they are.
    Pass,
    /// They are taken out.
    Strip,
}
