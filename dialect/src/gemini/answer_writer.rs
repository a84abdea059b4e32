//! Whole answers as a client gets them, and what they share with the pieces of a stream.

use serde::Serialize;

use crate::hub::{Answer, Request, Usage, ids};
use crate::translate::Terms;

use super::candidate::{Candidate, Content, Speech};

/// A whole answer, or a piece of one.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the API's names")]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a, P> {
    /// The answers.
    pub(super) candidates: &'a [Candidate<'a, P>],
    /// The tokens used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage_metadata: Option<Counts>,
    /// The backend's name for the model.
    pub(super) model_version: &'a str,
    /// The answer's id.
    pub(super) response_id: &'a str,
}

/// Tokens as Gemini counts them: thoughts are no part of the candidates'.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the API's names")]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<u64>,
    total_token_count: u64,
}

impl From<&Usage> for Counts {
    fn from(usage: &Usage) -> Self {
        let thoughts = usage.reasoning_tokens.filter(|count| *count > 0);
        let answer = usage.output_tokens.map(|count| count.saturating_sub(thoughts.unwrap_or(0)));
        let total = usage.input_tokens.unwrap_or(0).saturating_add(usage.output_tokens.unwrap_or(0));
        Self {
            prompt_token_count: usage.input_tokens,
            cached_content_token_count: usage.cached_tokens.filter(|count| *count > 0),
            candidates_token_count: answer,
            thoughts_token_count: thoughts,
            total_token_count: total,
        }
    }
}

/// Whether the client wants to see thoughts: Gemini tells them only when asked to.
pub(super) fn shows_thoughts(request: &Request) -> bool {
    request.reasoning.as_ref().is_some_and(|said| said.value.shown == Some(true))
}

/// The answer's id: the backend's, else one of our own.
pub(super) fn id_of(known: Option<&str>, terms: &Terms) -> String {
    known.filter(|id| !id.is_empty()).map_or_else(|| ids::made("", &terms.label, 0), str::to_owned)
}

/// Writes `answer` to the client that asked `request`.
pub(super) fn write(answer: &Answer, request: &Request, terms: &Terms) -> Vec<u8> {
    let shows = shows_thoughts(request);
    let mut told = Vec::with_capacity(answer.choices.len());
    for choice in &answer.choices {
        let mut speech = Speech::new(shows);
        choice.parts.iter().for_each(|part| speech.part(part));
        if let Some(logprobs) = &choice.logprobs {
            speech.likely(logprobs.as_str());
        }
        speech.finish(&choice.finish);
        told.push(speech.take(true));
    }
    let (mut parts, mut rest) = (Vec::new(), Vec::new());
    for (of_one, logprobs, finish) in told {
        parts.push(of_one);
        rest.push((logprobs, finish));
    }
    let candidates: Vec<_> = (0..)
        .zip(parts.iter().zip(rest))
        .map(|(index, (parts, (logprobs_result, finish_reason)))| Candidate {
            content: Content::of(parts),
            finish_reason,
            index,
            logprobs_result,
        })
        .collect();
    let id = id_of(answer.id.as_deref(), terms);
    let response = Response {
        candidates: &candidates,
        usage_metadata: Some(Counts::from(&answer.usage)),
        model_version: answer.model.as_deref().unwrap_or(&terms.model),
        response_id: &id,
    };
    serde_json::to_vec(&response).expect("our own types are always JSON")
}
