//! The five dialects as clients and backends speak them: where one asks and how, what is answered, and how a backend
//! that speaks one is configured.

use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use super::client::{Answer, Call, Client};
use super::instance::{Setup, merge};
use super::script::Script;
use super::upstream::{Upstream, message_answer, message_events, models_page};

/// An upstream that lists `model` in every way there is.
pub(crate) fn upstream(model: &str) -> Upstream {
    let upstream = Upstream::start(&[model]);
    let methods = json!(["generateContent", "embedContent", "countTokens"]);
    let models = json!([{ "name": format!("models/{model}"), "supportedGenerationMethods": methods }]);
    upstream.page("/v1beta/models", Script::json(&json!({ "models": models }).to_string()));
    upstream.page("/v1/models", Script::json(&models_page(&[model])));
    upstream
}

/// The settings of a backend that speaks `dialect` and nothing else.
pub(crate) fn settings(dialect: Dialect) -> Value {
    json!({ "type": dialect.as_str(), "dialects": [dialect.as_str()], "api_key": "sk-of-the-backend" })
}

/// An instance without heartbeats and second attempts, to which backends can be added.
pub(crate) fn once() -> Setup {
    Setup::new().settings(json!({ "retry": { "max_attempts": 1 }, "proxy": { "heartbeat_seconds": 0 } }))
}

/// Where a client of `dialect` asks `model`.
pub(crate) fn path(dialect: Dialect, model: &str, stream: bool) -> String {
    let path = dialect.chat().path(model, stream);
    if dialect == Dialect::Gemini && stream { format!("{path}?alt=sse") } else { path.into_owned() }
}

/// What a client of `dialect` asks `model`, with the members of `more` laid over it.
pub(crate) fn body(dialect: Dialect, model: &str, stream: bool, more: Value) -> String {
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    let mut body = match dialect {
        Dialect::OpenAi | Dialect::Ollama => {
            json!({ "model": model, "messages": messages, "stream": stream })
        }
        Dialect::Anthropic => {
            json!({ "model": model, "max_tokens": 4000, "messages": messages, "stream": stream })
        }
        Dialect::Responses => json!({ "model": model, "input": "Hello", "stream": stream, "store": false }),
        Dialect::Gemini => json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hello" }] }] }),
    };
    merge(&mut body, more);
    body.to_string()
}

/// Asks in `dialect` for a chat, and waits for nothing.
pub(crate) fn start(client: &Client, dialect: Dialect, model: &str, stream: bool, more: Value) -> Call {
    client.send("POST", &path(dialect, model, stream), body(dialect, model, stream, more).as_bytes())
}

/// Asks in `dialect` for a chat, and reads the whole answer.
#[track_caller]
pub(crate) fn ask(client: &Client, dialect: Dialect, model: &str, stream: bool, more: Value) -> Answer {
    start(client, dialect, model, stream, more).answer()
}

/// The text in a whole answer to a client of `dialect`.
#[track_caller]
pub(crate) fn text_in(dialect: Dialect, answer: &Answer) -> String {
    let body = answer.json();
    let pointer = match dialect {
        Dialect::OpenAi => "/choices/0/message/content",
        Dialect::Responses => "/output/0/content/0/text",
        Dialect::Anthropic => "/content/0/text",
        Dialect::Gemini => "/candidates/0/content/parts/0/text",
        Dialect::Ollama => "/message/content",
    };
    let text = body.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("no text for {dialect:?}: {body}")).to_owned()
}

/// The operation that a request has called by its path.
pub(crate) fn called(path: &str) -> Option<Endpoint> {
    let path = path.split('?').next().unwrap_or_default();
    let of_model = path.strip_prefix("/v1beta/models/").and_then(|rest| rest.rsplit_once(':'));
    match of_model {
        Some((_, "generateContent" | "streamGenerateContent")) => Some(Endpoint::GenerateContent),
        Some((_, "countTokens")) => Some(Endpoint::GeminiCountTokens),
        Some((_, "embedContent")) => Some(Endpoint::EmbedContent),
        Some((_, "batchEmbedContents")) => Some(Endpoint::BatchEmbedContents),
        _ => Endpoint::ALL.into_iter().find(|endpoint| endpoint.path("", false) == path),
    }
}

/// A whole answer of a backend that speaks `dialect`: it says `Hello`, for five tokens and two.
pub(crate) fn answer(dialect: Dialect, model: &str) -> String {
    let value = match dialect {
        Dialect::OpenAi => return super::upstream::chat_answer(model),
        Dialect::Anthropic => return message_answer(model),
        Dialect::Responses => json!({
            "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": model,
            "output": [{ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{ "type": "output_text", "text": "Hello", "annotations": [] }] }],
            "usage": { "input_tokens": 5, "output_tokens": 2, "total_tokens": 7 }
        }),
        Dialect::Gemini => json!({
            "candidates": [{ "content": { "role": "model", "parts": [{ "text": "Hello" }] }, "finishReason": "STOP", "index": 0 }],
            "usageMetadata": { "promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7 },
            "modelVersion": model, "responseId": "r1"
        }),
        Dialect::Ollama => json!({
            "model": model, "created_at": "2026-11-20T00:00:00Z", "message": { "role": "assistant", "content": "Hello" },
            "done": true, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 2
        }),
    };
    value.to_string()
}

/// The events of a backend that speaks `dialect`, which says these words and ends well.
pub(crate) fn events(dialect: Dialect, model: &str, words: &[&str]) -> Vec<String> {
    match dialect {
        Dialect::OpenAi => super::upstream::chat_events(model, words),
        Dialect::Anthropic => message_events(model, words),
        Dialect::Responses => response_events(model, words),
        Dialect::Gemini => {
            let event = |text: &str, reason: Value| {
                let content = json!({ "role": "model", "parts": [{ "text": text }] });
                let candidate = json!({ "content": content, "finishReason": reason, "index": 0 });
                let usage = json!({ "promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7 });
                let chunk =
                    json!({ "candidates": [candidate], "usageMetadata": usage, "modelVersion": model });
                format!("data: {chunk}\r\n\r\n")
            };
            let said = words.iter().map(|word| event(word, Value::Null));
            said.chain([event("", json!("STOP"))]).collect()
        }
        Dialect::Ollama => {
            let line = |text: &str, more: Value| {
                let message = json!({ "role": "assistant", "content": text });
                let mut line = json!({ "model": model, "created_at": "2026-11-20T00:00:00Z", "message": message, "done": false });
                merge(&mut line, more);
                format!("{line}\n")
            };
            let end = json!({ "done": true, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 2 });
            words.iter().map(|word| line(word, json!({}))).chain([line("", end)]).collect()
        }
    }
}

fn response_events(model: &str, words: &[&str]) -> Vec<String> {
    let response = |status: &str| json!({ "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": model, "output": [] });
    let place = json!({ "item_id": "msg_1", "output_index": 0, "content_index": 0 });
    let of_part = |kind: &str, more: Value| {
        let mut event = json!({ "type": kind });
        merge(&mut event, place.clone());
        merge(&mut event, more);
        event
    };
    let item = |status: &str, content: Value| json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": content });
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    let all = words.concat();
    let mut events = vec![
        json!({ "type": "response.created", "response": response("in_progress") }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item("in_progress", json!([])) }),
        of_part("response.content_part.added", json!({ "part": part("") })),
    ];
    events.extend(words.iter().map(|word| of_part("response.output_text.delta", json!({ "delta": word }))));
    let mut completed = response("completed");
    merge(
        &mut completed,
        json!({ "output": [item("completed", json!([part(&all)]))],
        "usage": { "input_tokens": 5, "output_tokens": 2, "total_tokens": 7 } }),
    );
    events.extend([
        of_part("response.output_text.done", json!({ "text": all })),
        of_part("response.content_part.done", json!({ "part": part(&all) })),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item("completed", json!([part(&all)])) }),
        json!({ "type": "response.completed", "response": completed }),
    ]);
    let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
        event["sequence_number"] = json!(number);
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
    });
    numbered.collect()
}

/// The media type of a stream of a backend that speaks `dialect`.
pub(crate) fn content_type(dialect: Dialect) -> &'static str {
    if dialect == Dialect::Ollama { "application/x-ndjson" } else { "text/event-stream" }
}

/// The body of an error of a backend that speaks `dialect`, as its maker words it.
pub(crate) fn error(dialect: Dialect, status: u16, message: &str) -> String {
    let value = match dialect {
        Dialect::OpenAi | Dialect::Responses => {
            let kind = if status == 429 { "rate_limit_error" } else { "invalid_request_error" };
            json!({ "error": { "message": message, "type": kind, "param": "temperature", "code": "the_code" } })
        }
        Dialect::Anthropic => {
            let kind = match status {
                401 => "authentication_error",
                403 => "permission_error",
                404 => "not_found_error",
                413 => "request_too_large",
                429 => "rate_limit_error",
                500 => "api_error",
                529 => "overloaded_error",
                _ => "invalid_request_error",
            };
            json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_upstream" })
        }
        Dialect::Gemini => {
            json!({ "error": { "code": status, "message": message, "status": "SOME_STATUS" } })
        }
        Dialect::Ollama => json!({ "error": message }),
    };
    value.to_string()
}
