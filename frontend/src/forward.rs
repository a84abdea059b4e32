//! Which of a client's headers go on to the backend: all but those that concern this connection, name who the
//! client is, or are ours.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use ipc_proto::stream::Header;

/// Headers that never go on. Whatever begins with `proxy-`, `x-proxylm-` or `x-forwarded-` does not either.
const KEPT_BACK: [&str; 20] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "cookie",
    "host",
    "content-length",
    "expect",
    "accept-encoding",
    "content-encoding",
    "x-request-id",
    "forwarded",
    "x-real-ip",
];

const KEPT_BACK_PREFIXES: [&str; 3] = ["proxy-", "x-proxylm-", "x-forwarded-"];

/// The headers of `headers` that go to the backend.
pub(crate) fn to_backend(headers: &HeaderMap) -> Vec<Header> {
    let goes = |name: &HeaderName| {
        let name = name.as_str();
        !KEPT_BACK.contains(&name)
            && !KEPT_BACK_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            && !named_by_connection(headers, name)
    };
    headers.iter().filter(|(name, _)| goes(name)).map(|(name, value)| header(name, value)).collect()
}

fn header(name: &HeaderName, value: &HeaderValue) -> Header {
    Header { name: name.as_str().into(), value: bytes::Bytes::copy_from_slice(value.as_bytes()) }
}

/// Whether the client declared this header to be for the next hop only.
fn named_by_connection(headers: &HeaderMap, name: &str) -> bool {
    let mut lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.any(|line| line.split(',').any(|option| option.trim().eq_ignore_ascii_case(name)))
}

/// Headers of an answer that are ours to set: about this connection, its framing, and the request's id.
const OURS: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "x-request-id",
];

/// The headers of a backend's answer that go to the client.
pub(crate) fn to_client(headers: Vec<Header>, into: &mut HeaderMap) {
    for header in headers {
        let name = &*header.name;
        let ours = OURS.contains(&name) || name.starts_with("x-proxylm-");
        if ours {
            continue;
        }
        let parsed = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (parsed, HeaderValue::from_maybe_shared(header.value)) {
            into.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_07_credentials_and_hop_headers_stay_here() {
        let mut headers = HeaderMap::new();
        let lines = [
            ("authorization", "Bearer k"),
            ("x-api-key", "k"),
            ("cookie", "a=b"),
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("proxy-authorization", "x"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-proxylm-timeout-ms", "5"),
            ("accept-encoding", "gzip"),
            ("content-type", "application/json"),
            ("anthropic-version", "2023-06-01"),
        ];
        for (name, value) in lines {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let names: Vec<_> = to_backend(&headers).into_iter().map(|header| header.name).collect();
        assert_eq!(names, ["content-type".into(), "anthropic-version".into()] as [Box<str>; 2]);
    }
}
