//! Names of tools in the alphabet that Anthropic takes: letters, digits, `_` and `-`, 64 of them at most.

use std::borrow::Cow;

use crate::hub::ids;

/// The longest name.
const LONGEST: usize = 64;

/// How many digits tell apart what became alike.
const DIGITS: usize = 8;

/// The name that is sent for the tool `name`: unchanged if it fits, else another that is always the same for it.
pub(super) fn sent(name: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=LONGEST).contains(&name.len()) && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    let plain: String =
        name.chars().map(|c| if fits(c) { c } else { '_' }).take(LONGEST - DIGITS - 1).collect();
    let digits = ids::made("", name, 0);
    Cow::Owned(format!("{plain}_{}", &digits[..DIGITS]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_stay_and_others_are_told_apart() {
        assert_eq!(sent("get_weather-2"), "get_weather-2");
        assert!(sent("a.b").starts_with("a_b_"));
        assert_ne!(sent("a.b"), sent("a/b"));
        assert_eq!(sent(&"x".repeat(99)).len(), LONGEST);
        assert_eq!(sent("").len(), DIGITS + 1);
    }
}
