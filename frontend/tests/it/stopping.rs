//! Drains, and what happens when the supervisor goes.

use frontend::FrontendError;
use ipc_proto::control::{Directory, FromFrontend, ToFrontend};
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::FrontendId;
use ipc_proto::link;
use ipc_proto::secret::Secret;
use ipc_proto::spec::Listen;
use tokio::task::JoinSet;

use crate::support::{CHAT, KEY, STREAM, Scene, chunk, end, event_head, soon};

#[tokio::test]
async fn an_idle_frontend_is_drained_at_once_and_ends_with_the_link() {
    let mut scene = Scene::open().await;
    let mut idle = scene.client().await;
    idle.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    idle.until("ok").await;
    scene.say(&ToFrontend::Drain { within_ms: 60_000 });
    assert_eq!(scene.hears().await, FromFrontend::Drained);
    idle.closed().await;
    assert!(tokio::net::TcpStream::connect(scene.address).await.is_err());
    Scene::ends(scene.leave()).await;
}

#[tokio::test]
async fn a_drain_lets_what_is_there_finish_and_takes_nothing_new() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let (mut streaming, first) = scene.chatting(STREAM).await;
    let (mut queued, second) = scene.chatting(CHAT).await;
    // One whose body is still on its way when the drain begins.
    let mut late = scene.client().await;
    let (begin, rest) = CHAT.split_at(10);
    let length = CHAT.len();
    late.send(format!(
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-length: {length}\r\n\r\n{begin}"
    ))
    .await;
    scene.grant(first, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[event_head(), chunk("data: 1\n\n")]).await;
    streaming.until("data: 1\n\n").await;

    scene.say(&ToFrontend::Drain { within_ms: 60_000 });
    soon("the doors to close", async {
        while tokio::net::TcpStream::connect(scene.address).await.is_ok() {}
    })
    .await;
    late.send(rest).await;
    let reply = late.reply().await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["error"]["code"], "draining");
    assert!(reply.header("retry-after").is_some());

    // The queued one is still granted and answered.
    scene.grant(second, 1);
    let mut other = worker.visited().await;
    other.request().await;
    other.answer(&[crate::support::head(200), chunk("{}"), end()]).await;
    assert_eq!(queued.reply().await.status, 200);
    scene.closed(second).await;
    visit.answer(&[chunk("data: 2\n\n"), end()]).await;
    streaming.until("data: 2\n\n").await;
    assert_eq!(scene.closed(first).await.failure, None);
    assert_eq!(scene.hears().await, FromFrontend::Drained);
}

#[tokio::test]
async fn api_12_who_is_connected_already_reads_that_it_is_draining() {
    let mut scene = Scene::open().await;
    let (_queued, _) = scene.chatting(CHAT).await;
    let (mut ready, mut alive) = (scene.client().await, scene.client().await);
    ready.send("GET /readyz HTTP/1.1\r\nhost: x\r\n").await;
    alive.send("GET /healthz HTTP/1.1\r\nhost: x\r\n").await;
    // Whoever comes later is answered: the beginnings of these two have been read.
    let mut idle = scene.client().await;
    idle.send("GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    idle.until(r#"{"status":"ready"}"#).await;

    scene.say(&ToFrontend::Drain { within_ms: 60_000 });
    // A kept connection that asks nothing is closed, so its owner looks for another instance.
    idle.closed().await;
    ready.send("\r\n").await;
    let reply = ready.reply().await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(reply.json()["reason"], "this instance is draining");
    assert_eq!(reply.header("connection"), Some("close"));
    alive.send("\r\n").await;
    assert_eq!(alive.reply().await.status, 200);
}

#[tokio::test]
async fn a_body_that_never_comes_is_refused_and_holds_up_no_drain() {
    let mut scene = Scene::open().await;
    let mut stuck = scene.client().await;
    // Told to go on with its body, so the frontend waits for it.
    stuck
        .send(format!(
            "POST /v1/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
        ))
        .await;
    stuck.until("100 Continue\r\n\r\n").await;
    scene.say(&ToFrontend::Drain { within_ms: 60_000 });
    let reply = stuck.reply().await;
    assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (503, Some("draining")));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(scene.hears().await, FromFrontend::Drained);
}

#[tokio::test]
async fn what_is_left_when_the_drains_time_is_over_is_told_so() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let (mut streaming, first) = scene.chatting(STREAM).await;
    let (mut queued, second) = scene.chatting(CHAT).await;
    scene.grant(first, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[event_head(), chunk("data: 1\n\n")]).await;
    streaming.until("data: 1\n\n").await;
    scene.say(&ToFrontend::Drain { within_ms: 1 });
    assert_eq!(queued.reply().await.status, 503);
    streaming.until("draining").await;
    for _ in 0..2 {
        let heard = scene.hears().await;
        assert!(
            matches!(&heard, FromFrontend::Closed { request, outcome }
                if [first, second].contains(request)
                    && outcome.failure.as_ref().map(|failure| failure.kind) == Some(FailureKind::Draining)),
            "{heard:?}"
        );
    }
    assert_eq!(scene.hears().await, FromFrontend::Drained);
    assert_eq!(visit.asked().await, None);
}

#[tokio::test]
async fn without_a_supervisor_the_waiting_are_refused_and_the_rest_finishes() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let (mut streaming, first) = scene.chatting(STREAM).await;
    let (mut queued, _) = scene.chatting(CHAT).await;
    scene.grant(first, 1);
    let mut visit = worker.visited().await;
    visit.request().await;
    visit.answer(&[event_head(), chunk("data: 1\n\n")]).await;
    streaming.until("data: 1\n\n").await;
    let frontend = scene.leave();
    let reply = queued.reply().await;
    assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (503, Some("draining")));
    visit.answer(&[chunk("data: 2\n\n"), end()]).await;
    streaming.until("0\r\n\r\n").await;
    Scene::ends(frontend).await;
}

/// What becomes of a frontend whose supervisor says these things after the hello.
async fn started_with(messages: &[ToFrontend]) -> Result<(), FrontendError> {
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let seat = FrontendId { seat: 1, generation: 1 };
    let mut frontend = JoinSet::new();
    frontend.spawn(frontend::attach(seat, Secret::new("s"), near, std::future::pending()));
    link::welcome(&mut far).await.unwrap();
    let (outbox, inbox, writer) = link::open::<ToFrontend, FromFrontend, _>(far);
    for message in messages {
        outbox.send(message).unwrap();
    }
    outbox.close();
    writer.run().await.unwrap();
    drop(inbox);
    soon("the frontend's end", frontend.join_next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_frontend_that_cannot_begin_says_why() {
    let refused = started_with(&[ToFrontend::Refused("wrong secret".to_owned())]).await.unwrap_err();
    assert_eq!(refused.to_string(), "the supervisor refused this frontend: wrong secret");
    assert!(matches!(started_with(&[]).await, Err(FrontendError::NoSpec)));

    let scene = Scene::open().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut spec = scene.spec(crate::support::limits(), true);
    spec.listen = Listen::Bind { address, shared: false };
    let directory =
        Directory { models: Vec::new(), ready: true, reason: String::new(), backends_up: 0, backends: 0 };
    let messages = [ToFrontend::Spec(Box::new(spec)), ToFrontend::Directory(Box::new(directory))];
    let taken = started_with(&messages).await.unwrap_err();
    assert_eq!(taken.to_string(), format!("cannot listen at {address}"));
    assert!(taken.hint().is_some_and(|hint| hint.contains("--port")));
}
