//! What has changed since operators were told last: the newest state of each changed thing, and no more.

use std::collections::BTreeSet;

use dialect::Endpoint;
use ipc_proto::ids::RequestId;
use ipc_proto::operator::{
    BackendView, Counters, Event, FrontendView, InstanceView, LearnedView, RequestRecord, Snapshot,
    Subscription,
};

use crate::clock::Time;
use crate::scheduler::Scheduler;
use crate::scheduler::learner::Observation;

/// What has been learned is told this often, in milliseconds: to work it out takes all observations.
const LEARNED_EVERY_MS: u64 = 2000;

/// What has changed, and what was told last.
#[derive(Default)]
pub(super) struct Changes {
    live: BTreeSet<RequestId>,
    ended: Vec<RequestRecord>,
    learned: BTreeSet<(String, String, Endpoint)>,
    learned_due: Time,
    told: Told,
}

/// The views as they were told last.
#[derive(Default)]
struct Told {
    backends: Vec<BackendView>,
    frontends: Vec<FrontendView>,
    instance: Option<InstanceView>,
    counters: Counters,
}

impl Changes {
    /// A live request's record has changed.
    pub(super) fn changed(&mut self, request: RequestId) {
        self.live.insert(request);
    }

    /// A request has ended.
    pub(super) fn ended(&mut self, request: Option<RequestId>, record: &RequestRecord) {
        if let Some(request) = request {
            self.live.remove(&request);
        }
        self.ended.push(record.clone());
    }

    /// Something has been learned.
    pub(super) fn learned(&mut self, from: &Observation<String>) {
        self.learned.insert((from.backend.clone(), from.model.to_string(), from.endpoint));
    }

    /// When something that waits for its time must be told; `None`: nothing waits.
    pub(super) fn due(&self) -> Option<Time> {
        (!self.learned.is_empty()).then_some(self.learned_due)
    }

    /// What has changed since the last call, from `scheduler`, and of the rest from `instance` and `history_lost`.
    pub(super) fn take(
        &mut self,
        scheduler: &Scheduler,
        now: Time,
        instance: InstanceView,
        history_lost: u64,
    ) -> Batch {
        let mut requests: Vec<RequestRecord> = std::mem::take(&mut self.ended);
        let live = std::mem::take(&mut self.live);
        requests.extend(live.into_iter().filter_map(|request| scheduler.record(now, request)));
        let backends = scheduler.backends(now);
        let is_news = |view: &&BackendView| !self.told.backends.contains(view);
        let changed = backends.iter().filter(is_news).cloned().collect();
        self.told.backends = backends;
        let frontends = news(&mut self.told.frontends, scheduler.frontends());
        let mut counters = scheduler.counters();
        counters.history_lost = history_lost;
        let counters = news(&mut self.told.counters, counters);
        // That time has passed is no news.
        let timeless = InstanceView { now_unix_us: 0, ..instance.clone() };
        let instance = news(&mut self.told.instance, Some(timeless)).map(|_| instance);
        Batch {
            requests,
            backends: changed,
            frontends,
            instance,
            counters,
            learned: self.learned_by(scheduler, now),
        }
    }

    fn learned_by(&mut self, scheduler: &Scheduler, now: Time) -> Vec<LearnedView> {
        if self.learned.is_empty() || now < self.learned_due {
            return Vec::new();
        }
        self.learned_due = now.plus_millis(LEARNED_EVERY_MS);
        let touched = std::mem::take(&mut self.learned);
        let mut learned = scheduler.learned();
        learned.retain(|view| touched.contains(&(view.backend.clone(), view.model.clone(), view.endpoint)));
        learned
    }
}

/// Puts `new` in the place of `old`; returns it if they differ.
fn news<T: PartialEq + Clone>(old: &mut T, new: T) -> Option<T> {
    (*old != new).then(|| {
        old.clone_from(&new);
        new
    })
}

/// What has changed.
#[derive(Default)]
pub(super) struct Batch {
    requests: Vec<RequestRecord>,
    backends: Vec<BackendView>,
    frontends: Option<Vec<FrontendView>>,
    instance: Option<InstanceView>,
    counters: Option<Counters>,
    learned: Vec<LearnedView>,
}

impl Batch {
    /// How many things have changed.
    pub(super) fn len(&self) -> u64 {
        let single = [self.frontends.is_some(), self.instance.is_some(), self.counters.is_some()];
        let single = single.into_iter().filter(|is_there| *is_there).count();
        (self.requests.len() + self.backends.len() + self.learned.len() + single) as u64
    }

    /// The part of it that `subscription` is about, as events.
    pub(super) fn events(&self, subscription: &Subscription, scheduler: &Scheduler) -> Vec<Event> {
        let requests = self.requests.iter().filter(|record| wants(subscription, record, scheduler));
        let backends = self.backends.iter().filter(|view| is_about(subscription, &view.name));
        let learned = self.learned.iter().filter(|view| is_about(subscription, &view.backend));
        let lists = [
            Event::Requests(requests.cloned().collect()),
            Event::Backends(backends.cloned().collect()),
            Event::Learned(learned.cloned().collect()),
        ];
        let mut events: Vec<Event> = lists.into_iter().filter(|event| !is_empty(event)).collect();
        events.extend(self.frontends.clone().map(Event::Frontends));
        events.extend(self.instance.clone().map(|instance| Event::Instance(Box::new(instance))));
        events.extend(self.counters.map(Event::Counters));
        events
    }
}

fn is_empty(event: &Event) -> bool {
    match event {
        Event::Requests(list) => list.is_empty(),
        Event::Backends(list) => list.is_empty(),
        Event::Learned(list) => list.is_empty(),
        _ => false,
    }
}

/// Cuts a list that is too long for a frame in two; gives back what cannot be cut.
pub(super) fn halves(event: Event) -> Result<[Event; 2], Event> {
    fn cut<T>(mut list: Vec<T>, wrap: fn(Vec<T>) -> Event) -> Result<[Event; 2], Event> {
        if list.len() < 2 {
            return Err(wrap(list));
        }
        let rest = list.split_off(list.len() / 2);
        Ok([wrap(list), wrap(rest)])
    }
    match event {
        Event::Requests(list) => cut(list, Event::Requests),
        Event::Backends(list) => cut(list, Event::Backends),
        Event::Learned(list) => cut(list, Event::Learned),
        other => Err(other),
    }
}

/// Leaves of `snapshot` what `subscription` is about.
pub(super) fn keep_what_is_wanted(
    snapshot: &mut Snapshot,
    subscription: &Subscription,
    scheduler: &Scheduler,
) {
    snapshot.requests.retain(|record| wants(subscription, record, scheduler));
    snapshot.requests.truncate(Snapshot::MAX_REQUESTS);
    snapshot.backends.retain(|view| is_about(subscription, &view.name));
    snapshot.learned.retain(|view| is_about(subscription, &view.backend));
}

fn is_about(subscription: &Subscription, backend: &str) -> bool {
    subscription.backend.as_deref().is_none_or(|wanted| wanted == backend)
}

fn wants(subscription: &Subscription, record: &RequestRecord, scheduler: &Scheduler) -> bool {
    let is = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    is(&subscription.model, &record.model)
        && is(&subscription.client, &record.client)
        && subscription.backend.as_deref().is_none_or(|wanted| {
            record.backend == wanted
                || record.last_failed_backend == wanted
                || scheduler.offers(wanted, &record.model)
        })
}
