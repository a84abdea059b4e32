//! The scheduler: a plain value that decides. Events and the time go in, effects come out.
//!
//! It reads no clock, opens no socket and draws no random number it was not given a seed for; the actor around it
//! performs the effects. The same seed and events give the same effects, byte for byte.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use ipc_proto::ids::{BackendId, RequestId};
use ipc_proto::operator::Counters;

use self::backend::Backend;
use self::catalog::Catalog;
use self::directory::Publication;
use self::experience::Lessons;
use self::frontend::Seat;
use self::laws::{Laws, Sound};
use self::learner::Learner;
use self::load_options::Contexts;
use self::model::Models;
use self::policy::{Board, Choice, News, Policy};
use self::queue::Queue;
use self::random::Random;
use self::request::Request;
use self::stop::StopStep;
use self::timer::{Timer, Timers};
use crate::clock::Time;

pub mod catalog;
pub mod laws;
pub mod learner;

mod admission;
mod attempt;
mod backend;
mod bounds;
mod capacity;
mod check;
mod directory;
mod effect;
mod event;
mod experience;
pub(crate) mod explain;
mod frontend;
mod grant;
mod lane;
mod load_options;
mod loan;
mod mode;
mod model;
mod order;
mod policy;
mod prospects;
mod queue;
mod random;
mod reload;
mod request;
mod residents;
mod restart;
mod stop;
#[cfg(test)]
mod tests;
mod timer;
mod view;
mod worker;

pub use self::effect::{Effect, Note};
pub use self::event::{Event, Order};
pub use self::policy::Reason;

/// What the instance is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The backends are looked at for the first time.
    Starting,
    /// It serves.
    Running,
    /// It ends.
    Draining(StopStep),
    /// It has ended.
    Stopped,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining(_) => "draining",
            Self::Stopped => "stopped",
        }
    }
}

/// One call of [`Scheduler::handle`]: the time it is, and where effects go.
struct Turn<'a> {
    now: Time,
    effects: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    fn note(&mut self, note: Note) {
        self.effects.push(Effect::Note(note));
    }
}

/// What a turn has changed, and so what must be looked at before it ends.
#[derive(Default, Debug)]
struct Changes {
    /// A slot is free or a request waits.
    work: bool,
    /// Some backend's state is another one.
    terrain: bool,
    /// Clients may see something else.
    directory: bool,
    /// Came in this turn; the bound of the queue applies to it.
    newcomer: Option<RequestId>,
}

/// Decides which request runs where and when, who is started, killed and told what.
///
/// [`Self::start`] once, then [`Self::handle`] for every event and whenever [`Self::next_deadline`] has come. After
/// [`Effect::Stopped`] nothing has any effect. `L` is [`Sound`] everywhere but in the simulation's own tests.
#[derive(Debug)]
pub struct Scheduler<L: Laws = Sound> {
    catalog: Arc<Catalog>,
    started_unix_us: i64,
    random: Random,
    phase: Phase,
    /// Whether an operator wants nothing new to be granted.
    is_paused: bool,
    timers: Timers,
    requests: BTreeMap<RequestId, Box<Request>>,
    queue: Queue,
    models: Models,
    learner: Learner,
    lessons: Lessons,
    /// What clients wanted models to be loaded with lately.
    contexts: Contexts,
    policy: Box<dyn Policy>,
    /// When the strategy was last asked until it said to wait.
    decided_at: Time,
    /// Requests that wait, in lanes or for a pause to end.
    waiting: u64,
    /// Retired ones stay, for their names.
    backends: BTreeMap<BackendId, Backend>,
    /// The backends in use, best first.
    ranking: Vec<BackendId>,
    seats: BTreeMap<u16, Seat>,
    directory: Publication,
    counters: Counters,
    mean_attempt_us: Option<u64>,
    last_grant: u64,
    last_order: u64,
    changes: Changes,
    checks: u64,
    laws: PhantomData<L>,
}

impl Scheduler {
    /// A scheduler for `catalog`, whose time 0 is `started_unix_us` microseconds after 1970 began. Its chance comes
    /// from `seed` alone.
    pub fn new(catalog: Arc<Catalog>, seed: u64, started_unix_us: i64) -> Self {
        Self::under_laws(catalog, seed, started_unix_us)
    }
}

impl<L: Laws> Scheduler<L> {
    /// Like [`Scheduler::new`], under laws of the caller's choice: for the simulation.
    #[doc(hidden)]
    pub fn under_laws(catalog: Arc<Catalog>, seed: u64, started_unix_us: i64) -> Self {
        Self {
            policy: policy::named(catalog.strategy, seed),
            models: Models::default(),
            learner: Learner::default(),
            lessons: Lessons::default(),
            contexts: Contexts::default(),
            decided_at: Time::default(),
            catalog,
            started_unix_us,
            random: Random::new(seed),
            phase: Phase::Starting,
            is_paused: false,
            timers: Timers::default(),
            requests: BTreeMap::new(),
            queue: Queue::default(),
            waiting: 0,
            backends: BTreeMap::new(),
            ranking: Vec::new(),
            seats: BTreeMap::new(),
            directory: Publication::default(),
            counters: Counters::default(),
            mean_attempt_us: None,
            last_grant: 0,
            last_order: 0,
            changes: Changes::default(),
            checks: 0,
            laws: PhantomData,
        }
    }

    /// Has every frontend and worker started. Called once, before anything else.
    pub fn start(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let turn = &mut Turn { now, effects };
        turn.note(Note::Phase(self.phase.as_str()));
        self.timers.arm(Timer::Doors, now.plus_millis(directory::DOORS_MS));
        self.reconfigured(turn, &Arc::clone(&self.catalog));
        self.settle(turn);
    }

    /// Takes in what has happened by `now`, and says what is to be done. `now` never goes back.
    pub fn handle(&mut self, now: Time, event: Event, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Stopped {
            return;
        }
        let turn = &mut Turn { now, effects };
        self.catch_up(turn);
        self.take_in(turn, event);
        self.settle(turn);
        // What became due by the event itself: a client that is not willing to wait at all.
        self.catch_up(turn);
        if cfg!(debug_assertions) {
            self.check(now);
        }
    }

    /// When [`Self::handle`] must be called even if nothing happens; always later than the last call.
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Lets happen what was due before.
    fn catch_up(&mut self, turn: &mut Turn<'_>) {
        while let Some(timer) = self.timers.pop_due(turn.now) {
            self.due(turn, timer);
            self.settle(turn);
        }
    }

    fn due(&mut self, turn: &mut Turn<'_>, timer: Timer) {
        match timer {
            Timer::Doors => self.open_doors(turn),
            Timer::Grant(backend, grant) => self.grant_due(turn, backend, grant),
            Timer::Loan(backend, grant) => self.loan_due(turn, backend, grant),
            Timer::Patience(request) => self.patience_over(turn, request),
            Timer::Pause(request) => self.pause_over(turn, request),
            Timer::Exclusion(request) => self.exclusion_over(turn, request),
            Timer::Stranded(lane) => self.stranded(turn, &lane),
            Timer::Cooling(backend) => self.rested(backend),
            Timer::Probe(backend) => self.probe_due(turn, backend),
            Timer::Worker(backend) => self.worker_due(turn, backend),
            Timer::Frontend(seat) => self.frontend_due(turn, seat),
            Timer::Widen(backend) => self.widen(turn, backend),
            Timer::Strategy => self.changes.work = true,
            Timer::Stop => self.stop_now(turn),
        }
    }

    fn take_in(&mut self, turn: &mut Turn<'_>, event: Event) {
        match event {
            Event::FrontendUp { frontend, pid } => self.frontend_up(frontend, pid),
            Event::FrontendListening { frontend, address } => self.frontend_listening(frontend, address),
            Event::FrontendGone { frontend } => self.frontend_gone(turn, frontend),
            Event::Admit { frontend, admission } => self.admit(turn, frontend, *admission),
            Event::AttemptFailed { frontend, request, grant, failure } => {
                self.attempt_failed(turn, frontend, request, grant, failure);
            }
            Event::Closed { frontend, request, outcome } => self.closed(turn, frontend, request, outcome),
            Event::Withdraw { frontend, request } => self.withdraw(turn, frontend, request),
            Event::FrontendDrained { frontend } => self.frontend_drained(frontend),
            Event::WorkerUp { worker, pid } => self.worker_up(worker, pid),
            Event::WorkerReady { worker } => self.worker_ready(turn, worker),
            Event::Started { worker, grant } => self.started(worker, grant),
            Event::Begun { worker, grant, first_byte_us } => self.begun(turn, worker, grant, first_byte_us),
            Event::Finished { worker, finished } => self.finished(turn, worker, &finished),
            Event::Probed { worker, report } => self.probed(turn, worker, *report),
            Event::WorkerDrained { worker } => self.worker_drained(turn, worker),
            Event::WorkerGone { worker } => self.worker_gone(turn, worker),
            Event::Ordered { ticket, order } => self.ordered(turn, ticket, &order),
            Event::Reconfigured(catalog) => self.reconfigured(turn, &catalog),
            Event::Stop => self.stop(turn),
            Event::Returned { frontend, grant } => self.returned(turn, frontend, grant),
            // It only brings the time.
            Event::Tick => {}
        }
    }

    /// Does what follows from what this turn has changed.
    fn settle(&mut self, turn: &mut Turn<'_>) {
        if self.is_stopping() {
            self.go_on_stopping(turn);
        } else {
            self.open_doors_if_known(turn);
        }
        if std::mem::take(&mut self.changes.terrain) {
            self.survey(turn);
            self.review_loans(turn);
            self.changes.work = true;
        }
        if std::mem::take(&mut self.changes.work) {
            self.dispatch(turn);
        }
        if let Some(newcomer) = self.changes.newcomer.take() {
            self.bound_queue(turn, newcomer);
            if std::mem::take(&mut self.changes.work) {
                self.dispatch(turn);
            }
        }
        if std::mem::take(&mut self.changes.directory) {
            self.publish(turn);
        }
    }

    /// Grants what the strategy chooses, until it says to wait.
    fn dispatch(&mut self, turn: &mut Turn<'_>) {
        self.timers.disarm(&Timer::Strategy);
        self.queue.ripen(turn.now);
        self.decided_at = turn.now;
        while !self.is_stopping() && !self.is_paused {
            self.changes.work = false;
            match self.consult(|policy, board| policy.choose(board, turn.now)) {
                Choice::Dispatch { request, backend, evict, reason } => {
                    self.grant(turn, request, backend, (evict, reason));
                }
                Choice::Rebind { request } => self.rebind(turn, request),
                Choice::Wait { until } => {
                    if let Some(until) = until {
                        self.timers.arm(Timer::Strategy, until);
                    }
                    break;
                }
            }
        }
        self.recall_for_those_who_wait(turn);
    }

    /// Asks the strategy, with the board as it is now.
    fn consult<A>(&mut self, ask: impl FnOnce(&mut dyn Policy, &Board<'_>) -> A) -> A {
        let Self { policy, queue, backends, ranking, models, learner, catalog, .. } = self;
        let board = Board::new::<L>(queue, (backends, ranking), (models, learner), catalog);
        ask(policy.as_mut(), &board)
    }

    /// The board as it is now, for a look that changes nothing.
    fn board(&self) -> Board<'_> {
        Board::new::<L>(
            &self.queue,
            (&self.backends, &self.ranking),
            (&self.models, &self.learner),
            &self.catalog,
        )
    }

    /// Tells the strategy.
    fn tell(&mut self, turn: &Turn<'_>, news: News) {
        self.consult(|policy, board| policy.news(board, news, turn.now));
    }

    fn enter(&mut self, turn: &mut Turn<'_>, phase: Phase) {
        self.phase = phase;
        self.changes.directory = true;
        turn.note(Note::Phase(phase.as_str()));
    }
}
