//! LLM API dialects, as pure functions and values: no I/O, no clock, no async.
//!
//! | module | owns |
//! |---|---|
//! | [`summary`] | the few facts read from a request body: model, stream, sizes, affinity |
//! | [`edit`] | the smallest changes to a request body: another model name, a wish for usage, load options |
//! | [`load`] | options that make an engine load a model anew |
//! | [`sse`] | incremental reading of streams of events, however the bytes are cut |
//! | [`watch`] | what passes by in a response: first event, usage, errors, the end marker |
//! | [`error`] | error bodies and in-stream error events in each dialect |
//! | [`count`] | an estimate of a prompt's tokens, where no backend counts |
//! | [`heartbeat`] | signs of life in a stream, and where one fits |

use serde::{Deserialize, Serialize};

mod anthropic;
pub mod count;
pub mod edit;
mod elements;
mod endpoint;
pub mod error;
mod fault;
mod framing;
mod gemini;
pub mod heartbeat;
mod hub;
mod layout;
pub mod load;
mod members;
mod ollama;
mod openai;
mod responses;
pub mod sse;
pub mod summary;
pub mod translate;
mod usage;
pub mod watch;

pub use endpoint::{Dialect, Endpoint, Framing, Task};
pub use hub::{Loss, Losses, Unfit};

/// Tokens as the backend reported them; `None` where it did not.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: Option<u64>,
    /// Tokens generated, reasoning included.
    pub output_tokens: Option<u64>,
    /// Of the prompt's tokens, those read from a cache.
    pub cached_tokens: Option<u64>,
    /// Of the prompt's tokens, those written to a cache.
    pub cache_creation_tokens: Option<u64>,
    /// Of the generated tokens, those spent on reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Takes over every count that `later` has. A 0 replaces nothing: some backends fill in zeros for what they said before.
    pub fn update(&mut self, later: &Self) {
        let newer = |known: &mut Option<u64>, later: Option<u64>| {
            if known.is_none() || later.is_some_and(|count| count > 0) {
                *known = later.or(*known);
            }
        };
        newer(&mut self.input_tokens, later.input_tokens);
        newer(&mut self.output_tokens, later.output_tokens);
        newer(&mut self.cached_tokens, later.cached_tokens);
        newer(&mut self.cache_creation_tokens, later.cache_creation_tokens);
        newer(&mut self.reasoning_tokens, later.reasoning_tokens);
    }
}
