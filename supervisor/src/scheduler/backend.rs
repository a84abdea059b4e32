//! A backend as the scheduler sees it: health, models, slots, the belief about what it holds.
//!
//! Health changes here and nowhere else: by probes, and by attempts that could not reach it. A backend that is slow
//! or busy is not down.

use std::collections::{BTreeMap, BTreeSet};

use dialect::load::LoadOptions;
use ipc_proto::control::{LoadedModel, OfferedModel, ProbeFailure, ProbeFailureKind, ProbeReport, ToWorker};
use ipc_proto::failure::{Failure, FailureKind, Wait};
use ipc_proto::ids::{BackendId, GrantId, ModelName, WorkerId};
use ipc_proto::operator::BackendView;
use ipc_proto::spec::BackendKind;

use super::capacity::Capacity;
use super::catalog;
use super::grant::Grant;
use super::laws::Laws;
use super::loan::{Loan, Spent};
use super::model::Models;
use super::policy::News;
use super::residents::{Hold, Residents};
use super::timer::Timer;
use super::worker::{Worker, WorkerStage};
use super::{Effect, Note, Scheduler, Turn, load_options};
use crate::clock::Time;

/// The pause before a backend that went down is looked at again; doubles up to the probe interval. In milliseconds.
const FIRST_PROBE_PAUSE_MS: u64 = 1000;
/// The longest such pause where backends are not probed periodically: recovery must still be noticed.
const PROBE_PAUSE_WITHOUT_INTERVAL_MS: u64 = 30_000;
/// The shortest rest of a backend that says it has too much to do, in milliseconds.
const SHORTEST_REST_MS: u64 = 1000;
/// The longest: a backend that names a day is asked again within the hour, in case somebody has paid.
const LONGEST_REST_MS: u64 = 3_600_000;
/// A rest longer than this is no reason to wait: clients are told to come again. In milliseconds.
pub(super) const WORTH_WAITING_MS: u64 = 30_000;

/// Whether a backend can be used, as far as known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Health {
    /// Nobody has looked yet.
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down {
        /// Why.
        reason: String,
        /// When it is looked at next.
        next_probe: Time,
        /// The pause after that, in milliseconds.
        pause_ms: u64,
    },
}

/// Whether a backend is meant to be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Service {
    /// Yes.
    Open,
    /// Not now: an operator's word.
    Drained,
    /// Not any more: it has left the configuration.
    Retired,
}

/// A rest that a backend has asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rest {
    pub(super) until: Time,
    /// Whether nobody should wait for its end. Decided when it begins.
    pub(super) is_long: bool,
}

/// One backend.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) id: BackendId,
    pub(super) spec: catalog::Backend,
    pub(super) health: Health,
    pub(super) service: Service,
    /// What it listed last; `None` before its first list.
    pub(super) offered: Option<Vec<OfferedModel>>,
    /// Names of all models it can be asked for.
    models: BTreeSet<ModelName>,
    pub(super) loaded: Option<Vec<ModelName>>,
    /// What it holds; empty while it swaps freely.
    pub(super) residents: Residents,
    pub(super) capacity: Capacity,
    /// The attempts that have a slot, by whatever generation of its worker.
    pub(super) grants: BTreeMap<GrantId, Grant>,
    /// The slots lent.
    pub(super) loans: BTreeMap<GrantId, Loan>,
    /// Loans whose attempts are over, until we hear whose they were.
    pub(super) spent: BTreeMap<GrantId, Spent>,
    /// Whether no other backend offers any model that this one offers.
    pub(super) is_alone: bool,
    /// Slots that may be taken now: more than configured only while a reload shrinks them.
    pub(super) ceiling: u32,
    pub(super) rest: Option<Rest>,
    pub(super) worker: Worker,
    failed_probes: u32,
    is_asked: bool,
    last_end: Time,
    pub(super) failures: u64,
    pub(super) swaps: u64,
}

impl Backend {
    /// A backend nobody has looked at.
    pub(super) fn new(id: BackendId, spec: catalog::Backend) -> Self {
        let mut backend = Self {
            id,
            ceiling: spec.slots_at_first(),
            spec,
            health: Health::Unknown,
            service: Service::Open,
            offered: None,
            models: BTreeSet::new(),
            loaded: None,
            residents: Residents::default(),
            capacity: Capacity::default(),
            grants: BTreeMap::new(),
            loans: BTreeMap::new(),
            spent: BTreeMap::new(),
            is_alone: false,
            rest: None,
            worker: Worker::default(),
            failed_probes: 0,
            is_asked: false,
            last_end: Time::default(),
            failures: 0,
            swaps: 0,
        };
        backend.name_models();
        backend
    }

    /// Makes the set of models anew: the configured ones, else the listed ones.
    pub(super) fn name_models(&mut self) {
        let listed = self.offered.iter().flatten().map(|offer| &offer.id);
        self.models = match &self.spec.models {
            Some(models) => models.iter().cloned().collect(),
            None => listed.cloned().collect(),
        };
    }

    /// Whether it can be asked for `model`, up or down.
    pub(super) fn lists(&self, model: &ModelName) -> bool {
        self.service != Service::Retired && self.models.contains(model)
    }

    /// Whether there is no model that both it and `other` offer.
    pub(super) fn shares_no_model_with(&self, other: &Self) -> bool {
        self.models.is_disjoint(&other.models)
    }

    /// Whether its models are not known yet, but may soon be.
    pub(super) fn may_list_more(&self) -> bool {
        self.service != Service::Retired
            && self.health == Health::Unknown
            && self.spec.models.is_none()
            && self.offered.is_none()
    }

    /// Whether its models are known.
    pub(super) fn is_read(&self) -> bool {
        self.spec.models.is_some() || self.offered.is_some()
    }

    /// Its models in the order of configuration or list.
    pub(super) fn models_in_order(&self) -> Vec<ModelName> {
        match &self.spec.models {
            Some(models) => models.clone(),
            None => self.offered.iter().flatten().map(|offer| offer.id.clone()).collect(),
        }
    }

    /// Whether it is up.
    pub(super) fn is_up(&self) -> bool {
        self.health == Health::Up
    }

    /// Whether it takes attempts now, slots and models aside.
    pub(super) fn is_open(&self) -> bool {
        self.is_up()
            && self.service == Service::Open
            && self.rest.is_none()
            && self.worker.stage == WorkerStage::Ready
    }

    /// Whether waiting for it makes sense: it is up, or back in a moment.
    pub(super) fn is_in_service(&self) -> bool {
        self.is_up()
            && self.service == Service::Open
            && self.worker.stage != WorkerStage::Backoff
            && self.rest.is_none_or(|rest| !rest.is_long)
    }

    /// Whether it loads a model anew for requests with other load options.
    pub(super) fn takes_load_options(&self) -> bool {
        self.spec.kind == BackendKind::Ollama
    }

    /// Whether one more attempt fits.
    pub(super) fn has_free_slot(&self) -> bool {
        self.taken() < self.slots() as usize
    }

    /// Whether it takes one more attempt now, models aside.
    pub(super) fn takes_more(&self) -> bool {
        self.has_free_slot() && self.is_open()
    }

    /// Its worker of today.
    pub(super) fn worker_id(&self) -> WorkerId {
        WorkerId { backend: self.id, generation: self.worker.generation }
    }

    /// Remembers that an attempt has ended at `now`, or will not be.
    pub(super) fn attempt_ended(&mut self, now: Time) {
        self.last_end = now;
        let held = u32::try_from(self.taken()).unwrap_or(u32::MAX);
        self.ceiling = self.ceiling.min(held.max(self.slots()));
    }

    /// Forgets a probe that its worker can no longer answer.
    pub(super) fn forget_probe(&mut self) {
        self.is_asked = false;
    }

    /// As operators see it, with `queued` requests waiting that it could serve.
    pub(super) fn view(&self, queued: u64, models: &Models) -> BackendView {
        let (health, reason) = match &self.health {
            Health::Unknown => ("unknown", "not looked at yet"),
            Health::Up => ("up", ""),
            Health::Down { reason, .. } => ("down", reason.as_str()),
        };
        let latest = self.residents.latest();
        let names = |models: &[ModelName]| models.iter().map(ToString::to_string).collect::<Vec<_>>();
        BackendView {
            name: self.spec.name.clone(),
            kind: self.spec.kind,
            url: self.spec.url.clone(),
            priority: self.spec.priority,
            health: health.to_owned(),
            reason: reason.to_owned(),
            draining: self.service != Service::Open,
            worker_pid: self.worker.pid,
            generation: self.worker.generation,
            worker: self.worker.stage.as_str().to_owned(),
            slots_used: u32::try_from(self.attempts()).unwrap_or(u32::MAX),
            lent: u32::try_from(self.taken() - self.attempts()).unwrap_or(u32::MAX),
            slots: self.slots(),
            max_models: self.swaps().then(|| u32::try_from(self.max_models()).unwrap_or(u32::MAX)),
            turns: Vec::new(),
            next: String::new(),
            current_model: latest.map(|held| models.name(held.model).to_string()).unwrap_or_default(),
            loading: latest.is_some_and(|held| held.hold == Hold::Loading),
            loaded_models: self.loaded.as_deref().map(names),
            models: names(&self.models_in_order()),
            queued,
            failures: self.failures,
            swaps: self.swaps,
        }
    }
}

impl<L: Laws> Scheduler<L> {
    /// A probe has a result.
    pub(super) fn probed(&mut self, turn: &mut Turn<'_>, worker: WorkerId, report: ProbeReport) {
        if !self.is_current_worker(worker) {
            return;
        }
        let Some(backend) = self.backends.get_mut(&worker.backend) else { return };
        backend.is_asked = false;
        let (slots, max_models) = (backend.slots(), backend.max_models());
        backend.told_capacity(report.slots, report.max_models);
        self.changes.terrain |= (slots, max_models) != (backend.slots(), backend.max_models());
        if let Some(loaded) = report.loaded {
            self.told_loaded(turn, worker.backend, &loaded, report.took_us);
        }
        match report.models {
            Ok(offered) => self.probe_succeeded(turn, worker.backend, Some(offered)),
            Err(failure)
                if failure.kind == ProbeFailureKind::Shape
                    && self.backends[&worker.backend].spec.models.is_some() =>
            {
                self.probe_succeeded(turn, worker.backend, None);
            }
            Err(failure) => self.probe_failed(turn, worker.backend, failure),
        }
    }

    /// A backend, `took_us` after it was asked, says what it has loaded.
    fn told_loaded(&mut self, turn: &Turn<'_>, id: BackendId, loaded: &[LoadedModel], took_us: u64) {
        let policy = self.catalog.load_options;
        let Some(backend) = self.backends.get_mut(&id) else { return };
        // A probe that looked while an attempt was still running may have seen the model before.
        let is_fresh = turn.now.since(backend.last_end) >= took_us;
        if backend.swaps() && backend.taken() == 0 && is_fresh {
            let (models, learner) = (&mut self.models, &mut self.learner);
            let takes_options = backend.takes_load_options();
            let number = |loaded: &LoadedModel| {
                let context = loaded.context.filter(|_| takes_options);
                let options = LoadOptions { context, ..LoadOptions::default() };
                let need = load_options::need(policy, &options);
                (models.intern(&loaded.id, &need, learner), options)
            };
            let offered = loaded.iter().filter(|loaded| backend.models.contains(&loaded.id));
            let told: Vec<_> = offered.map(number).collect();
            let is_same = |one, other| self.models.plain(one) == self.models.plain(other);
            backend.residents.told(&told, backend.max_models(), turn.now, is_same);
            self.changes.terrain = true;
        }
        backend.loaded = Some(loaded.iter().map(|model| model.id.clone()).collect());
    }

    fn probe_succeeded(&mut self, turn: &mut Turn<'_>, id: BackendId, offered: Option<Vec<OfferedModel>>) {
        let Some(backend) = self.backends.get_mut(&id) else { return };
        backend.failed_probes = 0;
        if offered.is_some() && backend.offered != offered {
            let did_swap = backend.swaps();
            backend.offered = offered;
            backend.name_models();
            if backend.swaps() != did_swap {
                backend.recount_residents(turn.now);
                backend.capacity_changed();
            }
            self.changes.terrain = true;
            self.changes.directory = true;
            if backend.is_up() && backend.models.is_empty() {
                turn.note(odd(backend, "it offers no model"));
            }
        }
        self.backend_up(turn, id);
    }

    /// Makes a backend usable, if it is not.
    pub(super) fn backend_up(&mut self, turn: &mut Turn<'_>, id: BackendId) {
        let Some(backend) = self.backends.get_mut(&id) else { return };
        if backend.is_up() {
            return;
        }
        backend.health = Health::Up;
        backend.failed_probes = 0;
        turn.note(Note::BackendUp { backend: backend.spec.name.clone(), models: backend.models.len() });
        if backend.models.is_empty() {
            turn.note(odd(backend, "it offers no model"));
        }
        self.timers.disarm(&Timer::Probe(id));
        self.changes.terrain = true;
        self.changes.directory = true;
    }

    fn probe_failed(&mut self, turn: &mut Turn<'_>, id: BackendId, failure: ProbeFailure) {
        let threshold = self.catalog.health.unhealthy_after_failed_probes;
        let Some(backend) = self.backends.get_mut(&id) else { return };
        let is_busy = failure.kind == ProbeFailureKind::Timeout && backend.attempts() > 0;
        match &mut backend.health {
            Health::Down { reason, .. } => *reason = failure.detail,
            Health::Unknown => self.backend_down(turn, id, failure.detail),
            Health::Up if is_busy => {}
            Health::Up => {
                backend.failed_probes += 1;
                if backend.failed_probes >= threshold {
                    self.backend_down(turn, id, failure.detail);
                }
            }
        }
    }

    /// Makes a backend unusable, if it is not, and begins to look whether it comes back.
    pub(super) fn backend_down(&mut self, turn: &mut Turn<'_>, id: BackendId, reason: String) {
        let Some(backend) = self.backends.get_mut(&id) else { return };
        if matches!(backend.health, Health::Down { .. }) {
            return;
        }
        turn.note(Note::BackendDown { backend: backend.spec.name.clone(), reason: reason.clone() });
        let next_probe = turn.now.plus_millis(FIRST_PROBE_PAUSE_MS);
        backend.health = Health::Down { reason, next_probe, pause_ms: FIRST_PROBE_PAUSE_MS };
        backend.residents.forget();
        backend.loaded = None;
        self.tell(turn, News::Forgotten { backend: id });
        self.timers.arm(Timer::Probe(id), next_probe);
        self.changes.terrain = true;
        self.changes.directory = true;
    }

    /// Looks whether a backend that is down has come back.
    pub(super) fn probe_due(&mut self, turn: &mut Turn<'_>, id: BackendId) {
        let interval = self.catalog.health.probe_interval_ms.unwrap_or(PROBE_PAUSE_WITHOUT_INTERVAL_MS);
        let Some(backend) = self.backends.get_mut(&id) else { return };
        let worker = backend.worker_id();
        let Health::Down { next_probe, pause_ms, .. } = &mut backend.health else { return };
        *pause_ms = (*pause_ms * 2).min(interval.max(FIRST_PROBE_PAUSE_MS));
        *next_probe = turn.now.plus_millis(*pause_ms);
        self.timers.arm(Timer::Probe(id), *next_probe);
        if backend.worker.stage == WorkerStage::Ready && !backend.is_asked {
            backend.is_asked = true;
            turn.effects.push(Effect::ToWorker(worker, ToWorker::Probe));
        }
    }

    /// Draws the consequences of an attempt's failure for the backend it was made on.
    pub(super) fn blame(&mut self, turn: &mut Turn<'_>, id: BackendId, failure: &Failure) {
        if failure.kind == FailureKind::Overloaded {
            self.narrow(turn, id);
        }
        let Some(backend) = self.backends.get_mut(&id) else { return };
        match failure.kind {
            FailureKind::Cancelled | FailureKind::ClientGone | FailureKind::GrantLapsed => return,
            FailureKind::Overloaded => {
                let rest = failure.retry_after_ms.unwrap_or(0).clamp(SHORTEST_REST_MS, LONGEST_REST_MS);
                let before = backend.rest.map_or(Time::default(), |rest| rest.until);
                let until = turn.now.plus_millis(rest).max(before);
                let is_long = until.since(turn.now) > WORTH_WAITING_MS * 1000;
                backend.rest = Some(Rest { until, is_long });
                self.timers.arm(Timer::Cooling(id), until);
                self.changes.terrain = true;
            }
            _ => {}
        }
        backend.failures += 1;
        // Without a connection there is no telling busy from dead; every other wait may only mean busy.
        if matches!(failure.kind, FailureKind::Unreachable | FailureKind::Timeout(Wait::Connect)) {
            self.backend_down(turn, id, failure.detail.clone());
        }
    }

    /// A backend that had too much to do has rested.
    pub(super) fn rested(&mut self, id: BackendId) {
        self.timers.disarm(&Timer::Cooling(id));
        if let Some(backend) = self.backends.get_mut(&id) {
            backend.rest = None;
            self.changes.terrain = true;
        }
    }
}

fn odd(backend: &Backend, what: &str) -> Note {
    Note::BackendOdd { backend: backend.spec.name.clone(), what: what.to_owned() }
}
