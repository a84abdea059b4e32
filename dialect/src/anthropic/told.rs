//! What a backend answers as a whole.

use crate::hub::{Answer, Choice, Fields, Unfit};
use crate::usage::Tally;
use crate::watch::BackendError;
use crate::{Dialect, fault};

use super::{block, stop};

/// Reads the answer in `body`.
pub(super) fn read(body: &[u8]) -> Result<Answer, BackendError> {
    if let Some(error) = fault::told_in(body) {
        return Err(error);
    }
    parse(body).map_err(|unfit| BackendError {
        message: format!("sent an answer that is none of Anthropic's: {unfit}"),
        status: None,
    })
}

fn parse(body: &[u8]) -> Result<Answer, Unfit> {
    let mut fields = Fields::of_body(body)?;
    let content = fields.list("content")?.ok_or_else(|| Unfit::bad("content", "is missing"))?;
    let reason = fields.text("stop_reason")?;
    let mut choice =
        Choice { finish: stop::read(reason.as_deref(), fields.text("stop_sequence")?), ..Choice::default() };
    let mut extras = Vec::new();
    for (index, raw) in content.into_iter().enumerate() {
        block::read(raw, &format!("content[{index}]"), &mut choice.parts, &mut extras)?;
    }
    choice.parts.iter_mut().for_each(block::as_answered);
    choice.settle();
    let mut answer = Answer {
        id: fields.text("id")?,
        model: fields.text("model")?,
        choices: vec![choice],
        ..Answer::default()
    };
    if let Some(usage) = fields.take("usage") {
        let mut tally = Tally::default();
        tally.add(Dialect::Anthropic, usage);
        answer.usage = tally.usage(Dialect::Anthropic);
        answer.service_tier = service_tier(usage);
    }
    Ok(answer)
}

/// The class of service in a `usage` object, in OpenAI's words.
pub(super) fn service_tier(usage: &serde_json::value::RawValue) -> Option<String> {
    let tier = Fields::of("", usage).ok()?.text("service_tier").ok()??;
    Some(if tier == "standard" { "default".to_owned() } else { tier })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Usage;
    use crate::hub::{PartKind, Reason};

    #[test]
    fn an_answer_of_every_block() {
        let answer = read(
            br#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[
                {"type":"thinking","thinking":"t","signature":"Eq"},{"type":"redacted_thinking","data":"R"},
                {"type":"text","text":"a","citations":null},
                {"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"q"}},
                {"type":"web_search_tool_result","tool_use_id":"s1","content":[{"type":"web_search_result","title":"T","url":"https://t","encrypted_content":"E"}]},
                {"type":"tool_use","id":"toolu_1","name":"f","input":{"b":1.0,"a":2}}],
                "stop_reason":"tool_use","stop_sequence":null,
                "usage":{"input_tokens":9,"cache_read_input_tokens":1,"cache_creation_input_tokens":2,"output_tokens":5,"service_tier":"standard"}}"#,
        )
        .unwrap();
        let kinds: Vec<String> = answer.choices[0]
            .parts
            .iter()
            .map(|part| match &part.kind {
                PartKind::Thinking { text, signature } => {
                    format!("thinking {text} {}", signature.as_ref().unwrap().data)
                }
                PartKind::SealedThinking { data } => format!("sealed {}", data.data),
                PartKind::Text { text, .. } => format!("text {text}"),
                PartKind::Foreign { kind, text, .. } => format!("{kind} {}", text.as_deref().unwrap_or("-")),
                PartKind::ToolCall(call) => format!("{} {} {}", call.id, call.name, call.arguments),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            kinds,
            [
                "thinking t Eq",
                "sealed R",
                "text a",
                "server_tool_use -",
                "web_search_tool_result -",
                r#"toolu_1 f {"b":1.0,"a":2}"#
            ]
        );
        assert_eq!(answer.choices[0].finish.reason, Reason::ToolCalls);
        let expected = Usage {
            input_tokens: Some(12),
            output_tokens: Some(5),
            cached_tokens: Some(1),
            cache_creation_tokens: Some(2),
            reasoning_tokens: None,
        };
        assert_eq!((answer.usage, answer.service_tier.as_deref()), (expected, Some("default")));
    }

    #[test]
    fn errors_and_nonsense_are_no_answers() {
        let overloaded = br#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
        assert_eq!(read(overloaded).unwrap_err().status, Some(529));
        for body in [&b"<html>"[..], b"{}", br#"{"content":"text"}"#] {
            assert!(read(body).unwrap_err().message.contains("none of Anthropic's"));
        }
    }
}
