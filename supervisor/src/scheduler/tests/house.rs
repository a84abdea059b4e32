//! A scheduler with its children played by the test: one frontend, one worker per backend, time by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use dialect::{Endpoint, Usage};
use ipc_proto::control::{
    Admission, Ending, Finished, Grant, OfferedModel, Outcome, ProbeFailure, ProbeFailureKind, ProbeReport,
    ToFrontend,
};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{BackendId, FrontendId, GrantId, KeyId, Label, ModelName, RequestId, WorkerId};
use ipc_proto::operator::{BackendView, Refusal, RequestRecord};
use ipc_proto::spec::BackendKind;

use crate::clock::Time;
use crate::scheduler::catalog::{
    Alias, Backend, Catalog, Client, HealthPolicy, Knobs, LoadPolicy, Overflow, QueueLimits, RetryPolicy,
    Strategy,
};
use crate::scheduler::{Effect, Event, Order, Scheduler};

/// A swapping backend with one slot.
pub(super) fn backend(name: &str, priority: i32, models: &[&str]) -> Backend {
    Backend {
        name: name.to_owned(),
        kind: BackendKind::LmStudio,
        dialects: BackendKind::LmStudio.dialects().to_vec(),
        url: format!("http://{name}"),
        priority,
        slots: Some(1),
        serialize_by_model: Some(true),
        max_models: None,
        is_hosted: false,
        overflow: Overflow::Member,
        weight: 1,
        models: Some(models.iter().map(|model| ModelName::new(model)).collect()),
    }
}

/// A backend that need not swap, with four slots.
pub(super) fn cloud(name: &str, priority: i32, models: &[&str]) -> Backend {
    Backend {
        kind: BackendKind::OpenAi,
        dialects: BackendKind::OpenAi.dialects().to_vec(),
        slots: Some(4),
        serialize_by_model: Some(false),
        ..backend(name, priority, models)
    }
}

pub(super) fn catalog(backends: Vec<Backend>) -> Catalog {
    let numbered = (0..).map(BackendId).zip(backends);
    Catalog {
        backends: numbered.collect(),
        aliases: BTreeMap::new(),
        clients: BTreeMap::from([(KeyId(0), Client { name: "alice".to_owned(), ..Client::default() })]),
        strategy: Strategy::DeferredModelThenCapable,
        knobs: Knobs::default(),
        load_options: LoadPolicy::default(),
        queue: QueueLimits {
            max_waiting: 100,
            max_waiting_per_model: None,
            max_waiting_per_client: None,
            timeout_ms: None,
        },
        retry: RetryPolicy { max_attempts: 3, initial_backoff_ms: 500, max_backoff_ms: 4000 },
        health: HealthPolicy { unhealthy_after_failed_probes: 3, probe_interval_ms: Some(30_000) },
        frontends: 1,
        shutdown_grace_ms: 5000,
    }
}

/// A scheduler and its surroundings.
pub(super) struct House {
    pub(super) scheduler: Scheduler,
    pub(super) now: Time,
    /// Effects that no verb has looked at, oldest first.
    pub(super) seen: Vec<Effect>,
    grants: BTreeMap<RequestId, Grant>,
    last: u128,
}

impl House {
    /// Everything is started, nothing has answered.
    pub(super) fn started(catalog: Catalog) -> Self {
        let scheduler = Scheduler::new(Arc::new(catalog), 1, 1_700_000_000_000_000);
        let mut house = Self { scheduler, now: Time(0), seen: Vec::new(), grants: BTreeMap::new(), last: 0 };
        house.scheduler.start(house.now, &mut house.seen);
        house
    }

    /// One frontend listens and every worker is ready.
    pub(super) fn of(catalog: Catalog) -> Self {
        let backends: Vec<BackendId> = catalog.backends.keys().copied().collect();
        let mut house = Self::started(catalog);
        let frontend = FRONTEND;
        house.tell(Event::FrontendUp { frontend, pid: 1 });
        for backend in backends {
            house.worker_starts(WorkerId { backend, generation: 1 });
        }
        house.tell(Event::FrontendListening { frontend, address: ([127, 0, 0, 1], 1).into() });
        house.pass(1);
        house.seen.clear();
        house
    }

    pub(super) fn with(backends: Vec<Backend>) -> Self {
        Self::of(catalog(backends))
    }

    pub(super) fn worker_starts(&mut self, worker: WorkerId) {
        self.tell(Event::WorkerUp { worker, pid: 2 });
        self.tell(Event::WorkerReady { worker });
    }

    pub(super) fn tell(&mut self, event: Event) {
        let from = self.seen.len();
        self.scheduler.handle(self.now, event, &mut self.seen);
        for effect in &self.seen[from..] {
            if let Effect::ToFrontend(_, ToFrontend::Granted(grant)) = effect {
                self.grants.insert(grant.request, (**grant).clone());
            }
        }
    }

    /// Lets time pass, deadline by deadline.
    pub(super) fn pass(&mut self, milliseconds: u64) {
        self.pass_micros(milliseconds * 1000);
    }

    pub(super) fn pass_micros(&mut self, microseconds: u64) {
        let end = Time(self.now.0 + microseconds);
        while let Some(next) = self.scheduler.next_deadline().filter(|next| *next <= end) {
            self.now = next;
            self.tell(Event::Tick);
        }
        self.now = end;
    }

    pub(super) fn admission(&mut self, model: &str) -> Admission {
        self.last += 1;
        let request = RequestId(self.last);
        Admission {
            request,
            label: Label::from_client(&format!("label-{}", self.last)).unwrap(),
            endpoint: Endpoint::ChatCompletions,
            model: ModelName::new(model),
            key: KeyId(0),
            stream: true,
            body_bytes: 10,
            max_output_tokens: None,
            affinity: 0,
            deadline_ms: None,
            waited_ms: 0,
            class: None,
            load: dialect::load::LoadOptions::default(),
            under: None,
            only: None,
        }
    }

    pub(super) fn ask(&mut self, model: &str) -> RequestId {
        let admission = self.admission(model);
        self.admit(admission)
    }

    pub(super) fn admit(&mut self, admission: Admission) -> RequestId {
        let request = admission.request;
        self.tell(Event::Admit { frontend: FRONTEND, admission: Box::new(admission) });
        request
    }

    /// The name of the backend a request was granted last; empty if none.
    pub(super) fn place(&self, request: RequestId) -> String {
        let Some(grant) = self.grants.get(&request) else { return String::new() };
        self.views()[&grant.worker.backend].name.clone()
    }

    /// Its latest grant, as the frontend got it.
    pub(super) fn lease(&self, request: RequestId) -> Grant {
        self.grants[&request].clone()
    }

    /// Whether it has a grant now.
    pub(super) fn runs(&self, request: RequestId) -> bool {
        self.record(request).state == ipc_proto::operator::RequestState::Running
    }

    /// Whether it lives and has a grant now.
    pub(super) fn grant_is_live(&self, request: RequestId) -> bool {
        let record = self.scheduler.record(self.now, request);
        record.is_some_and(|record| record.state == ipc_proto::operator::RequestState::Running)
    }

    pub(super) fn grant_of(&self, request: RequestId) -> (WorkerId, GrantId) {
        let grant = &self.grants[&request];
        (grant.worker, grant.grant)
    }

    pub(super) fn record(&self, request: RequestId) -> RequestRecord {
        self.scheduler.record(self.now, request).expect("it lives")
    }

    fn views(&self) -> BTreeMap<BackendId, BackendView> {
        let ids = self.scheduler.ranking.iter().copied();
        ids.zip(self.scheduler.backends(self.now)).collect()
    }

    pub(super) fn view(&self, name: &str) -> BackendView {
        self.scheduler
            .backends(self.now)
            .into_iter()
            .find(|view| view.name == name)
            .expect("it is configured")
    }

    pub(super) fn begin(&mut self, request: RequestId) {
        let (worker, grant) = self.grant_of(request);
        self.tell(Event::Started { worker, grant });
        self.tell(Event::Begun { worker, grant, first_byte_us: 700 });
    }

    pub(super) fn finish(&mut self, request: RequestId, ending: Ending, status: Option<u16>) {
        let (worker, grant) = self.grant_of(request);
        let finished = Finished {
            grant,
            ending,
            usage: Usage { input_tokens: Some(3), ..Usage::default() },
            upstream_status: status,
            first_byte_us: Some(700),
            total_us: 2_000_000,
            bytes_received: 5,
            warnings: String::new(),
        };
        self.tell(Event::Finished { worker, finished: Box::new(finished) });
    }

    pub(super) fn close(&mut self, request: RequestId, status: u16, failure: Option<Failure>) {
        let outcome =
            Outcome { status, failure, first_byte_us: Some(800), total_us: 2_000_100, bytes_sent: 5 };
        self.tell(Event::Closed { frontend: FRONTEND, request, outcome });
    }

    /// The frontend has come to the worker.
    pub(super) fn come(&mut self, request: RequestId) {
        let (worker, grant) = self.grant_of(request);
        self.tell(Event::Started { worker, grant });
    }

    /// A whole good attempt that takes so long, `load_ms` of it before the answer begins.
    pub(super) fn work(&mut self, request: RequestId, load_ms: u64, answer_ms: u64) {
        self.come(request);
        self.pass(load_ms);
        let (worker, grant) = self.grant_of(request);
        self.tell(Event::Begun { worker, grant, first_byte_us: load_ms * 1000 });
        self.pass(answer_ms);
        let finished = Finished {
            grant,
            ending: Ending::Complete,
            usage: Usage::default(),
            upstream_status: Some(200),
            first_byte_us: Some(load_ms * 1000),
            total_us: (load_ms + answer_ms) * 1000,
            bytes_received: 5,
            warnings: String::new(),
        };
        self.tell(Event::Finished { worker, finished: Box::new(finished) });
        self.close(request, 200, None);
    }

    /// A whole good attempt.
    pub(super) fn complete(&mut self, request: RequestId) {
        self.begin(request);
        self.finish(request, Ending::Complete, Some(200));
        self.close(request, 200, None);
    }

    /// An attempt that fails on the backend.
    pub(super) fn fail(&mut self, request: RequestId, failure: Failure) {
        let (worker, grant) = self.grant_of(request);
        self.tell(Event::Started { worker, grant });
        self.finish(request, Ending::Failed(failure.clone()), failure.upstream_status);
        self.tell(Event::AttemptFailed { frontend: FRONTEND, request, grant, failure });
    }

    pub(super) fn fail_with(&mut self, request: RequestId, kind: FailureKind) {
        self.fail(request, Failure::new(kind, "it broke"));
    }

    pub(super) fn probe(&mut self, backend: u32, generation: u32, models: Result<&[&str], ProbeFailureKind>) {
        let offer = |name: &&str| OfferedModel { id: ModelName::new(name), created: None, owned_by: None };
        let models = models
            .map(|names| names.iter().map(offer).collect())
            .map_err(|kind| ProbeFailure { kind, detail: "no luck".to_owned() });
        self.told(
            backend,
            generation,
            ProbeReport { models, loaded: None, slots: None, max_models: None, took_us: 0 },
        );
    }

    pub(super) fn told(&mut self, backend: u32, generation: u32, report: ProbeReport) {
        let worker = WorkerId { backend: BackendId(backend), generation };
        self.tell(Event::Probed { worker, report: Box::new(report) });
    }

    pub(super) fn order(&mut self, order: Order) -> Result<String, Refusal> {
        self.tell(Event::Ordered { ticket: 9, order });
        self.seen
            .iter()
            .rev()
            .find_map(|effect| match effect {
                Effect::Reply { ticket: 9, reply } => Some(reply.clone()),
                _ => None,
            })
            .expect("an order is answered")
    }

    /// How a request was refused.
    pub(super) fn refusal(&self, wanted: RequestId) -> Option<Failure> {
        self.seen.iter().rev().find_map(|effect| match effect {
            Effect::ToFrontend(_, ToFrontend::Rejected { request, failure, .. }) if *request == wanted => {
                Some(failure.clone())
            }
            _ => None,
        })
    }

    pub(super) fn ended(&self) -> Vec<RequestRecord> {
        let ended = |effect: &Effect| match effect {
            Effect::Ended(record) => Some((**record).clone()),
            _ => None,
        };
        self.seen.iter().filter_map(ended).collect()
    }
}

/// The one frontend.
pub(super) const FRONTEND: FrontendId = FrontendId { seat: 0, generation: 1 };

/// The catalog with an alias.
pub(super) fn aliased(mut catalog: Catalog, alias: &str, model: &str, only: Option<u32>) -> Catalog {
    let target = Alias { model: ModelName::new(model), backend: only.map(BackendId) };
    catalog.aliases.insert(ModelName::new(alias), target);
    catalog
}
