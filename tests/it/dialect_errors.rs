//! TE: errors of every backend dialect for clients of every dialect, before the answer and inside it.

use dialect::Dialect::{self, Anthropic, Gemini, Ollama, OpenAi, Responses};
use serde_json::{Value, json};

use crate::support::replay::MODEL;
use crate::support::{Answer, Gate, Instance, Script, Upstream, speaker};

fn staged(backend: Dialect) -> (Upstream, Instance) {
    let upstream = speaker::upstream(MODEL);
    let instance = speaker::once().backend("b1", &upstream, speaker::settings(backend)).start();
    (upstream, instance)
}

/// What an error says: type, code, message.
type Said = (Option<String>, Option<String>, String);

/// The error in `body`, which must have the form that clients of `dialect` expect.
#[track_caller]
fn said(dialect: Dialect, body: &Value, status: u16, request_id: &str) -> Said {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let error = &body["error"];
    let message = if dialect == Ollama { text(error) } else { text(&error["message"]) };
    let message = message.unwrap_or_else(|| panic!("{dialect:?}: {body}"));
    match dialect {
        OpenAi | Responses => {
            assert!(error.get("param").is_some() && error.get("code").is_some(), "{body}");
            (text(&error["type"]), text(&error["code"]), message)
        }
        Anthropic => {
            assert_eq!((&body["type"], &body["request_id"]), (&json!("error"), &json!(request_id)), "{body}");
            (text(&error["type"]), None, message)
        }
        Gemini => {
            assert_eq!(error["code"], status, "{body}");
            let details = &error["details"][0];
            if !details.is_null() {
                assert_eq!(details["metadata"]["requestId"], request_id, "{body}");
            }
            (text(&error["status"]), text(&details["reason"]), message)
        }
        Ollama => (None, None, message),
    }
}

/// The type that a client of `dialect` knows for `status`.
fn kind(dialect: Dialect, status: u16) -> Option<&'static str> {
    let (openai, anthropic, gemini) = match status {
        400 => ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
        401 => ("invalid_request_error", "authentication_error", "UNAUTHENTICATED"),
        403 => ("permission_error", "permission_error", "PERMISSION_DENIED"),
        404 => ("invalid_request_error", "not_found_error", "NOT_FOUND"),
        413 => ("invalid_request_error", "request_too_large", "INVALID_ARGUMENT"),
        429 => ("rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        503 | 529 => ("server_error", "overloaded_error", "UNAVAILABLE"),
        _ => ("server_error", "api_error", "UNAVAILABLE"),
    };
    match dialect {
        OpenAi | Responses => Some(openai),
        Anthropic => Some(anthropic),
        Gemini => Some(gemini),
        Ollama => None,
    }
}

/// Makes `upstream` answer with this error, once.
fn fail(upstream: &Upstream, backend: Dialect, status: u16, more: &[(&str, &str)]) {
    let headers = [&[("content-type", "application/json"), ("x-request-id", "theirs")], more].concat();
    let body = speaker::error(backend, status, &format!("the backend says {status}"));
    upstream.next(Script::answer(status, &headers, body.as_bytes()));
}

#[track_caller]
fn ask(instance: &Instance, client: Dialect, stream: bool) -> Answer {
    let answer = speaker::ask(&instance.client(), client, MODEL, stream, json!({}));
    assert_eq!(answer.header("x-proxylm-error-source"), Some("upstream"), "{}", answer.text());
    if client == Anthropic {
        assert_eq!(
            answer.header("request-id"),
            Some(&*answer.request_id()),
            "Anthropic's clients read this one"
        );
    }
    answer
}

/// Refusals of a backend that speaks `backend`, told to everybody.
fn refusals(backend: Dialect) {
    let (upstream, instance) = staged(backend);
    for client in Dialect::ALL {
        for (n, status) in [400, 401, 403, 404, 413, 422].into_iter().enumerate() {
            fail(&upstream, backend, status, &[]);
            let answer = ask(&instance, client, n % 2 == 0);
            let place = format!("{backend:?} to {client:?}: {status}");
            assert_eq!(answer.status, status, "{place}: {}", answer.text());
            let id = answer.request_id();
            assert_eq!(answer.header("x-upstream-request-id"), Some("theirs"), "{place}");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{place}");
            let record = instance.ended(&id);
            assert_eq!((record.state.as_str(), record.upstream_status), ("failed", Some(status)), "{place}");
            if client == backend {
                assert_eq!(
                    answer.text(),
                    speaker::error(backend, status, &format!("the backend says {status}"))
                );
                continue;
            }
            let (type_, code, message) = said(client, &answer.json(), status, &id);
            assert_eq!(message, format!("the backend says {status}"), "{place}");
            if status != 422 {
                assert_eq!(type_.as_deref(), kind(client, status), "{place}");
            }
            let has_code = matches!(backend, OpenAi | Responses) && !matches!(client, Anthropic | Ollama);
            assert_eq!(code.as_deref(), has_code.then_some("the_code"), "{place}");
        }
    }
}

#[test]
fn te_refusals_of_openai_are_told_in_every_dialect() {
    refusals(OpenAi);
}

#[test]
fn te_refusals_of_responses_are_told_in_every_dialect() {
    refusals(Responses);
}

#[test]
fn te_refusals_of_anthropic_are_told_in_every_dialect() {
    refusals(Anthropic);
}

#[test]
fn te_refusals_of_gemini_are_told_in_every_dialect() {
    refusals(Gemini);
}

#[test]
fn te_refusals_of_ollama_are_told_in_every_dialect() {
    refusals(Ollama);
}

/// One failure of a fresh backend, told to a client: nobody else could serve it.
fn failure(backend: Dialect, client: Dialect, status: u16) {
    let (upstream, instance) = staged(backend);
    let more: &[_] = if status == 500 { &[] } else { &[("retry-after", "7")] };
    fail(&upstream, backend, status, more);
    let answer = ask(&instance, client, status == 429);
    let expected = match (status, client) {
        (500, _) => 502,
        (529, Anthropic) => 529,
        (529, _) => 503,
        _ => status,
    };
    let place = format!("{backend:?} to {client:?}: {status}");
    assert_eq!(answer.status, expected, "{place}: {}", answer.text());
    let (type_, code, _) = said(client, &answer.json(), expected, &answer.request_id());
    assert_eq!(type_.as_deref(), kind(client, expected), "{place}");
    let word = if status == 500 { "backend_error" } else { "backend_overloaded" };
    if !matches!(client, Anthropic | Ollama) {
        assert_eq!(code.as_deref(), Some(word), "{place}");
    }
    assert_eq!(answer.header("retry-after"), (status != 500).then_some("7"), "{place}");
    let record = instance.ended(&answer.request_id());
    let told = (record.state.as_str(), record.http_status, record.upstream_status);
    assert_eq!(told, ("failed", Some(expected), Some(status)), "{place}");
    assert_eq!(record.error_code, word, "{place}");
    assert!(record.error.contains(&format!("the backend says {status}")), "{place}: {}", record.error);
}

#[test]
fn te_failures_of_every_backend_are_told_with_their_status_and_when_to_come_again() {
    for (n, backend) in Dialect::ALL.into_iter().enumerate() {
        for (m, client) in Dialect::ALL.into_iter().enumerate() {
            failure(backend, client, [429, 500, 503, 529][(n + m) % 4]);
        }
    }
}

#[test]
fn te_529_is_overloaded_for_an_anthropic_client_also_inside_the_stream() {
    let (upstream, instance) = staged(Anthropic);
    let busy = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    upstream.next(Script::stream(&[busy]));
    let answer = ask(&instance, Anthropic, true);
    answer.assert_anthropic_error(529, "overloaded_error");
    assert!(answer.header("retry-after").is_some());
}

#[test]
fn t110_t111_te_what_is_no_json_and_numbers_for_codes_are_told_too() {
    let (upstream, instance) = staged(OpenAi);
    let html = b"<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>";
    upstream.next(Script::answer(403, &[("content-type", "text/html")], html));
    let answer = ask(&instance, Anthropic, true);
    answer.assert_anthropic_error(403, "permission_error");
    assert!(answer.text().contains("Forbidden") && !answer.text().contains("<h1>"), "{}", answer.text());
    let numbered = br#"{"error":{"message":"too long","type":"invalid_request_error","code":400}}"#;
    upstream.next(Script::answer(400, &[("content-type", "application/json")], numbered));
    let answer = ask(&instance, Gemini, false);
    assert_eq!((answer.status, answer.json()["error"]["message"].as_str()), (400, Some("too long")));
    upstream.next(Script::answer(400, &[], b""));
    let answer = ask(&instance, Ollama, false);
    assert!(answer.json()["error"].as_str().is_some_and(|text| text.contains("400")), "{}", answer.text());
}

/// What tells `client` of an error inside a stream: the last event, as JSON.
#[track_caller]
fn last_event(client: Dialect, text: &str) -> Value {
    let last = if client == Ollama {
        text.trim_end().lines().last().unwrap_or_default()
    } else {
        text.trim_end().rsplit("data: ").next().unwrap_or_default()
    };
    serde_json::from_str(last).unwrap_or_else(|_| panic!("{client:?}: {text}"))
}

#[test]
fn te_ts_06_a_connection_that_is_cut_ends_no_stream_well() {
    for backend in Dialect::ALL {
        let (upstream, instance) = staged(backend);
        for client in Dialect::ALL {
            let events = speaker::events(backend, MODEL, &["Hel", "lo"]);
            // Enough that words have gone out, and the end has not.
            let begun = events.len() - if backend == Responses { 4 } else { 2 };
            let gate = Gate::default();
            let head = Script::head_of(speaker::content_type(backend)).chunk(events[..begun].concat());
            upstream.next(head.wait(&gate).reset());
            let mut stream = speaker::start(&instance.client(), client, MODEL, true, json!({})).stream();
            let place = format!("{backend:?} to {client:?}");
            assert_eq!(stream.status(), 200, "{place}");
            assert!(stream.next_piece().is_some(), "{place}: something has gone out");
            gate.open(1);
            let answer = stream.rest();
            let text = answer.text();
            assert!(answer.complete && text.contains("Hel"), "{place}: {text}");
            let event = last_event(client, &text);
            let error = &event["error"];
            assert!(error.is_object() || error.is_string(), "{place}: {text}");
            for end in ["[DONE]", "message_stop", "response.completed", "\"done\":true", "\"STOP\""] {
                assert!(!text.contains(end), "{place}: {text}");
            }
            let record = instance.ended(&answer.request_id());
            let told = (record.state.as_str(), record.error_code.as_str(), record.attempts);
            assert_eq!(told, ("failed", "stream_aborted", 1), "{place}");
        }
    }
}
