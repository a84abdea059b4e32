//! What `model_turns` has to reach on the named workloads: the largest ratio of each figure to the seed's best strategy for
//! that workload and figure, to a certain strategy, or to nothing.

use std::collections::BTreeMap;

use super::figures::Figures;
use super::yardstick::Subject;

/// A figure that targets are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// Mean wait.
    Wait,
    /// 95th percentile of the wait.
    P95,
    /// Longest wait.
    Longest,
    /// Mean time from arrival to completion.
    Flow,
    /// When everything is finished.
    Makespan,
    /// Loads of models.
    Swaps,
    /// Mean wait of interactive requests.
    InteractiveWait,
    /// Its 95th percentile.
    InteractiveP95,
    /// Requests that got no answer.
    Lost,
}

impl Measure {
    /// The figure's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::P95 => "p95",
            Self::Longest => "longest wait",
            Self::Flow => "flow",
            Self::Makespan => "makespan",
            Self::Swaps => "swaps",
            Self::InteractiveWait => "interactive wait",
            Self::InteractiveP95 => "interactive p95",
            Self::Lost => "lost",
        }
    }

    /// The figure.
    pub fn of(self, figures: &Figures) -> f64 {
        match self {
            Self::Wait => figures.wait,
            Self::P95 => figures.p95,
            Self::Longest => figures.max,
            Self::Flow => figures.flow,
            Self::Makespan => figures.makespan,
            Self::Swaps => figures.loads,
            Self::InteractiveWait => figures.interactive_wait,
            Self::InteractiveP95 => figures.interactive_p95,
            Self::Lost => figures.failed + figures.cancelled,
        }
    }
}

/// What a figure is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Against {
    /// The best that any of the seed's strategies reaches in this figure, on one slot or on all.
    BestSeed,
    /// This subject.
    Subject(&'static str),
    /// Nothing: the limit is the figure itself, in seconds.
    Nothing,
}

/// A target.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Target {
    /// The workload.
    pub workload: &'static str,
    /// The figure.
    pub measure: Measure,
    /// Compared with what.
    pub against: Against,
    /// The most that the ratio, or the figure, may be.
    pub limit: f64,
}

/// Targets that are missed, by workload and figure, and why.
const SHORTFALLS: [(&str, Measure, &str); 4] = [
    (
        "e2",
        Measure::Wait,
        "the seed was mended: `model_affinity_least_busy` lets an idle backend take what is bound elsewhere and waits 17 % less than its reference; beside that reference it is 0.79",
    ),
    (
        "g2",
        Measure::P95,
        "a draw: 0.96 on the recorded instances over twelve draws of load times, and the figure moves by some 4 % from one draw to the next",
    ),
    (
        "gs",
        Measure::P95,
        "5 to 7 % of the requests are for the cold models, which the seed starves for 1,500 s: the 95th percentile falls before them or among them by chance (the reference has 1.52 on the recorded instances, 0.71 on its own); the worst model's is 0.28",
    ),
    (
        "h",
        Measure::P95,
        "the seed was mended: a retried request keeps its place, and `preserve_model_coverage` has a tail 9 % shorter than its reference; beside that reference it is 0.76",
    ),
];

/// How far a target was met.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reading {
    /// The target.
    pub target: Target,
    /// The ratio, or the figure.
    pub value: f64,
}

impl Reading {
    /// Whether the target was met.
    pub fn is_met(&self) -> bool {
        self.value <= self.target.limit
    }

    /// Why it was missed, as far as that is known; `None` if it was met or nobody knows.
    pub fn reason(&self) -> Option<&'static str> {
        let target = self.target;
        let mut known = SHORTFALLS.iter().filter(|_| !self.is_met());
        let found =
            known.find(|(workload, measure, _)| *workload == target.workload && *measure == target.measure);
        found.map(|(_, _, reason)| *reason)
    }
}

/// The limits of a workload's figures against one thing.
type Row = (&'static str, Against, &'static [(Measure, f64)]);

const COVERAGE: Against = Against::Subject("preserve_model_coverage");

/// Every target that the simulator can express.
pub fn targets() -> Vec<Target> {
    use Against::{BestSeed, Nothing, Subject};
    use Measure::{Flow, InteractiveP95, InteractiveWait, Longest, Lost, Makespan, P95, Swaps, Wait};
    let rows: [Row; 35] = [
        ("a2", BestSeed, &[(Wait, 1.03)]),
        ("a3", BestSeed, &[(Wait, 1.00)]),
        ("a3hi", BestSeed, &[(Wait, 1.00), (P95, 1.00)]),
        ("b", BestSeed, &[(Wait, 0.68), (P95, 0.78), (Swaps, 1.02)]),
        ("b", COVERAGE, &[(Wait, 0.66), (P95, 0.78), (Swaps, 1.00)]),
        ("bhi", BestSeed, &[(Wait, 0.75), (P95, 0.88), (Swaps, 1.25)]),
        ("blo", COVERAGE, &[(Wait, 0.80), (P95, 0.90), (Swaps, 0.78)]),
        ("bh", COVERAGE, &[(Wait, 0.75), (P95, 0.85), (Swaps, 0.62)]),
        ("m", BestSeed, &[(Wait, 0.74), (P95, 0.82), (Swaps, 0.97)]),
        ("n", BestSeed, &[(Wait, 1.02), (Flow, 1.02)]),
        ("nlo", BestSeed, &[(Wait, 1.02), (Flow, 1.02)]),
        ("c", BestSeed, &[(InteractiveWait, 0.58), (InteractiveP95, 0.65), (Wait, 1.08), (Makespan, 1.02)]),
        (
            "cpri",
            BestSeed,
            &[(InteractiveWait, 0.48), (InteractiveP95, 0.57), (Wait, 1.08), (Makespan, 1.02)],
        ),
        ("d1", BestSeed, &[(Makespan, 0.83), (Flow, 0.78), (Swaps, 0.53), (P95, 1.50)]),
        ("d2", BestSeed, &[(Makespan, 0.85), (Flow, 0.80), (Swaps, 0.44), (P95, 1.25)]),
        ("e1", BestSeed, &[(Wait, 1.00)]),
        ("e2", BestSeed, &[(Wait, 0.85)]),
        ("f", BestSeed, &[(Wait, 0.95), (Makespan, 1.05)]),
        ("f", COVERAGE, &[(Longest, 0.68)]),
        ("fto", BestSeed, &[(Lost, 1.00)]),
        ("g1", BestSeed, &[(Wait, 1.10)]),
        ("g2", BestSeed, &[(Wait, 0.98), (P95, 1.00)]),
        ("ginf", Subject("fair_share_round_robin(10)"), &[(Wait, 0.76)]),
        ("ginf", Nothing, &[(Longest, 420.0)]),
        ("gs", BestSeed, &[(P95, 0.80)]),
        ("gs", Nothing, &[(Longest, 530.0)]),
        ("h", BestSeed, &[(Wait, 0.73), (P95, 0.86), (Lost, 1.20)]),
        ("i1", BestSeed, &[(Wait, 1.08)]),
        ("i2", BestSeed, &[(Wait, 1.02)]),
        ("i3", BestSeed, &[(Wait, 1.05)]),
        ("j1", BestSeed, &[(Wait, 1.00)]),
        ("j3", BestSeed, &[(Wait, 0.77)]),
        ("k2", BestSeed, &[(Wait, 0.78)]),
        ("l0", BestSeed, &[(Wait, 0.80)]),
        ("z", Nothing, &[(Wait, 0.1)]),
    ];
    let each = rows.into_iter().flat_map(|(workload, against, limits)| {
        limits.iter().map(move |(measure, limit)| Target {
            workload,
            measure: *measure,
            against,
            limit: *limit,
        })
    });
    each.chain(as_is("j1")).chain(as_is("j3")).collect()
}

/// The wait beside what the seed reaches as it is, one request at a time.
fn as_is(workload: &'static str) -> [Target; 1] {
    let against = Against::Subject("one_slot_best");
    [Target { workload, measure: Measure::Wait, against, limit: 0.06 }]
}

/// How far the targets of `workload` are met, given the figures of every subject there; without those that need a subject
/// that is missing.
pub fn readings(workload: &str, found: &BTreeMap<&'static str, Figures>) -> Vec<Reading> {
    let Some(ours) = found.get("model_turns") else { return Vec::new() };
    let own = targets().into_iter().filter(|target| target.workload == workload);
    own.filter_map(|target| {
        let mine = target.measure.of(ours);
        let other = match target.against {
            Against::Nothing => return Some(Reading { target, value: mine }),
            Against::Subject("one_slot_best") => best(target.measure, found, Subject::is_seed),
            Against::Subject(name) => found.get(name).map(|figures| target.measure.of(figures)),
            Against::BestSeed => best(target.measure, found, |it| it.is_seed() || it.is_seed_on_all_slots()),
        }?;
        // Who loses a fraction of a request more than nobody does not lose infinitely more.
        let other = if target.measure == Measure::Lost { other.max(1.0) } else { other };
        Some(Reading { target, value: if other > 0.0 { mine / other } else { f64::INFINITY } })
    })
    .collect()
}

/// The lowest of a figure among some subjects.
pub fn best(
    measure: Measure,
    found: &BTreeMap<&'static str, Figures>,
    among: impl Fn(&Subject) -> bool,
) -> Option<f64> {
    let names = Subject::all().into_iter().filter(among).map(|subject| subject.name);
    names.filter_map(|name| found.get(name)).map(|figures| measure.of(figures)).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(wait: f64) -> Figures {
        Figures { wait, ..Figures::default() }
    }

    #[test]
    fn a_target_is_read_against_the_best_of_the_seed() {
        let found = BTreeMap::from([
            ("model_turns", waits(6.0)),
            ("preserve_model_coverage", waits(9.0)),
            ("deferred_model_then_capable+slots", waits(8.0)),
            ("one_fifo", waits(1.0)),
        ]);
        let readings = readings("k2", &found);
        assert_eq!(readings.len(), 1);
        assert!((readings[0].value - 0.75).abs() < 1e-12 && readings[0].is_met());
    }

    #[test]
    fn a_reason_is_given_for_a_known_shortfall_only() {
        let beside = |ours: f64| {
            let found = BTreeMap::from([("model_turns", waits(ours)), ("least_busy", waits(1.0))]);
            let wait = |it: &Reading| it.target.measure == Measure::Wait;
            readings("e2", &found).into_iter().find(wait).and_then(|reading| reading.reason())
        };
        assert!(beside(0.5).is_none() && beside(0.9).is_some());
        for (workload, measure, _) in SHORTFALLS {
            let is_target = |it: &Target| it.workload == workload && it.measure == measure;
            assert!(targets().iter().any(is_target), "{workload} {}", measure.name());
        }
    }
}
