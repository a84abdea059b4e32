//! The counts of tokens in an answer.

use serde::Serialize;

use crate::hub::{PartKind, Request, Usage, tokens};

/// The `usage` of an answer.
#[derive(Serialize)]
pub(super) struct Counts {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl Counts {
    /// The counts that were reported; a prompt that nobody counted has the rough one.
    pub(super) fn of(usage: &Usage, rough_prompt: u64) -> Self {
        let prompt_tokens = usage.input_tokens.unwrap_or(rough_prompt);
        let completion_tokens = usage.output_tokens.unwrap_or(0);
        let has_cache = usage.cached_tokens.is_some() || usage.cache_creation_tokens.is_some();
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: has_cache.then(|| PromptDetails {
                cached_tokens: usage.cached_tokens.unwrap_or(0),
                cache_write_tokens: usage.cache_creation_tokens,
            }),
            completion_tokens_details: usage
                .reasoning_tokens
                .map(|reasoning_tokens| CompletionDetails { reasoning_tokens }),
        }
    }
}

/// A rough count of the tokens of everything that `request` says.
pub(super) fn rough_prompt(request: &Request) -> u64 {
    let said = request.messages.iter().flat_map(|message| &message.parts).map(|part| size(&part.kind));
    let tools = request.tools.iter().map(|tool| match &tool.kind {
        crate::hub::ToolKind::Function(function) => {
            let schema = function.parameters.as_ref().map_or(0, |schema| schema.as_str().len());
            function.name.len() + function.description.as_deref().unwrap_or_default().len() + schema
        }
        _ => 0,
    });
    let bare = request.bare.as_ref().map_or(0, |bare| bare.value.prompt.as_str().len());
    tokens::rough(said.sum::<usize>() + tools.sum::<usize>() + bare)
}

/// The bytes of text in a part.
fn size(kind: &PartKind) -> usize {
    match kind {
        PartKind::Text { text, .. } | PartKind::Thinking { text, .. } | PartKind::Refusal(text) => text.len(),
        PartKind::ToolCall(call) => call.name.len() + call.arguments.len(),
        PartKind::ToolResult(result) => result.parts.iter().map(|part| size(&part.kind)).sum(),
        _ => 0,
    }
}
