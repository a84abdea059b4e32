//! What one completed attempt taught: the raw facts, before anything is concluded from them.

use dialect::Endpoint;
use ipc_proto::ids::{BackendId, ModelName};
use serde::{Deserialize, Serialize};

/// A completed attempt, as far as it teaches how fast a backend is. `B` names the backend: by its id while the
/// instance runs, by its name (a `String`) where it must outlive the instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Observation<B = BackendId> {
    /// The backend that answered.
    pub backend: B,
    /// The model, by the backend's name.
    pub model: ModelName,
    /// The operation.
    pub endpoint: Endpoint,
    /// Tokens of the prompt, if the backend told.
    pub input_tokens: Option<u64>,
    /// Tokens generated, if the backend told.
    pub output_tokens: Option<u64>,
    /// From the grant to the end of the answer, in microseconds.
    pub total_us: u64,
    /// From the grant to the first byte of content, in microseconds, if there was one.
    pub first_byte_us: Option<u64>,
    /// Whether this attempt began a load of the model.
    pub loaded: bool,
    /// Whether it waited for a load that another attempt began: its time says nothing of the service.
    pub after_load: bool,
    /// Attempts on the backend while it ran, itself included, at its begin.
    pub concurrent: u32,
}

impl<B> Observation<B> {
    /// The same facts under another name of the backend.
    pub fn at<C>(self, backend: C) -> Observation<C> {
        Observation {
            backend,
            model: self.model,
            endpoint: self.endpoint,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            total_us: self.total_us,
            first_byte_us: self.first_byte_us,
            loaded: self.loaded,
            after_load: self.after_load,
            concurrent: self.concurrent,
        }
    }
}
