//! The strategies in simulated worlds: `model_turns` beside every strategy of the seed and one plain queue, on recorded
//! workloads and on random instances, and the time that one decision takes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use flate2::read::GzDecoder;
use supervisor::scheduler::catalog::Strategy;
use supervisor::simulation::{
    Against, Bounds, Course, Figures, Flavour, Instance, Measure, Reading, Reference, Setting, Subject,
    flows, geometric_mean, percentile, readings, run,
};

use crate::decision;
use crate::report::{note, say};
use crate::trouble::Trouble;

/// What of the scheduling to measure.
#[derive(Args)]
pub(crate) struct Scheduling {
    /// Random instances of each flavour, besides the workloads.
    #[arg(long, value_name = "N", default_value_t = 300)]
    instances: u64,
    /// The first of them.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    first: u64,
    /// Only these workloads; by default all.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    workload: Vec<String>,
    /// So many instances are drawn like each recorded one: the targets are means over twenty.
    #[arg(long, value_name = "N", default_value_t = 7)]
    draws: u64,
    /// Use the recorded instances themselves, three of each workload, as the reference does.
    #[arg(long)]
    recorded: bool,
    /// Run every instance so often, each time with other load times.
    #[arg(long, value_name = "N", default_value_t = 1)]
    lucks: u64,
    /// Also print how far each subject is from the reference figures.
    #[arg(long, requires = "recorded")]
    reference: bool,
}

/// Figures of a workload by subject.
type Found = BTreeMap<&'static str, Figures>;

/// Measures and prints. False if an invariant was broken.
pub(crate) fn measure(options: &Scheduling) -> Result<bool, Trouble> {
    let reference = Reference::from_csv(&fs::read_to_string(place("reference.csv"))?)?;
    let mut troubles = Vec::new();
    let mut verdicts = Vec::new();
    say(
        "| workload | best seed: wait / p95 / swaps | one fifo: wait | model_turns: wait / p95 / max / swaps | wait | p95 | flow | swaps |",
    );
    say("|---|---|--:|---|--:|--:|--:|--:|");
    let wanted = |name: &&str| options.workload.is_empty() || options.workload.iter().any(|it| it == name);
    let mut differences = Vec::new();
    for workload in reference.workloads().into_iter().filter(wanted) {
        note(&format!("{workload} …"));
        let found = figures(workload, options, &mut troubles)?;
        say(&row(workload, &found));
        let beside = beside_reference(&reference, workload, &found).filter(|_| options.recorded);
        let readings = readings(workload, &found).into_iter().enumerate();
        verdicts.extend(
            readings.map(|(place, it)| (it, beside.as_ref().and_then(|all| all.get(place)).copied())),
        );
        differences
            .extend(Subject::all().iter().filter_map(|it| difference(&reference, workload, it.name, &found)));
    }
    if options.reference {
        say("\n| workload | subject | wait | of reference | p95 | of reference | loads | of reference |");
        say("|---|---|--:|--:|--:|--:|--:|--:|");
        for line in &differences {
            say(line);
        }
    }
    say_targets(&verdicts);
    if options.instances > 0 {
        random_instances(options, &mut troubles);
    }
    decision::measure();
    for trouble in &troubles {
        say(&format!("- broken: {trouble}"));
    }
    say(&format!("\n{} broken invariants.", troubles.len()));
    Ok(troubles.is_empty())
}

fn place(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../supervisor/tests/workloads").join(file)
}

fn instances(workload: &str, options: &Scheduling) -> Result<Vec<Instance>, Trouble> {
    let mut text = String::new();
    GzDecoder::new(fs::File::open(place(&format!("{workload}.jsonl.gz")))?).read_to_string(&mut text)?;
    let recorded = Instance::from_lines(&text)?;
    if options.recorded {
        return Ok(recorded);
    }
    let drawn = recorded.iter().flat_map(|it| (1..=options.draws).map(move |number| it.resampled(number)));
    Ok(drawn.collect())
}

fn figures(workload: &str, options: &Scheduling, troubles: &mut Vec<String>) -> Result<Found, Trouble> {
    let instances = instances(workload, options)?;
    let mut found = Found::new();
    for subject in Subject::all() {
        let mut each = Vec::new();
        for instance in &instances {
            for luck in 0..options.lucks.max(1) {
                match run(instance, &subject.setting.clone().with_luck(luck)) {
                    Ok(course) => each.push(Figures::of(instance, &course)),
                    Err(wrong) => troubles.push(wrong),
                }
            }
        }
        found.insert(subject.name, Figures::mean(&each));
    }
    Ok(found)
}

fn row(workload: &str, found: &Found) -> String {
    let is_seed = |it: &Subject| it.is_seed() || it.is_seed_on_all_slots();
    let seeds = Subject::all().into_iter().filter(is_seed);
    let by_wait = |one: &Subject, other: &Subject| found[one.name].wait.total_cmp(&found[other.name].wait);
    let Some(seed) = seeds.min_by(by_wait) else { return String::new() };
    let (theirs, ours, fifo) = (found[seed.name], found["model_turns"], found["one_fifo"]);
    let ratio = |measure: Measure| ratio(measure.of(&ours), measure.of(&theirs));
    format!(
        "| {workload} | {}: {} / {} / {:.0} | {} | {} / {} / {} / {:.0} | {} | {} | {} | {} |",
        seed.name,
        shown(theirs.wait),
        shown(theirs.p95),
        theirs.loads,
        shown(fifo.wait),
        shown(ours.wait),
        shown(ours.p95),
        shown(ours.max),
        ours.loads,
        ratio(Measure::Wait),
        ratio(Measure::P95),
        ratio(Measure::Flow),
        ratio(Measure::Swaps),
    )
}

fn shown(seconds: f64) -> String {
    if seconds < 100.0 { format!("{seconds:.1}") } else { format!("{seconds:.0}") }
}

fn ratio(one: f64, other: f64) -> String {
    if other > 1e-3 { format!("{:.2}", one / other) } else { "–".to_owned() }
}

fn difference(reference: &Reference, workload: &str, subject: &str, found: &Found) -> Option<String> {
    let (theirs, ours) = (reference.get(workload, subject)?, found.get(subject)?);
    let cell = |measure: Measure| {
        let (mine, other) = (measure.of(ours), measure.of(theirs));
        format!("{} | {}", shown(mine), ratio(mine, other))
    };
    let cells = [Measure::Wait, Measure::P95, Measure::Swaps].map(cell);
    Some(format!("| {workload} | {subject} | {} |", cells.join(" | ")))
}

/// What `model_turns` reaches beside the reference figures of the others, which have the seed's defects.
fn beside_reference(reference: &Reference, workload: &str, found: &Found) -> Option<Vec<Reading>> {
    let others = Subject::all().into_iter().map(|it| it.name).filter(|name| *name != "model_turns");
    let mut theirs: Found = others.filter_map(|name| Some((name, *reference.get(workload, name)?))).collect();
    theirs.insert("model_turns", *found.get("model_turns")?);
    Some(readings(workload, &theirs))
}

fn say_targets(verdicts: &[(Reading, Option<Reading>)]) {
    say("\n| workload | figure | against | found | beside the reference's | target | |");
    say("|---|---|---|--:|--:|--:|---|");
    for (reading, beside) in verdicts {
        let target = reading.target;
        let against = match target.against {
            Against::BestSeed => "best seed",
            Against::Subject("one_slot_best") => "best seed, one request at a time",
            Against::Subject(name) => name,
            Against::Nothing => "(seconds)",
        };
        let verdict = match (reading.is_met(), reading.reason()) {
            (true, _) => "met".to_owned(),
            (false, Some(reason)) => format!("MISSED: {reason}"),
            (false, None) => "MISSED".to_owned(),
        };
        let (workload, figure) = (target.workload, target.measure.name());
        let beside = beside.map_or("–".to_owned(), |it| format!("{:.3}", it.value));
        say(&format!(
            "| {workload} | {figure} | {against} | {:.3} | {beside} | ≤ {:.2} | {verdict} |",
            reading.value, target.limit
        ));
    }
    let met = verdicts.iter().filter(|(reading, _)| reading.is_met()).count();
    say(&format!("\n{met} of {} targets met.", verdicts.len()));
}

/// The seed's strategies on random instances: all slots, so that the rules are compared and not the number of requests
/// in flight.
const RIVALS: [Strategy; 3] =
    [Strategy::PreserveModelCoverage, Strategy::DeferredModelThenCapable, Strategy::ModelAffinityLeastBusy];

fn random_instances(options: &Scheduling, troubles: &mut Vec<String>) {
    for flavour in [Flavour::Plain, Flavour::Rough] {
        let (mut to_coverage, mut to_deferred, mut to_best) = (Vec::new(), Vec::new(), Vec::new());
        // By which of the three is the best; of equal ones the first.
        let mut by_best: [Vec<f64>; 3] = Default::default();
        let mut unlike = 0;
        for seed in options.first..options.first + options.instances {
            let instance = Instance::random(seed, flavour);
            let mut course = |strategy| {
                let found = one_random(&instance, strategy);
                found.map_err(|wrong| troubles.push(wrong)).ok()
            };
            let Some(ours) = course(Strategy::ModelTurns) else { continue };
            let ratios = RIVALS.map(|rival| course(rival).and_then(|theirs| beside(&ours, &theirs)));
            unlike += ratios.iter().filter(|ratio| ratio.is_none()).count();
            to_coverage.extend(ratios[0]);
            to_deferred.extend(ratios[1]);
            let known = ratios.iter().enumerate().rev().filter_map(|(place, ratio)| Some((place, (*ratio)?)));
            if let Some((place, worst)) = known.max_by(|a, b| a.1.total_cmp(&b.1)) {
                to_best.push(worst);
                by_best[place].push(worst);
            }
        }
        say(&format!(
            "\n{} random instances, {flavour:?}: mean flow of `model_turns`, over the requests that both answered, beside \
             (not compared, because they did not answer half as many: {unlike} runs)",
            to_best.len()
        ));
        // What is promised is promised of the plain ones.
        let limits = |geometric, p95| (flavour == Flavour::Plain).then_some((geometric, p95));
        say_ratios("preserve_model_coverage", &mut to_coverage, limits(0.90, 1.12));
        say_ratios("deferred_model_then_capable", &mut to_deferred, None);
        say_ratios("the best of three seeds per instance", &mut to_best, limits(0.95, 1.15));
        for (rival, ratios) in RIVALS.iter().zip(&mut by_best) {
            say_ratios(&format!("where that is {}", rival.as_str()), ratios, None);
        }
    }
}

/// Our mean flow as a part of theirs; `None` if they are not to be compared.
fn beside(ours: &Course, theirs: &Course) -> Option<f64> {
    flows(ours, theirs).map(|(ours, theirs)| ours / theirs.max(1e-3))
}

/// A run of `strategy`; an error if an invariant or a lower bound was broken.
fn one_random(instance: &Instance, strategy: Strategy) -> Result<Course, String> {
    let setting = Setting::new(strategy);
    let course = run(instance, &setting)?;
    let (figures, bounds) = (Figures::of(instance, &course), Bounds::of(instance, &setting, &course));
    if figures.flow < bounds.flow - 1e-4 || figures.makespan < bounds.makespan - 1e-4 {
        return Err(format!("P20: {}-{}: better than can be", instance.name, instance.seed));
    }
    Ok(course)
}

/// Says how ratios are distributed, beside the most that their geometric mean and 95th percentile may be, if there is such.
fn say_ratios(name: &str, ratios: &mut [f64], limits: Option<(f64, f64)>) {
    ratios.sort_unstable_by(f64::total_cmp);
    let beside = |found: f64, limit: Option<f64>| match limit {
        None => format!("{found:.2}"),
        Some(limit) => {
            let verdict = if found <= limit { "met" } else { "MISSED" };
            format!("{found:.2} (target ≤ {limit:.2}: {verdict})")
        }
    };
    let worse = ratios.iter().filter(|ratio| **ratio > 1.05).count();
    say(&format!(
        "- {name}: geometric mean {}, p5 {:.2}, p50 {:.2}, p95 {}, worst {:.2}; more than 5 % worse: {worse}",
        beside(geometric_mean(ratios), limits.map(|(geometric, _)| geometric)),
        percentile(ratios, 0.05),
        percentile(ratios, 0.5),
        beside(percentile(ratios, 0.95), limits.map(|(_, p95)| p95)),
        percentile(ratios, 1.0),
    ));
}
