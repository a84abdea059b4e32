//! Clients that leave, at every stage.

use ipc_proto::control::FromFrontend;
use ipc_proto::failure::FailureKind;

use crate::support::{CHAT, STREAM, Scene, chunk, event_head, limits};

#[tokio::test]
async fn a_client_that_leaves_the_queue_is_withdrawn() {
    let mut scene = Scene::open().await;
    let (client, request) = scene.chatting(CHAT).await;
    drop(client);
    assert_eq!(scene.hears().await, FromFrontend::Withdraw { request });
    // A grant that crossed it on the way is nobody's: the next request is served as ever.
    scene.grant(request, 1);
    let (_client, next) = scene.chatting(CHAT).await;
    assert_ne!(next, request);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_cancels_the_attempt() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let (client, request) = scene.chatting(CHAT).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    drop(client);
    assert_eq!(visit.asked().await, None);
    assert_eq!(scene.hears().await, FromFrontend::Withdraw { request });
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_closes_it() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let (mut client, request) = scene.chatting(STREAM).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[event_head(), chunk("data: 1\n\n")]).await;
    client.until("data: 1\n\n").await;
    drop(client);
    assert_eq!(visit.asked().await, None);
    let outcome = scene.closed(request).await;
    assert_eq!(outcome.failure.map(|failure| failure.kind), Some(FailureKind::ClientGone));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_left() {
    let mut limits = limits();
    limits.idle_ms = 50;
    let mut scene = Scene::with(limits, true).await;
    let worker = scene.worker();
    let (_client, request) = scene.chatting(STREAM).await;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[event_head()]).await;
    visit.flood().await;
    let outcome = scene.closed(request).await;
    assert_eq!(outcome.failure.map(|failure| failure.kind), Some(FailureKind::ClientGone));
}

#[tokio::test]
async fn a_thousand_clients_that_come_and_go_leave_nothing_behind() {
    let mut scene = Scene::open().await;
    for _ in 0..1000 {
        let (client, request) = scene.chatting(CHAT).await;
        drop(client);
        assert_eq!(scene.hears().await, FromFrontend::Withdraw { request });
    }
    let mut client = scene.client().await;
    client.send("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!(client.reply().await.json()["open_requests"], 0);
}
