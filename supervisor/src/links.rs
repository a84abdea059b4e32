//! The supervisor's socket: who comes in, and the pumps that carry their messages to the actor.
//!
//! A child must say the boot secret; an operator is let in by the socket's permissions, which `local` checks. Every
//! link has a bound on what waits in each direction, and a stranger has a bound on his time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ipc_proto::Role;
use ipc_proto::control::{FromFrontend, FromWorker, ToFrontend, ToWorker};
use ipc_proto::link::{self, Inbox, LinkError, Outbox, Writer};
use ipc_proto::local::{self, Listener, Stream};
use ipc_proto::operator::{Call, ToOperator};
use ipc_proto::secret::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::actor::Input;
use crate::children::ChildId;
use crate::operators::Caller;

/// Links at once, children and operators together; whoever comes when they are taken waits for one to end.
const MAX_LINKS: usize = 512;
/// How long a new connection may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);
/// How long operators may take to read their last answers when the instance ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// Calls of one operator that may wait for their answers; the next one is read when one is answered.
const CALLS_PER_LINK: usize = 32;
/// The pause after a failed accept: descriptors may have run out, and another try at once would fail too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One connection to the supervisor's socket. Counts from 1, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LinkId(u64);

#[cfg(test)]
impl LinkId {
    pub(crate) fn for_test(number: u64) -> Self {
        Self(number)
    }
}

/// What every link needs.
#[derive(Clone)]
struct Hall {
    secret: Secret,
    inputs: mpsc::Sender<Input>,
    closing: watch::Receiver<bool>,
}

/// Lets children and operators in until `closing` says `true`, then lets operators read what they were told.
pub(crate) async fn accept_all(
    listener: Listener,
    secret: Secret,
    inputs: mpsc::Sender<Input>,
    mut closing: watch::Receiver<bool>,
) {
    let hall = Arc::new(Hall { secret, inputs, closing: closing.clone() });
    let mut links = JoinSet::new();
    let mut last = 0;
    loop {
        tokio::select! {
            accepted = local::accept(&listener), if links.len() < MAX_LINKS => match accepted {
                Ok(stream) => {
                    last += 1;
                    links.spawn(serve(stream, LinkId(last), Arc::clone(&hall)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection on the supervisor's socket");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = links.join_next() => {}
            () = closed(&mut closing) => break,
        }
    }
    drop(listener);
    let farewell = async { while links.join_next().await.is_some() {} };
    // Links that are still open then end with the set.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// Returns when the instance ends.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that whoever would say it is gone, which says it too.
    drop(closing.wait_for(|closing| *closing).await);
}

async fn serve(mut stream: Stream, link: LinkId, hall: Arc<Hall>) {
    let role = match tokio::time::timeout(GREETING, link::welcome(&mut stream)).await {
        Ok(Ok(role)) => role,
        Ok(Err(error)) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection was not a link");
            return;
        }
        Err(_) => {
            tracing::debug!("a connection did not say in time who it is");
            return;
        }
    };
    match role {
        Role::Frontend => serve_child::<FrontendLink>(stream, link, &hall).await,
        Role::Worker => serve_child::<WorkerLink>(stream, link, &hall).await,
        Role::Operator => serve_operator(stream, link, &hall).await,
        Role::Data => tracing::debug!("a data connection came to the supervisor"),
    }
}

/// What differs between the two kinds of children.
trait ChildLink {
    type Tx: Serialize;
    type Rx: DeserializeOwned;

    /// The secret, the child and its process, if `message` is a greeting.
    fn hello(message: Self::Rx) -> Option<(Secret, ChildId, u32)>;
    fn refused(reason: String) -> Self::Tx;
    fn outbox(outbox: Outbox<Self::Tx>) -> ChildOutbox;
    fn said(message: Self::Rx) -> FromChild;
}

struct FrontendLink;
struct WorkerLink;

/// Where messages for a child are put.
#[derive(Clone, Debug)]
pub(crate) enum ChildOutbox {
    /// For a frontend.
    Frontend(Outbox<ToFrontend>),
    /// For a worker.
    Worker(Outbox<ToWorker>),
}

/// What a child said.
#[derive(Debug)]
pub(crate) enum FromChild {
    /// A frontend.
    Frontend(FromFrontend),
    /// A worker.
    Worker(FromWorker),
}

impl ChildLink for FrontendLink {
    type Tx = ToFrontend;
    type Rx = FromFrontend;

    fn hello(message: FromFrontend) -> Option<(Secret, ChildId, u32)> {
        match message {
            FromFrontend::Hello(hello) => Some((hello.secret, ChildId::Frontend(hello.frontend), hello.pid)),
            _ => None,
        }
    }

    fn refused(reason: String) -> ToFrontend {
        ToFrontend::Refused(reason)
    }

    fn outbox(outbox: Outbox<ToFrontend>) -> ChildOutbox {
        ChildOutbox::Frontend(outbox)
    }

    fn said(message: FromFrontend) -> FromChild {
        FromChild::Frontend(message)
    }
}

impl ChildLink for WorkerLink {
    type Tx = ToWorker;
    type Rx = FromWorker;

    fn hello(message: FromWorker) -> Option<(Secret, ChildId, u32)> {
        match message {
            FromWorker::Hello(hello) => Some((hello.secret, ChildId::Worker(hello.worker), hello.pid)),
            _ => None,
        }
    }

    fn refused(reason: String) -> ToWorker {
        ToWorker::Refused(reason)
    }

    fn outbox(outbox: Outbox<ToWorker>) -> ChildOutbox {
        ChildOutbox::Worker(outbox)
    }

    fn said(message: FromWorker) -> FromChild {
        FromChild::Worker(message)
    }
}

async fn serve_child<L: ChildLink>(stream: Stream, link: LinkId, hall: &Hall) {
    let (outbox, mut inbox, writer) = link::open::<L::Tx, L::Rx, _>(stream);
    let first = tokio::time::timeout(GREETING, inbox.recv()).await;
    let hello = first.ok().and_then(Result::ok).flatten().and_then(L::hello);
    let Some((child, pid)) = hello.and_then(|(secret, child, pid)| {
        let same = secret.expose().as_bytes().ct_eq(hall.secret.expose().as_bytes());
        bool::from(same).then_some((child, pid))
    }) else {
        tracing::warn!("a connection to the supervisor's socket did not know the secret");
        return refuse(&outbox, writer, &L::refused("it does not belong to this instance".to_owned())).await;
    };
    let up = Input::LinkUp { link, child, pid, outbox: L::outbox(outbox) };
    if hall.inputs.send(up).await.is_err() {
        return;
    }
    tokio::select! {
        pumped = pump::<L>(&mut inbox, link, child, &hall.inputs) => if let Err(error) = pumped {
            tracing::warn!(%child, error = &error as &dyn std::error::Error, "a child's link broke");
        },
        written = writer.run() => if let Err(error) = written {
            tracing::debug!(%child, %error, "a child does not listen any more");
            // What it said before it went still counts.
            let _ = pump::<L>(&mut inbox, link, child, &hall.inputs).await;
        },
    }
    // The connection ends before its end is told, so that nothing can follow.
    drop(inbox);
    let _ = hall.inputs.send(Input::LinkEnded { link, child }).await;
}

/// Carries messages to the actor until the peer closes the link. Waits for the actor when it is behind.
async fn pump<L: ChildLink>(
    inbox: &mut Inbox<L::Rx, Stream>,
    link: LinkId,
    child: ChildId,
    inputs: &mpsc::Sender<Input>,
) -> Result<(), LinkError> {
    while let Some(message) = inbox.recv().await? {
        let said = Input::Said { link, child, message: L::said(message) };
        if inputs.send(said).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn refuse<Tx: Serialize>(outbox: &Outbox<Tx>, writer: Writer<Stream>, message: &Tx) {
    if outbox.send(message).is_ok() {
        outbox.close();
        // A stranger that does not even read has had his chance.
        let _ = tokio::time::timeout(GREETING, writer.run()).await;
    }
}

async fn serve_operator(stream: Stream, link: LinkId, hall: &Hall) {
    let (outbox, mut inbox, writer) = link::open::<ToOperator, Call, _>(stream);
    let mut closing = hall.closing.clone();
    let places = Arc::new(Semaphore::new(CALLS_PER_LINK));
    let calls = async {
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes the semaphore");
            match inbox.recv().await {
                Ok(Some(Call { id, command })) => {
                    let caller = Caller::new(id, link, outbox.clone(), place);
                    if hall.inputs.send(Input::Called { caller, command }).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "an operator's link broke");
                    return;
                }
            }
        }
    };
    let write = writer.run();
    tokio::pin!(write);
    tokio::select! {
        () = calls => {}
        () = closed(&mut closing) => {}
        _ = &mut write => {
            let _ = hall.inputs.send(Input::OperatorLeft { link }).await;
            return;
        }
    }
    let _ = hall.inputs.send(Input::OperatorLeft { link }).await;
    // One who asks and closes his half may still want the answers.
    let _ =
        tokio::time::timeout(FAREWELL, places.acquire_many(u32::try_from(CALLS_PER_LINK).unwrap_or(1))).await;
    outbox.close();
    let _: io::Result<()> = write.await;
}
