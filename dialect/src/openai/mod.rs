//! OpenAI's chat completions, completions and embeddings, and what kindred servers made of them.
//!
//! | module | owns |
//! |---|---|
//! | `asked` | a client's request, read |
//! | `sent` | a request to a backend, written |
//! | `told` | a backend's stream or answer, read |
//! | `given` | a client's stream or answer, written |
//! | `vectors` | embeddings, both ways |
//! | `thoughts`, `finish` | words that both sides share |

mod asked;
mod finish;
mod given;
mod sent;
mod thoughts;
mod told;
mod vectors;

pub(crate) use asked::read_request;
pub(crate) use given::{write_answer, writer};
pub(crate) use sent::write_request;
pub(crate) use told::{read_answer, reader};
pub(crate) use vectors::{read_embed, read_vectors, write_embed, write_vectors};
