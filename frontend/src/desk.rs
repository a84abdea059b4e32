//! The desk: every exchange that the supervisor knows of, and what the two say to each other about it.
//!
//! It promises exactly one last word (`Withdraw` or `Closed`) for every request it admitted, however the exchange
//! goes: the word is said by the exchange's [`Case`], at the latest when that is dropped. It never waits: what
//! the supervisor's link does not take means that the link is dead, and is reported by [`Desk::trouble`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use ipc_proto::control::{Admission, FromFrontend, Grant, Outcome, Waiting};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{GrantId, RequestId};
use ipc_proto::link::{Outbox, SendError};
use ipc_proto::operator::LogLevel;
use ipc_proto::tap;
use tokio::sync::Notify;

use crate::clock;

/// What the supervisor decided about a waiting request.
#[derive(Debug)]
pub(crate) enum Word {
    /// Go to this worker.
    Granted(Box<Grant>),
    /// Tell the client this, and how long it would have waited, if it was refused for want of room or time.
    Rejected(Failure, Option<Waiting>),
}

/// The open exchanges and the way to the supervisor.
pub(crate) struct Desk {
    outbox: Outbox<FromFrontend>,
    // A lock, because connections and the link's reader are different tasks; never held across an await.
    book: Mutex<Book>,
    doors: Notify,
    quiet: Notify,
    trouble: Notify,
}

struct Book {
    places: HashMap<RequestId, Arc<Place>>,
    admits: bool,
    orphaned: bool,
}

/// Where one exchange is called.
#[derive(Default)]
struct Place(Mutex<Calls>);

#[derive(Default)]
struct Calls {
    word: Option<Word>,
    end: Option<Failure>,
    waker: Option<Waker>,
    /// An attempt is being made or answered: nothing is awaited from the supervisor.
    engaged: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic half-way runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    fn remember(&mut self, cx: &Context<'_>) {
        match &self.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.waker = Some(cx.waker().clone()),
        }
    }
}

impl Place {
    fn call(&self, change: impl FnOnce(&mut Calls)) {
        let mut calls = locked(&self.0);
        change(&mut calls);
        let waker = calls.waker.take();
        drop(calls);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Desk {
    /// A desk that speaks to the supervisor through `outbox`.
    pub(crate) fn new(outbox: Outbox<FromFrontend>) -> Arc<Self> {
        Arc::new(Self {
            outbox,
            book: Mutex::new(Book { places: HashMap::new(), admits: true, orphaned: false }),
            doors: Notify::new(),
            quiet: Notify::new(),
            trouble: Notify::new(),
        })
    }

    /// Whether new requests are taken.
    pub(crate) fn admits(&self) -> bool {
        locked(&self.book).admits
    }

    /// Puts a request before the supervisor; one that begins under a loan is told in passing, and does not wait for
    /// a word. `Err`: nothing new is taken, or the supervisor is out of reach.
    pub(crate) fn admit(self: &Arc<Self>, admission: Admission, arrived: Instant) -> Result<Case, Failure> {
        let request = admission.request;
        let is_under_way = admission.under.is_some();
        let calls = Calls { engaged: is_under_way, ..Calls::default() };
        let place = Arc::new(Place(Mutex::new(calls)));
        {
            let mut book = locked(&self.book);
            if !book.admits {
                return Err(Failure::new(FailureKind::Draining, "this frontend takes nothing new"));
            }
            book.places.insert(request, Arc::clone(&place));
        }
        let mut case = Case {
            desk: Arc::clone(self),
            request,
            place,
            arrived,
            stage: Stage::Waiting,
            status: 0,
            first_byte_us: None,
            bytes_sent: 0,
        };
        let admit = FromFrontend::Admit(Box::new(admission));
        let is_taken = if is_under_way { self.mention(&admit) } else { self.say(&admit) };
        if is_taken {
            Ok(case)
        } else {
            // It never reached the supervisor: there is nothing to take back.
            case.stage = Stage::Closed;
            Err(Failure::new(FailureKind::Draining, "the supervisor is out of reach"))
        }
    }

    /// Hands the supervisor's decision to the exchange it is for. One that has left since is passed over: its
    /// last word is on its way.
    pub(crate) fn hand(&self, request: RequestId, word: Word) {
        if let Some(place) = self.place(request) {
            place.call(|calls| calls.word = Some(word));
        }
    }

    /// Ends one exchange, wherever it is, with `failure`.
    pub(crate) fn end(&self, request: RequestId, failure: Failure) {
        if let Some(place) = self.place(request) {
            place.call(|calls| calls.end = Some(failure));
        }
    }

    /// Ends every exchange with `failure`.
    pub(crate) fn end_all(&self, failure: &Failure) {
        for place in self.places() {
            place.call(|calls| calls.end = Some(failure.clone()));
        }
    }

    /// The supervisor is gone: ends every exchange that waits for its word, now or later, with `failure`. Attempts
    /// under way go on.
    pub(crate) fn orphan(&self, failure: &Failure) {
        locked(&self.book).orphaned = true;
        for place in self.places() {
            let waits = !locked(&place.0).engaged;
            if waits {
                place.call(|calls| calls.end = Some(failure.clone()));
            }
        }
    }

    /// Takes nothing new from here on.
    pub(crate) fn close_doors(&self) {
        locked(&self.book).admits = false;
        self.doors.notify_waiters();
    }

    /// Returns when nothing new is taken any more.
    pub(crate) async fn doors_closed(&self) {
        loop {
            let notified = self.doors.notified();
            if !self.admits() {
                return;
            }
            notified.await;
        }
    }

    /// Returns when no exchange is open.
    pub(crate) async fn quiet(&self) {
        loop {
            let notified = self.quiet.notified();
            if self.open() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// How many exchanges are open.
    pub(crate) fn open(&self) -> usize {
        locked(&self.book).places.len()
    }

    /// Returns when the supervisor's link has not taken a message: it is dead.
    pub(crate) async fn trouble(&self) {
        self.trouble.notified().await;
    }

    /// Says something at once; whether the link took it.
    pub(crate) fn say(&self, message: &FromFrontend) -> bool {
        self.taken(&self.outbox.send(message))
    }

    /// Says something with the next thing that is said, or in a moment; whether the link took it.
    pub(crate) fn mention(&self, message: &FromFrontend) -> bool {
        self.taken(&self.outbox.send_soon(message))
    }

    /// Has log lines of this level and above told to the supervisor.
    pub(crate) fn log_from(&self, least: LogLevel) {
        tap::pour(least, self.outbox.clone(), FromFrontend::Log);
    }

    fn taken(&self, sent: &Result<(), SendError>) -> bool {
        match sent {
            Ok(()) => {}
            // This message is at fault, and not the link.
            Err(SendError::Frame(error)) => tracing::error!(%error, "cannot say something to the supervisor"),
            Err(error) => {
                tracing::debug!(%error, "the supervisor's link takes no message");
                self.trouble.notify_one();
            }
        }
        sent.is_ok()
    }

    fn place(&self, request: RequestId) -> Option<Arc<Place>> {
        locked(&self.book).places.get(&request).cloned()
    }

    fn places(&self) -> Vec<Arc<Place>> {
        locked(&self.book).places.values().cloned().collect()
    }

    fn strike(&self, request: RequestId) {
        let mut book = locked(&self.book);
        book.places.remove(&request);
        let quiet = book.places.is_empty();
        drop(book);
        if quiet {
            self.quiet.notify_waiters();
        }
    }
}

/// How far an exchange has come, as far as its last word depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Answering,
    Closed,
}

/// One admitted request. Dropping it says the request's last word, if that has not been said: the client left.
pub(crate) struct Case {
    desk: Arc<Desk>,
    request: RequestId,
    place: Arc<Place>,
    arrived: Instant,
    stage: Stage,
    status: u16,
    first_byte_us: Option<u64>,
    bytes_sent: u64,
}

impl Case {
    /// The supervisor's decision; `Err` when the exchange has to end instead.
    pub(crate) fn poll_word(&self, cx: &Context<'_>) -> Poll<Result<Word, Failure>> {
        let mut calls = locked(&self.place.0);
        if let Some(failure) = calls.end.take() {
            return Poll::Ready(Err(failure));
        }
        if let Some(word) = calls.word.take() {
            calls.engaged = true;
            return Poll::Ready(Ok(word));
        }
        calls.remember(cx);
        Poll::Pending
    }

    /// Ready when the exchange has to end, with what to tell the client.
    pub(crate) fn poll_ended(&self, cx: &Context<'_>) -> Poll<Failure> {
        let mut calls = locked(&self.place.0);
        if let Some(failure) = calls.end.take() {
            return Poll::Ready(failure);
        }
        calls.remember(cx);
        Poll::Pending
    }

    /// Asks for another attempt after `failure`. `Err` gives the failure back when nobody is there to ask.
    pub(crate) fn attempt_failed(&self, grant: GrantId, failure: Failure) -> Result<(), Failure> {
        locked(&self.place.0).engaged = false;
        if locked(&self.desk.book).orphaned {
            return Err(failure);
        }
        let message = FromFrontend::AttemptFailed { request: self.request, grant, failure };
        if self.desk.say(&message) {
            return Ok(());
        }
        match message {
            FromFrontend::AttemptFailed { failure, .. } => Err(failure),
            _ => Ok(()),
        }
    }

    /// The answer begins now, with `status`.
    pub(crate) fn begin(&mut self, status: u16) {
        self.stage = Stage::Answering;
        self.status = status;
        self.first_byte_us = Some(clock::micros_since(self.arrived));
    }

    /// So many more bytes of body have gone to the client.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.bytes_sent = self.bytes_sent.saturating_add(bytes as u64);
    }

    /// Says the last word: the client has the whole answer. One with an error status was the backend's refusal.
    pub(crate) fn complete(&mut self) {
        let declined = self.status >= 400;
        self.close(declined.then(|| {
            let detail = format!("the backend answered {}", self.status);
            Failure::new(FailureKind::Declined, detail).with_status(self.status)
        }));
    }

    /// Says the last word: the client has been answered, not well if there is a `failure`.
    pub(crate) fn close(&mut self, failure: Option<Failure>) {
        if self.stage == Stage::Closed {
            return;
        }
        self.stage = Stage::Closed;
        let outcome = Outcome {
            status: self.status,
            failure,
            first_byte_us: self.first_byte_us,
            total_us: clock::micros_since(self.arrived),
            bytes_sent: self.bytes_sent,
        };
        let closed = FromFrontend::Closed { request: self.request, outcome };
        self.desk.mention(&closed);
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        match self.stage {
            Stage::Closed => {}
            _ if std::thread::panicking() => {
                self.status = FailureKind::Internal.status();
                self.close(Some(Failure::new(FailureKind::Internal, "the exchange panicked")));
            }
            Stage::Waiting => {
                self.desk.say(&FromFrontend::Withdraw { request: self.request });
            }
            Stage::Answering => {
                self.close(Some(Failure::new(FailureKind::ClientGone, "the client left during the answer")));
            }
        }
        self.desk.strike(self.request);
    }
}
