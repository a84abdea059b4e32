//! The configuration: read from a file, checked as a whole, and handed out in the pieces that each part needs.
//!
//! | file | owns |
//! |---|---|
//! | `file.rs` | the keys, as written |
//! | `tree.rs`, `environment.rs`, `wants.rs`, `conform.rs`, `later.rs` | reading: places, references, unknown keys, kinds and bounds |
//! | `check.rs`, `backend.rs`, `scheduling.rs`, `address.rs` | what the values mean together |
//! | `load.rs`, `pieces.rs` | a file becomes a [`Config`]; a [`Config`] becomes catalog and specs |
//! | `demo.rs`, `keys.rs`, `template.rs`, `first_run.rs` | life before there is a file |
//! | `schema.rs`, `show.rs`, `error.rs`, `mend.rs` | what people and editors are told |
//!
//! No key's text reaches an error, a warning, a log or what [`show`] prints.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipc_proto::ids::ModelName;
use ipc_proto::secret::Secret;
use ipc_proto::spec::{ClientLimits, Compat, ProbeSpec};

use self::backend::CheckedBackend;
use self::scheduling::Scheduling;
use crate::scheduler::catalog::{Alias, Client, HealthPolicy, RetryPolicy};

mod address;
mod backend;
mod check;
mod conform;
mod demo;
mod environment;
mod error;
pub mod file;
pub mod first_run;
mod keys;
mod later;
mod load;
mod mend;
mod pieces;
mod scheduling;
mod schema;
mod show;
mod template;
#[cfg(test)]
mod tests;
mod tree;
mod wants;

pub use self::demo::demo_backends;
pub use self::error::{ConfigError, Place, Problem, Warning};
pub use self::first_run::FoundServer;
pub use self::keys::FreshKeys;
pub use self::load::{Loaded, Overrides, default_path, load};
pub use self::schema::schema;
pub use self::show::show;
pub use self::template::template;

/// A configuration that has passed every check.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The address to listen on, or a name for it.
    pub host: String,
    /// The port to listen on; 0: any.
    pub port: u16,
    /// How long running requests may go on after a stop.
    pub shutdown_grace: Duration,
    /// The history's file, absolute unless the program's own folder is unknown.
    pub database_path: PathBuf,
    /// How many days ended requests are kept; `None`: for ever.
    pub history_retention_days: Option<u32>,
    /// Whether the history's file is compacted at the start.
    pub vacuum_on_start: bool,
    /// How long ended requests stay on the screen.
    pub show_completed: Duration,
    log_level: LogLevel,
    log_format: LogFormat,
    frontends: u16,
    limits: ClientLimits,
    keys: Vec<(Client, Secret)>,
    admin_key: Option<Secret>,
    backends: Vec<CheckedBackend>,
    aliases: BTreeMap<ModelName, Alias>,
    scheduling: Scheduling,
    retry: RetryPolicy,
    health: HealthPolicy,
    probe: ProbeSpec,
    compat: Compat,
    file: file::File,
}

/// The least important messages that are logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    /// Everything, down to single decisions.
    Debug,
    /// What an operator wants to have seen.
    Info,
    /// What may need a hand.
    Warning,
    /// What has gone wrong.
    Error,
}

impl LogLevel {
    /// The word for it, as the logging crates know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warning" | "warn" => Ok(Self::Warning),
            "error" => Ok(Self::Error),
            _ => Err("expected debug, info, warning or error"),
        }
    }
}

impl From<file::Level> for LogLevel {
    fn from(level: file::Level) -> Self {
        match level {
            file::Level::Debug => Self::Debug,
            file::Level::Info => Self::Info,
            file::Level::Warning | file::Level::Warn => Self::Warning,
            file::Level::Error => Self::Error,
        }
    }
}

impl From<LogLevel> for file::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
        }
    }
}

/// How logs look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One readable line per message.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.to_ascii_lowercase().as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected text or json"),
        }
    }
}

impl From<file::Format> for LogFormat {
    fn from(format: file::Format) -> Self {
        match format {
            file::Format::Text => Self::Text,
            file::Format::Json => Self::Json,
        }
    }
}

/// The folder of the program; the current one if that is unknown.
fn program_folder() -> PathBuf {
    let program = std::env::current_exe().ok();
    program.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
