//! DIS-01..10: how backends are looked after.

use serde_json::json;

use crate::support::upstream::models_page;
use crate::support::{Instance, Script, Setup, Upstream, wait_until};

fn quick() -> serde_json::Value {
    json!({ "discovery": { "interval_seconds": 1, "timeout_seconds": 1, "unhealthy_after_failed_polls": 2 } })
}

fn of_kind(kind: &str, upstream: &Upstream) -> Instance {
    let settings = json!({ "type": kind, "api_key": "k" });
    Setup::new().backend("b1", upstream, settings).settings(quick()).start()
}

fn loaded(instance: &Instance) -> Option<Vec<String>> {
    instance.backend("b1").loaded_models
}

#[test]
fn dis_01_backends_are_checked_before_listening_and_a_dead_one_does_not_block() {
    let (mut dead, good) = (Upstream::start(&["x"]), Upstream::start(&["m"]));
    dead.die();
    let instance = Setup::with_two(&dead, &good).start();
    assert_eq!(instance.client().chat("m").status, 200, "the first request finds the models known");
    assert_eq!(instance.backend("b1").health, "down");
    assert!(!instance.backend("b1").reason.is_empty());
}

#[test]
fn dis_02_the_threshold_of_failed_polls_is_kept_and_one_success_mends() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream)
        .settings(json!({ "discovery": { "interval_seconds": 1, "unhealthy_after_failed_polls": 3 } }))
        .start();
    upstream.page("/v1/models", Script::status(500));
    let good = upstream.probes().len();
    wait_until("it is down", || {
        let health = instance.backend("b1").health;
        let failed = upstream.probes().len() - good;
        assert!(health == "up" || failed >= 3, "down after {failed} failed polls");
        health == "down"
    });
    upstream.page("/v1/models", Script::json(&models_page(&["m"])));
    instance.wait_for_health("b1", "up");
}

#[test]
fn dis_03_model_lists_are_taken_by_their_shape() {
    let good: [(&str, &[&str]); 5] = [
        (r#"{"data":[{"id":"a"},{"id":"b"}]}"#, &["a", "b"]),
        (r#"{"data":[]}"#, &[]),
        (r#"["a","b"]"#, &["a", "b"]),
        ("[]", &[]),
        ("null", &[]),
    ];
    for (page, models) in good {
        let upstream = Upstream::start(&[]);
        upstream.page("/v1/models", Script::json(page));
        let instance = Setup::with(&upstream).start();
        let backend = instance.backend("b1");
        assert_eq!(
            (backend.health.as_str(), backend.models),
            ("up", models.iter().map(ToString::to_string).collect())
        );
    }
    for page in [r#"{"data":[{"name":"x"}]}"#, r#"{"data":[{"id":""}]}"#, "<html></html>", r#"{"models":[]}"#]
    {
        let upstream = Upstream::start(&[]);
        upstream.page("/v1/models", Script::json(page));
        let instance = Setup::with(&upstream).start();
        assert_eq!(instance.backend("b1").health, "down", "{page}");
    }
}

#[test]
fn dis_04_a_backend_with_explicit_models_is_up_at_once_whatever_it_lists() {
    let upstream = Upstream::start(&[]);
    upstream.page("/v1/models", Script::json("<html></html>"));
    let instance =
        Setup::new().backend("b1", &upstream, json!({ "models": ["m"] })).settings(quick()).start();
    assert_eq!(instance.client().chat("m").status, 200);
    let before = upstream.probes().len();
    wait_until("it is probed some more", || upstream.probes().len() > before + 2);
    let backend = instance.backend("b1");
    assert_eq!((backend.health.as_str(), backend.models), ("up", vec!["m".to_owned()]));
}

#[test]
fn dis_05_a_backend_without_models_is_up_and_warned_about() {
    let upstream = Upstream::start(&[]);
    let instance = Setup::with(&upstream).start();
    assert_eq!(instance.backend("b1").health, "up");
    wait_until("there is a warning", || {
        instance.log().lines().any(|line| line.contains("WARN") && line.contains("b1"))
    });
}

#[test]
fn dis_06_07_loaded_models_are_read_from_each_engine_and_nothing_is_generated() {
    let llama = r#"{"data":[{"id":"a","status":"loaded"},{"id":"b","status":"unloaded"},{"id":"c","status":{"value":"loaded"}}]}"#;
    let studio = r#"{"models":[{"key":"a","loaded_instances":[{"id":"a"}]},{"key":"b","loaded_instances":[]},{"key":"c","loaded_instances":[{"id":"c"}]}]}"#;
    let cases: [(&str, &str, &str, &[&str]); 4] = [
        ("ollama", "/api/ps", r#"{"models":[{"name":"a"},{"model":"c"}]}"#, &["a", "c"]),
        ("ollama", "/api/ps", r#"{"models":[]}"#, &[]),
        ("lmstudio", "/api/v1/models", studio, &["a", "c"]),
        ("llamacpp", "/models", llama, &["a", "c"]),
    ];
    for (kind, path, page, expected) in cases {
        let upstream = Upstream::start(&["a", "b", "c"]);
        upstream.page(path, Script::json(page));
        let instance = of_kind(kind, &upstream);
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        wait_until(&format!("{kind} tells what is loaded"), || loaded(&instance) == Some(expected.clone()));
        assert_eq!(upstream.count(), 0, "a probe never asks a model anything");
        assert!(upstream.probes().iter().all(|probe| probe.head.word(0) == "GET"));
    }
    let upstream = Upstream::start(&["a"]);
    assert_eq!(loaded(&of_kind("openai", &upstream)), None);
}

#[test]
fn dis_08_a_failed_look_at_loaded_models_leaves_health_and_belief_as_they_were() {
    let upstream = Upstream::start(&["a"]);
    upstream.page("/api/ps", Script::json(r#"{"models":[{"name":"a"}]}"#));
    let instance = of_kind("ollama", &upstream);
    wait_until("a is loaded", || loaded(&instance) == Some(vec!["a".to_owned()]));
    upstream.page("/api/ps", Script::status(500));
    let before = upstream.probes().len();
    wait_until("it is probed again", || upstream.probes().len() > before + 3);
    assert_eq!(instance.backend("b1").health, "up");
    assert_eq!(loaded(&instance), Some(vec!["a".to_owned()]));
}

#[test]
fn dis_09_anthropics_list_is_read_to_its_last_page() {
    let upstream = Upstream::start(&[]);
    upstream.page("/v1/models", Script::json(r#"{"data":[{"id":"a"}],"has_more":true,"last_id":"a"}"#));
    for second in ["/v1/models?limit=1000&after_id=a", "/v1/models?after_id=a&limit=1000"] {
        upstream.page(second, Script::json(r#"{"data":[{"id":"b"}],"has_more":false,"last_id":"b"}"#));
    }
    let instance = of_kind("anthropic", &upstream);
    assert_eq!(instance.backend("b1").models, ["a", "b"]);
    let probe = &upstream.probes()[0].head;
    assert_eq!((probe.header("x-api-key"), probe.header("authorization")), (Some("k"), None));
    assert!(probe.header("anthropic-version").is_some());
}

#[test]
fn dis_10_with_discovery_off_a_backend_that_failed_still_recovers() {
    let mut upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).settings(json!({ "discovery": { "enabled": false } })).start();
    assert_eq!(instance.client().chat("m").status, 200);
    upstream.die();
    instance.client().chat("m");
    instance.wait_for_health("b1", "down");
    upstream.revive();
    instance.wait_for_health("b1", "up");
    assert_eq!(instance.client().chat("m").status, 200);
}

#[test]
fn busy_is_not_dead() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream)
        .settings(json!({ "discovery": { "interval_seconds": 1, "timeout_seconds": 1, "unhealthy_after_failed_polls": 1 } }))
        .start();
    upstream.next(Script::hang());
    let _running = instance.client().start_chat("m");
    upstream.wait_for(1);
    upstream.page("/v1/models", Script::hang());
    let before = upstream.probes().len();
    wait_until("two probes go unanswered", || upstream.probes().len() > before + 1);
    assert_eq!(instance.backend("b1").health, "up");
}
