//! Probes: what the backend offers, and what it has in memory. A probe never generates and never loads a model.
//!
//! Probes use the same client as requests, so that what they find holds for requests, too.

use std::sync::Arc;
use std::time::Duration;

use ipc_proto::control::{
    FromWorker, LoadedModel, OfferedModel, ProbeFailure, ProbeFailureKind, ProbeReport,
};
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::ModelName;
use ipc_proto::spec::BackendKind;
use tokio::sync::Notify;

use crate::clock;
use crate::shapes::{self, LoadedList, Page};
use crate::station::Station;
use crate::upstream::{Reply, Upstream};

/// The longest answer that is read.
const LONGEST_LIST: usize = 4 << 20;
/// The most pages of models that are read: at a thousand models each, more is a backend that counts in circles.
const MOST_PAGES: usize = 20;

/// Probes at once, then by interval and whenever `wanted`, one at a time. Ends only by being dropped.
pub(crate) async fn watch_over(station: Arc<Station>, wanted: Arc<Notify>) {
    let mut changes = station.upstream_changes();
    loop {
        let upstream = Arc::clone(&changes.borrow_and_update());
        let report = probe(&upstream).await;
        station.report(&FromWorker::Probed(Box::new(report)));
        let interval = upstream.spec.probe.interval_ms;
        drop(upstream);
        let next = clock::now() + Duration::from_millis(interval);
        tokio::select! {
            () = tokio::time::sleep_until(next), if interval > 0 => {}
            () = wanted.notified() => {}
            news = changes.changed() => if news.is_err() { return },
        }
    }
}

/// One look at the backend.
pub(crate) async fn probe(upstream: &Upstream) -> ProbeReport {
    let start = clock::now();
    let (models, loaded) = match upstream.fake() {
        Some(fake) => (Ok(fake.offered()), Some(fake.loaded())),
        None => look(upstream).await,
    };
    let loaded =
        loaded.map(|loaded| loaded.into_iter().map(|id| LoadedModel { id, context: None }).collect());
    ProbeReport { models, loaded, slots: None, max_models: None, took_us: clock::micros_since(start) }
}

async fn look(upstream: &Upstream) -> (Result<Vec<OfferedModel>, ProbeFailure>, Option<Vec<ModelName>>) {
    let models = within(upstream, models(upstream)).await.unwrap_or_else(|| {
        let detail =
            format!("{}: no answer within {} ms", upstream.spec.base_url, upstream.spec.probe.timeout_ms);
        Err(ProbeFailure { kind: ProbeFailureKind::Timeout, detail })
    });
    let is_silent = |failure: &ProbeFailure| {
        matches!(failure.kind, ProbeFailureKind::Unreachable | ProbeFailureKind::Timeout)
    };
    let loaded = match &models {
        Err(failure) if is_silent(failure) => None,
        Ok(models) if upstream.spec.kind == BackendKind::Vllm => {
            Some(models.iter().map(|model| model.id.clone()).collect())
        }
        _ => within(upstream, loaded(upstream)).await.flatten(),
    };
    (models, loaded)
}

/// `asking`, or `None` when the backend takes longer than a probe may.
async fn within<T>(upstream: &Upstream, asking: impl Future<Output = T>) -> Option<T> {
    match upstream.spec.probe.timeout_ms {
        0 => Some(asking.await),
        milliseconds => tokio::time::timeout(Duration::from_millis(milliseconds), asking).await.ok(),
    }
}

async fn models(upstream: &Upstream) -> Result<Vec<OfferedModel>, ProbeFailure> {
    let is_paged = upstream.spec.kind == BackendKind::Anthropic;
    let mut path = if is_paged { "/v1/models?limit=1000" } else { "/v1/models" }.to_owned();
    let mut models = Vec::new();
    for _ in 0..MOST_PAGES {
        let body = ask(upstream, &path).await?;
        let Page { models: more, next_after } = shapes::models(&body).map_err(|problem| {
            let start = upstream.without_key(&String::from_utf8_lossy(&body[..body.len().min(200)]));
            let detail = format!("{}{path}: {problem}; it begins with: {start}", upstream.spec.base_url);
            ProbeFailure { kind: ProbeFailureKind::Shape, detail }
        })?;
        models.extend(more);
        match next_after {
            Some(after) if is_paged => {
                let after: String = url::form_urlencoded::byte_serialize(after.as_bytes()).collect();
                path = format!("/v1/models?limit=1000&after_id={after}");
            }
            _ => break,
        }
    }
    Ok(models)
}

async fn loaded(upstream: &Upstream) -> Option<Vec<ModelName>> {
    let lists: &[LoadedList] = match upstream.spec.kind {
        BackendKind::Ollama => &[LoadedList::Ollama],
        BackendKind::LmStudio => &[LoadedList::LmStudio, LoadedList::LmStudioOld],
        BackendKind::LlamaCpp => &[LoadedList::LlamaCpp],
        BackendKind::OpenAi | BackendKind::Anthropic | BackendKind::Vllm | BackendKind::Fake => &[],
    };
    for list in lists {
        // A question that fails costs nothing but its answer.
        if let Ok(body) = ask(upstream, list.path()).await
            && let Some(loaded) = list.read(&body)
        {
            return Some(loaded);
        }
    }
    None
}

async fn ask(upstream: &Upstream, path: &str) -> Result<Vec<u8>, ProbeFailure> {
    let at = format!("{}{path}", upstream.spec.base_url);
    let fail = |kind, detail: String| ProbeFailure { kind, detail };
    let Reply { status, mut body, .. } = upstream.get(path).await.map_err(|failure| match failure.kind {
        FailureKind::Timeout(_) => fail(ProbeFailureKind::Timeout, failure.detail),
        _ => fail(ProbeFailureKind::Unreachable, failure.detail),
    })?;
    let mut bytes = Vec::new();
    while let Some(piece) = body.piece().await {
        let piece = piece.map_err(|error| fail(ProbeFailureKind::Unreachable, format!("{at}: {error}")))?;
        if bytes.len() + piece.len() > LONGEST_LIST {
            return Err(fail(
                ProbeFailureKind::Shape,
                format!("{at}: the answer is over {LONGEST_LIST} bytes"),
            ));
        }
        bytes.extend_from_slice(&piece);
    }
    let refused = match (status, upstream.spec.credential.is_some()) {
        (200..=299, _) => return Ok(bytes),
        (401 | 403, true) => " (the key was refused)".to_owned(),
        (401 | 403, false) => " (it wants a key, and none is configured)".to_owned(),
        _ => match crate::status::message_in(&bytes) {
            Some(message) => format!(": {}", upstream.without_key(&message)),
            None => String::new(),
        },
    };
    Err(fail(ProbeFailureKind::Status(status), format!("{at} answered {status}{refused}")))
}
