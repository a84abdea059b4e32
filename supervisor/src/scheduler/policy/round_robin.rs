//! `round_robin`: requests are bound to the backends in turn, in the order of the configuration. One count for all
//! models; what is loaded, busy or preferred does not matter.

use ipc_proto::ids::BackendId;

use super::push::{Crowd, PushRule};
use crate::scheduler::backend::Backend;
use crate::scheduler::model::ModelIx;

/// The rule.
#[derive(Default, Debug)]
pub(super) struct RoundRobin {
    /// Bindings so far.
    count: usize,
}

impl PushRule for RoundRobin {
    fn bind(&mut self, _crowd: &Crowd<'_, '_>, _model: ModelIx, fit: &[&Backend]) -> BackendId {
        let mut in_order: Vec<BackendId> = fit.iter().map(|backend| backend.id).collect();
        in_order.sort_unstable();
        let turn = self.count % in_order.len();
        self.count = self.count.wrapping_add(1);
        in_order[turn]
    }
}
