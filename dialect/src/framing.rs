//! Takes a backend's stream apart into events, whatever their framing and however the bytes are cut.

use crate::Framing;
use crate::sse::Event;
use crate::watch::BackendError;

/// The longest event of a stream that is translated, in bytes: a tool's argument may be a whole file.
const LONGEST_EVENT: usize = 64 << 20;

/// How much memory is kept between events.
const KEPT: usize = 4 * 1024;

/// Takes one stream apart.
pub(crate) struct Unframer {
    framing: Framing,
    /// The beginning of an event whose end has not come.
    held: Vec<u8>,
    /// So much of it has been searched for its end.
    searched: usize,
    error: Option<BackendError>,
}

impl Unframer {
    /// One for a stream framed so. Only server-sent events and lines are sent to us: lists we do not ask for.
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, held: Vec::new(), searched: 0, error: None }
    }

    /// Takes the next bytes; `sink` gets the name and the data of each event that is whole and has data.
    pub(crate) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8], &[u8])) {
        if self.error.is_some() {
            return;
        }
        let mut rest = bytes;
        if !self.held.is_empty() {
            self.held.extend_from_slice(bytes);
            let Some(length) = self.end_in_held() else { return self.check_length() };
            let held = std::mem::take(&mut self.held);
            self.searched = 0;
            self.pass(&held[..length], sink);
            rest = &bytes[bytes.len() - (held.len() - length)..];
            self.held = held;
            self.held.clear();
            if self.held.capacity() > KEPT {
                self.held = Vec::new();
            }
        }
        while let Some(length) = end_of_event(self.framing, rest, 0) {
            let (event, after) = rest.split_at(length);
            self.pass(event, sink);
            rest = after;
        }
        self.held.extend_from_slice(rest);
        self.searched = self.held.len().saturating_sub(4);
        self.check_length();
    }

    /// The bytes are over: what is held counts as an event if it has data.
    pub(crate) fn finish(&mut self, sink: &mut dyn FnMut(&[u8], &[u8])) {
        let held = std::mem::take(&mut self.held);
        let is_whole = |data: &[u8]| {
            data.trim_ascii() == b"[DONE]" || serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
        };
        self.pass(&held, &mut |name, data| {
            // One that was cut off in its middle is none.
            if is_whole(data) {
                sink(name, data);
            }
        });
    }

    /// Why the stream cannot be taken apart, if it cannot.
    pub(crate) fn error(&self) -> Option<&BackendError> {
        self.error.as_ref()
    }

    /// The memory it keeps, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.held.capacity()
    }

    fn end_in_held(&mut self) -> Option<usize> {
        let end = end_of_event(self.framing, &self.held, self.searched);
        self.searched = self.held.len().saturating_sub(4);
        end
    }

    fn check_length(&mut self) {
        if self.held.len() > LONGEST_EVENT {
            self.held = Vec::new();
            let message = format!("sent an event of more than {} MiB", LONGEST_EVENT >> 20);
            self.error = Some(BackendError { message, status: None });
        }
    }

    fn pass(&self, bytes: &[u8], sink: &mut dyn FnMut(&[u8], &[u8])) {
        match self.framing {
            Framing::Events => {
                let event = Event::read(bytes);
                if let Some(error) = event.error {
                    return sink(b"error", error);
                }
                if let Some(data) = &event.data {
                    sink(event.name, data);
                }
            }
            Framing::Lines | Framing::List => {
                let line = bytes.trim_ascii();
                if !line.is_empty() {
                    sink(b"", line);
                }
            }
        }
    }
}

/// Where the first event in `bytes` ends, if it does; there is no end before `searched`.
fn end_of_event(framing: Framing, bytes: &[u8], searched: usize) -> Option<usize> {
    let mut at = searched;
    while let Some(found) = bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let end = at + found;
        let after = end + 1;
        if framing != Framing::Events {
            return Some(after);
        }
        let is_crlf = bytes[end] == b'\r' && bytes.get(after) == Some(&b'\n');
        let next = if is_crlf { after + 1 } else { after };
        match bytes.get(next) {
            Some(b'\r') if bytes.get(next + 1) == Some(&b'\n') => return Some(next + 2),
            // After a carriage return a line feed may still follow; it would only be an empty line before the next event.
            Some(b'\n' | b'\r') => return Some(next + 1),
            Some(_) => at = next,
            None => return None,
        }
    }
    None
}
