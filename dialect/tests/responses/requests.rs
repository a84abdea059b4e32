//! Requests: what the client says, and what the backend gets.

use dialect::translate::Engine;
use serde_json::json;

use crate::alone::{refused, sent, sent_to};

#[test]
fn a_plain_text_is_a_message_of_the_user_and_nothing_is_kept() {
    let (body, losses) = sent(r#"{"model":"m","instructions":"Be brief.","input":"Hi","store":false}"#);
    assert_eq!(
        body,
        json!({
            "model": "gpt-4.1",
            "instructions": "Be brief.",
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
            "store": false,
            "stream": false
        })
    );
    assert_eq!(losses, None);
}

#[test]
fn every_setting_arrives() {
    let (body, losses) = sent(
        r#"{"model":"m","input":"Hi","stream":true,"stream_options":{"include_obfuscation":true},
        "max_output_tokens":100,"temperature":0.5,"top_p":0.9,"top_logprobs":2,
        "include":["message.output_text.logprobs","reasoning.encrypted_content"],
        "text":{"format":{"type":"json_schema","name":"n","schema":{"z":1,"a":2.0},"strict":true},"verbosity":"low"},
        "user":"u","metadata":{"k":"v"},"service_tier":"flex","prompt_cache_key":"c","parallel_tool_calls":false,
        "tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":true}],
        "truncation":"disabled"}"#,
    );
    assert_eq!(losses, None);
    assert_eq!(
        body.to_string(),
        concat!(
            r#"{"model":"gpt-4.1","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"Hi"}]}],"#,
            r#""tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":true}],"#,
            r#""parallel_tool_calls":false,"max_output_tokens":100,"temperature":0.5,"top_p":0.9,"top_logprobs":2,"#,
            r#""include":["message.output_text.logprobs"],"#,
            r#""text":{"format":{"type":"json_schema","name":"n","schema":{"z":1,"a":2.0},"strict":true},"verbosity":"low"},"#,
            r#""user":"u","metadata":{"k":"v"},"service_tier":"flex","prompt_cache_key":"c","store":false,"stream":true,"#,
            r#""stream_options":{"include_obfuscation":false}}"#
        )
    );
}

#[test]
fn tq_03_tq_04_pictures_files_and_sound_arrive() {
    let (body, losses) = sent(
        r#"{"model":"m","input":[{"role":"user","content":[
        {"type":"input_image","image_url":"https://x/y.png","detail":"low"},
        {"type":"input_image","image_url":"data:image/png;base64,AAAA"},
        {"type":"input_image","file_id":"file-1"},
        {"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,BBBB"},
        {"type":"input_file","file_url":"https://x/z.pdf"},
        {"type":"input_audio","input_audio":{"data":"CCCC","format":"mp3"}}]}]}"#,
    );
    assert_eq!(losses, None);
    assert_eq!(
        body["input"][0]["content"],
        json!([
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
            {"type": "input_image", "file_id": "file-1", "detail": "auto"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"},
            {"type": "input_file", "file_url": "https://x/z.pdf"},
            {"type": "input_audio", "input_audio": {"data": "CCCC", "format": "mp3"}}
        ])
    );
}

#[test]
fn tq_06_tq_07_later_instructions_keep_their_place() {
    let input = r#"{"model":"m","instructions":"A","input":[{"role":"developer","content":"B"},
        {"role":"user","content":"Hi"},{"role":"system","content":"C"},{"role":"user","content":"?"}]}"#;
    let (body, _) = sent(input);
    assert_eq!(body["instructions"], "A\n\nB");
    let roles = |body: &serde_json::Value| {
        let items = body["input"].as_array().unwrap();
        items.iter().map(|item| item["role"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(roles(&body), ["user", "developer", "user"]);
    assert_eq!(roles(&sent_to(Engine::LlamaCpp, "m", input).0), ["user", "system", "user"]);
}

#[test]
fn a_turn_with_thoughts_text_and_calls_survives() {
    let (body, losses) = sent(
        r#"{"model":"m","input":[{"role":"user","content":"Hi"},
        {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"gAAA"},
        {"type":"message","id":"msg_1","role":"assistant","status":"completed","phase":"commentary",
         "content":[{"type":"output_text","text":"Let me look.","annotations":[],"logprobs":[]}]},
        {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"z\":1,\"a\":1.0}","status":"completed"},
        {"type":"custom_tool_call","id":"ctc_1","call_id":"c2","name":"sh","input":"ls"},
        {"type":"function_call_output","call_id":"c1","output":"1"},
        {"type":"custom_tool_call_output","call_id":"c2","output":"2"}],
        "tools":[{"type":"function","name":"f","parameters":{}},
        {"type":"custom","name":"sh","description":"d","format":{"type":"grammar","syntax":"lark","definition":"g"}}]}"#,
    );
    assert_eq!(losses, None);
    assert_eq!(
        body["input"].as_array().unwrap()[1..],
        json!([
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAA"},
            {"type": "message", "role": "assistant",
             "content": [{"type": "output_text", "text": "Let me look.", "annotations": []}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"z\":1,\"a\":1.0}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "sh", "input": "ls"},
            {"type": "function_call_output", "call_id": "c1", "output": "1"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"}
        ])
        .as_array()
        .unwrap()[..]
    );
    assert_eq!(
        body["tools"],
        json!([
            {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false},
            {"type": "custom", "name": "sh", "description": "d",
             "format": {"type": "grammar", "syntax": "lark", "definition": "g"}}
        ])
    );
}

#[test]
fn tq_14_custom_tools_are_functions_for_servers_that_know_only_those() {
    let (body, losses) = sent_to(
        Engine::LmStudio,
        "m",
        r#"{"model":"m","input":[{"role":"user","content":"Hi"},
        {"type":"custom_tool_call","call_id":"c2","name":"sh","input":"say \"x\""},
        {"type":"custom_tool_call_output","call_id":"c2","output":"x"}],
        "tools":[{"type":"custom","name":"sh","description":"Runs it."}]}"#,
    );
    assert_eq!(losses, None);
    assert_eq!(body["tools"][0]["type"], "function");
    assert_eq!(body["tools"][0]["parameters"]["required"], json!(["input"]));
    assert_eq!(body["input"][1]["type"], "function_call");
    assert_eq!(body["input"][1]["arguments"], r#"{"input":"say \"x\""}"#);
    assert_eq!(body["input"][2]["type"], "function_call_output");
}

#[test]
fn thoughts_of_others_go_to_servers_that_take_any_and_are_else_left_out() {
    let input = r#"{"model":"m","input":[{"role":"user","content":"Hi"},
        {"type":"reasoning","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"anthropic-claude-v1#SIG"},
        {"role":"assistant","content":"Hello"},{"role":"user","content":"?"}]}"#;
    let (body, losses) = sent(input);
    assert_eq!((body["input"].as_array().unwrap().len(), losses), (3, None));
    let (body, _) = sent_to(Engine::Vllm, "m", input);
    assert_eq!(body["input"][1]["content"], json!([{"type": "reasoning_text", "text": "Hm."}]));
    assert_eq!(body["input"][1].get("encrypted_content"), None);
}

#[test]
fn tq_01_every_form_of_tool_choice_arrives() {
    let tools = r#""tools":[{"type":"function","name":"f","parameters":{}},{"type":"custom","name":"g"},{"type":"web_search"}]"#;
    for (choice, expected) in [
        (r#""auto""#, json!("auto")),
        (r#""none""#, json!("none")),
        (r#""required""#, json!("required")),
        (r#"{"type":"function","name":"f"}"#, json!({"type": "function", "name": "f"})),
        (r#"{"type":"custom","name":"g"}"#, json!({"type": "custom", "name": "g"})),
        (r#"{"type":"web_search_preview"}"#, json!({"type": "web_search"})),
        (
            r#"{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"}]}"#,
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}),
        ),
    ] {
        let (body, _) = sent(&format!(r#"{{"model":"m","input":"Hi",{tools},"tool_choice":{choice}}}"#));
        assert_eq!(body["tool_choice"], expected, "{choice}");
    }
    let allowed =
        r#""tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"custom","name":"g"}]}"#;
    let (body, _) =
        sent_to(Engine::Ollama, "m", &format!(r#"{{"model":"m","input":"Hi",{tools},{allowed}}}"#));
    assert_eq!((&body["tool_choice"], &body["tools"][0]["name"]), (&json!("auto"), &json!("g")));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
}

#[test]
fn what_builds_on_kept_state_is_refused_with_what_to_do() {
    for (member, field, mend) in [
        (r#""previous_response_id":"resp_1""#, "previous_response_id", "send the whole conversation"),
        (r#""conversation":{"id":"conv_1"}"#, "conversation", "send the whole conversation"),
        (r#""prompt":{"id":"pmpt_1"}"#, "prompt", "send its text"),
        (r#""background":true"#, "background", "leave it out"),
    ] {
        let (is_good_elsewhere, sentence) = refused(&format!(r#"{{"model":"m","input":"Hi",{member}}}"#));
        assert!(is_good_elsewhere, "{member}");
        assert!(sentence.starts_with(field) && sentence.contains(mend), "{sentence}");
    }
    for item in [r#"{"type":"item_reference","id":"msg_1"}"#, r#"{"id":"msg_1"}"#] {
        let (_, sentence) = refused(&format!(r#"{{"model":"m","input":[{item}]}}"#));
        assert!(sentence.starts_with("input[0] refers to an item"), "{sentence}");
    }
    let (_, sentence) = refused(
        r#"{"model":"m","input":[{"type":"compaction","encrypted_content":"x"},{"role":"user","content":"Hi"}]}"#,
    );
    assert!(sentence.starts_with("input[0] is a compaction"), "{sentence}");
    let (body, _) = sent(r#"{"model":"m","input":"Hi","previous_response_id":null,"background":false}"#);
    assert_eq!(body.get("previous_response_id"), None);
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    for (body, expected) in [
        (r#"{"input":"Hi"}"#, "model is missing"),
        (
            r#"{"model":"m","messages":[]}"#,
            "messages is of another API: the Responses API has the conversation in input",
        ),
        (r#"{"model":"m","input":7}"#, "input must be a string or a list, not a number"),
        (r#"{"model":"m","input":[{"role":"user"}]}"#, "input[0].content is missing"),
        (r#"{"model":"m","input":[{"role":"robot","content":"x"}]}"#, "input[0].role \"robot\" is no role"),
        (
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}"#,
            "input[0].content[0].text is missing",
        ),
        (
            r#"{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"[1"}]}"#,
            "input[0].arguments must be a JSON object in a string",
        ),
        (
            r#"{"model":"m","input":"Hi","text":{"format":{"type":"xml"}}}"#,
            "text.format.type \"xml\" is none of text, json_object, json_schema",
        ),
    ] {
        assert_eq!(refused(body), (false, expected.to_owned()), "{body}");
    }
}

#[test]
fn tq_18_what_cannot_be_carried_is_named() {
    let (_, losses) = sent(
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"Hi","new":1}]}],
        "store":true,"truncation":"auto","max_tool_calls":3,"reasoning":{"effort":"low","context":"all_turns"},
        "tools":[{"type":"mcp","server_label":"s"},{"type":"function","name":"f","parameters":{},"defer_loading":true}],
        "include":["file_search_call.results"]}"#,
    );
    let losses = losses.unwrap();
    for field in [
        "input[0].content[0].new:",
        "store:",
        "truncation:",
        "max_tool_calls:",
        "reasoning: the model does not think",
        "reasoning.context:",
        "tools[0]: the backend has no tool mcp",
        "tools[1].defer_loading:",
        "include[0]:",
    ] {
        assert!(losses.contains(field), "{field} in {losses}");
    }
}

#[test]
fn t22_models_that_think_get_no_temperature_and_give_their_thoughts_sealed() {
    let input = r#"{"model":"m","input":"Hi","temperature":0.2,"top_p":1,"reasoning":{"effort":"high","summary":"auto"}}"#;
    let (body, losses) = sent_to(Engine::Provider, "gpt-5.2", input);
    assert_eq!(body["reasoning"], json!({"effort": "high", "summary": "auto"}));
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!((body.get("temperature"), body.get("top_p")), (None, None));
    assert_eq!(losses.as_deref(), Some("temperature: the model thinks, and takes no such setting"));
    let (body, losses) = sent_to(Engine::Provider, "gpt-5.2", &input.replace("high", "none"));
    assert_eq!((&body["temperature"], losses), (&json!(0.2), None));
    let (body, losses) = sent_to(Engine::Provider, "gpt-5-mini", &input.replace("high", "none"));
    assert_eq!(body["reasoning"]["effort"], "minimal");
    assert!(losses.unwrap().starts_with("reasoning: the model cannot be told not to think"));
}

#[test]
fn the_same_request_is_the_same_bytes_and_a_longer_one_begins_the_same() {
    let first = r#"{"model":"m","input":[{"role":"user","content":"Hi"}]}"#;
    let second =
        r#"{"model":"m","input":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"}]}"#;
    let (first, second) = (sent(first).0.to_string(), sent(second).0.to_string());
    let shared = first.split("]}],").next().unwrap();
    assert!(second.starts_with(shared), "{first}\n{second}");
}
