//! How likely tokens were: Gemini's `logprobsResult` and OpenAI's `logprobs`, turned into each other.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Gemini's.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Result {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    top_candidates: Vec<Top>,
    chosen_candidates: Vec<Candidate>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Top {
    candidates: Vec<Candidate>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Candidate {
    token: String,
    log_probability: f64,
}

/// OpenAI's.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Told {
    content: Option<Vec<Token>>,
    refusal: Option<Vec<Token>>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "they are the API's names")]
struct Token {
    token: String,
    logprob: f64,
    bytes: Option<Vec<u8>>,
    top_logprobs: Vec<Alternative>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Alternative {
    token: String,
    logprob: f64,
    bytes: Option<Vec<u8>>,
}

/// The backend's `result` as OpenAI writes it. `None` if it tells nothing.
pub(super) fn read(result: &RawValue) -> Option<Box<RawValue>> {
    let Result { top_candidates, chosen_candidates } = serde_json::from_str(result.get()).ok()?;
    if chosen_candidates.is_empty() {
        return None;
    }
    let mut tops = top_candidates.into_iter();
    let content = chosen_candidates.into_iter().map(|chosen| {
        let alternatives = tops.next().unwrap_or_default().candidates;
        Token {
            bytes: Some(chosen.token.clone().into_bytes()),
            token: chosen.token,
            logprob: chosen.log_probability,
            top_logprobs: alternatives.into_iter().map(Alternative::from).collect(),
        }
    });
    let told = Told { content: Some(content.collect()), refusal: None };
    serde_json::value::to_raw_value(&told).ok()
}

/// OpenAI's `logprobs` as Gemini writes them. `None` if they tell nothing.
pub(super) fn written(logprobs: &str) -> Option<Result> {
    let content = serde_json::from_str::<Told>(logprobs).ok()?.content?;
    let mut result = Result::default();
    let has_tops = content.iter().any(|token| !token.top_logprobs.is_empty());
    for token in content {
        if has_tops {
            let candidates = token.top_logprobs.into_iter().map(Candidate::from).collect();
            result.top_candidates.push(Top { candidates });
        }
        result.chosen_candidates.push(Candidate { token: token.token, log_probability: token.logprob });
    }
    Some(result).filter(|result| !result.chosen_candidates.is_empty())
}

impl Result {
    /// Adds what `later` tells of the tokens after these.
    pub(super) fn extend(&mut self, later: Self) {
        self.top_candidates.extend(later.top_candidates);
        self.chosen_candidates.extend(later.chosen_candidates);
    }
}

impl From<Candidate> for Alternative {
    fn from(candidate: Candidate) -> Self {
        let bytes = Some(candidate.token.clone().into_bytes());
        Self { token: candidate.token, logprob: candidate.log_probability, bytes }
    }
}

impl From<Alternative> for Candidate {
    fn from(other: Alternative) -> Self {
        Self { token: other.token, log_probability: other.logprob }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_their_alternatives_come_back() {
        let gemini = r#"{"topCandidates":[{"candidates":[{"token":"Hi","logProbability":-0.1},{"token":"Yo","logProbability":-2.5}]}],"chosenCandidates":[{"token":"Hi","logProbability":-0.1}]}"#;
        let openai = read(serde_json::from_str(gemini).unwrap()).unwrap();
        assert!(
            openai
                .get()
                .starts_with(r#"{"content":[{"token":"Hi","logprob":-0.1,"bytes":[72,105],"top_logprobs":"#)
        );
        assert_eq!(serde_json::to_string(&written(openai.get()).unwrap()).unwrap(), gemini);
        assert!(written("{}").is_none());
    }
}
