//! Loans: slots lent to frontends ahead of time, so that the next request of a kind need not ask.
//!
//! A loan is made where there is nothing to decide, for exactly what has just been let through: one model, one
//! task, one key. It takes a slot until its worker says otherwise, like a grant. Used, it becomes the grant of the
//! request that used it; unused, it is recalled as soon as somebody waits for its slot, or what it rests on changes.
//! A request that is limited, or whose choice depends on anything beyond model, task and key, is never lent for.

use std::collections::BTreeSet;

use dialect::load::LoadOptions;
use ipc_proto::control::{Ending, Finished, StandingGrant, ToFrontend, ToWorker};
use ipc_proto::ids::{BackendId, FrontendId, GrantId, KeyId, ModelName, RequestId, WorkerId};

use super::admission::is_candidate;
use super::backend::Backend;
use super::frontend::SeatStage;
use super::grant::{Grant, TTL_MS, WORKER_PATIENCE_MS};
use super::lane::LaneKey;
use super::laws::Laws;
use super::policy::{News, Reason};
use super::request::Stage;
use super::timer::Timer;
use super::{Effect, Scheduler, Turn};

/// How long a loan lasts, in milliseconds: clients that come one after the other come sooner.
const LOAN_TTL_MS: u64 = 10_000;
/// How much longer it stays when nobody came, in milliseconds: a frontend whose clock runs behind, or whose word is
/// under way, should not find it taken back.
const LOAN_MARGIN_MS: u64 = 2000;
/// The most unused loans of one frontend: more are never used at once where the hop to us is what takes the time.
const MOST_LOANS: usize = 16;

/// What a loan is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Purpose {
    frontend: FrontendId,
    /// The model, as clients name it.
    model: ModelName,
    lane: LaneKey,
    key: KeyId,
}

/// How far a loan has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LoanStage {
    /// Nobody is known to have come to the worker with it.
    Lent,
    /// Somebody has come; which request it is has not been said yet.
    Used,
    /// The worker has been asked to let nobody in with it.
    Recalled,
    /// Its frontend has gone; the worker has been told to end it, whatever it is.
    Revoked,
}

/// A slot lent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Loan {
    purpose: Purpose,
    pub(super) worker: WorkerId,
    pub(super) stage: LoanStage,
}

/// A loan whose attempt was over before we heard whose request it was. It takes no slot.
#[derive(Debug)]
pub(super) struct Spent {
    frontend: FrontendId,
    /// The worker's last word; `None` if it died first.
    finished: Option<Box<Finished>>,
}

/// A loan that a request has begun under.
pub(super) enum Claim {
    /// It takes its slot still.
    Running(BackendId, GrantId, Loan),
    /// Its attempt is over.
    Spent(BackendId, GrantId, Spent),
}

impl Backend {
    /// The slots taken, by attempts and by loans.
    pub(super) fn taken(&self) -> usize {
        self.grants.len() + self.loans.len()
    }

    /// The slots taken by attempts, those under loans included.
    pub(super) fn attempts(&self) -> usize {
        self.grants.len() + self.loans.values().filter(|loan| loan.stage == LoanStage::Used).count()
    }

    /// The loans that may be recalled.
    pub(super) fn unused_loans(&self) -> impl Iterator<Item = (GrantId, &Loan)> {
        let unused = |loan: &Loan| loan.stage == LoanStage::Lent;
        self.loans.iter().filter(move |(_, loan)| unused(loan)).map(|(grant, loan)| (*grant, loan))
    }
}

impl<L: Laws> Scheduler<L> {
    /// What a loan would have to be for that serves the next request like `id`; `None` if there is no such loan.
    pub(super) fn purpose_of(&self, id: RequestId) -> Option<Purpose> {
        let request = self.requests.get(&id)?;
        let admission = &request.admission;
        // Whatever else a request says may decide when and where it goes.
        let is_plain = admission.class.is_none() && admission.load.is_empty();
        is_plain.then(|| Purpose {
            frontend: request.frontend,
            model: admission.model.clone(),
            lane: request.lane,
            key: admission.key,
        })
    }

    /// Whether the frontend of request `id` holds others besides: the next may come before this loan is used.
    pub(super) fn is_crowded(&self, id: RequestId) -> bool {
        let seat = self.requests.get(&id).and_then(|request| self.seats.get(&request.frontend.seat));
        seat.is_some_and(|seat| seat.requests.len() > 1)
    }

    /// Lends a slot of `on` for the next request of this kind, if nothing speaks against it.
    pub(super) fn lend(&mut self, turn: &mut Turn<'_>, on: BackendId, purpose: Purpose) {
        if !self.may_lend(on, &purpose) {
            return;
        }
        let Some(backend) = self.backends.get_mut(&on) else { return };
        self.last_grant += 1;
        let grant = GrantId(self.last_grant);
        let worker = backend.worker_id();
        let upstream = self.models.name(purpose.lane.model);
        let lent = StandingGrant {
            grant,
            worker,
            model: purpose.model.clone(),
            upstream_model: (*upstream != purpose.model).then(|| upstream.clone()),
            task: purpose.lane.task,
            key: purpose.key,
            ttl_ms: LOAN_TTL_MS,
            come_within_ms: TTL_MS,
        };
        turn.effects.push(Effect::ToFrontend(purpose.frontend, ToFrontend::Lent(Box::new(lent))));
        backend.loans.insert(grant, Loan { purpose, worker, stage: LoanStage::Lent });
        self.timers.arm(Timer::Loan(on, grant), turn.now.plus_millis(LOAN_TTL_MS + LOAN_MARGIN_MS));
    }

    fn may_lend(&self, on: BackendId, purpose: &Purpose) -> bool {
        let Some(backend) = self.backends.get(&on) else { return false };
        // The last slot stays for somebody else who comes, where there can be somebody else: a recall would cost him
        // more than a loan saves.
        let slots = backend.slots();
        let kept = usize::from(slots > 1 || self.catalog.frontends > 1);
        let unused = self.backends.values().flat_map(Backend::unused_loans);
        self.is_lendable(backend, purpose)
            && backend.taken() + kept < slots as usize
            && !self.is_waited_for(on)
            && unused.filter(|(_, loan)| loan.purpose.frontend == purpose.frontend).count() < MOST_LOANS
    }

    /// Whether what every loan of `backend` for `purpose` rests on is there.
    fn is_lendable(&self, backend: &Backend, purpose: &Purpose) -> bool {
        let frontend = purpose.frontend;
        let takes_requests = self
            .seats
            .get(&frontend.seat)
            .is_some_and(|seat| seat.generation == frontend.generation && seat.stage == SeatStage::Listening);
        takes_requests
            && !self.is_stopping()
            && !self.is_paused
            && !backend.swaps()
            && backend.is_open()
            && backend.is_alone
            && is_candidate(backend, &purpose.lane, self.models.name(purpose.lane.model))
    }

    /// Whether somebody waits who could go to `on`.
    fn is_waited_for(&self, on: BackendId) -> bool {
        self.queue.lanes().any(|(_, lane)| lane.candidates.contains(&on))
    }

    /// The live loan that `worker`, if it is the one of today, speaks of.
    fn loan_spoken_of(&mut self, worker: WorkerId, grant: GrantId) -> Option<&mut Loan> {
        if !self.is_current_worker(worker) {
            return None;
        }
        self.backends.get_mut(&worker.backend)?.loans.get_mut(&grant)
    }

    /// Somebody came to the worker with `grant`. Says whether it is a loan.
    pub(super) fn loan_started(&mut self, worker: WorkerId, grant: GrantId) -> bool {
        let Some(loan) = self.loan_spoken_of(worker, grant) else { return false };
        if loan.stage != LoanStage::Revoked {
            loan.stage = LoanStage::Used;
            self.timers.disarm(&Timer::Loan(worker.backend, grant));
        }
        true
    }

    /// The worker has said its last word on `grant`. Says whether it is a loan.
    pub(super) fn loan_finished(
        &mut self,
        turn: &mut Turn<'_>,
        worker: WorkerId,
        finished: &Finished,
    ) -> bool {
        if self.loan_spoken_of(worker, finished.grant).is_none() {
            return false;
        }
        let on = worker.backend;
        let Some(loan) = self.end_loan(turn, on, finished.grant) else { return false };
        if finished.ending == Ending::NeverStarted || loan.stage == LoanStage::Revoked {
            return true;
        }
        if L::EARLY_ENDS_REMEMBERED
            && let Some(backend) = self.backends.get_mut(&on)
        {
            let frontend = loan.purpose.frontend;
            let spent = Spent { frontend, finished: Some(Box::new(finished.clone())) };
            backend.spent.insert(finished.grant, spent);
        }
        if finished.ending == Ending::Complete {
            self.lend(turn, on, loan.purpose);
        }
        true
    }

    /// Frees the slot of a loan.
    fn end_loan(&mut self, turn: &Turn<'_>, on: BackendId, grant: GrantId) -> Option<Loan> {
        self.timers.disarm(&Timer::Loan(on, grant));
        let backend = self.backends.get_mut(&on)?;
        let loan = backend.loans.remove(&grant)?;
        backend.attempt_ended(turn.now);
        self.changes.work = true;
        Some(loan)
    }

    /// Ends every loan of a backend whose worker has died.
    pub(super) fn end_loans_of(&mut self, turn: &mut Turn<'_>, on: BackendId) {
        let Some(backend) = self.backends.get(&on) else { return };
        let held: Vec<GrantId> = backend.loans.keys().copied().collect();
        for grant in held {
            let Some(Loan { purpose: Purpose { frontend, .. }, stage, .. }) = self.end_loan(turn, on, grant)
            else {
                continue;
            };
            match stage {
                LoanStage::Lent => {
                    turn.effects.push(Effect::ToFrontend(frontend, ToFrontend::Recalled { grant }));
                }
                LoanStage::Used => {
                    if let Some(backend) = self.backends.get_mut(&on) {
                        backend.failures += 1;
                        backend.spent.insert(grant, Spent { frontend, finished: None });
                    }
                }
                LoanStage::Recalled | LoanStage::Revoked => {}
            }
        }
    }

    /// Takes the loan out that `frontend` has begun an attempt under; `None` if there is none by that id.
    pub(super) fn claim(&mut self, frontend: FrontendId, grant: GrantId) -> Option<Claim> {
        self.backends.iter_mut().find_map(|(on, backend)| {
            if backend.loans.get(&grant).is_some_and(|loan| loan.purpose.frontend == frontend) {
                return Some(Claim::Running(*on, grant, backend.loans.remove(&grant)?));
            }
            let is_own = backend.spent.get(&grant).is_some_and(|spent| spent.frontend == frontend);
            if is_own { Some(Claim::Spent(*on, grant, backend.spent.remove(&grant)?)) } else { None }
        })
    }

    /// Makes a loan the first grant of the request that has begun under it.
    pub(super) fn bind(&mut self, turn: &mut Turn<'_>, id: RequestId, claim: Claim) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let (on, grant, has_arrived) = match &claim {
            Claim::Running(on, grant, loan) => (*on, *grant, loan.stage == LoanStage::Used),
            Claim::Spent(on, grant, _) => (*on, *grant, true),
        };
        request.attempts = 1;
        request.stage = Stage::Granted { grant, backend: on, has_arrived };
        request.attempt.backend = Some(on);
        request.attempt.granted = Some(turn.now);
        request.attempt.reason = Some(Reason::Loaded);
        turn.effects.push(Effect::Changed(id));
        match claim {
            Claim::Running(_, _, loan) => {
                request.live = 1;
                let model = loan.purpose.lane.model;
                let taken = Grant::lent(id, loan.worker, model, (turn.now, has_arrived));
                if let Some(backend) = self.backends.get_mut(&on) {
                    backend.grants.insert(grant, taken);
                    // It may have turned out in the meantime that the backend swaps.
                    if backend.swaps() {
                        backend.residents.dispatch_with(model, LoadOptions::default(), None, turn.now);
                    }
                }
                self.timers.disarm(&Timer::Loan(on, grant));
                self.tell(turn, News::Dispatched { backend: on, model, resident: model, is_load: false });
                if !has_arrived {
                    self.timers.arm(Timer::Grant(on, grant), turn.now.plus_millis(TTL_MS));
                }
            }
            Claim::Spent(_, _, spent) => {
                if let Some(finished) = spent.finished {
                    self.account(id, &finished, false);
                    if let Ending::Failed(failure) = &finished.ending {
                        self.blame(turn, on, failure);
                    }
                }
            }
        }
    }

    /// Takes an unused loan back.
    fn recall(&mut self, turn: &mut Turn<'_>, on: BackendId, grant: GrantId) {
        let Some(loan) = self.backends.get_mut(&on).and_then(|backend| backend.loans.get_mut(&grant)) else {
            return;
        };
        if loan.stage != LoanStage::Lent {
            return;
        }
        loan.stage = LoanStage::Recalled;
        let order =
            if L::RECALLS_SPARE_THE_USED { ToWorker::Recall { grant } } else { ToWorker::Revoke { grant } };
        turn.effects.push(Effect::ToWorker(loan.worker, order));
        turn.effects.push(Effect::ToFrontend(loan.purpose.frontend, ToFrontend::Recalled { grant }));
        self.timers.arm(Timer::Loan(on, grant), turn.now.plus_millis(WORKER_PATIENCE_MS));
    }

    /// Takes back every unused loan of which `is_over` says so.
    fn recall_where(&mut self, turn: &mut Turn<'_>, is_over: impl Fn(&Self, &Backend, &Purpose) -> bool) {
        let unused = |backend: &Backend| -> Vec<(BackendId, GrantId)> {
            let over = backend.unused_loans().filter(|(_, loan)| is_over(self, backend, &loan.purpose));
            over.map(|(grant, _)| (backend.id, grant)).collect()
        };
        let over: Vec<(BackendId, GrantId)> = self.backends.values().flat_map(unused).collect();
        for (on, grant) in over {
            self.recall(turn, on, grant);
        }
    }

    /// What was lent rests on something that is no more: the catalog is another one, or nothing is granted any more.
    pub(super) fn recall_all(&mut self, turn: &mut Turn<'_>) {
        self.recall_where(turn, |_, _, _| true);
    }

    /// The terrain has changed: takes back what has lost its ground.
    pub(super) fn review_loans(&mut self, turn: &mut Turn<'_>) {
        let alone: BTreeSet<BackendId> =
            self.in_use().filter(|backend| self.shares_no_model(backend)).map(|backend| backend.id).collect();
        for backend in self.backends.values_mut() {
            backend.is_alone = alone.contains(&backend.id);
        }
        self.recall_where(turn, |scheduler, backend, purpose| !scheduler.is_lendable(backend, purpose));
    }

    /// Whether whoever can go to `backend` can go nowhere else. Only then does a lent slot change nobody's way.
    fn shares_no_model(&self, backend: &Backend) -> bool {
        self.in_use().all(|other| other.id == backend.id || other.shares_no_model_with(backend))
    }

    /// Takes back what is lent of slots that somebody waits for.
    pub(super) fn recall_for_those_who_wait(&mut self, turn: &mut Turn<'_>) {
        if self.queue.lanes().next().is_some() {
            self.recall_where(turn, |scheduler, backend, _| {
                !backend.has_free_slot() && scheduler.is_waited_for(backend.id)
            });
        }
    }

    /// A frontend will not use a loan.
    pub(super) fn returned(&mut self, turn: &mut Turn<'_>, frontend: FrontendId, grant: GrantId) {
        let lent = self.backends.values().find_map(|backend| Some((backend.id, backend.loans.get(&grant)?)));
        if let Some((on, loan)) = lent
            && loan.purpose.frontend == frontend
        {
            self.recall(turn, on, grant);
        }
    }

    /// A frontend has ended: nobody uses its loans any more, and nobody waits for what runs under them.
    pub(super) fn end_loans_with(&mut self, turn: &mut Turn<'_>, frontend: FrontendId) {
        for backend in self.backends.values_mut() {
            backend.spent.retain(|_, spent| spent.frontend != frontend);
            for (grant, loan) in &mut backend.loans {
                if loan.purpose.frontend == frontend {
                    loan.stage = LoanStage::Revoked;
                    turn.effects.push(Effect::ToWorker(loan.worker, ToWorker::Revoke { grant: *grant }));
                    let timer = Timer::Loan(backend.id, *grant);
                    self.timers.arm(timer, turn.now.plus_millis(WORKER_PATIENCE_MS));
                }
            }
        }
    }

    /// Nobody has come in time, or the worker has not answered.
    pub(super) fn loan_due(&mut self, turn: &mut Turn<'_>, on: BackendId, grant: GrantId) {
        let loan = self.backends.get(&on).and_then(|backend| backend.loans.get(&grant));
        match loan.map(|loan| loan.stage) {
            Some(LoanStage::Lent) => self.recall(turn, on, grant),
            // The worker hangs: its death frees its slots.
            Some(LoanStage::Recalled | LoanStage::Revoked) => self.kill_worker(turn, on),
            Some(LoanStage::Used) | None => {}
        }
    }
}
