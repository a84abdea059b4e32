//! The operators that have subscribed, and what each of them is told.
//!
//! Changes are put together and told at most every 50 ms, to all at once; each kind of subscription is encoded once. An
//! operator that does not read is told nothing more until it has read what it was told, then that it has missed something,
//! and everything as it is. While nobody has subscribed nothing is remembered.

use std::collections::{BTreeMap, VecDeque};

use ipc_proto::ids::RequestId;
use ipc_proto::link::{Encoded, Outbox};
use ipc_proto::operator::{
    Event, InstanceView, LogLevel, LogLine, RequestRecord, Snapshot, Subscription, ToOperator,
};
use ipc_proto::tap;

use self::batch::{Batch, Changes};
use self::lines::Latest;
use crate::clock::Time;
use crate::links::LinkId;
use crate::operators;
use crate::scheduler::Scheduler;
use crate::scheduler::learner::Observation;

mod batch;
mod lines;

pub(crate) use self::lines::LineQueue;

/// Changes are told this often at most, in milliseconds.
const EVERY_MS: u64 = 50;
/// How often an operator that did not read is looked at again, in milliseconds.
const LOOK_AGAIN_MS: u64 = 250;
/// With more than this waiting for it, in bytes, an operator is told nothing more: it does not read.
const MOST_WAITING: usize = 512 * 1024;
/// Log lines that wait to be told at once; more are told at once.
const MOST_LINES: usize = 1024;

/// What is true now, as far as it is to be told.
pub(crate) struct Now<'a> {
    /// The time.
    pub(crate) time: Time,
    /// Who knows the most.
    pub(crate) scheduler: &'a Scheduler,
    /// The instance.
    pub(crate) instance: InstanceView,
    /// Rows that the history has lost.
    pub(crate) history_lost: u64,
}

impl Now<'_> {
    fn snapshot(&self, subscription: &Subscription) -> Snapshot {
        let is_filtered =
            subscription.model.is_some() || subscription.backend.is_some() || subscription.client.is_some();
        let most = if is_filtered { usize::MAX } else { Snapshot::MAX_REQUESTS };
        let mut snapshot =
            operators::snapshot(self.scheduler, self.time, self.instance.clone(), self.history_lost, most);
        batch::keep_what_is_wanted(&mut snapshot, subscription, self.scheduler);
        snapshot
    }
}

/// One that has subscribed.
struct Watcher {
    outbox: Outbox<ToOperator>,
    wants: Subscription,
    /// What it was not told since it stopped reading.
    missed: Option<Missed>,
}

#[derive(Clone, Copy, Default)]
struct Missed {
    changes: u64,
    lines: u64,
}

/// Who has subscribed, and what they have to be told.
#[derive(Default)]
pub(crate) struct Watch {
    watchers: BTreeMap<LinkId, Watcher>,
    /// Whether one of them wants to know of changes.
    is_for_state: bool,
    /// Whether one of them wants log lines.
    is_for_lines: bool,
    changes: Changes,
    lines: VecDeque<LogLine>,
    latest: Latest,
    due: Option<Time>,
    last_told: Time,
}

impl Watch {
    /// Somebody subscribes, in place of what it subscribed to before. Tells it the latest log lines, and everything as it is.
    pub(crate) fn subscribe(
        &mut self,
        link: LinkId,
        outbox: Outbox<ToOperator>,
        wants: Subscription,
        now: &Now<'_>,
    ) {
        // The others are told what happened before, so that the newcomer's snapshot is the same beginning for all.
        self.tell(now);
        for line in self.latest.iter().filter(|line| wants.log.is_some_and(|least| line.level >= least)) {
            let _ = outbox.send(&told(Event::Log(line.clone())));
        }
        if wants.state {
            send_snapshot(&outbox, now.snapshot(&wants));
        }
        self.watchers.insert(link, Watcher { outbox, wants, missed: None });
        let was_for_state = self.is_for_state;
        self.count();
        if self.is_for_state && !was_for_state {
            self.changes = Changes::default();
            // What is true now has just been told.
            self.changes.take(now.scheduler, now.time, now.instance.clone(), now.history_lost);
        }
    }

    /// Somebody wants to know nothing any more, or has gone.
    pub(crate) fn leave(&mut self, link: LinkId) {
        if self.watchers.remove(&link).is_some() {
            self.count();
        }
    }

    fn count(&mut self) {
        self.is_for_state = self.watchers.values().any(|watcher| watcher.wants.state);
        self.is_for_lines = self.watchers.values().any(|watcher| watcher.wants.log.is_some());
        if !self.is_for_state {
            self.changes = Changes::default();
        }
        if !self.is_for_lines {
            self.lines.clear();
        }
        if self.watchers.is_empty() {
            self.due = None;
        }
    }

    /// From which level on log lines are wanted, and whether those about single requests are.
    pub(crate) fn log_wanted(&self) -> (LogLevel, bool) {
        let least = self.watchers.values().filter_map(|watcher| watcher.wants.log).min();
        // What is kept for later is always wanted.
        let with_requests = least.is_some_and(|least| least <= LogLevel::Info);
        (least.map_or(LogLevel::Info, |least| least.min(LogLevel::Info)), with_requests)
    }

    /// The scheduler has dealt with something.
    pub(crate) fn touched(&mut self, now: Time) {
        if self.is_for_state {
            self.soon(now);
        }
    }

    /// A live request's record has changed.
    pub(crate) fn changed(&mut self, request: RequestId) {
        if self.is_for_state {
            self.changes.changed(request);
        }
    }

    /// A request has ended.
    pub(crate) fn ended(&mut self, request: Option<RequestId>, record: &RequestRecord) {
        if self.is_for_state {
            self.changes.ended(request, record);
        }
    }

    /// Something has been learned.
    pub(crate) fn learned(&mut self, from: &Observation<String>) {
        if self.is_for_state {
            self.changes.learned(from);
        }
    }

    /// A line was written to the log.
    pub(crate) fn logged(&mut self, now: Time, line: LogLine) {
        self.latest.keep(&line);
        if !self.is_for_lines {
            return;
        }
        self.lines.push_back(line);
        if self.lines.len() >= MOST_LINES {
            self.due = Some(now);
        }
        self.soon(now);
    }

    /// When [`Self::tell`] is to be called next.
    pub(crate) fn due(&self) -> Option<Time> {
        self.due
    }

    fn soon(&mut self, now: Time) {
        if self.due.is_none() {
            self.due = Some(now.max(self.last_told.plus_millis(EVERY_MS)));
        }
    }

    /// Tells everybody what has happened since the last time.
    pub(crate) fn tell(&mut self, now: &Now<'_>) {
        self.due = None;
        self.last_told = now.time;
        if self.watchers.is_empty() {
            return;
        }
        let batch = if self.is_for_state {
            self.changes.take(now.scheduler, now.time, now.instance.clone(), now.history_lost)
        } else {
            Batch::default()
        };
        let mut round = Round { now, batch: &batch, lines: Encodings::of(&self.lines), told: Vec::new() };
        for watcher in self.watchers.values_mut() {
            round.tell(watcher);
        }
        self.lines.clear();
        let lags = self.watchers.values().any(|watcher| watcher.missed.is_some());
        let look_again = lags.then(|| now.time.plus_millis(LOOK_AGAIN_MS));
        self.due = look_again.into_iter().chain(self.changes.due()).min();
    }
}

/// One time at which everybody is told.
struct Round<'a> {
    now: &'a Now<'a>,
    batch: &'a Batch,
    lines: Encodings<'a>,
    /// The changes, encoded, by what they were filtered for.
    told: Vec<(Subscription, Vec<Encoded<ToOperator>>)>,
}

impl Round<'_> {
    fn tell(&mut self, watcher: &mut Watcher) {
        let backlog = watcher.outbox.backlog();
        match watcher.missed {
            Some(missed) if backlog == 0 => {
                watcher.missed = None;
                self.catch_up(watcher, missed);
            }
            None if backlog <= MOST_WAITING => self.tell_changes(watcher),
            missed => watcher.missed = Some(self.missed_more(watcher, missed.unwrap_or_default())),
        }
    }

    fn missed_more(&self, watcher: &Watcher, before: Missed) -> Missed {
        let lines = self.lines.wanted(watcher.wants.log).count() as u64;
        let changes = if watcher.wants.state { self.batch.len() } else { 0 };
        Missed { changes: before.changes + changes, lines: before.lines + lines }
    }

    /// Tells one that reads again what it has missed, and everything as it is now.
    fn catch_up(&mut self, watcher: &Watcher, before: Missed) {
        let missed = self.missed_more(watcher, before);
        // If this fails the link has ended, which is told by itself.
        if missed.lines > 0 {
            let line = LogLine {
                source: "supervisor".to_owned(),
                ..tap::left_out(missed.lines, self.now.instance.now_unix_us)
            };
            let _ = watcher.outbox.send(&told(Event::Log(line)));
        }
        if watcher.wants.state {
            let _ = watcher.outbox.send(&told(Event::Lagged { missed: missed.changes }));
            send_snapshot(&watcher.outbox, self.now.snapshot(&watcher.wants));
        }
    }

    fn tell_changes(&mut self, watcher: &Watcher) {
        for line in self.lines.wanted_encoded(watcher.wants.log) {
            let _ = watcher.outbox.send_encoded(line);
        }
        if !watcher.wants.state {
            return;
        }
        // What two want of the state is the same if they filter alike.
        let filter = Subscription { log: None, ..watcher.wants.clone() };
        let place = self.told.iter().position(|(known, _)| *known == filter).unwrap_or_else(|| {
            let events = self.batch.events(&filter, self.now.scheduler);
            let mut encoded = Vec::new();
            for event in events {
                encode(event, &mut encoded);
            }
            self.told.push((filter, encoded));
            self.told.len() - 1
        });
        for event in &self.told[place].1 {
            let _ = watcher.outbox.send_encoded(event);
        }
    }
}

/// Log lines, each encoded when the first wants it.
struct Encodings<'a> {
    lines: Vec<(&'a LogLine, Option<Encoded<ToOperator>>)>,
}

impl<'a> Encodings<'a> {
    fn of(lines: &'a VecDeque<LogLine>) -> Self {
        Self { lines: lines.iter().map(|line| (line, None)).collect() }
    }

    fn wanted(&self, least: Option<LogLevel>) -> impl Iterator<Item = &LogLine> {
        let lines = self.lines.iter().map(|(line, _)| *line);
        lines.filter(move |line| least.is_some_and(|least| line.level >= least))
    }

    fn wanted_encoded(&mut self, least: Option<LogLevel>) -> impl Iterator<Item = &Encoded<ToOperator>> {
        let wanted =
            self.lines.iter_mut().filter(move |(line, _)| least.is_some_and(|least| line.level >= least));
        wanted.filter_map(|(line, encoded)| {
            if encoded.is_none() {
                *encoded = Encoded::new(&told(Event::Log(line.clone()))).ok();
            }
            encoded.as_ref()
        })
    }
}

fn told(event: Event) -> ToOperator {
    ToOperator::Event(Box::new(event))
}

/// Encodes an event, in as many parts as it takes.
fn encode(event: Event, into: &mut Vec<Encoded<ToOperator>>) {
    let message = told(event);
    if let Ok(encoded) = Encoded::new(&message) {
        into.push(encoded);
    } else if let ToOperator::Event(event) = message {
        if let Ok(halves) = batch::halves(*event) {
            for half in halves {
                encode(half, into);
            }
        } else {
            tracing::error!("a change cannot be told to operators: it is too long for a frame");
        }
    }
}

fn send_snapshot(outbox: &Outbox<ToOperator>, snapshot: Snapshot) {
    let mut message = Box::new(Event::Snapshot(Box::new(snapshot)));
    loop {
        let sent = outbox.send(&ToOperator::Event(message.clone()));
        let Event::Snapshot(snapshot) = message.as_mut() else { return };
        if !operators::is_too_long(&sent) || !operators::shorten_snapshot(snapshot) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
