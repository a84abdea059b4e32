//! Who waits, in which order. Requests with the same choice of backends wait in one lane, by class and place.
//!
//! The queue knows no backend's state: which backends a lane may use is told to it, and whether an avoided backend
//! may be used after all is decided by whoever asks for the next request.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use ipc_proto::control::Class;
use ipc_proto::ids::{BackendId, KeyId, RequestId};

use super::lane::{Lane, LaneKey, Place, Precedence, Standing, Waiter};
use super::model::ModelIx;
use crate::clock::Time;

/// A moment and who: two of one moment are told apart.
type Mark = (Time, u64);

/// What one client has waiting for one model.
#[derive(Default, Debug)]
struct ClientQueue {
    places: BTreeSet<Place>,
    due: BTreeSet<Mark>,
    arrivals: BTreeSet<Mark>,
}

/// What waits for one model.
#[derive(Default, Debug)]
pub(super) struct ModelQueue {
    lanes: BTreeMap<LaneKey, Lane>,
    arrivals: BTreeSet<Mark>,
    /// Sum of the times of arrival, in microseconds.
    sum_arrived: u128,
    /// When each becomes due.
    dues: BTreeSet<Mark>,
    clients: BTreeMap<KeyId, ClientQueue>,
}

impl ModelQueue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// When the one that has waited longest came.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.arrivals.first().map(|(arrived, _)| *arrived)
    }

    /// How long all of them together have waited at `now`, in microseconds.
    pub(super) fn waited_us(&self, now: Time) -> u128 {
        (u128::from(now.0) * self.arrivals.len() as u128).saturating_sub(self.sum_arrived)
    }

    /// Its lanes.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (&LaneKey, &Lane)> {
        self.lanes.iter()
    }

    /// How many wait of `client`, and the last of their places.
    pub(super) fn of_client(&self, client: KeyId) -> (usize, Option<Time>) {
        let waiting = self.clients.get(&client);
        (
            waiting.map_or(0, |waiting| waiting.places.len()),
            waiting.and_then(|waiting| waiting.places.last()).map(|place| place.at),
        )
    }

    /// Each client that waits, and when the one of its requests came that has waited longest.
    pub(super) fn oldest_by_client(&self) -> impl Iterator<Item = (KeyId, Time)> {
        self.clients.iter().filter_map(|(client, waiting)| Some((*client, waiting.arrivals.first()?.0)))
    }

    /// The place of the next request of all, by time and arrival, whatever the class.
    pub(super) fn head(&self) -> Option<Place> {
        let heads = self.lanes.values().filter_map(Lane::head);
        heads.min_by_key(|(precedence, _)| *precedence).map(|((_, place), _)| place)
    }

    /// Everybody, in the order in which they are served if all backends are the same to them.
    pub(super) fn in_order(&self) -> Vec<RequestId> {
        let mut all: Vec<(Precedence, RequestId)> = self
            .lanes
            .values()
            .flat_map(|lane| lane.waiters().map(|(precedence, waiter)| (precedence, waiter.request)))
            .collect();
        all.sort_unstable_by_key(|(precedence, _)| *precedence);
        all.into_iter().map(|(_, request)| request).collect()
    }

    /// How many are before `waiter`, who waits or paused before waiting in the lane of `key`.
    pub(super) fn ahead_of(&self, key: &LaneKey, waiter: &Waiter) -> usize {
        let own = self.lanes.get(key).into_iter().flat_map(Lane::waiters);
        let known = own.into_iter().find(|(_, other)| other.request == waiter.request);
        let precedence = known.map_or_else(|| waiter.precedence(), |(precedence, _)| precedence);
        let all = self.lanes.values().flat_map(Lane::waiters);
        all.filter(|(other, _)| *other < precedence).count()
    }

    /// When the next request after `now` becomes due.
    pub(super) fn next_due(&self, now: Time) -> Option<Time> {
        self.dues.range((Bound::Excluded((now, u64::MAX)), Bound::Unbounded)).next().map(|(due, _)| *due)
    }

    /// Whether a request that is due at `now` comes from a client with nothing waiting in any of `others`.
    pub(super) fn has_due_stranger_to<'a>(
        &self,
        others: &(impl Iterator<Item = &'a Self> + Clone),
        now: Time,
    ) -> bool {
        self.clients.iter().any(|(client, waiting)| {
            let is_due = waiting.due.first().is_some_and(|(due, _)| *due <= now);
            is_due && !others.clone().any(|other| other.clients.contains_key(client))
        })
    }
}

/// All that waits.
#[derive(Default, Debug)]
pub(super) struct Queue {
    models: Vec<ModelQueue>,
    /// The models for which somebody waits.
    waiting: BTreeSet<ModelIx>,
    /// Batch requests that will be ripe.
    ripening: BTreeMap<Mark, (LaneKey, Waiter)>,
    /// How many wait of each client that has any waiting.
    clients: BTreeMap<KeyId, usize>,
    nobody: ModelQueue,
}

impl Queue {
    /// The models for which somebody waits, in order of their numbers.
    pub(super) fn waiting(&self) -> impl Iterator<Item = ModelIx> {
        self.waiting.iter().copied()
    }

    /// What waits for `model`.
    pub(super) fn of(&self, model: ModelIx) -> &ModelQueue {
        self.models.get(model.index()).unwrap_or(&self.nobody)
    }

    /// How many wait of `client`, for whatever models.
    pub(super) fn of_client(&self, client: KeyId) -> usize {
        self.clients.get(&client).copied().unwrap_or(0)
    }

    /// The lane of `key`, if somebody waits there.
    pub(super) fn lane(&self, key: &LaneKey) -> Option<&Lane> {
        self.of(key.model).lanes.get(key)
    }

    /// Every lane.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (&LaneKey, &Lane)> {
        self.waiting.iter().flat_map(|model| self.of(*model).lanes.iter())
    }

    /// Every lane, to renew its candidates.
    pub(super) fn lanes_mut(&mut self) -> impl Iterator<Item = (&LaneKey, &mut Lane)> {
        self.models.iter_mut().flat_map(|model| model.lanes.iter_mut())
    }

    /// Lets `waiter` wait in the lane of `key`; `candidates` is asked when the lane is new. Says whether it is.
    pub(super) fn insert(
        &mut self,
        key: LaneKey,
        waiter: Waiter,
        now: Time,
        candidates: impl FnOnce() -> Vec<BackendId>,
    ) -> bool {
        let index = key.model.index();
        if self.models.len() <= index {
            self.models.resize_with(index + 1, ModelQueue::default);
        }
        let model = &mut self.models[index];
        let mut is_new = false;
        let lane = model.lanes.entry(key).or_insert_with(|| {
            is_new = true;
            Lane::new(candidates())
        });
        let order = waiter.place.order;
        let standing = match waiter.class {
            Class::Interactive => Standing::Prompt,
            Class::Batch if waiter.ripens.is_some_and(|ripens| ripens <= now) => Standing::Ripe,
            Class::Batch => Standing::Batch,
        };
        lane.insert(waiter, standing);
        if let (Standing::Batch, Some(ripens)) = (standing, waiter.ripens) {
            self.ripening.insert((ripens, order), (key, waiter));
        }
        model.arrivals.insert((waiter.arrived, order));
        model.sum_arrived += u128::from(waiter.arrived.0);
        let client = model.clients.entry(waiter.client).or_default();
        client.places.insert(waiter.place);
        client.arrivals.insert((waiter.arrived, order));
        if let Some(due) = waiter.due_at() {
            client.due.insert((due, order));
            model.dues.insert((due, order));
        }
        self.waiting.insert(key.model);
        *self.clients.entry(waiter.client).or_default() += 1;
        is_new
    }

    /// Takes `waiter` out of the lane of `key`. Says whether the lane has ended with it.
    pub(super) fn remove(&mut self, key: &LaneKey, waiter: &Waiter) -> bool {
        let Some(model) = self.models.get_mut(key.model.index()) else { return false };
        let Some(lane) = model.lanes.get_mut(key) else { return false };
        let Some(waiter) = lane.remove(waiter) else { return false };
        let has_ended = lane.is_empty();
        if has_ended {
            model.lanes.remove(key);
        }
        let order = waiter.place.order;
        if let Some(ripens) = waiter.ripens {
            self.ripening.remove(&(ripens, order));
        }
        model.arrivals.remove(&(waiter.arrived, order));
        model.sum_arrived -= u128::from(waiter.arrived.0);
        if let Some(client) = model.clients.get_mut(&waiter.client) {
            client.places.remove(&waiter.place);
            client.arrivals.remove(&(waiter.arrived, order));
            if let Some(due) = waiter.due_at() {
                client.due.remove(&(due, order));
                model.dues.remove(&(due, order));
            }
            if client.places.is_empty() {
                model.clients.remove(&waiter.client);
            }
        }
        if model.arrivals.is_empty() {
            self.waiting.remove(&key.model);
        }
        if let Some(number) = self.clients.get_mut(&waiter.client) {
            *number -= 1;
            if *number == 0 {
                self.clients.remove(&waiter.client);
            }
        }
        has_ended
    }

    /// Lets batch requests that have waited long enough by `now` compete with interactive ones.
    pub(super) fn ripen(&mut self, now: Time) {
        while let Some(first) = self.ripening.first_entry().filter(|first| first.key().0 <= now) {
            let (key, waiter) = first.remove();
            let model = self.models.get_mut(key.model.index());
            if let Some(lane) = model.and_then(|model| model.lanes.get_mut(&key))
                && let Some(waiter) = lane.remove(&waiter)
            {
                lane.insert(waiter, Standing::Ripe);
            }
        }
    }

    /// When the next batch request is ripe.
    pub(super) fn next_ripe(&self) -> Option<Time> {
        self.ripening.first_key_value().map(|((ripens, _), _)| *ripens)
    }
}

#[cfg(test)]
mod tests {
    use dialect::Task;
    use ipc_proto::ids::ModelName;

    use super::*;
    use crate::scheduler::learner::Learner;
    use crate::scheduler::model::{LoadNeed, Models};

    fn key(task: Task) -> LaneKey {
        let (mut models, mut learner) = (Models::default(), Learner::default());
        let model = models.intern(&ModelName::new("m"), &LoadNeed::Any, &mut learner);
        LaneKey { model, task, only: None, bound: None }
    }

    fn waiter(order: u64, class: Class) -> Waiter {
        Waiter {
            request: RequestId(order.into()),
            client: KeyId(0),
            class,
            arrived: Time(order),
            place: Place { at: Time(order), order },
            ripens: (class == Class::Batch).then_some(Time(100)),
            avoided: None,
        }
    }

    fn order_of(queue: &mut Queue, key: LaneKey) -> Vec<u64> {
        let mut served = Vec::new();
        while let Some((_, next)) = queue.lane(&key).and_then(Lane::head) {
            let next = *next;
            served.push(next.place.order);
            queue.remove(&key, &next);
        }
        served
    }

    #[test]
    fn a_lane_serves_by_place_and_passes_over_those_that_avoid_the_backend() {
        let (mut queue, lane) = (Queue::default(), key(Task::Chat));
        let avoiding = Waiter { avoided: Some(BackendId(7)), ..waiter(1, Class::Interactive) };
        assert!(queue.insert(lane, waiter(2, Class::Interactive), Time(2), Vec::new));
        assert!(!queue.insert(lane, avoiding, Time(2), Vec::new));
        let next = |queue: &Queue, backend| {
            let lane = queue.lane(&lane).unwrap();
            lane.next(|avoided| avoided != Some(BackendId(backend))).unwrap().1.place.order
        };
        assert_eq!((next(&queue, 7), next(&queue, 8)), (2, 1));
        assert!(queue.lane(&lane).unwrap().has_avoiding(BackendId(7)));
        assert_eq!((queue.of(lane.model).len(), queue.of(lane.model).oldest()), (2, Some(Time(1))));
        assert_eq!(order_of(&mut queue, lane), [1, 2]);
        assert_eq!((queue.waiting().count(), queue.of(lane.model).waited_us(Time(9))), (0, 0));
    }

    #[test]
    fn batch_requests_yield_until_they_are_ripe() {
        let lane = key(Task::Chat);
        let filled = || {
            let mut queue = Queue::default();
            queue.insert(lane, waiter(1, Class::Batch), Time(3), Vec::new);
            queue.insert(lane, waiter(2, Class::Interactive), Time(3), Vec::new);
            queue.insert(lane, waiter(3, Class::Interactive), Time(3), Vec::new);
            queue
        };
        let mut queue = filled();
        assert_eq!((queue.next_ripe(), order_of(&mut queue, lane)), (Some(Time(100)), vec![2, 3, 1]));
        assert_eq!(queue.next_ripe(), None);
        let mut queue = filled();
        queue.ripen(Time(99));
        queue.ripen(Time(100));
        assert_eq!((queue.next_ripe(), order_of(&mut queue, lane)), (None, vec![1, 2, 3]));
    }

    #[test]
    fn a_client_is_a_stranger_to_a_model_for_which_it_has_nothing_waiting() {
        let (mut queue, lane) = (Queue::default(), key(Task::Chat));
        queue.insert(lane, waiter(5, Class::Interactive), Time(0), Vec::new);
        let waiting = queue.of(lane.model);
        assert!(!waiting.has_due_stranger_to(&[].into_iter(), Time(4)), "not due yet");
        assert!(waiting.has_due_stranger_to(&[].into_iter(), Time(5)));
        assert!(!waiting.has_due_stranger_to(&[waiting].into_iter(), Time(5)), "it waits there, too");
        assert_eq!(waiting.of_client(KeyId(0)), (1, Some(Time(5))));
    }
}
