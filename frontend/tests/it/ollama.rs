//! Ollama's own API, as far as it is answered here.

use crate::support::{KEY, Reply, Scene};

async fn get(scene: &Scene, line: &str) -> Reply {
    let mut client = scene.client().await;
    client.get(line).await;
    client.reply().await
}

async fn post(scene: &Scene, path: &str, body: &str) -> Reply {
    let mut client = scene.client().await;
    client.post(path, body).await;
    client.reply().await
}

#[tokio::test]
async fn models_are_listed_and_described() {
    let scene = Scene::open().await;
    let list = get(&scene, "GET /api/tags").await.json();
    assert_eq!((&list["models"][0]["name"], &list["models"][0]["model"]), (&"m".into(), &"m:latest".into()));
    assert_eq!(list["models"][1]["details"]["families"], serde_json::json!([]));
    for body in [r#"{"model":"m"}"#, r#"{"name":"m:latest","verbose":true}"#] {
        let shown = post(&scene, "/api/show", body).await.json();
        assert_eq!(shown["model_info"]["general.architecture"], "unknown", "{body}");
        assert_eq!(shown["model_info"]["general.basename"], "m", "{body}");
        assert_eq!(shown["capabilities"][0], "completion", "{body}");
        assert_eq!(shown["details"]["format"], "", "{body}");
    }
    let missing = post(&scene, "/api/show", r#"{"model":"zzz"}"#).await;
    assert_eq!(missing.status, 404);
    assert!(missing.json()["error"].as_str().unwrap().contains("zzz"), "{}", missing.body);
    for body in ["", "{", "{}", r#"{"model":""}"#, r#"{"model":7}"#] {
        assert_eq!(post(&scene, "/api/show", body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn what_clients_ask_first_is_answered() {
    let scene = Scene::open().await;
    assert_eq!(get(&scene, "GET /api/ps").await.json(), serde_json::json!({ "models": [] }));
    let version = get(&scene, "GET /api/version").await.json();
    assert_eq!(version["version"].as_str().unwrap().split('.').count(), 3, "{version}");
    for (line, body) in [("GET /", "Ollama is running"), ("HEAD /", "")] {
        let mut client = scene.client().await;
        client.send(format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.body.as_str()), (200, body));
    }
}

#[tokio::test]
async fn everything_but_the_greeting_needs_a_key() {
    let scene = Scene::open().await;
    for line in
        ["GET /api/tags", "GET /api/ps", "GET /api/version", "POST /api/show", "POST /api/pull", "GET /api/x"]
    {
        let mut client = scene.client().await;
        client.send(format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 401, "{line}");
        assert!(reply.json()["error"].is_string(), "{line} {}", reply.body);
    }
}

#[tokio::test]
async fn models_are_not_managed_here() {
    let scene = Scene::open().await;
    for path in ["pull", "push", "create", "copy", "blobs/sha256:0"] {
        let reply = post(&scene, &format!("/api/{path}"), r#"{"model":"m"}"#).await;
        assert_eq!(reply.status, 501, "{path}");
        assert!(reply.json()["error"].as_str().unwrap().contains("not managed"), "{path}");
    }
    let mut client = scene.client().await;
    let lines = format!("authorization: Bearer {KEY}\r\nconnection: close\r\n");
    client.send(format!("DELETE /api/delete HTTP/1.1\r\nhost: x\r\n{lines}\r\n")).await;
    assert_eq!(client.reply().await.status, 501);
}

#[tokio::test]
async fn the_default_tag_makes_no_difference_to_a_request() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    for (path, name, model, is_renamed) in [
        ("/api/chat", "m:latest", "m", true),
        ("/api/chat", "m", "m", false),
        ("/api/chat", "x:latest", "x:latest", false),
        ("/v1/chat/completions", "m:latest", "m", true),
        ("/v1beta/openai/chat/completions", "models/m", "m", true),
        ("/v1beta/models/models/m:generateContent", "", "m", true),
    ] {
        let mut client = scene.client().await;
        client.post(path, &format!(r#"{{"model":"{name}","messages":[]}}"#)).await;
        let admission = scene.admitted().await;
        assert_eq!(admission.model.as_str(), model, "{name}");
        scene.grant(admission.request, 1);
        let mut visit = worker.visited().await;
        let (open, _) = visit.request().await;
        assert_eq!((open.model.as_str(), open.renamed), (model, is_renamed), "{name}");
        drop(client);
        drop(visit);
        scene.hears().await;
    }
}
