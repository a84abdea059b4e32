//! A control or operator link: the greeting, then typed messages both ways over any byte stream.
//!
//! Sending never waits: messages are encoded into the link's outbox, which has a bound, and one writer per link
//! carries it to the peer, many messages in one write where they come together. A full outbox means that the
//! peer is stuck; what to do about it is the sender's to decide.

use std::marker::PhantomData;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Notify;

use crate::frame::{CONTROL_LIMIT, FrameError, FrameReader, encode, put_frame};
use crate::{PROTOCOL_VERSION, Role, frame};

const MAGIC: [u8; 4] = *b"plm\n";

/// How much may wait for a peer that does not read, in bytes. A frontend with ten thousand waiting clients says
/// less than this in one breath; a peer that lets it fill does not read at all.
pub const OUTBOX_LIMIT: usize = 8 << 20;

/// How long [`Outbox::send_soon`] waits for company, so that small news share a write.
const SOON: Duration = Duration::from_millis(2);

/// Why a link could not be opened, or ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Something else than proxylm is at the other end.
    #[error("the process at the other end of the socket is not proxylm")]
    NotProxylm,
    /// The other end is another build of proxylm.
    #[error("the running proxylm speaks protocol {theirs}, this one speaks {ours}; update one of them")]
    Version {
        /// What the peer speaks.
        theirs: u16,
        /// What we speak.
        ours: u16,
    },
    /// A frame could not be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
}

/// Opens a connection as `role`: says who we are and checks that the peer is the same proxylm.
pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, role: Role) -> Result<(), LinkError> {
    stream.write_all(&preamble(role as u8)).await?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await?;
    check(answer).map(|_| ())
}

/// Accepts a connection: learns what the peer is, and tells it who we are even when it does not fit.
pub async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<Role, LinkError> {
    let mut opening = [0; 8];
    stream.read_exact(&mut opening).await?;
    stream.write_all(&preamble(0)).await?;
    let role = check(opening)?;
    Role::from_byte(role).ok_or(LinkError::NotProxylm)
}

fn preamble(role: u8) -> [u8; 8] {
    let [low, high] = PROTOCOL_VERSION.to_le_bytes();
    [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], low, high, role, 0]
}

fn check([m0, m1, m2, m3, low, high, role, _]: [u8; 8]) -> Result<u8, LinkError> {
    let theirs = u16::from_le_bytes([low, high]);
    if [m0, m1, m2, m3] != MAGIC {
        Err(LinkError::NotProxylm)
    } else if theirs != PROTOCOL_VERSION {
        Err(LinkError::Version { theirs, ours: PROTOCOL_VERSION })
    } else {
        Ok(role)
    }
}

/// Turns a greeted connection into its three parts: where messages are put, where they come from, and the
/// writer, which somebody must run.
pub fn open<Tx, Rx, S>(stream: S) -> (Outbox<Tx>, Inbox<Rx, S>, Writer<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (read, write) = tokio::io::split(stream);
    let shared = Arc::new(Shared::default());
    let outbox = Outbox { shared: Arc::clone(&shared), message: PhantomData };
    let inbox = Inbox { frames: FrameReader::new(read, CONTROL_LIMIT), message: PhantomData };
    (outbox, inbox, Writer { shared, sink: write })
}

/// What waits to be written. A lock, because senders and the writer may be different tasks; it is held only to
/// append or to take the bytes, never across an await.
#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    /// Wakes the writer.
    something: Notify,
    /// Wakes those who wait for the writer.
    all_written: Notify,
}

#[derive(Default)]
struct Pending {
    bytes: BytesMut,
    /// The bytes must go now.
    urgent: bool,
    /// How many bytes the writer has taken that the socket has not.
    in_flight: usize,
    closed: bool,
}

impl Shared {
    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        // Nothing that can panic half-way runs under this lock.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) {
        self.pending().in_flight = 0;
        self.all_written.notify_waiters();
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The peer has not read for so long that the outbox is full.
    #[error("the peer does not read: {OUTBOX_LIMIT} bytes wait for it")]
    Full,
    /// The link has ended.
    #[error("the link has ended")]
    Closed,
    /// The message cannot be framed.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Where messages for the peer are put. Clones share one outbox.
pub struct Outbox<Tx> {
    shared: Arc<Shared>,
    message: PhantomData<fn(Tx)>,
}

impl<Tx> Clone for Outbox<Tx> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), message: PhantomData }
    }
}

impl<Tx> std::fmt::Debug for Outbox<Tx> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl<Tx: Serialize> Outbox<Tx> {
    /// Puts `message` on its way at once. Never waits.
    pub fn send(&self, message: &Tx) -> Result<(), SendError> {
        self.put(message)?.urgent = true;
        self.shared.something.notify_one();
        Ok(())
    }

    /// Puts `message` on its way with the next urgent one, or within two milliseconds. Never waits.
    pub fn send_soon(&self, message: &Tx) -> Result<(), SendError> {
        drop(self.put(message)?);
        self.shared.something.notify_one();
        Ok(())
    }

    /// Returns when the peer's socket has everything that was put so far, or the link has ended.
    pub async fn written(&self) {
        let mut written = pin!(self.shared.all_written.notified());
        loop {
            // Listening before looking, so that no news falls between the two.
            written.as_mut().enable();
            {
                let pending = self.shared.pending();
                if pending.closed || !(pending.urgent || pending.in_flight > 0) {
                    return;
                }
            }
            written.as_mut().await;
            written.set(self.shared.all_written.notified());
        }
    }

    fn put(&self, message: &Tx) -> Result<std::sync::MutexGuard<'_, Pending>, SendError> {
        let mut pending = self.room()?;
        put_frame(&mut pending.bytes, CONTROL_LIMIT, |buffer| encode(message, buffer))?;
        Ok(pending)
    }
}

impl<Tx> Outbox<Tx> {
    fn room(&self) -> Result<std::sync::MutexGuard<'_, Pending>, SendError> {
        let pending = self.shared.pending();
        if pending.closed {
            return Err(SendError::Closed);
        }
        if pending.bytes.len() >= OUTBOX_LIMIT {
            return Err(SendError::Full);
        }
        Ok(pending)
    }

    /// Puts a message on its way that was encoded before, at once. Never waits.
    pub fn send_encoded(&self, message: &Encoded<Tx>) -> Result<(), SendError> {
        let mut pending = self.room()?;
        pending.bytes.extend_from_slice(&message.frame);
        pending.urgent = true;
        drop(pending);
        self.shared.something.notify_one();
        Ok(())
    }

    /// How many bytes the peer's socket has not taken yet.
    pub fn backlog(&self) -> usize {
        let pending = self.shared.pending();
        pending.bytes.len() + pending.in_flight
    }

    /// Whether the link has ended.
    pub fn is_closed(&self) -> bool {
        self.shared.pending().closed
    }

    /// Takes no more messages; the writer ends once the peer has what was put before.
    pub fn close(&self) {
        let mut pending = self.shared.pending();
        pending.closed = true;
        pending.urgent = true;
        drop(pending);
        self.shared.something.notify_one();
    }
}

/// A message as it goes over a link: encoded once, for several peers.
pub struct Encoded<Tx> {
    frame: BytesMut,
    message: PhantomData<fn(Tx)>,
}

impl<Tx: Serialize> Encoded<Tx> {
    /// Encodes `message`. Fails when it is too long for a frame.
    pub fn new(message: &Tx) -> Result<Self, FrameError> {
        let mut frame = BytesMut::new();
        put_frame(&mut frame, CONTROL_LIMIT, |buffer| encode(message, buffer))?;
        Ok(Self { frame, message: PhantomData })
    }
}

/// Carries an outbox to the peer.
pub struct Writer<S> {
    shared: Arc<Shared>,
    sink: WriteHalf<S>,
}

impl<S: AsyncWrite + Unpin> Writer<S> {
    /// Writes until the outbox is closed and empty, or the connection fails. Ends with the outbox closed.
    pub async fn run(mut self) -> std::io::Result<()> {
        let ended = self.write_all().await;
        self.shared.pending().closed = true;
        self.shared.all_written.notify_waiters();
        ended
    }

    async fn write_all(&mut self) -> std::io::Result<()> {
        let mut writing = BytesMut::new();
        // Set once for all news that come within its time, and never taken back: setting it costs more than
        // looking, when it rings, whether anything is left to do.
        let mut soon = pin!(tokio::time::sleep(SOON));
        let mut is_soon_set = false;
        loop {
            let (due, closed) = {
                let mut pending = self.shared.pending();
                let due = std::mem::take(&mut pending.urgent);
                if due {
                    std::mem::swap(&mut writing, &mut pending.bytes);
                    pending.in_flight = writing.len();
                } else if !pending.bytes.is_empty() && !is_soon_set {
                    soon.as_mut().reset(tokio::time::Instant::now() + SOON);
                    is_soon_set = true;
                }
                (due, pending.closed)
            };
            if !writing.is_empty() {
                self.sink.write_all(&writing).await?;
                self.sink.flush().await?;
                writing.clear();
                self.shared.written();
            } else if closed {
                return Ok(());
            } else if !due {
                tokio::select! {
                    biased;
                    () = self.shared.something.notified() => {}
                    () = soon.as_mut(), if is_soon_set => {
                        is_soon_set = false;
                        self.shared.pending().urgent = true;
                    }
                }
            }
        }
    }
}

/// Where messages from the peer come from.
pub struct Inbox<Rx, S> {
    frames: FrameReader<ReadHalf<S>>,
    message: PhantomData<fn() -> Rx>,
}

impl<Rx: DeserializeOwned, S: AsyncRead + AsyncWrite + Unpin> Inbox<Rx, S> {
    /// The next message, or `None` when the peer has closed the link. Safe to cancel.
    pub async fn recv(&mut self) -> Result<Option<Rx>, LinkError> {
        match self.frames.next().await? {
            Some(payload) => Ok(Some(frame::decode(&payload)?)),
            None => Ok(None),
        }
    }

    /// The next message if it has arrived already; never waits.
    pub fn recv_buffered(&mut self) -> Result<Option<Rx>, LinkError> {
        match self.frames.next_buffered()? {
            Some(payload) => Ok(Some(frame::decode(&payload)?)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_ends_greet_each_other_and_exchange_messages() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let (dialled, role) = tokio::join!(greet(&mut near, Role::Worker), welcome(&mut far));
        dialled.unwrap();
        assert_eq!(role.unwrap(), Role::Worker);

        let (near_out, _near_in, near_writer) = open::<String, String, _>(near);
        let (_far_out, mut far_in, _far_writer) = open::<String, String, _>(far);
        near_out.send_soon(&"soon".to_owned()).unwrap();
        near_out.send(&"now".to_owned()).unwrap();
        near_out.send_encoded(&Encoded::new(&"then".to_owned()).unwrap()).unwrap();
        near_out.close();
        let received = async {
            let mut received = Vec::new();
            for _ in 0..3 {
                received.extend(far_in.recv().await.unwrap());
            }
            received
        };
        let (written, received) = tokio::join!(near_writer.run(), received);
        written.unwrap();
        assert_eq!(received, ["soon", "now", "then"]);
        assert_eq!(near_out.backlog(), 0);
        assert!(matches!(near_out.send(&String::new()), Err(SendError::Closed)));
    }

    #[tokio::test]
    async fn a_stranger_and_another_version_are_told_apart() {
        let (mut near, mut far) = tokio::io::duplex(64);
        near.write_all(b"GET / HT").await.unwrap();
        assert!(matches!(welcome(&mut far).await, Err(LinkError::NotProxylm)));

        let (mut near, mut far) = tokio::io::duplex(64);
        let mut other = preamble(Role::Operator as u8);
        other[4] = other[4].wrapping_add(1);
        near.write_all(&other).await.unwrap();
        assert!(matches!(welcome(&mut far).await, Err(LinkError::Version { .. })));
    }

    #[tokio::test]
    async fn news_that_can_wait_goes_out_by_itself() {
        let (near, far) = tokio::io::duplex(64);
        let (near_out, _near_in, near_writer) = open::<u8, u8, _>(near);
        let (_far_out, mut far_in, _far_writer) = open::<u8, u8, _>(far);
        near_out.send_soon(&7).unwrap();
        tokio::select! {
            ended = near_writer.run() => panic!("the writer ended: {ended:?}"),
            received = far_in.recv() => assert_eq!(received.unwrap(), Some(7)),
        }
    }

    #[test]
    fn a_peer_that_does_not_read_fills_the_outbox_and_is_reported() {
        let (near, _far) = tokio::io::duplex(64);
        let (near_out, _near_in, _near_writer) = open::<Vec<u64>, (), _>(near);
        let message = vec![0; 100_000];
        let full = (0..100).find_map(|_| near_out.send(&message).err());
        assert!(matches!(full, Some(SendError::Full)));
        assert!(near_out.backlog() >= OUTBOX_LIMIT && !near_out.is_closed());
    }
}
