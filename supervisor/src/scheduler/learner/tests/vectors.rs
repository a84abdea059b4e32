//! The published fit against vectors that were computed elsewhere.

use super::super::fit::{Fit, Quality, speed_interval};
use super::super::record::Record;
use super::*;

/// Prompt tokens, generated tokens, milliseconds, 1 if the model was loaded.
type Vector<'a> = &'a [(u64, u64, u64, u8)];

fn fitted(vector: Vector<'_>) -> (Fit, Quality) {
    let mut record = Record::default();
    for (input, output, ms, loaded) in vector {
        let observation = Observation { loaded: *loaded == 1, ..warm(DESK, "m", *input, *output, *ms) };
        record.add(Sample::of(&observation).unwrap());
    }
    let fit = Fit::of(&record.clean, &record.loaded).unwrap();
    (fit, fit.quality(&record.clean, &record.loaded))
}

#[track_caller]
fn check(vector: Vector<'_>, costs: [f64; 3], r_squared: f64, intervals: Option<[f64; 3]>) {
    let (fit, quality) = fitted(vector);
    let close = |found: f64, expected: f64| (found - expected).abs() <= 1e-4 * expected.abs().max(1e-2);
    for (found, expected) in fit.costs.into_iter().zip(costs) {
        assert!(close(found, expected), "costs {:?}, not {costs:?}", fit.costs);
    }
    assert!(close(quality.r_squared, r_squared), "{quality:?}");
    match (quality.intervals, intervals) {
        (None, None) => {}
        (Some(found), Some(expected)) => {
            let alike = found.into_iter().zip(expected).all(|(found, expected)| close(found, expected));
            assert!(alike, "intervals {found:?}, not {expected:?}");
        }
        (found, expected) => panic!("intervals {found:?}, not {expected:?}"),
    }
}

#[test]
fn perf_01_one_load_among_exact_speeds() {
    let vector: Vector<'_> =
        &[(100, 50, 2500, 1), (200, 100, 4000, 0), (50, 200, 4500, 0), (300, 30, 3600, 0)];
    check(vector, [500.0, 10.0, 20.0], 1.0, None);
    assert_eq!(fitted(vector).1.as_str(), "good");
}

#[test]
fn perf_02_a_single_load_is_not_swallowed_by_the_speeds() {
    let vector: Vector<'_> = &[
        (100, 50, 1400, 0),
        (200, 100, 2800, 0),
        (50, 150, 2200, 0),
        (300, 40, 2880, 0),
        (120, 60, 2380, 1),
    ];
    check(vector, [700.0, 8.0, 12.0], 1.0, None);
}

#[test]
fn perf_03_speeds_without_a_load() {
    check(&[(100, 50, 900, 0), (200, 100, 1800, 0), (50, 200, 1850, 0)], [0.0, 5.0, 8.0], 1.0, None);
}

#[test]
fn perf_04_noise_lowers_the_quality_and_widens_the_intervals() {
    let vector: Vector<'_> = &[
        (100, 50, 200, 0),
        (200, 100, 3000, 0),
        (50, 200, 8000, 0),
        (300, 30, 3500, 0),
        (150, 150, 4500, 0),
    ];
    let intervals = Some([0.0, 10.269_855, 15.142_075]);
    check(vector, [0.0, 3.636_538, 32.255_207], 0.723_652, intervals);
    assert_eq!(fitted(vector).1.as_str(), "good");
}

#[test]
fn perf_05_two_loads_and_little_noise() {
    check(
        &[
            (100, 50, 2510, 1),
            (200, 100, 3995, 0),
            (50, 200, 4515, 0),
            (300, 30, 3590, 0),
            (150, 150, 5008, 1),
            (80, 80, 2397, 0),
        ],
        [507.821_790, 9.951_005, 20.073_025],
        0.999_988,
        Some([7.731_511, 0.029_107, 0.043_657]),
    );
}

#[test]
fn perf_06_four_attempts_one_load() {
    check(
        &[(100, 50, 900, 1), (200, 100, 1500, 0), (150, 80, 1300, 0), (300, 120, 2100, 0)],
        [113.013_707, 3.315_069, 9.109_587],
        0.985_205,
        Some([219.138_763, 4.240_822, 9.436_463]),
    );
}

#[test]
fn perf_07_loads_alone_are_fitted_jointly() {
    check(
        &[(100, 50, 3000, 1), (120, 40, 3100, 1), (90, 60, 2950, 1)],
        [2_097.150_678, 7.243_877, 3.418_243],
        0.992_759,
        None,
    );
}

#[test]
fn perf_08_equal_attempts_share_the_time_between_both_tokens() {
    check(&[(100, 50, 1000, 0); 5], [0.0, 8.0, 4.0], 1.0, None);
    // A determinant that is small beside its terms must not drown in them.
    check(&vec![(100_000, 50_000, 1_000_000, 0); 900], [0.0, 8.0, 4.0], 1.0, None);
}

#[test]
fn perf_09_two_attempts_are_too_few() {
    let learner = taught([warm(DESK, "m", 100, 50, 1000), warm(DESK, "m", 100, 50, 1000)]);
    let [figure] = &learner.figures()[..] else { panic!("{:?}", learner.figures()) };
    assert_eq!((figure.samples, figure.fitted, figure.quality.as_str()), (2, false, ""));
}

#[test]
fn perf_10_intervals_of_speeds() {
    near(speed_interval(38.5, 1.2), 1.782_505, 1e-5);
    near(speed_interval(50.0, 5.0), 13.333_333, 1e-5);
    near(speed_interval(100.0, 20.0), 100.0, 0.0);
    assert_eq!([speed_interval(0.0, 1.0), speed_interval(10.0, 0.0)].map(f64::to_bits), [0, 0]);
}

#[test]
fn a_negative_speed_becomes_zero_and_the_other_explains_everything() {
    // Longer prompts were faster: the prompt's speed would be negative.
    let vector: Vector<'_> = &[(1000, 10, 100, 0), (10, 100, 2000, 0), (500, 50, 700, 0), (20, 10, 250, 0)];
    let (fit, quality) = fitted(vector);
    let [load, input, output] = fit.costs;
    assert_eq!((load.to_bits(), input.to_bits()), (0, 0));
    // Sum of output times milliseconds over sum of squared outputs.
    near(output, 238_500.0 / 12_700.0, 1e-6);
    assert!(quality.r_squared < 1.0);
}

#[test]
fn loads_without_anything_else_that_disagree_with_speeds_give_no_negative_cost() {
    let vector: Vector<'_> = &[(100, 10, 5000, 1), (1000, 20, 3000, 1), (2000, 40, 1000, 1)];
    let (fit, _) = fitted(vector);
    assert!(fit.costs.iter().all(|cost| *cost >= 0.0), "{fit:?}");
    assert!(fit.costs[0] > 0.0, "{fit:?}");
}
