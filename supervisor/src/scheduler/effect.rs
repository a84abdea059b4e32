//! What comes out of the scheduler.

use ipc_proto::control::{Directory, ToFrontend, ToWorker};
use ipc_proto::ids::{FrontendId, RequestId, WorkerId};
use ipc_proto::operator::{Decision, Refusal, RequestRecord};

use super::learner::Observation;

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Tell a frontend.
    ToFrontend(FrontendId, ToFrontend),
    /// Tell a worker.
    ToWorker(WorkerId, ToWorker),
    /// Tell every frontend which models there are, now and, until the next such effect, whoever comes up.
    Publish(Box<Directory>),
    /// Start a frontend's process.
    StartFrontend(FrontendId),
    /// Start a worker's process.
    StartWorker(WorkerId),
    /// End a frontend's process at once.
    KillFrontend(FrontendId),
    /// End a worker's process at once.
    KillWorker(WorkerId),
    /// A live request's record has changed: [`Scheduler::record`](super::Scheduler::record) tells how.
    Changed(RequestId),
    /// Why a request that ends now was sent where it was; comes right before its end.
    Decided {
        /// The request.
        request: RequestId,
        /// Attempt by attempt.
        decisions: Vec<Decision>,
    },
    /// A request has ended; its last record.
    Ended(Box<RequestRecord>),
    /// The answer to an order.
    Reply {
        /// The order's ticket.
        ticket: u64,
        /// What came of it, one sentence; or why not.
        reply: Result<String, Refusal>,
    },
    /// A completed attempt has taught something: to be kept, in this order, for the next start.
    Learned(Observation<String>),
    /// Something worth a line in the log.
    Note(Note),
    /// Nothing is left to do: the instance may end.
    Stopped,
}

/// Something worth a line in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A backend became usable.
    BackendUp {
        /// Its name.
        backend: String,
        /// How many models it offers.
        models: usize,
    },
    /// A backend became unusable.
    BackendDown {
        /// Its name.
        backend: String,
        /// Why.
        reason: String,
    },
    /// Something odd about a backend that stays usable.
    BackendOdd {
        /// Its name.
        backend: String,
        /// What.
        what: String,
    },
    /// A child died and will be started again.
    ChildLost {
        /// Which: `worker lmstudio`, `frontend 0`.
        child: String,
        /// The pause before the new one, in milliseconds.
        restart_in_ms: u64,
    },
    /// The instance entered a phase.
    Phase(&'static str),
    /// A request's load options were fitted to the model in memory, which would otherwise have been loaded anew.
    AvoidedReload {
        /// The backend's name.
        backend: String,
        /// The model.
        model: String,
    },
    /// It turned out that a change of model costs a backend something after all, or nothing.
    Mode {
        /// The backend's name.
        backend: String,
        /// Whether it swaps.
        swaps: bool,
    },
    /// An attempt was sent that makes a backend load a model.
    Load {
        /// The backend's name.
        backend: String,
        /// The model.
        model: String,
        /// The model that makes room; empty if none does.
        evicts: String,
        /// Why: the words of [`Decision::reason`](ipc_proto::operator::Decision::reason).
        reason: &'static str,
    },
}
