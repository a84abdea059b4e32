//! Tools and settings of Anthropic's clients at backends of OpenAI's dialect.

use dialect::translate::{Engine, Terms};
use dialect::{Dialect, Endpoint, Unfit};
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried, with};

fn on(engine: Engine, more: &Value) -> Result<Exchange, Unfit> {
    let body = json!({"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]});
    tried(Endpoint::Messages, Dialect::OpenAi, &terms(engine), &with(body, more).to_string())
}

fn to(engine: Engine, more: &Value) -> Exchange {
    on(engine, more).expect("it can be carried")
}

fn tool() -> Value {
    json!({"name": "f", "input_schema": {"type": "object", "properties": {}}})
}

#[test]
fn t11_12_tr_07_every_choice_of_tools_is_told() {
    let told = |engine, choice: Value| {
        to(engine, &json!({"tools": [tool()], "tool_choice": choice})).json()["tool_choice"].clone()
    };
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (choice, expected) in [
        (json!({"type": "none"}), json!("none")),
        (json!({"type": "auto"}), json!("auto")),
        (json!({"type": "any"}), json!("required")),
        (json!({"type": "tool", "name": "f"}), named),
    ] {
        assert_eq!(told(Engine::Vllm, choice), expected);
    }
    assert_eq!(told(Engine::LmStudio, json!({"type": "tool", "name": "f"})), "required");
}

#[test]
fn t13_one_call_at_a_time() {
    let choice = json!({"type": "auto", "disable_parallel_tool_use": true});
    let sent = to(Engine::Other, &json!({"tools": [tool()], "tool_choice": choice})).json();
    assert_eq!((&sent["parallel_tool_calls"], &sent["tool_choice"]), (&json!(false), &json!("auto")));
}

#[test]
fn t15_tr_12_tools_of_the_provider_are_named_as_lost_or_refused() {
    let search = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 5});
    let sent = to(Engine::LmStudio, &json!({"tools": [search, tool()]}));
    assert_eq!(sent.json()["tools"].as_array().unwrap().len(), 1);
    assert!(
        sent.losses.iter().any(|loss| loss.starts_with("tools[0]: ") && loss.contains("web_search_20250305"))
    );
    let alone = to(Engine::LmStudio, &json!({"tools": [search]})).json();
    assert_eq!(alone.get("tools"), None);
    for choice in [json!({"type": "any"}), json!({"type": "tool", "name": "web_search"})] {
        let error = on(Engine::LmStudio, &json!({"tools": [search], "tool_choice": choice})).err().unwrap();
        assert!(error.field == "tools[0]" && error.message.contains("web_search_20250305"));
    }
}

#[test]
fn t16_schemas_have_properties() {
    let sent = to(
        Engine::LmStudio,
        &json!({"tools": [{"name": "f", "description": "F.", "input_schema": {"type": "object"}}]}),
    );
    let expected =
        json!({"name": "f", "description": "F.", "parameters": {"type": "object", "properties": {}}});
    assert_eq!(sent.json()["tools"], json!([{"type": "function", "function": expected}]));
}

#[test]
fn t22_23_tr_08_thinking_is_asked_for_in_the_words_of_the_server() {
    let budget = json!({"thinking": {"type": "enabled", "budget_tokens": 10000}, "max_tokens": 20000});
    let sent = to(Engine::Provider, &budget);
    assert_eq!((&sent.json()["reasoning_effort"], sent.losses.len()), (&json!("high"), 0));
    assert_eq!(to(Engine::Vllm, &budget).json()["chat_template_kwargs"], json!({"enable_thinking": true}));
    let off = json!({"thinking": {"type": "disabled"}});
    assert_eq!(to(Engine::Vllm, &off).json()["chat_template_kwargs"], json!({"enable_thinking": false}));
    // Models without thinking refuse any word about it.
    assert_eq!(to(Engine::Provider, &off).json().get("reasoning_effort"), None);
    let open = json!({"type": "object", "properties": {"z": {}, "a": {}}});
    let closed = with(open.clone(), &json!({"required": ["z", "a"], "additionalProperties": false}));
    let asked = |schema: &Value| {
        let format = json!({"type": "json_schema", "schema": schema});
        to(Engine::Provider, &json!({"output_config": {"effort": "medium", "format": format}}))
    };
    let sent = asked(&open);
    assert!(sent.losses[0].starts_with("output_config.format: OpenAI does not follow"), "{:?}", sent.losses);
    assert_eq!(sent.json()["response_format"]["json_schema"], json!({"name": "response", "schema": open}));
    let sent = asked(&closed).json();
    assert_eq!(sent["reasoning_effort"], "medium");
    let expected = json!({"name": "response", "schema": closed, "strict": true});
    let expected = json!({"type": "json_schema", "json_schema": expected});
    assert_eq!(sent["response_format"], expected);
}

#[test]
fn t24_25_tr_17_unknown_members_fail_nothing_and_go_nowhere() {
    let more = json!({"context_management": {"edits": []}, "container": "c", "mcp_servers": [{"type": "url", "url": "https://x.test", "name": "x"}], "betas": ["a"], "brand_new": 1});
    let sent = to(Engine::Other, &more);
    for name in ["context_management", "container", "mcp_servers", "brand_new"] {
        assert!(
            sent.losses.iter().any(|loss| loss.starts_with(&format!("{name}: "))),
            "{name}: {:?}",
            sent.losses
        );
        assert!(!sent.body.contains(name));
    }
    assert!(sent.headers.is_empty(), "no flag of Anthropic's goes along");
    let strict = Terms { is_strict: true, ..terms(Engine::Other) };
    let body = json!({"model": "claude", "max_tokens": 9, "container": "c", "messages": [{"role": "user", "content": "Hi"}]});
    let error = tried(Endpoint::Messages, Dialect::OpenAi, &strict, &body.to_string()).err().unwrap();
    assert_eq!((error.field.as_str(), error.is_good_elsewhere), ("container", true));
}

#[test]
fn t26_tr_09_10_sampling_and_the_user_arrive_where_they_are_known() {
    let more = json!({"stop_sequences": ["A"], "top_k": 5, "top_p": 0.9, "temperature": 0.3, "metadata": {"user_id": "u-1"}});
    let sent = to(Engine::LmStudio, &more);
    assert_eq!(sent.losses, Vec::<String>::new());
    let sent = sent.json();
    assert_eq!((&sent["stop"], &sent["top_k"], &sent["user"]), (&json!(["A"]), &json!(5), &json!("u-1")));
    assert_eq!((&sent["top_p"], &sent["temperature"]), (&json!(0.9), &json!(0.3)));
    let sent = to(Engine::Provider, &more);
    assert_eq!(sent.losses, ["top_k: this backend takes no such parameter"]);
    assert_eq!(sent.json().get("top_k"), None);
}

#[test]
fn t27_tr_15_the_limit_of_tokens_has_the_name_that_the_server_knows() {
    let sent = to(Engine::Provider, &json!({})).json();
    assert_eq!((&sent["max_completion_tokens"], sent.get("max_tokens")), (&json!(100), None));
    for engine in [Engine::LmStudio, Engine::Ollama, Engine::LlamaCpp, Engine::Vllm, Engine::Other] {
        let sent = to(engine, &json!({})).json();
        assert_eq!((&sent["max_tokens"], sent.get("max_completion_tokens")), (&json!(100), None));
    }
}

#[test]
fn tr_14_usage_is_asked_for_in_every_stream() {
    let sent = to(Engine::Other, &json!({"stream": true})).json();
    assert_eq!((&sent["stream"], &sent["stream_options"]), (&json!(true), &json!({"include_usage": true})));
    assert_eq!(to(Engine::Other, &json!({})).json().get("stream"), None);
}

#[test]
fn tr_16_more_stops_than_openai_takes_are_named() {
    let stops = json!({"stop_sequences": ["a", "b", "c", "d", "e"]});
    let sent = to(Engine::Provider, &stops);
    assert_eq!(sent.json()["stop"], json!(["a", "b", "c", "d"]));
    assert!(sent.losses[0].starts_with("stop_sequences: "));
    assert_eq!(to(Engine::Vllm, &stops).json()["stop"], stops["stop_sequences"]);
}

#[test]
fn tr_20_22_hints_for_caches_are_no_loss_and_citations_are() {
    let cached = json!({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}});
    let tool = with(tool(), &json!({"cache_control": {"type": "ephemeral"}}));
    let sent =
        to(Engine::Other, &json!({"tools": [tool], "messages": [{"role": "user", "content": [cached]}]}));
    assert_eq!((sent.losses.len(), sent.body.contains("cache_control")), (0, false));
    let document = json!({"type": "document", "citations": {"enabled": true},
        "source": {"type": "text", "media_type": "text/plain", "data": "Milk."}});
    let sent = to(Engine::Other, &json!({"messages": [{"role": "user", "content": [document]}]}));
    assert_eq!(sent.losses, ["messages[0].content[0].citations: the backend cites nothing"]);
}

#[test]
fn tr_21_names_that_openai_refuses_are_changed_both_ways() {
    let name = format!("mcp__{}", "x".repeat(80));
    let body = json!({"tools": [{"name": name, "input_schema": {"type": "object"}}], "tool_choice": {"type": "tool", "name": name}});
    let sent = to(Engine::Provider, &body);
    let told = sent.json();
    let called = told["tools"][0]["function"]["name"].as_str().unwrap().to_owned();
    assert_eq!((called.len(), &told["tool_choice"]["function"]["name"]), (64, &json!(called)));
    let call = json!({"id": "c", "type": "function", "function": {"name": called, "arguments": "{}"}});
    let answer = json!({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    assert_eq!(sent.answered(&answer.to_string())["content"][0]["name"], name);
}
