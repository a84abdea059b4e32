//! A tool's failure, told in words to dialects whose results have no flag for it.

use std::borrow::Cow;

/// What a result begins with whose tool failed.
const MARK: &str = "[tool error] ";

/// `text`, marked as the result of a tool that failed. One that is marked already stays as it is.
pub(crate) fn marked(text: &str) -> Cow<'_, str> {
    if text.starts_with(MARK) { Cow::Borrowed(text) } else { Cow::Owned(format!("{MARK}{text}")) }
}

/// The text without the mark, if it has one: then the tool failed.
pub(crate) fn unmarked(text: &str) -> Option<&str> {
    text.strip_prefix(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t10_a_failure_survives_a_round_trip_and_is_marked_once() {
        let once = marked("no such file").into_owned();
        assert_eq!(marked(&once), once);
        assert_eq!(unmarked(&once), Some("no such file"));
        assert_eq!(unmarked("no such file"), None);
    }
}
