//! The answer to a streaming client that waits: its head goes out at the first heartbeat, and signs of life go on
//! until one of the attempts is answered.
//!
//! The exchange goes on behind them as it would have, with all attempts that the supervisor allows; only its
//! end is told differently, because the status has been sent: what is no stream of events becomes an event that says
//! what went wrong, and the stream ends without its success marker. Dropping this cancels the exchange; to the
//! supervisor the client has then left before the answer began, for signs of life are no answer and are not counted.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::stream::Answer;

use crate::answer_body::AnswerBody;
use crate::exchange::{self, BUFFERING, Begun, Found, Refused};
use crate::heartbeat::Heartbeat;
use crate::reception::{self, Caller};
use crate::refusal::Refusal;
use crate::shared::Shared;

/// So much of a backend's error is read for its message.
const MOST_SAID: usize = 64 * 1024;

/// An exchange on its way to the beginning of its answer.
pub(crate) type Pursuit = Pin<Box<dyn Future<Output = Found> + Send>>;

/// Answers `caller` with what `pursuit` finds, or with signs of life if that takes longer than the heartbeat allows.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    caller: &Caller,
    mut pursuit: Pursuit,
    mut heartbeat: Heartbeat,
) -> Response<AnswerBody> {
    let found = poll_fn(|cx| match pursuit.as_mut().poll(cx) {
        Poll::Ready(found) => Poll::Ready(Ok(found)),
        Poll::Pending => heartbeat.poll_due(cx).map(Err),
    });
    let first = match found.await {
        Ok(found) => return exchange::present(shared, caller, found, Some(heartbeat)),
        Err(first) => first,
    };
    tracing::debug!(request = %caller.label, "it takes a while: the head goes out ahead of the answer");
    let rest = follow(Arc::clone(shared), caller.clone(), pursuit, heartbeat.again());
    let body = Awaited { first: Some(first), rest: Box::pin(rest), heartbeat };
    let mut response = Response::new(AnswerBody::Awaited(Box::new(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(caller.framing.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

/// A body that consists of signs of life until there is another one.
pub(crate) struct Awaited {
    first: Option<Bytes>,
    rest: Pin<Box<dyn Future<Output = AnswerBody> + Send>>,
    heartbeat: Heartbeat,
}

/// What comes next of an awaited answer.
pub(crate) enum Next {
    /// A sign of life.
    Beat(Bytes),
    /// The answer itself, which goes on from here.
    Body(AnswerBody),
}

impl Awaited {
    /// What comes next. Not to be called again after [`Next::Body`].
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(beat) = self.first.take() {
            return Poll::Ready(Next::Beat(beat));
        }
        match self.rest.as_mut().poll(cx) {
            Poll::Ready(body) => Poll::Ready(Next::Body(body)),
            Poll::Pending => self.heartbeat.poll_due(cx).map(Next::Beat),
        }
    }
}

/// What follows the signs of life.
async fn follow(shared: Arc<Shared>, caller: Caller, pursuit: Pursuit, heartbeat: Heartbeat) -> AnswerBody {
    let found = reception::guarded(async {
        match pursuit.await {
            Found::Begun(begun) if begun.is_stream() => {
                exchange::relay(&shared, &caller, *begun, Some(heartbeat.again()))
            }
            Found::Begun(begun) => decline(&shared, &caller, *begun).await,
            Found::Refused(refused) => tell(&caller, *refused),
        }
    });
    // The exchange has said its last word while it was taken down.
    found.await.unwrap_or_else(|| {
        tracing::error!(request = %caller.label, "answering a request panicked; the request failed");
        let failure = Failure::new(FailureKind::Internal, "");
        AnswerBody::whole(Refusal::of(&failure, None).event(&caller, true))
    })
}

/// Ends the stream with an event that tells of the refusal.
fn tell(caller: &Caller, refused: Refused) -> AnswerBody {
    let Refused { mut case, failure, refusal, .. } = refused;
    let event = refusal.event(caller, true);
    // The status that was sent.
    case.begin(StatusCode::OK.as_u16());
    case.count(event.len());
    case.close(Some(failure));
    AnswerBody::whole(event)
}

/// Tells what a backend said instead of a stream of events.
async fn decline(shared: &Shared, caller: &Caller, begun: Begun) -> AnswerBody {
    let Begun { case, head, mut connection, attempts, .. } = begun;
    let mut said = Some(BytesMut::new());
    let broken = loop {
        let answer = poll_fn(|cx| match case.poll_ended(cx) {
            Poll::Ready(failure) => Poll::Ready(Answer::Fail(Box::new(failure))),
            Poll::Pending => connection.poll_answer(cx),
        });
        match answer.await {
            Answer::Chunk(bytes) => match &mut said {
                Some(said) if said.len() + bytes.len() <= MOST_SAID => said.extend_from_slice(&bytes),
                _ => {
                    said = None;
                    break None;
                }
            },
            Answer::Head(_) => break None,
            Answer::End(_) => {
                shared.pool.put(connection);
                break None;
            }
            Answer::Fail(failure) => break Some(*failure),
        }
    };
    let (failure, refusal) = match broken {
        Some(failure) => {
            let refusal = Refusal::of(&failure, None);
            (failure, refusal)
        }
        None => (unstreamed(head.status), Refusal::quoting(caller.dialect, head.status, said.as_deref())),
    };
    tell(caller, Refused { case, failure, refusal, attempts })
}

/// What it means that a backend answers a wish for a stream with `status` and no stream.
fn unstreamed(status: u16) -> Failure {
    let kind = if status >= 400 { FailureKind::Declined } else { FailureKind::Malformed };
    let detail = format!("the backend answered {status} without a stream, behind heartbeats");
    Failure::new(kind, detail).with_status(status)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dialect::Endpoint;
    use http_body_util::BodyExt;
    use ipc_proto::control::{Directory, FromFrontend, ToFrontend};
    use ipc_proto::ids::{Label, RequestId};
    use ipc_proto::link;
    use ipc_proto::local::RunDir;
    use ipc_proto::secret::{Pepper, Secret};
    use ipc_proto::spec::{Access, ClientLimits, FrontendSpec, Listen};

    use super::*;
    use crate::clock;
    use crate::desk::Desk;
    use crate::dispatch::Pool;

    fn shared() -> Arc<Shared> {
        let (near, _far) = tokio::io::duplex(64);
        let (outbox, _, _) = link::open::<FromFrontend, ToFrontend, _>(near);
        let limits = ClientLimits {
            max_body_bytes: 1,
            max_held_bytes: 1,
            max_connections: 1,
            header_read_ms: 1,
            body_read_ms: 1,
            idle_ms: 1,
        };
        let spec = FrontendSpec {
            listen: Listen::Bind { address: "127.0.0.1:0".parse().unwrap(), shared: false },
            run_dir: "/nowhere".into(),
            access: Access { pepper: Pepper::new([0; 32]), keys: Vec::new(), admin: None },
            limits,
            backends: Vec::new(),
            native_prefixes: false,
            heartbeat_ms: 1,
        };
        let directory =
            Directory { models: Vec::new(), ready: true, reason: String::new(), backends_up: 0, backends: 0 };
        let pool = Pool::new(RunDir::at("/nowhere"), Secret::new("none"));
        Shared::new(Desk::new(outbox), pool, &spec, directory)
    }

    #[tokio::test]
    async fn a_panic_behind_signs_of_life_is_told_inside_the_stream() {
        let id = RequestId::mint();
        let caller = Caller {
            request: id,
            label: Label::of(id),
            dialect: dialect::Dialect::Anthropic,
            framing: dialect::Framing::Events,
            arrived: clock::now(),
        };
        let (go, ahead) = tokio::sync::oneshot::channel::<()>();
        let pursuit: Pursuit = Box::pin(async move {
            ahead.await.unwrap();
            unreachable!("on purpose")
        });
        let sign = dialect::heartbeat::beat(Endpoint::Messages, caller.framing, "m");
        let heartbeat = Heartbeat::new(Duration::from_millis(1), sign.clone());
        let mut body = answer(&shared(), &caller, pursuit, heartbeat).await.into_body();
        let beat = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(beat, sign);
        go.send(()).unwrap();
        let rest = body.collect().await.unwrap().to_bytes();
        let rest = String::from_utf8(rest.to_vec()).unwrap();
        assert!(rest.contains("event: error\n") && rest.contains("api_error"), "{rest}");
        assert!(!rest.contains("on purpose"), "{rest}");
    }
}
