//! What has been seen of a stream, by the rules of its dialect.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::BackendError;
use super::words::{flag_on_top, last_value, mentions};
use crate::sse::{Event, HOLD_LIMIT, Piece};
use crate::usage::{Tally, reported_in_line};
use crate::{Dialect, Framing, Usage, fault};

/// So much of a long event's end is looked at, in bytes: there stands what it says of itself.
const TAIL: usize = 4 * 1024;

/// How far a stream has come, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
enum Stage {
    /// Nothing of content yet.
    Silent,
    /// Content has been seen.
    Begun,
    /// The end marker has been seen.
    Complete,
}

/// What has been seen of a stream.
#[derive(Debug)]
pub(super) struct Seen {
    dialect: Dialect,
    framing: Framing,
    hide_usage: bool,
    stage: Stage,
    /// Whether the last piece was released: the rest of a long event, and a late line feed, follow it.
    is_last_released: bool,
    end: End,
    error: Option<BackendError>,
    tally: Tally,
    /// The end of a long event, as far as it has come.
    tail: Tail,
}

/// What makes a stream of Gemini's complete when its bytes are over.
#[derive(Clone, Copy, Default, Debug)]
struct End {
    /// A reason to finish has been seen.
    has_reason: bool,
    /// The list's bracket has closed.
    is_closed: bool,
}

/// What is kept of a long event.
#[derive(Default)]
struct Tail {
    /// Its last bytes.
    bytes: Vec<u8>,
    /// Whether its beginning says that it is the stream's last.
    is_last: bool,
}

impl std::fmt::Debug for Tail {
    /// Shows nothing of it: it is content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tail({} bytes)", self.bytes.len())
    }
}

impl Seen {
    /// Nothing yet of a stream of `dialect`.
    pub(super) fn new(dialect: Dialect, framing: Framing, hide_usage: bool) -> Self {
        Self {
            dialect,
            framing,
            hide_usage,
            stage: Stage::Silent,
            is_last_released: true,
            end: End::default(),
            error: None,
            tally: Tally::default(),
            tail: Tail::default(),
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.stage >= Stage::Begun
    }

    pub(super) fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    pub(super) fn error(&self) -> Option<&BackendError> {
        self.error.as_ref()
    }

    pub(super) fn is_last_released(&self) -> bool {
        self.is_last_released
    }

    pub(super) fn usage(&self) -> Usage {
        self.tally.usage(self.dialect)
    }

    pub(super) fn capacity(&self) -> usize {
        self.tail.bytes.capacity()
    }

    /// Something of content has come, whatever it is.
    pub(super) fn begin(&mut self) {
        if self.stage == Stage::Silent {
            self.stage = Stage::Begun;
        }
    }

    /// The bytes are over, between two events. `is_end` says that this alone makes the stream complete.
    pub(super) fn finish(&mut self, is_end: bool) {
        let is_closed = self.framing != Framing::List || self.end.is_closed;
        if self.error.is_none() && (is_end || (self.end.has_reason && is_closed)) {
            self.stage = Stage::Complete;
        }
    }

    /// Whether nothing more is to be released.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Complete || self.error.is_some()
    }

    /// Whether an event without what would end it is all there, so that it may count.
    pub(super) fn is_whole(&self, event: &Event<'_>) -> bool {
        let data = event.data.as_deref().unwrap_or_default().trim_ascii();
        is_object(data) || (self.dialect == Dialect::OpenAi && data == b"[DONE]")
    }

    /// Takes the next piece, and appends it to `out` if it may be released.
    pub(super) fn take(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        let (bytes, is_released) = match piece {
            Piece::Tail(bytes) | Piece::Long { bytes, is_first: false, .. } => (bytes, self.is_last_released),
            Piece::Event(bytes) | Piece::Long { bytes, .. } if self.is_over() => (bytes, false),
            Piece::Event(bytes) => (bytes, self.take_event(&Event::read_framed(self.framing, bytes), bytes)),
            Piece::Long { bytes, is_first: true, .. } => {
                (bytes, self.take_long(&Event::read_framed(self.framing, &bytes[..HOLD_LIMIT])))
            }
        };
        self.is_last_released = is_released;
        if is_released {
            out.extend_from_slice(bytes);
            if let Piece::Long { bytes, is_last, .. } = piece {
                self.take_tail(bytes, is_last);
            }
        }
    }

    /// Looks at an event, and says whether it may be released.
    fn take_event(&mut self, event: &Event<'_>, bytes: &[u8]) -> bool {
        let data = event.data.as_deref().unwrap_or_default().trim_ascii();
        if event.name == b"error" {
            self.error = Some(fault::told_by(data));
            return false;
        }
        match self.dialect {
            Dialect::OpenAi => self.take_openai(event, data),
            Dialect::Anthropic => self.take_anthropic(event.name, data),
            Dialect::Responses => self.take_responses(event.name, data),
            Dialect::Gemini => {
                self.end.is_closed |= self.framing == Framing::List && bytes.trim_ascii_end().ends_with(b"]");
                self.take_gemini(data)
            }
            Dialect::Ollama => self.take_ollama(data),
        }
    }

    fn take_openai(&mut self, event: &Event<'_>, data: &[u8]) -> bool {
        if data == b"[DONE]" {
            self.stage = Stage::Complete;
            return true;
        }
        self.error = event.error.map(fault::told_by);
        if self.finds_error(data) {
            return false;
        }
        self.look_for_beginning(data);
        if mentions(data, b"\"usage\"")
            && let Ok(Chunk { choices, usage: Some(usage) }) = serde_json::from_slice(data)
        {
            self.tally.add(Dialect::OpenAi, usage);
            let has_choices = choices.is_some_and(|choices| !is_empty_list(choices));
            return has_choices || !self.hide_usage;
        }
        true
    }

    fn take_anthropic(&mut self, name: &[u8], data: &[u8]) -> bool {
        match &*kind(name, data) {
            b"error" => {
                self.error = Some(fault::told_by(data));
                return false;
            }
            b"ping" => return true,
            b"message_start" => {
                if let Ok(MessageStart { message: Reported { usage: Some(usage) } }) =
                    serde_json::from_slice(data)
                {
                    self.tally.add(Dialect::Anthropic, usage);
                }
            }
            b"message_delta" => {
                if let Ok(Reported { usage: Some(usage) }) = serde_json::from_slice(data) {
                    self.tally.add(Dialect::Anthropic, usage);
                }
            }
            b"message_stop" => {
                self.stage = Stage::Complete;
            }
            _ => {}
        }
        self.look_for_beginning(data);
        true
    }

    fn take_responses(&mut self, name: &[u8], data: &[u8]) -> bool {
        match &*kind(name, data) {
            b"error" | b"response.failed" => {
                self.add_response_usage(data);
                self.error = Some(fault::told_by(data));
                return false;
            }
            b"ping" | b"keepalive" => return true,
            b"response.completed" | b"response.incomplete" => {
                self.add_response_usage(data);
                self.stage = Stage::Complete;
            }
            b"" if self.finds_error(data) => return false,
            _ => {}
        }
        self.look_for_beginning(data);
        true
    }

    fn add_response_usage(&mut self, data: &[u8]) {
        if let Ok(Terminal { response: Some(Reported { usage: Some(usage) }) }) = serde_json::from_slice(data)
        {
            self.tally.add(Dialect::Responses, usage);
        }
    }

    fn take_gemini(&mut self, data: &[u8]) -> bool {
        if self.finds_error(data) {
            return false;
        }
        self.look_for_beginning(data);
        let may_end = mentions(data, b"\"finishReason\"") || mentions(data, b"\"blockReason\"");
        if (may_end || mentions(data, b"\"usageMetadata\""))
            && let Ok(chunk) = serde_json::from_slice::<GeminiChunk<'_>>(data)
        {
            let is_finished = |candidate: &GeminiCandidate<'_>| {
                candidate.finish_reason.is_some_and(|reason| reason.get() != "null")
            };
            self.end.has_reason |= chunk.candidates.iter().flatten().any(is_finished)
                || chunk
                    .prompt_feedback
                    .is_some_and(|feedback| mentions(feedback.get().as_bytes(), b"\"blockReason\""));
            if let Some(usage) = chunk.usage {
                self.tally.add(Dialect::Gemini, usage);
            }
        }
        true
    }

    fn take_ollama(&mut self, data: &[u8]) -> bool {
        if self.finds_error(data) {
            return false;
        }
        self.look_for_beginning(data);
        if mentions(data, b"\"done\"")
            && let Ok(OllamaLine { done: true }) = serde_json::from_slice(data)
        {
            if let Some(usage) = reported_in_line(data) {
                self.tally.add(Dialect::Ollama, usage);
            }
            self.stage = Stage::Complete;
        }
        true
    }

    /// Whether the event tells of an error; if it does, takes note of it.
    fn finds_error(&mut self, data: &[u8]) -> bool {
        if self.error.is_none() && mentions(data, b"\"error\"") {
            self.error = fault::told_in(data);
        }
        self.error.is_some()
    }

    /// Only until content has been seen are events checked whole.
    fn look_for_beginning(&mut self, data: &[u8]) {
        if self.stage == Stage::Silent && is_object(data) {
            self.stage = Stage::Begun;
        }
    }

    /// Looks at the beginning of an event too long to be held back.
    fn take_long(&mut self, head: &Event<'_>) -> bool {
        let data = head.data.as_deref().unwrap_or_default().trim_ascii_start();
        let members = data.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
        let is_error = members
            .is_some_and(|members| members.starts_with(b"\"error\"") && mentions(members, b"\"error\""));
        if matches!(head.name, b"error" | b"response.failed") || is_error {
            self.error = Some(fault::too_long());
            return false;
        }
        if self.stage == Stage::Silent && members.is_some() && head.name != b"ping" {
            self.stage = Stage::Begun;
        }
        self.tail.bytes.clear();
        self.tail.is_last = match self.dialect {
            Dialect::Responses => matches!(head.name, b"response.completed" | b"response.incomplete"),
            Dialect::Ollama => flag_on_top(data, b"\"done\"") == Some(true),
            Dialect::OpenAi | Dialect::Anthropic | Dialect::Gemini => false,
        };
        true
    }

    /// Takes note of a stretch of a long event, and looks at its end when that has come.
    fn take_tail(&mut self, bytes: &[u8], is_last: bool) {
        if !matches!(self.dialect, Dialect::Responses | Dialect::Gemini | Dialect::Ollama) {
            return;
        }
        let tail = &mut self.tail.bytes;
        tail.drain(..(tail.len() + bytes.len().min(TAIL)).saturating_sub(TAIL).min(tail.len()));
        tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        if !is_last {
            return;
        }
        let tail = std::mem::take(&mut self.tail.bytes);
        match self.dialect {
            Dialect::Responses if self.tail.is_last => {
                last_value(&tail, b"\"usage\"").inspect(|usage| self.tally.add(Dialect::Responses, usage));
            }
            Dialect::Gemini => {
                last_value(&tail, b"\"usageMetadata\"")
                    .inspect(|usage| self.tally.add(Dialect::Gemini, usage));
                let names = [&b"\"finishReason\""[..], b"\"blockReason\""];
                self.end.has_reason |= names.iter().any(|name| last_value(&tail, name).is_some());
            }
            Dialect::Ollama => {
                self.tail.is_last |= last_value(&tail, b"\"done\"").is_some_and(|done| done.get() == "true");
                self.tally.add_counts(
                    last_value(&tail, b"\"prompt_eval_count\""),
                    last_value(&tail, b"\"eval_count\""),
                );
            }
            Dialect::Responses | Dialect::OpenAi | Dialect::Anthropic => {}
        }
        if std::mem::take(&mut self.tail.is_last) {
            self.stage = Stage::Complete;
        }
    }
}

fn is_object(data: &[u8]) -> bool {
    data.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

fn is_empty_list(value: &RawValue) -> bool {
    value.get().strip_prefix('[').is_some_and(|rest| rest.trim_ascii_start().starts_with(']'))
}

/// What an event is: by its name, or by its data where a server leaves the name out.
fn kind<'a>(name: &'a [u8], data: &'a [u8]) -> Cow<'a, [u8]> {
    if !name.is_empty() || data.is_empty() {
        return Cow::Borrowed(name);
    }
    match serde_json::from_slice(data) {
        Ok(Typed { r#type: Cow::Borrowed(kind) }) => Cow::Borrowed(kind.as_bytes()),
        Ok(Typed { r#type: Cow::Owned(kind) }) => Cow::Owned(kind.into_bytes()),
        Err(_) => Cow::Borrowed(name),
    }
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MessageStart<'a> {
    #[serde(borrow)]
    message: Reported<'a>,
}

#[derive(Deserialize)]
struct Reported<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Terminal<'a> {
    #[serde(borrow)]
    response: Option<Reported<'a>>,
}

#[derive(Deserialize)]
struct GeminiChunk<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<GeminiCandidate<'a>>>,
    #[serde(borrow, rename = "promptFeedback")]
    prompt_feedback: Option<&'a RawValue>,
    #[serde(borrow, rename = "usageMetadata")]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GeminiCandidate<'a> {
    #[serde(borrow, rename = "finishReason")]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OllamaLine {
    done: bool,
}
