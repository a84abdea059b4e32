//! Where an answer's body comes from: the backend's connection, or the fake; unpacked where that is possible.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::fake::{FakeBody, Unloaded};

/// How many packed bytes are unpacked at a time: a bomb swells a thousandfold, and must not do so all at once.
const UNPACKED_AT_ONCE: usize = 4 * 1024;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The connection failed, or ended too early.
    #[error("the connection broke: {0}")]
    Wire(#[from] hyper::Error),
    /// It is not packed as it claims to be.
    #[error("the body's compression is broken: {0}")]
    Packing(#[from] io::Error),
    /// The fake has loaded another model.
    #[error("the model was unloaded for another one")]
    Unloaded,
}

/// How a body is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packing {
    /// Not at all.
    Plain,
    /// In a way that we unpack.
    Known,
    /// In a way that we cannot look into: it goes through as it is.
    Opaque,
}

/// The body of an answer.
pub(crate) struct Source {
    origin: Origin,
    unpacker: Option<Unpacker>,
    packed: Bytes,
    packing: Packing,
    received: u64,
}

enum Origin {
    Wire(Incoming),
    Fake(Box<FakeBody>),
    Ended,
}

impl Source {
    /// The body of an answer with these headers. What it unpacks, it takes out of the headers.
    pub(crate) fn from_wire(body: Incoming, headers: &mut HeaderMap) -> Self {
        let (unpacker, packing) = unpacker(headers);
        if unpacker.is_some() {
            headers.remove(header::CONTENT_ENCODING);
        }
        Self { origin: Origin::Wire(body), unpacker, packed: Bytes::new(), packing, received: 0 }
    }

    /// A body that the fake makes up.
    pub(crate) fn from_fake(body: FakeBody) -> Self {
        let origin = Origin::Fake(Box::new(body));
        Self { origin, unpacker: None, packed: Bytes::new(), packing: Packing::Plain, received: 0 }
    }

    /// How it is packed.
    pub(crate) fn packing(&self) -> Packing {
        self.packing
    }

    /// Bytes received from the backend so far, as they were on the wire.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Whether it is known already that nothing more comes. That spares waiting for the end to be said.
    pub(crate) fn is_over(&self) -> bool {
        match &self.origin {
            Origin::Wire(body) => self.unpacker.is_none() && body.is_end_stream(),
            Origin::Fake(_) => false,
            Origin::Ended => self.unpacker.is_none(),
        }
    }

    /// The next piece, never empty, or `None` at the good end. Safe to cancel.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, SourceError>> {
        loop {
            if self.unpacker.is_some() && self.packed.is_empty() {
                match self.raw_piece().await {
                    Some(Ok(piece)) => self.packed = piece,
                    Some(Err(error)) => return Some(Err(error)),
                    None => {}
                }
            }
            let Some(unpacker) = &mut self.unpacker else { return self.raw_piece().await };
            let result = if self.packed.is_empty() {
                let rest = unpacker.finish();
                self.unpacker = None;
                rest
            } else {
                unpacker.unpack(&self.packed.split_to(self.packed.len().min(UNPACKED_AT_ONCE)))
            };
            match result {
                Ok(bytes) if bytes.is_empty() => {}
                result => return Some(result.map(Bytes::from).map_err(SourceError::from)),
            }
        }
    }

    async fn raw_piece(&mut self) -> Option<Result<Bytes, SourceError>> {
        loop {
            let piece = match &mut self.origin {
                Origin::Wire(body) => match body.frame().await {
                    // Trailers are passed over: nobody here speaks in them.
                    Some(Ok(frame)) => Some(frame.into_data().unwrap_or_default()),
                    Some(Err(error)) => return Some(Err(error.into())),
                    None => None,
                },
                Origin::Fake(body) => match body.piece().await {
                    Some(Err(Unloaded)) => return Some(Err(SourceError::Unloaded)),
                    Some(Ok(piece)) => Some(piece),
                    None => None,
                },
                Origin::Ended => None,
            };
            match piece {
                Some(piece) if piece.is_empty() => {}
                Some(piece) => {
                    self.received += piece.len() as u64;
                    return Some(Ok(piece));
                }
                None => {
                    self.origin = Origin::Ended;
                    return None;
                }
            }
        }
    }
}

fn unpacker(headers: &HeaderMap) -> (Option<Unpacker>, Packing) {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return (None, Packing::Plain) };
    match encoding.to_str().map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        Ok("identity" | "") => (None, Packing::Plain),
        Ok("gzip" | "x-gzip") => (Some(Unpacker::Gzip(MultiGzDecoder::new(Vec::new()))), Packing::Known),
        Ok("deflate") => (Some(Unpacker::Undecided), Packing::Known),
        _ => (None, Packing::Opaque),
    }
}

fn push(decoder: &mut impl Write, packed: &[u8]) -> io::Result<()> {
    decoder.write_all(packed)?;
    decoder.flush()
}

enum Unpacker {
    Gzip(MultiGzDecoder<Vec<u8>>),
    Zlib(ZlibDecoder<Vec<u8>>),
    Deflate(DeflateDecoder<Vec<u8>>),
    /// `deflate` means zlib's format, but some send the bare stream: the first byte tells.
    Undecided,
}

impl Unpacker {
    fn unpack(&mut self, packed: &[u8]) -> io::Result<Vec<u8>> {
        if let (Self::Undecided, Some(first)) = (&self, packed.first()) {
            let is_zlib = first & 0x0f == 8 && first >> 4 <= 7;
            *self = if is_zlib {
                Self::Zlib(ZlibDecoder::new(Vec::new()))
            } else {
                Self::Deflate(DeflateDecoder::new(Vec::new()))
            };
        }
        Ok(match self {
            Self::Gzip(decoder) => {
                push(decoder, packed)?;
                std::mem::take(decoder.get_mut())
            }
            Self::Zlib(decoder) => {
                push(decoder, packed)?;
                std::mem::take(decoder.get_mut())
            }
            Self::Deflate(decoder) => {
                push(decoder, packed)?;
                std::mem::take(decoder.get_mut())
            }
            Self::Undecided => Vec::new(),
        })
    }

    /// What is left at the end; an error if the end comes too early.
    fn finish(&mut self) -> io::Result<Vec<u8>> {
        Ok(match self {
            Self::Gzip(decoder) => {
                decoder.try_finish()?;
                std::mem::take(decoder.get_mut())
            }
            Self::Zlib(decoder) => {
                decoder.try_finish()?;
                std::mem::take(decoder.get_mut())
            }
            Self::Deflate(decoder) => {
                decoder.try_finish()?;
                std::mem::take(decoder.get_mut())
            }
            Self::Undecided => Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn every_packing_is_undone_as_it_arrives() {
        let text: Vec<u8> = (0..20_000u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let level = flate2::Compression::fast();
        let mut gzip = Vec::new();
        flate2::read::GzEncoder::new(&text[..], level).read_to_end(&mut gzip).unwrap();
        let mut zlib = Vec::new();
        flate2::read::ZlibEncoder::new(&text[..], level).read_to_end(&mut zlib).unwrap();
        let mut bare = Vec::new();
        flate2::read::DeflateEncoder::new(&text[..], level).read_to_end(&mut bare).unwrap();
        for (name, packed) in [("gzip", gzip), ("deflate", zlib), ("deflate", bare)] {
            let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, name.parse().unwrap())]);
            let (unpacker, packing) = unpacker(&headers);
            assert_eq!(packing, Packing::Known);
            let mut unpacker = unpacker.unwrap();
            let mut plain = Vec::new();
            for piece in packed.chunks(7) {
                plain.extend(unpacker.unpack(piece).unwrap());
            }
            assert!(plain.len() > text.len() / 2, "{name} held back too much");
            plain.extend(unpacker.finish().unwrap());
            assert!(plain == text, "{name}");
        }
    }

    #[test]
    fn a_cut_gzip_is_an_error_and_an_unknown_packing_is_left_alone() {
        let mut gzip = Vec::new();
        flate2::read::GzEncoder::new(&b"hello"[..], flate2::Compression::fast())
            .read_to_end(&mut gzip)
            .unwrap();
        let mut unpacker = Unpacker::Gzip(MultiGzDecoder::new(Vec::new()));
        unpacker.unpack(&gzip[..gzip.len() - 4]).unwrap();
        assert!(unpacker.finish().is_err());
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, "zstd".parse().unwrap())]);
        assert_eq!(super::unpacker(&headers).1, Packing::Opaque);
    }
}
