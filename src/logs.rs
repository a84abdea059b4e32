//! The log: lines on standard error, as text for people or JSON for machines.
//!
//! Every process of an instance writes its own lines to the same standard error. `RUST_LOG` overrules the level.

use std::io::{self, IsTerminal};

use supervisor::config::{LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;

/// Our own crates: they log at the level asked for, everybody else's from warnings upwards.
const OURS: [&str; 6] = ["proxylm", "supervisor", "frontend", "worker", "ipc_proto", "dialect"];

/// Starts logging for this process. A second call changes nothing.
pub(crate) fn start(level: LogLevel, form: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // An error means that somebody has started it already.
    let _ = match form {
        LogFormat::Text => {
            let colours = io::stderr().is_terminal();
            subscriber.with_ansi(colours).try_init()
        }
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}

fn filter(level: LogLevel) -> EnvFilter {
    let others = if level == LogLevel::Error { LogLevel::Error } else { LogLevel::Warning };
    let ours: Vec<_> = OURS.iter().map(|name| format!("{name}={level}")).collect();
    EnvFilter::new(format!("{others},{}", ours.join(",")))
}
