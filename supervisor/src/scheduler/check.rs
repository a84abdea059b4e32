//! What must hold after every event. Development builds look; the product does not.

use super::backend::Backend;
use super::laws::Laws;
use super::loan::LoanStage;
use super::model::ModelIx;
use super::policy::Choice;
use super::request::Stage;
use super::residents::Hold;
use super::timer::Timer;
use super::worker::WorkerStage;
use super::{Phase, Scheduler};
use crate::clock::Time;

/// So many live requests are looked at after every event; with more, the sweep comes more rarely, so that its cost
/// per event stays the same.
const SWEEP: u64 = 256;

impl Backend {
    /// Panics if an attempt for `resident`, for which `evict` makes room, must not be sent here.
    pub(super) fn check_dispatch(&self, resident: ModelIx, evict: Option<ModelIx>) {
        let name = &self.spec.name;
        assert!(self.takes_more(), "{name}: an attempt too many");
        let busy = evict.and_then(|evict| self.residents.get(evict)).map(|evicted| evicted.running);
        assert!(evict.is_none() || busy == Some(0), "{name}: a busy model is evicted");
        let is_held = self.residents.get(resident).is_some();
        assert!(!is_held || evict.is_none(), "{name}: a model leaves for one that is there");
        let left = self.residents.len() - usize::from(evict.is_some());
        assert!(is_held || left < self.max_models(), "{name}: a model too many");
    }

    fn check_residents(&self) {
        let (name, residents) = (&self.spec.name, &self.residents);
        if !self.swaps() {
            assert_eq!(residents.len(), 0, "{name}: it swaps freely, and models are counted");
            return;
        }
        let running: usize = residents.iter().map(|resident| resident.running as usize).sum();
        assert_eq!(running, self.grants.len(), "{name}: every attempt runs on a model that is there");
        for grant in self.grants.values() {
            assert!(residents.get(grant.resident).is_some(), "{name}: an attempt for a model that has left");
        }
        for resident in residents.iter() {
            assert!(resident.hold == Hold::Ready || !resident.is_idle(), "{name}: a load that nobody makes");
        }
    }
}

impl<L: Laws> Scheduler<L> {
    /// Panics if an invariant is broken.
    pub(super) fn check(&mut self, now: Time) {
        self.checks += 1;
        if !self.checks.is_multiple_of(self.requests.len() as u64 / SWEEP + 1) {
            return;
        }
        if self.phase == Phase::Stopped {
            assert!(self.requests.is_empty() && self.timers.next().is_none(), "stopped, and not quiet");
            return;
        }
        assert!(self.timers.next().is_none_or(|next| next > now), "a deadline that has passed: a busy loop");
        self.check_slots();
        self.check_requests();
        self.check_progress();
    }

    fn check_slots(&self) {
        let mut held = 0;
        for backend in self.backends.values() {
            held += backend.grants.len();
            let (taken, ceiling) = (backend.taken(), backend.ceiling as usize);
            assert!(taken <= ceiling, "{}: {taken} slots taken of {ceiling}", backend.spec.name);
            backend.check_residents();
            let is_own = |worker: ipc_proto::ids::WorkerId| worker == backend.worker_id();
            assert!(
                backend.grants.values().all(|grant| is_own(grant.worker)),
                "a grant of a dead generation"
            );
        }
        self.check_loans();
        let live: usize = self.requests.values().map(|request| request.live as usize).sum();
        assert_eq!(held, live, "every grant has its request");
    }

    fn check_loans(&self) {
        for backend in self.backends.values() {
            for (grant, loan) in &backend.loans {
                let is_looked_after = loan.stage == LoanStage::Used
                    || backend.worker.stage == WorkerStage::Ending
                    || self.timers.due(&Timer::Loan(backend.id, *grant)).is_some();
                assert!(is_looked_after, "{grant:?}: a loan nobody looks after");
                assert_eq!(loan.worker, backend.worker_id(), "a loan of a dead generation");
                assert!(!backend.grants.contains_key(grant), "{grant:?}: lent and granted");
            }
            let is_full = !backend.has_free_slot() && backend.unused_loans().next().is_some();
            let mut lanes = self.queue.lanes();
            assert!(
                !is_full || !lanes.any(|(_, lane)| lane.candidates.contains(&backend.id)),
                "{}: somebody waits for a slot that is lent and not used",
                backend.spec.name
            );
        }
    }

    fn check_requests(&self) {
        let (mut waiting, mut queued) = (0, 0);
        for (id, request) in &self.requests {
            assert!(request.attempts <= self.catalog.retry.max_attempts.max(1), "{id}: too many attempts");
            assert_eq!(request.end.is_some(), request.stage == Stage::Closed, "{id}: ended means closed");
            assert!(request.stage != Stage::Closed || request.live > 0, "{id}: closed, and not forgotten");
            match request.stage {
                Stage::Queued { .. } => queued += 1,
                Stage::Paused { .. } => {
                    waiting += 1;
                    assert!(self.timers.due(&Timer::Pause(*id)).is_some(), "{id}: a pause without end");
                }
                _ => {}
            }
        }
        let in_lanes: usize = self.queue.lanes().map(|(_, lane)| lane.len()).sum();
        assert_eq!(in_lanes, queued, "who is queued has a place in a lane");
        assert_eq!(self.waiting, (waiting + queued) as u64, "the number of waiting requests");
    }

    fn check_progress(&mut self) {
        if self.is_stopping() {
            assert_eq!(self.waiting, 0, "nobody waits for an instance that ends");
            return;
        }
        // At the time of the last decision: what only time brings is the strategy's to ask for.
        let decided_at = self.decided_at;
        if !self.is_paused {
            let choice = self.consult(|policy, board| policy.choose(board, decided_at));
            assert!(matches!(choice, Choice::Wait { .. }), "something could be done: {choice:?}");
        }
        for (key, _) in self.queue.lanes() {
            let is_watched = self.timers.due(&Timer::Stranded(*key)).is_some();
            assert!(is_watched != self.is_served(key), "{key:?}: waits in vain, or is given up too early");
        }
    }
}
