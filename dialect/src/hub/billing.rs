//! The billing line that Claude Code puts in front of its system prompt.
//!
//! It differs with every request. Only Anthropic's own API has a use for it; elsewhere it would make every turn begin
//! differently, and so keep an engine from finding the conversation in its cache.

use super::{Message, Role};

/// How the line begins.
const MARK: &str = "x-anthropic-billing-header:";

/// The `text` of a part of `message`, without a billing line at its beginning if the message is one of instructions. What
/// is left may be empty: then the part is to be left out. Nothing is lost that the model should read.
pub(crate) fn without<'a>(message: &Message, text: &'a str) -> &'a str {
    if message.role != Role::System || !text.starts_with(MARK) {
        return text;
    }
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_by(role: Role) -> Message {
        Message { role, parts: Vec::new(), name: None, at: String::new() }
    }

    #[test]
    fn t18_only_a_line_at_the_beginning_of_instructions_is_taken_out() {
        let line = "x-anthropic-billing-header: cc_version=2.1.37; cch=0f3a1;";
        let system = said_by(Role::System);
        assert_eq!(without(&system, line), "");
        assert_eq!(without(&system, &format!("{line}\nYou are.")), "You are.");
        let later = format!("See: {line}");
        assert_eq!(without(&system, &later), later);
        assert_eq!(without(&said_by(Role::User), line), line);
    }
}
