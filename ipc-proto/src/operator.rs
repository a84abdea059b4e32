//! What operators may ask and what they are told: one vocabulary for `ctl`, the TUI and the admin API.
//!
//! Times are microseconds since 1970 (`_unix_us`), durations microseconds (`_us`) or milliseconds (`_ms`).

use dialect::Endpoint;
use serde::{Deserialize, Serialize};

use crate::control::{Class, Waiting};
use crate::spec::BackendKind;

mod decision;
mod event;
mod learned;

pub use self::decision::{Candidate, Decision, Explanation};
pub use self::event::{Event, LogLevel, LogLine, Subscription, ToOperator};
pub use self::learned::{Confidence, LearnedView};

/// One question or order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the operator; the answer carries it.
    pub id: u32,
    /// What is asked.
    pub command: Command,
}

/// What an operator may ask.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// The whole state.
    Snapshot,
    /// Requests of the past.
    History(HistoryQuery),
    /// Why a request, waiting or ended, was sent where it was: by its `X-Request-Id` or id, whole or the beginning.
    Explain {
        /// The id.
        request: String,
    },
    /// Grant nothing more on this backend; what runs there finishes.
    Drain {
        /// Its name.
        backend: String,
    },
    /// Use a drained backend again.
    Undrain {
        /// Its name.
        backend: String,
    },
    /// End this request: by its `X-Request-Id` or id, whole or the beginning of one.
    Cancel {
        /// The id.
        request: String,
    },
    /// Replace this backend's worker: what runs there finishes first.
    Restart {
        /// The backend's name.
        backend: String,
    },
    /// Tell this operator of changes and of log lines, beginning with everything as it is now. Replaces what it has
    /// subscribed to before.
    Subscribe(Subscription),
    /// Tell it nothing any more by itself.
    Unsubscribe,
    /// Grant nothing new on any backend; what runs finishes, what comes waits.
    Pause,
    /// Grant again.
    Resume,
    /// Drain everything and end the instance.
    Stop,
}

/// The answer to a [`Call`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Response {
    /// The call's id.
    pub id: u32,
    /// What came of it.
    pub reply: Result<Reply, Refusal>,
}

/// What came of a call that went well.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Done, or begun; one sentence for a person.
    Done(String),
    /// The state.
    Snapshot(Box<Snapshot>),
    /// Past requests, newest first.
    History(Vec<RequestRecord>),
    /// How a request was decided on.
    Explained(Box<Explanation>),
}

/// Why a call was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to do about it; empty if nothing.
    pub hint: String,
}

/// Which past requests.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// At most so many; capped at [`HistoryQuery::MAX`].
    pub limit: u32,
    /// Only this model.
    pub model: Option<String>,
    /// Only this backend.
    pub backend: Option<String>,
    /// Only this client.
    pub client: Option<String>,
    /// Only this state.
    pub state: Option<RequestState>,
    /// Only the requests with this id.
    pub request: Option<String>,
    /// Only requests that came then or later, in microseconds since 1970.
    pub since_unix_us: Option<i64>,
    /// Only requests that came then or earlier.
    pub until_unix_us: Option<i64>,
}

impl HistoryQuery {
    /// The most rows of one answer: they fit one frame.
    pub const MAX: u32 = 1000;
}

/// The states of a request: the one vocabulary of history, screens and scripts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// Waits for a slot, for the first time or again.
    Queued,
    /// An attempt is on its way.
    Running,
    /// A complete answer went to the client.
    Completed,
    /// It did not.
    Failed,
    /// The client left, an operator ended it, or the instance ended under it.
    Cancelled,
}

impl RequestState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more will happen to the request.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// One request: a row of the history, a line on a screen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The `X-Request-Id`.
    pub id: String,
    /// proxylm's own id, unique also when clients repeat theirs.
    pub exchange: String,
    /// The client's name; empty if nobody in particular.
    pub client: String,
    /// The model asked for.
    pub model: String,
    /// The operation.
    pub endpoint: Endpoint,
    /// Whether a stream was wanted.
    pub stream: bool,
    /// How it stands.
    pub state: RequestState,
    /// The backend of the latest attempt; empty if there was none.
    pub backend: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Whether the latest attempt made the backend change its model.
    pub swap: bool,
    /// The backend on which an attempt failed last; empty if none did.
    pub last_failed_backend: String,
    /// The status sent to the client.
    pub http_status: Option<u16>,
    /// The status of the backend's latest answer.
    pub upstream_status: Option<u16>,
    /// The stable code of the failure; empty if none.
    pub error_code: String,
    /// What went wrong, for operators; empty if nothing.
    pub error: String,
    /// What of the request could not be carried into the backend's dialect; empty if nothing.
    pub warnings: String,
    /// When it came.
    pub arrived_unix_us: i64,
    /// When its latest attempt was granted.
    pub started_unix_us: Option<i64>,
    /// When it ended.
    pub ended_unix_us: Option<i64>,
    /// Waiting in the queue, over all attempts.
    pub queue_us: Option<u64>,
    /// How much its client minds waiting.
    pub class: Class,
    /// Why its latest attempt was sent where it was; empty if there was none.
    pub reason: String,
    /// Its place among the requests for the same model, while it waits.
    pub waiting: Option<Waiting>,
    /// From the call to the first piece of the answer, where the attempt changed the model: the load and the
    /// reading of the prompt.
    pub load_us: Option<u64>,
    /// From arrival to the first byte sent to the client.
    pub first_byte_us: Option<u64>,
    /// From arrival to the end.
    pub total_us: Option<u64>,
    /// Tokens of the prompt.
    pub input_tokens: Option<u64>,
    /// Tokens generated.
    pub output_tokens: Option<u64>,
    /// Of the prompt, read from a cache.
    pub cached_tokens: Option<u64>,
    /// Of the generated, spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Length of the request's body.
    pub request_bytes: u64,
    /// Bytes of body sent to the client.
    pub response_bytes: u64,
}

/// The whole state of an instance.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The instance.
    pub instance: InstanceView,
    /// Its frontends, by seat.
    pub frontends: Vec<FrontendView>,
    /// Its backends, best first.
    pub backends: Vec<BackendView>,
    /// Live requests: running ones first, then queued ones in order of arrival; at most
    /// [`Snapshot::MAX_REQUESTS`].
    pub requests: Vec<RequestRecord>,
    /// All live requests, also those not listed.
    pub live: u64,
    /// What has been learned, by backend, model and endpoint.
    pub learned: Vec<LearnedView>,
    /// What has happened since the start.
    pub counters: Counters,
}

impl Snapshot {
    /// The most requests listed: they fit one frame.
    pub const MAX_REQUESTS: usize = 1000;
}

/// The instance.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct InstanceView {
    /// Version of the program.
    pub version: String,
    /// The supervisor's process.
    pub pid: u32,
    /// Where clients connect.
    pub address: String,
    /// `starting`, `running`, `paused`, `draining`, `stopped`.
    pub phase: String,
    /// The scheduling strategy.
    pub strategy: String,
    /// The configuration file; empty if there is none.
    pub config: String,
    /// The database file.
    pub database: String,
    /// When it started.
    pub started_unix_us: i64,
    /// Now, by the instance's clock.
    pub now_unix_us: i64,
    /// Requests waiting.
    pub queued: u64,
    /// The most that may wait.
    pub queue_limit: u64,
}

/// A frontend.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FrontendView {
    /// Its seat.
    pub seat: u16,
    /// How often the seat was filled.
    pub generation: u32,
    /// Its process, while it has one.
    pub pid: Option<u32>,
    /// `starting`, `ready`, `draining`, `backoff`.
    pub state: String,
    /// Requests it holds.
    pub requests: u64,
}

/// A backend.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BackendView {
    /// Its name.
    pub name: String,
    /// What software.
    pub kind: BackendKind,
    /// Its address, without credentials.
    pub url: String,
    /// Lower is preferred.
    pub priority: i32,
    /// `unknown`, `up`, `down`.
    pub health: String,
    /// Why, if it is not up.
    pub reason: String,
    /// Whether an operator drains it.
    pub draining: bool,
    /// Its worker's process, while it has one.
    pub worker_pid: Option<u32>,
    /// How often a worker was started.
    pub generation: u32,
    /// `starting`, `ready`, `draining`, `backoff`.
    pub worker: String,
    /// Slots taken by attempts.
    pub slots_used: u32,
    /// Slots lent to frontends ahead of time, and not used yet.
    pub lent: u32,
    /// Slots.
    pub slots: u32,
    /// Models it holds at once, as far as we know; `None`: swaps are free.
    pub max_models: Option<u32>,
    /// The model it holds by our belief, the one used last if there are several; empty if none.
    pub current_model: String,
    /// Whether that model is still loading.
    pub loading: bool,
    /// What each model it holds is there for.
    pub turns: Vec<TurnView>,
    /// Why it changes its model next, if that is decided: `leaving qwen for llama, waited 4:02`; empty if not.
    pub next: String,
    /// What it says is loaded; `None` where it does not say.
    pub loaded_models: Option<Vec<String>>,
    /// What it offers.
    pub models: Vec<String>,
    /// Requests waiting that it could serve.
    pub queued: u64,
    /// Attempts that failed on it since the start.
    pub failures: u64,
    /// Times it changed its model since the start.
    pub swaps: u64,
}

/// A model's turn on a backend.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TurnView {
    /// The model.
    pub model: String,
    /// Since when it has been loaded; `None` while it loads.
    pub since_unix_us: Option<i64>,
    /// Attempts that run.
    pub running: u32,
    /// Requests waiting for it, anywhere.
    pub waiting: u64,
    /// The length of context it was loaded with, in tokens, where known.
    pub context: Option<u64>,
}

/// What has happened since the start.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counters {
    /// Requests admitted.
    pub admitted: u64,
    /// Complete answers.
    pub completed: u64,
    /// Failed requests.
    pub failed: u64,
    /// Cancelled requests.
    pub cancelled: u64,
    /// Requests refused because too many waited.
    pub queue_full: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Model changes.
    pub swaps: u64,
    /// Loads that were not made because a request's load options were fitted to the model in memory.
    pub avoided_reloads: u64,
    /// Times a backend waited for a follow-up to the model it held, and it came.
    pub lingers_won: u64,
    /// Times it did not.
    pub lingers_lost: u64,
    /// Rows the history could not keep: the disk was full, locked or too slow.
    pub history_lost: u64,
    /// Children started again after they died.
    pub restarts: u64,
}
