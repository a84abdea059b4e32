//! The wish for thoughts in a request to a model that turns out to have none.

use crate::layout::{Fate, Layout, Patch};
use crate::members::without_mark;

/// The members with which chats of OpenAI's kind and of Ollama ask for thoughts.
const WISHES: [&str; 3] = ["think", "reasoning_effort", "reasoning"];

/// `body`, a request for a chat, asking for less thinking than before, after the backend refused it with `message`; every
/// other byte stays.
///
/// `None` if the refusal has another reason, or nothing is asked for that could be left out. Where only the amount was
/// refused (`"think":"high"`), thinking is still asked for, without saying how much.
pub fn with_less_thinking(body: &[u8], message: &str) -> Option<Vec<u8>> {
    let message = message.to_ascii_lowercase();
    let is_amount = message.contains("think value");
    let is_refused = ["not support", "unsupported", "unrecognized", "unknown"];
    let is_thinking = ["thinking", "reasoning_effort", "reasoning effort", "reasoning.effort"];
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if !(is_amount || says(&is_refused) && says(&is_thinking)) {
        return None;
    }
    let top = Layout::read(without_mark(body))?;
    let brace = body.iter().position(|&byte| byte == b'{')?;
    let mut has_wish = false;
    let fates = top.members.iter().map(|member| match member.name().as_deref() {
        // No wish, but its opposite.
        Some("think") if member.value.get() == "false" => Fate::Keep,
        Some("think") if is_amount && member.value.get() != "true" => {
            has_wish = true;
            Fate::Become("true".to_owned())
        }
        Some(name) if WISHES.contains(&name) => {
            has_wish = true;
            Fate::Go
        }
        _ => Fate::Keep,
    });
    let fates: Vec<_> = fates.collect();
    if !has_wish {
        return None;
    }
    let mut patch = Patch::new(body);
    patch.settle(brace, &top, fates, &[]);
    Some(patch.apply().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn less(body: &str, message: &str) -> Option<String> {
        with_less_thinking(body.as_bytes(), message).map(|body| String::from_utf8(body).expect("it is text"))
    }

    #[test]
    fn t23_the_wish_for_thoughts_goes_where_a_model_has_none() {
        for (body, message, expected) in [
            (
                r#"{"model":"m","think":true,"stream":false}"#,
                "\"m\" does not support thinking",
                r#"{"model":"m","stream":false}"#,
            ),
            (
                r#"{"think":"high","a":1}"#,
                "think value \"high\" is not supported for this model",
                r#"{"think":true,"a":1}"#,
            ),
            (
                r#"{"a":1.0,"reasoning_effort":"low"}"#,
                "Unrecognized request argument supplied: reasoning_effort",
                r#"{"a":1.0}"#,
            ),
            (
                r#"{"reasoning_effort":"low"}"#,
                "Unsupported parameter: 'reasoning_effort' is not supported with this model.",
                "{}",
            ),
        ] {
            assert_eq!(less(body, message).as_deref(), Some(expected), "{message}");
        }
    }

    #[test]
    fn another_refusal_is_left_alone() {
        for (body, message) in [
            (r#"{"think":true}"#, "the model m does not support tools"),
            (r#"{"think":true}"#, "thinking must come first"),
            (r#"{"think":false}"#, "m does not support thinking"),
            (r#"{"messages":[{"think":true}]}"#, "m does not support thinking"),
            ("[]", "m does not support thinking"),
        ] {
            assert_eq!(less(body, message), None, "{body} {message}");
        }
    }
}
