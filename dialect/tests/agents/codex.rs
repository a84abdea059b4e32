//! Requests as Codex sends them.

use dialect::Dialect::{self, Anthropic, Gemini, Ollama, OpenAi};
use dialect::Endpoint;
use dialect::translate::Engine;
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried};

fn asked() -> Value {
    json!({
        "model": "gpt-5.2-codex", "instructions": "You are Codex.",
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "sandbox"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]}],
        "tools": [
            {"type": "function", "name": "shell_command", "description": "Runs.", "strict": false,
                "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}},
            {"type": "custom", "name": "apply_patch", "description": "Edits.",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}},
            {"type": "namespace", "name": "mcp__gh", "description": "About GitHub.", "tools": [
                {"type": "function", "name": "issues", "description": "Lists.", "parameters": {"type": "object", "properties": {}}},
                {"type": "function", "name": "pulls", "parameters": {"type": "object", "properties": {}}}]}],
        "tool_choice": "auto", "parallel_tool_calls": true,
        "reasoning": {"effort": "medium", "summary": "auto"}, "store": false, "stream": false,
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "0199",
        "client_metadata": {"x-codex-installation-id": "u"}
    })
}

fn sent(to: Dialect) -> Exchange {
    let engine = if to == Ollama { Engine::Ollama } else { Engine::Provider };
    tried(Endpoint::Responses, to, &terms(engine), &asked().to_string()).expect("it can be carried")
}

#[test]
fn an_ordinary_request_loses_nothing_worth_a_warning() {
    for to in [OpenAi, Anthropic, Gemini, Ollama] {
        assert_eq!(sent(to).losses, Vec::<String>::new(), "{to:?}");
    }
}

#[test]
fn what_a_namespace_is_about_is_told_with_its_first_tool() {
    let tools = sent(Anthropic).json()["tools"].clone();
    assert_eq!(tools[2]["description"], "About GitHub.\n\nLists.");
    assert_eq!((&tools[3]["name"], tools[3].get("description")), (&json!("mcp__gh__pulls"), None));
}
