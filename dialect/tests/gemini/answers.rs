//! Whole answers of a Gemini backend, as a Gemini client gets them.

use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::scene::{self, Asked, terms};

fn ask(config: &Value, stream: bool) -> Asked {
    let body = json!({"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": config});
    scene::ask(
        Endpoint::GenerateContent,
        Dialect::Gemini,
        &body.to_string(),
        stream,
        &terms("gemini-2.5-pro"),
    )
}

fn whole(config: &Value, upstream: &Value) -> Value {
    ask(config, false).whole(&upstream.to_string()).expect("it can be translated")
}

#[test]
fn an_answer_keeps_its_parts_its_reason_and_its_tokens() {
    let upstream = json!({
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "Think.", "thought": true},
                {"text": "Hello"},
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                {"functionCall": {"id": "c1", "name": "f", "args": {"b": 1, "a": 1.0}}, "thoughtSignature": "c2ln"},
                {"executableCode": {"language": "PYTHON", "code": "1"}},
            ]},
            "finishReason": "STOP", "index": 0,
        }],
        "usageMetadata": {"promptTokenCount": 20, "cachedContentTokenCount": 5, "candidatesTokenCount": 10, "thoughtsTokenCount": 7, "totalTokenCount": 37},
        "modelVersion": "gemini-2.5-pro-001",
        "responseId": "xyz",
    });
    assert_eq!(whole(&json!({"thinkingConfig": {"includeThoughts": true}}), &upstream), upstream);
    let mut without = upstream.clone();
    without["candidates"][0]["content"]["parts"].as_array_mut().expect("a list").remove(0);
    assert_eq!(whole(&json!({}), &upstream), without, "thoughts are shown only to those who ask");
}

#[test]
fn calls_without_ids_get_some_and_no_call_is_cut() {
    let upstream = json!({"candidates": [
        {"content": {"parts": [{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}]}, "finishReason": "STOP"},
    ]});
    let parts = whole(&json!({}), &upstream)["candidates"][0]["content"]["parts"].clone();
    assert_eq!(parts[0]["functionCall"]["args"], json!({}));
    let id = |part: usize| parts[part]["functionCall"]["id"].as_str().expect("an id").to_owned();
    assert_ne!(id(0), id(1));
}

#[test]
fn several_candidates_keep_their_numbers_and_likelihoods() {
    let likely = json!({"topCandidates": [{"candidates": [{"token": "A", "logProbability": -0.5}]}], "chosenCandidates": [{"token": "A", "logProbability": -0.5}]});
    let upstream = json!({"candidates": [
        {"content": {"parts": [{"text": "B"}]}, "finishReason": "MAX_TOKENS", "index": 1},
        {"content": {"parts": [{"text": "A"}]}, "finishReason": "STOP", "logprobsResult": likely},
    ]});
    let told = whole(&json!({}), &upstream);
    assert_eq!(told["candidates"][0]["content"]["parts"][0]["text"], "A");
    assert_eq!(told["candidates"][0]["logprobsResult"], likely);
    assert_eq!(told["candidates"][1]["finishReason"], "MAX_TOKENS");
    assert_eq!(told["candidates"][1]["index"], 1);
}

#[test]
fn a_blocked_prompt_is_a_refusal() {
    let told = whole(
        &json!({}),
        &json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}}),
    );
    assert_eq!(told["candidates"][0]["finishReason"], "SAFETY");
    assert_eq!(
        told["candidates"][0]["content"]["parts"][0]["text"],
        "The prompt was blocked: PROHIBITED_CONTENT."
    );
}

#[test]
fn errors_and_halves_are_no_answers() {
    for (upstream, message, status) in [
        (r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#, "busy", Some(503)),
        (
            r#"[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]"#,
            "slow down",
            Some(429),
        ),
        (
            r#"{"candidates":[{"content":{"parts":[{"text":"Hal"}]}}]}"#,
            "sent an answer that does not say why it ended",
            None,
        ),
        ("<html>", "sent a piece of an answer that is not Gemini's JSON", None),
        (
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":[1]}}]},"finishReason":"STOP"}]}"#,
            "called \"f\" with arguments that are not JSON",
            None,
        ),
    ] {
        let error = ask(&json!({}), false).whole(upstream).expect_err("no answer");
        assert_eq!((error.message.as_str(), error.status), (message, status));
    }
}

#[test]
fn a_whole_answer_becomes_a_stream_for_a_client_that_wants_one() {
    let upstream = json!({"candidates": [
        {"content": {"parts": [{"text": "Hello"}, {"functionCall": {"id": "c1", "name": "f", "args": {}}}]}, "finishReason": "STOP"},
    ], "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 3}, "responseId": "x", "modelVersion": "m"});
    let events = scene::events(&ask(&json!({}), true).played(&upstream.to_string()));
    assert_eq!(
        events,
        [
            json!({"candidates": [{"content": {"parts": [{"text": "Hello"}], "role": "model"}, "index": 0}], "modelVersion": "m", "responseId": "x"}),
            json!({"candidates": [{"content": {"parts": [{"functionCall": {"id": "c1", "name": "f", "args": {}}}], "role": "model"}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 3, "totalTokenCount": 5}, "modelVersion": "m", "responseId": "x"}),
        ]
    );
}

#[test]
fn t50_a_limit_of_tokens_is_told_in_a_stream_made_of_a_whole_answer() {
    let upstream = json!({"candidates": [
        {"content": {"parts": [{"text": "Hel"}]}, "finishReason": "MAX_TOKENS"},
    ]});
    let events = scene::events(&ask(&json!({}), true).played(&upstream.to_string()));
    assert_eq!(events[1]["candidates"][0]["finishReason"], "MAX_TOKENS");
}
