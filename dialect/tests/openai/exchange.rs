//! One exchange through a translation, for tests to read.

use dialect::translate::{Engine, FormatMode, Terms, Translator, request};
use dialect::{Dialect, Endpoint, Framing, Unfit};
use serde_json::Value;

/// A translated request, and the translator for its answer.
pub(crate) struct Exchange {
    /// What the backend gets.
    pub(crate) body: String,
    /// The headers that go with it.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// What is lost, each with its reason.
    pub(crate) losses: Vec<String>,
    translator: Translator,
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
    Ok(Exchange {
        body: String::from_utf8(sent.body).expect("JSON is text"),
        headers: sent.headers.clone(),
        losses: losses.collect(),
        translator: sent.translator,
    })
}

impl Exchange {
    /// The backend's body, parsed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// What the client gets of the backend's whole answer.
    pub(crate) fn answered(mut self, body: &str) -> Value {
        let (body, _) = self.translator.whole(body.as_bytes()).expect("the answer makes sense");
        serde_json::from_slice(&body).expect("the answer is JSON")
    }

    /// The error in the backend's whole answer.
    pub(crate) fn failed(mut self, body: &str) -> String {
        self.translator.whole(body.as_bytes()).expect_err("the answer makes no sense").message
    }

    /// The stream that a client gets of the backend's whole answer.
    pub(crate) fn played(mut self, body: &str) -> String {
        let (stream, _) = self.translator.whole(body.as_bytes()).expect("the answer makes sense");
        String::from_utf8(stream).expect("events are text")
    }

    /// What the client gets of the backend's stream, the same however it is cut; and the error that broke it.
    pub(crate) fn streamed(mut self, stream: &str) -> (String, Option<String>) {
        let mut out = Vec::new();
        for byte in stream.as_bytes() {
            self.translator.feed(std::slice::from_ref(byte), &mut out);
        }
        self.translator.finish(&mut out);
        let error = self.translator.error().map(|error| error.message.clone());
        assert!(error.is_none() || !self.translator.is_complete());
        let is_cut = error.is_none() && !self.translator.is_complete();
        let error = if is_cut { Some("the stream is not complete".to_owned()) } else { error };
        (String::from_utf8(out).expect("events are text"), error)
    }
}

/// `body` with the members of `more` beside its own.
pub(crate) fn with(mut body: Value, more: &Value) -> Value {
    let members = more.as_object().expect("it is an object").clone();
    body.as_object_mut().expect("it is an object").extend(members);
    body
}
