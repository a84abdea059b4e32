//! One data connection with a frontend: the frames that come, the frames that go, and noticing that it is gone.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ipc_proto::Role;
use ipc_proto::frame::{DATA_LIMIT, FrameError, FrameReader};
use ipc_proto::link::{self, LinkError};
use ipc_proto::secret::Secret;
use ipc_proto::stream::{Answer, Ask, Open};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::roster::Stop;
use crate::source::Source;

/// How long a peer may take to say who it is.
const GREETING: Duration = Duration::from_secs(10);
/// Buffers over this size are given back when the connection has nothing to do.
const KEPT: usize = 16 * 1024;
/// How long the end of an upstream body is awaited after its last event, so that its connection can be used again.
const SETTLING: Duration = Duration::from_millis(250);

/// How long a connection that nobody uses is kept. A frontend takes the one that it used last, so those that only a
/// burst needed end here.
const UNUSED: Duration = Duration::from_secs(90);

/// Why a data connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The frontend closed it, or died.
    #[error("the frontend left")]
    PeerLeft,
    /// The frontend said what nobody says there.
    #[error("the frontend broke the rules: {0}")]
    Protocol(String),
    /// The attempt had to stop while its body was still on the way.
    #[error("stopped in the middle of a request's body")]
    Stopped,
}

impl From<FrameError> for Broken {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::CutShort | FrameError::Io(_) => Self::PeerLeft,
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// A connection with a frontend.
pub(crate) struct Connection<S> {
    frames: FrameReader<S>,
    /// Frames that have not been written yet.
    pub(crate) out: BytesMut,
    /// Where an answer's bytes are gathered.
    pub(crate) gathered: Vec<u8>,
    /// An answer that is complete, but whose body has not ended yet.
    pub(crate) settling: Option<Source>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Lets a frontend in that knows `secret`.
    pub(crate) async fn accept(mut stream: S, secret: &Secret) -> Result<Self, Broken> {
        let greeting = async {
            match link::welcome(&mut stream).await {
                Ok(Role::Data) => {}
                Ok(other) => return Err(Broken::Protocol(format!("a {other:?} at the data socket"))),
                Err(LinkError::Io(_)) => return Err(Broken::PeerLeft),
                Err(error) => return Err(Broken::Protocol(error.to_string())),
            }
            let mut frames = FrameReader::new(stream, DATA_LIMIT);
            let first = frames.next().await?.ok_or(Broken::PeerLeft)?;
            match Ask::take(first)? {
                Ask::Hello(theirs) if theirs == *secret => Ok(frames),
                Ask::Hello(_) => Err(Broken::Protocol("a wrong boot secret".to_owned())),
                _ => Err(Broken::Protocol("an attempt before the greeting".to_owned())),
            }
        };
        let greeted = tokio::time::timeout(GREETING, greeting).await;
        let frames = greeted.map_err(|_| Broken::Protocol("no greeting".to_owned()))??;
        Ok(Self { frames, out: BytesMut::new(), gathered: Vec::new(), settling: None })
    }

    /// The beginning of the next attempt; `None` when the frontend has no more, or none for long.
    pub(crate) async fn next_attempt(&mut self) -> Result<Option<Box<Open>>, Broken> {
        let settling = self.settling.take();
        let next = async {
            match settling {
                None => self.frames.next().await,
                Some(source) => {
                    tokio::select! {
                        biased;
                        frame = self.frames.next() => frame,
                        () = settle(source) => self.frames.next().await,
                    }
                }
            }
        };
        let Ok(frame) = tokio::time::timeout(UNUSED, next).await else { return Ok(None) };
        match frame?.map(Ask::take).transpose()? {
            None => Ok(None),
            Some(Ask::Open(open)) => Ok(Some(open)),
            Some(_) => Err(Broken::Protocol("something else than the beginning of an attempt".to_owned())),
        }
    }

    /// The body of the attempt that begins with `open`.
    pub(crate) async fn body(&mut self, open: &Open, stop: &Stop) -> Result<Bytes, Broken> {
        let mut only = Bytes::new();
        let mut several = BytesMut::new();
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.frames.next() => frame?.ok_or(Broken::PeerLeft)?,
                _ = stop.ordered() => return Err(Broken::Stopped),
            };
            match Ask::take(frame)? {
                Ask::Body(piece) if only.is_empty() && several.is_empty() => only = piece,
                Ask::Body(piece) => {
                    several.extend_from_slice(&std::mem::take(&mut only));
                    several.extend_from_slice(&piece);
                }
                Ask::BodyEnd => break,
                _ => return Err(Broken::Protocol("another attempt inside an attempt".to_owned())),
            }
            if (only.len() + several.len()) as u64 > open.body_bytes {
                return Err(Broken::Protocol("a longer body than announced".to_owned()));
            }
        }
        let body = if several.is_empty() { only } else { several.freeze() };
        if body.len() as u64 == open.body_bytes {
            Ok(body)
        } else {
            Err(Broken::Protocol("a shorter body than announced".to_owned()))
        }
    }

    /// Returns when the frontend leaves, or breaks the rule that it says nothing during an attempt. Safe to cancel.
    pub(crate) async fn disturbed(&mut self) -> Broken {
        match self.frames.next_if_ever().await {
            Ok(None) => Broken::PeerLeft,
            Ok(Some(_)) => Broken::Protocol("a frame in the middle of an attempt".to_owned()),
            Err(error) => error.into(),
        }
    }

    /// Puts `answer` behind what waits to be written.
    pub(crate) fn put(&mut self, answer: &Answer) {
        if let Err(error) = answer.put(&mut self.out) {
            // Only a head beyond every limit; the frontend sees an answer without it and gives up on us.
            tracing::error!(%error, "an answer's frame cannot be written");
        }
    }

    /// Writes what waits. Safe to cancel: the rest is written by the next call.
    pub(crate) async fn flush(&mut self) -> Result<(), Broken> {
        let written = self.frames.get_mut().write_all_buf(&mut self.out).await;
        written.map_err(|_| Broken::PeerLeft)
    }

    /// Gives back what only a large answer needed.
    pub(crate) fn rest(&mut self) {
        if self.out.is_empty() && self.out.capacity() > KEPT {
            self.out = BytesMut::new();
        }
        self.gathered.clear();
        self.gathered.shrink_to(KEPT);
    }

    /// Gives back what only a large request needed.
    pub(crate) fn with_fresh_reader(mut self) -> Self {
        if !self.frames.has_leftover() {
            self.frames = FrameReader::new(self.frames.into_inner(), DATA_LIMIT);
        }
        self
    }
}

/// Reads `source` to its end, if that comes soon. Else dropping it closes its connection, which is right, too.
async fn settle(mut source: Source) {
    let ended = async { while let Some(Ok(_)) = source.piece().await {} };
    let _ = tokio::time::timeout(SETTLING, ended).await;
}
