//! Ollama's own API: `/api/chat`, `/api/generate`, `/api/embed`, `/api/embeddings`.
//!
//! | module | owns |
//! |---|---|
//! | [`client_request`] | a client's request, read |
//! | [`backend_request`] | a request to a backend, written |
//! | [`turn`] | the messages, both ways |
//! | [`options`] | the object `options` and `keep_alive`, both ways |
//! | [`chunk`] | what a backend answers: lines of a stream, and whole |
//! | [`line`] | what a client gets: lines of a stream, and whole |
//! | [`vectors`] | embeddings, both ways |
//! | [`moment`] | times as Ollama writes them |

mod backend_request;
mod chunk;
mod client_request;
mod line;
mod moment;
mod options;
mod turn;
mod vectors;

pub(crate) use backend_request::write_request;
pub(crate) use chunk::{read_answer, reader};
pub(crate) use client_request::{name_load, read_request};
pub(crate) use line::{write_answer, writer};
pub(crate) use vectors::{read_embed, read_vectors, write_embed, write_vectors};
