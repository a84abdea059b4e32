//! How clients show their keys, and where these keys do not go.

use crate::support::{CHAT, KEY, Reply, Scene};

const CONTENTS: &str = r#"{"contents":[]}"#;

async fn posted(scene: &Scene, path: &str, lines: &str, body: &str) -> Reply {
    let mut client = scene.client().await;
    client.post_with(path, &format!("{lines}connection: close\r\n"), body).await;
    client.reply().await
}

#[tokio::test]
async fn every_dialects_way_to_show_a_key_opens() {
    let mut scene = Scene::open().await;
    let gemini = "/v1beta/models/m:generateContent";
    let asked = format!("{gemini}?alt=json&key={KEY}");
    for (path, lines, body) in [
        ("/v1/chat/completions", format!("authorization: Bearer {KEY}\r\n"), CHAT),
        ("/v1/chat/completions", format!("x-api-key: {KEY}\r\n"), CHAT),
        ("/v1/chat/completions", format!("x-proxylm-key: {KEY}\r\nauthorization: Bearer sk-other\r\n"), CHAT),
        (gemini, format!("x-goog-api-key: {KEY}\r\n"), CONTENTS),
        (&asked, String::new(), CONTENTS),
        ("/api/chat", format!("authorization: Bearer {KEY}\r\n"), CHAT),
    ] {
        let mut client = scene.client().await;
        client.post_with(path, &lines, body).await;
        assert_eq!(scene.admitted().await.model.as_str(), "m", "{path} {lines}");
        scene.left(client).await;
    }
}

#[tokio::test]
async fn a_key_in_the_query_is_for_gemini_alone() {
    let scene = Scene::open().await;
    for path in ["/v1/chat/completions", "/api/chat", "/v1/messages"] {
        let reply = posted(&scene, &format!("{path}?key={KEY}"), "", CHAT).await;
        assert_eq!(reply.status, 401, "{path}");
    }
    let wrong = posted(&scene, "/v1beta/models/m:generateContent?key=wrong", "", CONTENTS).await;
    assert_eq!(wrong.status, 401);
    let lines = format!("x-proxylm-key: no\r\nx-api-key: {KEY}\r\n");
    let wins = posted(&scene, "/v1/chat/completions", &lines, CHAT);
    assert_eq!(wins.await.status, 401);
}

#[tokio::test]
async fn no_credential_goes_to_a_backend_that_has_its_own() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    for (query, wanted) in [("key=client-key&alt=sse", Some("alt=sse")), ("key=client-key", None)] {
        let mut client = scene.client().await;
        let lines =
            "x-goog-api-key: client-key\r\nauthorization: Bearer client-key\r\nx-proxylm-key: client-key\r\n";
        client.post_with(&format!("/v1beta/models/m:generateContent?{query}"), lines, CONTENTS).await;
        let request = scene.admitted().await.request;
        scene.grant(request, 1);
        let mut visit = worker.visited().await;
        let (open, _) = visit.request().await;
        assert_eq!((open.query.as_deref(), open.headers.len()), (wanted, 0));
        assert!(!format!("{open:?}").contains(KEY));
        drop(client);
        drop(visit);
        scene.hears().await;
    }
}
