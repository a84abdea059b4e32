//! What a backend finds when it looks for work: the next request of every lane it may take from, oldest first, and
//! what each would cost it.
//!
//! A backend with a wait before it may be used finds only requests that have waited so long, or that no other backend
//! can take. Classes of requests are not told apart here.

use ipc_proto::ids::{BackendId, RequestId};

use super::{Board, Choice, Opinion, Reason, Room};
use crate::clock::Time;
use crate::scheduler::backend::Backend;
use crate::scheduler::catalog::Overflow;
use crate::scheduler::lane::{Lane, LaneKey, Place, Waiter};
use crate::scheduler::model::ModelIx;

/// The next request of a lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// Which.
    pub(super) request: RequestId,
    /// The model it waits for.
    pub(super) model: ModelIx,
    /// Its place in the order of arrival.
    pub(super) place: Place,
    /// The backend it avoids while there is another.
    pub(super) avoided: Option<BackendId>,
    /// Where it waits.
    pub(super) key: &'a LaneKey,
    /// With whom.
    pub(super) lane: &'a Lane,
}

/// A backend that looks for work.
pub(super) struct Desk<'a, 'b> {
    board: &'a Board<'b>,
    backend: &'b Backend,
    current: Option<ModelIx>,
    heads: Vec<Head<'b>>,
    /// When a further request may be taken, if time alone brings that about.
    opens: Option<Time>,
}

/// Whose requests a backend looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    /// Those bound to it, and those bound to nobody.
    Own,
    /// Those bound to others.
    Others,
}

impl<'a, 'b> Desk<'a, 'b> {
    /// What `backend`, which is at `current`, finds at `now`.
    pub(super) fn new(
        board: &'a Board<'b>,
        backend: &'b Backend,
        current: Option<ModelIx>,
        whose: Whose,
        now: Time,
    ) -> Self {
        let mut desk = Self { board, backend, current, heads: Vec::new(), opens: None };
        for (key, lane) in board.lanes() {
            let is_own = key.bound.is_none_or(|bound| bound == backend.id);
            if is_own != (whose == Whose::Own) {
                continue;
            }
            let unbound = LaneKey { bound: None, ..*key };
            let Some((_, waiter)) = board.head(&unbound, lane, backend.id) else { continue };
            match opening(board, backend, lane, waiter).filter(|opening| *opening > now) {
                Some(later) => desk.opens = earlier(desk.opens, Some(later)),
                None => desk.heads.push(Head {
                    request: waiter.request,
                    model: key.model,
                    place: waiter.place,
                    avoided: waiter.avoided,
                    key,
                    lane,
                }),
            }
        }
        desk.heads.sort_unstable_by_key(|head| head.place);
        desk
    }

    /// What it finds, oldest first.
    pub(super) fn heads(&self) -> impl Iterator<Item = &Head<'b>> {
        self.heads.iter()
    }

    /// The oldest it finds.
    pub(super) fn oldest(&self) -> Option<&Head<'b>> {
        self.heads.first()
    }

    /// The oldest for the model it is at.
    pub(super) fn oldest_of_current(&self) -> Option<&Head<'b>> {
        self.heads().find(|head| self.is_current(head.model))
    }

    /// The oldest that it can begin now, whatever leaves for it.
    pub(super) fn oldest_that_fits(&self) -> Option<&Head<'b>> {
        self.heads().find(|head| self.fits(head))
    }

    /// The backend.
    pub(super) fn backend(&self) -> &'b Backend {
        self.backend
    }

    /// The model it is at.
    pub(super) fn current(&self) -> Option<ModelIx> {
        self.current
    }

    /// Whether it is at `model`. A backend that need not load is at every model.
    pub(super) fn is_current(&self, model: ModelIx) -> bool {
        let serves = |current| self.board.serves(self.backend, current, model);
        !self.backend.swaps() || self.current.is_some_and(serves)
    }

    /// Whether it can begin `head` now: nothing that runs would have to leave.
    pub(super) fn fits(&self, head: &Head<'_>) -> bool {
        self.room(head) != Room::Full
    }

    /// When it may take something it may not take yet, if time alone brings that about.
    pub(super) fn opens(&self) -> Option<Time> {
        self.opens
    }

    /// Sends `head` to the backend: because the model is there, or else for `reason`; to a reserve, because nobody else
    /// could take it in time.
    pub(super) fn dispatch(&self, head: &Head<'_>, reason: Reason) -> Choice {
        let room = self.room(head);
        Choice::Dispatch {
            request: head.request,
            backend: self.backend.id,
            evict: room.evicts(),
            reason: match room {
                _ if is_reserve(self.backend) => Reason::Overflow,
                Room::Held => Reason::Loaded,
                Room::Free | Room::Evicts(_) | Room::Full => reason,
            },
        }
    }

    fn room(&self, head: &Head<'_>) -> Room {
        self.board.room_by_age(self.backend, head.model, |_| true)
    }
}

/// Whether `backend` is kept for requests that have waited: only if its configuration says how long.
pub(super) fn is_reserve(backend: &Backend) -> bool {
    matches!(backend.spec.overflow, Overflow::After(_))
}

/// From when on `backend` may take `waiter`; `None`: from the start. A reserve is open from the start, too, where
/// every other backend is closed or has failed the request.
fn opening(board: &Board<'_>, backend: &Backend, lane: &Lane, waiter: &Waiter) -> Option<Time> {
    let Overflow::After(after_ms) = backend.spec.overflow else { return None };
    let candidates = lane.candidates.iter().filter(|id| waiter.avoided != Some(**id));
    let mut members = candidates
        .filter_map(|id| board.backend(*id))
        .filter(|backend| !is_reserve(backend) && backend.is_open());
    members.next().map(|_| waiter.arrived.plus_millis(after_ms))
}

/// The earlier of two times, of which either may be none.
pub(super) fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    [one, other].into_iter().flatten().min()
}

/// What speaks against the backends for `model`, for operators: each first serves what waits for the model it is at,
/// which `current` tells, and a reserve is kept.
pub(super) fn opinions(
    board: &Board<'_>,
    model: ModelIx,
    current: impl Fn(&Backend) -> Option<ModelIx>,
) -> Vec<(BackendId, Opinion)> {
    let objection = |backend: &Backend| {
        if let Overflow::After(after_ms) = backend.spec.overflow {
            return Some(format!("kept for what has waited {} s", after_ms / 1000));
        }
        let current = current(backend).filter(|_| backend.swaps())?;
        let comes_first = !board.serves(backend, current, model) && board.has_work(backend, current);
        comes_first.then(|| format!("first serves what waits for {}", board.models().name(current)))
    };
    let said = board.backends().iter().filter_map(|backend| Some((backend.id, objection(backend)?)));
    said.map(|(id, objection)| (id, Opinion { score: None, objection })).collect()
}
