//! Models take turns: few loads, nothing broken off, and waits with a bound, shown with an engine that is as careless
//! as engines are.

use std::sync::atomic::{AtomicBool, Ordering};

use ipc_proto::operator::{RequestRecord, RequestState};
use serde_json::json;

use crate::support::client::Call;
use crate::support::instance::OTHER_KEY;
use crate::support::{Answer, Client, Engine, Gate, Instance, KEY, Script, Setup, Upstream, wait_until};

/// The rows of all requests of a run, once there are so many and all have ended.
#[track_caller]
fn all_ended(instance: &Instance, count: usize) -> Vec<RequestRecord> {
    let mut rows = Vec::new();
    wait_until("all are on record", || {
        rows = instance.history(&["--limit", "1000"]);
        rows.len() == count && rows.iter().all(|row| row.state.is_final())
    });
    rows
}

/// From the first arrival to the last end, by the instance's own clock, in seconds.
fn wall_seconds(rows: &[RequestRecord]) -> f64 {
    let first = rows.iter().map(|row| row.arrived_unix_us).min().unwrap();
    let last = rows.iter().filter_map(|row| row.ended_unix_us).max().unwrap();
    std::time::Duration::from_micros((last - first).unsigned_abs()).as_secs_f64()
}

#[test]
fn two_hundred_interleaved_requests_for_two_models_cost_a_handful_of_loads_and_none_fails() {
    let engine = Engine::start(&["a", "b"]).slowly(300, 3);
    let instance = Setup::with(&engine.upstream).settings(json!({ "scheduler": { "max_wait": 1 } })).start();
    let calls: Vec<Call> =
        (0..200).map(|n| instance.client().start_chat(if n % 2 == 0 { "a" } else { "b" })).collect();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    let rows = all_ended(&instance, 200);
    assert!(rows.iter().all(|row| row.state == RequestState::Completed && row.attempts == 1));
    let wall = wall_seconds(&rows);
    let most = 2.0 + wall.ceil();
    let swaps = instance.backend("b1").swaps;
    assert_eq!((engine.loads().len() as u64, engine.kills()), (swaps, 0));
    assert!((2.0..=most).contains(&(f64::from(u32::try_from(swaps).unwrap()))), "{swaps} in {wall} s");
}

#[test]
fn ten_thousand_interleaved_streams_break_none_off_on_an_engine_that_would() {
    const CLIENTS: usize = 20;
    let models = ["a", "b", "c"];
    let engine = Engine::start(&models);
    let instance = Setup::new()
        .backend("b1", &engine.upstream, json!({ "slots": 4 }))
        .settings(json!({ "proxy": { "log_level": "warning" } }))
        .start();
    let client = instance.client();
    let whole = |answer: &Answer| answer.status == 200 && answer.complete && answer.text().contains("[DONE]");
    std::thread::scope(|scope| {
        for seat in 0..CLIENTS {
            let client = &client;
            scope.spawn(move || {
                for n in 0..10_000 / CLIENTS {
                    let answer = client.start_stream(models[(seat + n) % models.len()]).answer();
                    assert!(whole(&answer), "{} {}", answer.status, answer.text());
                }
            });
        }
    });
    instance.wait_for_quiet();
    let counters = instance.snapshot().counters;
    assert_eq!((counters.completed, counters.failed, counters.retries), (10_000, 0, 0));
    assert_eq!((engine.kills(), engine.upstream.count()), (0, 10_000));
    assert_eq!(engine.upstream.most_at_once(), 4, "the care did not cost the slots");
    assert!(engine.loads().len() > 2, "it did change its model");
}

#[test]
fn a_machine_that_holds_two_models_alternates_without_loading_and_breaks_nothing_off_for_a_third() {
    let models = ["a", "b", "c"];
    let engine = Engine::holding(2, &models);
    let instance = Setup::new()
        .backend("b1", &engine.upstream, json!({ "slots": 3, "max_models": 2 }))
        .settings(json!({ "proxy": { "log_level": "warning" } }))
        .start();
    let client = instance.client();
    for n in 0..20 {
        assert_eq!(client.chat(models[n % 2]).status, 200);
    }
    assert_eq!(engine.loads(), ["a", "b"]);
    assert_eq!((instance.backend("b1").swaps, instance.backend("b1").turns.len()), (2, 2));
    std::thread::scope(|scope| {
        for seat in 0..10 {
            let client = &client;
            scope.spawn(move || {
                for n in 0..100 {
                    let answer = client.start_stream(models[(seat + n) % models.len()]).answer();
                    assert!(
                        answer.text().ends_with("data: [DONE]\n\n"),
                        "{} {}",
                        answer.status,
                        answer.text()
                    );
                }
            });
        }
    });
    assert!(engine.loads().contains(&"c".to_owned()));
    assert_eq!((engine.kills(), instance.snapshot().counters.retries), (0, 0));
}

#[test]
fn the_engine_of_these_tests_would_break_streams_off() {
    // The yardstick of the test before this one: without care the same load does break off.
    let engine = Engine::start(&["a", "b"]).slowly(0, 20);
    let instance = Setup::new()
        .backend("b1", &engine.upstream, json!({ "slots": 4, "serialize_by_model": false }))
        .start();
    let calls: Vec<Call> =
        (0..40).map(|n| instance.client().start_stream(if n % 2 == 0 { "a" } else { "b" })).collect();
    for call in calls {
        call.answer();
    }
    assert!(engine.kills() > 0);
}

/// Ends the loops that look at it, whatever becomes of the test.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn one_request_gets_its_turn_within_max_wait_although_another_models_clients_never_stop() {
    claims_its_turn(json!({ "scheduler": { "max_wait": 1 } }));
}

#[test]
fn one_request_gets_its_turn_within_the_max_wait_of_its_key() {
    let keys =
        json!([{ "name": "tester", "key": KEY }, { "name": "other", "key": OTHER_KEY, "max_wait": 1 }]);
    claims_its_turn(json!({ "auth": { "api_keys": keys } }));
}

/// One request of the client `other` for b, while others ask for a without end.
fn claims_its_turn(settings: serde_json::Value) {
    let engine = Engine::start(&["a", "b"]).slowly(100, 20);
    let instance = Setup::with(&engine.upstream).settings(settings).start();
    let client = instance.client();
    let enough = AtomicBool::new(false);
    let row = std::thread::scope(|scope| {
        let _ends = Ends(&enough);
        for _ in 0..5 {
            scope.spawn(|| {
                // A closed loop: there is always another one for a, until b is served and some more of a are.
                while !enough.load(Ordering::SeqCst) {
                    assert_eq!(client.chat("a").status, 200);
                }
            });
        }
        engine.upstream.wait_for(10);
        let answer = Client::new(instance.address(), OTHER_KEY).chat("b");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let before = engine.upstream.count();
        wait_until("a goes on", || engine.upstream.count() >= before + 10);
        instance.ended(&answer.request_id())
    });
    // max_wait, a turn of eight loads, the load itself, one request: about two seconds; five for slow machines.
    let waited = row.queue_us.unwrap();
    assert!((1_000_000..5_000_000).contains(&waited), "b waited {waited} us");
    assert_eq!((row.reason.as_str(), row.swap), ("claim_overdue", true));
    let loads = engine.loads();
    assert_eq!(loads[..3], ["a", "b", "a"], "{loads:?}");
}

#[test]
fn twenty_first_requests_at_once_for_a_cold_model_are_one_load() {
    let engine = Engine::start(&["m"]).slowly(200, 2);
    let instance = Setup::new().backend("b1", &engine.upstream, json!({ "slots": 4 })).start();
    let calls: Vec<Call> = (0..20).map(|_| instance.client().start_stream("m")).collect();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    assert_eq!((engine.loads(), engine.kills()), (vec!["m".to_owned()], 0));
    assert_eq!(instance.backend("b1").swaps, 1);
    let rows = all_ended(&instance, 20);
    assert_eq!(rows.iter().filter(|row| row.swap).count(), 1);
}

/// An instance with these bounds whose only slot is taken by a request for `m`, and what lets it go on.
fn busy(bounds: &serde_json::Value) -> (Upstream, Instance, Gate, Call) {
    let upstream = Upstream::start(&["m", "n"]);
    let instance = Setup::with(&upstream).settings(json!({ "scheduler": bounds })).start();
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    (upstream, instance, gate, running)
}

/// Fails the test unless this is the refusal of a full queue that says when to come again and how long the wait is.
#[track_caller]
fn assert_full(answer: &Answer) {
    answer.assert_openai_error(429, "queue_full");
    let number = |name: &str| -> u64 {
        let value = answer.header(name).unwrap_or_else(|| panic!("no {name}: {:?}", answer.head));
        value.parse().unwrap()
    };
    assert!(number("retry-after") >= 1);
    assert!(number("x-proxylm-queue-position") >= 1);
    number("x-proxylm-estimated-wait-ms");
}

fn wait_in_line(instance: &Instance, client: &Client, model: &str, queued: u64) -> Call {
    let call = client.start_chat(model);
    instance.wait_for_queued(queued);
    call
}

#[test]
fn a_full_queue_is_refused_with_place_and_estimate() {
    let (_upstream, instance, gate, running) = busy(&json!({ "max_queue": 2 }));
    let client = instance.client();
    let waiting = [wait_in_line(&instance, &client, "m", 1), wait_in_line(&instance, &client, "n", 2)];
    assert_full(&client.chat("m"));
    gate.open_for_all();
    for call in waiting.into_iter().chain([running]) {
        assert_eq!(call.answer().status, 200);
    }
    assert_eq!(client.chat("m").status, 200, "there is room again");
}

#[test]
fn a_full_queue_of_one_model_leaves_room_for_the_others() {
    let (_upstream, instance, gate, running) = busy(&json!({ "max_queue_per_model": 2 }));
    let client = instance.client();
    let mut waiting =
        vec![wait_in_line(&instance, &client, "m", 1), wait_in_line(&instance, &client, "m", 2)];
    let full = client.chat("m");
    assert_full(&full);
    assert_eq!(full.header("x-proxylm-queue-position"), Some("3"));
    waiting.push(wait_in_line(&instance, &client, "n", 3));
    gate.open_for_all();
    for call in waiting.into_iter().chain([running]) {
        assert_eq!(call.answer().status, 200);
    }
}

#[test]
fn a_full_queue_of_one_key_leaves_room_for_the_others() {
    let (_upstream, instance, gate, running) = busy(&json!({ "max_queue_per_key": 2 }));
    let (client, other) = (instance.client(), Client::new(instance.address(), OTHER_KEY));
    let mut waiting =
        vec![wait_in_line(&instance, &client, "m", 1), wait_in_line(&instance, &client, "n", 2)];
    assert_full(&client.chat("n"));
    waiting.push(wait_in_line(&instance, &other, "m", 3));
    gate.open_for_all();
    for call in waiting.into_iter().chain([running]) {
        assert_eq!(call.answer().status, 200);
    }
}

/// The labels of the requests in the order in which the upstream saw them.
fn order(upstream: &Upstream) -> Vec<String> {
    let label = |head: &crate::support::http::Head| head.header("x-request-id").unwrap().to_owned();
    upstream.seen().iter().map(|seen| label(&seen.head)).collect()
}

#[test]
fn batch_requests_yield_to_interactive_ones_for_the_same_model_by_key_and_by_header() {
    let upstream = Upstream::start(&["m"]);
    let keys = json!([
        { "name": "tester", "key": KEY },
        { "name": "other", "key": OTHER_KEY, "class": "batch" },
    ]);
    let instance = Setup::with(&upstream).settings(json!({ "auth": { "api_keys": keys } })).start();
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let (person, machine) = (instance.client(), Client::new(instance.address(), OTHER_KEY));
    let mut calls = vec![person.with("x-request-id", "first").start_chat("m")];
    upstream.wait_for(1);
    for (queued, (client, class, label)) in [
        (&machine, None, "batch-by-key"),
        (&person, Some("batch"), "batch-by-header"),
        (&person, None, "person"),
        (&machine, Some("interactive"), "machine-in-a-hurry"),
    ]
    .into_iter()
    .enumerate()
    {
        let client = client.with("x-request-id", label);
        let client = class.map_or(client.clone(), |class| client.with("x-proxylm-class", class));
        calls.push(client.start_chat("m"));
        instance.wait_for_queued(queued as u64 + 1);
    }
    let classes: Vec<_> = instance.snapshot().requests.iter().map(|row| row.class.as_str()).collect();
    assert_eq!(classes, ["interactive", "batch", "batch", "interactive", "interactive"]);
    gate.open_for_all();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    assert_eq!(
        order(&upstream),
        ["first", "person", "machine-in-a-hurry", "batch-by-key", "batch-by-header"]
    );
    let headers = upstream.seen().into_iter().flat_map(|seen| seen.head.headers);
    assert!(headers.into_iter().all(|(name, _)| name != "x-proxylm-class"), "it is nobody else's business");
}

#[test]
fn a_burst_of_one_client_does_not_bury_another_clients_request_for_the_same_model() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let (crowd, single) = (instance.client(), Client::new(instance.address(), OTHER_KEY));
    let mut calls = vec![crowd.with("x-request-id", "crowd").start_chat("m")];
    upstream.wait_for(1);
    for _ in 0..20 {
        calls.push(crowd.with("x-request-id", "crowd").start_chat("m"));
    }
    instance.wait_for_queued(20);
    calls.push(single.with("x-request-id", "single").start_chat("m"));
    instance.wait_for_queued(21);
    gate.open_for_all();
    for call in calls {
        assert_eq!(call.answer().status, 200);
    }
    // The one that runs and four that keep their place; the rest of the burst is spaced out.
    let place = order(&upstream).iter().position(|label| label == "single");
    assert_eq!(place, Some(5));
}

#[test]
fn a_class_nobody_knows_is_refused_with_the_words_that_are() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let wrong = instance.client().with("x-proxylm-class", "urgent").chat("m");
    assert_eq!(wrong.status, 400);
    for word in ["x-proxylm-class", "interactive", "batch"] {
        assert!(wrong.text().contains(word), "{}", wrong.text());
    }
    assert_eq!(upstream.count(), 0);
}
