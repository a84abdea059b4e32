//! Streams of Anthropic's backends for OpenAI's clients.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::exchange::{terms, tried};

/// The chunks that a client gets of these events, `"DONE"` for the end marker; and the error.
fn streamed(events: &[Value]) -> (Vec<Value>, Option<String>) {
    asking(&json!({"include_usage": true}), events)
}

fn asking(options: &Value, events: &[Value]) -> (Vec<Value>, Option<String>) {
    let body = json!({"model": "claude", "stream": true, "stream_options": options,
        "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}],
        "messages": [{"role": "user", "content": "Hi"}]});
    let sent =
        tried(Endpoint::ChatCompletions, Dialect::Anthropic, &terms(Engine::Provider), &body.to_string());
    let event =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    let stream: String = events.iter().map(event).collect();
    let (out, error) = sent.expect("it can be carried").streamed(&stream);
    let chunk = |event: &str| match event.strip_prefix("data: ").expect("an event is data") {
        "[DONE]" => json!("DONE"),
        data => serde_json::from_str(data).expect("it is JSON"),
    };
    (out.split_terminator("\n\n").map(chunk).collect(), error)
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5}}})
}

fn open(index: u32, block: &Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u32, delta: &Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn close(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn words(index: u32, text: &str) -> Vec<Value> {
    let block = json!({"type": "text", "text": ""});
    vec![open(index, &block), delta(index, &json!({"type": "text_delta", "text": text})), close(index)]
}

fn call(index: u32, id: &str, name: &str, pieces: &[&str]) -> Vec<Value> {
    let mut events = vec![open(index, &json!({"type": "tool_use", "id": id, "name": name, "input": {}}))];
    let piece = |piece: &&str| delta(index, &json!({"type": "input_json_delta", "partial_json": piece}));
    events.extend(pieces.iter().map(piece));
    events.push(close(index));
    events
}

fn end(reason: &str) -> Vec<Value> {
    let stop = if reason == "stop_sequence" { json!("END") } else { Value::Null };
    vec![
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": stop}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ]
}

fn stream(blocks: Vec<Vec<Value>>, reason: &str) -> Vec<Value> {
    let mut events = vec![start()];
    events.extend(blocks.into_iter().flatten());
    events.extend(end(reason));
    events
}

fn deltas(chunks: &[Value]) -> Vec<Value> {
    let delta =
        |chunk: &Value| chunk["choices"][0]["delta"].as_object().filter(|delta| !delta.is_empty()).cloned();
    chunks.iter().filter_map(delta).map(Value::Object).collect()
}

fn last_reason(chunks: &[Value]) -> &Value {
    let reasons = chunks.iter().map(|chunk| &chunk["choices"][0]["finish_reason"]);
    reasons.rev().find(|reason| !reason.is_null()).unwrap_or(&Value::Null)
}

#[test]
fn t78_79_ts_07_18_one_id_one_time_one_role_and_nothing_for_pings() {
    let mut events = stream(vec![words(0, "Hi"), words(1, " there")], "end_turn");
    events.insert(1, json!({"type": "ping"}));
    let (chunks, error) = streamed(&events);
    assert_eq!(error, None);
    let id = chunks[0]["id"].clone();
    assert!(id.as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(chunks.last(), Some(&json!("DONE")));
    for chunk in &chunks[..chunks.len() - 1] {
        assert_eq!((&chunk["id"], &chunk["created"]), (&id, &json!(1_700_000_000)));
        assert_eq!(
            (&chunk["model"], &chunk["object"]),
            (&json!("claude-x"), &json!("chat.completion.chunk"))
        );
        assert!(
            !chunk.to_string().contains("[]") || chunk["choices"] == json!([]),
            "no empty lists: {chunk}"
        );
    }
    let expected =
        [json!({"role": "assistant", "content": ""}), json!({"content": "Hi"}), json!({"content": " there"})];
    assert_eq!(deltas(&chunks), expected);
    assert_eq!(last_reason(&chunks), "stop");
}

#[test]
fn t72_74_ts_01_02_calls_are_numbered_without_holes_and_begin_empty() {
    let blocks = vec![
        words(0, "I look."),
        call(1, "toolu_1", "f", &["", "{\"city\":", " \"Rome\"}"]),
        call(2, "toolu_2", "g", &[]),
    ];
    let (chunks, error) = streamed(&stream(blocks, "tool_use"));
    assert_eq!(error, None);
    let opened = |index: u32, id: &str, name: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]});
    let piece =
        |index: u32, text: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
    let told = deltas(&chunks);
    let expected = [
        opened(0, "toolu_1", "f"),
        piece(0, "{\"city\":"),
        piece(0, " \"Rome\"}"),
        opened(1, "toolu_2", "g"),
        piece(1, "{}"),
    ];
    assert_eq!(told[2..], expected);
    assert_eq!(last_reason(&chunks), "tool_calls");
}

#[test]
fn t73_80_ts_04_thoughts_and_their_signature_are_in_the_one_choice() {
    let thinking = json!({"type": "thinking", "thinking": "", "signature": ""});
    let thoughts = vec![
        open(0, &thinking),
        delta(0, &json!({"type": "thinking_delta", "thinking": "H"})),
        delta(0, &json!({"type": "thinking_delta", "thinking": "m"})),
        delta(0, &json!({"type": "signature_delta", "signature": "sig"})),
        close(0),
    ];
    let sealed = vec![open(1, &json!({"type": "redacted_thinking", "data": "zz"})), close(1)];
    let (chunks, _) = streamed(&stream(vec![thoughts, sealed, words(2, "Hi")], "end_turn"));
    let choices = chunks.iter().filter_map(|chunk| chunk["choices"].get(0));
    assert!(choices.into_iter().all(|choice| choice["index"] == 0));
    let detail = json!({"type": "reasoning.text", "text": "Hm", "signature": "sig", "format": "anthropic-claude-v1", "index": 0});
    let sealed =
        json!({"type": "reasoning.encrypted", "data": "zz", "format": "anthropic-claude-v1", "index": 1});
    let expected = [
        json!({"role": "assistant"}),
        json!({"reasoning_content": "H"}),
        json!({"reasoning_content": "m"}),
        json!({"reasoning_details": [detail]}),
        json!({"reasoning_details": [sealed]}),
        json!({"content": "Hi"}),
    ];
    assert_eq!(deltas(&chunks), expected);
}

#[test]
fn t75_ts_05_06_11_a_stream_that_breaks_never_ends_well() {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    let mut begun = vec![start()];
    begun.extend(words(0, "Hi"));
    for (events, said) in [
        ([begun.clone(), vec![error.clone(), json!({"type": "message_stop"})]].concat(), "busy"),
        (begun, "the stream is not complete"),
        (vec![error], "busy"),
        (vec![], "the stream is not complete"),
    ] {
        let (chunks, error) = streamed(&events);
        assert_eq!(error.as_deref(), Some(said));
        assert!(!chunks.contains(&json!("DONE")) && last_reason(&chunks).is_null());
        assert!(!format!("{chunks:?}").contains("overloaded_error"));
    }
}

#[test]
fn t76_ts_15_a_stop_sequence_is_a_stop_and_is_named() {
    let (chunks, _) = streamed(&stream(vec![words(0, "Hi")], "stop_sequence"));
    let last = chunks.iter().find(|chunk| chunk["choices"][0]["finish_reason"] == "stop").unwrap();
    assert_eq!(last["choices"][0]["stop_reason"], "END");
    assert!(!format!("{chunks:?}").contains("refusal"));
}

#[test]
fn tq_23_ts_09_10_usage_has_its_own_chunk_and_only_if_asked_for() {
    let events = stream(vec![words(0, "Hi")], "end_turn");
    let (chunks, _) = streamed(&events);
    let last = &chunks[chunks.len() - 2];
    let usage = json!({"prompt_tokens": 15, "completion_tokens": 3, "total_tokens": 18, "prompt_tokens_details": {"cached_tokens": 5}});
    assert_eq!(
        (&last["choices"], last["usage"]["prompt_tokens"].clone()),
        (&json!([]), usage["prompt_tokens"].clone())
    );
    assert_eq!(last["usage"]["completion_tokens"], 3);
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 5);
    assert!(chunks[..chunks.len() - 2].iter().all(|chunk| chunk["usage"].is_null()));
    let (chunks, _) = asking(&json!({}), &events);
    assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()));
}

#[test]
fn ts_12_names_of_events_are_not_needed() {
    let body = r#"{"model":"claude","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let sent = tried(Endpoint::ChatCompletions, Dialect::Anthropic, &terms(Engine::Provider), body).unwrap();
    let events = stream(vec![words(0, "Hi")], "end_turn");
    let nameless: Vec<_> = events.iter().map(|event| format!(": c\r\ndata:{event}\r\n\r\n")).collect();
    let (out, error) = sent.streamed(&nameless.concat());
    assert_eq!(error, None);
    assert!(out.contains(r#""delta":{"content":"Hi"}"#) && out.ends_with("data: [DONE]\n\n"));
}

#[test]
fn ts_16_no_text_is_opened_where_only_tools_follow() {
    let (chunks, _) = streamed(&stream(vec![call(0, "toolu_1", "f", &["{}"])], "tool_use"));
    assert!(deltas(&chunks).iter().all(|delta| delta.get("content").is_none()));
}

#[test]
fn t54_a_whole_answer_is_told_as_a_stream() {
    let body = r#"{"model":"claude","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let sent = tried(Endpoint::ChatCompletions, Dialect::Anthropic, &terms(Engine::Provider), body).unwrap();
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hi!"}], "usage": {"input_tokens": 1, "output_tokens": 2}});
    let out = sent.played(&answer.to_string());
    assert!(out.contains(r#""delta":{"content":"Hi!"}"#) && out.ends_with("data: [DONE]\n\n"));
}
