//! Which of a client's headers go on to the backend: all but those that concern this connection, name who the
//! client is, or are ours. Its credentials go on only to a backend that takes the caller's own; what opens here
//! never does.

use http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use ipc_proto::stream::Header;

use crate::auth::{self, Keyring};

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

const GOOGLES: &str = "x-goog-api-key";

/// The credentials in `headers` that are for the backend and not for us, for a backend that takes the caller's own.
/// A key in `query` becomes a header, where there is none: addresses end up in logs.
pub(crate) fn credentials(headers: &HeaderMap, query: Option<&str>, keyring: &Keyring) -> Vec<Header> {
    let is_theirs = |name: &HeaderName, value: &HeaderValue| {
        let key = if name == AUTHORIZATION { auth::bearer_in(value) } else { None };
        let key = key.or_else(|| value.to_str().ok()).map(str::trim);
        key.is_some_and(|key| !key.is_empty() && !keyring.is_ours(key))
    };
    let mut theirs: Vec<Header> = ["authorization", "x-api-key", GOOGLES]
        .map(HeaderName::from_static)
        .into_iter()
        .filter_map(|name| headers.get(&name).map(|value| (name, value)))
        .filter(|(name, value)| is_theirs(name, value))
        .map(|(name, value)| header(&name, value))
        .collect();
    let asked = query.and_then(auth::in_query).and_then(|key| HeaderValue::try_from(key).ok());
    if let (false, Some(key)) = (headers.contains_key(GOOGLES), asked) {
        let name = HeaderName::from_static(GOOGLES);
        theirs.extend(is_theirs(&name, &key).then(|| header(&name, &key)));
    }
    theirs
}

/// Whether the client declared this header to be for the next hop only.
fn named_by_connection(headers: &HeaderMap, name: &str) -> bool {
    let mut lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.any(|line| line.split(',').any(|option| option.trim().eq_ignore_ascii_case(name)))
}

/// What of the request could not be carried, as the worker says it.
pub(crate) const WARNING: HeaderName = HeaderName::from_static("x-proxylm-warning");

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
        let ours = OURS.contains(&name) || (name.starts_with("x-proxylm-") && name != WARNING);
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
    use ipc_proto::ids::KeyId;
    use ipc_proto::secret::Pepper;
    use ipc_proto::spec::{Access, ClientKey};

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

    #[test]
    fn the_callers_own_credentials_are_all_but_what_opens_here() {
        let pepper = Pepper::new([7; 32]);
        let key = ClientKey { id: KeyId(3), name: "ann".to_owned(), digest: pepper.digest("ours") };
        let keyring = Keyring::new(&Access { pepper, keys: vec![key], admin: Some(pepper.digest("root")) });
        let sent = |pairs: &[(&'static str, &'static str)], query| -> Vec<(String, String)> {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
            let credentials = credentials(&headers, query, &keyring);
            credentials.iter().map(|header| (header.name.to_string(), text(&header.value))).collect()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            sent(&[("x-proxylm-key", "ours"), ("authorization", "Bearer sk-1"), ("cookie", "a=b")], None),
            [pair("authorization", "Bearer sk-1")]
        );
        assert_eq!(
            sent(&[("authorization", "bearer  ours"), ("x-api-key", "sk-2")], None),
            [pair("x-api-key", "sk-2")]
        );
        assert!(sent(&[("x-api-key", " root "), ("x-goog-api-key", "ours")], Some("key=ours")).is_empty());
        assert_eq!(sent(&[], Some("a=b&key=AIza")), [pair("x-goog-api-key", "AIza")]);
        assert_eq!(sent(&[("x-goog-api-key", "A")], Some("key=B")), [pair("x-goog-api-key", "A")]);
        assert_eq!(sent(&[("authorization", "Basic YWJj")], None), [pair("authorization", "Basic YWJj")]);
    }

    #[test]
    fn of_our_headers_only_the_warning_comes_from_a_worker() {
        let header = |name: &str| Header { name: name.into(), value: "x".into() };
        let mut headers = HeaderMap::new();
        let sent = ["x-proxylm-warning", "x-proxylm-backend", "content-length", "retry-after"].map(header);
        to_client(sent.to_vec(), &mut headers);
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-proxylm-warning", "retry-after"]);
    }
}
