//! One exchange, from its body to the commit: read, admitted, granted, tried, perhaps tried again, answered.
//!
//! The body is kept until the answer begins, so that another attempt can be made; afterwards the
//! [`AnswerBody`] owns what is left of the exchange. Dropping either cancels it wherever it is.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use dialect::Endpoint;
use dialect::summary::{self, Summary};
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use ipc_proto::control::{Admission, FromFrontend, Grant, StandingGrant};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{KeyId, ModelName};
use ipc_proto::stream::{Answer, Head, Open};

use crate::answer_body::{AnswerBody, Parcel, Relay};
use crate::desk::{Case, Word};
use crate::dispatch::{self, Attempt, Connection};
use crate::reception::Caller;
use crate::refusal::{self, Refusal};
use crate::shared::{Shared, Terms};
use crate::{body, clock, forward, loans};

const BACKEND: HeaderName = HeaderName::from_static("x-proxylm-backend");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-proxylm-attempts");
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const TIMEOUT: &str = "x-proxylm-timeout-ms";

/// Who asks for what, and under which terms.
pub(crate) struct Asker {
    /// The operation.
    pub(crate) endpoint: Endpoint,
    /// Whose key it came with.
    pub(crate) key: KeyId,
    /// The terms it came under.
    pub(crate) terms: Arc<Terms>,
}

/// The request, as every attempt sends it.
struct Errand<'a> {
    caller: &'a Caller,
    endpoint: Endpoint,
    summary: Summary,
    head: Parts,
    body: Bytes,
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
    let summary = summary::read(asker.endpoint, &kept.bytes)
        .map_err(|bad| Refusal::because(FailureKind::BadRequest, bad.message).at(bad.param))?;
    let name = asker.terms.keyring.name(asker.key);
    let mut admission = admission(caller, &asker, &summary, &head, kept.bytes.len());
    let loan = loan(shared, &admission);
    admission.under = loan.as_ref().map(|loan| loan.grant);
    let lent = loan.is_some();
    tracing::debug!(request = %caller.label, client = name, model = summary.model, lent, "admitting");
    let case = shared.desk.admit(admission, caller.arrived).map_err(|failure| Refusal::of(&failure, None))?;
    let errand = Errand { caller, endpoint: asker.endpoint, summary, head, body: kept.bytes.clone() };
    Ok(pursue(shared, &asker.terms, &errand, case, loan).await)
}

fn admission(caller: &Caller, asker: &Asker, summary: &Summary, head: &Parts, length: usize) -> Admission {
    let timeout = head.headers.get(TIMEOUT).and_then(|value| value.to_str().ok());
    Admission {
        request: caller.request,
        label: caller.label.clone(),
        endpoint: asker.endpoint,
        model: ModelName::new(&summary.model),
        key: asker.key,
        stream: summary.stream,
        body_bytes: length as u64,
        max_output_tokens: summary.max_output_tokens,
        affinity: summary.affinity,
        deadline_ms: timeout.and_then(|text| text.trim().parse().ok()),
        waited_ms: 0,
        class: None,
        load: summary.load.clone(),
        under: None,
    }
}

/// A loan that `admission` may begin under; what is found too old is given back.
fn loan(shared: &Shared, admission: &Admission) -> Option<Box<StandingGrant>> {
    if admission.class.is_some() || !admission.load.is_empty() {
        // A loan is for requests of which there is nothing more to know than a model, a dialect and a key.
        return None;
    }
    let dialect = admission.endpoint.dialect();
    let found = shared.loans.find(&admission.model, dialect, admission.key, clock::now());
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
    errand: &Errand<'_>,
    case: Case,
    loan: Option<Box<StandingGrant>>,
) -> Response<AnswerBody> {
    let mut attempts = 0;
    let mut lent = loan.map(|loan| loans::as_grant(*loan, errand.caller.request));
    loop {
        let grant = match lent.take() {
            Some(grant) => grant,
            None => match poll_fn(|cx| case.poll_word(cx)).await {
                Ok(Word::Granted(grant)) => *grant,
                Ok(Word::Rejected(failure)) | Err(failure) => return tell(errand, case, attempts, failure),
            },
        };
        attempts = grant.attempt;
        let body = errand.body.clone();
        match dispatch::attempt(&shared.pool, &grant, errand.open(&grant), body, &case).await {
            Attempt::Begun(head, connection) => {
                let mut response = commit(shared, errand.caller, case, *head, connection);
                let headers = response.headers_mut();
                if let Some(backend) = terms.backend(grant.worker.backend) {
                    headers.insert(BACKEND, backend);
                }
                count(headers, attempts);
                return response;
            }
            Attempt::Ended(failure) => return tell(errand, case, attempts, failure),
            Attempt::Failed(failure) => {
                tracing::debug!(
                    request = %errand.caller.label, worker = %grant.worker, code = failure.kind.code(),
                    detail = failure.detail, "an attempt failed"
                );
                if let Err(failure) = case.attempt_failed(grant.grant, failure) {
                    return tell(errand, case, attempts, failure);
                }
            }
        }
    }
}

impl Errand<'_> {
    fn open(&self, grant: &Grant) -> Open {
        Open {
            grant: grant.grant,
            request: self.caller.request,
            label: self.caller.label.clone(),
            endpoint: self.endpoint,
            stream: self.summary.stream,
            model: grant.model.clone(),
            load: grant.load.clone(),
            query: self.head.uri.query().map(str::to_owned),
            headers: forward::to_backend(&self.head.headers),
            body_bytes: self.body.len() as u64,
        }
    }
}

/// Ends the exchange with an error of ours.
fn tell(errand: &Errand<'_>, mut case: Case, attempts: u32, failure: Failure) -> Response<AnswerBody> {
    let refusal = Refusal::of(&failure, Some(&errand.summary.model));
    let mut response = refusal.response(errand.caller);
    case.begin(refusal.status.as_u16());
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
    mut case: Case,
    head: Head,
    mut connection: Connection,
) -> Response<AnswerBody> {
    // Below 200 there is more to come, which there is not.
    let status = StatusCode::from_u16(head.status).ok().filter(|status| !status.is_informational());
    let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
    case.begin(status.as_u16());
    let mut early = VecDeque::new();
    let body = if let Some(bytes) = whole(&mut connection, &mut early) {
        shared.pool.put(connection);
        case.count(bytes.len());
        case.complete();
        AnswerBody::Whole(bytes)
    } else {
        let parcel = Parcel { case, connection, early, events: head.events, body_bytes: head.body_bytes };
        AnswerBody::Relayed(Box::new(Relay::new(shared, caller, parcel)))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    forward::to_client(head.headers, response.headers_mut());
    if head.events {
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
    }
    if status.is_client_error() || status.is_server_error() {
        refusal::mark_upstream(&mut response);
    }
    response
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
