//! Ollama's own API.

use crate::Endpoint;
use crate::hub::{Answer, EmbedAnswer, EmbedRequest, Losses, Reader, Request, Unfit, Writer};
use crate::translate::{Sent, Terms};
use crate::watch::BackendError;

/// Reads a client's request.
pub(crate) fn read_request(endpoint: Endpoint, body: &[u8]) -> Result<Request, Unfit> {
    unimplemented!()
}

/// Writes a request to a backend.
pub(crate) fn write_request(request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    unimplemented!()
}

/// A reader of a backend's stream.
pub(crate) fn reader(called: Endpoint) -> Box<dyn Reader> {
    unimplemented!()
}

/// Reads a backend's whole answer.
pub(crate) fn read_answer(called: Endpoint, body: &[u8]) -> Result<Answer, BackendError> {
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

/// Reads a client's request for vectors.
pub(crate) fn read_embed(endpoint: Endpoint, body: &[u8]) -> Result<EmbedRequest, Unfit> {
    unimplemented!()
}

/// Writes a request for vectors to a backend.
pub(crate) fn write_embed(request: &EmbedRequest, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    unimplemented!()
}

/// Reads a backend's vectors.
pub(crate) fn read_vectors(body: &[u8]) -> Result<EmbedAnswer, BackendError> {
    unimplemented!()
}

/// Writes vectors to a client.
pub(crate) fn write_vectors(answer: &EmbedAnswer, request: &EmbedRequest, terms: &Terms) -> Vec<u8> {
    unimplemented!()
}
