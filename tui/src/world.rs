//! What the instance has told: its state as we know it, kept up to date change by change.
//!
//! Holds live requests and those that ended lately, with a bound. Knows nothing of the screen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipc_proto::operator::{
    BackendView, Counters, Event, FrontendView, InstanceView, LearnedView, RequestRecord, RequestState,
    Snapshot,
};

/// Ended requests disappear after so long.
pub(crate) const KEPT_US: i64 = 30 * 60 * 1_000_000;
/// The most ended requests that are kept, whatever their age.
const MOST_ENDED: usize = 5_000;

/// The instance as we know it.
#[derive(Default, Debug)]
pub(crate) struct World {
    /// The instance's own figures; `None` before the first snapshot.
    pub(crate) instance: Option<InstanceView>,
    /// Its backends, best first, then by name.
    pub(crate) backends: Vec<BackendView>,
    /// Its frontends.
    pub(crate) frontends: Vec<FrontendView>,
    /// What has been learned.
    pub(crate) learned: Vec<LearnedView>,
    /// What has happened.
    pub(crate) counters: Counters,
    /// Requests by their unique id.
    pub(crate) requests: BTreeMap<Arc<str>, RequestRecord>,
    /// Live requests that the instance did not list, because there are too many.
    pub(crate) unlisted: u64,
}

/// Requests of the last half hour, counted.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    /// Waiting.
    pub(crate) queued: u64,
    /// Running.
    pub(crate) running: u64,
    /// Answered.
    pub(crate) done: u64,
    /// Not answered, and not because the client left.
    pub(crate) failed: u64,
}

impl World {
    /// Takes over what `event` says. Returns whether live requests have vanished without their end being told.
    pub(crate) fn learn(&mut self, event: Event) -> bool {
        match event {
            Event::Snapshot(snapshot) => return self.replace(*snapshot),
            Event::Requests(records) => records.into_iter().for_each(|record| self.put(record)),
            Event::Backends(views) => {
                for view in views {
                    match self.backends.iter_mut().find(|known| known.name == view.name) {
                        Some(known) => *known = view,
                        None => self.backends.push(view),
                    }
                }
                self.sort_backends();
            }
            Event::Frontends(views) => self.frontends = views,
            Event::Instance(view) => self.instance = Some(*view),
            Event::Counters(counters) => self.counters = counters,
            Event::Learned(views) => {
                for view in views {
                    let same = |known: &&mut LearnedView| {
                        (&known.backend, &known.model, known.endpoint)
                            == (&view.backend, &view.model, view.endpoint)
                    };
                    match self.learned.iter_mut().find(same) {
                        Some(known) => *known = view,
                        None => self.learned.push(view),
                    }
                }
            }
            Event::Log(_) | Event::Lagged { .. } => {}
        }
        false
    }

    /// Takes over past requests. What is known already and newer stays.
    pub(crate) fn remember(&mut self, records: Vec<RequestRecord>) {
        for record in records {
            let known = self.requests.get(record.exchange.as_str());
            if record.state.is_final() && known.is_none_or(|known| !known.state.is_final()) {
                self.put(record);
            }
        }
    }

    fn replace(&mut self, snapshot: Snapshot) -> bool {
        self.instance = Some(snapshot.instance);
        self.backends = snapshot.backends;
        self.frontends = snapshot.frontends;
        self.learned = snapshot.learned;
        self.counters = snapshot.counters;
        self.sort_backends();
        let before = self.requests.values().filter(|known| !known.state.is_final()).count();
        let listed: BTreeSet<&str> = snapshot.requests.iter().map(|live| live.exchange.as_str()).collect();
        let is_unlisted = |id: &str, known: &RequestRecord| !known.state.is_final() && !listed.contains(id);
        let others = self.requests.iter().filter(|(id, known)| is_unlisted(id, known)).count();
        let others = u64::try_from(others).unwrap_or(u64::MAX);
        let told: u64 = listed.len().try_into().unwrap_or(u64::MAX);
        self.unlisted = snapshot.live.saturating_sub(told);
        // A list that is cut short leaves room for those we know from changes; more than that cannot all be live.
        if others <= self.unlisted {
            self.unlisted -= others;
        } else {
            self.requests.retain(|id, known| !is_unlisted(id, known));
        }
        let kept = self.requests.values().filter(|known| !known.state.is_final()).count();
        snapshot.requests.into_iter().for_each(|record| self.put(record));
        kept < before && self.unlisted == 0
    }

    fn put(&mut self, record: RequestRecord) {
        self.requests.insert(record.exchange.as_str().into(), record);
    }

    fn sort_backends(&mut self) {
        self.backends.sort_by(|left, right| (left.priority, &left.name).cmp(&(right.priority, &right.name)));
    }

    /// Forgets requests that ended long before `now_us`, and the oldest where there are too many.
    pub(crate) fn forget(&mut self, now_us: i64) {
        self.requests.retain(|_, known| is_shown(known, now_us));
        let mut ends: Vec<_> = self.requests.values().filter_map(|known| known.ended_unix_us).collect();
        if ends.len() > MOST_ENDED {
            ends.sort_unstable();
            let oldest = ends[ends.len() - MOST_ENDED];
            self.requests.retain(|_, known| known.ended_unix_us.is_none_or(|end| end >= oldest));
        }
    }

    /// The requests, counted.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally { queued: self.unlisted, ..Tally::default() };
        for record in self.requests.values() {
            match record.state {
                RequestState::Queued => tally.queued += 1,
                RequestState::Running => tally.running += 1,
                RequestState::Completed => tally.done += 1,
                RequestState::Failed => tally.failed += 1,
                RequestState::Cancelled => {}
            }
        }
        tally
    }

    /// The backend of this name, and its place in the list.
    pub(crate) fn backend(&self, name: &str) -> Option<(usize, &BackendView)> {
        self.backends.iter().enumerate().find(|(_, view)| view.name == name)
    }

    /// Whether a waiting request's model is on no healthy backend, so that a model must make way or be loaded first.
    pub(crate) fn needs_swap(&self, record: &RequestRecord) -> bool {
        let holds = |view: &BackendView| {
            view.current_model == record.model || view.turns.iter().any(|turn| turn.model == record.model)
        };
        record.state == RequestState::Queued
            && !self.backends.iter().any(|view| view.health == "up" && holds(view))
    }

    /// What is known of the model that `backend` holds, from the operation with the most observations.
    pub(crate) fn learned_of(&self, backend: &BackendView) -> Option<&LearnedView> {
        let of_it = |view: &&LearnedView| view.backend == backend.name && view.model == backend.current_model;
        self.learned.iter().filter(of_it).max_by_key(|view| view.samples)
    }
}

/// Whether a request is still to be seen at `now_us`.
pub(crate) fn is_shown(record: &RequestRecord, now_us: i64) -> bool {
    !record.state.is_final() || record.ended_unix_us.is_none_or(|end| now_us.saturating_sub(end) < KEPT_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn tui_03_backends_are_sorted_by_priority_then_name() {
        let mut world = World::default();
        let views = [("rack", 200), ("local-b", 100), ("cloud", 900), ("local-a", 100)];
        world.learn(Event::Backends(views.map(|(name, priority)| sample::backend(name, priority)).to_vec()));
        let names: Vec<_> = world.backends.iter().map(|view| view.name.as_str()).collect();
        assert_eq!(names, ["local-a", "local-b", "rack", "cloud"]);
    }

    #[test]
    fn a_change_replaces_what_was_known_and_a_snapshot_everything() {
        let mut world = World::default();
        assert!(!world.learn(Event::Snapshot(Box::new(sample::snapshot()))));
        let mut record = sample::request("1", RequestState::Running);
        record.model = "other".to_owned();
        world.learn(Event::Requests(vec![record]));
        assert_eq!(world.requests["1"].model, "other");
        let mut view = sample::backend("local-a", 100);
        view.draining = true;
        world.learn(Event::Backends(vec![view]));
        assert!(world.backend("local-a").unwrap().1.draining);
        let mut empty = sample::snapshot();
        empty.requests.clear();
        empty.live = 0;
        assert!(world.learn(Event::Snapshot(Box::new(empty))), "their ends are not known");
        assert_eq!(world.tally(), Tally::default());
    }

    #[test]
    fn a_list_cut_short_keeps_what_is_known_as_long_as_it_can_be_true() {
        let mut world = World::default();
        let records = ["3", "4", "5"].map(|id| sample::request(id, RequestState::Queued)).to_vec();
        world.learn(Event::Requests(records));
        let mut cut = sample::snapshot();
        cut.live = 6;
        assert!(!world.learn(Event::Snapshot(Box::new(cut.clone()))));
        assert_eq!((world.requests.len(), world.unlisted, world.tally().queued), (5, 1, 5));
        cut.live = 4;
        world.learn(Event::Snapshot(Box::new(cut)));
        assert_eq!((world.requests.len(), world.unlisted), (2, 2));
    }

    #[test]
    fn tui_03_ended_requests_go_after_half_an_hour_and_cancelled_ones_too() {
        let mut world = World::default();
        let now = sample::NOW_US;
        for (id, state) in [("a", RequestState::Completed), ("b", RequestState::Cancelled)] {
            let mut record = sample::request(id, state);
            record.ended_unix_us = Some(now - KEPT_US);
            world.remember(vec![record]);
        }
        let mut unknown_end = sample::request("c", RequestState::Completed);
        unknown_end.ended_unix_us = None;
        let mut waiting = sample::request("d", RequestState::Queued);
        waiting.arrived_unix_us = now - 3 * KEPT_US;
        world.learn(Event::Requests(vec![unknown_end, waiting]));
        world.forget(now - 1);
        assert_eq!(world.requests.len(), 4);
        world.forget(now);
        let left: Vec<_> = world.requests.keys().map(AsRef::as_ref).collect();
        assert_eq!(left, ["c", "d"]);
    }

    #[test]
    fn the_history_never_undoes_what_is_known_and_is_bounded() {
        let mut world = World::default();
        world.learn(Event::Requests(vec![sample::request("1", RequestState::Failed)]));
        world.remember(vec![sample::request("1", RequestState::Completed)]);
        assert_eq!(world.requests["1"].state, RequestState::Failed);
        for number in 0..MOST_ENDED + 10 {
            let mut record = sample::request(&format!("n{number}"), RequestState::Completed);
            record.ended_unix_us = Some(sample::NOW_US - i64::try_from(number).unwrap());
            world.remember(vec![record]);
        }
        world.forget(sample::NOW_US);
        assert!(world.requests.len() <= MOST_ENDED + 1, "{}", world.requests.len());
        assert!(world.requests.contains_key("n0"), "the newest stays");
    }

    #[test]
    fn a_request_whose_model_nobody_holds_needs_a_swap() {
        let mut world = World::default();
        world.learn(Event::Snapshot(Box::new(sample::snapshot())));
        let mut record = sample::request("9", RequestState::Queued);
        assert!(!world.needs_swap(&record));
        record.model = "absent".to_owned();
        assert!(world.needs_swap(&record));
        record.state = RequestState::Running;
        assert!(!world.needs_swap(&record));
    }
}
