//! How long an attempt goes on waiting for its backend: one timer, moved only when it has fired too early.

use std::pin::Pin;
use std::time::Duration;

use ipc_proto::failure::Wait;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;

/// The wait in progress, if it has a limit, and the limit over everything.
pub(crate) struct Patience {
    current: Option<(Wait, Instant)>,
    total: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// `milliseconds` after `start`; `None` where 0 stands for ever.
fn after(start: Instant, milliseconds: u64) -> Option<Instant> {
    (milliseconds > 0).then(|| start.checked_add(Duration::from_millis(milliseconds))).flatten()
}

impl Patience {
    /// Waits without a limit, except for `total_ms` from `start` on (0: none).
    pub(crate) fn new(start: Instant, total_ms: u64) -> Self {
        Self { current: None, total: after(start, total_ms), sleep: None }
    }

    /// From now on waits for `wait`, at most `milliseconds` after `start` (0: for ever).
    pub(crate) fn expect(&mut self, wait: Wait, start: Instant, milliseconds: u64) {
        self.current = after(start, milliseconds).map(|due| (wait, due));
    }

    fn due(&self) -> Option<(Wait, Instant)> {
        match (self.current, self.total) {
            (Some((_, due)), Some(total)) if total < due => Some((Wait::Total, total)),
            (Some(current), _) => Some(current),
            (None, total) => total.map(|total| (Wait::Total, total)),
        }
    }

    /// Returns the wait whose limit has passed; never, if there is no limit. Safe to cancel.
    pub(crate) async fn ran_out(&mut self) -> Wait {
        let Some((wait, due)) = self.due() else { return std::future::pending().await };
        loop {
            match &mut self.sleep {
                // A timer that is set too early is left alone until it fires: data comes more often than silence.
                Some(sleep) if sleep.deadline() <= due && !sleep.is_elapsed() => {}
                Some(sleep) => sleep.as_mut().reset(due),
                None => self.sleep = Some(Box::pin(sleep_until(due))),
            }
            if let Some(sleep) = &mut self.sleep {
                sleep.as_mut().await;
            }
            if clock::now() >= due {
                return wait;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_nearer_limit_runs_out_and_a_moved_one_moves() {
        let start = clock::now();
        let mut patience = Patience::new(start, 10_000);
        patience.expect(Wait::Idle, start, 1_000);
        let early = tokio::time::timeout(Duration::from_millis(900), patience.ran_out()).await;
        assert!(early.is_err());
        patience.expect(Wait::Idle, clock::now(), 1_000);
        assert_eq!(patience.ran_out().await, Wait::Idle);
        assert_eq!(clock::now().duration_since(start), Duration::from_millis(1_900));
        patience.expect(Wait::Idle, clock::now(), 0);
        assert_eq!(patience.ran_out().await, Wait::Total);
        assert_eq!(clock::now().duration_since(start), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_runs_out_where_nothing_is_limited() {
        let mut patience = Patience::new(clock::now(), 0);
        patience.expect(Wait::Idle, clock::now(), 0);
        assert!(tokio::time::timeout(Duration::from_hours(1000), patience.ran_out()).await.is_err());
    }
}
