//! What is published: what counts, what is forgotten, when a backend is called slow.

use super::*;

fn figure(learner: &Learner, backend: &str, model: &str, endpoint: Endpoint) -> LearnedView {
    let named =
        |view: &LearnedView| view.backend == backend && view.model == model && view.endpoint == endpoint;
    learner.figures().into_iter().find(named).unwrap()
}

/// A thousand tokens a second in, fifty out.
fn steady(count: u64) -> impl Iterator<Item = Observation> {
    (0..count).map(|number| {
        let (input, output) = (100 + number % 7 * 50, 20 + number % 5 * 10);
        warm(DESK, "m", input, output, input + output * 20)
    })
}

#[test]
fn perf_11_keys_are_independent_and_sorted_by_what_is_known() {
    let messages =
        |count| steady(count).map(|observation| Observation { endpoint: Endpoint::Messages, ..observation });
    let elsewhere = steady(5).map(|observation| Observation { backend: ATTIC, ..observation });
    let other = steady(4).map(|observation| Observation { model: ModelName::new("n"), ..observation });
    let learner = taught(steady(3).chain(messages(6)).chain(elsewhere).chain(other));
    let keys: Vec<_> =
        learner.figures().into_iter().map(|view| (view.backend, view.model, view.samples)).collect();
    let expected = [("desk", "m", 6), ("attic", "m", 5), ("desk", "n", 4), ("desk", "m", 3)];
    assert_eq!(
        keys,
        expected.map(|(backend, model, samples)| (backend.to_owned(), model.to_owned(), samples))
    );
    let view = figure(&learner, "desk", "m", Endpoint::Messages);
    assert!(view.fitted);
    near(view.input_per_second, 1000.0, 1e-4);
    near(view.output_per_second, 50.0, 1e-4);
    assert!(Learner::default().figures().is_empty());
}

#[test]
fn perf_11_what_teaches_nothing_is_not_counted() {
    let told = warm(DESK, "m", 100, 50, 1000);
    let learner = taught([
        Observation { total_us: 0, ..told.clone() },
        Observation { output_tokens: Some(0), ..told.clone() },
        Observation { output_tokens: None, ..told.clone() },
        Observation { after_load: true, ..told.clone() },
        told.clone(),
        Observation { input_tokens: None, ..told },
    ]);
    assert_eq!(figure(&learner, "desk", "m", CHAT).samples, 2);
}

#[test]
fn perf_11_the_newest_thousand_count() {
    // Twice as slow at first: if any of that were left, the fit would not be exact.
    let slower =
        steady(700).map(|observation| Observation { total_us: observation.total_us * 2, ..observation });
    let mut learner = taught(slower.chain(steady(999)));
    assert!(figure(&learner, "desk", "m", CHAT).r_squared < 1.0);
    learner.learn(&warm(DESK, "m", 100, 20, 500));
    let view = figure(&learner, "desk", "m", CHAT);
    assert_eq!(view.samples, 1000);
    near(view.input_per_second, 1000.0, 1e-6);
    near(view.r_squared, 1.0, 0.0);
}

#[test]
fn perf_12_slow_is_judged_before_the_attempt_is_learned_and_cleared_by_the_next() {
    let mut learner = taught(steady(10));
    let model = learner.model(&ModelName::new("m"));
    // 100 in, 20 out: 500 ms expected.
    let mut judge = |ms| {
        let lesson = learner.learn(&warm(DESK, "m", 100, 20, ms));
        (lesson.slow, learner.is_slow(DESK, model, CHAT))
    };
    assert_eq!(judge(999), (None, false));
    assert_eq!(judge(1500), (Some(true), true));
    assert_eq!(judge(1500), (None, true));
    assert_eq!(judge(600), (Some(false), false));
    assert!(!learner.is_slow(DESK, model, Endpoint::Messages), "another endpoint is another matter");
    assert!(!learner.is_slow(BackendId(77), model, CHAT), "and so is a backend nobody knows");
}

#[test]
fn perf_12_a_load_is_expected_to_take_its_time() {
    let loads = [load(DESK, "m", 100, 20, 10_500), load(DESK, "m", 200, 40, 11_000)];
    let mut learner = taught(steady(10).chain(loads));
    assert_eq!(learner.learn(&load(DESK, "m", 100, 20, 20_000)).slow, None, "less than twice 10.5 s");
    assert_eq!(learner.learn(&load(DESK, "m", 100, 20, 40_000)).slow, Some(true));
}

#[test]
fn perf_14_embeddings_are_counted_by_their_prompt() {
    let embedding = |input: u64| Observation {
        endpoint: Endpoint::Embeddings,
        output_tokens: None,
        first_byte_us: None,
        ..warm(DESK, "e", input, 0, input / 5)
    };
    let mut learner = taught([500, 1000, 1500, 2000].map(embedding));
    let view = figure(&learner, "desk", "e", Endpoint::Embeddings);
    assert!(view.fitted);
    assert_eq!(view.samples, 4);
    near(view.input_per_second, 5000.0, 1e-4);
    assert_eq!(view.output_per_second.to_bits(), 0, "nothing is generated");
    let model = learner.model(&ModelName::new("e"));
    let service = learner.service(DESK, model);
    assert!((0.1..0.4).contains(&service), "{service}");
    near(learner.predict(DESK, model, Endpoint::Embeddings, 3000, 0).unwrap(), 0.6, 1e-2);
    assert_eq!(learner.predict(DESK, model, CHAT, 3000, 10), None, "generating is another work");
}

#[test]
fn figures_tell_what_the_scheduler_expects_too() {
    let mut learner = taught(steady(30).chain([load(DESK, "m", 100, 20, 8500)]));
    let model = learner.model(&ModelName::new("m"));
    let view = figure(&learner, "desk", "m", CHAT);
    near(view.service_ms, learner.service(DESK, model) * 1000.0, 0.0);
    near(view.expected_load_ms, learner.load(DESK, model) * 1000.0, 0.0);
    near(view.expected_load_ms, 8000.0, 1e-3);
    near(view.load_ms, 8000.0, 1e-3);
    assert_eq!(view.loads, 1);
}
