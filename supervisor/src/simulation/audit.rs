//! The auditor: looks at every decision and at every moment of rest, and says what should not be.
//!
//! It keeps its own books of who waits and what runs where, and takes nothing from the scheduler but what it says to
//! operators. What it looks for: P1, P2, P3 (with the engine), P4, P5, P6, P7, P11, P13, P16; and it measures P8. After a
//! failure the scheduler may rightly be unsure what a server holds; until it has looked there, P4 and P5 rest.

use std::collections::{BTreeMap, BTreeSet};

use ipc_proto::control::Class;
use ipc_proto::operator::{BackendView, RequestRecord};

use super::engine::{Engine, Load};
use super::instance::Instance;
use super::setting::Setting;
use crate::clock::Time;
use crate::scheduler::Scheduler;
use crate::scheduler::catalog::Strategy;
use crate::scheduler::laws::Laws;

/// For so long a request avoids the server that failed it, in microseconds.
const AVOIDS_US: u64 = 15_000_000;

/// Claims are looked at once in so many moments of rest: what operators are shown is dear to make.
const CLAIMS_EVERY: u64 = 32;
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
    /// P4: what is loaded and waited for is served.
    works: bool,
    /// P5: a model with waiting requests is not given up, or only by a claim.
    drains: bool,
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
        Self { works: drains, drains, keeps_order: is_late_bound }
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

    /// A request has made a server load its model.
    pub(super) fn loaded(&mut self, now: Time, server: usize, load: Load) -> Result<(), String> {
        self.measure(now, load.model);
        let reason = self.reasons.remove(&(server, load.model)).unwrap_or_default();
        let Some(gone) = load.evicted else { return Ok(()) };
        self.held[gone] = now;
        let is_wanted = !self.lines[gone].fresh.is_empty() && !self.is_unsure[server];
        let host = &self.instance.servers[server];
        let is_claimed = reason.starts_with("claim");
        if self.promises.drains && is_wanted && !is_claimed && host.max_models == 1 {
            return Err(format!(
                "P5: {} gives up model {gone}, for which requests wait ({reason})",
                host.name
            ));
        }
        Ok(())
    }

    /// An attempt has failed.
    pub(super) fn failed(&mut self, now: Time, number: usize, server: usize, has_head: bool) {
        self.is_unsure[server] = true;
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
        if !self.promises.works {
            return Ok(());
        }
        self.rests += 1;
        if self.rests.is_multiple_of(CLAIMS_EVERY) {
            claims_are_single(&scheduler.backends(now))?;
        }
        for (server, engine) in engines.iter().enumerate() {
            let is_open = self.is_up[server] && !engine.is_away && !self.is_unsure[server];
            if !is_open || engine.runs.len() >= self.slots[server] || engine.server.max_models != 1 {
                continue;
            }
            let wanted = |model: usize| !self.lines[model].fresh.is_empty();
            if let Some(resident) = engine.residents.iter().find(|resident| wanted(resident.model)) {
                let name = &engine.server.name;
                let views = scheduler.backends(now);
                let is_leaving =
                    views.iter().any(|view| &view.name == name && view.next.starts_with(LEAVING));
                if !is_leaving {
                    let model = resident.model;
                    return Err(format!("P4: {name} holds model {model}, which is waited for, and rests"));
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

#[cfg(test)]
mod tests {
    use super::super::draw::Flavour;
    use super::*;

    /// An instance with two able servers for its first request's model, and the auditor of a run of it, both servers up.
    fn with_audit(check: impl FnOnce(&Instance, &mut Audit<'_>, &[Engine<'_>])) {
        let mut instance = Instance::random(1, Flavour::Plain);
        let mut other = instance.servers[0].clone();
        other.name.push('b');
        instance.servers.truncate(1);
        instance.servers.push(other);
        instance.servers.iter_mut().for_each(|server| server.can.fill(true));
        instance.requests.iter_mut().for_each(|job| (job.model, job.client) = (0, 0));
        let setting = Setting::new(Strategy::DeferredModelThenCapable);
        let mut audit = Audit::new(&instance, &setting);
        (0..2).for_each(|server| audit.known_up(server, true));
        let engines: Vec<Engine<'_>> =
            instance.servers.iter().map(|server| Engine::new(server, [0; 3], 0.0)).collect();
        check(&instance, &mut audit, &engines);
    }

    fn complains(word: &str, found: Result<(), String>) {
        let complaint = found.expect_err("it is wrong");
        assert!(complaint.starts_with(word), "{complaint}");
    }

    #[test]
    fn each_broken_promise_is_named() {
        with_audit(|_, audit, engines| {
            audit.arrived(Time(0), 0);
            audit.arrived(Time(1), 1);
            complains("P6", audit.granted(Time(2), 1, 0, 1, engines));
            complains("P1", audit.granted(Time(2), 0, 0, 2, engines));
            complains("P16", audit.granted(Time(2), 5, 0, 1, engines));
            assert_eq!(audit.granted(Time(2), 0, 0, 1, engines), Ok(()));
            complains("P16", audit.granted(Time(2), 0, 0, 2, engines));
            audit.failed(Time(3), 0, 0, false);
            complains("P13", audit.granted(Time(4), 0, 0, 2, engines));
            assert_eq!(audit.granted(Time(4), 0, 1, 2, engines), Ok(()));
            audit.known_up(1, false);
            complains("P2", audit.granted(Time(4), 1, 1, 1, engines));
            audit.left(1);
            complains("P16", audit.granted(Time(4), 1, 0, 1, engines));
            complains("P1", audit.over(2));
        });
    }

    #[test]
    fn a_model_that_is_waited_for_must_not_go() {
        with_audit(|_, audit, _| {
            audit.arrived(Time(0), 0);
            complains("P5", audit.loaded(Time(1), 0, Load { model: 1, evicted: Some(0) }));
            audit.explained(0, 1, "claim_overdue");
            assert_eq!(audit.loaded(Time(1), 0, Load { model: 1, evicted: Some(0) }), Ok(()));
        });
    }

    #[test]
    fn two_claims_of_one_model_are_one_too_many() {
        let view = |next: &str| BackendView { next: next.to_owned(), ..empty_view() };
        complains(
            "P11",
            claims_are_single(&[view("leaving a for c, waited 4:02"), view("leaving b for c, waited 0:01")]),
        );
        assert_eq!(
            claims_are_single(&[view("leaving a for c, waited 4:02"), view("leaving c for b, waited 0:01")]),
            Ok(())
        );
    }

    fn empty_view() -> BackendView {
        BackendView {
            name: String::new(),
            kind: ipc_proto::spec::BackendKind::Fake,
            url: String::new(),
            priority: 0,
            health: String::new(),
            reason: String::new(),
            draining: false,
            worker_pid: None,
            generation: 0,
            worker: String::new(),
            slots_used: 0,
            lent: 0,
            slots: 0,
            max_models: None,
            current_model: String::new(),
            loading: false,
            turns: Vec::new(),
            next: String::new(),
            loaded_models: None,
            models: Vec::new(),
            queued: 0,
            failures: 0,
            swaps: 0,
        }
    }
}
