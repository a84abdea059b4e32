//! T31..T107 and TS-01..18: the streams of the translation cases through the running program, however they are cut.

use dialect::Dialect::{self, Anthropic, Gemini, Ollama, OpenAi, Responses};
use serde_json::json;

use crate::support::replay::{Row, replay, replay_and};

mod to_anthropic;
mod to_openai;

#[path = "../../dialect/tests/talk/streams.rs"]
mod transcripts;

/// Chunks of a chat completion, each around one delta, then the end for `finish`, the usage and the end marker.
fn chat(deltas: &[&str], finish: &str) -> String {
    let end = format!(
        "data: {{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{finish}\"}}]}}\n\n"
    );
    [&*begun_chat(deltas), &end, CHAT_USAGE, "data: [DONE]\n\n"].concat()
}

const CHAT_USAGE: &str = "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n";

/// The same without an end.
fn begun_chat(deltas: &[&str]) -> String {
    let chunk = |delta: &&str| {
        format!(
            "data: {{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}\n\n"
        )
    };
    deltas.iter().map(chunk).collect()
}

/// Anthropic's events with these data, named as they say themselves.
fn events(data: &[&str]) -> String {
    let event = |data: &&str| {
        let name = data.split('"').nth(3).expect("the type comes first");
        format!("event: {name}\ndata: {data}\n\n")
    };
    data.iter().map(event).collect()
}

/// A message around these events of its blocks.
fn message(blocks: &[&str], reason: &str) -> String {
    let end = format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"output_tokens":3}}}}"#
    );
    let all: Vec<&str> = [&[START][..], blocks, &[&end, r#"{"type":"message_stop"}"#][..]].concat();
    events(&all)
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"cache_read_input_tokens":1,"output_tokens":1}}}"#;
const TEXT: [&str; 3] = [
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
];

/// Both streams of `backend`, the whole one and the one that tells of an error, for everybody who speaks another dialect.
fn for_all_others(backend: Dialect) {
    let [good, bad] = transcripts::of(backend);
    let both = |client| {
        [Row::new("good", client, backend, good), Row::new("bad", client, backend, bad).ends_badly()]
    };
    let others = Dialect::ALL.into_iter().filter(|client| *client != backend);
    replay(&others.flat_map(both).collect::<Vec<_>>());
}

#[test]
fn ts_01_to_18_every_client_gets_the_streams_of_openai() {
    for_all_others(OpenAi);
}

#[test]
fn ts_01_to_18_every_client_gets_the_streams_of_responses() {
    for_all_others(Responses);
}

#[test]
fn ts_01_to_18_every_client_gets_the_streams_of_anthropic() {
    for_all_others(Anthropic);
}

#[test]
fn ts_01_to_18_every_client_gets_the_streams_of_gemini() {
    for_all_others(Gemini);
}

#[test]
fn ts_01_to_18_every_client_gets_the_streams_of_ollama() {
    for_all_others(Ollama);
}
