//! Why an answer ended, in the words of this dialect.

use crate::hub::{Finish, Reason, Request};

/// How an answer ended that says `stop_reason` and `stop_sequence`.
pub(super) fn read(reason: Option<&str>, stop_sequence: Option<String>) -> Finish {
    let reason = match reason {
        Some("end_turn") => Reason::Stop,
        Some("stop_sequence") => Reason::StopSequence,
        Some("max_tokens") => Reason::Length,
        Some("model_context_window_exceeded") => Reason::ContextFull,
        Some("tool_use") => Reason::ToolCalls,
        Some("refusal") => Reason::Refusal,
        Some("pause_turn") => Reason::Pause,
        _ => Reason::Unknown,
    };
    Finish { reason, stop_sequence }
}

/// The `stop_reason` and `stop_sequence` for `finish`, the end of an answer to `request`. Words of a refusal make it one,
/// whatever the backend calls it.
///
/// A call that makes no sense has a word of its own: an agent must not take it for the end of the turn.
pub(super) fn written<'a>(
    finish: &'a Finish,
    request: &'a Request,
    has_refused: bool,
) -> (&'static str, Option<&'a str>) {
    let sequence = finish.stop_sequence.as_deref();
    let asked = request.sampling.stop.as_ref().map(|stop| stop.value.as_slice()).unwrap_or_default();
    match finish.reason {
        _ if has_refused => ("refusal", None),
        Reason::Stop | Reason::Unknown if sequence.is_some() => ("stop_sequence", sequence),
        Reason::Stop | Reason::Unknown => ("end_turn", None),
        Reason::StopSequence => {
            // Of a single one it is known which it was.
            let only = if let [only] = asked { Some(only.as_str()) } else { None };
            ("stop_sequence", sequence.or(only))
        }
        Reason::Length => ("max_tokens", None),
        Reason::ContextFull => ("model_context_window_exceeded", None),
        Reason::ToolCalls => ("tool_use", None),
        Reason::Refusal => ("refusal", None),
        Reason::Pause => ("pause_turn", None),
        Reason::BadToolCall => ("malformed_tool_use", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;

    #[test]
    fn reasons_come_back_as_they_were() {
        let request = Request::new(Endpoint::Messages);
        for word in
            ["end_turn", "max_tokens", "tool_use", "refusal", "pause_turn", "model_context_window_exceeded"]
        {
            let finish = read(Some(word), None);
            assert_eq!(written(&finish, &request, false), (word, None));
        }
        let finish = read(Some("stop_sequence"), Some("END".to_owned()));
        assert_eq!(written(&finish, &request, false), ("stop_sequence", Some("END")));
        let silent = read(None, None);
        assert_eq!(written(&silent, &request, false), ("end_turn", None));
    }

    #[test]
    fn tp_10_tp_19_refusals_and_told_sequences_count_more_than_a_mere_stop() {
        let mut request = Request::new(Endpoint::Messages);
        let told = Finish { reason: Reason::Stop, stop_sequence: Some("###".to_owned()) };
        assert_eq!(written(&told, &request, false), ("stop_sequence", Some("###")));
        assert_eq!(written(&Finish::because(Reason::Stop), &request, true), ("refusal", None));
        request.sampling.stop = Some(crate::hub::Said::new("stop_sequences", vec!["END".to_owned()]));
        let only = Finish::because(Reason::StopSequence);
        assert_eq!(written(&only, &request, false), ("stop_sequence", Some("END")));
    }
}
