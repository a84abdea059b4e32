//! Who may wait, and for whom: a model's name becomes a lane, and a request that nobody can serve is refused with the
//! true reason.

use std::collections::BTreeMap;

use dialect::Task;
use ipc_proto::control::{Admission, Class};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{BackendId, FrontendId, ModelName, RequestId};

use super::backend::Backend;
use super::catalog;
use super::lane::LaneKey;
use super::laws::Laws;
use super::model::LoadNeed;
use super::policy::{Newcomer, News};
use super::request::{Request, Stage};
use super::timer::Timer;
use super::{Effect, Phase, Scheduler, Turn, load_options};
use crate::clock::Time;

/// How long requests wait for a backend when none that could serve them is usable, in milliseconds: long enough for a
/// server that restarts, short enough that a client still wants to know.
const STRANDED_MS: u64 = 10_000;
/// A request that has avoided the backend that failed it for so long may go there again, even if the others are
/// merely busy. In milliseconds.
const AVOIDED_MS: u64 = 15_000;
/// The shortest time clients are told to stay away, in milliseconds: the header counts seconds.
pub(super) const SHORTEST_RETRY_AFTER_MS: u64 = 1000;

/// A batch request competes with interactive ones after so many times the longest wait of its model for a backend.
const RIPE_AFTER_WAITS: u64 = 3;

impl<L: Laws> Scheduler<L> {
    /// A request wants an attempt.
    pub(super) fn admit(&mut self, turn: &mut Turn<'_>, frontend: FrontendId, admission: Admission) {
        let id = admission.request;
        if !self.is_seated(frontend) || self.requests.contains_key(&id) {
            return;
        }
        let claim = admission.under.and_then(|grant| self.claim(frontend, grant));
        self.counters.admitted += 1;
        self.last_order += 1;
        let waited_us = admission.waited_ms.saturating_mul(1000);
        let arrived = Time(turn.now.0.saturating_sub(waited_us));
        let alias = self.catalog.aliases.get(&admission.model);
        let name = alias.map_or_else(|| admission.model.clone(), |alias| alias.model.clone());
        let only = admission.only.or(alias.and_then(|alias| alias.backend));
        let name = if name.as_str().is_empty() { self.stand_in(only).unwrap_or(name) } else { name };
        let class = self.class_of(&admission);
        let request = Request {
            frontend,
            lane: self.lane_of(turn.now, &name, &admission, only),
            class,
            arrived,
            order: self.last_order,
            place_at: arrived,
            ripens: None,
            has_waited: false,
            name,
            admission,
            stage: Stage::Answered,
            avoided: None,
            attempts: 0,
            lapses: 0,
            waited_us,
            live: 0,
            attempt: super::request::Attempt::default(),
            usage: dialect::Usage::default(),
            warnings: String::new(),
            decisions: Vec::new(),
            last_failed: None,
            failure: None,
            end: None,
        };
        let refusal = self.refusal(turn, &request.name, &request.lane, request.admission.endpoint);
        self.requests.insert(id, Box::new(request));
        if let Some(seat) = self.seats.get_mut(&frontend.seat) {
            seat.requests.insert(id);
        }
        if let Some(claim) = claim {
            self.bind(turn, id, claim);
        } else if let Some(failure) = refusal {
            self.refuse(turn, id, failure);
        } else {
            self.enter_queue(turn, id, 0);
            self.changes.newcomer = Some(id);
        }
    }

    /// The model for which a native call that names none counts: the one that its backend has at hand, so that it changes
    /// nothing there.
    fn stand_in(&self, only: Option<BackendId>) -> Option<ModelName> {
        let backend = self.backends.get(&only?)?;
        let held = backend.residents.latest().map(|resident| self.models.name(resident.model).clone());
        held.or_else(|| backend.models_in_order().into_iter().next())
    }

    /// The lane of a request for the model `name`. A name that nobody lists gets no number of its own once the doors
    /// are open: such a request never waits, and clients must not fill the tables with names they made up.
    fn lane_of(
        &mut self,
        now: Time,
        name: &ModelName,
        admission: &Admission,
        only: Option<BackendId>,
    ) -> LaneKey {
        let is_known = self.phase == Phase::Starting
            || self.in_use().any(|backend| backend.lists(name) || backend.may_list_more());
        let model = if is_known {
            let known = self.models.len();
            let need = self.need_of(now, name, admission);
            let model = self.models.intern(name, &need, &mut self.learner);
            if self.models.len() > known {
                let listed_by = listed_by(&self.backends, &self.ranking, name);
                self.models.list(model, listed_by);
            }
            model
        } else {
            self.models.nobodys(&mut self.learner)
        };
        LaneKey { model, task: admission.endpoint.task(), only, bound: None }
    }

    /// What a request needs of the model in memory. Load options are of no account where no engine heeds them.
    fn need_of(&mut self, now: Time, name: &ModelName, admission: &Admission) -> LoadNeed {
        let heeds = |backend: &Backend| {
            backend.takes_load_options() && (backend.lists(name) || backend.may_list_more())
        };
        if !self.in_use().any(heeds) {
            return LoadNeed::Any;
        }
        if let Some(context) = admission.load.context {
            self.contexts.asked(name, context, now);
        }
        load_options::need(self.catalog.load_options, &admission.load)
    }

    fn class_of(&self, admission: &Admission) -> Class {
        let client = self.catalog.clients.get(&admission.key);
        admission.class.unwrap_or_else(|| client.map(|client| client.class).unwrap_or_default())
    }

    /// When a request of this class no longer yields to interactive ones.
    fn ripens(&self, admission: &Admission, class: Class, arrived: Time) -> Option<Time> {
        if class == Class::Batch && !self.policy.heeds_classes() {
            return Some(arrived);
        }
        let client = self.catalog.clients.get(&admission.key);
        let max_wait = client.and_then(|client| client.max_wait_ms).or(self.catalog.knobs.max_wait_ms)?;
        (class == Class::Batch).then(|| arrived.plus_millis(max_wait.saturating_mul(RIPE_AFTER_WAITS)))
    }

    /// Lets a request wait, at its own place, after a pause.
    pub(super) fn enter_queue(&mut self, turn: &mut Turn<'_>, id: RequestId, pause_ms: u64) {
        let limit = self.catalog.queue.timeout_ms;
        let Some(request) = self.requests.get_mut(&id) else { return };
        self.waiting += 1;
        let since = turn.now;
        request.stage = Stage::Queued { since };
        turn.effects.push(Effect::Changed(id));
        let limit = [limit, request.admission.deadline_ms].into_iter().flatten().min();
        if let Some(limit) = limit {
            let left = limit.saturating_mul(1000).saturating_sub(request.waited_us);
            self.timers.arm(Timer::Patience(id), Time(turn.now.0.saturating_add(left)));
        }
        if pause_ms > 0 {
            request.stage = Stage::Paused { since };
            self.timers.arm(Timer::Pause(id), turn.now.plus_millis(pause_ms));
        } else {
            self.join_lane(turn, id);
        }
    }

    fn join_lane(&mut self, turn: &Turn<'_>, id: RequestId) {
        self.place(id);
        let Some(request) = self.requests.get(&id) else { return };
        let (backends, ranking) = (&self.backends, &self.ranking);
        let (lane, name) = (request.lane, &request.name);
        let news =
            News::Arrived { model: lane.model, client: request.admission.key, is_retry: request.has_waited };
        let is_new = self.queue.insert(lane, request.waiter(id), turn.now, || {
            candidates(backends, ranking, &lane, name).map(|backend| backend.id).collect()
        });
        self.changes.work = true;
        if request.avoided.is_some() && L::EXCLUSION_YIELDS {
            self.timers.arm(Timer::Exclusion(id), turn.now.plus_millis(AVOIDED_MS));
        }
        if is_new && !self.is_served(&lane) {
            self.timers.arm(Timer::Stranded(lane), turn.now.plus_millis(STRANDED_MS));
        }
        if let Some(request) = self.requests.get_mut(&id) {
            request.has_waited = true;
        }
        self.tell(turn, news);
    }

    /// Asks the strategy at which place a request waits, and for whom.
    fn place(&mut self, id: RequestId) {
        let Some(request) = self.requests.get(&id) else { return };
        let lane = LaneKey { bound: None, ..request.lane };
        let ids = |backend: &Backend| backend.id;
        let listed = || candidates(&self.backends, &self.ranking, &lane, &request.name).map(ids).collect();
        let surveyed = self.queue.lane(&lane).map(|lane| lane.candidates.clone());
        let candidates: Vec<BackendId> = surveyed.unwrap_or_else(listed);
        let newcomer = Newcomer {
            client: request.admission.key,
            arrived: request.arrived,
            lane,
            candidates: &candidates,
            avoided: request.avoided,
            is_retry: request.has_waited,
        };
        let ripens = self.ripens(&request.admission, request.class, request.arrived);
        let placement = self.consult(|policy, board| policy.place(board, &newcomer));
        if let Some(request) = self.requests.get_mut(&id) {
            request.ripens = ripens;
            request.place_at = placement.at;
            request.lane.bound = placement.bound;
        }
    }

    /// Asks the strategy anew for whom a waiting request waits.
    pub(super) fn rebind(&mut self, turn: &Turn<'_>, id: RequestId) {
        if self.requests.get(&id).is_some_and(|request| matches!(request.stage, Stage::Queued { .. })) {
            self.leave_lane(turn, id);
            self.join_lane(turn, id);
        }
    }

    /// Asks a strategy that is new for whom everybody waits.
    pub(super) fn place_anew(&mut self, turn: &Turn<'_>) {
        let waiters = self.queue.lanes().flat_map(|(_, lane)| lane.waiters());
        let mut waiters: Vec<_> = waiters.map(|(_, it)| (it.arrived, it.place.order, it.request)).collect();
        waiters.sort_unstable();
        for (.., id) in waiters {
            self.rebind(turn, id);
        }
    }

    /// The pause of a request is over.
    pub(super) fn pause_over(&mut self, turn: &Turn<'_>, id: RequestId) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        if let Stage::Paused { since } = request.stage {
            request.stage = Stage::Queued { since };
            self.join_lane(turn, id);
        }
    }

    /// A request has avoided a backend for long enough.
    pub(super) fn exclusion_over(&mut self, turn: &Turn<'_>, id: RequestId) {
        let Some(request) = self.requests.get(&id) else { return };
        if matches!(request.stage, Stage::Queued { .. }) {
            self.leave_lane(turn, id);
            if let Some(request) = self.requests.get_mut(&id) {
                request.avoided = None;
            }
            self.join_lane(turn, id);
        }
    }

    /// A request has waited as long as it may.
    pub(super) fn patience_over(&mut self, turn: &mut Turn<'_>, id: RequestId) {
        let Some(request) = self.requests.get(&id) else { return };
        let detail = match &request.failure {
            Some(failure) => format!("no slot was free in time; before that: {}", failure.detail),
            None => "no slot was free in time".to_owned(),
        };
        let failure = Failure::new(FailureKind::QueueTimeout, detail);
        let retry_after = self.guess_wait_ms();
        self.refuse(turn, id, failure.with_retry_after_ms(Some(retry_after)));
    }

    /// No backend for a lane has come back in time.
    pub(super) fn stranded(&mut self, turn: &mut Turn<'_>, lane: &LaneKey) {
        let ids: Vec<RequestId> = self
            .queue
            .lane(lane)
            .map(|lane| lane.waiters().map(|(_, it)| it.request).collect())
            .unwrap_or_default();
        for id in ids {
            let Some(request) = self.requests.get(&id) else { continue };
            let before = request.failure.as_ref().map(|failure| failure.detail.clone());
            let mut failure =
                self.refusal(turn, &request.name, lane, request.admission.endpoint).unwrap_or_else(|| {
                    Failure::new(FailureKind::NoBackend, "no backend for the model became usable in time")
                        .with_retry_after_ms(Some(SHORTEST_RETRY_AFTER_MS))
                });
            if let Some(before) = before {
                failure.detail = format!("{}; before that: {before}", failure.detail);
            }
            self.refuse(turn, id, failure);
        }
    }

    /// Renews which backends each model and lane may use, and who waits in vain.
    pub(super) fn survey(&mut self, turn: &Turn<'_>) {
        for model in self.models.all().filter(|model| self.models.plain(*model) == *model).collect::<Vec<_>>()
        {
            let listed_by = listed_by(&self.backends, &self.ranking, self.models.name(model));
            self.models.list(model, listed_by);
        }
        let mut stranded = Vec::new();
        for (key, lane) in self.queue.lanes_mut() {
            lane.candidates.clear();
            let mut is_served = false;
            for backend in candidates(&self.backends, &self.ranking, key, self.models.name(key.model)) {
                lane.candidates.push(backend.id);
                is_served |= backend.is_in_service();
            }
            stranded.push((*key, !is_served));
        }
        for (key, is_stranded) in stranded {
            let timer = Timer::Stranded(key);
            if !is_stranded {
                self.timers.disarm(&timer);
            } else if self.timers.due(&timer).is_none() {
                self.timers.arm(timer, turn.now.plus_millis(STRANDED_MS));
            }
        }
        self.tell(turn, News::Surveyed);
    }

    /// Whether some backend that can serve `lane` is usable.
    pub(super) fn is_served(&self, lane: &LaneKey) -> bool {
        candidates(&self.backends, &self.ranking, lane, self.models.name(lane.model))
            .any(Backend::is_in_service)
    }
}

/// Whether `spec` is of a backend that does what `lane` wants, by translation if need be.
pub(super) fn can_do(spec: &catalog::Backend, lane: &LaneKey) -> bool {
    spec.dialects.iter().any(|dialect| lane.task.can_be_done_in(*dialect))
}

/// The backends that list `name`, up or down, best first.
fn listed_by(
    backends: &BTreeMap<BackendId, Backend>,
    ranking: &[BackendId],
    name: &ModelName,
) -> Vec<BackendId> {
    let lists = |id: &BackendId| backends.get(id).is_some_and(|backend| backend.lists(name));
    ranking.iter().copied().filter(lists).collect()
}

/// The backends that can serve `lane`, whose model is `name`, up or down, best first.
fn candidates<'a>(
    backends: &'a BTreeMap<BackendId, Backend>,
    ranking: &'a [BackendId],
    lane: &'a LaneKey,
    name: &'a ModelName,
) -> impl Iterator<Item = &'a Backend> {
    ranking.iter().filter_map(|id| backends.get(id)).filter(|backend| is_candidate(backend, lane, name))
}

/// Whether `backend`, up or down, can serve `lane`, whose model is `name`.
pub(super) fn is_candidate(backend: &Backend, lane: &LaneKey, name: &ModelName) -> bool {
    lane.only.is_none_or(|only| only == backend.id) && can_do(&backend.spec, lane) && has(backend, lane, name)
}

/// Whether `backend` has what `lane` asks for. What a native call is about only its backend knows: lists of models do not
/// name everything.
pub(super) fn has(backend: &Backend, lane: &LaneKey, name: &ModelName) -> bool {
    lane.task == Task::Native || backend.lists(name)
}
