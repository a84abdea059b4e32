//! Streams in the hub: what a backend's stream says, piece by piece, and the same put in order.
//!
//! A reader of a backend's stream makes [`Delta`]s of it, in whatever order the backend speaks. The
//! [`Weaver`](super::Weaver) puts them in order: one block open at a time in each choice. A writer gets those [`Event`]s.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::watch::BackendError;

use super::{Finish, Part, Signature, Usage};

/// A piece of a backend's stream.
#[derive(Clone, Debug)]
pub(crate) enum Delta<'a> {
    /// The answer begins. Said again, it fills in what was missing.
    Begin(Beginning),
    /// A piece of text.
    Text {
        /// In which choice.
        choice: u32,
        /// The piece.
        text: Cow<'a, str>,
    },
    /// A piece of thought.
    Thinking {
        /// In which choice.
        choice: u32,
        /// The piece.
        text: Cow<'a, str>,
    },
    /// The signature of the thoughts just told, or of thoughts that are not told.
    ThinkingSignature {
        /// In which choice.
        choice: u32,
        /// The signature. Of several pieces of one signature each is a delta.
        signature: Signature,
    },
    /// A piece of the model's refusal.
    Refusal {
        /// In which choice.
        choice: u32,
        /// The piece.
        text: Cow<'a, str>,
    },
    /// A piece of a call of a tool. What comes again unchanged is passed over; arguments are added up.
    ToolCall {
        /// In which choice.
        choice: u32,
        /// Which of its calls, by whatever number the backend gives it.
        index: u32,
        /// The piece.
        piece: CallPiece<'a>,
    },
    /// The block that was open in this choice is over, as the backend says: what follows of the same kind is another one.
    Over {
        /// In which choice.
        choice: u32,
    },
    /// A part that comes all at once.
    Part {
        /// In which choice.
        choice: u32,
        /// The part.
        part: Part,
    },
    /// How likely the tokens just told were, as OpenAI writes it.
    Logprobs {
        /// In which choice.
        choice: u32,
        /// The object.
        value: &'a RawValue,
    },
    /// A choice ends.
    Finish {
        /// Which.
        choice: u32,
        /// How.
        finish: Finish,
    },
    /// Tokens used so far; later counts replace earlier ones.
    Usage(Usage),
    /// The backend tells of an error: the stream ends here.
    Error(BackendError),
    /// The stream is complete.
    End,
}

/// A piece of a call of a tool.
#[derive(Clone, Default, Debug)]
pub(crate) struct CallPiece<'a> {
    /// The call's id.
    pub(crate) id: Option<Cow<'a, str>>,
    /// The tool's name.
    pub(crate) name: Option<Cow<'a, str>>,
    /// More of its arguments.
    pub(crate) arguments: Cow<'a, str>,
    /// Whether it is a custom tool, whose input is free text.
    pub(crate) is_custom: bool,
    /// Whether these are all arguments there will be.
    pub(crate) is_whole: bool,
    /// Gemini's signature on the call.
    pub(crate) signature: Option<Signature>,
}

/// How an answer begins.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Beginning {
    /// The backend's id for it.
    pub(crate) id: Option<String>,
    /// The backend's name for the model.
    pub(crate) model: Option<String>,
    /// When it was made, in seconds since 1970.
    pub(crate) created: Option<i64>,
    /// The class of service.
    pub(crate) service_tier: Option<String>,
}

/// A step of a stream in order.
///
/// A writer can rely on this: `Begin` comes once and first; in each choice blocks are opened and closed one after the
/// other, with their pieces between; `Finish` comes once for each choice that began, after its last block; `End` comes once and
/// last. A stream that breaks has no `End`.
#[derive(Clone, Debug)]
pub(crate) enum Event<'a> {
    /// The answer begins. The usage is what is known by then.
    Begin(&'a Beginning, &'a Usage),
    /// A block begins.
    Open {
        /// In which choice.
        choice: u32,
        /// What it is.
        block: Block<'a>,
    },
    /// The open block goes on: text, thoughts, refusal, or arguments. Never empty.
    Piece {
        /// In which choice.
        choice: u32,
        /// The piece.
        text: &'a str,
    },
    /// The open block of thoughts is signed.
    Signature {
        /// In which choice.
        choice: u32,
        /// The whole signature.
        signature: &'a Signature,
    },
    /// The open block is over.
    Close {
        /// In which choice.
        choice: u32,
    },
    /// A part that comes all at once; no block is open.
    Part {
        /// In which choice.
        choice: u32,
        /// The part.
        part: &'a Part,
    },
    /// How likely the tokens just told were.
    Logprobs {
        /// In which choice.
        choice: u32,
        /// As OpenAI writes it.
        value: &'a RawValue,
    },
    /// A choice ends.
    Finish {
        /// Which.
        choice: u32,
        /// How.
        finish: &'a Finish,
    },
    /// The stream is complete.
    End(&'a Usage),
}

/// What a block is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Block<'a> {
    /// Text.
    Text,
    /// Thoughts.
    Thinking,
    /// A refusal.
    Refusal,
    /// A call of a tool. Its arguments follow as pieces, and add up to the text of a JSON object, or to any text if it is a
    /// custom one; at least `{}` comes for a function.
    ToolCall {
        /// Its id.
        id: &'a str,
        /// The tool's name.
        name: &'a str,
        /// Whether it is a custom tool.
        is_custom: bool,
        /// Gemini's signature on the call.
        signature: Option<&'a Signature>,
    },
}

/// Makes [`Delta`]s of a backend's stream.
pub(crate) trait Reader: Send {
    /// Takes one event: its name (empty without one) and its data, which is JSON but for OpenAI's `[DONE]`. The deltas go to
    /// `sink` in order.
    fn read(&mut self, name: &[u8], data: &[u8], sink: &mut dyn FnMut(Delta<'_>));

    /// The backend's bytes are over. A dialect without an end marker says [`Delta::End`] here if its stream was complete.
    fn finish(&mut self, sink: &mut dyn FnMut(Delta<'_>));
}

/// Makes a client's stream of [`Event`]s.
pub(crate) trait Writer: Send {
    /// Appends to `out` what `event` is in this dialect: any number of whole events of the stream, perhaps none.
    fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>);
}
