//! What a scripted upstream does with one request: verbs that name answers and faults.

use std::fmt::Write as _;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::json;

use super::engine::Hold;

/// How often somebody who waits at a gate looks whether the other side is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One thing that the upstream does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Goes on when the gate lets one more through.
    Wait(Gate),
    /// Does nothing until the other side leaves.
    Stall,
    /// Breaks the connection with a reset.
    Reset,
    /// Closes the connection.
    Close,
    /// Goes on unless the model has been taken away meanwhile; then it breaks the connection.
    Unless(Arc<Hold>),
    /// The model is not needed any more.
    Release(Arc<Hold>),
    /// Takes so long.
    Work(Duration),
}

/// What the upstream does with one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(pub(crate) Vec<Step>);

impl Script {
    /// Answers 200 with this JSON text.
    pub(crate) fn json(body: &str) -> Self {
        Self::answer(200, &[("content-type", "application/json")], body.as_bytes())
    }

    /// Answers with this status and an error body.
    pub(crate) fn status(status: u16) -> Self {
        let body = json!({ "error": { "message": format!("upstream says {status}"), "type": "scripted" } });
        Self::answer(status, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Answers with this status, and when to come again.
    pub(crate) fn come_again(status: u16, retry_after: &str) -> Self {
        let headers = [("content-type", "application/json"), ("retry-after", retry_after)];
        Self::answer(status, &headers, br#"{"error":{"message":"too much to do"}}"#)
    }

    /// Answers with these bytes, whole.
    pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let length = body.len().to_string();
        let mut bytes = head(status, headers, &[("content-length", length.as_str())]);
        bytes.extend(body);
        Self(vec![Step::Write(bytes)])
    }

    /// The head of a stream of events, and nothing yet.
    pub(crate) fn stream_head() -> Self {
        Self::head_of("text/event-stream")
    }

    /// The head of a stream of this media type, and nothing yet.
    pub(crate) fn head_of(content_type: &str) -> Self {
        let headers = [("content-type", content_type)];
        Self(vec![Step::Write(head(200, &headers, &[("transfer-encoding", "chunked")]))])
    }

    /// Streams these pieces and ends well.
    pub(crate) fn stream<T: AsRef<[u8]>>(pieces: &[T]) -> Self {
        pieces.iter().fold(Self::stream_head(), Script::chunk).end()
    }

    /// Streams these pieces, waiting at the gate before every one, and ends well.
    pub(crate) fn gated<T: AsRef<[u8]>>(pieces: &[T], gate: &Gate) -> Self {
        pieces.iter().fold(Self::stream_head(), |script, piece| script.wait(gate).chunk(piece)).end()
    }

    /// Takes the request and says nothing.
    pub(crate) fn hang() -> Self {
        Self(vec![Step::Stall])
    }

    /// Then writes one chunk of the body.
    pub(crate) fn chunk(mut self, piece: impl AsRef<[u8]>) -> Self {
        let piece = piece.as_ref();
        let mut bytes = format!("{:x}\r\n", piece.len()).into_bytes();
        bytes.extend(piece);
        bytes.extend(b"\r\n");
        self.0.push(Step::Write(bytes));
        self
    }

    /// Then ends the chunked body.
    pub(crate) fn end(self) -> Self {
        self.write(b"0\r\n\r\n")
    }

    /// Then writes these bytes.
    pub(crate) fn write(self, bytes: &[u8]) -> Self {
        self.then(Step::Write(bytes.to_vec()))
    }

    /// Then waits at the gate.
    pub(crate) fn wait(self, gate: &Gate) -> Self {
        self.then(Step::Wait(gate.clone()))
    }

    /// Then does nothing until the other side leaves.
    pub(crate) fn stall(self) -> Self {
        self.then(Step::Stall)
    }

    /// Then breaks the connection.
    pub(crate) fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    /// Then closes the connection.
    pub(crate) fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// First waits at the gate.
    pub(crate) fn after(mut self, gate: &Gate) -> Self {
        self.0.insert(0, Step::Wait(gate.clone()));
        self
    }

    /// Then does this.
    pub(crate) fn then(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }
}

fn head(status: u16, headers: &[(&str, &str)], more: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers.iter().chain(more) {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Lets so many through as the test has opened it for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<u64>, Condvar)>);

impl Gate {
    /// Lets `count` more through.
    pub(crate) fn open(&self, count: u64) {
        let mut free = self.0.0.lock().unwrap();
        *free = free.saturating_add(count);
        self.0.1.notify_all();
    }

    /// Lets everybody through from now on.
    pub(crate) fn open_for_all(&self) {
        self.open(u64::MAX);
    }

    /// Waits to be let through; false when `is_left` says first that nobody wants it any more.
    pub(crate) fn pass(&self, is_left: impl Fn() -> bool) -> bool {
        let mut free = self.0.0.lock().unwrap();
        loop {
            if *free > 0 {
                if *free < u64::MAX {
                    *free -= 1;
                }
                return true;
            }
            free = self.0.1.wait_timeout(free, LOOK_AGAIN).unwrap().0;
            if is_left() {
                return false;
            }
        }
    }
}
