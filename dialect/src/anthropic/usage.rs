//! Tokens as this dialect counts them: its `input_tokens` leave out what was read from a cache or written to one.

use serde::Serialize;

use crate::Usage;
use crate::hub::{PartKind, Request, ToolKind, tokens};

/// About what a picture costs, in tokens.
const PICTURE: u64 = 1_500;

/// A `usage` object.
#[derive(Serialize)]
pub(super) struct Counts<'a> {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

impl<'a> Counts<'a> {
    /// The object for `usage`; `estimate` stands for a prompt that nobody counted.
    pub(super) fn of(usage: &Usage, estimate: u64, service_tier: Option<&'a str>) -> Self {
        let read = usage.cached_tokens.unwrap_or(0);
        let created = usage.cache_creation_tokens.unwrap_or(0);
        let whole = usage.input_tokens.unwrap_or(estimate);
        Self {
            input_tokens: whole.saturating_sub(read).saturating_sub(created),
            cache_creation_input_tokens: created,
            cache_read_input_tokens: read,
            output_tokens: usage.output_tokens.unwrap_or(0),
            service_tier: service_tier.map(|tier| if tier == "default" { "standard" } else { tier }),
        }
    }
}

/// About how many tokens the prompt of `request` has.
pub(super) fn estimate(request: &Request) -> u64 {
    let mut bytes = 0;
    let mut pictures = 0;
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        weigh(&part.kind, &mut bytes, &mut pictures);
    }
    for tool in &request.tools {
        bytes += match &tool.kind {
            ToolKind::Function(function) => {
                let schema = function.parameters.as_ref().map_or(0, |schema| schema.as_str().len());
                function.name.len() + function.description.as_ref().map_or(0, String::len) + schema
            }
            ToolKind::Custom { name, description, .. } => {
                name.len() + description.as_ref().map_or(0, String::len)
            }
            ToolKind::Provider { raw, .. } => raw.as_str().len(),
        };
    }
    tokens::rough(bytes) + pictures * PICTURE
}

fn weigh(kind: &PartKind, bytes: &mut usize, pictures: &mut u64) {
    match kind {
        PartKind::Text { text, .. } | PartKind::Thinking { text, .. } | PartKind::Refusal(text) => {
            *bytes += text.len();
        }
        PartKind::ToolCall(call) => *bytes += call.name.len() + call.arguments.len(),
        PartKind::ToolResult(result) => {
            result.parts.iter().for_each(|part| weigh(&part.kind, bytes, pictures));
        }
        PartKind::Document { source: crate::hub::Source::Text(text), .. } => *bytes += text.len(),
        PartKind::Image { .. }
        | PartKind::Audio { .. }
        | PartKind::Video { .. }
        | PartKind::Document { .. } => *pictures += 1,
        PartKind::Foreign { raw, .. } => *bytes += raw.as_str().len(),
        PartKind::SealedThinking { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;
    use crate::hub::{Message, Part, Role};

    #[test]
    fn t83_tp_12_cached_tokens_are_taken_out_once() {
        let usage = Usage {
            input_tokens: Some(18),
            output_tokens: Some(4),
            cached_tokens: Some(5),
            cache_creation_tokens: Some(3),
            reasoning_tokens: None,
        };
        assert_eq!(
            serde_json::to_string(&Counts::of(&usage, 99, Some("default"))).unwrap(),
            r#"{"input_tokens":10,"cache_creation_input_tokens":3,"cache_read_input_tokens":5,"output_tokens":4,"service_tier":"standard"}"#
        );
    }

    #[test]
    fn t47_a_prompt_that_nobody_counted_is_estimated() {
        let mut request = Request::new(Endpoint::Messages);
        let parts = vec![Part::new("", PartKind::plain("x".repeat(400)))];
        request.messages.push(Message { role: Role::User, parts, name: None, at: String::new() });
        assert_eq!(estimate(&request), 100);
        let counts = Counts::of(&Usage::default(), estimate(&request), None);
        assert_eq!(counts.input_tokens, 100);
    }
}
