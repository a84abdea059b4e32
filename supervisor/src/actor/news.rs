//! What children's messages mean to the scheduler.

use ipc_proto::control::{FromFrontend, FromWorker};
use ipc_proto::ids::{FrontendId, WorkerId};

use crate::scheduler::Event;

/// What a frontend's message means to the scheduler.
pub(super) fn frontend_event(frontend: FrontendId, message: FromFrontend) -> Option<Event> {
    Some(match message {
        // It introduced itself already; that it lives has been noticed; and its log is for operators.
        FromFrontend::Hello(_) | FromFrontend::Pong | FromFrontend::Log(_) => return None,
        FromFrontend::Listening(address) => Event::FrontendListening { frontend, address },
        FromFrontend::Admit(admission) => Event::Admit { frontend, admission },
        FromFrontend::AttemptFailed { request, grant, failure } => {
            Event::AttemptFailed { frontend, request, grant, failure }
        }
        FromFrontend::Closed { request, outcome } => Event::Closed { frontend, request, outcome },
        FromFrontend::Withdraw { request } => Event::Withdraw { frontend, request },
        FromFrontend::Returned { grant } => Event::Returned { frontend, grant },
        FromFrontend::Drained => Event::FrontendDrained { frontend },
    })
}

/// What a worker's message means to the scheduler.
pub(super) fn worker_event(worker: WorkerId, message: FromWorker) -> Option<Event> {
    Some(match message {
        // It introduced itself already; and progress is for screens that show tokens as they come: nobody asks yet.
        FromWorker::Hello(_) | FromWorker::Progress { .. } | FromWorker::Pong | FromWorker::Log(_) => {
            return None;
        }
        FromWorker::Ready => Event::WorkerReady { worker },
        FromWorker::Started { grant } => Event::Started { worker, grant },
        FromWorker::Begun { grant, first_byte_us } => Event::Begun { worker, grant, first_byte_us },
        FromWorker::Finished(finished) => Event::Finished { worker, finished },
        FromWorker::Probed(report) => Event::Probed { worker, report },
        FromWorker::Drained => Event::WorkerDrained { worker },
    })
}
