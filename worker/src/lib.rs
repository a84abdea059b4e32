//! The worker: one process for one backend. It calls the backend for whoever comes with a grant, passes answers on
//! as they come, looks at the backend between requests, and reports to the supervisor.
//!
//! | module | owns |
//! |---|---|
//! | `station` | what all tasks share; the reports |
//! | `roster` | which attempts are open; which grants may not be used any more |
//! | `connection` | one data connection with a frontend |
//! | `attempt` | one attempt from `Open` to its one end |
//! | `call`, `rename` | what is sent for a request: translated, edited a little, or untouched |
//! | `course` | what the answer goes through: a watch or a translator |
//! | `pump` | a call and its answer, upstream bytes to frames |
//! | `upstream`, `connect` | the backend and the HTTP client for it |
//! | `target`, `key` | where a call goes; which key is shown there |
//! | `source` | an answer's body, unpacked |
//! | `headers`, `status` | which headers pass; what a status means |
//! | `patience`, `progress`, `clock` | limits of waiting, reports on the way, time |
//! | `stopwatch` | how long the backend took, as opposed to the client |
//! | `probe`, `shapes`, `residency` | what the backend offers and has in memory |
//! | `fake`, `fake_engine`, `fake_talk` | a backend that makes things up |
//!
//! It never decides where a request goes, and frees a slot only by saying that the attempt is over.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ipc_proto::Role;
use ipc_proto::control::{FromWorker, ToWorker, WorkerHello};
use ipc_proto::ids::WorkerId;
use ipc_proto::lifeline::Lifeline;
use ipc_proto::link::{self, Inbox, LinkError, SendError};
use ipc_proto::local::{self, Listener, RunDir};
use ipc_proto::secret::Secret;
use ipc_proto::spec::WorkerSpec;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

mod attempt;
mod call;
mod clock;
mod connect;
mod connection;
mod course;
mod fake;
mod fake_engine;
mod fake_talk;
mod headers;
mod key;
mod patience;
mod probe;
mod progress;
mod pump;
mod rename;
mod residency;
mod roster;
mod shapes;
mod source;
mod station;
mod status;
mod stopwatch;
mod target;
mod upstream;

pub use upstream::SpecError;

use roster::Revoked;
use station::Station;
use upstream::Upstream;

/// How long attempts may go on when nobody supervises them any more.
const ORPHANED: Duration = Duration::from_secs(5);
/// How long attempts that were told to stop may take to say so.
const STOPPING: Duration = Duration::from_secs(1);
/// After a failed accept, most likely for want of descriptors: until some have been given back.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// The most data connections. Frontends keep one for each attempt they have open at once.
const MOST_CONNECTIONS: usize = 16 * 1024;

/// Which worker this is, and where the others are.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Which worker.
    pub worker: WorkerId,
    /// The instance's run directory.
    pub run_dir: RunDir,
}

/// Why a worker ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Standard input is not a supervisor's.
    #[error("cannot read the boot secret: only a supervisor can start a worker")]
    Lifeline(#[source] io::Error),
    /// The supervisor cannot be reached.
    #[error("cannot connect to the supervisor at {}", path.display())]
    Connect {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The link to the supervisor failed.
    #[error("the link to the supervisor failed")]
    Link(#[from] LinkError),
    /// The supervisor does not take our words.
    #[error("cannot report to the supervisor")]
    Report(#[from] SendError),
    /// The supervisor does not want this worker.
    #[error("the supervisor refused the link: {0}")]
    Refused(String),
    /// The supervisor did not begin with a spec.
    #[error("the supervisor sent no spec")]
    NoSpec,
    /// The spec cannot be worked with.
    #[error("the spec cannot be worked with")]
    Spec(#[from] SpecError),
    /// The data socket cannot be opened.
    #[error("cannot listen at {}", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Runs the worker process: takes the boot secret from standard input, links up with the supervisor and serves
/// until it is told to end or left alone.
///
/// Wants a current-thread runtime with time and I/O, and, for backends with TLS, an installed crypto provider.
pub async fn run(options: WorkerOptions) -> Result<(), WorkerError> {
    let (mut lifeline, secret) = Lifeline::take().await.map_err(WorkerError::Lifeline)?;
    let path = options.run_dir.supervisor_socket();
    let link = local::connect(&path).await.map_err(|source| WorkerError::Connect { path, source })?;
    serve(options, secret, link, lifeline.cut()).await
}

/// The same over any connection to a supervisor; `orphaned` returns when the supervisor is gone.
///
/// Returns when the link has closed, or `orphaned` has returned, and the attempts that ran then are over; or at
/// once when the link fails while it is being set up.
pub async fn serve<S>(
    options: WorkerOptions,
    secret: Secret,
    mut link: S,
    orphaned: impl Future<Output = ()>,
) -> Result<(), WorkerError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    link::greet(&mut link, Role::Worker).await?;
    let (reports, mut inbox, writer) = link::open::<FromWorker, ToWorker, S>(link);
    let mut writing = JoinSet::new();
    writing.spawn(writer.run());
    reports.send(&FromWorker::Hello(WorkerHello {
        secret: secret.clone(),
        worker: options.worker,
        pid: std::process::id(),
        running: Vec::new(),
    }))?;
    let upstream = Upstream::new(first_spec(&mut inbox).await?, None)?;
    let path = options.run_dir.worker_socket(options.worker);
    let listener = local::bind(&path).map_err(|source| WorkerError::Bind { path, source })?;
    reports.send(&FromWorker::Ready)?;

    let station = Arc::new(Station::new(secret, reports.clone(), upstream));
    let probe_wanted = Arc::new(Notify::new());
    let mut prober = JoinSet::new();
    prober.spawn(probe::watch_over(Arc::clone(&station), Arc::clone(&probe_wanted)));
    let tasks = JoinSet::new();
    let mut worker = Worker { station, inbox, listener, tasks, prober, probe_wanted, phase: Phase::Serving };
    worker.serve(orphaned).await;
    // What was reported last should still arrive, if there is anybody to read it.
    reports.close();
    let _ = tokio::time::timeout(STOPPING, writing.join_next()).await;
    Ok(())
}

async fn first_spec<S>(inbox: &mut Inbox<ToWorker, S>) -> Result<WorkerSpec, WorkerError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match inbox.recv().await? {
        Some(ToWorker::Spec(spec)) => Ok(*spec),
        Some(ToWorker::Refused(reason)) => Err(WorkerError::Refused(reason)),
        Some(_) | None => Err(WorkerError::NoSpec),
    }
}

/// What the worker is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Taking attempts.
    Serving,
    /// Finishing what is there, until then.
    Draining { until: Instant, then: Then },
    /// Nothing is there any more, and the supervisor knows.
    Drained,
}

/// What follows when nothing is there any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    /// The supervisor is told.
    Report,
    /// The process ends; nobody is there to be told.
    End,
    /// The process ends although an attempt did not stop.
    EndAnyway,
}

/// The worker's one loop.
struct Worker<S> {
    station: Arc<Station>,
    inbox: Inbox<ToWorker, S>,
    listener: Listener,
    tasks: JoinSet<()>,
    prober: JoinSet<()>,
    probe_wanted: Arc<Notify>,
    phase: Phase,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Worker<S> {
    async fn serve(&mut self, orphaned: impl Future<Output = ()>) {
        let mut orphaned = pin!(orphaned);
        let mut is_linked = true;
        let station = Arc::clone(&self.station);
        loop {
            let due = match self.phase {
                Phase::Draining { until, .. } => Some(until),
                Phase::Serving | Phase::Drained => None,
            };
            tokio::select! {
                message = self.inbox.recv(), if is_linked => match message {
                    Ok(Some(message)) => self.obey(message),
                    Ok(None) => is_linked = false,
                    Err(error) => {
                        tracing::error!(%error, "the link to the supervisor failed");
                        is_linked = false;
                    }
                },
                stream = local::accept(&self.listener), if self.tasks.len() < MOST_CONNECTIONS => {
                    self.take_in(stream).await;
                }
                Some(ended) = self.tasks.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a task of this worker failed");
                },
                Some(ended) = self.prober.join_next(), if is_linked => {
                    // Without probes the supervisor would know nothing of the backend: better to be replaced.
                    tracing::error!(?ended, "the prober ended");
                    is_linked = false;
                }
                () = &mut orphaned, if is_linked => is_linked = false,
                () = station.link_lost(), if is_linked => is_linked = false,
                () = station.roster.drained(), if due.is_some() => if self.drained() { return },
                () = tokio::time::sleep_until(due.unwrap_or_else(clock::now)), if due.is_some() => {
                    if self.stop_the_rest() { return }
                }
            }
            if !is_linked && self.left_alone() {
                return;
            }
        }
    }

    fn obey(&mut self, message: ToWorker) {
        match message {
            ToWorker::Spec(spec) => match Upstream::new(*spec, Some(&self.station.upstream())) {
                Ok(upstream) => self.station.set_upstream(upstream),
                Err(error) => tracing::error!(%error, "a new spec cannot be worked with; the old one stays"),
            },
            ToWorker::Revoke { grant } => {
                if self.station.roster.revoke(grant) == Revoked::NeverStarted {
                    self.station.report_never_started(grant);
                }
            }
            ToWorker::Recall { grant } => {
                if self.station.roster.recall(grant) {
                    self.station.report_never_started(grant);
                }
            }
            ToWorker::Probe => self.probe_wanted.notify_one(),
            ToWorker::Ping => self.station.report(&FromWorker::Pong),
            ToWorker::LogFrom(least) => self.station.log_from(least),
            ToWorker::Drain { within_ms } => {
                self.station.roster.close();
                let until = clock::now() + Duration::from_millis(within_ms);
                self.phase = Phase::Draining { until, then: Then::Report };
            }
            ToWorker::Refused(reason) => tracing::warn!(reason, "refused by the supervisor after it took us"),
        }
    }

    async fn take_in(&mut self, stream: io::Result<local::Stream>) {
        match stream {
            Ok(stream) => {
                let station = Arc::clone(&self.station);
                self.tasks.spawn(async move { attempt::serve(stream, &station).await });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a frontend");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }

    /// Nobody supervises any more: what runs may go on for a while. Returns whether that is over already.
    fn left_alone(&mut self) -> bool {
        match self.phase {
            Phase::Drained => return true,
            Phase::Draining { then: Then::End | Then::EndAnyway, .. } => {}
            Phase::Serving | Phase::Draining { then: Then::Report, .. } => {
                tracing::info!("the supervisor is gone; finishing what is there");
                self.station.roster.close();
                self.phase = Phase::Draining { until: clock::now() + ORPHANED, then: Then::End };
            }
        }
        false
    }

    /// Nothing runs any more. Returns whether this is the end.
    fn drained(&mut self) -> bool {
        if let Phase::Draining { then: Then::Report, .. } = self.phase {
            self.station.report(&FromWorker::Drained);
            self.phase = Phase::Drained;
            return false;
        }
        true
    }

    /// The time for draining is over. Returns whether this is the end.
    fn stop_the_rest(&mut self) -> bool {
        let Phase::Draining { then, .. } = self.phase else { return false };
        if then == Then::EndAnyway {
            return true;
        }
        self.station.roster.stop_all();
        let until = clock::now() + STOPPING;
        let then = if then == Then::End { Then::EndAnyway } else { then };
        self.phase = Phase::Draining { until, then };
        false
    }
}
