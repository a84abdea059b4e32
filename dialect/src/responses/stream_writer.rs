//! A client's stream: the events of the Responses API, in its order and numbered.
//!
//! Text and refusals that follow each other are parts of one message, which stays open until something else comes or the
//! answer's end is known: that decides its status. Thoughts are told as a summary.

use serde_json::value::RawValue;

use crate::hub::arguments::is_object;
use crate::hub::{
    Beginning, Block, Event, Finish, Json, Part, PartKind, Request, Signature, ToolCall, Usage, Writer, ids,
};
use crate::translate::Terms;

use super::answer_writer::tokens;
use super::item::{Content, Item, Status, Summary};
use super::names::Names;
use super::response::{End, Frame};
use super::wire::{PartOf, Wire};

/// Writes one stream.
pub(super) struct StreamWriter {
    /// What the first event needs; gone after it.
    asked: Option<Box<(Request, Terms)>>,
    frame: Option<Frame>,
    seed: String,
    names: Names,
    items: Vec<Item>,
    /// The item after those.
    open: Open,
    /// The text of the open block.
    text: String,
    /// A piece of text that waits for word of how likely it was.
    waiting: Option<String>,
    is_weighed: bool,
    has_refused: bool,
    finish: Finish,
    number: u64,
}

enum Open {
    Nothing,
    /// A message; the last part of it is being told if there is one that `is_told`.
    Message {
        id: String,
        content: Vec<Content>,
        is_told: bool,
    },
    Thoughts {
        id: String,
        signature: Option<Signature>,
    },
    /// A call; of an emulated custom tool nothing is told before it is whole.
    Call {
        id: String,
        call: ToolCall,
        is_emulated: bool,
    },
}

impl StreamWriter {
    /// A writer for the answer to `request`.
    pub(super) fn new(request: &Request, terms: &Terms) -> Self {
        // Of the conversation nothing is told again.
        let mut asked = Request::new(request.origin);
        asked.model.clone_from(&request.model);
        asked.repeated.clone_from(&request.repeated);
        Self {
            asked: Some(Box::new((asked, terms.clone()))),
            frame: None,
            seed: terms.label.clone(),
            names: Names::of(request),
            items: Vec::new(),
            open: Open::Nothing,
            text: String::new(),
            waiting: None,
            is_weighed: request.sampling.logprobs.as_ref().is_some_and(|said| said.value),
            has_refused: false,
            finish: Finish::default(),
            number: 0,
        }
    }

    fn begin(&mut self, beginning: &Beginning, out: &mut Vec<u8>) {
        let Some(asked) = self.asked.take() else { return };
        let frame = Frame::new(&asked.0, &asked.1, beginning);
        for kind in ["response.created", "response.in_progress"] {
            let response = frame.at(&End::NONE, &[], None);
            self.send(out, kind, Wire { response: Some(response), ..Wire::default() });
        }
        self.frame = Some(frame);
    }

    fn open(&mut self, block: Block<'_>, out: &mut Vec<u8>) {
        match block {
            Block::Text => self.open_content(Content::text(String::new()), out),
            Block::Refusal => {
                self.has_refused = true;
                self.open_content(Content::Refusal { refusal: String::new() }, out);
            }
            Block::Thinking => {
                self.close_item(Status::Completed, out);
                let id = self.new_id("rs_");
                self.announce(&Item::thoughts(id.clone(), "", None), out);
                self.open = Open::Thoughts { id, signature: None };
            }
            Block::ToolCall { id, name, is_custom, signature } => {
                self.close_item(Status::Completed, out);
                if signature.is_some() {
                    let item = Item::thoughts(self.new_id("rs_"), "", signature);
                    self.tell(item, out);
                }
                let (id, name) = (id.to_owned(), name.to_owned());
                let is_emulated = !is_custom && self.names.is_custom(&name);
                let call = ToolCall { id, name, arguments: String::new(), is_custom, signature: None };
                let item = self.call_item(&call, Status::InProgress);
                self.announce(&item, out);
                self.open = Open::Call { id: item.id().to_owned(), call, is_emulated };
            }
        }
    }

    fn open_content(&mut self, part: Content, out: &mut Vec<u8>) {
        if !matches!(self.open, Open::Message { .. }) {
            self.close_item(Status::Completed, out);
            let id = self.new_id("msg_");
            self.announce(&Item::message(id.clone(), Status::InProgress, Vec::new()), out);
            self.open = Open::Message { id, content: Vec::new(), is_told: false };
        }
        let output_index = self.items.len();
        let Open::Message { mut content, id, .. } = std::mem::replace(&mut self.open, Open::Nothing) else {
            return;
        };
        let wire = Wire {
            item_id: Some(&id),
            output_index: Some(output_index),
            content_index: Some(content.len()),
            part: Some(PartOf::Message(&part)),
            ..Wire::default()
        };
        self.send(out, "response.content_part.added", wire);
        content.push(part);
        self.open = Open::Message { id, content, is_told: true };
    }

    fn piece(&mut self, text: &str, out: &mut Vec<u8>) {
        let is_text = matches!(&self.open, Open::Message { content, .. }
            if matches!(content.last(), Some(Content::OutputText { .. })));
        if is_text && self.is_weighed {
            self.release(&[], out);
            self.waiting = Some(text.to_owned());
            self.text.push_str(text);
            return;
        }
        let is_first = self.text.is_empty();
        self.text.push_str(text);
        self.delta(text, &[], is_first, out);
    }

    /// Tells the piece that waits, with its `logprobs`.
    fn release(&mut self, logprobs: &[Json], out: &mut Vec<u8>) {
        if let Some(text) = self.waiting.take() {
            self.delta(&text, logprobs, false, out);
        }
    }

    fn delta(&mut self, text: &str, logprobs: &[Json], is_first: bool, out: &mut Vec<u8>) {
        let open = std::mem::replace(&mut self.open, Open::Nothing);
        let mut wire = Wire { output_index: Some(self.items.len()), delta: Some(text), ..Wire::default() };
        match &open {
            Open::Message { id, content, .. } => {
                wire.item_id = Some(id);
                wire.content_index = Some(content.len().saturating_sub(1));
                if matches!(content.last(), Some(Content::Refusal { .. })) {
                    self.send(out, "response.refusal.delta", wire);
                } else {
                    wire.logprobs = Some(logprobs);
                    self.send(out, "response.output_text.delta", wire);
                }
            }
            Open::Thoughts { id, .. } => {
                if is_first {
                    self.summary_part(id, "response.reasoning_summary_part.added", "", out);
                }
                wire.item_id = Some(id);
                wire.summary_index = Some(0);
                self.send(out, "response.reasoning_summary_text.delta", wire);
            }
            Open::Call { id, call, is_emulated: false } => {
                wire.item_id = Some(id);
                let kind = if call.is_custom {
                    "response.custom_tool_call_input.delta"
                } else {
                    "response.function_call_arguments.delta"
                };
                self.send(out, kind, wire);
            }
            Open::Call { .. } | Open::Nothing => {}
        }
        self.open = open;
    }

    fn summary_part(&mut self, id: &str, kind: &'static str, text: &str, out: &mut Vec<u8>) {
        let part = Summary::SummaryText { text: text.to_owned() };
        let wire = Wire {
            item_id: Some(id),
            output_index: Some(self.items.len()),
            summary_index: Some(0),
            part: Some(PartOf::Thoughts(&part)),
            ..Wire::default()
        };
        self.send(out, kind, wire);
    }

    /// The open block is over. Its item may go on.
    fn close(&mut self, out: &mut Vec<u8>) {
        self.release(&[], out);
        match &self.open {
            Open::Message { .. } => self.close_content(out),
            // One that was cut off gets its status from the answer's end.
            Open::Call { call, .. } if !call.is_custom && !is_object(self.text.trim()) => {}
            Open::Call { .. } | Open::Thoughts { .. } => self.close_item(Status::Completed, out),
            Open::Nothing => {}
        }
    }

    fn close_content(&mut self, out: &mut Vec<u8>) {
        let output_index = self.items.len();
        let Open::Message { id, mut content, is_told: true } =
            std::mem::replace(&mut self.open, Open::Nothing)
        else {
            return;
        };
        let text = std::mem::take(&mut self.text);
        let content_index = content.len().saturating_sub(1);
        let wire = Wire {
            item_id: Some(&id),
            output_index: Some(output_index),
            content_index: Some(content_index),
            ..Wire::default()
        };
        match content.last_mut() {
            Some(Content::OutputText { text: whole, logprobs, .. }) => {
                let wire = Wire { text: Some(&text), logprobs: Some(logprobs), ..wire };
                self.send(out, "response.output_text.done", wire);
                *whole = text;
            }
            Some(Content::Refusal { refusal }) => {
                let wire = Wire { refusal: Some(&text), ..wire };
                self.send(out, "response.refusal.done", wire);
                *refusal = text;
            }
            None => {}
        }
        if let Some(part) = content.last() {
            let wire = Wire {
                item_id: Some(&id),
                output_index: Some(output_index),
                content_index: Some(content_index),
                part: Some(PartOf::Message(part)),
                ..Wire::default()
            };
            self.send(out, "response.content_part.done", wire);
        }
        self.open = Open::Message { id, content, is_told: false };
    }

    /// Ends the open item, if there is one.
    fn close_item(&mut self, status: Status, out: &mut Vec<u8>) {
        if matches!(self.open, Open::Message { is_told: true, .. }) {
            self.release(&[], out);
            self.close_content(out);
        }
        let text = std::mem::take(&mut self.text);
        let item = match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => return,
            Open::Message { id, content, .. } => Item::message(id, status, content),
            Open::Thoughts { id, signature } => {
                if !text.is_empty() {
                    let wire = Wire {
                        item_id: Some(&id),
                        output_index: Some(self.items.len()),
                        summary_index: Some(0),
                        text: Some(&text),
                        ..Wire::default()
                    };
                    self.send(out, "response.reasoning_summary_text.done", wire);
                    self.summary_part(&id, "response.reasoning_summary_part.done", &text, out);
                }
                Item::thoughts(id, &text, signature.as_ref())
            }
            Open::Call { mut call, is_emulated, .. } => {
                call.arguments = text;
                let item = self.call_item(&call, status);
                self.call_done(&item, is_emulated, out);
                item
            }
        };
        self.done(item, out);
    }

    fn call_done(&mut self, item: &Item, is_emulated: bool, out: &mut Vec<u8>) {
        let wire = Wire { item_id: Some(item.id()), output_index: Some(self.items.len()), ..Wire::default() };
        match item {
            Item::FunctionCall { arguments, name, .. } => {
                let wire = Wire { name: Some(name), arguments: Some(arguments), ..wire };
                self.send(out, "response.function_call_arguments.done", wire);
            }
            Item::CustomToolCall { input, .. } => {
                if is_emulated && !input.is_empty() {
                    let wire = Wire { delta: Some(input), ..wire.clone() };
                    self.send(out, "response.custom_tool_call_input.delta", wire);
                }
                self.send(out, "response.custom_tool_call_input.done", Wire { input: Some(input), ..wire });
            }
            _ => {}
        }
    }

    /// A part that comes all at once.
    fn part(&mut self, part: &Part, out: &mut Vec<u8>) {
        if let Some(whole) = Content::of(part) {
            let (empty, text, annotations) = match whole {
                Content::OutputText { text, annotations, .. } => {
                    (Content::text(String::new()), text, annotations)
                }
                Content::Refusal { refusal } => {
                    self.has_refused = true;
                    (Content::Refusal { refusal: String::new() }, refusal, Vec::new())
                }
            };
            self.open_content(empty, out);
            self.text.push_str(&text);
            if !text.is_empty() {
                self.delta(&text, &[], false, out);
            }
            self.annotate(annotations, out);
            self.close_content(out);
        } else if let PartKind::ToolCall(call) = &part.kind {
            self.close_item(Status::Completed, out);
            let (id, name) = (call.id.as_str(), call.name.as_str());
            let block =
                Block::ToolCall { id, name, is_custom: call.is_custom, signature: call.signature.as_ref() };
            self.open(block, out);
            self.piece(&call.arguments, out);
            self.close(out);
        } else if let Some(item) = Item::of(&self.seed, self.place_after_open(), part) {
            self.close_item(Status::Completed, out);
            self.tell(item, out);
        }
    }

    fn annotate(&mut self, list: Vec<Json>, out: &mut Vec<u8>) {
        let Open::Message { id, mut content, is_told } = std::mem::replace(&mut self.open, Open::Nothing)
        else {
            return;
        };
        for (index, annotation) in list.iter().enumerate() {
            let wire = Wire {
                item_id: Some(&id),
                output_index: Some(self.items.len()),
                content_index: Some(content.len().saturating_sub(1)),
                annotation_index: Some(index),
                annotation: Some(annotation),
                ..Wire::default()
            };
            self.send(out, "response.output_text.annotation.added", wire);
        }
        if let Some(Content::OutputText { annotations, .. }) = content.last_mut() {
            *annotations = list;
        }
        self.open = Open::Message { id, content, is_told };
    }

    fn weigh(&mut self, told: &RawValue, out: &mut Vec<u8>) {
        let list = tokens(told.get());
        self.release(&list, out);
        if let Open::Message { content, .. } = &mut self.open
            && let Some(Content::OutputText { logprobs, .. }) = content.last_mut()
        {
            logprobs.extend(list);
        }
    }

    fn end(&mut self, usage: &Usage, out: &mut Vec<u8>) {
        let end = End::of(&self.finish, self.has_refused);
        self.close_item(end.of_item(), out);
        let Some(frame) = self.frame.take() else { return };
        let items = std::mem::take(&mut self.items);
        let response = frame.at(&end, &items, Some(usage));
        self.send(out, end.event(), Wire { response: Some(response), ..Wire::default() });
    }

    /// Tells a whole item at once.
    fn tell(&mut self, item: Item, out: &mut Vec<u8>) {
        self.announce(&item.begun(), out);
        self.done(item, out);
    }

    fn announce(&mut self, item: &Item, out: &mut Vec<u8>) {
        let wire = Wire { output_index: Some(self.items.len()), item: Some(item), ..Wire::default() };
        self.send(out, "response.output_item.added", wire);
    }

    fn done(&mut self, item: Item, out: &mut Vec<u8>) {
        let wire = Wire { output_index: Some(self.items.len()), item: Some(&item), ..Wire::default() };
        self.send(out, "response.output_item.done", wire);
        self.items.push(item);
    }

    fn call_item(&self, call: &ToolCall, status: Status) -> Item {
        Item::call(&self.seed, self.items.len(), &self.names, call, status)
    }

    fn new_id(&self, prefix: &str) -> String {
        ids::made(prefix, &self.seed, self.items.len())
    }

    fn place_after_open(&self) -> usize {
        self.items.len() + usize::from(!matches!(self.open, Open::Nothing))
    }

    fn send(&mut self, out: &mut Vec<u8>, kind: &'static str, wire: Wire<'_>) {
        Wire { r#type: kind, sequence_number: self.number, ..wire }.write(out);
        self.number += 1;
    }
}

impl Writer for StreamWriter {
    fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Begin(beginning, _) => self.begin(beginning, out),
            Event::Open { choice: 0, block } => self.open(block, out),
            Event::Piece { choice: 0, text } => self.piece(text, out),
            Event::Signature { choice: 0, signature } => {
                if let Open::Thoughts { signature: known, .. } = &mut self.open {
                    *known = Some(signature.clone());
                }
            }
            Event::Close { choice: 0 } => self.close(out),
            Event::Part { choice: 0, part } => self.part(part, out),
            Event::Logprobs { choice: 0, value } => self.weigh(value, out),
            Event::Finish { choice: 0, finish } => self.finish = finish.clone(),
            Event::End(usage) => self.end(usage, out),
            // The Responses API has one choice only.
            _ => {}
        }
    }
}
