//! Which model each backend is at: the one it was asked for last, as long as it is there.

use std::collections::BTreeMap;

use ipc_proto::ids::BackendId;

use super::News;
use crate::scheduler::backend::Backend;
use crate::scheduler::model::ModelIx;
use crate::scheduler::residents::Resident;

/// The models asked for last, by backend.
#[derive(Default, Debug)]
pub(super) struct Currents {
    last: BTreeMap<BackendId, ModelIx>,
}

impl Currents {
    /// Takes in what has happened.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Dispatched { backend, resident, .. } => {
                self.last.insert(backend, resident);
            }
            News::Forgotten { backend } => {
                self.last.remove(&backend);
            }
            _ => {}
        }
    }

    /// The model `backend` is at. One that an attempt asked for in vain is not: there the residents tell. A backend
    /// that need not load has no residents, and is at the model it was asked for last.
    pub(super) fn of(&self, backend: &Backend) -> Option<ModelIx> {
        let last = self.last.get(&backend.id).copied();
        if !backend.swaps() {
            return last;
        }
        let held = last.filter(|model| backend.residents.get(*model).is_some_and(Resident::is_held));
        held.or_else(|| backend.residents.latest().map(|resident| resident.model))
    }
}
