//! What no schedule can beat: lower bounds of flow and makespan, and the longest that a model may be kept from a server.

use std::collections::BTreeSet;

use super::course::{Course, Fate, Lot};
use super::engine::seconds;
use super::figures::number;
use super::instance::{Instance, Server};
use super::setting::Setting;

/// Lower bounds for the requests of a run that were answered, as they came.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// Of the mean time from arrival to completion, in seconds.
    pub flow: f64,
    /// Of the end of the last request, in seconds.
    pub makespan: f64,
}

impl Bounds {
    /// The bounds for `course`, a run of `instance` under `setting`.
    ///
    /// Three bounds in one: nothing is faster than alone on the best server; and nothing beats shortest remaining time
    /// first on one machine that is as fast as all servers together and never loads, for which the rule is optimal.
    pub fn of(instance: &Instance, setting: &Setting, course: &Course) -> Self {
        let fastest = |lot: &Lot| {
            let job = &instance.requests[lot.job];
            instance
                .able(job.model)
                .map(|server| instance.servers[server].service(job).1)
                .fold(f64::INFINITY, f64::min)
        };
        let speed: f64 =
            instance.servers.iter().map(|server| best_throughput(server, setting.slots(server))).sum();
        let done = course.lots.iter().filter(|lot| lot.fate == Fate::Done);
        let mut jobs: Vec<(f64, f64)> = done.map(|lot| (seconds(lot.arrived.0), fastest(lot))).collect();
        jobs.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let alone = jobs.iter().map(|(_, work)| work).sum::<f64>();
        let shared = shortest_remaining_first(&jobs, speed);
        let mut makespan: f64 = 0.0;
        let mut work = 0.0;
        for (arrival, own) in jobs.iter().rev() {
            work += own;
            makespan = makespan.max(arrival + work / speed).max(arrival + own);
        }
        Self { flow: alone.max(shared) / number(jobs.len().max(1)), makespan }
    }
}

/// The most that a server can do at once with at most `slots` requests.
fn best_throughput(server: &Server, slots: u32) -> f64 {
    (1..=slots).map(|running| server.throughput(running)).fold(0.0, f64::max)
}

/// The sum of the times from arrival to completion on one machine that does `speed` seconds of work in a second and always
/// goes on with what is nearest to its end. `jobs` are arrival and work, by arrival.
fn shortest_remaining_first(jobs: &[(f64, f64)], speed: f64) -> f64 {
    let whole = |seconds: f64| std::time::Duration::from_secs_f64(seconds.max(0.0)).as_micros();
    let mut open: BTreeSet<(u128, usize)> = BTreeSet::new();
    let (mut now, mut flow, mut next) = (0, 0, 0);
    let arrival = |place: usize| jobs.get(place).map(|(arrival, _)| whole(*arrival));
    while next < jobs.len() || !open.is_empty() {
        let Some((left, place)) = open.pop_first() else {
            now = arrival(next).unwrap_or(now).max(now);
            open.insert((whole(jobs[next].1 / speed), next));
            next += 1;
            continue;
        };
        match arrival(next) {
            Some(comes) if comes < now + left => {
                let passed = comes.saturating_sub(now);
                now += passed;
                open.insert((left - passed, place));
                open.insert((whole(jobs[next].1 / speed), next));
                next += 1;
            }
            _ => {
                now += left;
                flow += now.saturating_sub(whole(jobs[place].0));
            }
        }
    }
    std::time::Duration::from_micros(u64::try_from(flow).unwrap_or(u64::MAX)).as_secs_f64()
}

/// The longest that `model_turns` may keep a model with waiting requests from a server, in seconds; `None` where it
/// promises nothing: servers that fail, overflow, no bound configured.
///
/// `max_wait + M * (T + Lmax + 2 * Rmax)`, with M models, `T` the turn of the longest load as it is estimated, `Lmax` the
/// longest load and `Rmax` the longest request. An estimate of a load may be off by as much as a request is long.
pub fn longest_without_server_s(instance: &Instance, setting: &Setting, course: &Course) -> Option<f64> {
    let is_calm =
        |server: &Server| server.down.is_empty() && server.error_rate <= 0.0 && !server.swaps_freely();
    let max_wait = setting.knobs.max_wait_ms?;
    if !instance.servers.iter().all(is_calm) {
        return None;
    }
    let served = course.lots.iter().filter_map(|lot| Some(lot.ended.since(lot.started?)));
    let request = seconds(served.max().unwrap_or(0));
    let load = course.longest_load_s;
    let turn = setting.knobs.turn * (load + request);
    let max_wait = seconds(max_wait.saturating_mul(1000));
    Some(max_wait + number(instance.models) * (turn + load + 2.0 * request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_goes_first_and_the_machine_is_never_idle() {
        // At 0 a long one; at 1 a short one, which overtakes: 1 + 11 - 0 for the long, 1 for the short.
        let flow = shortest_remaining_first(&[(0.0, 10.0), (1.0, 1.0)], 1.0);
        assert!((flow - 12.0).abs() < 1e-3, "{flow}");
        let twice = shortest_remaining_first(&[(0.0, 10.0), (1.0, 1.0)], 2.0);
        assert!((twice - 6.0).abs() < 1e-3, "{twice}");
    }
}
