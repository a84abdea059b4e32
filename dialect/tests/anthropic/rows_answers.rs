//! Whole answers: of Anthropic for OpenAI's clients, and of OpenAI's kin for Anthropic's.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried, with};

fn from_openai(more: &Value) -> Exchange {
    let body =
        with(json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "u"}]}), more);
    tried(Endpoint::Messages, Dialect::OpenAi, &terms(Engine::Vllm), &body.to_string())
        .expect("it can be translated")
}

/// What Anthropic's client gets of this message.
fn given(message: &Value, reason: &str) -> Value {
    let answer = json!({"id": "c", "model": "real", "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5}});
    from_openai(&json!({})).answered(&answer.to_string())
}

fn said(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

#[test]
fn seed_facts_a_text() {
    let answer = given(&said("Hello there!"), "stop");
    assert!(answer["id"].as_str().unwrap().starts_with("msg_"));
    let expected = json!({
        "id": answer["id"], "type": "message", "role": "assistant", "model": "real",
        "content": [{"type": "text", "text": "Hello there!"}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 5}
    });
    assert_eq!(answer, expected);
    assert_eq!(given(&said(""), "stop")["content"], json!([{"type": "text", "text": ""}]));
}

#[test]
fn reasons_of_6_5_in_both_directions() {
    for (reason, expected) in [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
    ] {
        let call = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        let message = if reason == "tool_calls" { call } else { said("a") };
        assert_eq!(given(&message, reason)["stop_reason"], expected);
    }
}

#[test]
fn t51_tp_20_calls_are_whole_and_have_ids() {
    let with_call = |arguments: &str| json!({"role": "assistant", "content": "a", "tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": arguments}}]});
    let answer = given(&with_call("{\"z\":1,\"a\":2}"), "stop");
    let block = &answer["content"][1];
    assert_eq!((&block["input"], &answer["stop_reason"]), (&json!({"z": 1, "a": 2}), &json!("tool_use")));
    assert!(!block["id"].as_str().unwrap().is_empty());
    let wrong =
        json!({"choices": [{"index": 0, "message": with_call("city=Rome"), "finish_reason": "tool_calls"}]});
    assert!(from_openai(&json!({})).failed(&wrong.to_string()).contains("JSON"));
}

#[test]
fn tp_09_tp_10_refusals() {
    let refusal = json!({"role": "assistant", "content": null, "refusal": "No."});
    let answer = given(&refusal, "stop");
    assert_eq!(answer["content"], json!([{"type": "text", "text": "No."}]));
    assert_eq!(answer["stop_reason"], "refusal");
}

#[test]
fn tp_11_thoughts_are_blocks_unless_the_client_turned_them_off() {
    let message = json!({"role": "assistant", "content": "a", "reasoning_content": "hm"});
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": ""});
    assert_eq!(given(&message, "stop")["content"], json!([thought, {"type": "text", "text": "a"}]));
    let body = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string();
    let off = from_openai(&json!({"thinking": {"type": "disabled"}})).answered(&body);
    assert_eq!(off["content"], json!([{"type": "text", "text": "a"}]));
}

#[test]
fn t83_tp_12_tp_14_cached_tokens_are_counted_once_and_there_is_always_a_usage() {
    let body = |usage: Value| {
        json!({"choices": [{"index": 0, "message": said("a"), "finish_reason": "stop"}], "usage": usage})
            .to_string()
    };
    let counted =
        json!({"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 16}});
    let usage = from_openai(&json!({})).answered(&body(counted))["usage"].clone();
    assert_eq!((&usage["input_tokens"], &usage["cache_read_input_tokens"]), (&json!(4), &json!(16)));
    let usage = from_openai(&json!({})).answered(&body(Value::Null))["usage"].clone();
    assert!(usage["input_tokens"].is_u64() && usage["output_tokens"].is_u64(), "{usage}");
}

#[test]
fn tp_19_a_stop_sequence_that_the_backend_tells() {
    let body = json!({"choices": [{"index": 0, "message": said("a"), "finish_reason": "stop", "stop_reason": "END"}]});
    let answer = from_openai(&json!({"stop_sequences": ["END"]})).answered(&body.to_string());
    assert_eq!((&answer["stop_reason"], &answer["stop_sequence"]), (&json!("stop_sequence"), &json!("END")));
}

fn to_openai(more: &Value) -> Exchange {
    let body = with(json!({"model": "m", "messages": [{"role": "user", "content": "u"}]}), more);
    tried(Endpoint::ChatCompletions, Dialect::Anthropic, &terms(Engine::Provider), &body.to_string())
        .expect("it can be translated")
}

#[test]
fn t81_t82_counts_in_streams_are_cumulative_for_every_client() {
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let stream = |first: Value, last: Value| {
        [
            event(json!({"type": "message_start", "message": {"id": "m", "model": "claude", "usage": first}})),
            event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
            event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}})),
            event(json!({"type": "content_block_stop", "index": 0})),
            event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": last})),
            event(json!({"type": "message_stop"})),
        ]
        .concat()
    };
    let usage_of = |stream: &str| {
        let asked = to_openai(&json!({"stream": true, "stream_options": {"include_usage": true}}));
        let (out, error) = asked.streamed(stream);
        assert_eq!(error, None);
        let data: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let chunk: Value = serde_json::from_str(data[data.len() - 2]).unwrap();
        chunk["usage"].clone()
    };
    let both = json!({"input_tokens": 9, "cache_read_input_tokens": 1, "output_tokens": 2});
    let usage = usage_of(&stream(both.clone(), both));
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(10), &json!(2)));
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 1);
    let late = usage_of(&stream(
        json!({"input_tokens": 0, "output_tokens": 0}),
        json!({"input_tokens": 7, "output_tokens": 2}),
    ));
    assert_eq!(late["prompt_tokens"], 7);
}

#[test]
fn t75_ts_05_an_overload_in_the_stream_is_an_error() {
    let stream = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let (out, error) = to_openai(&json!({"stream": true})).streamed(stream);
    assert_eq!((out.as_str(), error.as_deref()), ("", Some("Overloaded")));
}

#[test]
fn t85_usage_of_responses_that_end_early_reaches_the_client() {
    let body = json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "u"}]}).to_string();
    let asked = tried(Endpoint::Messages, Dialect::Responses, &terms(Engine::Provider), &body).unwrap();
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let response = json!({"id": "r", "model": "real", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"},
        "output": [], "usage": {"input_tokens": 12, "output_tokens": 9, "total_tokens": 21}});
    let stream = [
        event(json!({"type": "response.created", "response": {"id": "r", "model": "real", "status": "in_progress", "output": []}})),
        event(json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "i", "role": "assistant", "content": []}})),
        event(json!({"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0, "delta": "a"})),
        event(json!({"type": "response.incomplete", "response": response})),
    ]
    .concat();
    let (out, error) = asked.streamed(&stream);
    assert_eq!(error, None);
    assert!(out.contains(r#""stop_reason":"max_tokens""#) && out.contains(r#""input_tokens":12"#), "{out}");
}

#[test]
fn tp_18_citations_come_after_their_text_and_server_tools_do_not_disturb_it() {
    let stream = [
        r#"{"type":"message_start","message":{"id":"m","model":"claude","usage":{"input_tokens":1,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"q\"}"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"It is so."}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"https://x.test","title":"X","cited_text":"so"}}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .map(|data| format!("data: {data}\n\n"))
    .concat();
    let (out, error) = to_openai(&json!({"stream": true})).streamed(&stream);
    assert_eq!(error, None);
    let chunks: Vec<Value> =
        out.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    let text: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "It is so.");
    assert!(out.contains("https://x.test"), "{out}");
    for endpoint in [Endpoint::Responses, Endpoint::GenerateContent, Endpoint::OllamaChat] {
        let body = match endpoint {
            Endpoint::GenerateContent => json!({"contents": [{"role": "user", "parts": [{"text": "u"}]}]}),
            Endpoint::Responses => json!({"model": "m", "input": "u", "stream": true}),
            _ => json!({"model": "m", "messages": [{"role": "user", "content": "u"}], "stream": true}),
        };
        let sent = dialect::translate::request(
            endpoint,
            Dialect::Anthropic,
            body.to_string().as_bytes(),
            true,
            &terms(Engine::Provider),
        );
        let mut translator = sent.expect("it can be translated").translator;
        let mut out = Vec::new();
        translator.feed(stream.as_bytes(), &mut out);
        translator.finish(&mut out);
        assert!(translator.is_complete());
        assert!(String::from_utf8_lossy(&out).contains("It is so."));
    }
}
