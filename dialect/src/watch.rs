//! What passes by in a response of the caller's own dialect: first event, usage, errors, the end marker.
//!
//! The bytes go through untouched; this only looks at them.

use crate::{Endpoint, Usage};

/// What a piece of a stream turned out to hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackendError {
    /// The error's own message, for operators.
    pub message: String,
    /// The HTTP status that fits the error's type, where the type is known.
    pub status: Option<u16>,
}

/// Watches one stream.
#[derive(Debug)]
pub struct StreamWatch {
    endpoint: Endpoint,
}

impl StreamWatch {
    /// A watch over a stream of `endpoint`. With `hide_usage`, the chunk that only carries usage, which the
    /// client did not ask for, is taken out.
    pub fn new(endpoint: Endpoint, hide_usage: bool) -> Self {
        let _ = hide_usage;
        Self { endpoint }
    }

    /// Takes the next bytes as they came and appends to `out` what may go to the client: complete events, and
    /// the beginning of an incomplete one only when it has grown too long to hold back.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let _ = (bytes, out, self.endpoint);
        todo!()
    }

    /// Appends what was held back at the end of the upstream's bytes (an unterminated last line).
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let _ = out;
        todo!()
    }

    /// Whether an event of content (anything but comments, pings and errors) has been seen.
    pub fn has_begun(&self) -> bool {
        todo!()
    }

    /// Whether the dialect's end marker (`[DONE]`, `message_stop`) has been seen.
    pub fn is_complete(&self) -> bool {
        todo!()
    }

    /// Whether what `feed` has released so far ends between two events.
    pub fn is_between_events(&self) -> bool {
        todo!()
    }

    /// The error that the backend put into the stream, if it did.
    pub fn error(&self) -> Option<&BackendError> {
        todo!()
    }

    /// The tokens reported so far.
    pub fn usage(&self) -> Usage {
        todo!()
    }
}

/// The usage in the body of a whole (not streamed) response to `endpoint`.
pub fn usage_in_body(endpoint: Endpoint, body: &[u8]) -> Usage {
    let _ = (endpoint, body);
    todo!()
}
