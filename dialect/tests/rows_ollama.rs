//! Clients of every dialect at a backend that speaks Ollama's own API, and clients of Ollama at every backend.

#[path = "ollama/bench.rs"]
mod bench;

use dialect::Dialect::{self, Anthropic, Gemini, Ollama, OpenAi, Responses};
use dialect::Endpoint::{
    ChatCompletions, Completions, Embeddings, GenerateContent, Messages, OllamaChat, OllamaEmbed,
    OllamaGenerate, Responses as ResponsesEndpoint,
};
use dialect::Framing;
use dialect::translate::{Terms, Way, request, way};
use serde_json::{Value, json};

use bench::{lost, sent, streamed, translate, translator, whole};

/// The lines of a backend's stream: thoughts, text, a call and the end.
const STREAM: &str = r#"{"model":"qwen3:8b","created_at":"2026-11-20T19:08:00Z","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}
{"model":"qwen3:8b","created_at":"2026-11-20T19:08:00Z","message":{"role":"assistant","content":"Let me look."},"done":false}
{"model":"qwen3:8b","created_at":"2026-11-20T19:08:00Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_a","function":{"index":0,"name":"look","arguments":{"z":1.0}}}]},"done":false}
{"model":"qwen3:8b","created_at":"2026-11-20T19:08:00Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"index":0,"name":"hear","arguments":{}}}]},"done":false}
{"model":"qwen3:8b","created_at":"2026-11-20T19:08:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":9}
"#;

/// A picture of which only the beginning matters.
const PNG: &str = "iVBORw0KGgo=";

/// The data of the events that a client gets of a stream, but for `[DONE]`.
fn events(dialect: Dialect, body: &Value, stream: &str) -> Vec<Value> {
    let mut translator = translator(dialect.chat(), Ollama, body);
    let mut out = Vec::new();
    translator.feed(stream.as_bytes(), &mut out);
    translator.finish(&mut out);
    let text = String::from_utf8(out).expect("it is well formed");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).expect("it is well formed")).collect()
}

fn anthropic(members: Value) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]});
    merge(&mut body, members);
    body
}

fn openai(members: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    merge(&mut body, members);
    body
}

fn merge(body: &mut Value, members: Value) {
    if let Value::Object(members) = members {
        for (name, value) in members {
            body[name] = value;
        }
    }
}

#[test]
fn every_chat_reaches_ollama_and_completions_and_embeddings_do() {
    for dialect in Dialect::ALL {
        let expected = if dialect == Ollama { Way::Straight } else { Way::Through(Ollama) };
        assert_eq!(way(dialect.chat(), &[Ollama]), Some(expected));
    }
    assert_eq!(way(Completions, &[Ollama]), Some(Way::Through(Ollama)));
    assert_eq!(way(Embeddings, &[Ollama]), Some(Way::Through(Ollama)));
    assert_eq!(way(OllamaGenerate, &[OpenAi]), Some(Way::Through(OpenAi)));
    assert_eq!(way(OllamaEmbed, &[Anthropic]), None);
}

// Requests of OpenAI's clients.

#[test]
fn t27_a_limit_of_tokens_by_either_name_is_kept() {
    for name in ["max_tokens", "max_completion_tokens"] {
        let mut body = openai(json!({}));
        body[name] = json!(77);
        let (out, losses) = sent(ChatCompletions, Ollama, &body);
        assert_eq!(out["options"], json!({"num_predict": 77}), "{name}");
        assert!(losses.is_empty());
    }
}

#[test]
fn tq_03_a_picture_must_be_here() {
    let with = |url: &str| {
        let parts =
            json!([{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]);
        openai(json!({"messages": [{"role": "user", "content": parts}]}))
    };
    let (out, _) = sent(ChatCompletions, Ollama, &with(&format!("data:image/png;base64,{PNG}")));
    assert_eq!(out["messages"], json!([{"role": "user", "content": "What?", "images": [PNG]}]));
    let unfit = translate(ChatCompletions, Ollama, &with("https://example.com/a.png")).err();
    let unfit = unfit.expect("it cannot be carried");
    assert!(unfit.field.starts_with("messages[0].content[1]") && unfit.is_good_elsewhere, "{unfit}");
}

#[test]
fn tq_04_sound_is_refused_by_its_path() {
    let part = json!({"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}});
    let body = openai(json!({"messages": [{"role": "user", "content": [part]}]}));
    let unfit = translate(ChatCompletions, Ollama, &body).err().expect("it cannot be carried");
    assert!(unfit.field.starts_with("messages[0].content[0]"), "{unfit}");
}

#[test]
fn tr_05_a_document_is_read_if_it_is_text() {
    let with = |data: &str| {
        let file = json!({"type": "file", "file": {"filename": "a", "file_data": data}});
        openai(json!({"messages": [{"role": "user", "content": [file, {"type": "text", "text": "Why?"}]}]}))
    };
    let (out, losses) = sent(ChatCompletions, Ollama, &with("data:text/plain;base64,SGVsbG8="));
    assert_eq!(out["messages"][0]["content"], json!("a\nHello\nWhy?"));
    assert!(losses.is_empty());
    for data in ["data:application/pdf;base64,JVBERi0=", "data:text/plain;base64,/w=="] {
        let unfit = translate(ChatCompletions, Ollama, &with(data)).err().expect("it cannot be carried");
        assert!(unfit.field.starts_with("messages[0].content[0]") && unfit.is_good_elsewhere, "{unfit}");
    }
}

#[test]
fn tq_05_06_t57_t59_instructions_in_every_form_stay_where_they_are() {
    let body = openai(json!({"messages": [
        {"role": "developer", "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Later."},
        {"role": "user", "content": "Go"}
    ]}));
    let (out, losses) = sent(ChatCompletions, Ollama, &body);
    let expected = json!([
        {"role": "system", "content": "One.\nTwo."},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Later."},
        {"role": "user", "content": "Go"}
    ]);
    assert_eq!(out["messages"], expected);
    assert!(losses.is_empty());
}

#[test]
fn tq_08_10_11_t64_t88_calls_and_results_are_kept_with_their_names() {
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let calls = json!([call("a", "look", "{\"z\":1.0}"), call("b", "hear", "")]);
    let body = openai(json!({"messages": [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": [{"type": "text", "text": "Let me."}], "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]},
        {"role": "tool", "tool_call_id": "b", "content": "purr"}
    ]}));
    let (out, losses) = sent(ChatCompletions, Ollama, &body);
    let expected = json!([
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": "Let me.", "tool_calls": [
            {"id": "a", "function": {"index": 0, "name": "look", "arguments": {"z": 1.0}}},
            {"id": "b", "function": {"index": 1, "name": "hear", "arguments": {}}}
        ]},
        {"role": "tool", "content": "42", "tool_name": "look", "tool_call_id": "a"},
        {"role": "tool", "content": "purr", "tool_name": "hear", "tool_call_id": "b"}
    ]);
    assert_eq!(out["messages"], expected);
    assert!(losses.is_empty());
}

#[test]
fn tq_01_02_a_choice_of_tools_is_kept_as_far_as_it_goes() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let with = |choice: Value, parallel: bool| {
        let tools = json!([tool("a"), tool("b")]);
        openai(json!({"tools": tools, "tool_choice": choice, "parallel_tool_calls": parallel}))
    };
    let named = json!({"type": "function", "function": {"name": "b"}});
    for (choice, offered, fields) in [
        (json!("auto"), &["a", "b"][..], &[][..]),
        (json!("none"), &[], &[]),
        (json!("required"), &["a", "b"], &["tool_choice"]),
        (named, &["b"], &["tool_choice"]),
    ] {
        let (out, losses) = sent(ChatCompletions, Ollama, &with(choice, true));
        let tools = out["tools"].as_array().cloned().unwrap_or_default();
        let given: Vec<_> = tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
        assert_eq!(given, offered);
        assert_eq!(lost(&losses), fields);
    }
    let (_, losses) = sent(ChatCompletions, Ollama, &with(json!("auto"), false));
    assert_eq!(lost(&losses), ["parallel_tool_calls"]);
}

#[test]
fn tq_13_t62_a_tool_without_parameters_takes_none() {
    let body = openai(json!({"tools": [{"type": "function", "function": {"name": "f"}}]}));
    let (out, _) = sent(ChatCompletions, Ollama, &body);
    assert_eq!(
        out["tools"][0]["function"],
        json!({"name": "f", "parameters": {"type": "object", "properties": {}}})
    );
}

#[test]
fn tq_14_a_custom_tool_is_told_as_a_function() {
    let body = openai(
        json!({"tools": [{"type": "custom", "custom": {"name": "patch", "description": "Patches."}}]}),
    );
    let (out, _) = sent(ChatCompletions, Ollama, &body);
    let function = &out["tools"][0]["function"];
    assert_eq!(function["name"], json!("patch"));
    assert_eq!(function["parameters"]["required"], json!(["input"]));

    let call = json!({"id": "a", "type": "custom", "custom": {"name": "patch", "input": "*** \"x\""}});
    let body = openai(json!({"messages": [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "done"}
    ]}));
    let (out, _) = sent(ChatCompletions, Ollama, &body);
    let function = json!({"index": 0, "name": "patch", "arguments": {"input": "*** \"x\""}});
    assert_eq!(out["messages"][1]["tool_calls"][0]["function"], function);
}

#[test]
fn tq_16_a_form_of_the_answer_is_kept() {
    let (out, _) =
        sent(ChatCompletions, Ollama, &openai(json!({"response_format": {"type": "json_object"}})));
    assert_eq!(out["format"], json!("json"));
    let schema = json!({"type": "object", "required": ["z"], "properties": {"z": {}, "a": {}}});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "r", "strict": true, "schema": schema}});
    let (out, losses) = sent(ChatCompletions, Ollama, &openai(json!({"response_format": format})));
    assert_eq!(out["format"].to_string(), schema.to_string());
    assert!(losses.is_empty());
}

#[test]
fn tq_17_18_24_what_ollama_does_not_know_is_named_and_what_it_knows_is_kept() {
    let body = openai(json!({
        "n": 2, "logit_bias": {"5": 1}, "user": "u", "metadata": {"a": "b"}, "service_tier": "flex",
        "prompt_cache_key": "k", "verbosity": "low", "seed": 7, "presence_penalty": 0.5,
        "frequency_penalty": 0.25, "logprobs": true, "top_logprobs": 3, "stop": "END", "temperature": 1.5, "top_p": 0.5
    }));
    let (out, losses) = sent(ChatCompletions, Ollama, &body);
    let expected = json!({
        "temperature": 1.5, "top_p": 0.5, "frequency_penalty": 0.25, "presence_penalty": 0.5, "seed": 7, "stop": ["END"]
    });
    assert_eq!(out["options"], expected);
    assert_eq!((&out["logprobs"], &out["top_logprobs"]), (&json!(true), &json!(3)));
    let mut fields = lost(&losses);
    fields.sort_unstable();
    let unknown = ["logit_bias", "metadata", "n", "service_tier", "user", "verbosity"];
    assert_eq!(fields, unknown);
}

#[test]
fn tq_19_an_effort_is_kept() {
    for (effort, expected) in [
        ("none", json!(false)),
        ("minimal", json!("low")),
        ("medium", json!("medium")),
        ("xhigh", json!("high")),
    ] {
        let (out, _) = sent(ChatCompletions, Ollama, &openai(json!({"reasoning_effort": effort})));
        assert_eq!(out["think"], expected, "{effort}");
    }
    assert!(sent(ChatCompletions, Ollama, &openai(json!({}))).0.get("think").is_none());
}

#[test]
fn t20_tr_06_thoughts_of_earlier_turns_go_back_as_thoughts() {
    let body = openai(json!({"messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho", "reasoning_content": "Hm"},
        {"role": "user", "content": "Go"}
    ]}));
    let (out, losses) = sent(ChatCompletions, Ollama, &body);
    assert_eq!(out["messages"][1], json!({"role": "assistant", "content": "Ho", "thinking": "Hm"}));
    assert!(losses.is_empty());
}

#[test]
fn a_text_to_be_continued_goes_as_it_is() {
    let (out, _) = sent(Completions, Ollama, &json!({"model": "m", "prompt": "Once", "max_tokens": 5}));
    let expected = json!({
        "model": "qwen3:8b", "prompt": "Once", "raw": true, "stream": false, "options": {"num_predict": 5}
    });
    assert_eq!(out, expected);
    for prompt in [json!(["a", "b"]), json!([1, 2])] {
        let unfit = translate(Completions, Ollama, &json!({"model": "m", "prompt": prompt})).err();
        assert_eq!(unfit.expect("it cannot be carried").field, "prompt");
    }
    let mut translator = translator(Completions, Ollama, &json!({"model": "m", "prompt": "Once"}));
    let answer =
        json!({"model": "q", "response": " upon", "done": true, "done_reason": "length", "eval_count": 5});
    let told = whole(&mut translator, &answer);
    assert_eq!(told["choices"][0]["text"], json!(" upon"));
    assert_eq!(told["choices"][0]["finish_reason"], json!("length"));
}

#[test]
fn vectors_go_both_ways() {
    let body = json!({"model": "m", "input": ["a", "b"], "dimensions": 2, "user": "u"});
    let (out, losses) = sent(Embeddings, Ollama, &body);
    assert_eq!(out, json!({"model": "qwen3:8b", "input": ["a", "b"], "dimensions": 2}));
    assert_eq!(lost(&losses), ["user"]);
    let answer = json!({"model": "e", "embeddings": [[0.5, 1.0], [2.0, 3.0]], "prompt_eval_count": 2});
    let told = whole(&mut translator(Embeddings, Ollama, &body), &answer);
    assert_eq!(told["data"][1]["embedding"], json!([2.0, 3.0]));
    assert_eq!(told["usage"]["prompt_tokens"], json!(2));

    let body = json!({"model": "m", "input": "a"});
    let (out, _) = sent(OllamaEmbed, OpenAi, &body);
    assert_eq!(out["input"], json!(["a"]));
    // 1.0 and -2.0, as OpenAI's own SDK asks for them.
    let answer = json!({"object": "list", "model": "e", "data": [{"index": 0, "embedding": "AACAPwAAAMA="}], "usage": {"prompt_tokens": 3, "total_tokens": 3}});
    let told = whole(&mut translator(OllamaEmbed, OpenAi, &body), &answer);
    assert_eq!((&told["embeddings"], &told["prompt_eval_count"]), (&json!([[1.0, -2.0]]), &json!(3)));
}

// Streams and answers to OpenAI's clients.

#[test]
fn t74_t78_t79_ts_01_a_stream_becomes_chunks() {
    let chunks =
        events(OpenAi, &openai(json!({"stream": true, "stream_options": {"include_usage": true}})), STREAM);
    let deltas: Vec<_> = chunks.iter().filter_map(|chunk| chunk["choices"][0].get("delta")).collect();
    let text: String = deltas.iter().filter_map(|delta| delta["content"].as_str()).collect();
    let thoughts: String = deltas.iter().filter_map(|delta| delta["reasoning_content"].as_str()).collect();
    assert_eq!((text.as_str(), thoughts.as_str()), ("Let me look.", "Hm"));
    let mut calls = [String::new(), String::new()];
    for piece in deltas.iter().filter_map(|delta| delta["tool_calls"].as_array()).flatten() {
        let call = &mut calls[usize::try_from(piece["index"].as_u64().unwrap()).unwrap()];
        call.push_str(piece["function"]["name"].as_str().unwrap_or_default());
        call.push_str(piece["function"]["arguments"].as_str().unwrap_or_default());
    }
    assert_eq!(calls, ["look{\"z\":1.0}", "hear{}"]);
    let reasons: Vec<_> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(reasons, ["tool_calls"]);
    assert_eq!(deltas.iter().filter(|delta| delta.get("role").is_some()).count(), 1);
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], json!(35));
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
}

/// A chat request in `dialect` in which the user says hi.
fn hi(dialect: Dialect) -> Value {
    match dialect {
        Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}),
        _ => openai(json!({})),
    }
}

#[test]
fn te_t52_t53_an_error_and_a_cut_are_no_ends() {
    let cut = "{\"message\":{\"content\":\"Hi\"},\"done\":false}\n";
    for (stream, message) in [("{\"error\":\"out of memory\"}\n", Some("out of memory")), (cut, None)] {
        for client in [OpenAi, Gemini, Ollama] {
            let terms = Terms { framing: Framing::of(client.chat(), Some("alt=sse")), ..bench::terms() };
            let body = hi(client).to_string();
            let mut translator =
                request(client.chat(), Ollama, body.as_bytes(), true, &terms).unwrap().translator;
            let mut out = Vec::new();
            translator.feed(stream.as_bytes(), &mut out);
            translator.finish(&mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(!translator.is_complete());
            let ends = ["[DONE]", "\"done\":true", "\"STOP\""];
            assert!(ends.iter().all(|end| !text.contains(end)), "{text}");
            assert_eq!(translator.error().map(|error| error.message.as_str()), message);
        }
    }
}

// Clients of Ollama at other backends.

#[test]
fn a_client_of_ollama_reaches_openai() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What?", "images": [PNG]},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {"z": 1.0}}}]},
            {"role": "tool", "content": "a cat", "tool_name": "look"}
        ],
        "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}}],
        "format": {"type": "object", "properties": {}},
        "options": {"num_predict": 9, "temperature": 0.5, "num_ctx": 4096}
    });
    let (out, losses) = sent(OllamaChat, OpenAi, &body);
    let call = &out["messages"][2]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], json!("{\"z\":1.0}"));
    assert_eq!(out["messages"][3]["tool_call_id"], call["id"]);
    assert_eq!(out["messages"][3]["content"], json!("a cat"));
    assert_eq!(
        out["messages"][1]["content"][0]["image_url"]["url"],
        json!(format!("data:image/png;base64,{PNG}"))
    );
    assert_eq!(out["response_format"]["type"], json!("json_schema"));
    assert_eq!((&out["temperature"], &out["stream"]), (&json!(0.5), &json!(true)));
    assert_eq!(out["tools"], body["tools"]);
    assert!(!lost(&losses).contains(&"options.temperature"));
}

#[test]
fn a_stream_of_openais_becomes_lines() {
    let stream = r#"data: {"id":"c","model":"gpt","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"Hm"}}]}

data: {"id":"c","model":"gpt","choices":[{"index":0,"delta":{"content":"Hi"}}]}

data: {"id":"c","model":"gpt","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"look","arguments":"{\"z\":"}}]}}]}

data: {"id":"c","model":"gpt","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}

data: {"id":"c","model":"gpt","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: {"id":"c","model":"gpt","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}

data: [DONE]

"#;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let lines = streamed(&mut translator(OllamaChat, OpenAi, &body), stream);
    let messages: Vec<_> = lines.iter().map(|line| line["message"].clone()).collect();
    let function = json!({"index": 0, "name": "look", "arguments": {"z": 1}});
    let expected = [
        json!({"role": "assistant", "content": "", "thinking": "Hm"}),
        json!({"role": "assistant", "content": "Hi"}),
        json!({"role": "assistant", "content": "", "tool_calls": [{"id": "t", "function": function}]}),
        json!({"role": "assistant", "content": ""}),
    ];
    assert_eq!(messages, expected);
    let last = &lines[3];
    assert_eq!(
        (&last["done_reason"], &last["prompt_eval_count"], &last["eval_count"]),
        (&json!("stop"), &json!(3), &json!(4))
    );
}

#[test]
fn t50_a_call_that_the_limit_cut_off_is_not_told() {
    let stream = r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"look","arguments":"{\"z\":"}}]}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}

data: [DONE]

"#;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let lines = streamed(&mut translator(OllamaChat, OpenAi, &body), stream);
    assert!(lines.iter().all(|line| line["message"].get("tool_calls").is_none()), "{lines:?}");
    assert_eq!(lines.last().unwrap()["done_reason"], json!("length"));
}

#[test]
fn a_client_of_gemini_reaches_ollama() {
    let body = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "What?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]}],
        "tools": [{"functionDeclarations": [{"name": "look", "description": "Looks.", "parametersJsonSchema": {"type": "object", "properties": {}}}]}],
        "generationConfig": {"maxOutputTokens": 9, "topK": 5, "stopSequences": ["END"], "responseMimeType": "application/json", "thinkingConfig": {"thinkingBudget": 0}}
    });
    let (out, _) = sent(GenerateContent, Ollama, &body);
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What?", "images": [PNG]}
    ]);
    assert_eq!(out["messages"], messages);
    assert_eq!((&out["format"], &out["think"]), (&json!("json"), &json!(false)));
    assert_eq!(out["options"], json!({"num_predict": 9, "top_k": 5, "stop": ["END"]}));
    assert_eq!(out["tools"][0]["function"]["name"], json!("look"));
}

// Requests of Anthropic's clients.

#[test]
fn t02_t04_t19_instructions_stay_in_order() {
    let body = anthropic(json!({
        "system": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Ho"},
            {"role": "system", "content": [{"type": "text", "text": "Later."}]},
            {"role": "user", "content": "Go"}
        ]
    }));
    let (out, _) = sent(Messages, Ollama, &body);
    let messages = out["messages"].as_array().unwrap();
    let instructions: Vec<_> = messages.iter().filter(|message| message["role"] == "system").collect();
    let texts: Vec<_> = instructions.iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(texts.join("\n"), "One.\nTwo.\nLater.");
    assert_eq!(messages.last().unwrap()["content"], json!("Go"));
    assert_eq!(messages[messages.len() - 2]["role"], json!("system"));
}

#[test]
fn t18_a_billing_line_is_left_out() {
    let line = "x-anthropic-billing-header: cc_version=2.1.37; cch=0f3a1;";
    let system = json!([{"type": "text", "text": line}, {"type": "text", "text": "You are."}]);
    let (out, losses) = sent(Messages, Ollama, &anthropic(json!({"system": system})));
    let instructions: Vec<_> =
        out["messages"].as_array().unwrap().iter().filter(|said| said["role"] == "system").collect();
    assert_eq!(instructions, [&json!({"role": "system", "content": "You are."})]);
    assert!(losses.is_empty());
}

#[test]
fn t05_t08_t09_t10_tr_01_results_come_first_and_pictures_after_them() {
    let source = json!({"type": "base64", "media_type": "image/png", "data": PNG});
    let use_of = |id: &str, name: &str| json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let body = anthropic(json!({"messages": [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": [use_of("a", "look"), use_of("b", "hear")]},
        {"role": "user", "content": [
            {"type": "text", "text": "Well?"},
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "42"}, {"type": "image", "source": source}]},
            {"type": "tool_result", "tool_use_id": "b", "content": "deaf", "is_error": true}
        ]}
    ]}));
    let (out, losses) = sent(Messages, Ollama, &body);
    let expected = json!([
        {"role": "tool", "content": "42", "tool_name": "look", "tool_call_id": "a"},
        {"role": "tool", "content": "[tool error] deaf", "tool_name": "hear", "tool_call_id": "b"},
        {"role": "user", "content": "Well?", "images": [PNG]}
    ]);
    assert_eq!(Value::from(out["messages"].as_array().unwrap()[2..].to_vec()), expected);
    assert!(losses.is_empty());
}

#[test]
fn t11_t12_t13_t15_t22_t26_settings_are_kept_or_named() {
    let body = anthropic(json!({
        "tools": [
            {"name": "f", "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}},
            {"type": "web_search_20250305", "name": "web_search"}
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "stop_sequences": ["END"], "top_k": 5, "metadata": {"user_id": "u"}
    }));
    let (out, losses) = sent(Messages, Ollama, &body);
    assert_eq!(out["options"], json!({"num_predict": 100, "top_k": 5, "stop": ["END"]}));
    assert_eq!(out["think"], json!("low"));
    let parameters = out["tools"][0]["function"]["parameters"].to_string();
    assert_eq!(parameters, r#"{"type":"object","properties":{"z":{},"a":{}}}"#);
    let fields = lost(&losses);
    for field in ["tool_choice", "tools[1]"] {
        assert!(fields.iter().any(|lost| lost.starts_with(field)), "{field} in {fields:?}");
    }
    let (out, _) = sent(
        Messages,
        Ollama,
        &anthropic(json!({
            "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "none"}
        })),
    );
    assert_eq!(out.get("tools"), None);
}

#[test]
fn t20_t29_thoughts_are_kept_and_sealed_ones_leave_no_empty_turn() {
    let body = anthropic(json!({"messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}, {"type": "text", "text": "Ho"}]},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]},
        {"role": "user", "content": "Go"}
    ]}));
    let (out, losses) = sent(Messages, Ollama, &body);
    let messages = out["messages"].as_array().unwrap();
    assert_eq!(messages[1], json!({"role": "assistant", "content": "Ho", "thinking": "Hm"}));
    assert_eq!(messages.len(), 4);
    assert!(losses.is_empty());
}

#[test]
fn t31_t32_t33_t34_t36_t44_a_stream_becomes_blocks_one_after_the_other() {
    let events = events(
        Anthropic,
        &anthropic(json!({"stream": true, "thinking": {"type": "enabled", "budget_tokens": 1024}})),
        STREAM,
    );
    let starts = events.iter().filter(|event| event["type"] == "content_block_start");
    let kinds: Vec<_> = starts.map(|event| event["content_block"]["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use", "tool_use"]);
    let mut open = None;
    for event in &events {
        match event["type"].as_str().unwrap() {
            "content_block_start" => assert_eq!(open.replace(event["index"].clone()), None),
            "content_block_delta" => assert_eq!(open.as_ref(), Some(&event["index"])),
            "content_block_stop" => assert_eq!(open.take(), Some(event["index"].clone())),
            _ => assert_eq!(open, None),
        }
    }
    let end = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(end["delta"]["stop_reason"], json!("tool_use"));
    assert_eq!(end["usage"]["output_tokens"], json!(9));
    assert_eq!(events.last().unwrap()["type"], json!("message_stop"));
}

#[test]
fn a_client_of_ollama_reaches_anthropic() {
    let body = json!({"model": "m", "prompt": "Why?", "system": "Be brief.", "think": false, "options": {"temperature": 0.5}});
    let (out, _) = sent(OllamaGenerate, Anthropic, &body);
    assert_eq!(out["max_tokens"], json!(4096));
    assert!(out["system"].to_string().contains("Be brief."));
    assert!(out["messages"].to_string().contains("Why?"));
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "max_tokens",
        "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}, {"type": "text", "text": "So."}],
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5}
    });
    let mut body = body;
    body["stream"] = json!(false);
    let told = whole(&mut translator(OllamaGenerate, Anthropic, &body), &answer);
    assert_eq!((&told["response"], &told["thinking"]), (&json!("So."), &json!("Hm")));
    assert_eq!((&told["done_reason"], &told["prompt_eval_count"]), (&json!("length"), &json!(7)));
}

// Clients of Responses.

#[test]
fn t96_t99_t103_a_client_of_responses_reaches_ollama() {
    let body = json!({
        "model": "m", "instructions": "Be brief.", "max_output_tokens": 50, "store": false,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Go"}]},
            {"type": "function_call", "call_id": "a", "name": "look", "arguments": "{\"z\":1.0}"},
            {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "42"}]}
        ],
        "tools": [
            {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": false},
            {"type": "web_search"}
        ]
    });
    let (out, losses) = sent(ResponsesEndpoint, Ollama, &body);
    let expected = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"index": 0, "name": "look", "arguments": {"z": 1.0}}}]},
        {"role": "tool", "content": "42", "tool_name": "look", "tool_call_id": "a"}
    ]);
    assert_eq!(out["messages"], expected);
    assert_eq!(out["tools"].as_array().unwrap().len(), 1);
    assert!(lost(&losses).iter().any(|field| field.starts_with("tools[1]")), "{losses:?}");
    assert!(way(Responses.chat(), &[Ollama]).is_some());
}
