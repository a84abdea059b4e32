//! Other dialects' clients at a Gemini backend, and a Gemini client at other backends: what must survive, row by row.

#[path = "gemini/scene.rs"]
mod scene;

use dialect::{Dialect, Endpoint};
use scene::{Asked, terms};
use serde_json::{Value, json};

const THIRD: &str = "gemini-3.1-pro-preview";
const SECOND: &str = "gemini-2.5-flash";

/// An OpenAI client asks a Gemini backend.
fn openai(model: &str, body: &Value) -> Asked {
    let stream = body["stream"] == true;
    scene::ask(Endpoint::ChatCompletions, Dialect::Gemini, &body.to_string(), stream, &terms(model))
}

/// An Anthropic client asks a Gemini backend.
fn anthropic(model: &str, body: &Value) -> Asked {
    let stream = body["stream"] == true;
    scene::ask(Endpoint::Messages, Dialect::Gemini, &body.to_string(), stream, &terms(model))
}

/// A Gemini client asks a backend that speaks `to`.
fn gemini(to: Dialect, body: &Value, stream: bool) -> Asked {
    scene::ask(Endpoint::GenerateContent, to, &body.to_string(), stream, &terms("m"))
}

/// A stream of Gemini's of these pieces.
fn upstream(pieces: &[Value]) -> String {
    pieces.iter().flat_map(|piece| ["data: ".to_owned(), piece.to_string(), "\r\n\r\n".to_owned()]).collect()
}

/// A piece in which candidate 0 says `parts`.
fn says(parts: &Value) -> Value {
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}], "responseId": "r", "modelVersion": "g"})
}

/// The last piece, with the reason for the end.
fn ends(reason: &str) -> Value {
    json!({"candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 20, "cachedContentTokenCount": 12, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 28}})
}

fn hello() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": true, "stream_options": {"include_usage": true}})
}

const CALLS: &str = r#"[
    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
    {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": ""}}
]"#;

// OpenAI client, Gemini backend: requests.

#[test]
fn system_prompts_survive_in_every_position_and_form() {
    let asked = openai(
        SECOND,
        &json!({"model": "m", "messages": [
            {"role": "system", "content": "One."},
            {"role": "developer", "content": [{"type": "text", "text": "Two."}, {"type": "text", "text": "Three."}]},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "system", "content": "Four."},
            {"role": "user", "content": "Go on"},
        ]}),
    );
    assert_eq!(
        asked.json(),
        json!({
            "systemInstruction": {"parts": [{"text": "One."}, {"text": "Two."}, {"text": "Three."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}]},
                {"role": "model", "parts": [{"text": "Hello"}]},
                {"role": "user", "parts": [{"text": "<system>\nFour.\n</system>"}, {"text": "Go on"}]},
            ],
        })
    );
    assert!(asked.lost().starts_with("messages[4]: "), "{}", asked.lost());
}

#[test]
fn pictures_sounds_and_documents_survive() {
    let asked = openai(
        SECOND,
        &json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "Look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.webp?x=1"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        ]}]}),
    );
    assert_eq!(
        asked.json()["contents"][0]["parts"],
        json!([
            {"text": "Look"},
            {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://example.com/a.webp?x=1"}},
            {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
            {"text": "a.pdf"},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        ])
    );
    assert_eq!(asked.lost(), "");
}

#[test]
fn tools_survive_as_written_with_every_choice() {
    let schema = r##"{"type":"object","properties":{"z":{"type":"number","minimum":1.0},"a":{"$ref":"#/$defs/x"}},"additionalProperties":false}"##;
    let ask = |choice: &str| {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],"tool_choice":{choice},"parallel_tool_calls":false,
            "tools":[{{"type":"function","function":{{"name":"f","description":"Does.","parameters":{schema}}}}},
            {{"type":"function","function":{{"name":"g"}}}}]}}"#
        );
        scene::ask(Endpoint::ChatCompletions, Dialect::Gemini, &body, false, &terms(SECOND))
    };
    let asked = ask("\"auto\"");
    assert!(asked.body().contains(&format!(r#""parametersJsonSchema":{schema}"#)), "{}", asked.body());
    assert_eq!(asked.json()["tools"][0]["functionDeclarations"][1], json!({"name": "g"}));
    assert!(asked.lost().starts_with("parallel_tool_calls: "));
    for (choice, config) in [
        ("\"auto\"", json!({"mode": "AUTO"})),
        ("\"none\"", json!({"mode": "NONE"})),
        ("\"required\"", json!({"mode": "ANY"})),
        (
            r#"{"type":"function","function":{"name":"g"}}"#,
            json!({"mode": "ANY", "allowedFunctionNames": ["g"]}),
        ),
        (
            r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}"#,
            json!({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
        ),
    ] {
        assert_eq!(ask(choice).json()["toolConfig"]["functionCallingConfig"], config, "{choice}");
    }
}

#[test]
fn t88_t89_t90_calls_keep_their_text_and_results_get_their_names() {
    let calls: Value = scene::json(CALLS);
    let asked = openai(
        THIRD,
        &json!({"model": "m", "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Let me look.", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c2", "content": "{\"temp\":1.0}"},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "mild"}]},
            {"role": "user", "content": "And?"},
        ]}),
    );
    assert_eq!(
        asked.json()["contents"],
        json!([
            {"role": "user", "parts": [{"text": "Weather?"}]},
            {"role": "model", "parts": [
                {"text": "Let me look."},
                {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "skip_thought_signature_validator"},
                {"functionCall": {"id": "c2", "name": "weather", "args": {}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "c1", "name": "weather", "response": {"result": "mild"}}},
                {"functionResponse": {"id": "c2", "name": "weather", "response": {"temp": 1.0}}},
                {"text": "And?"},
            ]},
        ])
    );
    assert_eq!(asked.lost(), "");
}

#[test]
fn t88_a_result_without_its_call_is_told_as_text() {
    let asked = openai(
        SECOND,
        &json!({"model": "m", "messages": [{"role": "tool", "tool_call_id": "x", "content": "1"}]}),
    );
    let told = json!([{"role": "user", "parts": [
        {"text": "[The result of a call that is not in the conversation: x]"}, {"text": "1"}]}]);
    assert_eq!(asked.json()["contents"], told);
    assert!(asked.lost().starts_with("messages[0]: "), "{}", asked.lost());
}

#[test]
fn conversations_that_gemini_would_refuse_are_mended() {
    let begins_with_model = openai(
        SECOND,
        &json!({"model": "m", "messages": [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Yo"}]}),
    );
    assert_eq!(begins_with_model.json()["contents"][0], json!({"role": "user", "parts": [{"text": " "}]}));
    let only_system =
        openai(SECOND, &json!({"model": "m", "messages": [{"role": "system", "content": "Greet."}]}));
    assert_eq!(
        only_system.json(),
        json!({"systemInstruction": {"parts": [{"text": "Greet."}]}, "contents": [{"role": "user", "parts": [{"text": " "}]}]})
    );
    let side_by_side = openai(
        SECOND,
        &json!({"model": "m", "messages": [
            {"role": "user", "content": "A"}, {"role": "user", "content": "B"}, {"role": "assistant", "content": null}, {"role": "user", "content": ""},
        ]}),
    );
    assert_eq!(
        side_by_side.json()["contents"],
        json!([{"role": "user", "parts": [{"text": "A"}, {"text": "B"}]}])
    );
}

#[test]
fn parameters_survive_or_are_named() {
    let asked = openai(
        SECOND,
        &json!({
            "model": "m", "messages": [{"role": "user", "content": "Hi"}],
            "max_completion_tokens": 50, "temperature": 1.5, "top_p": 0.5, "seed": 3, "n": 2, "stop": ["a", "b", "c", "d", "e", "f"],
            "presence_penalty": 0.5, "frequency_penalty": 0.25, "logprobs": true, "top_logprobs": 2, "logit_bias": {"5": 1},
            "reasoning_effort": "low", "user": "u", "verbosity": "low",
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        }),
    );
    assert_eq!(
        asked.json()["generationConfig"],
        json!({
            "maxOutputTokens": 50, "temperature": 1.5, "topP": 0.5, "frequencyPenalty": 0.25, "presencePenalty": 0.5, "seed": 3,
            "stopSequences": ["a", "b", "c", "d", "e"], "candidateCount": 2, "responseLogprobs": true, "logprobs": 2,
            "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingBudget": 2048, "includeThoughts": true},
        })
    );
    for field in ["stop: ", "logit_bias: ", "user: ", "verbosity: "] {
        assert!(asked.lost().contains(field), "{field} in {}", asked.lost());
    }
}

// OpenAI client, Gemini backend: answers.

#[test]
fn t87_signatures_of_calls_come_back_in_the_next_turn() {
    let answer = says(&json!([
        {"text": "Hm.", "thought": true},
        {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "c2lnbmVk"},
        {"functionCall": {"name": "f", "args": {"x": 2}}},
    ]));
    let mut answer = answer;
    answer["candidates"][0]["finishReason"] = "STOP".into();
    let mut body = hello();
    body["stream"] = false.into();
    let told = openai(THIRD, &body).whole(&answer.to_string()).expect("an answer");
    let message = told["choices"][0]["message"].clone();
    let ids = [0, 1].map(|call| message["tool_calls"][call]["id"].clone());
    let messages = body["messages"].as_array_mut().expect("a list");
    messages.push(message);
    messages.extend(ids.iter().map(|id| json!({"role": "tool", "tool_call_id": id, "content": "ok"})));
    let parts = openai(THIRD, &body).json()["contents"][1]["parts"].clone();
    let calls: Vec<_> =
        parts.as_array().expect("a list").iter().filter(|part| part.get("functionCall").is_some()).collect();
    assert_eq!(calls[0]["thoughtSignature"], "c2lnbmVk");
    assert_eq!(calls[1].get("thoughtSignature"), None);
    assert_eq!(calls[0]["functionCall"]["args"], json!({"x": 1}));
}

#[test]
fn t87_signatures_of_texts_come_back_through_a_stream_too() {
    let stream = upstream(&[
        says(&json!([{"text": "Hm.", "thought": true}])),
        says(&json!([{"text": "Hello", "thoughtSignature": "c2lnbmVk"}])),
        ends("STOP"),
    ]);
    let mut body = hello();
    let streamed = openai(THIRD, &body).stream(&stream);
    // What an SDK makes of the pieces.
    let mut message = json!({"role": "assistant", "content": "Hello", "reasoning_details": []});
    for event in streamed.events() {
        for detail in event["choices"][0]["delta"]["reasoning_details"].as_array().into_iter().flatten() {
            message["reasoning_details"].as_array_mut().expect("a list").push(detail.clone());
        }
    }
    let messages = body["messages"].as_array_mut().expect("a list");
    messages.push(message);
    messages.push(json!({"role": "user", "content": "Go on"}));
    let turn = openai(THIRD, &body).json()["contents"][1].clone();
    assert!(turn.to_string().contains(r#"{"text":"Hello","thoughtSignature":"c2lnbmVk"}"#), "{turn}");
}

#[test]
fn tr_21_tools_with_other_names_are_called_by_the_clients_names() {
    let name = format!("mcp__{}", "x".repeat(80));
    let mut body = hello();
    body["tools"] = json!([{"type": "function", "function": {"name": name}}]);
    body["tool_choice"] = json!({"type": "function", "function": {"name": name}});
    let asked = openai(SECOND, &body);
    let sent = asked.json();
    let other = sent["tools"][0]["functionDeclarations"][0]["name"].as_str().expect("a name").to_owned();
    assert!(other.len() <= 64);
    assert_eq!(sent["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"], json!([other]));
    let stream = upstream(&[says(&json!([{"functionCall": {"name": other, "args": {}}}])), ends("STOP")]);
    let streamed = asked.stream(&stream);
    assert!(streamed.text.contains(&name) && !streamed.text.contains(&other), "{}", streamed.text);
}

#[test]
fn tq_14_custom_tools_become_functions_with_one_argument() {
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls \"-l\""}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "a b"},
    ], "tools": [{"type": "custom", "custom": {"name": "sh", "description": "Runs it."}}]});
    let asked = openai(SECOND, &body).json();
    assert_eq!(
        asked["contents"][1]["parts"][0]["functionCall"],
        json!({"id": "c1", "name": "sh", "args": {"input": "ls \"-l\""}})
    );
    assert_eq!(
        asked["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]["required"],
        json!(["input"])
    );
}

#[test]
fn what_gemini_does_not_have_is_named_or_refused() {
    let body = json!({"model": "m", "messages": [{"role": "user", "name": "Bob", "content": [
        {"type": "text", "text": "Hi"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}},
    ]}], "seed": 5_000_000_000_u64, "min_p": 0.1, "repetition_penalty": 1.1, "n": 9, "metadata": {"a": "b"}, "prompt_cache_key": "k",
        "store": true, "service_tier": "scale", "tools": [{"type": "web_search"}, {"type": "function", "function": {"name": "f", "strict": true}}]});
    let lost = openai(SECOND, &body).lost();
    for field in [
        "messages[0].name",
        "messages[0].content[1]",
        "seed: ",
        "min_p",
        "n: ",
        "metadata",
        "service_tier",
        "tools[0]",
        "tools[1]",
    ] {
        assert!(lost.contains(field), "{field} in {lost}");
    }
    let mut terms = terms(SECOND);
    terms.is_strict = true;
    let strict = scene::try_ask(Endpoint::ChatCompletions, Dialect::Gemini, &body.to_string(), false, &terms);
    assert!(strict.err().expect("refused").is_good_elsewhere);

    let file = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]});
    terms.is_strict = false;
    let refused =
        scene::try_ask(Endpoint::ChatCompletions, Dialect::Gemini, &file.to_string(), false, &terms);
    let unfit = refused.err().expect("refused");
    assert!(unfit.to_string().starts_with("messages[0].content[0]") && unfit.is_good_elsewhere, "{unfit}");
}

#[test]
fn t92_a_call_before_stop_ends_the_answer_for_tools() {
    let stream = upstream(&[says(&json!([{"functionCall": {"name": "f", "args": {"x": 1}}}])), ends("STOP")]);
    let streamed = openai(THIRD, &hello()).stream(&stream);
    assert!(streamed.is_complete && streamed.text.ends_with("data: [DONE]\n\n"));
    let events = streamed.events();
    let reasons: Vec<_> =
        events.iter().filter_map(|event| event["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(reasons, ["tool_calls"]);
    let arguments: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str())
        .collect();
    assert_eq!(arguments, r#"{"x":1}"#);
    assert_eq!((streamed.usage.input_tokens, streamed.usage.output_tokens), (Some(20), Some(8)));
    let usage = &events.last().expect("events")["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(20), &json!(8)));
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 12);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 3);
}

#[test]
fn t93_a_malformed_call_is_told_apart_from_a_filter() {
    let reason = |word: &str| {
        let streamed =
            openai(SECOND, &hello()).stream(&upstream(&[says(&json!([{"text": "I"}])), ends(word)]));
        let events = streamed.events();
        let found = events.iter().find_map(|event| event["choices"][0]["finish_reason"].as_str());
        found.expect("a reason").to_owned()
    };
    assert_eq!(reason("SAFETY"), "content_filter");
    assert_ne!(reason("MALFORMED_FUNCTION_CALL"), "content_filter");
    assert_ne!(reason("MALFORMED_FUNCTION_CALL"), "tool_calls");
    assert_eq!(reason("MAX_TOKENS"), "length");
}

#[test]
fn t94_a_signature_as_long_as_many_reads_never_leaks() {
    let signature = "QUJD".repeat(2000);
    let stream = upstream(&[
        says(&json!([{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": signature}])),
        ends("STOP"),
    ]);
    let streamed = openai(THIRD, &hello()).stream(&stream);
    assert!(streamed.is_complete && !streamed.text.contains("candidates"), "{}", streamed.text);
    assert!(streamed.text.contains(&signature));
}

#[test]
fn t95_tp_16_candidates_become_choices_under_one_id() {
    let mut body = hello();
    body["n"] = 2.into();
    let both = |one: &str, other: &str| {
        json!({"candidates": [
            {"content": {"parts": [{"text": one}, {"text": "!"}]}, "index": 0},
            {"content": {"parts": [{"text": other}]}, "index": 1},
        ], "responseId": one})
    };
    let end =
        json!({"candidates": [{"finishReason": "STOP", "index": 0}, {"finishReason": "STOP", "index": 1}]});
    let streamed = openai(SECOND, &body).stream(&upstream(&[both("A", "B"), both("a", "b"), end]));
    let events = streamed.events();
    let text = |choice: u64| -> String {
        let choices = events.iter().flat_map(|event| event["choices"].as_array().into_iter().flatten());
        choices
            .filter(|one| one["index"] == choice)
            .filter_map(|one| one["delta"]["content"].as_str())
            .collect()
    };
    assert_eq!((text(0).as_str(), text(1).as_str()), ("A!a!", "Bb"));
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]));
}

#[test]
fn te_errors_and_cuts_are_no_success() {
    let begin = says(&json!([{"text": "Hel"}]));
    let error = json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}});
    let streamed = openai(SECOND, &hello()).stream(&upstream(&[begin.clone(), error]));
    assert_eq!(streamed.error.expect("an error").status, Some(503));
    assert!(!streamed.text.contains("[DONE]"));
    let streamed = openai(SECOND, &hello()).stream(&upstream(&[begin]));
    assert!(!streamed.is_complete && !streamed.text.contains("[DONE]"));
}

#[test]
fn vectors_for_an_openai_client() {
    let body = json!({"model": "m", "input": ["A", "B"], "dimensions": 2});
    let terms = terms("gemini-embedding-001");
    let asked = scene::ask(Endpoint::Embeddings, Dialect::Gemini, &body.to_string(), false, &terms);
    assert_eq!(
        asked.json()["requests"][1],
        json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "B"}]}, "outputDimensionality": 2})
    );
    let told = asked.whole(r#"{"embeddings":[{"values":[0.5,1]},{"values":[2,3]}]}"#).expect("vectors");
    assert_eq!(told["data"][1]["embedding"], json!([2, 3]));
}

// Anthropic client, Gemini backend.

#[test]
fn an_agents_request_survives() {
    let asked = anthropic(
        THIRD,
        &json!({
            "model": "m", "max_tokens": 1000, "stream": true,
            "system": [
                {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=abc;"},
                {"type": "text", "text": "You are.", "cache_control": {"type": "ephemeral"}},
            ],
            "thinking": {"type": "enabled", "budget_tokens": 4000}, "stop_sequences": ["END"], "top_k": 5,
            "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}],
            "tool_choice": {"type": "tool", "name": "look"},
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
                    {"type": "text", "text": "Looking."},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "a"}},
                    {"type": "tool_use", "id": "t2", "name": "look", "input": {"at": "b"}},
                ]},
                {"role": "user", "content": [
                    {"type": "text", "text": "Well?"},
                    {"type": "tool_result", "tool_use_id": "t2", "is_error": true, "content": "none there"},
                    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "42"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
                ]},
            ],
        }),
    );
    assert_eq!(
        asked.json(),
        json!({
            "systemInstruction": {"parts": [{"text": "You are."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Look."}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]},
                {"role": "model", "parts": [
                    {"text": "Looking."},
                    {"functionCall": {"id": "t1", "name": "look", "args": {"at": "a"}}, "thoughtSignature": "skip_thought_signature_validator"},
                    {"functionCall": {"id": "t2", "name": "look", "args": {"at": "b"}}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"id": "t1", "name": "look", "response": {"result": "42"}, "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]}},
                    {"functionResponse": {"id": "t2", "name": "look", "response": {"error": "none there"}}},
                    {"text": "Well?"},
                ]},
            ],
            "tools": [{"functionDeclarations": [{"name": "look", "description": "Looks.", "parametersJsonSchema": {"type": "object", "properties": {"at": {"type": "string"}}}}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
            "generationConfig": {"maxOutputTokens": 1000, "topK": 5, "stopSequences": ["END"], "thinkingConfig": {"thinkingLevel": "MEDIUM", "includeThoughts": true}},
        })
    );
    assert_eq!(asked.lost(), "");
}

#[test]
fn t87_signatures_come_back_through_an_anthropic_client() {
    let mut answer = says(&json!([
        {"text": "Hm.", "thought": true},
        {"text": "Looking."},
        {"functionCall": {"id": "g1", "name": "look", "args": {"at": "a"}}, "thoughtSignature": "c2lnbmVk"},
    ]));
    answer["candidates"][0]["finishReason"] = "STOP".into();
    let mut body = json!({"model": "m", "max_tokens": 100, "thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": [{"role": "user", "content": "Look."}]});
    let told = anthropic(THIRD, &body).whole(&answer.to_string()).expect("an answer");
    assert_eq!(told["stop_reason"], "tool_use");
    let call = told["content"]
        .as_array()
        .expect("blocks")
        .iter()
        .find(|block| block["type"] == "tool_use")
        .expect("a call")
        .clone();
    let messages = body["messages"].as_array_mut().expect("a list");
    messages.push(json!({"role": "assistant", "content": told["content"]}));
    messages.push(json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "ok"}]}));
    let sent = anthropic(THIRD, &body).json();
    let parts = sent["contents"][1]["parts"].as_array().expect("parts").clone();
    let call = parts.iter().find(|part| part.get("functionCall").is_some()).expect("a call");
    assert_eq!(call["thoughtSignature"], "c2lnbmVk");
    assert!(parts.contains(&json!({"text": "Looking."})));
}

#[test]
fn t92_ts_an_anthropic_client_gets_blocks_in_order() {
    let mut body = json!({"model": "m", "max_tokens": 100, "stream": true, "messages": [{"role": "user", "content": "Look."}]});
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    let stream = upstream(&[
        says(&json!([{"text": "Hm.", "thought": true}])),
        says(&json!([{"text": "Look"}])),
        says(&json!([{"text": "ing."}, {"functionCall": {"name": "look", "args": {"at": "a"}}}])),
        ends("STOP"),
    ]);
    let streamed = anthropic(THIRD, &body).stream(&stream);
    assert!(streamed.is_complete);
    let events = streamed.events();
    let opened: Vec<_> = events.iter().filter_map(|event| event["content_block"]["type"].as_str()).collect();
    assert_eq!(opened, ["thinking", "text", "tool_use"]);
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    let input: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!((text.as_str(), input.as_str()), ("Looking.", r#"{"at":"a"}"#));
    let end = events.iter().find(|event| event["type"] == "message_delta").expect("an end");
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
    assert_eq!(end["usage"]["output_tokens"], 8);
    assert_eq!(
        (&end["usage"]["input_tokens"], &end["usage"]["cache_read_input_tokens"]),
        (&json!(8), &json!(12))
    );
}

#[test]
fn sealed_thoughts_come_back_through_a_gemini_client() {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 8000, "thinkingConfig": {"thinkingBudget": 2048}}});
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn", "stop_sequence": null,
        "content": [{"type": "redacted_thinking", "data": "EmwKAhgB"}, {"type": "text", "text": "Hello"}],
        "usage": {"input_tokens": 5, "output_tokens": 6},
    });
    let told = gemini(Dialect::Anthropic, &body, false).whole(&answer.to_string()).expect("an answer");
    let contents = body["contents"].as_array_mut().expect("a list");
    contents.push(told["candidates"][0]["content"].clone());
    contents.push(json!({"role": "user", "parts": [{"text": "Go on"}]}));
    let sent = gemini(Dialect::Anthropic, &body, false).json();
    assert_eq!(
        sent["messages"][1]["content"],
        json!([{"type": "redacted_thinking", "data": "EmwKAhgB"}, {"type": "text", "text": "Hello"}])
    );
}

// Gemini client, other backends.

fn gemini_talk() -> Value {
    json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Weather?"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo"}}]},
            {"role": "model", "parts": [{"text": "Let me look."}, {"functionCall": {"name": "weather", "args": {"city": "Rome"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"output": "mild"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"maxOutputTokens": 64, "temperature": 0.5, "stopSequences": ["END"]},
    })
}

#[test]
fn a_gemini_talk_at_an_openai_backend() {
    let asked = gemini(Dialect::OpenAi, &gemini_talk(), true);
    let sent = asked.json();
    assert_eq!(sent["messages"][0]["content"], "Be brief.");
    assert_eq!(sent["messages"][1]["content"][1]["image_url"]["url"], "data:image/png;base64,iVBORw0KGgo=");
    let call = &sent["messages"][2]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "weather", "arguments": "{\"city\":\"Rome\"}"}));
    assert_eq!(sent["messages"][3]["tool_call_id"], call["id"]);
    assert_eq!(sent["messages"][3]["content"], "mild");
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    assert_eq!(sent["tools"][0]["function"]["parameters"], schema);
    assert_eq!(sent["tool_choice"], "required");

    let chunks = [
        json!({"id": "x", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]}),
        json!({"id": "x", "choices": [{"index": 0, "delta": {"content": "lo"}}]}),
        json!({"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c9", "function": {"name": "weather", "arguments": "{\"city\":"}}]}}]}),
        json!({"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "\"Oslo\"}"}}]}}]}),
        json!({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        json!({"id": "x", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 2}}}),
    ];
    let streamed = asked.stream(&format!("{}data: [DONE]\n\n", upstream(&chunks)));
    assert!(streamed.is_complete);
    let events = streamed.events();
    assert_eq!(events[0]["candidates"][0]["content"]["parts"], json!([{"text": "Hel"}]));
    let last = events.last().expect("events");
    assert_eq!(
        last["candidates"][0],
        json!({
            "content": {"parts": [{"functionCall": {"id": "c9", "name": "weather", "args": {"city": "Oslo"}}}], "role": "model"},
            "finishReason": "STOP", "index": 0,
        })
    );
    assert_eq!(
        last["usageMetadata"],
        json!({"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": 2, "totalTokenCount": 16})
    );
}

#[test]
fn vectors_for_a_gemini_client() {
    let body = json!({"requests": [{"content": {"parts": [{"text": "A"}]}}, {"content": {"parts": [{"text": "B"}]}}]});
    let asked =
        scene::ask(Endpoint::BatchEmbedContents, Dialect::OpenAi, &body.to_string(), false, &terms("m"));
    assert_eq!(asked.json()["input"], json!(["A", "B"]));
    // A list as written; 0.5 and -2 as base64 of little-endian floats, which some servers give unasked.
    let answer = r#"{"data":[{"index":0,"embedding":[0.25,1e-3]},{"index":1,"embedding":"AAAAPwAAAMA="}],"usage":{"prompt_tokens":2}}"#;
    let told = asked.whole(answer).expect("vectors");
    assert_eq!(told["embeddings"], json!([{"values": [0.25, 1e-3]}, {"values": [0.5, -2.0]}]));
}

#[test]
fn t50_a_call_that_the_limit_cut_is_not_told_to_a_gemini_client() {
    let chunks = [
        json!({"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c9", "function": {"name": "weather", "arguments": "{\"city\":"}}]}}]}),
        json!({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}),
    ];
    let streamed = gemini(Dialect::OpenAi, &gemini_talk(), true)
        .stream(&format!("{}data: [DONE]\n\n", upstream(&chunks)));
    assert!(streamed.is_complete && !streamed.text.contains("functionCall"), "{}", streamed.text);
    assert_eq!(streamed.events()[0]["candidates"][0]["finishReason"], "MAX_TOKENS");
}

#[test]
fn t50_t54_a_cut_call_in_a_whole_answer_is_not_told_in_the_stream_made_of_it() {
    let answer = json!({"id": "x", "choices": [{"index": 0, "finish_reason": "length", "message": {
        "role": "assistant", "content": "Let me look.",
        "tool_calls": [{"id": "c9", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":"}}],
    }}], "usage": {"prompt_tokens": 9, "completion_tokens": 7}});
    let events = scene::events(&gemini(Dialect::OpenAi, &gemini_talk(), true).played(&answer.to_string()));
    assert_eq!(events[0]["candidates"][0]["content"]["parts"], json!([{"text": "Let me look."}]));
    let last = events.last().expect("events");
    assert_eq!(last["candidates"][0]["finishReason"], "MAX_TOKENS");
    assert_eq!(last["candidates"][0]["content"]["parts"], json!([{"text": ""}]));
}

#[test]
fn t80_thoughts_signed_by_anthropic_come_back_through_a_gemini_client() {
    for shows in [true, false] {
        let mut body = gemini_talk();
        body["generationConfig"]["maxOutputTokens"] = 8000.into();
        body["generationConfig"]["thinkingConfig"] =
            json!({"thinkingBudget": 2048, "includeThoughts": shows});
        body["toolConfig"] = json!({"functionCallingConfig": {"mode": "AUTO"}});
        body["contents"] = json!([{"role": "user", "parts": [{"text": "Weather?"}]}]);
        let answer = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use", "stop_sequence": null,
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "EqQB+/=="},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
            ],
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 6},
        });
        let told = gemini(Dialect::Anthropic, &body, false).whole(&answer.to_string()).expect("an answer");
        assert_eq!(told["usageMetadata"]["promptTokenCount"], 9);
        assert_eq!(told["usageMetadata"]["cachedContentTokenCount"], 4);
        let contents = body["contents"].as_array_mut().expect("a list");
        contents.push(told["candidates"][0]["content"].clone());
        contents.push(json!({"role": "user", "parts": [{"functionResponse": {"id": "toolu_1", "name": "weather", "response": {"output": "mild"}}}]}));
        let sent = gemini(Dialect::Anthropic, &body, false).json();
        let thoughts = if shows { "Hm." } else { "" };
        assert_eq!(
            sent["messages"][1]["content"],
            json!([
                {"type": "thinking", "thinking": thoughts, "signature": "EqQB+/=="},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
            ])
        );
        assert_eq!(sent["messages"][2]["content"][0]["tool_use_id"], "toolu_1");
    }
}
