//! The actor's one timer.

use std::pin::Pin;

use tokio::time::Sleep;

use crate::clock::{Clock, Time};

/// A timer that is moved rarely: a later deadline leaves it where it is, and the early ring that follows costs less
/// than moving it with every event would.
pub(crate) struct Alarm {
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
    set: Option<Time>,
}

impl Alarm {
    /// A timer that is not set.
    pub(crate) fn new(clock: Clock) -> Self {
        let start = tokio::time::Instant::from_std(clock.instant(Time::default()));
        Self { clock, sleep: Box::pin(tokio::time::sleep_until(start)), set: None }
    }

    /// Sees to it that [`Alarm::ring`] returns at `time` at the latest. It may return earlier.
    pub(crate) fn no_later_than(&mut self, time: Option<Time>) {
        let Some(time) = time else { return };
        if self.set.is_none_or(|set| time < set) {
            self.set = Some(time);
            self.sleep.as_mut().reset(tokio::time::Instant::from_std(self.clock.instant(time)));
        }
    }

    /// Returns when the time has come, once per setting; never while it is not set. Safe to cancel.
    pub(crate) async fn ring(&mut self) {
        if self.set.is_none() {
            return std::future::pending().await;
        }
        self.sleep.as_mut().await;
        self.set = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_once_at_the_earliest_of_its_settings() {
        let mut alarm = Alarm::new(Clock::start());
        for millis in [80_000_000, 0, 50_000_000] {
            alarm.no_later_than(Some(Time::from_millis(millis)));
        }
        alarm.no_later_than(None);
        alarm.ring().await;
        tokio::select! {
            biased;
            () = alarm.ring() => panic!("it rings unset"),
            () = tokio::task::yield_now() => {}
        }
    }
}
