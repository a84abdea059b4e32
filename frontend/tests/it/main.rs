//! The real frontend between real clients, a scripted supervisor and a scripted worker.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that goes wrong should stop where it went wrong"
)]

mod admission;
mod answers;
mod departures;
mod limits;
mod loans;
mod queueing;
mod stopping;
mod support;
mod surface;
mod waiting;
