//! The billing line that Claude Code puts before its system prompt: it differs in every turn, so an engine that keeps
//! what it has read of a prompt would begin anew each time. Only Anthropic's own servers have a use for it.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::layout::{Fate, Layout, Patch};
use crate::members::{Members, range_of};

/// How the line begins.
const BEGINNING: &str = "x-anthropic-billing-header:";

/// `body` without the billing line in its `system`, and no byte changed beside that member.
pub(super) fn taken_out(body: &[u8]) -> Cow<'_, [u8]> {
    let Some(system) = Members::read(body).ok().and_then(|members| members.system) else {
        return Cow::Borrowed(body);
    };
    let Some(text) = without(system) else { return Cow::Borrowed(body) };
    let range = range_of(system, body);
    Cow::Owned([&body[..range.start], text.as_bytes(), &body[range.end..]].concat())
}

/// `system`, a text or a list of blocks, without billing lines; `None` where there is none.
///
/// A block that holds nothing else goes as a whole. The line counts only where a text begins with it.
pub(crate) fn without(system: &RawValue) -> Option<String> {
    if !system.get().contains(BEGINNING) {
        return None;
    }
    if let Ok(text) = serde_json::from_str::<String>(system.get()) {
        return rest_of(&text).map(|rest| Value::from(rest).to_string());
    }
    let blocks: Vec<&RawValue> = serde_json::from_str(system.get()).ok()?;
    let kept: Vec<_> = blocks.iter().map(|block| block_without(block)).collect();
    if kept.iter().zip(&blocks).all(|(kept, block)| kept.as_deref() == Some(block.get())) {
        return None;
    }
    Some(format!("[{}]", kept.into_iter().flatten().collect::<Vec<_>>().join(",")))
}

/// The block without the line; `None` when nothing is left of it.
fn block_without(block: &RawValue) -> Option<Cow<'_, str>> {
    let unchanged = Some(Cow::Borrowed(block.get()));
    let Some(layout) = Layout::read(block.get().as_bytes()) else { return unchanged };
    let Some(text) = layout.members.iter().rfind(|member| member.name().as_deref() == Some("text")) else {
        return unchanged;
    };
    let Ok(words) = serde_json::from_str::<String>(text.value.get()) else { return unchanged };
    let Some(rest) = rest_of(&words) else { return unchanged };
    if rest.is_empty() {
        return None;
    }
    let mut patch = Patch::new(block.get().as_bytes());
    let fates = layout.members.iter().map(|member| match member.name().as_deref() {
        Some("text") => Fate::Become(Value::from(rest).to_string()),
        _ => Fate::Keep,
    });
    patch.settle(0, &layout, fates.collect(), &[]);
    Some(Cow::Owned(String::from_utf8(patch.apply().into_owned()).expect("JSON text in, JSON text out")))
}

/// What follows the billing lines at the beginning of `text`; `None` where there is none.
fn rest_of(text: &str) -> Option<&str> {
    let mut rest = text;
    while rest.starts_with(BEGINNING) {
        rest = rest.split_once('\n').map_or("", |(_, after)| after).trim_start_matches(['\r', '\n']);
    }
    (rest.len() < text.len()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(body: &str) -> String {
        String::from_utf8(taken_out(body.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn t18_the_billing_line_goes_and_all_else_stays() {
        for (body, expected) in [
            (
                r#"{"model":"m" ,"system": [ {"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.37.3a3; cch=0f2;"} , {"type":"text","text":"You are é\u00e9","cache_control":{"type":"ephemeral"}}], "n":1.0}"#,
                r#"{"model":"m" ,"system": [{"type":"text","text":"You are é\u00e9","cache_control":{"type":"ephemeral"}}], "n":1.0}"#,
            ),
            (r#"{"system":[{"type":"text","text":"x-anthropic-billing-header: a"}]}"#, r#"{"system":[]}"#),
            (
                r#"{"system":[{"text":"x-anthropic-billing-header: a\n\nYou <are>","type":"text"}]}"#,
                r#"{"system":[{"text":"You <are>","type":"text"}]}"#,
            ),
            (r#"{"system":"x-anthropic-billing-header: a\r\nYou"}"#, r#"{"system":"You"}"#),
        ] {
            assert_eq!(edited(body), expected);
        }
    }

    #[test]
    fn t18_elsewhere_the_words_are_only_words() {
        for body in [
            r#"{"system":"See x-anthropic-billing-header: a"}"#,
            r#"{"system":[{"type":"text","text":"a\nx-anthropic-billing-header: a"}, 5]}"#,
            r#"{"messages":[{"role":"user","content":"x-anthropic-billing-header: a"}],"system":"s"}"#,
            r#"{"system":{"text":"x-anthropic-billing-header: a"}}"#,
            "{",
        ] {
            assert!(matches!(taken_out(body.as_bytes()), Cow::Borrowed(_)), "{body}");
        }
    }
}
