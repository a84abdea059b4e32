//! One call of the backend, made of what the frontend sent: translated, edited a little, or untouched. Pure.
//!
//! It promises that a request to a backend that speaks the client's dialect keeps every byte apart from the edits it is
//! asked for, and that whatever a translation loses is named.

use std::borrow::Cow;

use bytes::Bytes;
use dialect::translate::{self, Engine, Terms, Translation, Way};
use dialect::{Dialect, Endpoint, Unfit, edit};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::spec::{BackendKind, WorkerSpec};
use ipc_proto::stream::Open;
use url::{Host, Url};

use crate::course::{Course, Translated};
use crate::{clock, rename, target};

/// The most of a translation's losses that is told, in bytes: they travel in a header and stand in a row.
const LONGEST_WARNING: usize = 4 * 1024;

/// What is sent.
#[derive(Clone)]
pub(crate) struct Call {
    /// Which of the backend's operations is called.
    pub(crate) endpoint: Endpoint,
    /// Whether a stream is asked for.
    pub(crate) stream: bool,
    /// The body.
    pub(crate) body: Bytes,
    /// Headers that the body needs.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Into which dialect it was translated, if it was.
    pub(crate) translated_into: Option<Dialect>,
    /// What could not be carried, in one line; empty if nothing.
    pub(crate) warning: String,
}

/// The call of the backend of `spec`, which is an `engine`, that serves the request `open` with `body`, and what becomes
/// of the answer. Fails when the request makes no sense, or cannot be said to this backend.
pub(crate) fn prepare(
    spec: &WorkerSpec,
    engine: Engine,
    open: &Open,
    body: Bytes,
) -> Result<(Call, Course), Failure> {
    match (translate::way(open.endpoint, &spec.dialects), open.endpoint) {
        (_, Endpoint::Native) => native(open, body),
        (Some(Way::Straight), _) => straight(spec, open, body),
        (Some(Way::Through(dialect)), _) => through(dialect, spec, engine, open, &body),
        (None, endpoint) => {
            let detail = format!("{} has nothing like {}", spec.name, endpoint.as_str());
            let told = "the backend of this model cannot do this operation, not even by translation";
            Err(Failure::new(FailureKind::Untranslatable, detail).telling(told, None))
        }
    }
}

/// What kind of server `spec` speaks of.
pub(crate) fn engine(spec: &WorkerSpec) -> Engine {
    match spec.kind {
        BackendKind::Anthropic | BackendKind::Gemini | BackendKind::OpenAiResponses => Engine::Provider,
        BackendKind::OpenAi if is_openai_itself(&spec.base_url) => Engine::Provider,
        BackendKind::OpenAi | BackendKind::Fake => Engine::Other,
        BackendKind::Ollama => Engine::Ollama,
        BackendKind::LmStudio => Engine::LmStudio,
        BackendKind::LlamaCpp => Engine::LlamaCpp,
        BackendKind::Vllm => Engine::Vllm,
    }
}

fn is_openai_itself(base_url: &str) -> bool {
    let url = Url::parse(base_url).ok();
    let Some(Host::Domain(host)) = url.as_ref().and_then(Url::host) else { return false };
    host == "api.openai.com" || host.ends_with(".api.openai.com") || host.ends_with(".openai.azure.com")
}

fn native(open: &Open, body: Bytes) -> Result<(Call, Course), Failure> {
    let named = open.native.as_deref().filter(|native| target::is_below(&native.path));
    if named.is_none() {
        let failure =
            Failure::new(FailureKind::BadRequest, "a native call without a path below the backend's");
        return Err(failure.telling("the path cannot be called", None));
    }
    Ok((untouched(open, body), Course::Native))
}

fn untouched(open: &Open, body: Bytes) -> Call {
    Call {
        endpoint: open.endpoint,
        stream: open.stream,
        body,
        headers: Vec::new(),
        translated_into: None,
        warning: String::new(),
    }
}

/// Makes the edits that a request may need although the backend speaks its dialect.
fn straight(spec: &WorkerSpec, open: &Open, body: Bytes) -> Result<(Call, Course), Failure> {
    let mut body = body;
    if open.renamed {
        body = edited(body, |body| rename::with_model(open.endpoint, body, open.model.as_str()));
    }
    body = loaded(spec, open, body);
    let is_foreign = spec.kind != BackendKind::Anthropic;
    match edit::for_straight(open.endpoint, &body, spec.compat.format_mode, is_foreign) {
        Ok(Cow::Owned(changed)) => body = changed.into(),
        Ok(Cow::Borrowed(_)) => {}
        Err(bad) => {
            let failure = Failure::new(FailureKind::BadRequest, "refused by compat.response_format_mode");
            return Err(failure.telling(bad.message, bad.param.map(str::to_owned)));
        }
    }
    let wants_usage = spec.ask_for_usage && open.stream && open.endpoint == Endpoint::ChatCompletions;
    let asking = wants_usage.then(|| edit::asking_for_usage(&body)).flatten();
    let hide_usage = asking.is_some();
    Ok((untouched(open, asking.map_or(body, Bytes::from)), Course::Straight { hide_usage }))
}

/// `body` with the load options that were decided on, for engines that load by request. Others would refuse what they do
/// not know.
fn loaded(spec: &WorkerSpec, open: &Open, body: Bytes) -> Bytes {
    if !matches!(spec.kind, BackendKind::Ollama | BackendKind::Fake) {
        return body;
    }
    edited(body, |body| edit::with_load(body, &open.load))
}

fn edited(body: Bytes, edit: impl FnOnce(&[u8]) -> Cow<'_, [u8]>) -> Bytes {
    let changed = match edit(&body) {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(_) => None,
    };
    changed.map_or(body, Bytes::from)
}

fn through(
    dialect: Dialect,
    spec: &WorkerSpec,
    engine: Engine,
    open: &Open,
    body: &[u8],
) -> Result<(Call, Course), Failure> {
    let model = open.model.as_str();
    let terms = Terms {
        model: if dialect == Dialect::Gemini { target::bare(model) } else { model }.to_owned(),
        engine,
        is_strict: spec.compat.is_strict,
        pass_unknown: spec.compat.pass_unknown,
        format_mode: spec.compat.format_mode,
        max_tokens: spec.compat.max_tokens,
        // A client may call all its requests the same; ids made from it must differ from turn to turn.
        label: format!("{} {}", open.label.as_str(), open.request),
        now: i64::try_from(clock::unix_ms() / 1000).unwrap_or(i64::MAX),
        framing: open.framing,
    };
    let translation = translate::request(open.endpoint, dialect, body, open.stream, &terms)
        .map_err(|unfit| refused(&unfit))?;
    let Translation { endpoint, body, headers, losses, translator } = translation;
    let mut warning = losses.header().unwrap_or_default();
    warning.truncate(warning.floor_char_boundary(LONGEST_WARNING));
    let call = Call {
        endpoint,
        stream: open.stream && endpoint.generates(),
        // The engine's own form of the options is the one that it reads.
        body: loaded(spec, open, body.into()),
        headers,
        translated_into: Some(dialect),
        warning,
    };
    Ok((call, Course::Translated(Translated { translator: Box::new(translator), spoken: dialect })))
}

/// Why a request that cannot be sent to this backend fails.
fn refused(unfit: &Unfit) -> Failure {
    let kind = if unfit.is_good_elsewhere { FailureKind::Untranslatable } else { FailureKind::BadRequest };
    let field = Some(unfit.field.clone()).filter(|field| !field.is_empty());
    let detail = match &field {
        Some(field) => format!("not sent because of its field {field}"),
        None => "not sent because of its body".to_owned(),
    };
    Failure::new(kind, detail).telling(unfit.to_string(), field)
}

#[cfg(test)]
mod tests {
    use dialect::Framing;
    use dialect::load::LoadEdit;
    use ipc_proto::ids::{GrantId, Label, ModelName, RequestId};
    use ipc_proto::spec::{Compat, ProbeSpec, Timeouts};

    use super::*;

    #[test]
    fn requests_that_the_client_calls_the_same_get_ids_of_their_own() {
        let ids = [1, 1, 2].map(|request| id_of_a_call(RequestId(request)));
        assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
    }

    /// The id of the call in an answer that has none.
    fn id_of_a_call(request: RequestId) -> String {
        const BODY: &[u8] = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
        const ANSWER: &[u8] = br#"{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]},"done":true,"done_reason":"stop"}
"#;
        let spec = WorkerSpec {
            name: "one".to_owned(),
            kind: BackendKind::Ollama,
            base_url: "http://127.0.0.1:1".to_owned(),
            credential: None,
            run_dir: std::path::PathBuf::new(),
            timeouts: Timeouts { connect_ms: 0, first_event_ms: 0, idle_ms: 0, total_ms: 0 },
            probe: ProbeSpec { interval_ms: 0, timeout_ms: 0 },
            ask_for_usage: false,
            takes_callers_key: false,
            dialects: vec![Dialect::Ollama],
            compat: Compat::default(),
            fake: None,
        };
        let open = Open {
            grant: GrantId(1),
            request,
            label: Label::from_client("always-the-same").unwrap(),
            endpoint: Endpoint::Messages,
            stream: true,
            model: ModelName::new("m"),
            renamed: false,
            framing: Framing::Events,
            native: None,
            lent: false,
            load: LoadEdit::Keep,
            query: None,
            headers: Vec::new(),
            body_bytes: BODY.len() as u64,
        };
        let (_, course) = prepare(&spec, Engine::Ollama, &open, Bytes::from_static(BODY)).unwrap();
        let Course::Translated(Translated { mut translator, .. }) = course else { panic!("not translated") };
        let mut told = Vec::new();
        translator.feed(ANSWER, &mut told);
        translator.finish(&mut told);
        let told = String::from_utf8(told).unwrap();
        let (_, rest) = told.split_once(r#""id":"call_"#).expect(&told);
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn openai_itself_is_told_from_its_kin() {
        for own in [
            "https://api.openai.com",
            "https://eu.api.openai.com",
            "https://mine.openai.azure.com/openai",
            "https://API.openai.com:443",
        ] {
            assert!(is_openai_itself(own), "{own}");
        }
        for other in
            ["http://127.0.0.1:1234", "https://api.openai.com.example", "https://openrouter.ai/api", ""]
        {
            assert!(!is_openai_itself(other), "{other}");
        }
    }
}
