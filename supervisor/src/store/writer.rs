//! The store's thread: gathers records for a moment, writes them together, forgets old ones.
//!
//! Whatever the disk does, the thread goes on: rows that cannot be written are counted and named in the log once a
//! minute, and nobody waits for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use ipc_proto::operator::{Decision, RequestRecord};
use tokio::sync::oneshot;

use super::Shared;
use super::database::{Batch, Database};
use crate::clock::{Clock, Time};
use crate::scheduler::learner::Observation;

/// The most rows of one transaction: enough to spread its cost, few enough to lose when it fails.
const BATCH: usize = 512;
/// How long the first record of a batch waits for company.
const GATHER: Duration = Duration::from_millis(50);
/// Between two looks for rows that are old enough to be forgotten.
pub(super) const RETENTION_INTERVAL: Duration = Duration::from_hours(1);
/// Observations are trimmed as often as rows are forgotten, and after so many: a busy instance would otherwise gather
/// millions of them in the meantime, whose deletion would hold everything else up.
pub(super) const TRIM_AFTER: usize = 20_000;
/// The most rows deleted at once, so that new ones do not wait for the old.
const FORGET_AT_ONCE: u32 = 1000;
/// Between two complaints in the log about rows that were lost.
const COMPLAINT_INTERVAL_MS: u64 = 60_000;
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Keep this, and the decisions on it if there are any.
    Save(Box<(RequestRecord, Option<Vec<Decision>>)>),
    /// Keep this.
    Observed(Box<Observation<String>>),
    /// Say when everything that was sent before is written, or lost.
    Flush(oneshot::Sender<()>),
    /// Look at the shared state.
    Wake,
}

/// The thread's state.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) messages: Receiver<Message>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    /// How long rows are kept; `None`: for ever.
    pub(super) retention_days: Option<u32>,
    pub(super) batch: Batch,
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    /// When to look for old rows next.
    pub(super) retention_due: Time,
    /// When to trim the observations next, and how many were written since they were trimmed.
    pub(super) trim_due: Time,
    pub(super) untrimmed: usize,
    /// When it last complained, and how many rows were lost by then.
    pub(super) complained: Option<(Time, u64)>,
}

impl Writer {
    /// Works until the store is closed and everything it was sent is dealt with.
    pub(super) fn run(mut self) {
        let mut behind = false;
        loop {
            match self.messages.recv_timeout(self.until_retention()) {
                Ok(message) => {
                    self.take(message);
                    if !behind && self.flushes.is_empty() && !self.is_closing() {
                        // Ended early by a flush or by the end. Senders need not wake a thread that is not
                        // waiting for them, which makes a record cheap for the process's other thread.
                        std::thread::park_timeout(GATHER);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let drained = self.drain();
            behind = !drained;
            self.write();
            if drained {
                for flush in self.flushes.drain(..) {
                    // Whoever asked may have lost patience.
                    let _ = flush.send(());
                }
            }
            if self.is_closing() {
                if drained {
                    return;
                }
            } else {
                self.forget_old();
                self.trim();
            }
        }
    }

    fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Save(saved) => self.batch.records.push(*saved),
            Message::Observed(observation) => self.batch.observations.push(*observation),
            Message::Flush(done) => self.flushes.push(done),
            Message::Wake => {}
        }
    }

    /// Takes what has arrived, up to a full batch. Returns whether nothing is left.
    fn drain(&mut self) -> bool {
        while self.batch.len() < BATCH {
            match self.messages.try_recv() {
                Ok(message) => self.take(message),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
            }
        }
        false
    }

    fn write(&mut self) {
        if self.batch.len() == 0 {
            return;
        }
        if let Err(error) = self.database.write(&self.batch) {
            self.shared.lose(self.batch.len() as u64);
            self.complain(&format!("cannot write the history: {error}"));
        } else if self.shared.lost() > self.complained.map_or(0, |(_, lost)| lost) {
            self.complain("records came faster than the disk took them");
        }
        self.untrimmed += self.batch.observations.len();
        self.batch.clear();
    }

    fn complain(&mut self, reason: &str) {
        let now = self.clock.now();
        let (before, known) = self.complained.unwrap_or_default();
        if self.complained.is_none() || now >= before.plus_millis(COMPLAINT_INTERVAL_MS) {
            let lost = self.shared.lost();
            tracing::warn!(rows = lost - known, in_all = lost, reason, "history rows were lost");
            self.complained = Some((now, lost));
        }
    }

    fn until_retention(&self) -> Duration {
        let due = self.retention_days.map_or(self.trim_due, |_| self.retention_due.min(self.trim_due));
        Duration::from_micros(due.since(self.clock.now()))
    }

    fn trim(&mut self) {
        let now = self.clock.now();
        if now < self.trim_due && self.untrimmed < TRIM_AFTER {
            return;
        }
        // Nothing new, nothing to trim.
        if self.untrimmed > 0
            && let Err(error) = self.database.trim()
        {
            tracing::warn!(%error, "cannot delete old observations");
        }
        self.untrimmed = 0;
        self.trim_due = now + RETENTION_INTERVAL;
    }

    fn forget_old(&mut self) {
        let now = self.clock.now();
        let Some(days) = self.retention_days.filter(|_| now >= self.retention_due) else { return };
        let now_unix_us = self.clock.started_unix_us().saturating_add_unsigned(now.0);
        let before = now_unix_us.saturating_sub(DAY_US.saturating_mul(i64::from(days)));
        match self.database.forget(before, FORGET_AT_ONCE) {
            // More may be left; new records come first.
            Ok(forgotten) if forgotten == FORGET_AT_ONCE as usize => return,
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, days, "old history rows were deleted"),
            Err(error) => tracing::warn!(%error, "cannot delete old history rows"),
        }
        self.retention_due = now + RETENTION_INTERVAL;
    }
}
