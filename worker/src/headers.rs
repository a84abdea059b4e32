//! Which headers go to the backend, and which come back. Hop-by-hop headers and credentials go neither way.

use bytes::Bytes;
use dialect::Dialect;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipc_proto::ids::Label;
use ipc_proto::stream::{Header, Open};

/// Who we say we are.
const AGENT: &str = concat!("proxylm/", env!("CARGO_PKG_VERSION"));
/// The version of Anthropic's API that is asked for where the client names none.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Headers that belong to one connection and not to the message.
fn is_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 6] = ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
    NAMES.contains(&name) || name.starts_with("proxy-")
}

/// Headers of a client that are not for the backend: its credentials, and what this side of the call decides.
fn is_kept_from_backend(name: &str) -> bool {
    const CREDENTIALS: [&str; 4] = ["authorization", "x-api-key", "x-goog-api-key", "cookie"];
    const OURS: [&str; 5] = ["host", "content-length", "expect", "accept-encoding", "x-request-id"];
    CREDENTIALS.contains(&name) || OURS.contains(&name) || is_hop_by_hop(name)
}

/// Headers of a backend that are not for the client: they speak of the backend's connection, site and clock.
fn is_kept_from_client(name: &str) -> bool {
    const NAMES: [&str; 5] = ["set-cookie", "content-length", "alt-svc", "server", "date"];
    NAMES.contains(&name) || is_hop_by_hop(name)
}

/// The headers that a request asks us to present to the backend.
pub(crate) fn for_backend(open: &Open, credential: Option<&(HeaderName, HeaderValue)>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(open.headers.len() + 6);
    let mut client_agent = None;
    for Header { name, value } in &open.headers {
        let named = HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (named, HeaderValue::from_maybe_shared(value.clone())) else { continue };
        if name == header::USER_AGENT {
            client_agent = Some(value);
        } else if !is_kept_from_backend(name.as_str()) {
            headers.append(name, value);
        }
    }
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    if open.endpoint.dialect() == Dialect::Anthropic {
        headers
            .entry(HeaderName::from_static("anthropic-version"))
            .or_insert(HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    present_ourselves(&mut headers, &open.label, client_agent.as_ref());
    if let Some((name, value)) = credential {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

fn present_ourselves(headers: &mut HeaderMap, label: &Label, client_agent: Option<&HeaderValue>) {
    let together = client_agent.and_then(|agent| {
        let both = [AGENT.as_bytes(), b" ", agent.as_bytes()].concat();
        HeaderValue::from_maybe_shared(Bytes::from(both)).ok()
    });
    headers.insert(header::USER_AGENT, together.unwrap_or(HeaderValue::from_static(AGENT)));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Ok(label) = HeaderValue::from_str(label.as_str()) {
        headers.insert(HeaderName::from_static("x-request-id"), label);
    }
}

/// The headers of a probe.
pub(crate) fn for_probe(dialect: Dialect, credential: Option<&(HeaderName, HeaderValue)>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if dialect == Dialect::Anthropic {
        headers.insert(
            HeaderName::from_static("anthropic-version"),
            HeaderValue::from_static(ANTHROPIC_VERSION),
        );
    }
    if let Some((name, value)) = credential {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

/// The headers of a backend's answer that the client may see. The backend's own request id gets another name,
/// because `x-request-id` is ours.
pub(crate) fn for_client(headers: &HeaderMap) -> Vec<Header> {
    let named_by_connection: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let is_for_client = |name: &str| {
        !is_kept_from_client(name) && !named_by_connection.iter().any(|connection| connection == name)
    };
    let renamed = |name: &str| match name {
        "x-request-id" => Box::from("x-upstream-request-id"),
        other => Box::from(other),
    };
    headers
        .iter()
        .filter(|(name, _)| is_for_client(name.as_str()))
        .map(|(name, value)| Header {
            name: renamed(name.as_str()),
            value: Bytes::copy_from_slice(value.as_bytes()),
        })
        .collect()
}

/// The headers of a stream: it is one, whatever the backend called it.
pub(crate) fn of_stream(headers: &HeaderMap) -> Vec<Header> {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if content_type.to_ascii_lowercase().starts_with(b"text/event-stream") {
        return for_client(headers);
    }
    let mut headers = headers.clone();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    for_client(&headers)
}

#[cfg(test)]
mod tests {
    use dialect::Endpoint;
    use ipc_proto::ids::{GrantId, RequestId};

    use super::*;

    fn open(endpoint: Endpoint, headers: &[(&str, &'static str)]) -> Open {
        Open {
            grant: GrantId(1),
            request: RequestId(1),
            label: Label::from_client("mine-1").unwrap(),
            endpoint,
            stream: false,
            model: None,
            lent: false,
            load: dialect::load::LoadEdit::Keep,
            query: None,
            headers: headers
                .iter()
                .map(|(name, value)| Header {
                    name: (*name).into(),
                    value: Bytes::from_static(value.as_bytes()),
                })
                .collect(),
            body_bytes: 0,
        }
    }

    #[test]
    fn credentials_and_hop_by_hop_headers_stay_here() {
        let kept: Vec<_> = ["Authorization", "x-api-key", "cookie", "proxy-authorization", "x-goog-api-key"]
            .into_iter()
            .chain(["host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"])
            .map(|name| (name, "theirs"))
            .collect();
        let bearer = (header::AUTHORIZATION, HeaderValue::from_static("Bearer ours"));
        let headers = for_backend(&open(Endpoint::ChatCompletions, &kept), Some(&bearer));
        assert!(headers.values().all(|value| value != "theirs"), "{headers:?}");
        assert_eq!(headers[header::AUTHORIZATION], "Bearer ours");
        assert_eq!(headers[header::ACCEPT_ENCODING], "identity");
        assert_eq!(headers["x-request-id"], "mine-1");
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        assert!(!headers.contains_key("anthropic-version"));
    }

    #[test]
    fn the_client_keeps_its_own_words() {
        let sent = [("user-agent", "curl/8"), ("anthropic-version", "2024-01-01"), ("anthropic-beta", "x")];
        let headers = for_backend(&open(Endpoint::Messages, &sent), None);
        assert_eq!(headers[header::USER_AGENT], format!("{AGENT} curl/8"));
        assert_eq!(headers["anthropic-version"], "2024-01-01");
        assert_eq!(headers["anthropic-beta"], "x");
        let headers = for_backend(&open(Endpoint::Messages, &[]), None);
        assert_eq!(headers["anthropic-version"], ANTHROPIC_VERSION);
    }

    #[test]
    fn the_client_sees_what_is_meant_for_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("set-cookie", "a=b"),
            ("content-length", "3"),
            ("server", "nginx"),
            ("x-request-id", "theirs"),
            ("x-ratelimit-remaining", "7"),
            ("content-type", "application/json"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let mut names: Vec<_> =
            for_client(&headers).into_iter().map(|header| header.name.into_string()).collect();
        names.sort();
        assert_eq!(names, ["content-type", "x-ratelimit-remaining", "x-upstream-request-id"]);
    }
}
