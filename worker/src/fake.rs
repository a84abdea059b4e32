//! The fake backend: an engine without a model. It holds one model at a time, takes its time to load another, and
//! says words at a steady pace, so that queueing and swaps can be seen and tested without any software but ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dialect::error::ErrorReport;
use dialect::{Endpoint, error};
use http::{HeaderMap, HeaderValue, header};
use ipc_proto::control::OfferedModel;
use ipc_proto::ids::ModelName;
use ipc_proto::spec::FakeSpec;
use serde_json::Value;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::Instant;

use crate::clock;
use crate::fake_talk::Talk;
use crate::source::Source;
use crate::upstream::Reply;

/// The model in memory. Whoever generates holds it for reading; whoever loads another one waits for all of them.
type Memory = RwLock<Option<ModelName>>;

/// An engine that makes things up.
pub(crate) struct Fake {
    spec: FakeSpec,
    memory: Arc<Memory>,
    answers: AtomicU64,
}

impl Fake {
    /// An engine as `spec` describes it, with no model in memory.
    pub(crate) fn new(spec: FakeSpec) -> Self {
        Self { spec, memory: Arc::default(), answers: AtomicU64::new(0) }
    }

    /// The models it offers.
    pub(crate) fn offered(&self) -> Vec<OfferedModel> {
        let offered = |id: &ModelName| OfferedModel { id: id.clone(), created: None, owned_by: None };
        self.spec.models.iter().map(offered).collect()
    }

    /// The model in memory; none while it loads one.
    pub(crate) fn loaded(&self) -> Vec<ModelName> {
        self.memory.try_read().map(|loaded| loaded.iter().cloned().collect()).unwrap_or_default()
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
        let memory = self.load(model).await;
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let created = clock::unix_ms() / 1000;
        let talk = Talk::new(endpoint, model.as_str(), &request, self.spec.words, number, created);
        let word = Duration::from_millis(self.spec.word_ms);
        let is_stream = stream && endpoint != Endpoint::Embeddings;
        let words = if endpoint == Endpoint::Embeddings { 1 } else { talk.words() };
        let said = if is_stream { Said::Nothing } else { Said::ButForTheWhole };
        let first = if is_stream { word } else { word.saturating_mul(words) };
        let body = FakeBody { talk, word, due: clock::now() + first, said, _memory: Some(memory) };
        reply(200, if is_stream { "text/event-stream" } else { "application/json" }, body)
    }

    async fn load(&self, model: &ModelName) -> OwnedRwLockReadGuard<Option<ModelName>> {
        let loaded = Arc::clone(&self.memory).read_owned().await;
        if loaded.as_ref() == Some(model) {
            return loaded;
        }
        drop(loaded);
        let mut loaded: OwnedRwLockWriteGuard<_> = Arc::clone(&self.memory).write_owned().await;
        if loaded.as_ref() != Some(model) {
            *loaded = None;
            tokio::time::sleep(Duration::from_millis(self.spec.load_ms)).await;
            *loaded = Some(model.clone());
        }
        loaded.downgrade()
    }
}

fn reply(status: u16, content_type: &'static str, body: FakeBody) -> Reply {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    Reply { status, headers, body: Source::from_fake(body) }
}

fn refusal(endpoint: Endpoint, status: u16, code: &str, message: &str) -> Reply {
    let report = ErrorReport { status, code, message, param: None, request_id: "fake" };
    let body = Bytes::from(error::body(endpoint.dialect(), &report));
    reply(status, "application/json", FakeBody::of(endpoint, body))
}

/// The body of a fake answer. Its model stays in memory until the body is dropped.
pub(crate) struct FakeBody {
    talk: Talk,
    word: Duration,
    due: Instant,
    said: Said,
    _memory: Option<OwnedRwLockReadGuard<Option<ModelName>>>,
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
        Self { talk, word: Duration::ZERO, due: clock::now(), said: Said::ButFor(body), _memory: None }
    }

    /// The next piece, or `None` at the end. Safe to cancel.
    pub(crate) async fn piece(&mut self) -> Option<Bytes> {
        if matches!(self.said, Said::Everything) {
            return None;
        }
        if self.due > clock::now() {
            tokio::time::sleep_until(self.due).await;
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
        if matches!(said, Said::Words(0)) {
            // The opening and the first word come together.
            self.due = clock::now();
        }
        self.said = said;
        Some(piece)
    }
}
