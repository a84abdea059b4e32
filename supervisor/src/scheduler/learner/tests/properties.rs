//! Promises that hold for whatever was seen, on instances drawn by chance from a seed.

use std::collections::VecDeque;

use super::super::super::random::Random;
use super::*;

/// A world of a few backends and models with true speeds and loads, and what it shows.
struct World {
    random: Random,
    /// Milliseconds of a load, and microseconds of a prompt token and of a generated one, by backend and model.
    truth: Vec<Vec<(u64, u64, u64)>>,
}

const MODELS: [&str; 4] = ["zebra", "ant", "mole", "bear"];
const BACKENDS: [&str; 3] = ["desk", "attic", "cellar"];

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let truth = BACKENDS.map(|_| {
            MODELS
                .map(|_| {
                    (random.between(500, 60_000), random.between(50, 2000), random.between(2000, 200_000))
                })
                .to_vec()
        });
        Self { random, truth: truth.to_vec() }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.between(1, 100) <= percent
    }

    /// One attempt: mostly warm and counted, with noise, and now and then anything else.
    fn observe(&mut self) -> Observation {
        let backend = self.random.between(0, 2);
        let model = self.random.between(0, 3);
        let (load_ms, input_us, output_us) =
            self.truth[usize::try_from(backend).unwrap()][usize::try_from(model).unwrap()];
        let (input, output) = (self.random.between(1, 8000), self.random.between(1, 900));
        let loaded = self.chance(15);
        let after_load = !loaded && self.chance(5);
        let held_up = loaded || after_load || self.chance(2);
        let start = if held_up { load_ms * 1000 } else { 0 } + input * input_us;
        let first_byte_us = self.random.jitter(start + output_us);
        let total_us = first_byte_us + self.random.jitter((output - 1) * output_us);
        let endpoint = Endpoint::ALL[usize::try_from(self.random.between(0, 3)).unwrap()];
        let is_told = self.chance(85);
        Observation {
            backend: BackendId(u32::try_from(backend).unwrap()),
            model: ModelName::new(MODELS[usize::try_from(model).unwrap()]),
            endpoint,
            input_tokens: is_told.then_some(input),
            output_tokens: is_told.then_some(output),
            total_us,
            first_byte_us: self.chance(70).then_some(first_byte_us),
            loaded,
            after_load,
            concurrent: 1,
        }
    }
}

/// Every answer, exactly.
fn answers(learner: &mut Learner, rename: impl Fn(BackendId) -> BackendId) -> Vec<u64> {
    let models = MODELS.map(|name| learner.model(&ModelName::new(name)));
    let mut answers = Vec::new();
    for backend in [DESK, ATTIC, CELLAR].map(rename) {
        for model in models {
            answers.push(learner.service(backend, model).to_bits());
            answers.push(learner.load(backend, model).to_bits());
            answers.push(learner.hidden_reloads(backend, model));
            for endpoint in Endpoint::ALL {
                let predicted = learner.predict(backend, model, endpoint, 1234, 567);
                answers.push(predicted.map_or(0, f64::to_bits));
                answers.push(learner.is_slow(backend, model, endpoint).into());
            }
        }
    }
    answers
}

#[test]
fn p18_a_refilled_learner_answers_like_the_one_that_saw_it_all() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let seen: Vec<Observation> = (0..600).map(|_| world.observe()).collect();
        let mut first = taught(seen.clone());
        // After a restart backends may have other ids and become known in another order, and so may models.
        let renamed = |backend: BackendId| BackendId((backend.0 + 1) % 3);
        let mut second = Learner::default();
        for (name, id) in [("cellar", CELLAR), ("desk", DESK), ("attic", ATTIC)] {
            second.backend(renamed(id), name);
        }
        for name in ["mole", "bear", "zebra"] {
            second.model(&ModelName::new(name));
        }
        second.refill(seen.into_iter().map(|observation| {
            let backend = renamed(observation.backend);
            observation.at(backend)
        }));
        assert_eq!(answers(&mut first, |id| id), answers(&mut second, renamed), "seed {seed}");
        assert_eq!(first.figures(), second.figures(), "seed {seed}");
    }
}

#[test]
fn p18_what_the_store_has_trimmed_had_no_say_any_more() {
    let mut world = World::new(99);
    let seen: Vec<Observation> = (0..60_000)
        .map(|_| world.observe())
        .map(|observation| Observation {
            // Three busy keys, so that most is trimmed.
            model: ModelName::new("zebra"),
            endpoint: CHAT,
            ..observation
        })
        .collect();
    // As loads become rare, the last ones are far back.
    let seen: Vec<Observation> = (0..)
        .zip(seen)
        .filter(|(number, observation)| *number < 5000 || !observation.loaded)
        .map(|(_, one)| one)
        .collect();
    let mut first = learner();
    first.refill(seen.clone());
    let mut kept = VecDeque::new();
    let mut counts = std::collections::BTreeMap::new();
    for observation in seen.iter().rev() {
        let (all, loads) = counts.entry(observation.backend).or_insert((0, 0));
        *all += 1;
        *loads += usize::from(observation.loaded);
        if *all <= KEPT || observation.loaded && *loads <= KEPT_LOADS {
            kept.push_front(observation.clone());
        }
    }
    assert!(kept.len() < seen.len() / 10);
    let mut second = learner();
    second.refill(kept);
    assert_eq!(answers(&mut first, |id| id), answers(&mut second, |id| id));
    assert_eq!(first.figures(), second.figures());
}

#[test]
fn p17_one_outlier_moves_the_load_to_a_neighbour_of_the_median_at_most() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut learner = taught((0..8).map(|_| warm(DESK, "m", 100, 50, 1000)));
        let m = learner.model(&ModelName::new("m"));
        let mut loads: Vec<u64> = (0..random.between(5, 9)).map(|_| random.between(2000, 50_000)).collect();
        for ms in &loads {
            learner.learn(&load(DESK, "m", 100, 50, ms + 1000));
        }
        let before = learner.load(DESK, m);
        learner.learn(&load(DESK, "m", 100, 50, 3_600_000));
        let after = learner.load(DESK, m);
        loads.push(u64::MAX);
        let mut latest = loads.split_off(loads.len() - 5);
        latest.sort_unstable();
        near(after, sums::real(latest[2].into()) / 1000.0, 1e-6);
        assert!(after <= 50.0 && before <= 50.0, "seed {seed}: {before} to {after}");
    }
}

#[test]
fn p17_one_outlier_of_service_is_bounded() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let usual = (0..30).map(|_| {
            let (input, output) = (random.between(100, 2000), random.between(20, 200));
            warm(DESK, "m", input, output, random.jitter(input + output * 20))
        });
        let mut learner = taught(usual.collect::<Vec<_>>());
        let m = learner.model(&ModelName::new("m"));
        let before = learner.service(DESK, m);
        learner.learn(&warm(DESK, "m", 1000, 100, 3_600_000));
        let after = learner.service(DESK, m);
        assert!(after < 2.0 * before, "seed {seed}: {before} to {after}");
    }
}

#[test]
fn p17_a_long_answer_alone_never_makes_a_backend_slow() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let warmups = random.between(1, 12);
        let mut learner = taught((0..warmups).flat_map(|_| {
            let (input, output) = (random.between(100, 900), random.between(20, 60));
            // Equal speeds, exactly those that a first estimate assumes.
            [DESK, ATTIC].map(|backend| warm(backend, "m", input, output, input + output * 25))
        }));
        let m = learner.model(&ModelName::new("m"));
        let output = random.between(1000, 9000);
        let lesson = learner.learn(&warm(DESK, "m", 100, output, 100 + output * 25));
        assert_eq!(lesson, Lesson::default(), "seed {seed}");
        let (desk, attic) = (learner.service(DESK, m), learner.service(ATTIC, m));
        near(desk, attic, 0.02);
    }
}

#[test]
fn p17_whatever_was_never_measured_looks_better_than_the_best_that_was() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut learner = taught([DESK, ATTIC].map(|backend| {
            warm(backend, "m", random.between(1, 5000), random.between(1, 900), random.between(10, 90_000))
        }));
        let m = learner.model(&ModelName::new("m"));
        let best = learner.service(DESK, m).min(learner.service(ATTIC, m));
        assert!(learner.service(CELLAR, m) < best, "seed {seed}");
        learner.learn(&warm(CELLAR, "m", 100, 100, 99_000));
        let measured = learner.predict(CELLAR, m, CHAT, 100, 100);
        near(measured.unwrap(), 99.0, 1e-9);
    }
}

#[test]
fn answers_are_times_whatever_was_seen() {
    for seed in 0..50 {
        let mut world = World::new(1000 + seed);
        let mut learner = learner();
        let models = MODELS.map(|name| learner.model(&ModelName::new(name)));
        for number in 0..150 {
            let mut observation = world.observe();
            if number % 10 == 0 {
                let extreme = [0, 1, u64::MAX][usize::try_from(world.random.between(0, 2)).unwrap()];
                observation.total_us = extreme;
                observation.input_tokens = Some(extreme);
                observation.output_tokens = world.chance(50).then_some(extreme);
            }
            learner.learn(&observation);
            for (backend, model) in [DESK, ATTIC, CELLAR].into_iter().zip(models) {
                let (service, load) = (learner.service(backend, model), learner.load(backend, model));
                assert!(service.is_finite() && service > 0.0, "seed {seed}: {service}");
                assert!(load.is_finite() && load >= 0.0, "seed {seed}: {load}");
            }
        }
        for view in learner.figures() {
            let figures = [view.load_ms, view.input_per_second, view.output_per_second, view.r_squared];
            assert!(figures.iter().all(|figure| figure.is_finite() && *figure >= 0.0), "{view:?}");
        }
    }
}
