//! Whole answers.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::exchange::{terms, tried, with};

fn answered(message: &Value, reason: &str) -> Value {
    answer_of(&json!({}), message, reason)
}

fn answer_of(more: &Value, message: &Value, reason: &str) -> Value {
    let body = with(json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}), more);
    let sent = tried(Endpoint::ChatCompletions, Dialect::OpenAi, &terms(Engine::Other), &body.to_string());
    let sent = sent.expect("it can be carried");
    let choice = json!({"index": 0, "message": message, "finish_reason": reason});
    sent.answered(&json!({"id": "x", "model": "big", "choices": [choice], "service_tier": "flex",
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}}).to_string())
}

#[test]
fn a_whole_answer_to_read() {
    let answer = answered(&json!({"role": "assistant", "content": "Hi!"}), "stop");
    let id = answer["id"].as_str().unwrap();
    assert!(id.starts_with("chatcmpl-") && id.len() == 33);
    let expected = json!({"id": id, "object": "chat.completion", "created": 1_700_000_000, "model": "big",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi!", "refusal": null},
            "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4}},
        "service_tier": "flex"});
    assert_eq!(answer, expected);
}

#[test]
fn everything_in_a_message_comes_through() {
    let details = json!([{"type": "reasoning.text", "text": "Hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "format": "anthropic-claude-v1", "index": 1}]);
    let citation = json!({"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "https://x.test", "title": "X"}});
    let image =
        json!({"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}});
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1.0}"},
        "extra_content": {"google": {"thought_signature": "g"}}});
    let message = json!({"role": "assistant", "content": "Hi", "refusal": null, "reasoning_content": "Hm",
        "reasoning_details": details, "annotations": [citation], "images": [image], "tool_calls": [call]});
    let answer = answered(&message, "stop");
    assert_eq!(answer["choices"][0]["message"], message);
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn tp_03_content_is_null_beside_calls_and_refusals_only() {
    let call = json!({"tool_calls": [{"id": "", "function": {"name": "f", "arguments": ""}}], "content": ""});
    let message = &answered(&call, "tool_calls")["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &message["tool_calls"][0]["function"]["arguments"]),
        (&Value::Null, &json!("{}"))
    );
    assert!(message["tool_calls"][0]["id"].as_str().unwrap().starts_with("call_"));
    let refused = &answered(&json!({"refusal": "No", "content": null}), "stop")["choices"][0]["message"];
    assert_eq!((&refused["content"], &refused["refusal"]), (&Value::Null, &json!("No")));
    assert_eq!(answered(&json!({"content": null}), "stop")["choices"][0]["message"]["content"], "");
}

#[test]
fn answers_that_make_no_sense_are_errors() {
    let failed = |answer: &str| {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
        let sent = tried(Endpoint::ChatCompletions, Dialect::OpenAi, &terms(Engine::Other), body).unwrap();
        sent.failed(answer)
    };
    let bad = json!({"message": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{\"a\":"}}]}, "finish_reason": "tool_calls"});
    for (answer, said) in [
        ("<html>".to_owned(), "the answer is not what chat completions send"),
        (json!({"choices": []}).to_string(), "the answer has no choices"),
        (json!({"error": {"message": "oh", "code": 500}}).to_string(), "oh"),
        (json!({"choices": [bad]}).to_string(), "the model called \"f\" with arguments that are not JSON"),
    ] {
        assert_eq!(failed(&answer), said);
    }
}

#[test]
fn t54_a_client_that_wants_a_stream_gets_one_of_a_whole_answer() {
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let sent = tried(Endpoint::ChatCompletions, Dialect::OpenAi, &terms(Engine::Other), body).unwrap();
    let answer =
        json!({"model": "big", "choices": [{"message": {"content": "Hi!"}, "finish_reason": "length"}]});
    let out = sent.played(&answer.to_string());
    assert!(out.contains(r#""delta":{"content":"Hi!"}"#) && out.contains(r#""finish_reason":"length""#));
    assert!(out.ends_with("data: [DONE]\n\n"));
}

#[test]
fn thoughts_are_left_out_where_the_client_says_so() {
    let more = json!({"reasoning": {"exclude": true, "effort": "low"}});
    let message = json!({"content": "Hi", "reasoning_content": "Hm"});
    let answer = answer_of(&more, &message, "stop");
    assert_eq!(answer["choices"][0]["message"].get("reasoning_content"), None);
}

#[test]
fn tr_21_tools_are_called_by_the_names_that_the_client_knows() {
    let name = "x".repeat(80);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": name}}]});
    let sent = tried(Endpoint::ChatCompletions, Dialect::OpenAi, &terms(Engine::Provider), &body.to_string())
        .unwrap();
    let called = sent.json()["tools"][0]["function"]["name"].as_str().unwrap().to_owned();
    assert_eq!(called.len(), 64);
    let call = json!({"id": "c", "type": "function", "function": {"name": called, "arguments": "{}"}});
    let answer = json!({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    let answer = sent.answered(&answer.to_string());
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], name);
}
