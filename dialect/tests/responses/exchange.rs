//! One exchange: a client's request and what a backend gets of it, a backend's answer and what the client gets of it.

use dialect::translate::{self, Engine, FormatMode, Terms, Translation};
use dialect::{Dialect, Endpoint, Framing, Unfit};
use serde_json::Value;

/// The terms for a server of this kind with this model.
pub(crate) fn terms(engine: Engine, model: &str) -> Terms {
    Terms {
        model: model.to_owned(),
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

/// The translation of `body`.
pub(crate) fn translated(
    from: Endpoint,
    to: Dialect,
    body: &str,
    terms: &Terms,
) -> Result<Translation, Unfit> {
    let asked: Value = serde_json::from_str(body).expect("it is JSON");
    let stream = asked["stream"].as_bool().unwrap_or(false);
    translate::request(from, to, body.as_bytes(), stream, terms)
}

/// A stream as it comes from a backend: each event by the type in its data.
pub(crate) fn framed(events: &[&str]) -> String {
    let framed = |data: &&str| {
        let event: Value = serde_json::from_str(data).expect("it is JSON");
        let kind = event["type"].as_str().expect("it is a string");
        format!("event: {kind}\ndata: {data}\n\n")
    };
    events.iter().map(framed).collect()
}

/// How a stream went: what the client got, whether it was complete, the error if there was one.
pub(crate) struct Streamed {
    /// The client's bytes.
    pub(crate) text: String,
    /// Whether the end came.
    pub(crate) is_complete: bool,
    /// The message and status of the error.
    pub(crate) error: Option<(String, Option<u16>)>,
    /// The counts.
    pub(crate) usage: dialect::Usage,
}

/// What the client of `all` gets of the backend's `bytes`, however they are cut.
pub(crate) fn streamed(make: &dyn Fn() -> Translation, bytes: &str) -> Streamed {
    let told = |size: usize| {
        let mut translator = make().translator;
        let mut out = Vec::new();
        for piece in bytes.as_bytes().chunks(size) {
            translator.feed(piece, &mut out);
        }
        translator.finish(&mut out);
        Streamed {
            text: String::from_utf8(out).expect("it is text"),
            is_complete: translator.is_complete(),
            error: translator.error().map(|error| (error.message.clone(), error.status)),
            usage: translator.usage(),
        }
    };
    let whole = told(bytes.len().max(1));
    for size in [1, 7, 64] {
        assert_eq!(told(size).text, whole.text, "cut into pieces of {size}");
    }
    whole
}

/// A client of the Responses API asks with `body`; the backend speaks the same and sends `events`.
pub(crate) fn stream(body: &str, events: &[&str]) -> Streamed {
    let terms = terms(Engine::Provider, "gpt-4.1");
    let make =
        || translated(Endpoint::Responses, Dialect::Responses, body, &terms).expect("it is translated");
    streamed(&make, &framed(events))
}

/// The events that a client got, checked to be numbered without a gap and named as they are.
pub(crate) fn events(text: &str) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for event in text.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').expect("it has a name and data");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("it is translated"))
            .expect("it is translated");
        assert_eq!(name.strip_prefix("event: ").expect("it is translated"), data["type"]);
        assert_eq!(data["sequence_number"], all.len());
        all.push(data);
    }
    all
}

/// The events in short: the type without `response.`, and what is said.
pub(crate) fn told(text: &str) -> Vec<String> {
    let all = events(text);
    let short = |event: &Value| {
        let kind = event["type"].as_str().expect("it is a string");
        let kind = kind.strip_prefix("response.").unwrap_or(kind);
        let words = ["delta", "text", "arguments", "input", "refusal"];
        match words.iter().find_map(|word| event[*word].as_str()) {
            Some(said) => format!("{kind} {said}"),
            None => kind.to_owned(),
        }
    };
    all.iter().map(short).collect()
}

/// The response in the last event.
pub(crate) fn last_response(text: &str) -> Value {
    events(text).pop().expect("there is one")["response"].take()
}
