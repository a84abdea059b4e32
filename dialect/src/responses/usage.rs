//! Token counts of the Responses API: `input_tokens` includes what was read from a cache and written to it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Usage;

/// The counts in a `usage` object. One that is missing or no whole number counts as not told.
pub(super) fn read(usage: &RawValue) -> Usage {
    let told: Told<'_> = object(Some(usage));
    let input: InputDetails<'_> = object(told.input_tokens_details);
    let output: OutputDetails<'_> = object(told.output_tokens_details);
    Usage {
        input_tokens: count(told.input_tokens),
        output_tokens: count(told.output_tokens),
        cached_tokens: count(input.cached_tokens),
        cache_creation_tokens: count(input.cache_write_tokens),
        reasoning_tokens: count(output.reasoning_tokens),
    }
}

/// The `usage` object for these counts. SDKs want every member of it.
pub(super) fn written(usage: &Usage) -> Written {
    let input = usage.input_tokens.unwrap_or_default();
    let output = usage.output_tokens.unwrap_or_default();
    Written {
        input_tokens: input,
        input_tokens_details: WrittenInput {
            cached_tokens: usage.cached_tokens.unwrap_or_default(),
            cache_write_tokens: usage.cache_creation_tokens.unwrap_or_default(),
        },
        output_tokens: output,
        output_tokens_details: WrittenOutput { reasoning_tokens: usage.reasoning_tokens.unwrap_or_default() },
        total_tokens: input.saturating_add(output),
    }
}

/// A `usage` object.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Written {
    input_tokens: u64,
    input_tokens_details: WrittenInput,
    output_tokens: u64,
    output_tokens_details: WrittenOutput,
    total_tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
struct WrittenInput {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
struct WrittenOutput {
    reasoning_tokens: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Told<'a> {
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    input_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens_details: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputDetails<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write_tokens: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails<'a> {
    #[serde(borrow)]
    reasoning_tokens: Option<&'a RawValue>,
}

fn object<'a, T: Deserialize<'a> + Default>(value: Option<&'a RawValue>) -> T {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

fn count(value: Option<&RawValue>) -> Option<u64> {
    value?.get().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tp_12_counts_go_both_ways_and_a_bad_one_spoils_no_other() {
        let text = r#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":"x"},"output_tokens":2,"output_tokens_details":null}"#;
        let usage = read(serde_json::from_str(text).unwrap());
        let expected = Usage {
            input_tokens: Some(9),
            output_tokens: Some(2),
            cached_tokens: Some(4),
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        assert_eq!(
            serde_json::to_string(&written(&usage)).unwrap(),
            r#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":11}"#
        );
    }
}
