//! From one dialect into another and back: texts, tools, calls, results and usage are what they were.

#[path = "talk/bodies.rs"]
mod bodies;
#[path = "talk/pair.rs"]
mod pair;
mod talk;

use dialect::{Dialect, translate};
use proptest::prelude::*;
use serde_json::Value;

use bodies::hello;
use pair::{any_of, terms};
use talk::{Reply, Talk, answers, reply, requests, talk as any_talk};

/// `body`, a request to `from`, as it reaches a backend that speaks `to`.
fn across(from: Dialect, to: Dialect, body: &Value) -> Value {
    let terms = terms(from.chat());
    let sent = translate::request(from.chat(), to, body.to_string().as_bytes(), false, &terms)
        .expect("it can be translated");
    assert!(sent.losses.is_empty() || from == Dialect::Responses, "{:?}", sent.losses);
    serde_json::from_slice(&sent.body).expect("it is well formed")
}

fn a_request_comes_back(a: Dialect, b: Dialect, talk: &Talk) {
    let there = across(a, b, &requests::told(a, talk));
    assert_eq!(requests::understood(b, &there).numbered(), talk.clone().numbered(), "in {b:?}: {there}");
    let back = across(b, a, &there);
    assert_eq!(requests::understood(a, &back).numbered(), talk.clone().numbered(), "back in {a:?}: {back}");
}

/// `answer`, a whole one from a backend that speaks `from`, as a client of `to` gets it.
fn answered(from: Dialect, to: Dialect, answer: &[u8], stream: bool) -> Vec<u8> {
    let body = hello(to);
    let terms = terms(to.chat());
    let mut asked =
        translate::request(to.chat(), from, body.as_bytes(), stream, &terms).expect("it can be translated");
    asked.translator.whole(answer).expect("it can be translated").0
}

fn an_answer_comes_back(a: Dialect, b: Dialect, reply: &Reply) {
    let told = answers::told(a, reply).to_string();
    let there = answered(a, b, told.as_bytes(), false);
    assert_eq!(
        &answers::understood(b, &serde_json::from_slice(&there).expect("it is well formed")),
        reply,
        "in {b:?}"
    );
    let back = answered(b, a, &there, false);
    assert_eq!(
        &answers::understood(a, &serde_json::from_slice(&back).expect("it is well formed")),
        reply,
        "back in {a:?}"
    );
}

/// The answer as a stream of `b`, read again by a client of Ollama.
fn a_stream_is_read_again(a: Dialect, b: Dialect, reply: &Reply) {
    let told = answers::told(a, reply).to_string();
    let stream = answered(a, b, told.as_bytes(), true);
    let body = hello(Dialect::Ollama);
    let terms = terms(Dialect::Ollama.chat());
    let asked = translate::request(Dialect::Ollama.chat(), b, body.as_bytes(), true, &terms)
        .expect("it can be translated");
    let mut translator = asked.translator;
    let mut out = Vec::new();
    translator.feed(&stream, &mut out);
    translator.finish(&mut out);
    assert!(translator.is_complete(), "{:?} after {}", translator.error(), String::from_utf8_lossy(&stream));
    let known = translator.usage();
    assert_eq!(
        &answers::understood_lines(&out),
        reply,
        "{known:?} from {}",
        String::from_utf8_lossy(&stream)
    );
}

/// The dialects that are asked about.
const SPOKEN: &[Dialect] = &Dialect::ALL;

proptest! {
    #[test]
    fn requests_of_ollama_come_back(talk in any_talk()) {
        a_request_comes_back(Dialect::Ollama, Dialect::Ollama, &talk);
    }

    #[test]

    fn requests_come_back(a in any_of(SPOKEN), b in any_of(SPOKEN), talk in any_talk()) {
        a_request_comes_back(a, b, &talk);
    }

    #[test]
    fn answers_of_ollama_come_back(reply in reply()) {
        an_answer_comes_back(Dialect::Ollama, Dialect::Ollama, &reply);
        a_stream_is_read_again(Dialect::Ollama, Dialect::Ollama, &reply);
    }

    #[test]

    fn answers_come_back(a in any_of(SPOKEN), b in any_of(SPOKEN), reply in reply()) {
        an_answer_comes_back(a, b, &reply);
        a_stream_is_read_again(a, b, &reply);
    }
}
