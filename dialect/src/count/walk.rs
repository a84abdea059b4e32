//! Finds what has tokens in a request: goes through it member by member, and knows only where its bytes are no text.

use serde_json::{Map, Value};

use super::measure::{Measure, decoded_len};

/// Members that say something about a part and are no part of the prompt themselves.
const NO_TEXT: [&str; 16] = [
    "type",
    "role",
    "id",
    "tool_use_id",
    "cache_control",
    "citations",
    "is_error",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "data",
    "media_type",
    "mimeType",
    "mime_type",
    "encrypted_content",
    "url",
];

/// Adds the prompt of a request of Anthropic's.
pub(super) fn anthropic(measure: &mut Measure, request: &Map<String, Value>) {
    request.get("system").into_iter().for_each(|system| part(measure, system));
    messages(measure, request.get("messages"));
    tools(measure, request.get("tools"));
}

/// Adds the prompt of a request of Gemini's.
pub(super) fn gemini(measure: &mut Measure, request: &Map<String, Value>) {
    for name in ["systemInstruction", "system_instruction"] {
        request.get(name).into_iter().for_each(|system| part(measure, system));
    }
    messages(measure, request.get("contents"));
    tools(measure, request.get("tools"));
}

/// Adds all that looks like text.
pub(super) fn anything(measure: &mut Measure, request: &Map<String, Value>) {
    object(measure, request);
}

fn messages(measure: &mut Measure, messages: Option<&Value>) {
    let list = match messages {
        Some(Value::Array(list)) => list.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    for message in list {
        measure.frame();
        part(measure, message);
    }
}

/// Tools are shown to a model with their schemas, as they are written.
fn tools(measure: &mut Measure, tools: Option<&Value>) {
    for tool in tools.and_then(Value::as_array).into_iter().flatten() {
        let functions = ["functionDeclarations", "function_declarations"];
        match functions.iter().find_map(|name| tool.get(name)?.as_array()) {
            Some(functions) => functions.iter().for_each(|function| self::tool(measure, function)),
            None => self::tool(measure, tool),
        }
    }
}

fn tool(measure: &mut Measure, tool: &Value) {
    measure.frame();
    let mut shown = tool.clone();
    if let Some(members) = shown.as_object_mut() {
        members.shift_remove("cache_control");
    }
    measure.text(&shown.to_string());
}

fn part(measure: &mut Measure, value: &Value) {
    match value {
        Value::String(text) => measure.text(text),
        Value::Array(parts) => parts.iter().for_each(|value| part(measure, value)),
        Value::Object(members) => object(measure, members),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn object(measure: &mut Measure, members: &Map<String, Value>) {
    match members.get("type").and_then(Value::as_str) {
        Some("image") => return measure.picture(),
        Some("document") => return document(measure, members),
        _ => {}
    }
    for (name, value) in members {
        match name.as_str() {
            "inlineData" | "inline_data" | "fileData" | "file_data" => file(measure, value),
            // What a tool is called with, and what Gemini's answers, is shown as JSON.
            "input" | "args" | "response" if value.is_object() => measure.text(&value.to_string()),
            name if NO_TEXT.contains(&name) => {}
            _ => part(measure, value),
        }
    }
}

/// A document's text is text; of one in base64 only the size is known, of one elsewhere nothing.
fn document(measure: &mut Measure, members: &Map<String, Value>) {
    for name in ["title", "context"] {
        members.get(name).into_iter().for_each(|text| part(measure, text));
    }
    let source = &members.get("source").unwrap_or(&Value::Null);
    let data = source["data"].as_str().unwrap_or_default();
    match source["type"].as_str() {
        Some("text") => measure.text(data),
        Some("content") => part(measure, &source["content"]),
        _ => measure.document(decoded_len(data)),
    }
}

fn file(measure: &mut Measure, value: &Value) {
    let mime = value["mimeType"].as_str().or(value["mime_type"].as_str()).unwrap_or_default();
    measure.file(mime, decoded_len(value["data"].as_str().unwrap_or_default()));
}
