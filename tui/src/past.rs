//! The last minutes as charts need them: throughput and queue by slices of time, and which model each backend held.
//!
//! Bounded by age and number. Times are the instance's own, in microseconds.

use std::collections::{BTreeMap, VecDeque};

use ipc_proto::operator::BackendView;

use crate::world::World;

/// The finest slice of a chart.
pub(crate) const SLICE_US: i64 = 1_000_000;
/// Slices kept: half an hour.
pub(crate) const SLICES: usize = 1800;
/// How far back turns are kept.
pub(crate) const TURNS_US: i64 = 30 * 60 * 1_000_000;
/// The most stretches kept of one backend.
const MOST_STRETCHES: usize = 500;

/// What happened in one slice.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Slice {
    /// Complete answers.
    pub(crate) done: u64,
    /// The most requests that waited.
    pub(crate) queued: u64,
}

/// A time for which a backend held a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    /// The model.
    pub(crate) model: String,
    /// Whether it was loading.
    pub(crate) loading: bool,
    /// Since when.
    pub(crate) from_us: i64,
    /// Until when; `None`: it still does.
    pub(crate) until_us: Option<i64>,
}

/// The last minutes.
#[derive(Default, Debug)]
pub(crate) struct Past {
    slices: VecDeque<Slice>,
    /// Number of the newest slice since 1970.
    newest: i64,
    done_before: Option<u64>,
    stretches: BTreeMap<String, VecDeque<Stretch>>,
}

impl Past {
    /// Looks at the world at `now_us`.
    pub(crate) fn observe(&mut self, world: &World, now_us: i64) {
        self.advance(now_us);
        let completed = world.counters.completed;
        // A counter that goes back is a new instance's.
        let done = self.done_before.map_or(0, |before| completed.saturating_sub(before));
        self.done_before = Some(completed);
        let queued = world.tally().queued;
        if let Some(slice) = self.slices.back_mut() {
            slice.done += done;
            slice.queued = slice.queued.max(queued);
        }
        for backend in &world.backends {
            self.observe_turns(backend, now_us);
        }
        self.stretches.retain(|name, _| world.backend(name).is_some());
    }

    /// Ends what is open: nothing is known until the instance is there again.
    pub(crate) fn interrupt(&mut self, now_us: i64) {
        self.done_before = None;
        for stretch in self.stretches.values_mut().flatten() {
            stretch.until_us.get_or_insert(now_us);
        }
    }

    fn advance(&mut self, now_us: i64) {
        let number = now_us.div_euclid(SLICE_US);
        let missing = if self.slices.is_empty() { 1 } else { number.saturating_sub(self.newest) };
        let missing = usize::try_from(missing).unwrap_or(0).min(SLICES);
        self.slices.extend(std::iter::repeat_n(Slice::default(), missing));
        self.newest = self.newest.max(number);
        let surplus = self.slices.len().saturating_sub(SLICES);
        self.slices.drain(..surplus);
    }

    fn observe_turns(&mut self, backend: &BackendView, now_us: i64) {
        let stretches = self.stretches.entry(backend.name.clone()).or_default();
        let holds = |stretch: &Stretch| {
            backend
                .turns
                .iter()
                .any(|turn| turn.model == stretch.model && turn.since_unix_us.is_none() == stretch.loading)
        };
        for stretch in stretches.iter_mut().filter(|stretch| stretch.until_us.is_none()) {
            if !holds(stretch) {
                // A load ends when the turn begins, not when we hear of it.
                let turn = backend.turns.iter().find(|turn| stretch.loading && turn.model == stretch.model);
                let began = turn.and_then(|turn| turn.since_unix_us).unwrap_or(now_us);
                stretch.until_us = Some(began.clamp(stretch.from_us, now_us.max(stretch.from_us)));
            }
        }
        for turn in &backend.turns {
            let loading = turn.since_unix_us.is_none();
            let is_open = |stretch: &Stretch| {
                stretch.until_us.is_none() && stretch.model == turn.model && stretch.loading == loading
            };
            if !stretches.iter().any(is_open) {
                let from_us = turn.since_unix_us.unwrap_or(now_us).min(now_us);
                stretches.push_back(Stretch { model: turn.model.clone(), loading, from_us, until_us: None });
            }
        }
        stretches.retain(|stretch| stretch.until_us.is_none_or(|until| now_us - until < TURNS_US));
        let surplus = stretches.len().saturating_sub(MOST_STRETCHES);
        stretches.drain(..surplus);
    }

    /// The last `number` slices, oldest first; fewer where less is known.
    pub(crate) fn last(&self, number: usize) -> impl Iterator<Item = Slice> + '_ {
        self.slices.iter().skip(self.slices.len().saturating_sub(number)).copied()
    }

    /// The last `number` groups of `size` slices, oldest first, cut at round times so that they do not change as time goes
    /// on; the newest one is still being filled.
    pub(crate) fn groups(&self, number: usize, size: usize) -> Vec<Slice> {
        let size = size.max(1);
        let phase = self.newest.rem_euclid(i64::try_from(size).unwrap_or(1));
        let mut wanted = usize::try_from(phase).unwrap_or(0) + 1;
        let (mut end, mut groups) = (self.slices.len(), Vec::new());
        while end > 0 && groups.len() < number {
            let start = end.saturating_sub(wanted);
            groups.push(self.slices.range(start..end).fold(Slice::default(), |sum, slice| Slice {
                done: sum.done + slice.done,
                queued: sum.queued.max(slice.queued),
            }));
            (end, wanted) = (start, size);
        }
        groups.reverse();
        groups
    }

    /// Complete answers in the last minute.
    pub(crate) fn done_per_minute(&self) -> u64 {
        self.last(60).map(|slice| slice.done).sum()
    }

    /// When the oldest stretch began.
    pub(crate) fn oldest_us(&self) -> Option<i64> {
        self.stretches.values().flatten().map(|stretch| stretch.from_us).min()
    }

    /// The stretches of a backend, oldest first.
    pub(crate) fn stretches(&self, backend: &str) -> impl Iterator<Item = &Stretch> {
        self.stretches.get(backend).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use ipc_proto::operator::{Event, RequestState, TurnView};

    use super::*;
    use crate::sample;

    fn turn(model: &str, since: Option<i64>) -> TurnView {
        TurnView { model: model.to_owned(), since_unix_us: since, running: 0, waiting: 0, context: None }
    }

    #[test]
    fn answers_are_counted_by_slice_and_a_new_instance_does_not_count_back() {
        let (mut world, mut past) = (World::default(), Past::default());
        for (at, completed) in [(0, 10), (1, 12), (SLICE_US, 15), (3 * SLICE_US, 15), (3 * SLICE_US, 2)] {
            world.counters.completed = completed;
            past.observe(&world, at);
        }
        let done: Vec<_> = past.last(10).map(|slice| slice.done).collect();
        assert_eq!(done, [2, 3, 0, 0]);
        assert_eq!(past.done_per_minute(), 5);
    }

    #[test]
    fn groups_are_cut_at_round_times() {
        let (mut world, mut past) = (World::default(), Past::default());
        past.observe(&world, 3 * SLICE_US);
        for second in 4..=11 {
            world.counters.completed += 1;
            past.observe(&world, second * SLICE_US);
        }
        let done = |number| past.groups(number, 5).iter().map(|group| group.done).collect::<Vec<_>>();
        assert_eq!(done(9), [1, 5, 2], "seconds 3 and 4, 5 to 9, 10 and 11");
        assert_eq!(done(2), [5, 2]);
    }

    #[test]
    fn a_slice_shows_the_longest_queue_and_old_slices_go() {
        let (mut world, mut past) = (World::default(), Past::default());
        world.learn(Event::Requests(vec![sample::request("1", RequestState::Queued)]));
        past.observe(&world, 0);
        world.requests.clear();
        past.observe(&world, 1);
        assert_eq!(past.last(1).next().unwrap().queued, 1);
        past.observe(&world, SLICE_US * 1_000_000);
        assert_eq!(
            (past.last(usize::MAX).count(), past.last(usize::MAX).map(|slice| slice.queued).sum()),
            (SLICES, 0u64)
        );
    }

    #[test]
    fn a_load_becomes_a_turn_and_ends_with_the_next() {
        let (mut world, mut past) = (World::default(), Past::default());
        let mut backend = sample::backend("b", 1);
        for (at, turns) in [
            (10, vec![turn("m", None)]),
            (20, vec![turn("m", Some(18))]),
            (30, vec![turn("m", Some(18))]),
            (40, vec![turn("n", None)]),
        ] {
            backend.turns = turns;
            world.backends = vec![backend.clone()];
            past.observe(&world, at);
        }
        past.interrupt(50);
        let seen: Vec<_> = past
            .stretches("b")
            .map(|stretch| (stretch.model.as_str(), stretch.loading, stretch.from_us, stretch.until_us))
            .collect();
        let expected = [("m", true, 10, Some(18)), ("m", false, 18, Some(40)), ("n", true, 40, Some(50))];
        assert_eq!(seen, expected);
        world.backends.clear();
        past.observe(&world, 60);
        assert_eq!(past.stretches("b").count(), 0);
    }
}
