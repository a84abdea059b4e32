//! The lifeline: a child's standard input, which brings the boot secret and then only its own end.
//!
//! The parent writes one line and keeps the pipe open. End of file means that the parent is gone, however it
//! went; that needs no signal, no polling and no cooperation of the dead.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::secret::Secret;

#[cfg(unix)]
type Pipe = tokio::net::unix::pipe::Receiver;
#[cfg(not(unix))]
type Pipe = tokio::io::Stdin;

/// A child's end of the lifeline.
pub struct Lifeline(BufReader<Pipe>);

impl Lifeline {
    /// Takes over standard input and reads the boot secret from it.
    ///
    /// Fails when standard input is no pipe: the process was not started by a supervisor.
    pub async fn take() -> io::Result<(Self, Secret)> {
        let mut pipe = BufReader::with_capacity(256, stdin()?);
        let mut line = String::new();
        pipe.read_line(&mut line).await?;
        let secret = line.trim_end();
        if secret.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no boot secret on standard input"));
        }
        Ok((Self(pipe), Secret::new(secret)))
    }

    /// Returns when the parent is gone.
    pub async fn cut(&mut self) {
        let mut byte = [0];
        // An error is as good as an end: either way nobody is there.
        while matches!(self.0.read(&mut byte).await, Ok(1..)) {}
    }
}

#[cfg(unix)]
fn stdin() -> io::Result<Pipe> {
    use std::os::fd::AsFd;

    Pipe::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)
}

#[cfg(not(unix))]
fn stdin() -> io::Result<Pipe> {
    Ok(tokio::io::stdin())
}
