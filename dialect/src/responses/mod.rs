//! OpenAI's Responses API.
//!
//! | module | owns |
//! |---|---|
//! | `request_reader`, `conversation`, `content`, `tool_reader`, `built_in` | a client's request |
//! | `request_writer`, `item_writer`, `input_item`, `tool_writer`, `model` | a request to a backend |
//! | `stream_reader`, `answer_reader` | a backend's stream and answer |
//! | `stream_writer`, `answer_writer`, `item`, `response`, `names`, `annotation`, `wire` | a client's stream and answer |
//! | `seal`, `usage` | signatures and token counts, both ways |

use crate::hub::{Answer, Losses, Reader, Request, Unfit, Writer};
use crate::translate::{Sent, Terms};
use crate::watch::BackendError;

mod annotation;
mod answer_reader;
mod answer_writer;
mod built_in;
mod content;
mod conversation;
mod input_item;
mod item;
mod item_writer;
pub(crate) mod model;
mod names;
mod request_reader;
mod request_writer;
mod response;
mod seal;
mod stream_reader;
mod stream_writer;
mod tool_reader;
mod tool_writer;
mod usage;
mod wire;

/// Reads a client's request. Fails when it is wrong, or builds on state that only OpenAI keeps.
pub(crate) fn read_request(body: &[u8]) -> Result<Request, Unfit> {
    request_reader::read(body)
}

/// Writes a request to a backend, which is asked to keep nothing.
pub(crate) fn write_request(request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    request_writer::write(request, terms, losses)
}

/// A reader of a backend's stream.
pub(crate) fn reader() -> Box<dyn Reader> {
    Box::new(stream_reader::StreamReader::default())
}

/// Reads a backend's whole answer. Fails when it tells of an error, or makes no sense.
pub(crate) fn read_answer(body: &[u8]) -> Result<Answer, BackendError> {
    answer_reader::read(body)
}

/// A writer of a client's stream.
pub(crate) fn writer(request: &Request, terms: &Terms) -> Box<dyn Writer> {
    Box::new(stream_writer::StreamWriter::new(request, terms))
}

/// Writes a whole answer to a client.
pub(crate) fn write_answer(answer: &Answer, request: &Request, terms: &Terms) -> Vec<u8> {
    answer_writer::write(answer, request, terms)
}
