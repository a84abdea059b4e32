//! What the world holds against the scheduler: checks from outside, by what was said and done alone.

use std::collections::{BTreeMap, BTreeSet};

use dialect::Endpoint;
use ipc_proto::control::{Grant, ToFrontend};
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::{BackendId, FrontendId, GrantId, ModelName, RequestId, WorkerId};
use supervisor::clock::Time;
use supervisor::scheduler::catalog::{Catalog, Strategy};
use supervisor::scheduler::laws::Laws;
use supervisor::scheduler::{Effect, Event, Scheduler};

use crate::scenario::LONGEST_PAUSE_MS;
use crate::workers::Worker;

/// A request that waits, as far as the world knows.
struct Waiting {
    since: Time,
    order: u64,
    is_retry: bool,
    failed_on: Option<BackendId>,
}

/// The name asked for, and the operation.
type Lane = (ModelName, Endpoint);

/// A request's way so far.
struct Known {
    frontend: FrontendId,
    lane: Lane,
    order: u64,
    grant: Option<GrantId>,
    granted_on: Option<BackendId>,
    failed_on: Option<BackendId>,
}

pub(crate) struct Watch {
    /// Whether requests are bound to a backend when they come: they may be overtaken on another.
    is_binding: bool,
    /// Slots, and models at once.
    slots: BTreeMap<BackendId, (usize, usize)>,
    known: BTreeMap<RequestId, Known>,
    names: BTreeMap<String, RequestId>,
    /// By what decides whom a request can go to.
    waiting: BTreeMap<Lane, BTreeMap<RequestId, Waiting>>,
    /// Refused or cancelled: they wait for nothing.
    answered: BTreeSet<RequestId>,
    ended: BTreeSet<RequestId>,
    /// Everything ever lent, and where.
    lent: BTreeMap<GrantId, BackendId>,
    /// Who is, or was, under way under a loan, as far as nobody has said that it failed.
    under_way: BTreeMap<RequestId, WorkerId>,
    /// How many loans were of use.
    pub(crate) loans_used: u64,
    /// Frontends of whose end the scheduler knows: what they say later is not heard.
    gone: BTreeSet<FrontendId>,
    stops: u64,
    /// How requests ended: by the code of their failure, empty for good.
    pub(crate) ends: BTreeMap<String, u64>,
}

impl Watch {
    pub(crate) fn new(catalog: &Catalog, reloads: bool) -> Self {
        let slots = |backend: &supervisor::scheduler::catalog::Backend| {
            let models =
                if backend.swaps_at_first() { backend.max_models.unwrap_or(1) as usize } else { usize::MAX };
            (if reloads { 4 } else { backend.slots_at_first() as usize }, models)
        };
        let is_binding = matches!(
            catalog.strategy,
            Strategy::ModelAffinityLeastBusy | Strategy::LeastBusy | Strategy::RoundRobin | Strategy::Random
        );
        Self {
            is_binding,
            slots: catalog.backends.iter().map(|(id, backend)| (*id, slots(backend))).collect(),
            known: BTreeMap::new(),
            names: BTreeMap::new(),
            waiting: BTreeMap::new(),
            answered: BTreeSet::new(),
            ended: BTreeSet::new(),
            lent: BTreeMap::new(),
            under_way: BTreeMap::new(),
            loans_used: 0,
            gone: BTreeSet::new(),
            stops: 0,
            ends: BTreeMap::new(),
        }
    }

    /// Takes note of what the scheduler is about to learn.
    pub(crate) fn before(&mut self, now: Time, event: &Event) {
        match event {
            Event::Admit { frontend, admission } if !self.gone.contains(frontend) => {
                let order = self.known.len() as u64;
                let known = Known {
                    frontend: *frontend,
                    lane: (admission.model.clone(), admission.endpoint),
                    order,
                    grant: admission.under,
                    granted_on: admission.under.and_then(|grant| self.lent.get(&grant).copied()),
                    failed_on: None,
                };
                self.known.insert(admission.request, known);
                self.names.insert(admission.request.to_string(), admission.request);
                // Under a loan one waits only from the failure on, if the scheduler does not know better.
                if admission.under.is_none() {
                    self.waits(now, admission.request, false, None);
                }
            }
            Event::AttemptFailed { request, grant, failure, .. } => {
                self.under_way.remove(request);
                let Some(known) = self.known.get_mut(request) else { return };
                if known.grant != Some(*grant) {
                    return;
                }
                // An offer that lapsed says nothing about its backend; the one that failed before is still avoided.
                if failure.kind != FailureKind::GrantLapsed {
                    known.failed_on = known.granted_on;
                }
                let failed_on = known.failed_on;
                self.waits(now, *request, true, failed_on);
            }
            Event::Closed { request, .. } | Event::Withdraw { request, .. } => self.is_answered(*request),
            Event::FrontendGone { frontend } => {
                self.gone.insert(*frontend);
                let held = self.known.iter().filter(|(_, known)| known.frontend == *frontend);
                let held: Vec<RequestId> = held.map(|(id, _)| *id).collect();
                for request in held {
                    self.is_answered(request);
                }
            }
            _ => {}
        }
    }

    fn waits(&mut self, now: Time, request: RequestId, is_retry: bool, failed_on: Option<BackendId>) {
        if self.answered.contains(&request) {
            return;
        }
        if let Some(known) = self.known.get(&request) {
            let waiting = Waiting { since: now, order: known.order, is_retry, failed_on };
            self.waiting.entry(known.lane.clone()).or_default().insert(request, waiting);
        }
    }

    fn is_answered(&mut self, request: RequestId) {
        self.answered.insert(request);
        self.no_longer_waits(request);
    }

    fn no_longer_waits(&mut self, request: RequestId) {
        let lane = self.known.get(&request).map(|known| known.lane.clone());
        if let Some(waiting) = lane.and_then(|lane| self.waiting.get_mut(&lane)) {
            waiting.remove(&request);
        }
    }

    /// Looks at what the scheduler wants done.
    pub(crate) fn effect(&mut self, now: Time, effect: &Effect) -> Result<(), String> {
        match effect {
            Effect::ToFrontend(_, ToFrontend::Granted(grant)) => {
                let backend = grant.worker.backend;
                let known = self.known.get_mut(&grant.request).ok_or("a grant for nobody")?;
                known.granted_on = Some(backend);
                known.grant = Some(grant.grant);
                if self.under_way.contains_key(&grant.request) {
                    return Err(format!(
                        "{} has its attempt under a loan, and is granted another",
                        grant.request
                    ));
                }
                let (lane, order) = (known.lane.clone(), known.order);
                self.no_longer_waits(grant.request);
                self.in_order(now, &lane, order, backend)
            }
            Effect::ToFrontend(_, ToFrontend::Rejected { request, .. } | ToFrontend::Cancel { request }) => {
                self.is_answered(*request);
                Ok(())
            }
            Effect::ToFrontend(_, ToFrontend::Lent(loan)) => {
                self.lent.insert(loan.grant, loan.worker.backend);
                Ok(())
            }
            Effect::Ended(record) => {
                let id = self.names.get(&record.exchange).copied();
                let id = id.ok_or_else(|| format!("{} ended and never came", record.exchange))?;
                self.is_answered(id);
                *self.ends.entry(record.error_code.clone()).or_default() += 1;
                if !record.state.is_final() {
                    return Err(format!("{id} ended as {:?}", record.state));
                }
                if self.ended.insert(id) { Ok(()) } else { Err(format!("{id} ended twice")) }
            }
            Effect::Stopped => {
                self.stops += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Within a model, nobody is overtaken who could have had the same slot.
    fn in_order(&self, now: Time, lane: &Lane, order: u64, backend: BackendId) -> Result<(), String> {
        if self.is_binding {
            return Ok(());
        }
        let could_go = |waiting: &Waiting| {
            let has_paused = !waiting.is_retry || now.since(waiting.since) > LONGEST_PAUSE_MS * 1000;
            waiting.order < order && has_paused && waiting.failed_on != Some(backend)
        };
        let waiting = self.waiting.get(lane);
        let overtaken = waiting.and_then(|waiting| waiting.iter().find(|(_, it)| could_go(it)));
        overtaken.map_or(Ok(()), |(id, _)| Err(format!("{id} was overtaken on {backend:?}")))
    }

    /// A worker has let somebody in.
    pub(crate) fn let_in(&mut self, grant: &Grant) {
        if self.lent.contains_key(&grant.grant) {
            self.under_way.insert(grant.request, grant.worker);
            self.loans_used += 1;
        }
    }

    /// What it had said may be lost with it.
    pub(crate) fn worker_died(&mut self, worker: WorkerId) {
        self.under_way.retain(|_, runs_on| *runs_on != worker);
    }

    /// A worker has been told to stop an attempt. One under a loan is stopped only when nobody wants it any more.
    pub(crate) fn stopped_by_us(
        &self,
        grant: GrantId,
        request: RequestId,
        is_wanted: bool,
    ) -> Result<(), String> {
        if is_wanted && self.lent.contains_key(&grant) && !self.answered.contains(&request) {
            return Err(format!("{request} was stopped while it ran under a loan"));
        }
        Ok(())
    }

    /// Looks at what really runs on a backend, over all its workers.
    pub(crate) fn running(
        &self,
        backend: BackendId,
        workers: &BTreeMap<WorkerId, Worker>,
    ) -> Result<(), String> {
        let attempts: Vec<&ModelName> = workers
            .iter()
            .filter(|(id, _)| id.backend == backend)
            .flat_map(|(_, worker)| worker.running.values().map(|attempt| &attempt.model))
            .collect();
        let (slots, models) = self.slots[&backend];
        if attempts.len() > slots {
            return Err(format!("{} attempts on {slots} slots of {backend:?}", attempts.len()));
        }
        let distinct: BTreeSet<_> = attempts.iter().collect();
        if distinct.len() > models {
            return Err(format!("{} models at once on {backend:?}", distinct.len()));
        }
        Ok(())
    }

    /// Everybody has left: nothing is held, nothing is awaited.
    pub(crate) fn quiet<L: Laws>(&self, scheduler: &Scheduler<L>, now: Time) -> Result<(), String> {
        let (live, count) = scheduler.live_requests(now, 3);
        let held: u32 = scheduler.backends(now).iter().map(|view| view.slots_used + view.lent).sum();
        if count > 0 || scheduler.queued() > 0 || held > 0 || scheduler.next_deadline().is_some() {
            let deadline = scheduler.next_deadline();
            return Err(format!("not quiet: {held} slots, deadline {deadline:?}, {count} live: {live:?}"));
        }
        self.balanced(scheduler)
    }

    /// The instance has ended, once, and so has everybody in it.
    pub(crate) fn stopped<L: Laws>(&self, scheduler: &Scheduler<L>, has_stopped: bool) -> Result<(), String> {
        if !has_stopped || self.stops != 1 {
            return Err(format!("stopped {} times", self.stops));
        }
        self.balanced(scheduler)
    }

    fn balanced<L: Laws>(&self, scheduler: &Scheduler<L>) -> Result<(), String> {
        let counters = scheduler.counters();
        let ended = self.ended.len() as u64;
        if ended == counters.admitted && ended == counters.completed + counters.failed + counters.cancelled {
            Ok(())
        } else {
            Err(format!("{ended} ended: {counters:?}"))
        }
    }
}
