//! One attempt: a request goes to the worker it was granted, and the beginning of the answer comes back.
//!
//! Connections are pooled per worker and serve one attempt at a time. One goes back into the pool only after an end
//! that was said and with nothing left over on either side; dropping it any earlier cancels the attempt. Nothing
//! here retries: whether another attempt may be made is the supervisor's to decide.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use ipc_proto::Role;
use ipc_proto::control::Grant;
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::frame::{DATA_LIMIT, FrameError, FrameReader};
use ipc_proto::ids::{BackendId, WorkerId};
use ipc_proto::link;
use ipc_proto::local::{self, RunDir};
use ipc_proto::secret::Secret;
use ipc_proto::stream::{Answer, Ask, Head, MAX_PIECE, Open};
use tokio::io::AsyncWrite;
use tokio::sync::Semaphore;

use crate::desk::Case;

/// The most idle connections kept to one worker: more than come back at once only after a burst.
const MOST_IDLE: usize = 64;
/// Up to this length a body goes out in one write with what surrounds it.
const ONE_WRITE: usize = 256 * 1024;
/// So many connections to one worker are being made at a time: a crowd would only fill its queue and be turned away.
const CONNECTING: usize = 32;
/// Between two tries to connect to a worker whose queue of connections is full all the same.
const CROWDED_PAUSE: Duration = Duration::from_millis(5);

/// Connections to workers that serve no attempt at the moment.
pub(crate) struct Pool {
    run_dir: RunDir,
    secret: Secret,
    // A lock, because every client's connection is a task of its own; never held across an await.
    shelves: Mutex<BTreeMap<BackendId, Shelf>>,
}

/// The idle connections to the newest worker of a backend that we know.
struct Shelf {
    generation: u32,
    idle: Vec<Connection>,
    connecting: Arc<Semaphore>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self { generation: 0, idle: Vec::new(), connecting: Arc::new(Semaphore::new(CONNECTING)) }
    }
}

impl Shelf {
    /// Whether the shelf is for `generation`; one for an older generation is cleared and becomes one.
    fn is_for(&mut self, generation: u32) -> bool {
        if self.generation < generation {
            *self = Self { generation, ..Self::default() };
        }
        self.generation == generation
    }
}

impl Pool {
    /// A pool of connections to the workers whose sockets are in `run_dir`.
    pub(crate) fn new(run_dir: RunDir, secret: Secret) -> Self {
        Self { run_dir, secret, shelves: Mutex::default() }
    }

    /// Takes a connection back for the next attempt. It is closed instead if anything is unfinished on it, if its
    /// worker has been replaced, or if there are enough.
    pub(crate) fn put(&self, connection: Connection) {
        if !connection.is_clean() {
            return;
        }
        let mut shelves = self.shelves();
        let newest = shelves.entry(connection.worker.backend).or_default();
        if newest.is_for(connection.worker.generation) && newest.idle.len() < MOST_IDLE {
            newest.idle.push(connection);
        }
    }

    async fn get(&self, worker: WorkerId, within: Duration) -> Result<Connection, Failure> {
        while let Some(mut connection) = self.pick(worker) {
            if connection.is_alive() {
                return Ok(connection);
            }
        }
        let connected = tokio::time::timeout(within, self.connect(worker)).await;
        let lost =
            |problem: String| Failure::new(FailureKind::WorkerLost, format!("worker {worker}: {problem}"));
        match connected {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(problem)) => Err(lost(problem)),
            Err(_) => Err(lost("no connection within the grant's time".to_owned())),
        }
    }

    fn pick(&self, worker: WorkerId) -> Option<Connection> {
        let mut shelves = self.shelves();
        let newest = shelves.entry(worker.backend).or_default();
        if newest.is_for(worker.generation) { newest.idle.pop() } else { None }
    }

    async fn connect(&self, worker: WorkerId) -> Result<Connection, String> {
        let path = self.run_dir.worker_socket(worker);
        let turn = Arc::clone(&self.shelves().entry(worker.backend).or_default().connecting);
        let _turn = turn.acquire().await.map_err(|error| error.to_string())?;
        let mut stream = loop {
            match local::connect(&path).await {
                // Its queue of connections is full: it lives, and will get to us.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(CROWDED_PAUSE).await;
                }
                connected => break connected.map_err(|error| error.to_string())?,
            }
        };
        link::greet(&mut stream, Role::Data).await.map_err(|error| error.to_string())?;
        let mut outgoing = Outgoing::default();
        let hello = Ask::Hello(self.secret.clone()).put(&mut outgoing.buffer);
        hello.map_err(|error| error.to_string())?;
        Ok(Connection { worker, frames: FrameReader::new(stream, DATA_LIMIT), outgoing, broken: false })
    }

    fn shelves(&self) -> MutexGuard<'_, BTreeMap<BackendId, Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of an attempt.
pub(crate) enum Attempt {
    /// The answer begins; the rest comes over the connection.
    Begun(Box<Head>, Connection),
    /// It failed with nothing said to the client.
    Failed(Failure),
    /// The exchange has to end.
    Ended(Failure),
}

/// Makes the attempt that `grant` allows, until the answer begins or will not. Dropping this cancels it.
pub(crate) async fn attempt(pool: &Pool, grant: &Grant, open: Open, body: Bytes, case: &Case) -> Attempt {
    let mut connection = match pool.get(grant.worker, Duration::from_millis(grant.ttl_ms)).await {
        Ok(connection) => connection,
        Err(failure) => return Attempt::Failed(failure),
    };
    if let Err(error) = connection.outgoing.load(open, body) {
        return Attempt::Failed(Failure::new(FailureKind::BadRequest, error.to_string()));
    }
    let answer = poll_fn(|cx| {
        if let Poll::Ready(failure) = case.poll_ended(cx) {
            return Poll::Ready(Err(failure));
        }
        connection.poll_answer(cx).map(Ok)
    });
    match answer.await {
        Err(failure) => Attempt::Ended(failure),
        Ok(Answer::Head(head)) => Attempt::Begun(head, connection),
        Ok(Answer::Fail(failure)) => {
            pool.put(connection);
            Attempt::Failed(*failure)
        }
        Ok(Answer::Chunk(_) | Answer::End(_)) => {
            Attempt::Failed(lost(grant.worker, "it answered without a beginning"))
        }
    }
}

fn lost(worker: WorkerId, problem: &str) -> Failure {
    Failure::new(FailureKind::WorkerLost, format!("worker {worker}: {problem}"))
}

/// A connection to a worker.
pub(crate) struct Connection {
    worker: WorkerId,
    frames: FrameReader<local::Stream>,
    outgoing: Outgoing,
    broken: bool,
}

impl Connection {
    /// The next part of the answer, while the rest of the request goes out. A connection that fails or closes is
    /// a worker that was lost.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        self.push(cx);
        // What was read so far stays with the reader, so a new future each time loses nothing.
        let next = pin!(self.frames.next()).poll(cx);
        next.map(|frame| self.understood(frame))
    }

    /// The next part of the answer, if it has come already; never reads.
    pub(crate) fn buffered_answer(&mut self) -> Option<Answer> {
        match self.frames.next_buffered() {
            Ok(None) => None,
            frame => Some(self.understood(frame)),
        }
    }

    fn understood(&mut self, frame: Result<Option<BytesMut>, FrameError>) -> Answer {
        let answer = match frame {
            Ok(Some(payload)) => Answer::take(payload).map_err(|error| error.to_string()),
            Ok(None) => Err("it closed the connection".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        answer.unwrap_or_else(|problem| {
            self.broken = true;
            Answer::Fail(Box::new(lost(self.worker, &problem)))
        })
    }

    /// Writes as much of the request as the worker takes. A failure to write is left for reading to explain: the
    /// worker may have said why before it closed.
    fn push(&mut self, cx: &mut Context<'_>) {
        while !self.broken && self.outgoing.fill() {
            match Pin::new(self.frames.get_mut()).poll_write(cx, &self.outgoing.buffer) {
                Poll::Ready(Ok(written @ 1..)) => self.outgoing.advance(written),
                Poll::Ready(_) => self.broken = true,
                Poll::Pending => return,
            }
        }
    }

    /// Whether an idle connection is still good: the worker has neither closed it nor said anything.
    fn is_alive(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        pin!(self.frames.next()).poll(&mut cx).is_pending()
    }

    fn is_clean(&self) -> bool {
        !self.broken && self.outgoing.is_empty() && !self.frames.has_leftover()
    }
}

/// What is still to be written of a request.
#[derive(Default)]
struct Outgoing {
    buffer: BytesMut,
    rest: Option<Bytes>,
}

impl Outgoing {
    fn load(&mut self, open: Open, body: Bytes) -> Result<(), FrameError> {
        let whole = body.len() <= ONE_WRITE;
        self.buffer.reserve(1024 + if whole { body.len() } else { 0 });
        Ask::Open(Box::new(open)).put(&mut self.buffer)?;
        if whole {
            Ask::Body(body).put(&mut self.buffer)?;
            Ask::BodyEnd.put(&mut self.buffer)?;
        } else {
            self.rest = Some(body);
        }
        Ok(())
    }

    /// Whether there is something in the buffer to write, after the next piece has been put there if it was empty.
    fn fill(&mut self) -> bool {
        if !self.buffer.is_empty() {
            return true;
        }
        let Some(mut rest) = self.rest.take() else { return false };
        let piece = rest.split_to(rest.len().min(MAX_PIECE));
        let mut framed = Ask::Body(piece).put(&mut self.buffer);
        if rest.is_empty() {
            framed = framed.and_then(|()| Ask::BodyEnd.put(&mut self.buffer));
        } else {
            self.rest = Some(rest);
        }
        framed.expect("a piece fits a frame");
        true
    }

    /// Takes what was written out of the buffer, and gives an empty one up: for the length of a stream the
    /// connection is only read from.
    fn advance(&mut self, written: usize) {
        self.buffer.advance(written);
        if self.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.rest.is_none()
    }
}
