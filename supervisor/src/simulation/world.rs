//! The world: what happens when, and the loop around the real scheduler. Frontends, workers and links answer at once,
//! as the real ones do but for their microseconds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ipc_proto::ids::{BackendId, RequestId};

use super::audit::Audit;
use super::course::{Course, Fate, Lot};
use super::dice::Dice;
use super::engine::{Engine, moment};
use super::instance::Instance;
use super::setting::Setting;
use crate::clock::Time;
use crate::record::{Entry, Header, Record, decisions};
use crate::scheduler::laws::{Laws, Sound};
use crate::scheduler::{Effect, Event, Scheduler};

/// The scheduler's chance comes from it and from the setting's luck.
const SEED: u64 = 7;
/// A run in which nothing moves for so long is stuck: longer than any load, pause or gap between arrivals.
const STUCK_AFTER: Duration = Duration::from_hours(6);

/// Something that happens at its time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A request comes.
    Arrives(usize),
    /// A client leaves, if its request still waits.
    LosesPatience(usize),
    /// An engine comes to the next thing it does; nothing if it has been given something else since.
    Turns(usize, u64),
    /// A worker looks at its server.
    Looks(usize),
    /// A server goes away.
    GoesAway(usize),
    /// It is back.
    ComesBack(usize),
}

/// Where a request stands at its frontend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// It has not come yet.
    ToCome,
    /// It waits for the scheduler's word.
    Waits,
    /// It is at a server; with its answer begun or not.
    Going { server: usize, has_head: bool },
    /// Its client has been answered or has left.
    Over,
}

/// A request at its frontend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) id: RequestId,
    pub(super) stage: Stage,
    pub(super) arrived: Time,
    pub(super) started: Option<Time>,
    pub(super) server: Option<usize>,
    pub(super) attempts: u32,
}

/// A run of one instance.
pub(super) struct World<'a, L: Laws> {
    pub(super) instance: &'a Instance,
    pub(super) luck: u64,
    pub(super) scheduler: Scheduler<L>,
    pub(super) now: Time,
    agenda: BTreeMap<(Time, u64), Step>,
    steps: u64,
    /// What children say, in order.
    pub(super) said: VecDeque<Event>,
    pub(super) engines: Vec<Engine<'a>>,
    /// Counts the plans of each engine: an older plan is void.
    plans: Vec<u64>,
    /// By the number of the request.
    pub(super) exchanges: Vec<Exchange>,
    /// The requests in the order in which they came: the id of the first is 1.
    pub(super) minted: Vec<usize>,
    /// What the scheduler has said that the next load of a model on a server drives out.
    pub(super) victims: BTreeMap<(usize, usize), Option<usize>>,
    pub(super) audit: Option<Audit<'a>>,
    pub(super) course: Course,
    /// What a recorder would have written, if it is wanted.
    record: Option<Record>,
    /// Requests that will come or have not ended.
    open: usize,
    /// When the scheduler was last called.
    told: Option<Time>,
    /// When something last moved.
    moved: Time,
}

/// Runs `instance` under `setting` to its end. An error says which invariant was broken, or that the run is stuck.
pub fn run(instance: &Instance, setting: &Setting) -> Result<Course, String> {
    run_under_laws::<Sound>(instance, setting)
}

/// Like [`run`], under laws of the caller's choice: to show that a broken one is noticed.
#[doc(hidden)]
pub fn run_under_laws<L: Laws>(instance: &Instance, setting: &Setting) -> Result<Course, String> {
    let mut world = World::<L>::new(instance, setting);
    world.run().map_err(|wrong| world.told_wrong(setting, &wrong))?;
    Ok(world.course)
}

/// Like [`run`], and looks after the invariants as if the run were under `promised`: to show that a broken one is noticed.
#[doc(hidden)]
pub fn run_promising(instance: &Instance, setting: &Setting, promised: &Setting) -> Result<Course, String> {
    let mut world = World::<Sound>::new(instance, setting);
    world.audit = Some(Audit::new(instance, promised));
    world.run().map_err(|wrong| world.told_wrong(setting, &wrong))?;
    Ok(world.course)
}

/// Like [`run`], and returns the record of it, too.
pub fn run_on_record(instance: &Instance, setting: &Setting) -> Result<(Course, Record), String> {
    let mut world = World::<Sound>::new(instance, setting);
    let header = Header::new(setting.catalog(instance), seed(setting), 0, Vec::new());
    world.record = Some(Record { header, entries: Vec::new() });
    world.run().map_err(|wrong| world.told_wrong(setting, &wrong))?;
    let record = world.record.take().ok_or("the record is gone")?;
    Ok((world.course, record))
}

impl<'a, L: Laws> World<'a, L> {
    fn new(instance: &'a Instance, setting: &'a Setting) -> Self {
        let catalog = Arc::new(setting.catalog(instance));
        let name: u64 = instance.name.bytes().fold(0, |name, byte| name.wrapping_mul(257) ^ u64::from(byte));
        let exchange = Exchange {
            id: RequestId(0),
            stage: Stage::ToCome,
            arrived: Time::default(),
            started: None,
            server: None,
            attempts: 0,
        };
        let engines = (0_u64..).zip(&instance.servers).map(|(number, server)| {
            Engine::new(server, [name ^ instance.seed, setting.luck, number], instance.load_cv)
        });
        Self {
            instance,
            luck: setting.luck,
            scheduler: Scheduler::under_laws(catalog, seed(setting), 0),
            now: Time::default(),
            agenda: BTreeMap::new(),
            steps: 0,
            said: VecDeque::new(),
            engines: engines.collect(),
            plans: vec![0; instance.servers.len()],
            exchanges: vec![exchange; instance.requests.len()],
            minted: Vec::new(),
            victims: BTreeMap::new(),
            audit: setting.is_audited.then(|| Audit::new(instance, setting)),
            course: Course {
                lots: Vec::new(),
                loads: 0,
                loading_s: 0.0,
                longest_load_s: 0.0,
                decisions: Vec::new(),
                events: 0,
                longest_without_server_us: 0,
            },
            record: None,
            open: instance.requests.len(),
            told: None,
            moved: Time::default(),
        }
    }

    fn told_wrong(&self, setting: &Setting, wrong: &str) -> String {
        let (name, seed) = (&self.instance.name, self.instance.seed);
        let at = Duration::from_micros(self.now.0).as_secs_f64();
        format!("{name}-{seed} under {} at {at:.6} s: {wrong}", setting.strategy.as_str())
    }

    /// Lets `step` happen at `at`.
    pub(super) fn at(&mut self, at: Time, step: Step) {
        self.steps += 1;
        self.agenda.insert((at, self.steps), step);
    }

    fn plan(&mut self) {
        for (number, job) in self.instance.requests.iter().enumerate() {
            if let Some(arrival) = job.arrival {
                self.at(moment(arrival), Step::Arrives(number));
            }
        }
        let followers = self.instance.requests.iter().filter_map(|job| job.next).map(|(next, _)| next);
        let mut is_to_come: Vec<bool> =
            self.instance.requests.iter().map(|job| job.arrival.is_some()).collect();
        followers.for_each(|next| is_to_come[next] = true);
        self.open = is_to_come.iter().filter(|is_to_come| **is_to_come).count();
        for (number, server) in self.instance.servers.iter().enumerate() {
            for (from, to) in &server.down {
                self.at(moment(*from), Step::GoesAway(number));
                self.at(moment(*to), Step::ComesBack(number));
            }
            // Looks are spread evenly, as those of processes started one by one drift apart.
            let part = Dice::named(&[self.instance.seed, number as u64]).unit();
            self.at(moment(self.instance.poll_s * part), Step::Looks(number));
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.plan();
        let mut effects = Vec::new();
        self.scheduler.start(self.now, &mut effects);
        self.write_down(Entry::Began { at: self.now }, &effects);
        self.perform(effects)?;
        loop {
            while let Some(event) = self.said.pop_front() {
                self.tell(event)?;
            }
            self.look_around()?;
            if self.open == 0 {
                return self.finish();
            }
            let step = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let deadline = self.scheduler.next_deadline();
            if deadline.is_some_and(|deadline| Some(deadline) <= self.told) {
                return Err(format!("a deadline that does not move: {deadline:?}"));
            }
            let Some(next) = step.into_iter().chain(deadline).min() else {
                return Err(format!("stuck: {} requests are open and nothing will happen", self.open));
            };
            if next > self.moved + STUCK_AFTER {
                return Err(format!("stuck: {} requests are open and nothing moves", self.open));
            }
            self.now = next;
            if step == Some(next) {
                let (_, step) = self.agenda.pop_first().expect("it was there");
                self.happen(step);
            } else {
                self.tell(Event::Tick)?;
            }
        }
    }

    fn look_around(&mut self) -> Result<(), String> {
        match &mut self.audit {
            Some(audit) => audit.quiet(self.now, &self.engines, &self.scheduler),
            None => Ok(()),
        }
    }

    fn tell(&mut self, event: Event) -> Result<(), String> {
        self.course.events += 1;
        self.told = Some(self.now);
        let entry =
            self.record.is_some().then(|| Entry::Told { at: self.now, event: Box::new(event.clone()) });
        let mut effects = Vec::new();
        self.scheduler.handle(self.now, event, &mut effects);
        if let Some(entry) = entry {
            self.write_down(entry, &effects);
        }
        self.perform(effects)
    }

    fn write_down(&mut self, entry: Entry, effects: &[Effect]) {
        if let Some(record) = &mut self.record {
            record.entries.push(entry);
            let made = decisions(self.now, &self.scheduler, effects);
            record.entries.extend(made.map(Entry::Sent));
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) -> Result<(), String> {
        for effect in &effects {
            self.heed(effect);
        }
        for effect in effects {
            match effect {
                Effect::ToFrontend(_, message) => self.frontend_hears(message)?,
                Effect::ToWorker(worker, message) => self.worker_hears(worker, &message),
                Effect::StartFrontend(frontend) => self.frontend_starts(frontend),
                Effect::StartWorker(worker) => self.worker_starts(worker),
                Effect::KillFrontend(_) | Effect::KillWorker(_) => {
                    return Err(format!("a child that is well is killed: {effect:?}"));
                }
                Effect::Ended(record) => {
                    if let Some(audit) = &mut self.audit {
                        audit.ended(&record)?;
                    }
                }
                Effect::Stopped => return Err("the instance stops".to_owned()),
                _ => {}
            }
        }
        Ok(())
    }

    fn happen(&mut self, step: Step) {
        if !matches!(step, Step::Looks(_)) {
            self.moved = self.now;
        }
        match step {
            Step::Arrives(job) => self.client_arrives(job),
            Step::LosesPatience(job) => self.client_loses_patience(job),
            Step::Turns(server, plan) if plan == self.plans[server] => self.engine_turns(server),
            Step::Turns(..) => {}
            Step::Looks(server) => {
                self.look(server);
                self.at(self.now + Duration::from_secs_f64(self.instance.poll_s), Step::Looks(server));
            }
            Step::GoesAway(server) => self.server_goes_away(server),
            Step::ComesBack(server) => self.engines[server].is_away = false,
        }
    }

    /// Plans what an engine does next, after something has changed there.
    pub(super) fn replan(&mut self, server: usize) {
        self.plans[server] += 1;
        if let Some(next) = self.engines[server].next() {
            self.at(next, Step::Turns(server, self.plans[server]));
        }
    }

    /// A request has ended at its frontend.
    pub(super) fn settle(&mut self, job: usize, fate: Fate) {
        let exchange = &mut self.exchanges[job];
        exchange.stage = Stage::Over;
        let lot = Lot {
            job,
            arrived: exchange.arrived,
            started: exchange.started,
            ended: self.now,
            fate,
            server: exchange.server,
            attempts: exchange.attempts,
        };
        self.course.lots.push(lot);
        self.open -= 1;
        self.moved = self.now;
        // Whoever follows comes after a good answer only; the others of the chain never come.
        let mut follower = self.instance.requests[job].next;
        if let (Some((next, pause)), Fate::Done) = (follower, fate) {
            self.at(self.now + Duration::from_secs_f64(pause), Step::Arrives(next));
            return;
        }
        while let Some((next, _)) = follower {
            self.open -= 1;
            follower = self.instance.requests[next].next;
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        let (waiting, (_, live)) = (self.scheduler.queued(), self.scheduler.live_requests(self.now, 0));
        if waiting > 0 || live > 0 {
            return Err(format!("all is over, and {waiting} requests wait, {live} live"));
        }
        self.course.lots.sort_unstable_by_key(|lot| self.exchanges[lot.job].id);
        self.course.loads = self.engines.iter().map(Engine::all_loads).sum();
        self.course.loading_s = self.engines.iter().map(|engine| engine.loading_s).sum();
        self.course.longest_load_s =
            self.engines.iter().map(|engine| engine.longest_load_s).fold(0.0, f64::max);
        match &mut self.audit {
            Some(audit) => {
                self.course.longest_without_server_us = audit.longest_without_server_us();
                audit.over(self.minted.len())
            }
            None => Ok(()),
        }
    }
}

fn seed(setting: &Setting) -> u64 {
    SEED.wrapping_add(setting.luck)
}

/// The backend of a server.
pub(super) fn backend_of(server: usize) -> BackendId {
    BackendId(u32::try_from(server).expect("an instance has few servers"))
}

/// The server of a backend.
pub(super) fn server_of(backend: BackendId) -> usize {
    backend.0 as usize
}
