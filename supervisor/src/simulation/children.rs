//! How frontends and workers behave in a simulated world: as the real ones do, at once.

use std::net::SocketAddr;
use std::time::Duration;

use dialect::load::LoadOptions;
use dialect::{Endpoint, Usage};
use ipc_proto::control::{
    Admission, Ending, Finished, Grant, LoadedModel, OfferedModel, Outcome, ProbeFailure, ProbeFailureKind,
    ProbeReport, ToFrontend, ToWorker,
};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{FrontendId, GrantId, KeyId, Label, RequestId, WorkerId};

use super::course::Fate;
use super::dice::Dice;
use super::engine::{Happening, Order, Run};
use super::setting::{model_name, model_number};
use super::world::{Stage, Step, World, backend_of, server_of};
use crate::scheduler::laws::Laws;
use crate::scheduler::{Effect, Event, Note};

/// The only frontend.
const FRONTEND: FrontendId = FrontendId { seat: 0, generation: 1 };
/// Bytes of a body per token of its prompt, roughly.
const BYTES_PER_TOKEN: u64 = 4;

impl<L: Laws> World<'_, L> {
    pub(super) fn frontend_starts(&mut self, frontend: FrontendId) {
        self.said.push_back(Event::FrontendUp { frontend, pid: 1 });
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        self.said.push_back(Event::FrontendListening { frontend, address });
    }

    pub(super) fn worker_starts(&mut self, worker: WorkerId) {
        self.said.push_back(Event::WorkerUp { worker, pid: 2 });
        self.said.push_back(Event::WorkerReady { worker });
        self.look(server_of(worker.backend));
    }

    /// Takes note of what the scheduler says about backends, before anything else is done.
    pub(super) fn heed(&mut self, effect: &Effect) {
        let Effect::Note(note) = effect else { return };
        let server = |backend: &str| self.instance.servers.iter().position(|server| server.name == backend);
        match note {
            Note::BackendUp { backend, .. } | Note::BackendDown { backend, .. } => {
                let is_up = matches!(note, Note::BackendUp { .. });
                if let (Some(server), Some(audit)) = (server(backend), &mut self.audit) {
                    audit.known_up(server, is_up);
                }
            }
            Note::Load { backend, model, evicts, reason } => {
                if let (Some(server), Some(model)) = (server(backend), model_number(model)) {
                    self.victims.insert((server, model), model_number(evicts));
                    if let Some(audit) = &mut self.audit {
                        audit.explained(server, model, reason);
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn client_arrives(&mut self, number: usize) {
        let job = &self.instance.requests[number];
        self.minted.push(number);
        let id = RequestId(self.minted.len() as u128);
        let exchange = &mut self.exchanges[number];
        exchange.id = id;
        exchange.stage = Stage::Waits;
        exchange.arrived = self.now;
        if let Some(audit) = &mut self.audit {
            audit.arrived(self.now, number);
        }
        let admission = Admission {
            request: id,
            label: Label::of(id),
            endpoint: if job.output_tokens == 0 { Endpoint::Embeddings } else { Endpoint::ChatCompletions },
            model: model_name(job.model),
            key: KeyId(u32::try_from(job.client).unwrap_or(u32::MAX)),
            stream: job.stream,
            body_bytes: u64::from(job.prompt_tokens) * BYTES_PER_TOKEN,
            max_output_tokens: None,
            affinity: 0,
            deadline_ms: None,
            waited_ms: 0,
            class: Some(job.class),
            load: LoadOptions::default(),
            under: None,
            only: None,
        };
        self.said.push_back(Event::Admit { frontend: FRONTEND, admission: Box::new(admission) });
        if let Some(patience) = job.patience {
            self.at(self.now + Duration::from_secs_f64(patience), Step::LosesPatience(number));
        }
    }

    /// Clients leave while they wait; once their request has been sent somewhere they wait for the answer.
    pub(super) fn client_loses_patience(&mut self, number: usize) {
        if self.exchanges[number].stage == Stage::Waits {
            self.said.push_back(Event::Withdraw { frontend: FRONTEND, request: self.exchanges[number].id });
            self.give_up(number);
        }
    }

    fn give_up(&mut self, number: usize) {
        if let Some(audit) = &mut self.audit {
            audit.left(number);
        }
        self.settle(number, Fate::GaveUp);
    }

    fn job_of(&self, request: RequestId) -> Option<usize> {
        let place = usize::try_from(request.0).ok()?.checked_sub(1)?;
        self.minted.get(place).copied()
    }

    pub(super) fn frontend_hears(&mut self, message: ToFrontend) -> Result<(), String> {
        match message {
            ToFrontend::Granted(grant) => self.goes(&grant),
            ToFrontend::Rejected { request, failure, .. } => {
                let Some(number) = self.job_of(request) else { return Ok(()) };
                if self.exchanges[number].stage == Stage::Waits {
                    if let Some(audit) = &mut self.audit {
                        audit.left(number);
                    }
                    self.close(number, failure.kind.status(), Some(failure));
                    self.settle(number, Fate::Failed);
                }
                Ok(())
            }
            ToFrontend::Lent(grant) => {
                self.said.push_back(Event::Returned { frontend: FRONTEND, grant: grant.grant });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The frontend goes to the worker, and the worker to its server.
    fn goes(&mut self, grant: &Grant) -> Result<(), String> {
        let (now, server) = (self.now, server_of(grant.worker.backend));
        let number = self.job_of(grant.request).ok_or("a grant for a request that never came")?;
        if let Some(audit) = &mut self.audit {
            audit.granted(now, number, server, grant.attempt, &self.engines)?;
        }
        self.course.decisions.push((number, server));
        let instance = self.instance;
        let (job, host) = (&instance.requests[number], &instance.servers[server]);
        let exchange = &mut self.exchanges[number];
        exchange.stage = Stage::Going { server, has_head: false };
        exchange.server = Some(server);
        exchange.attempts += 1;
        self.said.push_back(Event::Started { worker: grant.worker, grant: grant.grant });
        if self.engines[server].is_away {
            let failure = Failure::new(FailureKind::Unreachable, "connection refused");
            self.attempt_fails(number, server, grant.grant, failure, 0);
            return Ok(());
        }
        let mut chance = Dice::named(&[
            instance.seed,
            self.luck,
            number as u64,
            u64::from(self.exchanges[number].attempts),
        ]);
        // While the prompt is read, so that another try can help.
        let breaks_after = chance.chance(host.error_rate).then(|| chance.unit());
        let order = Order {
            grant: grant.grant,
            job: number,
            model: job.model,
            service: host.service(job),
            breaks_after,
        };
        let victim = self.victims.remove(&(server, job.model)).flatten();
        let load = self.engines[server].take(now, &order, victim)?;
        if let (Some(load), Some(audit)) = (load, &mut self.audit) {
            let scheduler = &self.scheduler;
            let expected_s = |model| scheduler.expected_load_s(backend_of(server), &model_name(model));
            let ready = self.engines[server].ready_at(load.model);
            audit.loaded(now, server, (load, ready), expected_s)?;
        }
        self.replan(server);
        Ok(())
    }

    fn worker_of(server: usize) -> WorkerId {
        // No worker of this world ever dies.
        WorkerId { backend: backend_of(server), generation: 1 }
    }

    /// An engine has come to the next thing it does.
    pub(super) fn engine_turns(&mut self, server: usize) {
        let worker = Self::worker_of(server);
        for happening in self.engines[server].go_on(self.now) {
            match happening {
                Happening::Started(run) => self.exchanges[run.job].started = Some(self.now),
                // Only a stream is heard of before its end.
                Happening::Begun(run) if self.instance.requests[run.job].stream => {
                    let first_byte_us = self.now.since(run.called);
                    self.said.push_back(Event::Begun { worker, grant: run.grant, first_byte_us });
                    self.exchanges[run.job].stage = Stage::Going { server, has_head: true };
                }
                Happening::Begun(_) => {}
                Happening::Done(run) => self.attempt_is_done(worker, &run),
                Happening::Broke(run) => {
                    let failure = Failure::new(FailureKind::ServerError, "a passing error").with_status(500);
                    let took_us = self.now.since(run.called);
                    self.attempt_fails(run.job, server, run.grant, failure, took_us);
                }
            }
        }
        self.replan(server);
    }

    fn attempt_is_done(&mut self, worker: WorkerId, run: &Run) {
        let job = &self.instance.requests[run.job];
        let total_us = self.now.since(run.called);
        if !job.stream {
            self.said.push_back(Event::Begun { worker, grant: run.grant, first_byte_us: total_us });
        }
        let usage = Usage {
            input_tokens: Some(job.prompt_tokens.into()),
            output_tokens: Some(job.output_tokens.into()),
            ..Usage::default()
        };
        self.finished(worker, run.grant, Ending::Complete, usage, total_us);
        self.close(run.job, 200, None);
        if let Some(audit) = &mut self.audit {
            audit.done(server_of(worker.backend));
        }
        self.settle(run.job, Fate::Done);
    }

    fn finished(&mut self, worker: WorkerId, grant: GrantId, ending: Ending, usage: Usage, total_us: u64) {
        let is_complete = ending == Ending::Complete;
        let finished = Finished {
            grant,
            ending,
            usage,
            upstream_status: is_complete.then_some(200),
            first_byte_us: is_complete.then_some(total_us),
            total_us,
            bytes_received: 0,
            warnings: String::new(),
        };
        self.said.push_back(Event::Finished { worker, finished: Box::new(finished) });
    }

    fn close(&mut self, number: usize, status: u16, failure: Option<Failure>) {
        let exchange = &self.exchanges[number];
        let total_us = self.now.since(exchange.arrived);
        let outcome = Outcome { status, failure, first_byte_us: None, total_us, bytes_sent: 0 };
        self.said.push_back(Event::Closed { frontend: FRONTEND, request: exchange.id, outcome });
    }

    fn attempt_fails(
        &mut self,
        number: usize,
        server: usize,
        grant: GrantId,
        failure: Failure,
        took_us: u64,
    ) {
        let exchange = &self.exchanges[number];
        let Stage::Going { has_head, .. } = exchange.stage else { return };
        let (worker, request, arrived) = (Self::worker_of(server), exchange.id, exchange.arrived);
        self.exchanges[number].started = None;
        if let Some(audit) = &mut self.audit {
            audit.failed(self.now, number, server, has_head);
        }
        if has_head {
            let failure = Failure::new(FailureKind::Broken, failure.detail);
            self.finished(worker, grant, Ending::Failed(failure.clone()), Usage::default(), took_us);
            self.close(number, 200, Some(failure));
            self.settle(number, Fate::Failed);
            return;
        }
        self.finished(worker, grant, Ending::Failed(failure.clone()), Usage::default(), took_us);
        let patience = self.instance.requests[number].patience;
        if patience.is_some_and(|patience| arrived + Duration::from_secs_f64(patience) <= self.now) {
            self.said.push_back(Event::Withdraw { frontend: FRONTEND, request });
            self.give_up(number);
            return;
        }
        self.exchanges[number].stage = Stage::Waits;
        self.said.push_back(Event::AttemptFailed { frontend: FRONTEND, request, grant, failure });
    }

    pub(super) fn server_goes_away(&mut self, server: usize) {
        if let Some(audit) = &mut self.audit {
            audit.went_away(server);
        }
        for run in self.engines[server].crash(self.now) {
            let failure = Failure::new(FailureKind::Unreachable, "the connection broke");
            self.attempt_fails(run.job, server, run.grant, failure, self.now.since(run.called));
        }
        self.replan(server);
    }

    pub(super) fn worker_hears(&mut self, worker: WorkerId, message: &ToWorker) {
        let server = server_of(worker.backend);
        match message {
            ToWorker::Probe => self.look(server),
            &ToWorker::Revoke { grant } => {
                let dropped = self.engines[server].drop_run(self.now, grant);
                let ending = if dropped.is_some() { Ending::Cancelled } else { Ending::NeverStarted };
                let took_us = dropped.map_or(0, |run| self.now.since(run.called));
                self.finished(worker, grant, ending, Usage::default(), took_us);
                self.replan(server);
            }
            _ => {}
        }
    }

    /// A worker looks at its server and says what it saw.
    pub(super) fn look(&mut self, server: usize) {
        let engine = &self.engines[server];
        let name = |number: usize| model_name(number);
        let offers = (0..engine.server.can.len()).filter(|number| engine.server.can[*number]);
        let models = if engine.is_away {
            Err(ProbeFailure { kind: ProbeFailureKind::Unreachable, detail: "connection refused".to_owned() })
        } else {
            Ok(offers
                .map(|number| OfferedModel { id: name(number), created: None, owned_by: None })
                .collect())
        };
        let loaded = (!engine.is_away)
            .then(|| engine.ready().map(|number| LoadedModel { id: name(number), context: None }).collect());
        if let (Some(audit), true) = (&mut self.audit, engine.runs.is_empty()) {
            audit.seen(server);
        }
        let report = ProbeReport { models, loaded, slots: None, max_models: None, took_us: 1000 };
        self.said.push_back(Event::Probed { worker: Self::worker_of(server), report: Box::new(report) });
    }
}
