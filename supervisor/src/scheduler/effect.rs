//! What comes out of the scheduler.

use ipc_proto::control::{Directory, ToFrontend, ToWorker};
use ipc_proto::ids::{FrontendId, RequestId, WorkerId};
use ipc_proto::operator::{Refusal, RequestRecord};

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
    /// A request has ended; its last record.
    Ended(Box<RequestRecord>),
    /// The answer to an order.
    Reply {
        /// The order's ticket.
        ticket: u64,
        /// What came of it, one sentence; or why not.
        reply: Result<String, Refusal>,
    },
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
