//! Conversations of Anthropic's clients at backends of OpenAI's dialect.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint, Unfit};
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried};

fn on(engine: Engine, body: &Value) -> Result<Exchange, Unfit> {
    tried(Endpoint::Messages, Dialect::OpenAi, &terms(engine), &body.to_string())
}

/// The messages that a backend gets for these.
fn sent(engine: Engine, messages: &Value) -> Value {
    let body = json!({"model": "claude", "max_tokens": 100, "messages": messages});
    on(engine, &body).expect("it can be carried").json()["messages"].clone()
}

/// What a backend gets for a result of a tool with this content.
fn result(engine: Engine, content: &Value) -> Value {
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": content});
    sent(
        engine,
        &json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]}]),
    )
}

fn picture() -> Value {
    json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}})
}

#[test]
fn t01_tr_04_pictures_arrive() {
    let url = json!({"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}});
    let told = sent(
        Engine::Vllm,
        &json!([{"role": "user", "content": [picture(), {"type": "text", "text": "What?"}, url]}]),
    );
    let expected = json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]}]);
    assert_eq!(told, expected);
}

#[test]
fn t02_03_instructions_in_the_middle_stay_where_they_are() {
    for content in [json!("Be brief now."), json!([{"type": "text", "text": "Be brief now."}])] {
        let told = sent(
            Engine::LmStudio,
            &json!([{"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."}, {"role": "system", "content": content},
            {"role": "user", "content": "More"}]),
        );
        assert_eq!(told[2], json!({"role": "system", "content": "Be brief now."}));
        assert_eq!((&told[1]["role"], &told[3]["content"]), (&json!("assistant"), &json!("More")));
    }
}

#[test]
fn t04_19_all_instructions_are_kept_in_order_and_apart() {
    let body = json!({"model": "claude", "max_tokens": 9,
        "system": [{"type": "text", "text": "One.", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "Two."}],
        "messages": [{"role": "system", "content": "Three."}, {"role": "user", "content": "Hi"}]});
    let sent = on(Engine::Other, &body).unwrap();
    assert_eq!(sent.losses, Vec::<String>::new());
    let expected = json!([{"role": "system", "content": "One.\nTwo."}, {"role": "system", "content": "Three."},
        {"role": "user", "content": "Hi"}]);
    assert_eq!(sent.json()["messages"], expected);
    // Templates of several models have room for one message of instructions.
    let sent = on(Engine::LlamaCpp, &body).unwrap().json();
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "One.\nTwo.\nThree."}));
    assert_eq!(sent["messages"][1]["role"], "user");
}

#[test]
fn t05_06_tr_01_lists_in_results_become_text_and_pictures_follow() {
    let told = result(Engine::Vllm, &json!([{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]));
    assert_eq!(told[2], json!({"role": "tool", "content": "42", "tool_call_id": "toolu_1"}));
    assert_eq!(told.as_array().unwrap().len(), 3);
    let told = result(Engine::Vllm, &json!([picture()]));
    assert_eq!(told[2]["content"], "The result is shown in the next message.");
    let url = "data:image/png;base64,iVBORw0KGgo=";
    let expected = json!({"role": "user", "content": [{"type": "text", "text": "Shown by look (toolu_1):"},
        {"type": "image_url", "image_url": {"url": url}}]});
    assert_eq!(told[3], expected);
}

#[test]
fn t08_09_tr_02_results_come_first_in_the_order_of_the_calls() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {"of": id}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": id});
    let text = json!({"type": "text", "text": "And now?"});
    let told = sent(
        Engine::Other,
        &json!([{"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, call("t1"), call("t2")]},
        {"role": "user", "content": [text, result("t2"), result("t1")]}]),
    );
    let call = |id: &str| {
        let arguments = json!({"of": id}).to_string();
        json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
    };
    let expected = json!([{"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "I look.", "tool_calls": [call("t1"), call("t2")]},
        {"role": "tool", "content": "t1", "tool_call_id": "t1"},
        {"role": "tool", "content": "t2", "tool_call_id": "t2"},
        {"role": "user", "content": "And now?"}]);
    assert_eq!(told, expected);
}

#[test]
fn t10_tr_03_a_failed_tool_is_marked_and_known_again() {
    let call = json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}});
    let failed =
        json!({"type": "tool_result", "tool_use_id": "t1", "content": "no such file", "is_error": true});
    let told = sent(
        Engine::Other,
        &json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [call]},
        {"role": "user", "content": [failed]}]),
    );
    assert_eq!(told[2]["content"], "[tool error] no such file");
    let body = json!({"model": "m", "messages": told}).to_string();
    let back = tried(Endpoint::ChatCompletions, Dialect::Anthropic, &terms(Engine::Provider), &body).unwrap();
    let back = back.json()["messages"][2]["content"][0].clone();
    assert_eq!(back["is_error"], true);
    assert!(back["content"].to_string().contains("\"no such file\""), "{back}");
    let again = tried(Endpoint::ChatCompletions, Dialect::OpenAi, &terms(Engine::Other), &body).unwrap();
    assert_eq!(again.json()["messages"][2]["content"], "[tool error] no such file", "marked once");
}

#[test]
fn t17_keys_and_numbers_stay_as_written() {
    let schema = r#"{"type":"object","required":["z"],"properties":{"z":{"type":"number","default":1.0},"a":{"enum":[1e3]}}}"#;
    let body = format!(
        r#"{{"model":"claude","max_tokens":9,"tools":[{{"name":"f","input_schema":{schema}}}],"messages":[{{"role":"user","content":"Hi"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"t1","name":"f","input":{{"z":1.0,"a":1e3}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t1","content":"x"}}]}}]}}"#
    );
    let sent = tried(Endpoint::Messages, Dialect::OpenAi, &terms(Engine::Vllm), &body).unwrap();
    assert!(sent.body.contains(schema), "{}", sent.body);
    assert!(sent.body.contains(r#""arguments":"{\"z\":1.0,\"a\":1e3}""#), "{}", sent.body);
}

#[test]
fn t18_the_billing_line_is_taken_out() {
    let body = |nonce: &str| {
        let line = format!("x-anthropic-billing-header: cc_version=2.1.37; cc_entrypoint=cli; cch={nonce};");
        json!({"model": "claude", "max_tokens": 9, "system": [{"type": "text", "text": line}, {"type": "text", "text": "You are."}],
            "messages": [{"role": "user", "content": "x-anthropic-billing-header: stays here"}]})
    };
    let (one, two) =
        (on(Engine::LlamaCpp, &body("0f3a1")).unwrap(), on(Engine::LlamaCpp, &body("77b2c")).unwrap());
    assert_eq!(one.body, two.body);
    let expected = json!([{"role": "system", "content": "You are."},
        {"role": "user", "content": "x-anthropic-billing-header: stays here"}]);
    assert_eq!((one.json()["messages"].clone(), one.losses.len()), (expected, 0));
}

#[test]
fn t20_29_tr_06_thoughts_go_where_they_are_taken_and_leave_no_empty_turn() {
    let thought = json!({"type": "thinking", "thinking": "Hm.", "signature": "sig"});
    let messages = json!([{"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Yes."}]}, {"role": "user", "content": "Why?"}]);
    let plain = json!({"role": "assistant", "content": "Yes."});
    assert_eq!(sent(Engine::Provider, &messages)[1], plain);
    assert_eq!(sent(Engine::Vllm, &messages)[1]["reasoning_content"], "Hm.");
    assert!(!sent(Engine::Vllm, &messages).to_string().contains("sig\""));
    let only = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [thought]},
        {"role": "user", "content": "Why?"}]);
    assert_eq!(sent(Engine::Other, &only), json!([{"role": "user", "content": "Hi\nWhy?"}]));
}

#[test]
fn t30_tr_18_a_call_without_input_has_an_empty_object() {
    for call in [
        json!({"type": "tool_use", "id": "t1", "name": "f"}),
        json!({"type": "tool_use", "id": "t1", "name": "f", "input": null}),
    ] {
        let told = sent(
            Engine::Other,
            &json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [call]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]}]),
        );
        assert_eq!(told[1]["tool_calls"][0]["function"], json!({"name": "f", "arguments": "{}"}));
        assert_eq!(told[1]["content"], Value::Null);
        assert_eq!(told[2], json!({"role": "tool", "content": "", "tool_call_id": "t1"}));
    }
}

#[test]
fn tr_05_documents_are_told_as_text_or_as_files_or_refused() {
    let text = json!({"type": "document", "title": "Notes", "source": {"type": "text", "media_type": "text/plain", "data": "Buy milk."}});
    let pdf = json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}});
    let ask = |part: &Value| json!([{"role": "user", "content": [part]}]);
    assert_eq!(sent(Engine::LmStudio, &ask(&text))[0]["content"], "Notes\n\nBuy milk.");
    let told = sent(Engine::Provider, &ask(&pdf));
    let data = "data:application/pdf;base64,JVBERi0=";
    let file = json!({"type": "file", "file": {"filename": "document.pdf", "file_data": data}});
    assert_eq!(told[0]["content"], json!([file]));
    let body = json!({"model": "claude", "max_tokens": 9, "messages": ask(&pdf)});
    let error = on(Engine::LmStudio, &body).err().unwrap();
    assert_eq!((error.field.as_str(), error.is_good_elsewhere), ("messages[0].content[0]", true));
    let uploaded = json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}});
    let body = json!({"model": "claude", "max_tokens": 9, "messages": ask(&uploaded)});
    assert_eq!(on(Engine::Provider, &body).err().unwrap().field, "messages[0].content[0]");
}

#[test]
fn tr_13_tools_that_the_provider_ran_are_told_in_words_or_named_as_lost() {
    let ran = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "milk"}});
    let body = json!({"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [ran, {"type": "text", "text": "Found."}]}, {"role": "user", "content": "So?"}]});
    let sent = on(Engine::Other, &body).unwrap();
    let told = sent.json()["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(told.ends_with("Found."));
    assert!(
        told.contains("milk") || sent.losses.iter().any(|loss| loss.starts_with("messages[1].content[0]"))
    );
}

#[test]
fn tr_19_an_empty_turn_of_the_user_stays() {
    let told = sent(Engine::Other, &json!([{"role": "user", "content": []}]));
    assert_eq!(told, json!([{"role": "user", "content": ""}]));
}

#[test]
fn facts_of_a_basic_request() {
    let body = json!({"model": "claude", "system": "You are helpful", "max_tokens": 1024, "stop_sequences": ["END"],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello world"}]}]});
    let sent = on(Engine::Other, &body).unwrap().json();
    let expected = json!({"model": "up", "messages": [{"role": "system", "content": "You are helpful"},
        {"role": "user", "content": "Hello world"}], "max_tokens": 1024, "stop": ["END"]});
    assert_eq!(sent, expected);
}

#[test]
fn a_round_trip_keeps_the_conversation() {
    let body = json!({"model": "claude", "system": "Be concise", "max_tokens": 512, "temperature": 0.5, "stream": true,
        "messages": [{"role": "user", "content": "Hi"}]});
    let there = on(Engine::Provider, &body).unwrap();
    assert_eq!(there.json()["stream_options"], json!({"include_usage": true}));
    let back =
        tried(Endpoint::ChatCompletions, Dialect::Anthropic, &terms(Engine::Provider), &there.body).unwrap();
    let back = back.json();
    assert!(back["system"].to_string().contains("Be concise"));
    assert_eq!((&back["max_tokens"], &back["temperature"]), (&json!(512), &json!(0.5)));
    assert_eq!(back["messages"].as_array().unwrap().len(), 1);
    assert!(back["messages"][0]["content"].to_string().contains("Hi"));
}
