//! `least_busy`: a request is bound to the backend with the least running and waiting, the best of them by priority.

use ipc_proto::ids::BackendId;

use super::push::{Crowd, PushRule};
use crate::scheduler::backend::Backend;
use crate::scheduler::model::ModelIx;

/// The rule; it remembers nothing.
#[derive(Debug)]
pub(super) struct LeastBusy;

impl PushRule for LeastBusy {
    fn bind(&mut self, crowd: &Crowd<'_, '_>, _model: ModelIx, fit: &[&Backend]) -> BackendId {
        least_busy(crowd, fit)
    }

    fn would_bind(&self, crowd: &Crowd<'_, '_>, _model: ModelIx, fit: &[&Backend]) -> Option<BackendId> {
        Some(least_busy(crowd, fit))
    }
}

/// The least busy of `fit`, which is not empty; of equally busy ones the first.
pub(super) fn least_busy(crowd: &Crowd<'_, '_>, fit: &[&Backend]) -> BackendId {
    let least = fit.iter().min_by_key(|backend| crowd.load(backend));
    least.expect("there is a choice").id
}
