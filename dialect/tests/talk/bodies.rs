//! The least that every dialect can ask for.

use dialect::Dialect;

/// The body of a chat request in `dialect` in which the user says hello.
pub(crate) fn hello(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => {
            r#"{"model":"m","messages":[{"role":"user","content":"Hello"}],"stream_options":{"include_usage":true}}"#
        }
        Dialect::Ollama => r#"{"model":"m","messages":[{"role":"user","content":"Hello"}]}"#,
        Dialect::Responses => r#"{"model":"m","input":"Hello"}"#,
        Dialect::Anthropic => {
            r#"{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}"#
        }
        Dialect::Gemini => r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#,
    }
}
