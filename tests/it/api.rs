//! API-01..13 and 15..18: the HTTP surface.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::support::client::chat_body;
use crate::support::upstream::{
    chat_answer, chat_events, completion_answer, embedding_answer, message_answer, message_events,
};
use crate::support::{Instance, Script, Setup, Upstream, wait_until};

fn instance() -> (Upstream, Instance) {
    let upstream = Upstream::start(&["m", "n"]);
    let instance = Setup::with(&upstream).start();
    (upstream, instance)
}

/// An OpenAI backend `b1` with model `m` and an Anthropic backend `claude` with model `c`.
fn both_dialects() -> (Upstream, Upstream, Instance) {
    let (openai, anthropic) = (Upstream::start(&["m"]), Upstream::start(&["c"]));
    let settings = json!({ "type": "anthropic", "api_key": "sk-ant" });
    let instance = Setup::with(&openai).backend("claude", &anthropic, settings).start();
    (openai, anthropic, instance)
}

fn message_body(model: &str, stream: bool) -> String {
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    json!({ "model": model, "max_tokens": 10, "stream": stream, "messages": messages }).to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn api_01_answers_come_back_unchanged_on_all_four_endpoints() {
    let (_openai, _anthropic, instance) = both_dialects();
    let client = instance.client();
    let cases = [
        ("/v1/chat/completions", chat_body("m", false), chat_answer("m")),
        ("/v1/completions", json!({ "model": "m", "prompt": "Hi" }).to_string(), completion_answer("m")),
        ("/v1/embeddings", json!({ "model": "m", "input": "Hi" }).to_string(), embedding_answer("m")),
        ("/v1/messages", message_body("c", false), message_answer("c")),
    ];
    for (path, body, expected) in cases {
        let answer = client.post(path, body);
        assert_eq!((answer.status, answer.text()), (200, expected), "{path}");
        assert!(
            answer.header("content-type").is_some_and(|value| value.starts_with("application/json")),
            "{path}"
        );
    }
}

#[test]
fn api_02_the_request_reaches_the_backend_byte_for_byte() {
    let (upstream, instance) = instance();
    let body = "{ \"unknown\" : {\"b\":1,\"a\":[9007199254740993, 1.10, \"<&>\\u00e9é\"]},\n\t\"model\":\"m\" ,\
                \"messages\":[{\"role\":\"user\",\"content\":\"x\"}], \"seed\":18446744073709551615 }";
    assert_eq!(instance.client().post("/v1/chat/completions?trace=1", body).status, 200);
    let seen = &upstream.seen()[0];
    assert_eq!(String::from_utf8_lossy(&seen.body), body);
    assert_eq!(seen.path(), "/v1/chat/completions?trace=1");
}

#[test]
fn api_02_an_alias_changes_the_model_and_nothing_else() {
    let upstream = Upstream::start(&["real-model"]);
    let alias = json!({ "routing": { "models": { "fast": { "model": "real-model" } } } });
    let instance = Setup::with(&upstream).settings(alias).start();
    let body = r#"{"z":1, "model" : "fast", "messages":[{"role":"user","content":"fast"}]}"#;
    assert_eq!(instance.client().post("/v1/chat/completions", body).status, 200);
    let expected = body.replacen("\"fast\"", "\"real-model\"", 1);
    assert_eq!(String::from_utf8_lossy(&upstream.seen()[0].body), expected);
}

#[test]
fn api_03_a_body_that_is_no_request_is_400() {
    let (upstream, instance) = instance();
    let client = instance.client();
    for (body, param) in [
        ("", None),
        ("not json", None),
        ("[]", None),
        ("{\"model\":\"m\"", None),
        ("{}", Some("model")),
        ("{\"model\":\"\"}", Some("model")),
        ("{\"model\":7}", Some("model")),
        ("{\"model\":null}", Some("model")),
    ] {
        let answer = client.post("/v1/chat/completions", body);
        answer.assert_openai_error(400, "invalid_request");
        assert_eq!(answer.json()["error"]["param"].as_str(), param, "{body:?}");
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn api_04_messages_without_max_tokens_is_400_in_anthropics_form() {
    let (_openai, anthropic, instance) = both_dialects();
    for body in [r#"{"model":"c","messages":[]}"#, r#"{"model":"c","max_tokens":0,"messages":[]}"#] {
        let answer = instance.client().post("/v1/messages", body);
        answer.assert_anthropic_error(400, "invalid_request_error");
        assert!(answer.text().contains("max_tokens"), "{}", answer.text());
    }
    assert_eq!(anthropic.count(), 0);
}

#[test]
fn api_05_an_unknown_model_is_404_in_the_callers_dialect() {
    let (_openai, _anthropic, instance) = both_dialects();
    let openai = instance.client().chat("nobody-has-it");
    openai.assert_openai_error(404, "model_not_found");
    assert_eq!(openai.json()["error"]["param"], "model");
    let anthropic = instance.client().post("/v1/messages", message_body("nobody-has-it", false));
    anthropic.assert_anthropic_error(404, "not_found_error");
    let row = instance.ended(&openai.request_id());
    assert_eq!(
        (row.state.as_str(), row.http_status, row.error_code.as_str()),
        ("failed", Some(404), "model_not_found")
    );
}

#[test]
fn api_05_a_model_that_only_another_dialect_has_is_reached_through_a_translation() {
    let (openai, anthropic, instance) = both_dialects();
    let chat = instance.client().chat("c");
    assert_eq!((chat.status, &chat.json()["choices"][0]["message"]["content"]), (200, &json!("Hello")));
    let message = instance.client().post("/v1/messages", message_body("m", false));
    assert_eq!((message.status, &message.json()["content"][0]["text"]), (200, &json!("Hello")));
    assert_eq!(anthropic.seen()[0].path(), "/v1/messages");
    assert_eq!(openai.seen()[0].path(), "/v1/chat/completions");
}

#[test]
fn api_05_what_no_translation_can_do_is_400_in_the_callers_dialect_and_calls_nobody() {
    let (openai, anthropic, instance) = both_dialects();
    let client = instance.client();
    let completion = client.post("/v1/completions", r#"{"model":"c","prompt":"Once"}"#);
    completion.assert_openai_error(400, "untranslatable");
    let embedding = client.post("/v1/embeddings", r#"{"model":"c","input":"Once"}"#);
    embedding.assert_openai_error(400, "untranslatable");
    let row = instance.ended(&completion.request_id());
    assert_eq!((row.state.as_str(), row.error_code.as_str()), ("failed", "untranslatable"));
    assert_eq!(openai.count() + anthropic.count(), 0);
}

#[test]
fn api_06_a_model_whose_backends_are_down_is_503_with_retry_after() {
    let mut upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream)
        .settings(json!({ "discovery": { "interval_seconds": 1, "unhealthy_after_failed_polls": 1 } }))
        .start();
    upstream.die();
    instance.wait_for_health("b1", "down");
    let answer = instance.client().chat("m");
    answer.assert_openai_error(503, "no_backend");
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
}

#[test]
fn api_07_models_are_the_union_of_healthy_backends_without_doubles() {
    let (one, mut two) = (Upstream::start(&["a", "b"]), Upstream::start(&["b", "c"]));
    let instance = Setup::with_two(&one, &two)
        .settings(json!({ "discovery": { "interval_seconds": 1, "unhealthy_after_failed_polls": 1 } }))
        .start();
    let listed = || -> Vec<String> {
        let page = instance.client().get("/v1/models").json();
        let models = page["data"].as_array().unwrap().iter();
        models.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(), ["a", "b", "c"]);
    two.die();
    wait_until("the models of the dead backend are gone", || listed() == ["a", "b"]);
}

#[test]
fn api_08_models_carry_created_owner_and_who_serves_them() {
    let (one, two) = (Upstream::start(&["a"]), Upstream::start(&["a", "b"]));
    let instance = Setup::with_two(&one, &two).start();
    let page = instance.client().get("/v1/models").json();
    assert_eq!(page["object"], "list");
    let model = &page["data"][0];
    assert_eq!((&model["id"], &model["object"]), (&json!("a"), &json!("model")));
    assert!(model["created"].as_i64().is_some_and(|time| time > 0), "{model}");
    assert!(model["owned_by"].is_string(), "{model}");
    assert_eq!(model["served_by"], json!(["b1", "b2"]));
    assert_eq!(instance.client().get("/v1/models/b").json()["served_by"], json!(["b2"]));
    instance.client().get("/v1/models/zzz").assert_openai_error(404, "model_not_found");
    let anthropic = instance.client().with("anthropic-version", "2023-06-01").get("/v1/models").json();
    assert_eq!(anthropic["data"][0]["type"], "model");
    assert_eq!(anthropic["has_more"], false);
}

#[test]
fn api_09_the_request_id_is_minted_or_the_clients_own() {
    let (upstream, instance) = instance();
    let minted = instance.client().chat("m").request_id();
    assert_eq!(minted.len(), 36, "a uuid: {minted}");
    let own = instance.client().with("x-request-id", "job-17.a:b_c").chat("m").request_id();
    assert_eq!(own, "job-17.a:b_c");
    assert_eq!(upstream.seen()[1].head.all("x-request-id"), ["job-17.a:b_c"]);
    let bad = instance.client().with("x-request-id", "no spaces!").chat("m").request_id();
    assert_eq!(bad.len(), 36, "{bad}");
}

#[test]
fn api_10_every_response_has_one_request_id_and_history_knows_it() {
    let (upstream, instance) = instance();
    upstream.next(Script::answer(
        200,
        &[("content-type", "application/json"), ("x-request-id", "the-backends-own")],
        chat_answer("m").as_bytes(),
    ));
    let client = instance.client();
    let good = client.chat("m");
    let row = instance.ended(&good.request_id());
    assert_eq!((row.id, row.state.as_str()), (good.request_id(), "completed"));
    for answer in [
        instance.stranger().chat("m"),
        client.chat("unknown"),
        client.get("/v1/nothing"),
        client.get("/v1/chat/completions"),
        client.post("/v1/chat/completions", "x"),
        client.get("/v1/models"),
        client.get("/healthz"),
    ] {
        answer.request_id();
    }
    let stream = client.start_stream("m").answer();
    assert_eq!(instance.ended(&stream.request_id()).http_status, Some(200));
}

#[test]
fn api_11_12_health_and_readiness() {
    let mut upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream)
        .settings(json!({ "discovery": { "interval_seconds": 1, "unhealthy_after_failed_polls": 1 } }))
        .start();
    let stranger = instance.stranger();
    let alive = stranger.get("/healthz");
    assert_eq!((alive.status, alive.json()["status"].as_str()), (200, Some("ok")));
    assert_eq!(stranger.get("/readyz").status, 200);
    upstream.die();
    instance.wait_for_health("b1", "down");
    wait_until("it is not ready", || stranger.get("/readyz").status == 503);
    assert_eq!(stranger.get("/healthz").status, 200);
}

#[test]
fn api_13_a_body_over_the_limit_is_413_said_before_it_is_sent() {
    let upstream = Upstream::start(&["m"]);
    let small = json!({ "proxy": { "limits": { "max_body_mb": 1 } } });
    let instance = Setup::with(&upstream).settings(small).start();
    let long =
        json!({ "model": "m", "messages": [{ "role": "user", "content": "x".repeat(2 << 20) }] }).to_string();
    instance.client().post("/v1/chat/completions", &long).assert_openai_error(413, "request_too_large");
    let announced = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        crate::support::KEY,
        8 << 20
    );
    assert_eq!(instance.stranger().raw(announced.as_bytes()).answer().status, 413);
    let fits = json!({ "model": "m", "messages": [{ "role": "user", "content": "x".repeat(900 << 10) }] })
        .to_string();
    assert_eq!(instance.client().post("/v1/chat/completions", fits).status, 200);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn paths_and_methods_that_do_not_exist_are_json_errors() {
    let (_upstream, instance) = instance();
    let client = instance.client();
    assert_eq!(client.get("/v1/nothing").status, 404);
    assert!(client.get("/v1/nothing").json()["error"]["message"].is_string());
    let wrong = client.get("/v1/chat/completions");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert!(wrong.json()["error"]["message"].is_string());
}

#[test]
fn api_16_errors_have_type_code_message_and_param() {
    let (upstream, instance) = instance();
    instance.client().chat("unknown").assert_openai_error(404, "model_not_found");
    instance.client().post("/v1/chat/completions", "{}").assert_openai_error(400, "invalid_request");
    upstream.always(Script::status(500));
    let failed = instance.client().chat("m");
    failed.assert_openai_error(502, "backend_error");
    assert!(!failed.text().contains("127.0.0.1"), "no address for clients: {}", failed.text());
    assert_eq!(failed.header("x-proxylm-error-source"), Some("upstream"));
}

#[test]
fn api_17_the_backends_key_is_presented_as_configured() {
    let models = &["m"];
    let (plain, bearer, anthropic) =
        (Upstream::start(models), Upstream::start(models), Upstream::start(&["c"]));
    let instance = Setup::new()
        .backend("plain", &plain, json!({ "api_key": null, "models": ["p"] }))
        .backend("bearer", &bearer, json!({ "api_key": "sk-b", "models": ["b"] }))
        .backend("claude", &anthropic, json!({ "type": "anthropic", "api_key": "sk-a" }))
        .start();
    assert_eq!(instance.client().chat("p").status, 200);
    assert_eq!(instance.client().chat("b").status, 200);
    assert_eq!(instance.client().post("/v1/messages", message_body("c", false)).status, 200);
    let seen = &plain.seen()[0].head;
    assert!(seen.all("authorization").is_empty() && seen.all("x-api-key").is_empty());
    assert_eq!(bearer.seen()[0].head.all("authorization"), ["Bearer sk-b"]);
    let seen = &anthropic.seen()[0].head;
    assert_eq!((seen.all("x-api-key"), seen.all("authorization").len()), (vec!["sk-a"], 0));
    assert_eq!(seen.all("anthropic-version"), ["2023-06-01"]);
    let own = instance.client().with("anthropic-version", "2024-01-01");
    assert_eq!(own.post("/v1/messages", message_body("c", false)).status, 200);
    assert_eq!(anthropic.seen()[1].head.all("anthropic-version"), ["2024-01-01"]);
}

#[test]
fn api_18_gzip_breaks_nothing_either_way() {
    let (upstream, instance) = instance();
    let client = instance.client().with("accept-encoding", "gzip, deflate, br");
    let squeezed = gzip(chat_answer("m").as_bytes());
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    upstream.next(Script::answer(200, &headers, &squeezed));
    let answer = client.chat("m");
    assert_eq!((answer.status, answer.text()), (200, chat_answer("m")));
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(instance.ended(&answer.request_id()).output_tokens, Some(2));
    assert_ne!(upstream.seen()[0].head.header("accept-encoding"), Some("gzip, deflate, br"));

    let sent = client
        .with("content-encoding", "gzip")
        .post("/v1/chat/completions", gzip(chat_body("m", false).as_bytes()));
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(upstream.seen()[1].body, chat_body("m", false).as_bytes());
    assert_eq!(upstream.seen()[1].head.header("content-encoding"), None);
    let stream = client.start_stream("m").answer();
    assert_eq!(stream.text(), chat_events("m", &["Hel", "lo"]).concat());
}

#[test]
fn a_base_url_works_with_and_without_v1() {
    let (upstream, instance) = instance();
    for path in
        ["/chat/completions", "/v1/chat/completions", "/v1/v1/chat/completions", "/v1/chat/completions/"]
    {
        assert_eq!(instance.client().post(path, chat_body("m", false)).status, 200, "{path}");
    }
    assert!(upstream.seen().iter().all(|seen| seen.path() == "/v1/chat/completions"));
    assert_eq!(instance.client().get("/models").status, 200);
}

#[test]
fn response_headers_pass_except_hop_by_hop_ones_and_cookies() {
    let (upstream, instance) = instance();
    let headers = [
        ("content-type", "application/json"),
        ("x-ratelimit-remaining-requests", "59"),
        ("set-cookie", "a=b"),
        ("keep-alive", "timeout=5"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
    ];
    upstream.next(Script::answer(200, &headers, chat_answer("m").as_bytes()));
    let answer = instance.client().chat("m");
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("59"));
    assert_eq!(answer.header("x-proxylm-backend"), Some("b1"));
    for gone in ["set-cookie", "keep-alive", "x-hop"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
}

#[test]
fn anthropic_streams_pass_untouched() {
    let (_openai, anthropic, instance) = both_dialects();
    let events = message_events("c", &["Hel", "lo"]).concat();
    anthropic.next(Script::stream(&[&events]));
    let answer = instance.client().post("/v1/messages", message_body("c", true));
    assert_eq!((answer.status, answer.text()), (200, events));
    let row = instance.ended(&answer.request_id());
    assert_eq!((row.state.as_str(), row.input_tokens, row.output_tokens), ("completed", Some(5), Some(2)));
}
