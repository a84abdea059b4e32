//! Log lines on their way to operators: those that wait to be told, and the latest ones, for who comes later.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ipc_proto::operator::{LogLevel, LogLine};
use tokio::sync::Notify;

/// Lines that may wait for the actor; more are dropped, and counted by the tap.
const WAITING: usize = 2048;
/// Lines kept for operators that come later: of level info and above, without those about single requests, which the
/// history keeps.
const KEPT: usize = 500;
/// Where lines about the end of single requests come from.
pub(crate) const REQUESTS: &str = "request";

/// Lines of this process that the actor has not looked at yet. Any thread may put one.
#[derive(Default)]
pub(crate) struct LineQueue {
    lines: Mutex<VecDeque<LogLine>>,
    /// Whether there is anything, for a look without the lock.
    has_lines: AtomicBool,
    heard: Notify,
}

impl LineQueue {
    /// Puts a line. `false`: there is no room.
    pub(crate) fn put(&self, line: LogLine) -> bool {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= WAITING {
            return false;
        }
        lines.push_back(line);
        drop(lines);
        if !self.has_lines.swap(true, Ordering::AcqRel) {
            self.heard.notify_one();
        }
        true
    }

    /// Takes all lines there are.
    pub(crate) fn take(&self) -> VecDeque<LogLine> {
        if !self.has_lines.load(Ordering::Acquire) {
            return VecDeque::new();
        }
        self.has_lines.store(false, Ordering::Release);
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when there is a line. Safe to cancel.
    pub(crate) async fn heard(&self) {
        self.heard.notified().await;
    }

    /// Has this process's log run into the queue.
    pub(crate) fn listen(self: &Arc<Self>) {
        let queue = Arc::clone(self);
        ipc_proto::tap::pour_into(Arc::new(move |line| queue.put(line)));
    }
}

/// The latest lines.
#[derive(Default)]
pub(super) struct Latest(VecDeque<LogLine>);

impl Latest {
    /// Keeps a line, if it is one to be kept.
    pub(super) fn keep(&mut self, line: &LogLine) {
        if line.level < LogLevel::Info || line.source == REQUESTS {
            return;
        }
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(line.clone());
    }

    /// The lines kept, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &LogLine> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: LogLevel, source: &str, message: &str) -> LogLine {
        LogLine { unix_us: 1, level, source: source.to_owned(), message: message.to_owned() }
    }

    #[tokio::test]
    async fn lines_wait_in_order_and_no_more_than_there_is_room_for() {
        let queue = LineQueue::default();
        assert!(queue.take().is_empty());
        for number in 0..WAITING {
            assert!(queue.put(line(LogLevel::Info, "", &number.to_string())));
        }
        assert!(!queue.put(line(LogLevel::Info, "", "too many")));
        queue.heard().await;
        let taken = queue.take();
        assert_eq!((taken.len(), &taken[1].message[..]), (WAITING, "1"));
        assert!(queue.put(line(LogLevel::Info, "", "again")));
        queue.heard().await;
        assert_eq!(queue.take().len(), 1);
    }

    #[test]
    fn the_latest_lines_are_kept_but_for_those_that_say_little_or_are_kept_elsewhere() {
        let mut latest = Latest::default();
        latest.keep(&line(LogLevel::Debug, "supervisor", "chatter"));
        latest.keep(&line(LogLevel::Info, REQUESTS, "request ended"));
        for number in 0..=KEPT {
            latest.keep(&line(LogLevel::Warning, "supervisor", &number.to_string()));
        }
        let kept: Vec<_> = latest.iter().map(|line| line.message.as_str()).collect();
        assert_eq!((kept.len(), kept[0], kept[KEPT - 1]), (KEPT, "1", KEPT.to_string().as_str()));
    }
}
