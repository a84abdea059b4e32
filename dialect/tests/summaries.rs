//! What is read of requests in every dialect.

use dialect::Endpoint;
use dialect::summary::{Summary, read};
use dialect::{edit, translate::FormatMode};

fn summary(endpoint: Endpoint, body: &str) -> Summary {
    read(endpoint, body.as_bytes()).unwrap_or_else(|bad| unreachable!("{body}: {bad}"))
}

#[test]
fn a_limit_is_found_under_every_dialects_name() {
    for (endpoint, body, expected) in [
        (Endpoint::Responses, r#"{"model":"m","input":"x","max_output_tokens":7}"#, Some(7)),
        (Endpoint::GenerateContent, r#"{"generationConfig":{"temperature":1,"maxOutputTokens":7}}"#, Some(7)),
        (Endpoint::GenerateContent, r#"{"generation_config":{"max_output_tokens":8.0}}"#, Some(8)),
        (Endpoint::GenerateContent, r#"{"generationConfig":{"maxOutputTokens":"x"}}"#, None),
        (Endpoint::GenerateContent, r#"{"generationConfig":[],"max_tokens":5}"#, None),
        (Endpoint::OllamaChat, r#"{"model":"m","options":{"num_predict":7}}"#, Some(7)),
        (Endpoint::OllamaGenerate, r#"{"model":"m","options":{"num_predict":-1}}"#, None),
        (Endpoint::OllamaChat, r#"{"model":"m","max_tokens":7}"#, None),
        (Endpoint::CountTokens, r#"{"model":"m","messages":[]}"#, None),
    ] {
        assert_eq!(summary(endpoint, body).max_output_tokens, expected, "{body}");
    }
}

#[test]
fn ollama_streams_unless_it_is_told_not_to() {
    for (endpoint, stream, expected) in [
        (Endpoint::OllamaChat, "", true),
        (Endpoint::OllamaGenerate, "", true),
        (Endpoint::OllamaChat, ",\"stream\":null", true),
        (Endpoint::OllamaChat, ",\"stream\":false", false),
        (Endpoint::OllamaChat, ",\"stream\":true", true),
        (Endpoint::OllamaEmbed, "", false),
        (Endpoint::OllamaEmbeddings, "", false),
        (Endpoint::ChatCompletions, "", false),
        (Endpoint::Responses, ",\"stream\":true", true),
    ] {
        assert_eq!(
            summary(endpoint, &format!(r#"{{"model":"m"{stream}}}"#)).stream,
            expected,
            "{endpoint:?}{stream}"
        );
    }
}

#[test]
fn where_the_path_names_the_model_the_body_need_not() {
    for endpoint in [
        Endpoint::GenerateContent,
        Endpoint::GeminiCountTokens,
        Endpoint::EmbedContent,
        Endpoint::BatchEmbedContents,
    ] {
        let found = summary(endpoint, r#"{"model":"models/x","stream":true,"contents":[]}"#);
        assert_eq!((found.model.as_str(), found.stream), ("", false));
        assert!(read(endpoint, b"[]").is_err());
    }
    let native = summary(Endpoint::Native, r#"{"model":"m","stream":true,"max_tokens":3}"#);
    assert_eq!((native.model.as_str(), native.stream, native.max_output_tokens), ("m", true, Some(3)));
    for body in ["", "--boundary\r\n", "[1]", r#"{"model":5,"stream":"x"}"#] {
        let native = summary(Endpoint::Native, body);
        assert_eq!((native.model.as_str(), native.stream), ("", false), "{body}");
    }
}

#[test]
fn the_turns_of_a_conversation_have_one_affinity_in_every_dialect() {
    let turns = |endpoint: Endpoint, first: &str, later: &str, other: &str| {
        let affinity = |body: &str| summary(endpoint, body).affinity;
        assert_eq!(affinity(first), affinity(later), "{endpoint:?}");
        assert_ne!(affinity(first), affinity(other), "{endpoint:?}");
    };
    turns(
        Endpoint::Responses,
        r#"{"model":"m","instructions":"i","input":[{"role":"developer","content":"d"},{"role":"user","content":"a"}]}"#,
        r#"{"model":"m","instructions":"i","input":[{"role":"developer","content":"d"},{"role":"user","content":"a"},{"type":"function_call"}]}"#,
        r#"{"model":"m","instructions":"j","input":[{"role":"developer","content":"d"},{"role":"user","content":"a"}]}"#,
    );
    turns(
        Endpoint::Responses,
        r#"{"model":"m","input":"a"}"#,
        r#"{"model":"m","input":"a","stream":true}"#,
        r#"{"model":"m","input":"b"}"#,
    );
    turns(
        Endpoint::GenerateContent,
        r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"a"}]}]}"#,
        r#"{"system_instruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[]}]}"#,
        r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"b"}]}]}"#,
    );
    turns(
        Endpoint::OllamaGenerate,
        r#"{"model":"m","system":"s","prompt":"a"}"#,
        r#"{"model":"m","system":"s","prompt":"a","context":[1]}"#,
        r#"{"model":"m","system":"s","prompt":"b"}"#,
    );
}

#[test]
fn t18_a_billing_line_does_not_part_the_turns_of_a_conversation() {
    let turn = |nonce: &str, prompt: &str| {
        let body = format!(
            r#"{{"model":"m","max_tokens":1,"system":[{{"type":"text","text":"x-anthropic-billing-header: cch={nonce};"}},{{"type":"text","text":"{prompt}"}}],"messages":[{{"role":"user","content":"a"}}]}}"#
        );
        let straight = edit::for_straight(Endpoint::Messages, body.as_bytes(), FormatMode::Passthrough, true);
        (summary(Endpoint::Messages, &body).affinity, straight.unwrap().into_owned())
    };
    assert_eq!(turn("0f2a1", "You are"), turn("b77e0", "You are"));
    assert_ne!(turn("0f2a1", "You are").0, turn("0f2a1", "You were").0);
}

#[test]
fn t100_a_body_that_is_still_compressed_is_named_as_such() {
    for body in [&b"\x28\xB5\x2F\xFD\x04\x00"[..], b"\x1F\x8B\x08\x00"] {
        let bad = read(Endpoint::Responses, body).unwrap_err();
        assert!(bad.message.contains("Content-Encoding"), "{bad}");
    }
}

#[test]
fn t103_a_probe_without_input_is_a_request() {
    let probe = summary(Endpoint::Responses, r#"{"model":"m","input":[],"max_output_tokens":1}"#);
    assert_eq!(probe.max_output_tokens, Some(1));
}

#[test]
fn t108_the_model_is_found_behind_a_large_picture() {
    let picture = "QUJD".repeat(1 << 20);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}}]}}],"model":"vision"}}"#
    );
    assert_eq!(summary(Endpoint::ChatCompletions, &body).model, "vision");
}

#[test]
fn t109_only_the_model_on_top_is_renamed() {
    let body = r#"{"messages":[{"role":"user","content":"the \"model\":\"old\" is old","model":"old"}],"model":"old"}"#;
    let renamed = String::from_utf8(edit::with_model(body.as_bytes(), "new").into_owned()).unwrap();
    assert_eq!(renamed, body.replace(r#"}],"model":"old"}"#, r#"}],"model":"new"}"#));
    assert_eq!(summary(Endpoint::ChatCompletions, &renamed).model, "new");
}
