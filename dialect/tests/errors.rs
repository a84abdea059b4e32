//! What backends say when they fail, and how a client of every dialect hears it.

use dialect::Dialect::{self, Anthropic, Gemini, Ollama, OpenAi, Responses};
use dialect::error::{Told, read, retold, status_for};
use serde_json::{Value, json};

fn told(message: &str, code: Option<&str>, kind: Option<&str>, param: Option<&str>) -> Told {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Told { message: message.to_owned(), code: owned(code), kind: owned(kind), param: owned(param) }
}

fn said(from: Dialect, to: Dialect, status: u16, body: &str) -> Value {
    serde_json::from_slice(&retold(from, to, status, body.as_bytes(), "r-1")).expect("a body is always JSON")
}

#[test]
fn te_every_dialects_own_form_is_read_whole() {
    for (dialect, body, expected) in [
        (
            OpenAi,
            r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            told(
                "too long",
                Some("context_length_exceeded"),
                Some("invalid_request_error"),
                Some("messages"),
            ),
        ),
        (
            Responses,
            r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}"#,
            told("no", None, Some("invalid_request_error"), None),
        ),
        (
            Anthropic,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
            told("Overloaded", None, Some("overloaded_error"), None),
        ),
        (
            Gemini,
            r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#,
            told("API key not valid.", Some("API_KEY_INVALID"), Some("INVALID_ARGUMENT"), None),
        ),
        (
            Gemini,
            r#"[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]"#,
            told("slow", Some("429"), Some("RESOURCE_EXHAUSTED"), None),
        ),
        (Ollama, r#"{"error":"model \"m\" not found"}"#, told("model \"m\" not found", None, None, None)),
    ] {
        assert_eq!(read(dialect, 400, body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn te_the_forms_of_engines_and_gateways_are_read_too() {
    for (body, expected) in [
        (
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#,
            told("too long", Some("400"), Some("BadRequestError"), None),
        ),
        (r#"{"detail":"Not Found"}"#, told("Not Found", None, None, None)),
        (
            r#"{"detail":[{"loc":["body","messages",0],"msg":"field required","type":"missing"},{"loc":["body"],"msg":"bad"}]}"#,
            told("body.messages.0: field required; body: bad", None, None, None),
        ),
        (r#"{"detail":{"error":{"message":"deep"}}}"#, told("deep", None, None, None)),
        (
            r#"{"error":"Unauthorized","message":"give a key"}"#,
            told("give a key", None, Some("Unauthorized"), None),
        ),
        (r#"{"errors":[{"message":"first","code":7}]}"#, told("first", Some("7"), None, None)),
        (r#""only words""#, told("only words", None, None, None)),
        (
            r#"{"error":{"message":null,"type":"api_error"}}"#,
            told("api_error (HTTP status 502)", None, Some("api_error"), None),
        ),
    ] {
        assert_eq!(read(OpenAi, 502, body.as_bytes()), expected, "{body}");
    }
    for nothing in ["", " \n", "{}", "[]", "null", r#"{"error":""}"#, r#"{"error":{}}"#, "<html></html>"] {
        let message = read(Anthropic, 502, nothing.as_bytes()).message;
        assert_eq!(message, "the backend answered with HTTP status 502 and said no more", "{nothing}");
    }
}

#[test]
fn t110_a_page_or_plain_text_becomes_a_message() {
    let page = "<!DOCTYPE html>\n<html><head><style>p { color: red }</style><title>502 Bad Gateway</title>\
        <script>if (1 < 2) {}</script></head>\n<body><!-- <b>x</b> --><h1>Bad\u{a0}Gateway</h1>\n<p>nginx &amp; co</p></body></html>";
    let expected = "502 Bad Gateway Bad Gateway nginx & co";
    assert_eq!(read(OpenAi, 502, page.as_bytes()).message, expected);
    let body = said(OpenAi, Anthropic, 502, page);
    assert_eq!(body["error"], json!({"type": "api_error", "message": expected}));
    assert_eq!(
        said(Ollama, OpenAi, 503, "upstream\r\n timed  out")["error"]["message"],
        "upstream timed out"
    );
    let long = read(OpenAi, 500, "é ".repeat(1 << 20).as_bytes()).message;
    assert!(long.len() < 1100 && long.ends_with('…'), "{}", long.len());
    assert!(read(OpenAi, 500, b"\xff\xfe bytes \x00").message.contains("bytes"));
}

#[test]
fn t111_a_code_is_a_text_a_number_or_nothing() {
    for (code, expected) in [
        ("\"bad_thing\"", json!("bad_thing")),
        ("429", json!(null)),
        ("null", json!(null)),
        ("[1]", json!(null)),
    ] {
        let body = format!(r#"{{"error":{{"message":"m","code":{code}}}}}"#);
        let heard = said(OpenAi, OpenAi, 429, &body);
        assert_eq!(
            heard["error"],
            json!({"message": "m", "type": "rate_limit_error", "param": null, "code": expected})
        );
    }
}

#[test]
fn te_types_follow_the_table_of_the_client_both_ways() {
    let anthropic = |kind: &str| format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"}}}}"#);
    for (status, kind, openai, gemini) in [
        (400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
        (401, "authentication_error", "invalid_request_error", "UNAUTHENTICATED"),
        (402, "billing_error", "insufficient_quota", "FAILED_PRECONDITION"),
        (403, "permission_error", "permission_error", "PERMISSION_DENIED"),
        (404, "not_found_error", "invalid_request_error", "NOT_FOUND"),
        (413, "request_too_large", "invalid_request_error", "INVALID_ARGUMENT"),
        (429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        (500, "api_error", "server_error", "INTERNAL"),
        (504, "timeout_error", "server_error", "DEADLINE_EXCEEDED"),
        (529, "overloaded_error", "server_error", "UNAVAILABLE"),
    ] {
        let body = anthropic(kind);
        assert_eq!(said(Anthropic, OpenAi, status, &body)["error"]["type"], openai, "{status}");
        assert_eq!(said(Anthropic, Responses, status, &body)["error"]["type"], openai, "{status}");
        assert_eq!(said(Anthropic, Gemini, status, &body)["error"]["status"], gemini, "{status}");
        assert_eq!(said(Anthropic, Ollama, status, &body), json!({"error": "m"}), "{status}");
        let body = said(OpenAi, Anthropic, status, r#"{"error":{"message":"m","type":"x"}}"#);
        let expected = json!({"type": "error", "error": {"type": kind, "message": "m"}, "request_id": "r-1"});
        assert_eq!(body, expected, "{status}");
    }
}

#[test]
fn te_code_and_field_are_kept_where_the_client_has_a_place() {
    let body = r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    let gemini = said(OpenAi, Gemini, 400, body);
    assert_eq!(gemini["error"]["code"], 400);
    assert_eq!(gemini["error"]["details"][0]["reason"], "context_length_exceeded");
    assert_eq!(gemini["error"]["details"][0]["metadata"]["field"], "messages");
    let back = said(Gemini, OpenAi, 400, &gemini.to_string());
    assert_eq!(back, serde_json::from_str::<Value>(body).unwrap());
    let plain = said(Anthropic, Gemini, 500, r#"{"error":{"message":"m"}}"#);
    assert_eq!(plain, json!({"error": {"code": 500, "message": "m", "status": "INTERNAL"}}));
}

#[test]
fn te_529_is_anthropics_own() {
    for dialect in Dialect::ALL {
        let expected = if dialect == Anthropic { 529 } else { 503 };
        assert_eq!((status_for(dialect, 529), status_for(dialect, 429)), (expected, 429));
    }
    assert_eq!(said(Anthropic, Gemini, 529, "{}")["error"]["code"], 503);
}
