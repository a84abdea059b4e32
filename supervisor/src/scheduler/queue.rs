//! Who waits, in which order. Requests with the same choice of backends wait in one lane, first come first served.
//!
//! The queue knows no backend's state: which backends a lane may use is told to it, and whether an avoided backend
//! may be used after all is decided by whoever asks for a head.

use std::collections::BTreeMap;

use dialect::Dialect;
use ipc_proto::ids::{BackendId, ModelName, RequestId};

use crate::clock::Time;

/// What the requests of a lane have in common: everything that decides which backends can serve them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LaneKey {
    /// The model, by its real name. First, so that a model's lanes lie side by side.
    pub(super) model: ModelName,
    /// What the client speaks.
    pub(super) dialect: Dialect,
    /// The only backend allowed, if an alias says so.
    pub(super) only: Option<BackendId>,
}

/// A place in the queue: by arrival. It is the request's for life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    /// When the request came.
    pub(super) arrived: Time,
    /// Counts admissions: two of one moment keep their order.
    pub(super) order: u64,
}

/// The waiting requests with one choice of backends.
#[derive(Debug)]
pub(super) struct Lane {
    /// The backends that have the model, best first.
    pub(super) candidates: Vec<BackendId>,
    /// Rows by the backend that is avoided: few, each in order of arrival.
    rows: BTreeMap<Option<BackendId>, BTreeMap<Place, RequestId>>,
}

impl Lane {
    /// The oldest request.
    pub(super) fn head(&self) -> Option<(Place, RequestId)> {
        self.oldest(|_| true)
    }

    /// The oldest request that does not avoid `backend`.
    pub(super) fn head_not_avoiding(&self, backend: BackendId) -> Option<(Place, RequestId)> {
        self.oldest(|avoided| avoided != Some(backend))
    }

    fn oldest(&self, takes: impl Fn(Option<BackendId>) -> bool) -> Option<(Place, RequestId)> {
        self.rows
            .iter()
            .filter(|(avoided, _)| takes(**avoided))
            .filter_map(|(_, row)| row.first_key_value())
            .map(|(place, request)| (*place, *request))
            .min()
    }

    /// Every request, in no particular order.
    pub(super) fn requests(&self) -> impl Iterator<Item = RequestId> {
        self.rows.values().flat_map(|row| row.values().copied())
    }

    /// How many wait here.
    pub(super) fn len(&self) -> usize {
        self.rows.values().map(BTreeMap::len).sum()
    }
}

/// All lanes in which somebody waits.
#[derive(Default, Debug)]
pub(super) struct Queue {
    lanes: BTreeMap<LaneKey, Lane>,
}

impl Queue {
    /// The lane of `key`, if somebody waits there.
    pub(super) fn lane(&self, key: &LaneKey) -> Option<&Lane> {
        self.lanes.get(key)
    }

    /// Every lane.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (&LaneKey, &Lane)> {
        self.lanes.iter()
    }

    /// Every lane, to renew its candidates.
    pub(super) fn lanes_mut(&mut self) -> impl Iterator<Item = (&LaneKey, &mut Lane)> {
        self.lanes.iter_mut()
    }

    /// The lanes of `model`.
    pub(super) fn lanes_of<'a>(&'a self, model: &'a ModelName) -> impl Iterator<Item = &'a Lane> {
        let first = LaneKey { model: model.clone(), dialect: Dialect::OpenAi, only: None };
        self.lanes.range(first..).take_while(move |(key, _)| key.model == *model).map(|(_, lane)| lane)
    }

    /// Lets `request` wait at `place`; `candidates` is asked when its lane is new. Says whether it is.
    pub(super) fn insert(
        &mut self,
        key: &LaneKey,
        place: Place,
        request: RequestId,
        avoided: Option<BackendId>,
        candidates: impl FnOnce() -> Vec<BackendId>,
    ) -> bool {
        let is_new = !self.lanes.contains_key(key);
        if is_new {
            self.lanes.insert(key.clone(), Lane { candidates: candidates(), rows: BTreeMap::new() });
        }
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.rows.entry(avoided).or_default().insert(place, request);
        }
        is_new
    }

    /// Takes out whoever waits at `place`. Says whether the lane has ended with it.
    pub(super) fn remove(&mut self, key: &LaneKey, place: Place, avoided: Option<BackendId>) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else { return false };
        if let Some(row) = lane.rows.get_mut(&avoided) {
            row.remove(&place);
            if row.is_empty() {
                lane.rows.remove(&avoided);
            }
        }
        let has_ended = lane.rows.is_empty();
        if has_ended {
            self.lanes.remove(key);
        }
        has_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(model: &str, dialect: Dialect) -> LaneKey {
        LaneKey { model: ModelName::new(model), dialect, only: None }
    }

    #[test]
    fn a_lane_serves_by_place_and_passes_over_those_that_avoid_the_backend() {
        let (mut queue, lane) = (Queue::default(), key("m", Dialect::OpenAi));
        let place = |order| Place { arrived: Time(0), order };
        assert!(queue.insert(&lane, place(2), RequestId(2), None, Vec::new));
        assert!(!queue.insert(&lane, place(1), RequestId(1), Some(BackendId(7)), Vec::new));
        let waiting = queue.lane(&lane).unwrap();
        assert_eq!(waiting.head().unwrap().1, RequestId(1));
        assert_eq!(waiting.head_not_avoiding(BackendId(7)).unwrap().1, RequestId(2));
        assert_eq!(waiting.head_not_avoiding(BackendId(8)).unwrap().1, RequestId(1));
        assert!(!queue.remove(&lane, place(1), Some(BackendId(7))));
        assert!(queue.remove(&lane, place(2), None));
        assert!(queue.lane(&lane).is_none());
    }

    #[test]
    fn the_lanes_of_a_model_are_found_whatever_their_dialect() {
        let mut queue = Queue::default();
        for (order, lane) in [
            key("a", Dialect::OpenAi),
            key("b", Dialect::Anthropic),
            key("b", Dialect::OpenAi),
            key("c", Dialect::OpenAi),
        ]
        .iter()
        .enumerate()
        {
            let order = order as u64;
            queue.insert(lane, Place { arrived: Time(0), order }, RequestId(order.into()), None, Vec::new);
        }
        assert_eq!(queue.lanes_of(&ModelName::new("b")).count(), 2);
        assert_eq!(queue.lanes_of(&ModelName::new("z")).count(), 0);
    }
}
