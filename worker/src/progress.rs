//! How far an answer has come, and when that is worth a word to the supervisor.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// Shorter answers are over before anybody could look at them.
const WORTH_A_WORD: Duration = Duration::from_secs(1);
/// Between two words: screens are redrawn no faster.
const BETWEEN: Duration = Duration::from_millis(250);

/// The progress of one answer.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    has_begun: bool,
    pieces: u64,
    next_word: Instant,
}

impl Progress {
    /// Nothing has come yet of what was asked at `start`.
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, has_begun: false, pieces: 0, next_word: start + WORTH_A_WORD }
    }

    /// The answer begins; returns after how many microseconds.
    pub(crate) fn begin(&mut self) -> u64 {
        self.has_begun = true;
        clock::micros_since(self.start)
    }

    /// Whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// A piece has come; returns how many have, when that is worth a word.
    pub(crate) fn step(&mut self) -> Option<u64> {
        self.pieces += 1;
        let now = clock::now();
        (self.has_begun && now >= self.next_word).then(|| {
            self.next_word = now + BETWEEN;
            self.pieces
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_is_heard_of_four_times_a_second() {
        let mut progress = Progress::new(clock::now());
        assert_eq!(progress.step(), None);
        progress.begin();
        assert_eq!(progress.step(), None);
        let mut words = 0;
        for _ in 0..300 {
            tokio::time::advance(Duration::from_millis(10)).await;
            words += u64::from(progress.step().is_some());
        }
        assert_eq!(words, 9);
    }
}
