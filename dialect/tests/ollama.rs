//! Ollama's own API against itself, through the hub: what goes in and what comes out.

#[path = "ollama/bench.rs"]
mod bench;

#[path = "ollama/requests.rs"]
mod requests;

#[path = "ollama/answers.rs"]
mod answers;

#[path = "ollama/vectors.rs"]
mod vectors;
