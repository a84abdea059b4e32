//! What holds for any input: nothing panics, and how a stream is cut makes no difference.

use dialect::translate::{self, Translation};
use dialect::{Dialect, Endpoint};
use proptest::prelude::*;

use crate::scene::terms;

const ASKED: &str = r#"{"contents":[{"parts":[{"text":"Hi"}]},{"role":"model","parts":[{"text":"t","thought":true,"thoughtSignature":"YW50aHJvcGljLWNsYXVkZS12MSNz"},{"functionCall":{"name":"f","args":{"a":[1,"x"]}}}]},{"role":"function","parts":[{"functionResponse":{"name":"f","response":{"result":"y"},"parts":[{"inlineData":{"mimeType":"image/png","data":"AA-_"}}]}}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"ARRAY","items":{"type":"STRING"}}}}}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},"generationConfig":{"topK":3,"responseMimeType":"application/json","responseSchema":{"type":"OBJECT"},"thinkingConfig":{"thinkingBudget":-1,"includeThoughts":true}}}"#;

const UPSTREAM: &str = concat!(
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hé\",\"thought\":true},{\"text\":\"a\"}]},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":3},\"responseId\":\"r\"}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":[\"}\"]}},\"thoughtSignature\":\"c2ln\"}]},\"finishReason\":\"STOP\",\"index\":0}]}\n\n",
);

fn asked(body: &[u8]) -> Option<Translation> {
    let terms = terms("gemini-3-flash-preview");
    translate::request(Endpoint::GenerateContent, Dialect::Gemini, body, true, &terms).ok()
}

/// What a client gets of `pieces`.
fn fed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, bool) {
    let mut translator = asked(ASKED.as_bytes()).expect("it can be translated").translator;
    let mut out = Vec::new();
    pieces.into_iter().for_each(|piece| translator.feed(piece, &mut out));
    translator.finish(&mut out);
    (out, translator.is_complete())
}

/// `text` with the byte at `place` replaced.
fn spoiled(text: &str, place: prop::sample::Index, byte: u8) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let place = place.index(bytes.len());
    bytes[place] = byte;
    bytes
}

proptest! {
    #[test]
    fn cuts_make_no_difference(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(UPSTREAM.len())).collect();
        places.extend([0, UPSTREAM.len()]);
        places.sort_unstable();
        let pieces = places.windows(2).map(|pair| &UPSTREAM.as_bytes()[pair[0]..pair[1]]);
        let whole = fed([UPSTREAM.as_bytes()]);
        prop_assert!(whole.1);
        prop_assert_eq!(fed(pieces), whole);
    }

    #[test]
    fn spoiled_requests_and_answers_never_panic(place: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let _ = asked(&spoiled(ASKED, place, byte));
        let _ = asked(&ASKED.as_bytes()[..cut.index(ASKED.len())]);
        let stream = spoiled(UPSTREAM, place, byte);
        let _ = fed([stream.as_slice()]);
        let mut translator = asked(ASKED.as_bytes()).expect("it can be translated").translator;
        let _ = translator.whole(&stream[6..]);
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes: Vec<u8>) {
        let _ = asked(&bytes);
        let _ = fed([bytes.as_slice()]);
    }
}
