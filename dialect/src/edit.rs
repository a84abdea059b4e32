//! The smallest changes to a request body: every byte outside the change stays as the client wrote it.

pub(crate) mod billing;
mod format;
mod seals;
mod thinking;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::layout::{Fate, Layout, Patch};
use crate::load::{CONTEXT, LoadEdit, LoadOptions, is_load_option};
use crate::members::{Members, range_of, without_mark};
use crate::summary::BadBody;
use crate::translate::FormatMode;
use crate::{Dialect, Endpoint};

pub use thinking::with_less_thinking;

/// `body`, a request to `endpoint`, as it goes to a backend that speaks the same dialect.
///
/// Three things may change, and no byte beside them: the `response_format` of a chat completion, as `mode` says; on its
/// way to an engine that is not the dialect's own provider (`is_foreign_engine`), the billing line that Claude Code puts
/// before its system prompt, which differs in every turn; and thoughts in the history that another provider signed, which
/// no other can read. Fails when `mode` refuses the format.
pub fn for_straight(
    endpoint: Endpoint,
    body: &[u8],
    mode: FormatMode,
    is_foreign_engine: bool,
) -> Result<Cow<'_, [u8]>, BadBody> {
    match endpoint.dialect() {
        Dialect::OpenAi if endpoint == Endpoint::ChatCompletions => format::with_format(body, mode),
        Dialect::Anthropic if is_foreign_engine => Ok(match billing::taken_out(body) {
            Cow::Borrowed(body) => seals::taken_out(Dialect::Anthropic, body, false),
            Cow::Owned(changed) => {
                Cow::Owned(seals::taken_out(Dialect::Anthropic, &changed, false).into_owned())
            }
        }),
        dialect => Ok(seals::taken_out(dialect, body, true)),
    }
}

/// `body`, a request of Gemini's, with `models/MODEL` in every place that repeats the model of the path: its own
/// `model`, those of a batch's `requests`, and that of a `generateContentRequest`.
///
/// A place that names no model stays without.
pub fn with_path_model<'body>(body: &'body [u8], model: &str) -> Cow<'body, [u8]> {
    let Some(top) = Layout::read(without_mark(body)) else { return Cow::Borrowed(body) };
    let name = serde_json::Value::from(format!("models/{model}")).to_string();
    let mut patch = Patch::new(body);
    for member in &top.members {
        match member.name().as_deref() {
            Some("model") => patch.replace(member.value, name.clone()),
            Some("generateContentRequest") => rename_in(&mut patch, member.value, &name),
            Some("requests") => {
                let requests: Vec<&RawValue> = serde_json::from_str(member.value.get()).unwrap_or_default();
                for request in requests {
                    rename_in(&mut patch, request, &name);
                }
            }
            _ => {}
        }
    }
    patch.apply()
}

fn rename_in(patch: &mut Patch<'_>, object: &RawValue, name: &str) {
    let layout = Layout::read(object.get().as_bytes());
    for member in layout.iter().flat_map(|layout| &layout.members) {
        if member.name().as_deref() == Some("model") {
            patch.replace(member.value, name.to_owned());
        }
    }
}

/// `body` with its top-level `model` replaced, and no other byte changed.
///
/// A body that already names `model`, that has none, or that is no JSON object is returned as it is.
pub fn with_model<'body>(body: &'body [u8], model: &str) -> Cow<'body, [u8]> {
    let Some(found) = Members::read(body).ok().and_then(|members| members.model) else {
        return Cow::Borrowed(body);
    };
    if serde_json::from_str::<String>(found.get()).is_ok_and(|name| name == model) {
        return Cow::Borrowed(body);
    }
    let range = range_of(found, body);
    let name = serde_json::Value::from(model).to_string();
    Cow::Owned([&body[..range.start], name.as_bytes(), &body[range.end..]].concat())
}

/// `body` with the wish for usage in its stream: `"stream_options":{"include_usage":true}` put first, or in the
/// place of a `null`.
///
/// `None` when the client has its own `stream_options`, or the body is no JSON object.
pub fn asking_for_usage(body: &[u8]) -> Option<Vec<u8>> {
    const OPTIONS: &[u8] = br#"{"include_usage":true}"#;
    let members = Members::read(body).ok()?;
    if let Some(options) = members.stream_options {
        let range = range_of(options, body);
        let is_null = options.get() == "null";
        return is_null.then(|| [&body[..range.start], OPTIONS, &body[range.end..]].concat());
    }
    // Only a byte order mark and white space can come before the brace of an object that was read.
    let brace = body.iter().position(|&byte| byte == b'{')?;
    let (before, after) = body.split_at(brace + 1);
    let is_empty = after.trim_ascii_start().starts_with(b"}");
    let comma: &[u8] = if is_empty { b"" } else { b"," };
    Some([before, b"\"stream_options\":", OPTIONS, comma, after].concat())
}

/// `body` with its load options as `load` says, and no other byte changed.
///
/// Each option is replaced or taken out where the client wrote it, however often; one that the client did not write is
/// put into the object `options`, which is made if there is none. An `options` that is neither an object nor null
/// stays as it is, and nothing is put in: it is the backend's to judge. A body that needs no change, or that is no
/// JSON object, is returned as it is.
pub fn with_load<'body>(body: &'body [u8], load: &LoadEdit) -> Cow<'body, [u8]> {
    let LoadEdit::Set(wanted) = load else { return Cow::Borrowed(body) };
    let (Some(top), Some(brace)) =
        (Layout::read(without_mark(body)), body.iter().position(|&byte| byte == b'{'))
    else {
        return Cow::Borrowed(body);
    };
    let mut patch = Patch::new(body);
    let mut missing = texts(wanted);
    let mut fates = Vec::with_capacity(top.members.len());
    let mut options: Vec<&RawValue> = Vec::new();
    for member in &top.members {
        fates.push(match member.name().as_deref() {
            Some(CONTEXT) => fate(wanted, CONTEXT),
            Some("options") => {
                options.push(member.value);
                Fate::Keep
            }
            _ => Fate::Keep,
        });
    }
    if fates.iter().any(|fate| matches!(fate, Fate::Become(_))) {
        missing.retain(|(name, _)| name != CONTEXT);
    }
    let last = options.pop();
    for earlier in options {
        settle_options(&mut patch, earlier, wanted, Vec::new());
    }
    let fresh = match last {
        Some(value) if value.get() == "null" && !missing.is_empty() => {
            patch.replace(value, object_of(&missing));
            Vec::new()
        }
        Some(value) => {
            settle_options(&mut patch, value, wanted, missing);
            Vec::new()
        }
        None if missing.is_empty() => Vec::new(),
        None => vec![format!("\"options\":{}", object_of(&missing))],
    };
    patch.settle(brace, &top, fates, &fresh);
    patch.apply()
}

/// Settles the load options in `options`, and puts those of `missing` in that it has not.
fn settle_options(
    patch: &mut Patch<'_>,
    options: &RawValue,
    wanted: &LoadOptions,
    mut missing: Vec<(String, String)>,
) {
    let Some(layout) = Layout::read(options.get().as_bytes()) else { return };
    let mut fates = Vec::with_capacity(layout.members.len());
    for member in &layout.members {
        fates.push(match member.name() {
            Some(name) if is_load_option(&name) => {
                missing.retain(|(other, _)| *other != name);
                fate(wanted, &name)
            }
            _ => Fate::Keep,
        });
    }
    let fresh: Vec<_> = missing.iter().map(written).collect();
    let brace = range_of(options, patch.body()).start;
    patch.settle(brace, &layout, fates, &fresh);
}

/// What becomes of the load option `name`.
fn fate(wanted: &LoadOptions, name: &str) -> Fate {
    let text = match name {
        CONTEXT => wanted.context.map(|context| context.to_string()),
        _ => wanted.others.get(name).cloned(),
    };
    text.map_or(Fate::Go, Fate::Become)
}

/// The options by name, their values as JSON.
fn texts(wanted: &LoadOptions) -> Vec<(String, String)> {
    let context = wanted.context.map(|context| (CONTEXT.to_owned(), context.to_string()));
    context.into_iter().chain(wanted.others.iter().map(|(name, text)| (name.clone(), text.clone()))).collect()
}

fn written((name, text): &(String, String)) -> String {
    format!("{}:{text}", serde_json::Value::from(name.as_str()))
}

fn object_of(members: &[(String, String)]) -> String {
    format!("{{{}}}", members.iter().map(written).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_options_change_where_they_are_and_nothing_else_does() {
        let set = |context: Option<u64>, others: &[(&str, &str)]| {
            let others = others.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
            LoadEdit::Set(LoadOptions { context, others })
        };
        let large = set(Some(8192), &[]);
        let both = set(Some(8192), &[("num_gpu", "9")]);
        let none = set(None, &[]);
        for (body, edit, expected) in [
            (r#"{"a" : 1}"#, &large, r#"{"options":{"num_ctx":8192},"a" : 1}"#),
            ("\u{feff} { }", &both, "\u{feff} {\"options\":{\"num_ctx\":8192,\"num_gpu\":9} }"),
            (r#"{"num_ctx" : 5 ,"a":1}"#, &large, r#"{"num_ctx" : 8192 ,"a":1}"#),
            (r#"{"num_ctx":5,"a":1}"#, &both, r#"{"options":{"num_gpu":9},"num_ctx":8192,"a":1}"#),
            (r#"{"options":null,"a":1}"#, &large, r#"{"options":{"num_ctx":8192},"a":1}"#),
            (r#"{"options": { "seed":1 }}"#, &large, r#"{"options": {"num_ctx":8192, "seed":1 }}"#),
            (r#"{"options":{"num_gpu":1}}"#, &large, r#"{"options":{"num_ctx":8192}}"#),
            (r#"{"options":{"num_ctx":"x","seed":1}}"#, &large, r#"{"options":{"num_ctx":8192,"seed":1}}"#),
            (r#"{"a":1, "num_ctx":5}"#, &none, r#"{"a":1}"#),
            (r#"{ "num_ctx":5, "a":1 }"#, &none, r#"{ "a":1 }"#),
            (r#"{"num_ctx":5,"num_ctx":6}"#, &none, "{}"),
            (
                r#"{"options":{"num_gpu":1,"seed":2,"num_ctx":3 , "use_mmap":true }}"#,
                &none,
                r#"{"options":{"seed":2 }}"#,
            ),
            (
                r#"{"options":{"num_ctx":1},"options":{"seed":2}}"#,
                &none,
                r#"{"options":{},"options":{"seed":2}}"#,
            ),
            (
                r#"{"options":{"num_ctx":1},"options":{"seed":2}}"#,
                &large,
                r#"{"options":{"num_ctx":8192},"options":{"num_ctx":8192,"seed":2}}"#,
            ),
        ] {
            let edited = with_load(body.as_bytes(), edit).into_owned();
            assert_eq!(String::from_utf8(edited).unwrap(), expected, "{body}");
        }
        for (body, edit) in [
            (r#"{"num_ctx":5}"#, &LoadEdit::Keep),
            (r#"{"options":{"num_ctx":8192}}"#, &large),
            (r#"{"options":"mine"}"#, &large),
            (r#"{"options":[1]}"#, &none),
            ("[1]", &large),
            ("{", &large),
        ] {
            assert!(matches!(with_load(body.as_bytes(), edit), Cow::Borrowed(_)), "{body}");
        }
    }

    fn renamed(body: &str) -> String {
        String::from_utf8(with_model(body.as_bytes(), "n\"w").into_owned()).unwrap()
    }

    #[test]
    fn only_the_model_changes() {
        assert_eq!(
            renamed(
                "\u{feff} {\"id\":18446744073709551615,\t\"model\" : \"old\\u0041\" ,\"x\":{\"model\":\"in\"}}\n"
            ),
            "\u{feff} {\"id\":18446744073709551615,\t\"model\" : \"n\\\"w\" ,\"x\":{\"model\":\"in\"}}\n"
        );
        assert_eq!(renamed(r#"{"model":"a","model":"b"}"#), r#"{"model":"a","model":"n\"w"}"#);
        assert_eq!(renamed(r#"{"mod\u0065l":"a"}"#), r#"{"mod\u0065l":"n\"w"}"#);
    }

    #[test]
    fn a_model_of_the_path_is_renamed_wherever_it_is_repeated() {
        let renamed =
            |body: &str| String::from_utf8(with_path_model(body.as_bytes(), "new").into_owned()).unwrap();
        for (body, expected) in [
            (
                r#"{"model" : "models/a","content":{"model":1}}"#,
                r#"{"model" : "models/new","content":{"model":1}}"#,
            ),
            (
                r#"{"requests":[{"model":"models/a"}, {"content":{}}]}"#,
                r#"{"requests":[{"model":"models/new"}, {"content":{}}]}"#,
            ),
            (
                r#"{"generateContentRequest":{"model":"models/a"}}"#,
                r#"{"generateContentRequest":{"model":"models/new"}}"#,
            ),
            (r#"{"contents":[],"requests":"model"}"#, r#"{"contents":[],"requests":"model"}"#),
            ("[", "["),
        ] {
            assert_eq!(renamed(body), expected);
        }
    }

    #[test]
    fn straight_bodies_change_only_where_they_must() {
        let json =
            r#"{"response_format":{"type":"json_object"},"system":"x-anthropic-billing-header: a\nb"}"#;
        for endpoint in Endpoint::ALL {
            let body =
                for_straight(endpoint, json.as_bytes(), FormatMode::NormalizeJsonObject, true).unwrap();
            let changes =
                matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::CountTokens);
            assert_eq!(matches!(body, Cow::Owned(_)), changes, "{endpoint:?}");
            let body = for_straight(endpoint, json.as_bytes(), FormatMode::Passthrough, false).unwrap();
            assert!(matches!(body, Cow::Borrowed(_)), "{endpoint:?}");
        }
    }

    #[test]
    fn a_body_that_needs_no_change_is_not_copied() {
        for body in [r#"{"model":"n\u0022w"}"#, "{}", "[]", "", "{\"model\":\"a\""] {
            assert!(matches!(with_model(body.as_bytes(), "n\"w"), Cow::Borrowed(_)), "{body}");
        }
    }

    #[test]
    fn str_10_usage_is_asked_for_where_the_client_did_not_say() {
        let asked =
            |body: &str| asking_for_usage(body.as_bytes()).map(|body| String::from_utf8(body).unwrap());
        for (body, expected) in [
            (" { \"a\":1}", " {\"stream_options\":{\"include_usage\":true}, \"a\":1}"),
            ("{ }", "{\"stream_options\":{\"include_usage\":true} }"),
            ("{\"stream_options\": null }", "{\"stream_options\": {\"include_usage\":true} }"),
        ] {
            assert_eq!(asked(body).as_deref(), Some(expected));
        }
        for body in
            ["{\"stream_options\":{}}", "{\"stream_options\":{\"include_usage\":false}}", "[]", "", "{"]
        {
            assert_eq!(asked(body), None, "{body}");
        }
    }
}
