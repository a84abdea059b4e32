//! One exchange, from its body to the commit: read, admitted, granted, tried, perhaps tried again, answered.
//!
//! The body is kept until the answer begins, so that another attempt can be made; afterwards the
//! [`AnswerBody`] owns what is left of the exchange. Dropping either cancels it wherever it is. A streaming client
//! that waits is told so meanwhile, by [`awaited`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use dialect::{Task, heartbeat};
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use ipc_proto::control::{Admission, Class, FromFrontend, StandingGrant, Waiting};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{KeyId, ModelName};
use ipc_proto::stream::{Answer, Head};

use crate::answer_body::{AnswerBody, Parcel, Relay};
use crate::body;
use crate::call::Call;
use crate::desk::{Case, Word};
use crate::dispatch::{self, Attempt, Connection};
use crate::errand::Errand;
use crate::heartbeat::Heartbeat;
use crate::reception::Caller;
use crate::refusal::{self, Refusal};
use crate::shared::{Shared, Terms};
use crate::{awaited, clock, estimate, forward, loans};

const BACKEND: HeaderName = HeaderName::from_static("x-proxylm-backend");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-proxylm-attempts");
/// Tells a reverse proxy in front of us to pass a stream on as it comes.
pub(crate) const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const TIMEOUT: &str = "x-proxylm-timeout-ms";
const CLASS: &str = "x-proxylm-class";

/// Who asks for what, and under which terms.
pub(crate) struct Asker {
    /// What is asked.
    pub(crate) call: Call,
    /// Whose key it came with.
    pub(crate) key: KeyId,
    /// The terms it came under.
    pub(crate) terms: Arc<Terms>,
}

/// What came of the attempts.
pub(crate) enum Found {
    /// One is answered.
    Begun(Box<Begun>),
    /// There is no answer, and will be none.
    Refused(Box<Refused>),
}

/// An answer that begins.
pub(crate) struct Begun {
    /// The exchange.
    pub(crate) case: Case,
    /// How the answer begins.
    pub(crate) head: Head,
    /// Where the rest comes from.
    pub(crate) connection: Connection,
    /// The backend's name, as a header.
    pub(crate) backend: Option<HeaderValue>,
    /// How many attempts were made.
    pub(crate) attempts: u32,
}

impl Begun {
    /// Whether it is what a client that wants a stream was promised.
    pub(crate) fn is_stream(&self) -> bool {
        self.head.events && (200..300).contains(&self.head.status)
    }
}

/// An exchange that ends with an error of ours.
pub(crate) struct Refused {
    /// The exchange.
    pub(crate) case: Case,
    /// Why.
    pub(crate) failure: Failure,
    /// What the client is told.
    pub(crate) refusal: Refusal,
    /// How many attempts were made.
    pub(crate) attempts: u32,
}

/// Carries `request` through to the beginning of its answer.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    caller: &Caller,
    asker: Asker,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Refusal> {
    let (head, incoming) = request.into_parts();
    if !shared.desk.admits() {
        body::discard(&head.headers, incoming).await;
        return Err(Refusal::of(&Failure::new(FailureKind::Draining, ""), None));
    }
    let closing = shared.desk.doors_closed();
    let kept = body::read(&head.headers, incoming, &asker.terms.limits, &shared.budget, closing).await?;
    let errand = Errand::new(caller, asker.call, &shared.listing(), head, kept)?;
    if let Task::Count(_) = errand.call.endpoint.task()
        && errand.call.lane.is_none()
        && shared.listing().wants_estimate(&errand.summary.model, errand.call.endpoint.dialect())
    {
        return estimate::answer(shared, errand).await;
    }
    let admission = admission(&errand, asker.key)?;
    let loan = loan(shared, &admission);
    let admission = Admission { under: loan.as_ref().map(|loan| loan.grant), ..admission };
    let lent = loan.is_some();
    let name = asker.terms.keyring.name(asker.key);
    tracing::debug!(request = %caller.label, client = name, model = errand.summary.model, lent, "admitting");
    let case = shared.desk.admit(admission, caller.arrived).map_err(|failure| Refusal::of(&failure, None))?;
    let endpoint = errand.call.endpoint;
    // What is native is untouched, so it has no signs of life of ours in it.
    let interval = asker.terms.heartbeat.filter(|_| errand.summary.stream && endpoint.generates());
    let heartbeat = interval.map(|interval| {
        Heartbeat::new(interval, heartbeat::beat(endpoint, caller.framing, &errand.summary.model))
    });
    // Owns what it needs, because it may have to go on when the head of the answer is out.
    let pursuit = {
        let (shared, terms) = (Arc::clone(shared), Arc::clone(&asker.terms));
        Box::pin(async move { pursue(&shared, &terms, &errand, case, loan).await })
    };
    Ok(match heartbeat {
        Some(heartbeat) => awaited::answer(shared, caller, pursuit, heartbeat).await,
        None => present(shared, caller, pursuit.await, None),
    })
}

/// The class that the request claims for itself, if it does.
fn class(headers: &HeaderMap) -> Result<Option<Class>, Refusal> {
    let Some(value) = headers.get(CLASS) else { return Ok(None) };
    let word = value.to_str().unwrap_or_default().trim().to_ascii_lowercase();
    let (one, other) = (Class::Interactive.as_str(), Class::Batch.as_str());
    Class::from_word(&word).map(Some).ok_or_else(|| {
        Refusal::because(
            FailureKind::BadRequest,
            format!("the header {CLASS} is either `{one}` or `{other}`"),
        )
    })
}

fn admission(errand: &Errand, key: KeyId) -> Result<Admission, Refusal> {
    let headers = &errand.head().headers;
    let timeout = headers.get(TIMEOUT).and_then(|value| value.to_str().ok());
    let Errand { caller, call, summary, .. } = errand;
    Ok(Admission {
        request: caller.request,
        label: caller.label.clone(),
        endpoint: call.endpoint,
        model: ModelName::new(&summary.model),
        key,
        stream: summary.stream,
        body_bytes: errand.body().len() as u64,
        max_output_tokens: summary.max_output_tokens,
        affinity: summary.affinity,
        deadline_ms: timeout.and_then(|text| text.trim().parse().ok()),
        waited_ms: 0,
        class: class(headers)?,
        load: summary.load.clone(),
        under: None,
        only: call.lane.as_ref().map(|lane| lane.backend),
    })
}

/// A loan that `admission` may begin under; what is found too old is given back.
fn loan(shared: &Shared, admission: &Admission) -> Option<Box<StandingGrant>> {
    if admission.class.is_some() || admission.only.is_some() || !admission.load.is_empty() {
        // A loan is for requests of which there is nothing more to know than a model, a task and a key.
        return None;
    }
    let task = admission.endpoint.task();
    let found = shared.loans.find(&admission.model, task, admission.key, clock::now());
    for grant in found.too_old {
        shared.desk.mention(&FromFrontend::Returned { grant });
    }
    found.loan
}

/// Makes attempts as they are granted, the first under the `loan` if there is one, until one is answered or there
/// will be none.
async fn pursue(
    shared: &Arc<Shared>,
    terms: &Terms,
    errand: &Errand,
    case: Case,
    loan: Option<Box<StandingGrant>>,
) -> Found {
    let mut attempts = 0;
    let mut lent = loan.map(|loan| loans::as_grant(*loan, errand.caller.request));
    loop {
        let loan = lent.take();
        let is_lent = loan.is_some();
        let grant = match loan {
            Some(grant) => grant,
            None => match poll_fn(|cx| case.poll_word(cx)).await {
                Ok(Word::Granted(grant)) => *grant,
                Ok(Word::Rejected(failure, waiting)) => {
                    return refuse(errand, case, attempts, failure, waiting);
                }
                Err(failure) => return refuse(errand, case, attempts, failure, None),
            },
        };
        attempts = grant.attempt;
        let (open, body) = (errand.open(terms, &grant, is_lent), errand.body().clone());
        match dispatch::attempt(&shared.pool, &grant, open, body, &case).await {
            Attempt::Begun(head, connection) => {
                let backend = terms.backend(grant.worker.backend);
                return Found::Begun(Box::new(Begun { case, head: *head, connection, backend, attempts }));
            }
            Attempt::Ended(failure) => return refuse(errand, case, attempts, failure, None),
            Attempt::Failed(failure) => {
                tracing::debug!(
                    request = %errand.caller.label, worker = %grant.worker, code = failure.kind.code(),
                    detail = failure.detail, "an attempt failed"
                );
                if let Err(failure) = case.attempt_failed(grant.grant, failure) {
                    return refuse(errand, case, attempts, failure, None);
                }
            }
        }
    }
}

fn refuse(errand: &Errand, case: Case, attempts: u32, failure: Failure, waiting: Option<Waiting>) -> Found {
    let refusal = Refusal::of(&failure, Some(&errand.summary.model)).after(waiting);
    Found::Refused(Box::new(Refused { case, failure, refusal, attempts }))
}

/// The response that begins with what was `found`; pauses in a stream are bridged by `heartbeat`.
pub(crate) fn present(
    shared: &Arc<Shared>,
    caller: &Caller,
    found: Found,
    heartbeat: Option<Heartbeat>,
) -> Response<AnswerBody> {
    match found {
        Found::Refused(refused) => tell(caller, *refused),
        Found::Begun(begun) => commit(shared, caller, *begun, heartbeat),
    }
}

/// Ends the exchange with an error of ours.
fn tell(caller: &Caller, refused: Refused) -> Response<AnswerBody> {
    let Refused { mut case, failure, refusal, attempts } = refused;
    let mut response = refusal.response(caller);
    case.begin(response.status().as_u16());
    case.count(response.body().len());
    case.close(Some(failure));
    count(response.headers_mut(), attempts);
    response
}

/// Says how many attempts it took, if it took several.
fn count(headers: &mut HeaderMap, attempts: u32) {
    if attempts > 1 {
        headers.insert(ATTEMPTS, HeaderValue::from(attempts));
    }
}

/// The answer begins: from here on there is no other attempt.
fn commit(
    shared: &Arc<Shared>,
    caller: &Caller,
    mut begun: Begun,
    heartbeat: Option<Heartbeat>,
) -> Response<AnswerBody> {
    // Below 200 there is more to come, which there is not.
    let status = StatusCode::from_u16(begun.head.status).ok().filter(|status| !status.is_informational());
    let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
    begun.head.status = status.as_u16();
    let (events, attempts, backend) = (begun.head.events, begun.attempts, begun.backend.take());
    let upstream = std::mem::take(&mut begun.head.headers);
    let body = relay(shared, caller, begun, heartbeat);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    forward::to_client(upstream, headers);
    if events {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
    }
    if let Some(backend) = backend {
        headers.insert(BACKEND, backend);
    }
    count(headers, attempts);
    if status.is_client_error() || status.is_server_error() {
        refusal::mark_upstream(&mut response);
    }
    response
}

/// The body of an answer that begins now.
pub(crate) fn relay(
    shared: &Arc<Shared>,
    caller: &Caller,
    begun: Begun,
    heartbeat: Option<Heartbeat>,
) -> AnswerBody {
    let Begun { mut case, head, mut connection, .. } = begun;
    case.begin(head.status);
    let mut early = VecDeque::new();
    if let Some(bytes) = whole(&mut connection, &mut early) {
        shared.pool.put(connection);
        case.count(bytes.len());
        case.complete();
        return AnswerBody::Whole(bytes);
    }
    let (events, body_bytes) = (head.events, head.body_bytes);
    let parcel = Parcel { case, connection, early, events, body_bytes, heartbeat };
    AnswerBody::Relayed(Box::new(Relay::new(shared, caller, parcel)))
}

/// The whole body, if all of it came together with the head, as small answers do; else what has come is in `early`.
fn whole(connection: &mut Connection, early: &mut VecDeque<Answer>) -> Option<Bytes> {
    let first = connection.buffered_answer()?;
    let bytes = match first {
        Answer::End(_) => return Some(Bytes::new()),
        Answer::Chunk(bytes) => bytes,
        other => {
            early.push_back(other);
            return None;
        }
    };
    match connection.buffered_answer() {
        Some(Answer::End(_)) => Some(bytes),
        second => {
            early.push_back(Answer::Chunk(bytes));
            early.extend(second);
            None
        }
    }
}
