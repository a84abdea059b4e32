//! However a stream is cut, its translation is the same; and no bytes at all make a translation panic.

#[path = "talk/bodies.rs"]
mod bodies;
#[path = "talk/pair.rs"]
mod pair;
#[path = "talk/streams.rs"]
mod streams;

use dialect::translate::{self, Translator};
use dialect::watch::BackendError;
use dialect::{Dialect, Endpoint, Usage};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use bodies::hello;
use pair::{any_of, terms};

/// A translator of a stream from a backend of `backend` to a client of `client`.
fn translator(client: Dialect, backend: Dialect, stream: bool) -> Translator {
    let body = hello(client);
    let terms = terms(client.chat());
    translate::request(client.chat(), backend, body.as_bytes(), stream, &terms)
        .expect("it can be translated")
        .translator
}

/// All that a translator tells of a stream.
#[derive(PartialEq, Debug)]
struct Seen {
    out: String,
    usage: Usage,
    is_complete: bool,
    error: Option<BackendError>,
}

fn seen(client: Dialect, backend: Dialect, parts: &[&[u8]]) -> Seen {
    let mut translator = translator(client, backend, true);
    let mut out = Vec::new();
    for part in parts {
        translator.feed(part, &mut out);
    }
    translator.finish(&mut out);
    Seen {
        out: String::from_utf8(out).expect("it is well formed"),
        usage: translator.usage(),
        is_complete: translator.is_complete(),
        error: translator.error().cloned(),
    }
}

/// `bytes` in parts: cut at `cuts`, in any order.
fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let ends = [0, bytes.len()];
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain(ends).collect();
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn cuts_change_nothing(client: Dialect, backend: Dialect, cuts: &[Index]) {
    for (stream, is_good) in streams::of(backend).into_iter().zip([true, false]) {
        let whole = seen(client, backend, &[stream.as_bytes()]);
        assert_eq!((whole.is_complete, whole.error.is_none()), (is_good, is_good), "{whole:?}");
        assert_eq!(seen(client, backend, &cut(stream.as_bytes(), cuts)), whole);
        let bytes: Vec<_> = stream.as_bytes().chunks(1).collect();
        assert_eq!(seen(client, backend, &bytes), whole);
        let with_crlf = stream.replace('\n', "\r\n");
        assert_eq!(seen(client, backend, &cut(with_crlf.as_bytes(), cuts)), whole);
        // What is cut off before its end is never complete, but for what follows the end.
        let half = &stream.as_bytes()[..stream.len() * 2 / 3];
        assert!(!seen(client, backend, &[half]).is_complete);
    }
}

/// Bytes that look like JSON now and then.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let word = select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\n",
        "\n\n",
        "data: ",
        "event: error\n",
        "null",
        "0",
        "-1e9",
        "\"messages\":",
        "\"model\":\"m\"",
        "\"role\":\"user\"",
        "\"content\":",
        "\"input\":",
        "\"contents\":",
        "\"parts\":",
        "\"choices\":",
        "\"delta\":",
        "\"message\":",
        "\"type\":",
        "\"done\":true",
        "\"error\":",
        "\"prompt\":",
        "\"text\":\"x\"",
        "\"tools\":",
        "\"output\":",
        "[DONE]",
        "\u{feff}",
        "😀",
    ]);
    let noise = prop::collection::vec(any::<u8>(), 0..8);
    let piece = prop_oneof![4 => word.prop_map(|word| word.as_bytes().to_vec()), 1 => noise];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A stream in which a few places are overwritten.
fn damaged(backend: Dialect, places: &[(Index, u8)]) -> Vec<u8> {
    let mut stream = streams::of(backend)[0].as_bytes().to_vec();
    for (place, byte) in places {
        *place.get_mut(&mut stream) = *byte;
    }
    stream
}

fn nothing_panics(client: Dialect, backend: Dialect, bytes: &[u8], places: &[(Index, u8)]) {
    for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| endpoint.dialect() == client) {
        let is_asked = matches!(endpoint.task(), dialect::Task::Chat | dialect::Task::Completion);
        if is_asked || endpoint.task() == dialect::Task::Embedding {
            let _ = translate::request(endpoint, backend, bytes, true, &terms(endpoint));
        }
    }
    for stream in [false, true] {
        let _ = translator(client, backend, stream).whole(bytes);
    }
    for stream in [bytes, &damaged(backend, places)] {
        let mut translator = translator(client, backend, true);
        let mut out = Vec::new();
        translator.feed(stream, &mut out);
        translator.finish(&mut out);
        assert!(String::from_utf8(out).is_ok());
    }
}

/// The dialects that are asked about.
const SPOKEN: &[Dialect] = &Dialect::ALL;

proptest! {
    #[test]
    fn cuts_of_ollamas_streams_change_nothing(cuts in prop::collection::vec(any::<Index>(), 0..12)) {
        cuts_change_nothing(Dialect::Ollama, Dialect::Ollama, &cuts);
    }

    #[test]

    fn cuts_change_nothing_between_any_two(
        client in any_of(SPOKEN),
        backend in any_of(SPOKEN),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        cuts_change_nothing(client, backend, &cuts);
    }

    #[test]
    fn no_bytes_make_ollama_panic(
        bytes in bytes(),
        places in prop::collection::vec(any::<(Index, u8)>(), 0..6),
    ) {
        nothing_panics(Dialect::Ollama, Dialect::Ollama, &bytes, &places);
    }

    #[test]

    fn no_bytes_make_any_two_panic(
        client in any_of(SPOKEN),
        backend in any_of(SPOKEN),
        bytes in bytes(),
        places in prop::collection::vec(any::<(Index, u8)>(), 0..6),
    ) {
        nothing_panics(client, backend, &bytes, &places);
    }
}
