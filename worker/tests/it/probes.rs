//! Probes, as a backend sees them and as they are reported.

use ipc_proto::control::{LoadedModel, ProbeFailureKind, ProbeReport, ToWorker};
use ipc_proto::secret::Secret;
use ipc_proto::spec::{BackendKind, Credential, WorkerSpec};

use crate::support::{Backend, Supervisor, must, spec};

fn models(report: &ProbeReport) -> Vec<&str> {
    report.models.as_ref().unwrap().iter().map(|model| model.id.as_str()).collect()
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

/// The models in memory with their context, then slots and models at once.
type Memory<'a> = (Option<Vec<(&'a str, Option<u64>)>>, Option<u32>, Option<u32>);

fn memory(report: &ProbeReport) -> Memory<'_> {
    let loaded = report
        .loaded
        .as_ref()
        .map(|loaded| loaded.iter().map(|LoadedModel { id, context }| (id.as_str(), *context)).collect());
    (loaded, report.slots, report.max_models)
}

/// What a backend of `kind` that offers this tells of its memory, asked at these paths and answering so. Each path must
/// be asked, in this order, and no other.
async fn memory_of(kind: BackendKind, offers: &str, script: &[(&str, u16, &str)]) -> ProbeReport {
    let answers: Vec<_> =
        [(200, offers)].into_iter().chain(script.iter().map(|&(_, status, body)| (status, body))).collect();
    let (asked, report) = probed(kind, &answers).await;
    let paths: Vec<_> = script.iter().map(|(path, _, _)| format!("GET {path}")).collect();
    assert_eq!(asked[1..], paths);
    report
}

const AB: &str = r#"{"data":[{"id":"a","owned_by":"me","created":5},{"id":"b"}]}"#;
const NOTHING: Memory<'static> = (None, None, None);

#[tokio::test]
async fn dis_06_a_backend_of_no_special_kind_is_asked_for_its_models_only() {
    let (asked, report) = probed(BackendKind::OpenAi, &[(200, AB)]).await;
    assert_eq!((asked, models(&report)), (vec!["GET /v1/models".to_owned()], vec!["a", "b"]));
    assert_eq!(memory(&report), NOTHING);
}

#[tokio::test]
async fn dis_06_ollama_tells_what_it_has_in_memory() {
    let offers = r#"{"data":[{"id":"a:latest"},{"id":"b:7b"}]}"#;
    let new = r#"{"models":[{"name":"a","context_length":8192},{"name":"b:7b"}]}"#;
    let report = memory_of(BackendKind::Ollama, offers, &[("/api/ps", 200, new)]).await;
    assert_eq!(memory(&report), (Some(vec![("a:latest", Some(8192)), ("b:7b", None)]), None, None));
    let report = memory_of(BackendKind::Ollama, offers, &[("/api/ps", 200, r#"{"models":[]}"#)]).await;
    assert_eq!(memory(&report), (Some(Vec::new()), None, None));
}

#[tokio::test]
async fn dis_07_lm_studio_is_asked_in_the_new_way_and_then_in_the_old_one() {
    let new = r#"{"models":[{"key":"b","loaded_instances":[{"id":"b","config":{"context_length":4096,"parallel":4}}]},
        {"key":"a","loaded_instances":[]}]}"#;
    let report = memory_of(BackendKind::LmStudio, AB, &[("/api/v1/models", 200, new)]).await;
    assert_eq!(memory(&report), (Some(vec![("b", Some(4096))]), Some(4), None));
    let old = r#"{"data":[{"id":"b","state":"loaded","loaded_context_length":2048},{"id":"a","state":"not-loaded"}]}"#;
    for (status, first) in [(404, "{}"), (200, "<html>"), (200, r#"{"error":"no such thing"}"#)] {
        let script = [("/api/v1/models", status, first), ("/api/v0/models", 200, old)];
        let report = memory_of(BackendKind::LmStudio, AB, &script).await;
        assert_eq!(memory(&report), (Some(vec![("b", Some(2048))]), None, None), "{status} {first}");
    }
}

#[tokio::test]
async fn dis_07_llama_cpp_is_a_router_or_has_one_model() {
    let router = r#"{"data":[{"id":"a","status":{"value":"loaded","args":["-c","4096","-np","3"]}},
        {"id":"b","status":{"value":"loading"}}]}"#;
    let report = memory_of(BackendKind::LlamaCpp, AB, &[("/models", 200, router)]).await;
    assert_eq!(memory(&report), (Some(vec![("a", Some(4096))]), Some(3), None));

    let offers = r#"{"data":[{"id":"m","owned_by":"llamacpp"}]}"#;
    let props = r#"{"default_generation_settings":{"n_ctx":1024},"total_slots":2,"is_sleeping":false}"#;
    let report =
        memory_of(BackendKind::LlamaCpp, offers, &[("/models", 200, offers), ("/props", 200, props)]).await;
    assert_eq!(memory(&report), (Some(vec![("m", Some(1024))]), Some(2), Some(1)));

    let asleep = r#"{"default_generation_settings":{"n_ctx":1024},"is_sleeping":true}"#;
    // Not asked for its slots: that would wake it.
    let report =
        memory_of(BackendKind::LlamaCpp, offers, &[("/models", 200, offers), ("/props", 200, asleep)]).await;
    assert_eq!(memory(&report), (Some(Vec::new()), None, Some(1)));

    let slots = r#"[{"id":0,"n_ctx":512},{"id":1,"n_ctx":512}]"#;
    let old = [("/models", 404, "{}"), ("/props", 403, "{}"), ("/slots", 200, slots)];
    let report = memory_of(BackendKind::LlamaCpp, offers, &old).await;
    assert_eq!(memory(&report), (Some(vec![("m", Some(512))]), Some(2), Some(1)));

    let closed = [("/models", 404, "{}"), ("/props", 501, "{}"), ("/slots", 501, "{}")];
    let report = memory_of(BackendKind::LlamaCpp, offers, &closed).await;
    assert_eq!(memory(&report), (Some(vec![("m", None)]), None, Some(1)));
    // Something else that speaks like it may have many models, and who knows which are loaded.
    let report = memory_of(BackendKind::LlamaCpp, AB, &closed).await;
    assert_eq!(memory(&report), NOTHING);
}

#[tokio::test]
async fn vllm_and_sglang_have_in_memory_what_they_list() {
    let vllm =
        r#"{"data":[{"id":"a","owned_by":"vllm","max_model_len":32768},{"id":"lora","owned_by":"vllm"}]}"#;
    let both = Some(vec![("a", Some(32768)), ("lora", None)]);
    let told = "vllm:num_requests_running 1\nvllm:max_num_seqs{engine=\"0\"} 256.0\n";
    for kind in [BackendKind::Vllm, BackendKind::OpenAi] {
        let report = memory_of(kind, vllm, &[("/metrics", 200, told)]).await;
        assert_eq!(memory(&report), (both.clone(), Some(256), Some(2)), "{kind:?}");
    }
    for (status, metrics) in [(404, "{}"), (200, "vllm:num_requests_running 1\n"), (200, "\u{fffd}{{{")] {
        let report = memory_of(BackendKind::Vllm, vllm, &[("/metrics", status, metrics)]).await;
        assert_eq!(memory(&report), (both.clone(), None, Some(2)), "{status} {metrics}");
    }
    let sglang = r#"{"data":[{"id":"a","owned_by":"sglang","max_model_len":4096}]}"#;
    let info = r#"{"max_running_requests":48,"api_key":"theirs"}"#;
    let one = Some(vec![("a", Some(4096))]);
    let report = memory_of(BackendKind::OpenAi, sglang, &[("/get_server_info", 200, info)]).await;
    assert_eq!(memory(&report), (one.clone(), Some(48), Some(1)));
    let newer = [("/get_server_info", 404, "{}"), ("/server_info", 200, info)];
    assert_eq!(memory(&memory_of(BackendKind::OpenAi, sglang, &newer).await), (one, Some(48), Some(1)));
}

#[tokio::test]
async fn garbage_about_memory_is_no_news_and_no_failure() {
    let garbage =
        ["", "<html>", "7", "[]", "{}", r#"{"models":{},"data":"x"}"#, r#"{"models":[7,{"name":7}]}"#];
    for body in garbage {
        let report = memory_of(BackendKind::Ollama, AB, &[("/api/ps", 200, body)]).await;
        let (loaded, slots, max_models) = memory(&report);
        assert!(loaded.unwrap_or_default().is_empty() && slots.or(max_models).is_none(), "{body}");
        let script = [("/models", 200, body), ("/props", 200, body), ("/slots", 200, body)];
        let report = memory_of(BackendKind::LlamaCpp, AB, &script).await;
        assert_eq!((models(&report), memory(&report)), (vec!["a", "b"], NOTHING), "{body}");
    }
}

#[tokio::test]
async fn a_backend_that_stays_silent_about_its_memory_is_left_alone_in_time() {
    let backend = Backend::start().await;
    let mut slow = spec(BackendKind::LlamaCpp, &backend.url);
    slow.probe.timeout_ms = 200;
    let mut supervisor = Supervisor::start(slow).await;
    backend.list(AB).await;
    let silent = backend.exchange().await;
    let report = supervisor.probed().await;
    assert_eq!((models(&report), memory(&report)), (vec!["a", "b"], NOTHING));
    silent.closed_by_worker().await;
}

#[tokio::test]
async fn more_names_than_a_message_holds_are_a_wrong_answer() {
    let many: Vec<_> = (0..40_000).map(|number| format!("model-with-a-long-name-{number}")).collect();
    let list = format!("[\"{}\"]", many.join("\",\""));
    let (_, report) = probed(BackendKind::OpenAi, &[(200, &list)]).await;
    assert_eq!(report.models.unwrap_err().kind, ProbeFailureKind::Shape);
}

#[tokio::test]
async fn a_question_about_memory_that_fails_changes_nothing() {
    let (_, report) = probed(BackendKind::Ollama, &[(200, r#"["a"]"#), (500, "{}")]).await;
    assert_eq!((models(&report), memory(&report)), (vec!["a"], NOTHING));
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
async fn gemini_lists_its_models_page_by_page_and_shows_those_that_are_of_use() {
    let pages = [
        (
            200,
            r#"{"models":[{"name":"models/g","supportedGenerationMethods":["generateContent"]},
                {"name":"models/veo","supportedGenerationMethods":["predictLongRunning"]}],"nextPageToken":"p/2"}"#,
        ),
        (200, r#"{"models":[{"name":"models/e","supportedGenerationMethods":["embedContent"]}]}"#),
    ];
    let (asked, report) = probed(BackendKind::Gemini, &pages).await;
    let first = "GET /v1beta/models?pageSize=1000";
    assert_eq!(asked, [first, &format!("{first}&pageToken=p%2F2")]);
    assert_eq!((models(&report), memory(&report)), (vec!["g", "e"], NOTHING));
    let (asked, report) = probed(BackendKind::OpenAiResponses, &[(200, AB)]).await;
    assert_eq!((asked, models(&report)), (vec!["GET /v1/models".to_owned()], vec!["a", "b"]));
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
