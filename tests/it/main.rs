//! Whole-binary tests: the real `proxylm serve` with its children, a scripted upstream, and clients that misbehave.
//!
//! Tests are named after the acceptance ids they show. They wait for predicates, use port 0 and temporary
//! directories, and need nothing but `cargo test`.

#![cfg(test)]

mod api;
mod architecture;
mod auth;
mod bad_days;
mod config_cli;
mod crash;
mod dialect_errors;
mod dialect_losses;
mod dialect_streams;
mod dialects;
mod discovery;
mod history;
mod lanes;
mod load_options;
mod loans;
mod machines;
mod operate;
mod operate_live;
mod retry;
mod scheduling;
#[cfg(unix)]
mod screen;
mod service;
mod strategies;
mod streaming;
mod support;
mod turns;
mod waiting;
