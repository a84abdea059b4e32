//! How frontends, workers and backends behave: as the real ones promise, and as badly as the real ones may.

use std::collections::{BTreeMap, BTreeSet};

use dialect::{Endpoint, Usage};
use ipc_proto::control::{
    Admission, Ending, Finished, Grant, LoadedModel, OfferedModel, Outcome, ProbeFailure, ProbeFailureKind,
    ProbeReport, ToFrontend, ToWorker,
};
use ipc_proto::failure::{Failure, FailureKind, Wait};
use ipc_proto::ids::{FrontendId, GrantId, KeyId, Label, ModelName, RequestId, WorkerId};
use supervisor::scheduler::Event;
use supervisor::scheduler::catalog::Backend;
use supervisor::scheduler::laws::Laws;

use crate::dice::Dice;
use crate::world::{Heard, Link, Step, World};

/// Where an exchange stands at its frontend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    /// Waits for the scheduler's word.
    Waits,
    /// Goes, or has gone, to a worker; nothing has been sent to the client.
    Going(GrantId, WorkerId),
    /// The client is being answered.
    Streams(GrantId, WorkerId),
}

/// A frontend that is alive.
#[derive(Default)]
pub(crate) struct Frontend {
    pub(crate) held: BTreeMap<RequestId, (Hold, ModelName)>,
    is_draining: bool,
}

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

fn outcome(status: u16, failure: Option<Failure>) -> Outcome {
    Outcome { status, failure, first_byte_us: None, total_us: 1, bytes_sent: 0 }
}

impl<L: Laws> World<L> {
    fn frontend_says(&mut self, frontend: FrontendId, event: Event) {
        self.send(Link::FromFrontend(frontend), Step::Tell(event));
    }

    fn worker_says(&mut self, worker: WorkerId, event: Event) {
        self.send(Link::FromWorker(worker), Step::Tell(event));
    }

    pub(crate) fn frontend_starts(&mut self, frontend: FrontendId) {
        self.frontends.insert(frontend, Frontend::default());
        self.frontend_says(frontend, Event::FrontendUp { frontend, pid: 1 });
        let address = ([127, 0, 0, 1], 1).into();
        self.frontend_says(frontend, Event::FrontendListening { frontend, address });
    }

    pub(crate) fn frontend_dies(&mut self, frontend: FrontendId) {
        let Some(dead) = self.frontends.remove(&frontend) else { return };
        for (hold, _) in dead.held.into_values() {
            self.drop_connection(hold);
        }
        let after = self.delay();
        self.later(after, Step::Tell(Event::FrontendGone { frontend }));
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

    pub(crate) fn client_arrives(&mut self) {
        let open: Vec<FrontendId> =
            self.frontends.iter().filter(|(_, it)| !it.is_draining).map(|(id, _)| *id).collect();
        if open.is_empty() {
            return;
        }
        let frontend = self.dice.pick(&open);
        let model = self.dice.pick(&self.scenario.names);
        self.minted += 1;
        let request = RequestId(self.minted << 64 | 0x5eed);
        let held = &mut self.frontends.get_mut(&frontend).expect("it is open").held;
        held.insert(request, (Hold::Waits, model.clone()));
        let admission = Admission {
            request,
            label: Label::of(request),
            endpoint: if self.dice.per_mille(30) { Endpoint::Messages } else { Endpoint::ChatCompletions },
            model,
            key: KeyId::ANONYMOUS,
            stream: true,
            body_bytes: 1,
            max_output_tokens: None,
            affinity: 0,
            deadline_ms: self.dice.per_mille(50).then_some(3000),
            waited_ms: 0,
            class: None,
            load: dialect::load::LoadOptions::default(),
            under: None,
        };
        self.frontend_says(frontend, Event::Admit { frontend, admission: Box::new(admission) });
        if self.dice.per_mille(self.scenario.impatience) {
            let after = self.dice.between(0, 4_000_000);
            self.later(after, Step::Leaves(request));
        }
    }

    fn holder(&self, request: RequestId) -> Option<(FrontendId, Hold)> {
        let holds = |(id, it): (&FrontendId, &Frontend)| Some((*id, it.held.get(&request)?.0));
        self.frontends.iter().find_map(holds)
    }

    pub(crate) fn client_leaves(&mut self, request: RequestId) {
        let Some((frontend, hold)) = self.holder(request) else { return };
        if let Hold::Streams(..) = hold {
            let failure = Failure::new(FailureKind::ClientGone, "the client left");
            self.close(frontend, request, outcome(499, Some(failure)));
        } else {
            self.frontend_says(frontend, Event::Withdraw { frontend, request });
            self.forget(frontend, request);
        }
    }

    /// The frontend's last word on a request.
    fn close(&mut self, frontend: FrontendId, request: RequestId, outcome: Outcome) {
        self.frontend_says(frontend, Event::Closed { frontend, request, outcome });
        self.forget(frontend, request);
    }

    fn forget(&mut self, frontend: FrontendId, request: RequestId) {
        let Some(it) = self.frontends.get_mut(&frontend) else { return };
        if let Some((hold, _)) = it.held.remove(&request) {
            self.drop_connection(hold);
        }
        self.exit_if_drained(frontend);
    }

    fn drop_connection(&mut self, hold: Hold) {
        if let Hold::Going(grant, worker) | Hold::Streams(grant, worker) = hold {
            let after = self.delay();
            self.later(after, Step::Dropped(worker, grant));
        }
    }

    fn exit_if_drained(&mut self, frontend: FrontendId) {
        let is_done = |it: &Frontend| it.is_draining && it.held.is_empty();
        if self.frontends.get(&frontend).is_some_and(is_done) {
            self.frontend_says(frontend, Event::FrontendDrained { frontend });
            let after = 200_000 + self.delay();
            self.later(after, Step::FrontendDies(frontend));
        }
    }

    pub(crate) fn frontend_hears(&mut self, frontend: FrontendId, message: ToFrontend) {
        let Some(it) = self.frontends.get_mut(&frontend) else { return };
        match message {
            ToFrontend::Granted(grant) => {
                let Some((hold, model)) = it.held.get_mut(&grant.request) else { return };
                *hold = Hold::Going(grant.grant, grant.worker);
                let model = model.clone();
                if self.dice.per_mille(self.scenario.impatience / 5) {
                    // Just when the grant has come, and before it is used.
                    let (request, after) = (grant.request, self.dice.between(0, 1000));
                    self.later(after, Step::Leaves(request));
                }
                let is_late = self.dice.per_mille(self.scenario.lapses);
                let after = if is_late { self.dice.between(4_500_000, 7_000_000) } else { self.delay() };
                self.later(after, Step::Comes(frontend, grant, model));
            }
            ToFrontend::Rejected { request, failure, .. } if it.held.contains_key(&request) => {
                self.close(frontend, request, outcome(failure.kind.status(), Some(failure)));
            }
            ToFrontend::Cancel { request } if it.held.contains_key(&request) => {
                let failure = Failure::new(FailureKind::Cancelled, "an operator");
                self.close(frontend, request, outcome(499, Some(failure)));
            }
            ToFrontend::Drain { .. } => {
                it.is_draining = true;
                self.exit_if_drained(frontend);
            }
            _ => {}
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
        let model = grant.model.clone().unwrap_or(model);
        let backend = grant.worker.backend;
        let upstream = self.upstreams.get_mut(&backend).expect("it is configured");
        let (ending, begins_us) = fate(&mut self.dice, upstream, &model, self.scenario.failures);
        let attempt =
            Attempt { frontend, request: grant.request, model, ending: ending.clone(), has_begun: false };
        worker.running.insert(grant.grant, attempt);
        self.watch.running(backend, &self.workers)?;
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

    pub(crate) fn hears(&mut self, frontend: FrontendId, request: RequestId, grant: GrantId, heard: Heard) {
        let Some((hold, _)) = self.frontends.get_mut(&frontend).and_then(|it| it.held.get_mut(&request))
        else {
            return;
        };
        match (*hold, heard) {
            (Hold::Going(used, worker), Heard::Head) if used == grant => *hold = Hold::Streams(grant, worker),
            (Hold::Going(used, _) | Hold::Streams(used, _), Heard::End) if used == grant => {
                self.close(frontend, request, outcome(200, None));
            }
            (Hold::Going(used, _), Heard::Fail(failure)) if used == grant => {
                *hold = Hold::Waits;
                self.frontend_says(frontend, Event::AttemptFailed { frontend, request, grant, failure });
            }
            (Hold::Streams(used, _), Heard::Fail(failure)) if used == grant => {
                let failure = Failure::new(FailureKind::Broken, failure.detail);
                self.close(frontend, request, outcome(200, Some(failure)));
            }
            _ => {}
        }
    }

    pub(crate) fn worker_hears(&mut self, id: WorkerId, message: &ToWorker) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.is_stuck {
            return;
        }
        match message {
            &ToWorker::Revoke { grant } => {
                worker.refused.insert(grant);
                if worker.running.contains_key(&grant) {
                    let failure = Failure::new(FailureKind::GrantLapsed, "revoked");
                    self.end_attempt(id, grant, Ending::Cancelled, Some(Heard::Fail(failure)));
                } else {
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
