//! What operators see of the scheduler.

use std::collections::{BTreeMap, BTreeSet};

use ipc_proto::ids::{ModelName, RequestId};
use ipc_proto::operator::{BackendView, Counters, FrontendView, RequestRecord, TurnView};

use super::backend::Backend;
use super::laws::Laws;
use super::model::ModelIx;
use super::policy::Board;
use super::request::{Request, Stage};
use super::residents::{Hold, Resident};
use super::{Phase, Scheduler};
use crate::clock::Time;

/// How a running instance is called that grants nothing new.
pub(super) const PAUSED: &str = "paused";

impl<L: Laws> Scheduler<L> {
    /// The record of a live request as it stands at `now`; `None` if it has ended or never was. Its place in the queue
    /// is told by [`Self::live_requests`] and [`Self::explain`]: to count those before it for every record that is
    /// saved would be dear.
    pub fn record(&self, now: Time, request: RequestId) -> Option<RequestRecord> {
        let found = self.requests.get(&request)?;
        Some(self.describe(now, request, found))
    }

    /// The configured backends, best first.
    pub fn backends(&self, now: Time) -> Vec<BackendView> {
        let board = self.board();
        let shown = |backend: &&Backend| {
            let lanes = self.queue.lanes().filter(|(_, lane)| lane.candidates.contains(&backend.id));
            let mut view = backend.view(lanes.map(|(_, lane)| lane.len() as u64).sum(), &self.models);
            view.turns = backend.residents.iter().map(|held| self.turn_view(&board, backend, held)).collect();
            view.next = self.policy.next_of(&board, backend.id, now).unwrap_or_default();
            view
        };
        board.backends().iter().map(shown).collect()
    }

    fn turn_view(&self, board: &Board<'_>, backend: &Backend, held: &Resident) -> TurnView {
        let kin = self.models.kin(held.model).iter();
        let served = kin.filter(|model| board.serves(backend, held.model, **model));
        TurnView {
            model: self.models.name(held.model).to_string(),
            since_unix_us: (held.hold == Hold::Ready).then(|| self.unix_us(held.since)),
            running: held.running,
            waiting: served.map(|model| self.queue.of(*model).len() as u64).sum(),
            context: held.options.context,
        }
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
        let places = self.places(live.iter().map(|(_, request)| *request));
        let record = |(id, request): (&RequestId, &Request)| {
            let place = places.get(id).map(|ahead| self.waiting_at(now, request.lane.model, *ahead));
            RequestRecord { waiting: place, ..self.describe(now, *id, request) }
        };
        (live.into_iter().map(record).collect(), total)
    }

    /// How many are before each request that waits for a model for which one of `requests` waits.
    fn places<'a>(&self, requests: impl Iterator<Item = &'a Request>) -> BTreeMap<RequestId, usize> {
        let waiting = requests.filter(|request| request.waiting_since().is_some());
        let models: BTreeSet<ModelIx> = waiting.map(|request| request.lane.model).collect();
        let in_order = models.into_iter().map(|model| self.queue.of(model).in_order());
        in_order.flat_map(|order| order.into_iter().enumerate().map(|(ahead, id)| (id, ahead))).collect()
    }

    /// What has happened since the start. The losses of the history are not the scheduler's to count.
    pub fn counters(&self) -> Counters {
        let (lingers_won, lingers_lost) = self.policy.lingers();
        Counters { lingers_won, lingers_lost, ..self.counters }
    }

    /// `starting`, `running`, `paused`, `draining` or `stopped`.
    pub fn phase(&self) -> &'static str {
        if self.is_paused && self.phase == Phase::Running { PAUSED } else { self.phase.as_str() }
    }

    /// Whether backend `name` is there for `model`, as clients call it.
    pub fn offers(&self, name: &str, model: &str) -> bool {
        let model = ModelName::new(model);
        let alias = self.catalog.aliases.get(&model);
        let real = alias.map_or(&model, |alias| &alias.model);
        let only = alias.and_then(|alias| alias.backend);
        self.in_use().any(|backend| {
            backend.spec.name == name && only.is_none_or(|only| only == backend.id) && backend.lists(real)
        })
    }

    /// How many requests wait, pauses between attempts included.
    pub fn queued(&self) -> u64 {
        self.waiting
    }
}
