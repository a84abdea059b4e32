//! What a client is told when it gets no answer: one status, one code, one sentence, in its own dialect.
//!
//! A failure's detail never gets here: it may name addresses and causes, and is for operators.

use std::borrow::Cow;

use dialect::Dialect;
use dialect::error::ErrorReport;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use ipc_proto::control::Waiting;
use ipc_proto::failure::{Failure, FailureKind, Origin, Wait};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::answer_body::AnswerBody;
use crate::auth::NoEntry;
use crate::reception::Caller;

const ERROR_SOURCE: HeaderName = HeaderName::from_static("x-proxylm-error-source");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const POSITION: HeaderName = HeaderName::from_static("x-proxylm-queue-position");
const ESTIMATE: HeaderName = HeaderName::from_static("x-proxylm-estimated-wait-ms");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Anthropic's own status for a server that has too much to do; others get 503.
const OVERLOADED: u16 = 529;
/// When to come again where nobody said, in seconds.
const DEFAULT_RETRY_AFTER: u64 = 1;

/// An answer that is an error of ours.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The stable code.
    pub(crate) code: Cow<'static, str>,
    message: Cow<'static, str>,
    param: Option<Box<str>>,
    upstream: bool,
    extra: Extra,
    waiting: Option<Waiting>,
}

/// The header that goes with some refusals.
#[derive(Debug)]
enum Extra {
    None,
    RetryAfter(u64),
    NeverRetry,
    Allow(&'static str),
    Challenge,
}

impl Refusal {
    /// A refusal with these words.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let later = matches!(status.as_u16(), 429 | 503 | OVERLOADED);
        let extra = if later { Extra::RetryAfter(DEFAULT_RETRY_AFTER) } else { Extra::None };
        Self {
            status,
            code: code.into(),
            message: message.into(),
            param: None,
            upstream: false,
            extra,
            waiting: None,
        }
    }

    /// How `failure` is told, to somebody who asked for `model`.
    pub(crate) fn of(failure: &Failure, model: Option<&str>) -> Self {
        let kind = failure.kind;
        let status = match kind {
            // 499 is for logs: no client knows what to do with it.
            FailureKind::Cancelled | FailureKind::ClientGone => StatusCode::SERVICE_UNAVAILABLE,
            // It is not this caller who asks too often.
            FailureKind::Overloaded => {
                let said = failure.upstream_status.filter(|status| [503, OVERLOADED].contains(status));
                StatusCode::from_u16(said.unwrap_or(kind.status())).unwrap_or(StatusCode::TOO_MANY_REQUESTS)
            }
            _ => StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let mut refusal = Self::new(status, kind.code(), sentence(kind, model));
        refusal.upstream = kind.origin() == Origin::Upstream;
        if kind == FailureKind::UnknownModel {
            refusal.param = Some("model".into());
        }
        if let Some(told) = &failure.told {
            refusal.message = told.message.clone().into();
            refusal.param = told.param.as_deref().map(Into::into);
        }
        if kind == FailureKind::Cancelled {
            refusal.extra = Extra::NeverRetry;
        } else if let (Extra::RetryAfter(seconds), Some(ms)) = (&mut refusal.extra, failure.retry_after_ms) {
            *seconds = ms.div_ceil(1000).max(1);
        }
        refusal
    }

    /// A request of this kind of failure, in our own words.
    pub(crate) fn because(kind: FailureKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..Self::of(&Failure::new(kind, ""), None) }
    }

    /// Nobody was let in.
    pub(crate) fn no_entry(why: NoEntry) -> Self {
        let refusal = Self::because(FailureKind::Unauthorized, why.sentence());
        Self { extra: Extra::Challenge, ..refusal }
    }

    /// The method is not one of `allowed`.
    pub(crate) fn wrong_method(allowed: &'static str) -> Self {
        let message = format!("this path takes only {allowed}");
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
        Self { extra: Extra::Allow(allowed), ..refusal }
    }

    /// A backend's own error of this status, in its words as far as they can be read in `said`, its answer in
    /// `dialect`; for where that cannot be passed on as it is. `None`: it was too long to be kept.
    pub(crate) fn quoting(dialect: Dialect, status: u16, said: Option<&[u8]>) -> Self {
        let kind = if status >= 400 { FailureKind::Declined } else { FailureKind::Malformed };
        let mut refusal = Self::of(&Failure::new(kind, ""), None);
        if let (FailureKind::Declined, Ok(status)) = (kind, StatusCode::from_u16(status)) {
            refusal.status = status;
        }
        // What is no error by its status is one only if it says so itself.
        let is_error = |said: &&[u8]| {
            kind == FailureKind::Declined
                || matches!(serde_json::from_slice(said), Ok(Erring { error: Some(_) }))
        };
        if let Some(said) = said.filter(is_error) {
            let told = dialect::error::read(dialect, status, said);
            refusal.message = told.message.into();
            refusal.param = told.param.map(Into::into);
            refusal.code = told.code.map_or(refusal.code, Into::into);
        }
        refusal
    }

    /// The same, telling how long the request would have waited.
    #[must_use]
    pub(crate) fn after(mut self, waiting: Option<Waiting>) -> Self {
        self.waiting = waiting;
        self
    }

    /// The same, blaming a field of the request.
    #[must_use]
    pub(crate) fn at(mut self, param: Option<&'static str>) -> Self {
        self.param = param.map(Into::into);
        self
    }

    /// The HTTP status that somebody who speaks `dialect` gets.
    fn status_for(&self, dialect: Dialect) -> u16 {
        dialect::error::status_for(dialect, self.status.as_u16())
    }

    /// The whole response.
    pub(crate) fn response(&self, caller: &Caller) -> Response<AnswerBody> {
        let body = dialect::error::body(caller.dialect, &self.report(caller));
        let mut response = Response::new(AnswerBody::whole(body));
        *response.status_mut() = StatusCode::from_u16(self.status_for(caller.dialect)).unwrap_or(self.status);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ERROR_SOURCE, source(self.upstream));
        match self.extra {
            Extra::None => {}
            Extra::RetryAfter(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
                if let Some(waiting) = self.waiting {
                    headers.insert(POSITION, HeaderValue::from(waiting.position));
                    headers.insert(ESTIMATE, HeaderValue::from(waiting.estimated_wait_ms));
                }
            }
            Extra::NeverRetry => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            Extra::Allow(methods) => {
                headers.insert(ALLOW, HeaderValue::from_static(methods));
            }
            Extra::Challenge => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
        }
        response
    }

    /// What tells it inside a stream which has begun; `is_first`: nothing but signs of life has gone out.
    pub(crate) fn event(&self, caller: &Caller, is_first: bool) -> Vec<u8> {
        dialect::error::event(caller.dialect, caller.framing, is_first, &self.report(caller))
    }

    fn report<'a>(&'a self, caller: &'a Caller) -> ErrorReport<'a> {
        ErrorReport {
            status: self.status_for(caller.dialect),
            code: &self.code,
            message: &self.message,
            param: self.param.as_deref(),
            request_id: caller.label.as_str(),
        }
    }
}

/// An answer that tells of an error, whatever its status.
#[derive(Deserialize)]
struct Erring {
    error: Option<IgnoredAny>,
}

/// Marks `response`, an error of the backend that is passed on, as such.
pub(crate) fn mark_upstream(response: &mut Response<AnswerBody>) {
    response.headers_mut().insert(ERROR_SOURCE, source(true));
}

fn source(upstream: bool) -> HeaderValue {
    HeaderValue::from_static(if upstream { "upstream" } else { "proxy" })
}

fn sentence(kind: FailureKind, model: Option<&str>) -> Cow<'static, str> {
    use FailureKind as K;
    let fixed = match kind {
        K::UnknownModel => return unknown_model(model.unwrap_or_default()),
        K::BadRequest => "the request cannot be understood",
        K::BodyTooLarge => "the request body is too long",
        K::SlowClient => "the request took too long to arrive",
        K::Unauthorized => "an API key is needed",
        K::Forbidden => "this API key may not do that",
        K::QuotaExceeded => "a limit of this key or model is reached; try again later",
        K::ClientGone => "the client left",
        K::Cancelled => "an operator cancelled this request",
        K::QueueFull => "too many requests are waiting; try again later",
        K::QueueTimeout => "no backend became free in time; try again later",
        K::Draining => "the service takes no new requests at the moment; try again later",
        K::NoBackend => "every backend that has this model is down; try again later",
        K::GrantLapsed | K::WorkerLost => "the process that spoke to the backend was lost",
        K::Unreachable => "the backend cannot be reached",
        K::Timeout(Wait::Connect) => "the backend did not accept the connection in time",
        K::Timeout(Wait::FirstEvent) => "the backend did not begin to answer in time",
        K::Timeout(Wait::Idle) => "the backend stopped in the middle of its answer",
        K::Timeout(Wait::Total) => "the backend did not finish its answer in time",
        K::Overloaded => "the backend has too much to do; try again later",
        K::ServerError => "the backend failed",
        K::Declined => "the backend refused the request",
        K::Malformed => "the backend's answer makes no sense",
        K::Broken => "the backend broke off its answer",
        K::Untranslatable => "no backend that has this model can do what is asked for",
        K::Internal => "an internal error; the log of the service tells more",
    };
    fixed.into()
}

/// That there is no such model, and how to learn which there are.
pub(crate) fn unknown_model(model: &str) -> Cow<'static, str> {
    format!("there is no model `{model}` here; GET /v1/models lists those there are").into()
}
