//! The roster: which attempts are open, which grants are over, and which were revoked or recalled before anybody came.
//!
//! It promises that a revoked or recalled grant is never started, and that every end is reported once. What it remembers of
//! the past is bounded: a grant lives for seconds, and the number of grants that can end in that time is far
//! below the bound.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ipc_proto::ids::{GrantId, RequestId};
use tokio::sync::Notify;

/// How many ended and revoked grants are remembered, each.
const REMEMBERED: usize = 2048;

/// Why a running attempt must stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StopReason {
    /// Its grant was revoked.
    Revoked,
    /// The time for draining is over.
    DrainOver,
}

/// The order to stop, for one attempt.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    reason: OnceLock<StopReason>,
    notify: Notify,
}

impl Stop {
    fn order(&self, reason: StopReason) {
        // The first order stands.
        let _ = self.reason.set(reason);
        self.notify.notify_one();
    }

    /// Returns when the attempt must stop. Safe to cancel.
    pub(crate) async fn ordered(&self) -> StopReason {
        loop {
            if let Some(reason) = self.reason.get() {
                return *reason;
            }
            self.notify.notified().await;
        }
    }
}

/// Why an attempt is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Its grant was revoked or recalled, and that has been reported.
    #[error("the grant was taken back")]
    Revoked,
    /// The worker takes nothing new; nobody has reported this grant yet, and the one refused must.
    #[error("the worker takes nothing new")]
    Draining,
    /// The same attempt runs already, or its end has been reported.
    #[error("the grant has been used")]
    Used,
}

/// What a revocation met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Revoked {
    /// Nobody had come: nobody may come now.
    NeverStarted,
    /// It runs, and has been told to stop; its end will be reported.
    Stopping,
    /// It is over already, and its end has been reported.
    Over,
}

/// Everything the worker knows of grants.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    ledger: Mutex<Ledger>,
    change: Notify,
}

#[derive(Debug, Default)]
struct Ledger {
    /// By request too: whoever comes names both.
    live: BTreeMap<(GrantId, RequestId), Arc<Stop>>,
    over: Remembered,
    tombstones: Remembered,
    present: usize,
    draining: bool,
}

impl Roster {
    // A lock, because attempts are tasks of their own; held only to look something up.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters an attempt under `grant`.
    pub(crate) fn enter(&self, grant: GrantId, request: RequestId) -> Result<Presence<'_>, Refusal> {
        let mut ledger = self.ledger();
        let key = (grant, request);
        if ledger.tombstones.contains(grant) {
            return Err(Refusal::Revoked);
        }
        if ledger.live.contains_key(&key) || (ledger.draining && ledger.over.contains(grant)) {
            return Err(Refusal::Used);
        }
        if ledger.draining {
            // The caller reports its end.
            ledger.over.add(grant);
            return Err(Refusal::Draining);
        }
        let stop = Arc::new(Stop::default());
        ledger.live.insert(key, Arc::clone(&stop));
        ledger.present += 1;
        drop(ledger);
        Ok(Presence { roster: self, key, stop, over: false })
    }

    /// Sees to it that nothing runs under `grant`, now or later.
    pub(crate) fn revoke(&self, grant: GrantId) -> Revoked {
        let mut ledger = self.ledger();
        let mut running = false;
        for (_, stop) in ledger.live.range((grant, RequestId(0))..=(grant, RequestId(u128::MAX))) {
            stop.order(StopReason::Revoked);
            running = true;
        }
        ledger.tombstones.add(grant);
        if running {
            Revoked::Stopping
        } else if ledger.over.contains(grant) {
            Revoked::Over
        } else {
            Revoked::NeverStarted
        }
    }

    /// Takes a loan back that nobody has come with: nobody may come with it now. Says whether that is so; one that
    /// runs or is over is left alone.
    pub(crate) fn recall(&self, grant: GrantId) -> bool {
        let mut ledger = self.ledger();
        let runs = ledger.live.range((grant, RequestId(0))..=(grant, RequestId(u128::MAX))).next().is_some();
        let is_known = runs || ledger.over.contains(grant) || ledger.tombstones.contains(grant);
        if !is_known {
            ledger.tombstones.add(grant);
        }
        !is_known
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.ledger().draining = true;
        self.change.notify_one();
    }

    /// Tells everything that runs to stop.
    pub(crate) fn stop_all(&self) {
        for stop in self.ledger().live.values() {
            stop.order(StopReason::DrainOver);
        }
    }

    /// Returns when nobody is let in any more and nobody is there. Safe to cancel.
    pub(crate) async fn drained(&self) {
        loop {
            {
                let ledger = self.ledger();
                if ledger.draining && ledger.present == 0 {
                    return;
                }
            }
            self.change.notified().await;
        }
    }

    /// The attempts that run.
    #[cfg(test)]
    fn running(&self) -> usize {
        self.ledger().live.len()
    }
}

/// An attempt's place in the roster. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Presence<'roster> {
    roster: &'roster Roster,
    key: (GrantId, RequestId),
    stop: Arc<Stop>,
    over: bool,
}

impl Presence<'_> {
    /// The order to stop, should it come.
    pub(crate) fn stop(&self) -> Arc<Stop> {
        Arc::clone(&self.stop)
    }

    /// The attempt is over as far as the backend goes; what is left is to hand over the rest of the answer.
    pub(crate) fn over(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            let mut ledger = self.roster.ledger();
            ledger.live.remove(&self.key);
            ledger.over.add(self.key.0);
        }
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.over();
        let mut ledger = self.roster.ledger();
        ledger.present -= 1;
        if ledger.draining && ledger.present == 0 {
            self.roster.change.notify_one();
        }
    }
}

/// The last few grants of one fate.
#[derive(Debug, Default)]
struct Remembered {
    order: VecDeque<GrantId>,
    counts: BTreeMap<GrantId, u32>,
}

impl Remembered {
    fn add(&mut self, grant: GrantId) {
        self.order.push_back(grant);
        *self.counts.entry(grant).or_default() += 1;
        if self.order.len() <= REMEMBERED {
            return;
        }
        let Some(oldest) = self.order.pop_front() else { return };
        if let Some(count) = self.counts.get_mut(&oldest) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&oldest);
            }
        }
    }

    fn contains(&self, grant: GrantId) -> bool {
        self.counts.contains_key(&grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: GrantId = GrantId(7);

    #[test]
    fn a_revoked_grant_is_never_started() {
        let roster = Roster::default();
        assert_eq!(roster.revoke(GRANT), Revoked::NeverStarted);
        assert!(roster.enter(GRANT, RequestId(1)).is_err());
        assert!(roster.enter(GrantId(8), RequestId(1)).is_ok());
    }

    #[tokio::test]
    async fn revoking_stops_what_runs_and_leaves_alone_what_is_over() {
        let roster = Roster::default();
        let mut first = roster.enter(GRANT, RequestId(1)).unwrap();
        let second = roster.enter(GRANT, RequestId(2)).unwrap();
        first.over();
        assert_eq!(roster.revoke(GRANT), Revoked::Stopping);
        assert_eq!(second.stop().ordered().await, StopReason::Revoked);
        drop(second);
        assert_eq!(roster.running(), 0);
        assert_eq!(roster.revoke(GRANT), Revoked::Over);
    }

    #[test]
    fn a_recalled_loan_is_never_started() {
        let roster = Roster::default();
        assert!(roster.recall(GRANT));
        assert_eq!(roster.enter(GRANT, RequestId(1)).err(), Some(Refusal::Revoked));
        assert!(!roster.recall(GRANT), "that has been reported");
    }

    #[tokio::test]
    async fn a_recall_leaves_alone_what_runs_and_what_is_over() {
        let roster = Roster::default();
        let mut present = roster.enter(GRANT, RequestId(1)).unwrap();
        assert!(!roster.recall(GRANT));
        let stopped = tokio::time::timeout(std::time::Duration::ZERO, present.stop().ordered()).await;
        assert!(stopped.is_err(), "it goes on");
        present.over();
        assert!(!roster.recall(GRANT));
        assert_eq!(roster.revoke(GRANT), Revoked::Over);
    }

    #[test]
    fn a_loan_refused_while_draining_is_reported_once() {
        let roster = Roster::default();
        roster.close();
        assert!(roster.recall(GrantId(8)), "nobody came with this one");
        assert_eq!(roster.enter(GRANT, RequestId(1)).err(), Some(Refusal::Draining));
        assert!(!roster.recall(GRANT), "whoever was refused has reported it");
    }

    #[tokio::test]
    async fn drained_means_that_the_last_one_has_left() {
        let roster = Roster::default();
        let mut present = roster.enter(GRANT, RequestId(1)).unwrap();
        roster.close();
        present.over();
        let waiting = tokio::time::timeout(std::time::Duration::ZERO, roster.drained()).await;
        assert!(waiting.is_err());
        drop(present);
        roster.drained().await;
        assert_eq!(roster.enter(GrantId(9), RequestId(1)).err(), Some(Refusal::Draining));
        assert_eq!(roster.revoke(GrantId(9)), Revoked::Over);
    }

    #[test]
    fn the_past_is_forgotten_in_order() {
        let mut past = Remembered::default();
        for grant in 0..=REMEMBERED as u64 {
            past.add(GrantId(grant));
        }
        assert!(!past.contains(GrantId(0)));
        assert!(past.contains(GrantId(1)));
    }
}
