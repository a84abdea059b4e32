//! How much a backend takes at once: attempts, and models. The operator's word, else the engine's, else a guess that
//! gives way when the backend says that it is too much.

use super::backend::Backend;
use super::laws::Laws;
use super::mode::Mode;
use super::residents::Residents;
use super::timer::Timer;
use super::{Scheduler, Turn};
use crate::clock::Time;

/// Attempts at once on a backend that swaps freely and says nothing.
const FREE_SLOTS: u32 = 8;
/// A backend that had too much to do takes one attempt more after so long without complaint, in milliseconds.
const QUIET_MS: u64 = 60_000;

/// What has been found out about a backend's capacity.
#[derive(Default, Debug)]
pub(super) struct Capacity {
    /// Attempts at once, by the engine's word.
    slots: Option<u32>,
    /// Models at once, by the engine's word.
    max_models: Option<u32>,
    /// Attempts that a free backend takes less than usual because it has complained.
    narrowed_by: u32,
    pub(super) mode: Mode,
}

impl Backend {
    /// Whether a change of model costs it anything: by the operator's word, else by what is measured, else by what
    /// it is.
    pub(super) fn swaps(&self) -> bool {
        let measured = || self.capacity.mode.swaps().unwrap_or_else(|| self.swaps_by_nature());
        self.spec.serialize_by_model.unwrap_or_else(measured)
    }

    /// How many attempts it takes at once.
    pub(super) fn slots(&self) -> u32 {
        if let Some(slots) = self.spec.slots {
            return slots;
        }
        if self.swaps() {
            return self.capacity.slots.unwrap_or_else(|| self.spec.slots_at_first()).max(1);
        }
        self.widest().saturating_sub(self.capacity.narrowed_by).max(1)
    }

    /// The slots of a free backend that has not complained.
    fn widest(&self) -> u32 {
        self.capacity.slots.unwrap_or_else(|| self.spec.slots_at_first().max(FREE_SLOTS))
    }

    /// How many models it holds at once, if it swaps.
    pub(super) fn max_models(&self) -> usize {
        self.spec.max_models.or(self.capacity.max_models).unwrap_or(1).max(1) as usize
    }

    /// Takes in what the engine says of itself.
    pub(super) fn told_capacity(&mut self, slots: Option<u32>, max_models: Option<u32>) {
        self.capacity.slots = slots.filter(|slots| *slots > 0).or(self.capacity.slots);
        self.capacity.max_models = max_models.filter(|models| *models > 0).or(self.capacity.max_models);
        self.capacity_changed();
    }

    /// Forgets what it holds but for what runs there, for a backend that begins or ceases to swap.
    pub(super) fn recount_residents(&mut self, now: Time) {
        let running = self.grants.values().map(|grant| grant.resident);
        if self.swaps() {
            self.residents.recount(running, now);
        } else {
            self.residents = Residents::default();
        }
    }

    /// What runs stays, also if less fits now.
    pub(super) fn capacity_changed(&mut self) {
        let held = u32::try_from(self.taken()).unwrap_or(u32::MAX);
        self.ceiling = self.slots().max(held);
        self.residents.trim(self.max_models());
    }

    /// Forgets what was found out: another engine may answer at its place.
    pub(super) fn forget_capacity(&mut self) {
        self.capacity = Capacity::default();
        self.capacity_changed();
    }
}

impl<L: Laws> Scheduler<L> {
    /// A backend had too much to do: if nobody said how much it takes and it swaps freely, half as much from now on.
    pub(super) fn narrow(&mut self, turn: &Turn<'_>, backend: ipc_proto::ids::BackendId) {
        let Some(found) = self.backends.get_mut(&backend) else { return };
        if found.swaps() || found.spec.slots.is_some() {
            return;
        }
        let half = (found.slots() / 2).max(1);
        found.capacity.narrowed_by = found.widest().saturating_sub(half);
        found.capacity_changed();
        self.timers.arm(Timer::Widen(backend), turn.now.plus_millis(QUIET_MS));
    }

    /// A backend has not complained for a while.
    pub(super) fn widen(&mut self, turn: &Turn<'_>, backend: ipc_proto::ids::BackendId) {
        let Some(found) = self.backends.get_mut(&backend) else { return };
        found.capacity.narrowed_by = found.capacity.narrowed_by.saturating_sub(1);
        found.capacity_changed();
        self.changes.work = true;
        if found.capacity.narrowed_by > 0 {
            self.timers.arm(Timer::Widen(backend), turn.now.plus_millis(QUIET_MS));
        }
    }
}
