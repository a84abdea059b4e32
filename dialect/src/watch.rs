//! What passes by in a response of the caller's own dialect: first event, usage, errors, the end marker.
//!
//! The bytes go through untouched, in whole events; this only looks at them, and as little as possible: most events
//! of a stream are searched for a few words and never parsed.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::sse::{Cutter, Event, HOLD_LIMIT, Piece};
use crate::usage::Tally;
use crate::{Dialect, Endpoint, Framing, Usage, fault};

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
/// as it comes: it counts as content, and no usage or end marker is looked for in it.
#[derive(Debug)]
pub struct StreamWatch {
    cutter: Cutter,
    seen: Seen,
}

impl StreamWatch {
    /// A watch over a stream of `endpoint`. With `hide_usage`, the chunk that only carries usage, which the
    /// client did not ask for, is taken out.
    pub fn new(endpoint: Endpoint, framing: Framing, hide_usage: bool) -> Self {
        let _ = framing;
        let seen = Seen {
            dialect: endpoint.dialect(),
            hide_usage,
            stage: Stage::Silent,
            is_last_released: true,
            error: None,
            tally: Tally::default(),
        };
        Self { cutter: Cutter::default(), seen }
    }

    /// Takes the next bytes as they came and appends to `out` what may go to the client: complete events, and
    /// the beginning of an incomplete one only when it has grown too long to hold back.
    ///
    /// An event in which the backend tells of an error is not released, and nothing after it: the client is told in
    /// other words. Nothing after the end marker is released either.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
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
        if !self.seen.is_over() && is_whole(self.seen.dialect, &Event::read(held)) {
            self.seen.take(Piece::Event(held), out);
            if self.seen.is_last_released {
                out.extend_from_slice(self.cutter.missing_end());
            }
        }
        self.cutter.forget_held();
    }

    /// Whether an event of content (anything but comments, pings and errors) has been seen.
    ///
    /// What is no JSON object is no content: a stream of garbage never begins.
    pub fn has_begun(&self) -> bool {
        self.seen.stage >= Stage::Begun
    }

    /// Whether the dialect's end marker (`[DONE]`, `message_stop`) has been seen.
    pub fn is_complete(&self) -> bool {
        self.seen.stage == Stage::Complete
    }

    /// Whether what has been released so far ends between two events: then one more can be added to it. It does
    /// not only inside an event over 64 KiB.
    pub fn is_between_events(&self) -> bool {
        self.seen.is_over() || self.cutter.is_between_events()
    }

    /// The error that the backend put into the stream, if it did.
    pub fn error(&self) -> Option<&BackendError> {
        self.seen.error.as_ref()
    }

    /// The tokens reported so far.
    pub fn usage(&self) -> Usage {
        self.seen.tally.usage(self.seen.dialect)
    }

    /// The memory it keeps for bytes held back, in bytes: at most twice 64 KiB.
    pub fn held_capacity(&self) -> usize {
        self.cutter.capacity()
    }
}

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
struct Seen {
    dialect: Dialect,
    hide_usage: bool,
    stage: Stage,
    /// Whether the last piece was released: the rest of a long event, and a late line feed, follow it.
    is_last_released: bool,
    error: Option<BackendError>,
    tally: Tally,
}

impl Seen {
    /// Whether nothing more is to be released.
    fn is_over(&self) -> bool {
        self.stage == Stage::Complete || self.error.is_some()
    }

    fn take(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        let (bytes, is_released) = match piece {
            Piece::Tail(bytes) | Piece::Long { bytes, is_first: false } => (bytes, self.is_last_released),
            Piece::Event(bytes) | Piece::Long { bytes, .. } if self.is_over() => (bytes, false),
            Piece::Event(bytes) => (bytes, self.take_event(&Event::read(bytes))),
            Piece::Long { bytes, is_first: true } => {
                (bytes, self.take_long(&Event::read(&bytes[..HOLD_LIMIT])))
            }
        };
        self.is_last_released = is_released;
        if is_released {
            out.extend_from_slice(bytes);
        }
    }

    /// Looks at an event, and says whether it may be released.
    fn take_event(&mut self, event: &Event<'_>) -> bool {
        let data = event.data.as_deref().unwrap_or_default().trim_ascii();
        if event.name == b"error" {
            self.error = Some(fault::told_by(data));
            return false;
        }
        match self.dialect {
            Dialect::OpenAi | Dialect::Responses | Dialect::Gemini | Dialect::Ollama => self.take_openai(event, data),
            Dialect::Anthropic => self.take_anthropic(event.name, data),
        }
    }

    fn take_openai(&mut self, event: &Event<'_>, data: &[u8]) -> bool {
        if data == b"[DONE]" {
            self.stage = Stage::Complete;
            return true;
        }
        self.error = event.error.map(fault::told_by);
        let mentions = Mentions::find_in(data);
        if mentions.error {
            self.error = self.error.take().or_else(|| fault::told_in(data));
        }
        if self.error.is_some() {
            return false;
        }
        self.look_for_beginning(data);
        if mentions.usage
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
            .is_some_and(|members| members.starts_with(b"\"error\"") && Mentions::find_in(members).error);
        if head.name == b"error" || is_error {
            self.error = Some(fault::too_long());
            return false;
        }
        if self.stage == Stage::Silent && members.is_some() && head.name != b"ping" {
            self.stage = Stage::Begun;
        }
        true
    }
}

/// Which words an event's data holds that are worth a closer look.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Mentions {
    usage: bool,
    error: bool,
}

impl Mentions {
    /// Quotes inside a JSON string are escaped, so only whole strings are found: members, or values. Many backends
    /// write `"usage":null` into every chunk; that is passed over.
    fn find_in(data: &[u8]) -> Self {
        let mut found = Self::default();
        for (at, word) in data.windows(WORD).enumerate() {
            if word[0] != b'"' || word[WORD - 1] != b'"' {
                continue;
            }
            match word {
                b"\"usage\"" => found.usage |= !is_null_next(&data[at + WORD..]),
                b"\"error\"" => found.error |= !is_null_next(&data[at + WORD..]),
                _ => {}
            }
        }
        found
    }
}

/// The length of both words, quotes included.
const WORD: usize = b"\"usage\"".len();

fn is_null_next(after_name: &[u8]) -> bool {
    let value = after_name.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    value.is_some_and(|value| value.starts_with(b"null"))
}

fn is_object(data: &[u8]) -> bool {
    data.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

fn is_empty_list(value: &RawValue) -> bool {
    value.get().strip_prefix('[').is_some_and(|rest| rest.trim_ascii_start().starts_with(']'))
}

/// Whether an event without its blank line is all there, so that it may count.
fn is_whole(dialect: Dialect, event: &Event<'_>) -> bool {
    let data = event.data.as_deref().unwrap_or_default().trim_ascii();
    is_object(data) || (dialect == Dialect::OpenAi && data == b"[DONE]")
}

/// What an Anthropic event is: by its name, or by its data where a server leaves the name out.
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

/// The usage in the body of a whole (not streamed) response to `endpoint`.
pub fn usage_in_body(endpoint: Endpoint, body: &[u8]) -> Usage {
    let dialect = endpoint.dialect();
    let mut tally = Tally::default();
    if let Some(usage) = usage_member(body) {
        tally.add(dialect, usage);
    }
    tally.usage(dialect)
}

/// The member `usage` of the object `body`. Where it is the last member, which is usual, what comes before it is
/// not parsed: embeddings are long.
fn usage_member(body: &[u8]) -> Option<&RawValue> {
    let last = body.windows(WORD).rposition(|word| word == b"\"usage\"")?;
    if let Some(value) = body[last + WORD..].trim_ascii_start().strip_prefix(b":") {
        let mut values = serde_json::Deserializer::from_slice(value).into_iter::<&RawValue>();
        if let Some(Ok(usage)) = values.next()
            && value[values.byte_offset()..].trim_ascii() == b"}"
        {
            return Some(usage);
        }
    }
    serde_json::from_slice::<Reported<'_>>(body).ok()?.usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_found_in_whole_bodies_wherever_it_stands() {
        let chat = br#"{"choices":[{"message":{"content":"\"usage\": {}"}}],"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}},"system_fingerprint":"x"}"#;
        let expected = Usage {
            input_tokens: Some(3),
            output_tokens: Some(4),
            cached_tokens: Some(2),
            ..Usage::default()
        };
        assert_eq!(usage_in_body(Endpoint::ChatCompletions, chat), expected);
        let embeddings =
            br#"{"data":[{"embedding":[0.1,2]}],"usage": {"prompt_tokens":8,"total_tokens":8} }"#;
        assert_eq!(usage_in_body(Endpoint::Embeddings, embeddings).input_tokens, Some(8));
        let nested = br#"{"usage":{"prompt_tokens":1},"x":{"usage":{"prompt_tokens":2}}}"#;
        assert_eq!(usage_in_body(Endpoint::Completions, nested).input_tokens, Some(1));
        let message =
            br#"{"type":"message","usage":{"input_tokens":5,"cache_read_input_tokens":6,"output_tokens":7}}"#;
        assert_eq!(usage_in_body(Endpoint::Messages, message).input_tokens, Some(11));
        for none in [&b"{}"[..], b"", b"<html>\"usage\"", br#"{"usage":null}"#, br#"{"usage":"usage"}"#] {
            assert_eq!(usage_in_body(Endpoint::ChatCompletions, none), Usage::default());
        }
    }

    #[test]
    fn words_are_found_only_as_whole_strings_with_something_to_say() {
        let find = |data: &str| {
            let Mentions { usage, error } = Mentions::find_in(data.as_bytes());
            (usage, error)
        };
        assert_eq!(find(r#"{"usage":{},"error" : null}"#), (true, false));
        assert_eq!(find(r#"{"usage": null,"a":"\"error\":1"}"#), (false, false));
        assert_eq!(find(r#"{"object":"error""#), (false, true));
    }
}
