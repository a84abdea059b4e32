//! What a translation cannot carry: named under `warn`, refused under `strict`, sent elsewhere where somebody can take it;
//! and the settings that say how requests are carried.

use dialect::Dialect::{self, Anthropic, Gemini, Ollama, OpenAi, Responses};
use serde_json::{Value, json};

use crate::support::replay::MODEL;
use crate::support::{Answer, Instance, Script, Setup, Upstream, speaker};

/// Who asks whom for what that the backend's dialect has no word for, and the field that names it.
fn losses() -> [(Dialect, Dialect, Value, &'static str); 5] {
    let unsafe_ = json!([{ "category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE" }]);
    [
        (OpenAi, Anthropic, json!({ "seed": 7 }), "seed"),
        (Responses, Anthropic, json!({ "top_logprobs": 3 }), "top_logprobs"),
        (Anthropic, OpenAi, json!({ "container": "box" }), "container"),
        (Gemini, OpenAi, json!({ "safetySettings": unsafe_ }), "safetySettings"),
        (Ollama, Anthropic, json!({ "options": { "seed": 7 } }), "options.seed"),
    ]
}

fn staged(backend: Dialect, compat: &Value) -> (Upstream, Instance) {
    let upstream = speaker::upstream(MODEL);
    upstream.always(Script::json(&speaker::answer(backend, MODEL)));
    let setup = speaker::once().backend("b1", &upstream, speaker::settings(backend));
    let instance = setup.settings(json!({ "compat": compat })).start();
    (upstream, instance)
}

fn ask(instance: &Instance, client: Dialect, more: Value) -> Answer {
    speaker::ask(&instance.client(), client, MODEL, false, more)
}

#[test]
fn warn_names_each_loss_in_a_header_and_in_the_history() {
    for (client, backend, more, field) in losses() {
        let (upstream, instance) = staged(backend, &json!({}));
        let answer = ask(&instance, client, more.clone());
        let place = format!("{client:?} to {backend:?}");
        assert_eq!(answer.status, 200, "{place}: {}", answer.text());
        assert_eq!(speaker::text_in(client, &answer), "Hello", "{place}");
        let warning = answer.header("x-proxylm-warning").unwrap_or_else(|| panic!("{place}: no warning"));
        assert!(warning.starts_with(&format!("{field}: ")), "{place}: {warning}");
        let record = instance.ended(&answer.request_id());
        assert_eq!(record.warnings, warning, "{place}");
        let rows: Value = serde_json::from_str(&instance.order(&["history", "--json"])).unwrap();
        assert_eq!(rows[0]["warnings"], warning, "{place}");
        let plain = ask(&instance, client, json!({}));
        assert_eq!(plain.header("x-proxylm-warning"), None, "{place}: nothing is lost");
        assert!(instance.ended(&plain.request_id()).warnings.is_empty(), "{place}");
        assert_eq!(upstream.count(), 2);
    }
}

#[test]
fn a_stream_is_warned_about_before_it_begins() {
    let (upstream, instance) = staged(Anthropic, &json!({}));
    upstream.next(Script::stream(&speaker::events(Anthropic, MODEL, &["Hi"])));
    let answer = speaker::ask(&instance.client(), OpenAi, MODEL, true, json!({ "seed": 7 }));
    assert!(answer.header("x-proxylm-warning").is_some_and(|text| text.starts_with("seed: ")));
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
}

#[test]
fn strict_refuses_in_the_clients_dialect_names_the_field_and_sends_nothing() {
    for (client, backend, more, field) in losses() {
        let (upstream, instance) = staged(backend, &json!({ "translation": "strict" }));
        let answer = ask(&instance, client, more.clone());
        let place = format!("{client:?} to {backend:?}: {}", answer.text());
        assert_eq!((answer.status, upstream.count()), (400, 0), "{place}");
        let body = answer.json();
        let error = &body["error"];
        let message = if client == Ollama { error } else { &error["message"] };
        assert!(
            message.as_str().is_some_and(|text| text.contains(field) && text.contains("strict")),
            "{place}"
        );
        match client {
            OpenAi | Responses => {
                assert_eq!((&error["param"], &error["code"]), (&json!(field), &json!("untranslatable")));
            }
            Anthropic => answer.assert_anthropic_error(400, "invalid_request_error"),
            Gemini => assert_eq!(error["details"][0]["metadata"]["field"], field, "{place}"),
            Ollama => {}
        }
        let record = instance.ended(&answer.request_id());
        assert_eq!(
            (record.state.as_str(), record.error_code.as_str()),
            ("failed", "untranslatable"),
            "{place}"
        );
        assert_eq!(ask(&instance, client, json!({})).status, 200, "{place}");
    }
}

#[test]
fn strict_sends_it_to_a_backend_that_speaks_the_clients_dialect() {
    for (client, backend, more, _) in losses() {
        let (foreign, kin) = (speaker::upstream(MODEL), speaker::upstream(MODEL));
        foreign.always(Script::json(&speaker::answer(backend, MODEL)));
        kin.always(Script::json(&speaker::answer(client, MODEL)));
        let mut second = speaker::settings(client);
        second["priority"] = json!(200);
        let instance = Setup::new()
            .backend("foreign", &foreign, speaker::settings(backend))
            .backend("kin", &kin, second)
            .settings(json!({ "compat": { "translation": "strict" } }))
            .start();
        let answer = ask(&instance, client, more.clone());
        assert_eq!(
            (answer.status, foreign.count(), kin.count()),
            (200, 0, 1),
            "{client:?}: {}",
            answer.text()
        );
        assert_eq!(answer.text(), speaker::answer(client, MODEL), "{client:?}");
        let sent = kin.seen()[0].json();
        let member = more.as_object().unwrap().keys().next().unwrap().clone();
        assert_eq!(sent[&member], more[&member], "{client:?}: as it was written");
        let plain = ask(&instance, client, json!({}));
        assert_eq!((plain.status, foreign.count()), (200, 1), "{client:?}: what can be carried goes as ever");
    }
}

#[test]
fn response_formats_go_as_the_mode_says() {
    let object = json!({ "response_format": { "type": "json_object" } });
    for (mode, expected) in [
        ("passthrough", Some("json_object")),
        ("normalize_json_object", Some("json_schema")),
        ("strict_reject", None),
    ] {
        let (upstream, instance) = staged(OpenAi, &json!({ "response_format_mode": mode }));
        let straight = ask(&instance, OpenAi, object.clone());
        let translated = ask(&instance, Ollama, json!({ "format": "json" }));
        let sent: Vec<_> =
            upstream.seen().iter().map(|seen| seen.json()["response_format"]["type"].clone()).collect();
        if let Some(kind) = expected {
            assert_eq!((straight.status, translated.status), (200, 200), "{mode}: {}", translated.text());
            assert_eq!(sent, [kind, kind], "{mode}");
            continue;
        }
        straight.assert_openai_error(400, "invalid_request");
        assert_eq!(straight.json()["error"]["param"], "response_format");
        assert_eq!((translated.status, sent.len()), (400, 0), "{}", translated.text());
        assert!(translated.json()["error"].is_string());
    }
}

#[test]
fn unknown_fields_pass_or_are_dropped_and_named() {
    let more = json!({ "made_up": { "b": 1, "a": 1.0 } });
    for (policy, passes) in [("pass", true), ("drop", false)] {
        let compat = json!({ "compat": { "unknown_fields": policy } });
        let upstream = speaker::upstream(MODEL);
        upstream.always(Script::json(&speaker::answer(Responses, MODEL)));
        let kin = json!({ "type": "vllm", "dialects": ["openai-responses"] });
        let instance = speaker::once().backend("b1", &upstream, kin).settings(compat).start();
        let answer = ask(&instance, OpenAi, more.clone());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = String::from_utf8(upstream.seen()[0].body.clone()).unwrap();
        assert_eq!(body.contains(r#""made_up":{"b":1,"a":1.0}"#), passes, "{policy}: {body}");
        let warning = answer.header("x-proxylm-warning").unwrap_or_default();
        assert_eq!(warning.contains("made_up"), !passes, "{policy}: {warning}");
        let (upstream, instance) = staged(OpenAi, &json!({ "unknown_fields": policy }));
        let straight = ask(&instance, OpenAi, more.clone());
        assert_eq!(straight.header("x-proxylm-warning"), None, "what is not translated is not touched");
        let text = String::from_utf8(upstream.seen()[0].body.clone()).unwrap();
        assert_eq!(text, speaker::body(OpenAi, MODEL, false, more.clone()));
    }
    let (upstream, instance) = staged(Anthropic, &json!({}));
    let answer = ask(&instance, OpenAi, more);
    assert!(
        answer.header("x-proxylm-warning").is_some_and(|text| text.contains("made_up")),
        "not to a provider"
    );
    assert!(!String::from_utf8_lossy(&upstream.seen()[0].body).contains("made_up"));
}

#[test]
fn t68_tq_22_a_limit_is_made_up_only_where_the_backend_wants_one() {
    let (upstream, instance) = staged(Anthropic, &json!({ "default_max_tokens": 777 }));
    for client in [OpenAi, Responses, Gemini, Ollama] {
        assert_eq!(ask(&instance, client, json!({})).status, 200, "{client:?}");
    }
    ask(&instance, OpenAi, json!({ "max_tokens": 5 }));
    let limits: Vec<_> = upstream.seen().iter().map(|seen| seen.json()["max_tokens"].clone()).collect();
    assert_eq!(limits, [777, 777, 777, 777, 5]);
    let (upstream, instance) = staged(OpenAi, &json!({ "default_max_tokens": 777 }));
    ask(&instance, Ollama, json!({}));
    assert!(!String::from_utf8_lossy(&upstream.seen()[0].body).contains("777"));
}

#[test]
fn t18_t25_volatile_lines_and_beta_headers_reach_anthropic_only() {
    let billing = "x-anthropic-billing-header: cc_version=2.1; cch=a1b2c;";
    let more = json!({ "system": [{ "type": "text", "text": billing }, { "type": "text", "text": "Be brief." }],
        "context_management": { "edits": [] } });
    for backend in [OpenAi, Anthropic] {
        let (upstream, instance) = staged(backend, &json!({}));
        let client = instance.client().with("anthropic-beta", "one-2025-01-01,made-up-9");
        let path = "/v1/messages?beta=true";
        let answer = client.post(path, speaker::body(Anthropic, MODEL, false, more.clone()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = &upstream.seen()[0];
        let is_own = backend == Anthropic;
        assert_eq!(String::from_utf8_lossy(&seen.body).contains("cch="), is_own);
        assert!(String::from_utf8_lossy(&seen.body).contains("Be brief."));
        assert_eq!(seen.head.header("anthropic-beta"), is_own.then_some("one-2025-01-01,made-up-9"));
    }
}
