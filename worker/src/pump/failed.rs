//! Answers that are none: failures that another backend may not have, refusals in other words, waiting in vain.

use dialect::Dialect;
use dialect::error::{self, ErrorReport};
use dialect::watch::BackendError;
use http::{HeaderMap, header};
use ipc_proto::failure::{Failure, FailureKind, Wait};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Interrupt, Pump, Verdict};
use crate::source::Packing;
use crate::status::{self, Class};
use crate::upstream::Reply;
use crate::{clock, headers, key};

/// How much of a failed answer is read for its message, and for how long.
const FAILURE_BODY: usize = 16 * 1024;
const FAILURE_BODY_MS: u64 = 500;
/// How much of a refusal is read to be told in other words.
const REFUSAL_BODY: usize = 1 << 20;

/// The most of a backend's words that a client is told, in bytes.
const LONGEST_QUOTE: usize = 1024;

/// The media type of errors.
const JSON: &str = "application/json";

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<'_, S> {
    /// The failure that it is to wait too long.
    pub(super) fn timed_out(&self, wait: Wait) -> Failure {
        let timeouts = self.upstream.spec.timeouts;
        let detail = match wait {
            Wait::Connect => format!("no connection within {} ms", timeouts.connect_ms),
            Wait::FirstEvent => format!("no answer began within {} ms", timeouts.first_event_ms),
            Wait::Idle => format!("nothing came for {} ms", timeouts.idle_ms),
            Wait::Total => format!("the answer was not complete within {} ms", timeouts.total_ms),
        };
        self.failure(FailureKind::Timeout(wait), &detail)
    }

    /// A failure of the backend; `detail` may hold what it said.
    pub(super) fn failure(&self, kind: FailureKind, detail: &str) -> Failure {
        let detail = key::without_callers(&self.open.headers, detail);
        let detail = self.upstream.without_key(&detail);
        let failure = Failure::new(kind, format!("{}: {detail}", self.upstream.spec.base_url));
        Failure { upstream_status: self.account.upstream_status, ..failure }
    }

    /// An attempt that ends so.
    pub(super) fn failed_with(&self, kind: FailureKind, detail: &str) -> Verdict {
        Verdict::Failed(self.failure(kind, detail))
    }

    /// A status that another backend may do better than. Its body is read a little, for the operator.
    pub(super) async fn failed(&mut self, mut reply: Reply, kind: FailureKind) -> Result<Verdict, Interrupt> {
        self.patience.expect(Wait::Idle, clock::now(), FAILURE_BODY_MS);
        let mut text = Vec::new();
        while text.len() < FAILURE_BODY {
            match self.piece(&mut reply.body).await {
                Ok(Some(Ok(piece))) => text.extend_from_slice(&piece),
                Ok(_) | Err(Interrupt::TimedOut(_)) => break,
                Err(interrupt) => return Err(interrupt),
            }
        }
        let location = reply.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
        let said = status::message_in(&text);
        let why = match (location, &said) {
            (Some(location), _) => format!(", to {location}"),
            (None, Some(message)) => format!(": {message}"),
            (None, None) => String::new(),
        };
        let failure = self.failure(kind, &format!("answered {}{why}", reply.status));
        let failure = self.quoting(failure, said.as_deref().unwrap_or_default());
        Ok(Verdict::Failed(failure.with_retry_after_ms(status::retry_after_ms(&reply.headers))))
    }

    /// `failure`, told to the client in the backend's own words: a limit that is reached or a want of memory is for
    /// whoever asked to know. No key is among them, ours or the caller's: these words are logged, too.
    fn quoting(&self, failure: Failure, said: &str) -> Failure {
        let said = key::without_callers(&self.open.headers, said.trim());
        let said = self.upstream.hiding_key(&said);
        let told = &said[..said.floor_char_boundary(LONGEST_QUOTE)];
        if told.is_empty() { failure } else { failure.telling(told, None) }
    }

    /// The body of a refusal, so much of it as can be told; empty if it cannot be read.
    pub(super) async fn refusal(&mut self, reply: &mut Reply) -> Result<Vec<u8>, Interrupt> {
        let mut body = Vec::new();
        while body.len() < REFUSAL_BODY && !reply.body.is_over() {
            self.wait_for_next_piece();
            match self.piece(&mut reply.body).await? {
                Some(Ok(piece)) => body.extend_from_slice(&piece),
                // The status says the most of it.
                Some(Err(_)) | None => break,
            }
        }
        if reply.body.packing() == Packing::Opaque {
            body.clear();
        }
        Ok(body)
    }

    /// A refusal with `body`, in the words of the dialect `spoken`, told in the client's.
    pub(super) fn declined(&mut self, reply: &Reply, body: &[u8], spoken: Dialect) -> Verdict {
        let ours = self.open.endpoint.dialect();
        let body = self.upstream.hiding_key(&String::from_utf8_lossy(body)).into_owned();
        let told = error::retold(spoken, ours, reply.status, body.as_bytes(), self.open.label.as_str());
        let status = error::status_for(ours, reply.status);
        let headers = headers::of_translated(&reply.headers, JSON);
        self.commit(status, headers, Some(told.len() as u64), false);
        self.put_chunk(&told);
        Verdict::Declined
    }

    /// The backend put an error into the stream. Before any content it counts like the status that fits it; after
    /// that the stream has broken, and the frontend tells the client.
    pub(super) fn told_inside(&mut self, error: &BackendError) -> Verdict {
        let said = format!("said in the stream: {}", error.message);
        let class = status::class_in_stream(error.status);
        let kind = match class {
            // What is to be done then, a client knows from the type: to wait.
            Class::Failed(FailureKind::Overloaded) => FailureKind::Overloaded,
            _ if self.progress.has_begun() => FailureKind::Broken,
            Class::Failed(kind) => kind,
            _ => return self.declined_inside(error.status.unwrap_or(400), &error.message),
        };
        self.failed_inside(kind, error, &said)
    }

    /// A whole answer that cannot be told in the client's dialect, or tells of an error in the place of an answer.
    pub(super) fn told_in_whole(&mut self, error: &BackendError) -> Verdict {
        let said = format!("said in the answer: {}", error.message);
        match (status::class_in_stream(error.status), error.status) {
            (_, None) => self.failed_with(FailureKind::Malformed, &said),
            (Class::Failed(kind), _) => self.failed_inside(kind, error, &said),
            (_, Some(status)) => self.declined_inside(status, &error.message),
        }
    }

    /// A failure in the place of an answer: it says what the status would have been.
    fn failed_inside(&self, kind: FailureKind, error: &BackendError, said: &str) -> Verdict {
        let failure = self.failure(kind, said);
        let upstream_status = error.status.or(failure.upstream_status);
        Verdict::Failed(self.quoting(Failure { upstream_status, ..failure }, &error.message))
    }

    /// A refusal that came as an event is passed on as the answer that it should have been.
    fn declined_inside(&mut self, status: u16, message: &str) -> Verdict {
        let ours = self.open.endpoint.dialect();
        let status = error::status_for(ours, status);
        let message = &*self.upstream.hiding_key(message);
        let body = error::body(
            ours,
            &ErrorReport {
                status,
                code: FailureKind::Declined.code(),
                message,
                param: None,
                request_id: self.open.label.as_str(),
            },
        );
        let headers = headers::of_translated(&HeaderMap::new(), JSON);
        self.commit(status, headers, Some(body.len() as u64), false);
        self.put_chunk(&body);
        Verdict::Declined
    }
}
