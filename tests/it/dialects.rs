//! Any client, any backend, through the running program: the operations beside a chat, how bodies and streams are packed,
//! and what becomes of a request that waits, is left, or fails first.

use std::io::Write as _;

use dialect::Dialect::{self, Anthropic, Gemini, Ollama, OpenAi, Responses};
use serde_json::{Value, json};

use crate::support::client::{Call, Stream};
use crate::support::replay::MODEL;
use crate::support::upstream::embedding_answer;
use crate::support::{Gate, Instance, Script, Setup, Upstream, speaker, wait_until};

fn staged(backend: Dialect) -> (Upstream, Instance) {
    let upstream = speaker::upstream(MODEL);
    let instance = speaker::once().backend("b1", &upstream, speaker::settings(backend)).start();
    (upstream, instance)
}

#[test]
fn every_client_gets_the_whole_answer_of_every_backend() {
    for backend in Dialect::ALL {
        let (upstream, instance) = staged(backend);
        upstream.always(Script::json(&speaker::answer(backend, MODEL)));
        for client in Dialect::ALL {
            let place = format!("{client:?} to {backend:?}");
            let answer = speaker::ask(&instance.client(), client, MODEL, false, json!({}));
            assert_eq!(answer.status, 200, "{place}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/json"), "{place}");
            assert_eq!(speaker::text_in(client, &answer), "Hello", "{place}");
            let seen = upstream.seen().pop().unwrap();
            assert_eq!(speaker::called(seen.path()), Some(backend.chat()), "{place}: {}", seen.path());
            let record = instance.ended(&answer.request_id());
            let told = (record.state.as_str(), record.input_tokens, record.output_tokens, record.endpoint);
            assert_eq!(told, ("completed", Some(5), Some(2), client.chat()), "{place}");
            let keys = ["authorization", "x-api-key", "x-goog-api-key"].map(|name| seen.head.header(name));
            let ours = match backend {
                Anthropic => [None, Some("sk-of-the-backend"), None],
                Gemini => [None, None, Some("sk-of-the-backend")],
                _ => [Some("Bearer sk-of-the-backend"), None, None],
            };
            assert_eq!(keys, ours, "{place}");
            let is_versioned = seen.head.header("anthropic-version").is_some();
            assert_eq!(is_versioned, backend == Anthropic, "{place}");
        }
    }
}

#[test]
fn t86_tokens_are_counted_by_a_backend_that_can_and_else_estimated() {
    let (upstream, instance) = staged(Anthropic);
    upstream.next(Script::json(r#"{"input_tokens":42}"#));
    let body = speaker::body(Anthropic, MODEL, false, json!({}));
    let counted = instance.client().post("/v1/messages/count_tokens", &body);
    assert_eq!(
        (counted.text().as_str(), counted.header("x-proxylm-warning")),
        (r#"{"input_tokens":42}"#, None)
    );
    assert_eq!(upstream.seen()[0].path(), "/v1/messages/count_tokens");
    assert_eq!(instance.ended(&counted.request_id()).state.as_str(), "completed");

    let (upstream, instance) = staged(OpenAi);
    let count = |more: Value| {
        let body = speaker::body(Anthropic, MODEL, false, more);
        let answer = instance.client().post("/v1/messages/count_tokens", body);
        assert!(answer.header("x-proxylm-warning").is_some_and(|text| text.contains("estimate")));
        answer.json()["input_tokens"].as_u64().unwrap_or_else(|| panic!("{}", answer.text()))
    };
    let plain = count(json!({}));
    let description = "Looks for something. ".repeat(50);
    let tool = json!({ "name": "look", "description": description, "input_schema": { "type": "object" } });
    let with_tools = count(json!({ "tools": [tool] }));
    assert!((1..20).contains(&plain) && with_tools > plain + 150, "{plain} {with_tools}");
    let image = json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "A".repeat(400_000) } });
    let with_image = count(json!({ "messages": [{ "role": "user", "content": [image] }] }));
    assert!((100..5000).contains(&with_image), "not by the letters of its base64: {with_image}");
    let gemini = instance
        .client()
        .post(&format!("/v1beta/models/{MODEL}:countTokens"), speaker::body(Gemini, MODEL, false, json!({})));
    assert!(gemini.json()["totalTokens"].as_u64().is_some_and(|count| (1..20).contains(&count)));
    let unknown = instance
        .client()
        .post("/v1/messages/count_tokens", speaker::body(Anthropic, "nobody-has-it", false, json!({})));
    unknown.assert_anthropic_error(404, "not_found_error");
    assert_eq!(upstream.count(), 0, "nobody is asked");
}

/// The vector that a client got.
fn vector(client: Dialect, body: &Value) -> Vec<f64> {
    let vector = match client {
        Gemini => &body["embedding"]["values"],
        Ollama => &body["embeddings"][0],
        _ => &body["data"][0]["embedding"],
    };
    let list = vector.as_array().unwrap_or_else(|| panic!("{client:?}: {body}"));
    list.iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn embeddings_are_carried_between_all_dialects_that_have_them() {
    let answers = [
        (OpenAi, embedding_answer(MODEL), "/v1/embeddings"),
        (
            Gemini,
            r#"{"embeddings":[{"values":[0.5,-0.25]}]}"#.to_owned(),
            "/v1beta/models/m:batchEmbedContents",
        ),
        (
            Ollama,
            r#"{"model":"m","embeddings":[[0.5,-0.25]],"prompt_eval_count":5}"#.to_owned(),
            "/api/embed",
        ),
    ];
    let questions = [
        (OpenAi, "/v1/embeddings", r#"{"model":"m","input":["Hi"]}"#),
        (Gemini, "/v1beta/models/m:embedContent", r#"{"content":{"parts":[{"text":"Hi"}]}}"#),
        (Ollama, "/api/embed", r#"{"model":"m","input":"Hi"}"#),
    ];
    for (backend, answer, called) in &answers {
        let (upstream, instance) = staged(*backend);
        upstream.always(Script::json(answer));
        for (client, path, question) in questions {
            if client == *backend {
                continue;
            }
            let told = instance.client().post(path, question);
            let place = format!("{client:?} to {backend:?}: {}", told.text());
            assert_eq!((told.status, vector(client, &told.json())), (200, vec![0.5, -0.25]), "{place}");
            let seen = upstream.seen().pop().unwrap();
            let other = seen.path().replace("batchEmbedContents", "embedContent");
            assert!(
                seen.path() == *called || other == called.replace("batchEmbedContents", "embedContent"),
                "{place}"
            );
            assert!(String::from_utf8_lossy(&seen.body).contains("Hi"), "{place}");
            assert_eq!(instance.ended(&told.request_id()).state.as_str(), "completed", "{place}");
        }
    }
}

#[test]
fn embeddings_asked_for_in_base64_come_in_base64() {
    let (upstream, instance) = staged(Ollama);
    upstream.always(Script::json(r#"{"model":"m","embeddings":[[0.5,-0.25]],"prompt_eval_count":5}"#));
    let body = r#"{"model":"m","input":"Hi","encoding_format":"base64"}"#;
    let answer = instance.client().post("/v1/embeddings", body).json();
    let text = answer["data"][0]["embedding"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(text, "AAAAPwAAgL4=", "0.5 and -0.25, four bytes each, the lowest first");
    assert_eq!(answer["usage"]["prompt_tokens"], 5);
}

#[test]
fn completions_go_to_ollama_and_are_refused_where_they_make_no_sense() {
    let (upstream, instance) = staged(Ollama);
    let line = json!({ "model": MODEL, "created_at": "2026-11-20T00:00:00Z", "response": " upon a time", "done": true,
        "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 2 });
    upstream.always(Script::json(&line.to_string()));
    let body = r#"{"model":"m","prompt":"Once","max_tokens":3}"#;
    let answer = instance.client().post("/v1/completions", body);
    assert_eq!(answer.json()["choices"][0]["text"], " upon a time", "{}", answer.text());
    assert_eq!(answer.json()["object"], "text_completion");
    let seen = &upstream.seen()[0];
    let sent = seen.json();
    assert_eq!((seen.path(), &sent["raw"], &sent["prompt"]), ("/api/generate", &json!(true), &json!("Once")));
    for backend in [Anthropic, Gemini, Responses] {
        let (upstream, instance) = staged(backend);
        let answer = instance.client().post("/v1/completions", body);
        answer.assert_openai_error(400, "untranslatable");
        assert!(answer.text().contains("completions"), "it says why: {}", answer.text());
        assert_eq!(upstream.count(), 0);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `bytes`, up to 255 of them, as a zstd frame with one block that is stored as it is.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    let block = (u32::from(length) << 3 | 1).to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, length][..], &block[..3], bytes].concat()
}

#[test]
fn t100_packed_bodies_are_read_in_every_dialect() {
    let (upstream, instance) = staged(Anthropic);
    upstream.always(Script::json(&speaker::answer(Anthropic, MODEL)));
    for client in Dialect::ALL {
        let plain = speaker::body(client, MODEL, false, json!({}));
        for (coding, packed) in [("gzip", gzip(plain.as_bytes())), ("zstd", zstd(plain.as_bytes()))] {
            let asker = instance.client().with("content-encoding", coding);
            let answer = asker.post(&speaker::path(client, MODEL, false), packed);
            assert_eq!(answer.status, 200, "{client:?}, {coding}: {}", answer.text());
            assert_eq!(speaker::text_in(client, &answer), "Hello", "{client:?}, {coding}");
            let seen = upstream.seen().pop().unwrap();
            assert_eq!(seen.head.header("content-encoding"), None, "{client:?}, {coding}");
            assert_eq!(seen.json()["model"], MODEL, "{client:?}, {coding}");
        }
    }
    let asker = instance.client().with("content-encoding", "zstd");
    let broken = asker.post("/v1/responses", b"no zstd at all");
    broken.assert_openai_error(400, "invalid_request");
}

#[test]
fn answers_that_a_backend_packs_unasked_are_translated_too() {
    for (backend, stream) in [(OpenAi, false), (OpenAi, true), (Ollama, true), (Gemini, false)] {
        let (upstream, instance) = staged(backend);
        let (kind, text) = if stream {
            (speaker::content_type(backend), speaker::events(backend, MODEL, &["Hel", "lo"]).concat())
        } else {
            ("application/json", speaker::answer(backend, MODEL))
        };
        let headers = [("content-type", kind), ("content-encoding", "gzip")];
        upstream.next(Script::answer(200, &headers, &gzip(text.as_bytes())));
        let answer = speaker::ask(&instance.client(), Anthropic, MODEL, stream, json!({}));
        let place = format!("{backend:?}, {stream}: {}", answer.text());
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{place}");
        let end = if stream { "event: message_stop" } else { r#""text":"Hello""# };
        assert!(answer.text().contains(end), "{place}");
        assert_eq!(upstream.seen()[0].head.header("accept-encoding"), Some("identity"));
    }
}

#[test]
fn t108_t109_a_long_body_is_translated_whole_and_its_words_stay_as_they_are() {
    let (upstream, instance) = staged(OpenAi);
    let picture = "QUJD".repeat(700_000);
    let source = json!({ "type": "base64", "media_type": "image/png", "data": picture });
    let words = r#"say "model":"other" and {"model": "m2"}"#;
    let content = json!([{ "type": "image", "source": source }, { "type": "text", "text": words }]);
    let more = json!({ "messages": [{ "role": "user", "content": content }] });
    let answer = speaker::ask(&instance.client(), Anthropic, MODEL, false, more);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = upstream.seen()[0].json();
    let parts = &sent["messages"][0]["content"];
    assert_eq!((&sent["model"], &parts[1]["text"]), (&json!(MODEL), &json!(words)));
    let url = parts[0]["image_url"]["url"].as_str().unwrap_or_default();
    assert!(url == format!("data:image/png;base64,{picture}"), "the picture is whole");
}

#[test]
fn gemini_streams_are_lists_unless_events_are_asked_for() {
    let path = format!("/v1beta/models/{MODEL}:streamGenerateContent");
    let body = speaker::body(Gemini, MODEL, true, json!({}));
    let (upstream, instance) = staged(OpenAi);
    upstream.always(Script::stream(&speaker::events(OpenAi, MODEL, &["Hel", "lo"])));
    let list = instance.client().post(&path, &body);
    assert_eq!(list.header("content-type"), Some("application/json"));
    let elements = list.json();
    let text = |chunk: &Value| {
        chunk["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap_or_default().to_owned()
    };
    let all: String = elements.as_array().unwrap().iter().map(text).collect();
    assert_eq!(all, "Hello", "{elements}");
    let sse = instance.client().post(&format!("{path}?alt=sse"), &body);
    assert_eq!(sse.header("content-type"), Some("text/event-stream"));
    assert!(sse.text().starts_with("data: {") && !sse.text().contains("[DONE]"), "{}", sse.text());
    // A list that breaks stays JSON, and ends with the error.
    upstream.next(Script::stream(&speaker::events(OpenAi, MODEL, &["Hel", "lo"])[..2]));
    let broken = instance.client().post(&path, &body);
    let told = broken.json();
    let end = told.as_array().and_then(|elements| elements.last()).unwrap();
    assert!(end["error"]["message"].is_string(), "{told}");
    assert_eq!(instance.ended(&broken.request_id()).state.as_str(), "failed");
}

#[test]
fn ollamas_clients_get_lines_also_if_they_do_not_say_that_they_want_a_stream() {
    let (upstream, instance) = staged(Anthropic);
    upstream.always(Script::stream(&speaker::events(Anthropic, MODEL, &["Hel", "lo"])));
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hello"}]}"#;
    let answer = instance.client().post("/api/chat", body);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = answer.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: String =
        lines.iter().map(|line| line["message"]["content"].as_str().unwrap_or_default()).collect();
    let dones: Vec<_> = lines.iter().map(|line| line["done"] == true).collect();
    assert_eq!(said, "Hello", "{text}");
    assert!(dones.iter().rposition(|done| !done) < dones.iter().position(|done| *done), "{text}");
    assert_eq!(lines.last().unwrap()["prompt_eval_count"], 5);
}

/// A stream that waits behind another request, and what lets both go on.
struct Queued {
    _upstream: Upstream,
    instance: Instance,
    gate: Gate,
    /// Nobody reads its answer, but leaving would let the other go on.
    _first: Call,
    stream: Stream,
}

fn behind(client: Dialect, framed_as_list: bool) -> Queued {
    let upstream = speaker::upstream(MODEL);
    let backend = if client == Anthropic { OpenAi } else { Anthropic };
    let instance = Setup::new()
        .backend("b1", &upstream, speaker::settings(backend))
        .settings(json!({ "proxy": { "heartbeat_seconds": 0.1 } }))
        .start();
    let gate = Gate::default();
    upstream.next(Script::json(&speaker::answer(backend, MODEL)).after(&gate));
    upstream.always(Script::stream(&speaker::events(backend, MODEL, &["Hel", "lo"])));
    let first = speaker::start(&instance.client(), backend, MODEL, false, json!({}));
    upstream.wait_for(1);
    let path = speaker::path(client, MODEL, true);
    let path = if framed_as_list { path.replace("?alt=sse", "") } else { path };
    let body = speaker::body(client, MODEL, true, json!({}));
    let stream = instance.client().send("POST", &path, body.as_bytes()).stream();
    Queued { _upstream: upstream, instance, gate, _first: first, stream }
}

#[test]
fn ts_07_who_waits_for_a_translated_stream_hears_beats_of_its_own_dialect() {
    for (client, as_list, beat) in [
        (OpenAi, false, ":"),
        (Responses, false, ":"),
        (Anthropic, false, "event: ping\n"),
        (Gemini, false, "\n"),
        (Gemini, true, " \n"),
        (Ollama, false, "{\"model\":\"m\","),
    ] {
        let mut queued = behind(client, as_list);
        let place = format!("{client:?}, {as_list}");
        for _ in 0..2 {
            let piece = queued.stream.next_piece().map(|piece| String::from_utf8(piece).unwrap());
            assert!(piece.as_ref().is_some_and(|piece| piece.starts_with(beat)), "{place}: {piece:?}");
        }
        queued.gate.open_for_all();
        let answer = queued.stream.rest();
        let text = answer.text();
        assert!(answer.complete && text.contains("Hel") && text.contains("lo"), "{place}: {text}");
        if as_list {
            assert!(answer.json().is_array(), "{place}");
        }
        if client == Ollama {
            assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{place}: {text}");
        }
        let record = queued.instance.ended(&answer.request_id());
        assert_eq!((record.state.as_str(), record.attempts), ("completed", 1), "{place}");
    }
}

#[test]
fn a_translated_stream_that_the_client_leaves_is_aborted_upstream() {
    for (client, backend) in
        [(OpenAi, Anthropic), (Anthropic, Gemini), (Gemini, Ollama), (Ollama, Responses), (Responses, OpenAi)]
    {
        let (upstream, instance) = staged(backend);
        let events = speaker::events(backend, MODEL, &["Hel", "lo"]);
        let begun = events.len() - if backend == Responses { 4 } else { 2 };
        let head = Script::head_of(speaker::content_type(backend));
        upstream.next(head.chunk(events[..begun].concat()).stall());
        let mut stream = speaker::start(&instance.client(), client, MODEL, true, json!({})).stream();
        assert!(stream.next_piece().is_some(), "{client:?} to {backend:?}");
        let id = stream.head.header("x-request-id").unwrap().to_owned();
        drop(stream);
        assert_eq!(instance.ended(&id).state.as_str(), "cancelled", "{client:?} to {backend:?}");
        wait_until("the upstream call is aborted", || upstream.left() == 1);
        instance.wait_for_quiet();
    }
}

#[test]
fn a_translated_request_is_tried_on_a_backend_of_another_dialect_before_its_first_event() {
    for (client, first, second) in [
        (OpenAi, Anthropic, Gemini),
        (Anthropic, OpenAi, Ollama),
        (Gemini, Responses, Anthropic),
        (Responses, Gemini, OpenAi),
        (Ollama, Anthropic, Responses),
    ] {
        let (one, other) = (speaker::upstream(MODEL), speaker::upstream(MODEL));
        one.always(Script::stream(&speaker::events(first, MODEL, &["Hel"])[..1]).close());
        if matches!(first, OpenAi | Gemini) {
            // Their first event says something already.
            one.always(Script::head_of("text/event-stream").close());
        }
        other.always(Script::stream(&speaker::events(second, MODEL, &["Hel", "lo"])));
        let mut settings = speaker::settings(second);
        settings["priority"] = json!(200);
        let instance = Setup::new()
            .backend("b1", &one, speaker::settings(first))
            .backend("b2", &other, settings)
            .settings(json!({ "retry": { "initial_backoff_ms": 1 } }))
            .start();
        let answer = speaker::ask(&instance.client(), client, MODEL, true, json!({}));
        let place = format!("{client:?}: {first:?}, then {second:?}: {}", answer.text());
        assert!(
            answer.status == 200 && answer.text().contains("Hel") && !answer.text().contains("\"error\":{"),
            "{place}"
        );
        assert_eq!((one.count(), other.count()), (1, 1), "{place}");
        let record = instance.ended(&answer.request_id());
        let told = (record.state.as_str(), record.attempts, record.backend.as_str());
        assert_eq!(told, ("completed", 2, "b2"), "{place}");
    }
}

#[test]
fn load_options_of_ollamas_clients_reach_an_ollama_that_is_spoken_to_in_any_dialect() {
    for spoken in [Ollama, OpenAi] {
        let upstream = speaker::upstream(MODEL);
        upstream.always(Script::json(&speaker::answer(spoken, MODEL)));
        let settings = json!({ "type": "ollama", "dialects": [spoken.as_str()] });
        let instance = speaker::once()
            .backend("b1", &upstream, settings)
            .settings(json!({ "compat": { "load_options": "bucket" } }))
            .start();
        let asked = |more: Value| {
            let answer = speaker::ask(&instance.client(), Ollama, MODEL, false, more);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let sent = upstream.seen().pop().unwrap().json();
            sent["options"]["num_ctx"].as_u64().or(sent["num_ctx"].as_u64())
        };
        assert_eq!(asked(json!({ "options": { "num_ctx": 5000 } })), Some(8192), "{spoken:?}");
        assert_eq!(asked(json!({})), Some(8192), "{spoken:?}: what is loaded already serves");
    }
    let (upstream, instance) = staged(Anthropic);
    upstream.always(Script::json(&speaker::answer(Anthropic, MODEL)));
    let answer =
        speaker::ask(&instance.client(), Ollama, MODEL, false, json!({ "options": { "num_ctx": 5000 } }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!String::from_utf8_lossy(&upstream.seen()[0].body).contains("num_ctx"));
}
