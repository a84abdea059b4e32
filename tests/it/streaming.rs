//! STR-01..13: streams pass through as they come, end honestly, and are never begun twice.

use serde_json::{Value, json};

use crate::support::upstream::{chat_events, message_events};
use crate::support::{Answer, Gate, Instance, Script, Setup, Upstream};

fn instance() -> (Upstream, Instance) {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    (upstream, instance)
}

fn two() -> (Upstream, Upstream, Instance) {
    let (first, second) = (Upstream::start(&["m"]), Upstream::start(&["m"]));
    let instance = Setup::with_two(&first, &second).start();
    (first, second, instance)
}

fn anthropic() -> (Upstream, Instance) {
    let upstream = Upstream::start(&["c"]);
    let instance =
        Setup::new().backend("claude", &upstream, json!({ "type": "anthropic", "api_key": "k" })).start();
    (upstream, instance)
}

fn ask_messages(instance: &Instance) -> Answer {
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    let body = json!({ "model": "c", "max_tokens": 10, "stream": true, "messages": messages });
    instance.client().post("/v1/messages", body.to_string())
}

/// The error in the last event of an OpenAI stream.
#[track_caller]
fn last_error(answer: &Answer) -> Value {
    let text = answer.text();
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let event: Value = serde_json::from_str(last.trim_start_matches("data: ")).unwrap_or_default();
    assert!(event["error"].is_object(), "the last event is no error: {text}");
    assert!(!text.contains("[DONE]"), "a broken stream does not end as if it were whole: {text}");
    event["error"].clone()
}

#[test]
fn str_01_each_event_arrives_before_the_backend_writes_the_next() {
    let (upstream, instance) = instance();
    let events = chat_events("m", &["a", "b", "c", "d"]);
    let gate = Gate::default();
    upstream.next(Script::gated(&events, &gate));
    let call = instance.client().start_stream("m");
    gate.open(1);
    let mut stream = call.stream();
    assert_eq!(stream.head.header("content-type"), Some("text/event-stream"));
    for (index, event) in events.iter().enumerate() {
        assert_eq!(stream.next_event().as_deref(), Some(event.trim_end()), "event {index}");
        gate.open(1);
    }
    assert_eq!(stream.next_event(), None);
}

#[test]
fn str_02_03_the_whole_stream_arrives_up_to_the_blank_line_after_done() {
    let (upstream, instance) = instance();
    let events = chat_events("m", &["Hel", "lo"]).concat();
    upstream.next(Script::stream(&[&events]));
    let answer = instance.client().start_stream("m").answer();
    assert_eq!(answer.text(), events);
    assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(instance.ended(&answer.request_id()).state.as_str(), "completed");
}

#[test]
fn str_04_an_error_before_the_first_event_is_tried_elsewhere() {
    let (first, second, instance) = two();
    first.always(Script::status(500));
    let answer = instance.client().start_stream("m").answer();
    assert_eq!((answer.status, answer.text()), (200, chat_events("m", &["Hel", "lo"]).concat()));
    assert_eq!((first.count(), second.count()), (1, 1));
    assert_eq!(instance.ended(&answer.request_id()).attempts, 2);
}

#[test]
fn str_05_06_a_break_after_an_event_ends_with_an_error_event_and_no_second_attempt() {
    let (first, second, instance) = two();
    let events = chat_events("m", &["Hel", "lo"]);
    let gate = Gate::default();
    first.next(Script::stream_head().chunk(&events[0]).wait(&gate).reset());
    let mut stream = instance.client().start_stream("m").stream();
    assert_eq!(stream.next_event().as_deref(), Some(events[0].trim_end()));
    gate.open(1);
    let answer = stream.rest();
    assert!(answer.complete, "the HTTP message itself ends well");
    assert_eq!(last_error(&answer)["code"], "stream_aborted");
    assert_eq!((first.count(), second.count()), (1, 0));
    let row = instance.ended(&answer.request_id());
    assert_eq!((row.state.as_str(), row.error_code.as_str(), row.attempts), ("failed", "stream_aborted", 1));
}

#[test]
fn str_06_the_error_event_is_anthropics_for_anthropic_callers() {
    let (upstream, instance) = anthropic();
    let events = message_events("c", &["Hel", "lo"]);
    upstream.next(Script::stream_head().chunk(events[..3].concat()).close());
    let answer = ask_messages(&instance);
    let text = answer.text();
    assert!(text.starts_with(&events[..3].concat()), "{text}");
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    let (name, data) = last.split_once('\n').unwrap();
    assert_eq!(name, "event: error");
    let event: Value = serde_json::from_str(data.trim_start_matches("data: ")).unwrap();
    assert_eq!(event["type"], "error");
    assert!(event["error"]["message"].is_string() && event["error"]["type"].is_string(), "{event}");
    assert_eq!(instance.ended(&answer.request_id()).state.as_str(), "failed");
}

#[test]
fn str_07_an_end_without_its_marker_is_a_failure() {
    let (upstream, instance) = instance();
    let events = chat_events("m", &["Hel", "lo"]);
    upstream.next(Script::stream(&events[..3]));
    let answer = instance.client().start_stream("m").answer();
    last_error(&answer);
    assert_eq!(instance.ended(&answer.request_id()).state.as_str(), "failed");

    let (upstream, instance) = anthropic();
    let events = message_events("c", &["Hel", "lo"]);
    upstream.next(Script::stream(&events[..events.len() - 1]));
    let answer = ask_messages(&instance);
    assert!(answer.text().contains("event: error\n"), "{}", answer.text());
    assert_eq!(instance.ended(&answer.request_id()).state.as_str(), "failed");
}

#[test]
fn str_08_a_200_that_closes_without_an_event_is_tried_elsewhere() {
    let (first, second, instance) = two();
    first.always(Script::stream_head().close());
    let answer = instance.client().start_stream("m").answer();
    assert_eq!((answer.status, answer.text()), (200, chat_events("m", &["Hel", "lo"]).concat()));
    assert_eq!((first.count(), second.count()), (1, 1));
}

#[test]
fn str_08_an_error_event_before_any_content_is_tried_elsewhere() {
    let (first, second, instance) = two();
    first.always(Script::stream(&[
        "data: {\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\"}}\n\n",
    ]));
    let answer = instance.client().start_stream("m").answer();
    assert_eq!((answer.status, answer.text()), (200, chat_events("m", &["Hel", "lo"]).concat()));
    assert_eq!((first.count(), second.count()), (1, 1));
}

#[test]
fn str_09_usage_of_the_last_chunk_is_on_record() {
    let (upstream, instance) = instance();
    let usage = "data: {\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\
                 \"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n";
    let mut events = chat_events("m", &["Hel", "lo"]);
    events.insert(3, usage.to_owned());
    upstream.next(Script::stream(&events));
    let body = json!({
        "model": "m", "messages": [{ "role": "user", "content": "x" }], "stream": true,
        "stream_options": { "include_usage": true }
    });
    let answer = instance.client().post("/v1/chat/completions", body.to_string());
    assert_eq!(answer.text(), events.concat(), "who asks for usage gets it");
    let row = instance.ended(&answer.request_id());
    assert_eq!((row.input_tokens, row.output_tokens, row.cached_tokens), (Some(11), Some(7), Some(4)));
}

#[test]
fn str_10_usage_is_asked_for_where_the_engine_gives_it_and_not_leaked() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::new().backend("b1", &upstream, json!({ "type": "vllm" })).start();
    let plain = chat_events("m", &["Hel", "lo"]);
    let mut events = plain.clone();
    let usage =
        "data: {\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}\n\n";
    events.insert(3, usage.to_owned());
    upstream.next(Script::stream(&events));
    let answer = instance.client().start_stream("m").answer();
    assert_eq!(upstream.seen()[0].json()["stream_options"]["include_usage"], true);
    assert_eq!(answer.text(), plain.concat());
    let row = instance.ended(&answer.request_id());
    assert_eq!((row.input_tokens, row.output_tokens), (Some(11), Some(7)));
}

#[test]
fn str_11_12_anthropic_events_pass_unchanged_and_usage_is_gathered_from_both_ends() {
    let (upstream, instance) = anthropic();
    let events = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":\
         {\"input_tokens\":25,\"cache_read_input_tokens\":10,\"output_tokens\":1}}}\n\n\
         event: ping\ndata: {\"type\": \"ping\"}\n\n\
         event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":\
         {\"type\":\"thinking\",\"thinking\":\"\"}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":\
         {\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":\
         {\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"}}\n\n\
         event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\
         \"usage\":{\"output_tokens\":15}}\n\n\
         event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    upstream.next(Script::stream(&[events]));
    let answer = ask_messages(&instance);
    assert_eq!(answer.text(), events);
    let row = instance.ended(&answer.request_id());
    assert_eq!((row.input_tokens, row.output_tokens, row.cached_tokens), (Some(35), Some(15), Some(10)));
}

#[test]
fn str_13_lines_of_two_and_of_ten_megabytes_pass() {
    for megabytes in [2, 10] {
        let (upstream, instance) = instance();
        let long = "x".repeat(megabytes << 20);
        let mut events = chat_events("m", &["Hel", "lo"]);
        events.insert(
            1,
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{long}\"}}}}]}}\n\n"),
        );
        upstream.next(Script::stream(&events));
        let answer = instance.client().start_stream("m").answer();
        assert!(answer.text() == events.concat(), "{megabytes} MB come through as they were");
        assert_eq!(instance.ended(&answer.request_id()).state.as_str(), "completed");
    }
}

#[test]
fn a_stream_the_client_leaves_is_aborted_upstream_and_on_record_as_cancelled() {
    let (upstream, instance) = instance();
    let events = chat_events("m", &["Hel", "lo"]);
    upstream.next(Script::stream_head().chunk(&events[0]).stall());
    let mut stream = instance.client().start_stream("m").stream();
    stream.next_event().unwrap();
    let id = stream.head.header("x-request-id").unwrap().to_owned();
    drop(stream);
    assert_eq!(instance.ended(&id).state.as_str(), "cancelled");
    crate::support::wait_until("the upstream call is aborted", || upstream.left() == 1);
    instance.wait_for_quiet();
    assert_eq!(instance.client().chat("m").status, 200);
}

#[test]
fn a_client_that_reads_slowly_holds_the_backend_back_instead_of_filling_memory() {
    let (upstream, instance) = instance();
    let mut events = chat_events("m", &["Hel", "lo"]);
    let piece = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(32 << 10)
    );
    for _ in 0..1000 {
        events.insert(1, piece.clone());
    }
    upstream.next(Script::stream(&events));
    let stream = instance.client().start_stream("m").stream();
    // Nothing is read for as long as it takes to ask twice: the backend cannot be done by then, for 32 MB wait.
    upstream.wait_for(1);
    for _ in 0..2 {
        assert_eq!(instance.backend("b1").slots_used, 1);
    }
    assert_eq!(upstream.running(), 1);
    let answer = stream.rest();
    assert!(answer.text() == events.concat());
}

#[test]
fn a_thousand_slow_streams_at_once_all_complete() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::new()
        .backend("b1", &upstream, json!({ "slots": 1000, "serialize_by_model": false }))
        .settings(json!({ "proxy": { "frontends": 2, "heartbeat_seconds": 0 } }))
        .start();
    let gate = Gate::default();
    let events = chat_events("m", &["a", "b", "c"]);
    let script =
        events.iter().fold(Script::stream_head(), |script, event| script.chunk(event).wait(&gate)).end();
    upstream.always(script);
    let client = instance.client();
    let mut streams: Vec<_> = (0..1000).map(|_| client.start_stream("m")).map(|call| call.stream()).collect();
    for stream in &mut streams {
        assert_eq!(stream.next_event().as_deref(), Some(events[0].trim_end()));
    }
    assert_eq!(upstream.running(), 1000);
    gate.open_for_all();
    for stream in streams {
        assert_eq!(stream.rest().text(), events.concat());
    }
    instance.wait_for_quiet();
    assert_eq!(instance.snapshot().counters.completed, 1000);
}
