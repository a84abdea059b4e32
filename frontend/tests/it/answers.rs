//! Answers on their way back: whole, streamed, broken.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ipc_proto::failure::FailureKind;
use tokio::task::JoinSet;

use crate::support::{CHAT, KEY, STREAM, Scene, chunk, end, event_head, fail, head, sized_head, some, soon};

#[tokio::test]
async fn api_01_02_bytes_pass_through_both_ways() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let body = r#"{"model":"m",  "messages":[], "seed":9007199254740993, "x":"\u00e9<>&"}"#;
    let mut client = scene.client().await;
    let lines = format!("authorization: Bearer {KEY}\r\ncookie: a=b\r\nx-custom: 1\r\n");
    client.post_with("/v1/chat/completions?a=b", &lines, body).await;
    let request = scene.admitted().await.request;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    let (open, sent) = visit.request().await;
    assert_eq!(sent, body);
    assert_eq!((open.query.as_deref(), open.request), (Some("a=b"), request));
    let names: Vec<_> = open.headers.iter().map(|header| &*header.name).collect();
    assert_eq!(names, ["x-custom"]);
    visit.answer(&[sized_head(200, 9), chunk("{\"id\": 1}"), end()]).await;
    let text = client.until("{\"id\": 1}").await;
    let outcome = scene.closed(request).await;
    assert_eq!((outcome.status, outcome.failure, outcome.bytes_sent), (200, None, 9));
    assert!(some(outcome.first_byte_us) <= outcome.total_us);
    for line in ["content-length: 9", "x-backend: yes", "x-proxylm-backend: big"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("the-backends-own") && !text.contains("x-proxylm-attempts"));

    // The next request takes the same two connections.
    client.post("/v1/embeddings", CHAT).await;
    let request = scene.admitted().await.request;
    scene.grant(request, 1);
    visit.request().await;
    visit.answer(&[head(200), chunk("{}"), end()]).await;
    assert_eq!(client.reply().await.body, "{}");
}

#[tokio::test]
async fn a_refusal_of_the_backend_is_passed_on_as_it_is() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let (mut client, request) = scene.chatting(CHAT).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[head(422), chunk("{\"detail\":1}"), end()]).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.body.as_str()), (422, "{\"detail\":1}"));
    assert_eq!(reply.header("x-proxylm-error-source"), Some("upstream"));
    let outcome = scene.closed(request).await;
    assert_eq!(outcome.failure.map(|failure| failure.kind), Some(FailureKind::Declined));
}

#[tokio::test]
async fn str_01_pieces_are_passed_on_as_they_come() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let (mut client, request) = scene.chatting(STREAM).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    assert!(visit.request().await.0.stream);
    visit.answer(&[event_head(), chunk("data: 1\n\n")]).await;
    let first = client.until("data: 1\n\n").await;
    assert!(first.contains("cache-control: no-cache") && first.contains("x-accel-buffering: no"), "{first}");
    visit.answer(&[chunk("data: 2\n\n")]).await;
    client.until("data: 2\n\n").await;
    visit.answer(&[chunk("data: [DONE]\n\n"), end()]).await;
    let last = client.until("0\r\n\r\n").await;
    assert!(last.contains("data: [DONE]\n\n"));
    let outcome = scene.closed(request).await;
    assert_eq!((outcome.failure, outcome.bytes_sent), (None, 9 + 9 + 14));
}

#[tokio::test]
async fn str_06_a_break_is_told_inside_the_stream() {
    for (path, body, first, mark) in [
        ("/v1/chat/completions", STREAM, "data: 1\n\n", "data: {\"error\""),
        (
            "/v1/messages",
            r#"{"model":"m","max_tokens":1,"stream":true,"messages":[]}"#,
            "event: ping\ndata: {}\n\n",
            "event: error\ndata: ",
        ),
    ] {
        let mut scene = Scene::open().await;
        let worker = scene.worker();
        let mut client = scene.client().await;
        client.post(path, body).await;
        let request = scene.admitted().await.request;
        scene.grant(request, 1);
        let mut visit = worker.visited().await;
        visit.request().await;
        visit.answer(&[event_head(), chunk(first), fail(FailureKind::Broken)]).await;
        let reply = client.reply().await;
        assert!(reply.body.starts_with(first) && reply.body.contains(mark), "{}", reply.body);
        assert!(!reply.body.contains("10.1.2.3") && !reply.body.contains("<cut>"), "{}", reply.body);
        let outcome = scene.closed(request).await;
        assert_eq!(outcome.failure.map(|failure| failure.kind), Some(FailureKind::Broken));
        assert_eq!(outcome.bytes_sent, reply.body.len() as u64);
    }
}

#[tokio::test]
async fn a_worker_that_dies_in_the_middle_is_told_or_cuts_the_answer() {
    for events in [true, false] {
        let mut scene = Scene::open().await;
        let worker = scene.worker();
        let (mut client, request) = scene.chatting(STREAM).await;
        scene.grant(request, 1);
        let mut visit = worker.visited().await;
        visit.request().await;
        visit.answer(&[if events { event_head() } else { head(200) }, chunk("data: 1\n\n")]).await;
        client.until("data: 1\n\n").await;
        drop(visit);
        if events {
            client.until("worker_lost").await;
        } else {
            client.closed().await;
        }
        let outcome = scene.closed(request).await;
        assert_eq!(outcome.failure.map(|failure| failure.kind), Some(FailureKind::WorkerLost));
    }
}

#[tokio::test]
async fn a_long_body_goes_in_pieces_and_a_worker_may_refuse_before_its_end() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let filler = "x".repeat(3 << 20);
    let body = format!(r#"{{"model":"m","messages":[],"filler":"{filler}"}}"#);
    let (mut client, request) = scene.chatting(&body).await;
    scene.grant(request, 1);
    // This one fails the attempt with most of the body unread.
    let mut visit = worker.visited().await;
    visit.asked().await;
    visit.answer(&[fail(FailureKind::GrantLapsed)]).await;
    scene.hears().await;
    scene.grant(request, 2);
    let mut second = worker.visited().await;
    let (open, sent) = second.request().await;
    assert_eq!((open.body_bytes, sent.len()), (body.len() as u64, body.len()));
    assert!(sent == body.as_bytes());
    second.answer(&[sized_head(200, filler.len() as u64), chunk(&filler), end()]).await;
    let reply = client.reply().await;
    assert_eq!(reply.body.len(), filler.len());
    assert_eq!(scene.closed(request).await.bytes_sent, filler.len() as u64);
}

/// A client that begins with HTTP/2, without asking whether it may.
pub(crate) async fn http_2(scene: &Scene) -> (SendRequest<Full<Bytes>>, JoinSet<Result<(), hyper::Error>>) {
    let socket = tokio::net::TcpStream::connect(scene.address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    (sender, connections)
}

pub(crate) fn post(scene: &Scene, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(format!("http://{}/v1/chat/completions", scene.address))
        .header("x-api-key", KEY)
        .body(Full::from(body))
        .unwrap()
}

#[tokio::test]
async fn http_2_with_prior_knowledge_answers_a_chat() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let (mut sender, _connection) = http_2(&scene).await;
    let mut answering = JoinSet::new();
    answering.spawn(sender.send_request(post(&scene, CHAT)));
    let request = scene.admitted().await.request;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    let (open, body) = visit.request().await;
    assert_eq!((open.request, body.as_ref()), (request, CHAT.as_bytes()));
    visit.answer(&[sized_head(200, 9), chunk("{\"id\": 1}"), end()]).await;
    let response = soon("a response", answering.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    assert_eq!(response.headers()["x-request-id"], request.to_string());
    let body = soon("the body", response.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(body, "{\"id\": 1}");
    assert_eq!(scene.closed(request).await.failure, None);
}

#[tokio::test]
async fn streams_over_one_http_2_connection_end_each_by_itself() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let (mut sender, _connection) = http_2(&scene).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut answering = JoinSet::new();
        answering.spawn(sender.send_request(post(&scene, STREAM)));
        let request = scene.admitted().await.request;
        scene.grant(request, 1);
        let mut visit = worker.visited().await;
        visit.request().await;
        visit.answer(&[event_head(), chunk("data: 1\n\n")]).await;
        let response = soon("a response", answering.join_next()).await.unwrap().unwrap().unwrap();
        assert_eq!(response.headers()["x-request-id"], request.to_string());
        streams.push((request, visit, response.into_body()));
    }
    // One client leaves, the other stays.
    let (request, mut visit, body) = streams.remove(0);
    drop(body);
    assert_eq!(visit.asked().await, None);
    let outcome = scene.closed(request).await;
    assert_eq!(outcome.failure.map(|failure| failure.kind), Some(FailureKind::ClientGone));
    let (request, mut visit, body) = streams.remove(0);
    visit.answer(&[chunk("data: 2\n\n"), end()]).await;
    let all = soon("the whole stream", body.collect()).await.unwrap().to_bytes();
    assert_eq!(all, "data: 1\n\ndata: 2\n\n");
    assert_eq!(scene.closed(request).await.failure, None);
}

#[tokio::test]
async fn a_crowd_of_streams_reaches_a_worker_that_is_slow_to_accept() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let mut clients = Vec::new();
    for _ in 0..50 {
        let (client, request) = scene.chatting(STREAM).await;
        scene.grant(request, 1);
        clients.push(client);
    }
    let mut visits = Vec::new();
    for _ in 0..50 {
        let mut visit = worker.visited().await;
        visit.request().await;
        visit.answer(&[event_head(), chunk("data: 1\n\n")]).await;
        visits.push(visit);
    }
    for client in &mut clients {
        client.until("data: 1\n\n").await;
    }
    for visit in &mut visits {
        visit.answer(&[end()]).await;
    }
    for client in &mut clients {
        client.until("0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn a_pooled_connection_that_the_worker_closed_is_not_used_again() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    for _ in 0..2 {
        let (mut client, request) = scene.chatting(CHAT).await;
        scene.grant(request, 1);
        let mut visit = worker.visited().await;
        visit.request().await;
        visit.answer(&[head(200), chunk("{}"), end()]).await;
        assert_eq!(client.reply().await.status, 200);
        scene.closed(request).await;
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let mut scene = Scene::open().await;
    let mut client = scene.client().await;
    let length = CHAT.len();
    client
        .send(format!(
            "POST /v1/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n\r\n"
        ))
        .await;
    client.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send(CHAT).await;
    scene.admitted().await;
}
