//! `model_affinity_least_busy`: a request is bound to the least busy of the backends that are at its model, however
//! much waits there; if none is, to the least busy of all.

use ipc_proto::ids::BackendId;

use super::least_busy::least_busy;
use super::push::{Crowd, PushRule};
use crate::scheduler::backend::Backend;
use crate::scheduler::model::ModelIx;

/// The rule; it remembers nothing.
#[derive(Debug)]
pub(super) struct Affinity;

impl PushRule for Affinity {
    fn bind(&mut self, crowd: &Crowd<'_, '_>, model: ModelIx, fit: &[&Backend]) -> BackendId {
        warmest(crowd, model, fit)
    }

    fn would_bind(&self, crowd: &Crowd<'_, '_>, model: ModelIx, fit: &[&Backend]) -> Option<BackendId> {
        Some(warmest(crowd, model, fit))
    }
}

fn warmest(crowd: &Crowd<'_, '_>, model: ModelIx, fit: &[&Backend]) -> BackendId {
    let warm: Vec<&Backend> = fit.iter().copied().filter(|backend| crowd.is_at(backend, model)).collect();
    least_busy(crowd, if warm.is_empty() { fit } else { &warm })
}
