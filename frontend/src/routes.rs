//! Path and method to what is asked. One flat table; nothing is looked up.
//!
//! Clients put `/v1` into their base URL or leave it out, some twice; all of that means the same here, and so
//! does a slash at the end.

use dialect::{Dialect, Endpoint};
use http::{HeaderMap, Method};

/// What a request asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    /// A model is to do something.
    Ask(Endpoint),
    /// The models there are.
    Models,
    /// This model.
    Model(String),
    /// Whether the process lives.
    Alive,
    /// The same, with a little more.
    Health,
    /// Whether the instance can serve.
    Ready,
    /// The admin API.
    Admin,
    /// Something known, by a method it does not take; these it takes.
    WrongMethod(&'static str),
    /// Nothing we have.
    Unknown,
}

const READ: &str = "GET, HEAD";
const SUBMIT: &str = "POST";

impl Route {
    /// What `method` and `path` ask for.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let (path, _) = without_version(path);
        let (route, takes) = match path {
            "/chat/completions" => (Self::Ask(Endpoint::ChatCompletions), SUBMIT),
            "/completions" => (Self::Ask(Endpoint::Completions), SUBMIT),
            "/embeddings" => (Self::Ask(Endpoint::Embeddings), SUBMIT),
            "/messages" => (Self::Ask(Endpoint::Messages), SUBMIT),
            "/models" => (Self::Models, READ),
            "/healthz" => (Self::Alive, READ),
            "/health" => (Self::Health, READ),
            "/readyz" => (Self::Ready, READ),
            "/admin" => return Self::Admin,
            _ => match path.strip_prefix("/models/") {
                Some(model) => (Self::Model(percent_decoded(model)), READ),
                None if path.starts_with("/admin/") => return Self::Admin,
                None => return Self::Unknown,
            },
        };
        let fits = match takes {
            SUBMIT => method == Method::POST,
            _ => method == Method::GET || method == Method::HEAD,
        };
        if fits { route } else { Self::WrongMethod(takes) }
    }
}

/// Whether a client key is needed before anything is told about this path: everything under `/v1`, and the same
/// without it.
pub(crate) fn wants_key(route: &Route, path: &str) -> bool {
    match route {
        Route::Ask(_) | Route::Models | Route::Model(_) => true,
        Route::Alive | Route::Health | Route::Ready | Route::Admin => false,
        Route::WrongMethod(_) | Route::Unknown => without_version(path).1,
    }
}

/// The dialect in which this caller understands errors.
pub(crate) fn dialect_of(route: &Route, path: &str, headers: &HeaderMap) -> Dialect {
    let anthropic = match route {
        Route::Ask(endpoint) => return endpoint.dialect(),
        _ => headers.contains_key("anthropic-version") || without_version(path).0.starts_with("/messages"),
    };
    if anthropic { Dialect::Anthropic } else { Dialect::OpenAi }
}

/// The path below the version, and whether there was one.
fn without_version(path: &str) -> (&str, bool) {
    let mut rest = path;
    while let Some(below) = rest.strip_prefix("/v1") {
        if !below.is_empty() && !below.starts_with('/') {
            break;
        }
        rest = below;
    }
    let versioned = rest.len() < path.len();
    (rest.strip_suffix('/').unwrap_or(rest), versioned)
}

/// `text` with `%2F` and its like read; what is no escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let value = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_may_be_there_or_not_or_twice() {
        for path in
            ["/v1/chat/completions", "/chat/completions", "/v1/v1/chat/completions", "/v1/chat/completions/"]
        {
            assert_eq!(Route::of(&Method::POST, path), Route::Ask(Endpoint::ChatCompletions), "{path}");
        }
        assert_eq!(Route::of(&Method::POST, "/v1/messages"), Route::Ask(Endpoint::Messages));
        assert_eq!(Route::of(&Method::POST, "/v11/messages"), Route::Unknown);
        assert_eq!(Route::of(&Method::GET, "/v1"), Route::Unknown);
        assert_eq!(Route::of(&Method::GET, "/"), Route::Unknown);
    }

    #[test]
    fn methods_are_checked() {
        assert_eq!(Route::of(&Method::GET, "/v1/embeddings"), Route::WrongMethod("POST"));
        assert_eq!(Route::of(&Method::OPTIONS, "/v1/messages"), Route::WrongMethod("POST"));
        assert_eq!(Route::of(&Method::POST, "/v1/models"), Route::WrongMethod("GET, HEAD"));
        assert_eq!(Route::of(&Method::HEAD, "/healthz"), Route::Alive);
        assert_eq!(Route::of(&Method::DELETE, "/admin/x"), Route::Admin);
    }

    #[test]
    fn model_names_may_hold_slashes_and_escapes() {
        let model = |path| Route::of(&Method::GET, path);
        assert_eq!(model("/v1/models/org/name:7b"), Route::Model("org/name:7b".to_owned()));
        assert_eq!(model("/models/org%2Fname%"), Route::Model("org/name%".to_owned()));
        assert_eq!(model("/models/"), Route::Models);
    }

    #[test]
    fn unknown_paths_under_the_version_need_a_key() {
        assert!(wants_key(&Route::Unknown, "/v1/what"));
        assert!(!wants_key(&Route::Unknown, "/what"));
        assert!(wants_key(&Route::Models, "/models"));
    }
}
