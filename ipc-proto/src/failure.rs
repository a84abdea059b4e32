//! What befell a request, as a value that travels: its kind, and what follows from the kind.
//!
//! The HTTP status, whether another attempt may help, whether the backend's health suffers and the name in
//! metrics and history all follow from [`FailureKind`] here, and are decided nowhere else.

use serde::{Deserialize, Serialize};

/// Who brought the failure about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// The caller: asking again unchanged will not help.
    Client,
    /// proxylm itself, or its operator.
    Proxy,
    /// The backend, or the way to it.
    Upstream,
}

/// Whether another attempt may help, before anything has gone to the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Retry {
    /// No: the answer would be the same.
    Never,
    /// Yes, at once, preferably on another backend.
    Elsewhere,
    /// Only later: tell the client to come again.
    Later,
}

/// Which wait on the backend ran out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Wait {
    /// For the connection.
    Connect,
    /// For the first bytes of the answer.
    FirstEvent,
    /// Between two pieces of the answer.
    Idle,
    /// For the whole answer.
    Total,
}

/// The closed list of what can befall a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum FailureKind {
    /// The request cannot be understood.
    BadRequest,
    /// The request's body is over the limit.
    BodyTooLarge,
    /// The client took too long to send its request.
    SlowClient,
    /// No key, or one nobody knows.
    Unauthorized,
    /// A good key that may not do this.
    Forbidden,
    /// No backend knows the model.
    UnknownModel,
    /// The key, user or model is over its limit.
    QuotaExceeded,
    /// The client left.
    ClientGone,
    /// An operator cancelled it.
    Cancelled,
    /// Too many wait already.
    QueueFull,
    /// It waited as long as it may.
    QueueTimeout,
    /// The instance, or the only backend for the model, takes nothing new.
    Draining,
    /// The model is known; every backend that has it is down.
    NoBackend,
    /// The grant had ended before the frontend used it.
    GrantLapsed,
    /// The worker ended, or hung, in the middle.
    WorkerLost,
    /// The backend could not be reached: name, connection, TLS.
    Unreachable,
    /// The backend kept us waiting too long.
    Timeout(Wait),
    /// The backend says it has too much to do (429, 529, 503 with `Retry-After`).
    Overloaded,
    /// The backend failed (other 5xx).
    ServerError,
    /// The backend refused the request (other 4xx); its answer went to the client as it was.
    Declined,
    /// The backend's answer makes no sense.
    Malformed,
    /// The backend broke off after the answer had begun.
    Broken,
    /// The request cannot be said in the backend's dialect.
    Untranslatable,
    /// A bug in proxylm.
    Internal,
}

impl FailureKind {
    /// Who brought it about.
    pub fn origin(self) -> Origin {
        use FailureKind as K;
        match self {
            K::BadRequest
            | K::BodyTooLarge
            | K::SlowClient
            | K::Unauthorized
            | K::Forbidden
            | K::UnknownModel
            | K::QuotaExceeded
            | K::ClientGone => Origin::Client,
            K::Cancelled
            | K::QueueFull
            | K::QueueTimeout
            | K::Draining
            | K::NoBackend
            | K::GrantLapsed
            | K::WorkerLost
            | K::Untranslatable
            | K::Internal => Origin::Proxy,
            K::Unreachable
            | K::Timeout(_)
            | K::Overloaded
            | K::ServerError
            | K::Declined
            | K::Malformed
            | K::Broken => Origin::Upstream,
        }
    }

    /// The HTTP status that the client sees when this is the last word.
    pub fn status(self) -> u16 {
        use FailureKind as K;
        match self {
            K::BadRequest | K::Untranslatable | K::Declined => 400,
            K::Unauthorized => 401,
            K::Forbidden => 403,
            K::UnknownModel => 404,
            K::SlowClient => 408,
            K::BodyTooLarge => 413,
            K::QuotaExceeded | K::QueueFull | K::Overloaded => 429,
            K::ClientGone | K::Cancelled => 499,
            K::QueueTimeout | K::Draining | K::NoBackend => 503,
            K::GrantLapsed | K::WorkerLost | K::Unreachable | K::ServerError | K::Malformed | K::Broken => {
                502
            }
            K::Timeout(_) => 504,
            K::Internal => 500,
        }
    }

    /// Whether another attempt may help.
    pub fn retry(self) -> Retry {
        use FailureKind as K;
        match self {
            K::GrantLapsed
            | K::WorkerLost
            | K::Unreachable
            | K::Timeout(_)
            | K::Overloaded
            | K::ServerError
            | K::Untranslatable
            | K::Malformed => Retry::Elsewhere,
            K::QuotaExceeded | K::QueueFull | K::QueueTimeout | K::Draining | K::NoBackend => Retry::Later,
            _ => Retry::Never,
        }
    }

    /// Whether it counts against the backend it happened on.
    pub fn hurts_health(self) -> bool {
        use FailureKind as K;
        matches!(
            self,
            K::WorkerLost | K::Unreachable | K::Timeout(_) | K::ServerError | K::Malformed | K::Broken
        )
    }

    /// The stable name: error `code`, metric label, history.
    pub fn code(self) -> &'static str {
        use FailureKind as K;
        match self {
            K::BadRequest => "invalid_request",
            K::BodyTooLarge => "request_too_large",
            K::SlowClient => "request_timeout",
            K::Unauthorized => "invalid_api_key",
            K::Forbidden => "forbidden",
            K::UnknownModel => "model_not_found",
            K::QuotaExceeded => "rate_limit_exceeded",
            K::ClientGone => "client_gone",
            K::Cancelled => "cancelled",
            K::QueueFull => "queue_full",
            K::QueueTimeout => "queue_timeout",
            K::Draining => "draining",
            K::NoBackend => "no_backend",
            K::GrantLapsed => "grant_lapsed",
            K::WorkerLost => "worker_lost",
            K::Unreachable => "backend_unreachable",
            K::Timeout(Wait::Connect) => "connect_timeout",
            K::Timeout(Wait::FirstEvent) => "first_byte_timeout",
            K::Timeout(Wait::Idle) => "idle_timeout",
            K::Timeout(Wait::Total) => "total_timeout",
            K::Overloaded => "backend_overloaded",
            K::ServerError => "backend_error",
            K::Declined => "backend_declined",
            K::Malformed => "backend_malformed",
            K::Broken => "stream_aborted",
            K::Untranslatable => "untranslatable",
            K::Internal => "internal_error",
        }
    }
}

/// A failure on its way to whoever handles it.
///
/// `detail` is for operators: it may name addresses and causes, and never reaches a client. It holds no secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// What the backend answered, if it answered at all.
    pub upstream_status: Option<u16>,
    /// When to come again, in milliseconds, if somebody said.
    pub retry_after_ms: Option<u64>,
    /// For the log and the operator: what, where.
    pub detail: String,
    /// What the client is told in place of the kind's own sentence, where there is more to say.
    pub told: Option<Box<Told>>,
}

/// Words for the client: they repeat nothing but its own request, or what the backend itself says of the failure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// The sentence.
    pub message: String,
    /// The field at fault, as a path in its body.
    pub param: Option<String>,
}

impl Failure {
    /// A failure of `kind`, with `detail` for operators.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, upstream_status: None, retry_after_ms: None, detail: detail.into(), told: None }
    }

    /// The same, after the backend answered `status`.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.upstream_status = Some(status);
        self
    }

    /// The same, with words of its own for the client.
    #[must_use]
    pub fn telling(mut self, message: impl Into<String>, param: Option<String>) -> Self {
        self.told = Some(Box::new(Told { message: message.into(), param }));
        self
    }

    /// The same, with the time after which another try makes sense.
    #[must_use]
    pub fn with_retry_after_ms(mut self, milliseconds: Option<u64>) -> Self {
        self.retry_after_ms = milliseconds;
        self
    }
}
