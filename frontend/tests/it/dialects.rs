//! What each dialect's clients find here: their paths, their framing of streams, their errors.

use dialect::{Dialect, Endpoint, Framing};
use ipc_proto::control::FromFrontend;
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::stream::{Answer, Head, Header};
use serde_json::Value;

use crate::support::{CHAT, KEY, STREAM, Scene, chunk, end, event_head, fail, head};

/// A path and a body of each dialect whose stream is wanted.
const STREAMS: [(Dialect, &str, &str); 6] = [
    (Dialect::OpenAi, "/v1/chat/completions", STREAM),
    (Dialect::Responses, "/v1/responses", r#"{"model":"m","stream":true,"input":"hi"}"#),
    (
        Dialect::Anthropic,
        "/v1/messages?beta=true",
        r#"{"model":"m","max_tokens":1,"stream":true,"messages":[]}"#,
    ),
    (Dialect::Gemini, "/v1beta/models/m:streamGenerateContent?alt=sse", r#"{"contents":[]}"#),
    (Dialect::Gemini, "/v1beta/models/m:streamGenerateContent", r#"{"contents":[]}"#),
    (Dialect::Ollama, "/api/chat", r#"{"model":"m","messages":[]}"#),
];

fn framing(dialect: Dialect, path: &str) -> Framing {
    match dialect {
        Dialect::Ollama => Framing::Lines,
        Dialect::Gemini if !path.contains("alt=sse") => Framing::List,
        _ => Framing::Events,
    }
}

/// What each dialect calls this error.
fn told(dialect: Dialect, body: &Value) -> &str {
    let at = match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Anthropic | Dialect::Gemini => "/error/message",
        Dialect::Ollama => "/error",
    };
    body.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("{dialect:?}: {body}"))
}

#[tokio::test]
async fn streams_are_admitted_with_model_and_framing_whoever_asks() {
    for (dialect, path, body) in STREAMS {
        let mut scene = Scene::open().await;
        let worker = scene.worker();
        let mut client = scene.client().await;
        client.post(path, body).await;
        let admission = scene.admitted().await;
        assert_eq!((admission.endpoint, admission.model.as_str()), (dialect.chat(), "m"), "{path}");
        assert_eq!((admission.stream, admission.only), (true, None), "{path}");
        scene.grant(admission.request, 1);
        let mut visit = worker.visited().await;
        let (open, sent) = visit.request().await;
        assert_eq!(sent, body);
        assert_eq!((open.stream, open.framing), (true, framing(dialect, path)), "{path}");
        assert_eq!((open.model.as_str(), open.renamed, open.native), ("m", false, None), "{path}");
        visit.answer(&[event_head(), chunk("x\n\n"), end()]).await;
        assert_eq!(client.reply().await.body, "x\n\n");
    }
}

#[tokio::test]
async fn what_is_no_stream_by_path_or_by_body_is_none() {
    let mut scene = Scene::open().await;
    for (path, body, endpoint) in [
        ("/v1beta/models/m:generateContent", r#"{"contents":[],"stream":true}"#, Endpoint::GenerateContent),
        ("/v1beta/models/m:embedContent", r#"{"content":{}}"#, Endpoint::EmbedContent),
        ("/v1beta/models/m:batchEmbedContents", r#"{"requests":[]}"#, Endpoint::BatchEmbedContents),
        ("/api/generate", r#"{"model":"m","stream":false}"#, Endpoint::OllamaGenerate),
        ("/api/embed", r#"{"model":"m","input":"x"}"#, Endpoint::OllamaEmbed),
        ("/api/embeddings", r#"{"model":"m","prompt":"x"}"#, Endpoint::OllamaEmbeddings),
        ("/v1/embeddings", r#"{"model":"m","stream":true}"#, Endpoint::Embeddings),
    ] {
        let mut client = scene.client().await;
        client.post(path, body).await;
        let admission = scene.admitted().await;
        assert_eq!((admission.endpoint, admission.stream), (endpoint, false), "{path}");
        scene.left(client).await;
    }
}

#[tokio::test]
async fn a_gemini_path_names_the_model_however_it_is_written() {
    let mut scene = Scene::open().await;
    for path in
        ["/v1beta/models/org%2Fn%3A7b:generateContent", "/v1/models/org/n:7b:generateContent?$alt=json"]
    {
        let mut client = scene.client().await;
        client.post(path, r#"{"contents":[]}"#).await;
        assert_eq!(scene.admitted().await.model.as_str(), "org/n:7b", "{path}");
        scene.left(client).await;
    }
    let mut client = scene.client().await;
    client.post("/v1beta/models/:generateContent", "{}").await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 400);
    assert!(told(Dialect::Gemini, &reply.json()).contains("names no model"), "{}", reply.body);
    let mut client = scene.client().await;
    client.post(&format!("/v1beta/models/{}:generateContent", "x".repeat(513)), "{}").await;
    assert_eq!(client.reply().await.status, 400);
}

#[tokio::test]
async fn te_errors_have_the_shape_of_the_callers_dialect() {
    let mut scene = Scene::open().await;
    for (dialect, path, body) in STREAMS {
        // Nobody knows who it is.
        let mut client = scene.client().await;
        client.post_with(path, "connection: close\r\n", body).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("content-type")), (401, Some("application/json")), "{path}");
        assert!(told(dialect, &reply.json()).contains("API key"), "{path} {}", reply.body);
        // Nobody knows the model.
        let mut client = scene.client().await;
        client.post(path, body).await;
        let request = scene.admitted().await.request;
        scene.reject(request, Failure::new(FailureKind::UnknownModel, "secret"));
        let reply = client.reply().await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(told(dialect, &reply.json()).contains("no model `m`"), "{path} {}", reply.body);
        scene.closed(request).await;
    }
    for (dialect, line) in [
        (Dialect::OpenAi, "GET /v1/what"),
        (Dialect::Gemini, "GET /v1beta/what"),
        (Dialect::Gemini, "POST /v1beta/models/m:predict"),
        (Dialect::Gemini, "GET /v1beta/models/what"),
        (Dialect::Ollama, "GET /api/what"),
        (Dialect::Anthropic, "GET /v1/messages/batches"),
        (Dialect::Responses, "GET /v1/responses/resp_1"),
        (Dialect::Responses, "DELETE /v1/responses/resp_1"),
    ] {
        let mut client = scene.client().await;
        client.get(line).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 404, "{line}");
        told(dialect, &reply.json());
    }
}

#[tokio::test]
async fn a_stored_response_is_said_not_to_be_stored() {
    let scene = Scene::open().await;
    let mut client = scene.client().await;
    client.get("GET /v1/responses/resp_1").await;
    let reply = client.reply().await;
    assert!(told(Dialect::Responses, &reply.json()).contains("not stored"), "{}", reply.body);
}

#[tokio::test]
async fn a_failure_with_words_of_its_own_is_told_in_these_words_and_blames_the_field() {
    let mut scene = Scene::open().await;
    let (mut client, request) = scene.chatting(CHAT).await;
    let failure = Failure::new(FailureKind::Untranslatable, "secret")
        .telling("audio cannot be carried to Anthropic", Some("messages[0].content[1]".to_owned()));
    scene.reject(request, failure);
    let reply = client.reply().await;
    assert_eq!(reply.status, 400);
    let error = &reply.json()["error"];
    assert_eq!(error["message"], "audio cannot be carried to Anthropic");
    assert_eq!(
        (&error["param"], &error["code"]),
        (&"messages[0].content[1]".into(), &"untranslatable".into())
    );
}

#[tokio::test]
async fn a_break_is_told_in_the_framing_of_the_stream() {
    for (dialect, path, body) in STREAMS {
        for has_begun in [false, true] {
            let mut scene = Scene::open().await;
            let worker = scene.worker();
            let mut client = scene.client().await;
            client.post(path, body).await;
            let request = scene.admitted().await.request;
            scene.grant(request, 1);
            let mut visit = worker.visited().await;
            visit.request().await;
            let first = match framing(dialect, path) {
                Framing::Events => "data: {}\n\n",
                Framing::Lines => "{}\n",
                Framing::List => "[{}",
            };
            let mut answers = vec![event_head(), fail(FailureKind::Broken)];
            if has_begun {
                answers.insert(1, chunk(first));
            }
            visit.answer(&answers).await;
            let reply = client.reply().await;
            let rest = if has_begun { reply.body.strip_prefix(first).unwrap() } else { &reply.body };
            let error: Value = match framing(dialect, path) {
                Framing::Events => {
                    let data = rest.lines().find_map(|line| line.strip_prefix("data: "));
                    serde_json::from_str(data.unwrap()).unwrap()
                }
                Framing::Lines => serde_json::from_str(rest).unwrap(),
                // The whole body is one list.
                Framing::List => {
                    let list: Vec<Value> = serde_json::from_str(&reply.body).unwrap();
                    assert_eq!(list.len(), if has_begun { 2 } else { 1 });
                    list.last().unwrap().clone()
                }
            };
            assert!(error.to_string().contains("broke off"), "{path} {error}");
            assert_eq!(
                scene.closed(request).await.failure.map(|failure| failure.kind),
                Some(FailureKind::Broken)
            );
        }
    }
}

#[tokio::test]
async fn waiting_streams_have_the_head_and_the_signs_of_life_of_their_framing() {
    for (dialect, path, body) in STREAMS {
        let mut scene = Scene::beating(20).await;
        let worker = scene.worker();
        let mut client = scene.client().await;
        client.post(path, body).await;
        let request = scene.admitted().await.request;
        let framing = framing(dialect, path);
        let mark = match (dialect, framing) {
            (Dialect::Anthropic, _) => "event: ping",
            (Dialect::Gemini, Framing::Events) => "1\r\n\n\r\n",
            (_, Framing::Events) => "\n: ",
            (_, Framing::Lines) => "\"done\":false",
            (_, Framing::List) => "2\r\n \n\r\n",
        };
        let mut seen = client.until("\r\n\r\n").await;
        assert!(seen.contains(&format!("content-type: {}\r\n", framing.content_type())), "{path} {seen}");
        seen += &client.until(mark).await;
        scene.grant(request, 1);
        let mut visit = worker.visited().await;
        visit.request().await;
        let answer = match framing {
            Framing::Events => "data: {\"last\":1}\n\n",
            Framing::Lines => "{\"last\":1}\n",
            Framing::List => "[{\"last\":1}]",
        };
        visit.answer(&[event_head(), chunk(answer), end()]).await;
        seen += &client.until("\r\n0\r\n\r\n").await;
        let reply = crate::support::Reply::of(&seen);
        assert!(reply.body.ends_with(answer), "{path} {}", reply.body);
        match framing {
            Framing::Lines => {
                for line in reply.body.lines() {
                    serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                }
            }
            Framing::List => {
                assert_eq!(reply.body.trim(), answer);
            }
            Framing::Events => {}
        }
    }
}

#[tokio::test]
async fn a_late_refusal_is_told_in_the_framing_of_the_stream() {
    for (dialect, path, body) in STREAMS {
        let mut scene = Scene::beating(20).await;
        let mut client = scene.client().await;
        client.post(path, body).await;
        let request = scene.admitted().await.request;
        let mut seen = client.until("\r\n\r\n").await;
        let told = FailureKind::Untranslatable;
        scene.reject(request, Failure::new(told, "secret").telling("pictures are lost there", None));
        seen += &client.until("\r\n0\r\n\r\n").await;
        let reply = crate::support::Reply::of(&seen);
        let is_told = match framing(dialect, path) {
            Framing::List => {
                let list: Vec<Value> = serde_json::from_str(&reply.body).unwrap();
                list.len() == 1 && list[0]["error"]["message"] == "pictures are lost there"
            }
            Framing::Lines => {
                let last: Value = serde_json::from_str(reply.body.lines().last().unwrap()).unwrap();
                last["error"] == "pictures are lost there"
            }
            Framing::Events => reply.body.contains("pictures are lost there"),
        };
        assert!(is_told && !reply.body.contains("secret"), "{path} {}", reply.body);
        assert_eq!(scene.closed(request).await.failure.map(|failure| failure.kind), Some(told));
    }
}

#[tokio::test]
async fn te_warnings_pass_and_anthropics_clients_find_the_id_where_they_look() {
    for (path, body, finds) in [
        ("/v1/messages", r#"{"model":"m","max_tokens":1,"messages":[]}"#, true),
        ("/v1/chat/completions", CHAT, false),
    ] {
        let mut scene = Scene::open().await;
        let worker = scene.worker();
        let mut client = scene.client().await;
        client.post(path, body).await;
        let request = scene.admitted().await.request;
        scene.grant(request, 1);
        let mut visit = worker.visited().await;
        visit.request().await;
        let header = |name: &str, value: &'static str| Header { name: name.into(), value: value.into() };
        let headers = vec![header("x-proxylm-warning", "top_k: not known there"), header("x-proxylm-x", "1")];
        let head = Head { status: 200, headers, body_bytes: None, events: false };
        visit.answer(&[Answer::Head(Box::new(head)), chunk("{}"), end()]).await;
        let reply = client.reply().await;
        assert_eq!(reply.header("x-proxylm-warning"), Some("top_k: not known there"));
        assert_eq!(reply.header("x-proxylm-x"), None);
        let id = request.to_string();
        assert_eq!(reply.header("x-request-id"), Some(id.as_str()));
        assert_eq!(reply.header("request-id"), finds.then_some(id.as_str()), "{path}");
    }
}

#[tokio::test]
async fn unknown_beta_flags_and_fields_fail_nothing() {
    let mut scene = Scene::open().await;
    let worker = scene.worker();
    let mut client = scene.client().await;
    let lines = format!(
        "x-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\nanthropic-beta: what-2027-01-01,more\r\n\
         connection: close\r\n"
    );
    let body = r#"{"model":"m","max_tokens":1,"context_management":{"edits":[]},"messages":[]}"#;
    client.post_with("/v1/messages?beta=true", &lines, body).await;
    let request = scene.admitted().await.request;
    scene.grant(request, 1);
    let mut visit = worker.visited().await;
    let (open, sent) = visit.request().await;
    assert_eq!((sent.as_ref(), open.query.as_deref()), (body.as_bytes(), Some("beta=true")));
    assert!(open.headers.iter().any(|header| &*header.name == "anthropic-beta"));
    visit.answer(&[head(200), chunk("{}"), end()]).await;
    assert_eq!(client.reply().await.status, 200);
    assert!(matches!(scene.hears().await, FromFrontend::Closed { .. }));
}

#[tokio::test]
async fn geminis_clients_are_told_the_models_in_its_shape() {
    let scene = Scene::open().await;
    for line in ["GET /v1beta/models?pageSize=50", "GET /v1alpha/models"] {
        let mut client = scene.client().await;
        client.get(line).await;
        let list = client.reply().await.json();
        assert_eq!(list["models"][1]["name"], "models/org/n", "{line}");
        assert_eq!(list["models"][1]["supportedGenerationMethods"][0], "generateContent");
    }
    let mut client = scene.client().await;
    client.get("GET /v1beta/models/org/n").await;
    assert_eq!(client.reply().await.json()["displayName"], "org/n");
    // Its clients may be told to use the version that all have.
    let mut client = scene.client().await;
    let line = "GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    client.send(format!("{line}x-goog-api-key: {KEY}\r\n\r\n")).await;
    assert_eq!(client.reply().await.json()["models"][0]["name"], "models/m");
}
