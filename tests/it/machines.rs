//! Several names for one machine, several machines for one model: slots belong to the machine, and requests go where
//! their model is warm until the queue there costs more than a load.

use serde_json::json;

use crate::support::client::Call;
use crate::support::{Engine, Gate, Instance, Script, Setup, Upstream, wait_until};

#[track_caller]
fn all_good(calls: Vec<Call>) {
    for call in calls {
        let answer = call.answer();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn two_aliases_of_one_machine_share_its_slots() {
    let upstream = Upstream::start(&["m", "n"]);
    for (second, settings) in
        [("m", json!({ "slots": 2 })), ("n", json!({ "slots": 2, "serialize_by_model": false }))]
    {
        let names = json!({ "one": { "model": "m" }, "other": { "model": second } });
        let instance = Setup::new()
            .backend("b1", &upstream, settings)
            .settings(json!({ "routing": { "models": names } }))
            .start();
        let before = upstream.count();
        let gate = Gate::default();
        upstream.always(Script::json("{}").after(&gate));
        let names = ["one", "other"];
        let calls: Vec<_> = (0..50).map(|n| instance.client().start_chat(names[n % 2])).collect();
        instance.wait_for_queued(48);
        upstream.wait_for(before + 2);
        assert_eq!(upstream.running(), 2);
        gate.open_for_all();
        all_good(calls);
        assert_eq!((upstream.count() - before, upstream.most_at_once()), (50, 2));
    }
}

#[test]
fn slots_that_the_machine_tells_of_need_no_configuration() {
    let upstream = Upstream::start(&["m"]);
    upstream
        .page("/props", Script::json(r#"{"total_slots":3,"default_generation_settings":{"n_ctx":4096}}"#));
    let instance =
        Setup::new().backend("b1", &upstream, json!({ "type": "llamacpp", "slots": "auto" })).start();
    wait_until("the slots are known", || instance.backend("b1").slots == 3);
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let calls: Vec<_> = (0..10).map(|_| instance.client().start_chat("m")).collect();
    instance.wait_for_queued(7);
    upstream.wait_for(3);
    assert_eq!(upstream.running(), 3);
    gate.open_for_all();
    all_good(calls);
}

/// Three machines with the model `m`, of which the least preferred one has it in memory and says so.
fn one_warm() -> ([Engine; 3], Instance) {
    let cold = || Engine::start(&["m", "n"]).slowly(50, 20);
    let engines = [cold(), cold(), Engine::start(&["m"]).slowly(50, 20)];
    engines[2].meddle(&["m"]);
    let ollama = |priority| json!({ "type": "ollama", "priority": priority });
    let instance = Setup::new()
        .backend("cold1", &engines[0].upstream, ollama(100))
        .backend("cold2", &engines[1].upstream, ollama(200))
        .backend("warm", &engines[2].upstream, ollama(300))
        .settings(json!({ "discovery": { "interval_seconds": 1 } }))
        .start();
    wait_until("it is known what is warm", || instance.backend("warm").current_model == "m");
    (engines, instance)
}

#[test]
fn everything_goes_to_the_warm_machine_while_its_queue_costs_less_than_a_load() {
    let (engines, instance) = one_warm();
    for _ in 0..10 {
        assert_eq!(instance.client().chat("m").status, 200);
    }
    // Many at once, too: what they cost is known by now, and a load is expected to cost ten seconds.
    all_good((0..30).map(|_| instance.client().start_chat("m")).collect());
    assert_eq!(engines.each_ref().map(|engine| engine.upstream.count()), [0, 0, 40]);
    assert!(engines[2].loads().is_empty(), "it had the model before");
}

#[test]
fn a_long_queue_at_the_warm_machine_spills_to_a_cold_one() {
    let (engines, instance) = one_warm();
    // A load on a cold machine is seen to be short, and so is what follows it.
    for model in ["n", "n", "n", "m", "m", "m", "m", "m"] {
        assert_eq!(instance.client().chat(model).status, 200);
    }
    instance.wait_for_quiet();
    let before = engines.each_ref().map(|engine| engine.upstream.count());
    assert_eq!(before[2], 5, "m stayed where it is warm");
    all_good((0..100).map(|_| instance.client().start_chat("m")).collect());
    let after = engines.each_ref().map(|engine| engine.upstream.count());
    let got: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert!(got[2] > 0 && got[0] + got[1] > 0, "{got:?}");
    let spilled: Vec<_> = instance.history(&["--limit", "1000", "--model", "m"]);
    assert!(
        spilled.iter().any(|row| row.swap && ["copy", "moved"].contains(&row.reason.as_str())),
        "{spilled:?}"
    );
}

#[test]
fn a_second_machine_loads_the_model_when_the_first_is_full_for_long() {
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = Setup::new()
        .backend("b1", &first, json!({ "slots": 2 }))
        .backend("b2", &second, json!({ "slots": 2, "priority": 200 }))
        .start();
    let gate = Gate::default();
    first.always(Script::json("{}").after(&gate));
    second.always(Script::json("{}").after(&gate));
    let mut calls: Vec<_> = (0..2).map(|_| instance.client().start_chat("m")).collect();
    first.wait_for(2);
    calls.extend((0..10).map(|_| instance.client().start_chat("m")));
    second.wait_for(2);
    let reasons: Vec<_> = instance
        .snapshot()
        .requests
        .iter()
        .filter(|row| row.backend == "b2")
        .map(|row| row.reason.clone())
        .collect();
    assert!(reasons.contains(&"copy".to_owned()), "{reasons:?}");
    gate.open_for_all();
    all_good(calls);
    assert_eq!((first.most_at_once(), second.most_at_once()), (2, 2));
}

#[test]
fn who_waits_behind_a_request_without_end_is_served_elsewhere_though_nothing_else_happens() {
    let (first, second) = (Engine::start(&["m"]).slowly(100, 5), Engine::start(&["m"]).slowly(100, 5));
    // No probe comes to the rescue: time alone makes the second copy worth its load.
    let instance = Setup::with_two(&first.upstream, &second.upstream)
        .settings(json!({ "discovery": { "interval_seconds": 3600 } }))
        .start();
    for _ in 0..3 {
        assert_eq!(instance.client().chat("m").status, 200);
    }
    let gate = Gate::default();
    first.upstream.think(|_| None);
    first.upstream.always(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("m");
    first.upstream.wait_for(4);
    let waiting = instance.client().start_chat("m");
    assert_eq!(waiting.answer().status, 200);
    assert_eq!((first.upstream.count(), second.upstream.count()), (4, 1));
    gate.open_for_all();
    all_good(vec![running]);
}

/// An engine that says what it holds, and an instance that asks it every second.
fn talkative() -> (Engine, Instance) {
    let engine = Engine::start(&["a", "b"]);
    let instance = Setup::new()
        .backend("b1", &engine.upstream, json!({ "type": "ollama" }))
        .settings(json!({ "discovery": { "interval_seconds": 1 } }))
        .start();
    (engine, instance)
}

#[test]
fn a_model_that_the_engine_has_unloaded_is_not_believed_to_be_there() {
    let (engine, instance) = talkative();
    for swap in [true, false] {
        assert_eq!(instance.ended(&instance.client().chat("a").request_id()).swap, swap);
    }
    engine.meddle(&[]);
    wait_until("it is known to be gone", || instance.backend("b1").current_model.is_empty());
    assert!(instance.ended(&instance.client().chat("a").request_id()).swap);
    assert_eq!((engine.loads().len(), instance.backend("b1").swaps), (2, 2));
}

#[test]
fn a_model_that_a_stranger_has_loaded_is_used_as_it_is() {
    let (engine, instance) = talkative();
    assert!(instance.ended(&instance.client().chat("a").request_id()).swap);
    engine.meddle(&["b"]);
    wait_until("it is known what is there", || instance.backend("b1").current_model == "b");
    assert!(!instance.ended(&instance.client().chat("b").request_id()).swap);
    assert!(instance.ended(&instance.client().chat("a").request_id()).swap);
    assert_eq!(engine.loads(), ["a", "a"]);
}

#[test]
fn what_the_engine_says_while_it_works_does_not_shake_the_belief() {
    let (engine, instance) = talkative();
    let gate = Gate::default();
    assert_eq!(instance.client().chat("a").status, 200);
    // It answers with a, and its list, made before, does not have it yet.
    engine.upstream.think(|_| None);
    engine.upstream.page("/api/ps", Script::json(r#"{"models":[]}"#));
    engine.upstream.always(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("a");
    engine.upstream.wait_for(2);
    let before = engine.upstream.probes().len();
    wait_until("it is probed", || engine.upstream.probes().len() >= before + 4);
    assert_eq!(instance.backend("b1").current_model, "a");
    gate.open_for_all();
    all_good(vec![running]);
    assert!(!instance.history(&["--limit", "1"])[0].swap);
}
