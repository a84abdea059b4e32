//! Requests in a dialect that the backend does not speak: the backend hears its own, the client hears its own.

use dialect::{Dialect, Endpoint};
use ipc_proto::control::{Ending, Finished, FromWorker};
use ipc_proto::failure::{FailureKind, Wait};
use ipc_proto::ids::ModelName;
use ipc_proto::secret::Secret;
use ipc_proto::spec::{BackendKind, Credential, WorkerSpec};
use ipc_proto::stream::{Answer, Open};
use serde_json::{Value, json};

use crate::support::{Answered, Backend, DONE, Exchange, Frontend, Supervisor, chunk, header, open};

/// A worker for a backend that speaks only `dialect`, and a frontend's connection to it.
pub(crate) async fn house(
    dialect: Dialect,
    edit: impl FnOnce(&mut WorkerSpec),
) -> (Backend, Supervisor, Frontend) {
    let backend = Backend::start().await;
    let supervisor = backend
        .worker(|spec| {
            spec.dialects = vec![dialect];
            edit(spec);
        })
        .await;
    let frontend = supervisor.frontend().await;
    (backend, supervisor, frontend)
}

/// A message that an Anthropic client sends.
pub(crate) fn message(stream: bool) -> Vec<u8> {
    let body = json!({
        "model": "alias", "max_tokens": 9, "stream": stream,
        "messages": [{"role": "user", "content": "hello"}],
    });
    body.to_string().into_bytes()
}

/// An attempt at such a message for the model `real`.
pub(crate) fn messages(grant: u64, stream: bool, body: &[u8]) -> Open {
    let mut asked = open(grant, Endpoint::Messages, stream, body);
    (asked.model, asked.renamed) = (ModelName::new("real"), true);
    asked
}

/// What the backend was sent.
pub(crate) fn sent(exchange: &Exchange) -> Value {
    serde_json::from_slice(&exchange.body).unwrap()
}

/// An Anthropic client's stream from a backend that speaks OpenAI's dialect and says `pieces`.
pub(crate) async fn streamed(pieces: &[&str]) -> (Answered, Finished) {
    let (backend, mut supervisor, mut frontend) = house(Dialect::OpenAi, |_| {}).await;
    let body = message(true);
    frontend.send(messages(1, true, &body), &body).await;
    let mut exchange = backend.exchange().await;
    let script = async {
        exchange.begin_stream().await;
        for piece in pieces {
            exchange.write(piece).await;
        }
        exchange.close().await;
    };
    let (answered, ()) = tokio::join!(frontend.answer(), script);
    (answered, supervisor.finished().await)
}

/// The data of the events of a stream.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

fn kinds(text: &str) -> Vec<String> {
    events(text).iter().filter_map(|event| event["type"].as_str().map(str::to_owned)).collect()
}

const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\n";

#[tokio::test]
async fn the_backend_hears_its_own_dialect_and_nothing_of_the_clients() {
    let key = Credential::Bearer(Secret::new("ours"));
    let (backend, mut supervisor, mut frontend) =
        house(Dialect::OpenAi, |spec| spec.credential = Some(key)).await;
    let body = message(false);
    let mut asked = messages(1, false, &body);
    asked.query = Some("beta=true".to_owned());
    for (name, value) in [
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "some-beta"),
        ("x-stainless-lang", "js"),
        ("x-extra", "kept"),
    ] {
        asked.headers.push(header(name, value));
    }
    frontend.send(asked, &body).await;
    let mut exchange = backend.exchange().await;
    assert_eq!(exchange.asked_for(), "POST /v1/chat/completions");
    assert_eq!(
        (exchange.header("authorization"), exchange.header("x-extra")),
        (Some("Bearer ours"), Some("kept"))
    );
    for name in ["anthropic-version", "anthropic-beta", "x-stainless-lang"] {
        assert_eq!(exchange.header(name), None);
    }
    let said = sent(&exchange);
    assert_eq!((&said["model"], &said["messages"][0]["role"]), (&json!("real"), &json!("user")));
    let answer = json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "real",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6},
    });
    let headers =
        "content-type: application/json\r\nx-request-id: theirs\r\netag: x\r\nx-ratelimit-left: 7\r\n";
    exchange.answer(200, headers, answer.to_string().as_bytes()).await;
    let answered = frontend.answer().await;
    let told: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!((&told["type"], &told["content"][0]["text"]), (&json!("message"), &json!("hi")));
    assert_eq!((&told["stop_reason"], &told["usage"]["input_tokens"]), (&json!("end_turn"), &json!(4)));
    let head = answered.head.as_ref().unwrap();
    assert_eq!((head.status, head.body_bytes, head.events), (200, Some(answered.body.len() as u64), false));
    assert_eq!(answered.header("content-type"), Some("application/json"));
    assert_eq!(answered.header("x-upstream-request-id"), Some("theirs"));
    assert_eq!((answered.header("etag"), answered.header("x-ratelimit-left")), (None, Some("7")));
    let finished = supervisor.finished().await;
    assert_eq!((finished.ending, finished.warnings), (Ending::Complete, String::new()));
    assert_eq!((finished.usage.input_tokens, finished.usage.output_tokens), (Some(4), Some(2)));
}

#[tokio::test]
async fn anthropic_gets_its_headers_its_key_and_a_limit_of_tokens() {
    let key = Credential::ApiKey(Secret::new("ours"));
    let (backend, _supervisor, mut frontend) = house(Dialect::Anthropic, |spec| {
        (spec.kind, spec.credential) = (BackendKind::Anthropic, Some(key));
        spec.compat.max_tokens = 77;
    })
    .await;
    let body = br#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
    frontend.send(open(1, Endpoint::ChatCompletions, false, body), body).await;
    let exchange = backend.exchange().await;
    assert_eq!(exchange.asked_for(), "POST /v1/messages");
    assert_eq!(exchange.header("x-api-key"), Some("ours"));
    assert_eq!(exchange.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(sent(&exchange)["max_tokens"], 77);
}

#[tokio::test]
async fn a_callers_key_is_shown_in_the_way_of_the_backend() {
    let (backend, _supervisor, mut frontend) =
        house(Dialect::OpenAi, |spec| spec.takes_callers_key = true).await;
    let body = message(false);
    let mut asked = messages(1, false, &body);
    asked.headers.push(header("x-api-key", "theirs"));
    frontend.send(asked, &body).await;
    let exchange = backend.exchange().await;
    assert_eq!(
        (exchange.header("authorization"), exchange.header("x-api-key")),
        (Some("Bearer theirs"), None)
    );
}

#[tokio::test]
async fn each_event_of_a_translated_stream_arrives_when_it_is_said() {
    let (backend, mut supervisor, mut frontend) = house(Dialect::OpenAi, |_| {}).await;
    let body = message(true);
    frontend.send(messages(1, true, &body), &body).await;
    let mut exchange = backend.exchange().await;
    assert_eq!(sent(&exchange)["stream_options"]["include_usage"], true);
    exchange.begin_stream().await;
    let mut told = String::new();
    for text in ["one", "two", "three"] {
        exchange.write(chunk(text)).await;
        while !told.contains(text) {
            match frontend.next().await.unwrap() {
                Answer::Head(head) => assert!(head.events && told.is_empty()),
                Answer::Chunk(bytes) => told.push_str(std::str::from_utf8(&bytes).unwrap()),
                other => panic!("{other:?}"),
            }
        }
    }
    // The end marker ends it, though the backend keeps the connection open.
    exchange.write([FINISH, USAGE, DONE].concat()).await;
    let answered = frontend.answer().await;
    told.push_str(answered.text());
    assert!(answered.failure.is_none());
    assert_eq!(
        kinds(&told).into_iter().filter(|kind| kind != "ping").collect::<Vec<_>>(),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    let finished = supervisor.finished().await;
    assert_eq!(finished.ending, Ending::Complete);
    assert_eq!((finished.usage.input_tokens, finished.usage.output_tokens), (Some(4), Some(2)));
    assert!(finished.first_byte_us.is_some());
    exchange.closed_by_worker().await;
}

#[tokio::test]
async fn tools_are_called_across_dialects() {
    let call = |index: u32, id: &str, name: &str, arguments: &str| {
        let call = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}))
    };
    let finish = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n";
    let said = [&call(0, "call_1", "look", "{\"a\":1}"), &call(1, "call_2", "listen", "{}"), finish, DONE];
    let (answered, finished) = streamed(&said).await;
    let blocks: Vec<_> = events(answered.text())
        .into_iter()
        .filter(|event| event["type"] == "content_block_start")
        .map(|event| event["content_block"]["name"].clone())
        .collect();
    assert_eq!(blocks, ["look", "listen"]);
    assert!(answered.text().contains("\"tool_use\"") && answered.text().contains("message_stop"));
    assert_eq!(finished.ending, Ending::Complete);
}

#[tokio::test]
async fn t53_a_translated_stream_without_its_end_has_failed() {
    let (answered, finished) = streamed(&[&chunk("a")]).await;
    assert!(answered.text().contains("text_delta") && !answered.text().contains("message_stop"));
    assert_eq!(answered.failure.unwrap().kind, FailureKind::Broken);
    assert!(matches!(finished.ending, Ending::Failed(failure) if failure.kind == FailureKind::Broken));
    // One that never began can go elsewhere.
    for said in [&[][..], &[": only a comment\n\n"]] {
        let (answered, _) = streamed(said).await;
        assert!(answered.head.is_none(), "{said:?}");
        assert!(answered.failure.is_some_and(|failure| failure.kind == FailureKind::Malformed), "{said:?}");
    }
}

#[tokio::test]
async fn t52_an_error_inside_a_translated_stream_is_one() {
    let error = "data: {\"error\":{\"message\":\"it broke\",\"code\":500}}\n\n";
    let (answered, finished) = streamed(&[&chunk("a"), error]).await;
    assert!(!answered.text().contains("message_stop"));
    assert_eq!(answered.failure.unwrap().kind, FailureKind::Broken);
    let Ending::Failed(failure) = finished.ending else { panic!("{:?}", finished.ending) };
    assert!(failure.detail.contains("it broke"));

    let (answered, _) = streamed(&["data: {\"error\":{\"message\":\"busy\",\"code\":429}}\n\n"]).await;
    assert!(answered.head.is_none());
    assert_eq!(answered.failure.unwrap().kind, FailureKind::Overloaded);

    let refused = "data: {\"error\":{\"message\":\"too long\",\"code\":400}}\n\n";
    let (answered, finished) = streamed(&[refused]).await;
    assert_eq!(answered.head.as_ref().unwrap().status, 400);
    let told: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!((&told["type"], &told["error"]["type"]), (&json!("error"), &json!("invalid_request_error")));
    assert_eq!(finished.ending, Ending::Declined);
}

#[tokio::test]
async fn t54_a_stream_that_is_answered_whole_becomes_one() {
    let (backend, mut supervisor, mut frontend) = house(Dialect::OpenAi, |_| {}).await;
    let body = message(true);
    frontend.send(messages(1, true, &body), &body).await;
    let answer = json!({"id": "c1", "model": "real",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2}});
    backend.exchange().await.json(200, &answer.to_string()).await;
    let answered = frontend.answer().await;
    let head = answered.head.as_ref().unwrap();
    assert_eq!((head.events, head.body_bytes), (true, None));
    assert_eq!(answered.header("content-type"), Some("text/event-stream"));
    let kinds = kinds(answered.text());
    assert_eq!((kinds[0].as_str(), kinds[kinds.len() - 1].as_str()), ("message_start", "message_stop"));
    assert!(answered.text().contains("\"hi\""));
    assert_eq!(supervisor.finished().await.usage.output_tokens, Some(2));
}

/// A chat request with a member that Gemini has no place for, under these terms.
async fn lossy(is_strict: bool) -> (Backend, Supervisor, Frontend) {
    let (backend, supervisor, mut frontend) =
        house(Dialect::Gemini, |spec| spec.compat.is_strict = is_strict).await;
    let body = br#"{"model":"m","logit_bias":{"7":1},"messages":[{"role":"user","content":"hello"}]}"#;
    frontend.send(open(1, Endpoint::ChatCompletions, false, body), body).await;
    (backend, supervisor, frontend)
}

#[tokio::test]
async fn what_is_lost_is_named_to_the_client_and_in_the_report() {
    let (backend, mut supervisor, mut frontend) = lossy(false).await;
    let answer = json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2},
    });
    let mut exchange = backend.exchange().await;
    assert!(!String::from_utf8_lossy(&exchange.body).contains("bias"));
    exchange.json(200, &answer.to_string()).await;
    let answered = frontend.answer().await;
    let warning = answered.header("x-proxylm-warning").unwrap();
    assert!(warning.starts_with("logit_bias: "), "{warning}");
    assert_eq!(supervisor.finished().await.warnings, warning);
    // It is named beside a refusal, too.
    let (backend, mut supervisor, mut frontend) = lossy(false).await;
    backend.exchange().await.json(400, "{}").await;
    assert_eq!(frontend.answer().await.header("x-proxylm-warning"), Some(warning));
    let finished = supervisor.finished().await;
    assert_eq!((finished.ending, finished.warnings.as_str()), (Ending::Declined, warning));
}

#[tokio::test]
async fn a_strict_translation_refuses_to_lose_anything() {
    let (_backend, mut supervisor, mut frontend) = lossy(true).await;
    let failure = frontend.failure().await;
    assert_eq!(failure.kind, FailureKind::Untranslatable);
    let told = failure.told.as_deref().unwrap();
    assert_eq!(told.param.as_deref(), Some("logit_bias"));
    assert!(told.message.starts_with("logit_bias "), "{}", told.message);
    let finished = supervisor.finished().await;
    assert_eq!((finished.ending, finished.upstream_status), (Ending::Failed(failure), None));
}

#[tokio::test]
async fn a_request_that_is_wrong_in_its_own_dialect_is_refused_before_the_backend() {
    let (_backend, _supervisor, mut frontend) = house(Dialect::Anthropic, |_| {}).await;
    let body = br#"{"model":"m","messages":"hello"}"#;
    frontend.send(open(1, Endpoint::ChatCompletions, false, body), body).await;
    let failure = frontend.failure().await;
    assert_eq!(failure.kind, FailureKind::BadRequest);
    let told = failure.told.unwrap();
    assert_eq!(told.param.as_deref(), Some("messages"));
    assert!(!failure.detail.contains("hello") && !told.message.contains("hello"));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_clients_words() {
    for (status, kind) in
        [(400, "invalid_request_error"), (401, "authentication_error"), (404, "not_found_error")]
    {
        let (backend, mut supervisor, mut frontend) = house(Dialect::OpenAi, |_| {}).await;
        let body = message(true);
        frontend.send(messages(1, true, &body), &body).await;
        let refusal = r#"{"error":{"message":"not like this","type":"invalid_request_error","code":null}}"#;
        let headers = "content-type: application/json\r\nretry-after: 3\r\n";
        backend.exchange().await.answer(status, headers, refusal.as_bytes()).await;
        let answered = frontend.answer().await;
        let head = answered.head.as_ref().unwrap();
        assert_eq!((head.status, head.events), (status, false));
        assert_eq!(answered.header("retry-after"), Some("3"));
        let told: Value = serde_json::from_slice(&answered.body).unwrap();
        assert_eq!((&told["type"], &told["error"]["type"]), (&json!("error"), &json!(kind)));
        assert_eq!(told["error"]["message"], "not like this");
        assert_eq!(supervisor.ending().await, Ending::Declined);
    }
    // A backend that repeats our key tells it to us alone.
    let key = Credential::GoogleKey(Secret::new("g-ours"));
    let (backend, _supervisor, mut frontend) =
        house(Dialect::Gemini, |spec| spec.credential = Some(key)).await;
    let body = br#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
    frontend.send(open(1, Endpoint::ChatCompletions, false, body), body).await;
    let refusal = r#"{"error":{"code":403,"message":"the key g-ours may not","status":"PERMISSION_DENIED"}}"#;
    let mut exchange = backend.exchange().await;
    assert_eq!(exchange.header("x-goog-api-key"), Some("g-ours"));
    exchange.json(403, refusal).await;
    let answered = frontend.answer().await;
    assert_eq!(answered.head.as_ref().unwrap().status, 403);
    let told: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!(told["error"]["message"], "the key [secret] may not");
    // What another backend may do better is no refusal.
    let (backend, _supervisor, mut frontend) = house(Dialect::OpenAi, |_| {}).await;
    let body = message(true);
    frontend.send(messages(1, true, &body), &body).await;
    backend.exchange().await.answer(429, "retry-after: 3\r\n", b"{}").await;
    let failure = frontend.failure().await;
    assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::Overloaded, Some(3000)));
}

#[tokio::test]
async fn nonsense_in_the_place_of_an_answer_goes_elsewhere() {
    for (headers, body) in [
        ("content-type: application/json\r\n", &b"{\"choices\":["[..]),
        ("content-type: application/json\r\n", b"[]"),
        ("content-type: text/html\r\n", b"<html>welcome</html>"),
        ("content-type: text/event-stream\r\n", b"data: {}\n\n"),
        ("content-type: application/json\r\ncontent-encoding: zstd\r\n", b"\x28\xb5\x2f\xfd"),
    ] {
        let (backend, _supervisor, mut frontend) = house(Dialect::OpenAi, |_| {}).await;
        let asked = message(false);
        frontend.send(messages(1, false, &asked), &asked).await;
        backend.exchange().await.answer(200, headers, body).await;
        assert_eq!(frontend.failure().await.kind, FailureKind::Malformed, "{headers}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_call_with_it() {
    let (backend, mut supervisor, mut frontend) = house(Dialect::OpenAi, |_| {}).await;
    let body = message(true);
    frontend.send(messages(1, true, &body), &body).await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange.write(chunk("a")).await;
    assert!(matches!(frontend.next().await, Some(Answer::Head(_))));
    drop(frontend);
    exchange.closed_by_worker().await;
    let ending = loop {
        if let FromWorker::Finished(finished) = supervisor.next().await {
            break finished.ending;
        }
    };
    assert_eq!(ending, Ending::Cancelled);
}

#[tokio::test]
async fn silence_in_a_translated_stream_runs_into_its_limit() {
    let (backend, _supervisor, mut frontend) =
        house(Dialect::OpenAi, |spec| spec.timeouts.idle_ms = 50).await;
    let body = message(true);
    frontend.send(messages(1, true, &body), &body).await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange.write(chunk("a")).await;
    let answered = frontend.answer().await;
    assert!(answered.text().contains("text_delta") && answered.text().ends_with("\n\n"));
    assert_eq!(answered.failure.unwrap().kind, FailureKind::Timeout(Wait::Idle));
}

#[tokio::test]
async fn the_fake_speaks_through_the_translator_what_it_does_not_speak_itself() {
    use ipc_proto::spec::FakeSpec;
    let mut spec = crate::support::spec(BackendKind::Fake, "");
    spec.fake = Some(FakeSpec { models: vec![ModelName::new("m")], load_ms: 0, word_ms: 1, words: 12 });
    let mut supervisor = Supervisor::start(spec).await;
    let mut frontend = supervisor.frontend().await;
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"a b"}],"stream":true}"#;
    let asked = [
        (Endpoint::Responses, r#"{"model":"m","input":"a b","stream":true}"#),
        (Endpoint::GenerateContent, r#"{"contents":[{"role":"user","parts":[{"text":"a b"}]}]}"#),
        (Endpoint::OllamaChat, chat),
        (Endpoint::OllamaGenerate, r#"{"model":"m","prompt":"a b"}"#),
    ];
    for (grant, (endpoint, body)) in (1..).zip(asked) {
        for stream in [true, false] {
            let body = body.replace("\"stream\":true", &format!("\"stream\":{stream}"));
            frontend.send(open(grant, endpoint, stream, body.as_bytes()), body.as_bytes()).await;
            let answered = frontend.answer().await;
            assert!(answered.failure.is_none(), "{endpoint:?} {answered:?}");
            assert_eq!(answered.head.as_ref().map(|head| (head.status, head.events)), Some((200, stream)));
            assert!(answered.text().contains("fake"), "{endpoint:?}: {}", answered.text());
            let finished = supervisor.finished().await;
            assert_eq!((finished.ending, finished.usage.output_tokens), (Ending::Complete, Some(12)));
        }
    }
}
