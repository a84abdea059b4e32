//! The real frontend between real clients, a scripted supervisor and a scripted worker.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that goes wrong should stop where it went wrong"
)]

mod admission;
mod answers;
mod counts;
mod credentials;
mod departures;
mod dialects;
mod lanes;
mod limits;
mod loans;
mod ollama;
mod queueing;
mod stopping;
mod support;
mod surface;
mod waiting;
