//! What is to happen later. One timer per cause: arming it again moves it, and nothing stays armed without a cause.

use std::collections::{BTreeMap, BTreeSet};

use ipc_proto::ids::{BackendId, GrantId, RequestId};

use super::lane::LaneKey;
use crate::clock::Time;

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// The doors open even if not every backend has been looked at.
    Doors,
    /// A grant's frontend has not come, or its worker has not answered a revocation.
    Grant(BackendId, GrantId),
    /// A loan has not been used in time, or its worker has not answered its recall.
    Loan(BackendId, GrantId),
    /// A request has waited as long as it may.
    Patience(RequestId),
    /// The pause before another attempt is over.
    Pause(RequestId),
    /// A request has avoided the backend that failed it for long enough.
    Exclusion(RequestId),
    /// No backend for these requests has come back.
    Stranded(LaneKey),
    /// A backend that had too much to do may be asked again.
    Cooling(BackendId),
    /// A backend that had too much to do may get one attempt more at once.
    Widen(BackendId),
    /// A backend that is down is looked at.
    Probe(BackendId),
    /// A worker is late, or its next generation is due.
    Worker(BackendId),
    /// A frontend is late, or its next generation is due.
    Frontend(u16),
    /// The strategy wanted to be asked again.
    Strategy,
    /// The time for stopping in peace is over.
    Stop,
}

/// The armed timers, by time.
#[derive(Default, Debug)]
pub(super) struct Timers {
    by_time: BTreeSet<(Time, Timer)>,
    armed: BTreeMap<Timer, Time>,
}

impl Timers {
    /// Arms `timer` for `at`, instead of any earlier arming.
    pub(super) fn arm(&mut self, timer: Timer, at: Time) {
        if let Some(before) = self.armed.insert(timer, at) {
            self.by_time.remove(&(before, timer));
        }
        self.by_time.insert((at, timer));
    }

    /// Takes `timer` back, if it is armed.
    pub(super) fn disarm(&mut self, timer: &Timer) {
        if let Some(at) = self.armed.remove(timer) {
            self.by_time.remove(&(at, *timer));
        }
    }

    /// When `timer` is due, if it is armed.
    pub(super) fn due(&self, timer: &Timer) -> Option<Time> {
        self.armed.get(timer).copied()
    }

    /// The earliest of all.
    pub(super) fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.armed.remove(&timer);
        Some(timer)
    }

    /// Takes all of them back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_armed_twice_fires_once_at_the_later_word() {
        let mut timers = Timers::default();
        timers.arm(Timer::Stop, Time(5));
        timers.arm(Timer::Doors, Time(6));
        timers.arm(Timer::Stop, Time(9));
        assert_eq!(timers.pop_due(Time(5)), None);
        assert_eq!(timers.pop_due(Time(9)), Some(Timer::Doors));
        assert_eq!(timers.pop_due(Time(9)), Some(Timer::Stop));
        assert_eq!((timers.pop_due(Time(99)), timers.next()), (None, None));
    }

    #[test]
    fn a_disarmed_timer_is_gone() {
        let mut timers = Timers::default();
        timers.arm(Timer::Stop, Time(5));
        timers.disarm(&Timer::Stop);
        assert_eq!((timers.next(), timers.due(&Timer::Stop)), (None, None));
    }
}
