//! Probes, as a backend sees them and as they are reported.

use ipc_proto::control::{ProbeFailureKind, ProbeReport, ToWorker};
use ipc_proto::secret::Secret;
use ipc_proto::spec::{BackendKind, Credential, WorkerSpec};

use crate::support::{Backend, Supervisor, must, spec};

fn models(report: &ProbeReport) -> Vec<&str> {
    report.models.as_ref().unwrap().iter().map(|model| model.id.as_str()).collect()
}

fn loaded(report: &ProbeReport) -> Option<Vec<&str>> {
    Some(report.loaded.as_ref()?.iter().map(|model| model.id.as_str()).collect())
}

/// The first probe of a backend of `kind` that answers with these, in this order: what was asked, what was found.
async fn probed(kind: BackendKind, answers: &[(u16, &str)]) -> (Vec<String>, ProbeReport) {
    probed_with(kind, answers, |_| {}).await
}

async fn probed_with(
    kind: BackendKind,
    answers: &[(u16, &str)],
    edit: impl FnOnce(&mut WorkerSpec),
) -> (Vec<String>, ProbeReport) {
    let backend = Backend::start().await;
    let mut spec = spec(kind, &backend.url);
    edit(&mut spec);
    let mut supervisor = Supervisor::start(spec).await;
    let mut asked = Vec::new();
    for (status, body) in answers {
        let mut exchange = backend.exchange().await;
        exchange.json(*status, body).await;
        asked.push(exchange.head.lines().next().unwrap().replace(" HTTP/1.1", ""));
    }
    (asked, supervisor.probed().await)
}

#[tokio::test]
async fn dis_06_each_kind_is_asked_in_its_own_way() {
    let list = (200, r#"{"data":[{"id":"a","owned_by":"me","created":5},{"id":"b"}]}"#);
    let (asked, report) = probed(BackendKind::OpenAi, &[list]).await;
    assert_eq!(
        (asked, models(&report), loaded(&report)),
        (vec!["GET /v1/models".to_owned()], vec!["a", "b"], None)
    );
    let (_, report) = probed(BackendKind::Vllm, &[list]).await;
    assert_eq!(loaded(&report), Some(vec!["a", "b"]));
    let (asked, report) = probed(BackendKind::Ollama, &[list, (200, r#"{"models":[{"name":"b"}]}"#)]).await;
    assert_eq!((asked[1].as_str(), loaded(&report)), ("GET /api/ps", Some(vec!["b"])));
    let (asked, report) =
        probed(BackendKind::LlamaCpp, &[list, (200, r#"{"data":[{"id":"a","status":{"value":"loaded"}}]}"#)])
            .await;
    assert_eq!((asked[1].as_str(), loaded(&report)), ("GET /models", Some(vec!["a"])));
    let old = (200, r#"{"data":[{"id":"b","state":"loaded"}]}"#);
    let (asked, report) = probed(BackendKind::LmStudio, &[list, (404, "{}"), old]).await;
    assert_eq!(asked[1..], ["GET /api/v1/models", "GET /api/v0/models"]);
    assert_eq!(loaded(&report), Some(vec!["b"]));
}

#[tokio::test]
async fn a_question_about_memory_that_fails_changes_nothing() {
    let (_, report) = probed(BackendKind::Ollama, &[(200, r#"["a"]"#), (500, "{}")]).await;
    assert_eq!((models(&report), loaded(&report)), (vec!["a"], None));
}

#[tokio::test]
async fn dis_09_all_pages_are_read() {
    let pages = [
        (200, r#"{"data":[{"id":"a"}],"has_more":true,"last_id":"a b"}"#),
        (200, r#"{"data":[{"id":"c"}],"has_more":false,"last_id":"c"}"#),
    ];
    let (asked, report) = probed(BackendKind::Anthropic, &pages).await;
    assert_eq!(asked, ["GET /v1/models?limit=1000", "GET /v1/models?limit=1000&after_id=a+b"]);
    assert_eq!(models(&report), ["a", "c"]);
}

#[tokio::test]
async fn failures_say_what_is_wrong() {
    let key = |spec: &mut WorkerSpec| spec.credential = Some(Credential::Bearer(Secret::new("sk-ours")));
    let (_, report) = probed_with(BackendKind::OpenAi, &[(401, "{}")], key).await;
    let failure = report.models.unwrap_err();
    assert_eq!(failure.kind, ProbeFailureKind::Status(401));
    assert!(failure.detail.contains("the key was refused"), "{}", failure.detail);
    let (_, report) = probed(BackendKind::OpenAi, &[(500, "{}")]).await;
    assert_eq!(report.models.unwrap_err().kind, ProbeFailureKind::Status(500));
    let (_, report) = probed_with(BackendKind::OpenAi, &[(200, "<html>sk-ours</html>")], key).await;
    let failure = report.models.unwrap_err();
    assert_eq!(failure.kind, ProbeFailureKind::Shape);
    assert!(failure.detail.contains("<html>[secret]</html>"), "{}", failure.detail);

    let silent = Backend::start().await;
    let mut slow = spec(BackendKind::OpenAi, &silent.url);
    slow.probe.timeout_ms = 30;
    let mut supervisor = Supervisor::start(slow).await;
    assert_eq!(supervisor.probed().await.models.unwrap_err().kind, ProbeFailureKind::Timeout);
}

#[tokio::test]
async fn probes_come_by_interval_and_when_asked_for() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    supervisor.say(&ToWorker::Probe);
    backend.list(r#"["asked"]"#).await;
    assert_eq!(models(&supervisor.probed().await), ["asked"]);

    let mut often = spec(BackendKind::OpenAi, &backend.url);
    often.probe.interval_ms = 10;
    often.credential = Some(Credential::Bearer(Secret::new("new")));
    supervisor.say(&ToWorker::Spec(Box::new(often)));
    for _ in 0..3 {
        let mut exchange = backend.exchange().await;
        assert_eq!(exchange.header("authorization"), Some("Bearer new"));
        exchange.json(200, "[]").await;
        must("a report of each", supervisor.probed()).await;
    }
}
