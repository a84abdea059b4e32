//! The seed's strategies and the plain baselines beside the reference figures: how far they may be, and where they rightly
//! differ. What is compared is the mean wait.

use supervisor::simulation::{Figures, Reference, Subject};

use super::{archive, figures};

/// How far a mean wait may be from the reference, as a part of it.
pub(crate) const TOLERANCE: f64 = 0.05;
/// So many draws decide where one is off.
pub(crate) const DRAWS: u64 = 8;
/// How much the mean wait of a workload's three instances differs from one draw of the loads' noise, and of the lots, to
/// the next, as a part of it: the standard deviation over eight draws, for the lots over sixteen. The
/// reference is one draw. The row without a name is for every subject.
const SPREADS: [(&str, &[(&str, f64)]); 9] = [
    (
        "",
        &[
            ("bhi", 0.04),
            ("f", 0.035),
            ("fto", 0.06),
            ("j1", 0.035),
            ("j3", 0.04),
            ("gs", 0.02),
            ("g2", 0.04),
        ],
    ),
    ("one_fifo", &[("a2", 0.035), ("bh", 0.09), ("cpri", 0.04), ("d1", 0.05), ("e1", 0.025), ("g2", 0.06)]),
    (
        "random",
        &[
            ("a2", 0.035),
            ("b", 0.03),
            ("bh", 0.105),
            ("blo", 0.115),
            ("c", 0.09),
            ("cpri", 0.08),
            ("d1", 0.045),
            ("d2", 0.055),
            ("e1", 0.025),
            ("e2", 0.05),
            ("g2", 0.09),
            ("l0", 0.30),
            ("l1", 0.11),
            ("m", 0.03),
            ("n", 0.075),
            ("nlo", 0.095),
        ],
    ),
    ("model_affinity_least_busy", &[("c", 0.10), ("cpri", 0.07), ("d2", 0.035), ("e2", 0.03), ("nlo", 0.15)]),
    ("least_busy", &[("b", 0.025), ("m", 0.03), ("n", 0.045)]),
    ("round_robin", &[("e2", 0.05), ("h", 0.04)]),
    ("preserve_model_coverage", &[("h", 0.045), ("j3", 0.05), ("m", 0.045), ("n", 0.025)]),
    ("fair_share_round_robin(5)", &[("e2", 0.125), ("g2", 0.055), ("n", 0.03)]),
    ("fair_share_round_robin(10)", &[("e1", 0.045), ("e2", 0.09), ("g2", 0.07), ("m", 0.03), ("n", 0.045)]),
];
/// The spread of the others.
const USUAL_SPREAD: f64 = 0.02;

/// How a subject rightly differs from the reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Departure {
    /// A fault that the reference has is mended: it waits less.
    Mended,
    /// The reference is one draw of noise, and far from the mean of many.
    Draw,
}

/// Where a subject rightly differs from the reference, how, and why.
const DEPARTURES: [(&str, &[&str], Departure, &str); 8] = [
    (
        "least_busy",
        &["bh", "blo", "e2", "l0", "l1", "n", "nlo"],
        Departure::Mended,
        "a bound request moves to another backend that is idle and would be chosen now",
    ),
    (
        "model_affinity_least_busy",
        &["b", "bh", "blo", "e2", "l0", "l1", "m"],
        Departure::Mended,
        "a bound request moves to another backend that is idle and would be chosen now",
    ),
    (
        "model_affinity_least_busy",
        &["h"],
        Departure::Mended,
        "what is bound to a backend that goes away moves to another",
    ),
    (
        "deferred_model_then_capable",
        &["h"],
        Departure::Mended,
        "a request keeps its place when it is tried again",
    ),
    (
        "deferred_model_then_capable+slots",
        &["j3"],
        Departure::Mended,
        "two requests that come at once go to two idle backends",
    ),
    (
        "preserve_model_coverage+slots",
        &["j3"],
        Departure::Mended,
        "two requests that come at once go to two idle backends",
    ),
    ("one_fifo", &["e2"], Departure::Draw, "the mean of eight draws is 16 % higher"),
    ("fair_share_round_robin(5)", &["e1"], Departure::Draw, "the mean of eight draws is 22 % higher"),
];

fn departure(subject: &str, workload: &str) -> Option<Departure> {
    let mut found = DEPARTURES
        .iter()
        .filter(|(name, workloads, ..)| subject.starts_with(name) && workloads.contains(&workload));
    found.next().map(|(_, _, how, _)| *how)
}

/// The largest spread that is known of a subject on a workload.
pub(crate) fn spread(subject: &str, workload: &str) -> f64 {
    let own = SPREADS.iter().filter(|(name, _)| subject.starts_with(name)).flat_map(|(_, spreads)| *spreads);
    own.filter(|(name, _)| *name == workload).map(|(_, spread)| *spread).fold(USUAL_SPREAD, f64::max)
}

/// How far the mean wait of so many draws is from the reference, as a part of it.
fn off(expected: &Figures, subject: &Subject, workload: &str, lucks: u64) -> f64 {
    // Below a tenth of a second everything is noise.
    (figures(workload, &subject.setting, lucks).wait - expected.wait) / expected.wait.max(0.1)
}

/// Whether a subject on all slots does on `workload` what it does on one, and so need not be run.
fn has_one_slot(subject: &Subject, workload: &str) -> bool {
    let instances = archive::instances(workload);
    let mut servers = instances.iter().flat_map(|instance| &instance.servers);
    !subject.setting.one_slot && servers.all(|server| server.slots == 1)
}

/// What is wrong with `subject` on `workload`, if anything is.
fn difference(reference: &Reference, subject: &Subject, workload: &str) -> Option<String> {
    let expected = reference.get(workload, subject.name)?;
    let departure = departure(subject.name, workload);
    if departure == Some(Departure::Draw) || has_one_slot(subject, workload) {
        return None;
    }
    let is_off = |off: &f64| match departure {
        Some(_) => *off >= 0.0,
        None => off.abs() > TOLERANCE + spread(subject.name, workload),
    };
    // What one draw shows may be that draw's: if it is off, many decide.
    Some(off(expected, subject, workload, 1)).filter(is_off)?;
    let found = Some(off(expected, subject, workload, DRAWS)).filter(is_off)? * 100.0;
    Some(format!("{workload} {}: {found:+.1} % of {:.2}", subject.name, expected.wait))
}

/// Compares some subjects with the reference on every workload.
fn reproduce_the_reference(subjects: &[&str]) {
    let reference = archive::reference();
    let mut wrong = Vec::new();
    for name in subjects {
        let subject = Subject::named(name).expect("it is compared");
        let workloads = reference.workloads();
        wrong.extend(workloads.into_iter().filter_map(|it| difference(&reference, &subject, it)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn plain_baselines_reproduce_the_reference() {
    reproduce_the_reference(&["one_fifo", "random"]);
}

#[test]
fn strategies_that_bind_at_arrival_reproduce_the_reference() {
    reproduce_the_reference(&[
        "model_affinity_least_busy",
        "model_affinity_least_busy+slots",
        "least_busy",
        "round_robin",
    ]);
}

#[test]
fn strategies_that_bind_late_reproduce_the_reference() {
    reproduce_the_reference(&[
        "deferred_model_then_capable",
        "deferred_model_then_capable+slots",
        "preserve_model_coverage",
        "preserve_model_coverage+slots",
    ]);
}

#[test]
fn fair_share_reproduces_the_reference() {
    reproduce_the_reference(&["fair_share_round_robin(5)", "fair_share_round_robin(10)"]);
}

#[test]
fn every_subject_and_departure_is_known() {
    let reference = archive::reference();
    for (subject, workloads, ..) in DEPARTURES {
        for workload in workloads {
            assert!(reference.get(workload, subject).is_some(), "{subject} on {workload}");
        }
    }
    for subject in Subject::all() {
        assert!(reference.get("b", subject.name).is_some(), "{}", subject.name);
    }
}
