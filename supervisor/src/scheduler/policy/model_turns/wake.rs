//! When the rules must be asked again although nothing has happened: a wait becomes too long, a turn has paid, a place
//! comes, a request may overflow. The end of an exclusion is the scheduler's own news.

use super::claim;
use super::sight::{Sight, Want};
use crate::clock::Time;

/// The earliest such moment after now.
pub(super) fn next(sight: &Sight<'_, '_>) -> Option<Time> {
    let of_wants = sight.wants.iter().filter_map(|want| {
        let claims = (!want.is_covered).then(|| claims_at(sight, want)).flatten();
        [claims, overflows_at(sight, want)].into_iter().flatten().min()
    });
    of_wants.chain(sight.board.next_ripe()).filter(|at| *at > sight.now).min()
}

/// When a claim for `want` may become possible.
fn claims_at<'a>(sight: &Sight<'a, '_>, want: &Want<'a>) -> Option<Time> {
    let able = sight
        .servers
        .iter()
        .enumerate()
        .filter(|(at, server)| want.eligible[*at] && claim::is_claimable(sight, server, want));
    let paid = able.flat_map(|(_, server)| {
        claim::tenants(sight, server, want).into_iter().map(|resident| sight.paid_at(server, resident))
    });
    let paid = paid.filter(|at| *at > sight.now).min();
    let overdue = want.overdue_at.filter(|at| *at > sight.now);
    [paid, overdue, want.queue.next_due(sight.now)].into_iter().flatten().min()
}

/// When the next request for `want` may go to a server that is no member and has room for it.
fn overflows_at<'a>(sight: &Sight<'a, '_>, want: &Want<'a>) -> Option<Time> {
    let servers = sight.servers.iter().enumerate();
    let open = servers.filter(|(at, server)| want.eligible[*at] && server.has_free_slot);
    let times = open.filter_map(|(_, server)| {
        let after_us = server.overflow_us?;
        let arrived = sight.next(server, want.model)?.arrived;
        Some(Time(arrived.0.saturating_add(after_us)))
    });
    times.filter(|at| *at > sight.now).min()
}
