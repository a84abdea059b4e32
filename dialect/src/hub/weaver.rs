//! Puts the pieces of a backend's stream in order: one block open at a time in each choice.
//!
//! Backends mix text, thoughts and calls as they like, send the calls' pieces interleaved, late, twice or without ids, and
//! some say that they stopped when they want a tool called. None of that goes further than this file.

use std::borrow::Cow;

mod strand;

use crate::watch::BackendError;

use super::{Beginning, Block, CallPiece, Delta, Event, Finish, Reason, Reversal, Usage, ids, tokens};
use strand::{CallState, Held, Open, Strand};

/// Where the events go.
pub(crate) type Sink<'a> = dyn FnMut(Event<'_>) + 'a;

/// The most choices of one answer.
const MOST_CHOICES: u32 = 128;

/// Puts one stream in order.
pub(crate) struct Weaver {
    reversal: Reversal,
    /// From which ids are made where the backend gives none.
    seed: String,
    beginning: Beginning,
    has_begun: bool,
    usage: Usage,
    strands: Vec<Strand>,
    stage: Stage,
    calls_named: usize,
    /// Bytes of all that was generated, for a backend that does not count.
    generated: usize,
}

enum Stage {
    Going,
    Over,
    Broken(BackendError),
}

impl Weaver {
    /// A weaver for an answer that is to be changed back by `reversal`; ids are made from `seed`, the request's label.
    pub(crate) fn new(reversal: Reversal, seed: &str) -> Self {
        Self {
            reversal,
            seed: seed.to_owned(),
            beginning: Beginning::default(),
            has_begun: false,
            usage: Usage::default(),
            strands: Vec::new(),
            stage: Stage::Going,
            calls_named: 0,
            generated: 0,
        }
    }

    /// Whether anything of the answer itself has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the stream is complete.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Why the stream broke, if it did.
    pub(crate) fn error(&self) -> Option<&BackendError> {
        match &self.stage {
            Stage::Broken(error) => Some(error),
            _ => None,
        }
    }

    /// The tokens that the backend reported so far.
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// The memory it keeps for pieces held back, in bytes.
    pub(crate) fn held_capacity(&self) -> usize {
        self.strands.iter().flat_map(|strand| &strand.calls).map(|call| call.written.capacity()).sum()
    }

    /// Takes the next piece; what follows from it goes to `sink`. After an error or the end nothing does.
    pub(crate) fn take(&mut self, delta: Delta<'_>, sink: &mut Sink<'_>) {
        if !matches!(self.stage, Stage::Going) {
            return;
        }
        match delta {
            Delta::Begin(beginning) => self.begin_with(beginning),
            Delta::Usage(usage) => self.usage.update(&usage),
            Delta::Error(error) => self.stage = Stage::Broken(error),
            Delta::End => self.end(sink),
            Delta::Finish { choice, finish } => {
                self.begin(sink);
                if let Some(strand) = self.strand(choice) {
                    strand.finish = Some(finish);
                }
            }
            Delta::Logprobs { choice, value } => {
                self.begin(sink);
                sink(Event::Logprobs { choice, value });
            }
            Delta::ToolCall { choice, index, piece } => self.call(choice, index, piece, sink),
            Delta::Over { choice } => self.over(choice, sink),
            Delta::Text { choice, text } => self.words(choice, Block::Text, text, sink),
            Delta::Thinking { choice, text } => self.words(choice, Block::Thinking, text, sink),
            Delta::ThinkingSignature { choice, signature } => {
                self.content(choice, Held::Signature(signature), sink);
            }
            Delta::Refusal { choice, text } => self.words(choice, Block::Refusal, text, sink),
            Delta::Part { choice, part } => self.content(choice, Held::Part(part), sink),
        }
    }

    fn begin_with(&mut self, said: Beginning) {
        let known = &mut self.beginning;
        known.id = known.id.take().or(said.id);
        known.model = known.model.take().or(said.model);
        known.created = known.created.or(said.created);
        known.service_tier = said.service_tier.or(known.service_tier.take());
    }

    fn begin(&mut self, sink: &mut Sink<'_>) {
        if !self.has_begun {
            self.has_begun = true;
            sink(Event::Begin(&self.beginning, &self.usage));
        }
    }

    fn strand(&mut self, choice: u32) -> Option<&mut Strand> {
        if choice >= MOST_CHOICES {
            self.stage = Stage::Broken(BackendError {
                message: format!("the answer has a choice {choice}"),
                status: None,
            });
            return None;
        }
        let index = choice as usize;
        if self.strands.len() <= index {
            self.strands.resize_with(index + 1, Strand::default);
        }
        Some(&mut self.strands[index])
    }

    /// More of a text of this kind. Nearly every piece of a stream is one, and goes on at once without a copy.
    fn words(&mut self, choice: u32, block: Block<'_>, text: Cow<'_, str>, sink: &mut Sink<'_>) {
        if text.is_empty() {
            return;
        }
        let is_free = self.strand(choice).is_some_and(|strand| !strand.is_calling());
        if self.has_begun && is_free {
            return self.go_on(choice, block, &text, sink);
        }
        let text = text.into_owned();
        let content = match block {
            Block::Thinking => Held::Thinking(text),
            Block::Refusal => Held::Refusal(text),
            _ => Held::Text(text),
        };
        self.content(choice, content, sink);
    }

    fn content(&mut self, choice: u32, content: Held, sink: &mut Sink<'_>) {
        self.begin(sink);
        let Some(strand) = self.strand(choice) else { return };
        if strand.is_calling() {
            strand.held.push_back(content);
            self.release(choice, sink);
        } else {
            self.tell(choice, content, sink);
        }
    }

    /// Tells `content`, for which there is room now.
    fn tell(&mut self, choice: u32, content: Held, sink: &mut Sink<'_>) {
        match content {
            Held::Text(text) => self.go_on(choice, Block::Text, &text, sink),
            Held::Thinking(text) => self.go_on(choice, Block::Thinking, &text, sink),
            Held::Refusal(text) => self.go_on(choice, Block::Refusal, &text, sink),
            Held::Signature(piece) => {
                self.go_on(choice, Block::Thinking, "", sink);
                let Some(strand) = self.strand(choice) else { return };
                if let Some(Open::Thinking(signature)) = &mut strand.open {
                    match signature {
                        Some(signature) => signature.data.push_str(&piece.data),
                        None => *signature = Some(piece),
                    }
                }
            }
            Held::Part(part) => {
                self.close(choice, sink);
                sink(Event::Part { choice, part: &part });
            }
            Held::Call(place) => self.open_call(choice, place, sink),
        }
    }

    /// Goes on in a block of this kind, opening it if another one is open, or none.
    fn go_on(&mut self, choice: u32, block: Block<'_>, text: &str, sink: &mut Sink<'_>) {
        self.generated += text.len();
        let Some(strand) = self.strand(choice) else { return };
        let is_open = match (&strand.open, block) {
            (Some(Open::Text), Block::Text) | (Some(Open::Refusal), Block::Refusal) => true,
            // Signed thoughts are over.
            (Some(Open::Thinking(signature)), Block::Thinking) => signature.is_none() || text.is_empty(),
            _ => false,
        };
        if !is_open {
            self.close(choice, sink);
            sink(Event::Open { choice, block });
            let Some(strand) = self.strand(choice) else { return };
            strand.open = Some(match block {
                Block::Thinking => Open::Thinking(None),
                Block::Refusal => Open::Refusal,
                _ => Open::Text,
            });
        }
        if !text.is_empty() {
            sink(Event::Piece { choice, text });
        }
    }

    fn call(&mut self, choice: u32, index: u32, piece: CallPiece<'_>, sink: &mut Sink<'_>) {
        self.begin(sink);
        self.generated += piece.arguments.len();
        let Some(strand) = self.strand(choice) else { return };
        let place = strand.place_of(index, &piece);
        strand.calls[place].add(piece);
        let call = &strand.calls[place];
        if call.state == CallState::Waiting && !call.name.is_empty() {
            let is_held = strand.held.iter().any(|held| matches!(held, Held::Call(other) if *other == place));
            if !is_held {
                strand.held.push_back(Held::Call(place));
            }
        }
        if matches!(strand.open, Some(Open::Call(open)) if open == place) {
            self.tell_arguments(choice, place, sink);
        }
        self.release(choice, sink);
    }

    /// Tells what is held, as far as no call stands in its way.
    fn release(&mut self, choice: u32, sink: &mut Sink<'_>) {
        while let Some(strand) = self.strand(choice) {
            if strand.is_calling() && !strand.is_open_call_whole() {
                return;
            }
            let Some(content) = strand.held.pop_front() else { return };
            self.close(choice, sink);
            if matches!(self.stage, Stage::Broken(_)) {
                return;
            }
            self.tell(choice, content, sink);
        }
    }

    fn open_call(&mut self, choice: u32, place: usize, sink: &mut Sink<'_>) {
        self.close(choice, sink);
        self.calls_named += 1;
        let (count, seed) = (self.calls_named, self.seed.clone());
        let is_text = |reversal: &Reversal, name: &str| reversal.is_answer_tool(name);
        let reversal = std::mem::take(&mut self.reversal);
        if let Some(strand) = self.strand(choice) {
            let call = &mut strand.calls[place];
            call.state = CallState::Open;
            if call.id.is_empty() {
                call.id = ids::made("call_", &seed, count);
            }
            strand.open = Some(Open::Call(place));
            if is_text(&reversal, &call.name) {
                sink(Event::Open { choice, block: Block::Text });
            } else {
                strand.has_called = true;
                let name = reversal.original_name(&call.name);
                let (id, is_custom) = (call.id.as_str(), call.is_custom);
                let block = Block::ToolCall { id, name, is_custom, signature: call.signature.as_ref() };
                sink(Event::Open { choice, block });
            }
        }
        self.reversal = reversal;
        self.tell_arguments(choice, place, sink);
    }

    /// Tells the arguments that have come. What does not begin like an object waits: it may have to be mended.
    fn tell_arguments(&mut self, choice: u32, place: usize, sink: &mut Sink<'_>) {
        let Some(strand) = self.strand(choice) else { return };
        let call = &mut strand.calls[place];
        if call.told < call.written.len() && (call.is_custom || call.written.trim_start().starts_with('{')) {
            sink(Event::Piece { choice, text: &call.written[call.told..] });
            call.told = call.written.len();
        }
    }

    fn over(&mut self, choice: u32, sink: &mut Sink<'_>) {
        self.close(choice, sink);
        self.release(choice, sink);
    }

    /// Closes the block that is open, if one is.
    fn close(&mut self, choice: u32, sink: &mut Sink<'_>) {
        let Some(strand) = self.strand(choice) else { return };
        match strand.open.take() {
            None => return,
            Some(Open::Thinking(Some(signature))) => {
                sink(Event::Signature { choice, signature: &signature });
            }
            Some(Open::Text | Open::Refusal | Open::Thinking(None)) => {}
            Some(Open::Call(place)) => {
                let is_cut = strand.finish.as_ref().is_some_and(Finish::is_cut);
                let call = &mut strand.calls[place];
                call.state = CallState::Over;
                if let Err(error) = call.finish(is_cut, choice, sink) {
                    self.stage = Stage::Broken(error);
                    return;
                }
            }
        }
        sink(Event::Close { choice });
    }

    fn end(&mut self, sink: &mut Sink<'_>) {
        self.begin(sink);
        if self.strands.is_empty() {
            self.strands.push(Strand::default());
        }
        for choice in 0..u32::try_from(self.strands.len()).unwrap_or(MOST_CHOICES) {
            while let Some(content) = self.strands[choice as usize].held.pop_front() {
                self.close(choice, sink);
                self.tell(choice, content, sink);
            }
            self.close(choice, sink);
            if matches!(self.stage, Stage::Broken(_)) {
                return;
            }
            let strand = &mut self.strands[choice as usize];
            let mut finish = strand.finish.take().unwrap_or_default();
            let is_answer_only = !strand.has_called && finish.reason == Reason::ToolCalls;
            if is_answer_only && self.reversal.has_answer_tool() {
                finish.reason = Reason::Stop;
            }
            finish.settle(strand.has_called);
            sink(Event::Finish { choice, finish: &finish });
        }
        let mut usage = self.usage;
        usage.output_tokens = usage.output_tokens.or(Some(tokens::rough(self.generated)));
        sink(Event::End(&usage));
        self.stage = Stage::Over;
    }
}

#[cfg(test)]
mod tests;
