//! What one decision sees: the usable backends and the waiting models, with the quantities the rules speak of. Built
//! from the board and from what is remembered, once per decision; it changes nothing.

use crate::clock::Time;
use crate::scheduler::backend::Backend;
use crate::scheduler::lane::{Place, Waiter};
use crate::scheduler::model::ModelIx;
use crate::scheduler::policy::expected::count;
use crate::scheduler::policy::{Board, Room};
use crate::scheduler::queue::ModelQueue;
use crate::scheduler::residents::{Hold, Resident};

use super::memory::{Leaving, Memory};

/// Counts for a request that has only just come as so many seconds of waiting: new ones count, too.
const TAU_S: f64 = 10.0;
/// How far ahead a model that leaves is feared to be missed, in seconds.
const HORIZON_S: f64 = 120.0;
/// How much worse it is to stand in another model's way than the work itself.
const HELP: f64 = 4.0;
/// The least share of its holders' time that a model is expected to leave over.
const LEAST_SLACK: f64 = 0.1;
/// A rate below this, per second, is none.
const NO_RATE: f64 = 1e-9;

/// A usable backend.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) backend: &'a Backend,
    /// After how long requests may overflow to it, in microseconds; `None`: it is a member.
    pub(super) overflow_us: Option<u64>,
    pub(super) leaving: Option<Leaving>,
    pub(super) has_free_slot: bool,
    /// Until everything that runs there has ended, in seconds, as far as can be expected.
    pub(super) residual_s: f64,
    /// Arrivals per second for models it can run and that no member holds.
    orphans: f64,
}

impl Server<'_> {
    /// Whether it takes part like any other.
    pub(super) fn is_member(&self) -> bool {
        self.overflow_us.is_none()
    }

    fn slots(&self) -> f64 {
        f64::from(self.backend.slots().max(1))
    }
}

/// A model for which somebody waits.
#[derive(Debug)]
pub(super) struct Want<'a> {
    pub(super) model: ModelIx,
    pub(super) queue: &'a ModelQueue,
    /// The place of its next request.
    pub(super) head: Place,
    /// When the one came that has waited longest.
    pub(super) oldest: Time,
    /// By server: whether some request for it may go there.
    pub(super) eligible: Vec<bool>,
    /// By server: whether it holds the model and goes on with it.
    pub(super) holds: Vec<bool>,
    /// Whether a member that some request may go to holds it.
    pub(super) is_covered: bool,
    /// Since when it has waited for a backend.
    pub(super) since: Time,
    /// When that will have been too long.
    pub(super) overdue_at: Option<Time>,
    pub(super) is_overdue: bool,
}

/// What one decision sees.
pub(super) struct Sight<'a, 'b> {
    pub(super) board: &'b Board<'a>,
    pub(super) now: Time,
    /// The usable backends, best first.
    pub(super) servers: Vec<Server<'a>>,
    /// The models for which somebody waits, in order of their numbers.
    pub(super) wants: Vec<Want<'a>>,
    /// Arrivals per second, by the number of the name.
    rates: Vec<f64>,
}

impl<'a, 'b> Sight<'a, 'b> {
    /// What is to be seen now.
    pub(super) fn new(board: &'b Board<'a>, memory: &Memory, now: Time) -> Self {
        let mut sight = Self::without_wants(board, memory, now);
        sight.wants = board.waiting().filter_map(|model| sight.want(memory, model)).collect();
        sight
    }

    /// What is to be seen of one waiting model.
    pub(super) fn of(board: &'b Board<'a>, memory: &Memory, model: ModelIx, now: Time) -> Self {
        let mut sight = Self::without_wants(board, memory, now);
        sight.wants = sight.want(memory, model).into_iter().collect();
        sight
    }

    fn without_wants(board: &'b Board<'a>, memory: &Memory, now: Time) -> Self {
        let open = board.backends().iter().filter(|backend| backend.is_open());
        let servers = open.map(|backend| Server {
            backend,
            overflow_us: board.overflow_after(backend),
            leaving: memory.leaving(backend.id),
            has_free_slot: backend.has_free_slot(),
            residual_s: board.residual_s(backend, now),
            orphans: 0.0,
        });
        let names = board.models().all();
        let rate = |model| if board.models().plain(model) == model { memory.rate(model, now) } else { 0.0 };
        let mut sight = Self {
            board,
            now,
            servers: servers.collect(),
            wants: Vec::new(),
            rates: names.map(rate).collect(),
        };
        sight.count_orphans();
        sight
    }

    /// Counts, for each server, how often models arrive that it can run and that no member holds.
    fn count_orphans(&mut self) {
        let models = self.board.models();
        let held = self.held_names();
        for name in models.all().filter(|name| !held[name.index()]) {
            let rate = self.rates[name.index()];
            if rate < NO_RATE {
                continue;
            }
            // Both come best first.
            let mut listed_by = models.listed_by(name);
            for server in &mut self.servers {
                let Some(at) = listed_by.iter().position(|id| *id == server.backend.id) else { continue };
                listed_by = &listed_by[at + 1..];
                server.orphans += rate;
            }
        }
    }

    /// By the number of a name: whether some member holds a model of it, with whatever options.
    fn held_names(&self) -> Vec<bool> {
        let models = self.board.models();
        let mut held = vec![false; models.len()];
        for server in self.servers.iter().filter(|server| server.is_member()) {
            if server.backend.swaps() {
                let residents = server.backend.residents.iter().filter(|resident| resident.is_held());
                for resident in residents.filter(|resident| !is_victim(server, resident)) {
                    held[models.plain(resident.model).index()] = true;
                }
            } else {
                for name in models.all() {
                    held[name.index()] |= models.listed_by(name).contains(&server.backend.id);
                }
            }
        }
        held
    }

    fn held_kin(&self, server: &Server<'a>, name: ModelIx) -> Option<&'a Resident> {
        let mut held = server.backend.residents.iter().filter(|resident| resident.is_held());
        held.find(|resident| {
            self.board.models().plain(resident.model) == name && !is_victim(server, resident)
        })
    }

    fn want(&self, memory: &Memory, model: ModelIx) -> Option<Want<'a>> {
        let (board, now) = (self.board, self.now);
        let queue = board.queue(model);
        let (head, oldest) = (queue.head()?, queue.oldest()?);
        let eligible: Vec<bool> =
            self.servers.iter().map(|server| board.is_eligible(server.backend.id, model)).collect();
        let holds: Vec<bool> = self.servers.iter().map(|server| self.holds(server, model)).collect();
        let members = || self.servers.iter().enumerate().filter(|(_, server)| server.is_member());
        let is_covered = members().any(|(at, _)| holds[at] && eligible[at]);
        let has_holder = members().any(|(at, _)| holds[at]);
        let last_held = if has_holder { now } else { memory.held(model, now) };
        let overdue_at = self.overdue_at(queue, last_held);
        Some(Want {
            model,
            queue,
            head,
            oldest,
            eligible,
            holds,
            is_covered,
            since: oldest.max(last_held),
            overdue_at,
            is_overdue: !has_holder && overdue_at.is_some_and(|at| at <= now),
        })
    }

    /// When the first of its clients will have waited too long for a model that was last held at `held`.
    fn overdue_at(&self, queue: &ModelQueue, held: Time) -> Option<Time> {
        let catalog = self.board.catalog();
        let usual = catalog.knobs.max_wait_ms;
        if catalog.clients.values().all(|client| client.max_wait_ms.is_none()) {
            return Some(queue.oldest()?.max(held).plus_millis(usual?));
        }
        let of_client = |(client, oldest): (_, Time)| {
            let own = catalog.clients.get(&client).and_then(|client| client.max_wait_ms);
            Some(oldest.max(held).plus_millis(own.or(usual)?))
        };
        queue.oldest_by_client().filter_map(of_client).min()
    }

    /// Whether `server` holds `model` and goes on with it.
    pub(super) fn holds(&self, server: &Server<'a>, model: ModelIx) -> bool {
        if !server.backend.swaps() {
            return self.board.models().listed_by(model).contains(&server.backend.id);
        }
        self.board.resident(server.backend, model).is_some_and(|resident| !is_victim(server, resident))
    }

    /// The next request for a model that may go to a server.
    pub(super) fn next(&self, server: &Server<'a>, model: ModelIx) -> Option<&'a Waiter> {
        self.board.next(server.backend.id, model)
    }

    /// Whether the next request for `want` may overflow to `server`: it has waited long enough, or no member could
    /// ever take it.
    pub(super) fn may_overflow(&self, want: &Want<'a>, server: &Server<'a>) -> bool {
        let Some(after_us) = server.overflow_us else { return true };
        let has_member =
            self.servers.iter().zip(&want.eligible).any(|(server, fits)| server.is_member() && *fits);
        let waited = self.next(server, want.model).map(|next| self.now.since(next.arrived));
        !has_member || waited.is_some_and(|waited| waited >= after_us)
    }

    /// The expected load of `model`, in seconds.
    pub(super) fn load_s(&self, server: &Server<'a>, model: ModelIx) -> f64 {
        self.board.load(server.backend, model)
    }

    /// The expected service of one request for `model`, in seconds.
    pub(super) fn service_s(&self, server: &Server<'a>, model: ModelIx) -> f64 {
        self.board.service(server.backend, model).max(f64::MIN_POSITIVE)
    }

    /// Waiting, in seconds, new requests counted with a little.
    fn debt(&self, want: &Want<'a>) -> f64 {
        Time(u64::try_from(want.queue.waited_us(self.now)).unwrap_or(u64::MAX)).seconds_since(Time(0))
            + count(want.queue.len()) * TAU_S
    }

    /// Waiting relieved per second of work, the load included.
    pub(super) fn score(&self, server: &Server<'a>, want: &Want<'a>) -> f64 {
        let service = count(want.queue.len()) * self.service_s(server, want.model) / server.slots();
        self.debt(want) / (self.load_s(server, want.model) + service)
    }

    /// The time until the holders of `want` run dry of it, in seconds; infinite if there is none.
    pub(super) fn clear_s(&self, want: &Want<'a>) -> f64 {
        let (mut capacity, mut work) = (0.0, count(want.queue.len()));
        for (holder, holds) in self.servers.iter().zip(&want.holds) {
            if !holds || !holder.is_member() {
                continue;
            }
            let rate = holder.slots() / self.service_s(holder, want.model);
            capacity += rate;
            if !holder.has_free_slot {
                work += holder.residual_s * rate;
            }
        }
        if capacity <= 0.0 {
            return f64::INFINITY;
        }
        let rate = self.rates[self.board.models().plain(want.model).index()];
        work / capacity / (1.0 - rate / capacity).max(LEAST_SLACK)
    }

    /// What it would take to load `model` on `server`; `stranger` is the answer for models of which it has nothing.
    pub(super) fn room(&self, server: &Server<'a>, model: ModelIx, stranger: Room) -> Room {
        if self.board.sibling(server.backend, model).is_none() {
            return stranger;
        }
        self.board.room(server.backend, model, |resident| self.is_workless(server, resident), |_| None)
    }

    /// What it would take to load a model of which `server` has nothing: among the ready models with nothing running
    /// and nothing waiting the one leaves that is least at risk of being loaded again soon.
    pub(super) fn vacancy(&self, server: &Server<'a>) -> Room {
        let is_workless = |resident: &Resident| self.is_workless(server, resident);
        self.board.vacancy(server.backend, is_workless, |idle| {
            idle.min_by(|one, other| {
                let risk = |resident: &Resident| self.departure(server, Some(resident.model)).reload_s;
                risk(one).total_cmp(&risk(other)).then(one.last_used.cmp(&other.last_used))
            })
        })
    }

    fn is_workless(&self, server: &Server<'a>, resident: &Resident) -> bool {
        resident.hold == Hold::Ready && !self.board.has_work(server.backend, resident.model)
    }

    /// How many members hold `model`, with whatever options.
    pub(super) fn copies(&self, model: ModelIx) -> usize {
        let name = self.board.models().plain(model);
        let holders = self.servers.iter().filter(|server| server.is_member() && server.backend.swaps());
        holders.filter(|server| self.held_kin(server, name).is_some()).count().max(1)
    }

    /// What it means that `leaves`, if anything, leaves `server`.
    pub(super) fn departure(&self, server: &Server<'a>, leaves: Option<ModelIx>) -> Departure {
        let Some(leaves) = leaves else { return Departure::default() };
        let rate = self.rates[self.board.models().plain(leaves).index()];
        let (copies, load_s) = (self.copies(leaves), self.load_s(server, leaves));
        Departure {
            leaves: Some(leaves),
            is_last: copies == 1,
            reload_s: (HORIZON_S * rate).min(1.0) / count(copies) * load_s,
            back_s: load_s,
            missed: if copies == 1 && server.is_member() { rate } else { 0.0 },
        }
    }

    /// What it costs others if `server` takes `model` and is missed elsewhere within `span_s`, in seconds.
    pub(super) fn trespass_s(
        &self,
        server: &Server<'a>,
        model: ModelIx,
        departure: &Departure,
        span_s: f64,
    ) -> f64 {
        let missed = (span_s * (server.orphans + departure.missed)).min(1.0);
        missed * HELP * (self.load_s(server, model) + departure.back_s)
    }

    /// Until when the turn of `resident` must last to have paid for its load.
    pub(super) fn paid_at(&self, server: &Server<'a>, resident: &Resident) -> Time {
        let turns = self.board.knobs().turn * self.load_s(server, resident.model);
        resident.since.plus_seconds(turns)
    }
}

/// A model that would leave a server, if any.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Departure {
    pub(super) leaves: Option<ModelIx>,
    /// Whether no member would have it any more.
    pub(super) is_last: bool,
    /// The seconds at risk of loading it again soon.
    pub(super) reload_s: f64,
    /// The seconds of loading it again.
    back_s: f64,
    /// Arrivals per second for it, if no member would have it any more.
    missed: f64,
}

/// Whether `resident` is leaving `server`.
fn is_victim(server: &Server<'_>, resident: &Resident) -> bool {
    server.leaving.is_some_and(|leaving| leaving.victim == resident.model)
}
