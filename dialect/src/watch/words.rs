//! Words in the JSON of an event that are worth a closer look, found without parsing it.
//!
//! Quotes inside a JSON string are escaped, so only whole strings are found: members, or values.

use serde_json::value::RawValue;

/// Whether `data` has the member `name`, written with its quotes, with something to say: many backends write
/// `"usage":null` into every chunk; that is passed over.
pub(super) fn mentions(data: &[u8], name: &[u8]) -> bool {
    let mut rest = data;
    while let Some(place) = rest.iter().position(|&byte| byte == b'"') {
        rest = &rest[place..];
        if let Some(after) = rest.strip_prefix(name)
            && !is_null_next(after)
        {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// The value of the last member `name` (written with its quotes) in `tail`, the end of a long event.
pub(super) fn last_value<'a>(tail: &'a [u8], name: &[u8]) -> Option<&'a RawValue> {
    let mut end = tail.len();
    while let Some(place) = tail[..end].windows(name.len()).rposition(|word| word == name) {
        let after = tail[place + name.len()..].trim_ascii_start();
        if let Some(value) = after.strip_prefix(b":")
            && let Some(Ok(found)) =
                serde_json::Deserializer::from_slice(value).into_iter::<&RawValue>().next()
            && found.get() != "null"
        {
            return Some(found);
        }
        end = place;
    }
    None
}

/// The value of the member `name` of the object that `head` is the beginning of, if it is a flag.
pub(super) fn flag_on_top(head: &[u8], name: &[u8]) -> Option<bool> {
    let (mut depth, mut at) = (0_u32, 0);
    while at < head.len() {
        match head[at] {
            b'"' => {
                let end = at + end_of_string(&head[at..])?;
                if depth == 1 && &head[at..end] == name {
                    let value = head[end..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
                    if value.starts_with(b"true") || value.starts_with(b"false") {
                        return Some(value.starts_with(b"true"));
                    }
                }
                at = end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The length of the string that `text` begins with, quotes included.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn is_null_next(after_name: &[u8]) -> bool {
    let value = after_name.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    value.is_some_and(|value| value.starts_with(b"null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_only_as_whole_strings_with_something_to_say() {
        let find =
            |data: &str| (mentions(data.as_bytes(), b"\"usage\""), mentions(data.as_bytes(), b"\"error\""));
        assert_eq!(find(r#"{"usage":{},"error" : null}"#), (true, false));
        assert_eq!(find(r#"{"usage": null,"a":"\"error\":1"}"#), (false, false));
        assert_eq!(find(r#"{"object":"error""#), (false, true));
    }

    #[test]
    fn the_end_of_a_long_event_tells_its_last_values() {
        let tail = br#"aaa","usage":{"a":1},"usage":{"b":[2]},"x":"\"usage\": 3"}}"#;
        assert_eq!(last_value(tail, b"\"usage\"").map(RawValue::get), Some(r#"{"b":[2]}"#));
        assert!(last_value(br#"x","usage":null}"#, b"\"usage\"").is_none());
        assert!(last_value(br#"x","usage":{"#, b"\"usage\"").is_none());
    }

    #[test]
    fn only_a_member_on_top_is_the_flag() {
        let done = |head: &str| flag_on_top(head.as_bytes(), b"\"done\"");
        assert_eq!(done(r#"{"m":{"done":true},"t":"\"done\":true","done": true,"context":[1,"#), Some(true));
        assert_eq!(done(r#"{"m":{"done":true},"done":false,"c":"#), Some(false));
        assert_eq!(done(r#"{"m":[{"done":true"#), None);
        assert_eq!(done(r#"{"a":"x\"#), None);
    }
}
