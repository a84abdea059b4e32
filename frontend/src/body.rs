//! A request's body: read to its end within a length, a time and a share of memory, and unpacked.

use std::future::{Future, pending, poll_fn};
use std::io::{self, Read};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, EXPECT};
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::spec::ClientLimits;

use crate::refusal::Refusal;

/// How long a refused client may go on sending before it is answered: closing on somebody who is still sending
/// would take the answer away from it.
const LINGER: Duration = Duration::from_secs(1);
/// How much memory is made ready at most for a body whose length is announced; what the client really sends
/// decides about more.
const FIRST_RESERVE: usize = 1 << 20;
/// Unpacked in steps of this size, so that the limits are checked as it grows.
const STEP: usize = 64 * 1024;

/// The largest window of zstd, as a power of two of bytes: its standard asks decoders for this much, and encoders to
/// keep within it. A frame may demand more before it has told anything.
const LARGEST_WINDOW: u32 = 23;

/// All bodies a frontend holds, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicU64);

/// One body's share of the budget; given back when dropped.
#[derive(Debug)]
struct Share {
    budget: Arc<Budget>,
    bytes: u64,
    limit: u64,
}

impl Share {
    fn grow_to(&mut self, bytes: u64) -> Result<(), Refusal> {
        let more = bytes.saturating_sub(self.bytes);
        let before = self.budget.0.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        if self.limit == 0 || before + more <= self.limit {
            return Ok(());
        }
        let message = "too many request bodies are held at the moment; try again later";
        Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, FailureKind::QueueFull.code(), message))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body that is kept until the answer begins.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The body, unpacked.
    pub(crate) bytes: Bytes,
    _share: Share,
}

#[derive(Clone, Copy)]
enum Coding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

/// Reads the body that belongs to `headers`. One that is still on its way when `closing` returns is refused: nobody
/// would take it any more, and whoever is to end should not wait for it.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut incoming: Incoming,
    limits: &ClientLimits,
    budget: &Arc<Budget>,
    closing: impl Future<Output = ()>,
) -> Result<Kept, Refusal> {
    let read = read_within(headers, &mut incoming, limits, budget, closing).await;
    if read.as_ref().is_err_and(|refusal| refusal.status != StatusCode::REQUEST_TIMEOUT) {
        discard(headers, incoming).await;
    }
    read
}

/// Lets a client that is not listened to finish its request, for a while.
pub(crate) async fn discard(headers: &HeaderMap, mut incoming: Incoming) {
    // Somebody who asked first has not begun to send.
    if incoming.is_end_stream() || headers.contains_key(EXPECT) {
        return;
    }
    let rest = async { while let Some(Ok(_)) = incoming.frame().await {} };
    // Whether it finished or not, it has had its time.
    let _ = tokio::time::timeout(LINGER, rest).await;
}

async fn read_within(
    headers: &HeaderMap,
    incoming: &mut Incoming,
    limits: &ClientLimits,
    budget: &Arc<Budget>,
    closing: impl Future<Output = ()>,
) -> Result<Kept, Refusal> {
    let coding = coding(headers)?;
    let mut share = Share { budget: Arc::clone(budget), bytes: 0, limit: limits.max_held_bytes };
    let announced = incoming.size_hint().lower();
    if announced > limits.max_body_bytes {
        return Err(too_long(limits.max_body_bytes));
    }
    share.grow_to(announced)?;
    let collected = collect(incoming, limits.max_body_bytes, &mut share);
    let bytes = in_time(limits.body_read_ms, collected, closing).await?;
    match coding {
        Coding::Identity => Ok(Kept { bytes, _share: share }),
        _ => unpack(coding, bytes, limits.max_body_bytes, share).await,
    }
}

fn too_long(limit: u64) -> Refusal {
    Refusal::because(
        FailureKind::BodyTooLarge,
        format!("the request body is over the limit of {limit} bytes"),
    )
}

fn coding(headers: &HeaderMap) -> Result<Coding, Refusal> {
    let mut lines = headers.get_all(CONTENT_ENCODING).iter();
    let (first, more) = (lines.next(), lines.next());
    let name = first.map_or(Some(""), |value| value.to_str().ok()).filter(|_| more.is_none());
    match name.map(|name| name.trim().to_ascii_lowercase()).as_deref() {
        Some("" | "identity") => Ok(Coding::Identity),
        Some("gzip" | "x-gzip") => Ok(Coding::Gzip),
        Some("deflate") => Ok(Coding::Deflate),
        Some("zstd") => Ok(Coding::Zstd),
        _ => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_encoding",
            "the request body may be sent as it is, or with the content encoding gzip, deflate or zstd",
        )),
    }
}

async fn collect(incoming: &mut Incoming, limit: u64, share: &mut Share) -> Result<Bytes, Refusal> {
    let announced = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let broken = |_| Refusal::because(FailureKind::BadRequest, "the request body broke off");
        let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
        let length = (first.len() + all.len() + piece.len()) as u64;
        if length > limit {
            return Err(too_long(limit));
        }
        share.grow_to(length)?;
        if first.is_empty() && all.is_empty() {
            // Mostly the only one: kept without a copy.
            first = piece;
            continue;
        }
        if all.is_empty() {
            all.reserve(announced.min(FIRST_RESERVE));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&piece);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Runs `reading` for at most `limit_ms` (0: as long as it takes), or until `closing`. Neither is looked at for a body
/// that came together with its head: the HTTP server hands it over between the first and the second poll.
async fn in_time(
    limit_ms: u64,
    reading: impl Future<Output = Result<Bytes, Refusal>>,
    closing: impl Future<Output = ()>,
) -> Result<Bytes, Refusal> {
    let mut reading = pin!(reading);
    let mut polls = 0_u8;
    let soon = poll_fn(|cx| {
        polls += 1;
        match reading.as_mut().poll(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending if polls > 1 => Poll::Ready(None),
            Poll::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    });
    if let Some(read) = soon.await {
        return read;
    }
    let late = async {
        match limit_ms {
            0 => pending().await,
            limit_ms => tokio::time::sleep(Duration::from_millis(limit_ms)).await,
        }
    };
    tokio::select! {
        biased;
        read = reading => read,
        () = late => {
            Err(Refusal::because(FailureKind::SlowClient, "the request body took too long to arrive"))
        }
        () = closing => Err(Refusal::of(&Failure::new(FailureKind::Draining, ""), None)),
    }
}

async fn unpack(coding: Coding, packed: Bytes, limit: u64, share: Share) -> Result<Kept, Refusal> {
    // A few kilobytes may become many megabytes: not on the thread that serves everybody.
    let unpacked = tokio::task::spawn_blocking(move || match coding {
        Coding::Deflate if is_zlib(&packed) => unpack_from(ZlibDecoder::new(&packed[..]), limit, share),
        Coding::Deflate => unpack_from(DeflateDecoder::new(&packed[..]), limit, share),
        Coding::Zstd => unpack_from(unzstd(&packed)?, limit, share),
        Coding::Gzip | Coding::Identity => unpack_from(MultiGzDecoder::new(&packed[..]), limit, share),
    });
    match unpacked.await {
        Ok(unpacked) => unpacked,
        Err(_) => Err(Refusal::because(FailureKind::Internal, "the request body could not be unpacked")),
    }
}

/// A reader of what was packed with zstd, which takes no more memory than its window.
fn unzstd(packed: &[u8]) -> Result<impl Read + '_, Refusal> {
    let decoder = zstd::Decoder::with_buffer(packed).and_then(|mut decoder| {
        decoder.window_log_max(LARGEST_WINDOW)?;
        Ok(decoder)
    });
    decoder.map_err(|_| Refusal::because(FailureKind::Internal, "the request body could not be unpacked"))
}

/// Whether the bytes begin as the standard wants `deflate` to begin; some leave that out.
fn is_zlib(packed: &[u8]) -> bool {
    let checked = |first: u8, second: u8| u16::from_be_bytes([first, second]).is_multiple_of(31);
    matches!(packed, [first, second, ..] if first & 0x0f == 8 && checked(*first, *second))
}

fn unpack_from(mut source: impl Read, limit: u64, mut share: Share) -> Result<Kept, Refusal> {
    let mut all = Vec::new();
    loop {
        let step: io::Result<_> = source.by_ref().take(STEP as u64).read_to_end(&mut all);
        let length = all.len() as u64;
        match step {
            Err(_) => {
                let message = "the request body is not what its content encoding says";
                return Err(Refusal::because(FailureKind::BadRequest, message));
            }
            Ok(_) if length > limit => return Err(too_long(limit)),
            Ok(0) => return Ok(Kept { bytes: all.into(), _share: share }),
            Ok(_) => share.grow_to(length)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn share(budget: &Arc<Budget>, limit: u64) -> Share {
        Share { budget: Arc::clone(budget), bytes: 0, limit }
    }

    #[tokio::test]
    async fn packed_bodies_are_unpacked_within_the_limit() {
        let budget = Arc::new(Budget::default());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&vec![b'x'; 200_000]).unwrap();
        let packed = Bytes::from(encoder.finish().unwrap());
        let fits = unpack(Coding::Gzip, packed.clone(), 200_000, share(&budget, 0)).await.unwrap();
        assert_eq!(fits.bytes.len(), 200_000);
        assert_eq!(budget.0.load(Ordering::Relaxed), 200_000);
        drop(fits);
        let bomb = unpack(Coding::Gzip, packed.clone(), 199_999, share(&budget, 0)).await.unwrap_err();
        assert_eq!(bomb.status, StatusCode::PAYLOAD_TOO_LARGE);
        let crowded = unpack(Coding::Gzip, packed, 200_000, share(&budget, 1000)).await.unwrap_err();
        assert_eq!(crowded.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);

        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"{}").unwrap();
        let zlib = Bytes::from(encoder.finish().unwrap());
        assert_eq!(unpack(Coding::Deflate, zlib, 10, share(&budget, 0)).await.unwrap().bytes, "{}");
        let garbage =
            unpack(Coding::Gzip, Bytes::from_static(b"nope"), 10, share(&budget, 0)).await.unwrap_err();
        assert_eq!(garbage.status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn t100_zstd_bodies_are_unpacked_within_the_limit() {
        let budget = Arc::new(Budget::default());
        let unpacked =
            |packed: Vec<u8>, limit, held| unpack(Coding::Zstd, packed.into(), limit, share(&budget, held));
        let text = vec![b'x'; 50_000_000];
        let bomb = zstd::encode_all(&text[..], 3).unwrap();
        assert!(bomb.len() < 10_000);
        assert_eq!(unpacked(bomb.clone(), 50_000_000, 0).await.unwrap().bytes.len(), 50_000_000);
        let status = |refused: Result<Kept, Refusal>| refused.unwrap_err().status;
        assert_eq!(status(unpacked(bomb.clone(), 49_999_999, 0).await), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status(unpacked(bomb.clone(), 50_000_000, 1000).await), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            status(unpacked(bomb[..bomb.len() - 5].to_vec(), 50_000_000, 0).await),
            StatusCode::BAD_REQUEST
        );
        assert_eq!(status(unpacked(b"nope".to_vec(), 10, 0).await), StatusCode::BAD_REQUEST);
        // Two frames one after the other are one body.
        let two = [zstd::encode_all(&b"{"[..], 0).unwrap(), zstd::encode_all(&b"}"[..], 0).unwrap()].concat();
        assert_eq!(unpacked(two, 10, 0).await.unwrap().bytes, "{}");
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_zstd_frame_cannot_demand_a_window_without_end() {
        let budget = Arc::new(Budget::default());
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"{}").unwrap();
        let packed = Bytes::from(encoder.finish().unwrap());
        let refused = unpack(Coding::Zstd, packed, 10, share(&budget, 0)).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn other_codings_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, "br".parse().unwrap());
        assert_eq!(
            coding(&headers).err().map(|refusal| refusal.status),
            Some(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        );
        headers.insert(CONTENT_ENCODING, "GZip".parse().unwrap());
        assert!(matches!(coding(&headers), Ok(Coding::Gzip)));
    }
}
