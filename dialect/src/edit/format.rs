//! The `response_format` of a chat completion, for servers that know only some of its types.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::layout::{Fate, Layout, Patch};
use crate::members::{range_of, without_mark};
use crate::summary::BadBody;
use crate::translate::FormatMode;

/// A schema that any JSON object fits.
const ANY_OBJECT: &str =
    r#"{"name":"response","strict":false,"schema":{"type":"object","additionalProperties":true}}"#;

/// How much of a refused type is shown, in bytes.
const SHOWN: usize = 64;

/// `body` with its `response_format` as `mode` says. Fails when the mode refuses it.
pub(super) fn with_format(body: &[u8], mode: FormatMode) -> Result<Cow<'_, [u8]>, BadBody> {
    let untouched = Ok(Cow::Borrowed(body));
    if mode == FormatMode::Passthrough {
        return untouched;
    }
    let Some(top) = Layout::read(without_mark(body)) else { return untouched };
    let is_format = |name: Option<Cow<'_, str>>| name.as_deref() == Some("response_format");
    let Some(format) = top.members.iter().rfind(|member| is_format(member.name())) else { return untouched };
    let Some(layout) = Layout::read(format.value.get().as_bytes()) else { return untouched };
    let kind = layout.members.iter().rfind(|member| member.name().as_deref() == Some("type"));
    let Some(kind) = kind.map(|member| member.value) else { return untouched };
    let word: Option<String> = serde_json::from_str(kind.get()).ok();
    match (mode, word.as_deref()) {
        (FormatMode::NormalizeJsonObject, Some("json_object")) => Ok(normalized(body, format.value, &layout)),
        (FormatMode::StrictReject, Some("json_schema" | "text")) => untouched,
        (FormatMode::StrictReject, _) => Err(refusal(kind)),
        _ => untouched,
    }
}

fn normalized<'a>(body: &'a [u8], format: &'a RawValue, layout: &Layout<'a>) -> Cow<'a, [u8]> {
    let mut patch = Patch::new(body);
    let mut has_schema = false;
    let fates = layout.members.iter().map(|member| match member.name().as_deref() {
        Some("type") => Fate::Become("\"json_schema\"".to_owned()),
        Some("json_schema") => {
            has_schema = true;
            let is_object = member.value.get().starts_with('{');
            if is_object { Fate::Keep } else { Fate::Become(ANY_OBJECT.to_owned()) }
        }
        _ => Fate::Keep,
    });
    let fates: Vec<_> = fates.collect();
    let fresh = if has_schema { Vec::new() } else { vec![format!("\"json_schema\":{ANY_OBJECT}")] };
    patch.settle(range_of(format, body).start, layout, fates, &fresh);
    patch.apply()
}

fn refusal(kind: &RawValue) -> BadBody {
    let text = kind.get();
    let shown = &text[..text.floor_char_boundary(SHOWN)];
    let message = format!("response_format.type must be 'json_schema' or 'text', got {shown}");
    BadBody::field("response_format", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(mode: FormatMode, body: &str) -> Result<String, BadBody> {
        with_format(body.as_bytes(), mode).map(|body| String::from_utf8(body.into_owned()).unwrap())
    }

    const UNTOUCHED: [&str; 8] = [
        r#"{"response_format":{"type":"json_schema","json_schema":{"name":"x"}}}"#,
        r#"{"response_format":{"type": "text"}}"#,
        r#"{"response_format":{"schema":{}}}"#,
        r#"{"response_format":"json_object"}"#,
        r#"{"response_format":null}"#,
        r#"{"messages":[{"response_format":{"type":"json_object"}}]}"#,
        "[]",
        "{",
    ];

    #[test]
    fn what_a_mode_has_no_word_on_stays() {
        for mode in [FormatMode::Passthrough, FormatMode::NormalizeJsonObject, FormatMode::StrictReject] {
            for body in UNTOUCHED {
                assert!(
                    matches!(with_format(body.as_bytes(), mode), Ok(Cow::Borrowed(_))),
                    "{mode:?} {body}"
                );
            }
        }
        let json = r#"{"response_format":{"type":"json_object"}}"#;
        assert_eq!(with(FormatMode::Passthrough, json).unwrap(), json);
        let other = r#"{"response_format":{"type":"grammar"}}"#;
        assert_eq!(with(FormatMode::NormalizeJsonObject, other).unwrap(), other);
    }

    #[test]
    fn a_json_object_becomes_a_schema_that_any_object_fits() {
        let normalize = |body: &str| with(FormatMode::NormalizeJsonObject, body).unwrap();
        assert_eq!(
            normalize(
                r#"{"id":18446744073709551616, "response_format" : { "type" : "json_object","x":1.0 },"b":"<>"}"#
            ),
            r#"{"id":18446744073709551616, "response_format" : {"json_schema":{"name":"response","strict":false,"schema":{"type":"object","additionalProperties":true}}, "type" : "json_schema","x":1.0 },"b":"<>"}"#
        );
        assert_eq!(
            normalize(r#"{"response_format":{"type":"json_object","json_schema":{"name":"mine"}}}"#),
            r#"{"response_format":{"type":"json_schema","json_schema":{"name":"mine"}}}"#
        );
    }

    #[test]
    fn strict_refuses_and_names_the_types_that_go() {
        for (body, got) in [
            (r#"{"response_format":{"type":"json_object"}}"#, "got \"json_object\""),
            (r#"{"response_format":{"type":5}}"#, "got 5"),
        ] {
            let bad = with(FormatMode::StrictReject, body).unwrap_err();
            assert_eq!(bad.param, Some("response_format"));
            assert!(bad.message.contains("'json_schema'") && bad.message.ends_with(got), "{bad}");
        }
        let long = format!(r#"{{"response_format":{{"type":"{}"}}}}"#, "é".repeat(500));
        assert!(with(FormatMode::StrictReject, &long).unwrap_err().message.len() < 200);
    }
}
