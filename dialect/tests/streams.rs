//! Whole streams, as backends send them, watched on their way to the client.

mod transcripts;

use dialect::watch::{BackendError, StreamWatch};
use dialect::{Framing, Endpoint, Usage};
use transcripts::{
    ANTHROPIC_ERROR, ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_ERROR, OPENAI_USAGE_CHUNK,
};

/// Feeds `stream` in one piece to a watch that leaves usage in, and returns the watch with what it released.
fn watched(endpoint: Endpoint, stream: &str) -> (StreamWatch, String) {
    relay(StreamWatch::new(endpoint, Framing::Events, false), stream)
}

fn relay(mut watch: StreamWatch, stream: &str) -> (StreamWatch, String) {
    let mut out = Vec::new();
    watch.feed(stream.as_bytes(), &mut out);
    watch.finish(&mut out);
    (watch, String::from_utf8(out).expect("events are released whole"))
}

#[test]
fn str_02_03_09_an_openai_chat_passes_unchanged() {
    let (watch, out) = watched(Endpoint::ChatCompletions, OPENAI_CHAT);
    assert_eq!(out, OPENAI_CHAT);
    assert!(watch.has_begun() && watch.is_complete() && watch.is_between_events());
    assert_eq!(watch.error(), None);
    let usage = Usage {
        input_tokens: Some(20),
        output_tokens: Some(30),
        cached_tokens: Some(16),
        reasoning_tokens: Some(9),
        ..Usage::default()
    };
    assert_eq!(watch.usage(), usage);
}

#[test]
fn str_10_usage_that_nobody_asked_for_is_taken_out() {
    let (watch, out) = relay(StreamWatch::new(Endpoint::ChatCompletions, Framing::Events, true), OPENAI_CHAT);
    assert_eq!(out, OPENAI_CHAT.replace(OPENAI_USAGE_CHUNK, ""));
    assert_eq!((watch.usage().output_tokens, watch.is_complete()), (Some(30), true));

    let (watch, out) = relay(StreamWatch::new(Endpoint::Completions, Framing::Events, true), OPENAI_COMPLETIONS);
    assert_eq!(out, OPENAI_COMPLETIONS, "a chunk that also has text stays");
    assert_eq!((watch.usage().input_tokens, watch.usage().output_tokens), (Some(2), Some(3)));
}

#[test]
fn str_11_12_anthropic_messages_pass_unchanged() {
    let (watch, out) = watched(Endpoint::Messages, ANTHROPIC_MESSAGES);
    assert_eq!(out, ANTHROPIC_MESSAGES);
    assert!(watch.has_begun() && watch.is_complete());
    let usage = Usage {
        input_tokens: Some(1112),
        output_tokens: Some(15),
        cached_tokens: Some(1000),
        cache_creation_tokens: Some(100),
        ..Usage::default()
    };
    assert_eq!(watch.usage(), usage);

    let nameless: String = ANTHROPIC_MESSAGES
        .lines()
        .filter(|line| !line.starts_with("event:"))
        .fold(String::new(), |text, line| text + line + "\n");
    let (watch, out) = watched(Endpoint::Messages, &nameless);
    assert_eq!((out, watch.is_complete(), watch.usage()), (nameless, true, usage));
}

#[test]
fn errors_in_the_stream_are_taken_out_and_end_it() {
    let (watch, out) = watched(Endpoint::ChatCompletions, OPENAI_ERROR);
    assert_eq!(out, OPENAI_ERROR.split_inclusive("\n\n").next().unwrap());
    let error = BackendError { message: "Rate limit reached".to_owned(), status: Some(429) };
    assert_eq!(watch.error(), Some(&error));
    assert!(watch.has_begun() && !watch.is_complete() && watch.is_between_events());

    let (watch, out) = watched(Endpoint::Messages, ANTHROPIC_ERROR);
    assert_eq!(out, ANTHROPIC_ERROR.split_inclusive("\n\n").next().unwrap());
    assert_eq!(watch.error().and_then(|error| error.status), Some(529));
    assert!(!watch.has_begun() && !watch.is_complete());
}

#[test]
fn other_forms_of_errors_are_noticed() {
    for stream in [
        "error: {\"code\":500,\"message\":\"boom\",\"type\":\"server_error\"}\n\n",
        "event: error\ndata: {\"error\":{\"message\":\"boom\",\"code\":500}}\n\n",
        "data: {\"object\":\"error\",\"message\":\"boom\",\"code\":500}\n\n",
        "data: {\"error\":{\"message\":\"boom\",\"code\":500},\"choices\":[]}", // the connection ends here
    ] {
        let (watch, out) = watched(Endpoint::ChatCompletions, stream);
        let error = BackendError { message: "boom".to_owned(), status: Some(500) };
        assert_eq!((watch.error(), out.as_str()), (Some(&error), ""), "{stream}");
    }
}

#[test]
fn nothing_after_the_end_marker_passes() {
    let (watch, out) = watched(Endpoint::Completions, "data: [DONE]\r\n\r\ndata: more\r\n\r\n: x\n\ndata: {");
    assert_eq!((out.as_str(), watch.is_complete()), ("data: [DONE]\r\n\r\n", true));
    assert!(watch.is_between_events() && watch.error().is_none());
}

#[test]
fn a_last_event_without_its_blank_line_gets_it() {
    for (tail, expected) in [
        ("data: [DONE]", "data: [DONE]\n\n"),
        ("data:[DONE]\n", "data:[DONE]\n\n"),
        ("data: [DONE]\r\n", "data: [DONE]\r\n\n"),
        ("data: [DONE]\r", "data: [DONE]\r\n\n"),
    ] {
        let (watch, out) = watched(Endpoint::ChatCompletions, tail);
        assert_eq!((out.as_str(), watch.is_complete()), (expected, true));
    }
    let (watch, out) = watched(Endpoint::Messages, ANTHROPIC_MESSAGES.trim_end());
    assert_eq!((out.as_str(), watch.is_complete()), (ANTHROPIC_MESSAGES, true));
}

#[test]
fn str_07_what_breaks_off_is_not_complete() {
    let begun = "data: {\"choices\":[]}\n\n";
    for cut_off in ["data: {\"choi", "data: [DO", "data: {\"x\":1", ": comment", "event: x", "data: 7"] {
        let (watch, out) = watched(Endpoint::ChatCompletions, &format!("{begun}{cut_off}"));
        assert_eq!((out.as_str(), watch.is_complete(), watch.is_between_events()), (begun, false, true));
    }
    let (watch, _) = watched(Endpoint::Messages, "event: message_stop\n");
    assert!(!watch.is_complete());
}

#[test]
fn garbage_pings_and_comments_do_not_begin_a_stream() {
    for (endpoint, stream) in [
        (Endpoint::ChatCompletions, ": hello\n\n"),
        (Endpoint::ChatCompletions, "<html>\n<p>Bad: gateway</p>\n\n"),
        (Endpoint::ChatCompletions, "data: oops\n\ndata: 5\n\ndata: {\"choices\":[\n\ndata:\n\ndata\n\n"),
        (Endpoint::Messages, "event: ping\ndata: {\"type\":\"ping\"}\n\n"),
        (Endpoint::Messages, "data: {\"type\":\"ping\"}\n\n"),
    ] {
        let (watch, out) = watched(endpoint, stream);
        assert_eq!((watch.has_begun(), out.as_str()), (false, stream));
    }
}

#[test]
fn an_end_of_another_dialect_is_no_end() {
    assert!(!watched(Endpoint::Messages, "data: [DONE]\n\n").0.is_complete());
    assert!(!watched(Endpoint::ChatCompletions, ANTHROPIC_MESSAGES).0.is_complete());
}

#[test]
fn str_13_a_line_of_ten_megabytes_passes() {
    let long =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(10 << 20));
    let stream = format!("{long}data: [DONE]\n\n");
    let mut watch = StreamWatch::new(Endpoint::ChatCompletions, Framing::Events, true);
    let mut out = Vec::new();
    for (count, part) in stream.as_bytes().chunks(16 * 1024).enumerate() {
        watch.feed(part, &mut out);
        assert!(watch.held_capacity() <= 128 * 1024);
        assert_eq!(watch.has_begun(), count >= 4, "content, once it is too long to be held back");
    }
    assert!(out == stream.as_bytes() && watch.is_complete());

    let cut_off = &stream[..100_000];
    let (watch, out) = watched(Endpoint::ChatCompletions, cut_off);
    assert!(out == cut_off && !watch.is_between_events() && !watch.is_complete());
}

#[test]
fn an_error_too_long_to_be_read_is_still_an_error() {
    let padding = "x".repeat(100_000);
    for stream in
        [format!("event: error\ndata: {{\"x\":\"{padding}"), format!("data: {{\"error\":\"{padding}")]
    {
        let mut watch = StreamWatch::new(Endpoint::ChatCompletions, Framing::Events, false);
        let mut out = Vec::new();
        watch.feed(stream.as_bytes(), &mut out);
        assert!(out.is_empty() && watch.error().is_some() && !watch.has_begun() && watch.is_between_events());
    }
}
