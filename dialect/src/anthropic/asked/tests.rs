//! Requests as clients write them.

use super::*;
use crate::hub::{Provider, Source, ToolChoice, ToolKind};

fn request(body: &str) -> Request {
    read(body.as_bytes()).unwrap()
}

fn conversation(messages: &str) -> Request {
    request(&format!(r#"{{"model":"m","max_tokens":9,"messages":{messages}}}"#))
}

#[test]
fn t02_t03_t04_instructions_are_kept_in_every_place_and_form() {
    let read = request(
        r#"{"model":"m","max_tokens":9,
            "system":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}],
            "messages":[{"role":"user","content":"u"},{"role":"system","content":[{"type":"text","text":"c"}]},
                        {"role":"system","content":"d"}]}"#,
    );
    let told: Vec<_> = read
        .messages
        .iter()
        .map(|message| (message.role, message.parts.iter().filter_map(Part::text).collect::<Vec<_>>()))
        .collect();
    assert_eq!(
        told,
        [
            (Role::System, vec!["a", "b"]),
            (Role::User, vec!["u"]),
            (Role::System, vec!["c"]),
            (Role::System, vec!["d"])
        ]
    );
    assert_eq!(read.messages[0].parts[1].cache, Json::parse(r#"{"type":"ephemeral"}"#));
    assert_eq!(read.messages[2].parts[0].at, "messages[1].content[0]");
}

#[test]
fn t08_t09_results_come_first_and_together() {
    let read = conversation(
        r#"[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"b","name":"f"}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"42"}]}]},
            {"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","tool_use_id":"b","content":"no","is_error":true}]}]"#,
    );
    assert_eq!(read.messages.len(), 2);
    let parts = &read.messages[1].parts;
    let ids: Vec<_> = parts
        .iter()
        .map(|part| match &part.kind {
            PartKind::ToolResult(result) => (result.id.as_str(), result.text(), result.is_error),
            _ => ("-", part.text().unwrap().to_owned(), false),
        })
        .collect();
    assert_eq!(
        ids,
        [("a", "42".to_owned(), false), ("b", "no".to_owned(), true), ("-", "x".to_owned(), false)]
    );
    // T30: arguments that are missing are none.
    assert!(matches!(&read.messages[0].parts[1].kind, PartKind::ToolCall(call) if call.arguments == "{}"));
}

#[test]
fn pictures_and_documents_of_every_source() {
    let read = conversation(
        r#"[{"role":"user","content":[
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"QQ=="}},
            {"type":"image","source":{"type":"url","url":"https://x/y.png"}},
            {"type":"image","source":{"type":"file","file_id":"f1"}},
            {"type":"document","title":"T","context":"C","source":{"type":"text","media_type":"text/plain","data":"d"}},
            {"type":"document","source":{"type":"content","content":[{"type":"text","text":"p"},{"type":"text","text":"q"}]}},
            {"type":"hologram","text":"3d"}]}]"#,
    );
    let parts = &read.messages[0].parts;
    let source_of = |index: usize| match &parts[index].kind {
        PartKind::Image { source, .. } | PartKind::Document { source, .. } => source.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(source_of(0), Source::Base64 { media_type: "image/png".into(), data: "QQ==".into() });
    assert_eq!(source_of(1), Source::Url { url: "https://x/y.png".into(), media_type: None });
    assert_eq!(source_of(2), Source::File { id: "f1".into() });
    assert_eq!(source_of(3), Source::Text("d".into()));
    assert_eq!(source_of(4), Source::Text("p\n\nq".into()));
    assert!(
        matches!(&parts[5].kind, PartKind::Foreign { kind, text: Some(text), .. } if kind == "hologram" && text == "3d")
    );
}

#[test]
fn thoughts_keep_whose_they_are() {
    let read = conversation(
        r#"[{"role":"assistant","content":[
            {"type":"thinking","thinking":"t","signature":"Eq"},
            {"type":"thinking","thinking":"u","signature":"google-gemini-v1#s1"},
            {"type":"redacted_thinking","data":"openai-responses-v1#s2"},
            {"type":"redacted_thinking","data":"google-gemini-v1.call#s3"},
            {"type":"tool_use","id":"a","name":"f","input":{}}]}]"#,
    );
    let signatures: Vec<_> = read.messages[0]
        .parts
        .iter()
        .map(|part| match &part.kind {
            PartKind::Thinking { signature: Some(signature), .. }
            | PartKind::SealedThinking { data: signature } => (signature.provider, signature.data.as_str()),
            PartKind::ToolCall(call) => {
                let signature = call.signature.as_ref().unwrap();
                (signature.provider, signature.data.as_str())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        signatures,
        [
            (Provider::Anthropic, "Eq"),
            (Provider::Gemini, "s1"),
            (Provider::OpenAi, "s2"),
            (Provider::Gemini, "s3")
        ]
    );
}

#[test]
fn tools_choices_and_settings() {
    let read = request(
        r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"u"}],
            "tools":[{"name":"f","input_schema":{"type":"object"},"strict":true,"eager_input_streaming":true,"defer_loading":true},
                     {"type":"custom","name":"g"},{"type":"web_search_20250305","name":"web_search"}],
            "tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},
            "thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"max","format":{"type":"json_schema","schema":{"type":"object"}}},
            "stop_sequences":["a"],"top_k":5,"top_p":0.5,"temperature":1,"service_tier":"standard_only",
            "metadata":{"user_id":"u1"},"context_management":{"edits":[]},"speed":"fast"}"#,
    );
    assert!(read.stream);
    assert!(matches!(&read.tools[2].kind, ToolKind::Provider { kind, .. } if kind == "web_search_20250305"));
    assert!(matches!(&read.tools[0].kind, ToolKind::Function(function) if function.strict == Some(true)));
    assert_eq!(read.tool_choice.unwrap().value, ToolChoice::Named("f".into()));
    assert_eq!(read.parallel_tool_calls.map(|said| said.value), Some(false));
    let reasoning = read.reasoning.unwrap().value;
    assert_eq!(
        (reasoning.wanted(), reasoning.shown, reasoning.as_effort()),
        (Some(true), Some(false), Some("max"))
    );
    assert_eq!(read.format.unwrap().at, "output_config.format");
    assert_eq!(read.user.unwrap().value, "u1");
    let extras: Vec<_> = read.extras.iter().map(|extra| extra.at.as_str()).collect();
    assert_eq!(extras, ["tools[0].defer_loading", "context_management", "speed"]);
}

#[test]
fn what_is_wrong_is_named() {
    for (body, expected) in [
        (r#"{"messages":[]}"#, "model is missing"),
        (r#"{"model":"m"}"#, "messages is missing"),
        (
            r#"{"model":"m","messages":[{"role":"tool","content":""}]}"#,
            r#"messages[0].role must be "user", "assistant" or "system", not "tool""#,
        ),
        (r#"{"model":"m","messages":[{"role":"user"}]}"#, "messages[0].content is missing"),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":1}]}]}"#,
            "messages[0].content[0].text must be a string, not a number",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image"}]}]}"#,
            "messages[0].content[0].source is missing",
        ),
        (
            r#"{"model":"m","messages":[],"tool_choice":"auto"}"#,
            "tool_choice must be an object, not a string",
        ),
    ] {
        assert_eq!(read(body.as_bytes()).unwrap_err().to_string(), expected);
    }
}
