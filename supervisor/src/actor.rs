//! The one loop: an event or a deadline, the time, the scheduler, then each effect. Sole owner of the scheduler.
//!
//! It waits for nobody: messages for children and operators go into bounded outboxes, records into the store's
//! bounded channel, and a child whose outbox is full is stuck and is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use ipc_proto::control::{Directory, FromFrontend, FromWorker, ToFrontend, ToWorker};
use ipc_proto::ids::{FrontendId, RequestId, WorkerId};
use ipc_proto::link::{Outbox, SendError};
use ipc_proto::operator::{Command, Decision, InstanceView, LogLevel, RequestRecord};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::alarm::Alarm;
use crate::children::{ChildId, Children};
use crate::clock::{Clock, Time};
use crate::crew::{Crew, End};
use crate::herald::Herald;
use crate::journal;
use crate::links::{ChildOutbox, FromChild, LinkId};
use crate::operators::Caller;
use crate::recorder::Recorder;
use crate::scheduler::{Effect, Event, Scheduler};
use crate::signals::Signal;
use crate::specs::Specs;
use crate::store::Store;
use crate::vigil::{Finding, LOOK_EVERY_MS, Vigil};
use crate::watchers::{LineQueue, Watch};

mod answers;
mod news;
mod saving;
mod watching;

use self::news::{frontend_event, worker_event};

/// Inputs that may wait for the actor. When full, the pumps wait, and with them the children behind them; the actor
/// itself waits for nobody and so always comes round.
pub(crate) const INPUTS: usize = 4096;
/// Inputs taken at once, before anything else is looked at.
const BATCH: usize = 256;
/// How often changed requests are written to the history, in milliseconds: a request that is shorter is written once.
const SAVE_INTERVAL_MS: u64 = 100;

/// What the rest of the process tells the actor.
#[derive(Debug)]
pub(crate) enum Input {
    /// A child that knows the secret has come.
    LinkUp {
        /// Its link.
        link: LinkId,
        /// Who it says it is.
        child: ChildId,
        /// Its process.
        pid: u32,
        /// Where messages for it are put.
        outbox: ChildOutbox,
    },
    /// A child said something.
    Said {
        /// Over this link.
        link: LinkId,
        /// Which child.
        child: ChildId,
        /// What.
        message: FromChild,
    },
    /// A child's link has ended; it says nothing any more.
    LinkEnded {
        /// The link.
        link: LinkId,
        /// Whose.
        child: ChildId,
    },
    /// A child's process has ended, or never began.
    Exited {
        /// Which.
        child: ChildId,
        /// How, in words.
        ended: String,
    },
    /// An operator asks.
    Called {
        /// Who waits for the answer.
        caller: Caller,
        /// What is asked.
        command: Command,
    },
    /// An operator's link has ended; it asks nothing any more.
    OperatorLeft {
        /// The link.
        link: LinkId,
    },
    /// The system asks.
    Signal(Signal),
}

/// What is told to whoever started the instance, once a frontend accepts clients.
pub(crate) type Announce = Box<dyn FnOnce(SocketAddr) + Send>;

/// The loop's state.
pub(crate) struct Actor {
    pub(crate) clock: Clock,
    pub(crate) scheduler: Scheduler,
    pub(crate) children: Children,
    pub(crate) store: Store,
    /// Writes down what the scheduler is told and decides, if it is to be written down.
    pub(crate) recorder: Option<Recorder>,
    pub(crate) specs: Specs,
    /// The parts of the instance's description that never change.
    pub(crate) instance: InstanceView,
    pub(crate) announce: Option<Announce>,
    pub(crate) herald: Herald,
    /// Everything that begins empty.
    pub(crate) state: State,
}

/// What the actor keeps in mind between two inputs.
#[derive(Default)]
pub(crate) struct State {
    crew: Crew,
    /// For frontends that come up later.
    directory: Option<Box<Directory>>,
    /// Live requests whose record has changed since it was last saved.
    dirty: BTreeSet<RequestId>,
    /// Why the request that ends next was sent where it was.
    decisions: Vec<Decision>,
    save_due: Option<Time>,
    /// Operators that have subscribed.
    watch: Watch,
    /// This process's log lines, for them.
    log: Arc<LineQueue>,
    /// What was asked for of every process's log.
    log_wanted: Option<(LogLevel, bool)>,
    vigil: Vigil,
    /// When the children are looked at next.
    look_due: Time,
    /// Operators whose orders are being carried out. As bounded as the calls of all links together.
    tickets: BTreeMap<u64, Caller>,
    last_ticket: u64,
    /// Answers about the past on their way. As bounded as the calls of all links together.
    answers: JoinSet<()>,
    stopped: bool,
}

impl Actor {
    /// Runs the instance until it has stopped.
    pub(crate) async fn run(&mut self, inputs: &mut mpsc::Receiver<Input>) {
        let mut alarm = Alarm::new(self.clock);
        let mut batch = Vec::with_capacity(BATCH);
        let mut effects = Vec::new();
        let now = self.clock.now();
        self.state.log.listen();
        self.listen();
        self.scheduler.start(now, &mut effects);
        if let Some(recorder) = &mut self.recorder {
            recorder.began(now, &self.scheduler, &effects);
        }
        self.perform(&mut effects);
        while !self.state.stopped {
            let due = earlier(self.scheduler.next_deadline(), self.state.save_due);
            let due = earlier(due, self.state.watch.due());
            alarm.no_later_than(earlier(due, Some(self.state.look_due)));
            alarm.no_later_than(self.herald.due());
            tokio::select! {
                _ = inputs.recv_many(&mut batch, BATCH) => {
                    for input in batch.drain(..) {
                        if let Some(event) = self.event_of(input) {
                            self.decide(self.clock.now(), event, &mut effects);
                        }
                    }
                }
                () = self.state.log.heard() => {}
                () = alarm.ring() => {
                    let now = self.clock.now();
                    if self.scheduler.next_deadline().is_some_and(|deadline| deadline <= now) {
                        self.decide(now, Event::Tick, &mut effects);
                    }
                }
            }
            self.save_changed();
            self.look_after_children();
            self.tell_operators();
            self.herald.alive(self.clock.now());
        }
        self.tell_operators_now();
    }

    /// Tells the scheduler, on the record if there is one, and does what it says.
    fn decide(&mut self, now: Time, event: Event, effects: &mut Vec<Effect>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.told(now, &event);
        }
        self.scheduler.handle(now, event, effects);
        if let Some(recorder) = &mut self.recorder {
            recorder.decided(now, &self.scheduler, effects);
        }
        self.perform(effects);
        self.state.watch.touched(now);
    }

    /// Ends what is left: the children at once, the history when it is written.
    pub(crate) async fn end(self) -> Store {
        self.children.end().await;
        self.store
    }

    /// Deals with `input` as far as the scheduler has no part in it, and returns the event for the scheduler.
    fn event_of(&mut self, input: Input) -> Option<Event> {
        match input {
            Input::LinkUp { link, child, pid, outbox } => self.link_up(link, child, pid, outbox),
            Input::Said { link, child, message } => {
                // What came over a link that is not the child's is nobody's word.
                self.state.crew.is_linked(child, link).then(|| self.said(child, message)).flatten()
            }
            Input::LinkEnded { link, child } => {
                let end = self.state.crew.link_ended(child, link);
                self.ended(child, end)
            }
            Input::Exited { child, ended } => {
                journal::exited(child, &ended);
                self.children.forget(child);
                let end = self.state.crew.exited(child);
                self.ended(child, end)
            }
            Input::Called { caller, command } => self.called(caller, command),
            Input::OperatorLeft { link } => {
                self.state.watch.leave(link);
                self.listen();
                None
            }
            Input::Signal(Signal::Stop) => Some(Event::Stop),
            Input::Signal(Signal::Reload) => {
                tracing::warn!("reload is not available in this version; restart to apply the configuration");
                None
            }
        }
    }

    fn link_up(&mut self, link: LinkId, child: ChildId, pid: u32, outbox: ChildOutbox) -> Option<Event> {
        if let Err(reason) = self.state.crew.link(child, link, outbox.clone()) {
            tracing::warn!(%child, pid, reason, "a process was refused");
            match outbox {
                ChildOutbox::Frontend(outbox) => refuse(&outbox, &ToFrontend::Refused(reason.to_owned())),
                ChildOutbox::Worker(outbox) => refuse(&outbox, &ToWorker::Refused(reason.to_owned())),
            }
            return None;
        }
        match child {
            ChildId::Frontend(frontend) => {
                self.tell_frontend(frontend, &ToFrontend::Spec(Box::new(self.specs.frontend())));
                if let Some(directory) = self.state.directory.clone() {
                    self.tell_frontend(frontend, &ToFrontend::Directory(directory));
                }
                self.ask_for_log(child);
                Some(Event::FrontendUp { frontend, pid })
            }
            ChildId::Worker(worker) => {
                match self.specs.worker(worker.backend) {
                    Some(spec) => self.tell_worker(worker, &ToWorker::Spec(Box::new(spec))),
                    // It has no backend any more.
                    None => self.children.kill(child),
                }
                self.ask_for_log(child);
                Some(Event::WorkerUp { worker, pid })
            }
        }
    }

    fn said(&mut self, child: ChildId, message: FromChild) -> Option<Event> {
        self.state.vigil.heard(child);
        let message = match message {
            FromChild::Frontend(FromFrontend::Log(line)) | FromChild::Worker(FromWorker::Log(line)) => {
                self.child_logged(child, line);
                return None;
            }
            message => message,
        };
        match (child, message) {
            (ChildId::Frontend(frontend), FromChild::Frontend(message)) => {
                if let FromFrontend::Listening(address) = message
                    && let Some(announce) = self.announce.take()
                {
                    announce(address);
                    self.herald.ready(address);
                }
                frontend_event(frontend, message)
            }
            (ChildId::Worker(worker), FromChild::Worker(message)) => worker_event(worker, message),
            // A link carries the messages of its own role alone.
            (ChildId::Frontend(_), FromChild::Worker(_)) | (ChildId::Worker(_), FromChild::Frontend(_)) => {
                None
            }
        }
    }

    fn ended(&self, child: ChildId, end: End) -> Option<Event> {
        match (end, child) {
            (End::Gone, ChildId::Frontend(frontend)) => Some(Event::FrontendGone { frontend }),
            (End::Gone, ChildId::Worker(worker)) => Some(Event::WorkerGone { worker }),
            (End::Half, _) => {
                self.children.leave(child);
                None
            }
            (End::Stale, _) => None,
        }
    }

    fn perform(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::ToFrontend(frontend, message) => self.tell_frontend(frontend, &message),
                Effect::ToWorker(worker, message) => self.tell_worker(worker, &message),
                Effect::Publish(directory) => self.publish(directory),
                Effect::StartFrontend(frontend) => self.start_child(ChildId::Frontend(frontend)),
                Effect::StartWorker(worker) => self.start_child(ChildId::Worker(worker)),
                Effect::KillFrontend(frontend) => self.children.kill(ChildId::Frontend(frontend)),
                Effect::KillWorker(worker) => self.children.kill(ChildId::Worker(worker)),
                Effect::Changed(request) => self.changed(request),
                Effect::Ended(record) => {
                    let request = request_of(&record);
                    if let Some(request) = request {
                        self.state.dirty.remove(&request);
                    }
                    self.state.watch.ended(request, &record);
                    journal::ended(&record);
                    self.store.save_with(*record, std::mem::take(&mut self.state.decisions));
                }
                Effect::Reply { ticket, reply } => self.reply(ticket, reply),
                Effect::Decided { decisions, .. } => self.state.decisions = decisions,
                Effect::Learned(observation) => {
                    self.state.watch.learned(&observation);
                    self.store.observed(observation);
                }
                Effect::Note(note) => {
                    self.herald.hear(&note);
                    journal::note(&note);
                }
                Effect::Stopped => self.state.stopped = true,
            }
        }
    }

    fn start_child(&mut self, child: ChildId) {
        self.state.crew.add(child);
        self.children.start(child);
    }

    fn publish(&mut self, directory: Box<Directory>) {
        let message = ToFrontend::Directory(directory);
        for (child, outbox) in self.state.crew.linked() {
            if let ChildOutbox::Frontend(outbox) = outbox {
                send(&self.children, child, outbox, &message);
            }
        }
        if let ToFrontend::Directory(directory) = message {
            self.state.directory = Some(directory);
        }
    }

    fn tell_frontend(&self, frontend: FrontendId, message: &ToFrontend) {
        let child = ChildId::Frontend(frontend);
        if let Some(ChildOutbox::Frontend(outbox)) = self.state.crew.outbox(child) {
            send(&self.children, child, outbox, message);
        }
    }

    fn tell_worker(&self, worker: WorkerId, message: &ToWorker) {
        let child = ChildId::Worker(worker);
        if let Some(ChildOutbox::Worker(outbox)) = self.state.crew.outbox(child) {
            send(&self.children, child, outbox, message);
        }
    }

    fn changed(&mut self, request: RequestId) {
        self.state.watch.changed(request);
        self.state.dirty.insert(request);
        if self.state.save_due.is_none() {
            self.state.save_due = Some(self.clock.now().plus_millis(SAVE_INTERVAL_MS));
        }
    }

    /// Asks children that have been silent whether they live, and ends those that do not answer.
    fn look_after_children(&mut self) {
        let now = self.clock.now();
        if now < self.state.look_due {
            return;
        }
        self.state.look_due = now.plus_millis(LOOK_EVERY_MS);
        let linked = self.state.crew.linked().map(|(child, _)| child);
        for (child, finding) in self.state.vigil.look(linked) {
            match (finding, child) {
                (Finding::Ask, ChildId::Frontend(frontend)) => {
                    self.tell_frontend(frontend, &ToFrontend::Ping);
                }
                (Finding::Ask, ChildId::Worker(worker)) => self.tell_worker(worker, &ToWorker::Ping),
                (Finding::Hung, _) => {
                    tracing::warn!(%child, "a process has stopped answering; it is ended and replaced");
                    self.children.kill(child);
                }
            }
        }
    }
}

/// The id of the request that `record` is about.
fn request_of(record: &RequestRecord) -> Option<RequestId> {
    Uuid::parse_str(&record.exchange).ok().map(|id| RequestId(id.as_u128()))
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    one.into_iter().chain(other).min()
}

fn refuse<Tx: Serialize>(outbox: &Outbox<Tx>, message: &Tx) {
    // If even this cannot be sent, the link has ended.
    let _ = outbox.send(message);
    outbox.close();
}

/// Puts a message on its way to a child. One that does not read is stuck, and is ended.
fn send<Tx: Serialize>(children: &Children, child: ChildId, outbox: &Outbox<Tx>, message: &Tx) {
    match outbox.send(message) {
        // The end of the link is on its way to us, too.
        Ok(()) | Err(SendError::Closed) => {}
        Err(error @ SendError::Full) => {
            tracing::error!(%child, %error, "a child is stuck and is ended");
            outbox.close();
            children.kill(child);
        }
        Err(error @ SendError::Frame(_)) => tracing::error!(%child, %error, "a message cannot be sent"),
    }
}
