//! Answers: told in each dialect, and understood from it.

use dialect::Dialect;
use serde_json::{Value, json};

use super::Reply;

fn tree(text: &str) -> Value {
    serde_json::from_str(text).expect("it is well formed")
}

/// The body of a whole answer in `dialect`.
pub(crate) fn told(dialect: Dialect, reply: &Reply) -> Value {
    match dialect {
        Dialect::OpenAi => openai(reply),
        Dialect::Responses => responses(reply),
        Dialect::Anthropic => anthropic(reply),
        Dialect::Gemini => gemini(reply),
        Dialect::Ollama => ollama(reply),
    }
}

/// Each call of `reply` as `written` writes it: number, name, arguments.
fn calls(reply: &Reply, written: impl Fn(String, &str, &str) -> Value) -> Vec<Value> {
    let calls = reply.calls.iter().enumerate();
    calls.map(|(index, (name, arguments))| written(format!("call_{index}"), name, arguments)).collect()
}

/// A list that begins with the text of `reply`, if it has one, as `written` writes it.
fn text_first(reply: &Reply, written: impl Fn(&str) -> Value) -> Vec<Value> {
    Some(reply.text.as_str()).filter(|text| !text.is_empty()).map(written).into_iter().collect()
}

fn openai(reply: &Reply) -> Value {
    let Reply { text, input_tokens, output_tokens, .. } = reply;
    let calls = calls(
        reply,
        |id, name, arguments| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}),
    );
    let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
    let mut message = json!({"role": "assistant", "content": Some(text).filter(|text| !text.is_empty())});
    if !calls.is_empty() {
        message["tool_calls"] = Value::from(calls);
    }
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": input_tokens, "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens
        }
    })
}

fn responses(reply: &Reply) -> Value {
    let Reply { input_tokens, output_tokens, .. } = reply;
    let mut output = text_first(reply, |text| {
        let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
        json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content})
    });
    output.extend(calls(reply, |id, name, arguments| {
        json!({
            "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name,
            "arguments": arguments, "status": "completed"
        })
    }));
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed",
        "output": output,
        "usage": {
            "input_tokens": input_tokens, "output_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens
        }
    })
}

fn anthropic(reply: &Reply) -> Value {
    let Reply { input_tokens, output_tokens, .. } = reply;
    let mut content = text_first(reply, |text| json!({"type": "text", "text": text}));
    content.extend(calls(
        reply,
        |id, name, arguments| json!({"type": "tool_use", "id": id, "name": name, "input": tree(arguments)}),
    ));
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": if reply.calls.is_empty() { "end_turn" } else { "tool_use" }, "stop_sequence": null,
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens}
    })
}

fn gemini(reply: &Reply) -> Value {
    let Reply { input_tokens, output_tokens, .. } = reply;
    let mut parts = text_first(reply, |text| json!({"text": text}));
    parts.extend(calls(
        reply,
        |_, name, arguments| json!({"functionCall": {"name": name, "args": tree(arguments)}}),
    ));
    json!({
        "responseId": "g1", "modelVersion": "m",
        "candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": input_tokens, "candidatesTokenCount": output_tokens,
            "totalTokenCount": input_tokens + output_tokens
        }
    })
}

fn ollama(reply: &Reply) -> Value {
    let Reply { text, input_tokens, output_tokens, .. } = reply;
    let calls =
        calls(reply, |_, name, arguments| json!({"function": {"name": name, "arguments": tree(arguments)}}));
    let mut message = json!({"role": "assistant", "content": text});
    if !calls.is_empty() {
        message["tool_calls"] = Value::from(calls);
    }
    json!({
        "model": "m", "created_at": "2026-11-20T19:08:00Z", "message": message, "done": true,
        "done_reason": "stop", "prompt_eval_count": input_tokens, "eval_count": output_tokens
    })
}

/// The answer that `body` tells in `dialect`.
pub(crate) fn understood(dialect: Dialect, body: &Value) -> Reply {
    let mut reply = Reply { text: String::new(), calls: Vec::new(), input_tokens: 0, output_tokens: 0 };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (usage, input, output) = match dialect {
        Dialect::OpenAi => {
            let message = &body["choices"][0]["message"];
            reply.text = string(&message["content"]);
            for call in list(&message["tool_calls"]) {
                let function = &call["function"];
                reply.calls.push((string(&function["name"]), string(&function["arguments"])));
            }
            (&body["usage"], "prompt_tokens", "completion_tokens")
        }
        Dialect::Responses => {
            for item in list(&body["output"]) {
                if item["type"] == "function_call" {
                    reply.calls.push((string(&item["name"]), string(&item["arguments"])));
                }
                for part in list(&item["content"]) {
                    reply.text += &string(&part["text"]);
                }
            }
            (&body["usage"], "input_tokens", "output_tokens")
        }
        Dialect::Anthropic => {
            for block in list(&body["content"]) {
                reply.text += &string(&block["text"]);
                if block["type"] == "tool_use" {
                    reply.calls.push((string(&block["name"]), block["input"].to_string()));
                }
            }
            (&body["usage"], "input_tokens", "output_tokens")
        }
        Dialect::Gemini => {
            for part in list(&body["candidates"][0]["content"]["parts"]) {
                reply.text += &string(&part["text"]);
                if let Some(call) = part.get("functionCall") {
                    let arguments = call.get("args").map_or_else(|| "{}".to_owned(), Value::to_string);
                    reply.calls.push((string(&call["name"]), arguments));
                }
            }
            (&body["usageMetadata"], "promptTokenCount", "candidatesTokenCount")
        }
        Dialect::Ollama => {
            reply.text = string(&body["message"]["content"]);
            for call in list(&body["message"]["tool_calls"]) {
                let function = &call["function"];
                reply.calls.push((string(&function["name"]), function["arguments"].to_string()));
            }
            (body, "prompt_eval_count", "eval_count")
        }
    };
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    (reply.input_tokens, reply.output_tokens) = (count(input), count(output));
    reply
}

/// The answer that the lines of a stream of Ollama's tell.
pub(crate) fn understood_lines(stream: &[u8]) -> Reply {
    let mut reply = Reply { text: String::new(), calls: Vec::new(), input_tokens: 0, output_tokens: 0 };
    for line in String::from_utf8(stream.to_vec()).expect("it is well formed").lines() {
        let line = understood(Dialect::Ollama, &serde_json::from_str(line).expect("it is well formed"));
        reply.text += &line.text;
        reply.calls.extend(line.calls);
        (reply.input_tokens, reply.output_tokens) = (line.input_tokens, line.output_tokens);
    }
    reply
}
