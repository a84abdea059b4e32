//! What every transcript needs: terms, and a translation told in JSON.

use dialect::translate::{self, Engine, FormatMode, Terms, Translation, Translator};
use dialect::{Dialect, Endpoint, Framing, Losses, Unfit};
use serde_json::Value;

/// Terms for a backend that is Ollama, and a client that is.
pub(crate) fn terms() -> Terms {
    Terms {
        model: "qwen3:8b".to_owned(),
        engine: Engine::Ollama,
        is_strict: false,
        pass_unknown: false,
        format_mode: FormatMode::Passthrough,
        max_tokens: 4096,
        label: "r-1".to_owned(),
        now: 1_795_201_680,
        framing: Framing::Lines,
    }
}

/// Translates `body`, a request to `from`, for a backend that speaks `to`.
pub(crate) fn translate(from: Endpoint, to: Dialect, body: &Value) -> Result<Translation, Unfit> {
    let stream = body.get("stream").and_then(Value::as_bool).unwrap_or(from.dialect() == Dialect::Ollama);
    let terms = Terms { framing: Framing::of(from, None), ..terms() };
    translate::request(from, to, body.to_string().as_bytes(), stream, &terms)
}

/// The body that is sent and what is lost.
pub(crate) fn sent(from: Endpoint, to: Dialect, body: &Value) -> (Value, Losses) {
    let translation = translate(from, to, body).expect("it can be translated");
    (serde_json::from_slice(&translation.body).expect("it is well formed"), translation.losses)
}

/// The paths of the fields that are lost.
pub(crate) fn lost(losses: &Losses) -> Vec<&str> {
    losses.list().iter().map(|loss| loss.field.as_str()).collect()
}

/// A translator of the answer to `body`.
pub(crate) fn translator(from: Endpoint, to: Dialect, body: &Value) -> Translator {
    translate(from, to, body).expect("it can be translated").translator
}

/// What the client gets of a stream, line by line.
pub(crate) fn streamed(translator: &mut Translator, stream: &str) -> Vec<Value> {
    let mut out = Vec::new();
    translator.feed(stream.as_bytes(), &mut out);
    translator.finish(&mut out);
    let text = String::from_utf8(out).expect("it is well formed");
    text.lines().map(|line| serde_json::from_str(line).expect("it is well formed")).collect()
}

/// What the client gets of a whole answer.
pub(crate) fn whole(translator: &mut Translator, answer: &Value) -> Value {
    let (body, _) = translator.whole(answer.to_string().as_bytes()).expect("it can be translated");
    serde_json::from_slice(&body).expect("it is well formed")
}
