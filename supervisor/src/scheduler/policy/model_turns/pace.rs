//! Pace: a client's first few waiting requests for a model keep their place; the excess of a burst is spaced out, so
//! that one client's batch neither delays the others nor keeps them from loading their models.

use crate::clock::Time;
use crate::scheduler::backend::Backend;
use crate::scheduler::policy::expected::count;
use crate::scheduler::policy::{Board, Newcomer};

/// The place of `newcomer`: never before an earlier one of its client for the same model.
pub(super) fn place(board: &Board<'_>, newcomer: &Newcomer<'_>) -> Time {
    let arrived = newcomer.arrived;
    let Some(pace) = board.knobs().pace.filter(|_| !newcomer.is_retry) else { return arrived };
    let (waiting, last) = board.queue(newcomer.lane.model).of_client(newcomer.client);
    match last {
        Some(last) if waiting >= board.knobs().burst as usize => {
            arrived.max(last.plus_seconds(pace * mean_service_s(board, newcomer)))
        }
        Some(last) => arrived.max(last),
        None => arrived,
    }
}

/// The mean time from one request to the next on a backend that can serve the newcomer, in seconds.
fn mean_service_s(board: &Board<'_>, newcomer: &Newcomer<'_>) -> f64 {
    let able = || newcomer.candidates.iter().filter_map(|id| board.backend(*id));
    let is_any_open = able().any(Backend::is_open);
    let (mut sum, mut number) = (0.0, 0);
    for backend in able().filter(|backend| backend.is_open() || !is_any_open) {
        sum += board.service(backend, newcomer.lane.model) / f64::from(backend.slots().max(1));
        number += 1;
    }
    if number == 0 { 0.0 } else { sum / count(number) }
}
