//! The fake backend: an engine without a model. It holds one model at a time, takes its time to load another, under
//! which running answers break off, and says words at a steady pace: so queueing and swaps can be seen and tested
//! without any software but ours.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dialect::error::ErrorReport;
use dialect::load::LoadOptions;
use dialect::{Endpoint, error};
use http::{HeaderMap, HeaderValue, header};
use ipc_proto::control::OfferedModel;
use ipc_proto::ids::ModelName;
use ipc_proto::spec::FakeSpec;
use serde_json::Value;
use tokio::time::Instant;

use crate::clock;
use crate::fake_engine::{Engine, Hold, Wanted};
use crate::fake_talk::Talk;
use crate::residency::Residency;
use crate::source::Source;
use crate::upstream::Reply;

/// The media type of what is no stream.
const JSON: &str = "application/json";

/// An engine that makes things up.
pub(crate) struct Fake {
    spec: FakeSpec,
    engine: Engine,
    answers: AtomicU64,
}

impl Fake {
    /// An engine as `spec` describes it, with no model in memory.
    pub(crate) fn new(spec: FakeSpec) -> Self {
        let engine = Engine::new(Duration::from_millis(spec.load_ms));
        Self { spec, engine, answers: AtomicU64::new(0) }
    }

    /// The models it offers.
    pub(crate) fn offered(&self) -> Vec<OfferedModel> {
        let offered = |id: &ModelName| OfferedModel { id: id.clone(), created: None, owned_by: None };
        self.spec.models.iter().map(offered).collect()
    }

    /// What is in its memory: one model, none while it loads one. It asks for one request at a time, though it takes
    /// as many as come.
    pub(crate) fn residency(&self) -> Residency {
        let loaded = self.engine.loaded().into_iter().collect();
        Residency { loaded: Some(loaded), slots: Some(1), max_models: Some(1) }
    }

    /// How many models it has loaded, and how many answers broke off because it loaded another one.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.engine.counts()
    }

    /// Answers a request. Returns when the model is loaded. Safe to cancel: a load that is not waited for stops.
    pub(crate) async fn answer(&self, endpoint: Endpoint, stream: bool, body: &[u8]) -> Reply {
        let Ok(request) = serde_json::from_slice::<Value>(body) else {
            return refusal(endpoint, 400, "invalid_request", "the body is not JSON");
        };
        let asked = request.get("model").and_then(Value::as_str).unwrap_or_default();
        let Some(model) = self.spec.models.iter().find(|model| model.as_str() == asked) else {
            return refusal(endpoint, 404, "model_not_found", "this backend has no such model");
        };
        if !Talk::is_known(endpoint) {
            return refusal(endpoint, 404, "not_found", "this backend has no such operation");
        }
        if endpoint == Endpoint::CountTokens {
            // Counting needs no model in memory.
            let talk = Talk::new(endpoint, model.as_str(), &request, 0, 0, 0);
            return reply(200, JSON, FakeBody::of(endpoint, talk.whole().into()));
        }
        let hold = self.engine.hold(&Wanted::new(model, LoadOptions::of(body))).await;
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let created = clock::unix_ms() / 1000;
        let talk = Talk::new(endpoint, model.as_str(), &request, self.spec.words, number, created);
        let word = Duration::from_millis(self.spec.word_ms);
        let is_stream = stream && endpoint != Endpoint::Embeddings;
        let words = if endpoint == Endpoint::Embeddings { 1 } else { talk.words() };
        let said = if is_stream { Said::Nothing } else { Said::ButForTheWhole };
        let first = if is_stream { word } else { word.saturating_mul(words) };
        let body = FakeBody { talk, word, due: clock::now() + first, said, hold: Some(hold) };
        reply(200, if is_stream { "text/event-stream" } else { JSON }, body)
    }
}

fn reply(status: u16, content_type: &'static str, body: FakeBody) -> Reply {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    Reply { status, headers, body: Source::from_fake(body) }
}

fn refusal(endpoint: Endpoint, status: u16, code: &str, message: &str) -> Reply {
    let report = ErrorReport { status, code, message, param: None, request_id: "fake" };
    let body = Bytes::from(error::body(endpoint.dialect(), &report));
    reply(status, JSON, FakeBody::of(endpoint, body))
}

/// The model of an answer has been unloaded under it.
#[derive(Debug)]
pub(crate) struct Unloaded;

/// The body of a fake answer. It breaks off when its model is unloaded.
pub(crate) struct FakeBody {
    talk: Talk,
    word: Duration,
    due: Instant,
    said: Said,
    hold: Option<Hold>,
}

/// How much has been said.
enum Said {
    Nothing,
    Words(u32),
    ButForTheWhole,
    ButFor(Bytes),
    Everything,
}

impl FakeBody {
    /// A body that is there at once.
    fn of(endpoint: Endpoint, body: Bytes) -> Self {
        let talk = Talk::new(endpoint, "", &Value::Null, 0, 0, 0);
        Self { talk, word: Duration::ZERO, due: clock::now(), said: Said::ButFor(body), hold: None }
    }

    /// The next piece, or `None` at the end. Safe to cancel.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, Unloaded>> {
        if matches!(self.said, Said::Everything) {
            return None;
        }
        let due = self.due;
        let waiting = async {
            if due > clock::now() {
                tokio::time::sleep_until(due).await;
            }
        };
        if let Some(hold) = &mut self.hold {
            tokio::select! {
                biased;
                () = hold.lost() => return Some(Err(Unloaded)),
                () = waiting => {}
            }
        } else {
            waiting.await;
        }
        self.due += self.word;
        let (piece, said) = match &self.said {
            Said::Nothing => (self.talk.opening().into(), Said::Words(0)),
            Said::Words(said) if *said < self.talk.words() => {
                (self.talk.word(*said).into(), Said::Words(said + 1))
            }
            Said::Words(_) => (self.talk.closing().into(), Said::Everything),
            Said::ButForTheWhole => (self.talk.whole().into(), Said::Everything),
            Said::ButFor(body) => (body.clone(), Said::Everything),
            Said::Everything => return None,
        };
        match said {
            // The opening and the first word come together.
            Said::Words(0) => self.due = clock::now(),
            Said::Everything => self.hold.iter_mut().for_each(Hold::end),
            _ => {}
        }
        self.said = said;
        Some(Ok(piece))
    }
}
