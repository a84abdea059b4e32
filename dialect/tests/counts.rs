//! Counting tokens where no backend does.

use dialect::Endpoint::{CountTokens, GeminiCountTokens};
use dialect::count::{body, tokens};
use serde_json::{Value, json};

fn anthropic(request: &Value) -> u64 {
    tokens(CountTokens, request.to_string().as_bytes()).expect("it is a request")
}

fn gemini(request: &Value) -> u64 {
    tokens(GeminiCountTokens, request.to_string().as_bytes()).expect("it is a request")
}

#[test]
fn t86_a_short_prompt_has_about_as_many_tokens_as_words() {
    let request = json!({"model": "m", "system": "You are brief.", "messages": [
        {"role": "user", "content": "What is the capital of France?"}]});
    assert_eq!(anthropic(&request), 15, "four and seven for the texts, four for the message");
    let as_blocks = json!({"model": "m", "system": [{"type": "text", "text": "You are brief."}], "messages": [
        {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?", "cache_control": {"type": "ephemeral"}}]}]});
    assert_eq!(anthropic(&as_blocks), 15);
    let request = json!({"systemInstruction": {"parts": [{"text": "You are brief."}]}, "contents": [
        {"role": "user", "parts": [{"text": "What is the capital of France?"}]}]});
    assert_eq!(gemini(&request), 15);
    let mut inner = request.clone();
    inner["model"] = json!("models/m");
    assert_eq!(gemini(&json!({"generateContentRequest": inner})), 15);
    assert_eq!(gemini(&json!({"contents": {"parts": [{"text": "What is the capital of France?"}]}})), 11);
}

#[test]
fn t86_tools_are_counted_with_their_schemas() {
    let ask = json!([{"role": "user", "content": "hi"}]);
    let properties: serde_json::Map<_, _> = (0..50)
        .map(|n| (format!("field_{n}"), json!({"type": "string", "description": "Some words about it."})))
        .collect();
    let schema = json!({"type": "object", "properties": properties});
    let without = anthropic(&json!({"messages": ask}));
    let tool = json!({"name": "t", "description": "d", "input_schema": schema});
    let with = anthropic(&json!({"messages": ask, "tools": [tool]}));
    assert!((500..2_000).contains(&(with - without)), "{with}");
    let cached = json!({"name": "t", "description": "d", "input_schema": schema, "cache_control": {"type": "ephemeral"}});
    assert_eq!(anthropic(&json!({"messages": ask, "tools": [cached]})), with);
    let function = json!({"name": "t", "description": "d", "parameters": schema});
    let contents = json!([{"parts": [{"text": "hi"}]}]);
    let with =
        gemini(&json!({"contents": contents, "tools": [{"functionDeclarations": [function, function]}]}));
    assert!((1_000..4_000).contains(&with), "{with}");
}

#[test]
fn t86_pictures_are_an_estimate_and_base64_is_no_text() {
    let data = "QUJD".repeat(500_000);
    let picture = |source: Value| {
        anthropic(&json!({"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}))
    };
    let small = picture(json!({"type": "base64", "media_type": "image/png", "data": "QUJD"}));
    assert_eq!(small, picture(json!({"type": "base64", "media_type": "image/png", "data": data})));
    assert_eq!(small, picture(json!({"type": "url", "url": "https://example.com/a.png"})));
    assert!((1_000..2_000).contains(&small), "{small}");
    let nested = anthropic(
        &json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t",
        "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}]}]}]}),
    );
    assert_eq!(nested, small);
    let inline = |name: &str, mime: &str| {
        gemini(&json!({"contents": [{"parts": [{name: {"mimeType": mime, "data": data}}]}]}))
    };
    assert_eq!((inline("inlineData", "image/png"), inline("inline_data", "image/jpeg")), (262, 262));
    assert_eq!(inline("inlineData", "application/pdf"), 60_004);
    assert!(inline("inlineData", "audio/mp3") < 5_000);
}

#[test]
fn t86_documents_count_by_size_and_texts_by_their_words() {
    let document = |source: Value| {
        anthropic(
            &json!({"messages": [{"role": "user", "content": [{"type": "document", "source": source}]}]}),
        )
    };
    let pdf = |pieces: usize| {
        document(json!({"type": "base64", "media_type": "application/pdf", "data": "QUJD".repeat(pieces)}))
    };
    assert_eq!((pdf(1), pdf(1_000_000)), (2_004, 120_004));
    assert_eq!(document(json!({"type": "text", "media_type": "text/plain", "data": "hello world"})), 6);
    assert_eq!(document(json!({"type": "content", "content": [{"type": "text", "text": "hello world"}]})), 6);
}

#[test]
fn calls_and_results_count_and_signatures_do_not() {
    let call = json!({"messages": [
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hello world", "signature": "QUJD".repeat(1_000)},
            {"type": "redacted_thinking", "data": "QUJD".repeat(1_000)},
            {"type": "tool_use", "id": "toolu_0123456789", "name": "look", "input": {"city": "Paris"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_0123456789", "content": "hello world"}]}]});
    assert!((16..24).contains(&anthropic(&call)), "{}", anthropic(&call));
    let call = json!({"contents": [
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {"city": "Paris"}}, "thoughtSignature": "QUJD".repeat(1_000)}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"result": "hello world"}}}]}]});
    assert!((16..28).contains(&gemini(&call)), "{}", gemini(&call));
}

#[test]
fn what_is_no_request_is_refused_and_the_answer_has_its_dialects_form() {
    for (endpoint, text, param) in [
        (CountTokens, "", None),
        (CountTokens, "[]", None),
        (CountTokens, "{}", Some("messages")),
        (CountTokens, r#"{"messages":"hi"}"#, Some("messages")),
        (GeminiCountTokens, "{}", Some("contents")),
        (GeminiCountTokens, r#"{"generateContentRequest":{}}"#, Some("contents")),
    ] {
        assert_eq!(tokens(endpoint, text.as_bytes()).unwrap_err().param, param, "{text}");
    }
    assert_eq!(tokens(CountTokens, b"\xEF\xBB\xBF{\"messages\":[]}"), Ok(0));
    assert_eq!(body(CountTokens, 7), br#"{"input_tokens":7}"#);
    assert_eq!(body(GeminiCountTokens, 7), br#"{"totalTokens":7}"#);
}
