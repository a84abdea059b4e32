//! What a strategy may look at: who waits for what, and the backends as they are now. A view: it owns nothing and
//! changes nothing.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ipc_proto::ids::BackendId;

use crate::clock::Time;
use crate::scheduler::backend::Backend;
use crate::scheduler::catalog::{Catalog, Knobs, Overflow};
use crate::scheduler::lane::{Lane, LaneKey, Precedence, Waiter};
use crate::scheduler::laws::Laws;
use crate::scheduler::learner::Learner;
use crate::scheduler::model::{ModelIx, Models};
use crate::scheduler::queue::{ModelQueue, Queue};
use crate::scheduler::residents::Resident;

/// What a strategy may look at.
pub(in crate::scheduler) struct Board<'a> {
    queue: &'a Queue,
    backends: &'a BTreeMap<BackendId, Backend>,
    /// Those in use, best first.
    ranked: Vec<&'a Backend>,
    models: &'a Models,
    learner: &'a Learner,
    catalog: &'a Catalog,
    exclusion_yields: bool,
    switch_only_when_empty: bool,
}

/// What it takes to have a model on a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::scheduler) enum Room {
    /// Nothing: it is there, on its way, or the backend need not load.
    Held,
    /// A load; the others stay.
    Free,
    /// A load, for which this idle model goes.
    Evicts(ModelIx),
    /// There is no room.
    Full,
}

impl Room {
    /// The model that goes, if one does.
    pub(in crate::scheduler) fn evicts(self) -> Option<ModelIx> {
        match self {
            Self::Evicts(model) => Some(model),
            _ => None,
        }
    }
}

impl<'a> Board<'a> {
    /// The board of these facts, under laws `L`.
    pub(in crate::scheduler) fn new<L: Laws>(
        queue: &'a Queue,
        (backends, ranking): (&'a BTreeMap<BackendId, Backend>, &[BackendId]),
        (models, learner): (&'a Models, &'a Learner),
        catalog: &'a Catalog,
    ) -> Self {
        Self {
            queue,
            backends,
            ranked: ranking.iter().filter_map(|id| backends.get(id)).collect(),
            models,
            learner,
            catalog,
            exclusion_yields: L::EXCLUSION_YIELDS,
            switch_only_when_empty: L::SWITCH_ONLY_WHEN_EMPTY,
        }
    }

    /// The numbers in the rules.
    pub(in crate::scheduler) fn knobs(&self) -> &Knobs {
        &self.catalog.knobs
    }

    /// The configuration.
    pub(in crate::scheduler) fn catalog(&self) -> &'a Catalog {
        self.catalog
    }

    /// All models ever asked for.
    pub(in crate::scheduler) fn models(&self) -> &'a Models {
        self.models
    }

    /// The models for which somebody waits.
    pub(in crate::scheduler) fn waiting(&self) -> impl Iterator<Item = ModelIx> + use<'a> {
        self.queue.waiting()
    }

    /// What waits for `model`.
    pub(in crate::scheduler) fn queue(&self, model: ModelIx) -> &'a ModelQueue {
        self.queue.of(model)
    }

    /// When the next batch request is ripe.
    pub(in crate::scheduler) fn next_ripe(&self) -> Option<Time> {
        self.queue.next_ripe()
    }

    /// Every lane in which somebody waits.
    pub(in crate::scheduler) fn lanes(&self) -> impl Iterator<Item = (&'a LaneKey, &'a Lane)> + use<'a> {
        self.queue.lanes()
    }

    /// The backends in use, best first.
    pub(in crate::scheduler) fn backends(&self) -> &[&'a Backend] {
        &self.ranked
    }

    /// A backend, also one that has left the configuration.
    pub(in crate::scheduler) fn backend(&self, id: BackendId) -> Option<&'a Backend> {
        self.backends.get(&id)
    }

    /// After how long in the queue requests may overflow to `backend`, in microseconds; `None`: it is a member like
    /// any other.
    pub(in crate::scheduler) fn overflow_after(&self, backend: &Backend) -> Option<u64> {
        match backend.spec.overflow {
            Overflow::Member => None,
            Overflow::After(milliseconds) => Some(milliseconds.saturating_mul(1000)),
            Overflow::Auto => {
                let is_better =
                    |other: &&&Backend| other.swaps() && other.spec.priority < backend.spec.priority;
                let is_fallback = !backend.swaps() && self.ranked.iter().any(|other| is_better(&other));
                is_fallback.then_some(0)
            }
        }
    }

    /// Whether any backend could take one more attempt.
    pub(in crate::scheduler) fn is_anything_free(&self) -> bool {
        self.ranked.iter().any(|backend| backend.takes_more())
    }

    /// The next request of `lane` that may go to `backend`: one that failed there may not while there is another
    /// backend to go to.
    pub(in crate::scheduler) fn head(
        &self,
        key: &LaneKey,
        lane: &'a Lane,
        backend: BackendId,
    ) -> Option<(Precedence, &'a Waiter)> {
        if !is_lane_of(key, lane, backend) {
            return None;
        }
        let blocks = self.blocks(lane, backend);
        lane.next(|avoided| !(blocks && avoided == Some(backend)))
    }

    /// Whether those who avoid `backend` must.
    fn blocks(&self, lane: &Lane, backend: BackendId) -> bool {
        lane.has_avoiding(backend) && (!self.exclusion_yields || self.has_other(lane, backend))
    }

    fn has_other(&self, lane: &Lane, backend: BackendId) -> bool {
        let mut others = lane.candidates.iter().filter(|other| **other != backend);
        others.any(|other| self.backends.get(other).is_some_and(Backend::is_open))
    }

    /// The next request for `model` that may go to `backend`.
    pub(in crate::scheduler) fn next(&self, backend: BackendId, model: ModelIx) -> Option<&'a Waiter> {
        let lanes = self.queue.of(model).lanes();
        let heads = lanes.filter_map(|(key, lane)| self.head(key, lane, backend));
        heads.min_by_key(|(precedence, _)| *precedence).map(|(_, waiter)| waiter)
    }

    /// Whether some request for `model` may go to `backend`.
    pub(in crate::scheduler) fn is_eligible(&self, backend: BackendId, model: ModelIx) -> bool {
        // A lane is never empty: only who avoids the backend needs a second look.
        self.queue.of(model).lanes().any(|(key, lane)| {
            is_lane_of(key, lane, backend)
                && (!self.blocks(lane, backend) || lane.next(|avoided| avoided != Some(backend)).is_some())
        })
    }

    /// Whether some request for `model` that may go to `backend` is due at `now`: an interactive one whose place has
    /// come, or a ripe batch request.
    pub(in crate::scheduler) fn is_due(&self, backend: BackendId, model: ModelIx, now: Time) -> bool {
        self.queue.of(model).lanes().any(|(key, lane)| {
            is_lane_of(key, lane, backend) && {
                let blocks = self.blocks(lane, backend);
                lane.is_due(now, |avoided| !(blocks && avoided == Some(backend)))
            }
        })
    }

    /// Whether `loaded` on `backend` serves requests for `wanted` as it is.
    pub(in crate::scheduler) fn serves(&self, backend: &Backend, loaded: ModelIx, wanted: ModelIx) -> bool {
        if backend.takes_load_options() {
            self.models.covers(loaded, wanted)
        } else {
            self.models.plain(loaded) == self.models.plain(wanted)
        }
    }

    /// The resident of `backend` that serves requests for `model`, loading ones included.
    pub(in crate::scheduler) fn resident(
        &self,
        backend: &'a Backend,
        model: ModelIx,
    ) -> Option<&'a Resident> {
        let mut held = backend.residents.iter().filter(|resident| resident.is_held());
        held.find(|resident| self.serves(backend, resident.model, model))
    }

    /// Whether `backend` serves `model` without a further load. One that need not load always does.
    pub(in crate::scheduler) fn holds(&self, backend: &'a Backend, model: ModelIx) -> bool {
        !backend.swaps() || self.resident(backend, model).is_some()
    }

    /// Whether some waiting request that may go to `backend` is served by `loaded`, one of its models.
    pub(in crate::scheduler) fn has_work(&self, backend: &Backend, loaded: ModelIx) -> bool {
        let mut kin = self.models.kin(loaded).iter();
        kin.any(|model| self.serves(backend, loaded, *model) && self.is_eligible(backend.id, *model))
    }

    /// What it takes to have `model` on `backend`, if only idle models leave that `may_leave` lets go; among those
    /// the one `choose_victim` picks.
    pub(in crate::scheduler) fn room(
        &self,
        backend: &'a Backend,
        model: ModelIx,
        may_leave: impl Fn(&Resident) -> bool,
        choose_victim: impl FnOnce(&mut dyn Iterator<Item = &'a Resident>) -> Option<&'a Resident>,
    ) -> Room {
        if self.holds(backend, model) {
            return Room::Held;
        }
        match self.sibling(backend, model) {
            // Engines hold a model once: with other options it is loaded anew in its own place.
            Some(sibling) => {
                let leaves = self.is_free_to_go(sibling) && may_leave(sibling);
                let fits = backend.residents.len() <= backend.max_models();
                if leaves && fits { Room::Evicts(sibling.model) } else { Room::Full }
            }
            None => self.vacancy(backend, may_leave, choose_victim),
        }
    }

    /// Like [`Self::room`], for a model of which `backend` has nothing.
    pub(in crate::scheduler) fn vacancy(
        &self,
        backend: &'a Backend,
        may_leave: impl Fn(&Resident) -> bool,
        choose_victim: impl FnOnce(&mut dyn Iterator<Item = &'a Resident>) -> Option<&'a Resident>,
    ) -> Room {
        match backend.residents.len().cmp(&backend.max_models()) {
            Ordering::Less => Room::Free,
            Ordering::Greater => Room::Full,
            Ordering::Equal => {
                let free = |resident: &&Resident| self.is_free_to_go(resident) && may_leave(resident);
                let victim = choose_victim(&mut backend.residents.iter().filter(free));
                victim.map_or(Room::Full, |victim| Room::Evicts(victim.model))
            }
        }
    }

    /// What `backend` has of the same name as `model`, with whatever options and however sure.
    pub(in crate::scheduler) fn sibling(&self, backend: &'a Backend, model: ModelIx) -> Option<&'a Resident> {
        let name = self.models.plain(model);
        backend.residents.iter().find(|other| self.models.plain(other.model) == name)
    }

    fn is_free_to_go(&self, resident: &Resident) -> bool {
        resident.is_idle() || !self.switch_only_when_empty
    }

    /// Like [`Self::room`], with the idle model used least recently as the one that goes.
    pub(in crate::scheduler) fn room_by_age(
        &self,
        backend: &'a Backend,
        model: ModelIx,
        may_leave: impl Fn(&Resident) -> bool,
    ) -> Room {
        self.room(backend, model, may_leave, |idle| idle.min_by_key(|resident| resident.last_used))
    }

    /// The expected service of one request for `model` on `backend`, in seconds.
    pub(in crate::scheduler) fn service(&self, backend: &Backend, model: ModelIx) -> f64 {
        self.learner.service(backend.id, self.models.learned(model))
    }

    /// The expected load of `model` on `backend`, in seconds; 0 where it need not load.
    pub(in crate::scheduler) fn load(&self, backend: &Backend, model: ModelIx) -> f64 {
        if backend.swaps() { self.learner.load(backend.id, self.models.learned(model)) } else { 0.0 }
    }
}

/// Whether the requests of `lane` may go to `backend`, whatever failed there.
fn is_lane_of(key: &LaneKey, lane: &Lane, backend: BackendId) -> bool {
    key.bound.is_none_or(|bound| bound == backend) && lane.candidates.contains(&backend)
}
