//! Which credentials reach the backend, and which never do.

use dialect::{Dialect, Endpoint};
use ipc_proto::control::ProbeFailureKind;
use ipc_proto::secret::Secret;
use ipc_proto::spec::{BackendKind, Credential, WorkerSpec};

use crate::support::{Backend, Exchange, Supervisor, header, open, spec};

/// A Gemini request, with the caller's credentials in every place, at a worker that is told this.
async fn asked(edit: impl FnOnce(&mut WorkerSpec)) -> Exchange {
    let backend = Backend::start().await;
    let supervisor = backend
        .worker(|spec| {
            spec.dialects = vec![Dialect::Gemini];
            edit(spec);
        })
        .await;
    let mut frontend = supervisor.frontend().await;
    let mut asked = open(1, Endpoint::GenerateContent, false, b"{}");
    asked.query = Some("key=theirs&alt=json".to_owned());
    for name in ["authorization", "x-api-key", "x-goog-api-key"] {
        asked.headers.push(header(name, "theirs"));
    }
    frontend.send(asked, b"{}").await;
    backend.exchange().await
}

#[tokio::test]
async fn a_callers_key_stays_here_in_every_form() {
    let exchange = asked(|_| {}).await;
    assert!(!exchange.head.contains("theirs"), "{}", exchange.head);
    assert_eq!(exchange.asked_for(), "POST /v1beta/models/m:generateContent?alt=json");
    let key = Credential::GoogleKey(Secret::new("ours"));
    let exchange = asked(|spec| spec.credential = Some(key.clone())).await;
    assert_eq!(exchange.header("x-goog-api-key"), Some("ours"));
    assert!(!exchange.head.contains("theirs"), "{}", exchange.head);
    // A key of ours is shown in the place of theirs, not beside it.
    let exchange = asked(|spec| (spec.credential, spec.takes_callers_key) = (Some(key), true)).await;
    assert_eq!(exchange.header("x-goog-api-key"), Some("ours"));
    assert!(!exchange.head.contains("theirs"), "{}", exchange.head);
}

#[tokio::test]
async fn a_callers_key_goes_to_a_backend_that_takes_it() {
    let exchange = asked(|spec| spec.takes_callers_key = true).await;
    for name in ["authorization", "x-api-key", "x-goog-api-key"] {
        assert_eq!(exchange.header(name), Some("theirs"));
    }
    assert!(exchange.asked_for().ends_with("?key=theirs&alt=json"));
}

#[tokio::test]
async fn a_backend_that_lists_nothing_without_the_callers_key_is_there_all_the_same() {
    for (takes_callers_key, kind) in [(true, ProbeFailureKind::Shape), (false, ProbeFailureKind::Status(401))]
    {
        let backend = Backend::start().await;
        let mut spec = spec(BackendKind::OpenAi, &backend.url);
        spec.takes_callers_key = takes_callers_key;
        let mut supervisor = Supervisor::start(spec).await;
        backend.exchange().await.json(401, "{}").await;
        assert_eq!(supervisor.probed().await.models.unwrap_err().kind, kind);
    }
}
