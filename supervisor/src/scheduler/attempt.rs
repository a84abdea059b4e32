//! What follows a failed attempt: another one, at the request's old place and after a pause, or the last word.

use ipc_proto::failure::{Failure, FailureKind, Origin, Retry};
use ipc_proto::ids::{BackendId, FrontendId, GrantId, RequestId};

use super::admission::is_candidate;
use super::backend::WORTH_WAITING_MS;
use super::catalog::RetryPolicy;
use super::laws::Laws;
use super::request::Stage;
use super::{Scheduler, Turn};

/// How often an offer may come to nothing before the request is given up: attempts that never reached a worker are
/// not counted as attempts, and something must end them.
const MOST_LAPSES: u32 = 10;
/// The pause after a second lapse, in milliseconds: a worker that has just died needs a moment to be missed.
const LAPSE_PAUSE_MS: u64 = 100;

impl<L: Laws> Scheduler<L> {
    /// An attempt failed with nothing sent to the client.
    pub(super) fn attempt_failed(
        &mut self,
        turn: &mut Turn<'_>,
        frontend: FrontendId,
        id: RequestId,
        grant: GrantId,
        failure: Failure,
    ) {
        let Some(request) = self.held_by(frontend, id) else { return };
        let Stage::Granted { grant: latest, backend, has_arrived } = request.stage else { return };
        if latest != grant {
            return;
        }
        let has_lapsed = match failure.kind {
            FailureKind::GrantLapsed => true,
            FailureKind::WorkerLost => !has_arrived,
            _ => false,
        };
        if failure.kind == FailureKind::WorkerLost {
            // Its end may not have reached us yet: others first, if there are any.
            request.avoided = Some(backend);
        }
        if has_lapsed {
            request.lapses += 1;
            request.attempts -= 1;
            if request.attempts > 0 {
                self.counters.retries -= 1;
            }
        } else {
            request.last_failed = Some(backend);
            request.avoided = Some(backend);
            request.attempt.upstream_status = failure.upstream_status.or(request.attempt.upstream_status);
            self.blame_grant(turn, backend, grant, &failure);
        }
        self.revoke(turn, backend, grant);
        self.try_again(turn, id, backend, failure);
    }

    /// Queues a request whose attempt on `backend` failed once more, or refuses it.
    fn try_again(&mut self, turn: &mut Turn<'_>, id: RequestId, backend: BackendId, failure: Failure) {
        let policy = self.catalog.retry;
        let Some(request) = self.requests.get(&id) else { return };
        let may_help = failure.kind.retry() == Retry::Elsewhere;
        let has_attempts = request.attempts < policy.max_attempts && request.lapses < MOST_LAPSES;
        if !may_help || !has_attempts || self.is_stopping() {
            self.refuse(turn, id, failure);
            return;
        }
        let limit =
            [self.catalog.queue.timeout_ms, request.admission.deadline_ms].into_iter().flatten().min();
        let has_time = limit.is_none_or(|limit| request.waited_us / 1000 < limit);
        let Some(pause_ms) = self.pause_ms(id, backend, &failure).filter(|_| has_time) else {
            self.refuse(turn, id, failure);
            return;
        };
        if let Some(request) = self.requests.get_mut(&id) {
            request.failure = Some(failure);
            if !L::RETRIES_KEEP_THEIR_PLACE {
                self.last_order += 1;
                (request.arrived, request.order) = (turn.now, self.last_order);
            }
        }
        self.enter_queue(turn, id, pause_ms);
    }

    /// The pause before the next attempt, in milliseconds; `None` if it would be longer than anybody should wait.
    fn pause_ms(&mut self, id: RequestId, failed: BackendId, failure: &Failure) -> Option<u64> {
        let request = self.requests.get(&id)?;
        if failure.kind.origin() != Origin::Upstream {
            return Some(if request.lapses > 1 { LAPSE_PAUSE_MS } else { 0 });
        }
        let backoff = backoff_ms(self.catalog.retry, request.attempts + 1);
        let has_other = self.ranking.iter().filter(|other| **other != failed).any(|other| {
            let other = self.backends.get(other).filter(|other| other.is_open());
            other.is_some_and(|other| is_candidate(other, &request.lane, &request.name))
        });
        // What the backend asked for binds only a request that has nowhere else to go.
        let asked_for = if has_other { 0 } else { failure.retry_after_ms.unwrap_or(0) };
        (asked_for <= WORTH_WAITING_MS).then(|| self.random.jitter(backoff).max(asked_for))
    }
}

/// The pause before attempt number `attempt`, in milliseconds: none before the first, then doubling up to the limit.
fn backoff_ms(policy: RetryPolicy, attempt: u32) -> u64 {
    match attempt {
        0 | 1 => 0,
        // More doublings than bits would wrap; the limit holds long before.
        later => {
            policy.initial_backoff_ms.saturating_mul(1 << (later - 2).min(40)).min(policy.max_backoff_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ret_04_pauses_double_up_to_the_limit() {
        let policy = RetryPolicy { max_attempts: 9, initial_backoff_ms: 500, max_backoff_ms: 4000 };
        let pauses: Vec<u64> = (1..=6).map(|attempt| backoff_ms(policy, attempt)).collect();
        assert_eq!(pauses, [0, 500, 1000, 2000, 4000, 4000]);
        assert_eq!(backoff_ms(RetryPolicy { initial_backoff_ms: 0, ..policy }, 5), 0);
    }
}
