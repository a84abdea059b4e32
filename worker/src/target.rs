//! Where at the backend a call goes: paths and query strings below its address. Pure.
//!
//! It promises that a query string never carries a key that is not meant for the backend, and that no path leads out of
//! the backend's address.

use std::borrow::Cow;

use dialect::{Dialect, Endpoint};
use http::Uri;

/// Parameters of a query string that are credentials.
const CREDENTIALS: [&str; 2] = ["key", "access_token"];

/// The path of `endpoint` below a backend's address, for `model` where the path names one.
pub(crate) fn path(endpoint: Endpoint, model: &str, stream: bool) -> Cow<'static, str> {
    let model = if endpoint.dialect() == Dialect::Gemini { bare(model) } else { model };
    let path = endpoint.path(model, stream);
    if endpoint.names_model_in_path() && model.starts_with("tunedModels/") {
        return Cow::Owned(path.replacen("/models/tunedModels/", "/tunedModels/", 1));
    }
    path
}

/// A Gemini model's name without the kind of thing it is.
pub(crate) fn bare(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

/// The address of `path` at the backend whose address is `base_url`; `None` if that is none.
pub(crate) fn address(base_url: &str, path: &str, query: Option<&str>) -> Option<Uri> {
    // An address that names a version of Gemini's API means that one.
    let names_version = base_url.ends_with("/v1beta") || base_url.ends_with("/v1alpha");
    let path = match path.strip_prefix("/v1beta") {
        Some(rest) if names_version && rest.starts_with('/') => rest,
        _ => path,
    };
    let text = match query {
        None | Some("") => format!("{base_url}{path}"),
        Some(query) => format!("{base_url}{path}?{query}"),
    };
    let uri = text.parse::<Uri>().ok();
    uri.filter(|uri| uri.scheme().is_some() && uri.host().is_some())
}

/// Whether `path`, which a client named, stays below the backend's address.
pub(crate) fn is_below(path: &str) -> bool {
    let leads_out = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".").replace("%5c", "/").replace("%2f", "/");
        plain.split(['/', '\\']).any(|piece| piece == "..")
    };
    path.starts_with('/') && !path.contains(['?', '#']) && !path.split('/').any(leads_out)
}

/// The client's `query` as it goes on: without credentials, unless the backend takes those of the caller.
pub(crate) fn query(query: Option<&str>, takes_callers_key: bool) -> Option<Cow<'_, str>> {
    let query = query.filter(|query| !query.is_empty())?;
    let is_credential = |pair: &&str| {
        let name = url::form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name);
        name.is_some_and(|name| CREDENTIALS.contains(&&*name))
    };
    if takes_callers_key || !query.split('&').any(|pair| is_credential(&pair)) {
        return Some(Cow::Borrowed(query));
    }
    let kept: Vec<_> = query.split('&').filter(|pair| !is_credential(pair)).collect();
    (!kept.is_empty()).then(|| Cow::Owned(kept.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_a_path_is_named_once() {
        let path = |model| path(Endpoint::GenerateContent, model, true);
        assert_eq!(path("gemini-x"), "/v1beta/models/gemini-x:streamGenerateContent");
        assert_eq!(path("models/gemini-x"), path("gemini-x"));
        assert_eq!(path("tunedModels/mine"), "/v1beta/tunedModels/mine:streamGenerateContent");
        assert_eq!(super::path(Endpoint::ChatCompletions, "models/m", true), "/v1/chat/completions");
    }

    #[test]
    fn a_version_is_named_once() {
        let address = |base: &str, path: &str| address(base, path, None).map(|uri| uri.to_string());
        for base in ["http://h:1", "http://h:1/v1beta"] {
            assert_eq!(address(base, "/v1beta/models").as_deref(), Some("http://h:1/v1beta/models"));
        }
        assert_eq!(address("http://h/v1alpha", "/v1beta/models").as_deref(), Some("http://h/v1alpha/models"));
        assert_eq!(address("http://h/v1beta", "/v1betas").as_deref(), Some("http://h/v1beta/v1betas"));
        assert_eq!(address("h", "/v1"), None);
    }

    #[test]
    fn credentials_stay_out_of_query_strings() {
        let kept = |text| query(Some(text), false).map(Cow::into_owned);
        assert_eq!(kept("key=k&alt=sse").as_deref(), Some("alt=sse"));
        assert_eq!(kept("alt=sse&%6Bey=k&x=key").as_deref(), Some("alt=sse&x=key"));
        assert_eq!(kept("access_token=t"), None);
        assert_eq!(kept("a=1&b&a=%20").as_deref(), Some("a=1&b&a=%20"));
        assert_eq!(kept(""), None);
        assert_eq!(query(Some("key=k"), true).as_deref(), Some("key=k"));
    }

    #[test]
    fn no_path_leads_out() {
        for good in ["/v1/files", "/v1/files/a..b/content", "/", "/v1/x%20y"] {
            assert!(is_below(good), "{good}");
        }
        for bad in
            ["", "v1", "/v1/../admin", "/..", "/%2e%2E/x", "/a%2f..%2fb", "/a\\..\\b", "/x?y", "@evil/"]
        {
            assert!(!is_below(bad), "{bad}");
        }
    }
}
