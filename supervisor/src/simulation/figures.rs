//! The figures of a run: how long requests waited, what it cost, how fair it was.

use std::collections::BTreeMap;

use super::course::{Course, Fate, Lot};
use super::engine::seconds;
use super::instance::Instance;

/// The figures of one run, or the mean of several. Times in seconds.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Figures {
    /// Mean wait: from arrival to the beginning of service, the load included.
    pub wait: f64,
    /// Median wait.
    pub p50: f64,
    /// The wait that 95 of 100 stay below.
    pub p95: f64,
    /// The wait that 99 of 100 stay below.
    pub p99: f64,
    /// The longest wait.
    pub max: f64,
    /// Mean time from arrival to completion.
    pub flow: f64,
    /// When the last request ended.
    pub makespan: f64,
    /// Loads of models.
    pub loads: f64,
    /// Mean wait of the requests somebody waits for.
    pub interactive_wait: f64,
    /// Their 95th percentile.
    pub interactive_p95: f64,
    /// The 95th percentile of the model that has the worst.
    pub worst_model_p95: f64,
    /// Jain's index of the clients' speeds, seconds of service in a second between arrival and completion: 1 if all
    /// are served alike.
    pub jain: f64,
    /// Requests without a complete answer.
    pub failed: f64,
    /// Requests whose clients left.
    pub cancelled: f64,
}

impl Figures {
    /// The figures of `course`, a run of `instance`.
    pub fn of(instance: &Instance, course: &Course) -> Self {
        let waits = |keep: &dyn Fn(&Lot) -> bool| -> Vec<f64> {
            let kept = course.lots.iter().filter(|lot| keep(lot));
            let mut waits: Vec<f64> = kept.filter_map(Lot::wait_us).map(seconds).collect();
            waits.sort_unstable_by(f64::total_cmp);
            waits
        };
        let done: Vec<f64> = course
            .lots
            .iter()
            .filter(|lot| lot.fate == Fate::Done)
            .map(|lot| seconds(lot.ended.since(lot.arrived)))
            .collect();
        let all = waits(&|_| true);
        let interactive = waits(&|lot| !instance.requests[lot.job].is_batch);
        let by_model = (0..instance.models)
            .map(|model| percentile(&waits(&|lot| instance.requests[lot.job].model == model), 0.95));
        let by_client: Vec<f64> =
            (0..instance.clients).filter_map(|client| speed(instance, course, client)).collect();
        let count = |fate: Fate| number(course.lots.iter().filter(|lot| lot.fate == fate).count());
        Self {
            wait: mean(&all),
            p50: percentile(&all, 0.5),
            p95: percentile(&all, 0.95),
            p99: percentile(&all, 0.99),
            max: all.last().copied().unwrap_or(0.0),
            flow: mean(&done),
            makespan: course.lots.iter().map(|lot| seconds(lot.ended.0)).fold(0.0, f64::max),
            loads: u32::try_from(course.loads).map_or(f64::INFINITY, f64::from),
            interactive_wait: mean(&interactive),
            interactive_p95: percentile(&interactive, 0.95),
            worst_model_p95: by_model.fold(0.0, f64::max),
            jain: jain(&by_client),
            failed: count(Fate::Failed),
            cancelled: count(Fate::GaveUp),
        }
    }

    /// The mean of several runs' figures, each.
    pub fn mean(of: &[Self]) -> Self {
        let each = |figure: fn(&Self) -> f64| mean(&of.iter().map(figure).collect::<Vec<_>>());
        Self {
            wait: each(|it| it.wait),
            p50: each(|it| it.p50),
            p95: each(|it| it.p95),
            p99: each(|it| it.p99),
            max: each(|it| it.max),
            flow: each(|it| it.flow),
            makespan: each(|it| it.makespan),
            loads: each(|it| it.loads),
            interactive_wait: each(|it| it.interactive_wait),
            interactive_p95: each(|it| it.interactive_p95),
            worst_model_p95: each(|it| it.worst_model_p95),
            jain: each(|it| it.jain),
            failed: each(|it| it.failed),
            cancelled: each(|it| it.cancelled),
        }
    }
}

/// The mean times from arrival to completion of two runs of one instance over the requests that both answered, in seconds;
/// `None` if those are less than half of what either answered: then the two are not alike enough to be compared.
pub fn flows(one: &Course, other: &Course) -> Option<(f64, f64)> {
    let answered = |course: &Course| -> BTreeMap<usize, f64> {
        let done = course.lots.iter().filter(|lot| lot.fate == Fate::Done);
        done.map(|lot| (lot.job, seconds(lot.ended.since(lot.arrived)))).collect()
    };
    let (one, other) = (answered(one), answered(other));
    let both: Vec<(f64, f64)> =
        one.iter().filter_map(|(job, flow)| Some((*flow, *other.get(job)?))).collect();
    let is_alike = !both.is_empty() && both.len() * 2 >= one.len().max(other.len());
    let of = |side: fn(&(f64, f64)) -> f64| mean(&both.iter().map(side).collect::<Vec<_>>());
    is_alike.then(|| (of(|it| it.0), of(|it| it.1)))
}

/// The arithmetic mean; 0 of nothing.
pub(crate) fn mean(of: &[f64]) -> f64 {
    if of.is_empty() { 0.0 } else { of.iter().sum::<f64>() / number(of.len()) }
}

/// The geometric mean of ratios, each at least a millionth; 1 of nothing.
pub fn geometric_mean(of: &[f64]) -> f64 {
    mean(&of.iter().map(|ratio| ratio.max(1e-6).ln()).collect::<Vec<_>>()).exp()
}

/// The value at `part` of the way through `sorted`, between two neighbours in proportion; 0 of nothing.
pub fn percentile(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = part * number(last);
    let below = (0..=last).rev().find(|index| number(*index) <= place).unwrap_or(0);
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    low + (high - low) * (place - number(below))
}

/// How much of its time between arrival and completion a client was served; `None` if it never was.
fn speed(instance: &Instance, course: &Course, client: usize) -> Option<f64> {
    let own = course.lots.iter().filter(|lot| instance.requests[lot.job].client == client);
    let done = own.filter(|lot| lot.fate == Fate::Done);
    let (served, there) = done.fold((0, 0), |(served, there), lot| {
        let began = lot.started.unwrap_or(lot.ended);
        (served + lot.ended.since(began), there + lot.ended.since(lot.arrived))
    });
    (there > 0).then(|| seconds(served) / seconds(there))
}

/// Jain's index of fairness: `(sum x)^2 / (n * sum x^2)`.
fn jain(of: &[f64]) -> f64 {
    let squares: f64 = of.iter().map(|x| x * x).sum();
    if squares <= 0.0 { 1.0 } else { of.iter().sum::<f64>().powi(2) / (number(of.len()) * squares) }
}

/// A count as a float: exact, since no run has four thousand million requests.
pub(crate) fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;

    #[test]
    fn only_what_both_answered_is_compared() {
        let lot = |job: usize, ended: u64, fate: Fate| {
            let (arrived, ended) = (Time(0), Time(ended * 1_000_000));
            Lot { job, arrived, started: Some(arrived), ended, fate, server: Some(0), attempts: 1 }
        };
        let course = |lots: Vec<Lot>| Course {
            lots,
            loads: 0,
            loading_s: 0.0,
            longest_load_s: 0.0,
            decisions: Vec::new(),
            events: 0,
            longest_without_server_us: 0,
        };
        let one = course(vec![lot(0, 2, Fate::Done), lot(1, 90, Fate::Done)]);
        let other = course(vec![lot(0, 4, Fate::Done), lot(1, 5, Fate::Failed)]);
        let nobody = course(vec![lot(0, 1, Fate::GaveUp), lot(1, 1, Fate::GaveUp)]);
        let (here, there) = flows(&one, &other).expect("half of it is in both");
        assert!((here - 2.0).abs() < 1e-9 && (there - 4.0).abs() < 1e-9);
        assert_eq!(flows(&one, &nobody), None);
    }

    #[test]
    fn percentiles_lie_between_neighbours() {
        let sorted = [1.0, 2.0, 3.0, 5.0];
        let of = |part| percentile(&sorted, part);
        assert!((of(0.5) - 2.5).abs() < 1e-12 && (of(1.0) - 5.0).abs() < 1e-12 && of(0.0) <= 1.0);
        assert!((percentile(&[], 0.5)).abs() < 1e-12);
    }

    #[test]
    fn twice_and_half_are_as_much_geometrically() {
        assert!((geometric_mean(&[2.0, 0.5]) - 1.0).abs() < 1e-12);
        assert!(
            (geometric_mean(&[4.0, 1.0]) - 2.0).abs() < 1e-12 && (geometric_mean(&[]) - 1.0).abs() < 1e-12
        );
    }

    #[test]
    fn equal_waits_are_fair_and_one_for_all_is_not() {
        assert!((jain(&[2.0, 2.0, 2.0]) - 1.0).abs() < 1e-12);
        assert!((jain(&[0.0, 0.0, 6.0]) - 1.0 / 3.0).abs() < 1e-12);
    }
}
