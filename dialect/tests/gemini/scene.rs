//! A translation from end to end, in a line: what a client says, what a backend gets; what that answers, what the client gets.

use dialect::translate::{self, Engine, FormatMode, Terms, Translation};
use dialect::watch::BackendError;
use dialect::{Dialect, Endpoint, Framing, Unfit};
use serde_json::Value;

/// The terms of a translation for a backend that calls the model `model`.
pub(crate) fn terms(model: &str) -> Terms {
    Terms {
        model: model.to_owned(),
        engine: Engine::Provider,
        is_strict: false,
        pass_unknown: false,
        format_mode: FormatMode::default(),
        max_tokens: 4096,
        label: "r-1".to_owned(),
        now: 1_700_000_000,
        framing: Framing::Events,
    }
}

/// A client's request on its way to a backend.
pub(crate) struct Asked {
    translation: Translation,
}

/// Translates `body`, a request to `from`, for a backend that speaks `to`.
pub(crate) fn try_ask(
    from: Endpoint,
    to: Dialect,
    body: &str,
    stream: bool,
    terms: &Terms,
) -> Result<Asked, Unfit> {
    translate::request(from, to, body.as_bytes(), stream, terms).map(|translation| Asked { translation })
}

/// The same, where it must work.
pub(crate) fn ask(from: Endpoint, to: Dialect, body: &str, stream: bool, terms: &Terms) -> Asked {
    try_ask(from, to, body, stream, terms).expect("the request can be translated")
}

impl Asked {
    /// The body that the backend gets.
    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(&self.translation.body).expect("it is text")
    }

    /// The same as a tree.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.translation.body).expect("it is JSON")
    }

    /// What is lost, in one line; empty if nothing is.
    pub(crate) fn lost(&self) -> String {
        self.translation.losses.header().unwrap_or_default()
    }

    /// The backend's stream as the client gets it, and how it went. The bytes come one by one: that must make no difference.
    pub(crate) fn stream(mut self, upstream: &str) -> Streamed {
        let translator = &mut self.translation.translator;
        let mut out = Vec::new();
        upstream.as_bytes().iter().for_each(|byte| translator.feed(&[*byte], &mut out));
        translator.finish(&mut out);
        Streamed {
            text: String::from_utf8(out).expect("it is text"),
            is_complete: translator.is_complete(),
            error: translator.error().cloned(),
            usage: translator.usage(),
        }
    }

    /// The backend's whole answer as the client gets it.
    pub(crate) fn whole(mut self, upstream: &str) -> Result<Value, BackendError> {
        let (body, _) = self.translation.translator.whole(upstream.as_bytes())?;
        Ok(serde_json::from_slice(&body).expect("it is JSON"))
    }

    /// The backend's whole answer as the stream that a client gets who asked for one.
    pub(crate) fn played(mut self, upstream: &str) -> String {
        let (body, _) = self.translation.translator.whole(upstream.as_bytes()).expect("it can be translated");
        String::from_utf8(body).expect("it is text")
    }
}

/// A stream that went through.
pub(crate) struct Streamed {
    /// What the client gets.
    pub(crate) text: String,
    /// Whether it is complete.
    pub(crate) is_complete: bool,
    /// Why it broke.
    pub(crate) error: Option<BackendError>,
    /// The tokens told.
    pub(crate) usage: dialect::Usage,
}

impl Streamed {
    /// The data of its events.
    pub(crate) fn events(&self) -> Vec<Value> {
        events(&self.text)
    }
}

/// The data of server-sent events, but for OpenAI's end marker.
pub(crate) fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).expect("it is JSON")).collect()
}

/// `text` as a tree.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}
