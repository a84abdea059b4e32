//! Which headers go to the backend, and which come back. Hop-by-hop headers and credentials go neither way.

use bytes::Bytes;
use dialect::{Dialect, Framing};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipc_proto::ids::Label;
use ipc_proto::stream::{Header, Open};

use crate::call::Call;
use crate::key::Key;

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

/// Headers of a client that mean something in its dialect only, or speak of a body that is written anew.
fn is_of_dialect(name: &str) -> bool {
    const NAMES: [&str; 4] = ["accept", "content-type", "content-encoding", "content-language"];
    const PREFIXES: [&str; 4] = ["anthropic-", "openai-", "x-goog-", "x-stainless-"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The headers that the request `open`, sent as `call`, asks us to present to the backend.
pub(crate) fn for_backend(open: &Open, call: &Call, key: &Key) -> HeaderMap {
    let translated = call.translated_into;
    let mut headers = HeaderMap::with_capacity(open.headers.len() + 6);
    let mut client_agent = None;
    for Header { name, value } in &open.headers {
        let named = HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (named, HeaderValue::from_maybe_shared(value.clone())) else { continue };
        if name == header::USER_AGENT {
            client_agent = Some(value);
        } else if !is_kept_from_backend(name.as_str())
            && (translated.is_none() || !is_of_dialect(name.as_str()))
        {
            headers.append(name, value);
        }
    }
    for (name, value) in &call.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if open.native.is_none() || !call.body.is_empty() {
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    if call.endpoint.dialect() == Dialect::Anthropic {
        headers
            .entry(HeaderName::from_static("anthropic-version"))
            .or_insert(HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    present_ourselves(&mut headers, &open.label, client_agent.as_ref());
    key.show(&open.headers, translated, &mut headers);
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
pub(crate) fn for_probe(dialect: Dialect, key: &Key) -> HeaderMap {
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
    key.show(&[], None, &mut headers);
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
        "x-request-id" | "request-id" => Box::from("x-upstream-request-id"),
        other => Box::from(other),
    };
    let names_two = headers.contains_key("x-request-id") && headers.contains_key("request-id");
    headers
        .iter()
        .filter(|(name, _)| is_for_client(name.as_str()))
        .filter(|(name, _)| !names_two || name.as_str() != "x-request-id")
        .map(|(name, value)| Header {
            name: renamed(name.as_str()),
            value: Bytes::copy_from_slice(value.as_bytes()),
        })
        .collect()
}

/// The headers of a stream that is framed so: it is one, whatever the backend called it.
pub(crate) fn of_stream(headers: &HeaderMap, framing: Framing) -> Vec<Header> {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if content_type.to_ascii_lowercase().starts_with(framing.content_type().as_bytes()) {
        return for_client(headers);
    }
    let mut headers = headers.clone();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(framing.content_type()));
    for_client(&headers)
}

/// The headers of an answer whose body is not the backend's own any more, but of this media type.
pub(crate) fn of_translated(headers: &HeaderMap, content_type: &'static str) -> Vec<Header> {
    const OF_THE_BODY: [HeaderName; 7] = [
        header::CONTENT_ENCODING,
        header::CONTENT_DISPOSITION,
        header::CONTENT_LANGUAGE,
        header::CONTENT_RANGE,
        header::ETAG,
        header::LAST_MODIFIED,
        header::ACCEPT_RANGES,
    ];
    let mut headers = headers.clone();
    for name in OF_THE_BODY {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for_client(&headers)
}

#[cfg(test)]
mod tests {
    use dialect::Endpoint;
    use ipc_proto::ids::{GrantId, ModelName, RequestId};
    use ipc_proto::secret::Secret;

    use super::*;

    fn open(endpoint: Endpoint, headers: &[(&str, &'static str)]) -> Open {
        Open {
            grant: GrantId(1),
            request: RequestId(1),
            label: Label::from_client("mine-1").unwrap(),
            endpoint,
            stream: false,
            model: ModelName::new("m"),
            renamed: false,
            framing: Framing::Events,
            native: None,
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

    fn call(endpoint: Endpoint, translated_into: Option<Dialect>) -> Call {
        let (body, headers) = (Bytes::from_static(b"{}"), Vec::new());
        Call { endpoint, stream: false, body, headers, translated_into, warning: String::new() }
    }

    fn straight(endpoint: Endpoint, headers: &[(&str, &'static str)]) -> HeaderMap {
        for_backend(&open(endpoint, headers), &call(endpoint, None), &Key::None)
    }

    #[test]
    fn credentials_and_hop_by_hop_headers_stay_here() {
        let kept: Vec<_> = ["Authorization", "x-api-key", "cookie", "proxy-authorization", "x-goog-api-key"]
            .into_iter()
            .chain(["host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"])
            .map(|name| (name, "theirs"))
            .collect();
        let key = Key::Ours {
            name: header::AUTHORIZATION,
            value: HeaderValue::from_static("Bearer ours"),
            secret: Secret::new("ours"),
        };
        let chat = Endpoint::ChatCompletions;
        let headers = for_backend(&open(chat, &kept), &call(chat, None), &key);
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
        let headers = straight(Endpoint::Messages, &sent);
        assert_eq!(headers[header::USER_AGENT], format!("{AGENT} curl/8"));
        assert_eq!(headers["anthropic-version"], "2024-01-01");
        assert_eq!(headers["anthropic-beta"], "x");
        let headers = straight(Endpoint::Messages, &[]);
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

    #[test]
    fn what_means_something_in_one_dialect_only_stays_there() {
        let sent = [
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "x"),
            ("x-stainless-lang", "js"),
            ("accept", "application/json"),
            ("content-type", "application/json; odd"),
            ("x-extra", "kept"),
        ];
        let mut sent_as = call(Endpoint::ChatCompletions, Some(Dialect::OpenAi));
        sent_as.headers = vec![("openai-beta", "ours".to_owned())];
        let headers = for_backend(&open(Endpoint::Messages, &sent), &sent_as, &Key::None);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected =
            ["accept-encoding", "content-type", "openai-beta", "user-agent", "x-extra", "x-request-id"];
        assert_eq!(names, expected);
        assert_eq!(
            (&headers["content-type"], &headers["openai-beta"]),
            (&"application/json".parse().unwrap(), &"ours".parse().unwrap())
        );
        let to_anthropic = call(Endpoint::Messages, Some(Dialect::Anthropic));
        let headers = for_backend(&open(Endpoint::ChatCompletions, &[]), &to_anthropic, &Key::None);
        assert_eq!(headers["anthropic-version"], ANTHROPIC_VERSION);
    }

    #[test]
    fn a_translated_answer_keeps_what_does_not_speak_of_its_body() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("etag", "x"),
            ("request-id", "theirs"),
            ("x-request-id", "a gateway's"),
            ("retry-after", "3"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let kept = of_translated(&headers, "text/event-stream");
        let mut kept: Vec<_> =
            kept.iter().map(|header| (&*header.name, std::str::from_utf8(&header.value).unwrap())).collect();
        kept.sort_unstable();
        let expected = [
            ("content-type", "text/event-stream"),
            ("retry-after", "3"),
            ("x-upstream-request-id", "theirs"),
        ];
        assert_eq!(kept, expected);
    }
}
