//! The two control links, frontend ↔ supervisor and worker ↔ supervisor: their messages.
//!
//! Payload never travels here: the supervisor knows a request by its [`Admission`] alone.

use std::net::SocketAddr;

use dialect::load::{LoadEdit, LoadOptions};
use dialect::{Dialect, Endpoint, Task, Usage};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ids::{BackendId, FrontendId, GrantId, KeyId, Label, ModelName, RequestId, WorkerId};
use crate::operator::{LogLevel, LogLine};
use crate::secret::Secret;
use crate::spec::{FrontendSpec, WorkerSpec};

/// What a frontend says to the supervisor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum FromFrontend {
    /// The first message of the link.
    Hello(FrontendHello),
    /// The frontend accepts clients at this address.
    Listening(SocketAddr),
    /// A request with these facts wants an attempt. Answered by `Granted` or `Rejected`.
    Admit(Box<Admission>),
    /// The attempt failed with nothing sent to the client: may it be tried again? Answered like `Admit`.
    AttemptFailed {
        /// The request.
        request: RequestId,
        /// The grant that was used.
        grant: GrantId,
        /// What happened.
        failure: Failure,
    },
    /// The client has been answered, or left after the answer had begun. The last word on a request that was
    /// granted; also sent after `Rejected`, with what the client was told.
    Closed {
        /// The request.
        request: RequestId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The client left before the answer began. The last word on the request.
    Withdraw {
        /// The request.
        request: RequestId,
    },
    /// A loan will not be used: it was found too old, or came to a frontend that takes nothing new.
    Returned {
        /// The grant of the loan.
        grant: GrantId,
    },
    /// No exchange is open any more, after `Drain`.
    Drained,
    /// The answer to `Ping`.
    Pong,
    /// A line of its log, as [`ToFrontend::LogFrom`] asked for.
    Log(LogLine),
}

/// How a frontend presents itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FrontendHello {
    /// The boot secret.
    pub secret: Secret,
    /// Which frontend.
    pub frontend: FrontendId,
    /// Its process.
    pub pid: u32,
    /// Requests it holds already: a new supervisor takes them over under their own ids and waiting times.
    pub waiting: Vec<Admission>,
}

/// What the supervisor may know of a request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Admission {
    /// The request, minted by the frontend.
    pub request: RequestId,
    /// What client and operator call it.
    pub label: Label,
    /// The operation.
    pub endpoint: Endpoint,
    /// The model, as the client named it.
    pub model: ModelName,
    /// Whose key it came with.
    pub key: KeyId,
    /// Whether a stream is wanted.
    pub stream: bool,
    /// Length of the body in bytes.
    pub body_bytes: u64,
    /// The most tokens the client wants.
    pub max_output_tokens: Option<u64>,
    /// Equal for the turns of one conversation.
    pub affinity: u64,
    /// How long it may wait in the queue, by the client's own word, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// How long it had waited before this message, in milliseconds: not 0 only after a re-attachment.
    pub waited_ms: u64,
    /// How much its client minds waiting, by the request's own word; `None`: as its key says.
    pub class: Option<Class>,
    /// Options that an engine applies when it loads the model.
    pub load: LoadOptions,
    /// The loan under which its first attempt has begun already, if any. If the supervisor still knows the loan, the
    /// attempt counts as granted and nothing is answered; else the request waits for an answer like any other.
    pub under: Option<GrantId>,
    /// The only backend that may serve it, where the client named one by the path.
    pub only: Option<BackendId>,
}

/// How much a client minds waiting.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// Nobody does: it yields to interactive requests for the same model.
    Batch,
}

impl Class {
    /// The word for it in the configuration and in `x-proxylm-class`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
        }
    }

    /// The class with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Interactive, Self::Batch].into_iter().find(|class| class.as_str() == word)
    }
}

/// How an exchange ended, as the client saw it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The status sent.
    pub status: u16,
    /// What went wrong, if anything did.
    pub failure: Option<Failure>,
    /// From arrival to the first byte of the answer, in microseconds.
    pub first_byte_us: Option<u64>,
    /// From arrival to the end, in microseconds.
    pub total_us: u64,
    /// Bytes of body sent to the client.
    pub bytes_sent: u64,
}

/// What the supervisor says to a frontend.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToFrontend {
    /// The whole truth for a frontend, replacing the last one. The first message of the link.
    Spec(Box<FrontendSpec>),
    /// The link is refused, for this reason; then it closes.
    Refused(String),
    /// Which models there are, and whether the instance is ready. The first one opens the doors.
    Directory(Box<Directory>),
    /// Go to this worker.
    Granted(Box<Grant>),
    /// A slot lent ahead of time: one attempt may start without asking, and is told with its `Admit`.
    Lent(Box<StandingGrant>),
    /// A loan is being taken back: the worker will let nobody in with it. One that has been used already goes on.
    Recalled {
        /// The grant of the loan.
        grant: GrantId,
    },
    /// Answer the client with this.
    Rejected {
        /// The request.
        request: RequestId,
        /// What to tell.
        failure: Failure,
        /// How long it would have waited, if it was refused for want of room or time.
        waiting: Option<Waiting>,
    },
    /// An operator ended this request: stop it wherever it is, and tell the client.
    Cancel {
        /// The request.
        request: RequestId,
    },
    /// Answer `Pong`: nothing has been heard of the frontend for a while.
    Ping,
    /// Send log lines of this level and above as `Log`.
    LogFrom(LogLevel),
    /// Accept nothing new, finish what is there within this time, then say `Drained`.
    Drain {
        /// The time, in milliseconds.
        within_ms: u64,
    },
}

/// A place in the queue, as clients and operators are told it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// Counts from 1, among the requests for the same model.
    pub position: u64,
    /// The expected time until an attempt begins, in milliseconds, the load of the model included.
    pub estimated_wait_ms: u64,
}

/// The lease of one slot for one attempt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub grant: GrantId,
    /// The request it is for.
    pub request: RequestId,
    /// Where to go.
    pub worker: WorkerId,
    /// The backend's name for the model, where it differs from the client's.
    pub model: Option<ModelName>,
    /// What to do with the options that the engine applies when it loads the model.
    pub load: LoadEdit,
    /// Within which time the frontend must come to the worker, in milliseconds.
    pub ttl_ms: u64,
    /// Counts the request's attempts from 1.
    pub attempt: u32,
}

/// A slot lent to a frontend ahead of the next request of one kind, for one attempt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StandingGrant {
    /// Its id; the attempt and the request's `Admit` name it.
    pub grant: GrantId,
    /// Where to go.
    pub worker: WorkerId,
    /// For which model, as clients name it.
    pub model: ModelName,
    /// The backend's name for the model, where it differs from the client's.
    pub upstream_model: Option<ModelName>,
    /// For operations that want this.
    pub task: Task,
    /// For requests with whose key.
    pub key: KeyId,
    /// How long the loan lasts, in milliseconds.
    pub ttl_ms: u64,
    /// Within which time of its use the frontend must come to the worker, in milliseconds.
    pub come_within_ms: u64,
}

/// Which models there are, and whether the instance can serve.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Directory {
    /// Models of healthy backends, in the order clients see them.
    pub models: Vec<ModelEntry>,
    /// Whether at least one backend is usable and nothing is draining.
    pub ready: bool,
    /// Why not, in one sentence.
    pub reason: String,
    /// Backends that are up, and all of them: `/health`.
    pub backends_up: u32,
    /// All backends.
    pub backends: u32,
}

/// One model as `/v1/models` lists it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ModelEntry {
    /// Its name.
    pub id: ModelName,
    /// When a backend first offered it, or when the backend says it was made; seconds since 1970.
    pub created: i64,
    /// Who owns it, by the backend's word, else `proxylm`.
    pub owned_by: String,
    /// Names of the healthy backends that offer it.
    pub served_by: Vec<String>,
    /// The dialects in which a healthy backend that offers it counts tokens itself.
    pub counted_in: Vec<Dialect>,
}

/// What a worker says to the supervisor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// The first message of the link.
    Hello(WorkerHello),
    /// Its data socket is open.
    Ready,
    /// The frontend came with this grant.
    Started {
        /// The grant.
        grant: GrantId,
    },
    /// The answer has begun: the model is loaded and answers.
    Begun {
        /// The grant.
        grant: GrantId,
        /// From the call to the first piece of the answer, in microseconds.
        first_byte_us: u64,
    },
    /// The attempt is over and the slot is free. Also the answer to `Revoke`, and to a `Recall` that came in time.
    /// Implies `Started`, but for [`Ending::NeverStarted`].
    Finished(Box<Finished>),
    /// How far a long answer has come, at most four times a second.
    Progress {
        /// The grant.
        grant: GrantId,
        /// Events or chunks seen so far.
        events: u64,
    },
    /// The result of a probe.
    Probed(Box<ProbeReport>),
    /// No attempt is open any more, after `Drain`.
    Drained,
    /// The answer to `Ping`.
    Pong,
    /// A line of its log, as [`ToWorker::LogFrom`] asked for.
    Log(LogLine),
}

/// How a worker presents itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkerHello {
    /// The boot secret.
    pub secret: Secret,
    /// Which worker.
    pub worker: WorkerId,
    /// Its process.
    pub pid: u32,
    /// Attempts it is running already: a new supervisor rebuilds the slots from them.
    pub running: Vec<(GrantId, RequestId)>,
}

/// The end of an attempt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// The grant.
    pub grant: GrantId,
    /// How it ended.
    pub ending: Ending,
    /// Tokens used, as far as the backend said.
    pub usage: Usage,
    /// The backend's status, if it answered.
    pub upstream_status: Option<u16>,
    /// From the call to the first piece of the answer, in microseconds.
    pub first_byte_us: Option<u64>,
    /// From the frontend's arrival to the backend's last byte, in microseconds; what was broken off: until it was. A
    /// client that reads slowly does not count.
    pub total_us: u64,
    /// Bytes of body that came from the backend.
    pub bytes_received: u64,
    /// What of the request could not be carried into the backend's dialect, in one line; empty if nothing.
    pub warnings: String,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Ending {
    /// A complete answer.
    Complete,
    /// The backend refused the request, and said so in an answer that was passed on.
    Declined,
    /// It failed.
    Failed(Failure),
    /// The frontend left.
    Cancelled,
    /// Revoked or recalled before the frontend came.
    NeverStarted,
}

/// What a probe found: one look at what a backend offers, which neither generates nor loads anything.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The models offered, or why they could not be read.
    pub models: Result<Vec<OfferedModel>, ProbeFailure>,
    /// The models in memory, where the backend tells; `None` where it does not or the question failed.
    pub loaded: Option<Vec<LoadedModel>>,
    /// How many attempts it takes at once, where it tells.
    pub slots: Option<u32>,
    /// How many models it holds at once, where it tells.
    pub max_models: Option<u32>,
    /// How long the probe took, in microseconds.
    pub took_us: u64,
}

/// A model in a backend's memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LoadedModel {
    /// Its name.
    pub id: ModelName,
    /// The length of context it was loaded with, in tokens, where the backend tells.
    pub context: Option<u64>,
}

/// A model as a backend lists it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OfferedModel {
    /// Its name.
    pub id: ModelName,
    /// When it was made, seconds since 1970, if the backend says.
    pub created: Option<i64>,
    /// Who owns it, if the backend says.
    pub owned_by: Option<String>,
}

/// Why a probe failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProbeFailure {
    /// What kind.
    pub kind: ProbeFailureKind,
    /// For the operator: what, where.
    pub detail: String,
}

/// The kinds of failed probes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ProbeFailureKind {
    /// No connection.
    Unreachable,
    /// No answer in time: the backend may merely be busy.
    Timeout,
    /// An error status.
    Status(u16),
    /// An answer that is no list of models: most likely a wrong URL.
    Shape,
}

/// What the supervisor says to a worker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// The whole truth for a worker, replacing the last one. The first message of the link.
    Spec(Box<WorkerSpec>),
    /// The link is refused, for this reason; then it closes.
    Refused(String),
    /// Never start this grant, or stop it; answer `Finished` either way.
    Revoke {
        /// The grant.
        grant: GrantId,
    },
    /// Take back a loan that nobody has come with: let nobody in any more and answer `Finished` with
    /// [`Ending::NeverStarted`]. One that runs or is over is left alone, and nothing is answered.
    Recall {
        /// The grant of the loan.
        grant: GrantId,
    },
    /// Probe now; answer `Probed`.
    Probe,
    /// Answer `Pong`: nothing has been heard of the worker for a while.
    Ping,
    /// Send log lines of this level and above as `Log`.
    LogFrom(LogLevel),
    /// Finish what is there within this time, then say `Drained`.
    Drain {
        /// The time, in milliseconds.
        within_ms: u64,
    },
}
