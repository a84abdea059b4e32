//! Streams of a Gemini backend, as a Gemini client gets them.

use dialect::{Dialect, Endpoint, Framing};
use serde_json::json;

use crate::scene::{self, Asked, json, terms};

const ASKED: &str = r#"{"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}"#;

fn ask(framing: Framing) -> Asked {
    let mut terms = terms("gemini-3-pro-preview");
    terms.framing = framing;
    scene::ask(Endpoint::GenerateContent, Dialect::Gemini, ASKED, true, &terms)
}

const UPSTREAM: &str = concat!(
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hm.\",\"thought\":true}],\"role\":\"model\"},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":8,\"totalTokenCount\":8},\"modelVersion\":\"g3\",\"responseId\":\"r1\"}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"g3\",\"responseId\":\"r1\"}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo\"}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"g3\",\"responseId\":\"r1\"}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"id\":\"c1\",\"name\":\"f\",\"args\":{\"x\":1}},\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"id\":\"c2\",\"name\":\"f\",\"args\":{\"x\":2}}}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"g3\",\"responseId\":\"r1\"}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":8,\"candidatesTokenCount\":5,\"thoughtsTokenCount\":4,\"totalTokenCount\":17},\"modelVersion\":\"g3\",\"responseId\":\"r1\"}\r\n\r\n",
);

#[test]
fn a_stream_comes_piece_by_piece_with_whole_calls_and_its_tokens_at_the_end() {
    let streamed = ask(Framing::Events).stream(UPSTREAM);
    assert!(streamed.is_complete);
    assert!(streamed.text.ends_with("\r\n\r\n"));
    let piece = |parts| json!({"candidates": [{"content": {"parts": [parts], "role": "model"}, "index": 0}], "modelVersion": "g3", "responseId": "r1"});
    assert_eq!(
        streamed.events(),
        [
            piece(json!({"text": "Hm.", "thought": true})),
            piece(json!({"text": "Hel"})),
            piece(json!({"text": "lo"})),
            json!({
                "candidates": [{"content": {"parts": [
                    {"functionCall": {"id": "c1", "name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"id": "c2", "name": "f", "args": {"x": 2}}},
                ], "role": "model"}, "finishReason": "STOP", "index": 0}],
                "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 5, "thoughtsTokenCount": 4, "totalTokenCount": 17},
                "modelVersion": "g3", "responseId": "r1",
            }),
        ]
    );
    assert_eq!((streamed.usage.output_tokens, streamed.usage.reasoning_tokens), (Some(9), Some(4)));
}

#[test]
fn a_client_that_does_not_ask_for_events_gets_one_list() {
    let streamed = ask(Framing::List).stream(UPSTREAM);
    let list = json(&streamed.text);
    assert_eq!(list.as_array().map(Vec::len), Some(4));
    assert_eq!(list[1]["candidates"][0]["content"]["parts"][0]["text"], "Hel");
    assert!(streamed.text.starts_with("[{") && streamed.text.contains("},\r\n{"));
}

#[test]
fn te_a_broken_stream_is_never_complete() {
    let (cut, _) = UPSTREAM.rsplit_once("data: ").expect("it has events");
    let streamed = ask(Framing::Events).stream(cut);
    assert!(!streamed.is_complete && streamed.error.is_none());
    assert!(!streamed.text.contains("finishReason") && !streamed.text.contains("functionCall"));

    for error in [
        "data: {\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":\"UNAVAILABLE\"}}\n\n",
        "data: [{\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":\"UNAVAILABLE\"}}]\n\n",
    ] {
        let streamed = ask(Framing::Events).stream(&format!("{cut}{error}"));
        let told = streamed.error.expect("it broke");
        assert_eq!((told.message.as_str(), told.status), ("The model is overloaded.", Some(503)));
        assert!(!streamed.is_complete);
    }
    let ended = ask(Framing::Events).stream(&format!("{UPSTREAM}data: [DONE]\n\n"));
    assert!(ended.is_complete && ended.error.is_none(), "some servers end as OpenAI does");
    let garbage = ask(Framing::Events).stream("data: <html>\n\n");
    assert!(garbage.error.is_some() && garbage.text.is_empty());
    let empty = ask(Framing::Events).stream("");
    assert!(!empty.is_complete && empty.text.is_empty());
}

#[test]
fn a_prompt_blocked_in_a_stream_is_a_refusal() {
    let upstream = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":3}}\n\n";
    let streamed = ask(Framing::Events).stream(upstream);
    assert!(streamed.is_complete);
    let events = streamed.events();
    assert_eq!(events[0]["candidates"][0]["content"]["parts"][0]["text"], "The prompt was blocked: SAFETY.");
    assert_eq!(events[1]["candidates"][0]["finishReason"], "SAFETY");
}

#[test]
fn candidates_side_by_side_stay_apart_and_all_must_end() {
    let begin = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"A\"}]},\"index\":0},{\"content\":{\"parts\":[{\"text\":\"B\"}]},\"index\":1}]}\n\n";
    let first = "data: {\"candidates\":[{\"finishReason\":\"STOP\",\"index\":0}]}\n\n";
    let second = "data: {\"candidates\":[{\"finishReason\":\"MAX_TOKENS\",\"index\":1}]}\n\n";
    assert!(!ask(Framing::Events).stream(&format!("{begin}{first}")).is_complete);
    let streamed = ask(Framing::Events).stream(&format!("{begin}{first}{second}"));
    assert!(streamed.is_complete);
    let events = streamed.events();
    assert_eq!(events[1]["candidates"][0]["index"], 1);
    assert_eq!(events[2]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(events[2]["candidates"][1]["finishReason"], "MAX_TOKENS");
}
