//! One exchange through a translation, for tests to read.

use dialect::translate::{Engine, FormatMode, Terms, Translator, request};
use dialect::{Dialect, Endpoint, Framing, Unfit};
use serde_json::Value;

/// A translated request, and the translator for its answer.
pub struct Exchange {
    /// What the backend gets.
    pub body: String,
    /// What is lost, each with its reason.
    pub losses: Vec<String>,
    translator: Translator,
}

/// The terms on which a backend of this kind is called.
pub fn terms(engine: Engine) -> Terms {
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
pub fn tried(from: Endpoint, to: Dialect, terms: &Terms, body: &str) -> Result<Exchange, Unfit> {
    let stream = serde_json::from_str::<Value>(body).is_ok_and(|body| body["stream"] == true);
    let sent = request(from, to, body.as_bytes(), stream, terms)?;
    let losses = sent.losses.list().iter().map(|loss| format!("{}: {}", loss.field, loss.reason));
    Ok(Exchange {
        body: String::from_utf8(sent.body).unwrap(),
        losses: losses.collect(),
        translator: sent.translator,
    })
}

impl Exchange {
    /// The backend's body, parsed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// What the client gets of the backend's whole answer.
    pub fn answered(mut self, body: &str) -> Value {
        let (body, _) = self.translator.whole(body.as_bytes()).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The error in the backend's whole answer.
    pub fn failed(mut self, body: &str) -> String {
        self.translator.whole(body.as_bytes()).unwrap_err().message
    }

    /// The stream that a client gets of the backend's whole answer.
    pub fn played(mut self, body: &str) -> String {
        String::from_utf8(self.translator.whole(body.as_bytes()).unwrap().0).unwrap()
    }

    /// What the client gets of the backend's stream, the same however it is cut; and the error that broke it.
    pub fn streamed(mut self, stream: &str) -> (String, Option<String>) {
        let mut out = Vec::new();
        for byte in stream.as_bytes() {
            self.translator.feed(std::slice::from_ref(byte), &mut out);
        }
        self.translator.finish(&mut out);
        let error = self.translator.error().map(|error| error.message.clone());
        assert!(error.is_none() || !self.translator.is_complete());
        let is_cut = error.is_none() && !self.translator.is_complete();
        let error = if is_cut { Some("the stream is not complete".to_owned()) } else { error };
        (String::from_utf8(out).unwrap(), error)
    }
}
