//! Names and ids in the alphabet and length that OpenAI takes.

use std::borrow::Cow;

use crate::hub::{Request, Reversal, ToolKind, ids};

/// The longest name of a tool.
const LONGEST_NAME: usize = 64;
/// The longest id of a call.
const LONGEST_ID: usize = 40;

/// What the tool, or the schema, that the client calls `name` is called in the request: unchanged if it fits, else what fits
/// of it and a mark that is always the same for it.
pub(super) fn name(name: &str) -> Cow<'_, str> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_fit) {
        return Cow::Borrowed(name);
    }
    let mark = &ids::made("_", name, 0)[..9];
    let kept = name.chars().map(|c| if is_fit(c) { c } else { '_' }).take(LONGEST_NAME - mark.len());
    Cow::Owned(kept.chain(mark.chars()).collect())
}

/// The id of a call as it is sent: another one, always the same, for one that is too long.
pub(super) fn id(id: &str) -> Cow<'_, str> {
    if (1..=LONGEST_ID).contains(&id.len()) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(ids::made("call_", id, 0))
    }
}

/// Notes the names that are to be changed back in the answer.
pub(super) fn reverse(request: &Request, reversal: &mut Reversal) {
    for tool in &request.tools {
        let original = match &tool.kind {
            ToolKind::Function(function) => &function.name,
            ToolKind::Custom { name, .. } => name,
            ToolKind::Provider { .. } => continue,
        };
        if let Cow::Owned(sent) = name(original) {
            reversal.rename(sent, original.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tr_21_long_and_strange_names_fit_stay_apart_and_stay_the_same() {
        assert_eq!(name("get_weather-2"), "get_weather-2");
        let (one, other) = ("m".repeat(70) + "a", "m".repeat(70) + "b");
        for strange in [one.as_str(), "größe", "a.b:c", ""] {
            let sent = name(strange);
            assert!(sent.len() <= 64 && sent.is_ascii() && !sent.contains(['.', ':']), "{sent}");
            assert_eq!(sent, name(strange));
        }
        assert_ne!(name(&one), name(&other));
        assert_ne!(name("a.b"), name("a:b"));
        assert_eq!(id("toolu_01A09q90qw90lq917835lq9"), "toolu_01A09q90qw90lq917835lq9");
        assert!(id(&"x".repeat(300)).len() <= 40);
    }
}
