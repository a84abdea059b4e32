//! What all tasks of a worker share: who is running, how the backend is called, and where reports go.

use std::sync::Arc;

use ipc_proto::control::{Ending, Finished, FromWorker};
use ipc_proto::ids::GrantId;
use ipc_proto::link::{Outbox, SendError};
use ipc_proto::operator::LogLevel;
use ipc_proto::secret::Secret;
use ipc_proto::tap;
use tokio::sync::{Notify, watch};

use crate::roster::Roster;
use crate::upstream::Upstream;

/// The shared state of one worker.
pub(crate) struct Station {
    /// The boot secret: whoever comes with an attempt must know it.
    pub(crate) secret: Secret,
    /// The attempts.
    pub(crate) roster: Roster,
    reports: Outbox<FromWorker>,
    upstream: watch::Sender<Arc<Upstream>>,
    link_lost: Notify,
}

impl Station {
    /// A station that reports to `reports`.
    pub(crate) fn new(secret: Secret, reports: Outbox<FromWorker>, upstream: Upstream) -> Self {
        let upstream = watch::Sender::new(Arc::new(upstream));
        Self { secret, roster: Roster::default(), reports, upstream, link_lost: Notify::new() }
    }

    /// The backend as it is now.
    pub(crate) fn upstream(&self) -> Arc<Upstream> {
        Arc::clone(&self.upstream.borrow())
    }

    /// Tells whenever the backend's spec has changed.
    pub(crate) fn upstream_changes(&self) -> watch::Receiver<Arc<Upstream>> {
        self.upstream.subscribe()
    }

    /// From now on the backend is this one. Attempts that run keep theirs.
    pub(crate) fn set_upstream(&self, upstream: Upstream) {
        self.upstream.send_replace(Arc::new(upstream));
    }

    /// Reports `message` at once.
    pub(crate) fn report(&self, message: &FromWorker) {
        self.note(self.reports.send(message));
    }

    /// Reports `message` within two milliseconds, or with the next report.
    pub(crate) fn report_soon(&self, message: &FromWorker) {
        self.note(self.reports.send_soon(message));
    }

    /// Returns when everything reported so far is with the supervisor's socket, or the link has ended.
    pub(crate) async fn reported(&self) {
        self.reports.written().await;
    }

    /// Reports that nobody came with `grant`, and nobody will.
    pub(crate) fn report_never_started(&self, grant: GrantId) {
        self.report(&FromWorker::Finished(Box::new(Finished {
            grant,
            ending: Ending::NeverStarted,
            usage: dialect::Usage::default(),
            upstream_status: None,
            first_byte_us: None,
            total_us: 0,
            bytes_received: 0,
            warnings: String::new(),
        })));
    }

    /// Has log lines of this level and above reported.
    pub(crate) fn log_from(&self, least: LogLevel) {
        tap::pour(least, self.reports.clone(), FromWorker::Log);
    }

    fn note(&self, sent: Result<(), SendError>) {
        match sent {
            Ok(()) => {}
            Err(SendError::Closed) => self.link_lost.notify_one(),
            Err(error) => {
                // A slot whose end cannot be reported would be lost for ever; the end of the process frees it.
                tracing::error!(%error, "the supervisor cannot be told");
                self.link_lost.notify_one();
            }
        }
    }

    /// Returns when a report could not be delivered. Safe to cancel.
    pub(crate) async fn link_lost(&self) {
        self.link_lost.notified().await;
    }
}
