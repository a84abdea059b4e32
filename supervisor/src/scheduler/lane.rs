//! The waiting requests with one choice of backends, each at its place.

use std::collections::BTreeMap;

use dialect::Task;
use ipc_proto::control::Class;
use ipc_proto::ids::{BackendId, KeyId, RequestId};

use super::model::ModelIx;
use crate::clock::Time;

/// What the requests of a lane have in common: everything that decides which backends can serve them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LaneKey {
    /// The model, by its real name and need.
    pub(super) model: ModelIx,
    /// What is wanted of it.
    pub(super) task: Task,
    /// The only backend allowed, if an alias says so.
    pub(super) only: Option<BackendId>,
    /// The backend to which the strategy has bound them. It binds the strategy alone: others may serve them if it
    /// changes its mind.
    pub(super) bound: Option<BackendId>,
}

/// A place in the queue: by time, then by arrival.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    /// The time it competes with: that of its arrival, or later if the strategy says so.
    pub(super) at: Time,
    /// Counts admissions: two of one moment keep their order.
    pub(super) order: u64,
}

/// A request that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Waiter {
    pub(super) request: RequestId,
    pub(super) client: KeyId,
    pub(super) class: Class,
    pub(super) arrived: Time,
    pub(super) place: Place,
    /// When it competes with interactive requests although it is none; `None`: it is one, or never.
    pub(super) ripens: Option<Time>,
    /// The backend to avoid while there is another.
    pub(super) avoided: Option<BackendId>,
}

impl Waiter {
    /// Where it stands as long as it is not ripe.
    pub(super) fn precedence(&self) -> Precedence {
        let standing = if self.class == Class::Batch { Standing::Batch } else { Standing::Prompt };
        (standing.rank(), self.place)
    }

    /// When it is due, by which a claim for its model may be made: at its place, or when it ripens.
    pub(super) fn due_at(&self) -> Option<Time> {
        match self.class {
            Class::Interactive => Some(self.place.at),
            Class::Batch => self.ripens,
        }
    }
}

/// What a request may overtake: batch requests yield until they are ripe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Standing {
    /// Interactive.
    Prompt,
    /// A batch request that has waited long enough; competes by place with the interactive ones.
    Ripe,
    /// A batch request.
    Batch,
}

impl Standing {
    /// What counts before the place.
    fn rank(self) -> u8 {
        match self {
            Self::Prompt | Self::Ripe => 0,
            Self::Batch => 1,
        }
    }
}

/// Where a request stands among those of its model: the least is next.
pub(super) type Precedence = (u8, Place);

type Row = BTreeMap<Place, Waiter>;

/// The waiting requests with one choice of backends.
#[derive(Debug)]
pub(super) struct Lane {
    /// The backends that have the model and can do the task, up or down, best first.
    pub(super) candidates: Vec<BackendId>,
    /// Rows by the backend that is avoided and by standing: few, each by place.
    rows: BTreeMap<(Option<BackendId>, Standing), Row>,
}

impl Lane {
    /// An empty lane for these backends.
    pub(super) fn new(candidates: Vec<BackendId>) -> Self {
        Self { candidates, rows: BTreeMap::new() }
    }

    /// The next request, of those whose avoided backend `takes` accepts.
    pub(super) fn next(&self, takes: impl Fn(Option<BackendId>) -> bool) -> Option<(Precedence, &Waiter)> {
        self.rows
            .iter()
            .filter(|((avoided, _), _)| takes(*avoided))
            .filter_map(|((_, standing), row)| {
                row.first_key_value().map(|(place, waiter)| ((standing.rank(), *place), waiter))
            })
            .min_by_key(|(precedence, _)| *precedence)
    }

    /// The next request of all.
    pub(super) fn head(&self) -> Option<(Precedence, &Waiter)> {
        self.next(|_| true)
    }

    /// Whether some request that `takes` accepts is due at `now`.
    pub(super) fn is_due(&self, now: Time, takes: impl Fn(Option<BackendId>) -> bool) -> bool {
        self.rows.iter().any(|((avoided, standing), row)| {
            let is_due = match standing {
                Standing::Prompt => row.first_key_value().is_some_and(|(place, _)| place.at <= now),
                Standing::Ripe => true,
                Standing::Batch => false,
            };
            is_due && takes(*avoided)
        })
    }

    /// Whether some request avoids `backend`.
    pub(super) fn has_avoiding(&self, backend: BackendId) -> bool {
        self.rows.keys().any(|(avoided, _)| *avoided == Some(backend))
    }

    /// Every request, in no particular order.
    pub(super) fn waiters(&self) -> impl Iterator<Item = (Precedence, &Waiter)> {
        self.rows.iter().flat_map(|((_, standing), row)| {
            row.iter().map(|(place, waiter)| ((standing.rank(), *place), waiter))
        })
    }

    /// How many wait here.
    pub(super) fn len(&self) -> usize {
        self.rows.values().map(BTreeMap::len).sum()
    }

    /// Whether nobody does.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lets `waiter` wait with this standing.
    pub(super) fn insert(&mut self, waiter: Waiter, standing: Standing) {
        self.rows.entry((waiter.avoided, standing)).or_default().insert(waiter.place, waiter);
    }

    /// Takes `waiter` out.
    pub(super) fn remove(&mut self, waiter: &Waiter) -> Option<Waiter> {
        [Standing::Prompt, Standing::Ripe, Standing::Batch].into_iter().find_map(|standing| {
            let key = (waiter.avoided, standing);
            let row = self.rows.get_mut(&key)?;
            let removed = row.remove(&waiter.place);
            if row.is_empty() {
                self.rows.remove(&key);
            }
            removed
        })
    }
}
