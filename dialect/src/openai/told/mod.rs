//! Reads what a backend answers: streams, and whole answers.

mod answer;
mod chunk;
mod stream;

pub(crate) use answer::read_answer;
pub(crate) use stream::reader;
