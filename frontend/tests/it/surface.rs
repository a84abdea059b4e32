//! What is answered without a model: keys, paths, methods, ids, models, health.

use ipc_proto::control::{Directory, ToFrontend};

use crate::support::{ADMIN, CHAT, Client, KEY, Reply, Scene, limits};

async fn ask(scene: &Scene, request_line: &str, lines: &str) -> Reply {
    let mut client: Client = scene.client().await;
    client.send(format!("{request_line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n")).await;
    client.reply().await
}

fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

#[tokio::test]
async fn auth_08_strangers_are_refused_in_their_own_dialect() {
    let scene = Scene::open().await;
    let mut client = scene.client().await;
    client.post_with("/v1/chat/completions", "connection: close\r\nx-request-id: mine-1\r\n", CHAT).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    assert_eq!(reply.header("x-request-id"), Some("mine-1"));
    assert_eq!(reply.header("x-proxylm-error-source"), Some("proxy"));
    assert_eq!(reply.json()["error"]["code"], "invalid_api_key");

    let mut client = scene.client().await;
    client.post_with("/v1/messages", "connection: close\r\nx-api-key: wrong\r\n", CHAT).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.json()["type"], "error");
    assert_eq!(reply.json()["error"]["type"], "authentication_error");

    let reply = ask(&scene, "GET /v1/models", "anthropic-version: 2023-06-01\r\n").await;
    assert_eq!(reply.json()["error"]["type"], "authentication_error");
}

#[tokio::test]
async fn auth_04_the_two_sorts_of_keys_do_not_stand_in_for_each_other() {
    let scene = Scene::open().await;
    assert_eq!(ask(&scene, "GET /v1/models", &bearer(ADMIN)).await.status, 401);
    assert_eq!(ask(&scene, "GET /admin/stream", &bearer(KEY)).await.status, 401);
    let reply = ask(&scene, "GET /admin/stream", &bearer(ADMIN)).await;
    assert_eq!(reply.status, 404);
    assert!(reply.body.contains("not available in this version"));
}

#[tokio::test]
async fn api_10_unknown_paths_and_wrong_methods_are_json_with_an_id() {
    let scene = Scene::open().await;
    for (line, lines) in [("GET /what", String::new()), ("POST /v1/what", bearer(KEY))] {
        let reply = ask(&scene, line, &lines).await;
        assert_eq!(reply.status, 404, "{line}");
        assert_eq!(reply.header("x-request-id").map(str::len), Some(36));
        assert_eq!(reply.json()["error"]["code"], "not_found");
    }
    assert_eq!(ask(&scene, "GET /v1/what", "").await.status, 401);
    let reply = ask(&scene, "GET /v1/messages", &bearer(KEY)).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    assert_eq!(reply.json()["type"], "error");
    assert_eq!(ask(&scene, "OPTIONS /v1/chat/completions", &bearer(KEY)).await.status, 405);
}

#[tokio::test]
async fn api_07_models_are_listed_in_both_dialects() {
    let scene = Scene::open().await;
    let list = ask(&scene, "GET /v1/models", &bearer(KEY)).await.json();
    assert_eq!(list["data"][1]["id"], "org/n");
    assert_eq!(list["data"][0]["served_by"][0], "big");
    let headers = format!("x-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\n");
    let list = ask(&scene, "GET /models/", &headers).await.json();
    assert_eq!((&list["data"][0]["type"], &list["last_id"]), (&"model".into(), &"org/n".into()));
    assert_eq!(ask(&scene, "GET /v1/models/org%2Fn", &bearer(KEY)).await.json()["id"], "org/n");
    let missing = ask(&scene, "GET /v1/models/zzz", &bearer(KEY)).await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["error"]["param"], "model");
}

#[tokio::test]
async fn api_11_12_health_is_open_and_readiness_has_a_reason() {
    let scene = Scene::open().await;
    let reply = ask(&scene, "GET /healthz", "").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"status":"ok"}"#));
    let reply = ask(&scene, "HEAD /healthz", "").await;
    assert_eq!((reply.status, reply.body.as_str(), reply.header("content-length")), (200, "", Some("15")));
    assert_eq!(ask(&scene, "GET /health", "").await.json()["backends"], 2);
    assert_eq!(ask(&scene, "GET /readyz", "").await.status, 200);

    let down = Directory {
        models: Vec::new(),
        ready: false,
        reason: "no backend is up".to_owned(),
        backends_up: 0,
        backends: 2,
    };
    scene.say(&ToFrontend::Directory(Box::new(down)));
    let unready = loop {
        let reply = ask(&scene, "GET /readyz", "").await;
        if reply.status == 503 {
            break reply;
        }
    };
    assert_eq!(unready.json()["reason"], "no backend is up");
    assert!(unready.header("retry-after").is_some());
    assert_eq!(ask(&scene, "GET /v1/models", &bearer(KEY)).await.json()["data"], serde_json::json!([]));
}

#[tokio::test]
async fn a_new_spec_is_in_force_for_the_next_request() {
    let scene = Scene::open().await;
    assert_eq!(ask(&scene, "GET /v1/models", "").await.status, 401);
    scene.say(&ToFrontend::Spec(Box::new(scene.spec(limits(), false))));
    while ask(&scene, "GET /v1/models", "").await.status != 200 {}
}
