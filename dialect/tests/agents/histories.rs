//! Histories that some APIs refuse: interrupted calls, results in another order, results of calls that were cut off.

use dialect::Dialect::{self, Anthropic, Gemini, Ollama, OpenAi, Responses};
use dialect::Endpoint;
use dialect::translate::Engine;
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried};

fn from_anthropic(to: Dialect, messages: &Value) -> Exchange {
    let body = json!({"model": "m", "max_tokens": 100, "messages": messages});
    tried(Endpoint::Messages, to, &terms(Engine::Provider), &body.to_string()).expect("it can be carried")
}

fn call(id: &str, name: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": {}})
}

fn result(id: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": format!("of {id}")})
}

#[test]
fn an_interrupted_call_is_answered_for_every_backend() {
    let messages = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [call("t1", "look"), call("t2", "look")]},
        {"role": "user", "content": [result("t2"), {"type": "text", "text": "stop"}]}]);
    for to in [OpenAi, Responses, Anthropic, Gemini, Ollama] {
        let sent = from_anthropic(to, &messages);
        let place =
            |text: &str| sent.body.find(text).unwrap_or_else(|| panic!("{to:?}: {text} in {}", sent.body));
        assert!(place("There is no result of this call.") < place("of t2"), "{to:?}");
        assert!(place("of t2") < place("stop"), "{to:?}");
        assert_eq!(sent.losses, ["messages[1].content[0]: has no result; sent as failed"], "{to:?}");
    }
    let told = from_anthropic(OpenAi, &messages).json()["messages"].clone();
    let ids: Vec<_> =
        told.as_array().expect("a list").iter().filter_map(|one| one["tool_call_id"].as_str()).collect();
    assert_eq!(ids, ["t1", "t2"]);
}

#[test]
fn t09_results_follow_the_order_of_the_calls_where_only_their_place_tells() {
    let messages = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [call("t1", "read"), call("t2", "run")]},
        {"role": "user", "content": [result("t2"), result("t1")]}]);
    let told = from_anthropic(Ollama, &messages).json()["messages"].clone();
    assert_eq!((&told[2]["tool_name"], &told[2]["content"]), (&json!("read"), &json!("of t1")));
    assert_eq!((&told[3]["tool_name"], &told[3]["content"]), (&json!("run"), &json!("of t2")));
}

#[test]
fn a_result_whose_call_was_cut_off_is_told_as_text() {
    let body = json!({"model": "m", "messages": [
        {"role": "tool", "tool_call_id": "c9", "content": "42"}, {"role": "user", "content": "go on"}]});
    for to in [Responses, Anthropic, Gemini, Ollama] {
        let terms = terms(Engine::Provider);
        let sent =
            tried(Endpoint::ChatCompletions, to, &terms, &body.to_string()).expect("it can be carried");
        assert!(
            sent.body.contains("[The result of a call that is not in the conversation: c9]"),
            "{}",
            sent.body
        );
        assert!(sent.body.contains("42") && !sent.body.contains("call_id"), "{}", sent.body);
        assert_eq!(
            sent.losses,
            ["messages[0]: answers no call of the turn before it; sent as text"],
            "{to:?}"
        );
    }
}

#[test]
fn instructions_alone_are_something_to_answer() {
    let body = json!({"model": "m", "messages": [{"role": "system", "content": "Say hi."}]});
    let terms = terms(Engine::Provider);
    let sent =
        tried(Endpoint::ChatCompletions, Responses, &terms, &body.to_string()).expect("it can be carried");
    assert_eq!(sent.json().get("instructions"), None);
    assert_eq!(sent.json()["input"][0]["role"], "developer");
}
