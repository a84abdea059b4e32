//! Streams as backends send them, and what they say.

use super::*;
use crate::hub::Reason;

/// What the events say, one word for each delta; an event is its data, or a name and data with a space between.
fn deltas(events: &[&str]) -> Vec<String> {
    let mut reader = StreamReader::default();
    let mut told = Vec::new();
    for event in events {
        let (name, data) = if event.starts_with('{') { ("", *event) } else { event.split_once(' ').unwrap() };
        reader.read(name.as_bytes(), data.as_bytes(), &mut |delta| told.push(word(&delta)));
    }
    reader.finish(&mut |delta| told.push(word(&delta)));
    told
}

fn word(delta: &Delta<'_>) -> String {
    match delta {
        Delta::Begin(beginning) => format!("begin {}", beginning.model.as_deref().unwrap_or("-")),
        Delta::Text { text, .. } => format!("text {text}"),
        Delta::Thinking { text, .. } => format!("thinking {text}"),
        Delta::ThinkingSignature { signature, .. } => format!("signed {}", signature.data),
        Delta::ToolCall { index, piece, .. } => {
            format!("call {index} {} {}", piece.name.as_deref().unwrap_or("-"), piece.arguments)
        }
        Delta::Over { .. } => "over".to_owned(),
        Delta::Part { part, .. } => match &part.kind {
            PartKind::Foreign { kind, raw, .. } => format!("{kind} {}", raw.as_str()),
            PartKind::SealedThinking { data } => format!("sealed {}", data.data),
            PartKind::Text { sources: Some(sources), .. } => format!("sources {}", sources.as_str()),
            other => panic!("{other:?}"),
        },
        Delta::Finish { finish, .. } => format!("finish {:?} {:?}", finish.reason, finish.stop_sequence),
        Delta::Usage(usage) => format!(
            "usage {:?} {:?} {:?}",
            usage.input_tokens.unwrap_or(0),
            usage.output_tokens.unwrap_or(0),
            usage.cached_tokens.unwrap_or(0)
        ),
        Delta::Error(error) => format!("error {:?} {}", error.status, error.message),
        Delta::End => "end".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn t81_t82_counts_are_cumulative_and_late_ones_count() {
    let told = deltas(&[
        r#"{"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":9,"cache_read_input_tokens":1,"output_tokens":1}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":9,"cache_read_input_tokens":1,"output_tokens":2}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    assert_eq!(told, ["begin c", "usage 10 1 1", "usage 10 2 1", "finish Stop None", "end"]);
    let late = deltas(&[
        r#"{"type":"message_start","message":{"usage":{"input_tokens":0,"output_tokens":0}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"X"},"usage":{"input_tokens":7,"output_tokens":2}}"#,
    ]);
    assert_eq!(late, ["begin -", "usage 0 0 0", "usage 7 2 0", r#"finish StopSequence Some("X")"#]);
}

#[test]
fn blocks_of_every_kind() {
    let told = deltas(&[
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eq"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"R"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1}"}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"u","name":"g","input":{"b":2}}}"#,
        r#"{"type":"content_block_stop","index":3}"#,
    ]);
    assert_eq!(
        told,
        [
            "thinking ",
            "thinking hm",
            "signed Eq",
            "over",
            "sealed R",
            "over",
            "call 2 f ",
            "call 2 - {\"a\":",
            "call 2 - 1}",
            "call 2 - ",
            "over",
            "call 3 g ",
            "call 3 - {\"b\":2}",
            "over"
        ]
    );
}

#[test]
fn blocks_of_server_tools_come_whole_and_citations_after_their_text() {
    let told = deltas(&[
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"q\"}"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"","citations":[]}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"so"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"url":"https://t"}}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
    ]);
    assert_eq!(
        told,
        [
            r#"server_tool_use {"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}}"#,
            "over",
            "text ",
            "text so",
            r#"sources [{"url":"https://t"}]"#,
            "over"
        ]
    );
}

#[test]
fn errors_are_told_with_the_status_that_fits() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert_eq!(deltas(&[overloaded]), ["error Some(529) Overloaded"]);
    assert_eq!(deltas(&[&format!("error {overloaded}")]), ["error Some(529) Overloaded"]);
    assert_eq!(deltas(&[r#"{"error":{"message":"no"}}"#]), ["error None no"]);
    for nonsense in ["x hello", "x []", "x [DONE]"] {
        assert!(deltas(&[nonsense])[0].starts_with("error None sent an event that makes no sense"));
    }
}

#[test]
fn a_stream_without_its_end_has_none() {
    let told = deltas(&[
        r#"{"type":"message_start","message":{}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
    ]);
    assert_eq!(told, ["begin -", "finish Stop None"]);
    assert_eq!(stop::read(Some("novel"), None).reason, Reason::Unknown);
}

#[test]
fn members_that_are_null_or_of_an_odd_type_spoil_nothing() {
    let told = deltas(&[
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":null,"citations":null}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a","thinking":null,"signature":null}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":7},"usage":null}"#,
        r#"{"type":null}"#,
    ]);
    assert_eq!(told, ["text ", "text a", "finish Stop None"]);
}
