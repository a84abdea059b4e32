//! How workers and backends behave: as the real ones promise, and as badly as the real ones may.

use std::collections::{BTreeMap, BTreeSet};

use dialect::Usage;
use ipc_proto::control::{
    Ending, Finished, Grant, LoadedModel, OfferedModel, ProbeFailure, ProbeFailureKind, ProbeReport, ToWorker,
};
use ipc_proto::failure::{Failure, FailureKind, Wait};
use ipc_proto::ids::{FrontendId, GrantId, ModelName, RequestId, WorkerId};
use supervisor::scheduler::Event;
use supervisor::scheduler::catalog::Backend;
use supervisor::scheduler::laws::Laws;

use crate::dice::Dice;
use crate::frontends::Hold;
use crate::world::{Heard, Link, Step, World};

/// An attempt at a worker.
pub(crate) struct Attempt {
    frontend: FrontendId,
    request: RequestId,
    pub(crate) model: ModelName,
    ending: Ending,
    has_begun: bool,
}

/// A worker that is alive.
#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) running: BTreeMap<GrantId, Attempt>,
    refused: BTreeSet<GrantId>,
    over: BTreeSet<GrantId>,
    is_draining: bool,
    /// It answers nothing any more.
    is_stuck: bool,
}

/// A backend's server.
pub(crate) struct Upstream {
    pub(crate) is_away: bool,
    offers: Vec<ModelName>,
    loaded: Option<ModelName>,
    tells_loaded: bool,
}

impl Upstream {
    pub(crate) fn new(dice: &mut Dice, backend: &Backend, models: &[ModelName]) -> Self {
        let offers = models.iter().filter(|_| dice.per_mille(850)).cloned().collect();
        let offers = backend.models.clone().unwrap_or(offers);
        Self { is_away: dice.per_mille(100), offers, loaded: None, tells_loaded: dice.per_mille(500) }
    }
}

impl<L: Laws> World<L> {
    fn worker_says(&mut self, worker: WorkerId, event: Event) {
        self.send(Link::FromWorker(worker), Step::Tell(event));
    }

    pub(crate) fn worker_starts(&mut self, worker: WorkerId) {
        let is_silent = !self.is_calm && self.dice.per_mille(30);
        if is_silent && !self.doomed.contains(&worker) {
            return;
        }
        self.workers.insert(worker, Worker::default());
        self.worker_says(worker, Event::WorkerUp { worker, pid: 2 });
        self.worker_says(worker, Event::WorkerReady { worker });
        self.later(100, Step::Looks(worker));
    }

    pub(crate) fn worker_dies(&mut self, worker: WorkerId) {
        if !self.workers.contains_key(&worker) && !self.doomed.remove(&worker) {
            return;
        }
        let dead = self.workers.remove(&worker).unwrap_or_default();
        self.watch.worker_died(worker);
        for (grant, attempt) in dead.running {
            let failure = Failure::new(FailureKind::WorkerLost, "the worker ended");
            self.answer(attempt.frontend, attempt.request, grant, Heard::Fail(failure));
        }
        let after = self.delay();
        self.later(after, Step::Tell(Event::WorkerGone { worker }));
        // Both the link's end and the process's may be reported, the second much later.
        if self.dice.per_mille(500) {
            let after = after + self.dice.between(0, 3_000_000);
            self.later(after, Step::Tell(Event::WorkerGone { worker }));
        }
    }

    /// A frontend reaches a worker: the attempt begins, or is refused.
    pub(crate) fn comes(
        &mut self,
        frontend: FrontendId,
        grant: &Grant,
        model: ModelName,
    ) -> Result<(), String> {
        let holds = self.frontends.get(&frontend).and_then(|it| it.held.get(&grant.request));
        if !matches!(holds, Some((Hold::Going(held, _), _)) if *held == grant.grant) {
            return Ok(());
        }
        let refuse = |kind| Heard::Fail(Failure::new(kind, "refused"));
        let Some(worker) = self.workers.get_mut(&grant.worker) else {
            self.answer(frontend, grant.request, grant.grant, refuse(FailureKind::WorkerLost));
            return Ok(());
        };
        if worker.refused.contains(&grant.grant) && !self.how.has_no_tombstones {
            self.answer(frontend, grant.request, grant.grant, refuse(FailureKind::GrantLapsed));
            return Ok(());
        }
        if worker.is_draining {
            if worker.over.insert(grant.grant) {
                self.finished(grant.worker, grant.grant, Ending::NeverStarted);
            }
            self.answer(frontend, grant.request, grant.grant, refuse(FailureKind::GrantLapsed));
            return Ok(());
        }
        let model = grant.model.clone().unwrap_or(model);
        let backend = grant.worker.backend;
        let upstream = self.upstreams.get_mut(&backend).expect("it is configured");
        let (ending, begins_us) = fate(&mut self.dice, upstream, &model, self.scenario.failures);
        let attempt =
            Attempt { frontend, request: grant.request, model, ending: ending.clone(), has_begun: false };
        worker.running.insert(grant.grant, attempt);
        self.watch.running(backend, &self.workers)?;
        self.watch.let_in(grant);
        self.worker_says(grant.worker, Event::Started { worker: grant.worker, grant: grant.grant });
        if !self.is_calm && self.dice.per_mille(4) {
            self.workers.get_mut(&grant.worker).expect("it runs").is_stuck = true;
            // Whom nobody revokes anything from, nobody misses: in the end somebody kills it by hand.
            self.later(30_000_000, Step::WorkerDies(grant.worker));
        }
        if ending == Ending::Complete {
            self.later(begins_us, Step::Begins(grant.worker, grant.grant));
        }
        let lasts_us = begins_us + self.dice.between(1000, 600_000);
        self.later(lasts_us, Step::Ends(grant.worker, grant.grant));
        Ok(())
    }

    fn is_stuck(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_none_or(|it| it.is_stuck)
    }

    pub(crate) fn begins(&mut self, worker: WorkerId, grant: GrantId) {
        if self.is_stuck(worker) {
            return;
        }
        let Some(attempt) = self.workers.get_mut(&worker).and_then(|it| it.running.get_mut(&grant)) else {
            return;
        };
        attempt.has_begun = true;
        let (frontend, request) = (attempt.frontend, attempt.request);
        self.worker_says(worker, Event::Begun { worker, grant, first_byte_us: 1000 });
        self.answer(frontend, request, grant, Heard::Head);
    }

    pub(crate) fn ends(&mut self, worker: WorkerId, grant: GrantId) {
        if self.is_stuck(worker) {
            return;
        }
        let Some(attempt) = self.workers.get(&worker).and_then(|it| it.running.get(&grant)) else { return };
        let ending = attempt.ending.clone();
        let heard = match &ending {
            Ending::Failed(failure) => Heard::Fail(failure.clone()),
            _ => Heard::End,
        };
        self.end_attempt(worker, grant, ending, Some(heard));
    }

    pub(crate) fn dropped(&mut self, worker: WorkerId, grant: GrantId) {
        if !self.is_stuck(worker) {
            self.end_attempt(worker, grant, Ending::Cancelled, None);
        }
    }

    fn end_attempt(&mut self, worker: WorkerId, grant: GrantId, ending: Ending, heard: Option<Heard>) {
        let Some(attempt) = self.workers.get_mut(&worker).and_then(|it| it.running.remove(&grant)) else {
            return;
        };
        self.workers.get_mut(&worker).expect("it ran there").over.insert(grant);
        self.finished(worker, grant, ending);
        if let Some(heard) = heard {
            self.answer(attempt.frontend, attempt.request, grant, heard);
        }
        self.exit_if_idle(worker);
    }

    fn finished(&mut self, worker: WorkerId, grant: GrantId, ending: Ending) {
        let finished = Finished {
            grant,
            ending,
            usage: Usage::default(),
            upstream_status: None,
            first_byte_us: None,
            total_us: 1000,
            bytes_received: 0,
            warnings: String::new(),
        };
        self.worker_says(worker, Event::Finished { worker, finished: Box::new(finished) });
    }

    fn answer(&mut self, frontend: FrontendId, request: RequestId, grant: GrantId, heard: Heard) {
        // The head and the end come on one connection, so in order; 120 ms is the longest delay.
        let after = match heard {
            Heard::Head => self.dice.between(10, 500),
            _ => 500 + self.delay(),
        };
        self.later(after, Step::Hears(frontend, request, grant, heard));
    }

    pub(crate) fn worker_hears(&mut self, id: WorkerId, message: &ToWorker) -> Result<(), String> {
        let Some(worker) = self.workers.get_mut(&id) else { return Ok(()) };
        if worker.is_stuck {
            return Ok(());
        }
        match message {
            &ToWorker::Revoke { grant } => {
                worker.refused.insert(grant);
                if let Some(attempt) = worker.running.get(&grant) {
                    let (frontend, request) = (attempt.frontend, attempt.request);
                    self.watch.stopped_by_us(grant, request, self.wants(frontend, request, grant))?;
                    let failure = Failure::new(FailureKind::GrantLapsed, "revoked");
                    self.end_attempt(id, grant, Ending::Cancelled, Some(Heard::Fail(failure)));
                } else if !worker.over.contains(&grant) {
                    self.finished(id, grant, Ending::NeverStarted);
                }
            }
            &ToWorker::Recall { grant } => {
                let is_known = worker.running.contains_key(&grant) || worker.over.contains(&grant);
                if !is_known && worker.refused.insert(grant) {
                    self.finished(id, grant, Ending::NeverStarted);
                }
            }
            ToWorker::Probe => self.looks(id),
            ToWorker::Drain { .. } => {
                worker.is_draining = true;
                self.exit_if_idle(id);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a frontend still waits for what comes of an attempt.
    fn wants(&self, frontend: FrontendId, request: RequestId, grant: GrantId) -> bool {
        let held = self.frontends.get(&frontend).and_then(|it| it.held.get(&request));
        held.is_some_and(
            |(hold, _)| matches!(hold, Hold::Going(used, _) | Hold::Streams(used, _) if *used == grant),
        )
    }

    fn exit_if_idle(&mut self, worker: WorkerId) {
        let is_done = |it: &Worker| it.is_draining && it.running.is_empty();
        if self.workers.get(&worker).is_some_and(is_done) {
            self.worker_says(worker, Event::WorkerDrained { worker });
            let after = 200_000 + self.delay();
            self.later(after, Step::WorkerDies(worker));
        }
    }

    /// A worker looks at its backend and says what it saw.
    pub(crate) fn looks(&mut self, worker: WorkerId) {
        if self.is_stuck(worker) {
            return;
        }
        let upstream = &self.upstreams[&worker.backend];
        let offer = |id: &ModelName| OfferedModel { id: id.clone(), created: None, owned_by: None };
        let models = if upstream.is_away {
            Err(ProbeFailure { kind: ProbeFailureKind::Unreachable, detail: "away".to_owned() })
        } else {
            Ok(upstream.offers.iter().map(offer).collect())
        };
        let loaded = |id: &ModelName| LoadedModel { id: id.clone(), context: None };
        let loaded = (upstream.tells_loaded && !upstream.is_away)
            .then(|| upstream.loaded.iter().map(loaded).collect());
        let report = ProbeReport { models, loaded, slots: None, max_models: None, took_us: 1000 };
        self.worker_says(worker, Event::Probed { worker, report: Box::new(report) });
    }
}

/// What becomes of an attempt, and when its answer begins, in microseconds.
fn fate(dice: &mut Dice, upstream: &mut Upstream, model: &ModelName, failures: u64) -> (Ending, u64) {
    let fail = |kind| Ending::Failed(Failure::new(kind, "as planned"));
    if upstream.is_away {
        return (fail(FailureKind::Unreachable), 500);
    }
    if dice.per_mille(failures) {
        return match dice.below(6) {
            0 | 1 => (fail(FailureKind::ServerError), 5000),
            2 => {
                let failure = Failure::new(FailureKind::Overloaded, "too much to do");
                (Ending::Failed(failure.with_retry_after_ms(Some(dice.between(0, 1500)))), 500)
            }
            3 => (fail(FailureKind::Timeout(Wait::FirstEvent)), 3_000_000),
            4 => (fail(FailureKind::Malformed), 50_000),
            _ => (Ending::Declined, 3000),
        };
    }
    let load = if upstream.loaded.as_ref() == Some(model) { 0 } else { dice.between(50_000, 800_000) };
    upstream.loaded = Some(model.clone());
    (Ending::Complete, load + dice.between(500, 50_000))
}
