//! OpenAI's Responses API.

use crate::hub::{Answer, Losses, Reader, Request, Unfit, Writer};
use crate::translate::{Sent, Terms};
use crate::watch::BackendError;

/// Reads a client's request.
pub(crate) fn read_request(body: &[u8]) -> Result<Request, Unfit> {
    unimplemented!()
}

/// Writes a request to a backend.
pub(crate) fn write_request(request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    unimplemented!()
}

/// A reader of a backend's stream.
pub(crate) fn reader() -> Box<dyn Reader> {
    unimplemented!()
}

/// Reads a backend's whole answer.
pub(crate) fn read_answer(body: &[u8]) -> Result<Answer, BackendError> {
    unimplemented!()
}

/// A writer of a client's stream.
pub(crate) fn writer(request: &Request, terms: &Terms) -> Box<dyn Writer> {
    unimplemented!()
}

/// Writes a whole answer to a client.
pub(crate) fn write_answer(answer: &Answer, request: &Request, terms: &Terms) -> Vec<u8> {
    unimplemented!()
}
