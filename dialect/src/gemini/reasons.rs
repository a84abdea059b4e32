//! Why answers end, in Gemini's words and back.

use crate::hub::Reason;

/// What the backend means by `finishReason`. `None`: the answer goes on.
pub(super) fn read(word: &str) -> Option<Reason> {
    Some(match word {
        "" | "FINISH_REASON_UNSPECIFIED" => return None,
        "STOP" => Reason::Stop,
        // The second could be asked to go on, but only by a token that no other dialect has.
        "MAX_TOKENS" | "CONTINUATION" => Reason::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Reason::Refusal,
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" => Reason::BadToolCall,
        _ => Reason::Unknown,
    })
}

/// The word a client gets for `reason`. Gemini says `STOP` whether text ended or a function is to be called.
pub(super) fn written(reason: Reason) -> &'static str {
    match reason {
        Reason::Stop | Reason::StopSequence | Reason::ToolCalls => "STOP",
        Reason::Length | Reason::ContextFull => "MAX_TOKENS",
        Reason::Refusal => "SAFETY",
        Reason::BadToolCall => "MALFORMED_FUNCTION_CALL",
        Reason::Pause | Reason::Unknown => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_comes_back_as_the_same_reason() {
        for reason in [Reason::Stop, Reason::Length, Reason::Refusal, Reason::BadToolCall, Reason::Unknown] {
            assert_eq!(read(written(reason)), Some(reason));
        }
        assert_eq!(read("FINISH_REASON_UNSPECIFIED"), None);
    }

    #[test]
    fn t93_a_malformed_call_is_no_refusal() {
        assert_eq!(read("MALFORMED_FUNCTION_CALL"), Some(Reason::BadToolCall));
        assert_eq!(read("RECITATION"), Some(Reason::Refusal));
        assert_eq!(read("CONTINUATION"), Some(Reason::Length));
    }
}
