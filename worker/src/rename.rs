//! Another name for the model in a body whose dialect the backend speaks. Every other byte stays.

use std::borrow::Cow;
use std::ops::Range;

use dialect::{Dialect, Endpoint, edit};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The `body` of a request to `endpoint` with `model` wherever it names its model.
///
/// Gemini names the model in the path; where its bodies name it too, it must be the same one. A body that names none, or
/// that is no JSON object, is returned as it is.
pub(crate) fn with_model<'body>(endpoint: Endpoint, body: &'body [u8], model: &str) -> Cow<'body, [u8]> {
    if endpoint.dialect() != Dialect::Gemini {
        return edit::with_model(body, model);
    }
    let name = if model.contains('/') { model.to_owned() } else { format!("models/{model}") };
    match serde_json::from_slice::<Inside<'_>>(body) {
        Ok(Inside { requests: Some(requests), .. }) => in_parts(body, &requests, &name),
        Ok(Inside { request: Some(request), .. }) => in_parts(body, &[request], &name),
        _ => edit::with_model(body, &name),
    }
}

/// Requests inside a request.
#[derive(Deserialize)]
struct Inside<'a> {
    /// Of `batchEmbedContents`.
    #[serde(borrow)]
    requests: Option<Vec<&'a RawValue>>,
    /// Of `countTokens`.
    #[serde(borrow, rename = "generateContentRequest", alias = "generate_content_request")]
    request: Option<&'a RawValue>,
}

fn in_parts<'body>(body: &'body [u8], parts: &[&RawValue], name: &str) -> Cow<'body, [u8]> {
    let mut changed = Vec::with_capacity(body.len());
    let mut done = 0;
    for part in parts {
        let Range { start, end } = place(part, body);
        changed.extend_from_slice(&body[done..start]);
        changed.extend_from_slice(&edit::with_model(part.get().as_bytes(), name));
        done = end;
    }
    changed.extend_from_slice(&body[done..]);
    Cow::Owned(changed)
}

/// Where in `body` the value borrowed from it stands.
fn place(value: &RawValue, body: &[u8]) -> Range<usize> {
    let start = value.get().as_ptr() as usize - body.as_ptr() as usize;
    start..start + value.get().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(endpoint: Endpoint, body: &str) -> String {
        String::from_utf8(with_model(endpoint, body.as_bytes(), "new").into_owned()).unwrap()
    }

    #[test]
    fn the_model_changes_wherever_a_dialect_names_it() {
        assert_eq!(renamed(Endpoint::OllamaChat, r#"{ "model":"old"}"#), r#"{ "model":"new"}"#);
        assert_eq!(
            renamed(
                Endpoint::BatchEmbedContents,
                r#"{"requests":[{"model":"models/a" }, {"x":1, "model":"b"}] }"#
            ),
            r#"{"requests":[{"model":"models/new" }, {"x":1, "model":"models/new"}] }"#
        );
        assert_eq!(
            renamed(
                Endpoint::GeminiCountTokens,
                r#"{"generateContentRequest":{"model":"models/a","contents":[]}}"#
            ),
            r#"{"generateContentRequest":{"model":"models/new","contents":[]}}"#
        );
        assert_eq!(renamed(Endpoint::EmbedContent, r#"{"model":"models/a"}"#), r#"{"model":"models/new"}"#);
        for same in [r#"{"contents":[{"model":"a"}]}"#, "[]", "{"] {
            assert_eq!(renamed(Endpoint::GenerateContent, same), same);
        }
    }
}
