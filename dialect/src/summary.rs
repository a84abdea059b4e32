//! The few facts read from a request body, without building a tree of it.

use crate::Endpoint;

/// What is read of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The model asked for.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The most tokens the client wants generated.
    pub max_output_tokens: Option<u64>,
    /// A hash of the conversation's head: equal for the turns of one conversation.
    pub affinity: u64,
}

/// Why a body is no request: one sentence for the client, the field at fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct BadBody {
    /// What is wrong and what would be right.
    pub message: String,
    /// The field at fault.
    pub param: Option<&'static str>,
}

/// Reads the summary of `body`, a request to `endpoint`.
pub fn read(endpoint: Endpoint, body: &[u8]) -> Result<Summary, BadBody> {
    let _ = (endpoint, body);
    todo!()
}
