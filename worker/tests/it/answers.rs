//! Whole answers: good, refused, failed, broken.

use std::io::Read;

use dialect::Endpoint;
use ipc_proto::control::Ending;
use ipc_proto::failure::{FailureKind, Wait};
use ipc_proto::secret::Secret;
use ipc_proto::spec::Credential;

use crate::support::{Answered, Backend, open};

/// One chat request without a stream, answered like this.
async fn answered(status: u16, headers: &str, body: &[u8]) -> (Answered, Ending) {
    let backend = Backend::start().await;
    let key = Some(Credential::Bearer(Secret::new("sk-ours")));
    let mut supervisor = backend.worker(|spec| spec.credential = key).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    let mut exchange = backend.exchange().await;
    let (answered, ()) = tokio::join!(frontend.answer(), exchange.answer(status, headers, body));
    (answered, supervisor.ending().await)
}

#[tokio::test]
async fn ret_06_a_refusal_goes_through_as_it_is() {
    for status in [400, 401, 404, 422] {
        let (answered, ending) = answered(status, "content-type: text/plain\r\n", b"no such thing").await;
        assert_eq!(answered.head.as_ref().unwrap().status, status);
        assert_eq!(answered.text(), "no such thing");
        assert_eq!(ending, Ending::Declined);
    }
}

#[tokio::test]
async fn ret_07_too_much_to_do_says_when_to_come_again() {
    for (status, header, after) in
        [(429, "retry-after: 7\r\n", Some(7000)), (529, "", None), (503, "retry-after: 1\r\n", Some(1000))]
    {
        let (answered, ending) = answered(status, header, b"{}").await;
        assert!(answered.head.is_none());
        let failure = answered.failure.unwrap();
        assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::Overloaded, after));
        assert_eq!(failure.upstream_status, Some(status));
        assert_eq!(ending, Ending::Failed(failure));
    }
}

#[tokio::test]
async fn a_failed_backend_is_quoted_without_our_key() {
    let body = br#"{"error":{"message":"key sk-ours is out of memory"}}"#;
    for status in [500, 502, 503, 408, 425] {
        let (answered, _) = answered(status, "", body).await;
        let failure = answered.failure.unwrap();
        assert_eq!(failure.kind, FailureKind::ServerError, "{status}");
        assert!(failure.detail.contains("key [secret] is out of memory"), "{}", failure.detail);
    }
}

#[tokio::test]
async fn nonsense_instead_of_an_answer_is_not_passed_on() {
    for (status, headers, body) in [
        (200, "content-type: text/html\r\n", &b"<html>welcome</html>"[..]),
        (200, "content-type: application/json\r\n", b""),
        (200, "", b"[1,2]"),
        (200, "content-type: application/json\r\n", b"{\"choices\":["),
        (302, "location: http://elsewhere/\r\n", b""),
    ] {
        let (answered, _) = answered(status, headers, body).await;
        assert!(answered.head.is_none());
        assert_eq!(answered.failure.unwrap().kind, FailureKind::Malformed, "{headers}");
    }
}

#[tokio::test]
async fn packed_answers_are_unpacked_and_strange_packings_left_alone() {
    let body = br#"{"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(&body[..], flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    let (unpacked, _) = answered(200, "content-encoding: gzip\r\n", &packed).await;
    assert_eq!(unpacked.body, body);
    assert_eq!(unpacked.header("content-encoding"), None);
    let (raw, ending) = answered(200, "content-encoding: zstd\r\n", b"\x28\xb5\x2f\xfd").await;
    assert_eq!(
        (raw.body.as_slice(), raw.header("content-encoding")),
        (&b"\x28\xb5\x2f\xfd"[..], Some("zstd"))
    );
    assert_eq!(ending, Ending::Complete);
}

#[tokio::test]
async fn a_long_answer_streams_and_still_tells_its_usage() {
    let filler = "x".repeat(3_000_000);
    let body = format!(r#"{{"data":"{filler}","usage":{{"prompt_tokens":9,"total_tokens":9}}}}"#);
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.send(open(1, Endpoint::Embeddings, false, b"{}"), b"{}").await;
    let mut exchange = backend.exchange().await;
    let (answered, ()) = tokio::join!(frontend.answer(), exchange.json(200, &body));
    assert!(answered.body == body.as_bytes());
    assert_eq!(answered.head.unwrap().body_bytes, Some(body.len() as u64));
    let finished = supervisor.finished().await;
    assert_eq!((finished.ending, finished.usage.input_tokens), (Ending::Complete, Some(9)));
}

#[tokio::test]
async fn an_answer_that_breaks_off_fails_before_or_after_its_head() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    for (length, kind) in [(10, FailureKind::Malformed), (400_000, FailureKind::Broken)] {
        let mut frontend = supervisor.frontend().await;
        frontend.chat(length as u64).await;
        let mut exchange = backend.exchange().await;
        let body = format!("{{{}", " ".repeat(length));
        exchange.write(format!("HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n{body}")).await;
        exchange.close().await;
        let answered = frontend.answer().await;
        assert_eq!(answered.failure.unwrap().kind, kind);
        assert_eq!(answered.head.is_some(), kind == FailureKind::Broken);
        assert!(matches!(supervisor.ending().await, Ending::Failed(failure) if failure.kind == kind));
    }
}

#[tokio::test]
async fn no_answer_at_all_is_one_that_makes_no_sense() {
    let backend = Backend::start().await;
    let supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    backend.exchange().await.close().await;
    let failure = frontend.failure().await;
    assert_eq!(failure.kind, FailureKind::Malformed);
    assert!(failure.detail.contains("connection closed before an answer"), "{}", failure.detail);
    frontend.chat(2).await;
    backend.exchange().await.write("I am not a web server\r\n\r\n").await;
    assert_eq!(frontend.failure().await.kind, FailureKind::Malformed);
}

#[tokio::test]
async fn a_whole_answer_has_a_limit_over_everything() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|spec| spec.timeouts.total_ms = 50).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    let mut exchange = backend.exchange().await;
    exchange.write("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{").await;
    assert_eq!(frontend.failure().await.kind, FailureKind::Timeout(Wait::Total));
    exchange.closed_by_worker().await;
    assert!(matches!(supervisor.ending().await, Ending::Failed(_)));
}

#[tokio::test]
async fn a_stream_that_is_answered_whole_goes_through_whole() {
    let backend = Backend::start().await;
    let supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat_stream(1).await;
    backend.exchange().await.json(200, r#"{"choices":[]}"#).await;
    let answered = frontend.answer().await;
    assert!(!answered.head.as_ref().unwrap().events);
    assert_eq!(answered.text(), r#"{"choices":[]}"#);
}
