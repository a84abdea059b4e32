//! The store's thread: gathers records for a moment, writes them together, forgets old ones.
//!
//! Whatever the disk does, the thread goes on: rows that cannot be written are counted and named in the log once a
//! minute, and nobody waits for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use ipc_proto::operator::RequestRecord;
use tokio::sync::oneshot;

use super::Shared;
use super::database::Database;
use crate::clock::{Clock, Time};

/// The most rows of one transaction: enough to spread its cost, few enough to lose when it fails.
const BATCH: usize = 512;
/// How long the first record of a batch waits for company.
const GATHER: Duration = Duration::from_millis(50);
/// Between two looks for rows that are old enough to be forgotten.
const RETENTION_INTERVAL: Duration = Duration::from_hours(1);
/// The most rows deleted at once, so that new ones do not wait for the old.
const FORGET_AT_ONCE: u32 = 1000;
/// Between two complaints in the log about rows that were lost.
const COMPLAINT_INTERVAL_MS: u64 = 60_000;
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Keep this.
    Save(Box<RequestRecord>),
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
    pub(super) batch: Vec<RequestRecord>,
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    /// When to look for old rows next.
    pub(super) retention_due: Time,
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
            }
        }
    }

    fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Save(record) => self.batch.push(*record),
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
        if self.batch.is_empty() {
            return;
        }
        if let Err(error) = self.database.write(&self.batch) {
            self.shared.lose(self.batch.len() as u64);
            self.complain(&format!("cannot write the history: {error}"));
        } else if self.shared.lost() > self.complained.map_or(0, |(_, lost)| lost) {
            self.complain("records came faster than the disk took them");
        }
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
        match self.retention_days {
            Some(_) => Duration::from_micros(self.retention_due.since(self.clock.now())),
            None => RETENTION_INTERVAL,
        }
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
