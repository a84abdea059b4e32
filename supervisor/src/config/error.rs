//! What can be wrong with a configuration, and what is merely odd. Nothing here ever shows a key's text.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use super::tree::Place;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the configuration {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is a file already, and it was not to be replaced.
    #[error("there is a configuration already: {}", path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// The file's name does not say what format it has.
    #[error("{}: the name must end in .yaml, .yml, .toml or .json", path.display())]
    Ending {
        /// Which.
        path: PathBuf,
    },
    /// A new configuration is written as YAML, and the file's name says something else.
    #[error("{}: a new configuration is YAML, so the name must end in .yaml or .yml", path.display())]
    NotYaml {
        /// Which.
        path: PathBuf,
    },
    /// The file can be read, and something in it is wrong: one line per problem, in the file's order.
    #[error("{}", Problem::lines(path, problems))]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// At least one.
        problems: Vec<Problem>,
    },
    /// The host in `proxy.host` cannot be listened on.
    #[error("proxy.host: cannot find an address for {host}")]
    Host {
        /// As configured.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The system has no random numbers to give.
    #[error("cannot draw a random key: {reason}")]
    Random {
        /// Why.
        reason: String,
    },
}

impl ConfigError {
    /// Whether it is only that there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } if self.is_missing() => {
                Some("write one with `proxylm config init`, or name another with --config".to_owned())
            }
            Self::Exists { .. } => {
                Some("replace it with --force, or name another place with --path".to_owned())
            }
            Self::Write { .. } => Some("name another place with --path".to_owned()),
            Self::Host { .. } => Some("0.0.0.0 is every interface, 127.0.0.1 this machine only".to_owned()),
            Self::Wrong { problems, .. } => problems.iter().find_map(|problem| problem.hint.clone()),
            Self::Read { .. } | Self::Ending { .. } | Self::NotYaml { .. } | Self::Random { .. } => None,
        }
    }

    /// The problems inside the file, if that is what is wrong.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Wrong { problems, .. } => problems,
            _ => &[],
        }
    }
}

/// One thing that is wrong in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where, as far as that is known.
    pub place: Option<Place>,
    /// The section and key, as in `backends[0].url`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do, where the message does not say it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with `key`, with no place yet.
    pub(super) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: None, key: key.into(), message: message.into(), hint: None }
    }

    /// The same, at `place`.
    #[must_use]
    pub(super) fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    /// The same, with something to do about it.
    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn lines(path: &Path, problems: &[Self]) -> String {
        let line = |problem: &Self| {
            let place =
                problem.place.map(|place| format!(":{}:{}", place.line, place.column)).unwrap_or_default();
            format!("{}{place}: {problem}", path.display())
        };
        problems.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Something odd in a configuration that works: worth a line in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The section and key; empty for the file as a whole.
    pub key: String,
    /// What is odd, and what follows from it.
    pub message: String,
}

impl Warning {
    /// A warning about `key`.
    pub(super) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}
