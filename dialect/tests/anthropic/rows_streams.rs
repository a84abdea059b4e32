//! Streams of OpenAI backends, as Anthropic's clients get them.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried, with};

fn asked(more: &Value) -> Exchange {
    let body = with(
        json!({"model": "m", "max_tokens": 99, "stream": true, "messages": [{"role": "user", "content": "Hello there"}],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
        more,
    );
    tried(Endpoint::Messages, Dialect::OpenAi, &terms(Engine::Vllm), &body.to_string())
        .expect("it can be translated")
}

/// The stream of a backend that sends these deltas and ends for this reason.
fn chunks(deltas: &[Value], reason: &str) -> String {
    let mut stream = String::new();
    for delta in deltas {
        stream += &chunk(&json!([{"index": 0, "delta": delta, "finish_reason": null}]));
    }
    stream += &chunk(&json!([{"index": 0, "delta": {}, "finish_reason": reason}]));
    stream + "data: [DONE]\n\n"
}

fn chunk(choices: &Value) -> String {
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "real", "choices": choices});
    format!("data: {chunk}\n\n")
}

/// The data of the client's events.
fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("it can be translated")).collect()
}

/// The client's events after the ping, one word each.
fn told(more: &Value, stream: &str) -> String {
    let (out, error) = asked(more).streamed(stream);
    assert_eq!(error, None, "{out}");
    events(&out)[2..].iter().map(word).collect::<Vec<_>>().join(" ")
}

fn word(event: &Value) -> String {
    let index = &event["index"];
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    match event["type"].as_str().expect("it can be translated") {
        "content_block_start" => {
            let block = &event["content_block"];
            let input =
                if block.get("input").is_some() { format!("({})", block["input"]) } else { String::new() };
            format!("{index}:{}{input}", text(&block["type"]))
        }
        "content_block_delta" => {
            let delta = &event["delta"];
            let member = ["text", "thinking", "signature", "partial_json"]
                .into_iter()
                .find(|member| delta.get(member).is_some())
                .expect("it can be translated");
            format!("+{}", text(&delta[member]))
        }
        "content_block_stop" => format!("/{index}"),
        "message_delta" => text(&event["delta"]["stop_reason"]),
        other => other.to_owned(),
    }
}

fn call(index: u32, id: &str, name: &str, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]})
}

fn more(index: u32, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}

fn plain(deltas: &[Value], reason: &str) -> String {
    told(&json!({}), &chunks(deltas, reason))
}

#[test]
fn seed_facts_a_plain_text() {
    let deltas = [
        json!({"role": "assistant", "content": ""}),
        json!({"content": "Hello"}),
        json!({"content": " world"}),
    ];
    assert_eq!(plain(&deltas, "stop"), "0:text +Hello + world /0 end_turn message_stop");
}

#[test]
fn t31_t32_ts_01_ts_03_calls_are_streamed_and_end_the_turn() {
    let deltas = [call(0, "c1", "f", ""), more(0, "{\"a\""), more(0, ":1}")];
    assert_eq!(plain(&deltas, "tool_calls"), "0:tool_use({}) +{\"a\" +:1} /0 tool_use message_stop");
}

#[test]
fn t33_a_text_before_the_call_changes_nothing_whatever_the_backend_calls_the_end() {
    let deltas = [json!({"content": "Let me see."}), call(0, "c1", "f", "{}")];
    for reason in ["tool_calls", "stop"] {
        assert_eq!(
            plain(&deltas, reason),
            "0:text +Let me see. /0 1:tool_use({}) +{} /1 tool_use message_stop"
        );
    }
}

#[test]
fn t34_ts_02_one_block_is_open_at_a_time() {
    let deltas = [call(0, "c1", "f", "{\"a\":"), call(1, "c2", "f", "{\"b\":"), more(0, "1}"), more(1, "2}")];
    assert_eq!(
        plain(&deltas, "tool_calls"),
        "0:tool_use({}) +{\"a\": +1} /0 1:tool_use({}) +{\"b\": +2} /1 tool_use message_stop"
    );
}

#[test]
fn t36_t37_t38_t39_ts_04_thoughts_texts_and_calls_take_turns() {
    let deltas = [json!({"reasoning_content": "hm"}), call(0, "c1", "f", "{}")];
    assert_eq!(plain(&deltas, "tool_calls"), "0:thinking +hm /0 1:tool_use({}) +{} /1 tool_use message_stop");
    let deltas = [json!({"content": "a"}), json!({"reasoning": "b"}), json!({"content": "c"})];
    assert_eq!(plain(&deltas, "stop"), "0:text +a /0 1:thinking +b /1 2:text +c /2 end_turn message_stop");
    let deltas = [json!({"reasoning_content": "b", "content": "c"})];
    assert_eq!(plain(&deltas, "stop"), "0:thinking +b /0 1:text +c /1 end_turn message_stop");
    let deltas = [json!({"reasoning": "only"})];
    assert_eq!(plain(&deltas, "stop"), "0:thinking +only /0 end_turn message_stop");
    let off = json!({"thinking": {"type": "disabled"}});
    let deltas = [json!({"reasoning": "b"}), json!({"content": "c"})];
    assert_eq!(told(&off, &chunks(&deltas, "stop")), "0:text +c /0 end_turn message_stop");
}

#[test]
fn t40_t41_calls_in_any_order_and_told_again_and_again() {
    let late = [more(0, "{\"a\""), call(0, "c1", "f", ":1}")];
    assert_eq!(plain(&late, "tool_calls"), "0:tool_use({}) +{\"a\":1} /0 tool_use message_stop");
    let again = [call(0, "c1", "f", "{\"a\""), call(0, "c1", "f", ":1}")];
    assert_eq!(plain(&again, "tool_calls"), "0:tool_use({}) +{\"a\" +:1} /0 tool_use message_stop");
}

#[test]
fn t43_t44_a_call_without_arguments_is_whole() {
    let deltas = [call(0, "c1", "f", "")];
    assert_eq!(plain(&deltas, "tool_calls"), "0:tool_use({}) +{} /0 tool_use message_stop");
    let (out, _) = asked(&json!({})).streamed(&chunks(&[json!({"content": "a"})], "stop"));
    assert!(out.contains(r#""content_block":{"type":"text","text":""}"#));
}

#[test]
fn tp_20_calls_without_ids_get_some() {
    let (out, _) =
        asked(&json!({})).streamed(&chunks(&[call(0, "", "f", "{}"), call(1, "", "f", "{}")], "stop"));
    let events = events(&out);
    let ids: Vec<&str> = events.iter().filter_map(|event| event["content_block"]["id"].as_str()).collect();
    assert!(ids.len() == 2 && !ids[0].is_empty() && ids[0] != ids[1], "{ids:?}");
}

#[test]
fn t45_t46_t47_t55_ts_08_ts_10_usage_is_always_there() {
    let usage = json!({"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27, "prompt_tokens_details": {"cached_tokens": 16}});
    let counted = chunks(&[json!({"content": "a"})], "stop").replace(
        "data: [DONE]",
        &format!(
            "data: {}\n\ndata: [DONE]",
            json!({"id": "c", "model": "real", "choices": [], "usage": usage})
        ),
    );
    let (out, error) = asked(&json!({})).streamed(&counted);
    assert_eq!(error, None);
    let events_of = events(&out);
    let start = &events_of[0];
    let message = &start["message"];
    assert_eq!(
        (&start["type"], &message["model"], &message["content"]),
        (&json!("message_start"), &json!("real"), &json!([]))
    );
    assert!(message["id"].as_str().unwrap().starts_with("msg_"));
    assert!(message["stop_reason"].is_null() && message.get("stop_sequence").is_some_and(Value::is_null));
    assert!(message["usage"]["input_tokens"].as_u64().unwrap() > 0);
    let last = &events_of[events_of.len() - 2];
    let expected = json!({"input_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 16, "output_tokens": 7});
    assert_eq!(last["usage"], expected);
    assert_eq!(out.matches("event: message_start").count(), 1);

    let (out, _) = asked(&json!({})).streamed(&chunks(&[json!({"content": "some words"})], "stop"));
    let events_of = events(&out);
    let usage = &events_of[events_of.len() - 2]["usage"];
    assert!(usage["output_tokens"].as_u64().unwrap() > 0 && usage["input_tokens"].as_u64().unwrap() > 0);
    assert!(asked(&json!({})).body.contains(r#""include_usage":true"#));
}

#[test]
fn t48_t50_tp_09_reasons_are_what_they_are() {
    assert!(plain(&[json!({"content": "a"})], "content_filter").ends_with("/0 refusal message_stop"));
    assert!(plain(&[call(0, "c1", "f", "{\"a\":")], "length").ends_with("/0 max_tokens message_stop"));
    assert!(plain(&[json!({"refusal": "No."})], "stop").ends_with("0:text +No. /0 refusal message_stop"));
}

#[test]
fn t51_arguments_that_are_no_json_break_the_stream() {
    let (out, error) = asked(&json!({})).streamed(&chunks(&[call(0, "c1", "f", "city=Rome")], "tool_calls"));
    assert!(error.unwrap().contains("not JSON") && !out.contains("message_stop"));
}

#[test]
fn t52_t53_ts_05_ts_06_ts_11_what_breaks_never_looks_finished() {
    let begun = chunk(&json!([{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]));
    let error = "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n";
    for (stream, expected) in [
        (format!("{begun}{error}"), "out of memory"),
        (begun.clone(), "not complete"),
        (String::new(), "not complete"),
    ] {
        let (out, error) = asked(&json!({})).streamed(&stream);
        assert!(error.unwrap().contains(expected));
        assert!(!out.contains("message_stop") && !out.contains("message_delta"), "{out}");
    }
}

#[test]
fn t54_a_whole_answer_becomes_a_stream() {
    let answer = json!({"id": "c", "model": "real", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "a", "reasoning_content": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
    let out = asked(&json!({})).played(&answer.to_string());
    let words: Vec<String> = events(&out)[2..].iter().map(word).collect();
    assert_eq!(words.join(" "), "0:thinking +hm /0 1:text +a /1 2:tool_use({}) +{} /2 tool_use message_stop");
}

#[test]
fn ts_15_tp_19_the_stop_sequence_is_told_where_the_backend_tells_it() {
    let stop = json!({"stop_sequences": ["END"]});
    let finish = json!([{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}]);
    let begun = chunk(&json!([{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]));
    let (out, _) = asked(&stop).streamed(&format!("{begun}{}data: [DONE]\n\n", chunk(&finish)));
    assert!(out.contains(r#""delta":{"stop_reason":"stop_sequence","stop_sequence":"END"}"#), "{out}");
}

#[test]
fn ts_16_blocks_open_when_there_is_something_in_them() {
    let deltas = [json!({"role": "assistant", "content": ""}), call(0, "c1", "f", "{}")];
    assert!(plain(&deltas, "tool_calls").starts_with("0:tool_use"));
}
