//! The words of this dialect for why an answer ended.

use crate::hub::{Finish, Reason};

/// What `word` means; `stop` is the stop sequence, where the server says which. `Err`: the answer failed.
pub(super) fn read(word: &str, stop: Option<String>) -> Result<Finish, String> {
    let reason = match word {
        "stop" if stop.is_some() => Reason::StopSequence,
        "stop" | "eos" | "eos_token" | "end_turn" | "complete" => Reason::Stop,
        "stop_sequence" => Reason::StopSequence,
        "length" | "max_tokens" => Reason::Length,
        "model_length" | "model_context_window_exceeded" => Reason::ContextFull,
        "tool_calls" | "function_call" | "tool_use" => Reason::ToolCalls,
        "content_filter" | "refusal" | "safety" => Reason::Refusal,
        "malformed_function_call" => Reason::BadToolCall,
        "error" | "abort" | "insufficient_system_resource" => {
            return Err(format!("the answer ended with {word:?}"));
        }
        _ => Reason::Unknown,
    };
    let stop_sequence = stop.filter(|_| reason == Reason::StopSequence);
    Ok(Finish { reason, stop_sequence })
}

/// The word for `finish`; `is_legacy` for a client of the older way of calling functions.
pub(super) fn word(finish: &Finish, is_legacy: bool) -> &'static str {
    match finish.reason {
        Reason::Length | Reason::ContextFull => "length",
        Reason::ToolCalls if is_legacy => "function_call",
        Reason::ToolCalls => "tool_calls",
        Reason::Refusal => "content_filter",
        Reason::BadToolCall => "error",
        Reason::Stop | Reason::StopSequence | Reason::Pause | Reason::Unknown => "stop",
    }
}

/// What the dialect has no word for, told in an extension member: that a hosted API wants to be asked to go on, and that
/// the model wrote a call that makes no sense.
pub(super) fn native_word(finish: &Finish) -> Option<&'static str> {
    match finish.reason {
        Reason::Pause => Some("pause_turn"),
        Reason::BadToolCall => Some("malformed_function_call"),
        _ => None,
    }
}
