//! Requests as Claude Code sends them.

use dialect::Dialect::{self, Gemini, Ollama, OpenAi, Responses};
use dialect::Endpoint;
use dialect::translate::Engine;
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried};

/// A first request of a session, with these members beside or in place of the usual ones.
fn asked(more: &Value) -> Value {
    let mut body = json!({
        "model": "claude-opus-4-7", "max_tokens": 32000, "temperature": 1,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.37; cch=0f3a1;"},
            {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "Bash", "description": "Runs.", "defer_loading": true, "allowed_callers": ["direct"],
            "input_schema": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
                "properties": {"command": {"type": "string"}}, "required": ["command"], "additionalProperties": false}}],
        "metadata": {"user_id": "{\"device_id\":\"d\",\"account_uuid\":\"\",\"session_id\":\"s\"}"},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral"}}]}]
    });
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    body
}

fn sent(to: Dialect, more: &Value) -> Exchange {
    let engine = if to == Ollama { Engine::Ollama } else { Engine::Provider };
    let mut terms = terms(engine);
    let model = match to {
        Gemini => "gemini-3-pro",
        Ollama => "qwen3",
        _ => "gpt-5.2",
    };
    model.clone_into(&mut terms.model);
    tried(Endpoint::Messages, to, &terms, &asked(more).to_string()).expect("it can be carried")
}

#[test]
fn an_ordinary_request_loses_nothing_worth_a_warning() {
    for to in [OpenAi, Responses, Gemini, Ollama] {
        assert_eq!(sent(to, &json!({})).losses, Vec::<String>::new(), "{to:?}");
        let older = json!({"metadata": {"user_id": "user_0a_account__session_0b"}});
        assert_eq!(sent(to, &older).losses, Vec::<String>::new(), "{to:?}");
    }
}

#[test]
fn what_changes_the_answer_or_names_a_person_is_still_named() {
    for (more, field) in [
        (
            json!({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}),
            "context_management: ",
        ),
        (json!({"metadata": {"user_id": "ada"}}), "metadata.user_id: "),
    ] {
        let losses = sent(Ollama, &more).losses;
        assert!(losses.len() == 1 && losses[0].starts_with(field), "{losses:?}");
    }
}

#[test]
fn a_user_still_reaches_openai() {
    let user =
        sent(OpenAi, &json!({"metadata": {"user_id": "user_0a_account__session_0b"}})).json()["user"].clone();
    assert_eq!(user, "user_0a_account__session_0b");
}

#[test]
fn tools_that_were_searched_for_are_told_by_their_names() {
    let messages = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "ToolSearch", "input": {"query": "x"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1",
            "content": [{"type": "tool_reference", "tool_name": "Bash"}]}]}]);
    for to in [OpenAi, Responses, Gemini, Ollama] {
        let sent = sent(to, &json!({"messages": messages}));
        assert!(sent.body.contains("[The tool Bash can be called now.]"), "{to:?}: {}", sent.body);
    }
}

#[test]
fn a_search_in_the_history_is_told_line_by_line() {
    let messages = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "I search."},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
                {"type": "web_search_result", "url": "http://a.test", "title": "T", "encrypted_content": "E"}]},
            {"type": "text", "text": "Found."}, {"type": "text", "text": " It is so."}]},
        {"role": "user", "content": "more"}]);
    let told = sent(OpenAi, &json!({"messages": messages})).json()["messages"][2]["content"].clone();
    assert_eq!(told, "I search.\n[web_search {\"query\":\"x\"}]\nhttp://a.test\nT\nFound. It is so.");
}
