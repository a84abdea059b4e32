//! Token counts as backends report them, put together over a response.
//!
//! A count that is missing, null or no whole number is taken as not reported, and never spoils the others.

use serde::de::Deserializer;
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::{Dialect, Usage};

/// What has been reported so far.
///
/// A later count replaces an earlier one; a missing one does not, and neither does a 0: some backends fill in
/// zeros for what they said before.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tally {
    /// OpenAI: the whole prompt. Anthropic: without what was read from the cache or written to it.
    input: Option<u64>,
    cached: Option<u64>,
    /// Anthropic: written to the cache.
    created: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
}

impl Tally {
    /// Takes note of a `usage` object.
    pub(crate) fn add(&mut self, dialect: Dialect, usage: &RawValue) {
        match dialect {
            Dialect::OpenAi | Dialect::Responses | Dialect::Gemini | Dialect::Ollama => self.add_openai(&object(Some(usage))),
            Dialect::Anthropic => self.add_anthropic(&object(Some(usage))),
        }
    }

    fn add_openai(&mut self, reported: &OpenAiUsage<'_>) {
        let prompt: PromptDetails = object(reported.prompt_tokens_details);
        let completion: CompletionDetails = object(reported.completion_tokens_details);
        replace(&mut self.input, reported.prompt_tokens);
        replace(&mut self.output, reported.completion_tokens);
        replace(&mut self.cached, reported.prompt_cache_hit_tokens);
        replace(&mut self.cached, prompt.cached_tokens);
        replace(&mut self.reasoning, completion.reasoning_tokens);
    }

    fn add_anthropic(&mut self, reported: &AnthropicUsage) {
        replace(&mut self.input, reported.input);
        replace(&mut self.cached, reported.cache_read);
        replace(&mut self.created, reported.cache_creation);
        replace(&mut self.output, reported.output);
    }

    /// The sum of it, in proxylm's own terms.
    pub(crate) fn usage(&self, dialect: Dialect) -> Usage {
        let input_tokens = match dialect {
            Dialect::OpenAi | Dialect::Responses | Dialect::Gemini | Dialect::Ollama => self.input,
            Dialect::Anthropic => {
                [self.input, self.cached, self.created].into_iter().flatten().reduce(u64::saturating_add)
            }
        };
        Usage {
            input_tokens,
            output_tokens: self.output,
            cached_tokens: self.cached,
            cache_creation_tokens: self.created,
            reasoning_tokens: self.reasoning,
        }
    }
}

fn replace(place: &mut Option<u64>, Count(reported): Count) {
    if place.is_none() || reported.is_some_and(|count| count > 0) {
        *place = reported;
    }
}

/// Reads an object whose members are all optional; whatever else it is counts as an empty one.
fn object<'a, T: Deserialize<'a> + Default>(value: Option<&'a RawValue>) -> T {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

#[derive(Clone, Copy, Default)]
struct Count(Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value: &RawValue = de::Deserialize::deserialize(deserializer)?;
        Ok(Self(value.get().parse().ok()))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OpenAiUsage<'a> {
    prompt_tokens: Count,
    completion_tokens: Count,
    /// The name for cached tokens in `DeepSeek`'s API.
    prompt_cache_hit_tokens: Count,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AnthropicUsage {
    #[serde(rename = "input_tokens")]
    input: Count,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: Count,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_creation: Count,
    #[serde(rename = "output_tokens")]
    output: Count,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(dialect: Dialect, reports: &[&str]) -> Usage {
        let mut tally = Tally::default();
        for report in reports {
            tally.add(dialect, serde_json::from_str(report).unwrap());
        }
        tally.usage(dialect)
    }

    #[test]
    fn one_bad_count_does_not_spoil_the_others() {
        let usage = after(
            Dialect::OpenAi,
            &[
                r#"{"prompt_tokens":7,"completion_tokens":"x","prompt_tokens_details":[],"completion_tokens_details":{"reasoning_tokens":2}}"#,
            ],
        );
        let expected = Usage { input_tokens: Some(7), reasoning_tokens: Some(2), ..Usage::default() };
        assert_eq!(usage, expected);
        assert_eq!(after(Dialect::OpenAi, &["7", "[]", "null"]), Usage::default());
    }

    #[test]
    fn str_12_later_zeros_and_gaps_keep_what_was_said() {
        let usage = after(
            Dialect::Anthropic,
            &[
                r#"{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":1}"#,
                r#"{"input_tokens":0,"output_tokens":20}"#,
                r#"{"output_tokens":21}"#,
            ],
        );
        let expected = Usage {
            input_tokens: Some(18),
            output_tokens: Some(21),
            cached_tokens: Some(5),
            cache_creation_tokens: Some(3),
            reasoning_tokens: None,
        };
        assert_eq!(usage, expected);
    }
}
