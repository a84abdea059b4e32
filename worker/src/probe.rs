//! Probes: what the backend offers, and what it has in memory. A probe never generates and never loads a model.
//!
//! Probes use the same client as requests, so that what they find holds for requests, too.

use std::sync::Arc;
use std::time::Duration;

use ipc_proto::control::{FromWorker, ProbeFailure, ProbeFailureKind, ProbeReport};
use ipc_proto::failure::FailureKind;
use ipc_proto::spec::BackendKind;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock;
use crate::residency::{self, Residency};
use crate::shapes::{self, Listed, Page};
use crate::station::Station;
use crate::upstream::{Reply, Upstream};

/// The longest answer that is read.
const LONGEST_LIST: usize = 4 << 20;
/// The most pages of models that are read: at a thousand models each, more is a backend that counts in circles.
const MOST_PAGES: usize = 20;

/// The most bytes of names in a report: it must fit one message.
const LONGEST_NAMES: usize = 384 * 1024;

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
    if let Some(fake) = upstream.fake() {
        let (loads, kills) = fake.counts();
        tracing::debug!(backend = %upstream.spec.name, loads, kills, "the fake was looked at");
        let took_us = clock::micros_since(start);
        let Residency { loaded, slots, max_models } = fake.residency();
        return ProbeReport { models: Ok(fake.offered()), loaded, slots, max_models, took_us };
    }
    let look = Look::new(upstream);
    let models = match look.within(models(upstream)).await {
        Some(models) => models,
        None => Err(look.too_late()),
    };
    let is_silent = |failure: &ProbeFailure| {
        matches!(failure.kind, ProbeFailureKind::Unreachable | ProbeFailureKind::Timeout)
    };
    let Residency { loaded, slots, max_models } = match &models {
        Err(failure) if is_silent(failure) => Residency::default(),
        Err(_) => residency(&Look::new(upstream), &[]).await,
        Ok(offered) => residency(&Look::new(upstream), offered).await,
    };
    let loaded = loaded
        .filter(|loaded| loaded.iter().map(|model| model.id.as_str().len()).sum::<usize>() <= LONGEST_NAMES);
    let models = models.map(|listed| listed.into_iter().map(|listed| listed.model).collect());
    ProbeReport { models, loaded, slots, max_models, took_us: clock::micros_since(start) }
}

/// Questions to a backend that share one limit of time.
struct Look<'a> {
    upstream: &'a Upstream,
    until: Option<Instant>,
}

impl<'a> Look<'a> {
    /// The time begins now.
    fn new(upstream: &'a Upstream) -> Self {
        let limit = Some(upstream.spec.probe.timeout_ms).filter(|&limit| limit > 0);
        let until = limit.and_then(|limit| clock::now().checked_add(Duration::from_millis(limit)));
        Self { upstream, until }
    }

    /// `asking`, or `None` when the backend takes longer than a probe may.
    async fn within<T>(&self, asking: impl Future<Output = T>) -> Option<T> {
        match self.until {
            None => Some(asking.await),
            Some(until) => tokio::time::timeout_at(until, asking).await.ok(),
        }
    }

    fn too_late(&self) -> ProbeFailure {
        let spec = &self.upstream.spec;
        let detail = format!("{}: no answer within {} ms", spec.base_url, spec.probe.timeout_ms);
        ProbeFailure { kind: ProbeFailureKind::Timeout, detail }
    }

    /// What is at `path`; `None` if it fails: that costs nothing but the answer.
    async fn text(&self, path: &str) -> Option<Vec<u8>> {
        self.within(ask(self.upstream, path)).await?.ok()
    }

    async fn json(&self, path: &str) -> Option<Value> {
        serde_json::from_slice(&self.text(path).await?).ok()
    }
}

async fn models(upstream: &Upstream) -> Result<Vec<Listed>, ProbeFailure> {
    let listing = Listing::of(upstream.spec.kind);
    let mut path = listing.first().to_owned();
    let mut models = Vec::new();
    for _ in 0..MOST_PAGES {
        let body = ask(upstream, &path).await?;
        let fail = |problem: &str| {
            let start = upstream.without_key(&String::from_utf8_lossy(&body[..body.len().min(200)]));
            let detail = format!("{}{path}: {problem}; it begins with: {start}", upstream.spec.base_url);
            ProbeFailure { kind: ProbeFailureKind::Shape, detail }
        };
        let page = match listing {
            Listing::Gemini => shapes::gemini_models(&body),
            Listing::OnePage | Listing::Anthropic => shapes::models(&body),
        };
        let Page { models: more, next_after } = page.map_err(|problem| fail(&problem))?;
        models.extend(more);
        if length(&models) > LONGEST_NAMES {
            return Err(fail("the names of the models are too long to be taken"));
        }
        match next_after.and_then(|after| listing.next(&after)) {
            Some(next) => path = next,
            None => break,
        }
    }
    Ok(models)
}

/// How a kind of backends lists its models.
#[derive(Clone, Copy)]
enum Listing {
    OnePage,
    Anthropic,
    Gemini,
}

impl Listing {
    fn of(kind: BackendKind) -> Self {
        match kind {
            BackendKind::Anthropic => Self::Anthropic,
            BackendKind::Gemini => Self::Gemini,
            _ => Self::OnePage,
        }
    }

    fn first(self) -> &'static str {
        match self {
            Self::OnePage => "/v1/models",
            Self::Anthropic => "/v1/models?limit=1000",
            Self::Gemini => "/v1beta/models?pageSize=1000",
        }
    }

    /// The page behind the one that ended with `after`.
    fn next(self, after: &str) -> Option<String> {
        let parameter = match self {
            Self::OnePage => return None,
            Self::Anthropic => "after_id",
            Self::Gemini => "pageToken",
        };
        let after: String = url::form_urlencoded::byte_serialize(after.as_bytes()).collect();
        Some(format!("{}&{parameter}={after}", self.first()))
    }
}

/// What the list takes in a report, roughly: each model has some figures beside its names.
fn length(models: &[Listed]) -> usize {
    let of = |listed: &Listed| {
        listed.model.id.as_str().len() + listed.model.owned_by.as_ref().map_or(0, String::len) + 32
    };
    models.iter().map(of).sum()
}

/// What is in the backend's memory, asked in the way of its kind. `offered` is empty where the list could not be read.
async fn residency(look: &Look<'_>, offered: &[Listed]) -> Residency {
    let found = match look.upstream.spec.kind {
        BackendKind::Ollama => {
            look.json("/api/ps").await.and_then(|answer| residency::ollama(&answer, offered))
        }
        BackendKind::LmStudio => {
            let told = look.json("/api/v1/models").await;
            match told.and_then(|answer| residency::lm_studio(&answer, offered)) {
                Some(found) => Some(found),
                None => {
                    look.json("/api/v0/models").await.and_then(|answer| residency::lm_studio_old(&answer))
                }
            }
        }
        BackendKind::LlamaCpp => llama(look, offered).await,
        BackendKind::Vllm => vllm(look, offered).await,
        // Of servers that only call themselves compatible, some say whose they are.
        BackendKind::OpenAi if all_owned_by(offered, "vllm") => vllm(look, offered).await,
        BackendKind::OpenAi if all_owned_by(offered, "sglang") => sglang(look, offered).await,
        BackendKind::OpenAi
        | BackendKind::OpenAiResponses
        | BackendKind::Anthropic
        | BackendKind::Gemini
        | BackendKind::Fake => None,
    };
    found.unwrap_or_default()
}

/// A router tells of each model. A server with one model tells of its slots: in `/props`, and only where that is of no
/// use `/slots` is asked, which wakes a server that sleeps.
async fn llama(look: &Look<'_>, offered: &[Listed]) -> Option<Residency> {
    let list = look.json("/models").await;
    if let Some(found) = list.as_ref().and_then(residency::llama_router) {
        return Some(found);
    }
    let props = look.json("/props").await;
    if let Some(found) = props.as_ref().and_then(|props| residency::llama_single(props, offered))
        && (found.slots.is_some() || found.loaded.as_ref().is_some_and(Vec::is_empty))
    {
        return Some(found);
    }
    if props.as_ref().is_some_and(|props| props.get("role").is_some()) {
        return None;
    }
    let slots = look.json("/slots").await;
    if let Some(found) = slots.and_then(|slots| residency::llama_slots(&slots, offered)) {
        return Some(found);
    }
    let told = props.and_then(|props| residency::llama_single(&props, offered));
    told.or_else(|| all_owned_by(offered, "llamacpp").then(|| residency::one_model(offered, None, None)))
}

async fn vllm(look: &Look<'_>, offered: &[Listed]) -> Option<Residency> {
    if offered.is_empty() {
        return None;
    }
    let metrics = look.text("/metrics").await;
    let slots = metrics.and_then(|metrics| residency::vllm_slots(&String::from_utf8_lossy(&metrics)));
    Some(residency::fixed(offered, slots))
}

async fn sglang(look: &Look<'_>, offered: &[Listed]) -> Option<Residency> {
    let mut slots = None;
    // The second name is the newer one.
    for path in ["/get_server_info", "/server_info"] {
        if let Some(answer) = look.json(path).await {
            slots = residency::sglang_slots(&answer);
            break;
        }
    }
    Some(residency::fixed(offered, slots))
}

fn all_owned_by(offered: &[Listed], owner: &str) -> bool {
    !offered.is_empty() && offered.iter().all(|listed| listed.model.owned_by.as_deref() == Some(owner))
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
    if matches!(status, 401 | 403) && upstream.spec.takes_callers_key {
        // It is there, and works for whoever has a key; only its list is not to be had.
        let detail =
            format!("{at} answered {status}: it shows its models only to callers with a key of their own");
        return Err(fail(ProbeFailureKind::Shape, detail));
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
