//! The log: lines on standard error, as text for people or JSON for machines, and for operators that listen.
//!
//! Every process of an instance writes its own lines to the same standard error. `RUST_LOG` overrules the level there;
//! what operators hear goes by the level they ask for.

use std::io::{self, IsTerminal};

use supervisor::config::{LogFormat, LogLevel};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

mod overheard;

use self::overheard::{Overheard, WhatIsWanted};

/// Our own crates: they log at the level asked for, everybody else's from warnings upwards.
const OURS: [&str; 6] = ["proxylm", "supervisor", "frontend", "worker", "ipc_proto", "dialect"];

/// Starts logging for this process. A second call changes nothing.
pub(crate) fn start(level: LogLevel, form: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter(level));
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match form {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    // An error means that somebody has started it already.
    let _ = registry().with(lines).with(Overheard.with_filter(WhatIsWanted)).try_init();
}

fn filter(level: LogLevel) -> EnvFilter {
    let others = if level == LogLevel::Error { LogLevel::Error } else { LogLevel::Warning };
    let ours: Vec<_> = OURS.iter().map(|name| format!("{name}={level}")).collect();
    EnvFilter::new(format!("{others},{}", ours.join(",")))
}
