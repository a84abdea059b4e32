//! The loans: slots lent to this frontend ahead of requests, until a request uses one or their time is over.
//!
//! It promises that a loan is used at most once, for a request of its kind, and not after its time. It never asks for
//! one: they come by themselves after requests that left nothing to decide.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dialect::Task;
use dialect::load::LoadEdit;
use ipc_proto::control::{Grant, StandingGrant};
use ipc_proto::ids::{GrantId, KeyId, ModelName, RequestId};

/// The most loans kept. The supervisor lends fewer; beyond this something is wrong with one of us.
const MOST_KEPT: usize = 64;

/// The unused loans of a frontend.
#[derive(Default)]
pub(crate) struct Loans {
    // A lock, because connections and the link's reader are different tasks; never held across an await.
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    /// Oldest first.
    kept: VecDeque<Kept>,
    is_closed: bool,
}

struct Kept {
    loan: Box<StandingGrant>,
    end: Instant,
}

/// What is on the shelf for a request.
#[derive(Default)]
pub(crate) struct Found {
    /// The loan it may use.
    pub(crate) loan: Option<Box<StandingGrant>>,
    /// Loans whose time is over: they are to be given back.
    pub(crate) too_old: Vec<GrantId>,
}

impl Loans {
    /// Keeps a loan that came at `now`. Says whether it does: one that is not kept is to be given back.
    pub(crate) fn keep(&self, loan: Box<StandingGrant>, now: Instant) -> bool {
        let mut stock = self.locked();
        let Some(end) = now.checked_add(Duration::from_millis(loan.ttl_ms)) else { return false };
        if stock.is_closed || stock.kept.len() >= MOST_KEPT {
            return false;
        }
        stock.kept.push_back(Kept { loan, end });
        true
    }

    /// Takes out a loan for a request of this kind at `now`, the oldest first, and whatever is too old.
    pub(crate) fn find(&self, model: &ModelName, task: Task, key: KeyId, now: Instant) -> Found {
        let mut stock = self.locked();
        let mut found = Found::default();
        stock.kept.retain(|kept| {
            let is_good = now < kept.end;
            if !is_good {
                found.too_old.push(kept.loan.grant);
            }
            is_good
        });
        let fits = |kept: &Kept| {
            let loan = &kept.loan;
            loan.task == task && loan.key == key && loan.model == *model
        };
        if let Some(place) = stock.kept.iter().position(fits) {
            found.loan = stock.kept.remove(place).map(|kept| kept.loan);
        }
        found
    }

    /// Forgets a loan that is being taken back.
    pub(crate) fn forget(&self, grant: GrantId) {
        self.locked().kept.retain(|kept| kept.loan.grant != grant);
    }

    /// Forgets all of them, and keeps none from here on. The supervisor takes back what a draining frontend has.
    pub(crate) fn close(&self) {
        let mut stock = self.locked();
        stock.is_closed = true;
        stock.kept.clear();
    }

    fn locked(&self) -> MutexGuard<'_, Shelf> {
        // Nothing that can panic half-way runs under this lock.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The grant that `loan` is for `request`.
pub(crate) fn as_grant(loan: StandingGrant, request: RequestId) -> Grant {
    Grant {
        grant: loan.grant,
        request,
        worker: loan.worker,
        model: loan.upstream_model,
        // Requests with options of that kind go under no loan.
        load: LoadEdit::Keep,
        ttl_ms: loan.come_within_ms,
        attempt: 1,
    }
}

#[cfg(test)]
mod tests {
    use ipc_proto::ids::{BackendId, WorkerId};

    use super::*;
    use crate::clock;

    fn loan(grant: u64, model: &str) -> StandingGrant {
        StandingGrant {
            grant: GrantId(grant),
            worker: WorkerId { backend: BackendId(0), generation: 1 },
            model: ModelName::new(model),
            upstream_model: None,
            task: Task::Chat,
            key: KeyId(1),
            ttl_ms: 100,
            come_within_ms: 5000,
        }
    }

    fn found(loans: &Loans, model: &str, task: Task, key: u32, now: Instant) -> (Option<u64>, Vec<u64>) {
        let found = loans.find(&ModelName::new(model), task, KeyId(key), now);
        (found.loan.map(|loan| loan.grant.0), found.too_old.iter().map(|grant| grant.0).collect())
    }

    #[test]
    fn a_loan_is_used_once_by_a_request_of_its_kind() {
        let (loans, now) = (Loans::default(), clock::now());
        for (grant, model) in [(1, "m"), (2, "n"), (3, "m")] {
            assert!(loans.keep(Box::new(loan(grant, model)), now));
        }
        assert_eq!(found(&loans, "m", Task::Embedding, 1, now).0, None);
        assert_eq!(found(&loans, "m", Task::Chat, 2, now).0, None);
        assert_eq!(found(&loans, "o", Task::Chat, 1, now).0, None);
        let all = [1, 2, 3].map(|_| found(&loans, "m", Task::Chat, 1, now).0);
        assert_eq!(all, [Some(1), Some(3), None]);
    }

    #[test]
    fn a_loan_is_not_used_after_its_time() {
        let (loans, now) = (Loans::default(), clock::now());
        loans.keep(Box::new(loan(1, "m")), now);
        loans.keep(Box::new(loan(2, "m")), now + Duration::from_millis(50));
        let later = now + Duration::from_millis(100);
        assert_eq!(found(&loans, "m", Task::Chat, 1, later), (Some(2), vec![1]));
    }

    #[test]
    fn what_is_taken_back_is_forgotten_and_a_closed_shelf_keeps_nothing() {
        let (loans, now) = (Loans::default(), clock::now());
        loans.keep(Box::new(loan(1, "m")), now);
        loans.keep(Box::new(loan(2, "m")), now);
        loans.forget(GrantId(1));
        loans.close();
        assert!(!loans.keep(Box::new(loan(3, "m")), now));
        assert_eq!(found(&loans, "m", Task::Chat, 1, now), (None, vec![]));
    }
}
