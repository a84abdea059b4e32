//! Writes what a client gets: streams, and whole answers, of chats and of completions.
//!
//! Beyond OpenAI's own members there are those that kindred servers made common: `reasoning_content` and
//! `reasoning_details` for thoughts, `images` for pictures, `stop_reason` for the stop sequence that ended an answer,
//! `native_finish_reason` where the dialect has no word for an end, `extra_content` for Google's signatures.

mod annotations;
mod answer;
mod counts;
mod stream;

use crate::hub::{Request, ToolKind};

pub(crate) use answer::write_answer;
pub(crate) use stream::writer;

/// What of a request decides how its answer is told.
#[derive(Clone, Debug)]
struct Manner {
    /// The model as the client names it, for backends that do not say.
    model: String,
    /// Whether it is a completion, without a chat around it.
    is_bare: bool,
    /// Whether the client knows only the older way of calling functions.
    is_legacy: bool,
    /// Whether thoughts are left out, as the client wants it.
    hides_thoughts: bool,
    /// The tools that the client defined as custom ones, which a backend may have been told as functions.
    custom: Vec<String>,
    /// A rough count of the prompt's tokens, for backends that do not count.
    prompt_tokens: u64,
}

impl Manner {
    fn of(request: &Request) -> Self {
        let custom = request.tools.iter().filter_map(|tool| match &tool.kind {
            ToolKind::Custom { name, .. } => Some(name.clone()),
            _ => None,
        });
        let reasoning = request.reasoning.as_ref();
        Self {
            model: request.model.clone(),
            is_bare: request.bare.is_some(),
            is_legacy: super::asked::is_legacy(request),
            hides_thoughts: reasoning.is_some_and(|reasoning| reasoning.value.shown == Some(false)),
            custom: custom.collect(),
            prompt_tokens: counts::rough_prompt(request),
        }
    }

    /// Whether a call of `name` that came as one of a function is one of a custom tool.
    fn is_emulated(&self, name: &str, is_custom: bool) -> bool {
        !is_custom && self.custom.iter().any(|custom| custom == name)
    }

    fn object(&self, is_chunk: bool) -> &'static str {
        match (self.is_bare, is_chunk) {
            (true, _) => "text_completion",
            (false, true) => "chat.completion.chunk",
            (false, false) => "chat.completion",
        }
    }

    fn id(&self, label: &str) -> String {
        crate::hub::ids::made(if self.is_bare { "cmpl-" } else { "chatcmpl-" }, label, 0)
    }
}
