//! Before a backend gives up the last copy of a model for lack of work, it waits a moment if follow-ups usually come
//! quickly: an agent that runs a tool and comes back.

use super::memory::Memory;
use super::sight::{Departure, Server, Sight, Want};
use crate::clock::Time;
use crate::scheduler::policy::expected::count;

/// So few pauses seen say nothing.
const LEAST_GAPS: u32 = 4;
/// A wait is worth it only if it is expected to cost those who wait so many times less than the round trip.
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
    let (gap_s, seen) = memory.gap(sight.board.models().plain(leaves));
    if latest != Some(leaves) || !knobs.linger || seen < LEAST_GAPS {
        return None;
    }
    let round_s = sight.load_s(server, want.model) + sight.load_s(server, leaves);
    let max_wait = knobs.max_wait_ms.map_or(Time(u64::MAX), Time::from_millis).seconds_since(Time(0));
    let is_impatient = sight.now.seconds_since(want.oldest) > (PATIENCE_ROUNDS * round_s).min(max_wait);
    if is_impatient || gap_s * count(want.queue.len()) * MARGIN >= round_s {
        return None;
    }
    let ends = memory.dry_at(server.backend.id).plus_seconds((LONGEST_IN_GAPS * gap_s).min(round_s));
    (sight.now < ends).then_some(ends)
}
