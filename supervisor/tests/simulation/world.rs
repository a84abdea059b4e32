//! The world: an agenda of what happens when, links that keep their order, and the loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipc_proto::control::{Grant, ToFrontend, ToWorker};
use ipc_proto::failure::Failure;
use ipc_proto::ids::{BackendId, FrontendId, GrantId, ModelName, RequestId, WorkerId};
use supervisor::clock::Time;
use supervisor::scheduler::catalog::Strategy;
use supervisor::scheduler::laws::Laws;
use supervisor::scheduler::{Effect, Event, Order, Scheduler};

use crate::dice::Dice;
use crate::frontends::Frontend;
use crate::scenario::{Scenario, edited};
use crate::watch::Watch;
use crate::workers::{Upstream, Worker};

/// More events than any sound run has.
const TOO_MANY_EVENTS: u64 = 200_000;

/// How a seed is run.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    /// Print every event.
    pub(crate) is_told: bool,
    /// Keep every effect.
    pub(crate) is_kept: bool,
    /// Workers forget what was revoked.
    pub(crate) has_no_tombstones: bool,
    /// The strategy, and odder backends for it to choose from; else the default scenario.
    pub(crate) strategy: Option<Strategy>,
}

/// What a frontend hears on a data connection.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    /// The answer has begun.
    Head,
    /// It is complete.
    End,
    /// It will not come, or breaks off.
    Fail(Failure),
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The scheduler learns something.
    Tell(Event),
    /// A child learns something.
    ToFrontend(FrontendId, ToFrontend),
    ToWorker(WorkerId, ToWorker),
    /// A process is there, or is not any more.
    FrontendStarts(FrontendId),
    FrontendDies(FrontendId),
    WorkerStarts(WorkerId),
    WorkerDies(WorkerId),
    /// A client comes; leaves.
    Arrives,
    Leaves(RequestId),
    /// A frontend reaches a worker with a grant.
    Comes(FrontendId, Box<Grant>, ModelName),
    /// An attempt goes on at its worker.
    Begins(WorkerId, GrantId),
    Ends(WorkerId, GrantId),
    /// Its connection is gone: the frontend has left.
    Dropped(WorkerId, GrantId),
    /// A frontend hears of an attempt.
    Hears(FrontendId, RequestId, GrantId, Heard),
    /// A worker looks at its backend.
    Looks(WorkerId),
    /// Trouble.
    WorkerCrash,
    FrontendCrash,
    Outage(BackendId, u64),
    Recovers(BackendId),
    Orders,
    Reload,
    /// From here on, no new trouble.
    Calm,
    Stop,
}

/// A direction of a link: messages on it keep their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Link {
    FromFrontend(FrontendId),
    ToFrontend(FrontendId),
    FromWorker(WorkerId),
    ToWorker(WorkerId),
}

pub(crate) struct World<L: Laws> {
    pub(crate) scheduler: Scheduler<L>,
    pub(crate) now: Time,
    pub(crate) dice: Dice,
    pub(crate) how: Run,
    pub(crate) scenario: Scenario,
    agenda: BTreeMap<(Time, u64), Step>,
    links: BTreeMap<Link, Time>,
    pub(crate) frontends: BTreeMap<FrontendId, Frontend>,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) upstreams: BTreeMap<BackendId, Upstream>,
    /// Processes that are to die as soon as they would start.
    pub(crate) doomed: BTreeSet<WorkerId>,
    pub(crate) watch: Watch,
    pub(crate) effects: Vec<Effect>,
    pub(crate) events: u64,
    /// When the scheduler was last called.
    told: Option<Time>,
    pub(crate) is_calm: bool,
    pub(crate) has_stopped: bool,
    pub(crate) minted: u128,
    steps: u64,
}

impl<L: Laws> World<L> {
    pub(crate) fn new(seed: u64, how: Run) -> Self {
        let mut dice = Dice::new(seed);
        let mut scenario = Scenario::draw(&mut dice);
        if let Some(strategy) = how.strategy {
            scenario.try_out(&mut dice, strategy);
        }
        let scheduler = Scheduler::under_laws(Arc::new(scenario.catalog.clone()), seed, 0);
        let upstreams = scenario
            .catalog
            .backends
            .iter()
            .map(|(id, backend)| (*id, Upstream::new(&mut dice, backend, &scenario.models)));
        let upstreams = upstreams.collect();
        let watch = Watch::new(&scenario.catalog, scenario.reloads > 0);
        Self {
            scheduler,
            now: Time(0),
            dice,
            how,
            scenario,
            agenda: BTreeMap::new(),
            links: BTreeMap::new(),
            frontends: BTreeMap::new(),
            workers: BTreeMap::new(),
            upstreams,
            doomed: BTreeSet::new(),
            watch,
            effects: Vec::new(),
            events: 0,
            told: None,
            is_calm: false,
            has_stopped: false,
            minted: 0,
            steps: 0,
        }
    }

    /// Lets `step` happen after so many microseconds.
    pub(crate) fn later(&mut self, after_us: u64, step: Step) {
        self.steps += 1;
        self.agenda.insert((Time(self.now.0 + after_us), self.steps), step);
    }

    /// Sends `step` over `link`, behind everything already on it.
    pub(crate) fn send(&mut self, link: Link, step: Step) {
        let delay = self.delay();
        let at = (self.now.0 + delay).max(self.links.get(&link).map_or(0, |last| last.0));
        self.links.insert(link, Time(at));
        self.later(at - self.now.0, step);
    }

    /// How long a message takes: mostly little, sometimes much. In microseconds.
    pub(crate) fn delay(&mut self) -> u64 {
        if self.dice.per_mille(50) { self.dice.between(10_000, 120_000) } else { self.dice.between(20, 2000) }
    }

    fn plan(&mut self) {
        let mut at = 3_000_000;
        for _ in 0..self.scenario.requests {
            let is_near = self.dice.per_mille(self.scenario.bunching);
            at += if is_near {
                self.dice.between(0, 2000)
            } else {
                self.dice.between(0, self.scenario.gap_ms * 2000)
            };
            self.later(at, Step::Arrives);
        }
        let end = at;
        for _ in 0..self.scenario.crashes {
            let step = if self.dice.per_mille(600) { Step::WorkerCrash } else { Step::FrontendCrash };
            let at = self.dice.between(0, end);
            self.later(at, step);
        }
        for _ in 0..self.scenario.orders {
            let at = self.dice.between(0, end);
            self.later(at, Step::Orders);
        }
        let backends: Vec<BackendId> = self.upstreams.keys().copied().collect();
        for _ in 0..self.scenario.outages {
            let backend = self.dice.pick(&backends);
            let (at, length) = (self.dice.between(0, end), self.dice.between(100_000, 12_000_000));
            self.later(at, Step::Outage(backend, length));
        }
        for _ in 0..self.scenario.reloads {
            let at = self.dice.between(0, end);
            self.later(at, Step::Reload);
        }
        self.later(end + 100_000, Step::Calm);
        if self.scenario.stops_early {
            let at = self.dice.between(end / 2, end);
            self.later(at, Step::Stop);
        }
    }

    /// Runs to the end: until all is quiet, then through a stop.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        self.plan();
        let mut effects = Vec::new();
        self.scheduler.start(self.now, &mut effects);
        self.perform(effects)?;
        self.until_quiet()?;
        if !self.has_stopped {
            self.watch.quiet(&self.scheduler, self.now)?;
            if self.scheduler.phase() != "draining" {
                self.later(1000, Step::Stop);
            }
            self.until_quiet()?;
        }
        self.watch.stopped(&self.scheduler, self.has_stopped)
    }

    fn until_quiet(&mut self) -> Result<(), String> {
        loop {
            let step = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let deadline = self.scheduler.next_deadline();
            let Some(next) = step.into_iter().chain(deadline).min() else { return Ok(()) };
            if deadline.is_some_and(|deadline| Some(deadline) <= self.told) {
                return Err(format!("a deadline that does not move: {deadline:?} at {:?}", self.now));
            }
            self.now = next;
            if step == Some(next) {
                let (_, step) = self.agenda.pop_first().expect("it was there");
                if self.how.is_told {
                    println!("{:>12} {step:?}", self.now.0);
                }
                self.happen(step)?;
            } else {
                self.tell(Event::Tick)?;
            }
            if self.events > TOO_MANY_EVENTS {
                return Err("it never ends".to_owned());
            }
        }
    }

    /// Lets the scheduler know, and does what it says.
    pub(crate) fn tell(&mut self, event: Event) -> Result<(), String> {
        self.events += 1;
        self.told = Some(self.now);
        self.watch.before(self.now, &event);
        let mut effects = Vec::new();
        self.scheduler.handle(self.now, event, &mut effects);
        self.perform(effects)
    }

    fn perform(&mut self, effects: Vec<Effect>) -> Result<(), String> {
        for effect in effects {
            if self.how.is_told {
                println!("{:>12}     → {effect:?}", self.now.0);
            }
            if self.how.is_kept {
                self.effects.push(effect.clone());
            }
            self.watch.effect(self.now, &effect)?;
            match effect {
                Effect::ToFrontend(frontend, message) => {
                    self.send(Link::ToFrontend(frontend), Step::ToFrontend(frontend, message));
                }
                Effect::ToWorker(worker, message) => {
                    self.send(Link::ToWorker(worker), Step::ToWorker(worker, message));
                }
                Effect::StartFrontend(frontend) => {
                    let after = self.dice.between(2000, 30_000);
                    self.later(after, Step::FrontendStarts(frontend));
                }
                Effect::StartWorker(worker) => {
                    let after = self.dice.between(2000, 30_000);
                    self.later(after, Step::WorkerStarts(worker));
                }
                Effect::KillFrontend(frontend) => {
                    let after = self.delay();
                    self.later(after, Step::FrontendDies(frontend));
                }
                Effect::KillWorker(worker) => {
                    let after = self.delay();
                    self.doomed.insert(worker);
                    self.later(after, Step::WorkerDies(worker));
                }
                Effect::Stopped => self.has_stopped = true,
                Effect::Publish(_)
                | Effect::Changed(_)
                | Effect::Ended(_)
                | Effect::Learned(_)
                | Effect::Decided { .. }
                | Effect::Reply { .. }
                | Effect::Note(_) => {}
            }
        }
        Ok(())
    }

    fn happen(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Tell(event) => self.tell(event)?,
            Step::ToFrontend(frontend, message) => self.frontend_hears(frontend, message),
            Step::ToWorker(worker, message) => self.worker_hears(worker, &message)?,
            Step::FrontendStarts(frontend) => self.frontend_starts(frontend),
            Step::FrontendDies(frontend) => self.frontend_dies(frontend),
            Step::WorkerStarts(worker) => self.worker_starts(worker),
            Step::WorkerDies(worker) => self.worker_dies(worker),
            Step::Arrives => self.client_arrives(),
            Step::Leaves(request) => self.client_leaves(request),
            Step::Comes(frontend, grant, model) => self.comes(frontend, &grant, model)?,
            Step::Begins(worker, grant) => self.begins(worker, grant),
            Step::Ends(worker, grant) => self.ends(worker, grant),
            Step::Dropped(worker, grant) => self.dropped(worker, grant),
            Step::Hears(frontend, request, grant, heard) => self.hears(frontend, request, grant, heard),
            Step::Looks(worker) => self.looks(worker),
            Step::WorkerCrash | Step::FrontendCrash | Step::Orders | Step::Reload if self.is_calm => {}
            Step::WorkerCrash => {
                let alive: Vec<WorkerId> = self.workers.keys().copied().collect();
                if !alive.is_empty() {
                    let victim = self.dice.pick(&alive);
                    self.worker_dies(victim);
                }
            }
            Step::FrontendCrash => {
                let alive: Vec<FrontendId> = self.frontends.keys().copied().collect();
                if !alive.is_empty() {
                    let victim = self.dice.pick(&alive);
                    self.frontend_dies(victim);
                }
            }
            Step::Outage(backend, length) => {
                if !self.is_calm {
                    self.upstreams.get_mut(&backend).expect("it is configured").is_away = true;
                    self.later(length, Step::Recovers(backend));
                }
            }
            Step::Recovers(backend) => {
                self.upstreams.get_mut(&backend).expect("it is configured").is_away = false;
            }
            Step::Reload => {
                let catalog = edited(&mut self.dice, &self.scenario.catalog);
                self.tell(Event::Reconfigured(Arc::new(catalog)))?;
            }
            Step::Orders => self.operator_orders()?,
            Step::Calm => self.calm()?,
            Step::Stop => self.tell(Event::Stop)?,
        }
        Ok(())
    }

    fn operator_orders(&mut self) -> Result<(), String> {
        let backend = format!("b{}", self.dice.below(self.upstreams.len() as u64));
        let order = match self.dice.below(6) {
            0 => Order::Drain { backend },
            1 | 2 => Order::Undrain { backend },
            3 => Order::Restart { backend },
            _ => {
                let held: Vec<RequestId> =
                    self.frontends.values().flat_map(|frontend| frontend.held.keys().copied()).collect();
                if held.is_empty() {
                    return Ok(());
                }
                Order::Cancel { request: self.dice.pick(&held).to_string() }
            }
        };
        self.tell(Event::Ordered { ticket: self.events, order })
    }

    /// Ends all trouble: backends are back, used, and nobody crashes any more.
    fn calm(&mut self) -> Result<(), String> {
        self.is_calm = true;
        if self.scenario.reloads > 0 {
            self.tell(Event::Reconfigured(Arc::new(self.scenario.catalog.clone())))?;
        }
        let names: Vec<String> =
            self.scenario.catalog.backends.values().map(|backend| backend.name.clone()).collect();
        for upstream in self.upstreams.values_mut() {
            upstream.is_away = false;
        }
        for backend in names {
            self.tell(Event::Ordered { ticket: 0, order: Order::Undrain { backend } })?;
        }
        Ok(())
    }
}
