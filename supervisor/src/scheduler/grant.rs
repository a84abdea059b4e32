//! Grants: one slot leased for one attempt, from the offer to the worker's last word.
//!
//! Five laws: only the worker frees a slot, by its word or its death; a revoked grant is refused by the worker for
//! ever after; slots belong to the backend and not to a generation of its worker; news names its generation and
//! touches no other; request and attempt end separately, each once.

use dialect::load::{LoadEdit, LoadOptions};
use ipc_proto::control::{Ending, Finished, Grant as Lease, ToFrontend, ToWorker};
use ipc_proto::ids::{BackendId, GrantId, RequestId, WorkerId};

use super::backend::Backend;
use super::laws::Laws;
use super::model::ModelIx;
use super::policy::{News, Reason};
use super::request::Stage;
use super::residents::{Hold, Reach};
use super::timer::Timer;
use super::{Effect, Note, Scheduler, Turn, load_options};
use crate::clock::Time;

/// Within which time a frontend must come to the worker, in milliseconds: it takes microseconds, unless it is stuck.
pub(super) const TTL_MS: u64 = 5000;
/// How long a worker may take to answer a revocation or a recall, or to notice that its client has gone, in milliseconds.
pub(super) const WORKER_PATIENCE_MS: u64 = 5000;
/// A finished attempt counts for so much in the running mean of their lengths: one in eight.
const MEAN_WEIGHT: u64 = 8;

/// How far a grant has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum GrantStage {
    /// The frontend has been told.
    Offered,
    /// It has come to the worker.
    Active,
    /// The worker has been told to stop it or never to start it.
    Revoking,
}

/// How things stood when an attempt was sent: what its duration can teach depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Start {
    /// Whether it waits for a load that another attempt began.
    pub(super) waits_for_load: bool,
    /// Whether the attempt sent before it was for another model.
    pub(super) is_change: bool,
    /// Attempts on the backend, itself included.
    pub(super) concurrent: u32,
}

/// A live grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Grant {
    pub(super) request: RequestId,
    pub(super) worker: WorkerId,
    /// The model the request waited for.
    pub(super) model: ModelIx,
    /// The model that runs for it: that one, or one that serves it, too.
    pub(super) resident: ModelIx,
    pub(super) stage: GrantStage,
    /// When it was sent.
    pub(super) at: Time,
    /// Whether it made the backend load its model.
    pub(super) is_swap: bool,
    /// How things stood when it was sent.
    pub(super) start: Start,
    /// Whether it was a loan before: there were enough.
    was_lent: bool,
    /// Whether its failure has been held against the backend.
    is_blamed: bool,
}

impl Grant {
    /// What a loan becomes when its request is known.
    pub(super) fn lent(
        request: RequestId,
        worker: WorkerId,
        model: ModelIx,
        (at, has_arrived): (Time, bool),
    ) -> Self {
        let stage = if has_arrived { GrantStage::Active } else { GrantStage::Offered };
        Self {
            request,
            worker,
            model,
            resident: model,
            stage,
            at,
            is_swap: false,
            start: Start { waits_for_load: false, is_change: false, concurrent: 1 },
            was_lent: true,
            is_blamed: false,
        }
    }
}

impl<L: Laws> Scheduler<L> {
    /// Takes a slot of `backend` for `request` and offers it to its frontend.
    ///
    /// The slot stays taken until the worker reports [`Finished`](super::Event::Finished) or dies, also when the
    /// offer lapses: only the worker knows that nothing is running.
    pub(super) fn grant(
        &mut self,
        turn: &mut Turn<'_>,
        id: RequestId,
        on: BackendId,
        (evict, reason): (Option<ModelIx>, Reason),
    ) {
        let name = self.backends.get(&on).map(|backend| backend.spec.name.clone()).unwrap_or_default();
        self.note_decision(turn.now, id, &name, reason);
        self.leave_queue(turn, id);
        self.last_grant += 1;
        let grant = GrantId(self.last_grant);
        let Some(request) = self.requests.get(&id) else { return };
        let (model, wanted) = (request.lane.model, request.admission.load.clone());
        let (resident, loaded) = self.resident_for(turn.now, on, model, &wanted);
        let is_swap = self.dispatch_to(turn, on, (resident, &loaded), evict, reason);
        let load = self.load_edit(turn, on, (&wanted, &loaded), is_swap, &name, model);
        let stage = GrantStage::Offered;
        let (Some(request), Some(backend)) = (self.requests.get_mut(&id), self.backends.get_mut(&on)) else {
            return;
        };
        request.attempts += 1;
        request.live += 1;
        request.stage = Stage::Granted { grant, backend: on, has_arrived: false };
        request.failure = None;
        request.attempt.backend = Some(on);
        request.attempt.granted = Some(turn.now);
        request.attempt.is_swap = is_swap;
        request.attempt.reason = Some(if request.attempts > 1 { Reason::Retry } else { reason });
        if request.attempts > 1 {
            self.counters.retries += 1;
        }
        let worker = backend.worker_id();
        let lease = Lease {
            grant,
            request: id,
            worker,
            model: (request.name != request.admission.model).then(|| request.name.clone()),
            load,
            ttl_ms: TTL_MS,
            attempt: request.attempts,
        };
        let held = backend.residents.get(resident);
        let start = Start {
            waits_for_load: !is_swap && held.is_some_and(|held| held.hold == Hold::Loading),
            is_change: backend.capacity.mode.sent(&request.name),
            concurrent: u32::try_from(backend.attempts()).unwrap_or(u32::MAX).saturating_add(1),
        };
        let taken = Grant {
            request: id,
            worker,
            model,
            resident,
            stage,
            at: turn.now,
            is_swap,
            start,
            was_lent: false,
            is_blamed: false,
        };
        backend.grants.insert(grant, taken);
        turn.effects.push(Effect::ToFrontend(request.frontend, ToFrontend::Granted(Box::new(lease))));
        turn.effects.push(Effect::Changed(id));
        self.timers.arm(Timer::Grant(on, grant), turn.now.plus_millis(TTL_MS));
        self.tell(turn, News::Dispatched { backend: on, model, resident, is_load: is_swap });
    }

    /// The model that runs on a backend when it is asked for `model` with `wanted` options, and what it was or will be
    /// loaded with.
    fn resident_for(
        &mut self,
        now: Time,
        on: BackendId,
        model: ModelIx,
        wanted: &LoadOptions,
    ) -> (ModelIx, LoadOptions) {
        let board = self.board();
        let backend = board.backend(on);
        if let Some(resident) = backend.and_then(|backend| board.resident(backend, model)) {
            return (resident.model, resident.options.clone());
        }
        if !backend.is_some_and(Backend::takes_load_options) {
            return (self.models.plain(model), LoadOptions::default());
        }
        let (policy, name) = (self.catalog.load_options, self.models.name(model).clone());
        let loaded = load_options::to_load(policy, wanted, self.contexts.largest(&name, now));
        let need = load_options::need(policy, &loaded);
        (self.models.intern(&name, &need, &mut self.learner), loaded)
    }

    /// What is done with the load options of a request for a model that was or will be loaded with `loaded`.
    fn load_edit(
        &mut self,
        turn: &mut Turn<'_>,
        on: BackendId,
        (wanted, loaded): (&LoadOptions, &LoadOptions),
        is_load: bool,
        name: &str,
        model: ModelIx,
    ) -> LoadEdit {
        let Some(backend) = self.backends.get(&on).filter(|backend| backend.takes_load_options()) else {
            return LoadEdit::Keep;
        };
        let edit = load_options::edit(self.catalog.load_options, wanted, loaded);
        if edit != LoadEdit::Keep && !is_load && backend.swaps() {
            self.counters.avoided_reloads += 1;
            let model = self.models.name(model).to_string();
            turn.note(Note::AvoidedReload { backend: name.to_owned(), model });
        }
        edit
    }

    /// Counts an attempt for `resident`, for which `evict` makes room. Says whether it makes the backend load.
    fn dispatch_to(
        &mut self,
        turn: &mut Turn<'_>,
        on: BackendId,
        (resident, options): (ModelIx, &LoadOptions),
        evict: Option<ModelIx>,
        reason: Reason,
    ) -> bool {
        let Some(backend) = self.backends.get_mut(&on).filter(|backend| backend.swaps()) else {
            return false;
        };
        if cfg!(debug_assertions) {
            backend.check_dispatch(resident, evict);
        }
        let is_load = backend.residents.dispatch_with(resident, options.clone(), evict, turn.now);
        if is_load {
            let name = |model: ModelIx| self.models.name(model).to_string();
            turn.note(Note::Load {
                backend: backend.spec.name.clone(),
                model: name(resident),
                evicts: evict.map(name).unwrap_or_default(),
                reason: reason.as_str(),
            });
        }
        is_load
    }

    /// The live grant that `worker`, if it is the one of today, speaks of.
    fn spoken_of(&mut self, worker: WorkerId, grant: GrantId) -> Option<&mut Grant> {
        if !self.is_current_worker(worker) {
            return None;
        }
        self.backends.get_mut(&worker.backend)?.grants.get_mut(&grant)
    }

    /// A frontend came to its worker.
    pub(super) fn started(&mut self, worker: WorkerId, grant: GrantId) {
        if self.loan_started(worker, grant) {
            return;
        }
        let Some(granted) = self.spoken_of(worker, grant) else { return };
        let id = granted.request;
        if granted.stage == GrantStage::Offered {
            granted.stage = GrantStage::Active;
            self.timers.disarm(&Timer::Grant(worker.backend, grant));
        }
        self.mark_arrived(id, grant);
    }

    fn mark_arrived(&mut self, id: RequestId, grant: GrantId) {
        if let Some(request) = self.requests.get_mut(&id)
            && let Stage::Granted { grant: latest, has_arrived, .. } = &mut request.stage
            && *latest == grant
        {
            *has_arrived = true;
        }
    }

    /// A backend's answer has begun.
    pub(super) fn begun(
        &mut self,
        turn: &mut Turn<'_>,
        worker: WorkerId,
        grant: GrantId,
        first_byte_us: u64,
    ) {
        self.started(worker, grant);
        let Some(granted) = self.spoken_of(worker, grant) else { return };
        let (id, is_swap, resident) = (granted.request, granted.is_swap, granted.resident);
        if let Some(backend) = self.backends.get_mut(&worker.backend) {
            // A backend that was down, and forgotten, turns out to hold the model.
            self.changes.work |= backend.residents.get(resident).is_some_and(|held| !held.is_held());
            if backend.residents.answered(resident, turn.now) {
                self.swapped(turn, worker.backend, resident);
            }
        }
        if is_swap && let Some(request) = self.requests.get_mut(&id) {
            request.attempt.load_us = Some(first_byte_us);
            turn.effects.push(Effect::Changed(id));
        }
    }

    /// A load of `resident` has come true.
    fn swapped(&mut self, turn: &Turn<'_>, on: BackendId, resident: ModelIx) {
        self.counters.swaps += 1;
        if let Some(backend) = self.backends.get_mut(&on) {
            backend.swaps += 1;
        }
        self.changes.work = true;
        self.tell(turn, News::Ready { backend: on, resident });
    }

    /// An attempt is over.
    pub(super) fn finished(&mut self, turn: &mut Turn<'_>, worker: WorkerId, finished: &Finished) {
        if self.loan_finished(turn, worker, finished) {
            return;
        }
        let Some(granted) = self.spoken_of(worker, finished.grant) else { return };
        let granted = granted.clone();
        let (id, is_swap, was_blamed) = (granted.request, granted.is_swap, granted.is_blamed);
        let reach = Reach::of(&finished.ending, finished.upstream_status);
        if finished.ending != Ending::NeverStarted {
            self.mark_arrived(id, finished.grant);
        }
        self.account(id, finished, is_swap);
        self.learn(turn, worker.backend, &granted, finished);
        let next = if finished.ending == Ending::Complete { self.purpose_of(id) } else { None };
        self.end_grant(turn, worker.backend, finished.grant, reach);
        if let (Ending::Failed(failure), false) = (&finished.ending, was_blamed) {
            self.blame(turn, worker.backend, failure);
        }
        if let Some(next) = next {
            if !granted.was_lent && self.is_crowded(id) {
                self.lend(turn, worker.backend, next.clone());
            }
            self.lend(turn, worker.backend, next);
        }
    }

    /// Writes down what the worker says of an attempt of request `id` that is over.
    pub(super) fn account(&mut self, id: RequestId, finished: &Finished, is_swap: bool) {
        let reach = Reach::of(&finished.ending, finished.upstream_status);
        if finished.ending == Ending::Complete {
            let mean = self.mean_attempt_us.unwrap_or(finished.total_us);
            self.mean_attempt_us = Some(mean - mean / MEAN_WEIGHT + finished.total_us / MEAN_WEIGHT);
        }
        if let Some(request) = self.requests.get_mut(&id) {
            request.usage = finished.usage;
            request.warnings.clone_from(&finished.warnings);
            request.attempt.upstream_status = finished.upstream_status.or(request.attempt.upstream_status);
            if is_swap && reach != Reach::Never && request.attempt.load_us.is_none() {
                request.attempt.load_us = finished.first_byte_us;
            }
            // The backend still has the model it had: nothing was swapped.
            request.attempt.is_swap &= reach != Reach::Never || !is_swap;
        }
    }

    /// Frees the slot of `grant`.
    fn end_grant(&mut self, turn: &mut Turn<'_>, on: BackendId, grant: GrantId, reach: Reach) {
        self.timers.disarm(&Timer::Grant(on, grant));
        let Some(backend) = self.backends.get_mut(&on) else { return };
        let Some(granted) = backend.grants.remove(&grant) else { return };
        backend.attempt_ended(turn.now);
        let (model, resident) = (granted.model, granted.resident);
        let has_loaded = backend.residents.over(resident, reach, turn.now);
        backend.residents.trim(backend.max_models());
        if has_loaded {
            self.swapped(turn, on, resident);
        }
        self.tell(turn, News::Ended { backend: on, model, resident });
        self.changes.work = true;
        if let Some(request) = self.requests.get_mut(&granted.request) {
            request.live -= 1;
            if request.stage == Stage::Closed && request.live == 0 {
                self.finish(turn, granted.request);
            } else {
                turn.effects.push(Effect::Changed(granted.request));
            }
        }
    }

    /// Ends every grant of a backend whose worker has died.
    pub(super) fn end_grants_of(&mut self, turn: &mut Turn<'_>, on: BackendId) {
        let Some(backend) = self.backends.get_mut(&on) else { return };
        let held: Vec<GrantId> = backend.grants.keys().copied().collect();
        backend.failures += backend
            .grants
            .values()
            .filter(|grant| grant.stage == GrantStage::Active && !grant.is_blamed)
            .count() as u64;
        for grant in held {
            self.end_grant(turn, on, grant, Reach::Unknown);
        }
    }

    /// Tells the worker to stop `grant` or never to start it, unless it has been told.
    pub(super) fn revoke(&mut self, turn: &mut Turn<'_>, on: BackendId, grant: GrantId) {
        let Some(granted) = self.backends.get_mut(&on).and_then(|backend| backend.grants.get_mut(&grant))
        else {
            return;
        };
        if granted.stage == GrantStage::Revoking {
            return;
        }
        granted.stage = GrantStage::Revoking;
        turn.effects.push(Effect::ToWorker(granted.worker, ToWorker::Revoke { grant }));
        self.timers.arm(Timer::Grant(on, grant), turn.now.plus_millis(WORKER_PATIENCE_MS));
    }

    /// The client of an active grant has gone: the worker notices by itself, or is told after a while.
    fn let_run_out(&mut self, turn: &Turn<'_>, on: BackendId, grant: GrantId) {
        if let Some(granted) = self.backends.get(&on).and_then(|backend| backend.grants.get(&grant))
            && granted.stage == GrantStage::Active
        {
            self.timers.arm(Timer::Grant(on, grant), turn.now.plus_millis(WORKER_PATIENCE_MS));
        }
    }

    /// The client of a grant has gone. Nobody will come with it any more; whoever has come leaves.
    pub(super) fn give_up(&mut self, turn: &mut Turn<'_>, on: BackendId, grant: GrantId) {
        let granted = self.backends.get(&on).and_then(|backend| backend.grants.get(&grant));
        match granted.map(|granted| granted.stage) {
            Some(GrantStage::Offered) => self.revoke(turn, on, grant),
            _ => self.let_run_out(turn, on, grant),
        }
    }

    /// Nobody has come, or the worker has not answered.
    pub(super) fn grant_due(&mut self, turn: &mut Turn<'_>, on: BackendId, grant: GrantId) {
        let granted = self.backends.get(&on).and_then(|backend| backend.grants.get(&grant));
        match granted.map(|granted| granted.stage) {
            Some(GrantStage::Offered) if !L::ONLY_THE_WORKER_FREES => {
                self.end_grant(turn, on, grant, Reach::Never);
            }
            Some(GrantStage::Offered | GrantStage::Active) => self.revoke(turn, on, grant),
            // The worker hangs: its death frees its slots.
            Some(GrantStage::Revoking) => self.kill_worker(turn, on),
            None => {}
        }
    }

    /// Holds a failure against the backend of `grant`, once, while the grant lives.
    pub(super) fn blame_grant(
        &mut self,
        turn: &mut Turn<'_>,
        on: BackendId,
        grant: GrantId,
        failure: &ipc_proto::failure::Failure,
    ) {
        let granted = self.backends.get_mut(&on).and_then(|backend| backend.grants.get_mut(&grant));
        if let Some(granted) = granted.filter(|granted| !granted.is_blamed) {
            granted.is_blamed = true;
            self.blame(turn, on, failure);
        }
    }
}
