//! A client's stream, piece by piece: server-sent events, or the elements of one JSON list.
//!
//! Calls go out whole, with the piece that follows them or with the last one; that one tells for every candidate why it
//! ended, and the tokens used.

use serde::Serialize;

use crate::Framing;
use crate::hub::{Block, Event, Request, Signature, Usage, Writer};
use crate::translate::Terms;

use super::answer_writer::{self, Counts, Response};
use super::candidate::{Candidate, Content, Speech};
use super::wire::OutPart;

/// The writer of one stream.
pub(super) struct StreamWriter {
    framing: Framing,
    has_written: bool,
    shows_thoughts: bool,
    model: String,
    id: String,
    strands: Vec<Strand>,
}

struct Strand {
    speech: Speech,
    open: Open,
}

enum Open {
    Text,
    Thinking,
    Call(Call),
}

#[derive(Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
    is_custom: bool,
    signature: Option<Signature>,
}

impl StreamWriter {
    /// A writer for the client that asked `request`.
    pub(super) fn new(request: &Request, terms: &Terms) -> Self {
        Self {
            framing: terms.framing,
            has_written: false,
            shows_thoughts: answer_writer::shows_thoughts(request),
            model: terms.model.clone(),
            id: answer_writer::id_of(None, terms),
            strands: Vec::new(),
        }
    }

    fn strand(&mut self, choice: u32) -> &mut Strand {
        let index = choice as usize;
        if self.strands.len() <= index {
            let shows = self.shows_thoughts;
            self.strands.resize_with(index + 1, || Strand { speech: Speech::new(shows), open: Open::Text });
        }
        &mut self.strands[index]
    }

    fn open(&mut self, choice: u32, block: Block<'_>) {
        self.strand(choice).open = match block {
            Block::Text | Block::Refusal => Open::Text,
            Block::Thinking => Open::Thinking,
            Block::ToolCall { id, name, is_custom, signature } => Open::Call(Call {
                id: id.to_owned(),
                name: name.to_owned(),
                arguments: String::new(),
                is_custom,
                signature: signature.cloned(),
            }),
        };
    }

    fn piece(&mut self, choice: u32, text: &str, out: &mut Vec<u8>) {
        let strand = self.strand(choice);
        let is_clear = strand.speech.is_clear();
        let part = match &mut strand.open {
            Open::Call(call) => return call.arguments.push_str(text),
            Open::Thinking if !strand.speech.shows_thoughts() => return,
            Open::Thinking if is_clear => OutPart::thought(text),
            Open::Text if is_clear => OutPart::text(text),
            Open::Thinking => {
                strand.speech.thought(text);
                return self.flush(choice, out);
            }
            Open::Text => {
                strand.speech.text(text);
                return self.flush(choice, out);
            }
        };
        // Nearly every piece of a stream goes this way, without a copy.
        let candidate = Candidate {
            content: Content::of(std::slice::from_ref(&part)),
            finish_reason: None,
            index: choice,
            logprobs_result: None,
        };
        self.send(&[candidate], None, out);
    }

    fn close(&mut self, choice: u32) {
        let strand = self.strand(choice);
        if let Open::Call(call) = std::mem::replace(&mut strand.open, Open::Text) {
            let Call { id, name, arguments, is_custom, signature } = call;
            strand.speech.call(&id, &name, &arguments, is_custom, signature.as_ref());
        }
    }

    /// Sends what waits in this candidate.
    fn flush(&mut self, choice: u32, out: &mut Vec<u8>) {
        let (parts, logprobs_result, _) = self.strand(choice).speech.take(false);
        if parts.is_empty() && logprobs_result.is_none() {
            return;
        }
        let content = Content::of(&parts);
        let candidate = Candidate { content, finish_reason: None, index: choice, logprobs_result };
        self.send(&[candidate], None, out);
    }

    fn end(&mut self, usage: &Usage, out: &mut Vec<u8>) {
        let mut strands = std::mem::take(&mut self.strands);
        let last: Vec<_> = (0..)
            .zip(&mut strands)
            .filter(|(_, strand)| strand.speech.has_finished())
            .map(|(index, strand)| (index, strand.speech.take(true)))
            .collect();
        let (mut parts, mut rest) = (Vec::new(), Vec::new());
        for (index, (of_one, logprobs, finish)) in last {
            parts.push(of_one);
            rest.push((index, logprobs, finish));
        }
        let candidates: Vec<_> = parts
            .iter()
            .zip(rest)
            .map(|(parts, (index, logprobs_result, finish_reason))| Candidate {
                content: Content::of(parts),
                finish_reason,
                index,
                logprobs_result,
            })
            .collect();
        self.send(&candidates, Some(usage.into()), out);
        if self.framing == Framing::List {
            out.push(b']');
        }
    }

    fn send<P: Serialize>(
        &mut self,
        candidates: &[Candidate<'_, P>],
        usage_metadata: Option<Counts>,
        out: &mut Vec<u8>,
    ) {
        let before: &[u8] = match self.framing {
            Framing::List if self.has_written => b",\r\n",
            Framing::List => b"[",
            Framing::Events | Framing::Lines => b"data: ",
        };
        self.has_written = true;
        out.extend_from_slice(before);
        let response =
            Response { candidates, usage_metadata, model_version: &self.model, response_id: &self.id };
        serde_json::to_writer(&mut *out, &response).expect("our own types are always JSON");
        if self.framing != Framing::List {
            out.extend_from_slice(b"\r\n\r\n");
        }
    }
}

impl Writer for StreamWriter {
    fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Begin(beginning, _) => {
                if let Some(model) = &beginning.model {
                    self.model.clone_from(model);
                }
                if let Some(id) = beginning.id.as_ref().filter(|id| !id.is_empty()) {
                    self.id.clone_from(id);
                }
            }
            Event::Open { choice, block } => self.open(choice, block),
            Event::Piece { choice, text } => self.piece(choice, text, out),
            Event::Signature { choice, signature } => self.strand(choice).speech.sign(signature, false),
            Event::Close { choice } => self.close(choice),
            Event::Part { choice, part } => {
                self.strand(choice).speech.part(part);
                self.flush(choice, out);
            }
            Event::Logprobs { choice, value } => self.strand(choice).speech.likely(value.get()),
            Event::Finish { choice, finish } => self.strand(choice).speech.finish(finish),
            Event::End(usage) => self.end(usage, out),
        }
    }
}
