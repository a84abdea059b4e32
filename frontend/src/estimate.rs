//! Counts of tokens for models whose backends count none: with a tokenizer of our own, and said to be so.
//!
//! Nothing is asked of a model, so an estimate waits in no queue and has no row in the history.

use std::sync::Arc;

use dialect::{Endpoint, count};
use http::{HeaderValue, Response};
use ipc_proto::failure::FailureKind;
use tokio::sync::Semaphore;

use crate::answer_body::AnswerBody;
use crate::errand::Errand;
use crate::forward::WARNING;
use crate::models::json_response;
use crate::refusal::Refusal;
use crate::shared::Shared;

/// So many bodies are counted at a time: each keeps a thread busy.
const AT_ONCE: usize = 2;

const SAID: HeaderValue = HeaderValue::from_static(
    "the tokens are an estimate: they were counted with another tokenizer than the model's own",
);

/// Those who count. Whoever comes while all are busy waits for its turn.
pub(crate) struct Counters(Arc<Semaphore>);

impl Default for Counters {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Answers `errand`, which asks for a count, here.
pub(crate) async fn answer(shared: &Shared, errand: Errand) -> Result<Response<AnswerBody>, Refusal> {
    let endpoint = errand.call.endpoint;
    let failed = || Refusal::because(FailureKind::Internal, "the tokens could not be counted");
    let turn = Arc::clone(&shared.counters.0).acquire_owned().await.map_err(|_| failed())?;
    let body = errand.into_body();
    // Text of a megabyte takes a while: not on the thread that serves everybody. The turn lasts as long as the work
    // does, even if its client has left.
    let counting = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        counted(endpoint, &body.bytes)
    });
    let body = counting.await.map_err(|_| failed())??;
    let mut response = json_response(body.into());
    response.headers_mut().insert(WARNING, SAID);
    Ok(response)
}

fn counted(endpoint: Endpoint, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let tokens = count::tokens(endpoint, body)
        .map_err(|bad| Refusal::because(FailureKind::BadRequest, bad.message).at(bad.param))?;
    Ok(count::body(endpoint, tokens))
}
