//! The workers' processes: started, waited for, killed when they are late, started again when they die.
//!
//! A generation starts only when the one before is gone, so the slots of a backend are never handed out twice.

use ipc_proto::control::ToWorker;
use ipc_proto::ids::{BackendId, WorkerId};

use super::backend::{Health, Service};
use super::laws::Laws;
use super::restart::{LONGEST_WORKER_PAUSE_MS, Restarts};
use super::timer::Timer;
use super::{Effect, Note, Scheduler, Turn};
use crate::clock::Time;

/// How long a child may take from its start to its first word, and from a kill to its end, in milliseconds. A
/// process starts within tens of milliseconds; a machine that is paging gets some more.
pub(super) const START_PATIENCE_MS: u64 = 10_000;
/// How long a worker that is replaced may finish what it runs, in milliseconds: as long as an answer usually may take.
const REPLACE_WITHIN_MS: u64 = 600_000;
/// How long a drained worker may take to exit, in milliseconds.
const EXIT_PATIENCE_MS: u64 = 5000;

/// Where a worker's process stands.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) enum WorkerStage {
    /// There is none, and none is due.
    #[default]
    Gone,
    /// Started; nothing heard yet.
    Starting,
    /// Its link is open.
    Joined,
    /// It takes attempts.
    Ready,
    /// It finishes what it has.
    Draining,
    /// It has finished; its exit is awaited.
    Drained,
    /// Killed; its end is awaited.
    Ending,
    /// Dead; the next one starts after a pause.
    Backoff,
}

impl WorkerStage {
    /// The word operators see.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Starting | Self::Joined => "starting",
            Self::Ready => "ready",
            Self::Draining | Self::Drained | Self::Ending => "draining",
            Self::Backoff | Self::Gone => "backoff",
        }
    }
}

/// The worker of a backend.
#[derive(Default, Debug)]
pub(super) struct Worker {
    pub(super) generation: u32,
    pub(super) pid: Option<u32>,
    pub(super) stage: WorkerStage,
    started: Time,
    restarts: Restarts,
}

impl<L: Laws> Scheduler<L> {
    /// Whether `worker` is the one its backend has today.
    pub(super) fn is_current_worker(&self, worker: WorkerId) -> bool {
        let generation = self.backends.get(&worker.backend).map(|backend| backend.worker.generation);
        generation == Some(worker.generation) || (!L::GENERATIONS_APART && generation.is_some())
    }

    /// Starts the next generation of a backend's worker.
    pub(super) fn start_worker(&mut self, turn: &mut Turn<'_>, id: BackendId) {
        let Some(backend) = self.backends.get_mut(&id) else { return };
        let worker = &mut backend.worker;
        worker.generation += 1;
        worker.pid = None;
        worker.stage = WorkerStage::Starting;
        worker.started = turn.now;
        turn.effects.push(Effect::StartWorker(backend.worker_id()));
        self.timers.arm(Timer::Worker(id), turn.now.plus_millis(START_PATIENCE_MS));
        self.changes.terrain = true;
    }

    /// A worker's link is open.
    pub(super) fn worker_up(&mut self, worker: WorkerId, pid: u32) {
        if !self.is_current_worker(worker) {
            return;
        }
        let Some(backend) = self.backends.get_mut(&worker.backend) else { return };
        backend.worker.pid = Some(pid);
        if backend.worker.stage == WorkerStage::Starting {
            backend.worker.stage = WorkerStage::Joined;
        }
    }

    /// A worker takes attempts.
    pub(super) fn worker_ready(&mut self, turn: &mut Turn<'_>, worker: WorkerId) {
        if !self.is_current_worker(worker) {
            return;
        }
        let id = worker.backend;
        let Some(backend) = self.backends.get_mut(&id) else { return };
        if !matches!(backend.worker.stage, WorkerStage::Starting | WorkerStage::Joined) {
            return;
        }
        backend.worker.stage = WorkerStage::Ready;
        self.timers.disarm(&Timer::Worker(id));
        self.changes.terrain = true;
        let is_known_without_a_look = backend.spec.models.is_some() && backend.health == Health::Unknown;
        if is_known_without_a_look {
            self.backend_up(turn, id);
        }
    }

    /// A worker is to take nothing more and to exit; another follows, unless the backend or the instance ends.
    pub(super) fn replace_worker(&mut self, turn: &mut Turn<'_>, id: BackendId) {
        let Some(backend) = self.backends.get_mut(&id) else { return };
        let worker = backend.worker_id();
        match backend.worker.stage {
            WorkerStage::Ready => {
                backend.worker.stage = WorkerStage::Draining;
                let drain = ToWorker::Drain { within_ms: REPLACE_WITHIN_MS };
                turn.effects.push(Effect::ToWorker(worker, drain));
                let at = turn.now.plus_millis(REPLACE_WITHIN_MS + EXIT_PATIENCE_MS);
                self.timers.arm(Timer::Worker(id), at);
            }
            // Nothing runs there: it can go at once.
            WorkerStage::Starting | WorkerStage::Joined => self.kill_worker(turn, id),
            WorkerStage::Backoff => self.after_worker(turn, id, 0),
            WorkerStage::Gone | WorkerStage::Draining | WorkerStage::Drained | WorkerStage::Ending => {}
        }
        self.changes.terrain = true;
    }

    /// A draining worker has finished.
    pub(super) fn worker_drained(&mut self, turn: &mut Turn<'_>, worker: WorkerId) {
        if !self.is_current_worker(worker) {
            return;
        }
        let Some(backend) = self.backends.get_mut(&worker.backend) else { return };
        if backend.worker.stage == WorkerStage::Draining {
            backend.worker.stage = WorkerStage::Drained;
            self.timers.arm(Timer::Worker(worker.backend), turn.now.plus_millis(EXIT_PATIENCE_MS));
        }
    }

    /// A worker is ended at once.
    pub(super) fn kill_worker(&mut self, turn: &mut Turn<'_>, id: BackendId) {
        let Some(backend) = self.backends.get_mut(&id) else { return };
        backend.worker.stage = WorkerStage::Ending;
        turn.effects.push(Effect::KillWorker(backend.worker_id()));
        self.timers.arm(Timer::Worker(id), turn.now.plus_millis(START_PATIENCE_MS));
        self.changes.terrain = true;
    }

    /// A worker is late, or the next one is due.
    pub(super) fn worker_due(&mut self, turn: &mut Turn<'_>, id: BackendId) {
        match self.backends.get(&id).map(|backend| backend.worker.stage) {
            Some(WorkerStage::Backoff) => self.start_worker(turn, id),
            Some(WorkerStage::Gone | WorkerStage::Ready) | None => {}
            Some(_) => self.kill_worker(turn, id),
        }
    }

    /// A worker has ended: everything that ran there has ended with it.
    pub(super) fn worker_gone(&mut self, turn: &mut Turn<'_>, worker: WorkerId) {
        let id = worker.backend;
        if !self.is_current_worker(worker) {
            return;
        }
        let Some(backend) = self.backends.get_mut(&id) else { return };
        let stage = backend.worker.stage;
        if matches!(stage, WorkerStage::Gone | WorkerStage::Backoff) {
            return;
        }
        backend.worker.stage = WorkerStage::Gone;
        backend.worker.pid = None;
        backend.forget_probe();
        self.timers.disarm(&Timer::Worker(id));
        self.changes.terrain = true;
        self.end_grants_of(turn, id);
        self.end_loans_of(turn, id);
        let was_asked_to_go = matches!(stage, WorkerStage::Draining | WorkerStage::Drained);
        if was_asked_to_go {
            self.after_worker(turn, id, 0);
            return;
        }
        let is_stopping = self.is_stopping();
        let Some(backend) = self.backends.get_mut(&id) else { return };
        let pause = backend.worker.restarts.pause_ms(
            backend.worker.started,
            turn.now,
            LONGEST_WORKER_PAUSE_MS,
            &mut self.random,
        );
        if !is_stopping && backend.service != Service::Retired {
            self.counters.restarts += 1;
            turn.note(Note::ChildLost {
                child: format!("worker {}", backend.spec.name),
                restart_in_ms: pause,
            });
        }
        self.after_worker(turn, id, pause);
    }

    /// Starts the next generation after `pause_ms`, if there is to be one.
    fn after_worker(&mut self, turn: &mut Turn<'_>, id: BackendId, pause_ms: u64) {
        let is_stopping = self.is_stopping();
        let Some(backend) = self.backends.get_mut(&id) else { return };
        if is_stopping || backend.service == Service::Retired {
            backend.worker.stage = WorkerStage::Gone;
            self.timers.disarm(&Timer::Worker(id));
        } else if pause_ms == 0 {
            self.start_worker(turn, id);
        } else {
            backend.worker.stage = WorkerStage::Backoff;
            self.timers.arm(Timer::Worker(id), turn.now.plus_millis(pause_ms));
        }
    }
}
