//! What a translation names as lost, refuses, or passes over: the same wish gets the same treatment from every dialect.

use dialect::translate::{Engine, FormatMode, Terms, request};
use dialect::{Dialect, Endpoint, Framing};
use serde_json::{Value, json};

/// Terms on which a client of `from` gets its answer.
fn terms(from: Endpoint) -> Terms {
    Terms {
        model: "model".to_owned(),
        engine: Engine::Provider,
        is_strict: false,
        pass_unknown: false,
        format_mode: FormatMode::Passthrough,
        max_tokens: 4096,
        label: "r-1".to_owned(),
        now: 1_795_201_680,
        framing: Framing::of(from, Some("alt=sse")),
    }
}

/// The fields that are named when `body` goes from `from` to `to` on the terms that `with` makes; or the error.
fn sent_on(
    from: Endpoint,
    to: Dialect,
    body: &Value,
    with: impl Fn(Terms) -> Terms,
) -> Result<(Value, Vec<String>), String> {
    let body = serde_json::to_vec(body).expect("it is JSON");
    let translation =
        request(from, to, &body, false, &with(terms(from))).map_err(|unfit| unfit.to_string())?;
    let fields = translation.losses.list().iter().map(|loss| loss.field.clone()).collect();
    Ok((serde_json::from_slice(&translation.body).expect("it is JSON"), fields))
}

fn sent(from: Endpoint, to: Dialect, body: &Value) -> Result<(Value, Vec<String>), String> {
    sent_on(from, to, body, |terms| terms)
}

/// The fields that are named.
fn lost(from: Endpoint, to: Dialect, body: &Value) -> Vec<String> {
    sent(from, to, body).expect("it can be carried").1
}

fn on(engine: Engine) -> impl Fn(Terms) -> Terms {
    move |terms| Terms { engine, ..terms }
}

fn named(model: &str) -> impl Fn(Terms) -> Terms {
    move |terms| Terms { model: model.to_owned(), ..terms }
}

/// A chat body that says `words`, with the members of `more`.
fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let (Value::Object(body_members), Value::Object(more)) = (&mut body, more) else { unreachable!() };
    body_members.extend(more);
    body
}

#[test]
fn tq_14_ollama_cannot_hold_arguments_to_a_schema() {
    let tool = |schema: Value| json!({"tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters": schema}}]});
    let with = chat(tool(json!({"type": "object", "properties": {"a": {"type": "string"}}})));
    assert_eq!(lost(Endpoint::ChatCompletions, Dialect::Ollama, &with), ["tools[0].strict"]);
    let without = chat(tool(json!({"type": "object", "properties": {}})));
    assert!(lost(Endpoint::ChatCompletions, Dialect::Ollama, &without).is_empty());
}

#[test]
fn a_pictures_detail_is_named_wherever_it_cannot_be_chosen() {
    let body = |detail: &str| {
        let url = "data:image/png;base64,iVBORw0KGgo=";
        let picture = json!({"type": "image_url", "image_url": {"url": url, "detail": detail}});
        json!({"model": "m", "messages": [{"role": "user", "content": [picture]}]})
    };
    for to in [Dialect::Anthropic, Dialect::Gemini, Dialect::Ollama] {
        assert_eq!(lost(Endpoint::ChatCompletions, to, &body("high")), ["messages[0].content[0]"], "{to:?}");
        assert!(lost(Endpoint::ChatCompletions, to, &body("auto")).is_empty(), "{to:?}");
    }
}

#[test]
fn citations_are_named_wherever_documents_are_not_cited() {
    let body = |enabled: bool| {
        let source = json!({"type": "text", "media_type": "text/plain", "data": "Old."});
        let document = json!({"type": "document", "source": source, "citations": {"enabled": enabled}});
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [document]}]})
    };
    for to in [Dialect::OpenAi, Dialect::Responses, Dialect::Gemini, Dialect::Ollama] {
        let at = ["messages[0].content[0].citations"];
        assert_eq!(lost(Endpoint::Messages, to, &body(true)), at, "{to:?}");
        assert!(lost(Endpoint::Messages, to, &body(false)).is_empty(), "{to:?}");
    }
}

/// What Codex sends with every request, beside the talk.
fn codex(more: Value) -> Value {
    let mut body = json!({
        "model": "m", "instructions": "Be brief.", "input": [{"role": "user", "content": "Hi"}], "stream": false,
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}],
        "tool_choice": "auto", "parallel_tool_calls": true, "store": false, "truncation": "disabled",
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k", "prompt_cache_retention": "24h",
        "reasoning": {"effort": "medium", "summary": "auto"}, "text": {"verbosity": "medium"},
        "service_tier": "auto", "temperature": 1, "top_p": 1.0, "metadata": {}, "background": false, "max_output_tokens": 99
    });
    let (Value::Object(members), Value::Object(more)) = (&mut body, more) else { unreachable!() };
    members.extend(more);
    body
}

#[test]
fn what_asks_for_nothing_is_no_loss_anywhere() {
    let strict = |terms| Terms { is_strict: true, ..terms };
    for (to, model) in [
        (Dialect::OpenAi, "model"),
        (Dialect::Anthropic, "claude-opus-4-8"),
        (Dialect::Gemini, "gemini-3-flash"),
        (Dialect::Ollama, "qwen3"),
    ] {
        let carried =
            sent_on(Endpoint::Responses, to, &codex(json!({})), |terms| named(model)(strict(terms)));
        assert!(carried.is_ok_and(|(_, lost)| lost.is_empty()), "{to:?}");
        let refused = sent_on(Endpoint::Responses, to, &codex(json!({"truncation": "auto"})), strict);
        assert!(refused.is_err_and(|message| message.contains("truncation")), "{to:?}");
    }
    let usual = chat(
        json!({"temperature": 1, "top_p": 1, "n": 1, "frequency_penalty": 0, "presence_penalty": 0.0,
        "logprobs": false, "logit_bias": {}, "service_tier": "default", "verbosity": "medium", "store": false,
        "modalities": ["text"], "parallel_tool_calls": true, "top_k": 0, "min_p": 0, "repetition_penalty": 1}),
    );
    for to in [Dialect::Responses, Dialect::Anthropic, Dialect::Gemini, Dialect::Ollama] {
        assert!(lost(Endpoint::ChatCompletions, to, &usual).is_empty(), "{to:?}");
    }
    let (body, _) = sent(Endpoint::ChatCompletions, Dialect::Ollama, &usual).expect("it can be carried");
    assert_eq!(body["options"]["temperature"], 1.0, "{body}");
}

#[test]
fn a_choice_of_a_tool_that_is_not_there_is_refused() {
    let function = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}});
    let named = json!({"type": "function", "function": {"name": "g"}});
    let body = chat(json!({"tools": [function], "tool_choice": named}));
    for to in [Dialect::Anthropic, Dialect::Gemini, Dialect::Responses] {
        let refused = sent(Endpoint::ChatCompletions, to, &body);
        assert!(refused.is_err_and(|message| message.starts_with("tool_choice ")), "{to:?}");
    }
}

#[test]
fn clients_of_functions_have_room_for_one_call() {
    let body =
        chat(json!({"functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}]}));
    let (sent_body, named) =
        sent(Endpoint::ChatCompletions, Dialect::Responses, &body).expect("it can be carried");
    assert_eq!((&sent_body["parallel_tool_calls"], named.len()), (&json!(false), 0));
    let (sent_body, named) =
        sent(Endpoint::ChatCompletions, Dialect::Anthropic, &body).expect("it can be carried");
    assert_eq!((&sent_body["tool_choice"]["disable_parallel_tool_use"], named.len()), (&json!(true), 0));
    for to in [Dialect::Gemini, Dialect::Ollama] {
        assert!(lost(Endpoint::ChatCompletions, to, &body).is_empty(), "{to:?}");
    }
}

#[test]
fn gemini_names_an_effort_that_becomes_another() {
    for (model, effort, is_named) in [
        ("gemini-3-flash", "high", false),
        ("gemini-3-flash", "minimal", false),
        ("gemini-3-flash", "xhigh", true),
        ("gemini-3-pro", "medium", true),
        ("gemini-3-pro", "minimal", true),
        ("gemini-2.5-flash", "high", false),
        ("gemini-2.5-flash", "max", true),
        ("gemini-2.5-pro", "max", false),
    ] {
        let body = chat(json!({"reasoning_effort": effort}));
        let (_, lost) = sent_on(Endpoint::ChatCompletions, Dialect::Gemini, &body, named(model))
            .expect("it can be carried");
        let expected: &[&str] = if is_named { &["reasoning_effort"] } else { &[] };
        assert_eq!(lost, expected, "{model} {effort}");
    }
}

#[test]
fn gemini_names_a_turn_that_the_user_did_not_take() {
    for role in ["assistant", "system"] {
        let body = json!({"model": "m", "messages": [{"role": role, "content": "Hi"}]});
        assert_eq!(lost(Endpoint::ChatCompletions, Dialect::Gemini, &body), ["messages[0]"], "{role}");
    }
    assert!(lost(Endpoint::ChatCompletions, Dialect::Gemini, &chat(json!({}))).is_empty());
}

#[test]
fn a_load_without_a_question_says_how_much_is_generated() {
    for (from, at) in [(Endpoint::OllamaChat, "messages"), (Endpoint::OllamaGenerate, "prompt")] {
        for to in [Dialect::OpenAi, Dialect::Responses, Dialect::Anthropic, Dialect::Gemini] {
            let translation =
                request(from, to, br#"{"model":"m"}"#, false, &terms(from)).expect("it can be carried");
            let [loss] = translation.losses.list() else { panic!("{to:?}: {:?}", translation.losses) };
            assert!(loss.field == at && loss.reason.contains("up to 16 tokens"), "{to:?}: {loss:?}");
        }
    }
}

/// What a client of `from` gets for the whole answer `body` of a backend that speaks `to`.
fn answered(from: Endpoint, to: Dialect, asked: &Value, body: &Value) -> Value {
    let asked = serde_json::to_vec(asked).expect("it is JSON");
    let mut translation = request(from, to, &asked, false, &terms(from)).expect("it can be carried");
    let (whole, usage) = translation.translator.whole(body.to_string().as_bytes()).expect("it makes sense");
    assert_eq!(usage.output_tokens, None, "what is guessed is not accounted for");
    serde_json::from_slice(&whole).expect("it is JSON")
}

#[test]
fn a_whole_answer_that_nobody_counted_is_estimated_for_every_client() {
    let message = json!({"role": "assistant", "content": "x".repeat(40)});
    let body = json!({"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    let message = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
    let input = json!({"model": "m", "input": "Hi"});
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]});
    for (from, asked, at) in [
        (Endpoint::Messages, &message, "/usage/output_tokens"),
        (Endpoint::Responses, &input, "/usage/output_tokens"),
        (Endpoint::GenerateContent, &contents, "/usageMetadata/candidatesTokenCount"),
        (Endpoint::OllamaChat, &message, "/eval_count"),
    ] {
        assert_eq!(answered(from, Dialect::OpenAi, asked, &body).pointer(at), Some(&json!(10)), "{from:?}");
    }
    let body = json!({"message": {"role": "assistant", "content": "x".repeat(40)}, "done": true});
    let answer = answered(Endpoint::ChatCompletions, Dialect::Ollama, &message, &body);
    assert_eq!(answer["usage"]["completion_tokens"], 10);
}

#[test]
fn clients_of_responses_are_told_in_words_what_has_no_item() {
    let parts = json!([
        {"fileData": {"mimeType": "image/png", "fileUri": "https://x.test/a.png"}},
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
    ]);
    let body =
        json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]});
    let answer = answered(Endpoint::Responses, Dialect::Gemini, &json!({"model": "m", "input": "Hi"}), &body);
    let content = answer.pointer("/output/0/content").and_then(Value::as_array).expect("there is a message");
    let texts: String = content.iter().filter_map(|part| part["text"].as_str()).collect();
    assert!(texts.contains("![image](https://x.test/a.png)") && texts.contains("1+1"), "{answer}");
}

#[test]
fn several_answers_are_refused_by_whoever_gives_one() {
    let body = chat(json!({"n": 2}));
    for to in [Dialect::Anthropic, Dialect::Responses, Dialect::Ollama] {
        let refused = sent(Endpoint::ChatCompletions, to, &body);
        assert!(refused.is_err_and(|message| message.starts_with("n must be 1: ")), "{to:?}");
    }
    let several =
        json!({"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {"candidateCount": 2}});
    for (engine, is_refused) in [(Engine::LmStudio, true), (Engine::Ollama, true), (Engine::Vllm, false)] {
        let tried = sent_on(Endpoint::GenerateContent, Dialect::OpenAi, &several, on(engine));
        assert_eq!(tried.is_err(), is_refused, "{engine:?}");
        assert!(tried.is_ok_and(|(body, _)| body["n"] == 2) != is_refused, "{engine:?}");
    }
}

#[test]
fn weights_of_tokens_are_named_where_the_engine_passes_over_them() {
    let body = chat(json!({"logit_bias": {"5": 1}}));
    for (engine, expected) in [(Engine::Ollama, &["logit_bias"][..]), (Engine::LmStudio, &[])] {
        let (_, lost) = sent_on(Endpoint::ChatCompletions, Dialect::OpenAi, &body, on(engine))
            .expect("it can be carried");
        assert_eq!(lost, expected, "{engine:?}");
    }
}

#[test]
fn thinking_is_switched_off_at_openai_as_far_as_the_model_can() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "thinking": {"type": "disabled"}});
    for (model, effort, expected) in [
        ("gpt-5", json!("minimal"), &["thinking"][..]),
        ("o3", json!("low"), &["thinking"]),
        ("gpt-5.1", json!("none"), &[]),
        ("gpt-4o", Value::Null, &[]),
        ("my-deployment", Value::Null, &[]),
    ] {
        let (sent, lost) =
            sent_on(Endpoint::Messages, Dialect::OpenAi, &body, named(model)).expect("it can be carried");
        assert_eq!(
            (&sent["reasoning_effort"], lost.as_slice()),
            (&effort, expected.iter().map(|at| (*at).to_owned()).collect::<Vec<_>>().as_slice()),
            "{model}"
        );
    }
}

#[test]
fn a_wish_to_see_thoughts_does_not_switch_thinking_on() {
    let config = json!({"thinkingConfig": {"includeThoughts": true}});
    let body = json!({"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": config});
    for (to, member) in
        [(Dialect::OpenAi, "reasoning_effort"), (Dialect::Anthropic, "thinking"), (Dialect::Ollama, "think")]
    {
        let (sent, lost) = sent(Endpoint::GenerateContent, to, &body).expect("it can be carried");
        assert_eq!((sent.get(member), lost.len()), (None, 0), "{to:?}");
    }
    let (sent, _) = sent(Endpoint::GenerateContent, Dialect::Responses, &body).expect("it can be carried");
    assert_eq!(sent["reasoning"], json!({"summary": "auto"}));
}

#[test]
fn engines_get_their_own_parameters_from_every_client() {
    let more = json!({"min_p": 0.1, "chat_template_kwargs": {"x": 1}, "guided_json": {"type": "object"}, "frobnicate": 1});
    let message = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "thinking": {"type": "disabled"}});
    let response = json!({"model": "m", "input": "Hi", "reasoning": {"effort": "none"}});
    let passing = |engine| move |terms| Terms { engine, pass_unknown: true, ..terms };
    for (from, mut body) in [(Endpoint::Messages, message), (Endpoint::Responses, response)] {
        body.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
        let to = |with: &dyn Fn(Terms) -> Terms| {
            sent_on(from, Dialect::OpenAi, &body, with).expect("it can be carried")
        };
        let (sent, lost) = to(&passing(Engine::Vllm));
        assert_eq!((&sent["min_p"], &sent["guided_json"]), (&json!(0.1), &json!({"type": "object"})));
        assert_eq!(sent["chat_template_kwargs"], json!({"x": 1, "enable_thinking": false}));
        assert_eq!(lost, ["frobnicate"], "{from:?}");
        let (sent, lost) = to(&passing(Engine::LmStudio));
        assert_eq!(sent["min_p"], 0.1);
        assert_eq!(lost, ["chat_template_kwargs", "guided_json", "frobnicate"], "{from:?}");
        let (sent, lost) = to(&on(Engine::Vllm));
        assert_eq!((sent.get("min_p"), lost.len()), (None, 4), "{from:?}");
    }
}

#[test]
fn thoughts_before_a_call_go_back_to_hosts_that_want_them() {
    let content = json!([{"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "tool_use", "id": "c", "name": "f", "input": {}}]);
    let result = json!([{"type": "tool_result", "tool_use_id": "c", "content": "1"}]);
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"},
        {"role": "assistant", "content": content}, {"role": "user", "content": result}]});
    for (model, engine, is_sent) in [
        ("deepseek-reasoner", Engine::Other, true),
        ("moonshotai/Kimi-K2-Thinking", Engine::Other, true),
        ("mistral-large", Engine::Other, false),
        ("deepseek-reasoner", Engine::Provider, false),
        ("qwen3", Engine::Vllm, true),
    ] {
        let (sent, _) =
            sent_on(Endpoint::Messages, Dialect::OpenAi, &body, |terms| named(model)(on(engine)(terms)))
                .expect("it can be carried");
        assert_eq!(sent["messages"][1]["reasoning_content"] == "Hm.", is_sent, "{model} {engine:?}");
    }
}
