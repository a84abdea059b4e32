//! Length-prefixed frames and the codec. The only file that names the codec's crate.
//!
//! A frame is a `u32` length, little-endian, and that many bytes. The length is compared with the link's limit
//! before anything is allocated for it.

use bytes::{Buf, BufMut, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The largest frame on a control or operator link, in bytes.
pub const CONTROL_LIMIT: usize = 1 << 20;
/// The largest frame on a data connection, in bytes: 64 KiB of payload and its kind.
pub const DATA_LIMIT: usize = 64 * 1024 + 1;

/// Bytes of the length in front of every frame.
pub(crate) const PREFIX: usize = 4;
/// How much room a reader asks for at a time: an ordinary control message and most requests fit.
const READ_AHEAD: usize = 4 * 1024;
/// The same on a data connection, of which there is one for each open stream: small requests and answers fit.
const READ_AHEAD_OF_DATA: usize = 2 * 1024;
/// How much room a reader keeps who only waits for the end.
const FOR_SILENCE: usize = 64;

/// Room for a small frame behind a large one.
const FOLLOW_UP: usize = 512;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer announced, or we were asked for, a frame over the link's limit.
    #[error("a frame of {length} bytes is over the link's limit of {limit}")]
    TooLong {
        /// The length announced.
        length: usize,
        /// The link's limit.
        limit: usize,
    },
    /// The connection ended inside a frame.
    #[error("the connection ended inside a frame")]
    CutShort,
    /// The bytes are not the message they should be.
    #[error("cannot decode a message: {0}")]
    Decode(String),
    /// The message cannot be encoded.
    #[error("cannot encode a message: {0}")]
    Encode(String),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
}

fn codec() -> impl bincode::config::Config {
    // The bincode 1 layout: the one with most implementations, so that the codec could be replaced.
    bincode::config::legacy().with_limit::<CONTROL_LIMIT>()
}

/// Appends `message` to `buffer`, without a length.
pub fn encode<T: Serialize>(message: &T, buffer: &mut BytesMut) -> Result<(), FrameError> {
    bincode::serde::encode_into_std_write(message, &mut buffer.writer(), codec())
        .map(|_| ())
        .map_err(|error| FrameError::Encode(error.to_string()))
}

/// Reads the message that is the whole of `payload`; trailing bytes are an error.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FrameError> {
    let (message, used) = bincode::serde::decode_from_slice(payload, codec())
        .map_err(|error| FrameError::Decode(error.to_string()))?;
    if used == payload.len() {
        Ok(message)
    } else {
        Err(FrameError::Decode(format!("{} bytes too many", payload.len() - used)))
    }
}

/// Appends one frame to `buffer`, whose payload `fill` writes. Nothing is appended when it fails.
pub fn put_frame(
    buffer: &mut BytesMut,
    limit: usize,
    fill: impl FnOnce(&mut BytesMut) -> Result<(), FrameError>,
) -> Result<(), FrameError> {
    let start = buffer.len();
    buffer.put_u32_le(0);
    let written = fill(buffer).and_then(|()| {
        let length = buffer.len() - start - PREFIX;
        let prefix = u32::try_from(length).ok().filter(|_| length <= limit);
        prefix.ok_or(FrameError::TooLong { length, limit })
    });
    match written {
        Ok(prefix) => buffer[start..start + PREFIX].copy_from_slice(&prefix.to_le_bytes()),
        Err(error) => {
            buffer.truncate(start);
            return Err(error);
        }
    }
    Ok(())
}

/// Takes the payload of the first frame off `buffer`, if all of it is there.
pub fn take_frame(buffer: &mut BytesMut, limit: usize) -> Result<Option<BytesMut>, FrameError> {
    let Some(prefix) = buffer.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_le_bytes(*prefix) as usize;
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    if buffer.len() < PREFIX + length {
        // Now, and not before, the length is trusted: it is within the limit. With room for what comes right
        // behind, such as an end, so that both come in one read.
        buffer.reserve(PREFIX + length - buffer.len() + FOLLOW_UP);
        return Ok(None);
    }
    buffer.advance(PREFIX);
    Ok(Some(buffer.split_to(length)))
}

/// Reads frames off a byte stream, several at a time where they come together.
#[derive(Debug)]
pub struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
    limit: usize,
    room: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader of `source` that refuses frames over `limit` bytes.
    pub fn new(source: R, limit: usize) -> Self {
        let room = if limit == DATA_LIMIT { READ_AHEAD_OF_DATA } else { READ_AHEAD };
        Self { source, buffer: BytesMut::new(), limit, room }
    }

    /// The payload of the next frame, or `None` when the peer closed between two frames.
    ///
    /// Safe to cancel: what was read stays for the next call.
    pub async fn next(&mut self) -> Result<Option<BytesMut>, FrameError> {
        self.next_into(self.room).await
    }

    /// Like [`Self::next`], for somebody who expects the peer to say nothing, perhaps for long: keeps hardly any room
    /// ready for it.
    pub async fn next_if_ever(&mut self) -> Result<Option<BytesMut>, FrameError> {
        self.next_into(FOR_SILENCE).await
    }

    async fn next_into(&mut self, room: usize) -> Result<Option<BytesMut>, FrameError> {
        loop {
            if let Some(payload) = take_frame(&mut self.buffer, self.limit)? {
                return Ok(Some(payload));
            }
            if self.buffer.is_empty() {
                // Payloads that were handed out may still share the old buffer: start afresh.
                self.buffer.reserve(room);
            }
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::CutShort) };
            }
        }
    }

    /// The next payload if it has arrived already; never waits and never reads.
    pub fn next_buffered(&mut self) -> Result<Option<BytesMut>, FrameError> {
        take_frame(&mut self.buffer, self.limit)
    }

    /// Whether bytes of a further frame are buffered: the peer has said more than was asked of it.
    pub fn has_leftover(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Whatever reads the frames, to write to the same peer.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// Reads frames no further.
    pub fn into_inner(self) -> R {
        self.source
    }
}
