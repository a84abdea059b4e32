//! Requests.

use dialect::translate::{Engine, FormatMode, Terms};
use dialect::{Dialect, Endpoint, Unfit};
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried, with};

fn to(engine: Engine, body: &Value) -> Exchange {
    on(&terms(engine), body).expect("it can be carried")
}

fn on(terms: &Terms, body: &Value) -> Result<Exchange, Unfit> {
    tried(Endpoint::ChatCompletions, Dialect::OpenAi, terms, &body.to_string())
}

fn chat(more: &Value) -> Value {
    with(json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}), more)
}

fn messages(list: &Value) -> Value {
    json!({"model": "m", "messages": list})
}

#[test]
fn a_request_with_everything_arrives_as_it_was() {
    let body = r#"{"model":"up","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"https://x.test/a.png","detail":"low"}},{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"mp3"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}],"name":"ann"},{"role":"assistant","content":"I look.","tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"z\": 1.0,\"a\":2}"}},{"id":"c2","type":"custom","custom":{"name":"sh","input":"ls"}}]},{"role":"tool","content":"a cat","tool_call_id":"c1"},{"role":"tool","content":"x.txt","tool_call_id":"c2"},{"role":"user","content":"And?"}],"tools":[{"type":"function","function":{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{"z":{"type":"number","default":1.0},"a":{}}},"strict":true}},{"type":"custom","custom":{"name":"sh","format":{"type":"grammar","grammar":{"definition":"[a-z]+","syntax":"regex"}}}}],"tool_choice":{"type":"function","function":{"name":"look"}},"parallel_tool_calls":false,"reasoning_effort":"low","response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object","properties":{}},"strict":true}},"verbosity":"low","max_completion_tokens":100,"temperature":0.5,"top_p":0.9,"frequency_penalty":0.1,"presence_penalty":0.2,"seed":7,"stop":["A","B"],"n":2,"logprobs":true,"top_logprobs":3,"logit_bias":{"50256":-100},"user":"u-1","prompt_cache_key":"k","service_tier":"flex","metadata":{"a":"b"},"store":true,"safety_identifier":"s"}"#;
    let sent = tried(Endpoint::ChatCompletions, Dialect::OpenAi, &terms(Engine::Provider), body).unwrap();
    assert_eq!(sent.body, body);
    assert_eq!((sent.losses, sent.headers), (Vec::new(), Vec::new()));
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let call = |body: Value| messages(&json!([{"role": "assistant", "tool_calls": [body]}]));
    for (body, said) in [
        (json!({"messages": []}), "model is missing"),
        (json!({"model": "m"}), "messages is missing"),
        (json!({"model": "m", "messages": "Hi"}), "messages must be a list, not a string"),
        (messages(&json!(["Hi"])), "messages[0] must be an object, not a string"),
        (
            messages(&json!([{"role": "robot", "content": "Hi"}])),
            "messages[0].role must be system, developer, user, assistant, tool or function",
        ),
        (messages(&json!([{"role": "user"}])), "messages[0].content is missing"),
        (
            messages(&json!([{"role": "user", "content": 7}])),
            "messages[0].content must be a string or a list of parts, not a number",
        ),
        (
            messages(&json!([{"role": "user", "content": [{"type": "image_url"}]}])),
            "messages[0].content[0].image_url is missing",
        ),
        (messages(&json!([{"role": "tool", "content": "x"}])), "messages[0].tool_call_id is missing"),
        (call(json!({"id": "c"})), "messages[0].tool_calls[0].function is missing"),
        (
            call(json!({"id": "c", "function": {"name": "f", "arguments": "{\"a\":"}})),
            "messages[0].tool_calls[0].function.arguments must be the text of a JSON object",
        ),
        (chat(&json!({"temperature": "hot"})), "temperature must be a number, not a string"),
        (chat(&json!({"stop": 7})), "stop must be a string or a list of strings"),
        (
            chat(&json!({"tool_choice": "sometimes"})),
            "tool_choice must be auto, none, required, or name a function",
        ),
        (
            chat(&json!({"response_format": {"type": "yaml"}})),
            "response_format.type must be text, json_object or json_schema",
        ),
    ] {
        let error = on(&terms(Engine::Provider), &body).err().unwrap();
        assert_eq!(error.to_string(), said);
    }
}

#[test]
fn the_older_way_of_calling_functions_becomes_the_newer_one() {
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"a\":1}"}},
        {"role": "function", "name": "f", "content": "one"}],
        "functions": [{"name": "f", "parameters": {"type": "object"}}], "function_call": {"name": "f"}});
    let sent = to(Engine::Provider, &body).json();
    let call = &sent["messages"][1]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "f", "arguments": "{\"a\":1}"}));
    assert_eq!(sent["messages"][2]["role"], "tool");
    assert_eq!(sent["messages"][2]["tool_call_id"], call["id"]);
    assert_eq!(sent["tools"][0]["function"]["parameters"], json!({"type": "object", "properties": {}}));
    assert_eq!(sent["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
}

#[test]
fn unusual_forms_of_known_things_are_understood() {
    let body = json!({"model": "m", "messages": [
        {"role": "developer", "content": ["Be", {"type": "input_text", "text": "brief"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,iVBORw0KGgo="}]},
        {"role": "assistant", "content": null, "audio": null, "annotations": [], "refusal": null,
         "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}, {"id": "d", "function": {"name": "g"}}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]},
        {"role": "tool", "tool_call_id": "d", "content": null}],
        "tools": [{"type": "function", "name": "f"}, {"name": "g", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": "any", "max_tokens": -1, "stop": "X", "functions": null});
    let sent = to(Engine::Other, &body);
    assert_eq!(sent.losses, Vec::<String>::new());
    let sent = sent.json();
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "Be\nbrief"}));
    let url = "data:image/png;base64,iVBORw0KGgo=";
    assert_eq!(sent["messages"][1]["content"], json!([{"type": "image_url", "image_url": {"url": url}}]));
    assert_eq!(sent["messages"][2]["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
    assert_eq!(sent["messages"][2]["tool_calls"][1]["function"]["arguments"], "{}");
    assert_eq!(sent["messages"][3]["content"], "42");
    assert_eq!(sent["messages"][4]["content"], "");
    let schema = json!({"type": "object", "properties": {}});
    assert_eq!(sent["tools"][0]["function"], json!({"name": "f", "parameters": schema}));
    assert_eq!(sent["tools"][1]["function"], json!({"name": "g", "parameters": schema}));
    assert_eq!((&sent["tool_choice"], &sent["stop"]), (&json!("required"), &json!(["X"])));
    assert_eq!(sent.get("max_tokens"), None);
}

#[test]
fn what_the_server_does_not_know_is_named_with_its_path() {
    let body = chat(&json!({"modalities": ["text"], "top_k": 5, "frobnicate": 1, "verbosity": "low",
        "options": {"num_ctx": 8192, "temperature": 0.1, "mirostat": 2}, "keep_alive": "5m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "mood": "good"}], "weight": 1}],
        "tools": [{"type": "web_search", "filters": {}}]}));
    let sent = to(Engine::Provider, &body);
    assert_eq!(
        sent.losses,
        [
            "tools[0]: the tool web_search is one that only its own provider has",
            "top_k: this backend takes no such parameter",
            "options.num_ctx: this backend takes no such parameter",
            "options.mirostat: this backend takes no such parameter",
            "keep_alive: this backend takes no such parameter",
            "messages[0].content[0].mood: OpenAI Chat Completions has no such parameter",
            "messages[0].weight: OpenAI Chat Completions has no such parameter",
            "frobnicate: OpenAI Chat Completions has no such parameter",
        ]
    );
    let sent = sent.json();
    assert_eq!((&sent["temperature"], &sent["modalities"]), (&json!(0.1), &json!(["text"])));
    let terms = Terms { pass_unknown: true, ..terms(Engine::LlamaCpp) };
    let sent = on(&terms, &body).unwrap().json();
    assert_eq!((&sent["frobnicate"], &sent["mirostat"], &sent["top_k"]), (&json!(1), &json!(2), &json!(5)));
}

#[test]
fn each_engine_is_asked_to_think_in_its_own_way() {
    let asked = |engine, more: Value| {
        let sent = to(engine, &chat(&more)).json();
        (sent["reasoning_effort"].clone(), sent["chat_template_kwargs"].clone())
    };
    let high = || json!({"reasoning_effort": "high"});
    let off = || json!({"reasoning": {"enabled": false}});
    let on = json!({"enable_thinking": true});
    assert_eq!(asked(Engine::Provider, high()), (json!("high"), Value::Null));
    assert_eq!(asked(Engine::LmStudio, high()), (json!("high"), Value::Null));
    assert_eq!(asked(Engine::Vllm, high()), (json!("high"), on));
    let kwargs = json!({"enable_thinking": true, "reasoning_effort": "high"});
    assert_eq!(asked(Engine::LlamaCpp, high()), (Value::Null, kwargs));
    assert_eq!(asked(Engine::Provider, off()), (Value::Null, Value::Null));
    assert_eq!(asked(Engine::Ollama, off()), (json!("none"), Value::Null));
    assert_eq!(asked(Engine::Vllm, off()), (Value::Null, json!({"enable_thinking": false})));
    let budget = json!({"thinking": {"type": "enabled", "budget_tokens": 5000}});
    assert_eq!(asked(Engine::Other, budget).0, "medium");
    let sent = to(Engine::LmStudio, &chat(&json!({"reasoning_effort": "xhigh"})));
    assert_eq!(sent.losses, ["reasoning_effort: sent as high, the nearest that this backend has"]);
}

#[test]
fn tool_choice_comes_down_to_what_the_server_knows() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let body = |choice: Value| chat(&json!({"tools": [tool("a"), tool("b")], "tool_choice": choice}));
    let told = |engine, choice: Value| {
        let sent = to(engine, &body(choice)).json();
        (sent["tools"].as_array().unwrap().len(), sent["tool_choice"].clone())
    };
    let allowed =
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool("b")]}});
    assert_eq!(told(Engine::Provider, allowed.clone()), (2, allowed.clone()));
    assert_eq!(told(Engine::Vllm, allowed), (1, json!("required")));
    assert_eq!(told(Engine::Vllm, tool("a")), (2, tool("a")));
    assert_eq!(told(Engine::LmStudio, tool("a")), (1, json!("required")));
    let nobody = on(&terms(Engine::LmStudio), &body(tool("c"))).err().unwrap();
    assert_eq!(nobody.to_string(), "tool_choice names a tool that is not defined");
    for word in ["auto", "none", "required"] {
        assert_eq!(told(Engine::LmStudio, json!(word)), (2, json!(word)));
    }
}

#[test]
fn any_json_object_is_asked_for_as_the_configuration_says() {
    let body = chat(&json!({"response_format": {"type": "json_object"}}));
    let told = |format_mode| on(&Terms { format_mode, ..terms(Engine::Other) }, &body);
    let sent = told(FormatMode::Passthrough).unwrap().json();
    assert_eq!(sent["response_format"], json!({"type": "json_object"}));
    let sent = told(FormatMode::NormalizeJsonObject).unwrap().json();
    let schema = json!({"name": "response", "schema": {"type": "object"}});
    assert_eq!(sent["response_format"], json!({"type": "json_schema", "json_schema": schema}));
    let error = told(FormatMode::StrictReject).err().unwrap();
    assert_eq!((error.field.as_str(), error.is_good_elsewhere), ("response_format", true));
}

#[test]
fn documents_and_uploaded_files_reach_only_servers_that_know_them() {
    let pdf = json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "JVBERi0="}});
    let text =
        json!({"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,SGk="}});
    let id = json!({"type": "file", "file": {"file_id": "file-1"}});
    let told = |engine, part: &Value| {
        on(&terms(engine), &messages(&json!([{"role": "user", "content": [part]}])))
            .map(|sent| sent.json()["messages"][0]["content"].clone())
    };
    let error = told(Engine::LmStudio, &pdf).unwrap_err();
    assert_eq!(error.field, "messages[0].content[0]");
    assert_eq!(told(Engine::LmStudio, &text).unwrap(), "a.txt\n\nHi");
    assert_eq!(told(Engine::Provider, &id).unwrap(), json!([id]));
    let data = "data:application/pdf;base64,JVBERi0=";
    let sent = json!([{"type": "file", "file": {"filename": "a.pdf", "file_data": data}}]);
    assert_eq!(told(Engine::Provider, &pdf).unwrap(), sent);
}

#[test]
fn thoughts_of_earlier_turns_go_to_local_engines_only() {
    let body = messages(&json!([
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."},
        {"role": "user", "content": "Why?"}]));
    let sent = |engine| to(engine, &body).json()["messages"][1].clone();
    let plain = json!({"role": "assistant", "content": "Yes."});
    assert_eq!(sent(Engine::Provider), plain);
    assert_eq!(sent(Engine::Other), plain);
    assert_eq!(sent(Engine::Vllm)["reasoning_content"], "Hm.");
}

#[test]
fn bytes_are_the_same_from_turn_to_turn() {
    let turn = json!([{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "größe", "arguments": ""}}]}]);
    let mut longer = turn.as_array().unwrap().clone();
    longer.push(json!({"role": "user", "content": "More"}));
    let (one, two) =
        (to(Engine::Vllm, &messages(&turn)).body, to(Engine::Vllm, &messages(&json!(longer))).body);
    let end = one.rfind("]}").unwrap();
    assert!(two.starts_with(&one[..end]), "{one}\n{two}");
}
