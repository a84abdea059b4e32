//! Paths that lead straight to one backend.

use dialect::Endpoint;
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{BackendId, WorkerId};
use ipc_proto::spec::{BackendKind, FrontendSpec};
use ipc_proto::stream::NativeCall;

use crate::support::{
    CHAT, Client, KEY, STREAM, Scene, WORKER, backend, chunk, end, event_head, fail, head, limits,
};

const CLAUDE: WorkerId = WorkerId { backend: BackendId(5), generation: 1 };

/// A frontend with lanes to two backends, the second of which takes the caller's own key.
async fn with_lanes() -> Scene {
    Scene::begun(|scene| {
        let mut claude = backend(CLAUDE.backend, "claude", BackendKind::Anthropic);
        claude.takes_callers_key = true;
        let backends = vec![backend(WORKER.backend, "big", BackendKind::OpenAi), claude];
        FrontendSpec { backends, native_prefixes: true, heartbeat_ms: 20, ..scene.spec(limits(), true) }
    })
    .await
}

async fn refused(scene: &Scene, line: &str) -> (u16, String) {
    let mut client: Client = scene.client().await;
    client.get(line).await;
    let reply = client.reply().await;
    (reply.status, reply.body)
}

#[tokio::test]
async fn a_known_operation_goes_to_this_backend_only() {
    let mut scene = with_lanes().await;
    for (path, endpoint, only) in [
        ("/openai/v1/chat/completions", Endpoint::ChatCompletions, WORKER),
        ("/big/chat/completions", Endpoint::ChatCompletions, WORKER),
        ("/anthropic/v1/messages/count_tokens", Endpoint::CountTokens, CLAUDE),
    ] {
        let mut client = scene.client().await;
        client.post(path, CHAT).await;
        let admission = scene.admitted().await;
        assert_eq!((admission.endpoint, admission.only), (endpoint, Some(only.backend)), "{path}");
        assert_eq!(admission.model.as_str(), "m");
        scene.reject(admission.request, Failure::new(FailureKind::QueueFull, ""));
        client.reply().await;
        scene.closed(admission.request).await;
    }
}

#[tokio::test]
async fn anything_else_goes_through_untouched() {
    let mut scene = with_lanes().await;
    let worker = scene.worker();
    for (method, path, query, body, model) in [
        ("POST", "/v1/images/generations", None, r#"{"model":"img","options":{"num_ctx":1}}"#, "img"),
        ("POST", "/v1/messages", None, r#"{"model":"m"}"#, "m"),
        ("DELETE", "/v1/files/file-1", Some("a=b"), "", ""),
        ("PUT", "/upload", None, "no json\0 at all", ""),
        ("PATCH", "/x", None, "[1]", ""),
    ] {
        let mut client = scene.client().await;
        let target = query.map_or(path.to_owned(), |query| format!("{path}?{query}"));
        let length = body.len();
        let lines = format!("x-api-key: {KEY}\r\nconnection: close\r\ncontent-length: {length}\r\n");
        client.send(format!("{method} /big{target} HTTP/1.1\r\nhost: x\r\n{lines}\r\n{body}")).await;
        let admission = scene.admitted().await;
        assert_eq!((admission.endpoint, admission.only), (Endpoint::Native, Some(WORKER.backend)), "{path}");
        assert_eq!((admission.model.as_str(), admission.load.is_empty()), (model, true), "{path}");
        scene.grant(admission.request, 1);
        let mut visit = worker.visited().await;
        let (open, sent) = visit.request().await;
        assert_eq!(sent, body);
        let native = NativeCall { method: method.to_owned(), path: path.to_owned() };
        assert_eq!((open.native.as_deref(), open.query.as_deref()), (Some(&native), query));
        assert!(open.headers.iter().all(|header| &*header.name != "x-api-key"));
        visit.answer(&[head(201), chunk("done"), end()]).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.body.as_str()), (201, "done"), "{path}");
        scene.closed(admission.request).await;
        drop(visit);
    }
}

#[tokio::test]
async fn a_native_stream_has_no_signs_of_life_of_ours_in_it() {
    let mut scene = with_lanes().await;
    let worker = scene.worker();
    let mut client = scene.client().await;
    client.post("/big/v1/audio/speech", STREAM).await;
    let native = scene.admitted().await.request;
    // By the time that this one has some, the other would have had some too.
    let mut witness = scene.client().await;
    witness.post("/big/v1/chat/completions", STREAM).await;
    let other = scene.admitted().await.request;
    witness.until(": proxylm").await;
    scene.grant(native, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[event_head(), chunk("data: 1\n\n")]).await;
    client.until("data: 1\n\n").await;
    witness.until(": proxylm").await;
    visit.answer(&[fail(FailureKind::Broken)]).await;
    let rest = client.until("0\r\n\r\n").await;
    assert!(rest.contains("stream_aborted") && !rest.contains("waiting"), "{rest}");
    scene.closed(native).await;
    scene.reject(other, Failure::new(FailureKind::QueueFull, ""));
}

#[tokio::test]
async fn unknown_prefixes_lead_nowhere_and_lanes_are_off_unless_switched_on() {
    let scene = with_lanes().await;
    for line in ["POST /gemini/v1beta/models", "GET /bigger/v1/models", "GET /big"] {
        let (status, body) = refused(&scene, line).await;
        assert!(status == 404 && body.contains("nothing at this path"), "{line} {status} {body}");
    }
    let off = Scene::open().await;
    assert_eq!(refused(&off, "GET /big/v1/models").await.0, 404);
    assert_eq!(refused(&off, "GET /openai/v1/models").await.0, 404);
}

#[tokio::test]
async fn a_lane_needs_a_key_and_speaks_of_it_in_its_dialect() {
    let scene = with_lanes().await;
    let mut client = scene.client().await;
    client.send("GET /claude/v1/files HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, &reply.json()["type"]), (401, &"error".into()));
}

#[tokio::test]
async fn the_callers_own_key_goes_down_the_lane_and_ours_does_not() {
    let mut scene = with_lanes().await;
    let worker = scene.worker_at(CLAUDE);
    for (lines, wanted) in [
        (format!("x-proxylm-key: {KEY}\r\nx-api-key: sk-ant-1\r\n"), vec![("x-api-key", "sk-ant-1")]),
        (format!("authorization: Bearer {KEY}\r\nx-api-key: sk-ant-2\r\n"), vec![("x-api-key", "sk-ant-2")]),
        (format!("x-api-key: {KEY}\r\n"), vec![]),
    ] {
        let mut client = scene.client().await;
        client.post_with("/claude/v1/messages", &format!("{lines}connection: close\r\n"), MESSAGE).await;
        let request = scene.admitted().await.request;
        scene.grant_at(CLAUDE, request, 1);
        let mut visit = worker.visited().await;
        let (open, _) = visit.request().await;
        let sent: Vec<_> = open.headers.iter().map(|header| (&*header.name, header.value.as_ref())).collect();
        let wanted: Vec<_> = wanted.into_iter().map(|(name, value)| (name, value.as_bytes())).collect();
        assert_eq!(sent, wanted);
        visit.answer(&[head(200), chunk("{}"), end()]).await;
        client.reply().await;
        scene.closed(request).await;
        drop(visit);
    }
}

const MESSAGE: &str = r#"{"model":"m","max_tokens":1,"messages":[]}"#;
