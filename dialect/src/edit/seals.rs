//! Proofs of thoughts that only another provider can read, in a history that goes to a backend as it is.
//!
//! A client that spoke to another backend before keeps what that one signed, and Anthropic and OpenAI refuse a request with
//! it. Such thoughts are taken out, as a translation leaves them out; every other byte stays.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Dialect;
use crate::hub::Provider;
use crate::layout::{Fate, Layout, Patch};
use crate::members::without_mark;

/// `body`, a request in `dialect`, without the thoughts that its own provider cannot read. Unsigned ones go only on their way
/// to the provider itself (`is_provider`): engines take them.
pub(super) fn taken_out(dialect: Dialect, body: &[u8], is_provider: bool) -> Cow<'_, [u8]> {
    let name = match dialect {
        Dialect::Anthropic => "messages",
        Dialect::Responses => "input",
        _ => return Cow::Borrowed(body),
    };
    // Nearly every body ends here.
    if !may_have_any(body) {
        return Cow::Borrowed(body);
    }
    let Some(top) = Layout::read(without_mark(body)) else { return Cow::Borrowed(body) };
    let mut patch = Patch::new(body);
    if let Some(member) = top.members.iter().rfind(|member| member.name().as_deref() == Some(name))
        && let Some(list) = kept(member.value, |element| match dialect {
            Dialect::Anthropic => turn_without(element, is_provider),
            _ => (!is_foreign_item(element)).then_some(Cow::Borrowed(element.get())),
        })
    {
        patch.replace(member.value, list);
    }
    patch.apply()
}

fn may_have_any(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let words = ["-v1#", "-v1.call#", r#""signature":"""#, r#""signature": """#];
    words.iter().any(|words| text.contains(words))
}

/// The list `value` with what `keep` leaves of its elements; `None` when nothing changes.
fn kept<'a>(value: &'a RawValue, keep: impl Fn(&'a RawValue) -> Option<Cow<'a, str>>) -> Option<String> {
    let list: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    let left: Vec<_> = list.iter().map(|element| keep(element)).collect();
    if left.iter().zip(&list).all(|(left, element)| left.as_deref() == Some(element.get())) {
        return None;
    }
    Some(format!("[{}]", left.into_iter().flatten().collect::<Vec<_>>().join(",")))
}

/// The turn without such thoughts; `None` when it held nothing else.
fn turn_without(turn: &RawValue, is_provider: bool) -> Option<Cow<'_, str>> {
    let unchanged = Some(Cow::Borrowed(turn.get()));
    let Some(layout) = Layout::read(turn.get().as_bytes()) else { return unchanged };
    let content = layout.members.iter().rfind(|member| member.name().as_deref() == Some("content"));
    let keep = |block| (!is_foreign_block(block, is_provider)).then_some(Cow::Borrowed(block.get()));
    let Some(left) = content.and_then(|content| kept(content.value, keep)) else { return unchanged };
    if left == "[]" {
        return None;
    }
    let mut patch = Patch::new(turn.get().as_bytes());
    let fates = layout.members.iter().map(|member| match member.name().as_deref() {
        Some("content") => Fate::Become(left.clone()),
        _ => Fate::Keep,
    });
    patch.settle(0, &layout, fates.collect(), &[]);
    Some(Cow::Owned(String::from_utf8(patch.apply().into_owned()).expect("JSON text in, JSON text out")))
}

#[derive(Deserialize)]
struct Sealed<'a> {
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    encrypted_content: Option<Cow<'a, str>>,
}

fn is_foreign_block(block: &RawValue, is_provider: bool) -> bool {
    let Ok(block) = serde_json::from_str::<Sealed<'_>>(block.get()) else { return false };
    match block.r#type.as_ref() {
        "thinking" => {
            block.signature.is_some_and(|seal| is_foreign(&seal) || (is_provider && seal.is_empty()))
        }
        "redacted_thinking" => block.data.is_some_and(|seal| is_foreign(&seal)),
        _ => false,
    }
}

fn is_foreign_item(item: &RawValue) -> bool {
    let Ok(item) = serde_json::from_str::<Sealed<'_>>(item.get()) else { return false };
    item.r#type == "reasoning" && item.encrypted_content.is_some_and(|seal| is_foreign(&seal))
}

/// Whether `seal` begins with the mark that a provider's proofs carry through foreign clients.
fn is_foreign(seal: &str) -> bool {
    let mark = seal.split_once('#').map(|(mark, _)| mark.strip_suffix(".call").unwrap_or(mark));
    mark.is_some_and(|mark| Provider::of_mark(mark).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(dialect: Dialect, body: &str, is_provider: bool) -> String {
        String::from_utf8(taken_out(dialect, body.as_bytes(), is_provider).into_owned()).unwrap()
    }

    #[test]
    fn t80_what_others_signed_does_not_go_to_anthropic_and_no_other_byte_changes() {
        let body = r#"{ "model":"m","messages":[{"role":"user","content":"-v1#"}, {"content": [{"type":"thinking","thinking":"a","signature":"openai-responses-v1#x"},
            {"type":"thinking","thinking":"b","signature":"EqQB"},{"type":"redacted_thinking","data":"google-gemini-v1.call#y"},
            {"type":"thinking","thinking":"c","signature":""},{"type":"text","text":"d" }],"role":"assistant"},
            {"role":"assistant","content":[{"type":"redacted_thinking","data":"google-gemini-v1#z"}]}],"max_tokens":1.0}"#;
        let unsigned = r#"{"type":"thinking","thinking":"c","signature":""},"#;
        let expected = |unsigned: &str| {
            format!(
                r#"{{ "model":"m","messages":[{{"role":"user","content":"-v1#"}},{{"content": [{{"type":"thinking","thinking":"b","signature":"EqQB"}},{unsigned}{{"type":"text","text":"d" }}],"role":"assistant"}}],"max_tokens":1.0}}"#
            )
        };
        assert_eq!(left(Dialect::Anthropic, body, true), expected(""));
        assert_eq!(left(Dialect::Anthropic, body, false), expected(unsigned));
    }

    #[test]
    fn t80_nor_to_openai() {
        let body = r#"{"input":[{"type":"reasoning","summary":[],"encrypted_content":"anthropic-claude-v1#x"},{"type":"reasoning","encrypted_content":"gAAA"},{"role":"user","content":"q"}]}"#;
        let expected =
            r#"{"input":[{"type":"reasoning","encrypted_content":"gAAA"},{"role":"user","content":"q"}]}"#;
        assert_eq!(left(Dialect::Responses, body, true), expected);
    }

    #[test]
    fn what_has_none_is_not_touched() {
        for body in [
            r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"Eq"}]}]}"#,
            r#"{"messages":[{"role":"user","content":"google-gemini-v1#"}]}"#,
            r#"{"messages":"-v1#"}"#,
            "-v1#",
        ] {
            for dialect in Dialect::ALL {
                assert!(matches!(taken_out(dialect, body.as_bytes(), true), Cow::Borrowed(_)), "{body}");
            }
        }
    }
}
