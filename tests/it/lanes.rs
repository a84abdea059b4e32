//! Native lanes: paths that lead straight to one backend, with the rest of the path, the query and the body untouched;
//! and backends that take their caller's own key.

use dialect::Dialect::{Anthropic, Gemini, OpenAi, Responses};
use dialect::Endpoint;
use ipc_proto::operator::RequestState;
use serde_json::{Value, json};

use crate::support::http::Head;
use crate::support::instance::{ADMIN_KEY, merge};
use crate::support::replay::MODEL;
use crate::support::upstream::{chat_answer, chat_events, message_events};
use crate::support::{Client, Gate, Instance, KEY, Script, Setup, Upstream, speaker};

/// The key that a caller has of its own with a provider.
const CALLERS_KEY: &str = "sk-the-callers-own-5d1e";
const CREDENTIALS: [&str; 4] = ["authorization", "x-api-key", "x-goog-api-key", "x-proxylm-key"];

/// A backend of each provider, under names of their own, and one that is an engine.
struct Scene {
    openai: Upstream,
    claude: Upstream,
    google: Upstream,
    engine: Upstream,
    instance: Instance,
}

fn scene(openai: Value) -> Scene {
    let [openai_, claude, google, engine] = [(); 4].map(|()| speaker::upstream(MODEL));
    let of = |kind: &str, key: &str| json!({ "type": kind, "api_key": key, "priority": 50 });
    let mut own = of("openai", "sk-openai");
    merge(&mut own, openai);
    let instance = lanes()
        .backend("mine", &openai_, own)
        .backend("claude", &claude, of("anthropic", "sk-claude"))
        .backend("google", &google, of("gemini", "sk-google"))
        .backend("rack-1", &engine, json!({ "type": "vllm" }))
        .start();
    Scene { openai: openai_, claude, google, engine, instance }
}

fn lanes() -> Setup {
    speaker::once().settings(json!({ "compat": { "native_prefixes": true } }))
}

#[track_caller]
fn credentials(head: &Head) -> Vec<(&'static str, String)> {
    let shown = CREDENTIALS.into_iter().flat_map(|name| {
        head.all(name).into_iter().map(move |value| (name, value.to_owned())).collect::<Vec<_>>()
    });
    shown.collect()
}

#[test]
fn any_call_of_a_providers_api_goes_through_untouched() {
    let scene = scene(json!({}));
    let files = r#"{"object": "list", "data": [ ]}"#;
    scene.openai.page("/v1/files", Script::json(files));
    let answer = scene.instance.client().get("/openai/v1/files?limit=2&purpose=a%20b");
    assert_eq!((answer.status, answer.text().as_str()), (200, files));
    let seen = scene.openai.probes().pop().unwrap();
    assert_eq!(seen.path(), "/v1/files?limit=2&purpose=a%20b");
    assert_eq!(credentials(&seen.head), [("authorization", "Bearer sk-openai".to_owned())]);
    let record = scene.instance.ended(&answer.request_id());
    assert_eq!(
        (record.state, record.endpoint, record.backend.as_str()),
        (RequestState::Completed, Endpoint::Native, "mine")
    );

    // Any method, any body, any answer.
    let upload = "--x\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n\u{1}\u{2}\r\n--x--\r\n";
    scene.openai.next(Script::answer(
        201,
        &[("content-type", "audio/mpeg"), ("x-more", "1")],
        b"\x00\xffID3",
    ));
    let asker = scene.instance.client().with("content-type", "multipart/form-data; boundary=x");
    let answer = asker.post("/openai/v1/audio/speech", upload);
    assert_eq!(
        (answer.status, &answer.body[..], answer.header("x-more")),
        (201, &b"\x00\xffID3"[..], Some("1"))
    );
    assert_eq!(answer.header("content-type"), Some("audio/mpeg"));
    let seen = scene.openai.seen().pop().unwrap();
    assert_eq!(String::from_utf8_lossy(&seen.body), upload);
    assert_eq!(seen.head.header("content-type"), Some("multipart/form-data; boundary=x"));
    scene.claude.next(Script::answer(
        404,
        &[("content-type", "application/json")],
        br#"{"type":"error","error":{"type":"not_found_error","message":"no such file"}}"#,
    ));
    let gone = scene.instance.client().send("DELETE", "/anthropic/v1/files/file_1", b"").answer();
    gone.assert_anthropic_error(404, "not_found_error");
    assert!(gone.text().contains("no such file"));
    assert_eq!(scene.claude.seen()[0].head.word(0), "DELETE");
    assert_eq!(scene.instance.ended(&gone.request_id()).state, RequestState::Failed);
}

#[test]
fn a_known_operation_on_a_lane_is_untouched_and_on_record_with_its_tokens() {
    let scene = scene(json!({}));
    // Members and spelling that nobody but the provider knows.
    let body = r#"{ "model":"m","max_tokens":10, "made_up":{"b":1.0,"a":[ ]},"messages":[{"role":"user","content":"Hello"}],"stream":true }"#;
    let events = message_events(MODEL, &["Hel", "lo"]);
    scene.claude.next(Script::stream(&events));
    let asker = scene
        .instance
        .client()
        .with("anthropic-beta", "made-up-2025")
        .with("anthropic-version", "2099-01-01");
    let answer = asker.post("/anthropic/v1/messages?beta=true", body);
    assert_eq!((answer.status, answer.text()), (200, events.concat()));
    let seen = &scene.claude.seen()[0];
    assert_eq!((String::from_utf8_lossy(&seen.body).as_ref(), seen.path()), (body, "/v1/messages?beta=true"));
    assert_eq!(seen.head.header("anthropic-version"), Some("2099-01-01"));
    assert_eq!(seen.head.header("anthropic-beta"), Some("made-up-2025"));
    assert_eq!(credentials(&seen.head), [("x-api-key", "sk-claude".to_owned())]);
    let record = scene.instance.ended(&answer.request_id());
    let told = (record.endpoint, record.backend.as_str(), record.model.as_str(), record.input_tokens);
    assert_eq!(told, (Endpoint::Messages, "claude", "m", Some(5)));

    scene.google.next(Script::json(&speaker::answer(Gemini, MODEL)));
    let path = "/gemini/v1beta/models/m:generateContent";
    let answer = scene.instance.client().post(path, speaker::body(Gemini, MODEL, false, json!({})));
    assert_eq!(answer.text(), speaker::answer(Gemini, MODEL));
    assert_eq!(credentials(&scene.google.seen()[0].head), [("x-goog-api-key", "sk-google".to_owned())]);
    assert_eq!(scene.openai.count() + scene.engine.count(), 0, "a lane leads to one backend");
}

#[test]
fn a_lane_is_named_by_its_backend_too_and_never_leads_elsewhere() {
    let mut scene = scene(json!({}));
    let body = speaker::body(OpenAi, MODEL, false, json!({}));
    let answer = scene.instance.client().post("/rack-1/v1/chat/completions", &body);
    assert_eq!((answer.status, answer.text()), (200, chat_answer(MODEL)));
    assert_eq!((scene.engine.count(), scene.openai.count()), (1, 0));
    // What it does not speak is not translated: it is its own business.
    scene.engine.next(Script::answer(404, &[("content-type", "text/plain")], b"no such route"));
    let foreign = speaker::body(Anthropic, MODEL, false, json!({}));
    let answer = scene.instance.client().post("/rack-1/v1/messages", &foreign);
    assert_eq!((answer.status, answer.text().as_str()), (404, "no such route"));
    let seen = scene.engine.seen().pop().unwrap();
    assert_eq!((seen.path(), String::from_utf8_lossy(&seen.body).as_ref()), ("/v1/messages", &*foreign));
    scene.engine.die();
    let answer = scene.instance.client().post("/rack-1/v1/chat/completions", &body);
    assert!(answer.status >= 500, "{}", answer.text());
    assert_eq!(scene.openai.count(), 0, "others that have the model are not asked");
    for path in ["/nobody/v1/chat/completions", "/vllm/v1/chat/completions", "/openai/../admin/x"] {
        let answer = scene.instance.client().post(path, &body);
        assert!([400, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    assert_eq!(scene.openai.count() + scene.claude.count(), 0);
}

#[test]
fn lanes_are_closed_unless_they_are_opened_and_need_a_key_like_everything() {
    let upstream = speaker::upstream(MODEL);
    let body = speaker::body(OpenAi, MODEL, false, json!({}));
    let shut = speaker::once().backend("openai", &upstream, json!({ "type": "openai" })).start();
    upstream.page("/v1/files", Script::json("{}"));
    let looked = upstream.probes().iter().filter(|seen| seen.path() == "/v1/files").count();
    assert_eq!(shut.client().get("/openai/v1/files").status, 404);
    assert_eq!(shut.client().post("/openai/v1/chat/completions", &body).status, 404);
    let open = lanes().backend("openai", &upstream, json!({ "type": "openai" })).start();
    assert_eq!(open.stranger().get("/openai/v1/files").status, 401);
    assert_eq!(open.stranger().post("/openai/v1/chat/completions", &body).status, 401);
    assert_eq!((upstream.count(), looked), (0, 0));
    assert!(upstream.probes().iter().all(|seen| seen.path() != "/v1/files"));
    assert_eq!(open.client().get("/openai/v1/files").status, 200);
}

#[test]
fn a_lane_queues_like_any_other_request() {
    let scene = scene(json!({}));
    let gate = Gate::default();
    scene.openai.next(Script::json("{}").after(&gate));
    let chat = speaker::body(OpenAi, MODEL, false, json!({}));
    let running = scene.instance.client().send("POST", "/mine/v1/chat/completions", chat.as_bytes());
    scene.openai.wait_for(1);
    let body = br#"{"model":"m","anything":1}"#;
    let first = scene.instance.client().with("x-request-id", "native");
    let native = first.send("POST", "/openai/v1/made/up", body);
    scene.instance.wait_for_queued(1);
    let second = scene.instance.client().with("x-request-id", "known");
    let known = second.send(
        "POST",
        "/openai/v1/chat/completions",
        speaker::body(OpenAi, MODEL, true, json!({})).as_bytes(),
    );
    scene.instance.wait_for_queued(2);
    assert_eq!(scene.openai.count(), 1, "its one slot is taken");
    gate.open_for_all();
    assert_eq!(running.answer().status, 200);
    assert_eq!(native.answer().status, 200);
    assert_eq!(known.answer().text(), chat_events(MODEL, &["Hel", "lo"]).concat());
    let mut paths: Vec<_> = scene.openai.seen().iter().map(|seen| seen.path().to_owned()).collect();
    paths.sort();
    assert_eq!(paths, ["/v1/chat/completions", "/v1/chat/completions", "/v1/made/up"]);
    for (id, endpoint) in [("native", Endpoint::Native), ("known", Endpoint::ChatCompletions)] {
        let record = scene.instance.ended(id);
        let told = (record.endpoint, record.backend.as_str(), record.model.as_str(), record.state);
        assert_eq!(told, (endpoint, "mine", "m", RequestState::Completed));
        assert!(record.queue_us.is_some_and(|waited| waited > 0), "{record:?}");
    }
    assert_eq!(scene.openai.most_at_once(), 1);
}

#[test]
fn a_stream_of_a_native_call_comes_as_it_is_written_and_can_be_left() {
    let scene = scene(json!({}));
    let gate = Gate::default();
    let script =
        Script::stream_head().chunk("event: a\ndata: 1\n\n").wait(&gate).chunk("event: b\ndata: 2\n\n");
    scene.openai.next(script.clone().end());
    let ask =
        || scene.instance.client().send("POST", "/openai/v1/threads/runs", br#"{"stream":true}"#).stream();
    let mut stream = ask();
    assert_eq!(stream.next_event().as_deref(), Some("event: a\ndata: 1"));
    gate.open(1);
    assert_eq!(stream.next_event().as_deref(), Some("event: b\ndata: 2"));
    assert_eq!(stream.next_event(), None);
    scene.openai.next(script.stall());
    let mut stream = ask();
    stream.next_event().unwrap();
    let id = stream.head.header("x-request-id").unwrap().to_owned();
    drop(stream);
    assert_eq!(scene.instance.ended(&id).state, RequestState::Cancelled);
}

#[test]
fn a_native_call_that_breaks_off_is_on_record_as_failed() {
    let scene = scene(json!({}));
    let gate = Gate::default();
    scene.openai.next(Script::stream_head().chunk("event: a\ndata: 1\n\n").wait(&gate).reset());
    let call = scene.instance.client().send("POST", "/openai/v1/threads/runs", br#"{"stream":true}"#);
    let mut stream = call.stream();
    stream.next_event().unwrap();
    gate.open(1);
    let answer = stream.rest();
    let record = scene.instance.ended(&answer.request_id());
    assert_eq!((record.state, record.error_code.as_str()), (RequestState::Failed, "stream_aborted"));
    assert!(!answer.complete || answer.text().contains("error"), "it does not look whole: {}", answer.text());
    let mut upstream = scene.openai;
    upstream.die();
    let refused = scene.instance.client().post("/openai/v1/threads/runs", "{}");
    refused.assert_openai_error(502, "backend_unreachable");
}

/// A client that shows its own key to the provider, and ours in the header for us.
fn with_own_key(instance: &Instance) -> Client {
    instance.stranger().with("x-proxylm-key", KEY).with("authorization", &format!("Bearer {CALLERS_KEY}"))
}

#[test]
fn a_callers_own_key_goes_to_the_backend_that_takes_it_and_nowhere_else() {
    let scene = scene(json!({ "auth_type": "passthrough", "api_key": null }));
    let client = with_own_key(&scene.instance);
    let body = speaker::body(OpenAi, MODEL, false, json!({}));
    scene.openai.page("/v1/files", Script::json("{}"));
    assert_eq!(client.get("/openai/v1/files").status, 200);
    assert_eq!(client.post("/openai/v1/chat/completions", &body).status, 200);
    let file = scene.openai.probes().into_iter().rfind(|seen| seen.path() == "/v1/files").unwrap();
    for seen in [&file, &scene.openai.seen()[0]] {
        assert_eq!(credentials(&seen.head), [("authorization", format!("Bearer {CALLERS_KEY}"))]);
    }
    scene.claude.next(Script::json(&speaker::answer(Anthropic, MODEL)));
    assert_eq!(
        client.post("/claude/v1/messages", speaker::body(Anthropic, MODEL, false, json!({}))).status,
        200
    );
    assert_eq!(credentials(&scene.claude.seen()[0].head), [("x-api-key", "sk-claude".to_owned())]);
    assert_eq!(client.post("/rack-1/v1/chat/completions", &body).status, 200);
    assert_eq!(credentials(&scene.engine.seen()[0].head), []);

    // Our own key is never for a backend, however it is shown.
    for client in [scene.instance.client(), scene.instance.stranger().with("x-api-key", KEY)] {
        assert_eq!(client.post("/openai/v1/chat/completions", &body).status, 200);
        assert_eq!(credentials(&scene.openai.seen().pop().unwrap().head), []);
    }
    let gemini = "/gemini/v1beta/models/m:generateContent?key=";
    scene.google.next(Script::json(&speaker::answer(Gemini, MODEL)));
    let asked = scene
        .instance
        .stranger()
        .post(&format!("{gemini}{KEY}"), speaker::body(Gemini, MODEL, false, json!({})));
    assert_eq!(asked.status, 200, "{}", asked.text());
    let seen = &scene.google.seen()[0];
    assert!(!seen.path().contains("key="), "{}", seen.path());
    assert_eq!(credentials(&seen.head), [("x-goog-api-key", "sk-google".to_owned())]);
}

#[test]
fn a_callers_own_key_is_shown_in_the_way_of_the_backend_when_the_request_is_translated() {
    for (dialect, header, value) in [
        (Anthropic, "x-api-key", CALLERS_KEY.to_owned()),
        (Gemini, "x-goog-api-key", CALLERS_KEY.to_owned()),
        (Responses, "authorization", format!("Bearer {CALLERS_KEY}")),
    ] {
        let upstream = speaker::upstream(MODEL);
        upstream.always(Script::json(&speaker::answer(dialect, MODEL)));
        let mut settings = speaker::settings(dialect);
        merge(&mut settings, json!({ "auth_type": "passthrough", "api_key": null }));
        let instance = speaker::once().backend("b1", &upstream, settings).start();
        let body = speaker::body(OpenAi, MODEL, false, json!({}));
        let answer = with_own_key(&instance).post("/v1/chat/completions", body);
        assert_eq!(answer.status, 200, "{dialect:?}: {}", answer.text());
        assert_eq!(credentials(&upstream.seen()[0].head), [(header, value)], "{dialect:?}");
    }
}

#[test]
fn no_key_reaches_a_log_the_history_or_the_database() {
    let scene = scene(json!({ "auth_type": "passthrough", "api_key": null }));
    let client = with_own_key(&scene.instance);
    let body = speaker::body(OpenAi, MODEL, false, json!({}));
    // The provider repeats the key, as some do.
    let repeats = format!(
        r#"{{"error":{{"message":"Incorrect API key provided: {CALLERS_KEY}","type":"invalid_request_error"}}}}"#
    );
    for status in [200, 401, 500] {
        match status {
            200 => {}
            _ => scene.openai.next(Script::answer(
                status,
                &[("content-type", "application/json")],
                repeats.as_bytes(),
            )),
        }
        let answer = client.post("/openai/v1/chat/completions", &body);
        scene.instance.ended(&answer.request_id());
    }
    scene.openai.page("/v1/files", Script::json("{}"));
    let asked = client.get(&format!("/openai/v1/files?key={CALLERS_KEY}"));
    scene.instance.ended(&asked.request_id());
    let mut said = scene.instance.order(&["history", "--json"]);
    said += &scene.instance.order(&["status", "--json"]);
    said += &scene.instance.log();
    said += &scene.instance.out();
    for file in std::fs::read_dir(scene.instance.dir()).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap_or_default();
        if name.starts_with("history.db") {
            said += &String::from_utf8_lossy(&std::fs::read(file.path()).unwrap());
        }
    }
    assert!(said.contains("chat_completions") && said.contains("SQLite"), "there is something to look at");
    for key in [CALLERS_KEY, KEY, ADMIN_KEY, "sk-claude", "sk-google"] {
        let at = said.find(key);
        let around =
            at.map(|at| said.get(at.saturating_sub(300)..at + 60).unwrap_or_default().replace(key, "<KEY>"));
        assert_eq!(around, None);
    }
}
