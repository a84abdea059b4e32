//! Slots lent ahead: a request that finds one goes straight to the worker, and loses nothing if the loan has lapsed.

use dialect::Task;
use ipc_proto::control::{Admission, FromFrontend, StandingGrant, ToFrontend};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{GrantId, KeyId, ModelName};

use crate::support::{CHAT, Client, Scene, WORKER, chunk, end, fail, head};

const LOAN: GrantId = GrantId(40);

fn loan(grant: GrantId, ttl_ms: u64) -> StandingGrant {
    StandingGrant {
        grant,
        worker: WORKER,
        model: ModelName::new("m"),
        upstream_model: Some(ModelName::new("org/m")),
        task: Task::Chat,
        key: KeyId(7),
        ttl_ms,
        come_within_ms: 5000,
    }
}

/// Returns when the frontend has taken in everything said so far: links keep their order.
async fn heard_all(scene: &mut Scene) {
    let (mut client, request) = chatting_elsewhere(scene).await;
    scene.reject(request, Failure::new(FailureKind::QueueFull, "x"));
    client.reply().await;
    scene.closed(request).await;
}

/// A request for which nothing is lent.
async fn chatting_elsewhere(scene: &mut Scene) -> (Client, ipc_proto::ids::RequestId) {
    scene.chatting(&CHAT.replace("\"m\"", "\"other\"")).await
}

/// A frontend that has been lent a slot.
async fn lent(loan: StandingGrant) -> Scene {
    let mut scene = Scene::open().await;
    scene.say(&ToFrontend::Lent(Box::new(loan)));
    heard_all(&mut scene).await;
    scene
}

/// A client that asks for `m`, and the admission.
async fn asks(scene: &mut Scene) -> (Client, Admission) {
    let mut client = scene.client().await;
    client.post("/v1/chat/completions", CHAT).await;
    (client, scene.admitted().await)
}

#[tokio::test]
async fn a_request_goes_straight_to_the_worker_and_says_so() {
    let mut scene = lent(loan(LOAN, 60_000)).await;
    let worker = scene.worker();
    let (mut client, admission) = asks(&mut scene).await;
    assert_eq!(admission.under, Some(LOAN));
    let mut visit = worker.visited().await;
    let (open, body) = visit.request().await;
    assert_eq!((open.grant, open.request, body.as_ref()), (LOAN, admission.request, CHAT.as_bytes()));
    assert_eq!(open.model, ModelName::new("org/m"));
    assert!(open.renamed);
    visit.answer(&[head(200), chunk("{}"), end()]).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.header("x-proxylm-attempts")), (200, None));
    assert_eq!(scene.closed(admission.request).await.failure, None);

    let (_client, admission) = asks(&mut scene).await;
    assert_eq!(admission.under, None, "a loan is for one attempt");
}

#[tokio::test]
async fn a_loan_is_not_for_another_task_or_model() {
    let mut scene = lent(loan(LOAN, 60_000)).await;
    let other = CHAT.replace("\"m\"", "\"n\"");
    for (path, body) in [("/v1/embeddings", CHAT), ("/v1/chat/completions", &other)] {
        let mut client = scene.client().await;
        client.post(path, body).await;
        let admission = scene.admitted().await;
        assert_eq!(admission.under, None, "{path}");
        scene.reject(admission.request, Failure::new(FailureKind::QueueFull, "x"));
        client.reply().await;
        scene.closed(admission.request).await;
    }
    let (_client, admission) = asks(&mut scene).await;
    assert_eq!(admission.under, Some(LOAN));
}

#[tokio::test]
async fn a_loan_is_for_a_task_in_whatever_dialect() {
    let mut scene = lent(loan(LOAN, 60_000)).await;
    let mut client = scene.client().await;
    client.post("/v1/messages", r#"{"model":"m","max_tokens":9,"messages":[]}"#).await;
    assert_eq!(scene.admitted().await.under, Some(LOAN));
}

#[tokio::test]
async fn a_loan_whose_time_is_over_is_given_back() {
    let mut scene = Scene::open().await;
    scene.say(&ToFrontend::Lent(Box::new(loan(LOAN, 0))));
    let mut returned = 0;
    // The first client may come before the loan, the second comes after it.
    for _ in 0..2 {
        let mut client = scene.client().await;
        client.post("/v1/chat/completions", CHAT).await;
        let admission = loop {
            match scene.hears().await {
                FromFrontend::Returned { grant: LOAN } => returned += 1,
                FromFrontend::Admit(admission) => break admission,
                other => panic!("an admission was due, not {other:?}"),
            }
        };
        assert_eq!(admission.under, None);
        scene.reject(admission.request, Failure::new(FailureKind::QueueFull, "x"));
        client.reply().await;
        scene.closed(admission.request).await;
    }
    assert_eq!(returned, 1);
}

#[tokio::test]
async fn a_recalled_loan_is_not_used() {
    let mut scene = lent(loan(LOAN, 60_000)).await;
    scene.say(&ToFrontend::Recalled { grant: LOAN });
    heard_all(&mut scene).await;
    assert_eq!(asks(&mut scene).await.1.under, None);
}

/// A request under a loan that its worker refuses; the supervisor's word has come before that.
async fn refused_after(
    word: impl FnOnce(&Scene, &Admission),
) -> (Scene, Client, Admission, crate::support::Visit) {
    let mut scene = lent(loan(LOAN, 60_000)).await;
    let worker = scene.worker();
    let (client, admission) = asks(&mut scene).await;
    let mut visit = worker.visited().await;
    visit.request().await;
    word(&scene, &admission);
    heard_all(&mut scene).await;
    visit.answer(&[fail(FailureKind::GrantLapsed)]).await;
    let FromFrontend::AttemptFailed { grant, failure, .. } = scene.hears().await else {
        panic!("the failure is reported")
    };
    assert_eq!((grant, failure.kind), (LOAN, FailureKind::GrantLapsed));
    (scene, client, admission, visit)
}

#[tokio::test]
async fn a_grant_that_came_while_a_lapsed_loan_was_tried_is_used() {
    let granted = |scene: &Scene, admission: &Admission| scene.grant(admission.request, 1);
    let (mut scene, mut client, admission, mut visit) = refused_after(granted).await;
    let (open, _) = visit.request().await;
    assert_eq!(open.grant, GrantId(101));
    visit.answer(&[head(200), chunk("{}"), end()]).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(scene.closed(admission.request).await.failure, None);
}

#[tokio::test]
async fn a_refusal_that_came_while_a_lapsed_loan_was_tried_is_told() {
    let rejected = |scene: &Scene, admission: &Admission| {
        scene.reject(admission.request, Failure::new(FailureKind::QueueFull, "x"));
    };
    let (mut scene, mut client, admission, _visit) = refused_after(rejected).await;
    assert_eq!(client.reply().await.status, 429);
    assert_eq!(scene.closed(admission.request).await.status, 429);
}

#[tokio::test]
async fn a_draining_frontend_wants_no_loan() {
    let mut scene = Scene::open().await;
    // Somebody is there, so that it stays.
    let (_client, _) = scene.chatting(CHAT).await;
    scene.say(&ToFrontend::Drain { within_ms: 60_000 });
    scene.say(&ToFrontend::Lent(Box::new(loan(LOAN, 60_000))));
    assert_eq!(scene.hears().await, FromFrontend::Returned { grant: LOAN });
}
