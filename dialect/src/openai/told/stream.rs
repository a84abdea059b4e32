//! Reads a backend's stream.
//!
//! It is complete with `[DONE]` after an answer, or when the bytes end after every choice has said why it ended: several
//! servers leave out the one or the other.

use std::borrow::Cow;

use crate::Endpoint;
use crate::fault;
use crate::hub::{CallPiece, Delta, Json, Part, PartKind, Provider, Reader, Signature, Source};
use crate::openai::{finish, thoughts};
use crate::watch::BackendError;

use super::chunk::{Call, CallBody, Choice, Chunk, Said, Text};

type Sink<'a> = dyn FnMut(Delta<'_>) + 'a;

/// A reader of the stream of a chat or a completion.
pub(crate) fn reader(_called: Endpoint) -> Box<dyn Reader> {
    Box::new(Stream::default())
}

#[derive(Default)]
struct Stream {
    /// Whether id and model are known.
    is_known: bool,
    /// The choices that began, and those that ended, a bit for each.
    begun: u128,
    ended: u128,
    /// The choices whose thoughts were told in plain words: details that come later repeat them.
    thought_plainly: u128,
}

impl Reader for Stream {
    fn read(&mut self, name: &[u8], data: &[u8], sink: &mut dyn FnMut(Delta<'_>)) {
        if data.trim_ascii() == b"[DONE]" {
            if self.begun == 0 {
                let message = "the stream ended without an answer".to_owned();
                return sink(Delta::Error(BackendError { message, status: None }));
            }
            return sink(Delta::End);
        }
        if name == b"error" {
            return sink(Delta::Error(fault::told_by(data)));
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
            let strange = || BackendError {
                message: "an event in the stream is not what chat completions send".to_owned(),
                status: None,
            };
            return sink(Delta::Error(fault::told_in(data).unwrap_or_else(strange)));
        };
        if (chunk.error.is_some() || chunk.choices.is_none())
            && let Some(error) = fault::told_in(data)
        {
            return sink(Delta::Error(error));
        }
        self.take(chunk, sink);
    }

    fn finish(&mut self, sink: &mut dyn FnMut(Delta<'_>)) {
        if self.begun != 0 && self.begun == self.ended {
            sink(Delta::End);
        }
    }
}

impl Stream {
    fn take(&mut self, chunk: Chunk<'_>, sink: &mut Sink<'_>) {
        if !self.is_known {
            let beginning = chunk.beginning();
            self.is_known = beginning.id.is_some() && beginning.model.is_some();
            sink(Delta::Begin(beginning));
        }
        if let Some(usage) = chunk.usage() {
            sink(Delta::Usage(usage));
        }
        for choice in chunk.choices.into_iter().flatten() {
            self.choice(choice, sink);
        }
    }

    fn choice(&mut self, mut choice: Choice<'_>, sink: &mut Sink<'_>) {
        let number = choice.index.unwrap_or(0);
        let bit = 1_u128.checked_shl(number).unwrap_or(0);
        self.begun |= bit;
        if let Some(said) = choice.take_said() {
            let mut is_plain = self.thought_plainly & bit != 0;
            tell(number, said, &mut is_plain, sink);
            self.thought_plainly =
                if is_plain { self.thought_plainly | bit } else { self.thought_plainly & !bit };
        }
        if let Some(Text(text)) = choice.text.take() {
            sink(Delta::Text { choice: number, text });
        }
        if let Some(value) = choice.logprobs {
            sink(Delta::Logprobs { choice: number, value });
        }
        let Some(Text(word)) = choice.finish_reason.as_ref().filter(|Text(word)| !word.is_empty()) else {
            return;
        };
        match finish::read(word, choice.stop_sequence()) {
            Ok(finish) => {
                self.ended |= bit;
                sink(Delta::Finish { choice: number, finish });
            }
            Err(message) => sink(Delta::Error(BackendError { message, status: None })),
        }
    }
}

/// Tells everything that is `said`: thoughts first, then words, then calls. `is_plain` is whether the thoughts before were
/// told in plain words.
pub(super) fn tell(choice: u32, mut said: Said<'_>, is_plain: &mut bool, sink: &mut Sink<'_>) {
    let plain = said.thoughts();
    if let Some(details) = said.reasoning_details {
        let repeats = std::mem::take(is_plain) && plain.is_none();
        tell_details(choice, plain, &Json::from(details), repeats, sink);
    } else if let Some(text) = plain {
        *is_plain = true;
        sink(Delta::Thinking { choice, text });
    }
    let sources = said.annotations.filter(|list| list.get() != "[]").map(Json::from);
    match (said.content.text, sources) {
        (Some(text), Some(sources)) => {
            let kind = PartKind::Text { text: text.into_owned(), sources: Some(sources) };
            sink(Delta::Part { choice, part: Part::answered(kind) });
        }
        (Some(text), None) => sink(Delta::Text { choice, text }),
        (None, Some(sources)) => {
            let kind = PartKind::Text { text: String::new(), sources: Some(sources) };
            sink(Delta::Part { choice, part: Part::answered(kind) });
        }
        (None, None) => {}
    }
    if let Some(Text(text)) = said.refusal {
        sink(Delta::Refusal { choice, text });
    }
    for url in said.images.map(addresses).unwrap_or_default() {
        let kind = PartKind::Image { source: Source::of_url(&url), detail: None };
        sink(Delta::Part { choice, part: Part::answered(kind) });
    }
    for (place, call) in (0..).zip(said.tool_calls.into_iter().flatten()) {
        tell_call(choice, place, &call, sink);
    }
    if let Some(body) = said.function_call {
        let piece = piece(&body, None, None, false);
        sink(Delta::ToolCall { choice, index: 0, piece });
    }
}

/// Thoughts in the form that carries signatures. A stream tells text and signature in pieces.
fn tell_details(
    choice: u32,
    plain: Option<Cow<'_, str>>,
    details: &Json,
    repeats: bool,
    sink: &mut Sink<'_>,
) {
    let told = thoughts::read(None, Some(details));
    let has_text =
        told.iter().any(|kind| matches!(kind, PartKind::Thinking { text, .. } if !text.is_empty()));
    if let Some(text) = plain.filter(|_| !has_text) {
        sink(Delta::Thinking { choice, text });
    }
    for kind in told {
        match kind {
            PartKind::Thinking { text, signature } => {
                if !repeats {
                    sink(Delta::Thinking { choice, text: text.into() });
                }
                if let Some(signature) = signature {
                    sink(Delta::ThinkingSignature { choice, signature });
                }
            }
            sealed => sink(Delta::Part { choice, part: Part::answered(sealed) }),
        }
    }
}

fn tell_call(choice: u32, place: u32, call: &Call<'_>, sink: &mut Sink<'_>) {
    let signature = call.signature().map(|data| Signature { provider: Provider::Gemini, data });
    let is_custom = call.custom.is_some();
    let index = call.index.unwrap_or(place);
    let id = call.id.as_ref().map(|Text(id)| Cow::Borrowed(id.as_ref()));
    let piece = match call.custom.as_ref().or(call.function.as_ref()) {
        Some(body) => piece(body, id, signature, is_custom),
        None => CallPiece { id, signature, ..CallPiece::default() },
    };
    sink(Delta::ToolCall { choice, index, piece });
}

fn piece<'a>(
    body: &'a CallBody<'_>,
    id: Option<Cow<'a, str>>,
    signature: Option<Signature>,
    is_custom: bool,
) -> CallPiece<'a> {
    let (arguments, is_whole) = body.arguments();
    let name = body.name.as_ref().map(|Text(name)| Cow::Borrowed(name.as_ref()));
    CallPiece { id, name, arguments, is_custom, is_whole, signature }
}

/// The addresses of pictures in an answer: `[{"image_url": {"url": …}}]`.
fn addresses(list: &serde_json::value::RawValue) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Entry {
        image_url: Address,
    }
    #[derive(serde::Deserialize)]
    struct Address {
        url: String,
    }
    let list: Vec<Entry> = serde_json::from_str(list.get()).unwrap_or_default();
    list.into_iter().map(|entry| entry.image_url.url).collect()
}
