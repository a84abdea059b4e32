//! Streams.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::exchange::{terms, tried, with};

/// What a client that wants usage gets of `stream`: its chunks, and the error.
fn streamed(stream: &str) -> (Vec<Value>, Option<String>) {
    of(&json!({"stream_options": {"include_usage": true}}), stream)
}

fn of(more: &Value, stream: &str) -> (Vec<Value>, Option<String>) {
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let body = with(body, more);
    let sent = tried(Endpoint::ChatCompletions, Dialect::OpenAi, &terms(Engine::Other), &body.to_string());
    let sent = sent.expect("it can be carried");
    assert_eq!(sent.json()["stream_options"], json!({"include_usage": true}));
    let (out, error) = sent.streamed(stream);
    let events =
        out.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").expect("an event is data"));
    let chunks: Vec<Value> =
        events
            .map(|data| {
                if data == "[DONE]" { json!("DONE") } else { serde_json::from_str(data).expect("it is JSON") }
            })
            .collect();
    (chunks, error)
}

/// A chunk of a backend's stream with this delta.
fn chunk(delta: &Value) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
    format!("data: {}\n\n", json!({"id": "x", "model": "big", "choices": [choice]}))
}

fn end(reason: &str) -> String {
    let choice = json!({"index": 0, "delta": {}, "finish_reason": reason});
    format!("data: {}\n\ndata: [DONE]\n\n", json!({"id": "x", "choices": [choice]}))
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
fn a_whole_stream_to_read() {
    let body = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}]}"#;
    let sent = tried(Endpoint::ChatCompletions, Dialect::OpenAi, &terms(Engine::Other), body).unwrap();
    let stream = r#"data: {"id":"x","created":5,"model":"big","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data:{"id":"x","model":"big","choices":[{"index":0,"delta":{"content":"Hel\"lo"},"finish_reason":null}],"usage":null}

: a comment

data: {"id":"x","model":"big","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"x","model":"big","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":1}}}

data: [DONE]

"#;
    let expected = r#"data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":1700000000,"model":"big","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":1700000000,"model":"big","choices":[{"index":0,"delta":{"content":"Hel\"lo"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":1700000000,"model":"big","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":1700000000,"model":"big","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":1}}}

data: [DONE]

"#;
    let (out, error) = sent.streamed(stream);
    assert_eq!(error, None);
    let id = out.split('"').nth(3).unwrap().to_owned();
    assert_eq!(id.len(), "chatcmpl-".len() + 24);
    assert_eq!(out.replace(&id, "chatcmpl-ID"), expected);
}

#[test]
fn t38_39_thoughts_by_any_name_and_beside_text() {
    for member in ["reasoning_content", "reasoning"] {
        let stream = chunk(&json!({"role": "assistant", member: "Hm"}))
            + &chunk(&json!({member: ".", "content": "Yes"}))
            + &end("stop");
        let (chunks, error) = streamed(&stream);
        assert_eq!(error, None);
        let expected = [
            json!({"role": "assistant"}),
            json!({"reasoning_content": "Hm"}),
            json!({"reasoning_content": "."}),
            json!({"content": "Yes"}),
        ];
        assert_eq!(deltas(&chunks), expected);
    }
    let both = chunk(&json!({"reasoning_content": "Hm", "reasoning": "Hm"})) + &end("stop");
    assert_eq!(deltas(&streamed(&both).0).len(), 2, "what is said under both names is told once");
}

#[test]
fn ts_04_signatures_come_through_with_the_thoughts_they_sign() {
    let detail = |more: Value| {
        json!([with(json!({"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}), &more)])
    };
    let pieces = chunk(&json!({"reasoning": "A", "reasoning_details": detail(json!({"text": "A"}))}))
        + &chunk(&json!({"reasoning": "B", "reasoning_details": detail(json!({"text": "B"}))}))
        + &chunk(&json!({"reasoning_details": detail(json!({"signature": "sig"}))}))
        + &chunk(&json!({"content": "C"}))
        + &end("stop");
    let (chunks, _) = streamed(&pieces);
    let expected = [
        json!({"role": "assistant"}),
        json!({"reasoning_content": "A"}),
        json!({"reasoning_content": "B"}),
        json!({"reasoning_details": detail(json!({"text": "AB", "signature": "sig"}))}),
        json!({"content": "C"}),
    ];
    assert_eq!(deltas(&chunks), expected);
    // Read by another of us, it is the same again: the text is not told twice.
    let again: String = expected.iter().map(chunk).collect();
    assert_eq!(deltas(&streamed(&(again + &end("stop"))).0), expected);
}

#[test]
fn t34_40_41_43_calls_come_out_dense_and_in_order() {
    let call =
        |index: u32, body: Value| chunk(&json!({"tool_calls": [with(json!({"index": index}), &body)]}));
    let stream = call(3, json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}))
        + &call(3, json!({"id": "c1", "function": {"name": "f", "arguments": "{\"a\""}}))
        + &call(5, json!({"function": {"arguments": "{\"b\":"}}))
        + &call(5, json!({"id": "c2", "function": {"name": "g", "arguments": "2}"}}))
        + &call(3, json!({"function": {"arguments": ":1}"}}))
        + &call(6, json!({"function": {"name": "h"}}))
        + &end("stop");
    let (chunks, error) = streamed(&stream);
    assert_eq!(error, None);
    let mut calls = vec![(String::new(), String::new(), String::new()); 3];
    for delta in deltas(&chunks) {
        let Some(call) = delta["tool_calls"].get(0) else { continue };
        let known = &mut calls[usize::try_from(call["index"].as_u64().unwrap()).unwrap()];
        known.0.push_str(call["id"].as_str().unwrap_or_default());
        known.1.push_str(call["function"]["name"].as_str().unwrap_or_default());
        known.2.push_str(call["function"]["arguments"].as_str().unwrap());
    }
    assert!(calls[2].0.starts_with("call_"));
    calls[2].0.clear();
    let told = |id: &str, name: &str, arguments: &str| (id.to_owned(), name.to_owned(), arguments.to_owned());
    assert_eq!(calls, [told("c1", "f", "{\"a\":1}"), told("c2", "g", "{\"b\":2}"), told("", "h", "{}")]);
    assert_eq!(last_reason(&chunks), "tool_calls");
}

#[test]
fn t50_51_a_call_that_was_cut_off_says_so_and_one_that_is_no_json_is_an_error() {
    let call =
        json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{\"a\":"}}]});
    let (chunks, error) = streamed(&(chunk(&call) + &end("length")));
    assert_eq!((error, last_reason(&chunks)), (None, &json!("length")));
    let (chunks, error) = streamed(&(chunk(&call) + &end("tool_calls")));
    assert_eq!(error.as_deref(), Some("the model called \"f\" with arguments that are not JSON"));
    assert!(!chunks.contains(&json!("DONE")) && last_reason(&chunks).is_null());
}

#[test]
fn t52_53_111_a_stream_that_breaks_never_ends_well() {
    let text = chunk(&json!({"content": "Hi"}));
    for (rest, said) in [
        (String::new(), "the stream is not complete"),
        ("data: {\"error\":{\"message\":\"oh\",\"code\":500}}\n\ndata: [DONE]\n\n".to_owned(), "oh"),
        ("event: error\ndata: {\"message\":\"oh\"}\n\n".to_owned(), "oh"),
        ("data: {\"object\":\"error\",\"message\":\"oh\",\"code\":40303}\n\n".to_owned(), "oh"),
        ("data: <html>\n\n".to_owned(), "an event in the stream is not what chat completions send"),
        (end("error"), "the answer ended with \"error\""),
    ] {
        let (chunks, error) = streamed(&(text.clone() + &rest));
        assert_eq!(error.as_deref(), Some(said));
        assert!(!chunks.contains(&json!("DONE")) && last_reason(&chunks).is_null(), "{rest}");
    }
    let (chunks, error) = streamed("data: [DONE]\n\n");
    assert_eq!((chunks.len(), error.as_deref()), (0, Some("the stream ended without an answer")));
}

#[test]
fn a_stream_is_complete_with_either_of_its_two_ends() {
    let text = chunk(&json!({"content": "Hi"}));
    let without_done = end("stop").replace("data: [DONE]\n\n", "");
    for rest in [without_done.as_str(), without_done.trim_end(), "data: [DONE]\n\n", "data: [DONE]"] {
        let (chunks, error) = streamed(&format!("{text}{rest}"));
        assert_eq!((error, chunks.last()), (None, Some(&json!("DONE"))), "{rest}");
        assert_eq!(last_reason(&chunks), "stop");
    }
}

#[test]
fn ts_09_usage_is_told_only_if_asked_for_and_never_zero() {
    let stream = chunk(&json!({"content": "Hello there"})) + &end("stop");
    let (chunks, _) = of(&json!({}), &stream);
    assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()));
    let (chunks, _) = streamed(&stream);
    let usage = &chunks[chunks.len() - 2];
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"], json!({"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}));
}

#[test]
fn ts_14_several_choices_their_logprobs_and_refusals_come_through() {
    let part = |index: u32, rest: Value| {
        let choice = with(json!({"index": index, "delta": {}}), &rest);
        format!("data: {}\n\n", json!({"id": "x", "model": "big", "choices": [choice]}))
    };
    let logprobs = json!({"content": [{"token": "A", "logprob": -0.1}], "refusal": null});
    let stream = part(0, json!({"delta": {"content": "A"}, "logprobs": logprobs}))
        + &part(1, json!({"delta": {"refusal": "No"}}))
        + &part(0, json!({"finish_reason": "stop"}))
        + &part(1, json!({"finish_reason": "content_filter"}))
        + "data: [DONE]\n\n";
    let (chunks, error) = streamed(&stream);
    assert_eq!(error, None);
    let choices: Vec<_> = chunks.iter().filter_map(|chunk| chunk["choices"].get(0)).collect();
    assert!(choices.iter().any(|choice| choice["logprobs"] == logprobs && choice["index"] == 0));
    assert!(choices.iter().any(|choice| choice["delta"]["refusal"] == "No" && choice["index"] == 1));
    let roles = choices.iter().filter(|choice| choice["delta"]["role"] == "assistant").count();
    assert_eq!(roles, 2, "one for each choice");
    let ends: Vec<_> = choices.iter().filter(|choice| !choice["finish_reason"].is_null()).collect();
    assert_eq!(
        (&ends[0]["finish_reason"], &ends[1]["finish_reason"]),
        (&json!("stop"), &json!("content_filter"))
    );
}

#[test]
fn tp_17_19_content_in_lists_and_stop_sequences_are_understood() {
    let parts = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "A"}, {"type": "text", "text": "B"}]);
    let choice = json!({"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"});
    let stream = chunk(&json!({"content": parts}))
        + &format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [choice]}));
    let (chunks, error) = streamed(&stream);
    assert_eq!(error, None);
    assert_eq!(
        deltas(&chunks),
        [json!({"role": "assistant"}), json!({"reasoning_content": "Hm"}), json!({"content": "AB"})]
    );
    let last = &chunks[chunks.len() - 3]["choices"][0];
    assert_eq!((&last["finish_reason"], &last["stop_reason"]), (&json!("stop"), &json!("END")));
}

#[test]
fn odd_types_where_nothing_hangs_on_them_break_nothing() {
    let odd = json!({"id": 7, "model": null, "created": "now", "usage": 3, "choices": [
        {"index": 0, "delta": {"content": "Hi", "reasoning": {}, "reasoning_content": 0, "role": 1, "audio": []},
         "finish_reason": "", "matched_stop": 2}]});
    let (chunks, error) =
        streamed(&(format!("data: {odd}\n\ndata: {{\"type\":\"ping\"}}\n\n") + &end("stop")));
    assert_eq!(error, None);
    assert_eq!(deltas(&chunks)[1..], [json!({"content": "Hi"})]);
    assert_eq!(chunks[0]["model"], "m");
}

#[test]
fn clients_of_the_older_way_get_their_calls_in_it() {
    let stream = chunk(&json!({"function_call": {"name": "f", "arguments": ""}}))
        + &chunk(&json!({"function_call": {"arguments": "{\"a\":1}"}}))
        + &end("function_call");
    let (chunks, error) = of(&json!({"functions": [{"name": "f"}]}), &stream);
    assert_eq!(error, None);
    let told = deltas(&chunks);
    assert_eq!(told[1], json!({"function_call": {"name": "f", "arguments": ""}}));
    assert_eq!(told[2], json!({"function_call": {"arguments": "{\"a\":1}"}}));
    assert_eq!(last_reason(&chunks), "function_call");
}

#[test]
fn a_custom_tool_told_as_a_function_is_called_as_a_custom_tool() {
    let wrapped = json!({"input": "ls\n"}).to_string();
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "sh", "arguments": wrapped}}]});
    let tools = json!({"tools": [{"type": "custom", "custom": {"name": "sh"}}]});
    let (chunks, error) = of(&tools, &(chunk(&call) + &end("tool_calls")));
    assert_eq!(error, None);
    let told = deltas(&chunks);
    let open = json!({"index": 0, "id": "c", "type": "custom", "custom": {"name": "sh", "input": ""}});
    assert_eq!(told[1]["tool_calls"], json!([open]));
    assert_eq!(told[2]["tool_calls"], json!([{"index": 0, "custom": {"input": "ls\n"}}]));
}

#[test]
fn t87_signatures_of_google_on_calls_come_through() {
    let extra = json!({"google": {"thought_signature": "sig"}});
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}, "extra_content": extra}]});
    let (chunks, _) = streamed(&(chunk(&call) + &end("tool_calls")));
    assert_eq!(deltas(&chunks)[1]["tool_calls"][0]["extra_content"], extra);
}
