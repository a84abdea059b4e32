//! Cancelling, revoking, draining, and losing the supervisor.

use dialect::Endpoint;
use ipc_proto::control::{Ending, FromWorker, ToWorker};
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::GrantId;
use ipc_proto::secret::Secret;
use ipc_proto::spec::BackendKind;
use ipc_proto::stream::{Answer, Ask};
use worker::WorkerError;

use crate::support::{Backend, DONE, Supervisor, chunk, must, open, spec};

#[tokio::test]
async fn ret_12_closing_cancels_before_and_in_the_middle_of_an_answer() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat_stream(1).await;
    let exchange = backend.exchange().await;
    drop(frontend);
    exchange.closed_by_worker().await;
    assert_eq!(supervisor.ending().await, Ending::Cancelled);

    let mut frontend = supervisor.frontend().await;
    frontend.chat_stream(2).await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange
        .write("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":1}}\n\n")
        .await;
    exchange.write(chunk("a")).await;
    assert!(matches!(frontend.next().await, Some(Answer::Head(_))));
    drop(frontend);
    exchange.closed_by_worker().await;
    let finished = supervisor.finished().await;
    assert_eq!(finished.ending, Ending::Cancelled);
    assert_eq!(finished.usage.input_tokens, Some(2));
}

#[tokio::test]
async fn a_frontend_that_does_not_read_stops_the_reading_and_can_still_be_cancelled() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|spec| spec.timeouts.idle_ms = 60_000).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat_stream(1).await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange.write(chunk("a")).await;
    assert!(matches!(frontend.next().await, Some(Answer::Head(_))));
    let flood = chunk(&"x".repeat(60_000));
    let mut written = 0;
    // Until the kernel's buffers are full: then nobody in between reads any more.
    while written < 1000
        && tokio::time::timeout(std::time::Duration::from_millis(300), exchange.write(&flood)).await.is_ok()
    {
        written += 1;
    }
    assert!(written < 1000, "60 MB were read for a frontend that reads nothing");
    drop(frontend);
    exchange.closed_by_worker().await;
    assert_eq!(supervisor.ending().await, Ending::Cancelled);
}

#[tokio::test]
async fn a_revoked_grant_is_refused_and_reported_once() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    supervisor.say(&ToWorker::Revoke { grant: GrantId(5) });
    let finished = supervisor.finished().await;
    assert_eq!((finished.grant, finished.ending), (GrantId(5), Ending::NeverStarted));
    let mut frontend = supervisor.frontend().await;
    frontend.chat(5).await;
    assert_eq!(frontend.failure().await.kind, FailureKind::GrantLapsed);

    // The connection is still good, and nothing more was said about the revoked grant.
    frontend.chat(6).await;
    backend.exchange().await.json(200, "{}").await;
    assert!(frontend.answer().await.failure.is_none());
    assert_eq!(supervisor.next().await, FromWorker::Started { grant: GrantId(6) });
    let finished = supervisor.finished().await;
    assert_eq!((finished.grant, finished.ending), (GrantId(6), Ending::Complete));
    // Revoking what is over says nothing either.
    supervisor.say(&ToWorker::Revoke { grant: GrantId(6) });
    supervisor.say(&ToWorker::Revoke { grant: GrantId(7) });
    assert_eq!(supervisor.finished().await.grant, GrantId(7));
}

#[tokio::test]
async fn revoking_stops_a_running_attempt() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    let exchange = backend.exchange().await;
    supervisor.say(&ToWorker::Revoke { grant: GrantId(1) });
    assert_eq!(frontend.failure().await.kind, FailureKind::GrantLapsed);
    exchange.closed_by_worker().await;
    assert_eq!(supervisor.ending().await, Ending::Cancelled);
}

#[tokio::test]
async fn a_recall_takes_back_what_nobody_uses_and_stops_nothing() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    let mut exchange = backend.exchange().await;
    supervisor.say(&ToWorker::Recall { grant: GrantId(1) });
    supervisor.say(&ToWorker::Recall { grant: GrantId(2) });
    let finished = supervisor.finished().await;
    assert_eq!((finished.grant, finished.ending), (GrantId(2), Ending::NeverStarted));
    exchange.json(200, "{}").await;
    assert!(frontend.answer().await.failure.is_none());
    let finished = supervisor.finished().await;
    assert_eq!((finished.grant, finished.ending), (GrantId(1), Ending::Complete));
    frontend.chat(2).await;
    assert_eq!(frontend.failure().await.kind, FailureKind::GrantLapsed);
}

#[tokio::test]
async fn draining_finishes_what_runs_and_takes_nothing_new() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut running = supervisor.frontend().await;
    running.chat_stream(1).await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange.write(chunk("a")).await;
    assert!(matches!(running.next().await, Some(Answer::Head(_))));
    supervisor.say(&ToWorker::Drain { within_ms: 60_000 });
    // Messages are obeyed in order: once this is answered, the drain has begun.
    supervisor.say(&ToWorker::Revoke { grant: GrantId(9) });
    assert_eq!(supervisor.ending().await, Ending::NeverStarted);

    let mut late = supervisor.frontend().await;
    late.chat(2).await;
    assert_eq!(late.failure().await.kind, FailureKind::GrantLapsed);
    assert_eq!(supervisor.ending().await, Ending::NeverStarted);

    exchange.write(DONE).await;
    assert!(running.next().await.is_some());
    assert_eq!(supervisor.ending().await, Ending::Complete);
    while !matches!(running.next().await, Some(Answer::End(_))) {}
    assert_eq!(supervisor.next().await, FromWorker::Drained);
    let mut worker = supervisor.hang_up().await;
    assert!(matches!(must("the end", worker.join_next()).await, Some(Ok(Ok(())))));
}

#[tokio::test]
async fn a_drain_that_takes_too_long_ends_the_rest_honestly() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    let exchange = backend.exchange().await;
    supervisor.say(&ToWorker::Drain { within_ms: 20 });
    assert_eq!(frontend.failure().await.kind, FailureKind::Draining);
    exchange.closed_by_worker().await;
    assert!(matches!(supervisor.ending().await, Ending::Failed(_)));
    assert_eq!(supervisor.next().await, FromWorker::Drained);
}

#[tokio::test]
async fn a_worker_whose_lifeline_is_cut_finishes_and_ends() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    let mut exchange = backend.exchange().await;
    supervisor.lifeline.take();
    exchange.json(200, "{}").await;
    assert!(frontend.answer().await.failure.is_none());
    assert!(matches!(must("the end", supervisor.worker.join_next()).await, Some(Ok(Ok(())))));
}

#[tokio::test]
async fn strangers_and_rule_breakers_are_shown_out() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut impatient = supervisor.frontend().await;
    impatient.chat(1).await;
    let exchange = backend.exchange().await;
    impatient.chat(2).await;
    assert!(impatient.next().await.is_none());
    exchange.closed_by_worker().await;
    assert!(
        matches!(supervisor.ending().await, Ending::Failed(failure) if failure.kind == FailureKind::Internal)
    );

    let mut liar = supervisor.frontend().await;
    let mut asked = open(3, Endpoint::ChatCompletions, false, b"{}");
    asked.body_bytes = 1;
    liar.send(asked, b"{}").await;
    assert!(liar.next().await.is_none());
    assert_eq!(supervisor.ending().await, Ending::Cancelled);

    let mut stranger = supervisor.frontend().await;
    stranger.ask(&[Ask::Hello(Secret::new("guessed"))]).await;
    assert!(stranger.next().await.is_none());
}

#[tokio::test]
async fn a_refused_worker_and_one_without_a_usable_spec_end() {
    let mut supervisor = Supervisor::greet().await;
    supervisor.say(&ToWorker::Refused("no".to_owned()));
    let ended = must("the end", supervisor.worker.join_next()).await.unwrap().unwrap();
    assert!(matches!(ended, Err(WorkerError::Refused(reason)) if reason == "no"));
    for wrong in ["not a url", "ftp://x", "", "http://"] {
        let mut supervisor = Supervisor::greet().await;
        supervisor.say(&ToWorker::Spec(Box::new(spec(BackendKind::OpenAi, wrong))));
        let ended = must("the end", supervisor.worker.join_next()).await.unwrap().unwrap();
        assert!(matches!(ended, Err(WorkerError::Spec(_))), "{wrong}");
    }
}
