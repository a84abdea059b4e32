//! Where a process's log lines go besides its standard error: to operators, who may listen to another process.
//!
//! A process has one log, and so one tap. A line that is put never waits and never blocks: one that cannot go on at once
//! is dropped, and the next that can says how many were. While the tap is closed it costs nothing.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::link::Outbox;
use crate::operator::{LogLevel, LogLine};

/// Where lines go. Says whether it took one; must neither wait nor write to the log itself.
pub type Sink = Arc<dyn Fn(LogLine) -> bool + Send + Sync>;

/// With more than this waiting for a peer, in bytes, it gets no log lines: what it must know comes first.
const MOST_BEFORE_LINES: usize = 256 * 1024;
/// The level of a closed tap: above every other.
const CLOSED: u8 = u8::MAX;

static LEAST: AtomicU8 = AtomicU8::new(CLOSED);
static WITH_REQUESTS: AtomicBool = AtomicBool::new(false);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static SINK: Mutex<Option<Sink>> = Mutex::new(None);

/// Lets lines of level `least` and above run into `outbox`, wrapped up as its messages.
pub fn pour<M: Serialize + 'static>(least: LogLevel, outbox: Outbox<M>, wrap: fn(LogLine) -> M) {
    pour_into(Arc::new(move |line| {
        outbox.backlog() < MOST_BEFORE_LINES && outbox.send_soon(&wrap(line)).is_ok()
    }));
    open(least, true);
}

/// Lets lines run into `sink`, once the tap is open.
pub fn pour_into(sink: Sink) {
    *SINK.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
}

/// Opens the tap for lines of level `least` and above; those about a single request only `with_requests`.
pub fn open(least: LogLevel, with_requests: bool) {
    LEAST.store(least as u8, Ordering::Relaxed);
    WITH_REQUESTS.store(with_requests, Ordering::Relaxed);
    // Places that log have remembered whether anybody wants their lines.
    tracing::callsite::rebuild_interest_cache();
}

/// The level from which on lines are wanted; `None`: none are.
pub fn least() -> Option<LogLevel> {
    let least = LEAST.load(Ordering::Relaxed);
    LogLevel::ALL.into_iter().find(|level| *level as u8 == least)
}

/// Whether lines about a single request are wanted.
pub fn takes_requests() -> bool {
    WITH_REQUESTS.load(Ordering::Relaxed)
}

/// Puts a line on its way, or drops it.
pub fn put(line: LogLine) {
    let sink = SINK.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(sink) = sink else { return };
    let dropped = DROPPED.swap(0, Ordering::Relaxed);
    let may_go_on = dropped == 0 || sink(left_out(dropped, line.unix_us));
    if !may_go_on {
        DROPPED.fetch_add(dropped + 1, Ordering::Relaxed);
    } else if !sink(line) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// The line that stands for `dropped` others.
pub fn left_out(dropped: u64, unix_us: i64) -> LogLine {
    let message = format!("{dropped} log lines are left out here: they came faster than they could be told");
    LogLine { unix_us, level: LogLevel::Warning, source: String::new(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> LogLine {
        LogLine { unix_us: 7, level: LogLevel::Info, source: String::new(), message: message.to_owned() }
    }

    /// One test, since there is one tap.
    #[test]
    fn lines_go_on_while_there_is_room_and_those_that_did_not_are_counted() {
        assert_eq!(least(), None, "it is closed at first");
        put(line("nobody hears"));
        let room = Arc::new(AtomicBool::new(true));
        let taken: Arc<Mutex<Vec<String>>> = Arc::default();
        let (has_room, into) = (Arc::clone(&room), Arc::clone(&taken));
        pour_into(Arc::new(move |line| {
            let fits = has_room.load(Ordering::Relaxed);
            if fits {
                into.lock().unwrap().push(line.message);
            }
            fits
        }));
        open(LogLevel::Warning, false);
        assert_eq!((least(), takes_requests()), (Some(LogLevel::Warning), false));
        put(line("one"));
        room.store(false, Ordering::Relaxed);
        put(line("two"));
        put(line("three"));
        room.store(true, Ordering::Relaxed);
        put(line("four"));
        put(line("five"));
        let taken = taken.lock().unwrap();
        assert_eq!((&taken[0][..], &taken[2][..], &taken[3][..], taken.len()), ("one", "four", "five", 4));
        assert!(taken[1].starts_with("2 log lines are left out"), "{taken:?}");
    }
}
