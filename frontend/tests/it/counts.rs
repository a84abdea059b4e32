//! Counts of tokens: by the backend where one counts, else here, and said to be an estimate.

use dialect::{Dialect, Endpoint};
use ipc_proto::control::{Directory, ModelEntry, ToFrontend};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::ModelName;

use crate::support::{Client, Reply, Scene, chunk, end, head};

const MESSAGES: &str =
    r#"{"model":"m","messages":[{"role":"user","content":"Say hello to everybody here."}]}"#;
const CONTENTS: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Say hello to everybody here."}]}]}"#;

/// Path, body, endpoint and dialect of both counts, and where the number is.
const COUNTS: [(&str, &str, Endpoint, &str); 2] = [
    ("/v1/messages/count_tokens?beta=true", MESSAGES, Endpoint::CountTokens, "input_tokens"),
    ("/v1beta/models/m:countTokens", CONTENTS, Endpoint::GeminiCountTokens, "totalTokens"),
];

async fn counted(scene: &Scene, path: &str, body: &str) -> Reply {
    let mut client: Client = scene.client().await;
    client.post(path, body).await;
    client.reply().await
}

#[tokio::test]
async fn t86_what_no_backend_counts_is_counted_here_and_said_to_be_an_estimate() {
    let scene = Scene::open().await;
    for (path, body, _, field) in COUNTS {
        let reply = counted(&scene, path, body).await;
        let tokens = reply.json()[field].as_u64().unwrap_or_else(|| panic!("{path} {}", reply.body));
        assert!((5..100).contains(&tokens), "{path} {tokens}");
        let warning = reply.header("x-proxylm-warning").unwrap();
        assert!(warning.contains("estimate"), "{warning}");
        assert!(reply.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn a_longer_conversation_has_more_tokens() {
    let scene = Scene::open().await;
    let longer = MESSAGES.replace("hello", &"hello and welcome ".repeat(100));
    let count =
        async |body| counted(&scene, COUNTS[0].0, body).await.json()["input_tokens"].as_u64().unwrap();
    assert!(count(&longer).await > count(MESSAGES).await + 100);
}

#[tokio::test]
async fn what_a_backend_counts_itself_goes_there() {
    let mut scene = Scene::open().await;
    let entry = ModelEntry {
        id: ModelName::new("m"),
        created: 0,
        owned_by: "x".to_owned(),
        served_by: vec!["big".to_owned()],
        counted_in: vec![Dialect::Anthropic, Dialect::Gemini],
    };
    let directory =
        Directory { models: vec![entry], ready: true, reason: String::new(), backends_up: 1, backends: 1 };
    scene.say(&ToFrontend::Directory(Box::new(directory)));
    let listed = async || {
        let mut client = scene.client().await;
        client.get("GET /v1/models").await;
        client.reply().await.json()["data"].as_array().map(Vec::len)
    };
    while listed().await != Some(1) {}
    let worker = scene.worker();
    for (path, body, endpoint, _) in COUNTS {
        let mut client = scene.client().await;
        client.post(path, body).await;
        let admission = scene.admitted().await;
        assert_eq!((admission.endpoint, admission.stream), (endpoint, false), "{path}");
        scene.grant(admission.request, 1);
        let mut visit = worker.visited().await;
        assert_eq!(visit.request().await.1, body);
        visit.answer(&[head(200), chunk("{}"), end()]).await;
        let reply = client.reply().await;
        assert_eq!((reply.body.as_str(), reply.header("x-proxylm-warning")), ("{}", None), "{path}");
        scene.closed(admission.request).await;
        drop(visit);
    }
}

#[tokio::test]
async fn a_model_that_is_not_listed_is_for_the_supervisor_to_judge() {
    let mut scene = Scene::open().await;
    let mut client = scene.client().await;
    client.post("/v1/messages/count_tokens", &MESSAGES.replace("\"m\"", "\"zzz\"")).await;
    let request = scene.admitted().await.request;
    scene.reject(request, Failure::new(FailureKind::UnknownModel, ""));
    let reply = client.reply().await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (404, &"not_found_error".into()));
}
