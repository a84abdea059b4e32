//! `deferred_model_then_capable`: serve what is loaded, oldest first; a backend with no work for its model changes to
//! the oldest request's.

use super::{Board, Choice, Policy, Reason, Room};
use crate::clock::Time;
use crate::scheduler::backend::Backend;
use crate::scheduler::lane::{Lane, LaneKey, Waiter};

/// The strategy; it remembers nothing.
#[derive(Debug)]
pub(super) struct Deferred;

impl Policy for Deferred {
    fn choose(&mut self, board: &Board<'_>, _now: Time) -> Choice {
        if !board.is_anything_free() {
            return Choice::Wait { until: None };
        }
        let lanes = board.lanes_by_head();
        let choice = lanes.into_iter().find_map(|(key, lane)| serve(board, key, lane));
        choice.unwrap_or(Choice::Wait { until: None })
    }
}

/// Where the next request of `lane` goes, if anywhere.
///
/// Among the backends that hold a model the best by priority gets the request. A backend that need not load holds
/// every model, but does not take a request from a better one that is idle and would have to load first.
fn serve(board: &Board<'_>, key: &LaneKey, lane: &Lane) -> Option<Choice> {
    let mut holder: Option<(&Backend, &Waiter)> = None;
    let mut idle: Option<(&Backend, &Waiter, Room)> = None;
    let mut is_held_by_a_swapper = false;
    for backend in board.takers(key, lane) {
        let Some((_, waiter)) = board.head(key, lane, backend.id) else { continue };
        match board.room_by_age(backend, key.model, |resident| !board.has_work(backend, resident.model)) {
            Room::Held => {
                is_held_by_a_swapper |= backend.swaps();
                holder = holder.or(Some((backend, waiter)));
            }
            room @ (Room::Free | Room::Evicts(_)) if holder.is_none() && idle.is_none() => {
                idle = Some((backend, waiter, room));
            }
            Room::Free | Room::Evicts(_) | Room::Full => {}
        }
    }
    // `idle` was only looked for among the backends better than the best holder.
    let (backend, waiter, evict, reason) = match (holder, idle) {
        (Some((holder, _)), Some((backend, waiter, room))) if !holder.swaps() && !is_held_by_a_swapper => {
            (backend, waiter, room.evicts(), Reason::Switch)
        }
        (Some((holder, waiter)), _) => (holder, waiter, None, Reason::Loaded),
        (None, Some((backend, waiter, room))) => (backend, waiter, room.evicts(), Reason::Switch),
        (None, None) => return None,
    };
    Some(Choice::Dispatch { request: waiter.request, backend: backend.id, evict, reason })
}
