//! The arguments of a call: JSON that a model wrote, and so perhaps none.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// The text of the JSON object that `written` was meant to be, if that leaves no doubt: it is one; it is nothing (`{}`);
/// or it is an object put into a string. Anything else must not become an object that the model did not write.
pub(crate) fn mended(written: &str) -> Option<Cow<'_, str>> {
    let text = written.trim();
    if matches!(text, "" | "null" | "\"\"") {
        return Some(Cow::Borrowed("{}"));
    }
    if is_object(text) {
        return Some(Cow::Borrowed(text));
    }
    let inner: String = serde_json::from_str(text).ok()?;
    is_object(inner.trim()).then(|| Cow::Owned(inner.trim().to_owned()))
}

/// Whether `text` is a JSON object.
pub(crate) fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Finds out when an object that comes in pieces is whole.
#[derive(Clone, Default, Debug)]
pub(crate) struct Extent {
    depth: u32,
    is_in_string: bool,
    is_escaped: bool,
    has_begun: bool,
}

impl Extent {
    /// Takes the next piece.
    pub(crate) fn add(&mut self, piece: &str) {
        for byte in piece.bytes() {
            if self.is_in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.is_in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.is_in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.has_begun |= !byte.is_ascii_whitespace();
        }
    }

    /// Whether every bracket and quote that was opened has been closed, and there was one.
    pub(crate) fn is_whole(&self) -> bool {
        self.has_begun && self.depth == 0 && !self.is_in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t51_only_what_leaves_no_doubt_is_mended() {
        for (written, expected) in [
            ("{\"a\":1}", Some("{\"a\":1}")),
            (" {} ", Some("{}")),
            ("", Some("{}")),
            ("null", Some("{}")),
            (r#""{\"a\":1}""#, Some("{\"a\":1}")),
            ("{\"a\":", None),
            ("[1]", None),
            ("city=Rome", None),
            (r#""city""#, None),
        ] {
            assert_eq!(mended(written).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn an_object_is_whole_at_its_last_bracket_however_it_is_cut() {
        let text = r#"{"a":"}\"{","b":[{}]}"#;
        for cut in 0..text.len() {
            let mut extent = Extent::default();
            extent.add(&text[..cut]);
            assert!(!extent.is_whole(), "{cut}");
            extent.add(&text[cut..]);
            assert!(extent.is_whole(), "{cut}");
        }
    }
}
