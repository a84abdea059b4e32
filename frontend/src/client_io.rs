//! A client's connection, as bytes: ends when the client sends nothing at first, or stops reading.
//!
//! Without this, a client that reads nothing would hold its attempt, and so a slot, for ever. A timer is made only
//! when the client is slow; one that keeps up costs nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// So many bytes are read before it is known which HTTP the client speaks; only from then on does the HTTP server
/// watch the time.
const OPENING: usize = 24;

/// A client's connection.
pub(crate) struct ClientIo {
    stream: TcpStream,
    opening: Patience,
    opened: usize,
    reading: Patience,
}

impl ClientIo {
    /// Watches over `stream`: the client must begin to speak within `opening`, and must never for `idle` take
    /// nothing of what is sent to it. `None`: for ever.
    pub(crate) fn new(stream: TcpStream, opening: Option<Duration>, idle: Option<Duration>) -> Self {
        Self { stream, opening: Patience::new(opening), opened: 0, reading: Patience::new(idle) }
    }

    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if result.is_ready() {
            self.reading.renew();
            return result;
        }
        ready!(self.reading.poll_lost(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

/// A wait that may run out.
struct Patience {
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new(limit: Option<Duration>) -> Self {
        Self { limit, timer: None }
    }

    fn renew(&mut self) {
        self.timer = None;
    }

    /// Ready when there has been no renewal for the whole limit since the first call.
    fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.limit {
            Some(limit) => {
                self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(cx)
            }
            None => Poll::Pending,
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if this.opened >= OPENING {
            return result;
        }
        if result.is_ready() {
            this.opened += buffer.filled().len() - before;
            if this.opened >= OPENING {
                this.opening.renew();
            }
            return result;
        }
        ready!(this.opening.poll_lost(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not speak")))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
