//! Whether the process lives and whether the instance can serve. Open to everybody, so it tells counts and no names.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::answer_body::AnswerBody;
use crate::models::{Listing, json, json_response};

/// When to ask again whether the instance is ready, in seconds.
const ASK_AGAIN: u64 = 1;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    ready: bool,
    backends_up: u32,
    backends: u32,
    models: usize,
    open_requests: usize,
}

#[derive(Serialize)]
struct Unready<'a> {
    status: &'static str,
    reason: &'a str,
}

/// The process answers, so it lives.
pub(crate) fn alive() -> Response<AnswerBody> {
    json_response(Bytes::from_static(br#"{"status":"ok"}"#))
}

/// The same, with version and counts.
pub(crate) fn health(listing: &Listing, open_requests: usize) -> Response<AnswerBody> {
    let directory = &listing.directory;
    json_response(json(&Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        ready: directory.ready,
        backends_up: directory.backends_up,
        backends: directory.backends,
        models: directory.models.len(),
        open_requests,
    }))
}

/// Whether a request would be served now; `admits`: this frontend takes new ones.
pub(crate) fn ready(listing: &Listing, admits: bool) -> Response<AnswerBody> {
    let directory = &listing.directory;
    if directory.ready && admits {
        return json_response(Bytes::from_static(br#"{"status":"ready"}"#));
    }
    let reason = match directory.reason.as_str() {
        _ if !admits => "this instance is draining",
        "" => "no backend is usable",
        reason => reason,
    };
    let mut response = json_response(json(&Unready { status: "unavailable", reason }));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ASK_AGAIN));
    response
}
