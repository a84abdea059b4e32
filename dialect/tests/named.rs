//! What a translation names as lost, refuses, or passes over: the same wish gets the same treatment from every dialect.

use dialect::translate::{Engine, FormatMode, Terms, request};
use dialect::{Dialect, Endpoint, Framing};
use serde_json::{Value, json};

/// Terms on which a client of `from` gets its answer.
fn terms(from: Endpoint) -> Terms {
    Terms {
        model: "model".to_owned(),
        engine: Engine::Provider,
        is_strict: false,
        pass_unknown: false,
        format_mode: FormatMode::Passthrough,
        max_tokens: 4096,
        label: "r-1".to_owned(),
        now: 1_795_201_680,
        framing: Framing::of(from, Some("alt=sse")),
    }
}

/// The fields that are named when `body` goes from `from` to `to` on the terms that `with` makes; or the error.
fn sent_on(
    from: Endpoint,
    to: Dialect,
    body: &Value,
    with: impl Fn(Terms) -> Terms,
) -> Result<(Value, Vec<String>), String> {
    let body = serde_json::to_vec(body).expect("it is JSON");
    let translation =
        request(from, to, &body, false, &with(terms(from))).map_err(|unfit| unfit.to_string())?;
    let fields = translation.losses.list().iter().map(|loss| loss.field.clone()).collect();
    Ok((serde_json::from_slice(&translation.body).expect("it is JSON"), fields))
}

fn sent(from: Endpoint, to: Dialect, body: &Value) -> Result<(Value, Vec<String>), String> {
    sent_on(from, to, body, |terms| terms)
}

/// The fields that are named.
fn lost(from: Endpoint, to: Dialect, body: &Value) -> Vec<String> {
    sent(from, to, body).expect("it can be carried").1
}

fn on(engine: Engine) -> impl Fn(Terms) -> Terms {
    move |terms| Terms { engine, ..terms }
}

fn named(model: &str) -> impl Fn(Terms) -> Terms {
    move |terms| Terms { model: model.to_owned(), ..terms }
}

/// A chat body that says `words`, with the members of `more`.
fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let (Value::Object(body_members), Value::Object(more)) = (&mut body, more) else { unreachable!() };
    body_members.extend(more);
    body
}

#[test]
fn tq_14_ollama_cannot_hold_arguments_to_a_schema() {
    let tool = |schema: Value| json!({"tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters": schema}}]});
    let with = chat(tool(json!({"type": "object", "properties": {"a": {"type": "string"}}})));
    assert_eq!(lost(Endpoint::ChatCompletions, Dialect::Ollama, &with), ["tools[0].strict"]);
    let without = chat(tool(json!({"type": "object", "properties": {}})));
    assert!(lost(Endpoint::ChatCompletions, Dialect::Ollama, &without).is_empty());
}

#[test]
fn a_pictures_detail_is_named_wherever_it_cannot_be_chosen() {
    let body = |detail: &str| {
        let url = "data:image/png;base64,iVBORw0KGgo=";
        let picture = json!({"type": "image_url", "image_url": {"url": url, "detail": detail}});
        json!({"model": "m", "messages": [{"role": "user", "content": [picture]}]})
    };
    for to in [Dialect::Anthropic, Dialect::Gemini, Dialect::Ollama] {
        assert_eq!(lost(Endpoint::ChatCompletions, to, &body("high")), ["messages[0].content[0]"], "{to:?}");
        assert!(lost(Endpoint::ChatCompletions, to, &body("auto")).is_empty(), "{to:?}");
    }
}

#[test]
fn citations_are_named_wherever_documents_are_not_cited() {
    let body = |enabled: bool| {
        let source = json!({"type": "text", "media_type": "text/plain", "data": "Old."});
        let document = json!({"type": "document", "source": source, "citations": {"enabled": enabled}});
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [document]}]})
    };
    for to in [Dialect::OpenAi, Dialect::Responses, Dialect::Gemini, Dialect::Ollama] {
        let at = ["messages[0].content[0].citations"];
        assert_eq!(lost(Endpoint::Messages, to, &body(true)), at, "{to:?}");
        assert!(lost(Endpoint::Messages, to, &body(false)).is_empty(), "{to:?}");
    }
}

/// What Codex sends with every request, beside the talk.
fn codex(more: Value) -> Value {
    let mut body = json!({
        "model": "m", "instructions": "Be brief.", "input": [{"role": "user", "content": "Hi"}], "stream": false,
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}],
        "tool_choice": "auto", "parallel_tool_calls": true, "store": false, "truncation": "disabled",
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k", "prompt_cache_retention": "24h",
        "reasoning": {"effort": "medium", "summary": "auto"}, "text": {"verbosity": "medium"},
        "service_tier": "auto", "temperature": 1, "top_p": 1.0, "metadata": {}, "background": false, "max_output_tokens": 99
    });
    let (Value::Object(members), Value::Object(more)) = (&mut body, more) else { unreachable!() };
    members.extend(more);
    body
}

#[test]
fn what_asks_for_nothing_is_no_loss_anywhere() {
    let strict = |terms| Terms { is_strict: true, ..terms };
    for (to, model) in [
        (Dialect::OpenAi, "model"),
        (Dialect::Anthropic, "claude-opus-4-8"),
        (Dialect::Gemini, "gemini-3-flash"),
        (Dialect::Ollama, "qwen3"),
    ] {
        let carried =
            sent_on(Endpoint::Responses, to, &codex(json!({})), |terms| named(model)(strict(terms)));
        assert!(carried.is_ok_and(|(_, lost)| lost.is_empty()), "{to:?}");
        let refused = sent_on(Endpoint::Responses, to, &codex(json!({"truncation": "auto"})), strict);
        assert!(refused.is_err_and(|message| message.contains("truncation")), "{to:?}");
    }
    let usual = chat(
        json!({"temperature": 1, "top_p": 1, "n": 1, "frequency_penalty": 0, "presence_penalty": 0.0,
        "logprobs": false, "logit_bias": {}, "service_tier": "default", "verbosity": "medium", "store": false,
        "modalities": ["text"], "parallel_tool_calls": true, "top_k": 0, "min_p": 0, "repetition_penalty": 1}),
    );
    for to in [Dialect::Responses, Dialect::Anthropic, Dialect::Gemini, Dialect::Ollama] {
        assert!(lost(Endpoint::ChatCompletions, to, &usual).is_empty(), "{to:?}");
    }
    let (body, _) = sent(Endpoint::ChatCompletions, Dialect::Ollama, &usual).expect("it can be carried");
    assert_eq!(body["options"]["temperature"], 1.0, "{body}");
}
