//! A model is its name and what it is loaded with: clients that differ in load options do not have it loaded anew.

use serde_json::{Value, json};

use crate::support::{Engine, Instance, Setup};

fn instance(policy: &str) -> (Engine, Instance) {
    let engine = Engine::start(&["m", "n"]);
    let instance = Setup::new()
        .backend("b1", &engine.upstream, json!({ "type": "ollama" }))
        .settings(json!({ "compat": { "load_options": policy } }))
        .start();
    (engine, instance)
}

/// Asks for a chat with these members beside the usual ones.
#[track_caller]
fn ask(instance: &Instance, more: &Value) {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hello" }] });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let answer = instance.client().post("/v1/chat/completions", body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The context that each request asked the engine for, in order.
fn contexts(engine: &Engine) -> Vec<Option<u64>> {
    let context = |body: Value| body["options"]["num_ctx"].as_u64().or(body["num_ctx"].as_u64());
    engine.upstream.seen().iter().map(|seen| context(seen.json())).collect()
}

/// Two clients that take turns a hundred times: one wants a long context, the other does not say.
fn alternate(instance: &Instance) {
    for n in 0..100 {
        let (inside, beside) = (json!({ "options": { "num_ctx": 65536 } }), json!({ "num_ctx": 65536 }));
        match n % 4 {
            0 => ask(instance, &inside),
            2 => ask(instance, &beside),
            _ => ask(instance, &json!({})),
        }
    }
}

#[test]
fn two_clients_that_alternate_the_context_cause_one_load() {
    let (engine, instance) = instance("bucket");
    alternate(&instance);
    assert_eq!(engine.loads(), ["m"]);
    assert_eq!(contexts(&engine), vec![Some(65536); 100]);
    let snapshot = instance.snapshot();
    assert_eq!((snapshot.counters.avoided_reloads, snapshot.counters.swaps), (50, 1));
    assert!(instance.order(&["status"]).contains("50 reloads avoided"), "{}", instance.order(&["status"]));
}

#[test]
fn without_care_every_change_of_context_is_a_load() {
    let (engine, instance) = instance("pass");
    alternate(&instance);
    assert_eq!((engine.loads().len(), instance.snapshot().counters.avoided_reloads), (100, 0));
    assert_eq!(contexts(&engine)[..4], [Some(65536), None, Some(65536), None], "as the clients wrote it");
}

#[test]
fn a_longer_context_is_loaded_once_in_powers_of_two_and_never_shrinks() {
    let (engine, instance) = instance("bucket");
    for context in [3000, 4096, 5000, 8000, 100] {
        ask(&instance, &json!({ "options": { "num_ctx": context, "temperature": 0 } }));
    }
    assert_eq!(engine.loads().len(), 2, "once for 4096, once for 8192");
    let seen = [4096, 4096, 8192, 8192, 8192].map(Some);
    assert_eq!(contexts(&engine), seen);
    let bodies = engine.upstream.seen();
    assert!(bodies.iter().all(|seen| seen.json()["options"]["temperature"] == 0), "the rest is the client's");
}

#[test]
fn strip_takes_them_out_and_pin_keeps_what_was_loaded_first() {
    let (engine, stripped) = instance("strip");
    for context in [8192, 65536, 1024] {
        ask(&stripped, &json!({ "options": { "num_ctx": context } }));
    }
    assert_eq!((engine.loads().len(), contexts(&engine)), (1, vec![None; 3]));
    let (engine, pinned) = instance("pin");
    for context in [8192, 65536, 1024] {
        ask(&pinned, &json!({ "options": { "num_ctx": context } }));
    }
    assert_eq!((engine.loads().len(), contexts(&engine)), (1, vec![Some(8192); 3]));
}
