//! The fake backend, as a frontend sees it.

use std::collections::BTreeMap;

use dialect::Endpoint;
use dialect::load::{LoadEdit, LoadOptions};
use ipc_proto::control::{Ending, FromWorker, LoadedModel, ToWorker};
use ipc_proto::ids::{GrantId, ModelName};
use ipc_proto::spec::{BackendKind, FakeSpec};

use crate::support::{Supervisor, open, spec};

async fn fake(load_ms: u64, word_ms: u64) -> Supervisor {
    let mut spec = spec(BackendKind::Fake, "");
    let models = vec![ModelName::new("small"), ModelName::new("large")];
    spec.fake = Some(FakeSpec { models, load_ms, word_ms, words: 12 });
    Supervisor::start(spec).await
}

#[tokio::test]
async fn it_answers_every_endpoint_and_tells_what_it_has_in_memory() {
    let mut supervisor = fake(1, 1).await;
    let report = supervisor.probed().await;
    assert_eq!(report.models.unwrap().len(), 2);
    assert_eq!((report.loaded, report.slots, report.max_models), (Some(Vec::new()), Some(1), Some(1)));
    let mut frontend = supervisor.frontend().await;
    let own = [
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Embeddings,
        Endpoint::Messages,
        Endpoint::CountTokens,
    ];
    for (grant, endpoint) in (1..).zip(own) {
        for stream in [false, endpoint.generates()] {
            let body = br#"{"model":"large","messages":[{"role":"user","content":"a b"}],"input":"a b","prompt":"a b"}"#;
            let mut asked = open(grant, endpoint, stream, body);
            asked.model = ModelName::new("large");
            frontend.send(asked, body).await;
            let answered = frontend.answer().await;
            assert!(answered.failure.is_none(), "{endpoint:?} {answered:?}");
            let head = answered.head.as_ref().unwrap();
            assert_eq!((head.status, head.events), (200, stream));
            let finished = supervisor.finished().await;
            assert_eq!(finished.ending, Ending::Complete, "{endpoint:?}");
        }
    }
    assert_eq!(in_memory(&mut supervisor).await, loaded("large", 4096));
}

#[tokio::test]
async fn an_unknown_model_is_refused_as_that_dialect_does() {
    let mut supervisor = fake(0, 0).await;
    let mut frontend = supervisor.frontend().await;
    frontend.send(open(1, Endpoint::Messages, true, b"{\"model\":\"x\"}"), b"{\"model\":\"x\"}").await;
    let answered = frontend.answer().await;
    assert_eq!(answered.head.as_ref().unwrap().status, 404);
    assert!(answered.text().contains("not_found_error"), "{}", answered.text());
    assert_eq!(supervisor.ending().await, Ending::Declined);
}

/// What is in memory, when the supervisor asks for it.
async fn in_memory(supervisor: &mut Supervisor) -> Vec<LoadedModel> {
    supervisor.say(&ToWorker::Probe);
    supervisor.probed().await.loaded.expect("a fake tells")
}

fn loaded(name: &str, context: u64) -> Vec<LoadedModel> {
    vec![LoadedModel { id: ModelName::new(name), context: Some(context) }]
}

#[tokio::test]
async fn it_holds_one_model_and_is_careless_with_who_is_generating() {
    let mut supervisor = fake(20, 3_600_000).await;
    supervisor.probed().await;
    let mut first = supervisor.frontend().await;
    let mut second = supervisor.frontend().await;
    let small = br#"{"model":"small","stream":true}"#;
    let large = br#"{"model":"large","max_tokens":0}"#;
    first.send(open(1, Endpoint::Messages, true, small), small).await;
    while in_memory(&mut supervisor).await != loaded("small", 4096) {}
    second.send(open(2, Endpoint::Messages, false, large), large).await;
    let broken = first.answer().await;
    assert!(broken.failure.unwrap().detail.contains("unloaded"));
    assert!(matches!(supervisor.ending().await, Ending::Failed(_)));
    assert!(second.answer().await.failure.is_none());
    assert_eq!(supervisor.finished().await.grant, GrantId(2));
    assert_eq!(in_memory(&mut supervisor).await, loaded("large", 4096));
}

#[tokio::test]
async fn it_loads_anew_for_other_load_options_but_not_for_those_of_the_grant() {
    let mut supervisor = fake(1, 0).await;
    supervisor.probed().await;
    let mut frontend = supervisor.frontend().await;
    let plain = br#"{"model":"small"}"#;
    let wide = br#"{"model":"small","options":{"num_ctx":65536}}"#;
    let context = |context| LoadEdit::Set(LoadOptions { context: Some(context), ..LoadOptions::default() });
    let asked: [(&[u8], LoadEdit, u64); 5] = [
        (plain, LoadEdit::Keep, 4096),
        (wide, LoadEdit::Keep, 65536),
        (plain, context(65536), 65536),
        (wide, LoadEdit::Set(LoadOptions::default()), 4096),
        (plain, context(8192), 8192),
    ];
    for (grant, (body, load, expected)) in (1..).zip(asked) {
        let mut asked = open(grant, Endpoint::ChatCompletions, true, body);
        asked.load = load;
        frontend.send(asked, body).await;
        assert!(frontend.answer().await.failure.is_none());
        assert_eq!(supervisor.ending().await, Ending::Complete);
        assert_eq!(in_memory(&mut supervisor).await, loaded("small", expected), "grant {grant}");
    }
}

#[tokio::test]
async fn leaving_in_the_middle_of_a_load_stops_it() {
    let mut supervisor = fake(3_600_000, 0).await;
    let mut frontend = supervisor.frontend().await;
    let body = br#"{"model":"small"}"#;
    frontend.send(open(1, Endpoint::ChatCompletions, true, body), body).await;
    drop(frontend);
    assert_eq!(supervisor.ending().await, Ending::Cancelled);
}

#[tokio::test]
async fn many_attempts_end_once_each_however_they_end() {
    const MANY: u64 = 200;
    let mut supervisor = fake(0, 1).await;
    let body = br#"{"model":"small"}"#;
    let mut frontends = Vec::new();
    for grant in 0..MANY {
        let mut frontend = supervisor.frontend().await;
        frontend.send(open(grant, Endpoint::ChatCompletions, true, body), body).await;
        match grant % 4 {
            0 => drop(frontend),
            1 => {
                assert!(frontend.next().await.is_some(), "it has begun");
                drop(frontend);
            }
            2 => {
                supervisor.say(&ToWorker::Revoke { grant: GrantId(grant) });
                frontends.push(frontend);
            }
            _ => frontends.push(frontend),
        }
    }
    let mut ends = BTreeMap::new();
    while (ends.len() as u64) < MANY {
        let finished = supervisor.finished().await;
        assert_eq!(ends.insert(finished.grant.0, finished.ending), None, "{} ended twice", finished.grant);
    }
    for (grant, ending) in ends {
        match grant % 4 {
            // Leaving and revoking may come too late, or, for a revocation, even before the attempt.
            0 | 1 => assert!(matches!(ending, Ending::Cancelled | Ending::Complete), "{grant} {ending:?}"),
            2 => assert!(!matches!(ending, Ending::Failed(_) | Ending::Declined), "{grant} {ending:?}"),
            _ => assert_eq!(ending, Ending::Complete, "{grant}"),
        }
    }
    supervisor.say(&ToWorker::Drain { within_ms: 60_000 });
    loop {
        match supervisor.next().await {
            FromWorker::Drained => break,
            FromWorker::Finished(finished) => panic!("{} ended twice", finished.grant),
            _ => {}
        }
    }
}
