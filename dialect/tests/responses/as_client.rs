//! A client of the Responses API (Codex, the SDKs) at backends of other dialects.

use dialect::translate::{Engine, Translation};
use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::exchange::{Streamed, events, last_response, streamed, terms, told, translated};

/// What a server of this kind that speaks OpenAI chat gets, and the losses.
fn chat(engine: Engine, body: &str) -> (Value, String) {
    let all = translated(Endpoint::Responses, Dialect::OpenAi, body, &terms(engine, "m"))
        .expect("it is translated");
    (serde_json::from_slice(&all.body).expect("it is JSON"), all.losses.header().unwrap_or_default())
}

fn make(to: Dialect, body: &str) -> impl Fn() -> Translation {
    let body = body.to_owned();
    move || {
        translated(Endpoint::Responses, to, &body, &terms(Engine::LlamaCpp, "m")).expect("it is translated")
    }
}

/// What the client gets of a stream of OpenAI's chat API with these choices, which is complete.
fn from_chat(body: &str, chunks: &[&str]) -> Streamed {
    const BEFORE: &str =
        r#"{"id":"c","object":"chat.completion.chunk","created":1700000002,"model":"local","choices":["#;
    let mut bytes: Vec<String> = chunks.iter().map(|chunk| format!("data: {BEFORE}{chunk}]}}\n\n")).collect();
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":12}}}"#;
    bytes.push(format!("data: {usage}\n\ndata: [DONE]\n\n"));
    streamed(&make(Dialect::OpenAi, body), &bytes.concat())
}

const CODEX: &str = r#"{"model":"m","instructions":"You are Codex.","stream":true,"store":false,
    "input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"Sandboxed."}]},
     {"type":"message","role":"user","content":[{"type":"input_text","text":"Fix it."}]}],
    "tools":[{"type":"function","name":"shell","description":"d","strict":false,"parameters":{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"number"}},"required":["z"]}},
     {"type":"custom","name":"apply_patch","description":"Edits files.","format":{"type":"grammar","syntax":"lark","definition":"start: x"}},
     {"type":"namespace","name":"mcp__git","description":"Git.","tools":[{"type":"function","name":"log","parameters":{"type":"object","properties":{}}},{"type":"custom","name":"run"}]},
     {"type":"web_search"},{"type":"image_generation"}],
    "tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"medium","summary":"auto"},
    "include":["reasoning.encrypted_content"],"prompt_cache_key":"k"}"#;

#[test]
fn t96_functions_are_kept_namespaces_expanded_and_the_rest_is_named() {
    let (body, losses) = chat(Engine::LlamaCpp, CODEX);
    let tools = body["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["shell", "apply_patch", "mcp__git__log", "mcp__git__run"]);
    assert!(tools.iter().all(|tool| tool["type"] == "function"));
    assert_eq!(
        tools[0]["function"]["parameters"].to_string(),
        r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"number"}},"required":["z"]}"#
    );
    assert_eq!(tools[1]["function"]["parameters"]["required"], json!(["input"]));
    assert!(tools[1]["function"]["description"].as_str().unwrap().ends_with("lark grammar:\nstart: x"));
    assert_eq!(tools[2]["function"]["description"], "Git.");
    for field in ["tools[3]", "tools[4]"] {
        assert!(losses.contains(&format!("{field}: ")), "{field} in {losses}");
    }
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "You are Codex.\nSandboxed."}));
    assert_eq!(body["stream_options"]["include_usage"], true);
}

#[test]
fn t97_a_message_of_the_model_needs_no_id_and_no_type() {
    let input = r#"{"model":"m","input":[{"role":"user","content":"Hi"},
        {"role":"assistant","content":[{"type":"output_text","text":"Hello"}]},
        {"type":"message","role":"assistant","content":"Again"},{"role":"user","content":"?"}]}"#;
    let (body, losses) = chat(Engine::Vllm, input);
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "assistant", "content": "Again"},
            {"role": "user", "content": "?"}
        ])
    );
    assert_eq!(losses, "");
}

#[test]
fn a_turn_of_several_items_is_one_message_and_its_results_follow_it() {
    let input = r#"{"model":"m","input":[{"role":"user","content":"Hi"},
        {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm."}]},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Let me look."}]},
        {"type":"function_call","call_id":"c1","name":"f","arguments":"{\"z\":1,\"a\":1.0}"},
        {"type":"custom_tool_call","call_id":"c2","name":"g","input":"ls"},
        {"type":"function_call_output","call_id":"c1","output":"one"},
        {"type":"custom_tool_call_output","call_id":"c2","output":"two"},
        {"role":"user","content":"And?"}]}"#;
    let (body, _) = chat(Engine::LmStudio, input);
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"]);
    assert_eq!(messages[1]["content"], "Let me look.");
    assert_eq!(messages[1]["reasoning_content"], "Hm.");
    assert_eq!(messages[1]["tool_calls"][0]["function"]["arguments"], "{\"z\":1,\"a\":1.0}");
    assert_eq!(messages[1]["tool_calls"][1]["function"]["arguments"], r#"{"input":"ls"}"#);
    assert_eq!(
        (&messages[2]["tool_call_id"], &messages[2]["content"], &messages[3]["tool_call_id"]),
        (&json!("c1"), &json!("one"), &json!("c2"))
    );
}

#[test]
fn t99_an_answer_of_a_tool_may_be_a_list() {
    let input = r#"{"model":"m","input":[{"role":"user","content":"Hi"},
        {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
        {"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"4"},
         {"type":"input_text","text":"2"},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgo="}]}]}"#;
    let (body, losses) = chat(Engine::LmStudio, input);
    assert_eq!(body["messages"][2]["role"], "tool");
    assert!(body["messages"][2]["content"].as_str().unwrap().starts_with("42"));
    assert!(body.to_string().contains("data:image/png;base64,iVBORw0KGgo="));
    assert_eq!(losses, "");
}

#[test]
fn t101_an_answer_that_is_not_kept_is_refused_naming_the_field() {
    for to in [Dialect::OpenAi, Dialect::Gemini, Dialect::Ollama] {
        let body = r#"{"model":"m","input":"And?","previous_response_id":"resp_1"}"#;
        let unfit = translated(Endpoint::Responses, to, body, &terms(Engine::Other, "m")).err().unwrap();
        assert_eq!(unfit.field, "previous_response_id");
        assert!(unfit.is_good_elsewhere && unfit.message.contains("send the whole conversation as input"));
    }
}

#[test]
fn t102_calls_come_back_in_their_namespaces_and_as_custom_ones() {
    let streamed = from_chat(
        CODEX,
        &[
            r#"{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"mcp__git__log","arguments":"{}"}}]}}"#,
            r#"{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"apply_patch","arguments":"{\"input\":\"*** Begin"}}]}}"#,
            r#"{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":" Patch\\n\"}"}}]}}"#,
            r#"{"index":0,"delta":{"tool_calls":[{"index":2,"id":"c3","type":"function","function":{"name":"mcp__git__run","arguments":"{\"input\":\"x\"}"}}]}}"#,
            r#"{"index":0,"delta":{},"finish_reason":"tool_calls"}"#,
        ],
    );
    assert_eq!(streamed.error, None);
    let output = last_response(&streamed.text)["output"].take();
    let shown = |index: usize| {
        let item = &output[index];
        let said = item["input"].as_str().or(item["arguments"].as_str()).unwrap();
        let namespace = item["namespace"].as_str().unwrap_or("-");
        format!("{} {namespace} {} {said}", item["type"].as_str().unwrap(), item["name"].as_str().unwrap())
    };
    assert_eq!(shown(0), "function_call mcp__git log {}");
    assert_eq!(shown(1), "custom_tool_call - apply_patch *** Begin Patch\n");
    assert_eq!(shown(2), "custom_tool_call mcp__git run x");
    let again = json!({"model": "m", "input": [{"role": "user", "content": "Hi"}, output[0]],
        "tools": [{"type": "namespace", "name": "mcp__git", "description": "", "tools": []}]});
    let (body, _) = chat(Engine::LlamaCpp, &again.to_string());
    assert_eq!(body["messages"][1]["tool_calls"][0]["function"]["name"], "mcp__git__log");
    let whole = r#"{"id":"c","model":"m","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,
        "tool_calls":[{"id":"c1","type":"function","function":{"name":"mcp__git__log","arguments":"{}"}}]}}]}"#;
    let asked = CODEX.replace("\"stream\":true", "\"stream\":false");
    let (out, _) = make(Dialect::OpenAi, &asked)().translator.whole(whole.as_bytes()).unwrap();
    let answer: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&answer["output"][0]["namespace"], &answer["output"][0]["name"]),
        (&json!("mcp__git"), &json!("log"))
    );
}

#[test]
fn t103_a_probe_that_asks_nothing_is_accepted() {
    for input in [r#""input":"","#, r#""input":[],"#, ""] {
        let body = format!(r#"{{"model":"m",{input}"max_output_tokens":1}}"#);
        for to in [Dialect::OpenAi, Dialect::Gemini, Dialect::Ollama, Dialect::Responses] {
            let all = translated(Endpoint::Responses, to, &body, &terms(Engine::Other, "m")).unwrap();
            assert!(all.losses.is_empty(), "{to:?}");
        }
        let (sent, _) = chat(Engine::LlamaCpp, &body);
        assert_eq!(sent["messages"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn t36_t38_t39_thoughts_text_and_calls_are_told_one_after_the_other() {
    let streamed = from_chat(
        CODEX,
        &[
            r#"{"index":0,"delta":{"role":"assistant","content":"","reasoning_content":"Hm"}}"#,
            r#"{"index":0,"delta":{"reasoning_content":"m.","content":"I "}}"#,
            r#"{"index":0,"delta":{"content":"look."}}"#,
            r#"{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"shell","arguments":"{\"z\":"}}]}}"#,
            r#"{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"ls\"}"}}]}}"#,
            r#"{"index":0,"delta":{},"finish_reason":"stop"}"#,
        ],
    );
    assert_eq!(
        told(&streamed.text),
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta Hm",
            "reasoning_summary_text.delta m.",
            "reasoning_summary_text.done Hmm.",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta I ",
            "output_text.delta look.",
            "output_text.done I look.",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta {\"z\":",
            "function_call_arguments.delta \"ls\"}",
            "function_call_arguments.done {\"z\":\"ls\"}",
            "output_item.done",
            "completed",
        ]
    );
    let all = events(&streamed.text);
    let indexes: Vec<u64> = all.iter().filter_map(|event| event["output_index"].as_u64()).collect();
    assert!(indexes.is_sorted() && indexes.last() == Some(&2));
    let response = last_response(&streamed.text);
    assert_eq!(response["usage"]["input_tokens"], 20);
    assert_eq!(response["usage"]["input_tokens_details"]["cached_tokens"], 12);
    assert_eq!((&response["model"], &response["created_at"]), (&json!("local"), &json!(1_700_000_002)));
    assert_eq!(response["tools"][2]["name"], "mcp__git");
}

#[test]
fn t78_ids_are_made_once_and_stay() {
    let chunks =
        [r#"{"index":0,"delta":{"content":"a"}}"#, r#"{"index":0,"delta":{},"finish_reason":"stop"}"#];
    let streamed = from_chat(CODEX, &chunks);
    let all = events(&streamed.text);
    let ids: Vec<&str> = all.iter().filter_map(|event| event["response"]["id"].as_str()).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0] && id.starts_with("resp_")));
    let items: Vec<&str> = all.iter().filter_map(|event| event["item_id"].as_str()).collect();
    assert!(items.iter().all(|id| *id == all[2]["item"]["id"]));
}

#[test]
fn t48_t50_ends_that_are_no_ends_are_incomplete() {
    for (finish, reason) in [("content_filter", "content_filter"), ("length", "max_output_tokens")] {
        let end = format!(r#"{{"index":0,"delta":{{}},"finish_reason":"{finish}"}}"#);
        let call = r#"{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"shell","arguments":"{}"}}]}}"#;
        let streamed = from_chat(CODEX, &[call, &end]);
        let response = last_response(&streamed.text);
        assert_eq!(response["incomplete_details"]["reason"], reason);
    }
}

#[test]
fn t51_t52_t53_what_breaks_is_no_success() {
    let chunk = |delta: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
    let call =
        chunk(r#"{"tool_calls":[{"index":0,"id":"c1","function":{"name":"shell","arguments":"ls -l"}}]}"#);
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    for (bytes, is_error) in [
        (format!("{call}{end}"), true),
        (
            chunk(r#"{"content":"a"}"#)
                + "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n",
            true,
        ),
        (chunk(r#"{"content":"a"}"#), false),
    ] {
        let streamed = streamed(&make(Dialect::OpenAi, CODEX), &bytes);
        assert_eq!((streamed.is_complete, streamed.error.is_some()), (false, is_error), "{bytes}");
        assert!(!streamed.text.contains("response.completed"));
    }
}

#[test]
fn t87_the_signature_of_a_call_survives_a_client_of_this_api() {
    let asked = r#"{"model":"m","input":"Hi","tools":[{"type":"function","name":"f","parameters":{}}]}"#;
    let answer = r#"{"candidates":[{"index":0,"finishReason":"STOP","content":{"role":"model","parts":[
        {"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"U0lH"}]}}],"usageMetadata":{}}"#;
    let terms = terms(Engine::Provider, "gemini-3-pro");
    let ask = |body: &str| translated(Endpoint::Responses, Dialect::Gemini, body, &terms).unwrap();
    let (out, _) = ask(asked).translator.whole(answer.as_bytes()).unwrap();
    let output = serde_json::from_slice::<Value>(&out).unwrap()["output"].take();
    assert_eq!(output[0]["encrypted_content"], "google-gemini-v1#U0lH");
    assert_eq!(output[1]["type"], "function_call");
    let mut input = vec![json!({"role": "user", "content": "Hi"})];
    input.extend(output.as_array().unwrap().iter().cloned());
    input.push(json!({"type": "function_call_output", "call_id": output[1]["call_id"], "output": "1"}));
    let again =
        json!({"model": "m", "input": input, "tools": [{"type": "function", "name": "f", "parameters": {}}]});
    let sent: Value = serde_json::from_slice(&ask(&again.to_string()).body).unwrap();
    let call = &sent["contents"][1]["parts"][0];
    assert_eq!((&call["functionCall"]["name"], &call["thoughtSignature"]), (&json!("f"), &json!("U0lH")));
}

#[test]
fn t80_signed_and_sealed_thoughts_of_anthropic_survive_a_client_of_this_api() {
    let asked = r#"{"model":"m","input":"Hi","reasoning":{"effort":"high","summary":"auto"}}"#;
    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[
        {"type":"thinking","thinking":"Hm.","signature":"SIG"},{"type":"redacted_thinking","data":"XYZ"},
        {"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,
        "usage":{"input_tokens":2,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":4}}"#;
    let terms = terms(Engine::Provider, "claude-sonnet-4-6");
    let ask = |body: &str| translated(Endpoint::Responses, Dialect::Anthropic, body, &terms).unwrap();
    let (out, _) = ask(asked).translator.whole(answer.as_bytes()).unwrap();
    let answer = serde_json::from_slice::<Value>(&out).unwrap();
    assert_eq!(answer["output"][0]["encrypted_content"], "anthropic-claude-v1#SIG");
    assert_eq!(answer["output"][1]["encrypted_content"], "anthropic-claude-v1##XYZ");
    assert_eq!(answer["usage"]["input_tokens"], 10);
    assert_eq!(answer["usage"]["input_tokens_details"], json!({"cached_tokens": 5, "cache_write_tokens": 3}));
    let mut input = vec![json!({"role": "user", "content": "Hi"})];
    input.extend(answer["output"].as_array().unwrap().iter().cloned());
    input.push(json!({"role": "user", "content": "?"}));
    let again = json!({"model": "m", "input": input, "reasoning": {"effort": "high"}});
    let sent: Value = serde_json::from_slice(&ask(&again.to_string()).body).unwrap();
    assert_eq!(
        sent["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "Hm.", "signature": "SIG"},
            {"type": "redacted_thinking", "data": "XYZ"},
            {"type": "text", "text": "Hello"}
        ])
    );
}
