//! A client's stream: the exact order of events that Anthropic's own API keeps.
//!
//! Blocks are numbered without gaps and open one at a time. The events come in order already, so all that is left is to
//! number and to word them. Errors are worded elsewhere.

use std::io::Write;

use serde::Serialize;

use crate::hub::{Block, Event, Finish, Request, Signature, Writer, custom_tools, ids};
use crate::translate::Terms;

use super::given::{self, Thoughts};
use super::usage::{self, Counts};
use super::{seal, stop};
use crate::hub::Object;

/// Writes one stream.
pub(super) struct StreamWriter {
    request: Request,
    label: String,
    thoughts: Thoughts,
    estimate: u64,
    /// The number of the block that is open, or comes next.
    index: usize,
    open: Open,
    has_refused: bool,
    finish: Finish,
    service_tier: Option<String>,
}

/// The open block.
#[derive(PartialEq, Eq)]
enum Open {
    None,
    Text,
    /// Thoughts; the block is opened when there is something to tell.
    Thinking {
        is_told: bool,
    },
    Call,
    /// A call whose input is free text.
    Custom(String),
}

impl StreamWriter {
    /// A writer for the client of `request`.
    pub(super) fn new(request: &Request, terms: &Terms) -> Self {
        let mut kept = Request::new(request.origin);
        kept.model.clone_from(&request.model);
        kept.sampling.stop.clone_from(&request.sampling.stop);
        Self {
            request: kept,
            label: terms.label.clone(),
            thoughts: Thoughts::of(request),
            estimate: usage::estimate(request),
            index: 0,
            open: Open::None,
            has_refused: false,
            finish: Finish::default(),
            service_tier: None,
        }
    }

    fn open(&mut self, block: Block<'_>, out: &mut Vec<u8>) {
        self.open = match block {
            Block::Text | Block::Refusal => {
                self.has_refused |= block == Block::Refusal;
                self.start(&Object::typed("text").with("text", ""), out);
                Open::Text
            }
            Block::Thinking => Open::Thinking { is_told: false },
            Block::ToolCall { id, name, is_custom, signature } => {
                if let Some(block) = given::call_seal(signature, self.thoughts) {
                    self.start(&block, out);
                    self.stop(out);
                }
                let block = Object::typed("tool_use")
                    .with("id", &*given::call_id(id, &self.label, self.index))
                    .with("name", name)
                    .with("input", &Object::default());
                self.start(&block, out);
                if is_custom { Open::Custom(String::new()) } else { Open::Call }
            }
        };
    }

    fn piece(&mut self, text: &str, out: &mut Vec<u8>) {
        match &mut self.open {
            Open::Text => self.change(TEXT, text, out),
            Open::Call => self.change(JSON, text, out),
            Open::Custom(input) => input.push_str(text),
            Open::Thinking { .. } => {
                if self.thoughts.shows_words() {
                    self.start_thoughts(out);
                    self.change(THINKING, text, out);
                }
            }
            Open::None => {}
        }
    }

    fn signature(&mut self, signature: &Signature, out: &mut Vec<u8>) {
        let is_told = self.open == Open::Thinking { is_told: true };
        if is_told || self.thoughts.shows_seals() {
            self.start_thoughts(out);
            self.change(SIGNATURE, &seal::written(signature), out);
        }
    }

    fn start_thoughts(&mut self, out: &mut Vec<u8>) {
        if self.open == (Open::Thinking { is_told: false }) {
            self.start(&Object::typed("thinking").with("thinking", "").with("signature", ""), out);
            self.open = Open::Thinking { is_told: true };
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.open, Open::None) {
            Open::None | Open::Thinking { is_told: false } => {}
            Open::Custom(input) => {
                self.change(JSON, &custom_tools::wrapped(&input), out);
                self.stop(out);
            }
            _ => self.stop(out),
        }
    }

    fn start(&self, block: &Object, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Start<'a> {
            r#type: &'static str,
            index: usize,
            content_block: &'a Object,
        }
        let start = Start { r#type: "content_block_start", index: self.index, content_block: block };
        event("content_block_start", &start, out);
    }

    /// One more piece of the open block: nearly all events of a stream are such.
    fn change(&self, kind: Change, text: &str, out: &mut Vec<u8>) {
        let Change { kind, member } = kind;
        let head = format_args!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{},\"delta\":{{\"type\":\"{kind}\",\"{member}\":",
            self.index
        );
        out.write_fmt(head).expect("memory takes every byte");
        serde_json::to_writer(&mut *out, text).expect("a string is always JSON");
        out.extend_from_slice(b"}}\n\n");
    }

    fn stop(&mut self, out: &mut Vec<u8>) {
        let stop = format_args!(
            "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":{}}}\n\n",
            self.index
        );
        out.write_fmt(stop).expect("memory takes every byte");
        self.index += 1;
    }

    fn end(&self, usage: &crate::Usage, out: &mut Vec<u8>) {
        let (stop_reason, stop_sequence) = stop::written(&self.finish, &self.request, self.has_refused);
        let reasons =
            Object::default().with("stop_reason", stop_reason).with("stop_sequence", &stop_sequence);
        let counts = Counts::of(usage, self.estimate, None);
        let delta = Object::typed("message_delta").with("delta", &reasons).with("usage", &counts);
        event("message_delta", &delta, out);
        event("message_stop", &Object::typed("message_stop"), out);
    }
}

/// A kind of piece, and the member that holds it.
#[derive(Clone, Copy)]
struct Change {
    kind: &'static str,
    member: &'static str,
}

const TEXT: Change = Change { kind: "text_delta", member: "text" };
const THINKING: Change = Change { kind: "thinking_delta", member: "thinking" };
const SIGNATURE: Change = Change { kind: "signature_delta", member: "signature" };
const JSON: Change = Change { kind: "input_json_delta", member: "partial_json" };

impl Writer for StreamWriter {
    fn write(&mut self, told: Event<'_>, out: &mut Vec<u8>) {
        match told {
            Event::Begin(beginning, usage) => {
                let id = ids::made("msg_", &self.label, 0);
                let model = beginning.model.as_deref().unwrap_or(&self.request.model);
                self.service_tier.clone_from(&beginning.service_tier);
                let counts = Counts::of(usage, self.estimate, self.service_tier.as_deref());
                let message = given::opening(&id, model, counts);
                event("message_start", &Object::typed("message_start").with("message", &message), out);
                event("ping", &Object::typed("ping"), out);
            }
            Event::Open { choice: 0, block } => self.open(block, out),
            Event::Piece { choice: 0, text } => self.piece(text, out),
            Event::Signature { choice: 0, signature } => self.signature(signature, out),
            Event::Close { choice: 0 } => self.close(out),
            Event::Part { choice: 0, part } => {
                if let Some(block) = given::whole(part, self.thoughts) {
                    self.tell_whole(&block, out);
                }
            }
            Event::Finish { choice: 0, finish } => self.finish = finish.clone(),
            Event::End(usage) => self.end(usage, out),
            // Nobody can ask for more than one answer here, nor how likely its tokens were.
            _ => {}
        }
    }
}

impl StreamWriter {
    /// Tells a block that comes all at once. Clients add up the pieces of a text, so that one begins empty.
    fn tell_whole(&mut self, block: &Object, out: &mut Vec<u8>) {
        let text = block.plain_text().and_then(crate::hub::Json::to::<String>);
        if let Some(text) = text {
            self.start(&Object::typed("text").with("text", ""), out);
            self.change(TEXT, &text, out);
        } else {
            self.start(block, out);
        }
        self.stop(out);
    }
}

/// Appends an event.
fn event(name: &str, data: &impl Serialize, out: &mut Vec<u8>) {
    out.write_fmt(format_args!("event: {name}\ndata: ")).expect("memory takes every byte");
    serde_json::to_writer(&mut *out, data).expect("our own types are always JSON");
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests;
