//! What those who wait are told, and what operators are: heartbeats, explanations, figures learned, and records that
//! can be played again.

use ipc_proto::operator::{Explanation, LearnedView, RequestState};
use serde_json::{Value, json};

use crate::strategies::{ALL, under, under_each};
use crate::support::command::run;
use crate::support::upstream::{chat_events, message_events};
use crate::support::{Engine, Gate, Instance, KEY, Script, Setup, Upstream, wait_until};

/// An instance with a heartbeat every second whose only slot is taken, and what lets everybody go on.
fn beating(settings: Value) -> (Upstream, Instance, Gate) {
    let upstream = Upstream::start(&["m"]);
    let quick = json!({ "proxy": { "heartbeat_seconds": 1 } });
    let instance = Setup::with(&upstream).settings(quick).settings(settings).start();
    (upstream, instance, Gate::default())
}

/// Reads two heartbeats, which come before anything else.
#[track_caller]
fn two_beats(stream: &mut crate::support::client::Stream) {
    assert_eq!((stream.status(), stream.head.header("content-type")), (200, Some("text/event-stream")));
    for _ in 0..2 {
        let beat = stream.next_event().expect("a sign of life");
        assert!(beat.starts_with(':'), "{beat}");
    }
}

#[test]
fn a_streaming_client_that_waits_hears_beats_and_then_its_answer() {
    let (upstream, instance, gate) = beating(json!({}));
    let events = chat_events("m", &["Hel", "lo"]);
    upstream.next(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let mut stream = instance.client().start_stream("m").stream();
    two_beats(&mut stream);
    gate.open_for_all();
    let answer = stream.rest();
    assert!(answer.complete && answer.text().ends_with(&events.concat()), "{}", answer.text());
    assert_eq!(running.answer().status, 200);
    let row = instance.ended(&answer.request_id());
    assert_eq!((row.state, row.attempts), (RequestState::Completed, 1));
}

#[test]
fn t114_who_cannot_be_admitted_is_told_by_the_status_and_hears_no_beat() {
    let (upstream, instance, gate) = beating(json!({ "scheduler": { "max_queue": 1 } }));
    upstream.next(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let waiting = instance.client().start_chat("m");
    instance.wait_for_queued(1);
    let refused = instance.client().start_stream("m").answer();
    refused.assert_openai_error(429, "queue_full");
    assert!(refused.text().starts_with('{'), "{}", refused.text());
    gate.open_for_all();
    assert_eq!((running.answer().status, waiting.answer().status), (200, 200));
}

#[test]
fn a_streaming_client_behind_a_slow_load_hears_beats_and_then_its_answer() {
    let engine = Engine::start(&["m"]).slowly(2_600, 0);
    let instance =
        Setup::with(&engine.upstream).settings(json!({ "proxy": { "heartbeat_seconds": 1 } })).start();
    let mut stream = instance.client().start_stream("m").stream();
    two_beats(&mut stream);
    let answer = stream.rest();
    assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert_eq!(engine.loads(), ["m"]);
}

#[test]
fn an_anthropic_client_that_waits_hears_pings_and_then_its_answer() {
    let upstream = Upstream::start(&["c"]);
    let instance = Setup::new()
        .backend("claude", &upstream, json!({ "type": "anthropic", "api_key": "k" }))
        .settings(json!({ "proxy": { "heartbeat_seconds": 1 } }))
        .start();
    let gate = Gate::default();
    let events = message_events("c", &["Hel", "lo"]);
    upstream.next(Script::stream(&events).after(&gate));
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    let body = json!({ "model": "c", "max_tokens": 10, "stream": true, "messages": messages }).to_string();
    let mut stream = instance.client().send("POST", "/v1/messages", body.as_bytes()).stream();
    for _ in 0..2 {
        let beat = stream.next_event().expect("a sign of life");
        assert!(beat.starts_with("event: ping\n"), "{beat}");
    }
    gate.open_for_all();
    let answer = stream.rest();
    assert!(answer.complete && answer.text().ends_with(&events.concat()), "{}", answer.text());
}

#[test]
fn a_failure_after_the_beats_is_told_in_the_stream() {
    let (upstream, instance, gate) = beating(json!({ "retry": { "max_attempts": 1 } }));
    upstream.next(Script::status(500).after(&gate));
    let mut stream = instance.client().start_stream("m").stream();
    two_beats(&mut stream);
    gate.open_for_all();
    let answer = stream.rest();
    let text = answer.text();
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let event: Value = serde_json::from_str(last.trim_start_matches("data: ")).unwrap_or_default();
    assert!(event["error"]["message"].is_string() && answer.complete, "{text}");
    assert!(!text.contains("[DONE]"), "{text}");
    assert_eq!(instance.ended(&answer.request_id()).state, RequestState::Failed);
}

#[test]
fn a_wait_that_ends_in_vain_after_the_beats_is_told_in_the_stream() {
    let (upstream, instance, _gate) = beating(json!({ "scheduler": { "queue_timeout_seconds": 3 } }));
    upstream.next(Script::hang());
    let _running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let mut stream = instance.client().start_stream("m").stream();
    two_beats(&mut stream);
    let text = stream.rest().text();
    assert!(text.contains("queue_timeout") && !text.contains("[DONE]"), "{text}");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn an_attempt_that_fails_behind_the_beats_is_made_again_elsewhere() {
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance =
        Setup::with_two(&first, &second).settings(json!({ "proxy": { "heartbeat_seconds": 1 } })).start();
    let gate = Gate::default();
    first.next(Script::status(500).after(&gate));
    let mut stream = instance.client().start_stream("m").stream();
    two_beats(&mut stream);
    gate.open_for_all();
    let answer = stream.rest();
    assert!(answer.text().ends_with(&chat_events("m", &["Hel", "lo"]).concat()), "{}", answer.text());
    assert_eq!(instance.ended(&answer.request_id()).attempts, 2);
}

#[track_caller]
fn explain(instance: &Instance, id: &str) -> Explanation {
    let text = instance.order(&["explain", id, "--json"]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("no explanation ({error}): {text}"))
}

#[test]
fn explain_tells_of_a_waiting_and_of_an_ended_request_where_it_could_go_and_why() {
    let (first, second) = (Upstream::start(&["a", "m"]), Upstream::start(&["a"]));
    let instance = Setup::with_two(&first, &second).start();
    let gate = Gate::default();
    first.always(Script::json("{}").after(&gate));
    let running = instance.client().with("x-request-id", "runs").start_chat("m");
    first.wait_for(1);
    let ahead = instance.client().with("x-request-id", "ahead").start_chat("m");
    instance.wait_for_queued(1);
    let waiting = instance.client().with("x-request-id", "waits").start_chat("m");
    instance.wait_for_queued(2);
    let told = explain(&instance, "waits");
    assert_eq!((told.record.id.as_str(), told.record.state), ("waits", RequestState::Queued));
    let [decision] = &told.decisions[..] else { panic!("one look: {told:?}") };
    assert_eq!((decision.chosen.as_str(), decision.reason.as_str()), ("", "waits"));
    assert_eq!(decision.position, Some(2));
    assert!(decision.estimated_wait_ms.is_some());
    let [candidate] = &decision.candidates[..] else { panic!("b2 does not have it: {decision:?}") };
    assert_eq!((candidate.backend.as_str(), candidate.eligible, candidate.holds_model), ("b1", false, true));
    assert!(!candidate.verdict.is_empty() && candidate.service_ms > 0, "{candidate:?}");
    let table = instance.order(&["explain", "waits"]);
    assert!(table.contains("b1") && table.contains(&candidate.verdict), "{table}");
    gate.open_for_all();
    for call in [running, ahead, waiting] {
        assert_eq!(call.answer().status, 200);
    }
    instance.ended("waits");
    instance.ended("runs");
    for (id, reason) in [("runs", "relief"), ("waits", "loaded")] {
        let told = explain(&instance, id);
        let last = told.decisions.last().expect("it was decided on");
        assert_eq!((last.chosen.as_str(), last.reason.as_str()), ("b1", reason), "{id}");
        assert_eq!((told.record.state, told.record.reason.as_str()), (RequestState::Completed, reason));
    }
    let score = explain(&instance, "runs").decisions[0].candidates[0].score;
    assert!(score.is_some_and(|score| score > 0.0), "a load has its score: {score:?}");
    let unknown = instance.ctl(&["explain", "nobody"]);
    assert!(unknown.code != 0 && unknown.err.contains("nobody"), "{unknown:?}");
}

/// What was learned, by model and endpoint.
fn learned(instance: &Instance) -> Vec<LearnedView> {
    instance.snapshot().learned
}

#[test]
fn what_is_learned_is_there_at_once_after_a_restart() {
    let engine = Engine::start(&["m", "e"]).slowly(30, 5);
    let instance = Setup::with(&engine.upstream).start();
    for _ in 0..5 {
        assert_eq!(instance.client().chat("m").status, 200);
    }
    let embed = json!({ "model": "e", "input": "Hello" }).to_string();
    for _ in 0..5 {
        assert_eq!(instance.client().post("/v1/embeddings", &embed).status, 200);
    }
    wait_until("all is learned", || learned(&instance).iter().map(|view| view.samples).sum::<u64>() == 10);
    let before = learned(&instance);
    let models: Vec<_> =
        before.iter().map(|view| (view.model.as_str(), view.samples, view.loads, view.fitted)).collect();
    assert!(models.contains(&("m", 5, 1, true)) && models.contains(&("e", 5, 1, true)), "{models:?}");
    assert!(before.iter().all(|view| view.service_ms > 0.0 && view.service_ms < 1_000.0), "{before:?}");
    assert!(
        before.iter().all(|view| view.expected_load_ms > 0.0 && view.expected_load_ms < 5_000.0),
        "{before:?}"
    );
    instance.wait_for_quiet();
    let instance = instance.restart();
    assert_eq!(learned(&instance), before);
    let table = instance.order(&["models"]);
    assert!(table.contains('m') && table.contains("b1"), "{table}");
}

#[test]
fn one_request_that_loads_its_model_teaches_what_a_load_costs() {
    let engine = Engine::start(&["m"]).slowly(300, 5);
    let instance = Setup::with(&engine.upstream).start();
    assert_eq!(instance.client().chat("m").status, 200);
    wait_until("it is learned", || !learned(&instance).is_empty());
    let view = &learned(&instance)[0];
    assert!((200.0..2_000.0).contains(&view.expected_load_ms), "{view:?}");
}

#[test]
fn perf_14_embeddings_teach_under_every_strategy() {
    for strategy in ["least_busy", "round_robin", "model_affinity_least_busy", "random", "fifo"] {
        let upstream = Upstream::start(&["e"]);
        let instance =
            Setup::with(&upstream).settings(json!({ "routing": { "strategy": strategy } })).start();
        let embed = json!({ "model": "e", "input": "Hello" }).to_string();
        for _ in 0..4 {
            assert_eq!(instance.client().post("/v1/embeddings", &embed).status, 200);
        }
        let told = || learned(&instance).iter().map(|view| (view.samples, view.loads)).collect::<Vec<_>>();
        wait_until("it is learned", || told() == [(4, 1)]);
    }
}

#[test]
fn a_record_played_again_makes_every_decision_again_under_every_strategy() {
    under_each(&ALL, |strategy| {
        let file = record_of_an_eventful_day(strategy);
        let text = std::fs::read_to_string(file.1.as_str()).unwrap();
        assert!(!text.contains("Hello") && !text.contains(KEY), "no content, no key");
        let said = run(&["replay", &file.1]);
        assert_eq!(said.code, 0, "{strategy}: {said:?}");
        assert!(said.out.contains(strategy) && said.out.contains("made again"), "{said:?}");
        let count = said.out.split_whitespace().find_map(|word| word.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count >= 60), "{said:?}");
        let other = run(&["replay", &file.1, "--strategy", "fifo", "--set", "scheduler.max_wait=30"]);
        assert!(other.code == 0 && other.out.contains("fifo"), "{other:?}");
    });
    let wrong = run(&["replay", "/dev/null"]);
    assert!(wrong.code != 0 && !wrong.err.is_empty(), "{wrong:?}");
}

/// The record of requests that are served, fail, leave and are tried again, of a worker that is killed and a backend
/// that is drained: the instance, which has ended, and the file.
fn record_of_an_eventful_day(strategy: &str) -> (Instance, String) {
    let models = ["a", "b", "c"];
    let engines = [Engine::start(&models).slowly(20, 2), Engine::start(&models).slowly(20, 2)];
    let setup = Setup::new().backend("b1", &engines[0].upstream, json!({ "slots": 2 })).backend(
        "b2",
        &engines[1].upstream,
        json!({ "type": "ollama", "priority": 200 }),
    );
    let file = setup.dir().join("decisions.jsonl");
    let mut instance =
        under(strategy, setup.settings(json!({ "scheduler": { "record": file, "max_wait": 1 } })));
    let ask = |n: usize| instance.client().start_chat(models[n % 3]);
    let mut calls: Vec<_> = (0..40).map(ask).collect();
    instance.order(&["drain", "b1"]);
    drop(ask(0));
    assert_eq!(instance.client().chat("nothing").status, 404);
    instance.order(&["undrain", "b1"]);
    instance.kill_worker("b2");
    calls.extend((0..30).map(ask));
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    instance.wait_for_quiet();
    instance.signal(nix::sys::signal::Signal::SIGTERM);
    instance.wait_for_exit();
    (instance, file.display().to_string())
}
