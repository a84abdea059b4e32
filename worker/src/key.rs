//! Which key the backend is shown: one of ours, the caller's own, or none.
//!
//! It promises that our key appears nowhere but in a request's header, and that a caller's key goes only to a backend
//! that is said to take it.

use std::borrow::Cow;

use bytes::Bytes;
use dialect::Dialect;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipc_proto::secret::Secret;
use ipc_proto::spec::{Credential, WorkerSpec};
use ipc_proto::stream::Header;

use crate::upstream::SpecError;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// How Anthropic's tokens for a person's own account begin; other than keys they are shown as bearers.
const PERSONAL_TOKEN: &[u8] = b"sk-ant-oat";

/// The key for a backend.
pub(crate) enum Key {
    /// None: it wants none.
    None,
    /// The one of the configuration.
    Ours {
        /// The header that shows it.
        name: HeaderName,
        /// What that header says.
        value: HeaderValue,
        /// To find the key where a backend repeats it.
        secret: Secret,
    },
    /// Whatever the caller shows us.
    Callers,
}

impl Key {
    /// The key that `spec` speaks of. Fails if it cannot be sent.
    pub(crate) fn of(spec: &WorkerSpec) -> Result<Self, SpecError> {
        let Some(credential) = &spec.credential else {
            return Ok(if spec.takes_callers_key { Self::Callers } else { Self::None });
        };
        let (name, secret, prefix) = match credential {
            Credential::Bearer(secret) => (header::AUTHORIZATION, secret, "Bearer "),
            Credential::ApiKey(secret) => (X_API_KEY, secret, ""),
            Credential::GoogleKey(secret) => (X_GOOG_API_KEY, secret, ""),
        };
        // The one place where the key is used.
        let text = format!("{prefix}{}", secret.expose());
        let mut value = HeaderValue::try_from(text).map_err(|_| SpecError::Key)?;
        value.set_sensitive(true);
        Ok(Self::Ours { name, value, secret: secret.clone() })
    }

    /// Whether the caller's own credentials go on.
    pub(crate) fn is_callers(&self) -> bool {
        matches!(self, Self::Callers)
    }

    /// Puts it into the `headers` of a request that the caller made with the headers `theirs`. Where the request is
    /// `translated`, a caller's key is shown in the way of that dialect.
    pub(crate) fn show(&self, theirs: &[Header], translated: Option<Dialect>, headers: &mut HeaderMap) {
        match self {
            Self::None => {}
            Self::Ours { name, value, .. } => {
                headers.insert(name.clone(), value.clone());
            }
            Self::Callers => match translated {
                None => show_as_it_is(theirs, headers),
                Some(dialect) => show_in(dialect, theirs, headers),
            },
        }
    }

    /// `text`, which came from the backend, without our key in it.
    pub(crate) fn hidden_in<'text>(&self, text: &'text str) -> Cow<'text, str> {
        match self {
            // To find the key where a backend repeats it.
            Self::Ours { secret, .. } if !secret.expose().is_empty() => {
                Cow::Owned(text.replace(secret.expose(), "[secret]"))
            }
            _ => Cow::Borrowed(text),
        }
    }
}

fn show_as_it_is(theirs: &[Header], headers: &mut HeaderMap) {
    for name in [header::AUTHORIZATION, X_API_KEY, X_GOOG_API_KEY] {
        if let Some(value) = said_in(theirs, &name) {
            put(headers, name, value.clone());
        }
    }
}

fn show_in(dialect: Dialect, theirs: &[Header], headers: &mut HeaderMap) {
    let bearer = said_in(theirs, &header::AUTHORIZATION).and_then(bearer_in);
    let Some(key) =
        [X_API_KEY, X_GOOG_API_KEY].iter().find_map(|name| said_in(theirs, name).cloned()).or(bearer)
    else {
        return;
    };
    match dialect {
        Dialect::Anthropic if !key.starts_with(PERSONAL_TOKEN) => put(headers, X_API_KEY, key),
        Dialect::Gemini => put(headers, X_GOOG_API_KEY, key),
        _ => put(headers, header::AUTHORIZATION, Bytes::from([b"Bearer ", &key[..]].concat())),
    }
}

/// `text`, which came from the backend, without the credentials that the caller showed in the headers `theirs`.
pub(crate) fn without_callers<'text>(theirs: &[Header], text: &'text str) -> Cow<'text, str> {
    let mut hidden = Cow::Borrowed(text);
    for name in [header::AUTHORIZATION, X_API_KEY, X_GOOG_API_KEY] {
        let value = said_in(theirs, &name).and_then(|value| std::str::from_utf8(value).ok());
        let key = value.map(|value| value.rsplit(' ').next().unwrap_or(value));
        if let Some(key) = key.filter(|key| !key.is_empty() && hidden.contains(*key)) {
            hidden = Cow::Owned(hidden.replace(key, "[secret]"));
        }
    }
    hidden
}

fn said_in<'a>(theirs: &'a [Header], name: &HeaderName) -> Option<&'a Bytes> {
    let header = theirs.iter().find(|header| header.name.eq_ignore_ascii_case(name.as_str()))?;
    Some(&header.value)
}

fn bearer_in(value: &Bytes) -> Option<Bytes> {
    const SCHEME: &[u8] = b"bearer ";
    let scheme = value.get(..SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| value.slice(SCHEME.len()..))
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: Bytes) {
    if let Ok(mut value) = HeaderValue::from_maybe_shared(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(theirs: &[(&str, &'static str)], translated: Option<Dialect>) -> Vec<String> {
        let theirs: Vec<_> = theirs
            .iter()
            .map(|&(name, value)| Header { name: name.into(), value: Bytes::from_static(value.as_bytes()) })
            .collect();
        let mut headers = HeaderMap::new();
        Key::Callers.show(&theirs, translated, &mut headers);
        let text =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        headers.iter().map(text).collect()
    }

    #[test]
    fn a_callers_key_that_the_backend_repeats_is_hidden() {
        let header = |name: &str, value: &'static str| Header {
            name: name.into(),
            value: Bytes::from_static(value.as_bytes()),
        };
        let theirs =
            [header("authorization", "Bearer sk-1"), header("x-api-key", "sk-2"), header("x-more", "no")];
        let hidden = without_callers(&theirs, "no sk-1, and no sk-2");
        assert_eq!(hidden, "no [secret], and no [secret]");
        assert_eq!(without_callers(&[header("x-api-key", "")], "as it is"), "as it is");
    }

    #[test]
    fn a_callers_key_is_shown_as_it_came_or_in_the_way_of_the_backend() {
        let bearer = ("authorization", "Bearer k");
        assert_eq!(shown(&[bearer, ("cookie", "c")], None), ["authorization: Bearer k"]);
        assert_eq!(shown(&[("x-api-key", "k")], None), ["x-api-key: k"]);
        for (to, expected) in [
            (Dialect::OpenAi, "authorization: Bearer k"),
            (Dialect::Responses, "authorization: Bearer k"),
            (Dialect::Anthropic, "x-api-key: k"),
            (Dialect::Gemini, "x-goog-api-key: k"),
        ] {
            for theirs in [bearer, ("x-api-key", "k"), ("x-goog-api-key", "k")] {
                assert_eq!(shown(&[theirs], Some(to)), [expected], "{theirs:?}");
            }
        }
        let personal = ("authorization", "bearer sk-ant-oat1");
        assert_eq!(shown(&[personal], Some(Dialect::Anthropic)), ["authorization: Bearer sk-ant-oat1"]);
        assert!(shown(&[], Some(Dialect::OpenAi)).is_empty());
        assert!(shown(&[("authorization", "Basic k")], Some(Dialect::OpenAi)).is_empty());
    }
}
