//! How many may wait: of all, for one model, of one client. One more is sent away, and told how long it would have
//! waited.

use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::RequestId;

use super::admission::SHORTEST_RETRY_AFTER_MS;
use super::laws::Laws;
use super::{Scheduler, Turn};

/// The longest time clients are told to stay away, in milliseconds.
const LONGEST_GUESS_MS: u64 = 60_000;

impl<L: Laws> Scheduler<L> {
    /// Refuses the newcomer if more wait than may: of all, for its model, or of its client.
    pub(super) fn bound_queue(&mut self, turn: &mut Turn<'_>, id: RequestId) {
        let Some(request) = self.requests.get(&id).filter(|request| request.waiting_since().is_some()) else {
            return;
        };
        let limits = self.catalog.queue;
        let kin = self.models.kin(request.lane.model).iter();
        let for_model: usize = kin.map(|model| self.queue.of(*model).len()).sum();
        let of_client = self.queue.of_client(request.admission.key);
        let is_over = |number: u64, limit: Option<u64>| limit.is_some_and(|limit| number > limit);
        let detail = if self.waiting > limits.max_waiting {
            format!("{} requests wait already", self.waiting - 1)
        } else if is_over(for_model as u64, limits.max_waiting_per_model) {
            format!("{} requests for {} wait already", for_model - 1, request.name)
        } else if is_over(of_client as u64, limits.max_waiting_per_client) {
            format!("{} requests of this client wait already", of_client - 1)
        } else {
            return;
        };
        self.counters.queue_full += 1;
        let retry_after = self.guess_wait_ms();
        let failure = Failure::new(FailureKind::QueueFull, detail).with_retry_after_ms(Some(retry_after));
        self.refuse(turn, id, failure);
    }

    /// How long the queue will take to pass, by what attempts have taken so far, in milliseconds.
    pub(super) fn guess_wait_ms(&self) -> u64 {
        let slots: u64 = self
            .backends
            .values()
            .filter(|backend| backend.is_open())
            .map(|backend| u64::from(backend.slots()))
            .sum();
        let mean_ms = self.mean_attempt_us.unwrap_or(0) / 1000;
        let guess = mean_ms.saturating_mul(self.waiting) / slots.max(1);
        guess.clamp(SHORTEST_RETRY_AFTER_MS, LONGEST_GUESS_MS)
    }
}
