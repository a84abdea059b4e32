//! Thinking: asked for by OpenAI clients, and carried through them over turns.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried, with};

fn on(engine: Engine, model: &str, more: &Value) -> Exchange {
    let mut terms = terms(engine);
    model.clone_into(&mut terms.model);
    let body = with(json!({"model": "m", "messages": [{"role": "user", "content": "u"}]}), more);
    tried(Endpoint::ChatCompletions, Dialect::Anthropic, &terms, &body.to_string())
        .expect("it can be translated")
}

fn to(more: &Value) -> Exchange {
    on(Engine::Provider, "claude-sonnet-4-5", more)
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}})
}

/// The history of one call, made by an assistant's message with the members of `more`.
fn history(more: &Value) -> Value {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let message = with(json!({"role": "assistant", "content": null, "tool_calls": [call]}), more);
    json!({"tools": [tool()], "reasoning_effort": "low", "messages": [
        {"role": "user", "content": "u"}, message, {"role": "tool", "tool_call_id": "c", "content": "r"}]})
}

#[test]
fn t69_tq_19_an_effort_becomes_a_budget_below_the_limit() {
    let told = to(&json!({"reasoning_effort": "low", "max_tokens": 8000}));
    let body = told.json();
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 2048}));
    assert_eq!((&body["max_tokens"], told.losses.len()), (&json!(8000), 0));
    let told = to(&json!({"reasoning_effort": "high", "max_tokens": 1000}));
    let body = told.json();
    assert_eq!((&body["thinking"]["budget_tokens"], &body["max_tokens"]), (&json!(24576), &json!(25576)));
    assert!(told.losses[0].starts_with("max_tokens: raised to 25576"));
    // Nobody asked for the default limit, so raising it takes nothing from anyone.
    assert_eq!(to(&json!({"reasoning_effort": "high"})).losses, [""; 0]);
    assert!(to(&json!({"reasoning_effort": "none"})).json().get("thinking").is_none());
}

#[test]
fn newer_models_decide_by_themselves_and_older_ones_do_not_think() {
    let asked = json!({"reasoning_effort": "medium"});
    let body = on(Engine::Provider, "claude-opus-4-6", &asked).json();
    assert_eq!(
        (&body["thinking"], &body["output_config"]),
        (&json!({"type": "adaptive"}), &json!({"effort": "medium"}))
    );
    let body = on(Engine::Provider, "claude-opus-4-7", &asked).json();
    assert_eq!(body["thinking"], json!({"type": "adaptive", "display": "summarized"}));
    let told = on(Engine::Provider, "claude-3-5-haiku-20241022", &asked);
    assert!(told.json().get("thinking").is_none() && told.losses[0].starts_with("reasoning_effort: "));
    let local = on(Engine::LmStudio, "qwen", &json!({"reasoning_effort": "none"}));
    assert_eq!(local.json()["thinking"], json!({"type": "disabled"}));
}

#[test]
fn what_cannot_stand_beside_thinking_gives_way_and_is_named() {
    let told = to(&json!({"reasoning_effort": "low", "temperature": 0.2, "top_p": 0.5, "top_k": 5}));
    let body = told.json();
    assert!(["temperature", "top_p", "top_k"].iter().all(|name| body.get(name).is_none()));
    assert_eq!(told.losses.len(), 3);
    assert!(to(&json!({"reasoning_effort": "low", "temperature": 1})).losses.is_empty());
    let told = to(&json!({"reasoning_effort": "low", "tools": [tool()], "tool_choice": "required"}));
    assert!(told.json().get("thinking").is_none());
    assert!(told.losses.len() == 1 && told.losses[0].starts_with("reasoning_effort: left out"));
}

#[test]
fn t80_tq_26_signed_thoughts_travel_through_the_client_and_back() {
    let asked = to(&json!({"reasoning_effort": "low", "tools": [tool()]}));
    let answer = json!({"content": [
            {"type": "thinking", "thinking": "hm", "signature": "EqAB"},
            {"type": "redacted_thinking", "data": "R"},
            {"type": "tool_use", "id": "c", "name": "f", "input": {}}],
        "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});
    let message = asked.answered(&answer.to_string())["choices"][0]["message"].clone();
    assert_eq!(message["reasoning_content"], "hm");
    let body = to(&history(&message)).json();
    assert_eq!(body["messages"][1]["content"], answer["content"]);
    assert_eq!(body["thinking"]["type"], "enabled");
}

#[test]
fn t80_without_signed_thoughts_the_turn_goes_on_without_thinking() {
    for more in [json!({}), json!({"reasoning_content": "hm"})] {
        let told = to(&history(&more));
        let body = told.json();
        assert!(body.get("thinking").is_none());
        assert_eq!(body["messages"][1]["content"][0]["type"], "tool_use");
        assert_eq!(told.losses.len(), 1);
        assert!(told.losses[0].starts_with("reasoning_effort: left out for this turn"));
    }
}

#[test]
fn t20_thoughts_of_others_go_to_engines_that_take_them_and_nowhere_else() {
    let engine = on(Engine::LmStudio, "qwen", &history(&json!({"reasoning_content": "hm"})));
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": ""});
    assert_eq!(engine.json()["messages"][1]["content"][0], thought);
    assert_eq!(engine.losses, [""; 0]);
    let foreign = json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "format": "openai-responses-v1"}]});
    let body = to(&history(&foreign)).body;
    assert!(!body.contains("redacted_thinking"), "{body}");
}
