//! How many tokens a prompt has, where no backend counts: an estimate with a real tokenizer, though rarely the model's
//! own.
//!
//! Text and tools are counted as they are written; pictures and documents by fixed measures, because their bytes say
//! nothing of their tokens.

mod measure;
mod walk;

use serde_json::Value;

use crate::Endpoint;
use crate::summary::BadBody;
use measure::Measure;

/// The tokens of the prompt in `body`, a request to count them: Anthropic's `count_tokens` or Gemini's `countTokens`.
///
/// The first count in a process loads the table of tokens, which takes some tenths of a second and some 50 MB that
/// stay; a long body takes tens of milliseconds a megabyte. Fails when the body is no JSON object or has no
/// conversation. Of other endpoints everything that looks like text is counted.
pub fn tokens(endpoint: Endpoint, body: &[u8]) -> Result<u64, BadBody> {
    let body = crate::members::without_mark(body);
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| BadBody::whole(format!("the body is not valid JSON: {error}")))?;
    let Value::Object(members) = value else {
        return Err(BadBody::whole("the body must be a JSON object"));
    };
    let mut measure = Measure::default();
    match endpoint {
        Endpoint::GeminiCountTokens => {
            let inner = ["generateContentRequest", "generate_content_request"];
            let request = inner.iter().find_map(|name| members.get(*name)?.as_object()).unwrap_or(&members);
            if !request.get("contents").is_some_and(|contents| contents.is_array() || contents.is_object()) {
                return Err(BadBody::field(
                    "contents",
                    "the field contents is missing: send what is to be counted",
                ));
            }
            walk::gemini(&mut measure, request);
        }
        Endpoint::CountTokens | Endpoint::Messages => {
            if !members.get("messages").is_some_and(Value::is_array) {
                return Err(BadBody::field("messages", "the field messages must be a list of messages"));
            }
            walk::anthropic(&mut measure, &members);
        }
        _ => walk::anything(&mut measure, &members),
    }
    Ok(measure.tokens())
}

/// The body of the answer of `endpoint` that tells the count.
pub fn body(endpoint: Endpoint, tokens: u64) -> Vec<u8> {
    match endpoint {
        Endpoint::GeminiCountTokens => format!("{{\"totalTokens\":{tokens}}}"),
        _ => format!("{{\"input_tokens\":{tokens}}}"),
    }
    .into_bytes()
}
