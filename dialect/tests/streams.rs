//! Whole streams, as backends send them, watched on their way to the client.

mod transcripts;

use dialect::watch::{BackendError, StreamWatch};
use dialect::{Endpoint, Framing, Usage};
use transcripts::{
    ANTHROPIC_ERROR, ANTHROPIC_MESSAGES, GEMINI_EVENTS, GEMINI_LIST, OLLAMA_CHAT, OPENAI_CHAT,
    OPENAI_COMPLETIONS, OPENAI_ERROR, OPENAI_USAGE_CHUNK, RESPONSES, RESPONSES_FAILED,
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

    let (watch, out) =
        relay(StreamWatch::new(Endpoint::Completions, Framing::Events, true), OPENAI_COMPLETIONS);
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
fn ts_17_a_last_event_without_its_blank_line_gets_it() {
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
fn t107_ts_13_str_13_a_line_of_ten_megabytes_passes() {
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

fn framed(endpoint: Endpoint, framing: Framing, stream: &str) -> (StreamWatch, String) {
    relay(StreamWatch::new(endpoint, framing, true), stream)
}

fn all_counted() -> Usage {
    Usage {
        input_tokens: Some(20),
        output_tokens: Some(30),
        cached_tokens: Some(16),
        reasoning_tokens: Some(9),
        ..Usage::default()
    }
}

#[test]
fn t85_a_response_passes_unchanged_and_any_end_has_its_usage() {
    for kind in ["response.completed", "response.incomplete"] {
        let stream = RESPONSES.replace("response.completed", kind);
        let nameless: String = stream
            .lines()
            .filter(|line| !line.starts_with("event:"))
            .fold(String::new(), |text, line| text + line + "\n");
        for stream in [stream, nameless] {
            let (watch, out) = framed(Endpoint::Responses, Framing::Events, &stream);
            assert_eq!(out, stream);
            assert!(watch.has_begun() && watch.is_complete() && watch.error().is_none(), "{kind}");
            assert_eq!(watch.usage(), all_counted(), "{kind}");
        }
    }
    assert!(!framed(Endpoint::Responses, Framing::Events, "data: [DONE]\n\n").0.is_complete());
}

#[test]
fn ts_05_a_response_that_fails_is_an_error_and_is_told_in_other_words() {
    let (watch, out) = framed(Endpoint::Responses, Framing::Events, RESPONSES_FAILED);
    assert_eq!(out, RESPONSES_FAILED.split_inclusive("\n\n").next().unwrap());
    let error = BackendError { message: "The model broke".to_owned(), status: Some(500) };
    assert_eq!((watch.error(), watch.usage().input_tokens), (Some(&error), Some(5)));
    for event in [
        "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"slow\",\"param\":null,\"sequence_number\":3}\n\n",
        "data: {\"type\":\"error\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow\"}}\n\n",
        "data: {\"error\":{\"code\":429,\"message\":\"slow\"}}\n\n",
    ] {
        let (watch, out) = framed(Endpoint::Responses, Framing::Events, event);
        let error = BackendError { message: "slow".to_owned(), status: Some(429) };
        assert_eq!((watch.error(), out.as_str()), (Some(&error), ""), "{event}");
    }
}

#[test]
fn t85_the_end_of_a_response_may_repeat_a_long_prompt() {
    let long = format!("\"instructions\":\"{}\",\"output\"", "x".repeat(100_000));
    let stream = RESPONSES.replace("\"output\"", &long);
    let (watch, out) = framed(Endpoint::Responses, Framing::Events, &stream);
    assert!(out == stream && watch.is_complete());
    assert_eq!(watch.usage(), all_counted());
    let failed =
        RESPONSES_FAILED.replace("\"status\":\"failed\"", &format!("\"x\":\"{}\"", "x".repeat(100_000)));
    assert!(framed(Endpoint::Responses, Framing::Events, &failed).0.error().is_some());
}

#[test]
fn a_gemini_stream_is_complete_when_its_bytes_end_after_a_reason() {
    for (framing, stream) in [(Framing::Events, GEMINI_EVENTS), (Framing::List, GEMINI_LIST)] {
        let mut watch = StreamWatch::new(Endpoint::GenerateContent, framing, true);
        let mut out = Vec::new();
        watch.feed(stream.as_bytes(), &mut out);
        assert!(watch.has_begun() && !watch.is_complete(), "more may follow");
        watch.finish(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), stream);
        assert!(watch.is_complete() && watch.error().is_none());
        assert_eq!(watch.usage(), all_counted());
    }
    let blocked = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":4}}\r\n\r\n";
    let (watch, out) = framed(Endpoint::GenerateContent, Framing::Events, blocked);
    assert!(watch.is_complete() && out == blocked);
    let (watch, out) = framed(Endpoint::GenerateContent, Framing::Events, GEMINI_EVENTS.trim_end());
    assert!(watch.is_complete() && out == GEMINI_EVENTS, "the last blank line is put there");
}

#[test]
fn ts_06_a_gemini_stream_that_breaks_off_is_not_complete() {
    let events: Vec<_> = GEMINI_EVENTS.split_inclusive("\n\n").collect();
    for cut_off in ["", events[0], &events[..2].concat(), &GEMINI_EVENTS[..GEMINI_EVENTS.len() - 9]] {
        let (watch, _) = framed(Endpoint::GenerateContent, Framing::Events, cut_off);
        assert!(!watch.is_complete() && watch.is_between_events(), "{cut_off}");
    }
    for missing in [1, 2, 3, 20] {
        let cut_off = &GEMINI_LIST[..GEMINI_LIST.len() - 1 - missing];
        let (watch, out) = framed(Endpoint::GenerateContent, Framing::List, cut_off);
        assert!(!watch.is_complete() && watch.is_between_events());
        let whole: Result<Vec<serde_json::Value>, _> = serde_json::from_str(&format!("{out}, 5]"));
        assert!(whole.is_ok(), "an element can be added: {out}");
    }
}

#[test]
fn ts_05_gemini_tells_of_errors_in_either_framing() {
    let error = BackendError { message: "slow".to_owned(), status: Some(429) };
    let told = r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}"#;
    for (framing, stream, released) in [
        (Framing::Events, format!("data: {told}\n\n"), ""),
        (Framing::List, format!("[{told}]\n"), ""),
        (Framing::List, format!("[{{\"candidates\":[]}}\n,\n{told}]\n"), "[{\"candidates\":[]}"),
    ] {
        let (watch, out) = framed(Endpoint::GenerateContent, framing, &stream);
        assert_eq!((watch.error(), out.as_str(), watch.is_complete()), (Some(&error), released, false));
    }
}

#[test]
fn a_picture_of_gemini_is_long_and_may_be_the_last_there_is() {
    let chunk = format!(
        "{{\"candidates\":[{{\"content\":{{\"parts\":[{{\"inlineData\":{{\"data\":\"{}\"}}}}]}},\"finishReason\":\"STOP\"}}],\"usageMetadata\":{{\"promptTokenCount\":4}}}}",
        "QUJD".repeat(50_000)
    );
    for (framing, stream) in
        [(Framing::Events, format!("data: {chunk}\n\n")), (Framing::List, format!("[{chunk}]"))]
    {
        let (watch, out) = framed(Endpoint::GenerateContent, framing, &stream);
        assert!(out == stream && watch.is_complete() && watch.has_begun());
        assert_eq!(watch.usage().input_tokens, Some(4));
        assert!(!framed(Endpoint::GenerateContent, framing, &stream[..stream.len() - 30]).0.is_complete());
    }
}

#[test]
fn ollamas_lines_pass_unchanged_until_they_are_done() {
    let (watch, out) = framed(Endpoint::OllamaChat, Framing::Lines, OLLAMA_CHAT);
    assert_eq!(out, OLLAMA_CHAT);
    assert!(watch.has_begun() && watch.is_complete() && watch.error().is_none());
    let usage = Usage { input_tokens: Some(20), output_tokens: Some(30), ..Usage::default() };
    assert_eq!(watch.usage(), usage);
    let (watch, out) = framed(Endpoint::OllamaChat, Framing::Lines, OLLAMA_CHAT.trim_end());
    assert_eq!((out.as_str(), watch.is_complete()), (OLLAMA_CHAT, true), "the last line gets its end");
    let lines: Vec<_> = OLLAMA_CHAT.split_inclusive('\n').collect();
    let (watch, out) = framed(Endpoint::OllamaChat, Framing::Lines, &(lines[..3].concat() + "{\"done\":tr"));
    assert!(!watch.is_complete() && watch.is_between_events() && out == lines[..3].concat());
    let after = framed(Endpoint::OllamaChat, Framing::Lines, &(OLLAMA_CHAT.to_owned() + lines[0])).1;
    assert_eq!(after, OLLAMA_CHAT);
}

#[test]
fn ts_05_ollama_tells_of_errors_in_a_line() {
    let stream = format!(
        "{}{{\"error\":\"model runner stopped\"}}\n",
        OLLAMA_CHAT.lines().next().unwrap().to_owned() + "\n"
    );
    let (watch, out) = framed(Endpoint::OllamaChat, Framing::Lines, &stream);
    assert_eq!(out.lines().count(), 1);
    let error = BackendError { message: "model runner stopped".to_owned(), status: None };
    assert_eq!((watch.error(), watch.is_complete()), (Some(&error), false));
}

#[test]
fn the_last_line_of_a_generation_may_be_long() {
    let context = "12345,".repeat(20_000);
    let last = |done: bool| {
        format!(
            "{{\"model\":\"m\",\"response\":\"\",\"done\":{done},\"context\":[{context}1],\"prompt_eval_count\":20,\"eval_count\":30}}\n"
        )
    };
    let (watch, out) = framed(Endpoint::OllamaGenerate, Framing::Lines, &last(true));
    assert!(watch.is_complete() && out == last(true));
    assert_eq!((watch.usage().input_tokens, watch.usage().output_tokens), (Some(20), Some(30)));
    assert!(!framed(Endpoint::OllamaGenerate, Framing::Lines, &last(false)).0.is_complete());
}

#[test]
fn a_native_stream_passes_byte_by_byte() {
    for stream in ["event: error\ndata: x", "\u{e9}[{\"error\":1}", "data: [DONE]\n\nmore"] {
        for framing in [Framing::Events, Framing::Lines, Framing::List] {
            let mut watch = StreamWatch::new(Endpoint::Native, framing, true);
            assert!(!watch.has_begun() && watch.is_between_events());
            let mut out = Vec::new();
            watch.feed(stream.as_bytes(), &mut out);
            assert!(out == stream.as_bytes() && watch.has_begun());
            assert!(!watch.is_complete() && !watch.is_between_events(), "nothing of ours fits into it");
            watch.finish(&mut out);
            assert!(watch.is_complete() && watch.error().is_none() && out == stream.as_bytes());
        }
    }
}

#[test]
fn t104_t106_ts_12_events_are_read_as_the_standard_says() {
    for stream in [
        "data:{\"choices\":[],\"usage\":{\"prompt_tokens\":4}}\n\ndata:[DONE]\n\n",
        "data:{\"choices\":[],\r\ndata: \"usage\":\r\ndata:{\"prompt_tokens\":4}}\r\n: x\r\n\r\ndata: [DONE]\r\n\r\n",
        "\u{feff}data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4}}\r\rdata:  [DONE]\r\r",
    ] {
        let (watch, out) = watched(Endpoint::ChatCompletions, stream);
        assert_eq!((out.as_str(), watch.is_complete(), watch.usage().input_tokens), (stream, true, Some(4)));
    }
}
