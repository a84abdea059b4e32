//! Settings and tools of OpenAI clients, as Anthropic gets them.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint, Unfit};
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried, with};

fn try_on(engine: Engine, model: &str, more: &Value) -> Result<Exchange, Unfit> {
    let mut terms = terms(engine);
    model.clone_into(&mut terms.model);
    let body = with(json!({"model": "m", "messages": [{"role": "user", "content": "u"}]}), more);
    tried(Endpoint::ChatCompletions, Dialect::Anthropic, &terms, &body.to_string())
}

fn to(more: &Value) -> Exchange {
    try_on(Engine::Provider, "claude-sonnet-4-5", more).expect("it can be translated")
}

fn sent(more: &Value) -> Value {
    to(more).json()
}

/// The paths of what is lost.
fn lost(exchange: &Exchange) -> Vec<&str> {
    exchange.losses.iter().map(|loss| loss.split(": ").next().expect("it can be translated")).collect()
}

fn function(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "description": "F.", "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}})
}

#[test]
fn t62_tq_13_a_tool_without_parameters_has_an_empty_schema() {
    let told = to(&json!({"tools": [function("f"), {"type": "function", "function": {"name": "g"}}]}));
    assert_eq!(
        told.json()["tools"],
        json!([
            {"name": "f", "description": "F.", "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}},
            {"name": "g", "input_schema": {"type": "object", "properties": {}}}
        ])
    );
    // T17: keys stay in their order.
    assert!(told.body.contains(r#""properties":{"z":{},"a":{}}"#));
}

#[test]
fn tq_01_tq_02_t69_every_form_of_tool_choice() {
    let chosen =
        |choice: Value| sent(&json!({"tools": [function("f"), function("g")], "tool_choice": choice}));
    assert_eq!(chosen(json!("auto"))["tool_choice"], json!({"type": "auto"}));
    assert_eq!(chosen(json!("required"))["tool_choice"], json!({"type": "any"}));
    assert_eq!(chosen(json!("none"))["tool_choice"], json!({"type": "none"}));
    let named = json!({"type": "function", "function": {"name": "g"}});
    assert_eq!(chosen(named)["tool_choice"], json!({"type": "tool", "name": "g"}));
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}});
    let told = chosen(allowed);
    assert_eq!((&told["tool_choice"], &told["tools"][0]["name"]), (&json!({"type": "any"}), &json!("g")));
    assert_eq!(told["tools"].as_array().unwrap().len(), 1);
    let serial =
        |more: Value| sent(&with(json!({"tools": [function("f")], "parallel_tool_calls": false}), &more));
    let expected = json!({"type": "auto", "disable_parallel_tool_use": true});
    assert_eq!(serial(json!({}))["tool_choice"], expected);
    assert_eq!(serial(json!({"tool_choice": "none"}))["tool_choice"], json!({"type": "none"}));
    assert!(sent(&json!({"tool_choice": "auto"})).get("tool_choice").is_none());
}

#[test]
fn tr_21_names_outside_of_the_alphabet_are_changed_and_changed_back() {
    let more =
        json!({"tools": [function("a.b")], "tool_choice": {"type": "function", "function": {"name": "a.b"}}});
    let told = to(&more);
    let name = told.json()["tools"][0]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("a_b_"));
    assert_eq!(told.json()["tool_choice"]["name"], name);
    let answer = json!({"content": [{"type": "tool_use", "id": "t", "name": name, "input": {}}], "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});
    let client = told.answered(&answer.to_string());
    assert_eq!(client["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "a.b");
}

#[test]
fn tq_14_strict_where_it_can_be_kept_and_custom_tools_with_one_argument() {
    let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let tool = |schema: &Value| json!({"tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters": schema}}]});
    assert_eq!(sent(&tool(&closed))["tools"][0]["strict"], true);
    let open = to(&tool(&json!({"type": "object", "properties": {"a": {"minimum": 1}}})));
    assert!(open.json()["tools"][0].get("strict").is_none());
    assert_eq!(lost(&open), ["tools[0].strict"]);
    let custom = json!({"tools": [{"type": "custom", "custom": {"name": "sh", "description": "Runs it."}}]});
    let told = to(&custom);
    assert_eq!(told.json()["tools"][0]["input_schema"]["required"], json!(["input"]));
    let answer = json!({"content": [{"type": "tool_use", "id": "t", "name": "sh", "input": {"input": "ls -l"}}], "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});
    let call = told.answered(&answer.to_string())["choices"][0]["message"]["tool_calls"][0].clone();
    assert_eq!(
        (&call["type"], &call["custom"]),
        (&json!("custom"), &json!({"name": "sh", "input": "ls -l"}))
    );
}

#[test]
fn t15_tools_of_other_providers_are_named_and_refused_where_one_must_be_called() {
    let foreign = json!({"type": "web_search_preview"});
    let told = to(&json!({"tools": [function("f"), foreign]}));
    assert_eq!((told.json()["tools"].as_array().unwrap().len(), lost(&told)), (1, vec!["tools[1]"]));
    let error =
        try_on(Engine::Provider, "m", &json!({"tools": [foreign], "tool_choice": "required"})).err().unwrap();
    assert!(error.is_good_elsewhere && error.field == "tools[0]");
    let own = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3});
    assert_eq!(sent(&json!({"tools": [own]}))["tools"], json!([own]));
}

#[test]
fn a_history_with_calls_brings_its_tools_along() {
    let body = json!({"messages": [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}]});
    let told = sent(&body);
    assert_eq!((&told["tools"][0]["name"], &told["tool_choice"]), (&json!("f"), &json!({"type": "none"})));
}

#[test]
fn t67_tq_21_temperatures_are_clamped_and_one_of_two_dropped() {
    let told = to(&json!({"temperature": 1.6}));
    assert_eq!((&told.json()["temperature"], lost(&told)), (&json!(1.0), vec!["temperature"]));
    let told = to(&json!({"temperature": 0.2, "top_p": 0.5}));
    assert_eq!((told.json().get("top_p"), lost(&told)), (None, vec!["top_p"]));
    let both = json!({"temperature": 0.2, "top_p": 0.5});
    let old = try_on(Engine::Provider, "claude-3-5-haiku-20241022", &both).unwrap();
    assert_eq!((&old.json()["top_p"], old.losses.len()), (&json!(0.5), 0));
    let local = try_on(Engine::LmStudio, "qwen", &both).unwrap();
    assert_eq!((&local.json()["top_p"], local.losses.len()), (&json!(0.5), 0));
    let newest = try_on(Engine::Provider, "claude-opus-4-7", &json!({"temperature": 0.2})).unwrap();
    assert_eq!((newest.json().get("temperature"), lost(&newest)), (None, vec!["temperature"]));
}

#[test]
fn t68_tq_22_there_is_always_a_limit() {
    assert_eq!(sent(&json!({}))["max_tokens"], 4096);
    assert_eq!(sent(&json!({"max_tokens": null}))["max_tokens"], 4096);
    assert_eq!(sent(&json!({"max_completion_tokens": 77}))["max_tokens"], 77);
}

#[test]
fn t69_tq_16_a_schema_by_the_means_that_the_backend_has() {
    let schema = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer"}}, "required": ["z", "a"], "additionalProperties": false});
    let asked = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "r", "strict": true, "schema": schema}}});
    let told = to(&asked);
    assert_eq!(told.json()["output_config"], json!({"format": {"type": "json_schema", "schema": schema}}));
    assert_eq!(told.losses.len(), 0);

    let local = try_on(Engine::LmStudio, "qwen", &asked).unwrap();
    let body = local.json();
    let name = body["tools"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(body["tools"][0]["input_schema"], schema);
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": name}));
    let answer = json!({"content": [{"type": "tool_use", "id": "t", "name": name, "input": {"z": "x", "a": 1}}], "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});
    let choice = local.answered(&answer.to_string())["choices"][0].clone();
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("{\"z\":\"x\",\"a\":1}"), &json!("stop"))
    );

    // Beside other tools the model may call one of those first.
    let beside =
        try_on(Engine::LmStudio, "qwen", &with(asked.clone(), &json!({"tools": [function("f")]}))).unwrap();
    assert_eq!(beside.json()["tool_choice"], json!({"type": "any"}));
}

#[test]
fn tq_16_any_object_is_asked_for_in_words() {
    let told = to(&json!({"response_format": {"type": "json_object"}}));
    assert!(told.json()["system"].as_str().unwrap().contains("JSON object"));
    assert_eq!(lost(&told), ["response_format"]);
    assert!(to(&json!({"response_format": {"type": "text"}})).losses.is_empty());
}

#[test]
fn tq_17_tq_18_what_has_no_place_is_refused_or_named() {
    let error = try_on(Engine::Provider, "m", &json!({"n": 2})).err().unwrap();
    assert!(error.is_good_elsewhere && error.field == "n");
    let told = to(&json!({
        "n": 1, "logprobs": true, "top_logprobs": 3, "logit_bias": {"1": 2}, "seed": 1, "presence_penalty": 0.5,
        "frequency_penalty": 0, "prediction": {"type": "content", "content": "x"}, "modalities": ["text"],
        "web_search_options": {"search_context_size": "low"}, "store": false, "verbosity": "low", "brand_new": 1
    }));
    let mut named = lost(&told);
    named.sort_unstable();
    let expected = [
        "brand_new",
        "logit_bias",
        "logprobs",
        "prediction",
        "presence_penalty",
        "seed",
        "top_logprobs",
        "verbosity",
        "web_search_options",
    ];
    assert_eq!(named, expected);
}

#[test]
fn tq_20_stop_sequences_that_say_nothing_are_left_out() {
    assert!(sent(&json!({"stop": null})).get("stop_sequences").is_none());
    assert_eq!(sent(&json!({"stop": "END"}))["stop_sequences"], json!(["END"]));
    let told = to(&json!({"stop": ["\n", "END"]}));
    assert_eq!((&told.json()["stop_sequences"], lost(&told)), (&json!(["END"]), vec!["stop"]));
    assert!(to(&json!({"stop": ["\n"]})).json().get("stop_sequences").is_none());
}

#[test]
fn tq_24_users_and_classes_of_service_are_mapped() {
    let told = to(
        &json!({"user": "u1", "service_tier": "default", "prompt_cache_key": "k", "metadata": {"a": "b"}}),
    );
    let body = told.json();
    assert_eq!(
        (&body["metadata"], &body["service_tier"]),
        (&json!({"user_id": "u1"}), &json!("standard_only"))
    );
    let mut named = lost(&told);
    named.sort_unstable();
    assert_eq!(named, ["metadata"]);
    assert_eq!(sent(&json!({"safety_identifier": "s1"}))["metadata"], json!({"user_id": "s1"}));
    assert_eq!(lost(&to(&json!({"service_tier": "flex"}))), ["service_tier"]);
}
