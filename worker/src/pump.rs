//! One call and its answer: upstream bytes become frames.
//!
//! The head is held back until the answer has truly begun: until a stream's first event of content, or, for a
//! whole answer, until all of it is there (within a bound). Before that a failure can still be mended elsewhere.
//! It promises to stop reading the backend while the frontend does not read, and to notice at any moment that
//! the frontend left or that the attempt must stop.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use dialect::error::ErrorReport;
use dialect::watch::{BackendError, StreamWatch, usage_in_body};
use dialect::{Endpoint, Framing, Usage};
use http::{HeaderMap, HeaderValue, header};
use ipc_proto::control::FromWorker;
use ipc_proto::failure::{Failure, FailureKind, Wait};
use ipc_proto::stream::{Answer, Head, Header, Open};
use serde::de::IgnoredAny;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::clock;
use crate::connect::chain;
use crate::connection::{Broken, Connection};
use crate::headers;
use crate::patience::Patience;
use crate::progress::Progress;
use crate::roster::{Stop, StopReason};
use crate::source::{Packing, Source, SourceError};
use crate::station::Station;
use crate::status::{self, Class};
use crate::stopwatch::Stopwatch;
use crate::upstream::{Reply, Upstream};

/// A whole answer up to this size is held back until it is complete.
const WHOLE: usize = 256 * 1024;
/// A whole answer up to this size is kept to read its usage; longer ones have none that matters this much.
const READ_FOR_USAGE: usize = 8 << 20;
/// So many bytes of a stream without any content, and it is no answer.
const SILENCE: usize = 1 << 20;
/// How much of a failed answer is read for its message, and for how long.
const FAILURE_BODY: usize = 16 * 1024;
const FAILURE_BODY_MS: u64 = 500;

/// What was learned in an attempt, whatever its end.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Tokens, as far as the backend said.
    pub(crate) usage: Usage,
    /// The backend's status.
    pub(crate) upstream_status: Option<u16>,
    /// From the start to the first piece of the answer, in microseconds: for a stream its first event of content.
    pub(crate) first_byte_us: Option<u64>,
    /// From the start to the last byte from the backend, in microseconds, without what a slow client cost; `None` if
    /// the backend was not called.
    pub(crate) total_us: Option<u64>,
    /// Bytes of body from the backend.
    pub(crate) bytes_received: u64,
    /// Whether the client has the beginning of an event, but not its end.
    pub(crate) is_inside_event: bool,
}

/// How an attempt ended by itself.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// With a complete answer.
    Complete,
    /// With the backend's refusal, which was passed on.
    Declined,
    /// With a failure.
    Failed(Failure),
}

/// Why an attempt did not end by itself.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// The frontend left, or broke the rules.
    Disturbed(Broken),
    /// It was told to stop.
    Stopped(StopReason),
    /// The backend kept us waiting too long.
    TimedOut(Failure),
}

/// One call on behalf of a connection.
pub(crate) struct Pump<'a, S> {
    connection: &'a mut Connection<S>,
    station: &'a Station,
    upstream: Arc<Upstream>,
    open: &'a Open,
    stop: Arc<Stop>,
    start: Instant,
    patience: Patience,
    progress: Progress,
    stopwatch: Stopwatch,
    account: Account,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Pump<'a, S> {
    /// A pump for the attempt `open`, which began at `start`.
    pub(crate) fn new(
        connection: &'a mut Connection<S>,
        station: &'a Station,
        open: &'a Open,
        stop: Arc<Stop>,
        start: Instant,
    ) -> Self {
        let upstream = station.upstream();
        let total_ms = if open.stream { 0 } else { upstream.spec.timeouts.total_ms };
        Self {
            connection,
            station,
            upstream,
            open,
            stop,
            start,
            patience: Patience::new(start, total_ms),
            progress: Progress::new(start),
            stopwatch: Stopwatch::new(start),
            account: Account::default(),
        }
    }

    /// What was learned.
    pub(crate) fn into_account(self) -> Account {
        Account { total_us: Some(self.stopwatch.total_us()), ..self.account }
    }

    /// Calls the backend with `body` and passes its answer on. What is left in the connection's buffer is to be
    /// written together with the end. Dropping the future drops the call.
    pub(crate) async fn run(&mut self, body: Bytes) -> Result<Verdict, Interrupt> {
        let upstream = Arc::clone(&self.upstream);
        self.patience.expect(Wait::FirstEvent, self.start, upstream.spec.timeouts.first_event_ms);
        let call = upstream.prepare(self.open, body);
        let hide_usage = call.hide_usage;
        #[cfg(test)]
        self.stumble("panic at once");
        let reply = match self.until(upstream.call(self.open, call)).await? {
            Ok(reply) => reply,
            Err(failure) => return Ok(Verdict::Failed(failure)),
        };
        self.account.upstream_status = Some(reply.status);
        match status::class(reply.status, &reply.headers) {
            Class::Failed(kind) => self.failed(reply, kind).await,
            Class::Declined => self.whole(reply, Verdict::Declined).await,
            Class::Good if self.is_stream(&reply.headers) => match reply.body.packing() {
                Packing::Plain | Packing::Known => self.stream(reply, hide_usage).await,
                Packing::Opaque => self.opaque(reply).await,
            },
            Class::Good => self.whole(reply, Verdict::Complete).await,
        }
    }

    /// Whether a good answer with these headers is a stream of events. A backend that was asked for a stream may
    /// leave the type out, or name a wrong one; only JSON is taken at its word.
    fn is_stream(&self, headers: &HeaderMap) -> bool {
        let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let starts = |prefix: &[u8]| {
            content_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        self.open.endpoint != Endpoint::Embeddings
            && (starts(b"text/event-stream") || (self.open.stream && !starts(b"application/json")))
    }

    /// Waits for `what`, unless something comes between.
    async fn until<T>(&mut self, what: impl Future<Output = T>) -> Result<T, Interrupt> {
        tokio::select! {
            biased;
            broken = self.connection.disturbed() => Err(Interrupt::Disturbed(broken)),
            reason = self.stop.ordered() => Err(Interrupt::Stopped(reason)),
            got = what => Ok(got),
            wait = self.patience.ran_out() => Err(Interrupt::TimedOut(self.timed_out(wait))),
        }
    }

    fn timed_out(&self, wait: Wait) -> Failure {
        let timeouts = self.upstream.spec.timeouts;
        let detail = match wait {
            Wait::Connect => format!("no connection within {} ms", timeouts.connect_ms),
            Wait::FirstEvent => format!("no answer began within {} ms", timeouts.first_event_ms),
            Wait::Idle => format!("nothing came for {} ms", timeouts.idle_ms),
            Wait::Total => format!("the answer was not complete within {} ms", timeouts.total_ms),
        };
        self.failure(FailureKind::Timeout(wait), &detail)
    }

    /// The next piece of the body. How long it may take is for the caller to say beforehand.
    async fn piece(&mut self, body: &mut Source) -> Result<Option<Result<Bytes, Failure>>, Interrupt> {
        #[cfg(test)]
        self.stumble(if self.progress.has_begun() { "panic midway" } else { "" });
        let asked = clock::now();
        let piece = self.until(body.piece()).await?;
        self.account.bytes_received = body.received();
        self.stopwatch.came(self.account.bytes_received, asked, clock::now());
        let broken = |error: SourceError| self.failure(self.kind_of_break(), &chain(&error));
        Ok(piece.map(|piece| piece.map_err(broken)))
    }

    /// Panics in the attempt whose query says so: what that costs has to be seen.
    #[cfg(test)]
    fn stumble(&self, query: &str) {
        assert_ne!(self.open.query.as_deref(), Some(query), "on purpose");
    }

    /// A break before the head is a wrong answer, and may go better elsewhere; after it, it is what it is.
    fn kind_of_break(&self) -> FailureKind {
        if self.progress.has_begun() { FailureKind::Broken } else { FailureKind::Malformed }
    }

    fn wait_for_next_piece(&mut self) {
        self.patience.expect(Wait::Idle, clock::now(), self.upstream.spec.timeouts.idle_ms);
    }

    async fn flush(&mut self) -> Result<(), Interrupt> {
        let began = clock::now();
        let result = tokio::select! {
            biased;
            reason = self.stop.ordered() => Err(Interrupt::Stopped(reason)),
            written = self.connection.flush() => written.map_err(Interrupt::Disturbed),
        };
        self.stopwatch.held_up(began, clock::now());
        result
    }

    fn put_chunk(&mut self, bytes: &[u8]) {
        if Answer::put_chunk(&mut self.connection.out, bytes).is_err() {
            tracing::error!("a chunk cannot be framed");
        }
    }

    fn failure(&self, kind: FailureKind, detail: &str) -> Failure {
        let detail = self.upstream.without_key(detail);
        let failure = Failure::new(kind, format!("{}: {detail}", self.upstream.spec.base_url));
        Failure { upstream_status: self.account.upstream_status, ..failure }
    }

    fn failed_with(&self, kind: FailureKind, detail: &str) -> Verdict {
        Verdict::Failed(self.failure(kind, detail))
    }

    /// The answer has begun: from here on the client sees it.
    fn commit(&mut self, status: u16, headers: Vec<Header>, body_bytes: Option<u64>, events: bool) {
        self.connection.put(&Answer::Head(Box::new(Head { status, headers, body_bytes, events })));
        let now_us = self.progress.begin();
        // A whole answer has waited here until it was complete; a stream until its first event of content.
        let first_byte_us = if events { now_us } else { self.stopwatch.first_us().unwrap_or(now_us) };
        self.account.first_byte_us = Some(first_byte_us);
        if (200..300).contains(&status) {
            self.station.report_soon(&FromWorker::Begun { grant: self.open.grant, first_byte_us });
        }
    }

    fn report_progress(&mut self) {
        if let Some(events) = self.progress.step() {
            self.station.report_soon(&FromWorker::Progress { grant: self.open.grant, events });
        }
    }

    /// A status that another backend may do better than. Its body is read a little, for the operator.
    async fn failed(&mut self, mut reply: Reply, kind: FailureKind) -> Result<Verdict, Interrupt> {
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
        let why = match (location, status::message_in(&text)) {
            (Some(location), _) => format!(", to {location}"),
            (None, Some(message)) => format!(": {message}"),
            (None, None) => String::new(),
        };
        let failure = self.failure(kind, &format!("answered {}{why}", reply.status));
        Ok(Verdict::Failed(failure.with_retry_after_ms(status::retry_after_ms(&reply.headers))))
    }

    /// A whole answer: all of it in one piece if it is small.
    async fn whole(&mut self, mut reply: Reply, good: Verdict) -> Result<Verdict, Interrupt> {
        let must_be_json = matches!(good, Verdict::Complete) && reply.body.packing() != Packing::Opaque;
        let announced = announced_length(&reply);
        let mut is_kept = true;
        let mut total = 0_u64;
        while !reply.body.is_over() {
            self.wait_for_next_piece();
            let Some(piece) = self.piece(&mut reply.body).await? else { break };
            let piece = match piece {
                Ok(piece) => piece,
                Err(failure) => return Ok(Verdict::Failed(failure)),
            };
            total += piece.len() as u64;
            if is_kept {
                self.connection.gathered.extend_from_slice(&piece);
            }
            if self.progress.has_begun() {
                self.put_chunk(&piece);
                self.flush().await?;
            } else if total > WHOLE as u64 {
                if must_be_json && self.connection.gathered.trim_ascii_start().first() != Some(&b'{') {
                    return Ok(self.failed_with(FailureKind::Malformed, "the answer is no JSON object"));
                }
                self.commit(reply.status, headers::for_client(&reply.headers), announced, false);
                let gathered = std::mem::take(&mut self.connection.gathered);
                self.put_chunk(&gathered);
                self.connection.gathered = gathered;
                self.flush().await?;
            }
            if is_kept && total > READ_FOR_USAGE as u64 {
                is_kept = false;
                self.connection.gathered = Vec::new();
            }
        }
        Ok(self.end_whole(&reply, good, must_be_json && is_kept, total))
    }

    fn end_whole(&mut self, reply: &Reply, good: Verdict, must_be_json: bool, total: u64) -> Verdict {
        let gathered = std::mem::take(&mut self.connection.gathered);
        if must_be_json {
            if !is_json_object(&gathered) {
                return self.failed_with(self.kind_of_break(), "the answer is no JSON object");
            }
            self.account.usage = usage_in_body(self.open.endpoint, &gathered);
        }
        if !self.progress.has_begun() {
            self.commit(reply.status, headers::for_client(&reply.headers), Some(total), false);
            self.put_chunk(&gathered);
        }
        self.connection.gathered = gathered;
        good
    }

    /// An answer that nobody here can look into.
    async fn opaque(&mut self, mut reply: Reply) -> Result<Verdict, Interrupt> {
        while let Some(piece) = self.piece(&mut reply.body).await? {
            match piece {
                Err(failure) => return Ok(Verdict::Failed(failure)),
                Ok(piece) => {
                    if !self.progress.has_begun() {
                        self.commit(reply.status, headers::for_client(&reply.headers), None, false);
                    }
                    self.put_chunk(&piece);
                }
            }
            self.report_progress();
            self.flush().await?;
            self.wait_for_next_piece();
        }
        if self.progress.has_begun() {
            return Ok(Verdict::Complete);
        }
        Ok(self.failed_with(FailureKind::Malformed, "closed without an answer"))
    }

    /// A stream of events.
    async fn stream(&mut self, mut reply: Reply, hide_usage: bool) -> Result<Verdict, Interrupt> {
        let mut watch = StreamWatch::new(self.open.endpoint, Framing::Events, hide_usage);
        loop {
            let piece = self.piece(&mut reply.body).await?;
            let is_end = piece.is_none();
            match piece {
                Some(Ok(bytes)) => watch.feed(&bytes, &mut self.connection.gathered),
                Some(Err(failure)) => return Ok(Verdict::Failed(failure)),
                None => watch.finish(&mut self.connection.gathered),
            }
            self.account.usage = watch.usage();
            self.account.is_inside_event = watch.has_begun() && !watch.is_between_events();
            if !self.progress.has_begun() && watch.has_begun() {
                self.commit(reply.status, headers::of_stream(&reply.headers), None, true);
                // They share the buffer that they were read into, which a long stream need not keep.
                reply.headers = HeaderMap::new();
            }
            if self.progress.has_begun() {
                let mut gathered = std::mem::take(&mut self.connection.gathered);
                self.put_chunk(&gathered);
                gathered.clear();
                self.connection.gathered = gathered;
            }
            if let Some(error) = watch.error() {
                return Ok(self.told_inside(error));
            }
            if is_end || watch.is_complete() || self.is_too_silent() {
                break;
            }
            self.report_progress();
            self.flush().await?;
            if self.progress.has_begun() {
                self.wait_for_next_piece();
            }
        }
        if !self.progress.has_begun() {
            return Ok(self.failed_with(FailureKind::Malformed, "closed without an answer"));
        }
        if !watch.is_complete() {
            return Ok(self.failed_with(FailureKind::Broken, "closed without the end marker"));
        }
        self.connection.settling = Some(reply.body);
        Ok(Verdict::Complete)
    }

    fn is_too_silent(&self) -> bool {
        !self.progress.has_begun() && self.connection.gathered.len() > SILENCE
    }

    /// The backend put an error into the stream. Before any content it counts like the status that fits it; after
    /// that the stream has broken, and the frontend tells the client.
    fn told_inside(&mut self, error: &BackendError) -> Verdict {
        let said = format!("said in the stream: {}", error.message);
        if self.progress.has_begun() {
            return self.failed_with(FailureKind::Broken, &said);
        }
        match (status::class_in_stream(error.status), error.status) {
            (Class::Failed(kind), _) => self.failed_with(kind, &said),
            (_, status) => self.declined_inside(status.unwrap_or(400), &error.message),
        }
    }

    /// A refusal that came as an event is passed on as the answer that it should have been.
    fn declined_inside(&mut self, status: u16, message: &str) -> Verdict {
        let body = dialect::error::body(
            self.open.endpoint.dialect(),
            &ErrorReport {
                status,
                code: FailureKind::Declined.code(),
                message,
                param: None,
                request_id: self.open.label.as_str(),
            },
        );
        let json =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        self.commit(status, headers::for_client(&json), Some(body.len() as u64), false);
        self.put_chunk(&body);
        Verdict::Declined
    }
}

/// The length that the client will see, if the backend announced it and the body comes as it was sent.
fn announced_length(reply: &Reply) -> Option<u64> {
    let length = reply.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    length.filter(|_| reply.body.packing() != Packing::Known)
}

fn is_json_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{') && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}
