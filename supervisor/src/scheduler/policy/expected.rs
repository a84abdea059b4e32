//! What is expected of backends and of the queue, in seconds, by what has been learned.

use crate::clock::Time;
use crate::scheduler::backend::Backend;
use crate::scheduler::grant::Grant;
use crate::scheduler::model::ModelIx;
use crate::scheduler::residents::Hold;

use super::board::Board;

impl<'a> Board<'a> {
    /// Until everything that runs on `backend` has ended.
    pub(in crate::scheduler) fn residual_s(&self, backend: &Backend, now: Time) -> f64 {
        backend.grants.values().map(|grant| self.rest_s(backend, grant, now)).fold(0.0, f64::max)
    }

    /// Until one slot of `backend` is free.
    fn free_in_s(&self, backend: &Backend, now: Time) -> f64 {
        if backend.has_free_slot() {
            return 0.0;
        }
        let rests = backend.grants.values().map(|grant| self.rest_s(backend, grant, now));
        let first = rests.fold(f64::INFINITY, f64::min);
        if first.is_finite() { first } else { 0.0 }
    }

    fn rest_s(&self, backend: &Backend, grant: &Grant, now: Time) -> f64 {
        let service = self.service(backend, grant.resident);
        match backend.residents.get(grant.resident) {
            Some(resident) if resident.hold == Hold::Loading => {
                let load = self.load(backend, grant.resident);
                let rest = (load - grant.at.seconds_since(resident.since)).max(0.0);
                remaining_s(service + rest, now.seconds_since(grant.at))
            }
            Some(resident) => remaining_s(service, now.seconds_since(grant.at.max(resident.since))),
            None => remaining_s(service, now.seconds_since(grant.at)),
        }
    }

    /// Until a request for `model` with `ahead` others before it is sent to a backend that answers; `None` if no
    /// usable backend lists the model. An estimate: it knows what is expected to take how long, and not what will
    /// arrive in between.
    pub(in crate::scheduler) fn wait_s(&self, model: ModelIx, ahead: usize, now: Time) -> Option<f64> {
        let listed_by = self.models().listed_by(model);
        let able = || {
            let listed = listed_by.iter().filter_map(|id| self.backend(*id));
            listed.filter(|backend| backend.is_open())
        };
        let pace =
            |backend: &Backend| f64::from(backend.slots().max(1)) / self.service(backend, model).max(1e-6);
        let holders = || able().filter(|backend| self.holds(backend, model));
        let capacity: f64 = holders().map(pace).sum();
        if capacity > 0.0 {
            let first = holders().map(|backend| self.free_in_s(backend, now)).fold(f64::INFINITY, f64::min);
            return Some(first + count(ahead) / capacity);
        }
        let loaded_in = |backend: &'a Backend| {
            let own = backend.residents.iter().map(|resident| {
                count(self.queue(resident.model).len()) * self.service(backend, resident.model)
                    / f64::from(backend.slots().max(1))
            });
            let busy: f64 = own.sum::<f64>().min(self.longest_claim_s(model, now));
            self.residual_s(backend, now) + busy + self.load(backend, model) + count(ahead) / pace(backend)
        };
        able().map(loaded_in).min_by(f64::total_cmp)
    }

    /// Until `model` may claim a backend, at the latest.
    fn longest_claim_s(&self, model: ModelIx, now: Time) -> f64 {
        let Some(max_wait) = self.knobs().max_wait_ms else { return f64::INFINITY };
        let waited = self.queue(model).oldest().map_or(0.0, |oldest| now.seconds_since(oldest));
        (Time::from_millis(max_wait).seconds_since(Time(0)) - waited).max(0.0)
    }
}

/// What is left of something that was expected to take `expected` seconds and has taken `elapsed`: an overrun is
/// expected to need half as long again, so that nobody waits for ever for what must be done any moment.
pub(in crate::scheduler) fn remaining_s(expected: f64, elapsed: f64) -> f64 {
    (expected - elapsed).max((elapsed - expected) / 2.0).max(expected / 10.0)
}

/// A count as a quantity.
#[expect(clippy::cast_precision_loss, reason = "queues are shorter than 2^52")]
pub(in crate::scheduler) fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overrun_is_expected_to_need_half_as_long_again() {
        let cases = [(0.0, 10.0), (4.0, 6.0), (9.5, 1.0), (12.0, 1.0), (30.0, 10.0)];
        for (elapsed, remains) in cases {
            let remaining = remaining_s(10.0, elapsed);
            assert!((remaining - remains).abs() < 1e-9, "{elapsed}: {remaining}");
        }
    }
}
