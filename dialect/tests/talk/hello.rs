//! The least that every dialect can ask for, and the terms on which it is asked.

use dialect::translate::{Engine, FormatMode, Terms};
use dialect::{Dialect, Endpoint, Framing};
use proptest::strategy::Strategy;
use serde_json::{Value, json};

/// Terms on which a client of `from` gets its answer.
pub(crate) fn terms(from: Endpoint) -> Terms {
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

/// The body of a chat request in `dialect` in which the user says hello.
pub(crate) fn hello(dialect: Dialect) -> Value {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    match dialect {
        Dialect::OpenAi | Dialect::Ollama => json!({"model": "m", "messages": messages}),
        Dialect::Responses => json!({"model": "m", "input": "Hello"}),
        Dialect::Anthropic => json!({"model": "m", "max_tokens": 100, "messages": messages}),
        Dialect::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}),
    }
}

/// Any of `dialects`.
pub(crate) fn any_of(dialects: &[Dialect]) -> impl Strategy<Value = Dialect> + use<> {
    proptest::sample::select(dialects.to_vec())
}
