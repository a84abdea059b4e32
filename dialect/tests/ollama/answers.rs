//! Answers in, answers out: streams and whole ones.

use dialect::Dialect::Ollama;
use dialect::Endpoint::{self, OllamaChat, OllamaGenerate};
use dialect::Usage;
use dialect::translate::Translator;
use serde_json::{Value, json};

use crate::bench::{streamed, translator, whole};

/// A stream with thoughts, text, and two calls in lines of their own.
const STREAM: &str = r#"{"model":"qwen3:8b","created_at":"2026-11-20T19:08:00.5Z","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}
{"model":"qwen3:8b","created_at":"2026-11-20T19:08:01Z","message":{"role":"assistant","content":"Let me \"look\"."},"done":false}
{"model":"qwen3:8b","created_at":"2026-11-20T19:08:01Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_a","function":{"index":0,"name":"look","arguments":{"z":1.0,"a":"x"}}}]},"done":false}
{"model":"qwen3:8b","created_at":"2026-11-20T19:08:01Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"index":0,"name":"look","arguments":{}}}]},"done":false}
{"model":"qwen3:8b","created_at":"2026-11-20T19:08:02Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":5,"load_duration":1,"prompt_eval_count":26,"prompt_eval_duration":2,"eval_count":9,"eval_duration":3}
"#;

fn asking(stream: bool) -> Translator {
    of(OllamaChat, json!({"messages": [{"role": "user", "content": "Hi"}]}), stream)
}

fn of(endpoint: Endpoint, mut body: Value, stream: bool) -> Translator {
    body["model"] = json!("m");
    body["stream"] = json!(stream);
    translator(endpoint, Ollama, &body)
}

fn last(message: &Value, reason: &str, input: u64, output: u64) -> Value {
    json!({
        "model": "qwen3:8b", "created_at": "2026-11-20T19:08:00Z", "message": message, "done": true,
        "done_reason": reason, "total_duration": 0, "load_duration": 0, "prompt_eval_count": input,
        "prompt_eval_duration": 0, "eval_count": output, "eval_duration": 0
    })
}

#[test]
fn a_stream_is_told_line_by_line() {
    let mut translator = asking(true);
    assert_eq!(translator.content_type(), "application/x-ndjson");
    let lines = streamed(&mut translator, STREAM);
    let said = |message: Value| json!({"model": "qwen3:8b", "created_at": "2026-11-20T19:08:00Z", "message": message, "done": false});
    let made = lines[3]["message"]["tool_calls"][0]["id"].clone();
    assert!(made.as_str().unwrap().starts_with("call_"));
    let call = |index: usize, id: &Value, arguments: Value| {
        let function = json!({"index": index, "name": "look", "arguments": arguments});
        said(json!({"role": "assistant", "content": "", "tool_calls": [{"id": id, "function": function}]}))
    };
    let expected = [
        said(json!({"role": "assistant", "content": "", "thinking": "Hm"})),
        said(json!({"role": "assistant", "content": "Let me \"look\"."})),
        call(0, &json!("call_a"), json!({"z": 1.0, "a": "x"})),
        call(1, &made, json!({})),
        last(&json!({"role": "assistant", "content": ""}), "stop", 26, 9),
    ];
    assert_eq!(lines, expected);
    assert!(translator.is_complete());
    let usage = Usage { input_tokens: Some(26), output_tokens: Some(9), ..Usage::default() };
    assert_eq!(translator.usage(), usage);
}

#[test]
fn a_stream_that_is_cut_off_is_not_complete() {
    let (cut, _) =
        STREAM.split_once("{\"model\":\"qwen3:8b\",\"created_at\":\"2026-11-20T19:08:02Z\"").unwrap();
    let mut translator = asking(true);
    let lines = streamed(&mut translator, cut);
    assert!(translator.has_begun() && !translator.is_complete() && translator.error().is_none());
    assert!(lines.iter().all(|line| line["done"] == json!(false)));
}

#[test]
fn an_error_in_a_stream_ends_it() {
    let mut translator = asking(true);
    let stream = format!("{}\n{{\"error\":\"model runner has crashed\"}}\n", STREAM.lines().next().unwrap());
    let lines = streamed(&mut translator, &stream);
    assert_eq!(lines.len(), 1);
    assert_eq!(translator.error().unwrap().message, "model runner has crashed");
    assert!(!translator.is_complete());

    let mut translator = asking(true);
    assert_eq!(streamed(&mut translator, "<html>\n"), [Value::Null; 0]);
    assert!(translator.error().unwrap().message.contains("no answer of Ollama's"));
}

#[test]
fn t50_the_limit_of_tokens_is_kept() {
    let stream = STREAM.replace(r#""done_reason":"stop""#, r#""done_reason":"length""#);
    assert_eq!(streamed(&mut asking(true), &stream).last().unwrap()["done_reason"], json!("length"));
}

#[test]
fn t51_arguments_that_are_no_json_are_an_error_and_a_string_of_json_is_mended() {
    let stream = |arguments: &str| STREAM.replace(r#"{"z":1.0,"a":"x"}"#, arguments);
    let mut translator = asking(true);
    let lines = streamed(&mut translator, &stream(r#""{\"z\":2}""#));
    assert_eq!(lines[2]["message"]["tool_calls"][0]["function"]["arguments"], json!({"z": 2}));
    let mut translator = asking(true);
    streamed(&mut translator, &stream(r#""z=2""#));
    assert!(translator.error().is_some() && !translator.is_complete());

    let answer = |arguments: Value| {
        let call = json!({"function": {"name": "look", "arguments": arguments}});
        json!({"model": "q", "message": {"role": "assistant", "content": "", "tool_calls": [call]}, "done": true})
    };
    assert!(asking(false).whole(answer(json!("z=2")).to_string().as_bytes()).is_err());
    let told = whole(&mut asking(false), &answer(json!("{\"z\":2}")));
    assert_eq!(told["message"]["tool_calls"][0]["function"]["arguments"], json!({"z": 2}));
}

#[test]
fn a_whole_answer_is_the_last_line_alone() {
    let call = json!({"id": "call_a", "function": {"index": 0, "name": "look", "arguments": {"a": 1}}});
    let message = json!({"role": "assistant", "content": "Hi", "thinking": "Hm", "tool_calls": [call]});
    let answer = json!({
        "model": "qwen3:8b", "created_at": "2026-11-20T19:08:00Z", "message": message, "done": true,
        "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 6
    });
    assert_eq!(whole(&mut asking(false), &answer), last(&message, "stop", 5, 6));
}

#[test]
fn t54_a_whole_answer_is_told_as_a_stream_and_a_stream_as_a_whole_answer() {
    let whole_of = |stream: bool| {
        let (body, _) = asking(stream).whole(STREAM.as_bytes()).unwrap();
        String::from_utf8(body).unwrap()
    };
    let answer: Value = serde_json::from_str(&whole_of(false)).unwrap();
    assert_eq!(answer["message"]["content"], json!("Let me \"look\"."));
    assert_eq!(answer["message"]["tool_calls"].as_array().unwrap().len(), 2);
    let lines: Vec<Value> = whole_of(true).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[4]["eval_count"], json!(9));
}

#[test]
fn half_an_answer_and_an_error_are_errors() {
    for (body, message) in [
        (r#"{"error":"model \"m\" not found"}"#, "model \"m\" not found"),
        (r#"{"message":{"content":"Hi"},"done":false}"#, "the answer is not complete"),
        ("", "the answer is not complete"),
    ] {
        assert_eq!(asking(false).whole(body.as_bytes()).unwrap_err().message, message);
    }
    assert!(asking(false).whole(b"{\"message\":").is_err());
}

#[test]
fn a_generated_text_comes_as_response() {
    let mut translator = of(OllamaGenerate, json!({"prompt": "x", "raw": true}), true);
    let stream = r#"{"model":"q","response":"A","done":false}
{"model":"q","thinking":"B","response":"","done":false}
{"model":"q","response":"","done":true,"done_reason":"stop","eval_count":2,"context":[1]}"#;
    let lines = streamed(&mut translator, stream);
    let created = "2026-11-20T19:08:00Z";
    assert_eq!(lines[0], json!({"model": "q", "created_at": created, "response": "A", "done": false}));
    assert_eq!(
        lines[1],
        json!({"model": "q", "created_at": created, "response": "", "thinking": "B", "done": false})
    );
    assert_eq!((&lines[2]["done"], &lines[2]["response"]), (&json!(true), &json!("")));
    assert!(translator.is_complete(), "a last line without its end counts");
}

#[test]
fn what_was_generated_only_to_load_a_model_is_not_shown() {
    let mut translator = of(OllamaGenerate, json!({}), true);
    let lines = streamed(&mut translator, STREAM);
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["done_reason"], &lines[0]["response"]), (&json!("load"), &json!("")));
    let mut translator = of(OllamaChat, json!({"messages": []}), false);
    let told =
        whole(&mut translator, &json!({"message": {"content": "Hello"}, "done": true, "eval_count": 1}));
    assert_eq!((&told["done_reason"], &told["message"]["content"]), (&json!("load"), &json!("")));
}

#[test]
fn chances_of_tokens_are_kept() {
    let token = json!({"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []});
    let line = json!({"model": "q", "message": {"content": "Hi"}, "logprobs": [token], "done": false});
    let end = json!({"model": "q", "message": {"content": ""}, "done": true, "done_reason": "stop"});
    let lines = streamed(&mut asking(true), &format!("{line}\n{end}\n"));
    assert_eq!(lines[1]["logprobs"], json!([token]));
    let told = whole(
        &mut asking(false),
        &json!({"message": {"content": "Hi"}, "logprobs": [token], "done": true, "done_reason": "stop"}),
    );
    assert_eq!(told["logprobs"], json!([token]));
}
