//! Limits on clients: length, time, memory, number.

use ipc_proto::spec::ClientLimits;

use crate::support::{CHAT, KEY, Scene, limits};

#[tokio::test]
async fn api_13_a_body_over_the_limit_is_refused() {
    let mut scene = Scene::with(ClientLimits { max_body_bytes: 100, ..limits() }, true).await;
    // Announced: refused before it is sent.
    let mut client = scene.client().await;
    let lines = format!("x-api-key: {KEY}\r\nexpect: 100-continue\r\n");
    client.send(format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\n{lines}content-length: 101\r\n\r\n")).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 413);
    assert_eq!(reply.json()["error"]["type"], "request_too_large");
    assert!(reply.header("x-request-id").is_some());
    // Not announced: refused once it is too long.
    let mut client = scene.client().await;
    let piece = "x".repeat(101);
    client
        .send(format!(
            "POST /v1/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nconnection: close\r\n\
             transfer-encoding: chunked\r\n\r\n65\r\n{piece}\r\n0\r\n\r\n"
        ))
        .await;
    assert_eq!(client.reply().await.status, 413);
    // And one that fits is taken.
    let (_client, _) = scene.chatting(CHAT).await;
}

#[tokio::test]
async fn a_slow_body_is_refused() {
    let scene = Scene::with(ClientLimits { body_read_ms: 30, ..limits() }, true).await;
    let mut client = scene.client().await;
    client
        .send(format!(
            "POST /v1/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-length: 50\r\n\r\n{{"
        ))
        .await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 408);
    assert_eq!(reply.json()["error"]["code"], "request_timeout");
}

#[tokio::test]
async fn slow_heads_end_the_connection() {
    let scene = Scene::with(ClientLimits { header_read_ms: 30, ..limits() }, true).await;
    for beginning in ["", "P", "POST /v1/chat/completions HTTP/1.1\r\nx: "] {
        let mut client = scene.client().await;
        client.send(beginning).await;
        client.closed().await;
    }
}

#[tokio::test]
async fn bodies_over_the_share_of_memory_are_put_off() {
    let length = CHAT.len() as u64;
    let mut scene = Scene::with(ClientLimits { max_held_bytes: length + 1, ..limits() }, true).await;
    let (first, _) = scene.chatting(CHAT).await;
    let mut second = scene.client().await;
    second.post("/v1/chat/completions", CHAT).await;
    let reply = second.reply().await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    drop(first);
    scene.hears().await;
    let (_third, _) = scene.chatting(CHAT).await;
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let mut scene = Scene::with(ClientLimits { max_connections: 1, ..limits() }, true).await;
    let (first, request) = scene.chatting(CHAT).await;
    let mut second = scene.client().await;
    second.post("/v1/chat/completions", CHAT).await;
    drop(first);
    assert_eq!(scene.hears().await, ipc_proto::control::FromFrontend::Withdraw { request });
    scene.admitted().await;
}
