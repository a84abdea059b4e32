//! Names of functions in the alphabet that Gemini takes.

use std::borrow::Cow;

use crate::hub::ids;

/// The longest name taken by every model, in bytes.
const LONGEST: usize = 64;

/// How much of a name that does not fit is kept for the model to read.
const KEPT: usize = 36;

/// `name` as it is sent: unchanged if Gemini takes it, else another that is always the same for it and told apart.
pub(super) fn sent(name: &str) -> Cow<'_, str> {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if begins_well && name.len() <= LONGEST && name.bytes().all(may_stand) {
        return Cow::Borrowed(name);
    }
    let is_plain = |letter: char| u8::try_from(letter).is_ok_and(may_stand);
    let kept: String =
        name.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).take(KEPT).collect();
    Cow::Owned(format!("_{kept}{}", ids::made("_", name, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tr_21_names_that_do_not_fit_are_replaced_by_stable_ones() {
        assert_eq!(sent("mcp__files__read-all"), "mcp__files__read-all");
        let long = "mcp__".repeat(20);
        for name in ["münze", "1st", "a b", "", long.as_str()] {
            let other = sent(name);
            assert!(other.len() <= LONGEST && other.starts_with('_'), "{other}");
            assert_eq!(other, sent(name));
            assert_eq!(sent(&other), other);
        }
        assert_ne!(sent("a b"), sent("a c"));
        assert_ne!(sent("a b"), sent("a/b"));
    }
}
