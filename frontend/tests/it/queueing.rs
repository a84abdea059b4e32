//! How much a client minds waiting, and what one that is refused is told of the queue.

use ipc_proto::control::{Class, FromFrontend, ToFrontend, Waiting};
use ipc_proto::failure::{Failure, FailureKind};

use crate::support::{CHAT, KEY, Scene};

#[tokio::test]
async fn a_request_may_say_its_class() {
    let mut scene = Scene::open().await;
    for (word, class) in [
        (None, None),
        (Some("interactive"), Some(Class::Interactive)),
        (Some("batch"), Some(Class::Batch)),
        (Some("Batch"), Some(Class::Batch)),
    ] {
        let mut client = scene.client().await;
        let own = word.map(|word| format!("x-proxylm-class: {word}\r\n")).unwrap_or_default();
        client.post_with("/v1/chat/completions", &format!("x-api-key: {KEY}\r\n{own}"), CHAT).await;
        assert_eq!(scene.admitted().await.class, class, "{word:?}");
        drop(client);
        assert!(matches!(scene.hears().await, FromFrontend::Withdraw { .. }));
    }
}

#[tokio::test]
async fn another_class_is_a_bad_request_that_names_the_words() {
    let mut scene = Scene::open().await;
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let body = r#"{"model":"m","max_tokens":1,"messages":[]}"#;
        for word in ["urgent", "", "\u{e9}"] {
            let mut client = scene.client().await;
            let lines = format!("x-api-key: {KEY}\r\nconnection: close\r\nx-proxylm-class: {word}\r\n");
            client.post_with(path, &lines, body).await;
            let reply = client.reply().await;
            assert_eq!(reply.status, 400, "{reply:?}");
            let json = reply.json();
            assert_eq!(json["error"]["type"], "invalid_request_error");
            assert_eq!(json["type"] == "error", path == "/v1/messages", "{json}");
            let message = json["error"]["message"].as_str().unwrap();
            for named in ["x-proxylm-class", "interactive", "batch"] {
                assert!(message.contains(named), "{message}");
            }
        }
    }
    // Nothing of them has reached the supervisor: this is the first it hears of.
    scene.chatting(CHAT).await;
}

#[tokio::test]
async fn the_class_does_not_go_to_the_backend() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let mut client = scene.client().await;
    let lines = format!("x-api-key: {KEY}\r\nx-proxylm-class: batch\r\nx-custom: 1\r\n");
    client.post_with("/v1/chat/completions", &lines, CHAT).await;
    let request = scene.admitted().await.request;
    scene.grant(request, 1);
    let (open, _) = worker.visited().await.request().await;
    let names: Vec<_> = open.headers.iter().map(|header| &*header.name).collect();
    assert_eq!(names, ["x-custom"]);
}

#[tokio::test]
async fn who_is_refused_for_want_of_room_or_time_hears_how_long_it_would_have_been() {
    let mut scene = Scene::open().await;
    for (kind, waiting, told) in [
        (FailureKind::QueueFull, Some((3, 12_500)), Some(("3", "12500"))),
        (FailureKind::QueueTimeout, Some((1, 0)), Some(("1", "0"))),
        (FailureKind::QueueFull, None, None),
        (FailureKind::UnknownModel, Some((3, 12_500)), None),
    ] {
        let (mut client, request) = scene.chatting(CHAT).await;
        let waiting = waiting.map(|(position, estimated_wait_ms)| Waiting { position, estimated_wait_ms });
        scene.say(&ToFrontend::Rejected { request, failure: Failure::new(kind, ""), waiting });
        let reply = client.reply().await;
        let position = reply.header("x-proxylm-queue-position");
        let estimate = reply.header("x-proxylm-estimated-wait-ms");
        assert_eq!(position.zip(estimate), told, "{kind:?} {reply:?}");
        assert_eq!((position.is_some(), estimate.is_some()), (told.is_some(), told.is_some()));
        assert_eq!(reply.header("retry-after").is_some(), matches!(reply.status, 429 | 503));
        scene.closed(request).await;
    }
}
