//! One client connection, and one request on it: sent, read to its end and checked.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::clock::now_ns;
use crate::order::{Address, Answer, Order, STAMP};
use crate::trouble::{Trouble, within};

/// The longest a single exchange may take, in seconds: far beyond anything that is measured.
const EXCHANGE_SECONDS: u64 = 60;

/// A keep-alive connection of a client.
pub(crate) struct Line {
    sender: SendRequest<Full<Bytes>>,
    to: Address,
    /// Drives the connection; ends with the line.
    _driver: JoinSet<()>,
}

/// What a client sees of one stream.
#[derive(Default)]
pub(crate) struct Seen {
    /// From sending to the first chunk, in nanoseconds.
    pub(crate) first_ns: u64,
    /// From each chunk's making to its arrival, in nanoseconds.
    pub(crate) delays_ns: Vec<u64>,
    /// Whether the end marker came.
    pub(crate) done: bool,
}

impl Line {
    /// Connects.
    pub(crate) async fn open(to: &Address) -> Result<Self, Trouble> {
        let stream = TcpStream::connect(&to.authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // A connection that breaks fails the request that waits on it.
            let _ended = connection.await;
        });
        Ok(Self { sender, to: to.clone(), _driver: driver })
    }

    /// Sends a request for a whole answer and reads it; fails unless it is a 200 of at least the length asked for.
    pub(crate) async fn ask(&mut self, order: &Order) -> Result<(), Trouble> {
        within(EXCHANGE_SECONDS, "a request", self.ask_unbounded(order)).await
    }

    async fn ask_unbounded(&mut self, order: &Order) -> Result<(), Trouble> {
        let mut body = self.begin(order).await?;
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        match order.answer {
            // The upstream pads in words of five letters.
            Answer::Whole { bytes } if length + 8 < bytes => {
                Err(format!("an answer of {length} bytes where {bytes} were asked for").into())
            }
            _ => Ok(()),
        }
    }

    async fn begin(&mut self, order: &Order) -> Result<Incoming, Trouble> {
        self.sender.ready().await?;
        let response = self.sender.send_request(order.request(&self.to)?).await?;
        if response.status() == StatusCode::OK {
            return Ok(response.into_body());
        }
        let status = response.status();
        let text = response.into_body().collect().await?.to_bytes();
        Err(format!("{status}: {}", String::from_utf8_lossy(&text[..text.len().min(300)])).into())
    }

    /// Sends a request for a stream and reads it to its end. `arrived` hears of every chunk.
    pub(crate) async fn stream(&mut self, order: &Order, arrived: impl FnMut()) -> Result<Seen, Trouble> {
        within(EXCHANGE_SECONDS, "a stream", self.stream_unbounded(order, arrived)).await
    }

    async fn stream_unbounded(&mut self, order: &Order, mut arrived: impl FnMut()) -> Result<Seen, Trouble> {
        let sent = now_ns();
        let mut body = self.begin(order).await?;
        let mut seen = Seen::default();
        let mut held = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame?.into_data() else { continue };
            held.extend_from_slice(&piece);
            let now = now_ns();
            while let Some(end) = find(&held, b"\n\n") {
                let event = held.split_to(end + 2);
                if let Some(made) = stamp(&event) {
                    seen.first_ns = if seen.delays_ns.is_empty() { now - sent } else { seen.first_ns };
                    seen.delays_ns.push(now.saturating_sub(made));
                    arrived();
                }
                seen.done |= event.starts_with(b"data: [DONE]");
            }
        }
        Ok(seen)
    }
}

fn stamp(event: &[u8]) -> Option<u64> {
    let digits = &event[find(event, STAMP)? + STAMP.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_found_in_chunks_and_nowhere_else() {
        assert_eq!(stamp(b"data: {\"delta\":{\"content\":\"@1234567 some\"}}\n\n"), Some(1_234_567));
        assert_eq!(stamp(b"data: {\"usage\":{}}\n\n"), None);
        assert_eq!(stamp(b"data: [DONE]\n\n"), None);
    }
}
