//! AUTH-01..04 and 06..08: who may ask, and what keys never reach.

use serde_json::json;

use crate::support::client::chat_body;
use crate::support::instance::{ADMIN_KEY, OTHER_KEY};
use crate::support::{Client, Instance, KEY, Setup, Upstream};

fn instance() -> (Upstream, Instance) {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    (upstream, instance)
}

#[test]
fn auth_01_no_key_or_an_unknown_one_is_401_and_both_header_styles_work() {
    let (upstream, instance) = instance();
    let stranger = instance.stranger();
    let none = stranger.chat("m");
    none.assert_openai_error(401, "invalid_api_key");
    assert!(none.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    stranger.with("authorization", "Bearer sk-unknown").chat("m").assert_openai_error(401, "invalid_api_key");
    stranger.with("x-api-key", "sk-unknown").chat("m").assert_openai_error(401, "invalid_api_key");
    assert_eq!(stranger.get("/v1/models").status, 401);
    assert_eq!(upstream.count(), 0);
    assert_eq!(stranger.with("authorization", &format!("Bearer {KEY}")).chat("m").status, 200);
    assert_eq!(stranger.with("authorization", &format!("bearer {KEY}")).chat("m").status, 200);
    assert_eq!(stranger.with("x-api-key", KEY).chat("m").status, 200);
}

#[test]
fn auth_02_a_wrong_bearer_beside_a_right_x_api_key_is_401() {
    let (_upstream, instance) = instance();
    let both = instance.stranger().with("authorization", "Bearer sk-wrong").with("x-api-key", KEY);
    both.chat("m").assert_openai_error(401, "invalid_api_key");
}

#[test]
fn auth_03_basic_authorization_beside_a_right_x_api_key_is_accepted() {
    let (_upstream, instance) = instance();
    for other in ["Basic dXNlcjpwYXNz", "Bearer ", "Bearer"] {
        let both = instance.stranger().with("authorization", other).with("x-api-key", KEY);
        assert_eq!(both.chat("m").status, 200, "{other:?}");
    }
}

#[test]
fn auth_04_admin_key_and_client_key_do_not_open_each_others_doors() {
    let (_upstream, instance) = instance();
    Client::new(instance.address(), ADMIN_KEY).chat("m").assert_openai_error(401, "invalid_api_key");
    assert_eq!(Client::new(instance.address(), KEY).get("/admin/stream").status, 401);
    assert_eq!(instance.stranger().get("/admin/stream").status, 401);
    assert_eq!(Client::new(instance.address(), ADMIN_KEY).get("/admin/stream").status, 404);
}

#[test]
fn auth_06_no_key_and_no_content_reaches_log_history_or_status() {
    let upstream = Upstream::start(&["m"]);
    let provider_key = "sk-provider-5eed";
    let instance = Setup::new().backend("b1", &upstream, json!({ "api_key": provider_key })).start();
    let client = instance.client();
    let secret_words = "the quick brown fox 1f0e";
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": secret_words }] }).to_string();
    let answer = client.post("/v1/chat/completions", body);
    assert_eq!(answer.status, 200);
    instance.ended(&answer.request_id());
    client.with("x-api-key", OTHER_KEY).chat("m");
    instance.stranger().with("authorization", "Bearer sk-guessed-0bad").chat("m");
    let mut database = Vec::new();
    for ending in ["", "-wal"] {
        database
            .extend(std::fs::read(format!("{}{ending}", instance.database().display())).unwrap_or_default());
    }
    let outputs = [
        ("log", instance.log()),
        ("output", instance.out()),
        ("status", instance.order(&["status", "--json"])),
        ("history", instance.order(&["history", "--json"])),
        ("database", String::from_utf8_lossy(&database).into_owned()),
    ];
    for (name, text) in outputs {
        for secret in [KEY, OTHER_KEY, ADMIN_KEY, provider_key, "sk-guessed-0bad", secret_words] {
            assert!(!text.contains(secret), "{secret} is in the {name}");
        }
    }
    let command_lines = std::process::Command::new("ps").args(["axeww"]).output();
    if let Ok(listing) = command_lines {
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        assert!(!listing.contains(provider_key), "no key in a command line or an environment");
    }
}

#[test]
fn auth_07_the_backend_never_receives_the_clients_credentials() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::new().backend("b1", &upstream, json!({ "api_key": "sk-provider" })).start();
    let client = instance
        .client()
        .with("x-api-key", KEY)
        .with("cookie", "session=1")
        .with("proxy-authorization", "Basic eA==")
        .with("x-goog-api-key", KEY)
        .with("x-forwarded-for", "10.0.0.1")
        .with("connection", "close, x-hop")
        .with("x-hop", "1")
        .with("x-custom", "kept");
    assert_eq!(client.chat("m").status, 200);
    let seen = &upstream.seen()[0];
    assert_eq!(seen.head.all("authorization"), ["Bearer sk-provider"]);
    for gone in ["x-api-key", "cookie", "proxy-authorization", "x-goog-api-key", "x-forwarded-for", "x-hop"] {
        assert!(seen.head.all(gone).is_empty(), "{gone} reached the backend: {:?}", seen.head);
    }
    assert_eq!(seen.head.header("x-custom"), Some("kept"));
    assert!(!format!("{:?}", seen.head).contains(KEY));
}

#[test]
fn auth_08_a_401_speaks_the_callers_dialect() {
    let (_upstream, instance) = instance();
    let stranger = instance.stranger();
    stranger.post("/v1/messages", "{}").assert_anthropic_error(401, "authentication_error");
    let models = stranger.with("anthropic-version", "2023-06-01").get("/v1/models");
    models.assert_anthropic_error(401, "authentication_error");
}

#[test]
fn each_request_is_on_record_under_its_clients_name() {
    let (_upstream, instance) = instance();
    let mine = instance.client().chat("m").request_id();
    let other =
        Client::new(instance.address(), OTHER_KEY).post("/v1/chat/completions", chat_body("m", false));
    assert_eq!(instance.ended(&mine).client, "tester");
    assert_eq!(instance.ended(&other.request_id()).client, "other");
    assert_eq!(instance.history(&["--client", "other"]).len(), 1);
}

#[test]
fn without_keys_the_loopback_may_ask() {
    let upstream = Upstream::start(&["m"]);
    let open = json!({ "auth": { "mode": "none", "api_keys": [] } });
    let instance = Setup::with(&upstream).settings(open).start();
    assert_eq!(instance.stranger().chat("m").status, 200);
}
