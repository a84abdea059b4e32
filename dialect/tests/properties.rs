//! What holds for every body and every stream, however the bytes are cut.

mod transcripts;

use std::borrow::Cow;

use dialect::heartbeat::Seam;
use dialect::load::{LoadEdit, LoadOptions};
use dialect::translate::FormatMode;
use dialect::watch::{BackendError, StreamWatch, usage_in_body};
use dialect::{Dialect, Endpoint, Framing, Usage, count, edit, error, summary};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// All that a watch tells about a stream, and what it released.
#[derive(PartialEq, Debug)]
struct Seen {
    out: Vec<u8>,
    usage: Usage,
    has_begun: bool,
    is_complete: bool,
    is_between_events: bool,
    error: Option<BackendError>,
}

fn watch_in_parts(endpoint: Endpoint, hide_usage: bool, parts: &[&[u8]]) -> Seen {
    watch_framed(endpoint, Framing::Events, hide_usage, parts)
}

fn watch_framed(endpoint: Endpoint, framing: Framing, hide_usage: bool, parts: &[&[u8]]) -> Seen {
    let mut watch = StreamWatch::new(endpoint, framing, hide_usage);
    let mut seam = Seam::new(framing);
    let mut out = Vec::new();
    for part in parts {
        let before = out.len();
        watch.feed(part, &mut out);
        seam.pass(&out[before..]);
        if framing == Framing::Lines && endpoint != Endpoint::Native {
            assert_eq!(seam.is_open(), watch.is_between_events(), "the frontend's view is the worker's");
        }
        assert!(watch.held_capacity() <= 144 * 1024, "what is held back has a bound");
    }
    watch.finish(&mut out);
    Seen {
        out,
        usage: watch.usage(),
        has_begun: watch.has_begun(),
        is_complete: watch.is_complete(),
        is_between_events: watch.is_between_events(),
        error: watch.error().cloned(),
    }
}

/// `bytes` in parts: cut at `cuts`, in any order.
fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> =
        cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..12)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    select(Endpoint::ALL.to_vec())
}

/// Lines as they occur in streams of every dialect, good and bad, with every kind of line end.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        "",
        "",
        ": comment",
        "data",
        "data:",
        "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":null}",
        "data:{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
        "data: {\"choices\":[",
        "data: [DONE]",
        "data: {\"error\":{\"message\":\"m\",\"code\":429}}",
        "event: message_start",
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}",
        "event: message_delta",
        "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":4}}",
        "event: message_stop",
        "data: {\"type\":\"message_stop\"}",
        "event: ping",
        "event: error",
        "event: response.created",
        "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}",
        "event: response.completed",
        "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3}}}",
        "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"message\":\"m\"}}}",
        "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":4}}",
        "error: x",
        "\u{feff}data: {}",
        "\u{feff}",
        "\u{e9}",
    ])
    .prop_map(str::to_owned);
    // Around the limit of what is held back, and over it: with a last word that counts only in an event within it.
    let last = select(vec!["\"", "\",\"usage\":{\"prompt_tokens\":5}", "\",\"error\":\"e\""]);
    let long = (65_400_usize..65_700, any::<bool>(), last).prop_map(|(length, is_data, last)| {
        let field = if is_data { "data: {\"x\":\"" } else { ":" };
        format!("{field}{}{last}}}", "x".repeat(length - field.len() - last.len()))
    });
    let line = prop_oneof![20 => line, 1 => long];
    let end = select(vec!["\n", "\n\n", "\r\n\r\n", "\r\r", "\r\n", "\r", ""]);
    prop::collection::vec((line, end), 0..20)
        .prop_map(|lines| lines.into_iter().flat_map(|(line, end)| (line + end).into_bytes()).collect())
}

/// Lines as Ollama sends them, good and bad.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        "",
        "{\"message\":{\"content\":\"x\"},\"done\":false}",
        "{\"done\":true,\"prompt_eval_count\":3,\"eval_count\":4}",
        "{\"error\":\"m\"}",
        "{\"done\":",
        "oops",
    ])
    .prop_map(str::to_owned);
    let last = select(vec!["]}", "],\"prompt_eval_count\":5}", "],\"done\":true}"]);
    let long = (65_400_usize..70_000, any::<bool>(), last).prop_map(|(length, is_done, last)| {
        format!("{{\"response\":\"\",\"done\":{is_done},\"context\":[{}{last}", "1,".repeat(length / 2))
    });
    let line = prop_oneof![20 => line, 1 => long];
    prop::collection::vec((line, select(vec!["\n", "\r\n", "\n\n", ""])), 0..12)
        .prop_map(|lines| lines.into_iter().flat_map(|(line, end)| (line + end).into_bytes()).collect())
}

/// Pieces of lists as Gemini sends them, good and bad.
fn list() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "[",
        "]",
        ",",
        "\n",
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"]}\\\"{\"}]}}]}",
        "{\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":4}}",
        "{\"error\":{\"code\":429,\"message\":\"m\"}}",
        "{",
        "\"",
        "\\",
    ])
    .prop_map(str::to_owned);
    let long =
        (65_400_usize..66_000, select(vec!["", ",\"finishReason\":\"STOP\""])).prop_map(|(length, last)| {
            format!(
                "{{\"candidates\":[{{\"x\":\"{}\"{last}}}],\"usageMetadata\":{{\"promptTokenCount\":7}}}}",
                "x".repeat(length)
            )
        });
    let piece = prop_oneof![20 => piece, 1 => long];
    (any::<bool>(), prop::collection::vec(piece, 0..20)).prop_map(|(is_open, pieces)| {
        [if is_open { "[" } else { "" }, &pieces.concat()].concat().into_bytes()
    })
}

proptest! {
    #[test]
    fn any_cut_of_a_stream_gives_the_same(
        stream in stream(),
        cuts in cuts(),
        endpoint in endpoint(),
        hide_usage in any::<bool>(),
    ) {
        let whole = watch_in_parts(endpoint, hide_usage, &[&stream]);
        let parts = watch_in_parts(endpoint, hide_usage, &cut(&stream, &cuts));
        prop_assert!(whole == parts, "cut: {cuts:?}");
        if stream.len() < 4_000 {
            let bytes: Vec<_> = stream.chunks(1).collect();
            prop_assert_eq!(&whole, &watch_in_parts(endpoint, hide_usage, &bytes));
        }
    }

    #[test]
    fn any_cut_of_a_real_stream_gives_the_same(cuts in cuts(), hide_usage in any::<bool>()) {
        for (endpoint, stream) in [
            (Endpoint::ChatCompletions, transcripts::OPENAI_CHAT),
            (Endpoint::ChatCompletions, transcripts::OPENAI_USAGE_CHUNK),
            (Endpoint::Completions, transcripts::OPENAI_COMPLETIONS),
            (Endpoint::ChatCompletions, transcripts::OPENAI_ERROR),
            (Endpoint::Messages, transcripts::ANTHROPIC_MESSAGES),
            (Endpoint::Messages, transcripts::ANTHROPIC_ERROR),
            (Endpoint::Responses, transcripts::RESPONSES),
            (Endpoint::Responses, transcripts::RESPONSES_FAILED),
            (Endpoint::GenerateContent, transcripts::GEMINI_EVENTS),
        ] {
            for stream in [stream.to_owned(), stream.replace('\n', "\r\n"), stream.replace('\n', "\r")] {
                let whole = watch_in_parts(endpoint, hide_usage, &[stream.as_bytes()]);
                let parts = watch_in_parts(endpoint, hide_usage, &cut(stream.as_bytes(), &cuts));
                prop_assert_eq!(whole, parts);
            }
        }
        for (endpoint, framing, stream) in [
            (Endpoint::GenerateContent, Framing::List, transcripts::GEMINI_LIST),
            (Endpoint::OllamaChat, Framing::Lines, transcripts::OLLAMA_CHAT),
        ] {
            let whole = watch_framed(endpoint, framing, hide_usage, &[stream.as_bytes()]);
            prop_assert!(whole.is_complete && whole.out == stream.as_bytes());
            prop_assert_eq!(whole, watch_framed(endpoint, framing, hide_usage, &cut(stream.as_bytes(), &cuts)));
        }
    }

    #[test]
    fn any_cut_of_lines_gives_the_same(stream in lines(), cuts in cuts(), endpoint in endpoint()) {
        let whole = watch_framed(endpoint, Framing::Lines, false, &[&stream]);
        let parts = watch_framed(endpoint, Framing::Lines, false, &cut(&stream, &cuts));
        prop_assert!(whole == parts, "cut: {cuts:?}");
    }

    #[test]
    fn any_cut_of_a_list_gives_the_same(stream in list(), cuts in cuts(), endpoint in endpoint()) {
        let whole = watch_framed(endpoint, Framing::List, false, &[&stream]);
        let parts = watch_framed(endpoint, Framing::List, false, &cut(&stream, &cuts));
        prop_assert!(whole == parts, "cut: {cuts:?}");
        if stream.len() < 4_000 {
            let bytes: Vec<_> = stream.chunks(1).collect();
            prop_assert_eq!(&whole, &watch_framed(endpoint, Framing::List, false, &bytes));
        }
    }

    #[test]
    fn a_good_list_passes_unchanged(
        texts in prop::collection::vec(".{0,100}", 1..9),
        comma in select(vec![",", "\n,\r\n", " , "]),
        cuts in cuts(),
    ) {
        let elements: Vec<_> = texts
            .iter()
            .map(|text| serde_json::json!({"candidates": [{"content": {"parts": [{"text": text}]}}]}).to_string())
            .chain([r#"{"candidates":[{"finishReason":"STOP"}]}"#.to_owned()])
            .collect();
        let stream = format!("[{}\n]\n", elements.join(comma));
        let seen = watch_framed(Endpoint::GenerateContent, Framing::List, false, &cut(stream.as_bytes(), &cuts));
        prop_assert_eq!(seen.out, stream.as_bytes());
        prop_assert!(seen.has_begun && seen.is_complete && seen.error.is_none());
    }

    #[test]
    fn a_stream_of_content_passes_unchanged(
        contents in prop::collection::vec(".{0,200}", 1..20),
        end in select(vec!["\n", "\r\n", "\r"]),
        cuts in cuts(),
    ) {
        let mut stream = String::new();
        for content in contents {
            let chunk = serde_json::json!({"choices": [{"delta": {"content": content}}], "usage": null});
            stream += &["data: ", &chunk.to_string(), end, end].concat();
        }
        let seen = watch_in_parts(Endpoint::ChatCompletions, true, &cut(stream.as_bytes(), &cuts));
        prop_assert_eq!(seen.out, stream.as_bytes());
        prop_assert!(seen.has_begun && !seen.is_complete && seen.error.is_none());
    }

    #[test]
    fn bytes_that_mean_nothing_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        name in ".*",
        endpoint in endpoint(),
        cuts in cuts(),
    ) {
        take_everything(endpoint, &bytes, &name, &cuts);
    }

    #[test]
    fn broken_bodies_and_streams_never_panic(
        change in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        length in any::<Index>(),
        endpoint in endpoint(),
        cuts in cuts(),
    ) {
        const BODY: &str = r#"{"model":"a\u00e9\ud83d\ude00","stream":true,"max_tokens":1e3,"messages":[{"role":"user","content":[1,-2.5]}],"usage":{"prompt_tokens":1}}"#;
        for text in [BODY, transcripts::OPENAI_CHAT, transcripts::ANTHROPIC_MESSAGES, transcripts::OPENAI_ERROR] {
            let mut bytes = text.as_bytes().to_vec();
            for (place, byte) in &change {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            bytes.truncate(length.index(bytes.len()) + 1);
            take_everything(endpoint, &bytes, "m", &cuts);
        }
    }
}

fn take_everything(endpoint: Endpoint, bytes: &[u8], name: &str, cuts: &[Index]) {
    let read = summary::read(endpoint, bytes);
    let renamed = edit::with_model(bytes, name);
    let asking = edit::asking_for_usage(bytes);
    if let Ok(read) = read
        && !endpoint.names_model_in_path()
        && endpoint != Endpoint::Native
    {
        assert_eq!(*edit::with_model(bytes, &read.model), *bytes, "it names this model already");
        assert!(name.is_empty() || summary::read(endpoint, &renamed).is_ok());
        assert!(asking.is_none_or(|body| summary::read(endpoint, &body) == Ok(read)));
    }
    let _ =
        edit::with_load(bytes, &LoadEdit::Set(LoadOptions { context: Some(1), ..LoadOptions::default() }));
    let _ = edit::with_path_model(bytes, name);
    for mode in [FormatMode::Passthrough, FormatMode::NormalizeJsonObject, FormatMode::StrictReject] {
        let _ = edit::for_straight(endpoint, bytes, mode, true);
    }
    let _ = usage_in_body(endpoint, bytes);
    let _ = count::tokens(endpoint, bytes);
    for dialect in Dialect::ALL {
        let told = error::retold(endpoint.dialect(), dialect, 500, bytes, name);
        assert!(serde_json::from_slice::<serde_json::Value>(&told).is_ok_and(|body| body["error"] != ""));
    }
    for framing in [Framing::Events, Framing::Lines, Framing::List] {
        let _ = watch_framed(endpoint, framing, true, &cut(bytes, cuts));
    }
}

/// A member of an object as clients write them, whatever it means.
fn member() -> impl Strategy<Value = String> {
    let value = select(vec![
        "18446744073709551615",
        "1.0000000000000000001e+5",
        "{ \"model\":\"inner\" }",
        "[ 1,[\"model\"] ]",
        "\"\\u0041\\n\\\"model\\\":\\\"x\\\"\"",
        "null",
        "\"model\"",
    ]);
    ("[a-z_]{1,8}[0-9]", value, select(vec!["", " ", "\n\t"]))
        .prop_map(|(name, value, space)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
}

proptest! {
    #[test]
    fn another_model_leaves_all_other_bytes(
        before in prop::collection::vec(member(), 0..4),
        after in prop::collection::vec(member(), 0..4),
        front in select(vec!["", "\u{feff}", " \r\n", "\u{feff}\t"]),
        old in "[a-z]{1,9}",
        new in ".{1,20}",
    ) {
        let before: String = before.into_iter().map(|member| member + ",").collect();
        let after: String = after.into_iter().map(|member| ",".to_owned() + &member).collect();
        let body = |model: &str| format!("{front}{{{before}\"model\": {model}{after}}} ");
        let (old_body, new_body) = (body(&format!("\"{old}\"")), body(&serde_json::json!(new).to_string()));
        let renamed = edit::with_model(old_body.as_bytes(), &new);
        prop_assert_eq!(std::str::from_utf8(&renamed), Ok(new_body.as_str()));
        let read = summary::read(Endpoint::ChatCompletions, &renamed);
        prop_assert_eq!(read.map(|read| read.model), Ok(new));

        let asking = edit::asking_for_usage(old_body.as_bytes());
        let expected = old_body.replacen('{', "{\"stream_options\":{\"include_usage\":true},", 1);
        prop_assert_eq!(asking, Some(expected.into_bytes()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_line_of_two_megabytes_passes_however_it_is_cut(
        length in 2_000_000_usize..2_100_000,
        cuts in prop::collection::vec(any::<Index>(), 0..200),
        end in select(vec!["\n", "\r\n", "\r"]),
    ) {
        let stream = format!("data: {{\"x\":\"{}\"}}{end}{end}data: [DONE]{end}{end}", "x".repeat(length));
        let seen = watch_in_parts(Endpoint::ChatCompletions, true, &cut(stream.as_bytes(), &cuts));
        prop_assert!(seen.out == stream.as_bytes(), "the bytes are unchanged");
        prop_assert!(seen.has_begun && seen.is_complete && seen.is_between_events);
    }
}

/// Load options as a summary reads them.
fn load_options() -> impl Strategy<Value = LoadOptions> {
    let other = prop_oneof![
        (
            select(vec!["num_gpu", "num_batch", "num_thread"]),
            (0_u32..99).prop_map(|number| number.to_string())
        ),
        (select(vec!["use_mmap", "low_vram"]), any::<bool>().prop_map(|flag| flag.to_string())),
    ];
    let others =
        prop::collection::btree_map(other.clone().prop_map(|(name, _)| name.to_owned()), other, 0..4);
    (prop::option::of(1_u64..=u64::from(u32::MAX)), others).prop_map(|(context, others)| {
        let others = others.into_values().map(|(name, value)| (name.to_owned(), value));
        LoadOptions { context, others: others.collect() }
    })
}

/// A load option as a client writes it, good or bad.
fn written_option() -> impl Strategy<Value = String> {
    let name = select(vec!["num_ctx", "num_gpu", "num_thread", "use_mmap", "num\\u005fctx"]);
    let value = select(vec!["8192", "0", "-1", "null", "true", "4096.0", "\"x\"", "{\"num_ctx\":1}"]);
    (name, value, select(vec!["", " ", "\n\t"]))
        .prop_map(|(name, value, space)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
}

/// Members in any order, with load options among them, and without.
fn mixed(option: impl Strategy<Value = String>) -> impl Strategy<Value = (String, Vec<String>)> {
    prop::collection::vec(
        prop_oneof![member().prop_map(|m| (m, true)), option.prop_map(|o| (o, false))],
        0..6,
    )
    .prop_map(|members| {
        let all: Vec<_> = members.iter().map(|(member, _)| member.clone()).collect();
        (all.join(","), members.into_iter().filter_map(|(member, stays)| stays.then_some(member)).collect())
    })
}

proptest! {
    #[test]
    fn other_load_options_leave_all_other_members(
        top in mixed(written_option().prop_filter("", |option| option.contains("ctx\""))),
        inner in prop::option::of(mixed(written_option())),
        wanted in load_options(),
    ) {
        let options = inner.as_ref().map(|(all, _)| format!(",\"options\" :{{{all}}}")).unwrap_or_default();
        let comma = if top.0.is_empty() { "" } else { "," };
        let body = format!(" {{{}{comma}\"model\":\"m\"{options}}}\n", top.0);
        let edit = LoadEdit::Set(wanted.clone());
        let edited = edit::with_load(body.as_bytes(), &edit).into_owned();
        prop_assert_eq!(&LoadOptions::of(&edited), &wanted);
        prop_assert_eq!(summary::read(Endpoint::Embeddings, &edited).unwrap().load, wanted);
        prop_assert!(matches!(edit::with_load(&edited, &edit), Cow::Borrowed(_)), "again changes nothing");
        let edited = String::from_utf8(edited).unwrap();
        let mut rest = edited.as_str();
        // What stays is written in it as it was, in its order.
        let stays = top.1.iter().chain(inner.iter().flat_map(|(_, stays)| stays));
        for member in stays {
            let place = rest.find(member.trim());
            prop_assert!(place.is_some(), "{member} is not in {edited}");
            rest = &rest[place.unwrap() + member.trim().len()..];
        }
        let is_framed = edited.starts_with(" {") && edited.ends_with("}\n");
        prop_assert!(is_framed, "{edited}");
        let before: serde_json::Value = serde_json::from_str(&body).unwrap();
        let after: serde_json::Value = serde_json::from_str(&edited).unwrap();
        let other = |value: &serde_json::Value| -> Vec<(String, serde_json::Value)> {
            let members = value.as_object().into_iter().flatten();
            let ours = ["num_ctx", "num_gpu", "num_batch", "num_thread", "use_mmap", "low_vram", "options"];
            members.filter(|(name, _)| !ours.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect()
        };
        prop_assert_eq!(other(&before), other(&after));
        let none = serde_json::Value::Null;
        let inner = |value: &serde_json::Value| other(value.get("options").unwrap_or(&none));
        prop_assert_eq!(inner(&before), inner(&after));
    }

    #[test]
    fn any_bytes_can_be_asked_to_change_their_load_options(bytes in ".{0,40}", wanted in load_options()) {
        let edited = edit::with_load(bytes.as_bytes(), &LoadEdit::Set(wanted));
        let is_object = serde_json::from_str::<serde_json::Value>(&bytes).is_ok_and(|value| value.is_object());
        prop_assert!(is_object || matches!(edited, Cow::Borrowed(_)));
    }
}
