//! As much HTTP/1.1 as the tests' two ends need, written by hand so that faults can be put anywhere in it.

use std::io::{self, BufRead};

/// The start line and the headers of a message.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The start line.
    pub(crate) start: String,
    /// Names in lower case, and values, in order.
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All headers of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The nth word of the start line.
    pub(crate) fn word(&self, n: usize) -> &str {
        self.start.split(' ').nth(n).unwrap_or_default()
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }
}

/// Reads a head; `None` if the peer closed before one began.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let Some(start) = line(reader)? else { return Ok(None) };
    let mut headers = Vec::new();
    loop {
        match line(reader)? {
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(line) if line.is_empty() => return Ok(Some(Head { start, headers })),
            Some(line) => {
                let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if reader.read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A message's body as it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// So many bytes are left.
    Length(usize),
    /// Chunks until an empty one.
    Chunked,
    /// Everything until the connection closes.
    UntilClose,
    /// There is no more.
    Over,
}

impl Body {
    /// The body of a request with this head.
    pub(crate) fn of_request(head: &Head) -> Self {
        match head.header("content-length").and_then(|text| text.parse().ok()) {
            _ if head.is_chunked() => Self::Chunked,
            Some(length) => Self::Length(length),
            None => Self::Over,
        }
    }

    /// The body of a response with this head.
    pub(crate) fn of_response(head: &Head) -> Self {
        match Self::of_request(head) {
            Self::Over if !["204", "304"].contains(&head.word(1)) => Self::UntilClose,
            body => body,
        }
    }

    /// The next piece; `None` at the honest end. A body that is cut short is an error.
    pub(crate) fn next(&mut self, reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
        match *self {
            Self::Over | Self::Length(0) => Ok(None),
            Self::Length(left) => {
                let piece = some_bytes(reader, left)?;
                if piece.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *self = Self::Length(left - piece.len());
                Ok(Some(piece))
            }
            Self::UntilClose => Ok(Some(some_bytes(reader, usize::MAX)?).filter(|piece| !piece.is_empty())),
            Self::Chunked => self.next_chunk(reader),
        }
    }

    fn next_chunk(&mut self, reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
        let size = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|_| io::ErrorKind::InvalidData)?;
        let mut piece = vec![0; size];
        reader.read_exact(&mut piece)?;
        line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if size == 0 {
            *self = Self::Over;
            return Ok(None);
        }
        Ok(Some(piece))
    }

    /// All of it, and whether it came to its honest end.
    pub(crate) fn read_all(mut self, reader: &mut impl BufRead) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        loop {
            match self.next(reader) {
                Ok(Some(piece)) => all.extend(piece),
                Ok(None) => return (all, true),
                Err(_) => return (all, false),
            }
        }
    }
}

fn some_bytes(reader: &mut impl BufRead, most: usize) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; most.min(16 << 10)];
    let length = reader.read(&mut piece)?;
    piece.truncate(length);
    Ok(piece)
}
