//! Streaming clients that wait, and the signs of life they get.

use http_body_util::BodyExt;
use ipc_proto::control::{FromFrontend, ToFrontend};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::RequestId;
use ipc_proto::stream::Answer;
use tokio::task::JoinSet;

use crate::answers::{http_2, post};
use crate::support::{
    CHAT, Client, Reply, STREAM, Scene, chunk, end, event_head, fail, head, sized_head, soon,
};

/// Between two signs of life, in milliseconds.
const INTERVAL: u64 = 20;
/// The sign of life of OpenAI's dialect.
const COMMENT: &str = ": proxylm is waiting\n\n";
/// The sign of life of Anthropic's dialect.
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
/// A request for a stream in Anthropic's dialect.
const MESSAGES: &str = r#"{"model":"m","max_tokens":1,"stream":true,"messages":[]}"#;
/// Path, body and sign of life of each dialect, and of the other endpoint that streams.
const STREAMS: [(&str, &str, &str); 3] = [
    ("/v1/chat/completions", STREAM, COMMENT),
    ("/v1/completions", STREAM, COMMENT),
    ("/v1/messages", MESSAGES, PING),
];

/// Everything up to and with some signs of life.
async fn beats(client: &mut Client, beat: &str) -> String {
    let mut seen = String::new();
    for _ in 0..3 {
        seen += &client.until(beat).await;
    }
    seen
}

/// The whole response of a client that has `seen` its beginning.
async fn rest(client: &mut Client, seen: String) -> Reply {
    Reply::of(&(seen + &client.until("\r\n0\r\n\r\n").await))
}

/// The response's body without signs of life, of which there must be some at the front.
fn content(reply: &Reply, beat: &str) -> String {
    assert!(reply.body.starts_with(beat), "{}", reply.body);
    reply.body.replace(beat, "")
}

/// How the supervisor heard the request end.
async fn ending(scene: &mut Scene, request: RequestId) -> (u16, Option<FailureKind>, u64) {
    let outcome = scene.closed(request).await;
    (outcome.status, outcome.failure.map(|failure| failure.kind), outcome.bytes_sent)
}

#[tokio::test]
async fn a_waiting_stream_has_its_head_and_signs_of_life_and_then_its_answer() {
    for (path, body, beat) in STREAMS {
        let mut scene = Scene::beating(INTERVAL).await;
        let worker = scene.worker();
        let (mut client, request) = scene.asking(path, body).await;
        let mut seen = beats(&mut client, beat).await;
        scene.grant(request, 1);
        let mut visit = worker.visited().await;
        visit.request().await;
        // The backend loads its model and reads the prompt.
        seen += &beats(&mut client, beat).await;
        visit.answer(&[event_head(), chunk("data: 1\n\n")]).await;
        seen += &client.until("data: 1\n\n").await;
        visit.answer(&[chunk("data: 2\n\n"), end()]).await;
        let reply = rest(&mut client, seen).await;
        assert_eq!(content(&reply, beat), "data: 1\n\ndata: 2\n\n");
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache"),
            ("x-accel-buffering", "no"),
            ("x-request-id", request.to_string().as_str()),
        ] {
            assert_eq!(reply.header(name), Some(value), "{name} {reply:?}");
        }
        assert_eq!((reply.status, reply.header("x-proxylm-backend")), (200, None));
        assert_eq!(ending(&mut scene, request).await, (200, None, 18));
    }
}

#[tokio::test]
async fn an_answer_that_comes_in_time_has_no_signs_of_life_in_front() {
    let mut scene = Scene::beating(60_000).await;
    let worker = scene.worker();
    let (mut client, request) = scene.chatting(STREAM).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[event_head(), chunk("data: 1\n\n"), end()]).await;
    let reply = client.reply().await;
    assert_eq!((reply.body.as_str(), reply.header("x-proxylm-backend")), ("data: 1\n\n", Some("big")));
}

#[tokio::test]
async fn a_short_answer_that_comes_at_once_follows_signs_of_life() {
    let mut scene = Scene::beating(INTERVAL).await;
    let worker = scene.worker();
    let (mut client, request) = scene.chatting(STREAM).await;
    let seen = beats(&mut client, COMMENT).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[event_head(), chunk("data: 1\n\n"), end()]).await;
    assert_eq!(content(&rest(&mut client, seen).await, COMMENT), "data: 1\n\n");
    assert_eq!(ending(&mut scene, request).await, (200, None, 9));
}

#[tokio::test]
async fn other_attempts_are_made_behind_signs_of_life() {
    let mut scene = Scene::beating(INTERVAL).await;
    let (mut client, request) = scene.chatting(STREAM).await;
    let mut seen = beats(&mut client, COMMENT).await;
    // Nobody listens there yet.
    scene.grant(request, 1);
    assert!(matches!(scene.hears().await, FromFrontend::AttemptFailed { .. }));
    seen += &beats(&mut client, COMMENT).await;
    let worker = scene.worker();
    scene.grant(request, 2);
    let mut visit = worker.visited().await;
    visit.request().await;
    seen += &beats(&mut client, COMMENT).await;
    visit.answer(&[fail(FailureKind::ServerError)]).await;
    let failed = scene.hears().await;
    assert!(
        matches!(&failed, FromFrontend::AttemptFailed { failure, .. } if failure.kind == FailureKind::ServerError),
        "{failed:?}"
    );
    scene.grant(request, 3);
    assert_eq!(visit.request().await.1, STREAM);
    visit.answer(&[event_head(), chunk("data: 1\n\n"), end()]).await;
    assert_eq!(content(&rest(&mut client, seen).await, COMMENT), "data: 1\n\n");
    assert_eq!(ending(&mut scene, request).await, (200, None, 9));
}

#[tokio::test]
async fn a_late_refusal_is_told_inside_the_stream() {
    for (path, body, beat) in STREAMS {
        let mut scene = Scene::beating(INTERVAL).await;
        let (mut client, request) = scene.asking(path, body).await;
        let seen = beats(&mut client, beat).await;
        scene.reject(request, Failure::new(FailureKind::QueueTimeout, "secret"));
        let reply = rest(&mut client, seen).await;
        let event = content(&reply, beat);
        let data = event.strip_prefix(if beat == PING { "event: error\ndata: " } else { "data: " });
        let data: serde_json::Value = serde_json::from_str(data.unwrap().trim_end()).unwrap();
        let kind = if beat == PING { "overloaded_error" } else { "server_error" };
        assert_eq!(data["error"]["type"], kind, "{event}");
        assert!(data["error"]["message"].as_str().unwrap().contains("in time"), "{event}");
        for wrong in ["secret", "[DONE]", "message_stop"] {
            assert!(!event.contains(wrong), "{event}");
        }
        let length = event.len() as u64;
        assert_eq!(
            ending(&mut scene, request).await,
            (200, Some(FailureKind::QueueTimeout), length),
            "{event}"
        );
    }
}

#[tokio::test]
async fn an_operators_cancel_ends_a_stream_that_waits() {
    let mut scene = Scene::beating(INTERVAL).await;
    let (mut client, request) = scene.chatting(STREAM).await;
    let seen = beats(&mut client, COMMENT).await;
    scene.say(&ToFrontend::Cancel { request });
    let event = content(&rest(&mut client, seen).await, COMMENT);
    assert!(event.contains("\"code\":\"cancelled\"") && event.ends_with("}\n\n"), "{event}");
    assert_eq!(ending(&mut scene, request).await.1, Some(FailureKind::Cancelled));
}

#[tokio::test]
async fn what_a_backend_says_instead_of_a_stream_is_told_inside_it() {
    // Longer than what is read for its message.
    let long = format!("{{\"error\":\"{}", "x".repeat(40_000));
    let longer = format!("{}\"}}", "x".repeat(40_000));
    for (answers, code, message, kind) in [
        (
            vec![
                head(422),
                chunk("{\n \"error\": {\"message\": \"too\\nlong\", \"code\": \"too_long\"}\n}"),
                end(),
            ],
            "too_long",
            "too\nlong",
            FailureKind::Declined,
        ),
        (
            vec![head(400), chunk("{\"error\":\"no\"}"), end()],
            "backend_declined",
            "no",
            FailureKind::Declined,
        ),
        (
            vec![head(400), chunk("{\"detail\""), chunk(":\"no\"}"), end()],
            "backend_declined",
            "no",
            FailureKind::Declined,
        ),
        (
            vec![head(400), chunk("<html><p>Bad <b>gateway</b></p></html>"), end()],
            "backend_declined",
            "Bad gateway",
            FailureKind::Declined,
        ),
        (
            vec![head(400), chunk(&long), chunk(&longer), end()],
            "backend_declined",
            "the backend refused the request",
            FailureKind::Declined,
        ),
        (
            vec![sized_head(200, 12), chunk("{\"message\":1}"), end()],
            "backend_malformed",
            "the backend's answer makes no sense",
            FailureKind::Malformed,
        ),
        (
            vec![head(400), chunk("{"), fail(FailureKind::Broken)],
            "stream_aborted",
            "the backend broke off its answer",
            FailureKind::Broken,
        ),
    ] {
        let event = instead_of_a_stream(&answers, kind).await;
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event}"));
        assert_eq!(data.trim_end().lines().count(), 1, "{event}");
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            (&data["error"]["code"], &data["error"]["message"]),
            (&code.into(), &message.into()),
            "{event}"
        );
    }
}

/// What a client that waits is told when the backend answers with this, which ends in this kind of failure.
async fn instead_of_a_stream(answers: &[Answer], kind: FailureKind) -> String {
    let mut scene = Scene::beating(INTERVAL).await;
    let worker = scene.worker();
    let (mut client, request) = scene.chatting(STREAM).await;
    let seen = beats(&mut client, COMMENT).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(answers).await;
    let reply = rest(&mut client, seen).await;
    assert_eq!(ending(&mut scene, request).await.1, Some(kind));
    content(&reply, COMMENT)
}

#[tokio::test]
async fn a_client_that_leaves_between_signs_of_life_is_withdrawn() {
    let mut scene = Scene::beating(INTERVAL).await;
    let worker = scene.worker();
    let (mut client, request) = scene.chatting(STREAM).await;
    beats(&mut client, COMMENT).await;
    drop(client);
    assert_eq!(scene.hears().await, FromFrontend::Withdraw { request });

    let (mut client, request) = scene.chatting(STREAM).await;
    beats(&mut client, COMMENT).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    beats(&mut client, COMMENT).await;
    drop(client);
    assert_eq!(visit.asked().await, None);
    assert_eq!(scene.hears().await, FromFrontend::Withdraw { request });
}

#[tokio::test]
async fn who_wants_no_stream_and_who_switched_it_off_gets_a_status() {
    let mut off = Scene::open().await;
    let mut scene = Scene::beating(INTERVAL).await;
    let (mut streaming, first) = off.chatting(STREAM).await;
    let (mut whole, second) = scene.chatting(CHAT).await;
    let (mut vectors, third) = scene.asking("/v1/embeddings", STREAM).await;
    // By now the others would have got theirs.
    let (mut witness, _) = scene.chatting(STREAM).await;
    beats(&mut witness, COMMENT).await;
    off.reject(first, Failure::new(FailureKind::QueueFull, ""));
    scene.reject(second, Failure::new(FailureKind::QueueFull, ""));
    scene.reject(third, Failure::new(FailureKind::QueueFull, ""));
    for client in [&mut streaming, &mut whole, &mut vectors] {
        assert_eq!(client.reply().await.status, 429);
    }
}

#[tokio::test]
async fn pauses_between_events_have_signs_of_life_and_events_stay_whole() {
    let mut scene = Scene::beating(INTERVAL).await;
    let worker = scene.worker();
    let (mut client, request) = scene.chatting(STREAM).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[event_head(), chunk("data: 1\n\n")]).await;
    let mut seen = beats(&mut client, COMMENT).await;
    // Only events that are too long to be held back come in parts.
    visit.answer(&[chunk("data: a ")]).await;
    seen += &client.until("data: a ").await;
    let (mut witness, _) = scene.chatting(STREAM).await;
    beats(&mut witness, COMMENT).await;
    visit.answer(&[chunk("b\n\n")]).await;
    seen += &beats(&mut client, COMMENT).await;
    visit.answer(&[chunk("data: 2\n\n"), end()]).await;
    let reply = rest(&mut client, seen).await;
    assert!(reply.body.contains("data: a b\n\n"), "{}", reply.body);
    assert_eq!(reply.body.replace(COMMENT, ""), "data: 1\n\ndata: a b\n\ndata: 2\n\n");
    assert_eq!(ending(&mut scene, request).await, (200, None, 9 + 11 + 9));
}

#[tokio::test]
async fn a_whole_answer_that_stops_in_the_middle_stays_as_it_is() {
    let mut scene = Scene::beating(INTERVAL).await;
    let worker = scene.worker();
    let (mut client, request) = scene.chatting(CHAT).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[head(200), chunk("{")]).await;
    let seen = client.until("{").await;
    let (mut witness, _) = scene.chatting(STREAM).await;
    beats(&mut witness, COMMENT).await;
    visit.answer(&[chunk("}"), end()]).await;
    assert_eq!(rest(&mut client, seen).await.body, "{}");
}

#[tokio::test]
async fn many_that_wait_are_all_answered() {
    let mut scene = Scene::beating(INTERVAL).await;
    let worker = scene.worker();
    let mut waiting = Vec::new();
    let mut visits = Vec::new();
    for _ in 0..100 {
        waiting.push(scene.chatting(STREAM).await);
    }
    for (client, request) in &mut waiting {
        let seen = beats(client, COMMENT).await;
        scene.grant(*request, 1);
        // One attempt after another: they share a connection.
        if visits.is_empty() {
            visits.push(worker.visited().await);
        }
        let visit = visits.first_mut().unwrap();
        visit.request().await;
        visit.answer(&[event_head(), chunk("data: [DONE]\n\n"), end()]).await;
        assert_eq!(content(&rest(client, seen).await, COMMENT), "data: [DONE]\n\n");
        assert_eq!(scene.closed(*request).await.failure, None);
    }
}

#[tokio::test]
async fn streams_that_wait_over_one_http_2_connection_go_each_their_way() {
    let mut scene = Scene::beating(INTERVAL).await;
    let worker = scene.worker();
    let (mut sender, _connection) = http_2(&scene).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut answering = JoinSet::new();
        answering.spawn(sender.send_request(post(&scene, STREAM)));
        let request = scene.admitted().await.request;
        let response = soon("the head", answering.join_next()).await.unwrap().unwrap().unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        for _ in 0..3 {
            let beat = soon("a sign of life", body.frame()).await.unwrap().unwrap();
            assert_eq!(beat.into_data().unwrap(), COMMENT);
        }
        streams.push((request, body));
    }
    // One client leaves, the other stays.
    let (request, body) = streams.remove(0);
    drop(body);
    assert_eq!(scene.hears().await, FromFrontend::Withdraw { request });
    let (request, body) = streams.remove(0);
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[event_head(), chunk("data: 1\n\n"), end()]).await;
    let all = soon("the whole stream", body.collect()).await.unwrap().to_bytes();
    assert!(all.ends_with(b"data: 1\n\n"), "{all:?}");
    assert_eq!(ending(&mut scene, request).await, (200, None, 9));
}

#[tokio::test]
async fn a_stream_that_waits_is_told_when_the_supervisor_is_gone() {
    let mut scene = Scene::beating(INTERVAL).await;
    let (mut client, _) = scene.chatting(STREAM).await;
    let seen = beats(&mut client, COMMENT).await;
    let frontend = scene.leave();
    let event = content(&rest(&mut client, seen).await, COMMENT);
    assert!(event.contains("\"code\":\"draining\""), "{event}");
    soon("the frontend's end", Scene::ends(frontend)).await;
}
