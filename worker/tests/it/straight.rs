//! Requests in a dialect that the backend speaks: nothing but what was asked for changes, whatever the dialect.

use dialect::{Dialect, Endpoint, Framing};
use ipc_proto::control::{Ending, Finished};
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::ModelName;
use ipc_proto::stream::Open;

use crate::support::{Answered, Backend, open};

/// What became of `open` with `body` at a backend that speaks its dialect and answers so: what it was asked for, what it
/// got, what came back.
async fn answered(
    open: Open,
    body: &[u8],
    headers: &str,
    answer: &str,
) -> (String, Vec<u8>, Answered, Finished) {
    let backend = Backend::start().await;
    let dialect = open.endpoint.dialect();
    let mut supervisor = backend.worker(|spec| spec.dialects = vec![dialect]).await;
    let mut frontend = supervisor.frontend().await;
    frontend.send(open, body).await;
    let mut exchange = backend.exchange().await;
    let (answered, ()) = tokio::join!(frontend.answer(), exchange.answer(200, headers, answer.as_bytes()));
    (exchange.asked_for().to_owned(), exchange.body, answered, supervisor.finished().await)
}

const JSON: &str = "content-type: application/json; charset=utf-8\r\n";

#[tokio::test]
async fn every_endpoint_is_called_at_its_place_and_comes_back_whole() {
    for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| *endpoint != Endpoint::Native) {
        let body = br#" {"model" : "m", "odd":1.50}"#;
        let said = r#"{"odd": 1.50 }"#;
        let (asked, sent, answered, finished) =
            answered(open(1, endpoint, false, body), body, JSON, said).await;
        assert_eq!(asked, format!("POST {}", endpoint.path("m", false)));
        assert_eq!((&sent[..], answered.text()), (&body[..], said), "{endpoint:?}");
        assert_eq!(answered.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!((finished.ending, finished.warnings), (Ending::Complete, String::new()));
    }
}

/// A stream of `endpoint`, asked for with `query`, that must come through byte for byte.
async fn comes_through(endpoint: Endpoint, query: Option<&str>, content_type: &str, said: &str) -> Finished {
    let body = br#"{"model":"m"}"#;
    let mut asked = open(1, endpoint, true, body);
    asked.query = query.map(str::to_owned);
    asked.framing = Framing::of(endpoint, query);
    let headers = format!("content-type: {content_type}\r\n");
    let (place, _, answered, finished) = answered(asked, body, &headers, said).await;
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    assert_eq!(place, format!("POST {}{query}", endpoint.path("m", true)));
    assert_eq!(answered.text(), said);
    assert!(answered.head.as_ref().is_some_and(|head| head.events), "{:?}", answered.head);
    assert_eq!(answered.header("content-type"), Some(content_type));
    assert_eq!((&answered.failure, &finished.ending), (&None, &Ending::Complete));
    finished
}

#[tokio::test]
async fn streams_of_every_dialect_come_through_byte_for_byte() {
    let lines = concat!(
        r#"{"model":"m","message":{"role":"assistant","content":"hi"},"done":false}"#,
        "\n",
        r#"{"model":"m","done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}"#,
        "\n"
    );
    let finished = comes_through(Endpoint::OllamaChat, None, "application/x-ndjson", lines).await;
    assert_eq!((finished.usage.input_tokens, finished.usage.output_tokens), (Some(3), Some(2)));

    let events = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{}}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":",
        "{\"input_tokens\":3,\"output_tokens\":2}}}\n\n",
    );
    let finished = comes_through(Endpoint::Responses, None, "text/event-stream", events).await;
    assert_eq!((finished.usage.input_tokens, finished.usage.output_tokens), (Some(3), Some(2)));

    let first = r#"{"candidates":[{"content":{"parts":[{"text":"hi"}],"role":"model"}}]}"#;
    let last = concat!(
        r#"{"candidates":[{"content":{"parts":[],"role":"model"},"finishReason":"STOP"}],"#,
        r#""usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}"#
    );
    let events = format!("data: {first}\r\n\r\ndata: {last}\r\n\r\n");
    let finished =
        comes_through(Endpoint::GenerateContent, Some("alt=sse"), "text/event-stream", &events).await;
    assert_eq!((finished.usage.input_tokens, finished.usage.output_tokens), (Some(3), Some(2)));
    let elements = format!("[{first}\n,\r\n{last}\n]\n");
    let finished =
        comes_through(Endpoint::GenerateContent, None, "application/json; charset=UTF-8", &elements).await;
    assert_eq!((finished.usage.input_tokens, finished.usage.output_tokens), (Some(3), Some(2)));
}

#[tokio::test]
async fn streams_that_break_off_are_failures_in_every_dialect() {
    let body = br#"{"model":"m"}"#;
    let line = "{\"model\":\"m\",\"message\":{\"content\":\"hi\"},\"done\":false}\n";
    let (_, _, answered, _) = answered(
        open(1, Endpoint::OllamaChat, true, body),
        body,
        "content-type: application/x-ndjson\r\n",
        line,
    )
    .await;
    assert_eq!(answered.text(), line);
    assert_eq!(answered.failure.unwrap().kind, FailureKind::Broken);
}

#[tokio::test]
async fn a_model_in_the_path_goes_by_the_backends_own_name() {
    let body = br#"{"requests":[{"model":"models/alias","content":{}}]}"#;
    let mut asked = open(1, Endpoint::BatchEmbedContents, false, body);
    (asked.model, asked.renamed) = (ModelName::new("models/real:1"), true);
    let (place, sent, _, _) = answered(asked, body, JSON, "{}").await;
    assert_eq!(place, "POST /v1beta/models/real%3A1:batchEmbedContents");
    assert_eq!(String::from_utf8(sent).unwrap(), r#"{"requests":[{"model":"models/real:1","content":{}}]}"#);
}

#[tokio::test]
async fn what_no_translation_can_do_is_said_and_the_backend_is_left_alone() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|spec| spec.dialects = vec![Dialect::Anthropic]).await;
    let mut frontend = supervisor.frontend().await;
    for (grant, endpoint) in
        [(1, Endpoint::Embeddings), (2, Endpoint::Completions), (3, Endpoint::GeminiCountTokens)]
    {
        frontend.send(open(grant, endpoint, false, b"{}"), b"{}").await;
        let failure = frontend.failure().await;
        assert_eq!(failure.kind, FailureKind::Untranslatable);
        assert!(failure.told.as_ref().is_some_and(|told| told.message.contains("not even by translation")));
        let finished = supervisor.finished().await;
        assert_eq!((finished.ending, finished.upstream_status), (Ending::Failed(failure), None));
    }
}

#[tokio::test]
async fn a_refusal_that_repeats_our_key_is_passed_on_without_it() {
    let backend = Backend::start().await;
    let key = ipc_proto::spec::Credential::Bearer(ipc_proto::secret::Secret::new("ours"));
    let supervisor = backend.worker(|spec| spec.credential = Some(key)).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    backend.exchange().await.json(401, r#"{"error":{"message":"Incorrect API key provided: ours."}}"#).await;
    let answered = frontend.answer().await;
    assert_eq!(answered.text(), r#"{"error":{"message":"Incorrect API key provided: [secret]."}}"#);
    let head = answered.head.as_ref().unwrap();
    assert_eq!((head.status, head.body_bytes), (401, Some(answered.body.len() as u64)));
}

#[tokio::test]
async fn lines_in_one_piece_are_an_answer_to_whoever_asked_for_a_stream() {
    let lines = "{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"done\":true}\n";
    for (stream, is_answer) in [(true, true), (false, false)] {
        let backend = Backend::start().await;
        let supervisor = backend.worker(|spec| spec.dialects = vec![dialect::Dialect::Ollama]).await;
        let mut frontend = supervisor.frontend().await;
        let body = br#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
        frontend.send(open(1, dialect::Endpoint::OllamaChat, stream, body), body).await;
        backend.exchange().await.json(200, lines).await;
        let answered = frontend.answer().await;
        assert_eq!(answered.failure.is_none(), is_answer, "{stream}");
        assert_eq!(answered.text(), if is_answer { lines } else { "" });
    }
}

#[tokio::test]
async fn a_stream_in_another_framing_than_promised_is_no_answer() {
    let backend = Backend::start().await;
    let supervisor = backend.worker(|spec| spec.dialects = vec![dialect::Dialect::Gemini]).await;
    let mut frontend = supervisor.frontend().await;
    let body = br#"{"contents":[{"parts":[{"text":"hello"}]}]}"#;
    // A list was asked for.
    frontend.send(open(1, dialect::Endpoint::GenerateContent, true, body), body).await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange.write("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\n\n").await;
    let failure = frontend.failure().await;
    assert_eq!(failure.kind, ipc_proto::failure::FailureKind::Malformed);
    exchange.closed_by_worker().await;
}
