//! What operators see of the scheduler.

use ipc_proto::ids::RequestId;
use ipc_proto::operator::{BackendView, Counters, FrontendView, RequestRecord};

use super::Scheduler;
use super::laws::Laws;
use super::request::{Request, Stage};
use crate::clock::Time;

impl<L: Laws> Scheduler<L> {
    /// The record of a live request as it stands at `now`; `None` if it has ended or never was.
    pub fn record(&self, now: Time, request: RequestId) -> Option<RequestRecord> {
        let found = self.requests.get(&request)?;
        Some(self.describe(now, request, found))
    }

    /// The configured backends, best first.
    pub fn backends(&self, _now: Time) -> Vec<BackendView> {
        let ranked = self.ranking.iter().filter_map(|id| self.backends.get(id));
        ranked
            .map(|backend| {
                let lanes = self.queue.lanes().filter(|(_, lane)| lane.candidates.contains(&backend.id));
                backend.view(lanes.map(|(_, lane)| lane.len() as u64).sum(), &self.models)
            })
            .collect()
    }

    /// The frontends, by seat.
    pub fn frontends(&self) -> Vec<FrontendView> {
        self.seats.iter().map(|(number, seat)| seat.view(*number)).collect()
    }

    /// At most `max` live requests, running ones first, then those that wait, in order of arrival; and how many live
    /// in all.
    pub fn live_requests(&self, now: Time, max: usize) -> (Vec<RequestRecord>, u64) {
        let mut live: Vec<(&RequestId, &Request)> = self
            .requests
            .iter()
            .map(|(id, request)| (id, &**request))
            .filter(|(_, request)| request.stage != Stage::Closed)
            .collect();
        let total = live.len() as u64;
        live.sort_unstable_by_key(|(_, request)| (request.waiting_since().is_some(), request.order));
        live.truncate(max);
        (live.into_iter().map(|(id, request)| self.describe(now, *id, request)).collect(), total)
    }

    /// What has happened since the start. The losses of the history are not the scheduler's to count.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// `starting`, `running`, `draining` or `stopped`.
    pub fn phase(&self) -> &'static str {
        self.phase.as_str()
    }

    /// How many requests wait, pauses between attempts included.
    pub fn queued(&self) -> u64 {
        self.waiting
    }
}
