//! The hub between the dialects: one type of request, one of answer, one of stream.
//!
//! Five dialects translate into each other through it, so that each is written once for each way. A reader says
//! where the client said each thing, so that whatever a writer cannot carry is named in the client's own words.

mod answer;
pub(crate) mod arguments;
pub(crate) mod billing;
pub(crate) mod custom_tools;
pub(crate) mod defaults;
mod event;
pub(crate) mod failed;
pub(crate) mod ids;
mod json;
mod losses;
mod object;
pub(crate) mod pairs;
mod part;
mod request;
mod reversal;
pub(crate) mod strictness;
pub(crate) mod tokens;
mod weaver;

pub(crate) use answer::{Answer, Choice, Finish, Reason};
pub(crate) use event::{Beginning, Block, CallPiece, Delta, Event, Reader, Writer};
pub(crate) use json::{Fields, Json, kind};
pub use losses::{Loss, Losses, Unfit};
pub(crate) use object::Object;
pub(crate) use part::{Part, PartKind, Provider, Signature, Source, ToolCall, ToolResult};
pub(crate) use request::{
    Bare, EmbedAnswer, EmbedInput, EmbedRequest, Extra, Format, Function, Message, Reasoning, Request, Role,
    Said, Sampling, Tool, ToolChoice, ToolKind, Vector,
};
pub(crate) use reversal::Reversal;
pub(crate) use weaver::Weaver;

pub(crate) use crate::Usage;
