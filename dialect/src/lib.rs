//! LLM API dialects, as pure functions and values: no I/O, no clock, no async.
//!
//! | module | owns |
//! |---|---|
//! | [`summary`] | the few facts read from a request body: model, stream, sizes, affinity |
//! | [`edit`] | the smallest changes to a request body: another model name, a wish for usage, load options |
//! | [`load`] | options that make an engine load a model anew |
//! | [`sse`] | incremental reading of server-sent events, however the bytes are cut |
//! | [`watch`] | what passes by in a response: first event, usage, errors, the end marker |
//! | [`error`] | error bodies and in-stream error events in each dialect |
//! | [`heartbeat`] | signs of life in a stream, and where one fits |

use serde::{Deserialize, Serialize};

pub mod edit;
pub mod error;
mod fault;
pub mod heartbeat;
mod layout;
pub mod load;
mod members;
pub mod sse;
pub mod summary;
mod usage;
pub mod watch;

/// An LLM API as it is spoken on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// OpenAI's API and its many kin.
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
}

/// One operation of a dialect that asks a model for something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// OpenAI `POST /v1/chat/completions`.
    ChatCompletions,
    /// OpenAI `POST /v1/completions`.
    Completions,
    /// OpenAI `POST /v1/embeddings`.
    Embeddings,
    /// Anthropic `POST /v1/messages`.
    Messages,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 4] = [Self::ChatCompletions, Self::Completions, Self::Embeddings, Self::Messages];

    /// The dialect it belongs to.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Embeddings => Dialect::OpenAi,
            Self::Messages => Dialect::Anthropic,
        }
    }

    /// Its path below a server's base URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Messages => "/v1/messages",
        }
    }
}

/// Tokens as the backend reported them; `None` where it did not.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: Option<u64>,
    /// Tokens generated, reasoning included.
    pub output_tokens: Option<u64>,
    /// Of the prompt's tokens, those read from a cache.
    pub cached_tokens: Option<u64>,
    /// Of the generated tokens, those spent on reasoning.
    pub reasoning_tokens: Option<u64>,
}
