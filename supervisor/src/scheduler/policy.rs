//! The seam of the strategies: a board to look at, a choice to make. A strategy sees heads of lanes and facts about
//! backends, and changes nothing; the scheduler asks it again until it says to wait.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use ipc_proto::ids::{BackendId, ModelName, RequestId};

use super::backend::Backend;
use super::catalog::Strategy;
use super::laws::Laws;
use super::queue::{Lane, LaneKey, Queue};
use crate::clock::Time;

/// What is to be done next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Choice {
    /// Send this request to this backend.
    Dispatch {
        /// Which.
        request: RequestId,
        /// Where.
        backend: BackendId,
        /// Why there.
        reason: Reason,
    },
    /// Nothing now.
    Wait {
        /// Ask again at this time even if nothing happens until then.
        until: Option<Time>,
    },
}

/// Why a backend was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// It has the model, or is loading it, or need not load.
    Loaded,
    /// It has no work for the model it holds and changes to this one.
    Switch,
}

/// What a strategy may look at.
pub(super) struct Board<'a, L> {
    queue: &'a Queue,
    backends: &'a BTreeMap<BackendId, Backend>,
    laws: PhantomData<L>,
}

impl<'a, L: Laws> Board<'a, L> {
    /// The board of these waiting requests and backends.
    pub(super) fn new(queue: &'a Queue, backends: &'a BTreeMap<BackendId, Backend>) -> Self {
        Self { queue, backends, laws: PhantomData }
    }

    /// The lanes, the one whose head came first first.
    fn oldest_first(&self) -> Vec<(&'a LaneKey, &'a Lane)> {
        let mut lanes: Vec<_> =
            self.queue.lanes().filter_map(|(key, lane)| Some((lane.head()?.0, key, lane))).collect();
        lanes.sort_unstable_by_key(|(place, ..)| *place);
        lanes.into_iter().map(|(_, key, lane)| (key, lane)).collect()
    }

    /// The candidates of `lane` that take attempts now and have a free slot, best first.
    fn free(&self, lane: &'a Lane) -> impl Iterator<Item = &'a Backend> {
        let backends = self.backends;
        let all = lane.candidates.iter().filter_map(move |id| backends.get(id));
        all.filter(|backend| backend.is_open() && backend.has_free_slot())
    }

    /// The oldest request of `lane` that may go to `backend`: one that failed there may not while there is another
    /// backend to go to.
    fn head(&self, lane: &Lane, backend: BackendId) -> Option<RequestId> {
        let mut others = lane.candidates.iter().filter(|other| **other != backend);
        let has_other = others.any(|other| self.backends.get(other).is_some_and(Backend::is_open));
        let head =
            if has_other || !L::EXCLUSION_YIELDS { lane.head_not_avoiding(backend) } else { lane.head() };
        head.map(|(_, request)| request)
    }

    /// Whether `backend` may change to another model: nothing runs there and nothing waits for the one it holds.
    fn may_switch(&self, backend: &Backend) -> bool {
        let is_empty = backend.taken() == 0 || !L::SWITCH_ONLY_WHEN_EMPTY;
        is_empty && backend.belief.current().is_none_or(|current| !self.has_work(backend.id, current))
    }

    fn has_work(&self, backend: BackendId, model: &ModelName) -> bool {
        self.queue
            .lanes_of(model)
            .any(|lane| lane.candidates.contains(&backend) && self.head(lane, backend).is_some())
    }

    /// Whether `backend` takes `model` as it is. One that does not swap always does.
    fn holds(backend: &Backend, model: &ModelName) -> bool {
        !backend.spec.swaps_at_first() || backend.belief.current() == Some(model)
    }
}

/// What `strategy` chooses on this board.
pub(super) fn choose<L: Laws>(strategy: Strategy, board: &Board<'_, L>, _now: Time) -> Choice {
    let is_anything_free =
        board.backends.values().any(|backend| backend.is_open() && backend.has_free_slot());
    if !is_anything_free {
        return Choice::Wait { until: None };
    }
    match strategy {
        _ => drain_then_switch(board),
    }
}

/// Serves what is loaded, oldest first; a backend with no work for its model changes to the oldest request's.
///
/// Among the backends that hold a model the best by priority gets the request. A backend that need not load holds
/// every model, but does not take a request from a better one that is idle and would have to load first.
fn drain_then_switch<L: Laws>(board: &Board<'_, L>) -> Choice {
    for (key, lane) in board.oldest_first() {
        let mut holder: Option<(&Backend, RequestId)> = None;
        let mut idle: Option<(&Backend, RequestId)> = None;
        let mut is_held_by_a_swapper = false;
        for backend in board.free(lane) {
            let Some(request) = board.head(lane, backend.id) else { continue };
            if Board::<L>::holds(backend, &key.model) {
                is_held_by_a_swapper |= backend.spec.swaps_at_first();
                holder = holder.or(Some((backend, request)));
            } else if holder.is_none() && idle.is_none() && board.may_switch(backend) {
                idle = Some((backend, request));
            }
        }
        // `idle` was only looked for among the backends better than the best holder.
        let (chosen, reason) = match (holder, idle) {
            (Some(holder), Some(idle)) if !holder.0.spec.swaps_at_first() && !is_held_by_a_swapper => {
                (idle, Reason::Switch)
            }
            (Some(holder), _) => (holder, Reason::Loaded),
            (None, Some(idle)) => (idle, Reason::Switch),
            (None, None) => continue,
        };
        return Choice::Dispatch { request: chosen.1, backend: chosen.0.id, reason };
    }
    Choice::Wait { until: None }
}
