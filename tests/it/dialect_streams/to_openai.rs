//! Streams of Anthropic, Gemini and the Responses API for clients of OpenAI.

use super::*;
use crate::support::replay::MODEL;
use crate::support::{Script, speaker};

/// A stream of Anthropic's for a client that has two tools and wants usage.
fn row(id: &'static str, stream: String) -> Row {
    Row::new(id, OpenAi, Anthropic, stream).asking(json!({ "stream_options": { "include_usage": true } }))
}

/// A block with a call, whose input comes in these pieces.
fn call(index: u32, id: &str, name: &str, pieces: &[&str]) -> Vec<String> {
    let start = format!(
        r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"tool_use","id":"{id}","name":"{name}","input":{{}}}}}}"#
    );
    let piece = |piece: &&str| {
        let delta = json!({ "type": "input_json_delta", "partial_json": piece });
        format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#)
    };
    let stop = format!(r#"{{"type":"content_block_stop","index":{index}}}"#);
    [start].into_iter().chain(pieces.iter().map(piece)).chain([stop]).collect()
}

fn borrowed(events: &[String]) -> Vec<&str> {
    events.iter().map(String::as_str).collect()
}

const END: [&str; 2] = [
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}"#,
    r#"{"type":"message_stop"}"#,
];

#[test]
fn t72_t74_ts_01_02_calls_are_numbered_without_holes_and_begin_empty() {
    let calls =
        [call(1, "toolu_1", "f", &["", "{\"city\":", "\"Rome\"}"]), call(2, "toolu_2", "g", &[])].concat();
    let blocks = [&TEXT[..], &borrowed(&calls)].concat();
    let row = row("T72 T74", message(&blocks, "tool_use"))
        .shows(r#""tool_calls":[{"index":0,"id":"toolu_1","type":"function","function":{"name":"f","arguments":""}}]"#)
        .shows(r#""tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]"#)
        .shows(r#""tool_calls":[{"index":1,"id":"toolu_2","#)
        .shows(r#""finish_reason":"tool_calls""#)
        .shows("data: [DONE]\n\n")
        .hides(r#""arguments":"{}{"#)
        .hides(r#""index":2"#);
    replay(&[row]);
}

#[test]
fn t73_ts_04_thoughts_and_text_are_in_the_one_choice() {
    let blocks = [
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hi"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
    ];
    let row = row("T73", message(&blocks, "end_turn"))
        .shows(r#""reasoning_content":"Hm.""#)
        .shows(r#""signature":"c2ln""#)
        .shows(r#""content":"Hi""#)
        .shows(r#""finish_reason":"stop""#)
        .hides(r#""choices":[{"index":1"#);
    replay(&[row]);
}

#[test]
fn t75_ts_05_06_11_a_stream_that_breaks_never_ends_well() {
    let busy = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let begun = [&[START], &TEXT[..]].concat();
    let rows = [
        row("T75", events(&[&begun[..], &[busy]].concat())).shows("Hi").shows("data: {\"error\":{"),
        row("TS-06", events(&begun)).shows("Hi").shows("stream_aborted"),
        row("TS-06", events(&[&begun[..], &END[..1]].concat())).shows("Hi").shows("stream_aborted"),
        row("TS-11", events(&[START])),
        row("TS-11", String::new()),
        row("TS-05", events(&[busy])),
    ];
    replay(&rows.map(|row| row.hides("overloaded_error").hides("\"finish_reason\":\"stop\"").ends_badly()));
}

#[test]
fn t76_ts_15_a_stop_sequence_is_a_stop_and_no_refusal() {
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END"},"usage":{"output_tokens":3}}"#;
    let all = [&[START], &TEXT[..], &[end, END[1]]].concat();
    let row = row("T76", events(&all)).shows(r#""finish_reason":"stop""#).hides(r#""refusal":"END"#);
    replay(&[row]);
}

#[test]
fn t78_t79_ts_07_18_one_id_one_time_one_role_and_nothing_for_pings() {
    let ping = r#"{"type": "ping"}"#;
    let all = [&[START, ping], &TEXT[..], &[ping], &END[..]].concat();
    replay_and(&[row("T78 T79", events(&all))], |row, answer, _| {
        let text = answer.text();
        let data =
            text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        let chunks: Vec<serde_json::Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
        let first = &chunks[0];
        assert!(
            first["created"].as_i64().is_some_and(|created| created > 1_700_000_000),
            "{}: {first}",
            row.id
        );
        for chunk in &chunks {
            for member in ["id", "created", "model", "object"] {
                assert_eq!(chunk[member], first[member], "{}: {member}", row.id);
            }
            assert!(chunk["choices"][0]["delta"].get("tool_calls").is_none(), "{chunk}");
        }
        let roles = chunks.iter().filter(|chunk| chunk["choices"][0]["delta"].get("role").is_some());
        assert_eq!((roles.count(), &first["choices"][0]["delta"]["role"]), (1, &json!("assistant")));
        assert!(!text.contains("ping") && text.ends_with("data: [DONE]\n\n"), "{text}");
    });
}

#[test]
fn t81_t82_ts_09_10_counts_override_and_usage_has_a_chunk_of_its_own() {
    let again = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":9,"cache_read_input_tokens":1,"output_tokens":3}}"#;
    let late = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":10,"output_tokens":3}}"#;
    let start = START.replace("\"input_tokens\":9,\"cache_read_input_tokens\":1", "\"input_tokens\":0");
    let rows = [
        row("T81", events(&[&[START], &TEXT[..], &[again, END[1]]].concat())),
        row("T82", events(&[&[&*start], &TEXT[..], &[late, END[1]]].concat())),
    ];
    let shows =
        |row: Row| row.shows("\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3");
    replay_and(&rows.map(shows), |row, _, record| {
        assert_eq!((record.input_tokens, record.output_tokens), (Some(10), Some(3)), "{}", row.id);
    });
    let unasked = Row::new("TS-09", OpenAi, Anthropic, message(&TEXT, "end_turn")).hides("prompt_tokens");
    replay(&[unasked]);
}

#[test]
fn t85_usage_is_read_from_whatever_event_is_the_last() {
    let stream = |status: &str, more: &str| {
        let begun: String = speaker::events(Responses, MODEL, &["Hi"])[..4].concat();
        begun
            + &format!(
                "event: response.{status}\ndata: {{\"type\":\"response.{status}\",\"sequence_number\":9,\"response\":{{\"id\":\"resp_1\",\"status\":\"{status}\",{more},\"output\":[],\"usage\":{{\"input_tokens\":20,\"output_tokens\":30,\"total_tokens\":50}}}}}}\n\n"
            )
    };
    for client in [OpenAi, Anthropic, Gemini, Ollama] {
        let rows = [
            Row::new(
                "T85",
                client,
                Responses,
                stream("incomplete", r#""incomplete_details":{"reason":"max_output_tokens"}"#),
            ),
            Row::new(
                "T85",
                client,
                Responses,
                stream("failed", r#""error":{"code":"server_error","message":"broken"}"#),
            )
            .ends_badly(),
        ];
        replay_and(&rows, |row, _, record| {
            let used = (record.input_tokens, record.output_tokens);
            assert_eq!(used, (Some(20), Some(30)), "{} {:?}", row.id, row.ends);
        });
    }
}

fn gemini(parts: &[&str], reason: Option<&str>) -> String {
    let reason = reason.map(|reason| format!(",\"finishReason\":\"{reason}\"")).unwrap_or_default();
    let parts = parts.join(",");
    format!(
        "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{parts}]}}{reason},\"index\":0}}],\"usageMetadata\":{{\"promptTokenCount\":4,\"candidatesTokenCount\":2}},\"modelVersion\":\"m\",\"responseId\":\"g1\"}}\r\n\r\n"
    )
}

#[test]
fn t92_t94_calls_of_gemini_come_through_whole_and_end_for_tools() {
    let signature = "QUJD".repeat(20_000);
    let signed =
        format!(r#"{{"functionCall":{{"name":"f","args":{{"a":1}}}},"thoughtSignature":"{signature}"}}"#);
    let call = r#"{"functionCall":{"name":"f","args":{"a":1}}}"#;
    let end = gemini(&[r#"{"text":""}"#], Some("STOP"));
    let rows = [
        Row::new("T92", OpenAi, Gemini, gemini(&[call], None) + &end)
            .shows(r#""finish_reason":"tool_calls""#)
            .hides(r#""finish_reason":"stop""#),
        Row::new("T92", Anthropic, Gemini, gemini(&[call], None) + &end).shows(r#""stop_reason":"tool_use""#),
    ];
    replay(&rows);
    let long = Row::new("T94", OpenAi, Gemini, gemini(&[&signed], None) + &end)
        .shows(&signature)
        .hides("functionCall")
        .hides("thoughtSignature");
    let upstream = speaker::upstream(MODEL);
    let instance = speaker::once().backend("b1", &upstream, speaker::settings(Gemini)).start();
    let (one, other) = long.stream.as_bytes().split_at(30_000);
    upstream.next(Script::stream(&[one, other]));
    let text = speaker::ask(&instance.client(), OpenAi, MODEL, true, json!({})).text();
    assert!(long.shows.iter().all(|shown| text.contains(shown)), "the signature is told");
    assert!(!long.hides.iter().any(|hidden| text.contains(hidden)), "nothing of Gemini's leaks");
    assert!(text.ends_with("data: [DONE]\n\n"));
}

#[test]
fn t95_candidates_stay_choices_and_parts_of_one_stay_together() {
    let two = |first: &str, second: &str, reason: &str| {
        let candidate = |index: u8, text: &str| {
            format!(
                r#"{{"content":{{"role":"model","parts":[{{"text":"{text}"}},{{"text":"+"}}]}}{reason},"index":{index}}}"#
            )
        };
        format!(
            "data: {{\"candidates\":[{},{}],\"responseId\":\"g1\"}}\r\n\r\n",
            candidate(0, first),
            candidate(1, second)
        )
    };
    let stream = two("a", "b", "") + &two("c", "d", r#","finishReason":"STOP""#);
    let row = Row::new("T95", OpenAi, Gemini, stream).asking(json!({ "n": 2 })).shows(r#""index":1"#);
    replay_and(&[row], |_, answer, _| {
        let text = answer.text();
        let data =
            text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        let mut told = [String::new(), String::new()];
        let mut ids = Vec::new();
        for data in data {
            let chunk: serde_json::Value = serde_json::from_str(data).unwrap();
            ids.push(chunk["id"].clone());
            for choice in chunk["choices"].as_array().unwrap() {
                let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
                told[index] += choice["delta"]["content"].as_str().unwrap_or_default();
            }
        }
        ids.dedup();
        assert_eq!((told, ids.len()), (["a+c+".to_owned(), "b+d+".to_owned()], 1), "{text}");
    });
}
