//! Before a backend gives up the last copy of a model for lack of work, it waits a moment if follow-ups usually come
//! quickly: an agent that runs a tool and comes back.
//!
//! What is usual is read from the latest pauses as they were, not from their mean: where most follow-ups come at once
//! and some never, the mean lies where hardly any comes.

use super::memory::{Gaps, Memory};
use super::sight::{Departure, Server, Sight, Want};
use crate::clock::Time;
use crate::scheduler::policy::expected::count;

/// So few pauses seen say nothing.
const LEAST_GAPS: usize = 4;
/// A wait is worth it only if it is expected to cost those who wait so many times less than it is expected to save.
const MARGIN: f64 = 2.0;
/// Nobody waits for follow-ups to another model for longer than so many round trips.
const PATIENCE_ROUNDS: f64 = 3.0;
/// A follow-up is given up after so many usual pauses.
const LONGEST_IN_GAPS: f64 = 3.0;

/// Until when `server` waits for a follow-up to the model that would leave for `want`; `None` if it does not.
pub(super) fn ends_at<'a>(
    memory: &Memory,
    sight: &Sight<'a, '_>,
    server: &Server<'a>,
    want: &Want<'a>,
    departure: &Departure,
) -> Option<Time> {
    let leaves = departure.leaves.filter(|_| departure.is_last && !want.is_overdue)?;
    let latest = server.backend.residents.latest().map(|resident| resident.model);
    let knobs = sight.board.knobs();
    if latest != Some(leaves) || !knobs.linger {
        return None;
    }
    let round_s = sight.load_s(server, want.model) + sight.load_s(server, leaves);
    let max_wait = knobs.max_wait_ms.map_or(Time(u64::MAX), Time::from_millis).seconds_since(Time(0));
    let gaps = memory.gaps(sight.board.models().plain(leaves));
    let patient_until = want.oldest.plus_seconds((PATIENCE_ROUNDS * round_s).min(max_wait));
    let dry_at = memory.dry_at(server.backend.id);
    let ends = dry_at.plus_seconds(worth_s(&gaps, want.queue.len(), round_s)?).min(patient_until);
    (sight.now < ends).then_some(ends)
}

/// How long a wait for a follow-up is, in seconds, if it is worth it: `None` if, going by `gaps`, it would cost the
/// `waiting` requests more than a part of the `round_s` seconds of loads that it may save.
fn worth_s(gaps: &Gaps, waiting: usize, round_s: f64) -> Option<f64> {
    let seen = gaps.iter().count();
    // Of pauses that come at any moment alike, half are shorter than this part of their mean.
    let usual_s = gaps.median_s() / std::f64::consts::LN_2;
    let longest_s = (LONGEST_IN_GAPS * usual_s).min(round_s);
    let in_time = gaps.iter().filter(|gap_s| *gap_s <= longest_s).count();
    let waited_s: f64 = gaps.iter().map(|gap_s| gap_s.min(longest_s)).sum();
    let is_worth_it = count(in_time) * round_s > MARGIN * waited_s * count(waiting);
    (seen >= LEAST_GAPS && is_worth_it).then_some(longest_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(of: &[f64]) -> Gaps {
        let mut gaps = Gaps::default();
        for gap_s in of {
            gaps.add(*gap_s);
        }
        gaps
    }

    #[test]
    fn a_wait_is_as_long_as_most_pauses_are() {
        let quick = gaps(&[2.0, 3.0, 2.0, 3.0, 2.0]);
        let longest_s = worth_s(&quick, 1, 60.0).expect("they come quickly");
        assert!((longest_s - 3.0 * 2.0 / std::f64::consts::LN_2).abs() < 1e-9, "{longest_s}");
        assert_eq!(worth_s(&quick, 20, 60.0), None, "twenty would wait for one");
        assert_eq!(worth_s(&gaps(&[2.0, 3.0, 2.0]), 1, 60.0), None, "too few were seen");
    }

    #[test]
    fn nobody_waits_for_what_comes_after_minutes() {
        // A pause longer than any wait is worth must not look like one that is just long enough.
        assert_eq!(worth_s(&gaps(&[400.0; 9]), 1, 150.0), None);
    }

    #[test]
    fn one_long_pause_changes_little() {
        let usual = worth_s(&gaps(&[2.0; 9]), 1, 60.0).expect("they come quickly");
        let mixed = worth_s(&gaps(&[2.0, 2.0, 2.0, 3600.0, 2.0, 2.0, 2.0, 2.0, 2.0]), 1, 60.0);
        assert!((mixed.expect("most come quickly") - usual).abs() < 1e-9);
    }

    #[test]
    fn only_the_latest_pauses_count() {
        let mut gaps = gaps(&[400.0; 9]);
        (0..9).for_each(|_| gaps.add(1.0));
        assert!(gaps.iter().all(|gap_s| gap_s < 2.0) && worth_s(&gaps, 1, 60.0).is_some());
    }
}
