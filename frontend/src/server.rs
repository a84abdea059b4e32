//! The listening socket and the clients' connections: HTTP/1.1, and HTTP/2 for those who begin with it.
//!
//! Connections live in a set that ends with the server. Closing the doors takes nothing new and lets every
//! connection finish what it has begun.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use ipc_proto::spec::{ClientLimits, Listen};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client_io::ClientIo;
use crate::reception;
use crate::shared::Shared;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// The most of an answer on its way into the socket, and of a request's head: a slow client should cost no more
/// than this, and heads have to fit one frame to the worker.
const BUFFER: usize = 64 * 1024;
/// The most of a request's head over HTTP/2.
const HEAD: u32 = 64 * 1024;
/// After an accept that failed because the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between two looks at whether a silent HTTP/2 client is still there.
const PING: Duration = Duration::from_secs(30);

/// Opens the listening socket that `listen` names.
pub(crate) fn bind(listen: Listen) -> io::Result<TcpListener> {
    let Listen::Bind { address, shared } = listen;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(unix)]
    {
        socket.set_reuse_address(true)?;
        if shared {
            socket.set_reuse_port(true)?;
        }
    }
    #[cfg(not(unix))]
    let _ = shared;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves clients until `closing`, and then until the last connection has ended. Dropping this cuts them all.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>, closing: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let streams = TaskTracker::new();
    let mut connections = JoinSet::new();
    loop {
        let limits = shared.terms().limits;
        let room = limits.max_connections == 0 || connections.len() < limits.max_connections as usize;
        tokio::select! {
            () = closing.cancelled() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => report(ended),
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, peer)) => {
                    let connection = serve(stream, peer, &shared, limits, &streams, &graceful);
                    connections.spawn(connection);
                }
                Err(error) if is_about_the_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let rest = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    tokio::join!(graceful.shutdown(), rest);
    streams.close();
    streams.wait().await;
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a client's connection ended in a panic; others go on");
    }
}

fn is_about_the_client(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted)
}

/// One connection, to its end.
fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    limits: ClientLimits,
    streams: &TaskTracker,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off the delay of small packets");
    }
    let header_read = limit(limits.header_read_ms);
    let io = TokioIo::new(ClientIo::new(stream, header_read, limit(limits.idle_ms)));
    let mut builder = auto::Builder::new(Streams(streams.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_read)
        .max_buf_size(BUFFER)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .max_header_list_size(HEAD)
        .max_send_buf_size(BUFFER);
    let shared = Arc::clone(shared);
    let service = service_fn(move |request| {
        // Boxed, because a connection keeps room for what its service returns: open streams, of which there are
        // many, would pay for the exchange that came before them.
        let answer = Box::pin(reception::answer(Arc::clone(&shared), request));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = graceful.watch(builder.serve_connection(io, service).into_owned());
    async move {
        if let Err(error) = connection.await {
            tracing::debug!(%peer, %error, "a client's connection broke");
        }
    }
}

/// A limit in milliseconds; 0 is none.
fn limit(milliseconds: u64) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

/// Where HTTP/2 puts the tasks of its streams: the server waits for them.
#[derive(Clone)]
struct Streams(TaskTracker);

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
