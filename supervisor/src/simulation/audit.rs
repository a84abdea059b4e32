//! The auditor: looks at every decision and at every moment of rest, and says what should not be.
//!
//! It keeps its own books of who waits and what runs where, and takes nothing from the scheduler but what it says to
//! operators and how long it expects loads to take. What it looks for: P1, P2, P3 (with the engine), P4, P5, P6, P7, P11,
//! P12, P13, P16; and it measures P8. After a failure the scheduler may rightly be unsure what a server holds; until it has
//! looked there, P4, P5 and P12 rest.

use std::collections::{BTreeMap, BTreeSet};

use ipc_proto::control::Class;
use ipc_proto::operator::{BackendView, RequestRecord};

use self::linger::Lingers;
use super::engine::{Engine, Load, seconds};
use super::instance::Instance;
use super::setting::{Setting, model_name};
use super::world::backend_of;
use crate::clock::Time;
use crate::scheduler::Scheduler;
use crate::scheduler::catalog::Strategy;
use crate::scheduler::laws::Laws;

mod linger;
#[cfg(test)]
mod tests;

/// For so long a request avoids the server that failed it, in microseconds.
const AVOIDS_US: u64 = 15_000_000;

/// Claims are looked at once in so many moments of rest: what operators are shown is dear to make.
const CLAIMS_EVERY: u64 = 32;
/// Times are rounded to microseconds.
const ROUNDING_S: f64 = 1e-3;
/// How the view of a backend begins that gives up a model for another.
const LEAVING: &str = "leaving ";

/// P11: no model claims two servers.
fn claims_are_single(views: &[BackendView]) -> Result<(), String> {
    let leaving = views.iter().filter_map(|view| view.next.strip_prefix(LEAVING));
    let claimants = leaving.filter_map(|text| text.split_once(" for ")?.1.split(',').next());
    let mut seen = BTreeSet::new();
    for claimant in claimants {
        if !seen.insert(claimant) {
            return Err(format!("P11: {claimant} claims two servers"));
        }
    }
    Ok(())
}

/// Which invariants a strategy promises.
#[derive(Clone, Copy, Debug)]
struct Promises {
    /// P4: what is loaded and waited for is served. P5: a model with waiting requests is not given up, or only by a claim.
    drains: bool,
    /// P4 and P5 also where a server holds several models. P12.
    takes_turns: bool,
    /// P6: a client's requests for a model are sent in the order in which they came.
    keeps_order: bool,
}

impl Promises {
    fn of(strategy: Strategy) -> Self {
        let is_late_bound = !matches!(
            strategy,
            Strategy::ModelAffinityLeastBusy | Strategy::LeastBusy | Strategy::RoundRobin | Strategy::Random
        );
        let drains = matches!(strategy, Strategy::ModelTurns | Strategy::DeferredModelThenCapable);
        let takes_turns = strategy == Strategy::ModelTurns;
        Self { drains, takes_turns, keeps_order: is_late_bound }
    }
}

/// What is known of a request.
#[derive(Clone, Copy, Default, Debug)]
struct Book {
    /// Counts requests as they came.
    order: usize,
    waits: bool,
    sent: u32,
    has_ended: bool,
    failed: Option<(usize, Time)>,
}

/// Requests that wait for a model and have not been sent anywhere yet, in the order in which they came.
#[derive(Clone, Default, Debug)]
struct Line {
    fresh: BTreeSet<usize>,
    by_client: BTreeMap<(usize, Class), BTreeSet<usize>>,
    batch: usize,
    /// Whether some client ever had more waiting than keep their place.
    had_burst: bool,
}

/// A model's turn on a server.
#[derive(Clone, Copy, Debug)]
struct Turn {
    began: Time,
    /// Whether at some moment it had lasted long enough to be ended, as long as loads were expected to take then.
    has_paid: bool,
}

impl Turn {
    /// Looks whether it has paid for a load of `load_s`, if it must last so many times that.
    fn look(&mut self, now: Time, turn: f64, load_s: f64) {
        self.has_paid |= seconds(now.since(self.began)) + ROUNDING_S >= turn * load_s;
    }
}

/// The auditor.
#[derive(Debug)]
pub(super) struct Audit<'a> {
    instance: &'a Instance,
    promises: Promises,
    is_paced: bool,
    burst: usize,
    slots: Vec<usize>,
    books: Vec<Book>,
    /// The requests in the order in which they came.
    came: Vec<(usize, Time)>,
    lines: Vec<Line>,
    is_up: Vec<bool>,
    /// Servers of which the scheduler need not know what they hold.
    is_unsure: Vec<bool>,
    /// When each model was last held by a server.
    held: Vec<Time>,
    longest_without_server_us: u64,
    /// Why the next load of a model on a server happens, as the scheduler says.
    reasons: BTreeMap<(usize, usize), &'static str>,
    /// The turns of models on servers, where nothing has failed since they began.
    turns: BTreeMap<(usize, usize), Turn>,
    /// How many times its load a turn lasts before it may be ended.
    turn: f64,
    lingers: Lingers,
    /// Moments of rest so far.
    rests: u64,
}

impl<'a> Audit<'a> {
    pub(super) fn new(instance: &'a Instance, setting: &Setting) -> Self {
        let is_paced = setting.strategy == Strategy::ModelTurns && setting.knobs.pace.is_some();
        Self {
            instance,
            promises: Promises::of(setting.strategy),
            is_paced,
            burst: setting.knobs.burst as usize,
            slots: instance.servers.iter().map(|server| setting.slots(server) as usize).collect(),
            books: vec![Book::default(); instance.requests.len()],
            came: Vec::new(),
            lines: vec![Line::default(); instance.models],
            is_up: vec![false; instance.servers.len()],
            is_unsure: vec![false; instance.servers.len()],
            held: vec![Time::default(); instance.models],
            longest_without_server_us: 0,
            reasons: BTreeMap::new(),
            turns: BTreeMap::new(),
            turn: setting.knobs.turn,
            lingers: Lingers::new(instance.servers.len(), setting),
            rests: 0,
        }
    }

    pub(super) fn longest_without_server_us(&self) -> u64 {
        self.longest_without_server_us
    }

    /// The scheduler says that a server is up, or down.
    pub(super) fn known_up(&mut self, server: usize, is_up: bool) {
        self.is_up[server] = is_up;
    }

    /// The scheduler says why it makes a server load a model.
    pub(super) fn explained(&mut self, server: usize, model: usize, reason: &'static str) {
        self.reasons.insert((server, model), reason);
    }

    /// A worker has looked at a server on which nothing runs.
    pub(super) fn seen(&mut self, server: usize) {
        self.is_unsure[server] = false;
    }

    /// A request has come.
    pub(super) fn arrived(&mut self, now: Time, number: usize) {
        let job = &self.instance.requests[number];
        let order = self.came.len();
        self.came.push((number, now));
        self.books[number] = Book { order, waits: true, ..Book::default() };
        let line = &mut self.lines[job.model];
        line.fresh.insert(order);
        line.batch += usize::from(job.class == Class::Batch);
        let own = line.by_client.entry((job.client, job.class)).or_default();
        own.insert(order);
        let all = [Class::Interactive, Class::Batch];
        let all = all.map(|class| line.by_client.get(&(job.client, class)).map_or(0, BTreeSet::len));
        line.had_burst |= self.is_paced && all.iter().sum::<usize>() > self.burst;
    }

    fn leave_line(&mut self, number: usize) {
        let (job, book) = (&self.instance.requests[number], &mut self.books[number]);
        book.waits = false;
        let line = &mut self.lines[job.model];
        if line.fresh.remove(&book.order) {
            line.batch -= usize::from(job.class == Class::Batch);
            if let Some(own) = line.by_client.get_mut(&(job.client, job.class)) {
                own.remove(&book.order);
            }
        }
    }

    /// A waiting request's client has gone, or has been told that nothing comes.
    pub(super) fn left(&mut self, number: usize) {
        self.leave_line(number);
    }

    /// A request is sent to a server.
    pub(super) fn granted(
        &mut self,
        now: Time,
        number: usize,
        server: usize,
        attempt: u32,
        engines: &[Engine<'_>],
    ) -> Result<(), String> {
        let (job, book) = (&self.instance.requests[number], self.books[number]);
        let host = &self.instance.servers[server];
        if !book.waits || book.has_ended {
            return Err(format!("P16: request {number} is sent to {} and does not wait", host.name));
        }
        if attempt > self.instance.max_attempts || attempt != book.sent + 1 {
            return Err(format!("P1: request {number}: attempt {attempt} after {}", book.sent));
        }
        if !self.is_up[server] || !host.can[job.model] {
            return Err(format!("P2: request {number} for model {} is sent to {}", job.model, host.name));
        }
        if engines[server].runs.len() >= self.slots[server] {
            return Err(format!("P2: request {number} is sent to {}, which has no slot", host.name));
        }
        if let Some((failed, at)) = book.failed
            && failed == server
            && now.since(at) < AVOIDS_US
            && self.instance.able(job.model).any(|other| other != server && self.is_up[other])
        {
            return Err(format!("P13: request {number} is back at {} while another is up", host.name));
        }
        if book.sent == 0 && self.promises.keeps_order {
            self.check_order(number)?;
        }
        self.leave_line(number);
        self.books[number].sent = attempt;
        Ok(())
    }

    fn check_order(&self, number: usize) -> Result<(), String> {
        let (job, order) = (&self.instance.requests[number], self.books[number].order);
        let line = &self.lines[job.model];
        let own = line.by_client.get(&(job.client, job.class)).and_then(BTreeSet::first);
        if own != Some(&order) {
            return Err(format!("P6: request {number} overtakes one of its own client"));
        }
        let is_plain = !line.had_burst && line.batch == 0;
        if is_plain && line.fresh.first() != Some(&order) {
            return Err(format!("P7: request {number} overtakes one for its model"));
        }
        Ok(())
    }

    /// A request has made a server load its model, which will be there at `ready`; `expected_s` tells how long loads
    /// of a model are expected to take there.
    pub(super) fn loaded(
        &mut self,
        now: Time,
        server: usize,
        (load, ready): (Load, Time),
        expected_s: impl Fn(usize) -> Option<f64>,
    ) -> Result<(), String> {
        self.measure(now, load.model);
        let reason = self.reasons.remove(&(server, load.model)).unwrap_or_default();
        self.turns.insert((server, load.model), Turn { began: ready, has_paid: false });
        let Some(gone) = load.evicted else { return Ok(()) };
        self.held[gone] = now;
        let turn = self.turns.remove(&(server, gone));
        let is_wanted = !self.lines[gone].fresh.is_empty() && !self.is_unsure[server];
        let host = &self.instance.servers[server];
        let drains = self.promises.takes_turns || self.promises.drains && host.max_models == 1;
        if !drains || !is_wanted {
            return Ok(());
        }
        if !reason.starts_with("claim") {
            let name = &host.name;
            return Err(format!("P5: {name} gives up model {gone}, for which requests wait ({reason})"));
        }
        if let (Some(mut turn), Some(load_s)) = (turn, expected_s(gone)) {
            turn.look(now, self.turn, load_s);
            if !turn.has_paid {
                let (name, lasted) = (&host.name, seconds(now.since(turn.began)));
                return Err(format!(
                    "P5: {name} gives up model {gone} after {lasted:.1} s, and a load is {load_s:.1} s ({reason})"
                ));
            }
        }
        Ok(())
    }

    /// A server has gone away, and what it held with it.
    pub(super) fn went_away(&mut self, server: usize) {
        self.is_unsure[server] = true;
        self.turns.retain(|(of, _), _| *of != server);
    }

    /// An attempt has failed.
    pub(super) fn failed(&mut self, now: Time, number: usize, server: usize, has_head: bool) {
        self.went_away(server);
        let book = &mut self.books[number];
        book.failed = Some((server, now));
        book.waits = !has_head;
    }

    /// A server has answered a request to its end.
    pub(super) fn done(&mut self, server: usize) {
        if self.instance.servers[server].max_models == 1 {
            self.is_unsure[server] = false;
        }
    }

    /// The scheduler has told a request's last record.
    pub(super) fn ended(&mut self, record: &RequestRecord) -> Result<(), String> {
        let order = uuid::Uuid::parse_str(&record.exchange).ok().map(|id| id.as_u128());
        let order = order.and_then(|id| usize::try_from(id).ok()).and_then(|id| id.checked_sub(1));
        let Some((number, _)) = order.and_then(|order| self.came.get(order)).copied() else {
            return Err(format!("P1: {} has ended and never came", record.exchange));
        };
        let book = &mut self.books[number];
        if std::mem::replace(&mut book.has_ended, true) {
            return Err(format!("P1: request {number} has ended twice"));
        }
        Ok(())
    }

    fn measure(&mut self, now: Time, model: usize) {
        let Some(oldest) = self.lines[model].fresh.first() else { return };
        let since = self.came[*oldest].1.max(self.held[model]);
        self.longest_without_server_us = self.longest_without_server_us.max(now.since(since));
    }

    /// Nothing happens for a moment: everything that could be done must have been done.
    pub(super) fn quiet<L: Laws>(
        &mut self,
        now: Time,
        engines: &[Engine<'_>],
        scheduler: &Scheduler<L>,
    ) -> Result<(), String> {
        for model in 0..self.lines.len() {
            if engines.iter().any(|engine| engine.holds(model)) {
                self.held[model] = now;
            } else {
                self.measure(now, model);
            }
        }
        if !self.promises.drains {
            return Ok(());
        }
        self.rests += 1;
        if self.rests.is_multiple_of(CLAIMS_EVERY) {
            claims_are_single(&scheduler.backends(now))?;
        }
        for server in 0..engines.len() {
            self.check_work(now, server, engines, scheduler)?;
        }
        if self.promises.takes_turns { self.check_turns(now, engines, scheduler) } else { Ok(()) }
    }

    /// P4: a server that has a free slot goes on with what it holds.
    fn check_work<L: Laws>(
        &self,
        now: Time,
        server: usize,
        engines: &[Engine<'_>],
        scheduler: &Scheduler<L>,
    ) -> Result<(), String> {
        let engine = &engines[server];
        let is_promised = self.promises.takes_turns || engine.server.max_models == 1;
        if !is_promised || !self.is_sure(server, engine) || engine.runs.len() >= self.slots[server] {
            return Ok(());
        }
        let mut idle = engine.residents.iter().map(|resident| resident.model);
        let Some(model) = idle.find(|model| !self.lines[*model].fresh.is_empty()) else { return Ok(()) };
        let name = &engine.server.name;
        let views = scheduler.backends(now);
        let is_leaving = views.iter().any(|view| &view.name == name && view.next.starts_with(LEAVING));
        if is_leaving {
            return Ok(());
        }
        Err(format!("P4: {name} holds model {model}, which is waited for, and rests"))
    }

    /// Whether the scheduler must know what a server holds, and may use it.
    fn is_sure(&self, server: usize, engine: &Engine<'_>) -> bool {
        self.is_up[server] && !engine.is_away && !self.is_unsure[server]
    }

    /// P12: a server without work waits for follow-ups no longer than it may. And notes for P5 which turns have paid.
    fn check_turns<L: Laws>(
        &mut self,
        now: Time,
        engines: &[Engine<'_>],
        scheduler: &Scheduler<L>,
    ) -> Result<(), String> {
        for ((server, model), turn) in &mut self.turns {
            if !turn.has_paid
                && let Some(load_s) = scheduler.expected_load_s(backend_of(*server), &model_name(*model))
            {
                turn.look(now, self.turn, load_s);
            }
        }
        self.lingers.begin(now, engines)?;
        for model in 0..self.lines.len() {
            let Some(oldest) = self.lines[model].fresh.first() else { continue };
            let oldest = self.came[*oldest].1;
            let mut able = self.instance.able(model);
            // Who need not load has every model; what is known of who is down or unsure may be wrong.
            let is_plain = able.all(|server| {
                let engine = &engines[server];
                let is_known = !self.is_up[server] || self.is_sure(server, engine);
                is_known && !engine.server.swaps_freely() && !engine.holds(model)
            });
            if !is_plain {
                continue;
            }
            for server in self.instance.able(model).filter(|server| self.is_up[*server]) {
                let engine = &engines[server];
                let has_work =
                    engine.residents.iter().any(|resident| !self.lines[resident.model].fresh.is_empty());
                if !has_work {
                    let expected_s =
                        |model| scheduler.expected_load_s(backend_of(server), &model_name(model));
                    self.lingers.rests(now, (server, engine), (model, oldest), expected_s)?;
                }
            }
        }
        Ok(())
    }

    /// The run is over; `came` requests came.
    pub(super) fn over(&self, came: usize) -> Result<(), String> {
        let ended = self.came.iter().filter(|(number, _)| self.books[*number].has_ended).count();
        if ended == came { Ok(()) } else { Err(format!("P1: {ended} of {came} requests have ended")) }
    }
}
