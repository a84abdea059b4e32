//! What is done with each input of the fuzzer, and with each one that is kept: it must not panic, and what comes out must
//! be what the rest of the program relies on.

use dialect::translate::{self, Engine, FormatMode, Terms, Translator};
use dialect::watch::StreamWatch;
use dialect::{Dialect, Endpoint, Framing, Task};

#[path = "../talk/bodies.rs"]
mod bodies;

/// The dialects that the others are translated into.
pub(crate) const SPOKEN: &[Dialect] = &Dialect::ALL;

const ENGINES: [Engine; 4] = [Engine::Provider, Engine::Ollama, Engine::LlamaCpp, Engine::Other];

fn terms(from: Endpoint, engine: Engine) -> Terms {
    Terms {
        model: "model".to_owned(),
        engine,
        is_strict: false,
        pass_unknown: engine == Engine::Other,
        format_mode: FormatMode::NormalizeJsonObject,
        max_tokens: 4096,
        label: "r-1".to_owned(),
        now: 1_795_201_680,
        framing: Framing::of(from, Some("alt=sse")),
    }
}

/// A request of a client of `from`: the first byte says to which operation, by whom it is answered, and on which terms.
/// What is sent must be JSON, and the same every time.
pub(crate) fn request(from: Dialect, data: &[u8]) {
    let Some((&first, body)) = data.split_first() else { return };
    let first = usize::from(first);
    let is_asked = |endpoint: &Endpoint| {
        endpoint.dialect() == from
            && matches!(endpoint.task(), Task::Chat | Task::Completion | Task::Embedding)
    };
    let endpoints: Vec<_> = Endpoint::ALL.into_iter().filter(is_asked).collect();
    let endpoint = endpoints[first % endpoints.len()];
    let to = SPOKEN[first / 8 % SPOKEN.len()];
    let terms = terms(endpoint, ENGINES[first / 64]);
    let Ok(sent) = translate::request(endpoint, to, body, first & 4 != 0, &terms) else { return };
    must_be_json(&sent.body);
    let again = translate::request(endpoint, to, body, first & 4 != 0, &terms);
    assert!(again.is_ok_and(|again| again.body == sent.body), "the bytes differ from time to time");
}

/// A whole answer of a backend that speaks `by`: the first byte says to whom, and whether as a stream.
pub(crate) fn answer(by: Dialect, data: &[u8]) {
    let Some((&first, body)) = data.split_first() else { return };
    let (to, stream) = (SPOKEN[usize::from(first / 2) % SPOKEN.len()], first & 1 != 0);
    let Some(mut translator) = translator(to, by, stream) else { return };
    if let Ok((told, _)) = translator.whole(body) {
        assert!(std::str::from_utf8(&told).is_ok());
        if !stream {
            must_be_json(&told);
        }
    }
}

/// A stream of a backend that speaks `by`: the first byte says to whom, the second one how it is cut. It must say the
/// same as in one piece.
pub(crate) fn stream(by: Dialect, data: &[u8]) {
    let [first, second, stream @ ..] = data else { return };
    let to = SPOKEN[usize::from(*first) % SPOKEN.len()];
    let (Some(mut one), Some(mut other)) = (translator(to, by, true), translator(to, by, true)) else {
        return;
    };
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    one.feed(stream, &mut whole);
    one.finish(&mut whole);
    for part in stream.chunks(usize::from(*second).max(1)) {
        other.feed(part, &mut cut);
    }
    other.finish(&mut cut);
    assert!(whole == cut, "cuts make a difference");
    assert_eq!(one.error(), other.error());
    assert_eq!(one.is_complete(), other.is_complete());
    assert!(std::str::from_utf8(&whole).is_ok());
}

/// A stream that goes through as it is: the first byte says which one, the second one how it is cut.
pub(crate) fn watch(data: &[u8]) {
    let [first, second, stream @ ..] = data else { return };
    let endpoint = Endpoint::ALL[usize::from(first & 15) % Endpoint::ALL.len()];
    let framing = Framing::of(endpoint, (first & 16 != 0).then_some("alt=sse"));
    let new = || StreamWatch::new(endpoint, framing, first & 32 != 0);
    let (mut one, mut other) = (new(), new());
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    one.feed(stream, &mut whole);
    one.finish(&mut whole);
    for part in stream.chunks(usize::from(*second).max(1)) {
        other.feed(part, &mut cut);
    }
    other.finish(&mut cut);
    assert!(whole == cut, "cuts make a difference");
    assert_eq!(one.usage(), other.usage());
    assert_eq!(one.error(), other.error());
}

fn translator(to: Dialect, by: Dialect, stream: bool) -> Option<Translator> {
    let terms = terms(to.chat(), Engine::Provider);
    let body = bodies::hello(to);
    translate::request(to.chat(), by, body.as_bytes(), stream, &terms).ok().map(|sent| sent.translator)
}

fn must_be_json(body: &[u8]) {
    let is_json = serde_json::from_slice::<serde_json::Value>(body).is_ok();
    assert!(is_json, "no JSON: {}", String::from_utf8_lossy(body));
}
