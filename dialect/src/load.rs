//! Options of a request that an engine applies when it loads a model: with other values it loads the model anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The load options of one request, or those that a model in memory was loaded with.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LoadOptions {
    /// The length of context, in tokens (`num_ctx`); `None`: the engine's own choice.
    pub context: Option<u64>,
    /// The others, by their name in Ollama's `options` (`num_gpu`, `num_batch`, `use_mmap` and their kin); values
    /// are JSON as the client wrote them.
    pub others: BTreeMap<String, String>,
}

impl LoadOptions {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.context.is_none() && self.others.is_empty()
    }
}

/// What to do with the load options of a request body before it goes to the engine.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LoadEdit {
    /// They stay as the client wrote them.
    #[default]
    Keep,
    /// They are taken out, and these are put in.
    Set(LoadOptions),
}
