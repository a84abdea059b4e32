//! A call of a model: which operation is asked for, and what its path has said about it already.

use dialect::{Dialect, Endpoint, Framing};
use ipc_proto::ids::BackendId;
use ipc_proto::stream::NativeCall;

/// What is asked of a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    /// The operation.
    pub(crate) endpoint: Endpoint,
    /// What the path says of the request, where it says it and not the body.
    pub(crate) named: Option<Named>,
    /// Where it has to go, if the path says that too.
    pub(crate) lane: Option<Lane>,
}

/// What a Gemini path names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Named {
    /// The model.
    pub(crate) model: String,
    /// Whether a stream is wanted.
    pub(crate) stream: bool,
}

/// The way to one backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lane {
    /// The backend.
    pub(crate) backend: BackendId,
    /// The dialect it speaks best, in which its callers are told of errors.
    pub(crate) dialect: Dialect,
    /// The call itself, where it is none of the operations we know.
    pub(crate) native: Option<Box<NativeCall>>,
}

impl Call {
    /// A call of `endpoint` that any backend may answer and whose body names the model.
    pub(crate) fn of(endpoint: Endpoint) -> Self {
        Self { endpoint, named: None, lane: None }
    }

    /// The dialect in which the caller understands errors.
    pub(crate) fn dialect(&self) -> Dialect {
        match &self.lane {
            Some(lane) if lane.native.is_some() => lane.dialect,
            _ => self.endpoint.dialect(),
        }
    }

    /// How a stream is framed if the query is `query`.
    pub(crate) fn framing(&self, query: Option<&str>) -> Framing {
        Framing::of(self.endpoint, query)
    }
}
