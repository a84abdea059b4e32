//! What an instance tells an operator by itself, after it has subscribed.

use serde::{Deserialize, Serialize};

use super::{
    BackendView, Counters, FrontendView, InstanceView, LearnedView, RequestRecord, Response, Snapshot,
};

/// Whatever an instance says to an operator.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToOperator {
    /// The answer to a call.
    Answer(Response),
    /// Something has changed that the operator wants to know of.
    Event(Box<Event>),
}

/// What an operator wants to be told of.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// Changes of requests, backends, frontends and counters.
    pub state: bool,
    /// Log lines of this level and above, beginning with the latest ones that were kept; `None`: none.
    pub log: Option<LogLevel>,
    /// Only requests for this model.
    pub model: Option<String>,
    /// Only requests that run, ran or failed on this backend or for whose model it is there, and only this backend.
    pub backend: Option<String>,
    /// Only requests of this client.
    pub client: Option<String>,
}

/// How important a log line is, least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For who looks for a mistake.
    Debug,
    /// What an operator wants to have seen.
    Info,
    /// What may need a hand.
    Warning,
    /// What has gone wrong.
    Error,
}

impl LogLevel {
    /// Every level, least important first.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warning, Self::Error];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The level with this word; `warn` is understood too.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = if word == "warn" { "warning" } else { word };
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

/// A line of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub unix_us: i64,
    /// How important.
    pub level: LogLevel,
    /// The part of the program it comes from: `supervisor`, `frontend 0`, `worker desk`.
    pub source: String,
    /// What it says, fields included, in one line.
    pub message: String,
}

/// A change.
///
/// Views and records replace those of the same name, seat or id. Changes that come faster than they are sent are put together:
/// what is told is always the newest state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// Everything: first after a subscription, and after each [`Event::Lagged`].
    Snapshot(Box<Snapshot>),
    /// Requests that came, moved or ended; ended ones are told once, with their final state. Places in the queue are
    /// told by snapshots alone: each request that is served moves all behind it.
    Requests(Vec<RequestRecord>),
    /// Backends that changed.
    Backends(Vec<BackendView>),
    /// All frontends, when one of them has changed.
    Frontends(Vec<FrontendView>),
    /// The instance's own figures.
    Instance(Box<InstanceView>),
    /// What has happened since the start.
    Counters(Counters),
    /// What has been learned anew.
    Learned(Vec<LearnedView>),
    /// A line of the log.
    Log(LogLine),
    /// The operator reads too slowly: so many changes were not told. A snapshot follows.
    Lagged {
        /// How many.
        missed: u64,
    },
}
