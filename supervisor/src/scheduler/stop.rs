//! The end of the instance, step by step: what waits is sent away, frontends finish, then workers, and what is left
//! after the grace is killed.

use ipc_proto::control::ToWorker;
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::RequestId;

use super::frontend::SeatStage;
use super::laws::Laws;
use super::timer::Timer;
use super::worker::WorkerStage;
use super::{Effect, Phase, Scheduler, Turn};

/// What frontends and workers get beyond the grace to end the last streams themselves, in milliseconds.
const LAST_WORDS_MS: u64 = 1000;
/// When clients that are sent away should come again, in milliseconds: spread, so that they do not come together.
const COME_AGAIN_MS: (u64, u64) = (1000, 5000);

/// How far a stop has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StopStep {
    /// Frontends finish what they hold.
    Frontends,
    /// Workers finish what they run.
    Workers,
}

impl<L: Laws> Scheduler<L> {
    /// Whether the instance is ending or has ended.
    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Draining(_) | Phase::Stopped)
    }

    /// Begins to end the instance; asked a second time, ends it at once.
    pub(super) fn stop(&mut self, turn: &mut Turn<'_>) {
        if self.is_stopping() {
            self.stop_now(turn);
            return;
        }
        let grace = self.catalog.shutdown_grace_ms;
        self.timers.disarm(&Timer::Doors);
        self.enter(turn, Phase::Draining(StopStep::Frontends));
        self.recall_all(turn);
        let waits = |id: &RequestId| self.requests[id].waiting_since().is_some();
        let waiting: Vec<RequestId> = self.requests.keys().copied().filter(waits).collect();
        for id in waiting {
            let (soonest, latest) = COME_AGAIN_MS;
            let come_again = self.random.between(soonest, latest);
            let failure = Failure::new(FailureKind::Draining, "the instance is stopping");
            self.refuse(turn, id, failure.with_retry_after_ms(Some(come_again)));
        }
        let seats: Vec<u16> = self.seats.keys().copied().collect();
        for seat in seats {
            self.drain_frontend(turn, seat, grace);
        }
        let backends: Vec<_> = self.backends.keys().copied().collect();
        for id in backends {
            self.timers.disarm(&Timer::Probe(id));
            match self.backends[&id].worker.stage {
                WorkerStage::Starting | WorkerStage::Joined => self.kill_worker(turn, id),
                WorkerStage::Backoff => self.replace_worker(turn, id),
                _ => {}
            }
        }
        self.timers.arm(Timer::Stop, turn.now.plus_millis(grace + LAST_WORDS_MS));
    }

    /// Takes the next step of a stop when the one before is done.
    pub(super) fn go_on_stopping(&mut self, turn: &mut Turn<'_>) {
        let is_done = |stage| matches!(stage, SeatStage::Empty | SeatStage::Drained);
        if self.phase == Phase::Draining(StopStep::Frontends)
            && self.seats.values().all(|seat| is_done(seat.stage))
        {
            self.phase = Phase::Draining(StopStep::Workers);
            let left_us = self.timers.due(&Timer::Stop).map_or(0, |end| end.since(turn.now));
            let drain = ToWorker::Drain { within_ms: (left_us / 1000).saturating_sub(LAST_WORDS_MS) };
            for backend in self.backends.values_mut() {
                if matches!(backend.worker.stage, WorkerStage::Ready | WorkerStage::Draining) {
                    backend.worker.stage = WorkerStage::Draining;
                    turn.effects.push(Effect::ToWorker(backend.worker_id(), drain.clone()));
                }
            }
        }
        let is_done = |stage| matches!(stage, WorkerStage::Gone | WorkerStage::Drained);
        if self.phase == Phase::Draining(StopStep::Workers)
            && self.backends.values().all(|backend| is_done(backend.worker.stage))
        {
            self.stop_now(turn);
        }
    }

    /// Ends the instance: whoever still lives is killed, and what they held has ended.
    pub(super) fn stop_now(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Stopped {
            return;
        }
        let seats: Vec<u16> = self.seats.keys().copied().collect();
        for seat in seats {
            if self.seats[&seat].stage != SeatStage::Empty {
                self.kill_frontend(turn, seat);
            }
        }
        let backends: Vec<_> = self.backends.keys().copied().collect();
        for id in backends {
            if self.backends[&id].worker.stage != WorkerStage::Gone {
                self.kill_worker(turn, id);
            }
            if let Some(backend) = self.backends.get_mut(&id) {
                backend.grants.clear();
                backend.loans.clear();
                backend.spent.clear();
            }
        }
        let left: Vec<RequestId> = self.requests.keys().copied().collect();
        for id in left {
            self.abandoned(turn, id);
        }
        self.timers.clear();
        self.enter(turn, Phase::Stopped);
        turn.effects.push(Effect::Stopped);
    }
}
