//! The HTTP client: connections to the backend, pooled. TLS is set up only where the address asks for it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long an unused connection is kept. Local servers close theirs after five seconds or more of silence, and a
/// request that meets the closing is lost; a new connection to them costs nothing.
const PLAIN_IDLE: Duration = Duration::from_secs(4);
/// The same with TLS: a new connection costs two round trips over the internet, and their servers are patient.
const TLS_IDLE: Duration = Duration::from_mins(1);

/// After so much silence the peer's system is asked whether it is still there: a stream may be silent for long, and
/// a peer that vanished says nothing either.
const STILL_THERE: Duration = Duration::from_secs(30);

/// The connection was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} ms", .0.as_millis())]
pub(crate) struct ConnectTimedOut(Duration);

/// The client for one backend.
pub(crate) enum Client {
    Plain(legacy::Client<Timed<HttpConnector>, Full<Bytes>>),
    Tls(legacy::Client<Timed<HttpsConnector<HttpConnector>>, Full<Bytes>>),
}

impl Client {
    /// A client for addresses with or without TLS that gives up connecting after `within`.
    ///
    /// Fails only with TLS: when the system's trust store cannot be used.
    pub(crate) fn new(tls: bool, within: Option<Duration>) -> io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_keepalive(Some(STILL_THERE));
        connector.enforce_http(!tls);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
        builder.pool_idle_timeout(if tls { TLS_IDLE } else { PLAIN_IDLE });
        if !tls {
            return Ok(Self::Plain(builder.build(Timed { connector, within })));
        }
        let trust = rustls::ClientConfig::builder().try_with_platform_verifier().map_err(io::Error::other)?;
        builder.http2_keep_alive_interval(STILL_THERE).http2_keep_alive_timeout(STILL_THERE);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust.with_no_client_auth())
            .https_only()
            .enable_all_versions()
            .wrap_connector(connector);
        Ok(Self::Tls(builder.build(Timed { connector, within })))
    }

    /// Sends `request`. Dropping the future cancels it and closes its connection.
    pub(crate) fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        }
    }
}

/// A connector with a limit over everything it does: name, connection and TLS.
#[derive(Clone, Debug)]
pub(crate) struct Timed<C> {
    connector: C,
    within: Option<Duration>,
}

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connecting = self.connector.call(address);
        let within = self.within;
        Box::pin(async move {
            let Some(within) = within else { return connecting.await.map_err(Into::into) };
            match tokio::time::timeout(within, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(ConnectTimedOut(within).into()),
            }
        })
    }
}

/// Whether `error` or one of its causes is [`ConnectTimedOut`].
pub(crate) fn is_connect_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(<dyn std::error::Error>::is::<ConnectTimedOut>)
}

/// `error` and its causes in one line, without saying the same twice.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = String::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line.push_str(if line.is_empty() { "" } else { ": " });
            line.push_str(&cause);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Service<Uri> for Nowhere {
        type Response = ();
        type Error = io::Error;
        type Future = std::future::Pending<io::Result<()>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Uri) -> Self::Future {
            std::future::pending()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connecting_takes_no_longer_than_it_may() {
        let mut connector = Timed { connector: Nowhere, within: Some(Duration::from_secs(3)) };
        let error = connector.call(Uri::from_static("http://x/")).await.unwrap_err();
        assert!(is_connect_timeout(&*error));
        assert_eq!(chain(&*error), "no connection within 3000 ms");
    }
}
