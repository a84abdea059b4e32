//! A piece of a backend's answer as Gemini writes it: one event of a stream, or all of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::Usage;

/// A string, borrowed from the event wherever it needs no unescaping.
#[derive(Deserialize)]
pub(super) struct Text<'a>(
    /// It.
    #[serde(borrow)]
    pub(super) Cow<'a, str>,
);

/// A piece of an answer. What the hub has no use for is passed over.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Chunk<'a> {
    /// The answers, or pieces of them.
    #[serde(borrow)]
    pub(super) candidates: Vec<Candidate<'a>>,
    /// What was found in the prompt.
    #[serde(borrow)]
    pub(super) prompt_feedback: Option<Feedback<'a>>,
    /// The tokens so far.
    pub(super) usage_metadata: Option<Counts>,
    /// The backend's name for the model.
    #[serde(borrow)]
    pub(super) model_version: Option<Text<'a>>,
    /// The answer's id.
    #[serde(borrow)]
    pub(super) response_id: Option<Text<'a>>,
    /// A failure in place of an answer.
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// What was found in the prompt.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback<'a> {
    /// Why it is not answered.
    #[serde(borrow)]
    pub(super) block_reason: Option<Text<'a>>,
    /// The same for people.
    #[serde(borrow)]
    pub(super) block_reason_message: Option<Text<'a>>,
}

/// One of the answers, or a piece of it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Candidate<'a> {
    /// Its number; the first is often not told.
    pub(super) index: u32,
    /// What it says.
    #[serde(borrow)]
    pub(super) content: Option<Content<'a>>,
    /// Why it ended.
    #[serde(borrow)]
    pub(super) finish_reason: Option<Text<'a>>,
    /// How likely its tokens were.
    #[serde(borrow)]
    pub(super) logprobs_result: Option<&'a RawValue>,
}

/// What is said.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Content<'a> {
    /// Its parts, in order.
    #[serde(borrow)]
    pub(super) parts: Vec<Part<'a>>,
}

/// A part: one of the members, and what stands beside it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Part<'a> {
    /// Words.
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    /// Whether they are thoughts.
    pub(super) thought: bool,
    /// What proves the thoughts behind it.
    #[serde(borrow)]
    pub(super) thought_signature: Option<Text<'a>>,
    /// A function is called.
    #[serde(borrow)]
    pub(super) function_call: Option<Call<'a>>,
    /// Bytes.
    #[serde(borrow)]
    pub(super) inline_data: Option<&'a RawValue>,
    /// A file elsewhere.
    #[serde(borrow)]
    pub(super) file_data: Option<&'a RawValue>,
    /// Code that Google runs.
    #[serde(borrow)]
    pub(super) executable_code: Option<&'a RawValue>,
    /// What came of it.
    #[serde(borrow)]
    pub(super) code_execution_result: Option<&'a RawValue>,
}

/// A call of a function; it always comes whole.
#[derive(Deserialize)]
pub(super) struct Call<'a> {
    /// Its id, if it has one.
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    /// The function.
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    /// With what: an object, if there is anything.
    #[serde(borrow)]
    pub(super) args: Option<&'a RawValue>,
}

/// The tokens counted. Thoughts are no part of the candidates' tokens.
#[derive(Clone, Copy, Default, Deserialize)]
#[expect(clippy::struct_field_names, reason = "they are the API's names")]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Counts {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

impl Counts {
    /// The same in proxylm's own terms.
    pub(super) fn usage(self) -> Usage {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
        };
        Usage {
            input_tokens: sum(self.prompt_token_count, self.tool_use_prompt_token_count),
            output_tokens: sum(self.candidates_token_count, self.thoughts_token_count),
            cached_tokens: self.cached_content_token_count,
            cache_creation_tokens: None,
            reasoning_tokens: self.thoughts_token_count,
        }
    }
}
