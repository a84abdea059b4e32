//! Streams: through untouched, held back until they begin, and honest about how they end.

use std::io::Write;

use dialect::{Dialect, Endpoint};
use ipc_proto::control::{Ending, Finished, FromWorker};
use ipc_proto::failure::{FailureKind, Wait};
use ipc_proto::stream::Answer;

use crate::support::{Answered, Backend, DONE, chunk, open};

/// One chat stream whose backend says `pieces` and closes.
async fn streamed(pieces: &[&str]) -> (Answered, Finished) {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat_stream(1).await;
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

#[tokio::test]
async fn str_02_and_03_a_stream_comes_through_byte_for_byte() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":1}}\n\n";
    let said = [": hello\n\n", &chunk("a"), "event: x\r\nid: 1\r\n", &chunk("b"), usage, DONE];
    let (answered, finished) = streamed(&said).await;
    assert_eq!(answered.text(), said.concat());
    assert!(answered.head.as_ref().unwrap().events);
    assert_eq!(answered.header("content-type"), Some("text/event-stream"));
    assert!(answered.failure.is_none());
    assert_eq!((finished.ending, finished.usage.input_tokens), (Ending::Complete, Some(2)));
    assert!(finished.first_byte_us.is_some());
}

#[tokio::test]
async fn each_event_arrives_when_it_is_said() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat_stream(1).await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange.write(": thinking\n\n").await;
    for text in ["a", "b", "c"] {
        exchange.write(chunk(text)).await;
        if text == "a" {
            assert!(matches!(frontend.next().await, Some(Answer::Head(_))));
        }
        let Some(Answer::Chunk(bytes)) = frontend.next().await else { panic!("no chunk") };
        assert!(bytes.ends_with(chunk(text).as_bytes()));
    }
    // The end marker ends it, though the backend keeps the connection open.
    exchange.write(DONE).await;
    assert!(matches!(frontend.next().await, Some(Answer::Chunk(_))));
    assert!(matches!(frontend.next().await, Some(Answer::End(_))));
    assert_eq!(supervisor.ending().await, Ending::Complete);
    exchange.closed_by_worker().await;
}

#[tokio::test]
async fn str_07_a_stream_without_its_end_marker_has_failed() {
    let (answered, finished) = streamed(&[&chunk("a")]).await;
    assert_eq!(answered.text(), chunk("a"));
    assert_eq!(answered.failure.unwrap().kind, FailureKind::Broken);
    assert!(matches!(finished.ending, Ending::Failed(failure) if failure.kind == FailureKind::Broken));
    assert_eq!(finished.upstream_status, Some(200));
}

#[tokio::test]
async fn str_08_a_stream_that_never_begins_can_go_elsewhere() {
    let html = "<html><body>welcome</body></html>\n";
    for said in [&[][..], &[": only a comment\n\n"], &[html], &["data: garbage\n\n", "data: more\n\n"]] {
        let (answered, _) = streamed(said).await;
        assert!(answered.head.is_none(), "{said:?}");
        assert_eq!(answered.failure.unwrap().kind, FailureKind::Malformed, "{said:?}");
    }
}

#[tokio::test]
async fn an_error_before_any_content_counts_like_its_status() {
    let overloaded = "data: {\"error\":{\"message\":\"busy\",\"code\":429}}\n\n";
    let (answered, _) = streamed(&[overloaded]).await;
    assert_eq!(answered.failure.unwrap().kind, FailureKind::Overloaded);
    let unknown = "data: {\"error\":{\"message\":\"it broke\"}}\n\n";
    let (answered, _) = streamed(&[": hm\n\n", unknown]).await;
    let failure = answered.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::ServerError);
    assert!(failure.detail.contains("it broke"));
    let refused = "data: {\"error\":{\"message\":\"too long\",\"code\":400}}\n\n";
    let (answered, finished) = streamed(&[refused]).await;
    assert_eq!(answered.head.as_ref().unwrap().status, 400);
    assert!(answered.text().contains("too long"));
    assert_eq!(finished.ending, Ending::Declined);
}

#[tokio::test]
async fn an_error_after_content_breaks_the_stream() {
    let (answered, finished) =
        streamed(&[&chunk("a"), "data: {\"error\":{\"message\":\"it broke\"}}\n\n"]).await;
    assert_eq!(answered.text(), chunk("a"));
    assert_eq!(answered.failure.unwrap().kind, FailureKind::Broken);
    let Ending::Failed(failure) = finished.ending else { panic!("{:?}", finished.ending) };
    assert!(failure.detail.contains("it broke"));
}

#[tokio::test]
async fn str_13_ten_megabytes_in_one_line_pass() {
    let long = chunk(&"x".repeat(10 << 20));
    let (answered, finished) = streamed(&[&long, DONE]).await;
    assert!(answered.text() == [&long, DONE].concat());
    assert_eq!(finished.ending, Ending::Complete);
}

#[tokio::test]
async fn a_long_event_that_breaks_off_is_closed_for_what_comes_after_it() {
    let half = &chunk(&"x".repeat(200_000))[..150_000];
    let (answered, _) = streamed(&[&chunk("a"), half]).await;
    assert_eq!(answered.failure.unwrap().kind, FailureKind::Broken);
    assert!(answered.body.starts_with([&chunk("a"), half].concat().as_bytes()));
    assert!(answered.body.ends_with(b"\n\n"));
}

#[tokio::test]
async fn a_stream_that_is_packed_or_not_called_one_is_a_stream_all_the_same() {
    let events = [&chunk("a"), DONE].concat();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(events.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let gzip = "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n";
    for (headers, body) in [(gzip, &packed[..]), ("content-type: text/plain\r\n", events.as_bytes())] {
        let backend = Backend::start().await;
        let supervisor = backend.worker(|_| {}).await;
        let mut frontend = supervisor.frontend().await;
        frontend.chat_stream(1).await;
        backend.exchange().await.answer(200, headers, body).await;
        let answered = frontend.answer().await;
        assert_eq!(answered.text(), events);
        assert_eq!(answered.header("content-type"), Some("text/event-stream"));
    }
}

#[tokio::test]
async fn str_11_and_12_anthropic_events_come_through() {
    let said = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":11}}}\n\n\
        event: ping\ndata: {\"type\":\"ping\"}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\"}}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":4}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|spec| spec.dialects = vec![Dialect::Anthropic]).await;
    let mut frontend = supervisor.frontend().await;
    frontend.send(open(1, Endpoint::Messages, true, b"{}"), b"{}").await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange.write(said).await;
    assert_eq!(frontend.answer().await.text(), said);
    let usage = supervisor.finished().await.usage;
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(11), Some(4)));
}

#[tokio::test]
async fn silence_before_and_between_events_runs_into_its_limit() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|spec| spec.timeouts.first_event_ms = 50).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat_stream(1).await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange.write(": still thinking\n\n").await;
    assert_eq!(frontend.failure().await.kind, FailureKind::Timeout(Wait::FirstEvent));
    exchange.closed_by_worker().await;
    assert!(matches!(supervisor.ending().await, Ending::Failed(_)));

    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|spec| spec.timeouts.idle_ms = 50).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat_stream(1).await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange.write(chunk("a")).await;
    let answered = frontend.answer().await;
    assert_eq!(answered.text(), chunk("a"));
    assert_eq!(answered.failure.unwrap().kind, FailureKind::Timeout(Wait::Idle));
    assert!(matches!(supervisor.next().await, FromWorker::Started { .. }));
    assert!(matches!(supervisor.next().await, FromWorker::Begun { .. }));
    assert!(matches!(supervisor.ending().await, Ending::Failed(_)));
}
