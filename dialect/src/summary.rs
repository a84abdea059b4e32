//! The few facts read from a request body, without building a tree of it.
//!
//! What is wrong with a body is told only as far as proxylm needs the field; the rest is the backend's to judge.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::edit::billing;
use crate::layout::{Layout, Member};
use crate::load::LoadOptions;
use crate::members::{Members, Opening, without_mark};
use crate::{Dialect, Endpoint};

/// The longest model name taken, in bytes: it travels in every message about the request.
const MAX_MODEL_LEN: usize = 512;

/// What is read of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The model asked for.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The most tokens the client wants generated.
    pub max_output_tokens: Option<u64>,
    /// A hash of the conversation's head: equal for the turns of one conversation.
    pub affinity: u64,
    /// Options that an engine applies when it loads the model.
    pub load: LoadOptions,
}

/// Why a body is no request: one sentence for the client, the field at fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct BadBody {
    /// What is wrong and what would be right.
    pub message: String,
    /// The field at fault.
    pub param: Option<&'static str>,
}

impl BadBody {
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { message: message.into(), param: None }
    }

    pub(crate) fn field(param: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: Some(param) }
    }
}

/// Reads the summary of `body`, a request to `endpoint`.
///
/// Of a field that is there twice the last one counts. Fails when the body is no JSON object, or a field that
/// proxylm itself needs is missing or of the wrong type. Where the path names the model and the kind of answer (Gemini),
/// the model is empty and `stream` is false: the caller knows them. A native call may have any body.
pub fn read(endpoint: Endpoint, body: &[u8]) -> Result<Summary, BadBody> {
    if endpoint == Endpoint::Native {
        return Ok(read_native(body));
    }
    check_object(body)?;
    let members = Members::read(body).map_err(|error| not_json(&error))?;
    let (model, stream) = match endpoint.dialect() {
        Dialect::Gemini => (String::new(), false),
        _ => (read_model(members.model)?, read_stream(endpoint, members.stream)?),
    };
    let affinity = affinity(endpoint, &model, &members);
    let max_output_tokens = match endpoint {
        Endpoint::Messages => Some(read_required_max_tokens(members.max_tokens)?),
        _ => most_tokens(endpoint, &members),
    };
    let load = LoadOptions::read(members.num_ctx, members.options);
    Ok(Summary { model, stream, max_output_tokens, affinity, load })
}

/// What is to be known of a call that only the backend understands.
fn read_native(body: &[u8]) -> Summary {
    let members = Members::read(body).unwrap_or_default();
    let model = read_model(members.model).unwrap_or_default();
    let stream = members.stream.is_some_and(|stream| stream.get() == "true");
    let affinity = affinity(Endpoint::Native, &model, &members);
    let max_output_tokens = most_tokens(Endpoint::Native, &members);
    Summary { model, stream, max_output_tokens, affinity, load: LoadOptions::default() }
}

/// The most tokens wanted, where the dialect has a place for it and a number stands there.
fn most_tokens(endpoint: Endpoint, members: &Members<'_>) -> Option<u64> {
    let inside = |object: Option<&RawValue>, names: [&str; 2]| {
        let layout = Layout::read(object?.get().as_bytes())?;
        let is_named = |member: &&Member<'_>| member.name().is_some_and(|name| names.contains(&&*name));
        whole_number(layout.members.iter().rfind(is_named)?.value)
    };
    match endpoint.dialect() {
        Dialect::Gemini => inside(members.generation, ["maxOutputTokens", "max_output_tokens"]),
        Dialect::Ollama => inside(members.options, ["num_predict", "num_predict"]),
        Dialect::OpenAi | Dialect::Responses | Dialect::Anthropic => {
            [members.max_completion_tokens, members.max_tokens, members.max_output_tokens]
                .into_iter()
                .flatten()
                .find_map(whole_number)
        }
    }
}

fn check_object(body: &[u8]) -> Result<(), BadBody> {
    let text = without_mark(body).trim_ascii_start();
    match text.first() {
        Some(b'{') => Ok(()),
        None => Err(BadBody::whole("the request has no body: send a JSON object that names a model")),
        Some(_) if is_compressed(body) => Err(BadBody::whole(
            "the body is compressed, and no Content-Encoding header says so: send zstd or gzip with that header",
        )),
        Some(&first) => Err(match serde_json::from_slice::<IgnoredAny>(without_mark(body)) {
            Ok(_) => BadBody::whole(format!("the body must be a JSON object, not {}", kind_of(first))),
            Err(error) => not_json(&error),
        }),
    }
}

/// Whether the body begins as zstd or gzip does.
fn is_compressed(body: &[u8]) -> bool {
    body.starts_with(b"\x28\xB5\x2F\xFD") || body.starts_with(b"\x1F\x8B")
}

/// The error names line and column, and shows nothing of the body.
fn not_json(error: &serde_json::Error) -> BadBody {
    BadBody::whole(format!("the body is not valid JSON: {error}"))
}

/// What a JSON value is, told by its first byte.
fn kind_of(first: u8) -> &'static str {
    match first {
        b'{' => "an object",
        b'[' => "an array",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    }
}

fn kind(value: &RawValue) -> &'static str {
    kind_of(value.get().bytes().next().unwrap_or_default())
}

fn read_model(model: Option<&RawValue>) -> Result<String, BadBody> {
    let bad = |message| Err(BadBody::field("model", message));
    let Some(raw) = model else {
        return bad("the field model is missing: name the model that is to answer".to_owned());
    };
    if !raw.get().starts_with('"') {
        return bad(format!("the field model must be a string, not {}", kind(raw)));
    }
    let Ok(name) = serde_json::from_str::<String>(raw.get()) else {
        return bad("the field model is no valid string: one of its escapes is broken".to_owned());
    };
    match name.len() {
        0 => bad("the field model is empty: name the model that is to answer".to_owned()),
        1..=MAX_MODEL_LEN => Ok(name),
        length => bad(format!("the field model has {length} bytes, and at most {MAX_MODEL_LEN} fit a name")),
    }
}

/// Ollama streams unless it is told not to.
fn read_stream(endpoint: Endpoint, stream: Option<&RawValue>) -> Result<bool, BadBody> {
    match stream.map(RawValue::get) {
        None | Some("null") => Ok(endpoint.dialect() == Dialect::Ollama && endpoint.generates()),
        Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => {
            let found = kind_of(other.bytes().next().unwrap_or_default());
            Err(BadBody::field("stream", format!("the field stream must be true or false, not {found}")))
        }
    }
}

fn read_required_max_tokens(max_tokens: Option<&RawValue>) -> Result<u64, BadBody> {
    let bad = |message| Err(BadBody::field("max_tokens", message));
    let Some(raw) = max_tokens.filter(|raw| raw.get() != "null") else {
        return bad(
            "the field max_tokens is missing: say how many tokens may be generated, at least 1".to_owned()
        );
    };
    match whole_number(raw) {
        Some(number) if number > 0 => Ok(number),
        _ if kind(raw) == "a number" => {
            bad("the field max_tokens must be a whole number of at least 1".to_owned())
        }
        _ => bad(format!("the field max_tokens must be a number, not {}", kind(raw))),
    }
}

/// The number, if it is whole and not negative, however it is written.
pub(crate) fn whole_number(raw: &RawValue) -> Option<u64> {
    let text = raw.get();
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and not negative"
        )]
        (number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
    })
}

/// The hash of how the conversation opens: what later turns repeat at the same place.
fn affinity(endpoint: Endpoint, model: &str, members: &Members<'_>) -> u64 {
    let mut hash = Fingerprint::default();
    hash.add(model);
    match endpoint.dialect() {
        Dialect::Responses => {
            let opening = members.input.map(Opening::of).unwrap_or_default();
            let is_list = opening.messages().next().is_some();
            let whole = members.input.filter(|_| !is_list);
            [members.instructions, whole].into_iter().flatten().for_each(|part| hash.add(part.get()));
            opening.messages().for_each(|item| hash.add(item));
        }
        Dialect::Gemini => members.instructions.iter().for_each(|part| hash.add(part.get())),
        Dialect::Anthropic | Dialect::OpenAi | Dialect::Ollama => {
            // A line that differs in every turn is no part of the conversation.
            match members.system.and_then(billing::without) {
                Some(system) => hash.add(&system),
                None => members.system.iter().for_each(|part| hash.add(part.get())),
            }
            members.prompt.or(members.input).iter().for_each(|part| hash.add(part.get()));
        }
    }
    members.messages.messages().for_each(|message| hash.add(message));
    hash.finish()
}

/// A hash that is the same in every build and process, eight bytes at a step. Nobody gains by a collision: two
/// conversations would merely like the same backend.
#[derive(Default)]
struct Fingerprint(u64);

impl Fingerprint {
    /// How much of each part counts: enough to tell conversations apart, and no cost for long ones.
    const MAX_PART: usize = 512;

    fn add(&mut self, part: &str) {
        let head = &part.as_bytes()[..part.len().min(Self::MAX_PART)];
        let (words, rest) = head.as_chunks();
        for word in words {
            self.step(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // At most seven bytes are left, so the eighth is free to tell how many: parts that differ only in zeros at
        // their end differ here.
        last[7] = u8::try_from(rest.len()).unwrap_or_default() + 1;
        self.step(u64::from_le_bytes(last));
    }

    fn step(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 29)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<Summary, BadBody> {
        read(Endpoint::ChatCompletions, body.as_bytes())
    }

    #[test]
    fn facts_are_read_wherever_they_stand() {
        let body = " {\"messages\":[{\"role\":\"user\",\"content\":\"model\"}],\"max_tokens\":7,\"x\":{\"model\":1},\"stream\": true ,\"model\" : \"a\\u0062\"}\n";
        let summary = chat(body).unwrap();
        assert_eq!(
            (summary.model.as_str(), summary.stream, summary.max_output_tokens),
            ("ab", true, Some(7))
        );
        let marked = [b"\xEF\xBB\xBF", body.as_bytes()].concat();
        assert_eq!(read(Endpoint::ChatCompletions, &marked).unwrap(), summary);
    }

    #[test]
    fn optional_facts_may_be_null_and_the_newest_name_of_a_limit_counts() {
        let summary =
            chat(r#"{"model":"m","stream":null,"max_tokens":1,"max_completion_tokens":2.0}"#).unwrap();
        assert_eq!((summary.stream, summary.max_output_tokens), (false, Some(2)));
        assert_eq!(chat(r#"{"model":"m","max_tokens":null}"#).unwrap().max_output_tokens, None);
        assert_eq!(chat(r#"{"model":"m","max_tokens":-1}"#).unwrap().max_output_tokens, None);
        assert_eq!(chat(r#"{"model":"m","messages":1}"#).unwrap().model, "m");
    }

    #[test]
    fn load_options_are_read_beside_the_rest() {
        let load = chat(r#"{"options":{"num_ctx":8192,"num_gpu":9,"seed":1},"model":"m"}"#).unwrap().load;
        assert_eq!((load.context, load.others.len()), (Some(8192), 1));
        assert_eq!(load.others["num_gpu"], "9");
        assert!(chat(r#"{"model":"m","options":{"num_ctx":"x"},"num_ctx":{}}"#).unwrap().load.is_empty());
    }

    #[test]
    fn the_last_of_two_counts() {
        assert_eq!(chat(r#"{"model":1,"stream":"x","model":"b","stream":true}"#).unwrap().model, "b");
    }

    #[test]
    fn api_03_what_is_wrong_is_said_in_one_sentence() {
        let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(513));
        for (body, param, says) in [
            ("", None, "the request has no body"),
            (" \n", None, "the request has no body"),
            ("hello", None, "line 1 column 1"),
            ("{\"model\":\n\"m\" 1}", None, "line 2 column 5"),
            ("{\"model\":\"m\"} x", None, "line 1 column 15"),
            ("[{\"model\":\"m\"}]", None, "not an array"),
            ("\"m\"", None, "not a string"),
            ("{}", Some("model"), "model is missing"),
            ("{\"model\":\"\"}", Some("model"), "model is empty"),
            ("{\"model\":5}", Some("model"), "not a number"),
            ("{\"model\":null}", Some("model"), "not null"),
            ("{\"model\":\"\\ud800\"}", Some("model"), "escapes"),
            (&long, Some("model"), "513 bytes"),
            ("{\"model\":\"m\",\"stream\":1}", Some("stream"), "not a number"),
        ] {
            let bad = chat(body).unwrap_err();
            assert_eq!(bad.param, param, "{body}: {bad}");
            assert!(bad.message.contains(says), "{body}: {bad}");
        }
    }

    #[test]
    fn api_04_messages_need_max_tokens() {
        let with = |value: &str| read(Endpoint::Messages, format!(r#"{{"model":"m"{value}}}"#).as_bytes());
        for bad in
            ["", ",\"max_tokens\":null", ",\"max_tokens\":0", ",\"max_tokens\":-3", ",\"max_tokens\":\"9\""]
        {
            assert_eq!(with(bad).unwrap_err().param, Some("max_tokens"), "{bad}");
        }
        assert_eq!(with(",\"max_tokens\":9").unwrap().max_output_tokens, Some(9));
    }

    #[test]
    fn the_turns_of_a_conversation_have_one_affinity() {
        let turn = |first: &str, rest: &str| {
            let system = r#"{"role":"system","content":"be brief"}"#;
            let body = format!(
                r#"{{"model":"m","messages":[{system},{{"role":"user","content":"{first}"}}{rest}]}}"#
            );
            chat(&body).unwrap().affinity
        };
        let later = r#",{"role":"assistant","content":"4"},{"role":"user","content":"why?"}"#;
        assert_eq!(turn("2+2?", ""), turn("2+2?", later));
        assert_ne!(turn("2+2?", ""), turn("2+3?", ""));
        // Written down, because other builds and processes must find the same value.
        assert_eq!(turn("2+2?", ""), 9_369_995_781_746_016_130);
    }
}
