//! Native lanes: paths whose first piece names a backend or its kind, and which lead there and nowhere else.
//!
//! Below the piece stands what the backend itself would be asked. What is an operation of a dialect it speaks is
//! treated as such, so that it is counted and edited like any other; everything else goes through untouched, by
//! whatever method. Our own paths come first: a backend called `models` cannot be reached in this way.

use dialect::{Dialect, Endpoint};
use http::Method;
use ipc_proto::spec::{BackendKind, KnownBackend};
use ipc_proto::stream::NativeCall;

use crate::call::{Call, Lane};
use crate::routes::{Route, percent_decoded};

/// Where `method` and `path` lead by a lane to one of `backends`, if they do.
pub(crate) fn lead(backends: &[KnownBackend], method: &Method, path: &str) -> Option<Route> {
    let path = path.strip_prefix('/')?;
    let at = path.find('/')?;
    let (prefix, below) = path.split_at(at);
    let backend = backend(backends, &percent_decoded(prefix))?;
    let spoken = &backend.dialects;
    let dialect = spoken.first().copied().unwrap_or(Dialect::OpenAi);
    let lane = Lane { backend: backend.id, dialect, native: None };
    let call = match Route::of(method, below) {
        Route::Ask(call) if spoken.contains(&call.endpoint.dialect()) && is_plain(below) => {
            Call { lane: Some(lane), ..*call }
        }
        _ => {
            let native = NativeCall { method: method.as_str().to_owned(), path: below.to_owned() };
            let lane = Lane { native: Some(Box::new(native)), ..lane };
            Call { lane: Some(lane), ..Call::of(Endpoint::Native) }
        }
    };
    Some(Route::Ask(Box::new(call)))
}

/// The backend of this name, else the first of the kind that the prefix means.
fn backend<'a>(backends: &'a [KnownBackend], prefix: &str) -> Option<&'a KnownBackend> {
    let is_meant = |kind: BackendKind| match prefix {
        "openai" => matches!(kind, BackendKind::OpenAi | BackendKind::OpenAiResponses),
        "anthropic" => kind == BackendKind::Anthropic,
        "gemini" => kind == BackendKind::Gemini,
        _ => false,
    };
    let named = backends.iter().find(|backend| backend.name == prefix);
    named.or_else(|| backends.iter().find(|backend| is_meant(backend.kind)))
}

/// Whether an operation at this path is the same at the path where it is usually asked for.
fn is_plain(path: &str) -> bool {
    !path.starts_with("/v1alpha/") && !path.contains("/tunedModels/")
}

#[cfg(test)]
mod tests {
    use ipc_proto::ids::BackendId;

    use super::*;

    fn backends() -> Vec<KnownBackend> {
        let backend = |id, name: &str, kind| KnownBackend {
            id: BackendId(id),
            name: name.to_owned(),
            kind,
            dialects: kind.dialects().to_vec(),
            takes_callers_key: false,
        };
        vec![
            backend(1, "local", BackendKind::Vllm),
            backend(2, "claude", BackendKind::Anthropic),
            backend(3, "codex", BackendKind::OpenAiResponses),
            backend(4, "second", BackendKind::OpenAi),
            backend(5, "goo gle", BackendKind::Gemini),
        ]
    }

    /// Operation, backend, dialect, and what of it is native.
    type Led = (Endpoint, u32, Dialect, Option<NativeCall>);

    fn led(method: &Method, path: &str) -> Option<Led> {
        let Route::Ask(call) = lead(&backends(), method, path)? else { return None };
        let (endpoint, dialect) = (call.endpoint, call.dialect());
        let lane = call.lane?;
        Some((endpoint, lane.backend.0, dialect, lane.native.map(|native| *native)))
    }

    #[test]
    fn a_lane_is_named_by_backend_or_by_kind() {
        let post = |path| led(&Method::POST, path).map(|led| led.1);
        for (path, wanted) in [
            ("/openai/v1/x", Some(3)),
            ("/second/v1/x", Some(4)),
            ("/anthropic/v1/x", Some(2)),
            ("/gemini/v1beta/x", Some(5)),
            ("/goo%20gle/x", Some(5)),
            ("/local/x", Some(1)),
            ("/vllm/x", None),
            ("/local", None),
            ("//x", None),
            ("local/x", None),
        ] {
            assert_eq!(post(path), wanted, "{path}");
        }
    }

    #[test]
    fn a_name_comes_before_a_kind() {
        let mut backends = backends();
        backends[0].name = "anthropic".to_owned();
        let Some(Route::Ask(call)) = lead(&backends, &Method::POST, "/anthropic/v1/messages") else {
            panic!("it leads somewhere")
        };
        assert_eq!(call.lane.map(|lane| lane.backend), Some(BackendId(1)));
        assert_eq!(call.endpoint, Endpoint::Native, "it does not speak it");
    }

    #[test]
    fn known_operations_stay_what_they_are_where_they_are_spoken() {
        assert_eq!(
            led(&Method::POST, "/openai/chat/completions"),
            Some((Endpoint::ChatCompletions, 3, Dialect::OpenAi, None))
        );
        assert_eq!(
            led(&Method::POST, "/anthropic/v1/messages"),
            Some((Endpoint::Messages, 2, Dialect::Anthropic, None))
        );
        assert_eq!(
            led(&Method::POST, "/gemini/v1beta/models/g:countTokens"),
            Some((Endpoint::GeminiCountTokens, 5, Dialect::Gemini, None))
        );
    }

    #[test]
    fn what_a_backend_is_said_to_speak_counts_and_not_its_kind() {
        let mut backends = backends();
        backends[0].dialects = vec![Dialect::Anthropic];
        for (path, wanted) in
            [("/local/v1/messages", Endpoint::Messages), ("/local/v1/chat/completions", Endpoint::Native)]
        {
            let Some(Route::Ask(call)) = lead(&backends, &Method::POST, path) else {
                panic!("it leads somewhere")
            };
            assert_eq!(call.endpoint, wanted, "{path}");
            assert_eq!(call.lane.as_ref().map(|lane| lane.dialect), Some(Dialect::Anthropic), "{path}");
        }
    }

    #[test]
    fn everything_else_goes_through_untouched() {
        for (method, path, backend, dialect, below) in [
            (Method::GET, "/openai/v1/models", 3, Dialect::Responses, "/v1/models"),
            (Method::POST, "/local/v1/messages", 1, Dialect::OpenAi, "/v1/messages"),
            (Method::DELETE, "/anthropic/v1/files/a%2Fb/", 2, Dialect::Anthropic, "/v1/files/a%2Fb/"),
            (
                Method::POST,
                "/gemini/v1alpha/models/g:generateContent",
                5,
                Dialect::Gemini,
                "/v1alpha/models/g:generateContent",
            ),
            (Method::GET, "/local/", 1, Dialect::OpenAi, "/"),
        ] {
            let native = Some(NativeCall { method: method.as_str().to_owned(), path: below.to_owned() });
            assert_eq!(led(&method, path), Some((Endpoint::Native, backend, dialect, native)), "{path}");
        }
    }
}
