//! What the scheduler expects.

use super::*;

fn model(learner: &mut Learner, name: &str) -> LearnedModel {
    learner.model(&ModelName::new(name))
}

#[test]
fn there_is_always_an_answer() {
    let mut learner = Learner::default();
    let m = model(&mut learner, "m");
    near(learner.service(DESK, m), 5.0, 0.0);
    near(learner.load(DESK, m), 10.0, 0.0);
    learner.backend(ATTIC, "attic");
    near(learner.service(ATTIC, m), 5.0, 0.0);
    near(learner.load(BackendId(9), m), 10.0, 0.0);
    assert_eq!(learner.predict(ATTIC, m, CHAT, 1, 1), None);
    // An id that nobody hands out costs no memory.
    learner.backend(BackendId(u32::MAX), "nobody");
    assert_eq!(learner.learn(&warm(BackendId(u32::MAX), "m", 1, 1, 1)), Lesson::default());
}

#[test]
fn one_sample_gives_a_speed_in_weighted_tokens() {
    let mut learner = taught([warm(DESK, "m", 500, 80, 5000)]);
    let m = model(&mut learner, "m");
    near(learner.service(DESK, m), 5.0, 1e-9);
    // 500 / 25 + 80 = 100 weighted tokens: 50 ms each.
    near(learner.predict(DESK, m, CHAT, 1000, 160).unwrap(), 10.0, 1e-9);
    near(learner.predict(DESK, m, CHAT, 0, 10).unwrap(), 0.5, 1e-9);
    near(learner.predict(DESK, m, Endpoint::Messages, 0, 10).unwrap(), 0.5, 1e-9);
}

#[test]
fn from_two_samples_on_the_fit_blends_in_and_with_eight_it_has_its_way() {
    // In truth a prompt token costs half of a generated one.
    let request = |number: u64| {
        let (input, output) = [(1000, 10), (20, 100)][usize::from(number % 2 == 1)];
        warm(DESK, "m", input, output, input * 10 + output * 20)
    };
    let expected = |count: u64| {
        let mut learner = taught((0..count).map(request));
        let m = model(&mut learner, "m");
        learner.predict(DESK, m, CHAT, 1000, 10).unwrap()
    };
    let one_number = expected(2);
    assert!((one_number - 10.2).abs() > 1.0, "{one_number}");
    let blended = expected(5);
    assert!(one_number.min(10.2) < blended && blended < one_number.max(10.2), "{one_number}, {blended}");
    near(expected(8), 10.2, 2e-2);
    near(expected(100), 10.2, 2e-2);
}

#[test]
fn the_past_is_forgotten() {
    let fast = (0..300).map(|_| warm(DESK, "m", 100, 50, 1000));
    let slow = (0..120).map(|_| warm(DESK, "m", 100, 50, 3000));
    let mut learner = taught(fast.chain(slow));
    let m = model(&mut learner, "m");
    near(learner.service(DESK, m), 3.0, 0.1);
}

#[test]
fn where_a_model_was_never_run_backends_are_compared_by_what_both_have_run() {
    let mut learner = taught([
        warm(DESK, "a", 100, 50, 1000),
        warm(ATTIC, "a", 100, 50, 4000),
        warm(DESK, "b", 100, 50, 1000),
        warm(ATTIC, "b", 100, 50, 9000),
        warm(DESK, "c", 100, 50, 2000),
    ]);
    let (c, new) = (model(&mut learner, "c"), model(&mut learner, "new"));
    // Four times and nine times as slow: six times on the geometric mean.
    near(learner.service(ATTIC, c), 12.0, 1e-9);
    near(learner.service(CELLAR, c), 1.2, 1e-9);
    near(learner.service(CELLAR, new), 5.0, 0.0);
}

#[test]
fn a_model_seen_elsewhere_is_expected_to_be_faster_where_it_was_not_tried() {
    let mut learner = taught([warm(DESK, "m", 100, 50, 4000), warm(ATTIC, "m", 100, 50, 2000)]);
    let m = model(&mut learner, "m");
    near(learner.service(CELLAR, m), 0.6 * 2.0, 1e-9);
}

#[test]
fn a_load_is_what_a_loading_attempt_took_beyond_its_service() {
    let mut learner = taught((0..10).map(|_| warm(DESK, "m", 100, 50, 2000)));
    let m = model(&mut learner, "m");
    learner.learn(&load(DESK, "m", 100, 50, 12_000));
    near(learner.load(DESK, m), 10.0, 1e-6);
    // A long answer is no long load.
    learner.learn(&load(DESK, "m", 100, 500, 30_000));
    near(learner.load(DESK, m), 10.0, 0.1);
    learner.learn(&load(DESK, "m", 100, 50, 1000));
    assert!(learner.load(DESK, m) <= 10.1);
}

#[test]
fn a_load_ends_before_the_first_byte() {
    let early = Observation { first_byte_us: Some(3_000_000), ..load(DESK, "m", 100, 50, 60_000) };
    let mut learner = taught([early]);
    let m = model(&mut learner, "m");
    near(learner.load(DESK, m), 3.0, 1e-9);
    assert!(learner.predict(DESK, m, CHAT, 100, 50).is_none(), "a loading attempt teaches no service");
}

#[test]
fn an_unknown_load_is_guessed_from_the_backend_then_from_the_model_then_from_all() {
    let instant = |backend, name: &str| warm(backend, name, 100, 50, 1000);
    let mut learner = taught([instant(DESK, "a"), instant(DESK, "b"), instant(ATTIC, "c")]);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| model(&mut learner, name));
    learner.learn(&load(DESK, "a", 100, 50, 5000));
    learner.learn(&load(DESK, "b", 100, 50, 9000));
    // On the first backend the mean of the other models there; on the second that of the model elsewhere, or of all.
    for backend in [DESK, ATTIC] {
        for (model, seconds) in [(a, 4.0), (b, 8.0), (c, 6.0), (d, 6.0)] {
            near(learner.load(backend, model), seconds, 1e-9);
        }
    }
    learner.learn(&load(ATTIC, "c", 100, 50, 2000));
    for (model, seconds) in [(a, 1.0), (b, 1.0), (c, 1.0), (d, 1.0)] {
        near(learner.load(ATTIC, model), seconds, 1e-9);
    }
}

#[test]
fn attempts_without_tokens_teach_the_whole_time() {
    let untold =
        |backend, ms| Observation { input_tokens: None, output_tokens: None, ..warm(backend, "m", 0, 0, ms) };
    // Nobody ever told: a request is a request.
    let mut learner = taught([untold(DESK, 2000), untold(DESK, 4000), untold(ATTIC, 9000)]);
    let m = model(&mut learner, "m");
    assert!((2.0..4.0).contains(&learner.service(DESK, m)));
    near(learner.service(ATTIC, m), 9.0, 1e-9);
    // One backend tells: the other's requests are taken to be as long as usual.
    let told = (0..20).map(|_| warm(DESK, "m", 1000, 60, 5000));
    let mut learner = taught(told.chain((0..5).map(|_| untold(ATTIC, 10_000))));
    let m = model(&mut learner, "m");
    near(learner.service(ATTIC, m), 10.0, 1e-6);
    near(learner.predict(ATTIC, m, CHAT, 2000, 120).unwrap(), 20.0, 1e-6);
}

#[test]
fn an_attempt_that_waited_for_anothers_load_teaches_nothing_of_speed_or_load() {
    let mut learner = taught((0..3).map(|_| warm(DESK, "m", 100, 50, 2000)));
    let m = model(&mut learner, "m");
    learner.learn(&Observation { after_load: true, ..warm(DESK, "m", 100, 50, 40_000) });
    near(learner.service(DESK, m), 2.0, 1e-9);
    near(learner.load(DESK, m), 10.0, 0.0);
}

#[test]
fn a_late_first_byte_is_a_hidden_reload_and_no_slow_service() {
    let mut learner = taught((0..10).map(|_| warm(DESK, "m", 100, 50, 2000)));
    let m = model(&mut learner, "m");
    for _ in 0..2 {
        learner.learn(&load(DESK, "m", 100, 50, 22_000));
    }
    let late = Observation { first_byte_us: Some(20_500_000), ..warm(DESK, "m", 100, 50, 22_000) };
    assert!(learner.learn(&late).hidden_reload);
    assert_eq!(learner.hidden_reloads(DESK, m), 1);
    near(learner.service(DESK, m), 2.0, 1e-3);
    // The same time with a usual first byte is service, if unusual.
    assert!(!learner.learn(&warm(DESK, "m", 100, 50, 22_000)).hidden_reload);
    assert!(learner.service(DESK, m) > 2.1);
    assert_eq!(learner.hidden_reloads(DESK, m), 1);
    // A whole answer comes late because it is long.
    let whole = Observation { first_byte_us: None, ..warm(DESK, "m", 100, 500, 20_000) };
    assert!(!learner.learn(&whole).hidden_reload);
}
