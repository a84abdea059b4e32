//! SCH-01..21 under every strategy they apply to, through the whole program. What only the default strategy promises
//! is elsewhere.

use std::thread;

use serde_json::json;

use crate::support::client::Call;
use crate::support::{Engine, Gate, Instance, Script, Setup, Upstream, wait_until};

/// Every strategy.
pub(crate) const ALL: [&str; 9] = [
    "model_turns",
    "model_affinity_least_busy",
    "least_busy",
    "round_robin",
    "deferred_model_then_capable",
    "preserve_model_coverage",
    "fair_share_round_robin",
    "random",
    "fifo",
];

/// Those that send a request to the idle backend of the best priority, whatever is loaded.
const IDLE_FIRST: [&str; 5] = [
    "least_busy",
    "deferred_model_then_capable",
    "preserve_model_coverage",
    "fair_share_round_robin",
    "fifo",
];

/// Does the same under each of these strategies, some at a time, since tests like these mostly wait.
pub(crate) fn under_each(strategies: &[&'static str], test: impl Fn(&'static str) + Sync) {
    for some in strategies.chunks(3) {
        thread::scope(|scope| {
            for strategy in some {
                let test = &test;
                // The name is what a failure begins with.
                let named = thread::Builder::new().name((*strategy).to_owned());
                named.spawn_scoped(scope, move || test(strategy)).unwrap();
            }
        });
    }
}

/// The instance under this strategy.
pub(crate) fn under(strategy: &str, setup: Setup) -> Instance {
    let instance = setup.settings(json!({ "routing": { "strategy": strategy } })).start();
    assert_eq!(instance.snapshot().instance.strategy, strategy);
    instance
}

/// Sends one request after the other, each once the one before is in the queue.
pub(crate) fn queue_up(instance: &Instance, models: &[&str]) -> Vec<Call> {
    let before = instance.snapshot().instance.queued;
    let mut calls = Vec::new();
    for (index, model) in models.iter().enumerate() {
        calls.push(instance.client().start_chat(model));
        instance.wait_for_queued(before + index as u64 + 1);
    }
    calls
}

/// Fails the test unless every one of these is answered well.
#[track_caller]
pub(crate) fn all_good(calls: impl IntoIterator<Item = Call>) {
    for call in calls {
        let answer = call.answer();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// The models in the order in which one backend with one slot serves them, the first of them being under way when the
/// others come.
fn served(strategy: &str, more: serde_json::Value, models: &[&str]) -> (Vec<String>, u64) {
    let upstream = Upstream::start(&["a", "b"]);
    let instance = under(strategy, Setup::with(&upstream).settings(more));
    let gate = Gate::default();
    upstream.always(Script::json("{}").after(&gate));
    let first = instance.client().start_chat(models[0]);
    upstream.wait_for(1);
    let waiting = queue_up(&instance, &models[1..]);
    gate.open_for_all();
    all_good(waiting.into_iter().chain([first]));
    assert_eq!(upstream.most_at_once(), 1);
    (upstream.models_asked(), instance.backend("b1").swaps)
}

#[test]
fn sch_01_one_slot_never_runs_two() {
    under_each(&ALL, |strategy| {
        let upstream = Upstream::start(&["a", "b"]);
        let instance = under(strategy, Setup::with(&upstream));
        all_good((0..10).map(|n| instance.client().start_chat(["a", "b"][n % 2])).collect::<Vec<_>>());
        assert_eq!((upstream.count(), upstream.most_at_once()), (10, 1));
    });
}

#[test]
fn sch_02_the_current_model_is_drained_before_the_switch() {
    under_each(&ALL, |strategy| {
        let arrivals = ["a", "a", "b", "a", "b", "a"];
        let seen = served(strategy, json!({}), &arrivals);
        let seen = (seen.0.iter().map(String::as_str).collect::<Vec<_>>(), seen.1);
        match strategy {
            // The two yardsticks take what comes.
            "random" | "fifo" => assert_eq!(seen, (arrivals.to_vec(), 5), "{strategy}"),
            _ => assert_eq!(seen, (vec!["a", "a", "a", "a", "b", "b"], 2), "{strategy}"),
        }
    });
}

#[test]
fn sch_03_inside_a_model_the_order_is_that_of_arrival() {
    under_each(&ALL, |strategy| {
        let upstream = Upstream::start(&["m"]);
        let instance = under(strategy, Setup::with(&upstream));
        let gate = Gate::default();
        upstream.always(Script::json("{}").after(&gate));
        let mut calls = vec![instance.client().with("x-request-id", "n0").start_chat("m")];
        upstream.wait_for(1);
        for n in 1..=8 {
            calls.push(instance.client().with("x-request-id", &format!("n{n}")).start_chat("m"));
            instance.wait_for_queued(n);
        }
        gate.open_for_all();
        all_good(calls);
        let label =
            |seen: &crate::support::upstream::Seen| seen.head.header("x-request-id").unwrap().to_owned();
        let order: Vec<_> = upstream.seen().iter().map(label).collect();
        assert_eq!(order, ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"], "{strategy}");
    });
}

#[test]
fn sch_04_a_request_goes_where_its_model_is_although_another_backend_is_preferred() {
    under_each(&["model_turns", "model_affinity_least_busy"], |strategy| {
        let (first, second) = (Engine::start(&["a", "m"]), Engine::start(&["m"]));
        // Loads that cost something: where they do not, nothing speaks against moving.
        first.pace(200, 5);
        second.pace(200, 5);
        let instance = under(strategy, Setup::with_two(&first.upstream, &second.upstream));
        for _ in 0..2 {
            assert_eq!(instance.client().chat("a").status, 200);
        }
        first.pace(200, 500);
        let elsewhere = instance.client().start_chat("a");
        first.upstream.wait_for(3);
        assert_eq!(instance.client().chat("m").status, 200);
        all_good([elsewhere]);
        instance.wait_for_quiet();
        for _ in 0..5 {
            assert_eq!(instance.client().chat("m").status, 200);
        }
        assert_eq!((first.loads(), second.upstream.count()), (vec!["a".to_owned()], 6), "{strategy}");
    });
}

#[test]
fn sch_05_least_busy_binds_by_what_runs_and_waits_then_by_priority() {
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = under("least_busy", Setup::with_two(&first, &second));
    let (left, right) = (Gate::default(), Gate::default());
    first.always(Script::json("{}").after(&left));
    second.always(Script::json("{}").after(&right));
    let one = instance.client().start_chat("m");
    first.wait_for(1);
    let two = instance.client().start_chat("m");
    second.wait_for(1);
    // Equally busy: the better priority. Then the other one is less busy.
    let waiting = queue_up(&instance, &["m", "m"]);
    left.open(1);
    first.wait_for(2);
    assert_eq!((second.count(), instance.snapshot().instance.queued), (1, 1));
    right.open(1);
    second.wait_for(2);
    assert_eq!(first.count(), 2);
    left.open_for_all();
    right.open_for_all();
    all_good(waiting.into_iter().chain([one, two]));
}

#[test]
fn sch_06_round_robin_goes_from_one_to_the_next() {
    let (first, second) = (Upstream::start(&["m", "n"]), Upstream::start(&["m", "n"]));
    let instance = under("round_robin", Setup::with_two(&first, &second));
    let backends: Vec<_> = ["m", "m", "n", "n", "m"]
        .map(|model| instance.ended(&instance.client().chat(model).request_id()).backend)
        .into();
    assert_eq!(backends, ["b1", "b2", "b1", "b2", "b1"]);
}

#[test]
fn sch_07_the_first_goes_to_the_best_idle_backend_and_the_second_beside_it_to_the_other() {
    under_each(&IDLE_FIRST, |strategy| {
        let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
        // Behind in priority, although first in the file.
        let setup = Setup::new().backend("behind", &second, json!({ "priority": 200 })).backend(
            "best",
            &first,
            json!({ "priority": 100 }),
        );
        let instance = under(strategy, setup);
        let gate = Gate::default();
        first.always(Script::json("{}").after(&gate));
        second.always(Script::json("{}").after(&gate));
        let one = instance.client().start_chat("m");
        first.wait_for(1);
        assert_eq!(second.count(), 0, "{strategy}");
        let two = instance.client().start_chat("m");
        second.wait_for(1);
        gate.open_for_all();
        all_good([one, two]);
    });
}

#[test]
fn sch_08_coverage_gives_up_the_last_copy_of_a_model_only_when_nobody_waits_for_it() {
    let order = |models: &[&str]| served("preserve_model_coverage", json!({}), models).0;
    assert_eq!(order(&["a", "b", "a"]), ["a", "a", "b"], "the only copy, with work");
    assert_eq!(order(&["a", "b"]), ["a", "b"], "the only copy, without");
    // Two copies: the oldest request first.
    let (first, second) = (Upstream::start(&["a", "b"]), Upstream::start(&["a", "b"]));
    let instance = under("preserve_model_coverage", Setup::with_two(&first, &second));
    let (left, right) = (Gate::default(), Gate::default());
    first.always(Script::json("{}").after(&left));
    second.always(Script::json("{}").after(&right));
    let one = instance.client().start_chat("a");
    first.wait_for(1);
    let two = instance.client().start_chat("a");
    second.wait_for(1);
    let waiting = queue_up(&instance, &["b", "a"]);
    left.open(1);
    first.wait_for(2);
    assert_eq!(first.models_asked(), ["a", "b"]);
    left.open_for_all();
    right.open_for_all();
    all_good(waiting.into_iter().chain([one, two]));
}

#[test]
fn sch_09_fair_share_gives_another_model_its_turn_after_so_many_in_a_row() {
    let three = || json!({ "scheduler": { "max_consecutive_per_model": 3 } });
    let order = |limit, models: &str| {
        let models: Vec<_> = models.split("").filter(|model| !model.is_empty()).collect();
        served("fair_share_round_robin", limit, &models).0.concat()
    };
    assert_eq!(order(three(), "aaaaaabbbb"), "aaabbbaaab");
    assert_eq!(order(three(), "aaaaaaba"), "aaabaaaa", "a single one runs after the third");
    assert_eq!(order(three(), "aaaaaa"), "aaaaaa", "nobody waits for nobody");
    assert_eq!(order(json!({}), "aaaaabab"), "aaaaaabb", "no bound: drained");
}

#[test]
fn sch_10_two_at_once_on_two_idle_backends_run_on_both() {
    // Two requests for one model run beside each other where the rule does not care what is loaded.
    let same: Vec<_> =
        IDLE_FIRST.into_iter().chain(["round_robin"]).map(|strategy| (strategy, ["m", "m"])).collect();
    let other = ["model_turns", "model_affinity_least_busy"].map(|strategy| (strategy, ["m", "n"]));
    let cases: Vec<_> = same.into_iter().chain(other).collect();
    under_each(&cases.iter().map(|case| case.0).collect::<Vec<_>>(), |strategy| {
        let models = cases.iter().find(|case| case.0 == strategy).unwrap().1;
        let (first, second) = (Upstream::start(&["m", "n"]), Upstream::start(&["m", "n"]));
        let instance = under(strategy, Setup::with_two(&first, &second));
        for round in 1..=20 {
            let gate = Gate::default();
            first.always(Script::json("{}").after(&gate));
            second.always(Script::json("{}").after(&gate));
            let calls = models.map(|model| instance.client().start_chat(model));
            first.wait_for(round);
            second.wait_for(round);
            gate.open_for_all();
            all_good(calls);
        }
    });
}

#[test]
fn sch_11_the_swap_flag_is_set_exactly_on_switches() {
    under_each(&ALL, |strategy| {
        let upstream = Upstream::start(&["a", "b"]);
        let instance = under(strategy, Setup::with(&upstream));
        for (model, swap) in [("a", true), ("a", false), ("b", true), ("b", false), ("a", true)] {
            let row = instance.ended(&instance.client().chat(model).request_id());
            assert_eq!((row.swap, row.load_us.is_some()), (swap, swap), "{strategy} {model}");
            assert!(!row.reason.is_empty(), "{strategy}");
        }
        assert_eq!(instance.snapshot().counters.swaps, 3, "{strategy}");
    });
}

#[test]
fn sch_15_of_a_hundred_requests_none_is_lost() {
    under_each(&ALL, |strategy| {
        let (first, second) = (Upstream::start(&["a", "b"]), Upstream::start(&["b", "c"]));
        let instance = under(strategy, Setup::with_two(&first, &second));
        let models = ["a", "b", "c"];
        all_good((0..100).map(|n| instance.client().start_chat(models[n % 3])).collect::<Vec<_>>());
        wait_until("all are on record", || {
            instance.history(&["--limit", "1000", "--state", "completed"]).len() == 100
        });
        let snapshot = instance.snapshot();
        let counters = snapshot.counters;
        assert_eq!((counters.admitted, counters.completed, snapshot.live), (100, 100, 0), "{strategy}");
    });
}

#[test]
fn sch_16_four_slots_run_four_at_once() {
    under_each(&ALL, |strategy| {
        let upstream = Upstream::start(&["m"]);
        let instance = under(strategy, Setup::new().backend("b1", &upstream, json!({ "slots": 4 })));
        let gate = Gate::default();
        upstream.always(Script::json("{}").after(&gate));
        let calls: Vec<_> = (0..6).map(|_| instance.client().start_chat("m")).collect();
        upstream.wait_for(4);
        instance.wait_for_queued(2);
        assert_eq!((upstream.running(), instance.backend("b1").slots_used), (4, 4), "{strategy}");
        gate.open_for_all();
        all_good(calls);
        assert_eq!(upstream.most_at_once(), 4, "{strategy}");
    });
}

#[test]
fn four_slots_do_not_run_two_models_on_a_backend_that_holds_one() {
    under_each(&ALL, |strategy| {
        let upstream = Upstream::start(&["a", "b"]);
        let instance = under(strategy, Setup::new().backend("b1", &upstream, json!({ "slots": 4 })));
        let gate = Gate::default();
        upstream.always(Script::json("{}").after(&gate));
        let running = instance.client().start_chat("a");
        upstream.wait_for(1);
        let waiting = queue_up(&instance, &["b"]);
        assert_eq!(upstream.running(), 1, "{strategy}");
        gate.open_for_all();
        all_good(waiting.into_iter().chain([running]));
        assert_eq!(upstream.most_at_once(), 1, "{strategy}");
    });
}

#[test]
fn sch_17_a_full_queue_is_429_and_a_long_wait_503_both_with_retry_after() {
    under_each(&ALL, |strategy| {
        let upstream = Upstream::start(&["m"]);
        let limits = json!({ "scheduler": { "max_queue": 1, "queue_timeout_seconds": 1 } });
        let instance = under(strategy, Setup::with(&upstream).settings(limits));
        upstream.next(Script::hang());
        let _running = instance.client().start_chat("m");
        upstream.wait_for(1);
        let waiting = instance.client().start_chat("m");
        instance.wait_for_queued(1);
        let full = instance.client().chat("m");
        full.assert_openai_error(429, "queue_full");
        let late = waiting.answer();
        late.assert_openai_error(503, "queue_timeout");
        for refused in [&full, &late] {
            assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1, "{strategy}");
        }
        assert_eq!(upstream.count(), 1, "{strategy}");
    });
}

#[test]
fn sch_18_a_better_tier_is_used_alone_while_it_is_idle() {
    let by_priority: Vec<_> =
        ALL.into_iter().filter(|name| !["round_robin", "random"].contains(name)).collect();
    under_each(&by_priority, |strategy| {
        let (local, cloud) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
        let far = json!({ "priority": 900, "slots": 8, "serialize_by_model": false });
        let instance = under(strategy, Setup::with(&local).backend("cloud", &cloud, far));
        for _ in 0..10 {
            assert_eq!(instance.client().chat("m").status, 200);
            instance.wait_for_quiet();
        }
        assert_eq!((local.count(), cloud.count()), (10, 0), "{strategy}");
    });
}

#[test]
fn sch_18_a_reserve_is_left_alone_until_somebody_has_waited_for_as_long_as_it_says() {
    under_each(&ALL, |strategy| {
        for (after, expected) in [(600, [4, 0]), (1, [1, 3])] {
            let (local, cloud) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
            let far = json!({ "priority": 900, "serialize_by_model": false, "overflow_after": after });
            let instance = under(strategy, Setup::with(&local).backend("cloud", &cloud, far));
            let gate = Gate::default();
            local.always(Script::json("{}").after(&gate));
            let running = instance.client().start_chat("m");
            local.wait_for(1);
            let waiting = (0..3).map(|_| instance.client().start_chat("m")).collect::<Vec<_>>();
            if after == 1 {
                // Nothing frees the local one: who waits is served elsewhere.
                cloud.wait_for(3);
            } else {
                instance.wait_for_queued(3);
            }
            gate.open_for_all();
            all_good(waiting.into_iter().chain([running]));
            assert_eq!([local.count(), cloud.count()], expected, "{strategy}, after {after} s");
        }
    });
}
