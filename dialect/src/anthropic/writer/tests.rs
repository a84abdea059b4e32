//! What clients get of streams that other backends make.

use crate::hub::{
    Beginning, CallPiece, Delta, Finish, Json, Part, PartKind, Provider, Reason, Reasoning, Request,
    Reversal, Said, Signature, Source, Weaver, Writer,
};
use crate::translate::{Engine, Terms};
use crate::{Endpoint, Framing, Usage};

use super::StreamWriter;

fn terms() -> Terms {
    Terms {
        model: "backend".to_owned(),
        engine: Engine::Other,
        is_strict: false,
        pass_unknown: false,
        format_mode: crate::translate::FormatMode::default(),
        max_tokens: 4096,
        label: "r-1".to_owned(),
        now: 0,
        framing: Framing::Events,
    }
}

fn request(reasoning: Option<Reasoning>) -> Request {
    let mut request = Request::new(Endpoint::Messages);
    request.model = "asked".to_owned();
    request.reasoning = reasoning.map(|reasoning| Said::new("thinking", reasoning));
    request
}

/// The data of the events that a client of `request` gets, without the beginning and the ping.
fn stream(request: &Request, deltas: Vec<Delta<'_>>) -> Vec<String> {
    let mut weaver = Weaver::new(Reversal::default(), "r-1");
    let mut writer = StreamWriter::new(request, &terms());
    let mut out = Vec::new();
    for delta in deltas {
        weaver.take(delta, &mut |event| writer.write(event, &mut out));
    }
    let text = String::from_utf8(out).unwrap();
    let events: Vec<String> = text
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once("\ndata: ").unwrap();
            let value: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(name, format!("event: {}", value["type"].as_str().unwrap()));
            data.to_owned()
        })
        .collect();
    assert!(events[0].starts_with(r#"{"type":"message_start","message":{"id":"msg_"#));
    assert_eq!(events[1], r#"{"type":"ping"}"#);
    events[2..].to_vec()
}

fn text(text: &str) -> Delta<'_> {
    Delta::Text { choice: 0, text: text.into() }
}

fn thinking(text: &str) -> Delta<'_> {
    Delta::Thinking { choice: 0, text: text.into() }
}

fn signed(provider: Provider, data: &str) -> Delta<'static> {
    Delta::ThinkingSignature { choice: 0, signature: Signature { provider, data: data.to_owned() } }
}

fn stop(reason: Reason) -> Delta<'static> {
    Delta::Finish { choice: 0, finish: Finish::because(reason) }
}

fn call(is_custom: bool, arguments: &str, signature: Option<Signature>) -> Delta<'_> {
    let piece = CallPiece {
        id: Some("call.1".into()),
        name: Some("f".into()),
        arguments: arguments.into(),
        is_custom,
        is_whole: true,
        signature,
    };
    Delta::ToolCall { choice: 0, index: 0, piece }
}

#[test]
fn a_text_has_every_event_in_order() {
    let usage = Usage { input_tokens: Some(5), output_tokens: Some(2), ..Usage::default() };
    let events = stream(
        &request(None),
        vec![text("Hi"), text(" \"you\""), stop(Reason::Stop), Delta::Usage(usage), Delta::End],
    );
    assert_eq!(
        events,
        [
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" \"you\""}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":2}}"#,
            r#"{"type":"message_stop"}"#,
        ]
    );
}

#[test]
fn ts_08_the_beginning_holds_everything_that_clients_read() {
    let mut weaver = Weaver::new(Reversal::default(), "r-1");
    let mut writer = StreamWriter::new(&request(None), &terms());
    let mut out = Vec::new();
    let beginning = Beginning { model: Some("real".to_owned()), ..Beginning::default() };
    for delta in [Delta::Begin(beginning), text("a")] {
        weaver.take(delta, &mut |event| writer.write(event, &mut out));
    }
    let out = String::from_utf8(out).unwrap();
    let id = crate::hub::ids::made("msg_", "r-1", 0);
    let expected = format!(
        r#"{{"type":"message_start","message":{{"id":"{id}","type":"message","role":"assistant","model":"real","content":[],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":1,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}}}}"#
    );
    assert!(out.starts_with(&format!("event: message_start\ndata: {expected}\n\nevent: ping\ndata: ")));
}

#[test]
fn thoughts_are_shown_as_the_client_wants_them() {
    let deltas = || {
        vec![
            thinking("hm"),
            signed(Provider::OpenAi, "s1"),
            signed(Provider::OpenAi, "s2"),
            text("a"),
            Delta::End,
        ]
    };
    let starts = |reasoning: Option<Reasoning>| {
        let events = stream(&request(reasoning), deltas());
        let kinds: Vec<String> = events
            .iter()
            .filter_map(|event| {
                let value: serde_json::Value = serde_json::from_str(event).unwrap();
                let delta = &value["delta"];
                Some(match value["type"].as_str()? {
                    "content_block_start" => {
                        format!("{} {}", value["index"], value["content_block"]["type"].as_str()?)
                    }
                    "content_block_delta" => {
                        let text = ["thinking", "signature", "text"]
                            .into_iter()
                            .find_map(|name| delta[name].as_str())?;
                        format!("+{text}")
                    }
                    _ => return None,
                })
            })
            .collect();
        kinds.join(" ")
    };
    let asked = |enabled, shown| Some(Reasoning { enabled: Some(enabled), shown, ..Reasoning::default() });
    let all = "0 thinking +hm +openai-responses-v1#s1s2 1 text +a";
    assert_eq!(starts(asked(true, None)), all);
    assert_eq!(starts(None), all);
    assert_eq!(starts(asked(true, Some(false))), "0 thinking +openai-responses-v1#s1s2 1 text +a");
    assert_eq!(starts(asked(false, None)), "0 text +a");
}

#[test]
fn t87_the_signature_of_a_call_stands_in_front_of_it_for_clients_that_think() {
    let signature = || Some(Signature { provider: Provider::Gemini, data: "s".to_owned() });
    let asked = request(Some(Reasoning { enabled: Some(true), ..Reasoning::default() }));
    let events = stream(&asked, vec![call(false, "{}", signature()), Delta::End]);
    assert_eq!(
        events[..3],
        [
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"google-gemini-v1.call#s"}}"#.to_owned(),
            r#"{"type":"content_block_stop","index":0}"#.to_owned(),
            format!(
                r#"{{"type":"content_block_start","index":1,"content_block":{{"type":"tool_use","id":"{}","name":"f","input":{{}}}}}}"#,
                crate::hub::ids::plain("call.1")
            ),
        ]
    );
    let events = stream(&request(None), vec![call(false, "{}", signature()), Delta::End]);
    assert!(events[0].contains(r#""index":0,"content_block":{"type":"tool_use""#));
}

#[test]
fn parts_that_come_whole_are_blocks_of_their_own() {
    let part = |kind| Delta::Part { choice: 0, part: Part::answered(kind) };
    let raw =
        Json::parse(r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{"q":1}}"#).unwrap();
    let foreign = |kind: &str, text: Option<&str>| PartKind::Foreign {
        kind: kind.to_owned(),
        raw: raw.clone(),
        text: text.map(str::to_owned),
    };
    let picture = Source::Base64 { media_type: "image/png".to_owned(), data: "QQ==".to_owned() };
    let events = stream(
        &request(None),
        vec![
            part(foreign("server_tool_use", Some("x"))),
            part(foreign("web_search_call", Some("searched"))),
            part(foreign("novelty", None)),
            part(PartKind::Image { source: picture, detail: None }),
            Delta::End,
        ],
    );
    assert_eq!(
        events[0],
        format!(r#"{{"type":"content_block_start","index":0,"content_block":{}}}"#, raw.as_str())
    );
    assert!(events[3].contains(r#""index":1,"delta":{"type":"text_delta","text":"searched"}"#));
    assert!(events[6].contains(
        r#""index":2,"delta":{"type":"text_delta","text":"![image](data:image/png;base64,QQ==)"}"#
    ));
    assert!(events[8].contains(r#""stop_reason":"end_turn""#));
}

#[test]
fn free_text_of_a_call_becomes_an_argument() {
    let events = stream(&request(None), vec![call(true, "a \"b\"", None), Delta::End]);
    assert!(events[1].contains(r#""partial_json":"{\"input\":\"a \\\"b\\\"\"}""#));
}

#[test]
fn tp_09_tp_10_refusals_are_text_and_a_reason() {
    let refusal = Delta::Refusal { choice: 0, text: "No.".into() };
    let events = stream(&request(None), vec![refusal, stop(Reason::Stop), Delta::End]);
    assert!(events[1].contains(r#""type":"text_delta","text":"No.""#));
    assert!(events[3].contains(r#""stop_reason":"refusal""#));
    let events = stream(&request(None), vec![text("a"), stop(Reason::Refusal), Delta::End]);
    assert!(events[3].contains(r#""stop_reason":"refusal""#));
}

#[test]
fn other_choices_are_not_told() {
    let other = Delta::Text { choice: 1, text: "other".into() };
    let events = stream(&request(None), vec![text("a"), other, Delta::End]);
    assert!(events.iter().all(|event| !event.contains("other")));
}
