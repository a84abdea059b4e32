//! A new catalog takes the place of the old one while requests wait and run.

use std::sync::Arc;

use ipc_proto::ids::{BackendId, RequestId};

use super::admission::is_candidate;
use super::backend::{Backend, Health, Service};
use super::catalog::{self, Catalog};
use super::frontend::{Seat, SeatStage};
use super::laws::Laws;
use super::timer::Timer;
use super::{Scheduler, Turn, policy};

impl<L: Laws> Scheduler<L> {
    /// Puts `catalog` in force. What waits goes on waiting, unless nobody will ever serve it; what runs goes on.
    pub(super) fn reconfigured(&mut self, turn: &mut Turn<'_>, catalog: &Arc<Catalog>) {
        if self.is_stopping() {
            return;
        }
        let is_new_strategy = self.catalog.strategy != catalog.strategy;
        if is_new_strategy {
            self.policy = policy::named(catalog.strategy, self.random.between(0, u64::MAX - 1));
            self.changes.work = true;
        }
        self.catalog = Arc::clone(catalog);
        self.recall_all(turn);
        let gone: Vec<BackendId> =
            self.in_use().map(|backend| backend.id).filter(|id| !catalog.backends.contains_key(id)).collect();
        for id in gone {
            self.retire(turn, id);
        }
        for (id, spec) in &catalog.backends {
            match self.backends.get(id) {
                Some(known) if known.spec == *spec && known.service != Service::Retired => {}
                Some(_) => self.respecify(turn, *id, spec),
                None => {
                    self.backends.insert(*id, Backend::new(*id, spec.clone()));
                    self.learner.backend(*id, &spec.name);
                    self.start_worker(turn, *id);
                }
            }
        }
        self.rank();
        if is_new_strategy {
            self.place_anew(turn);
        }
        self.fill_seats(turn);
        self.changes.terrain = true;
        self.changes.directory = true;
        self.refuse_the_hopeless(turn);
    }

    fn retire(&mut self, turn: &mut Turn<'_>, id: BackendId) {
        let Some(backend) = self.backends.get_mut(&id) else { return };
        backend.service = Service::Retired;
        self.timers.disarm(&Timer::Probe(id));
        self.timers.disarm(&Timer::Widen(id));
        self.rested(id);
        self.replace_worker(turn, id);
    }

    fn respecify(&mut self, turn: &mut Turn<'_>, id: BackendId, spec: &catalog::Backend) {
        let Some(backend) = self.backends.get_mut(&id) else { return };
        let was_retired = backend.service == Service::Retired;
        let did_swap = backend.swaps();
        let is_elsewhere = backend.spec.kind != spec.kind || backend.spec.url != spec.url;
        backend.spec = spec.clone();
        if was_retired {
            backend.service = Service::Open;
        }
        if was_retired || is_elsewhere {
            backend.offered = None;
            backend.loaded = None;
            backend.residents.forget();
            backend.forget_capacity();
            backend.health = Health::Unknown;
            self.timers.disarm(&Timer::Probe(id));
        }
        backend.name_models();
        if backend.swaps() != did_swap {
            backend.recount_residents(turn.now);
        }
        backend.capacity_changed();
        let has_none = was_retired && backend.worker.stage == super::worker::WorkerStage::Gone;
        if has_none {
            self.start_worker(turn, id);
        } else if is_elsewhere {
            self.replace_worker(turn, id);
        }
    }

    /// Starts frontends in new seats, and drains those that are one too many.
    pub(super) fn fill_seats(&mut self, turn: &mut Turn<'_>) {
        for seat in 0..self.catalog.frontends {
            let place = self.seats.entry(seat).or_insert_with(Seat::empty);
            if place.stage == SeatStage::Empty {
                self.start_frontend(turn, seat);
            }
        }
        let surplus: Vec<u16> = self.seats.range(self.catalog.frontends..).map(|(seat, _)| *seat).collect();
        for seat in surplus {
            self.drain_frontend(turn, seat, self.catalog.shutdown_grace_ms);
        }
    }

    /// Orders the backends by priority and name.
    pub(super) fn rank(&mut self) {
        let mut ranking: Vec<&Backend> = self.in_use().collect();
        ranking.sort_by(|a, b| (a.spec.priority, &a.spec.name).cmp(&(b.spec.priority, &b.spec.name)));
        self.ranking = ranking.into_iter().map(|backend| backend.id).collect();
    }

    fn refuse_the_hopeless(&mut self, turn: &mut Turn<'_>) {
        let waiting: Vec<RequestId> = self
            .requests
            .iter()
            .filter(|(_, request)| request.waiting_since().is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            let request = &self.requests[&id];
            let is_listed = self.in_use().any(|backend| is_candidate(backend, &request.lane, &request.name));
            if is_listed {
                continue;
            }
            if let Some(failure) =
                self.refusal(turn, &request.name, &request.lane, request.admission.endpoint)
            {
                self.refuse(turn, id, failure);
            }
        }
    }
}
