//! `random`: requests are bound to a backend drawn by weight, and served there strictly by arrival, whatever is
//! loaded: what a plain load balancer in front of the backends does.

use ipc_proto::ids::BackendId;

use super::desk::{Desk, Head};
use super::push::{Crowd, PushRule};
use crate::scheduler::backend::Backend;
use crate::scheduler::model::ModelIx;
use crate::scheduler::random::Random;

/// The rule.
#[derive(Debug)]
pub(super) struct Lottery {
    random: Random,
}

impl Lottery {
    /// Draws from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed) }
    }
}

impl PushRule for Lottery {
    fn bind(&mut self, _crowd: &Crowd<'_, '_>, _model: ModelIx, fit: &[&Backend]) -> BackendId {
        // Where nobody has a weight, everybody has the same.
        let is_weightless = fit.iter().all(|backend| backend.spec.weight == 0);
        let weight = |backend: &Backend| if is_weightless { 1 } else { u64::from(backend.spec.weight) };
        let total: u64 = fit.iter().map(|backend| weight(backend)).sum();
        let mut drawn = self.random.between(0, total - 1);
        let winner = fit.iter().find(|backend| {
            let wins = drawn < weight(backend);
            drawn = drawn.saturating_sub(weight(backend));
            wins
        });
        winner.expect("the weights add up to the total").id
    }

    fn prefers_current(&self) -> bool {
        false
    }

    fn take<'d, 'b>(&self, desk: &'d Desk<'_, 'b>) -> Option<&'d Head<'b>> {
        desk.oldest().filter(|head| desk.fits(head))
    }
}
