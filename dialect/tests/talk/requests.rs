//! Talks as requests: told in each dialect, and understood from it.

use dialect::Dialect;
use serde_json::{Value, json};

use super::{Function, Item, Talk};

/// `text` as a tree.
fn tree(text: &str) -> Value {
    serde_json::from_str(text).expect("it is well formed")
}

/// The body of a chat request in `dialect`.
pub(crate) fn told(dialect: Dialect, talk: &Talk) -> Value {
    match dialect {
        Dialect::OpenAi => json!({"model": "m", "messages": messages(talk, false), "tools": wrapped(talk)}),
        Dialect::Ollama => {
            json!({"model": "m", "messages": messages(talk, true), "tools": wrapped(talk), "stream": false})
        }
        Dialect::Responses => responses(talk),
        Dialect::Anthropic => anthropic(talk),
        Dialect::Gemini => gemini(talk),
    }
}

fn wrapped(talk: &Talk) -> Vec<Value> {
    let function = |Function { name, description, schema }: &Function| json!({"type": "function", "function": {"name": name, "description": description, "parameters": tree(schema)}});
    talk.functions.iter().map(function).collect()
}

/// The messages of OpenAI's chat, or of Ollama's.
fn messages(talk: &Talk, is_ollama: bool) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::new();
    for item in &talk.items {
        let message = match item {
            Item::System(text) => json!({"role": "system", "content": text}),
            Item::User(text) => json!({"role": "user", "content": text}),
            Item::Said(text) => json!({"role": "assistant", "content": text}),
            Item::Result { id, text } => json!({"role": "tool", "tool_call_id": id, "content": text}),
            Item::Call { id, name, arguments } => {
                let arguments = if is_ollama { tree(arguments) } else { json!(arguments) };
                let function = json!({"name": name, "arguments": arguments});
                let call = json!({"id": id, "type": "function", "function": function});
                match messages.last_mut().filter(|message| message["role"] == "assistant") {
                    Some(message) => {
                        match message["tool_calls"].as_array_mut() {
                            Some(calls) => calls.push(call),
                            None => message["tool_calls"] = json!([call]),
                        }
                        continue;
                    }
                    None => json!({"role": "assistant", "content": "", "tool_calls": [call]}),
                }
            }
        };
        messages.push(message);
    }
    messages
}

fn responses(talk: &Talk) -> Value {
    let mut body = json!({"model": "m", "input": [], "store": false});
    for item in &talk.items {
        let item = match item {
            Item::System(text) => {
                body["instructions"] = json!(text);
                continue;
            }
            Item::User(text) => {
                json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
            }
            Item::Said(text) => {
                json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
            }
            Item::Call { id, name, arguments } => {
                json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
            }
            Item::Result { id, text } => {
                json!({"type": "function_call_output", "call_id": id, "output": text})
            }
        };
        body["input"].as_array_mut().expect("it is a list").push(item);
    }
    let function = |Function { name, description, schema }: &Function| json!({"type": "function", "name": name, "description": description, "parameters": tree(schema), "strict": false});
    body["tools"] = talk.functions.iter().map(function).collect();
    body
}

/// Adds `part` to the last message if it is of `role`, else begins one.
fn add(messages: &mut Vec<Value>, role: &str, parts: &str, part: Value) {
    match messages.last_mut().filter(|message| message["role"] == role) {
        Some(message) => message[parts].as_array_mut().expect("it is a list").push(part),
        None => messages.push(json!({"role": role, parts: [part]})),
    }
}

fn anthropic(talk: &Talk) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 100});
    let mut messages = Vec::new();
    for item in &talk.items {
        let (role, part) = match item {
            Item::System(text) => {
                body["system"] = json!([{"type": "text", "text": text}]);
                continue;
            }
            Item::User(text) => ("user", json!({"type": "text", "text": text})),
            Item::Said(text) => ("assistant", json!({"type": "text", "text": text})),
            Item::Call { id, name, arguments } => {
                ("assistant", json!({"type": "tool_use", "id": id, "name": name, "input": tree(arguments)}))
            }
            Item::Result { id, text } => {
                ("user", json!({"type": "tool_result", "tool_use_id": id, "content": text}))
            }
        };
        add(&mut messages, role, "content", part);
    }
    let tool = |Function { name, description, schema }: &Function| json!({"name": name, "description": description, "input_schema": tree(schema)});
    body["messages"] = Value::from(messages);
    body["tools"] = talk.functions.iter().map(tool).collect();
    body
}

fn gemini(talk: &Talk) -> Value {
    let mut body = json!({});
    let mut contents = Vec::new();
    let mut names = Vec::new();
    for item in &talk.items {
        let (role, part) = match item {
            Item::System(text) => {
                body["systemInstruction"] = json!({"parts": [{"text": text}]});
                continue;
            }
            Item::User(text) => ("user", json!({"text": text})),
            Item::Said(text) => ("model", json!({"text": text})),
            Item::Call { id, name, arguments } => {
                names.push((id, name));
                ("model", json!({"functionCall": {"id": id, "name": name, "args": tree(arguments)}}))
            }
            Item::Result { id, text } => {
                let name = names.iter().find(|(known, _)| *known == id).map(|(_, name)| name);
                let response = json!({"id": id, "name": name, "response": {"result": text}});
                ("user", json!({"functionResponse": response}))
            }
        };
        add(&mut contents, role, "parts", part);
    }
    let declaration = |Function { name, description, schema }: &Function| json!({"name": name, "description": description, "parametersJsonSchema": tree(schema)});
    let declarations: Vec<_> = talk.functions.iter().map(declaration).collect();
    body["contents"] = Value::from(contents);
    body["tools"] = json!([{"functionDeclarations": declarations}]);
    body
}

/// The talk that `body`, a chat request in `dialect`, tells.
pub(crate) fn understood(dialect: Dialect, body: &Value) -> Talk {
    let mut items = Vec::new();
    match dialect {
        Dialect::OpenAi | Dialect::Ollama => {
            for message in list(&body["messages"]) {
                of_message(message, &mut items);
            }
        }
        Dialect::Responses => {
            items.extend(words(&body["instructions"]).map(Item::System));
            for item in list(&body["input"]) {
                of_item(item, &mut items);
            }
        }
        Dialect::Anthropic => {
            items.extend(words(&body["system"]).map(Item::System));
            for message in list(&body["messages"]) {
                of_blocks(&message["role"], &message["content"], &mut items);
            }
        }
        Dialect::Gemini => {
            items.extend(words(&body["systemInstruction"]["parts"]).map(Item::System));
            for content in list(&body["contents"]) {
                for part in list(&content["parts"]) {
                    of_part(&content["role"], part, &mut items);
                }
            }
        }
    }
    Talk { items, functions: functions(dialect, body) }
}

fn functions(dialect: Dialect, body: &Value) -> Vec<Function> {
    let tools = match dialect {
        Dialect::Gemini => list(&body["tools"][0]["functionDeclarations"]),
        _ => list(&body["tools"]),
    };
    let function = |tool: &Value| {
        let (function, schema) = match dialect {
            Dialect::OpenAi | Dialect::Ollama => (&tool["function"], "parameters"),
            Dialect::Responses => (tool, "parameters"),
            Dialect::Anthropic => (tool, "input_schema"),
            Dialect::Gemini => (tool, "parametersJsonSchema"),
        };
        Function {
            name: string(&function["name"]),
            description: string(&function["description"]),
            schema: function[schema].to_string(),
        }
    };
    tools.iter().map(function).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The text of a string, or of a list of parts; `None` if there is none.
fn words(content: &Value) -> Option<String> {
    let text = match content {
        Value::String(text) => text.clone(),
        _ => list(content).iter().map(|part| string(&part["text"])).collect(),
    };
    Some(text).filter(|text| !text.is_empty())
}

fn by(role: &Value, text: String) -> Item {
    match role.as_str() {
        Some("system" | "developer") => Item::System(text),
        Some("assistant" | "model") => Item::Said(text),
        _ => Item::User(text),
    }
}

fn of_message(message: &Value, items: &mut Vec<Item>) {
    if message["role"] == "tool" {
        let text = words(&message["content"]).unwrap_or_default();
        return items.push(Item::Result { id: string(&message["tool_call_id"]), text });
    }
    items.extend(words(&message["content"]).map(|text| by(&message["role"], text)));
    for call in list(&message["tool_calls"]) {
        let written = &call["function"]["arguments"];
        let arguments = written.as_str().map_or_else(|| written.to_string(), str::to_owned);
        items.push(Item::Call {
            id: string(&call["id"]),
            name: string(&call["function"]["name"]),
            arguments,
        });
    }
}

fn of_item(item: &Value, items: &mut Vec<Item>) {
    let id = string(&item["call_id"]);
    match item["type"].as_str() {
        Some("function_call") => {
            let (name, arguments) = (string(&item["name"]), string(&item["arguments"]));
            items.push(Item::Call { id, name, arguments });
        }
        Some("function_call_output") => {
            items.push(Item::Result { id, text: words(&item["output"]).unwrap_or_default() });
        }
        _ => items.extend(words(&item["content"]).map(|text| by(&item["role"], text))),
    }
}

fn of_blocks(role: &Value, content: &Value, items: &mut Vec<Item>) {
    if content.is_string() {
        return items.extend(words(content).map(|text| by(role, text)));
    }
    for block in list(content) {
        items.push(match block["type"].as_str() {
            Some("tool_use") => Item::Call {
                id: string(&block["id"]),
                name: string(&block["name"]),
                arguments: block["input"].to_string(),
            },
            Some("tool_result") => Item::Result {
                id: string(&block["tool_use_id"]),
                text: words(&block["content"]).unwrap_or_default(),
            },
            _ => by(role, string(&block["text"])),
        });
    }
}

fn of_part(role: &Value, part: &Value, items: &mut Vec<Item>) {
    items.push(if let Some(call) = part.get("functionCall") {
        let arguments = call.get("args").map_or_else(|| "{}".to_owned(), Value::to_string);
        Item::Call { id: string(&call["id"]), name: string(&call["name"]), arguments }
    } else if let Some(result) = part.get("functionResponse") {
        Item::Result { id: string(&result["id"]), text: string(&result["response"]["result"]) }
    } else {
        by(role, string(&part["text"]))
    });
}
