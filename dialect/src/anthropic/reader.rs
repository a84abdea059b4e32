//! A backend's stream, event by event.
//!
//! Which event it is is told by the type inside; the name outside only says that an event is an error. Counts are
//! cumulative. Nothing but `message_stop` completes a stream.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::{Beginning, CallPiece, Delta, Fields, Json, Part, PartKind, Provider, Reader, Signature};
use crate::usage::Tally;
use crate::watch::BackendError;
use crate::{Dialect, fault};

use super::{block, stop, told};
use crate::hub::Object;

/// Where the deltas go.
type Sink<'s> = dyn FnMut(Delta<'_>) + 's;

/// Reads one stream.
#[derive(Default)]
pub(super) struct StreamReader {
    tally: Tally,
    /// The blocks that are open, by their numbers; nearly always one.
    open: Vec<(u32, Block)>,
}

/// An open block.
enum Block {
    /// Text, and where it comes from.
    Text(Vec<Json>),
    Thinking,
    /// A call; its input if that was there from the beginning.
    Call {
        given: Option<String>,
    },
    /// A block that is told as a whole, and its input if that comes in pieces.
    Whole {
        raw: Json,
        input: String,
    },
}

/// A string; `null` and none at all are told apart from it by the member's being optional.
#[derive(Deserialize)]
struct Words<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    r#type: Option<Words<'a>>,
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    delta: Option<Change<'a>>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    r#type: Option<Words<'a>>,
    #[serde(borrow)]
    text: Option<Words<'a>>,
    #[serde(borrow)]
    thinking: Option<Words<'a>>,
    #[serde(borrow)]
    signature: Option<Words<'a>>,
    #[serde(borrow)]
    partial_json: Option<Words<'a>>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
}

/// What `words` say; nothing if there are none.
fn said(words: Option<Words<'_>>) -> Cow<'_, str> {
    words.map(|Words(words)| words).unwrap_or_default()
}

/// The string that `raw` is, if it is one.
fn string(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

impl Reader for StreamReader {
    fn read(&mut self, name: &[u8], data: &[u8], sink: &mut dyn FnMut(Delta<'_>)) {
        if name == b"error" {
            return sink(Delta::Error(fault::told_by(data)));
        }
        let wire: Wire<'_> = match serde_json::from_slice(data) {
            Ok(wire) => wire,
            Err(error) => return sink(broken(&format!("an event that makes no sense: {error}"))),
        };
        match said(wire.r#type).as_ref() {
            "content_block_delta" => {
                if let Some(change) = wire.delta {
                    self.change(wire.index, change, sink);
                }
            }
            "content_block_start" => {
                if let Some(raw) = wire.content_block {
                    self.start(wire.index, raw, sink);
                }
            }
            "content_block_stop" => self.stop(wire.index, sink),
            "message_start" => {
                if let Some(message) = wire.message {
                    self.begin(message, sink);
                }
            }
            "message_delta" => {
                self.count(wire.usage, sink);
                let Some(change) = wire.delta else { return };
                if let Some(reason) = string(change.stop_reason) {
                    let finish = stop::read(Some(&reason), string(change.stop_sequence));
                    sink(Delta::Finish { choice: 0, finish });
                }
            }
            "message_stop" => {
                self.open.iter().for_each(|_| sink(Delta::Over { choice: 0 }));
                sink(Delta::End);
            }
            "error" => sink(Delta::Error(fault::told_by(data))),
            _ if wire.error.is_some() => sink(Delta::Error(fault::told_by(data))),
            // Signs of life, and what is yet to be invented.
            _ => {}
        }
    }

    fn finish(&mut self, _: &mut dyn FnMut(Delta<'_>)) {}
}

fn broken(what: &str) -> Delta<'static> {
    Delta::Error(BackendError { message: format!("sent {what}"), status: None })
}

impl StreamReader {
    fn begin(&mut self, message: &RawValue, sink: &mut Sink<'_>) {
        let Ok(mut message) = Fields::of("message", message) else { return };
        let usage = message.take("usage");
        sink(Delta::Begin(Beginning {
            id: message.text("id").ok().flatten(),
            model: message.text("model").ok().flatten(),
            created: None,
            service_tier: usage.and_then(told::service_tier),
        }));
        self.count(usage, sink);
    }

    fn count(&mut self, usage: Option<&RawValue>, sink: &mut Sink<'_>) {
        if let Some(usage) = usage {
            self.tally.add(Dialect::Anthropic, usage);
            sink(Delta::Usage(self.tally.usage(Dialect::Anthropic)));
        }
    }

    fn start(&mut self, index: u32, raw: &RawValue, sink: &mut Sink<'_>) {
        let Ok(mut block) = Fields::of("content_block", raw) else {
            return sink(broken("a block that is no object"));
        };
        let mut text_of = |name: &str| block.text(name).ok().flatten().unwrap_or_default();
        let opened = match text_of("type").as_str() {
            "text" => {
                sink(Delta::Text { choice: 0, text: text_of("text").into() });
                Block::Text(block.json("citations").and_then(|list| list.to()).unwrap_or_default())
            }
            "thinking" => {
                sink(Delta::Thinking { choice: 0, text: text_of("thinking").into() });
                sign(&text_of("signature"), sink);
                Block::Thinking
            }
            "tool_use" => {
                let (id, name) = (text_of("id"), text_of("name"));
                let piece =
                    CallPiece { id: Some(id.into()), name: Some(name.into()), ..CallPiece::default() };
                sink(Delta::ToolCall { choice: 0, index, piece });
                let given = block.take("input").map(RawValue::get).filter(|input| !is_empty(input));
                Block::Call { given: given.map(str::to_owned) }
            }
            _ => Block::Whole { raw: raw.into(), input: String::new() },
        };
        self.open.retain(|(open, _)| *open != index);
        self.open.push((index, opened));
    }

    fn change(&mut self, index: u32, change: Change<'_>, sink: &mut Sink<'_>) {
        let block = self.open.iter_mut().find(|(open, _)| *open == index).map(|(_, block)| block);
        match said(change.r#type).as_ref() {
            "text_delta" => sink(Delta::Text { choice: 0, text: said(change.text) }),
            "thinking_delta" => sink(Delta::Thinking { choice: 0, text: said(change.thinking) }),
            "signature_delta" => sign(&said(change.signature), sink),
            "input_json_delta" => match block {
                Some(Block::Whole { input, .. }) => input.push_str(&said(change.partial_json)),
                Some(Block::Call { given }) => {
                    let arguments = said(change.partial_json);
                    if !arguments.is_empty() {
                        *given = None;
                        let piece = CallPiece { arguments, ..CallPiece::default() };
                        sink(Delta::ToolCall { choice: 0, index, piece });
                    }
                }
                _ => sink(broken("arguments outside of a call")),
            },
            "citations_delta" => {
                if let (Some(Block::Text(sources)), Some(citation)) = (block, change.citation) {
                    sources.push(citation.into());
                }
            }
            _ => {}
        }
    }

    fn stop(&mut self, index: u32, sink: &mut Sink<'_>) {
        let Some(place) = self.open.iter().position(|(open, _)| *open == index) else { return };
        match self.open.remove(place).1 {
            Block::Text(sources) if !sources.is_empty() => {
                let sources = Some(Json::of(&sources));
                let part = Part::answered(PartKind::Text { text: String::new(), sources });
                sink(Delta::Part { choice: 0, part });
            }
            Block::Text(_) | Block::Thinking => {}
            Block::Call { given } => {
                let arguments = Cow::Owned(given.unwrap_or_default());
                let piece = CallPiece { arguments, is_whole: true, ..CallPiece::default() };
                sink(Delta::ToolCall { choice: 0, index, piece });
            }
            Block::Whole { raw, input } => whole(&raw, &input, sink),
        }
        sink(Delta::Over { choice: 0 });
    }
}

/// Tells a block that is told as a whole, with the `input` that came in pieces.
fn whole(raw: &Json, input: &str, sink: &mut Sink<'_>) {
    let with_input = match Json::parse(input) {
        Some(input) if !is_empty(input.as_str()) => Json::of(&Object::of(raw).replaced("input", input)),
        _ => raw.clone(),
    };
    let mut parts = Vec::new();
    let raw: &RawValue = serde_json::from_str(with_input.as_str()).expect("it was JSON before");
    match block::read(raw, "", &mut parts, &mut Vec::new()) {
        Ok(()) => {
            for mut part in parts {
                block::as_answered(&mut part);
                sink(Delta::Part { choice: 0, part });
            }
        }
        Err(unfit) => sink(broken(&format!("a block that makes no sense: {unfit}"))),
    }
}

fn sign(signature: &str, sink: &mut Sink<'_>) {
    if !signature.is_empty() {
        let signature = Signature { provider: Provider::Anthropic, data: signature.to_owned() };
        sink(Delta::ThinkingSignature { choice: 0, signature });
    }
}

fn is_empty(input: &str) -> bool {
    matches!(input, "{}" | "null" | "\"\"" | "")
}

#[cfg(test)]
mod tests;
