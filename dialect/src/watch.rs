//! What passes by in a response of the caller's own dialect: first event, usage, errors, the end.
//!
//! The bytes go through untouched, in whole events; this only looks at them, and as little as possible: most events
//! of a stream are searched for a few words and never parsed.

mod seen;
mod words;

use crate::sse::{Cutter, Event, Piece};
use crate::{Endpoint, Framing, Usage};
use seen::Seen;

pub use crate::usage::usage_in_body;

/// What a piece of a stream turned out to hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackendError {
    /// The error's own message, for operators.
    pub message: String,
    /// The HTTP status that fits the error's type, where the type is known.
    pub status: Option<u16>,
}

/// Watches one stream.
///
/// What it finds and what it releases depends on the bytes alone, not on how they come. An event over 64 KiB passes
/// as it comes: it counts as content, and only what a dialect says at its beginning or its end is found in it. A
/// stream of a native call passes byte by byte: nothing is known of it.
#[derive(Debug)]
pub struct StreamWatch {
    framing: Framing,
    cutter: Cutter,
    seen: Seen,
    is_native: bool,
}

impl StreamWatch {
    /// A watch over a stream of `endpoint`, framed so. With `hide_usage`, the chunk that only carries usage, which the
    /// client did not ask for, is taken out.
    pub fn new(endpoint: Endpoint, framing: Framing, hide_usage: bool) -> Self {
        Self {
            framing,
            cutter: Cutter::new(framing),
            seen: Seen::new(endpoint.dialect(), framing, hide_usage),
            is_native: endpoint == Endpoint::Native,
        }
    }

    /// Takes the next bytes as they came and appends to `out` what may go to the client: complete events, and
    /// the beginning of an incomplete one only when it has grown too long to hold back.
    ///
    /// An event in which the backend tells of an error is not released, and nothing after it: the client is told in
    /// other words. Nothing after the end marker is released either.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.is_native {
            if !bytes.is_empty() {
                self.seen.begin();
            }
            return out.extend_from_slice(bytes);
        }
        let mut rest = bytes;
        while let Some(piece) = self.cutter.next(&mut rest) {
            self.seen.take(piece, out);
        }
    }

    /// Appends what was held back at the end of the upstream's bytes, with the blank line it lacks.
    ///
    /// An event that was cut off in its middle is not released: no client could read it.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = self.cutter.held();
        if !self.seen.is_over() && self.seen.is_whole(&Event::read_framed(self.framing, held)) {
            self.seen.take(Piece::Event(held), out);
            if self.seen.is_last_released() {
                out.extend_from_slice(self.cutter.missing_end());
            }
        }
        self.cutter.forget_held();
        if self.is_native || self.cutter.is_between_events() {
            self.seen.finish(self.is_native);
        }
    }

    /// Whether an event of content (anything but comments, pings and errors) has been seen.
    ///
    /// What is no JSON object is no content: a stream of garbage never begins.
    pub fn has_begun(&self) -> bool {
        self.seen.has_begun()
    }

    /// Whether the stream is complete: the dialect's end marker has been seen (`[DONE]`, `message_stop`,
    /// `response.completed`, `"done":true`). Gemini has none: its streams are complete when their bytes end after a
    /// reason to finish, so this is known only after [`StreamWatch::finish`]. So it is with native calls.
    pub fn is_complete(&self) -> bool {
        self.seen.is_complete()
    }

    /// Whether what has been released so far ends between two events: then one more can be added to it. It does
    /// not only inside an event over 64 KiB, and in a native stream that has begun.
    pub fn is_between_events(&self) -> bool {
        if self.is_native {
            return !self.seen.has_begun();
        }
        self.seen.is_over() || self.cutter.is_between_events()
    }

    /// The error that the backend put into the stream, if it did.
    pub fn error(&self) -> Option<&BackendError> {
        self.seen.error()
    }

    /// The tokens reported so far.
    pub fn usage(&self) -> Usage {
        self.seen.usage()
    }

    /// The memory it keeps for bytes held back, in bytes: at most twice 64 KiB and a little for the ends of long events.
    pub fn held_capacity(&self) -> usize {
        self.cutter.capacity() + self.seen.capacity()
    }
}
