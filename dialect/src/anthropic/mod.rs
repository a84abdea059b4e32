//! Anthropic's Messages API.
//!
//! `asked` reads what clients ask, `sent` writes what a backend is asked, `told` and `reader` read what a backend
//! answers, `given` and `writer` write what clients get.

mod asked;
mod block;
mod given;
mod reader;
mod seal;
mod sent;
mod source;
mod stop;
mod told;
mod tools;
mod usage;
mod writer;

use crate::hub::{Answer, Losses, Reader, Request, Unfit, Writer};
use crate::translate::{Sent, Terms};
use crate::watch::BackendError;

/// Reads a client's request.
///
/// Fails when the body is no request of this dialect; the error names the member at fault. Members that nobody knows
/// are no fault: they are kept as extras.
pub(crate) fn read_request(body: &[u8]) -> Result<Request, Unfit> {
    asked::read(body)
}

/// Writes a request to a backend, as strictly as Anthropic's own API wants it.
///
/// Fails when the request cannot be said here at all; what merely gets lost is added to `losses`.
pub(crate) fn write_request(request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    sent::write(request, terms, losses)
}

/// A reader of a backend's stream.
pub(crate) fn reader() -> Box<dyn Reader> {
    Box::<reader::StreamReader>::default()
}

/// Reads a backend's whole answer.
///
/// Fails when it is none, or tells of an error.
pub(crate) fn read_answer(body: &[u8]) -> Result<Answer, BackendError> {
    told::read(body)
}

/// A writer of a client's stream.
pub(crate) fn writer(request: &Request, terms: &Terms) -> Box<dyn Writer> {
    Box::new(writer::StreamWriter::new(request, terms))
}

/// Writes a whole answer to a client.
pub(crate) fn write_answer(answer: &Answer, request: &Request, terms: &Terms) -> Vec<u8> {
    given::write(answer, request, terms)
}
