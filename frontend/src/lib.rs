//! The frontend: the clients' side, from socket to answer.
//!
//! | module | owns |
//! |---|---|
//! | `server`, `client_io` | the listening socket, connections, their limits and their end |
//! | `reception`, `auth` | what is asked and by whom; the request's id |
//! | `routes`, `lanes`, `call` | paths, and what they ask for |
//! | `exchange`, `body`, `errand`, `forward` | one request from its body to the beginning of its answer |
//! | `desk` | the open exchanges, and what supervisor and frontend say about them |
//! | `loans` | slots lent ahead of requests, for those that need not ask |
//! | `dispatch`, `answer_body` | one attempt: to the worker, and back to the client |
//! | `awaited`, `heartbeat` | signs of life for streaming clients that wait |
//! | `refusal` | errors of ours, worded for the client |
//! | `models`, `ollama`, `health`, `estimate` | what is answered without anybody else |
//!
//! A frontend decides nothing about who is served when: it asks the supervisor for every attempt. It keeps no key
//! as text and never shows a failure's detail to a client.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use ipc_proto::Role;
use ipc_proto::control::{Directory, FromFrontend, FrontendHello, ToFrontend};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::FrontendId;
use ipc_proto::lifeline::Lifeline;
use ipc_proto::link::{self, Inbox, LinkError, Outbox};
use ipc_proto::local::{self, RunDir};
use ipc_proto::secret::Secret;
use ipc_proto::spec::{FrontendSpec, Listen};
use ipc_proto::tap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::desk::{Desk, Word};
use crate::dispatch::Pool;
use crate::shared::Shared;

mod answer_body;
mod auth;
mod awaited;
mod body;
mod call;
mod client_io;
mod clock;
mod desk;
mod dispatch;
mod errand;
mod estimate;
mod exchange;
mod forward;
mod health;
mod heartbeat;
mod lanes;
mod loans;
mod models;
mod ollama;
mod reception;
mod refusal;
mod routes;
mod server;
mod shared;

/// How long answers under way may go on when the supervisor is gone: nobody counts their slots any more.
const ORPHANED: Duration = Duration::from_secs(5);
/// How long clients may take to hear that their answers were ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Which frontend this is, and where its instance lives.
#[derive(Clone, Debug)]
pub struct FrontendOptions {
    /// Which seat it takes, and the how-many-th in it.
    pub frontend: FrontendId,
    /// The run directory, where the supervisor listens.
    pub run_dir: RunDir,
}

/// Why a frontend stopped.
#[derive(Debug, thiserror::Error)]
pub enum FrontendError {
    /// Nobody handed over a boot secret.
    #[error("cannot read the boot secret from standard input")]
    ReadSecret(#[source] io::Error),
    /// The supervisor's socket does not answer.
    #[error("cannot reach the supervisor at {}", path.display())]
    Reach {
        /// Where it should listen.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The link to the supervisor did not come about.
    #[error("cannot open the link to the supervisor")]
    OpenLink(#[source] LinkError),
    /// The supervisor does not want this frontend.
    #[error("the supervisor refused this frontend: {0}")]
    Refused(String),
    /// The supervisor broke the order of things.
    #[error("the supervisor did not begin with a spec")]
    NoSpec,
    /// The address cannot be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

impl FrontendError {
    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ReadSecret(_) => Some("frontends are started by `proxylm serve`, not by hand".to_owned()),
            Self::Listen { .. } => {
                Some("end what listens there, or choose another port with --port".to_owned())
            }
            _ => None,
        }
    }
}

/// Runs the frontend of a supervisor that started this process and waits for it, until that drains it or is gone.
///
/// Takes over standard input. Returns `Ok` after a drain, also after one of its own because the supervisor died.
pub async fn run(options: FrontendOptions) -> Result<(), FrontendError> {
    let (mut lifeline, secret) = Lifeline::take().await.map_err(FrontendError::ReadSecret)?;
    let path = options.run_dir.supervisor_socket();
    let stream =
        local::connect(&path).await.map_err(|source| FrontendError::Reach { path: path.clone(), source })?;
    attach(options.frontend, secret, stream, async move { lifeline.cut().await }).await
}

/// Runs a frontend whose supervisor is at the other end of `stream`, an ungreeted connection, and gone when `cut`
/// returns. [`run`] with its surroundings given, for tests.
pub async fn attach<S>(
    frontend: FrontendId,
    secret: Secret,
    mut stream: S,
    cut: impl Future<Output = ()>,
) -> Result<(), FrontendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    link::greet(&mut stream, Role::Frontend).await.map_err(FrontendError::OpenLink)?;
    let (outbox, inbox, writer) = link::open(stream);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        if let Err(error) = writer.run().await {
            tracing::debug!(%error, "the link to the supervisor broke");
        }
    });
    let hello =
        FrontendHello { secret: secret.clone(), frontend, pid: std::process::id(), waiting: Vec::new() };
    // If it cannot be sent there will be no answer either.
    let _ = outbox.send(&FromFrontend::Hello(hello));
    let mut cut = pin!(cut);
    let begun = tokio::select! {
        begun = begin(inbox, &outbox, secret) => begun?,
        () = &mut cut => None,
    };
    let Some((shared, inbox, listen)) = begun else { return Ok(()) };
    let Listen::Bind { address, .. } = listen;
    let refuse = |source| FrontendError::Listen { address, source };
    let listener = server::bind(listen).map_err(refuse)?;
    let bound = listener.local_addr().map_err(refuse)?;
    shared.desk.say(&FromFrontend::Listening(bound));
    tracing::debug!(%bound, %frontend, "listening");
    let closing = CancellationToken::new();
    let serving = server::run(listener, Arc::clone(&shared), closing.clone());
    let ear = Ear { inbox, shared, cut };
    serve(ear, serving, closing).await;
    Ok(())
}

/// Waits for the spec and for the first directory, which opens the doors. `None`: it came to nothing.
async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    mut inbox: Inbox<ToFrontend, S>,
    outbox: &Outbox<FromFrontend>,
    secret: Secret,
) -> Result<Option<(Arc<Shared>, Inbox<ToFrontend, S>, Listen)>, FrontendError> {
    let mut spec: Option<Box<FrontendSpec>> = None;
    loop {
        match inbox.recv().await.map_err(FrontendError::OpenLink)? {
            Some(ToFrontend::Spec(newer)) => spec = Some(newer),
            Some(ToFrontend::Refused(reason)) => return Err(FrontendError::Refused(reason)),
            Some(ToFrontend::Directory(directory)) => {
                let spec = spec.ok_or(FrontendError::NoSpec)?;
                let shared = open(outbox, &spec, *directory, secret);
                return Ok(Some((shared, inbox, spec.listen)));
            }
            Some(ToFrontend::Drain { .. }) => {
                let _ = outbox.send(&FromFrontend::Drained);
            }
            Some(ToFrontend::LogFrom(least)) => tap::pour(least, outbox.clone(), FromFrontend::Log),
            // Nothing else concerns somebody who holds no request.
            Some(_) => {}
            None if spec.is_none() => return Err(FrontendError::NoSpec),
            None => return Ok(None),
        }
    }
}

fn open(
    outbox: &Outbox<FromFrontend>,
    spec: &FrontendSpec,
    directory: Directory,
    secret: Secret,
) -> Arc<Shared> {
    let desk = Desk::new(outbox.clone());
    let pool = Pool::new(RunDir::at(spec.run_dir.clone()), secret);
    Shared::new(desk, pool, spec, directory)
}

/// What ends the ordinary course of things.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    /// The supervisor wants this frontend drained within this time.
    Drain(Duration),
    /// The supervisor is gone.
    Lost,
}

/// Listens to the supervisor, and does what it says.
struct Ear<'a, S, C> {
    inbox: Inbox<ToFrontend, S>,
    shared: Arc<Shared>,
    cut: Pin<&'a mut C>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, C: Future<Output = ()>> Ear<'_, S, C> {
    /// Returns with the next news. Safe to cancel; not to be called again after [`News::Lost`].
    async fn news(&mut self) -> News {
        loop {
            let message = tokio::select! {
                message = self.inbox.recv() => message,
                () = &mut self.cut => return News::Lost,
                () = self.shared.desk.trouble() => return News::Lost,
            };
            match message {
                Ok(Some(ToFrontend::Drain { within_ms })) => {
                    return News::Drain(Duration::from_millis(within_ms));
                }
                Ok(Some(message)) => self.heed(message),
                Ok(None) => return News::Lost,
                Err(error) => {
                    tracing::warn!(%error, "the link to the supervisor broke");
                    return News::Lost;
                }
            }
        }
    }

    fn heed(&self, message: ToFrontend) {
        let desk = &self.shared.desk;
        match message {
            ToFrontend::Granted(grant) => desk.hand(grant.request, Word::Granted(grant)),
            ToFrontend::Rejected { request, failure, waiting } => {
                desk.hand(request, Word::Rejected(failure, waiting));
            }
            ToFrontend::Cancel { request } => {
                desk.end(request, Failure::new(FailureKind::Cancelled, "cancelled by an operator"));
            }
            ToFrontend::Directory(directory) => self.shared.relist(*directory),
            ToFrontend::Spec(spec) => self.shared.respec(&spec),
            ToFrontend::Lent(loan) => {
                let grant = loan.grant;
                if !self.shared.loans.keep(loan, clock::now()) {
                    desk.say(&FromFrontend::Returned { grant });
                }
            }
            ToFrontend::Recalled { grant } => self.shared.loans.forget(grant),
            ToFrontend::Ping => {
                desk.say(&FromFrontend::Pong);
            }
            ToFrontend::LogFrom(least) => desk.log_from(least),
            ToFrontend::Refused(reason) => tracing::warn!(reason, "the supervisor refused this frontend"),
            ToFrontend::Drain { .. } => {}
        }
    }
}

/// Serves until told to stop or left alone, then drains.
async fn serve<S, C>(mut ear: Ear<'_, S, C>, serving: impl Future<Output = ()>, closing: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: Future<Output = ()>,
{
    let mut serving = Box::pin(serving);
    let mut news = tokio::select! {
        news = ear.news() => news,
        // It does not end before it is told to.
        () = &mut serving => return,
    };
    let shared = Arc::clone(&ear.shared);
    shared.desk.close_doors();
    shared.loans.close();
    closing.cancel();
    let mut within = match news {
        News::Drain(within) => within,
        News::Lost => ORPHANED,
    };
    loop {
        if news == News::Lost {
            shared.desk.orphan(&Failure::new(FailureKind::Draining, "the supervisor is gone"));
            within = within.min(ORPHANED);
        }
        tokio::select! {
            () = &mut serving => break,
            () = tokio::time::sleep(within) => {
                shared.desk.end_all(&Failure::new(FailureKind::Draining, "the drain's time is over"));
                // Who has not heard by then is cut off.
                let _ = tokio::time::timeout(LAST_WORDS, &mut serving).await;
                break;
            }
            newer = ear.news(), if news != News::Lost => {
                news = newer;
                if let News::Drain(sooner) = newer {
                    within = sooner;
                }
            }
        }
    }
    // Whatever connection is left is cut here, and its exchange says its last word.
    drop(serving);
    if news != News::Lost {
        let _ = tokio::time::timeout(LAST_WORDS, shared.desk.quiet()).await;
        shared.desk.say(&FromFrontend::Drained);
        while ear.news().await != News::Lost {}
    }
}
