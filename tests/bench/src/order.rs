//! What one request of the benchmark looks like: the words that load generator and upstream share.
//!
//! The upstream does what the request's `x-bench-*` headers say, so that one upstream serves every measurement
//! and needs to read nothing of the body.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::Full;

/// The model of every request.
pub(crate) const MODEL: &str = "bench-model";

/// What stands before the stamp in a chunk's content.
pub(crate) const STAMP: &[u8] = b"\"content\":\"@";

const ANSWER_BYTES: HeaderName = HeaderName::from_static("x-bench-answer-bytes");
const CHUNKS: HeaderName = HeaderName::from_static("x-bench-chunks");
const GAP_US: HeaderName = HeaderName::from_static("x-bench-gap-us");

/// Where requests go, and the key they carry.
#[derive(Clone)]
pub(crate) struct Address {
    /// `host:port`.
    pub(crate) authority: String,
    /// The client key, if the target asks for one.
    pub(crate) key: Option<String>,
}

/// How the upstream shall answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// One JSON body of about so many bytes.
    Whole {
        /// Its length.
        bytes: usize,
    },
    /// A stream.
    Stream {
        /// How many chunks of content.
        chunks: u32,
        /// Between two of them, in microseconds.
        gap_us: u64,
    },
}

impl Answer {
    /// Reads back what [`Order::request`] wrote; an unmarked request gets 1 KiB.
    pub(crate) fn asked_by(headers: &HeaderMap) -> Self {
        let number = |name: &HeaderName| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
        match number(&CHUNKS).and_then(|chunks| u32::try_from(chunks).ok()) {
            Some(chunks) => Self::Stream { chunks, gap_us: number(&GAP_US).unwrap_or(0) },
            None => {
                Self::Whole { bytes: number(&ANSWER_BYTES).and_then(|n| n.try_into().ok()).unwrap_or(1024) }
            }
        }
    }
}

/// A request that can be sent many times.
#[derive(Clone)]
pub(crate) struct Order {
    /// What is asked for.
    pub(crate) answer: Answer,
    body: Bytes,
}

impl Order {
    /// An order with a body of about `body_bytes`.
    pub(crate) fn new(answer: Answer, body_bytes: usize) -> Self {
        let stream = match answer {
            Answer::Whole { .. } => "false",
            Answer::Stream { .. } => "true,\"stream_options\":{\"include_usage\":true}",
        };
        let head = format!(
            "{{\"model\":\"{MODEL}\",\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\""
        );
        let tail = "\"}]}";
        let padding = body_bytes.saturating_sub(head.len() + tail.len());
        let body = [head.as_bytes(), "word ".repeat(padding / 5).as_bytes(), tail.as_bytes()].concat();
        Self { answer, body: body.into() }
    }

    /// 1 KiB in, 1 KiB out.
    pub(crate) fn small() -> Self {
        Self::new(Answer::Whole { bytes: 1024 }, 1024)
    }

    /// The request for this address.
    pub(crate) fn request(&self, to: &Address) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::post("/v1/chat/completions")
            .header(HOST, &to.authority)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &to.key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        request = match self.answer {
            Answer::Whole { bytes } => request.header(ANSWER_BYTES, bytes),
            Answer::Stream { chunks, gap_us } => request.header(CHUNKS, chunks).header(GAP_US, gap_us),
        };
        request.body(Full::new(self.body.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstream_reads_what_the_generator_wrote() {
        let to = Address { authority: "127.0.0.1:1".to_owned(), key: Some("k".to_owned()) };
        for answer in [Answer::Whole { bytes: 70_000 }, Answer::Stream { chunks: 12, gap_us: 1500 }] {
            let request = Order::new(answer, 2048).request(&to).expect("a valid request");
            assert_eq!(Answer::asked_by(request.headers()), answer);
        }
    }

    #[test]
    fn bodies_are_json_of_about_the_length_asked_for() {
        for bytes in [1024, 1 << 20] {
            let order = Order::new(Answer::Whole { bytes: 1 }, bytes);
            assert!(order.body.len() <= bytes && order.body.len() + 8 > bytes);
            let value: serde_json::Value = serde_json::from_slice(&order.body).expect("JSON");
            assert_eq!(value["model"], MODEL);
        }
    }
}
