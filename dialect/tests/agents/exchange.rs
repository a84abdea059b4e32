//! One request through a translation, for tests to read.

use dialect::translate::{Engine, FormatMode, Terms, request};
use dialect::{Dialect, Endpoint, Framing, Unfit};
use serde_json::Value;

/// A translated request.
pub(crate) struct Exchange {
    /// What the backend gets.
    pub(crate) body: String,
    /// What is lost, each with its reason.
    pub(crate) losses: Vec<String>,
}

/// The terms on which a backend of this kind is called.
pub(crate) fn terms(engine: Engine) -> Terms {
    Terms {
        model: "up".to_owned(),
        engine,
        is_strict: false,
        pass_unknown: false,
        format_mode: FormatMode::Passthrough,
        max_tokens: 4096,
        label: "r-1".to_owned(),
        now: 1_700_000_000,
        framing: Framing::Events,
    }
}

/// Sends `body`, which came to `from`, to a backend that speaks `to`. Whether it is a stream stands in the body.
pub(crate) fn tried(from: Endpoint, to: Dialect, terms: &Terms, body: &str) -> Result<Exchange, Unfit> {
    let stream = serde_json::from_str::<Value>(body).is_ok_and(|body| body["stream"] == true);
    let sent = request(from, to, body.as_bytes(), stream, terms)?;
    let losses = sent.losses.list().iter().map(|loss| format!("{}: {}", loss.field, loss.reason));
    Ok(Exchange { body: String::from_utf8(sent.body).expect("JSON is text"), losses: losses.collect() })
}

impl Exchange {
    /// The backend's body, parsed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}
