//! One choice of a stream while it is put in order: its open block, its calls, and what has to wait.

use std::collections::VecDeque;

use crate::hub::arguments::{self, Extent};
use crate::hub::{CallPiece, Event, Finish, Part, Signature};
use crate::watch::BackendError;

use super::Sink;

/// One choice.
#[derive(Default)]
pub(super) struct Strand {
    pub(super) open: Option<Open>,
    /// What came while a call was open that is not whole yet.
    pub(super) held: VecDeque<Held>,
    pub(super) calls: Vec<Call>,
    pub(super) has_called: bool,
    pub(super) finish: Option<Finish>,
}

/// The open block.
pub(super) enum Open {
    Text,
    Thinking(Option<Signature>),
    Refusal,
    /// The place of the call.
    Call(usize),
}

/// One call of a tool.
pub(super) struct Call {
    pub(super) index: u32,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) is_custom: bool,
    pub(super) signature: Option<Signature>,
    pub(super) written: String,
    /// How much of `written` has been told.
    pub(super) told: usize,
    pub(super) extent: Extent,
    pub(super) state: CallState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
/// How far a call has been told.
pub(super) enum CallState {
    Waiting,
    Open,
    Over,
}

/// What has to wait.
pub(super) enum Held {
    Text(String),
    Thinking(String),
    Signature(Signature),
    Refusal(String),
    Part(Part),
    /// The call at this place wants to begin.
    Call(usize),
}

impl Strand {
    pub(super) fn is_calling(&self) -> bool {
        matches!(self.open, Some(Open::Call(_)))
    }

    pub(super) fn open_call(&self) -> Option<&Call> {
        match self.open {
            Some(Open::Call(place)) => self.calls.get(place),
            _ => None,
        }
    }

    pub(super) fn is_open_call_whole(&self) -> bool {
        self.open_call().is_none_or(|call| !call.is_custom && call.extent.is_whole())
    }

    /// The place of the call that `piece` belongs to: the newest with its number, unless its id says that it is
    /// another one, as some servers give every call the number 0.
    pub(super) fn place_of(&mut self, index: u32, piece: &CallPiece<'_>) -> usize {
        let newest = self.calls.iter().rposition(|call| call.index == index);
        let is_other = |call: &Call| {
            let id = piece.id.as_deref().unwrap_or_default();
            !id.is_empty() && !call.id.is_empty() && call.id != id && piece.name.is_some()
        };
        match newest {
            Some(place) if !is_other(&self.calls[place]) => place,
            _ => {
                self.calls.push(Call::new(index));
                self.calls.len() - 1
            }
        }
    }
}

impl Call {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            id: String::new(),
            name: String::new(),
            is_custom: false,
            signature: None,
            written: String::new(),
            told: 0,
            extent: Extent::default(),
            state: CallState::Waiting,
        }
    }

    pub(super) fn add(&mut self, piece: CallPiece<'_>) {
        if let Some(id) = piece.id.filter(|_| self.id.is_empty()) {
            self.id = id.into_owned();
        }
        if let Some(name) = piece.name.filter(|_| self.name.is_empty()) {
            self.name = name.into_owned();
        }
        self.is_custom |= piece.is_custom;
        self.signature = self.signature.take().or(piece.signature);
        self.extent.add(&piece.arguments);
        self.written.push_str(&piece.arguments);
        if piece.is_whole && self.written.trim().is_empty() && !self.is_custom {
            self.extent.add("{}");
            "{}".clone_into(&mut self.written);
        }
    }

    /// Tells what is left of the arguments. They were `is_cut` by the limit of tokens: then they may be no JSON.
    pub(super) fn finish(
        &mut self,
        is_cut: bool,
        choice: u32,
        sink: &mut Sink<'_>,
    ) -> Result<(), BackendError> {
        if self.is_custom || is_cut {
            if self.told < self.written.len() {
                sink(Event::Piece { choice, text: &self.written[self.told..] });
            }
            return Ok(());
        }
        let wrong = || BackendError {
            message: format!("the model called {:?} with arguments that are not JSON", self.name),
            status: None,
        };
        let mended = arguments::mended(&self.written).ok_or_else(wrong)?;
        if self.told == 0 {
            sink(Event::Piece { choice, text: &mended });
        }
        Ok(())
    }
}
