//! The strategies against worlds in virtual time: recorded workloads beside their reference figures, and random instances
//! in which nothing forbidden may happen.
//!
//! `PROXYLM_INSTANCES=10000` runs so many random instances; `PROXYLM_INSTANCE=7` runs seed 7 alone.

#![expect(clippy::panic, reason = "a broken invariant ends the test that found it")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use supervisor::record::{Record, reproduce};
use supervisor::scheduler::catalog::Strategy;
use supervisor::scheduler::laws::Laws;
use supervisor::simulation::{
    Bounds, Course, Figures, Flavour, Instance, Job, Server, Setting, Subject, geometric_mean,
    longest_without_server_s, readings, run, run_on_record, run_promising, run_under_laws,
};

#[path = "workloads/archive.rs"]
mod archive;
#[path = "workloads/fidelity.rs"]
mod fidelity;

use self::fidelity::{DRAWS, TOLERANCE, spread};

/// How many random instances of each flavour an ordinary run tries, with each strategy.
const INSTANCES: u64 = 150;
/// How often each recorded instance is run with `model_turns`, each time with another chance: loads take other times.
const LUCKS: u64 = 2;
/// How far `model_turns` may be above its row in the 95th percentile of the wait, as a part of it: tails vary more.
const TAIL_TOLERANCE: f64 = 0.25;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn seeds() -> std::ops::Range<u64> {
    match number("PROXYLM_INSTANCE") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PROXYLM_INSTANCES").unwrap_or(INSTANCES),
    }
}

/// The course of a sound run; fails with the name of the instance, also where the scheduler itself finds something wrong.
fn sound(instance: &Instance, setting: &Setting) -> Course {
    let (name, seed, strategy) = (&instance.name, instance.seed, setting.strategy.as_str());
    let ran = catch_unwind(AssertUnwindSafe(|| run(instance, setting)));
    ran.unwrap_or_else(|_| panic!("{name}-{seed} under {strategy}: the scheduler's own check"))
        .unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The mean figures of a workload's instances under `setting`, each run so often.
fn figures(workload: &str, setting: &Setting, lucks: u64) -> Figures {
    let instances = archive::instances(workload);
    let each = (0..lucks).flat_map(|luck| {
        let setting = setting.clone().with_luck(luck);
        instances
            .iter()
            .map(move |instance| Figures::of(instance, &sound(instance, &setting)))
            .collect::<Vec<_>>()
    });
    Figures::mean(&each.collect::<Vec<_>>())
}

#[test]
fn model_turns_is_no_worse_than_its_rows() {
    let reference = archive::reference();
    let ours = Subject::named("model_turns").expect("it is compared");
    let mut wrong = Vec::new();
    for workload in reference.workloads() {
        let row = reference.get(workload, ours.name).expect("every workload has it");
        // Below a tenth of a second everything is noise.
        let is_worse = |found: &Figures| {
            found.wait > row.wait.max(0.1) * (1.0 + TOLERANCE + spread(ours.name, workload))
                || found.p95 > row.p95.max(0.1) * (1.0 + TAIL_TOLERANCE)
        };
        let mut found = figures(workload, &ours.setting, LUCKS);
        if is_worse(&found) {
            // What two draws show may be theirs: many decide.
            found = figures(workload, &ours.setting, DRAWS);
        }
        if is_worse(&found) {
            wrong.push(format!(
                "{workload}: {:.1} / {:.1}, not {:.1} / {:.1}",
                found.wait, found.p95, row.wait, row.p95
            ));
        }
        let alone = readings(workload, &[(ours.name, found)].into());
        wrong.extend(alone.into_iter().filter(|it| !it.is_met()).map(|it| format!("missed: {it:?}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// On so many random instances the flow is compared; the benchmark compares thousands.
const FLOW_INSTANCES: u64 = 60;

#[test]
fn on_random_instances_answers_come_sooner_than_with_coverage() {
    let flow = |seed, strategy| {
        let instance = Instance::random(seed, Flavour::Plain);
        Figures::of(&instance, &sound(&instance, &Setting::new(strategy))).flow
    };
    let ratios: Vec<f64> = (0..FLOW_INSTANCES)
        .map(|seed| flow(seed, Strategy::ModelTurns) / flow(seed, Strategy::PreserveModelCoverage).max(1e-3))
        .collect();
    let mean = geometric_mean(&ratios);
    assert!(mean <= 0.95, "a geometric mean of {mean} of the mean flow");
}

/// Runs `strategy` on random instances; the world itself looks after P1 to P7, P11 to P13 and P16.
fn keeps_the_invariants(strategy: Strategy) {
    for flavour in [Flavour::Plain, Flavour::Rough] {
        for seed in seeds() {
            let instance = Instance::random(seed, flavour);
            let setting = Setting::new(strategy);
            let course = sound(&instance, &setting);
            within_bounds(&instance, &setting, &course);
            if seed % 16 == 0 {
                assert_eq!(
                    course,
                    sound(&instance, &setting),
                    "P15: seed {seed} runs otherwise the second time"
                );
            }
        }
    }
}

/// P20: nothing is better than the bounds; a world in which it is would be wrong.
fn within_bounds(instance: &Instance, setting: &Setting, course: &Course) {
    let (bounds, found) = (Bounds::of(instance, setting, course), Figures::of(instance, course));
    let seed = instance.seed;
    // Times are rounded to microseconds.
    assert!(found.flow >= bounds.flow - 1e-4, "P20: seed {seed}: flow {} below {}", found.flow, bounds.flow);
    assert!(
        found.makespan >= bounds.makespan - 1e-4,
        "P20: seed {seed}: {} below {bounds:?}",
        found.makespan
    );
}

#[test]
fn model_turns_keeps_the_invariants() {
    keeps_the_invariants(Strategy::ModelTurns);
}

/// No model waits for a server longer than it may.
fn nobody_starves(instance: &Instance, setting: &Setting) {
    let course = sound(instance, setting);
    let Some(most) = longest_without_server_s(instance, setting, &course) else { return };
    let (name, seed) = (&instance.name, instance.seed);
    let longest = std::time::Duration::from_micros(course.longest_without_server_us).as_secs_f64();
    assert!(longest <= most, "P8: {name}-{seed}: a model waited {longest} s for a server, of at most {most}");
}

#[test]
fn p8_no_model_starves() {
    let usual = Setting::new(Strategy::ModelTurns);
    for workload in ["a3hi", "f", "g1", "ginf", "gs"] {
        for instance in archive::instances(workload) {
            nobody_starves(&instance, &usual);
        }
    }
    let mut soon = usual;
    soon.knobs.max_wait_ms = Some(20_000);
    for seed in seeds() {
        nobody_starves(&Instance::random(seed, Flavour::Plain), &soon);
        nobody_starves(&Instance::random(seed, Flavour::Rough), &soon);
    }
}

#[test]
fn p9_forced_swaps_take_a_bounded_part_of_the_time() {
    let setting = Setting::new(Strategy::ModelTurns);
    for instance in archive::instances("f") {
        let course = sound(&instance, &setting);
        let figures = Figures::of(&instance, &course);
        let servers = instance.servers.iter().fold(0.0, |servers, _| servers + 1.0);
        let part = course.loading_s / (servers * figures.makespan);
        // One load of slack on each server: the last turns are not driven out but run dry.
        let slack = course.longest_load_s / figures.makespan;
        assert!(part <= 1.0 / (1.0 + setting.knobs.turn) + slack, "{part} of the time goes into loads");
    }
}

#[test]
fn deferred_keeps_the_invariants() {
    keeps_the_invariants(Strategy::DeferredModelThenCapable);
}

#[test]
fn the_other_strategies_keep_theirs() {
    for strategy in Strategy::ALL {
        if !matches!(strategy, Strategy::ModelTurns | Strategy::DeferredModelThenCapable) {
            for seed in seeds().step_by(4) {
                sound(&Instance::random(seed, Flavour::Plain), &Setting::new(strategy));
                sound(&Instance::random(seed, Flavour::Rough), &Setting::new(strategy));
            }
        }
    }
}

/// A server for `models` models that load in 10 s and answer in about 1 s.
fn server(name: &str, models: usize) -> Server {
    Server {
        name: name.to_owned(),
        priority: 100,
        can: vec![true; models],
        t_load: vec![10.0; models],
        s_per_prompt_token: vec![0.001; models],
        s_per_output_token: vec![0.01; models],
        overhead: 0.0,
        max_models: 1,
        slots: 1,
        alpha: 0.25,
        down: Vec::new(),
        error_rate: 0.0,
    }
}

/// A request at `arrival`.
fn job(arrival: f64, model: usize, client: usize) -> Job {
    let text = format!("[{arrival},{model},{client},0,0,100,90,1.0,1,null,null]");
    serde_json::from_str(&text).expect("a row")
}

#[test]
fn p15_a_record_gives_the_same_decisions_and_a_like_world() {
    for strategy in Strategy::ALL {
        for seed in seeds().step_by(16) {
            let (instance, setting) = (Instance::random(seed, Flavour::Rough), Setting::new(strategy));
            let (course, record) =
                run_on_record(&instance, &setting).unwrap_or_else(|wrong| panic!("{wrong}"));
            let text = record.to_lines();
            let record = Record::read(text.as_bytes()).expect("it is a record");
            let reproduction = reproduce(&record);
            assert_eq!(reproduction.parting, None, "{} on seed {seed}", strategy.as_str());
            assert_eq!(reproduction.reproduced, course.decisions.len());
            let again = Instance::recorded(&record).expect("requests came");
            assert_eq!(again.requests.len(), course.lots.len());
            sound(&again, &setting);
        }
    }
}

#[test]
fn a_world_made_from_a_record_is_as_fast_as_the_recorded_one() {
    let setting = Setting::new(Strategy::DeferredModelThenCapable);
    for instance in archive::instances("a3") {
        let (course, record) = run_on_record(&instance, &setting).unwrap_or_else(|wrong| panic!("{wrong}"));
        let again = Instance::recorded(&record).expect("requests came");
        let (was, is) = (Figures::of(&instance, &course), Figures::of(&again, &sound(&again, &setting)));
        assert!((is.wait / was.wait - 1.0).abs() < 0.2, "a wait of {} became {}", was.wait, is.wait);
        assert!((is.loads / was.loads - 1.0).abs() < 0.1, "{} loads became {}", was.loads, is.loads);
    }
}

#[test]
fn p3_a_server_that_loads_in_no_time_still_makes_room() {
    for strategy in Strategy::ALL {
        let at_once = Server { t_load: vec![0.0; 2], slots: 2, ..server("one", 2) };
        let jobs = (0..6).map(|place| job(1.0, place % 2, place)).collect();
        let course = sound(&Instance::new("p3", 0, vec![at_once], jobs), &Setting::new(strategy));
        assert!(course.loads >= 2, "{} makes {} loads", strategy.as_str(), course.loads);
    }
}

#[test]
fn p19_alternating_requests_cost_two_loads() {
    for strategy in
        [Strategy::ModelTurns, Strategy::DeferredModelThenCapable, Strategy::PreserveModelCoverage]
    {
        let jobs = (0..6).map(|place| job(1.0, place % 2, place)).collect();
        let course = sound(&Instance::new("p19", 0, vec![server("one", 2)], jobs), &Setting::new(strategy));
        assert_eq!(course.loads, 2, "{}", strategy.as_str());
    }
}

#[test]
fn p14_free_swaps_are_one_queue() {
    let cloud =
        |name: &str| Server { t_load: vec![0.0; 4], max_models: 99, slots: 4, alpha: 0.0, ..server(name, 4) };
    let one = |name: &str| Server { can: vec![true], ..server(name, 1) };
    let queue = |name: &str| Server { t_load: vec![0.0], max_models: 99, slots: 4, alpha: 0.0, ..one(name) };
    let jobs = |models: usize| {
        (0..400_u16).map(move |place| job(f64::from(place) * 0.11, usize::from(place) % models, 0))
    };
    let wait = |servers: Vec<Server>, jobs: Vec<Job>| {
        let instance = Instance::new("p14", 0, servers, jobs);
        Figures::of(&instance, &sound(&instance, &Setting::new(Strategy::ModelTurns))).wait
    };
    let many = wait(vec![cloud("a"), cloud("b")], jobs(4).collect());
    let single = wait(vec![queue("a"), queue("b")], jobs(1).collect());
    assert!((many - single).abs() < 0.1, "{many} with four models, {single} with one");
}

#[test]
fn p10_with_one_model_every_idle_server_joins_a_long_queue() {
    let jobs = (0..60).map(|place| job(1.0, 0, place)).collect();
    let servers = ["a", "b", "c"].map(|name| server(name, 1)).to_vec();
    let course = sound(&Instance::new("p10", 0, servers, jobs), &Setting::new(Strategy::ModelTurns));
    let used: std::collections::BTreeSet<_> = course.lots.iter().filter_map(|lot| lot.server).collect();
    assert_eq!(used.len(), 3, "sixty seconds of work, and ten to join in");
}

/// Asserts that with a broken law some random instance ends with a complaint that says `word`.
fn is_noticed<L: Laws>(word: &str) {
    let setting = Setting::new(Strategy::DeferredModelThenCapable);
    let noticed = (0..200)
        .find_map(|seed| run_under_laws::<L>(&Instance::random(seed, Flavour::Rough), &setting).err());
    let noticed = noticed.expect("some instance shows it");
    assert!(noticed.contains(word), "{noticed}");
}

enum ExclusionLocks {}
impl Laws for ExclusionLocks {
    const EXCLUSION_YIELDS: bool = false;
}

#[test]
fn an_exclusion_that_is_a_lock_is_noticed() {
    is_noticed::<ExclusionLocks>("");
}

/// Asserts that some random instance, run with the numbers in `is`, ends with a complaint that says `word` where what
/// `promised` promises is looked after.
fn is_noticed_of_numbers(word: &str, promised: &Setting, is: &Setting) {
    let noticed = (0..200).filter_map(|seed| {
        [Flavour::Plain, Flavour::Rough]
            .iter()
            .find_map(|flavour| run_promising(&Instance::random(seed, *flavour), is, promised).err())
    });
    let found = noticed.take(5).find(|wrong| wrong.contains(word));
    assert!(found.is_some(), "nobody noticed {word}");
}

#[test]
fn turns_that_end_before_they_have_paid_are_noticed() {
    let promised = Setting::new(Strategy::ModelTurns);
    let mut hasty = promised.clone();
    hasty.knobs.turn = 1.0;
    hasty.knobs.max_wait_ms = Some(5_000);
    is_noticed_of_numbers("P5", &promised, &hasty);
}

#[test]
fn waits_for_follow_ups_that_are_not_allowed_are_noticed() {
    let lingering = Setting::new(Strategy::ModelTurns);
    let mut promised = lingering.clone();
    promised.knobs.linger = false;
    is_noticed_of_numbers("P12", &promised, &lingering);
}
