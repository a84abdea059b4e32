//! From the body to the admission, and what the supervisor may decide.

use dialect::Endpoint;
use flate2::Compression;
use flate2::write::GzEncoder;
use ipc_proto::control::{FromFrontend, ToFrontend};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::KeyId;
use std::io::Write;

use crate::support::{CHAT, Client, KEY, Scene, chunk, end, fail, head, limits};

#[tokio::test]
async fn api_09_the_admission_tells_the_facts_and_the_clients_id() {
    let mut scene = Scene::open().await;
    let mut client = scene.client().await;
    let lines = format!(
        "x-api-key: {KEY}\r\nx-request-id: req-1\r\nx-proxylm-timeout-ms: 1500\r\nconnection: close\r\n"
    );
    let body = r#"{"model":"m","max_tokens":9,"stream":false,"messages":[]}"#;
    client.post_with("/messages", &lines, body).await;
    let admission = scene.admitted().await;
    assert_eq!(admission.endpoint, Endpoint::Messages);
    assert_eq!((admission.model.as_str(), admission.key, admission.stream), ("m", KeyId(7), false));
    assert_eq!((admission.label.as_str(), admission.deadline_ms), ("req-1", Some(1500)));
    assert_eq!((admission.body_bytes, admission.max_output_tokens), (body.len() as u64, Some(9)));

    scene.reject(admission.request, Failure::new(FailureKind::UnknownModel, "x"));
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.header("x-request-id")), (404, Some("req-1")));
    assert_eq!(reply.json()["error"]["type"], "not_found_error");
    let outcome = scene.closed(admission.request).await;
    assert_eq!((outcome.status, outcome.bytes_sent), (404, reply.body.len() as u64));
}

#[tokio::test]
async fn a_bad_id_is_replaced_by_ours() {
    let mut scene = Scene::open().await;
    let mut client = scene.client().await;
    let lines = format!("x-api-key: {KEY}\r\nx-request-id: not an id\r\nconnection: close\r\n");
    client.post_with("/v1/chat/completions", &lines, CHAT).await;
    let admission = scene.admitted().await;
    assert_eq!(admission.label.as_str(), admission.request.to_string());
    scene.reject(admission.request, Failure::new(FailureKind::QueueFull, "").with_retry_after_ms(Some(1001)));
    let reply = client.reply().await;
    assert_eq!(reply.header("x-request-id"), Some(admission.label.as_str()));
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("2")));
}

#[tokio::test]
async fn api_03_bad_bodies_never_reach_the_supervisor() {
    let mut scene = Scene::open().await;
    for body in ["", "{", r#"{"messages":[]}"#, r#"{"model":7}"#] {
        let mut client = scene.client().await;
        client.post("/v1/chat/completions", body).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{body}");
        assert_eq!(reply.json()["error"]["code"], "invalid_request");
    }
    let (_client, _) = scene.chatting(CHAT).await;
}

/// A client that has sent `packed` as the body of a chat.
async fn packed(scene: &Scene, coding: &str, packed: &[u8]) -> Client {
    let mut client = scene.client().await;
    let length = packed.len();
    client
        .send(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-encoding: {coding}\r\n\
             connection: close\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
    client.send(packed).await;
    client
}

#[tokio::test]
async fn t100_packed_bodies_arrive_unpacked_and_other_codings_are_refused() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(CHAT.as_bytes()).unwrap();
    let bodies = [("gzip", gzip.finish().unwrap()), ("zstd", zstd::encode_all(CHAT.as_bytes(), 3).unwrap())];
    for (coding, body) in bodies {
        let mut client = packed(&scene, coding, &body).await;
        let admission = scene.admitted().await;
        scene.grant(admission.request, 1);
        let mut visit = worker.visited().await;
        let (open, body) = visit.request().await;
        assert_eq!(body, CHAT, "{coding}");
        assert!(open.headers.iter().all(|header| &*header.name != "content-encoding"));
        visit.answer(&[head(200), end()]).await;
        assert_eq!(client.reply().await.status, 200);
        scene.closed(admission.request).await;
        drop(visit);
    }
    assert_eq!(packed(&scene, "br", CHAT.as_bytes()).await.reply().await.status, 415);
    // Much in little: a body of nine megabytes, where eight are the limit.
    let bomb = zstd::encode_all(&vec![b' '; 9 << 20][..], 3).unwrap();
    assert!(bomb.len() < 10_000);
    assert_eq!(packed(&scene, "zstd", &bomb).await.reply().await.status, 413);
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_where_the_supervisor_says() {
    let mut scene = Scene::open().await;
    let (mut client, request) = scene.chatting(CHAT).await;
    // Nobody listens there yet.
    scene.grant(request, 1);
    let lost = scene.hears().await;
    assert!(
        matches!(&lost, FromFrontend::AttemptFailed { failure, .. } if failure.kind == FailureKind::WorkerLost),
        "{lost:?}"
    );
    let worker = scene.worker();
    scene.grant(request, 2);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[fail(FailureKind::Overloaded)]).await;
    let busy = scene.hears().await;
    assert!(
        matches!(&busy, FromFrontend::AttemptFailed { failure, .. } if failure.kind == FailureKind::Overloaded),
        "{busy:?}"
    );
    scene.grant(request, 3);
    // The same connection: the failure was said, so it is good for another attempt.
    let (open, body) = visit.request().await;
    assert_eq!((open.grant.0, body.as_ref()), (103, CHAT.as_bytes()));
    visit.answer(&[head(200), chunk("{}"), end()]).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.header("x-proxylm-attempts")), (200, Some("3")));
    assert_eq!(scene.closed(request).await.failure, None);
}

#[tokio::test]
async fn an_operators_cancel_is_told_once_and_not_to_be_tried_again() {
    let mut scene = Scene::open().await;
    let (mut client, request) = scene.chatting(CHAT).await;
    scene.say(&ToFrontend::Cancel { request });
    let reply = client.reply().await;
    assert_eq!(
        (reply.status, reply.header("x-should-retry"), reply.header("retry-after")),
        (503, Some("false"), None)
    );
    assert_eq!(reply.json()["error"]["code"], "cancelled");
    let outcome = scene.closed(request).await;
    assert_eq!(outcome.failure.map(|failure| failure.kind), Some(FailureKind::Cancelled));
}

#[tokio::test]
async fn without_keys_everybody_may_ask() {
    let mut scene = Scene::with(limits(), false).await;
    let mut client = scene.client().await;
    client.post_with("/v1/completions", "", CHAT).await;
    assert_eq!(scene.admitted().await.key, KeyId::ANONYMOUS);
}
