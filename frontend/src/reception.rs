//! The reception: what happens to every request first and last. It gives the request its id, finds out what is
//! asked and by whom, passes it on, and sees to it that some answer with that id goes out, even after a panic.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use dialect::{Dialect, Framing};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::{KeyId, Label, RequestId};

use crate::answer_body::AnswerBody;
use crate::refusal::Refusal;
use crate::routes::{self, Route};
use crate::shared::{Shared, Terms};
use crate::{body, clock, exchange, health, ollama};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ANTHROPICS_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// One request, as far as every answer to it depends on it.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Our id for it.
    pub(crate) request: RequestId,
    /// What the client calls it.
    pub(crate) label: Label,
    /// How it understands errors.
    pub(crate) dialect: Dialect,
    /// How it wants a stream to be framed.
    pub(crate) framing: Framing,
    /// When its head had arrived.
    pub(crate) arrived: Instant,
}

impl Caller {
    fn of(request: &Request<Incoming>, route: &Route) -> Self {
        let id = RequestId::mint();
        let query = request.uri().query();
        let own = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
        Self {
            request: id,
            label: own.and_then(Label::from_client).unwrap_or_else(|| Label::of(id)),
            dialect: routes::dialect_of(route, request.uri().path(), request.headers()),
            framing: if let Route::Ask(call) = route { call.framing(query) } else { Framing::Events },
            arrived: clock::now(),
        }
    }
}

/// Answers `request`. Dropping this means that the client left.
pub(crate) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<AnswerBody> {
    let terms = shared.terms();
    let route = terms.route(request.method(), request.uri().path());
    let caller = Caller::of(&request, &route);
    let outcome = guarded(pass_on(&shared, &terms, &caller, route, request)).await;
    respond(&caller, outcome)
}

/// The answer that `outcome` makes; `None` is a panic.
fn respond(caller: &Caller, outcome: Option<Result<Response<AnswerBody>, Refusal>>) -> Response<AnswerBody> {
    let mut response = match outcome {
        Some(Ok(response)) => response,
        Some(Err(refusal)) => {
            tracing::debug!(request = %caller.label, code = &*refusal.code, "refusing");
            refusal.response(caller)
        }
        None => {
            tracing::error!(request = %caller.label, "answering a request panicked; the request failed");
            Refusal::because(FailureKind::Internal, "an internal error; the log of the service tells more")
                .response(caller)
        }
    };
    if let Ok(label) = HeaderValue::from_str(caller.label.as_str()) {
        if caller.dialect == Dialect::Anthropic {
            // Where its own clients look for it.
            response.headers_mut().insert(ANTHROPICS_REQUEST_ID, label.clone());
        }
        response.headers_mut().insert(REQUEST_ID, label);
    }
    tracing::debug!(request = %caller.label, status = response.status().as_u16(), "answering");
    response
}

async fn pass_on(
    shared: &Arc<Shared>,
    terms: &Arc<Terms>,
    caller: &Caller,
    route: Route,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Refusal> {
    let answer = match admitted(terms, caller, &route, &request) {
        Err(refusal) => Err(refusal),
        Ok(key) => match route {
            Route::Ask(call) => {
                let asker = exchange::Asker { call: *call, key, terms: Arc::clone(terms) };
                return exchange::run(shared, caller, asker, request).await;
            }
            Route::Show => return ollama::show(shared, terms, request).await,
            route => at_once(shared, terms, caller, route, request.headers()),
        },
    };
    let (head, incoming) = request.into_parts();
    body::discard(&head.headers, incoming).await;
    answer
}

/// Whose key the request came with, if it needs one.
fn admitted(
    terms: &Terms,
    caller: &Caller,
    route: &Route,
    request: &Request<Incoming>,
) -> Result<KeyId, Refusal> {
    let uri = request.uri();
    if !routes::wants_key(route, uri.path()) {
        return Ok(KeyId::ANONYMOUS);
    }
    let query = uri.query().filter(|_| caller.dialect == Dialect::Gemini);
    terms.keyring.client(request.headers(), query).map_err(Refusal::no_entry)
}

/// What needs nobody else.
fn at_once(
    shared: &Shared,
    terms: &Terms,
    caller: &Caller,
    route: Route,
    headers: &HeaderMap,
) -> Result<Response<AnswerBody>, Refusal> {
    match route {
        Route::Models => Ok(shared.listing().all(caller.dialect)),
        Route::Model(id) => shared.listing().one(&id, caller.dialect),
        Route::Running => Ok(ollama::running()),
        Route::Version => Ok(ollama::version()),
        Route::Greeting => Ok(ollama::greeting()),
        Route::Alive => Ok(health::alive()),
        Route::Health => Ok(health::health(&shared.listing(), shared.desk.open())),
        Route::Ready => Ok(health::ready(&shared.listing(), shared.desk.admits())),
        Route::Admin => Err(match terms.keyring.admin(headers) {
            Ok(()) => not_found("the admin API is not available in this version"),
            Err(why) => Refusal::no_entry(why),
        }),
        Route::Unmanaged => Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "not_supported",
            "models are not managed through proxylm: do this at the Ollama server itself",
        )),
        Route::Unstored => Err(not_found(
            "responses are not stored here, so none can be read, cancelled or deleted: send the whole \
             conversation with every request",
        )),
        Route::NoOperation(operation) => {
            Err(not_found(format!("models have no operation `{}` here", abridged(&operation))))
        }
        Route::WrongMethod(allowed) => Err(Refusal::wrong_method(allowed)),
        // The last two need more than this, and have been dealt with.
        Route::Unknown | Route::Ask(_) | Route::Show => Err(not_found("there is nothing at this path")),
    }
}

/// So much of a word of the client's own as fits a sentence.
fn abridged(word: &str) -> &str {
    word.get(..40).unwrap_or(word)
}

fn not_found(message: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
}

/// Runs `future`; `None` when it panics.
pub(crate) async fn guarded<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        // After a panic the future is not polled again; what it shared with others is consistent at every await.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use dialect::Endpoint;
    use http_body_util::{BodyExt, Full};
    use hyper::client::conn::http1::SendRequest;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use ipc_proto::control::{Admission, FromFrontend, ToFrontend};
    use ipc_proto::ids::ModelName;
    use ipc_proto::link::{self, Inbox};
    use tokio::io::DuplexStream;
    use tokio::task::JoinSet;

    use super::*;
    use crate::desk::Desk;

    #[tokio::test]
    async fn a_panic_is_caught() {
        let broken = async {
            tokio::task::yield_now().await;
            assert_eq!(1, 2, "on purpose");
        };
        assert!(guarded(broken).await.is_none());
        assert_eq!(guarded(async { 3 }).await, Some(3));
    }

    /// A client's connection to a reception where everything that asks a model panics once it has been admitted.
    struct Scene {
        client: SendRequest<Full<Bytes>>,
        supervisor: Inbox<FromFrontend, DuplexStream>,
        _tasks: JoinSet<()>,
    }

    impl Scene {
        async fn open() -> Self {
            let mut tasks = JoinSet::new();
            let (here, there) = tokio::io::duplex(1 << 16);
            let (outbox, _, writer) = link::open::<FromFrontend, ToFrontend, _>(here);
            let (_, supervisor, _) = link::open::<ToFrontend, FromFrontend, _>(there);
            tasks.spawn(async move { writer.run().await.unwrap() });
            let desk = Desk::new(outbox);
            let service = service_fn(move |request| broken_answer(Arc::clone(&desk), request));
            let (near, far) = tokio::io::duplex(1 << 16);
            tasks.spawn(async move {
                let server = hyper::server::conn::http1::Builder::new();
                server.serve_connection(TokioIo::new(far), service).await.unwrap();
            });
            let (client, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
            tasks.spawn(async move { connection.await.unwrap() });
            Self { client, supervisor, _tasks: tasks }
        }

        async fn ask(&mut self, request: http::request::Builder) -> (http::response::Parts, String) {
            self.client.ready().await.unwrap();
            let response = self.client.send_request(request.body(Full::default()).unwrap()).await.unwrap();
            let (head, body) = response.into_parts();
            (head, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
        }

        async fn heard(&mut self) -> FromFrontend {
            self.supervisor.recv().await.unwrap().expect("the frontend is there")
        }
    }

    async fn broken_answer(
        desk: Arc<Desk>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let route = Route::of(request.method(), request.uri().path());
        let caller = Caller::of(&request, &route);
        let outcome = guarded(async {
            let Route::Ask(call) = route else { return Ok(health::alive()) };
            let _case = desk.admit(admission(&caller, call.endpoint), caller.arrived);
            tokio::task::yield_now().await;
            unreachable!("on purpose")
        });
        Ok(respond(&caller, outcome.await))
    }

    fn admission(caller: &Caller, endpoint: Endpoint) -> Admission {
        Admission {
            request: caller.request,
            label: caller.label.clone(),
            endpoint,
            model: ModelName::new("m"),
            key: KeyId::ANONYMOUS,
            stream: false,
            body_bytes: 0,
            max_output_tokens: None,
            affinity: 0,
            deadline_ms: None,
            waited_ms: 0,
            class: None,
            load: dialect::load::LoadOptions::default(),
            under: None,
            only: None,
        }
    }

    #[tokio::test]
    async fn api_15_a_panic_is_a_500_in_the_callers_dialect_and_its_connection_serves_on() {
        let mut scene = Scene::open().await;
        for (path, dialect) in
            [("/v1/chat/completions", Dialect::OpenAi), ("/v1/messages", Dialect::Anthropic)]
        {
            let (head, body) = scene.ask(Request::post(path).header("x-request-id", "req-7")).await;
            assert_eq!(
                (head.status.as_u16(), &head.headers["x-request-id"]),
                (500, &"req-7".parse().unwrap())
            );
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            if dialect == Dialect::Anthropic {
                assert_eq!(body["type"], "error", "{body}");
                assert_eq!(body["error"]["type"], "api_error", "{body}");
                assert_eq!(head.headers["request-id"], "req-7");
            } else {
                assert_eq!(body["error"]["code"], "internal_error", "{body}");
                assert!(!head.headers.contains_key("request-id"));
            }
            assert!(!body.to_string().contains("on purpose"), "{body}");
            // The supervisor hears of the end, so that nothing stays taken.
            assert!(matches!(scene.heard().await, FromFrontend::Admit(_)));
            let end = scene.heard().await;
            assert!(
                matches!(&end, FromFrontend::Closed { outcome, .. } if outcome.status == 500
                    && outcome.failure.as_ref().map(|failure| failure.kind) == Some(FailureKind::Internal)),
                "{end:?}"
            );
            let (head, _) = scene.ask(Request::get("/healthz")).await;
            assert_eq!(head.status, StatusCode::OK);
        }
    }
}
