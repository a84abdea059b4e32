//! One call and its answer: upstream bytes become frames.
//!
//! The head is held back until the answer has truly begun: until a stream's first event of content, or, for a
//! whole answer, until all of it is there (within a bound). Before that a failure can still be mended elsewhere.
//! It promises to stop reading the backend while the frontend does not read, and to notice at any moment that
//! the frontend left or that the attempt must stop. Beneath it, `whole` takes answers in one piece, `stream` those that
//! come bit by bit, and `failed` whatever is none.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use dialect::{Dialect, Endpoint, Framing, Usage, edit};
use http::{HeaderMap, HeaderValue, header};
use ipc_proto::control::FromWorker;
use ipc_proto::failure::{Failure, FailureKind, Wait};
use ipc_proto::stream::{Answer, Head, Header, Open};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinError;
use tokio::time::Instant;

use crate::call::Call;
use crate::clock;
use crate::connect::chain;
use crate::connection::{Broken, Connection};
use crate::course::Course;
use crate::patience::Patience;
use crate::progress::Progress;
use crate::roster::{Stop, StopReason};
use crate::source::{Packing, Source, SourceError};
use crate::station::Station;
use crate::status::{self, Class};
use crate::stopwatch::Stopwatch;
use crate::upstream::{Reply, Upstream};

mod failed;
mod stream;
mod whole;

/// A body up to this size is read and translated in a moment.
const READ_AT_ONCE: usize = 1 << 20;
/// What is said of a wish for thoughts that a model refused.
const REFUSED_THINKING: &str = "the model refused it, and was asked again with less of it or without";
/// The header that names what a translation has lost.
const WARNING: &str = "x-proxylm-warning";

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
    /// What of the request could not be carried into the backend's dialect, in one line; empty if nothing.
    pub(crate) warning: String,
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
        let (mut call, course) = match self.prepare(body).await? {
            Ok(prepared) => prepared,
            Err(failure) => return Ok(Verdict::Failed(failure)),
        };
        self.account.warning = std::mem::take(&mut call.warning);
        #[cfg(test)]
        self.stumble("panic at once");
        let (called, stream) = (call.endpoint, call.stream);
        let (reply, refusal) = match self.ask(call, course.is_translated()).await? {
            Ok(answered) => answered,
            Err(failure) => return Ok(Verdict::Failed(failure)),
        };
        match (status::class(reply.status, &reply.headers), course) {
            (_, Course::Native) if (300..400).contains(&reply.status) => {
                self.whole(reply, Verdict::Declined, false).await
            }
            (Class::Failed(kind), _) => self.failed(reply, kind).await,
            (Class::Declined, Course::Translated(translated)) => {
                Ok(self.declined(&reply, &refusal, translated.spoken))
            }
            (Class::Declined, _) => self.whole(reply, Verdict::Declined, false).await,
            (Class::Good, course) => self.good(reply, called, stream, course).await,
        }
    }

    /// Sends the call, and of a refusal that is to be told in other words reads the body. A model that has no thoughts is
    /// asked again without the wish for them, and that is said.
    async fn ask(
        &mut self,
        mut call: Call,
        is_translated: bool,
    ) -> Result<Result<(Reply, Vec<u8>), Failure>, Interrupt> {
        let upstream = Arc::clone(&self.upstream);
        loop {
            let again = is_translated.then(|| call.clone());
            let mut reply = match self.until(upstream.call(self.open, call)).await? {
                Ok(reply) => reply,
                Err(failure) => return Ok(Err(failure)),
            };
            self.account.upstream_status = Some(reply.status);
            let is_told = status::class(reply.status, &reply.headers) == Class::Declined;
            let Some(again) = again.filter(|_| is_told) else { return Ok(Ok((reply, Vec::new()))) };
            let refusal = self.refusal(&mut reply).await?;
            let Some(body) = self.without_thinking(&again, &refusal) else { return Ok(Ok((reply, refusal))) };
            call = Call { body, ..again };
        }
    }

    /// The body of `call` with less of a wish for thoughts, if that is what `refusal` is about; not where nothing may be
    /// lost.
    fn without_thinking(&mut self, call: &Call, refusal: &[u8]) -> Option<Bytes> {
        if self.upstream.spec.compat.is_strict {
            return None;
        }
        let message = status::message_in(refusal)?;
        let body = edit::with_less_thinking(&call.body, &message)?;
        let field = match self.open.endpoint.dialect() {
            Dialect::OpenAi => "reasoning_effort",
            Dialect::Responses => "reasoning",
            Dialect::Anthropic => "thinking",
            Dialect::Gemini => "generationConfig.thinkingConfig",
            Dialect::Ollama => "think",
        };
        let warning = &mut self.account.warning;
        if !warning.contains(REFUSED_THINKING) {
            let separator = if warning.is_empty() { "" } else { "; " };
            warning.extend([separator, field, ": ", REFUSED_THINKING]);
        }
        Some(body.into())
    }

    /// The call that serves the request. A long body is read aside.
    async fn prepare(&mut self, body: Bytes) -> Result<Result<(Call, Course), Failure>, Interrupt> {
        if body.len() <= READ_AT_ONCE {
            return Ok(self.upstream.prepare(self.open, body));
        }
        let (upstream, open) = (Arc::clone(&self.upstream), self.open.clone());
        self.aside(move || upstream.prepare(&open, body)).await
    }

    /// Does `work` that takes its time, while streams go on.
    async fn aside<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Interrupt> {
        match self.until(tokio::task::spawn_blocking(work)).await?.map_err(JoinError::try_into_panic) {
            Ok(done) => Ok(done),
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // Nothing else stops it than the end of the process.
            Err(Err(_)) => Err(Interrupt::Stopped(StopReason::DrainOver)),
        }
    }

    /// An answer.
    async fn good(
        &mut self,
        reply: Reply,
        called: Endpoint,
        stream: bool,
        course: Course,
    ) -> Result<Verdict, Interrupt> {
        let is_opaque = reply.body.packing() == Packing::Opaque;
        let query = if course.is_translated() { Some("alt=sse") } else { self.open.query.as_deref() };
        let asked = stream.then(|| Framing::of(called, query));
        let framing = framing(&reply.headers, called, asked);
        match (course, framing) {
            (Course::Native, _) if comes_bit_by_bit(&reply.headers).is_some() => self.opaque(reply).await,
            (Course::Native, _) => self.whole(reply, Verdict::Complete, false).await,
            (Course::Translated(_), _) if is_opaque => {
                Ok(self.failed_with(FailureKind::Malformed, "the answer is packed in an unknown way"))
            }
            (Course::Translated(_), Some(_)) if !stream => {
                Ok(self.failed_with(FailureKind::Malformed, "the answer is a stream, which nobody asked for"))
            }
            (Course::Translated(translated), Some(_)) => self.stream_translated(reply, translated).await,
            (Course::Translated(translated), None) => self.translated(reply, translated, stream).await,
            (Course::Straight { .. }, Some(_)) if is_opaque => self.opaque(reply).await,
            // Whatever follows it, an error or a sign of life, would be framed as the client was promised.
            (Course::Straight { .. }, Some(framing)) if framing != self.open.framing => Ok(self
                .failed_with(FailureKind::Malformed, "the stream is framed in another way than asked for")),
            (Course::Straight { hide_usage }, Some(framing)) => {
                self.stream_straight(reply, framing, hide_usage).await
            }
            (Course::Straight { .. }, None) => self.whole(reply, Verdict::Complete, !is_opaque).await,
        }
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

    /// The answer has begun: from here on the client sees it.
    fn commit(&mut self, status: u16, headers: Vec<Header>, body_bytes: Option<u64>, events: bool) {
        let mut headers = headers;
        if !self.account.warning.is_empty() {
            let value = Bytes::copy_from_slice(self.account.warning.as_bytes());
            headers.push(Header { name: WARNING.into(), value });
        }
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
}

/// How the good answer with these headers to a call of `called` is framed, if it is a stream; `asked` is what was asked
/// for. A backend that was asked for a stream may leave the type out, or name a wrong one; only JSON is taken at its word.
fn framing(headers: &HeaderMap, called: Endpoint, asked: Option<Framing>) -> Option<Framing> {
    if !called.generates() {
        return None;
    }
    match (comes_bit_by_bit(headers), asked) {
        (Some(framing), _) => Some(framing),
        // A list is JSON, too. So is a line; but what has a length is an answer that was whole when it was sent.
        (None, Some(Framing::List)) => Some(Framing::List),
        (None, Some(Framing::Lines)) if !headers.contains_key(header::CONTENT_LENGTH) => Some(Framing::Lines),
        (None, asked) => asked.filter(|_| !is_type(headers, "application/json")),
    }
}

/// How an answer is framed that calls itself a stream.
fn comes_bit_by_bit(headers: &HeaderMap) -> Option<Framing> {
    if is_type(headers, Framing::Events.content_type()) {
        return Some(Framing::Events);
    }
    is_type(headers, Framing::Lines.content_type()).then_some(Framing::Lines)
}

fn is_type(headers: &HeaderMap, prefix: &str) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    content_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}
