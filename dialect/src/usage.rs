//! Token counts as backends report them, put together over a response.
//!
//! A count that is missing, null or no whole number is taken as not reported, and never spoils the others.

use serde::de::Deserializer;
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::{Dialect, Endpoint, Usage};

/// What has been reported so far.
///
/// A later count replaces an earlier one; a missing one does not, and neither does a 0: some backends fill in
/// zeros for what they said before.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tally {
    /// The whole prompt. Anthropic: without what was read from the cache or written to it. Gemini: without what tools
    /// brought in.
    input: Option<u64>,
    /// Gemini: what its own tools brought into the prompt.
    brought: Option<u64>,
    cached: Option<u64>,
    /// Written to the cache.
    created: Option<u64>,
    /// Gemini: without reasoning.
    output: Option<u64>,
    reasoning: Option<u64>,
}

impl Tally {
    /// Takes note of the object that holds the counts: `usage`, Gemini's `usageMetadata`, or a whole line of Ollama's.
    pub(crate) fn add(&mut self, dialect: Dialect, usage: &RawValue) {
        match dialect {
            Dialect::OpenAi => self.add_openai(&object(Some(usage))),
            Dialect::Responses => self.add_responses(&object(Some(usage))),
            Dialect::Anthropic => self.add_anthropic(&object(Some(usage))),
            Dialect::Gemini => self.add_gemini(&object(Some(usage))),
            Dialect::Ollama => {
                let OllamaUsage { input, output } = object(Some(usage));
                replace(&mut self.input, input);
                replace(&mut self.output, output);
            }
        }
    }

    /// Takes note of Ollama's two counts, found one by one.
    pub(crate) fn add_counts(&mut self, input: Option<&RawValue>, output: Option<&RawValue>) {
        let count = |value: Option<&RawValue>| Count(value.and_then(|value| value.get().parse().ok()));
        replace(&mut self.input, count(input));
        replace(&mut self.output, count(output));
    }

    fn add_responses(&mut self, reported: &ResponsesUsage<'_>) {
        let input: PromptDetails = object(reported.input_tokens_details);
        let output: CompletionDetails = object(reported.output_tokens_details);
        replace(&mut self.input, reported.input_tokens);
        replace(&mut self.output, reported.output_tokens);
        replace(&mut self.cached, input.cached_tokens);
        replace(&mut self.created, input.cache_write_tokens);
        replace(&mut self.reasoning, output.reasoning_tokens);
    }

    fn add_gemini(&mut self, reported: &GeminiUsage) {
        replace(&mut self.input, reported.prompt);
        replace(&mut self.brought, reported.brought);
        replace(&mut self.cached, reported.cached);
        replace(&mut self.output, reported.candidates);
        replace(&mut self.reasoning, reported.thoughts);
    }

    fn add_openai(&mut self, reported: &OpenAiUsage<'_>) {
        let prompt: PromptDetails = object(reported.prompt_tokens_details);
        let completion: CompletionDetails = object(reported.completion_tokens_details);
        replace(&mut self.input, reported.prompt_tokens);
        replace(&mut self.output, reported.completion_tokens);
        replace(&mut self.cached, reported.prompt_cache_hit_tokens);
        replace(&mut self.cached, prompt.cached_tokens);
        replace(&mut self.created, prompt.cache_write_tokens);
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
        let sum = |counts: &[Option<u64>]| counts.iter().copied().flatten().reduce(u64::saturating_add);
        let input_tokens = match dialect {
            Dialect::OpenAi | Dialect::Responses | Dialect::Ollama => self.input,
            Dialect::Anthropic => sum(&[self.input, self.cached, self.created]),
            Dialect::Gemini => sum(&[self.input, self.brought]),
        };
        let output_tokens = match dialect {
            Dialect::Gemini => sum(&[self.output, self.reasoning]),
            _ => self.output,
        };
        Usage {
            input_tokens,
            output_tokens,
            cached_tokens: self.cached,
            cache_creation_tokens: self.created,
            reasoning_tokens: self.reasoning,
        }
    }
}

/// The usage in the body of a whole (not streamed) response to `endpoint`. A native call's is found where it has the
/// form of OpenAI's or Anthropic's.
pub fn usage_in_body(endpoint: Endpoint, body: &[u8]) -> Usage {
    let dialect = endpoint.dialect();
    let found = match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Anthropic => member(body, b"\"usage\""),
        Dialect::Gemini => member(body, b"\"usageMetadata\""),
        Dialect::Ollama => reported_in_line(body),
    };
    let Some(usage) = found else { return Usage::default() };
    let dialect = if endpoint == Endpoint::Native { dialect_of(usage) } else { dialect };
    let mut tally = Tally::default();
    tally.add(dialect, usage);
    tally.usage(dialect)
}

/// Whose `usage` it is, by the names in it.
fn dialect_of(usage: &RawValue) -> Dialect {
    let has = |name: &str| usage.get().contains(name);
    if has("\"prompt_tokens\"") {
        Dialect::OpenAi
    } else if has("\"input_tokens_details\"") {
        Dialect::Responses
    } else {
        Dialect::Anthropic
    }
}

/// The object `line` of Ollama's, if it has any count.
pub(crate) fn reported_in_line(line: &[u8]) -> Option<&RawValue> {
    let line: &RawValue = serde_json::from_slice(line).ok()?;
    line.get().contains("eval_count\"").then_some(line)
}

/// The member of the object `body` whose name is `name`, written with its quotes. Where it is the last member, which
/// is usual, what comes before it is not parsed: embeddings are long.
fn member<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a RawValue> {
    let last = body.windows(name.len()).rposition(|word| word == name)?;
    if let Some(value) = body[last + name.len()..].trim_ascii_start().strip_prefix(b":") {
        let mut values = serde_json::Deserializer::from_slice(value).into_iter::<&RawValue>();
        if let Some(Ok(usage)) = values.next()
            && value[values.byte_offset()..].trim_ascii() == b"}"
        {
            return Some(usage);
        }
    }
    let reported: Reported<'_> = serde_json::from_slice(body).ok()?;
    reported.usage.or(reported.usage_metadata)
}

#[derive(Deserialize)]
struct Reported<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, rename = "usageMetadata")]
    usage_metadata: Option<&'a RawValue>,
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
    /// Where a provider bills what it writes to its cache.
    cache_write_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponsesUsage<'a> {
    input_tokens: Count,
    output_tokens: Count,
    #[serde(borrow)]
    input_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens_details: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GeminiUsage {
    #[serde(rename = "promptTokenCount")]
    prompt: Count,
    #[serde(rename = "toolUsePromptTokenCount")]
    brought: Count,
    #[serde(rename = "cachedContentTokenCount")]
    cached: Count,
    #[serde(rename = "candidatesTokenCount")]
    candidates: Count,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OllamaUsage {
    #[serde(rename = "prompt_eval_count")]
    input: Count,
    #[serde(rename = "eval_count")]
    output: Count,
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
    fn usage_is_found_in_whole_bodies_wherever_it_stands() {
        let chat = br#"{"choices":[{"message":{"content":"\"usage\": {}"}}],"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}},"system_fingerprint":"x"}"#;
        let expected = Usage {
            input_tokens: Some(3),
            output_tokens: Some(4),
            cached_tokens: Some(2),
            ..Usage::default()
        };
        assert_eq!(usage_in_body(Endpoint::ChatCompletions, chat), expected);
        assert_eq!(usage_in_body(Endpoint::Native, chat), expected);
        let embeddings =
            br#"{"data":[{"embedding":[0.1,2]}],"usage": {"prompt_tokens":8,"total_tokens":8} }"#;
        assert_eq!(usage_in_body(Endpoint::Embeddings, embeddings).input_tokens, Some(8));
        let nested = br#"{"usage":{"prompt_tokens":1},"x":{"usage":{"prompt_tokens":2}}}"#;
        assert_eq!(usage_in_body(Endpoint::Completions, nested).input_tokens, Some(1));
        let message =
            br#"{"type":"message","usage":{"input_tokens":5,"cache_read_input_tokens":6,"output_tokens":7}}"#;
        assert_eq!(usage_in_body(Endpoint::Messages, message).input_tokens, Some(11));
        assert_eq!(usage_in_body(Endpoint::Native, message).input_tokens, Some(11));
        for none in [&b"{}"[..], b"", b"<html>\"usage\"", br#"{"usage":null}"#, br#"{"usage":"usage"}"#] {
            for endpoint in Endpoint::ALL {
                assert_eq!(usage_in_body(endpoint, none), Usage::default());
            }
        }
    }

    #[test]
    fn every_dialect_counts_by_its_own_names() {
        let response = br#"{"object":"response","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":8,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":17},"user":null}"#;
        let expected = Usage {
            input_tokens: Some(9),
            output_tokens: Some(8),
            cached_tokens: Some(4),
            cache_creation_tokens: None,
            reasoning_tokens: Some(5),
        };
        assert_eq!(usage_in_body(Endpoint::Responses, response), expected);
        assert_eq!(usage_in_body(Endpoint::Native, response), expected);
        let gemini = br#"{"candidates":[],"usageMetadata":{"promptTokenCount":6,"toolUsePromptTokenCount":3,"cachedContentTokenCount":4,"candidatesTokenCount":3,"thoughtsTokenCount":5,"totalTokenCount":17},"modelVersion":"g"}"#;
        assert_eq!(usage_in_body(Endpoint::GenerateContent, gemini), expected);
        let ollama = br#"{"message":{"content":""},"done":true,"prompt_eval_count":9,"eval_count":8}"#;
        let expected = Usage { input_tokens: Some(9), output_tokens: Some(8), ..Usage::default() };
        assert_eq!(usage_in_body(Endpoint::OllamaChat, ollama), expected);
        let embed = br#"{"embeddings":[[0.1]],"prompt_eval_count":2}"#;
        assert_eq!(usage_in_body(Endpoint::OllamaEmbed, embed).input_tokens, Some(2));
    }

    #[test]
    fn what_was_written_to_a_cache_is_counted_in_every_dialect() {
        let chat =
            r#"{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":3}}"#;
        let response =
            r#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":3}}"#;
        let message = r#"{"input_tokens":2,"cache_read_input_tokens":4,"cache_creation_input_tokens":3}"#;
        for (dialect, report) in
            [(Dialect::OpenAi, chat), (Dialect::Responses, response), (Dialect::Anthropic, message)]
        {
            let usage = after(dialect, &[report]);
            let counts = (usage.input_tokens, usage.cached_tokens, usage.cache_creation_tokens);
            assert_eq!(counts, (Some(9), Some(4), Some(3)), "{dialect:?}");
        }
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
