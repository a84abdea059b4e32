//! Requests of a Gemini client, read into the hub and written for a Gemini backend.

use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::scene::{self, Asked, terms};

fn ask(model: &str, body: &Value) -> Asked {
    scene::ask(Endpoint::GenerateContent, Dialect::Gemini, &body.to_string(), false, &terms(model))
}

fn refused(body: &Value) -> String {
    let terms = terms("gemini-3-pro-preview");
    let asked = scene::try_ask(Endpoint::GenerateContent, Dialect::Gemini, &body.to_string(), false, &terms);
    asked.err().expect("it is refused").to_string()
}

#[test]
fn a_conversation_in_either_spelling_is_the_same() {
    let camel = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "What is it?"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]},
            {"role": "model", "parts": [{"text": "A cat."}]},
            {"parts": [{"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a.pdf"}}]},
        ],
        "generationConfig": {"temperature": 0.5, "topP": 0.9, "topK": 40, "maxOutputTokens": 100, "stopSequences": ["END"],
            "seed": 7, "presencePenalty": 0.1, "frequencyPenalty": 0.2, "candidateCount": 2,
            "responseLogprobs": true, "logprobs": 3, "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": true}},
    });
    let snake = json!({
        "system_instruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "What is it?"}, {"inline_data": {"mime_type": "image/png", "data": "iVBORw0KGgo"}}]},
            {"role": "model", "parts": [{"text": "A cat."}]},
            {"parts": {"file_data": {"mime_type": "application/pdf", "file_uri": "https://example.com/a.pdf"}}},
        ],
        "generation_config": {"temperature": 0.5, "top_p": 0.9, "top_k": 40.0, "max_output_tokens": "100", "stop_sequences": ["END"],
            "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2, "candidate_count": 2,
            "response_logprobs": true, "logprobs": 3, "thinking_config": {"thinking_level": "low", "include_thoughts": true}},
    });
    let mut expected = camel.clone();
    expected["contents"][2]["role"] = "user".into();
    for body in [camel, snake] {
        let asked = ask("gemini-3-pro-preview", &body);
        assert_eq!(asked.json(), expected);
        assert_eq!(asked.lost(), "");
    }
}

#[test]
fn calls_without_ids_get_stable_ones_and_their_results_find_them() {
    let turn = |count: usize| {
        let all = json!([
            {"role": "user", "parts": [{"text": "Weather in Rome and Oslo?"}]},
            {"role": "model", "parts": [
                {"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
                {"functionCall": {"name": "time"}},
            ]},
            {"role": "function", "parts": [
                {"functionResponse": {"name": "time", "response": {"result": "noon"}}},
                {"functionResponse": {"name": "weather", "response": {"temp": 1.0, "sky": "clear"}}},
            ]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"error": "no such city"}}}]},
            {"role": "model", "parts": [{"text": "Mild."}]},
        ]);
        let contents: Vec<_> = all.as_array().expect("a list").iter().take(count).cloned().collect();
        ask("gemini-3-pro-preview", &json!({ "contents": contents })).json()
    };
    let sent = turn(5);
    let id = |content: usize, part: usize, kind: &str| {
        sent["contents"][content]["parts"][part][kind]["id"].as_str().expect("an id").to_owned()
    };
    let calls = [0, 1, 2].map(|part| id(1, part, "functionCall"));
    assert!(calls[0] != calls[1] && calls[1] != calls[2]);
    assert_eq!([0, 1, 2].map(|part| id(2, part, "functionResponse")), calls, "in the order of the calls");
    let results = &sent["contents"][2]["parts"];
    assert_eq!(results[0]["functionResponse"]["response"], json!({"temp": 1.0, "sky": "clear"}));
    assert_eq!(results[1]["functionResponse"]["response"], json!({"error": "no such city"}));
    assert_eq!(results[2]["functionResponse"]["response"], json!({"result": "noon"}));
    assert_eq!(sent["contents"][1]["parts"][0]["thoughtSignature"], "c2ln");
    assert_eq!(sent["contents"][1]["parts"][2]["functionCall"]["args"], json!({}));
    assert_eq!(turn(2)["contents"][1], sent["contents"][1], "the same in every turn");
}

#[test]
fn results_are_matched_by_their_ids_first() {
    let sent = ask(
        "gemini-2.5-flash",
        &json!({"contents": [
            {"role": "user", "parts": [{"text": "Go."}]},
            {"role": "model", "parts": [
                {"functionCall": {"id": "a", "name": "f", "args": {}}},
                {"functionCall": {"id": "b", "name": "f", "args": {}}},
            ]},
            {"role": "user", "parts": [
                {"text": "And then?"},
                {"functionResponse": {"id": "b", "name": "f", "response": {"output": "second"}}},
                {"functionResponse": {"id": "a", "name": "f", "response": {"output": "first"}}},
            ]},
        ]}),
    );
    assert_eq!(
        sent.json()["contents"][2]["parts"],
        json!([
            {"functionResponse": {"id": "a", "name": "f", "response": {"result": "first"}}},
            {"functionResponse": {"id": "b", "name": "f", "response": {"result": "second"}}},
            {"text": "And then?"},
        ])
    );
}

#[test]
fn the_chunks_of_a_stream_kept_as_contents_are_one_turn_again() {
    let sent = ask(
        "gemini-2.5-flash",
        &json!({"contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Let me", "thought": true}]},
            {"role": "model", "parts": [{"text": " see.", "thought": true}]},
            {"role": "model", "parts": [{"text": "Hel"}]},
            {"role": "model", "parts": [{"text": "lo", "thoughtSignature": "c2ln"}]},
            {"role": "model", "parts": []},
            {"role": "user", "parts": [{"text": "Bye"}]},
        ]}),
    );
    assert_eq!(
        sent.json()["contents"],
        json!([
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello"}, {"text": "", "thoughtSignature": "c2ln"}]},
            {"role": "user", "parts": [{"text": "Bye"}]},
        ])
    );
}

#[test]
fn tools_and_choices_are_kept() {
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": "Go."}]}],
        "tools": [
            {"functionDeclarations": [
                {"name": "f", "description": "Does it.", "parameters": {"type": "OBJECT", "properties": {"z": {"type": "STRING"}, "a": {"type": "INTEGER"}}}},
                {"name": "g", "parametersJsonSchema": {"type": "object", "properties": {"x": {"type": "number", "minimum": 1.0}}}},
            ]},
            {"googleSearch": {}, "codeExecution": {}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}},
    });
    let sent = ask("gemini-3-pro-preview", &body);
    assert_eq!(
        sent.json()["tools"],
        json!([
            {"functionDeclarations": [
                {"name": "f", "description": "Does it.", "parametersJsonSchema": {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer"}}}},
                {"name": "g", "parametersJsonSchema": {"type": "object", "properties": {"x": {"type": "number", "minimum": 1.0}}}},
            ]},
            {"googleSearch": {}},
            {"codeExecution": {}},
        ])
    );
    assert!(
        sent.body().contains(r#"{"z":{"type":"string"},"a":{"type":"integer"}}"#),
        "keys keep their order"
    );
    assert_eq!(sent.json()["toolConfig"], body["toolConfig"]);
    for (mode, names) in [
        ("AUTO", json!(null)),
        ("NONE", json!(null)),
        ("ANY", json!(null)),
        ("VALIDATED", json!(["f"])),
        ("ANY", json!(["g"])),
    ] {
        let mut body = body.clone();
        let mut config = json!({"mode": mode});
        if names.is_array() {
            config["allowedFunctionNames"] = names;
        }
        body["toolConfig"] = json!({"functionCallingConfig": config});
        assert_eq!(ask("gemini-3-pro-preview", &body).json()["toolConfig"], body["toolConfig"]);
    }
}

#[test]
fn a_form_of_the_answer_is_kept_in_both_ways_of_saying_it() {
    let expected = json!({"responseMimeType": "application/json", "responseJsonSchema": {"type": "array", "items": {"type": "string"}}});
    for (name, schema) in [
        ("responseSchema", json!({"type": "ARRAY", "items": {"type": "STRING"}})),
        ("responseJsonSchema", json!({"type": "array", "items": {"type": "string"}})),
    ] {
        let mut config = json!({"responseMimeType": "application/json"});
        config[name] = schema;
        let body = json!({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": config});
        assert_eq!(ask("gemini-2.5-flash", &body).json()["generationConfig"], expected, "{name}");
    }
}

#[test]
fn a_form_beside_functions_is_asked_for_in_words_where_the_model_does_not_take_both() {
    let body = json!({
        "contents": [{"parts": [{"text": "x"}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
    });
    let sent = ask("gemini-2.5-flash", &body);
    assert_eq!(sent.json().get("generationConfig"), None);
    let words = sent.json()["systemInstruction"]["parts"][0]["text"].as_str().expect("a text").to_owned();
    assert!(words.ends_with("\n{\"type\":\"object\"}"), "{words}");
    assert!(sent.lost().starts_with("generationConfig.responseJsonSchema: "), "{}", sent.lost());
    let third = ask("gemini-3-flash-preview", &body);
    assert_eq!(third.json()["generationConfig"], body["generationConfig"]);
    assert_eq!(third.lost(), "");
}

#[test]
fn what_has_no_place_is_named_by_its_path() {
    let sent = ask(
        "gemini-2.0-flash",
        &json!({
            "contents": [{"parts": [{"text": "x", "videoMetadata": {"fps": 2}}]}],
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT"}],
            "generationConfig": {"responseModalities": ["TEXT", "IMAGE"], "mediaResolution": "MEDIA_RESOLUTION_LOW", "thinkingConfig": {"thinkingBudget": 100}},
            "labels": {"a": "b"},
        }),
    );
    for field in [
        "contents[0].parts[0].videoMetadata",
        "generationConfig.responseModalities",
        "generationConfig.mediaResolution",
        "generationConfig.thinkingConfig: this model does not think",
        "safetySettings",
        "labels",
    ] {
        assert!(sent.lost().contains(field), "{field} in {}", sent.lost());
    }
}

#[test]
fn requests_that_make_no_sense_are_refused_with_the_field() {
    let user = json!([{"parts": [{"text": "x"}]}]);
    for (body, told) in [
        (json!({}), "contents is missing or empty"),
        (json!({"contents": user, "cachedContent": "cachedContents/1"}), "cachedContent names a prompt"),
        (json!({"contents": [{"role": "system", "parts": []}]}), "contents[0].role must be user or model"),
        (json!({"contents": [{"parts": [{}]}]}), "contents[0].parts[0] has none of the members"),
        (
            json!({"contents": [{"parts": [{"text": 1}]}]}),
            "contents[0].parts[0].text must be a string, not a number",
        ),
        (
            json!({"contents": [{"parts": [{"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1"}}]}]}),
            "contents[0].parts[0].fileData.fileUri is a file that was uploaded to Google",
        ),
        (
            json!({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]}),
            "contents[0].parts[0].functionResponse answers a function call that is not",
        ),
        (
            json!({"contents": user, "generationConfig": {"topK": "x"}}),
            "generationConfig.topK must be a whole number",
        ),
        (
            json!({"contents": user, "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}),
            "toolConfig.functionCallingConfig.mode must be",
        ),
        (
            json!({"contents": user, "tools": [{"functionDeclarations": [{}]}]}),
            "tools[0].functionDeclarations[0].name is missing",
        ),
    ] {
        let message = refused(&body);
        assert!(message.starts_with(told), "{message}");
    }
}

#[test]
fn pictures_in_results_stand_inside_from_generation_3_on_and_behind_before() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "Look."}]},
        {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "look", "args": {}}, "thoughtSignature": "c2ln"}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "look", "response": {"result": "seen"},
            "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]}}]},
    ]});
    let sent = ask("gemini-3-pro-preview", &body);
    assert_eq!(sent.json()["contents"][2], body["contents"][2]);
    let sent = ask("gemini-2.5-pro", &body).json();
    assert_eq!(
        sent["contents"][2]["parts"],
        json!([
            {"functionResponse": {"id": "1", "name": "look", "response": {"result": "seen"}}},
            {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        ])
    );
}

#[test]
fn code_that_google_ran_stays_what_it_is() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "2+2"}]},
        {"role": "model", "parts": [
            {"executableCode": {"language": "PYTHON", "code": "print(2+2)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4\n"}},
            {"text": "It is 4."},
        ]},
        {"role": "user", "parts": [{"text": "Thanks"}]},
    ]});
    assert_eq!(ask("gemini-2.5-pro", &body).json()["contents"], body["contents"]);
}

#[test]
fn a_tool_that_must_be_called_and_is_none_is_refused() {
    let body = |tools: Value, mode: &str, names: Value| {
        json!({"contents": [{"parts": [{"text": "x"}]}], "tools": tools,
            "toolConfig": {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": names}}})
    };
    let one = json!([{"functionDeclarations": [{"name": "f"}]}]);
    let told = "toolConfig.functionCallingConfig.mode wants a tool to be called that is no function";
    assert!(refused(&body(json!([]), "ANY", json!([]))).starts_with(told));
    assert!(refused(&body(one.clone(), "ANY", json!(["g"]))).starts_with(told));
    let sent = ask("gemini-2.5-pro", &body(one.clone(), "ANY", json!(["f", "g"])));
    assert_eq!(sent.json()["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"], json!(["f"]));
    assert!(sent.lost().starts_with("toolConfig.functionCallingConfig.mode: "));
    let sent = ask("gemini-2.5-pro", &body(one, "VALIDATED", json!(["g"])));
    assert_eq!(sent.json()["toolConfig"], json!({"functionCallingConfig": {"mode": "NONE"}}));
}

#[test]
fn classes_of_service_are_kept() {
    for (tier, expected) in
        [("flex", json!("flex")), ("PRIORITY", json!("priority")), ("standard", Value::Null)]
    {
        let sent =
            ask("gemini-2.5-pro", &json!({"contents": [{"parts": [{"text": "x"}]}], "serviceTier": tier}));
        assert_eq!((sent.json()["serviceTier"].clone(), sent.lost()), (expected, String::new()));
    }
    let token = json!({"contents": [{"parts": [{"text": "x"}]}], "continuation_token": "eA=="});
    assert_eq!(refused(&token), "continuation_token goes on with an answer that only Gemini keeps");
}

#[test]
fn code_that_google_ran_and_what_came_of_it_do_not_run_into_each_other() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "Count."}]},
        {"role": "model", "parts": [
            {"executableCode": {"language": "PYTHON", "code": "1"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
            {"text": "One."},
        ]},
        {"role": "user", "parts": [{"text": "And?"}]},
    ]});
    let terms = terms("qwen3");
    let asked = scene::ask(Endpoint::GenerateContent, Dialect::OpenAi, &body.to_string(), false, &terms);
    assert_eq!(asked.json()["messages"][1]["content"], "```python\n1\n```\n\n```\n1\n```\n\nOne.");
}
