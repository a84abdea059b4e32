//! Streams of OpenAI's kin for clients of Anthropic.

use super::*;
use crate::support::replay::MODEL;
use crate::support::{Script, speaker};

fn row(id: &'static str, stream: String) -> Row {
    Row::new(id, Anthropic, OpenAi, stream)
}

const CALL: &str =
    r#"{"tool_calls":[{"index":0,"id":"t0","type":"function","function":{"name":"f","arguments":""}}]}"#;
const ARGUMENTS: &str = r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}"}}]}"#;

#[test]
fn t31_t32_t33_t44_calls_come_through_and_end_the_turn_for_tools() {
    let call = || {
        row("T31 T32", chat(&[CALL, ARGUMENTS], "tool_calls"))
            .shows(r#""content_block":{"type":"tool_use","id":"t0","name":"f","input":{}}"#)
            .shows(r#""type":"input_json_delta","partial_json":"{\"a\":1}""#)
            .shows(r#""type":"content_block_stop","index":0"#)
            .shows(r#""stop_reason":"tool_use""#)
            .hides("end_turn")
    };
    let after_text = row("T33 T44", chat(&[r#"{"content":"I look."}"#, CALL, ARGUMENTS], "tool_calls"))
        .shows(r#""content_block":{"type":"text","text":""}}"#)
        .shows(r#""type":"content_block_stop","index":0"#)
        .shows(r#""index":1,"content_block":{"type":"tool_use","id":"t0","name":"f","input":{}}"#)
        .shows(r#""stop_reason":"tool_use""#);
    let says_stop = row("T32", chat(&[CALL, ARGUMENTS], "stop")).shows(r#""stop_reason":"tool_use""#);
    replay(&[call(), after_text, says_stop]);
}

const SECOND: &str = r#"{"tool_calls":[{"index":1,"id":"t1","type":"function","function":{"name":"g","arguments":"{\"b\":"}}]}"#;

#[test]
fn t34_ts_02_calls_that_come_interleaved_are_blocks_one_after_the_other() {
    let late = r#"{"tool_calls":[{"index":1,"function":{"arguments":"2}"}}]}"#;
    let row = row("T34", chat(&[CALL, SECOND, ARGUMENTS, late], "tool_calls"))
        .shows(r#""index":0,"content_block":{"type":"tool_use","id":"t0""#)
        .shows(r#""type":"content_block_stop","index":0"#)
        .shows(r#""index":1,"content_block":{"type":"tool_use","id":"t1","name":"g","input":{}}"#)
        .shows(r#""type":"content_block_stop","index":1"#)
        .shows("message_delta");
    replay(&[row]);
}

const THINKS: &str = r#"{"reasoning_content":"Hm."}"#;

#[test]
fn t36_t37_t38_t39_ts_04_thoughts_are_blocks_of_their_own() {
    let thinking = |index: u8| format!(r#""index":{index},"content_block":{{"type":"thinking","#);
    let stop = |index: u8| format!(r#""type":"content_block_stop","index":{index}"#);
    let asking = json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } });
    let rows = [
        row("T36", chat(&[THINKS, CALL, ARGUMENTS], "tool_calls"))
            .shows(&thinking(0))
            .shows(&stop(0))
            .shows(r#""index":1,"content_block":{"type":"tool_use""#)
            .shows(&stop(1)),
        row("T37", chat(&[r#"{"content":"A"}"#, THINKS, r#"{"content":"B"}"#], "stop"))
            .shows(r#""index":0,"content_block":{"type":"text""#)
            .shows(&stop(0))
            .shows(&thinking(1))
            .shows(&stop(1))
            .shows(r#""index":2,"content_block":{"type":"text""#)
            .shows(&stop(2)),
        row("T38", chat(&[r#"{"reasoning_content":"Hm.","content":"Hi"}"#], "stop"))
            .shows(&thinking(0))
            .shows(r#""thinking_delta","thinking":"Hm.""#)
            .shows(&stop(0))
            .shows(r#""index":1,"content_block":{"type":"text""#)
            .shows(r#""text_delta","text":"Hi""#)
            .shows(&stop(1)),
        row("T39", chat(&[r#"{"reasoning":"Only thoughts."}"#], "stop"))
            .shows(&thinking(0))
            .shows(r#""thinking_delta","thinking":"Only thoughts.""#)
            .shows(&stop(0)),
    ];
    replay(&rows.map(|row| row.asking(asking.clone())));
}

#[test]
fn t40_t41_t43_calls_whose_pieces_come_early_again_or_not_at_all() {
    let early = r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}"#;
    let named = r#"{"tool_calls":[{"index":0,"id":"t0","type":"function","function":{"name":"f","arguments":"1}"}}]}"#;
    let again = |arguments: &str| {
        let call = json!({ "index": 0, "id": "t0", "type": "function", "function": { "name": "f", "arguments": arguments } });
        json!({ "tool_calls": [call] }).to_string()
    };
    let (first, second) = (again("{\"a\":"), again("1}"));
    let whole = again("{\"a\":1}");
    let start = r#""content_block":{"type":"tool_use","id":"t0","name":"f","input":{}}"#;
    let one = |id, deltas: &[&str]| {
        row(id, chat(deltas, "tool_calls"))
            .shows(start)
            .shows("input_json_delta")
            .shows(r#""type":"content_block_stop","index":0"#)
            .hides(r#""index":1"#)
    };
    let rows = [
        one("T40", &[early, named]),
        one("T41", &[&first, &second]),
        one("T43", &[&whole]),
        one("T43", &[CALL]).hides(r#""partial_json":"null"#),
    ];
    replay_and(&rows, |row, answer, _| {
        let text = answer.text();
        let piece = |data: &str| {
            let event: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
            event["delta"]["partial_json"].as_str().unwrap_or_default().to_owned()
        };
        let input: String = text.lines().filter_map(|line| line.strip_prefix("data: ")).map(piece).collect();
        let wanted =
            if row.stream.contains('1') && row.stream.contains("\\\"a\\\"") { "{\"a\":1}" } else { "{}" };
        assert_eq!(input, wanted, "{}: {text}", row.id);
    });
}

#[test]
fn t45_t46_t47_t81_ts_08_10_usage_is_told_whenever_it_comes_and_is_never_zero() {
    let told = row("T45", chat(&[r#"{"content":"Hi"}"#], "stop"))
        .shows(r#""stop_reason":null,"stop_sequence":null"#)
        .shows(r#""usage":{"input_tokens":"#)
        .shows("message_delta")
        .shows(r#""output_tokens":7"#);
    replay_and(&[told], |row, answer, record| {
        let (input, output, cached) = (record.input_tokens, record.output_tokens, record.cached_tokens);
        assert_eq!((input, output, cached), (Some(11), Some(7), Some(4)), "{}", row.id);
        let text = answer.text();
        let end = text.split("event: message_delta").nth(1).unwrap_or_default();
        assert!(end.contains(r#""input_tokens":7"#), "cached tokens are told apart: {end}");
        assert!(end.contains(r#""cache_read_input_tokens":4"#), "{end}");
    });
    let uncounted = begun_chat(&[r#"{"content":"Some words that nobody has counted."}"#])
        + "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let untold = row("T46 T47", uncounted);
    replay_and(&[untold], |_, answer, _| {
        let text = answer.text();
        let end = text.split("event: message_delta").nth(1).unwrap_or_default();
        assert!(end.contains("output_tokens") && !end.contains(r#""output_tokens":0"#), "{end}");
    });
}

#[test]
fn t48_t50_ts_03_the_reason_of_the_end_is_the_right_one() {
    let cut = r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}"#;
    replay(&[
        row("T48", chat(&[r#"{"content":"Hi"}"#], "content_filter")).shows(r#""stop_reason":"refusal""#),
        row("T50", chat(&[CALL, ARGUMENTS], "length"))
            .shows(r#""stop_reason":"max_tokens""#)
            .hides("\"tool_use\"}"),
        row("T50", chat(&[CALL, cut], "length")).shows(r#""stop_reason":"max_tokens""#),
        row("TS-03", chat(&[r#"{"content":"Hi"}"#], "stop")).shows(r#""stop_reason":"end_turn""#),
    ]);
}

#[test]
fn ts_14_ts_15_refusals_and_stop_strings_are_told() {
    let stopped = begun_chat(&[r#"{"content":"Hi"}"#])
        + "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\"stop_reason\":\"END\"}]}\n\ndata: [DONE]\n\n";
    replay(&[
        row("TS-15", stopped)
            .asking(json!({ "stop_sequences": ["END"] }))
            .shows(r#""stop_reason":"stop_sequence","stop_sequence":"END""#),
        row("TS-14", chat(&[r#"{"refusal":"I must not."}"#], "stop"))
            .shows(r#""text_delta","text":"I must not.""#)
            .shows(r#""stop_reason":"refusal""#),
    ]);
}

#[test]
fn t51_arguments_that_are_no_json_are_an_error_and_never_an_empty_object() {
    let broken = r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\" is one"}}]}"#;
    let row = row("T51", chat(&[CALL, broken], "tool_calls")).hides("partial_json\":\"{}\"").ends_badly();
    replay(&[row]);
}

#[test]
fn t52_t53_ts_05_06_11_a_stream_that_breaks_is_an_error() {
    let failed = "data: {\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\"}}\n\n";
    let begun = begun_chat(&[r#"{"content":"Hi"}"#]);
    let rows = [
        row("T52", begun.clone() + failed + "data: [DONE]\n\n").shows("Hi").shows("event: error\n"),
        row("T53", begun.clone()).shows("Hi").shows("event: error\n").shows(r#""type":"error""#),
        row("T53", begun + "data: {\"choices\":[{\"index\":0,\"del").shows("event: error\n"),
        row("TS-05", failed.to_owned()),
        row("TS-11", String::new()),
        row("TS-11", "data: [DONE]\n\n".to_owned()),
    ];
    replay(&rows.map(Row::ends_badly));
}

#[test]
fn t54_a_whole_answer_to_who_asked_for_a_stream_becomes_one() {
    let upstream = speaker::upstream(MODEL);
    let instance = speaker::once().backend("b1", &upstream, speaker::settings(OpenAi)).start();
    upstream.next(Script::json(&speaker::answer(OpenAi, MODEL)));
    let answer = speaker::ask(&instance.client(), Anthropic, MODEL, true, json!({}));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let text = answer.text();
    let names = text.lines().filter_map(|line| line.strip_prefix("event: "));
    let names: Vec<_> = names.filter(|name| *name != "ping").collect();
    let wanted = ["message_start", "content_block_start", "content_block_delta", "content_block_stop"];
    assert_eq!(names, [&wanted[..], &["message_delta", "message_stop"]].concat(), "{text}");
    assert!(text.contains(r#""text_delta","text":"Hello""#), "{text}");
    let record = instance.ended(&answer.request_id());
    assert_eq!((record.state.as_str(), record.input_tokens), ("completed", Some(5)));
}

#[test]
fn t55_ts_16_a_message_begins_once_and_no_block_for_nothing() {
    let role = r#"{"role":"assistant","content":""}"#;
    let rows = [
        row("T55", chat(&[role, role, r#"{"role":"assistant","content":"Hi"}"#], "stop")),
        row("TS-16", chat(&[role, CALL, ARGUMENTS], "tool_calls")).hides(r#"{"type":"text""#),
    ];
    replay_and(&rows, |row, answer, _| {
        assert_eq!(answer.text().matches("event: message_start").count(), 1, "{}", row.id);
    });
}

#[test]
fn t104_t106_ts_12_events_are_read_however_they_are_written() {
    let plain = chat(&[THINKS, r#"{"content":"Hi"}"#, CALL, ARGUMENTS], "tool_calls");
    let wanted = |id, stream: String| {
        row(id, stream).shows("Hi").shows(r#""name":"f""#).shows(r#""stop_reason":"tool_use""#)
    };
    replay(&[
        wanted("T104", plain.replace("data: ", "data:")),
        wanted("T106", plain.replace('\n', "\r\n")),
        wanted("T106", plain.replace('\n', "\r")),
        wanted("T106", plain.replace("data: {\"id\":\"c1\",", ": a comment\ndata: {\"id\":\"c1\",\ndata: ")),
        wanted("TS-12", format!("\u{feff}{plain}")),
        wanted("TS-17", plain.trim_end().to_owned()),
    ]);
}

#[test]
fn t107_ts_13_a_line_of_many_megabytes_comes_through() {
    let upstream = speaker::upstream(MODEL);
    let instance = speaker::once().backend("b1", &upstream, speaker::settings(OpenAi)).start();
    let file = "x".repeat(17 << 20);
    let whole =
        format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{{\"file\":\"{file}\"}}"}}}}]}}"#);
    upstream.next(Script::stream(&[chat(&[CALL, &whole], "tool_calls")]));
    let answer = speaker::ask(&instance.client(), Anthropic, MODEL, true, json!({}));
    let text = answer.text();
    assert!(text.matches('x').count() > 17 << 20 && text.contains(&file[..1 << 20]), "the file is there");
    assert!(text.contains(r#""stop_reason":"tool_use""#) && text.contains("event: message_stop"));
    assert_eq!(instance.ended(&answer.request_id()).state.as_str(), "completed");
}
