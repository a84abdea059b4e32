//! When to start a dead child again: at once the first time, then after pauses that double, until it has lived a
//! quiet minute.

use super::random::Random;
use crate::clock::Time;

/// The pause before the second restart in a row, in milliseconds.
const FIRST_PAUSE_MS: u64 = 250;
/// The longest pause of a worker: an operator who mends the cause need not wait long.
pub(super) const LONGEST_WORKER_PAUSE_MS: u64 = 30_000;
/// The longest pause of a frontend. Shorter, because clients have no other door: when all frontends pause, everybody
/// is turned away, also those whose backends are well.
pub(super) const LONGEST_FRONTEND_PAUSE_MS: u64 = 2000;
/// A child that lived this long was sound; its death begins a new count. In microseconds.
const QUIET_US: u64 = 60_000_000;

/// How often a child has died in a row.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Restarts {
    in_a_row: u32,
}

impl Restarts {
    /// The pause before a child that was started at `started` and died at `now` is started again, in milliseconds:
    /// `longest_ms` at most, give or take the jitter.
    pub(super) fn pause_ms(&mut self, started: Time, now: Time, longest_ms: u64, random: &mut Random) -> u64 {
        if now.since(started) >= QUIET_US {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        match self.in_a_row {
            1 => 0,
            // Past a dozen doublings the longest pause holds anyway.
            deaths => random.jitter((FIRST_PAUSE_MS << (deaths - 2).min(12)).min(longest_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_a_quiet_minute_ends_the_count() {
        let (mut restarts, mut random) = (Restarts::default(), Random::new(1));
        let mut pause = |started, died, longest| restarts.pause_ms(started, died, longest, &mut random);
        let pauses: Vec<u64> = (0..12).map(|at| pause(Time(at), Time(at), LONGEST_WORKER_PAUSE_MS)).collect();
        assert_eq!(pauses[0], 0);
        assert!((200..=300).contains(&pauses[1]), "{pauses:?}");
        assert!((400..=600).contains(&pauses[2]), "{pauses:?}");
        assert!(pauses[10..].iter().all(|pause| (24_000..=36_000).contains(pause)), "{pauses:?}");
        let frontends = pause(Time(0), Time(0), LONGEST_FRONTEND_PAUSE_MS);
        assert!((1600..=2400).contains(&frontends), "{frontends}");
        assert_eq!(pause(Time(0), Time(QUIET_US), LONGEST_WORKER_PAUSE_MS), 0);
    }
}
