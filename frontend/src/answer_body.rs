//! The body of an answer: whole in memory, or read frame by frame off the worker's connection as the client takes
//! it.
//!
//! No task and no channel stands between the two sockets: while the client's is full nothing is polled here, so
//! nothing is read from the worker, and the worker waits. Dropping the body cancels the attempt.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dialect::heartbeat::Seam;
use http_body::{Body, Frame, SizeHint};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::stream::Answer;

use crate::awaited::{Awaited, Next};
use crate::desk::Case;
use crate::dispatch::Connection;
use crate::heartbeat::Heartbeat;
use crate::reception::Caller;
use crate::refusal::Refusal;
use crate::shared::Shared;

/// The answer broke off where that cannot be said; the client's connection is cut, so that it notices.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(crate) struct BrokeOff;

/// A response body.
pub(crate) enum AnswerBody {
    /// All there is.
    Whole(Bytes),
    /// What the worker sends.
    Relayed(Box<Relay>),
    /// What is found yet, and signs of life until then.
    Awaited(Box<Awaited>),
}

impl AnswerBody {
    /// A body of these bytes.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(bytes.into())
    }

    /// The length, where all is there.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Relayed(_) | Self::Awaited(_) => 0,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let this = self.get_mut();
        loop {
            let piece = match this {
                Self::Whole(bytes) if bytes.is_empty() => None,
                Self::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
                Self::Relayed(relay) => ready!(relay.poll_piece(cx)),
                Self::Awaited(awaited) => match ready!(awaited.poll_next(cx)) {
                    Next::Beat(bytes) => Some(Ok(bytes)),
                    Next::Body(body) => {
                        *this = body;
                        continue;
                    }
                },
            };
            return Poll::Ready(piece.map(|piece| piece.map(Frame::data)));
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Relayed(relay) => relay.over,
            Self::Awaited(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Relayed(relay) => relay.remaining.map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Awaited(_) => SizeHint::default(),
        }
    }
}

/// An answer on its way from a worker to a client.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    case: Case,
    connection: Option<Connection>,
    early: VecDeque<Answer>,
    /// `Some`: a stream of events, so that a failure can be told inside it, to this caller.
    events: Option<Caller>,
    /// Whether any of the answer has passed.
    is_begun: bool,
    remaining: Option<u64>,
    over: bool,
    heartbeat: Option<Heartbeat>,
    seam: Seam,
}

/// What the relay is to carry.
pub(crate) struct Parcel {
    /// The exchange, whose answer has begun.
    pub(crate) case: Case,
    /// Where the rest of the answer comes from.
    pub(crate) connection: Connection,
    /// What has come already.
    pub(crate) early: VecDeque<Answer>,
    /// Whether it is a stream of events.
    pub(crate) events: bool,
    /// The length of the body, where known.
    pub(crate) body_bytes: Option<u64>,
    /// When its pauses have to be bridged, if it is a stream of events.
    pub(crate) heartbeat: Option<Heartbeat>,
}

impl Relay {
    /// Relays `parcel` to `caller`.
    pub(crate) fn new(shared: &Arc<Shared>, caller: &Caller, parcel: Parcel) -> Self {
        Self {
            shared: Arc::clone(shared),
            case: parcel.case,
            connection: Some(parcel.connection),
            early: parcel.early,
            events: parcel.events.then(|| caller.clone()),
            is_begun: false,
            remaining: parcel.body_bytes,
            over: false,
            heartbeat: parcel.heartbeat.filter(|_| parcel.events),
            seam: Seam::new(caller.framing),
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokeOff>>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            if let Poll::Ready(failure) = self.case.poll_ended(cx) {
                return Poll::Ready(Some(self.fail(failure)));
            }
            let answer = match (self.early.pop_front(), &mut self.connection) {
                (Some(answer), _) => answer,
                (None, Some(connection)) => match connection.poll_answer(cx) {
                    Poll::Ready(answer) => answer,
                    Poll::Pending => return self.poll_beat(cx),
                },
                (None, None) => return Poll::Ready(None),
            };
            match answer {
                Answer::Chunk(bytes) if bytes.is_empty() => {}
                Answer::Chunk(bytes) => {
                    self.case.count(bytes.len());
                    self.is_begun = true;
                    if let Some(heartbeat) = &mut self.heartbeat {
                        heartbeat.moved();
                        self.seam.pass(&bytes);
                    }
                    if let Some(remaining) = &mut self.remaining {
                        *remaining = remaining.saturating_sub(bytes.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Answer::End(_) => {
                    self.give_back();
                    self.case.complete();
                    self.over = true;
                }
                Answer::Fail(failure) => {
                    self.give_back();
                    return Poll::Ready(Some(self.fail(*failure)));
                }
                Answer::Head(_) => {
                    let failure = Failure::new(FailureKind::WorkerLost, "the worker began its answer twice");
                    return Poll::Ready(Some(self.fail(failure)));
                }
            }
        }
    }

    /// A sign of life in a pause between two events; inside a long one there is no place for it.
    fn poll_beat(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokeOff>>> {
        let Some(heartbeat) = &mut self.heartbeat else { return Poll::Pending };
        loop {
            let beat = ready!(heartbeat.poll_due(cx));
            if self.seam.is_open() {
                return Poll::Ready(Some(Ok(beat)));
            }
        }
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.shared.pool.put(connection);
        }
    }

    /// Ends the answer with `failure`: inside the stream where that can be said, else by cutting it off.
    fn fail(&mut self, failure: Failure) -> Result<Bytes, BrokeOff> {
        self.connection = None;
        self.over = true;
        let last = match &self.events {
            Some(caller) => Ok(Bytes::from(Refusal::of(&failure, None).event(caller, !self.is_begun))),
            None => Err(BrokeOff),
        };
        self.case.count(last.as_ref().map_or(0, Bytes::len));
        self.case.close(Some(failure));
        last
    }
}
