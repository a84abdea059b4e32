//! What Ollama's own API tells about itself and its models, answered from the directory.
//!
//! The directory knows names and ages of models, not their sizes, families or whether they are loaded: those fields
//! are there, because clients read them, and empty.

use bytes::Bytes;
use dialect::Dialect;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use ipc_proto::control::ModelEntry;
use ipc_proto::failure::FailureKind;
use serde::{Deserialize, Serialize};

use crate::answer_body::AnswerBody;
use crate::body;
use crate::models::{json, json_response, made};
use crate::refusal::Refusal;
use crate::shared::{Shared, Terms};

/// The version of Ollama's API that is spoken here. Clients compare it with the oldest they can work with.
const API_VERSION: &str = "0.13.5";
/// What stands behind a model's name where it has no tag of its own.
const DEFAULT_TAG: &str = ":latest";

#[derive(Serialize)]
struct Tags<'a> {
    models: Vec<Tag<'a>>,
}

#[derive(Serialize)]
struct Tag<'a> {
    name: &'a str,
    model: String,
    modified_at: String,
    size: u64,
    digest: &'static str,
    details: Details,
}

#[derive(Default, Serialize)]
struct Details {
    parent_model: &'static str,
    format: &'static str,
    family: &'static str,
    families: [&'static str; 0],
    parameter_size: &'static str,
    quantization_level: &'static str,
}

#[derive(Serialize)]
struct Shown<'a> {
    license: &'static str,
    modelfile: &'static str,
    parameters: &'static str,
    template: &'static str,
    details: Details,
    model_info: ModelInfo<'a>,
    capabilities: [&'static str; 2],
    modified_at: String,
}

#[derive(Serialize)]
struct ModelInfo<'a> {
    #[serde(rename = "general.architecture")]
    architecture: &'static str,
    #[serde(rename = "general.basename")]
    basename: &'a str,
}

/// What `/api/show` is asked; older clients call the model `name`.
#[derive(Deserialize)]
struct Wish {
    model: Option<String>,
    name: Option<String>,
}

/// The list of models.
pub(crate) fn tags(entries: &[ModelEntry]) -> Bytes {
    json(&Tags { models: entries.iter().map(tag).collect() })
}

fn tag(entry: &ModelEntry) -> Tag<'_> {
    let name = entry.id.as_str();
    Tag {
        name,
        model: tagged(name),
        modified_at: made(entry),
        size: 0,
        digest: "",
        details: Details::default(),
    }
}

/// The name with a tag: some clients add the default one to whatever has none, and then look for it in this list.
fn tagged(name: &str) -> String {
    let tag = if name.contains(':') { "" } else { DEFAULT_TAG };
    format!("{name}{tag}")
}

/// The other name by which Ollama knows a model: with the default tag or without it.
pub(crate) fn other_name(name: &str) -> Option<String> {
    match name.strip_suffix(DEFAULT_TAG) {
        Some(bare) => Some(bare.to_owned()),
        None if name.contains(':') => None,
        None => Some(tagged(name)),
    }
}

/// One model.
pub(crate) fn shown(entry: &ModelEntry) -> Bytes {
    json(&Shown {
        license: "",
        modelfile: "",
        parameters: "",
        template: "",
        details: Details::default(),
        model_info: ModelInfo { architecture: "unknown", basename: entry.id.as_str() },
        // What nearly all can; with images or thinking a model without them would be asked in vain.
        capabilities: ["completion", "tools"],
        modified_at: made(entry),
    })
}

/// Answers `/api/show`.
pub(crate) async fn show(
    shared: &Shared,
    terms: &Terms,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Refusal> {
    let (head, incoming) = request.into_parts();
    let closing = shared.desk.doors_closed();
    let kept = body::read(&head.headers, incoming, &terms.limits, &shared.budget, closing).await?;
    let wish: Option<Wish> = serde_json::from_slice(&kept.bytes).ok();
    let name = wish.and_then(|wish| wish.model.or(wish.name)).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| {
        let message = "the body must be a JSON object whose field model names a model";
        Refusal::because(FailureKind::BadRequest, message).at(Some("model"))
    })?;
    shared.listing().one(&name, Dialect::Ollama)
}

/// The models that are loaded: which those are is nothing that a client can be told here.
pub(crate) fn running() -> Response<AnswerBody> {
    json_response(Bytes::from_static(br#"{"models":[]}"#))
}

/// The version of the API.
pub(crate) fn version() -> Response<AnswerBody> {
    json_response(format!(r#"{{"version":"{API_VERSION}"}}"#).into())
}

/// What clients look for before they ask anything.
pub(crate) fn greeting() -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole("Ollama is running"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_two_names_unless_it_has_a_tag_of_its_own() {
        assert_eq!(other_name("m").as_deref(), Some("m:latest"));
        assert_eq!(other_name("m:latest").as_deref(), Some("m"));
        assert_eq!(other_name("m:7b"), None);
        assert_eq!((tagged("m").as_str(), tagged("m:7b").as_str()), ("m:latest", "m:7b"));
    }
}
