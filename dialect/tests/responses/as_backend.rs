//! Clients of other dialects at a backend that speaks Responses.

use dialect::translate::{Engine, Translation};
use dialect::{Dialect, Endpoint, Usage};
use serde_json::{Value, json};

use crate::exchange::{framed, stream, streamed, terms, translated};

/// What OpenAI gets of a client's request, and the losses.
fn sent(from: Endpoint, model: &str, body: &str) -> (Value, String) {
    let all = translated(from, Dialect::Responses, body, &terms(Engine::Provider, model))
        .expect("it is translated");
    assert_eq!(all.endpoint, Endpoint::Responses);
    (serde_json::from_slice(&all.body).expect("it is JSON"), all.losses.header().unwrap_or_default())
}

fn from_chat(body: &str) -> (Value, String) {
    sent(Endpoint::ChatCompletions, "gpt-4.1", body)
}

fn make(from: Endpoint, body: &str) -> impl Fn() -> Translation {
    let body = body.to_owned();
    move || {
        translated(from, Dialect::Responses, &body, &terms(Engine::Provider, "gpt-4.1"))
            .expect("it is translated")
    }
}

/// The items of `input` by type, with the role of messages.
fn kinds(body: &Value) -> Vec<String> {
    let items = body["input"].as_array().expect("it is translated");
    let kind = |item: &Value| {
        let kind = item["type"].as_str().expect("it is a string");
        item["role"].as_str().map_or_else(|| kind.to_owned(), str::to_owned)
    };
    items.iter().map(kind).collect()
}

const HELLO: &str = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":{"include_usage":true}}"#;

#[test]
fn t85_usage_is_read_from_whatever_event_is_the_last() {
    let usage = r#""usage":{"input_tokens":9,"output_tokens":3,"input_tokens_details":{"cached_tokens":4}}"#;
    let expected =
        Usage { input_tokens: Some(9), output_tokens: Some(3), cached_tokens: Some(4), ..Usage::default() };
    let asked = r#"{"model":"m","input":"Hi","stream":true}"#;
    for end in [
        format!(r#"{{"type":"response.completed","response":{{"status":"completed",{usage}}}}}"#),
        format!(
            r#"{{"type":"response.incomplete","response":{{"status":"incomplete","incomplete_details":{{"reason":"max_output_tokens"}},{usage}}}}}"#
        ),
        format!(
            r#"{{"type":"response.failed","response":{{"status":"failed","error":{{"code":"server_error","message":"oh"}},{usage}}}}}"#
        ),
    ] {
        let streamed = stream(asked, &[&end]);
        assert_eq!(streamed.usage, expected, "{end}");
        assert_eq!(streamed.is_complete, !end.contains("failed"), "{end}");
    }
}

const CHAT: &str = r#"{"model":"m","messages":[{"role":"system","content":"A"},{"role":"system","content":[{"type":"text","text":"B"}]},
        {"role":"user","content":[{"type":"text","text":"Look"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"high"}},
         {"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}},
         {"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}]},
        {"role":"assistant","content":"I look.","tool_calls":[
         {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"z\":1,\"a\":1.0}"}},
         {"id":"c2","type":"function","function":{"name":"g","arguments":""}}]},
        {"role":"tool","tool_call_id":"c1","content":"one"},
        {"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"t"},{"type":"text","text":"wo"}]},
        {"role":"user","content":"And?"}],
        "tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,"parameters":{"type":"object","properties":{"z":{"type":"number"},"a":{"type":"number"}}}}},
         {"type":"function","function":{"name":"g"}},
         {"type":"custom","custom":{"name":"sh","format":{"type":"grammar","grammar":{"syntax":"regex","definition":"x"}}}}],
        "tool_choice":{"type":"function","function":{"name":"g"}},"parallel_tool_calls":false,
        "max_completion_tokens":99,"temperature":0.5,"user":"u",
        "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{}},"strict":true}}}"#;

#[test]
fn a_chat_arrives_whole() {
    let (body, losses) = from_chat(CHAT);
    assert_eq!(losses, "");
    assert!(body["instructions"].as_str().unwrap().starts_with("A\n"));
    assert_eq!(
        kinds(&body),
        [
            "user",
            "assistant",
            "function_call",
            "function_call",
            "function_call_output",
            "function_call_output",
            "user"
        ]
    );
    let input = &body["input"];
    assert_eq!(
        input[0]["content"],
        json!([
            {"type": "input_text", "text": "Look"},
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "high"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
        ])
    );
    assert_eq!(
        (&input[2]["arguments"], &input[3]["arguments"]),
        (&json!("{\"z\":1,\"a\":1.0}"), &json!("{}"))
    );
    assert_eq!((&input[5]["call_id"], &input[5]["output"]), (&json!("c2"), &json!("two")));
    assert_eq!(
        body["tools"],
        json!([
            {"type": "function", "name": "f", "description": "d", "strict": true,
             "parameters": {"type": "object", "properties": {"z": {"type": "number"}, "a": {"type": "number"}}}},
            {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}, "strict": false},
            {"type": "custom", "name": "sh", "format": {"type": "grammar", "syntax": "regex", "definition": "x"}}
        ])
    );
    assert_eq!(body["tool_choice"], json!({"type": "function", "name": "g"}));
    assert_eq!(
        (&body["max_output_tokens"], &body["store"], &body["user"]),
        (&json!(99), &json!(false), &json!("u"))
    );
    assert_eq!(body["text"]["format"]["name"], "n");
}

#[test]
fn tq_17_tq_18_what_responses_does_not_have_is_named() {
    let (body, losses) = from_chat(
        r#"{"model":"m","messages":[{"role":"user","name":"bob","content":"Hi"}],"seed":7,"stop":["END"],
        "presence_penalty":0.5,"frequency_penalty":0,"logit_bias":{"1":2},"prediction":{"type":"content","content":"x"},
        "store":true,"safety_identifier":"s","max_tokens":3}"#,
    );
    for field in [
        "seed:",
        "stop:",
        "presence_penalty:",
        "logit_bias:",
        "prediction:",
        "store:",
        "messages[0].name:",
        "max_tokens:",
    ] {
        assert!(losses.contains(field), "{field} in {losses}");
    }
    assert!(!losses.contains("frequency_penalty") && !losses.contains("safety_identifier"), "{losses}");
    assert_eq!((&body["safety_identifier"], &body["max_output_tokens"]), (&json!("s"), &json!(16)));
}

#[test]
fn tq_19_tr_15_effort_and_json_reach_models_that_think() {
    let (body, losses) = sent(
        Endpoint::ChatCompletions,
        "gpt-5.2",
        r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"reasoning_effort":"low","verbosity":"low",
        "temperature":1,"response_format":{"type":"json_object"},"max_tokens":50}"#,
    );
    assert_eq!(losses, "");
    assert_eq!(body["reasoning"], json!({"effort": "low"}));
    assert_eq!(body["text"], json!({"format": {"type": "json_object"}, "verbosity": "low"}));
    assert_eq!(body["instructions"], "Answer with a JSON object.");
    assert_eq!((body.get("temperature"), &body["max_output_tokens"]), (None, &json!(50)));
}

#[test]
fn ts_01_ts_09_a_stream_reaches_a_client_of_the_chat_api() {
    let events = framed(&[
        r#"{"type":"response.created","response":{"id":"resp_1","model":"gpt-x","created_at":1700000001}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"I look."}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"fc","type":"function_call","call_id":"c1","name":"f","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{\"a\":1}"}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"fc","type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\":1}"}}"#,
        r#"{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":9,"output_tokens":3}}}"#,
    ]);
    let streamed = streamed(&make(Endpoint::ChatCompletions, HELLO), &events);
    assert!(streamed.is_complete && streamed.text.ends_with("data: [DONE]\n\n"));
    let chunks: Vec<Value> = streamed
        .text
        .split("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    let text: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "I look.");
    let calls: Vec<&Value> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0)).collect();
    assert_eq!(
        (&calls[0]["id"], &calls[0]["index"], &calls[0]["function"]["name"]),
        (&json!("c1"), &json!(0), &json!("f"))
    );
    let arguments: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, "{\"a\":1}");
    assert!(chunks.iter().any(|chunk| chunk["choices"][0]["finish_reason"] == "tool_calls"));
    assert_eq!(chunks.last().unwrap()["usage"]["prompt_tokens"], 9);
}

#[test]
fn tp_04_sealed_thoughts_survive_a_client_of_the_chat_api() {
    let answer = r#"{"id":"resp_1","status":"completed","output":[
        {"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"gAAA"},
        {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"}]}"#;
    let asked = HELLO
        .replace("\"stream\":true,", "\"stream\":false,")
        .replace(",\"stream_options\":{\"include_usage\":true}", "");
    let (out, _) = make(Endpoint::ChatCompletions, &asked)().translator.whole(answer.as_bytes()).unwrap();
    let message = serde_json::from_slice::<Value>(&out).unwrap()["choices"][0]["message"].take();
    assert_eq!(message["reasoning_content"], "Hm.");
    let again = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}, message,
        {"role": "tool", "tool_call_id": "c1", "content": "1"}]});
    let (body, _) = from_chat(&again.to_string());
    assert_eq!(kinds(&body), ["user", "reasoning", "function_call", "function_call_output"]);
    assert_eq!(body["input"][1]["encrypted_content"], "gAAA");
}

#[test]
fn t05_t08_t09_t10_a_turn_of_claude_code_arrives() {
    let (body, losses) = sent(
        Endpoint::Messages,
        "gpt-5.2",
        r#"{"model":"m","max_tokens":4096,"temperature":1,"stream":true,
        "system":[{"type":"text","text":"x-anthropic-billing-header: cch=1;"},
         {"type":"text","text":"You are.","cache_control":{"type":"ephemeral"}}],
        "thinking":{"type":"enabled","budget_tokens":4000},"metadata":{"user_id":"u"},
        "messages":[{"role":"user","content":"Hi"},
         {"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"S"},{"type":"text","text":"I look."},
          {"type":"tool_use","id":"t1","name":"f","input":{"z":1,"a":1.0}},{"type":"tool_use","id":"t2","name":"g","input":{}}]},
         {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"42"}]},
          {"type":"tool_result","tool_use_id":"t2","is_error":true,"content":"no"},{"type":"text","text":"Go on."}]}],
        "tools":[{"name":"f","description":"d","input_schema":{"type":"object"}},{"name":"g","input_schema":{"type":"object","properties":{}}}],
        "tool_choice":{"type":"any","disable_parallel_tool_use":true}}"#,
    );
    assert_eq!(losses, "");
    assert_eq!(body["instructions"], "You are.");
    assert_eq!(
        kinds(&body),
        [
            "user",
            "assistant",
            "function_call",
            "function_call",
            "function_call_output",
            "function_call_output",
            "user"
        ]
    );
    assert_eq!(body["input"][2]["arguments"], "{\"z\":1,\"a\":1.0}");
    assert_eq!(
        (&body["input"][4]["output"], &body["input"][5]["output"]),
        (&json!("42"), &json!("[tool error] no"))
    );
    assert_eq!(body["reasoning"], json!({"effort": "medium", "summary": "auto"}));
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!((&body["tool_choice"], &body["parallel_tool_calls"]), (&json!("required"), &json!(false)));
    assert_eq!(body["tools"][0]["parameters"], json!({"type": "object", "properties": {}}));
    assert_eq!((body.get("temperature"), &body["user"]), (None, &json!("u")));
}

#[test]
fn t15_tools_of_anthropic_become_openais_or_are_named() {
    let (body, losses) = sent(
        Endpoint::Messages,
        "gpt-4.1",
        r#"{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"Hi"}],
        "tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3,"allowed_domains":["x.org"]},
        {"type":"bash_20250124","name":"bash"}]}"#,
    );
    assert_eq!(body["tools"], json!([{"type": "web_search", "filters": {"allowed_domains": ["x.org"]}}]));
    assert!(
        losses.contains("tools[0].max_uses:") && losses.contains("tools[1]: the backend has no tool"),
        "{losses}"
    );
}

#[test]
fn t12_t83_a_stream_reaches_a_client_of_anthropic() {
    let asked = r#"{"model":"m","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let events = framed(&[
        r#"{"type":"response.created","response":{"id":"resp_1","model":"gpt-x","created_at":1700000001}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"Hm."}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"gAAA"}}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"fc","type":"function_call","call_id":"c1","name":"f","arguments":"{}"}}"#,
        r#"{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":3}}}"#,
    ]);
    let streamed = streamed(&make(Endpoint::Messages, asked), &events);
    assert!(streamed.is_complete);
    assert!(streamed.text.contains(r#""signature":"openai-responses-v1#gAAA""#), "{}", streamed.text);
    assert!(streamed.text.contains(r#""stop_reason":"tool_use""#));
    assert!(
        streamed.text.contains(r#""input_tokens":5"#)
            && streamed.text.contains(r#""cache_read_input_tokens":4"#)
    );
}
