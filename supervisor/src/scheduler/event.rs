//! What goes into the scheduler.

use std::net::SocketAddr;
use std::sync::Arc;

use ipc_proto::control::{Admission, Finished, Outcome, ProbeReport};
use ipc_proto::failure::Failure;
use ipc_proto::ids::{FrontendId, GrantId, RequestId, WorkerId};
use serde::{Deserialize, Serialize};

use super::catalog::Catalog;

/// What has happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// A frontend's link is open.
    FrontendUp {
        /// Which.
        frontend: FrontendId,
        /// Its process.
        pid: u32,
    },
    /// A frontend accepts clients.
    FrontendListening {
        /// Which.
        frontend: FrontendId,
        /// Where.
        address: SocketAddr,
    },
    /// A frontend's link or process has ended: nothing it held exists any more.
    FrontendGone {
        /// Which.
        frontend: FrontendId,
    },
    /// A request wants an attempt.
    Admit {
        /// Who holds it.
        frontend: FrontendId,
        /// Its facts.
        admission: Box<Admission>,
    },
    /// An attempt failed before anything went to the client.
    AttemptFailed {
        /// Who says so.
        frontend: FrontendId,
        /// The request.
        request: RequestId,
        /// The grant that was used.
        grant: GrantId,
        /// What happened.
        failure: Failure,
    },
    /// The client has been answered.
    Closed {
        /// Who says so.
        frontend: FrontendId,
        /// The request.
        request: RequestId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The client left before the answer began.
    Withdraw {
        /// Who says so.
        frontend: FrontendId,
        /// The request.
        request: RequestId,
    },
    /// A standing grant came back.
    Returned {
        /// Who gives it back.
        frontend: FrontendId,
        /// The grant.
        grant: GrantId,
    },
    /// A draining frontend holds nothing any more.
    FrontendDrained {
        /// Which.
        frontend: FrontendId,
    },
    /// A worker's link is open.
    WorkerUp {
        /// Which.
        worker: WorkerId,
        /// Its process.
        pid: u32,
    },
    /// A worker takes attempts.
    WorkerReady {
        /// Which.
        worker: WorkerId,
    },
    /// A frontend came to its worker.
    Started {
        /// The worker.
        worker: WorkerId,
        /// With this grant.
        grant: GrantId,
    },
    /// The backend's answer has begun.
    Begun {
        /// The worker.
        worker: WorkerId,
        /// The grant.
        grant: GrantId,
        /// From the call to the first piece of the answer, in microseconds.
        first_byte_us: u64,
    },
    /// An attempt is over.
    Finished {
        /// The worker.
        worker: WorkerId,
        /// What came of it.
        finished: Box<Finished>,
    },
    /// A probe has a result.
    Probed {
        /// The worker.
        worker: WorkerId,
        /// What it found.
        report: Box<ProbeReport>,
    },
    /// A draining worker runs nothing any more.
    WorkerDrained {
        /// Which.
        worker: WorkerId,
    },
    /// A worker's link or process has ended; reported once.
    WorkerGone {
        /// Which.
        worker: WorkerId,
    },
    /// An operator orders something; answered by [`Effect::Reply`](super::Effect::Reply) with the same ticket.
    Ordered {
        /// Chosen by the actor.
        ticket: u64,
        /// What.
        order: Order,
    },
    /// A new catalog is in force.
    Reconfigured(Arc<Catalog>),
    /// The instance is to end: by a signal.
    Stop,
    /// Time has passed.
    Tick,
}

/// What an operator may order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Grant nothing more on this backend.
    Drain {
        /// Its name.
        backend: String,
    },
    /// Use it again.
    Undrain {
        /// Its name.
        backend: String,
    },
    /// End a request.
    Cancel {
        /// Its id, or the beginning of it.
        request: String,
    },
    /// Replace a backend's worker.
    Restart {
        /// Its name.
        backend: String,
    },
    /// Grant nothing new on any backend.
    Pause,
    /// Grant again.
    Resume,
    /// End the instance.
    Stop,
}
