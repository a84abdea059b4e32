//! Whole answers of Anthropic's backends for OpenAI's clients.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried};

fn asked() -> Exchange {
    let body = r#"{"model":"claude","messages":[{"role":"user","content":"Hi"}]}"#;
    tried(Endpoint::ChatCompletions, Dialect::Anthropic, &terms(Engine::Provider), body)
        .expect("it can be carried")
}

fn message(content: &Value, reason: &str) -> String {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": content,
        "stop_reason": reason, "stop_sequence": if reason == "stop_sequence" { json!("END") } else { Value::Null },
        "usage": {"input_tokens": 8, "output_tokens": 3, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}})
    .to_string()
}

/// The choice that a client gets for this content.
fn choice(content: &Value, reason: &str) -> Value {
    asked().answered(&message(content, reason))["choices"][0].clone()
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn tp_01_12_15_the_frame_of_an_answer() {
    let answer = asked().answered(&message(&json!([text("Hi!")]), "end_turn"));
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!((&answer["object"], &answer["created"]), (&json!("chat.completion"), &json!(1_700_000_000)));
    assert_eq!(answer["model"], "claude-x");
    assert_eq!(
        answer["choices"][0]["message"],
        json!({"role": "assistant", "content": "Hi!", "refusal": null})
    );
    let usage = json!({"prompt_tokens": 128, "completion_tokens": 3, "total_tokens": 131,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20}});
    assert_eq!(answer["usage"], usage);
}

#[test]
fn t71_tp_02_texts_are_put_together_around_calls() {
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"z": 1.0, "a": 2}});
    let told = choice(&json!([text("One, "), call, text("two.")]), "tool_use");
    assert_eq!(told["message"]["content"], "One, two.");
    let function = &told["message"]["tool_calls"][0];
    assert_eq!((&function["id"], &function["type"]), (&json!("toolu_1"), &json!("function")));
    let arguments: Value = serde_json::from_str(function["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"z": 1.0, "a": 2}));
}

#[test]
fn tp_03_content_is_null_beside_calls() {
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
    let told = choice(&json!([call]), "tool_use");
    assert_eq!((&told["message"]["content"], &told["finish_reason"]), (&Value::Null, &json!("tool_calls")));
    assert_eq!(told["message"]["tool_calls"][0]["function"]["arguments"], "{}");
}

#[test]
fn t80_tp_04_thoughts_come_with_what_signs_them_and_can_be_sent_back() {
    let thoughts = json!([{"type": "thinking", "thinking": "Hm.", "signature": "sig"}, {"type": "redacted_thinking", "data": "zz"}]);
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
    let content = json!([thoughts[0], thoughts[1], call]);
    let mut told = choice(&content, "tool_use")["message"].clone();
    assert_eq!(told["reasoning_content"], "Hm.");
    let details = json!([{"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "zz", "format": "anthropic-claude-v1", "index": 1}]);
    assert_eq!(told["reasoning_details"], details);
    // The client sends it back as it came.
    told["annotations"] = json!([]);
    let body = json!({"model": "claude", "reasoning_effort": "low", "max_tokens": 9000, "tools": [{"type": "function", "function": {"name": "f"}}],
        "messages": [{"role": "user", "content": "Hi"}, told, {"role": "tool", "tool_call_id": "toolu_1", "content": "x"}]});
    let sent =
        tried(Endpoint::ChatCompletions, Dialect::Anthropic, &terms(Engine::Provider), &body.to_string())
            .unwrap();
    let turn = sent.json()["messages"][1]["content"].clone();
    assert_eq!((&turn[0], &turn[1]), (&thoughts[0], &thoughts[1]));
    assert_eq!(turn[2]["id"], "toolu_1");
}

#[test]
fn t76_tp_05_06_07_08_every_end_has_its_word() {
    for (reason, word) in [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        ("something_new", "stop"),
    ] {
        let told = choice(&json!([text("Hi")]), reason);
        assert_eq!(told["finish_reason"], word, "{reason}");
        let stop = if reason == "stop_sequence" { json!("END") } else { Value::Null };
        assert_eq!(told["stop_reason"], stop, "{reason}");
        let native = if reason == "pause_turn" { json!("pause_turn") } else { Value::Null };
        assert_eq!(told["native_finish_reason"], native, "{reason}");
        assert_eq!(told["message"]["content"], "Hi");
        assert_eq!(told["message"]["refusal"], Value::Null, "a stop sequence is no refusal");
    }
}

#[test]
fn tp_13_the_class_of_service_comes_through() {
    let mut answer: Value = serde_json::from_str(&message(&json!([text("Hi")]), "end_turn")).unwrap();
    answer["usage"]["service_tier"] = json!("priority");
    assert_eq!(asked().answered(&answer.to_string())["service_tier"], "priority");
}

#[test]
fn tp_18_addresses_that_are_cited_become_annotations() {
    let cited = json!({"type": "web_search_result_location", "url": "https://x.test", "title": "X", "cited_text": "Milk", "encrypted_index": "e"});
    let told = choice(
        &json!([text("It is "), {"type": "text", "text": "milk", "citations": [cited]}, text(".")]),
        "end_turn",
    );
    assert_eq!(told["message"]["content"], "It is milk.");
    let expected = json!({"start_index": 6, "end_index": 10, "url": "https://x.test", "title": "X"});
    assert_eq!(told["message"]["annotations"], json!([{"type": "url_citation", "url_citation": expected}]));
}

#[test]
fn an_error_is_no_answer() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    assert_eq!(asked().failed(error), "busy");
}

#[test]
fn a_round_trip_of_an_answer_keeps_its_words() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    let asked = || tried(Endpoint::Messages, Dialect::OpenAi, &terms(Engine::Other), body).unwrap();
    let choice = json!({"message": {"content": "Round trip test"}, "finish_reason": "stop"});
    let there =
        json!({"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}).to_string();
    let there = asked().answered(&there);
    assert_eq!((&there["type"], &there["stop_reason"]), (&json!("message"), &json!("end_turn")));
    assert!(there["id"].as_str().unwrap().starts_with("msg_"));
    let back = self::asked().answered(&there.to_string());
    assert_eq!(back["choices"][0]["message"]["content"], "Round trip test");
    assert_eq!(
        (&back["usage"]["prompt_tokens"], &back["usage"]["completion_tokens"]),
        (&json!(10), &json!(5))
    );
}
