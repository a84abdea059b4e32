//! The smallest changes to a request body: every byte outside the change stays as the client wrote it.

use std::borrow::Cow;

use crate::members::{Members, range_of};

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

#[cfg(test)]
mod tests {
    use super::*;

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
