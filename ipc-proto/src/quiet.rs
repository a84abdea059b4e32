//! A Unix stream that is told when there is something to read, and about room to write only when it waits for it.
//!
//! The runtime's own stream listens for both at all times. On a Unix socket every read of the peer then wakes the
//! writer to say that there is room again: a useless turn of the loop per message, in a process that could have
//! slept. Between our processes that was a fifth of all system calls of a request.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// The most bytes of one read: more than any message, and little to clear beforehand.
const READ: usize = 64 * 1024;

/// A connected Unix socket.
#[derive(Debug)]
pub struct QuietStream {
    readable: AsyncFd<UnixStream>,
    /// A second handle of the same socket, only while a write waits for room.
    writable: Option<AsyncFd<UnixStream>>,
}

impl QuietStream {
    /// Takes over a connected socket that does not block.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = UnixStream::from(socket);
        Ok(Self { readable: listen_for(socket, Interest::READABLE)?, writable: None })
    }
}

#[expect(
    deprecated,
    reason = "its successor asks for an unsafe promise that std's UnixStream keeps: one descriptor for life"
)]
fn listen_for(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

impl AsyncRead for QuietStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut ready = ready!(this.readable.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled_to(buffer.remaining().min(READ));
            let wanted = room.len();
            match ready.try_io(|socket| socket.get_ref().read(room)) {
                Ok(read) => {
                    let count = read?;
                    if (1..wanted).contains(&count) {
                        // The socket is empty now; the next bytes are announced anew.
                        ready.clear_ready();
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(_nothing_there) => {}
            }
        }
    }
}

impl AsyncWrite for QuietStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            if let Some(writable) = &this.writable {
                let mut ready = ready!(writable.poll_write_ready(cx))?;
                let Ok(written) = ready.try_io(|socket| socket.get_ref().write(bytes)) else { continue };
                if written.as_ref().is_ok_and(|written| *written == bytes.len()) {
                    this.writable = None;
                }
                return Poll::Ready(written);
            }
            match this.readable.get_ref().write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let again = this.readable.get_ref().try_clone()?;
                    this.writable = Some(listen_for(again, Interest::WRITABLE)?);
                }
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.readable.get_ref().shutdown(std::net::Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair() -> (QuietStream, QuietStream) {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        (QuietStream::new(near.into()).unwrap(), QuietStream::new(far.into()).unwrap())
    }

    #[tokio::test]
    async fn more_than_fits_goes_through_once_the_peer_reads() {
        let (mut near, mut far) = pair();
        let sent: Vec<u8> = (0..3_000_000u32).map(|number| number.to_le_bytes()[1]).collect();
        let mut received = Vec::new();
        let writing = async {
            near.write_all(&sent).await.unwrap();
            assert!(near.writable.is_none(), "it listens for room that it does not need");
            drop(near);
        };
        let ((), read) = tokio::join!(writing, far.read_to_end(&mut received));
        assert_eq!(read.unwrap(), sent.len());
        assert!(received == sent);
    }

    #[tokio::test]
    async fn words_go_to_and_fro_and_an_end_is_seen() {
        let (mut near, mut far) = pair();
        for _ in 0..100 {
            let mut word = [0; 4];
            near.write_all(b"ping").await.unwrap();
            far.read_exact(&mut word).await.unwrap();
            far.write_all(b"pong").await.unwrap();
            near.read_exact(&mut word).await.unwrap();
            assert_eq!(&word, b"pong");
        }
        far.write_all(b"last words").await.unwrap();
        drop(far);
        let mut rest = String::new();
        near.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "last words");
        assert!(near.write_all(b"hello?").await.is_err());
    }
}
