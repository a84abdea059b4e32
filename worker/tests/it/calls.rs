//! What reaches the backend.

use bytes::Bytes;
use dialect::load::{LoadEdit, LoadOptions};
use dialect::{Dialect, Endpoint};
use ipc_proto::control::{Ending, FromWorker, ToWorker};
use ipc_proto::failure::{FailureKind, Wait};
use ipc_proto::ids::{GrantId, ModelName};
use ipc_proto::secret::Secret;
use ipc_proto::spec::{BackendKind, Credential};
use ipc_proto::stream::Header;

use crate::support::{Backend, DONE, Supervisor, chunk, open, spec};

const CHAT: &[u8] = br#"{"id":"1","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":5}}"#;

#[tokio::test]
async fn a_request_goes_out_byte_for_byte_and_comes_back_whole() {
    let backend = Backend::start().await;
    let mut supervisor =
        backend.worker(|spec| spec.credential = Some(Credential::Bearer(Secret::new("ours")))).await;
    let mut frontend = supervisor.frontend().await;
    let body = b" {\"model\":\"m\", \"x\" : 12345678901234567890,\t\"\\u003c\":\"<\"}\n";
    let mut asked = open(7, Endpoint::ChatCompletions, false, body);
    asked.query = Some("api-version=1".to_owned());
    for (name, value) in [("authorization", "Bearer theirs"), ("user-agent", "sdk/1"), ("x-extra", "kept")] {
        asked.headers.push(Header { name: name.into(), value: Bytes::from_static(value.as_bytes()) });
    }
    frontend.send(asked, body).await;

    let mut exchange = backend.exchange().await;
    assert!(exchange.head.starts_with("POST /v1/chat/completions?api-version=1 HTTP/1.1\r\n"));
    assert_eq!(exchange.body, body);
    assert_eq!(exchange.header("authorization"), Some("Bearer ours"));
    assert_eq!(exchange.header("x-extra"), Some("kept"));
    assert_eq!(exchange.header("x-request-id"), Some("label-1"));
    assert_eq!(exchange.header("accept-encoding"), Some("identity"));
    assert!(exchange.header("user-agent").unwrap().ends_with(" sdk/1"));
    exchange
        .answer(200, "content-type: application/json\r\nset-cookie: a=b\r\nx-request-id: up\r\n", CHAT)
        .await;

    let answered = frontend.answer().await;
    assert_eq!(answered.body, CHAT);
    let head = answered.head.as_ref().unwrap();
    assert_eq!((head.status, head.body_bytes, head.events), (200, Some(CHAT.len() as u64), false));
    assert_eq!(answered.header("x-upstream-request-id"), Some("up"));
    assert_eq!(answered.header("set-cookie"), None);

    assert_eq!(supervisor.next().await, FromWorker::Started { grant: GrantId(7) });
    assert!(matches!(supervisor.next().await, FromWorker::Begun { grant: GrantId(7), .. }));
    let finished = supervisor.finished().await;
    assert_eq!((finished.ending, finished.upstream_status), (Ending::Complete, Some(200)));
    assert_eq!((finished.usage.input_tokens, finished.usage.output_tokens), (Some(3), Some(5)));
    assert_eq!(finished.bytes_received, CHAT.len() as u64);
}

#[tokio::test]
async fn a_large_body_in_many_frames_and_a_second_attempt_on_the_same_connection() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    let body: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    frontend.send(open(1, Endpoint::Embeddings, false, &body), &body).await;
    let mut exchange = backend.exchange().await;
    assert!(exchange.body == body);
    exchange.json(200, "{}").await;
    assert_eq!(frontend.answer().await.text(), "{}");
    assert_eq!(supervisor.ending().await, Ending::Complete);

    frontend.chat(2).await;
    backend.exchange().await.json(200, "{}").await;
    assert_eq!(frontend.answer().await.text(), "{}");
    assert_eq!(supervisor.finished().await.grant, GrantId(2));
}

#[tokio::test]
async fn the_backends_own_name_for_the_model_and_a_wish_for_usage() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|spec| spec.ask_for_usage = true).await;
    let mut frontend = supervisor.frontend().await;
    let body = br#"{"model":"alias","stream":true}"#;
    let mut asked = open(1, Endpoint::ChatCompletions, true, body);
    (asked.model, asked.renamed) = (ModelName::new("real"), true);
    frontend.send(asked, body).await;
    let mut exchange = backend.exchange().await;
    let sent = String::from_utf8(exchange.body.clone()).unwrap();
    assert_eq!(sent, r#"{"stream_options":{"include_usage":true},"model":"real","stream":true}"#);
    exchange.begin_stream().await;
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\n";
    exchange.write([&chunk("a"), usage, DONE].concat()).await;
    let answered = frontend.answer().await;
    assert_eq!(answered.text(), [&chunk("a"), DONE].concat());
    let usage = supervisor.finished().await.usage;
    assert_eq!(
        (usage.input_tokens, usage.output_tokens),
        (Some(4), Some(2)),
        "taken out, and read all the same"
    );
}

#[tokio::test]
async fn load_options_change_for_engines_that_load_by_request_and_for_no_others() {
    let body = br#"{"model":"alias","stream":true,"options":{"num_ctx":4096,"num_gpu":1,"seed":7}}"#;
    let changed = concat!(
        r#"{"stream_options":{"include_usage":true},"model":"real","stream":true,"#,
        r#""options":{"num_ctx":8192,"seed":7}}"#
    );
    let same = concat!(
        r#"{"stream_options":{"include_usage":true},"model":"real","stream":true,"#,
        r#""options":{"num_ctx":4096,"num_gpu":1,"seed":7}}"#
    );
    // With how many questions a probe asks.
    let kinds =
        [(BackendKind::Ollama, 2, changed), (BackendKind::OpenAi, 1, same), (BackendKind::LmStudio, 3, same)];
    for (kind, questions, expected) in kinds {
        let backend = Backend::start().await;
        let mut worker = spec(kind, &backend.url);
        worker.ask_for_usage = true;
        let mut supervisor = Supervisor::start(worker).await;
        for _ in 0..questions {
            backend.list(r#"{"data":null}"#).await;
        }
        supervisor.probed().await;
        let mut frontend = supervisor.frontend().await;
        let mut asked = open(1, Endpoint::ChatCompletions, true, body);
        (asked.model, asked.renamed) = (ModelName::new("real"), true);
        asked.load = LoadEdit::Set(LoadOptions { context: Some(8192), ..LoadOptions::default() });
        frontend.send(asked, body).await;
        let exchange = backend.exchange().await;
        assert_eq!(String::from_utf8(exchange.body.clone()).unwrap(), expected, "{kind:?}");
    }
}

#[tokio::test]
async fn load_options_reach_an_engine_in_its_own_form_whatever_the_client_speaks() {
    for dialect in [Dialect::OpenAi, Dialect::Ollama] {
        let backend = Backend::start().await;
        let mut worker = spec(BackendKind::Ollama, &backend.url);
        worker.dialects = vec![dialect];
        // What we put in ourselves is no loss.
        worker.compat.is_strict = true;
        let mut supervisor = Supervisor::start(worker).await;
        backend.list(r#"{"data":[]}"#).await;
        backend.list(r#"{"models":[]}"#).await;
        supervisor.probed().await;
        let mut frontend = supervisor.frontend().await;
        let body = br#"{"model":"m","input":"hello"}"#;
        let mut asked = open(1, Endpoint::Responses, false, body);
        asked.load = LoadEdit::Set(LoadOptions { context: Some(8192), ..LoadOptions::default() });
        frontend.send(asked, body).await;
        let exchange = backend.exchange().await;
        let sent: serde_json::Value = serde_json::from_slice(&exchange.body).unwrap();
        assert_eq!(sent["options"]["num_ctx"], 8192, "{dialect:?}: {sent}");
    }
}

#[tokio::test]
async fn ollama_is_asked_in_its_own_api_unless_the_client_speaks_openais() {
    let chat = br#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":9,"top_k":5}"#;
    for (endpoint, path, at) in [
        (Endpoint::Messages, "POST /api/chat HTTP/1.1", "/options/top_k"),
        (Endpoint::ChatCompletions, "POST /v1/chat/completions HTTP/1.1", "/top_k"),
    ] {
        let backend = Backend::start().await;
        let mut supervisor = Supervisor::start(spec(BackendKind::Ollama, &backend.url)).await;
        backend.list(r#"{"data":[]}"#).await;
        backend.list(r#"{"models":[]}"#).await;
        supervisor.probed().await;
        let mut frontend = supervisor.frontend().await;
        frontend.send(open(1, endpoint, false, chat), chat).await;
        let exchange = backend.exchange().await;
        assert!(exchange.head.starts_with(path), "{}", exchange.head);
        let sent: serde_json::Value = serde_json::from_slice(&exchange.body).unwrap();
        assert_eq!(sent.pointer(at), Some(&serde_json::json!(5)), "{sent}");
    }
}

#[tokio::test]
async fn anthropic_gets_its_own_headers() {
    let backend = Backend::start().await;
    let key = Credential::ApiKey(Secret::new("ours"));
    let supervisor = backend
        .worker(|spec| {
            (spec.kind, spec.credential) = (BackendKind::Anthropic, Some(key));
            spec.dialects = BackendKind::Anthropic.dialects().to_vec();
        })
        .await;
    let mut frontend = supervisor.frontend().await;
    let body = br#"{"model":"m","max_tokens":1}"#;
    frontend.send(open(1, Endpoint::Messages, false, body), body).await;
    let exchange = backend.exchange().await;
    assert!(exchange.head.starts_with("POST /v1/messages HTTP/1.1"));
    assert_eq!(exchange.header("x-api-key"), Some("ours"));
    assert_eq!(exchange.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(exchange.header("authorization"), None);
}

#[tokio::test]
async fn a_kept_alive_connection_is_used_again_after_a_stream() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat_stream(1).await;
    let mut exchange = backend.exchange().await;
    let events = [&chunk("a"), DONE].concat();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    exchange.write(format!("{head}{:x}\r\n{events}\r\n", events.len())).await;
    assert_eq!(frontend.answer().await.text(), events);
    assert_eq!(supervisor.ending().await, Ending::Complete);
    // The end of the body comes a little later than its last event.
    exchange.write("0\r\n\r\n").await;
    frontend.chat(2).await;
    exchange.next_request().await;
    exchange.json(200, "{}").await;
    assert_eq!(frontend.answer().await.text(), "{}");
}

#[tokio::test]
async fn a_kept_alive_connection_is_used_again_after_whole_answers() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    let mut exchange = backend.exchange().await;
    for grant in 2..5 {
        exchange.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        assert_eq!(frontend.answer().await.text(), "{}");
        assert_eq!(supervisor.ending().await, Ending::Complete);
        frontend.chat(grant).await;
        exchange.next_request().await;
    }
}

#[tokio::test]
async fn nobody_there_and_nobody_answering() {
    let gone = Backend::start().await.url;
    let mut supervisor = Supervisor::start(spec(BackendKind::OpenAi, &gone)).await;
    assert!(supervisor.probed().await.models.is_err());
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    let failure = frontend.failure().await;
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.detail.contains(&gone), "{}", failure.detail);
    assert_eq!(supervisor.ending().await, Ending::Failed(failure));

    let backend = Backend::start().await;
    let mut changed = spec(BackendKind::OpenAi, &backend.url);
    changed.timeouts.first_event_ms = 50;
    supervisor.say(&ToWorker::Spec(Box::new(changed)));
    backend.list("[]").await;
    supervisor.probed().await;
    frontend.chat(2).await;
    let exchange = backend.exchange().await;
    assert_eq!(frontend.failure().await.kind, FailureKind::Timeout(Wait::FirstEvent));
    exchange.closed_by_worker().await;
}
