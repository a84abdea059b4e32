//! What a backend says beside answers, told across dialects: refusals to think, failures, overloads, lines called JSON.

use dialect::{Dialect, Endpoint};
use ipc_proto::control::Ending;
use ipc_proto::failure::FailureKind;
use ipc_proto::secret::Secret;
use ipc_proto::spec::Credential;
use ipc_proto::stream::Answer;
use serde_json::json;

use crate::support::{chunk, open};
use crate::translated::{house, message, messages, sent, streamed};

/// An Anthropic client's request that wants thoughts.
fn thoughtful() -> Vec<u8> {
    let body = json!({
        "model": "m", "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [{"role": "user", "content": "hello"}],
    });
    body.to_string().into_bytes()
}

const NO_THOUGHTS: &str = r#"{"error":"\"m\" does not support thinking"}"#;

#[tokio::test]
async fn t23_a_model_without_thoughts_is_asked_again_without_them() {
    let (backend, mut supervisor, mut frontend) = house(Dialect::Ollama, |_| {}).await;
    let body = thoughtful();
    frontend.send(messages(1, false, &body), &body).await;
    let mut first = backend.exchange().await;
    let refused = r#"{"error":"think value \"low\" is not supported for this model"}"#;
    assert!(sent(&first)["think"].is_string(), "{}", sent(&first));
    first.json(400, refused).await;
    let mut second = backend.exchange().await;
    assert_eq!(sent(&second)["think"], true);
    second.json(400, NO_THOUGHTS).await;
    let mut third = backend.exchange().await;
    assert_eq!(sent(&third).get("think"), None);
    assert_eq!(sent(&third)["messages"], sent(&first)["messages"]);
    let answer = json!({"model": "m", "message": {"role": "assistant", "content": "hi"}, "done": true, "done_reason": "stop"});
    third.json(200, &answer.to_string()).await;
    let answered = frontend.answer().await;
    assert_eq!(answered.head.as_ref().unwrap().status, 200);
    let warning = answered.header("x-proxylm-warning").unwrap();
    assert_eq!(warning.matches("thinking: the model refused it").count(), 1, "{warning}");
    assert_eq!(supervisor.finished().await.warnings, warning);
}

#[tokio::test]
async fn t23_where_nothing_may_be_lost_the_refusal_is_the_answer() {
    let (backend, mut supervisor, mut frontend) =
        house(Dialect::Ollama, |spec| spec.compat.is_strict = true).await;
    let body = br#"{"model":"m","reasoning_effort":"low","messages":[{"role":"user","content":"hello"}]}"#;
    frontend.send(open(1, Endpoint::ChatCompletions, false, body), body).await;
    backend.exchange().await.json(400, NO_THOUGHTS).await;
    let answered = frontend.answer().await;
    assert_eq!(answered.head.as_ref().unwrap().status, 400);
    assert!(answered.text().contains("does not support thinking"));
    assert_eq!(supervisor.finished().await.ending, Ending::Declined);
}

#[tokio::test]
async fn a_failure_is_told_in_the_backends_words_without_our_key() {
    let ours = || Some(Credential::Bearer(Secret::new("ours")));
    for (status, kind) in [(429, FailureKind::Overloaded), (500, FailureKind::ServerError)] {
        let (backend, _supervisor, mut frontend) =
            house(Dialect::OpenAi, |spec| spec.credential = ours()).await;
        let body = message(false);
        frontend.send(messages(1, false, &body), &body).await;
        let said = r#"{"error":{"message":"10 requests a minute for ours","type":"requests"}}"#;
        backend.exchange().await.json(status, said).await;
        let failure = frontend.failure().await;
        assert_eq!(failure.kind, kind);
        assert_eq!(failure.told.unwrap().message, "10 requests a minute for [secret]");
        assert!(!failure.detail.contains("ours"), "{}", failure.detail);
    }
    // What is no message is not quoted.
    let (backend, _supervisor, mut frontend) = house(Dialect::OpenAi, |_| {}).await;
    let body = message(false);
    frontend.send(messages(1, false, &body), &body).await;
    backend.exchange().await.answer(502, "content-type: text/html\r\n", b"<html>10.0.0.7</html>").await;
    assert_eq!(frontend.failure().await.told, None);
}

#[tokio::test]
async fn te_an_overload_in_the_middle_of_a_stream_is_told_as_one() {
    let busy = "data: {\"error\":{\"message\":\"busy now\",\"code\":529}}\n\n";
    let (answered, finished) = streamed(&[&chunk("a"), busy]).await;
    let failure = answered.failure.unwrap();
    assert_eq!((failure.kind, failure.told.unwrap().message.as_str()), (FailureKind::Overloaded, "busy now"));
    assert!(matches!(finished.ending, Ending::Failed(failure) if failure.kind == FailureKind::Overloaded));
    let broke = "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n";
    let failure = streamed(&[&chunk("a"), broke]).await.0.failure.unwrap();
    assert_eq!(
        (failure.kind, failure.told.unwrap().message.as_str()),
        (FailureKind::Broken, "out of memory")
    );
}

const HALF: &str = r#"{"model":"m","message":{"role":"assistant","content":"Hel"},"done":false}"#;
const REST: &str = r#"{"model":"m","message":{"role":"assistant","content":"lo"},"done":true,"done_reason":"stop","eval_count":2}"#;

#[tokio::test]
async fn lines_that_call_themselves_json_are_a_stream() {
    for endpoint in [Endpoint::Messages, Endpoint::OllamaChat] {
        let (backend, mut supervisor, mut frontend) = house(Dialect::Ollama, |_| {}).await;
        let body = message(true);
        frontend.send(open(1, endpoint, true, &body), &body).await;
        let mut exchange = backend.exchange().await;
        exchange
            .write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
            .await;
        exchange.write(format!("{HALF}\n")).await;
        let mut told = String::new();
        // The first piece is there before the second is said.
        while !told.contains("Hel") {
            if let Answer::Chunk(bytes) = frontend.next().await.unwrap() {
                told.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        }
        exchange.write(format!("{REST}\n")).await;
        exchange.close().await;
        assert!(frontend.answer().await.failure.is_none(), "{endpoint:?}");
        let finished = supervisor.finished().await;
        assert_eq!(
            (finished.ending, finished.usage.output_tokens),
            (Ending::Complete, Some(2)),
            "{endpoint:?}"
        );
    }
}
