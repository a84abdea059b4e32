//! Google's Gemini API: `generateContent`, its stream, and the two calls for vectors.
//!
//! As a backend it is called with one event a piece (`alt=sse`); a client gets either that or one JSON list. The model
//! stands in the path in both directions.
//!
//! | of other dialects | becomes in Gemini |
//! |---|---|
//! | instructions at the beginning | `systemInstruction`, a part each |
//! | instructions later on | text in the user's turn, between `<system>` and `</system>`; named as a loss |
//! | schemas of functions and answers | `parametersJsonSchema`, `responseJsonSchema`, as written |
//! | custom tools | functions with one argument, `input` |
//! | tools that another provider runs | nothing; named as a loss, refused where one must be called |
//! | a function's answer | an object as it is, other text as `{"result": …}`, a failure as `{"error": …}` |
//! | pictures in it | inside for models from 3 on, else right behind |
//! | a format beside functions, before 3 | an instruction in words; named as a loss |
//! | effort, budget of thoughts | `thinkingLevel` from 3 on, `thinkingBudget` before |
//! | thoughts that Gemini did not sign | nothing: it has no use for them |
//! | calls that Gemini did not sign, from 3 on | the first of a turn gets the documented value that skips the check |
//! | a picture, sound or document at an address | `fileData`; Gemini fetches it |
//!
//! | of Gemini | becomes in other dialects |
//! |---|---|
//! | calls without ids | ids made of their place in the conversation |
//! | `parameters`, `responseSchema` | JSON Schema: types in lower case, `nullable` as a type |
//! | code that Google ran, and what came of it | text, as blocks of code |
//! | `promptFeedback.blockReason` | a refusal |
//! | sources of grounding, citations, ratings of safety | nothing |

mod answer_reader;
mod answer_writer;
mod base64;
mod candidate;
mod chunk;
mod conversation;
mod embeddings;
mod logprobs;
mod media;
mod models;
mod names;
mod proto;
mod reasons;
mod request_reader;
mod request_writer;
mod results;
mod schema;
mod signature;
mod stream_reader;
mod stream_writer;
mod tools;
mod turns;
mod wire;

use crate::Endpoint;
use crate::hub::{Answer, EmbedAnswer, EmbedRequest, Losses, Reader, Request, Unfit, Writer};
use crate::translate::{Sent, Terms};
use crate::watch::BackendError;

/// Reads a client's request.
pub(crate) fn read_request(body: &[u8]) -> Result<Request, Unfit> {
    request_reader::read(body)
}

/// Writes a request to a backend.
pub(crate) fn write_request(request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    request_writer::write(request, terms, losses)
}

/// A reader of a backend's stream.
pub(crate) fn reader() -> Box<dyn Reader> {
    Box::new(stream_reader::StreamReader::default())
}

/// Reads a backend's whole answer.
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

/// Reads a client's request for vectors.
pub(crate) fn read_embed(endpoint: Endpoint, body: &[u8]) -> Result<EmbedRequest, Unfit> {
    embeddings::read(endpoint, body)
}

/// Writes a request for vectors to a backend.
pub(crate) fn write_embed(request: &EmbedRequest, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    embeddings::write(request, terms, losses)
}

/// Reads a backend's vectors.
pub(crate) fn read_vectors(_: Endpoint, body: &[u8]) -> Result<EmbedAnswer, BackendError> {
    embeddings::read_vectors(body)
}

/// Writes vectors to a client; `None` if one of them is none.
pub(crate) fn write_vectors(answer: &EmbedAnswer, request: &EmbedRequest, _: &Terms) -> Option<Vec<u8>> {
    embeddings::write_vectors(answer, request)
}
