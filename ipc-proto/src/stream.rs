//! The frames of one attempt, on a pooled connection between a frontend and a worker.
//!
//! A frontend says [`Ask::Hello`] once per connection; then, per attempt, `Open`, `Body`…, `BodyEnd`, and
//! nothing more: closing the connection cancels the attempt. The worker answers `Head`, `Chunk`…, then exactly one
//! of `End` and `Fail`; after either, both may use the connection for the next attempt. Ends are said, never
//! inferred: a connection that closes without one is a lost worker.
//!
//! `Body` and `Chunk` are raw bytes behind the length and the kind; only the others are encoded.

use bytes::{BufMut, Bytes, BytesMut};
use dialect::load::LoadEdit;
use dialect::{Endpoint, Framing, Usage};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::frame::{DATA_LIMIT, FrameError, decode, encode, put_frame};
use crate::ids::{GrantId, Label, ModelName, RequestId};
use crate::secret::Secret;

/// The most payload bytes of one `Body` or `Chunk` frame.
pub const MAX_PIECE: usize = DATA_LIMIT - 1;

/// One HTTP header, its name in lower case.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The name.
    pub name: Box<str>,
    /// The value, as it is on the wire.
    pub value: Bytes,
}

/// The beginning of an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Open {
    /// The grant this attempt uses.
    pub grant: GrantId,
    /// The request it is for.
    pub request: RequestId,
    /// What the client calls the request; sent to the backend as `X-Request-Id`.
    pub label: Label,
    /// Which operation.
    pub endpoint: Endpoint,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// Whether it comes with a slot lent ahead: nobody waits for that slot, so that its end may be reported after
    /// the answer.
    pub lent: bool,
    /// The backend's name for the model; empty if the request names none.
    pub model: ModelName,
    /// Whether the client called it by another name: then the body has to be changed.
    pub renamed: bool,
    /// How the client wants a stream to be framed.
    pub framing: Framing,
    /// The call itself, where it is none of the endpoints we know.
    pub native: Option<Box<NativeCall>>,
    /// What to do with the options that the engine applies when it loads the model.
    pub load: LoadEdit,
    /// The request's query string, if any.
    pub query: Option<String>,
    /// The client's headers, without hop-by-hop ones and credentials.
    pub headers: Vec<Header>,
    /// How many bytes of body follow.
    pub body_bytes: u64,
}

/// A call of a backend's own API.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NativeCall {
    /// The method.
    pub method: String,
    /// The path below the backend's address, beginning with a slash.
    pub path: String,
}

/// The beginning of the answer: it has gone well so far, and may now be shown to the client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The backend's status.
    pub status: u16,
    /// The backend's headers, without hop-by-hop ones and cookies.
    pub headers: Vec<Header>,
    /// The whole length of the body where it is known already.
    pub body_bytes: Option<u64>,
    /// Whether the body is a stream of server-sent events: then every `Chunk` ends between two events, as far
    /// as events are of a bearable size, and a failure can be told inside the stream.
    pub events: bool,
}

/// The good end of an answer.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct End {
    /// The tokens used, as far as the backend said.
    pub usage: Usage,
}

/// What a frontend says to a worker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Once per connection: we belong to the same instance.
    Hello(Secret),
    /// An attempt begins.
    Open(Box<Open>),
    /// A piece of the request's body.
    Body(Bytes),
    /// The body is complete.
    BodyEnd,
}

/// What a worker says to a frontend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The answer begins.
    Head(Box<Head>),
    /// A piece of the answer's body.
    Chunk(Bytes),
    /// The answer is complete.
    End(End),
    /// The attempt failed: before `Head` it may be tried elsewhere, after it the client is told in-stream.
    Fail(Box<Failure>),
}

const HELLO: u8 = 1;
const OPEN: u8 = 2;
const BODY: u8 = 3;
const BODY_END: u8 = 4;
const HEAD: u8 = 5;
const CHUNK: u8 = 6;
const END: u8 = 7;
const FAIL: u8 = 8;

fn put_message<T: Serialize>(buffer: &mut BytesMut, kind: u8, message: &T) -> Result<(), FrameError> {
    put_frame(buffer, DATA_LIMIT, |buffer| {
        buffer.put_u8(kind);
        encode(message, buffer)
    })
}

fn put_pieces(buffer: &mut BytesMut, kind: u8, bytes: &[u8]) -> Result<(), FrameError> {
    bytes.chunks(MAX_PIECE).try_for_each(|piece| {
        put_frame(buffer, DATA_LIMIT, |buffer| {
            buffer.put_u8(kind);
            buffer.put_slice(piece);
            Ok(())
        })
    })
}

impl Ask {
    /// Appends the frame to `buffer`; a body longer than one frame becomes several.
    pub fn put(&self, buffer: &mut BytesMut) -> Result<(), FrameError> {
        match self {
            Self::Hello(secret) => put_message(buffer, HELLO, secret),
            Self::Open(open) => put_message(buffer, OPEN, open),
            Self::Body(bytes) => put_pieces(buffer, BODY, bytes),
            Self::BodyEnd => put_message(buffer, BODY_END, &()),
        }
    }

    /// Reads the payload of one frame.
    pub fn take(payload: BytesMut) -> Result<Self, FrameError> {
        let (kind, rest) = split_kind(payload)?;
        match kind {
            HELLO => Ok(Self::Hello(decode(&rest)?)),
            OPEN => Ok(Self::Open(decode(&rest)?)),
            BODY => Ok(Self::Body(rest)),
            BODY_END => decode::<()>(&rest).map(|()| Self::BodyEnd),
            other => Err(unknown(other)),
        }
    }
}

impl Answer {
    /// Appends the frame to `buffer`; a chunk longer than one frame becomes several.
    pub fn put(&self, buffer: &mut BytesMut) -> Result<(), FrameError> {
        match self {
            Self::Head(head) => put_message(buffer, HEAD, head),
            Self::Chunk(bytes) => put_pieces(buffer, CHUNK, bytes),
            Self::End(end) => put_message(buffer, END, end),
            Self::Fail(failure) => put_message(buffer, FAIL, failure),
        }
    }

    /// Appends `bytes` as chunks, without taking them over.
    pub fn put_chunk(buffer: &mut BytesMut, bytes: &[u8]) -> Result<(), FrameError> {
        put_pieces(buffer, CHUNK, bytes)
    }

    /// Reads the payload of one frame.
    pub fn take(payload: BytesMut) -> Result<Self, FrameError> {
        let (kind, rest) = split_kind(payload)?;
        match kind {
            HEAD => Ok(Self::Head(decode(&rest)?)),
            CHUNK => Ok(Self::Chunk(rest)),
            END => Ok(Self::End(decode(&rest)?)),
            FAIL => Ok(Self::Fail(decode(&rest)?)),
            other => Err(unknown(other)),
        }
    }
}

fn split_kind(payload: BytesMut) -> Result<(u8, Bytes), FrameError> {
    let mut payload = payload.freeze();
    if payload.is_empty() {
        return Err(FrameError::Decode("an empty frame".to_owned()));
    }
    let kind = payload.split_to(1)[0];
    Ok((kind, payload))
}

fn unknown(kind: u8) -> FrameError {
    FrameError::Decode(format!("no frame is of kind {kind}"))
}
