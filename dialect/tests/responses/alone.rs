//! Exchanges in which both sides speak Responses.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::Value;

use crate::exchange::{terms, translated};

/// What OpenAI gets of a client's request, and the losses as a header.
pub(crate) fn sent(body: &str) -> (Value, Option<String>) {
    sent_to(Engine::Provider, "gpt-4.1", body)
}

/// The same for a server of this kind with this model.
pub(crate) fn sent_to(engine: Engine, model: &str, body: &str) -> (Value, Option<String>) {
    let all = translated(Endpoint::Responses, Dialect::Responses, body, &terms(engine, model))
        .expect("it is translated");
    assert_eq!(all.endpoint, Endpoint::Responses);
    (serde_json::from_slice(&all.body).expect("it is JSON"), all.losses.header())
}

/// Why a request is refused: whether another backend may take it, and the sentence.
pub(crate) fn refused(body: &str) -> (bool, String) {
    let terms = terms(Engine::Provider, "gpt-4.1");
    let unfit =
        translated(Endpoint::Responses, Dialect::Responses, body, &terms).err().expect("it is refused");
    (unfit.is_good_elsewhere, unfit.to_string())
}

/// The client's whole answer for the backend's.
pub(crate) fn answered(body: &str, answer: &str) -> Value {
    let terms = terms(Engine::Provider, "gpt-4.1");
    let mut all =
        translated(Endpoint::Responses, Dialect::Responses, body, &terms).expect("it is translated");
    let (out, _) = all.translator.whole(answer.as_bytes()).expect("it is translated");
    serde_json::from_slice(&out).expect("it is JSON")
}
