//! Requests for vectors and the vectors themselves: `embedContent` and `batchEmbedContents`, both ways.
//!
//! A backend is always asked by `batchEmbedContents`, however many texts there are.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::hub::{EmbedAnswer, EmbedInput, EmbedRequest, Extra, Json, Losses, Said, Unfit, Usage, Vector};
use crate::translate::{Sent, Terms};
use crate::watch::BackendError;
use crate::{Endpoint, fault};

use super::base64;
use super::proto::Proto;

/// Reads a client's request to `endpoint`.
pub(super) fn read(endpoint: Endpoint, body: &[u8]) -> Result<EmbedRequest, Unfit> {
    let mut fields = Proto::of_body(body)?;
    let mut request = EmbedRequest {
        origin: endpoint,
        model: String::new(),
        inputs: Vec::new(),
        dimensions: None,
        base64: false,
        task_type: None,
        title: None,
        truncate: None,
        user: None,
        engine_options: Vec::new(),
        extras: Vec::new(),
    };
    if endpoint == Endpoint::EmbedContent {
        read_one(fields, &mut request, true)?;
        return Ok(request);
    }
    let requests = fields.many("requests")?;
    if requests.is_empty() {
        return Err(Unfit::bad("requests", "is missing or empty"));
    }
    for (index, (at, one)) in requests.into_iter().enumerate() {
        read_one(Proto::of(at, one)?, &mut request, index == 0)?;
    }
    fields.into_extras(&mut request.extras);
    Ok(request)
}

/// Reads the wish for one vector. The first one's settings hold for all; others that differ are kept as lost.
fn read_one(mut fields: Proto<'_>, request: &mut EmbedRequest, is_first: bool) -> Result<(), Unfit> {
    if let Some(model) = fields.text("model")? {
        model.strip_prefix("models/").unwrap_or(&model).clone_into(&mut request.model);
    }
    let content_at = fields.path("content");
    let mut content =
        fields.object("content")?.ok_or_else(|| Unfit::bad(content_at.as_str(), "is missing"))?;
    let mut text = String::new();
    for (at, part) in content.many("parts")? {
        let mut part = Proto::of(at.as_str(), part)?;
        let piece = part.text("text")?.ok_or_else(|| Unfit::untranslatable(at, "is no text"))?;
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&piece);
    }
    request.inputs.push(EmbedInput::Text(text));
    // The SDKs put the settings into the request, or into a configuration of their own.
    let config = fields.object("embedContentConfig")?;
    for mut place in config.into_iter().chain([fields]) {
        let dimensions = place.said("outputDimensionality", Proto::count)?;
        let task_type = place.said("taskType", Proto::text)?;
        let title = place.said("title", Proto::text)?;
        keep(&mut request.dimensions, dimensions, is_first, &mut request.extras);
        keep(&mut request.task_type, task_type, is_first, &mut request.extras);
        keep(&mut request.title, title, is_first, &mut request.extras);
        place.into_extras(&mut request.extras);
    }
    Ok(())
}

fn keep<T: PartialEq + Serialize>(
    place: &mut Option<Said<T>>,
    said: Option<Said<T>>,
    is_first: bool,
    extras: &mut Vec<Extra>,
) {
    let Some(said) = said else { return };
    if is_first {
        place.get_or_insert(said);
    } else if place.as_ref().is_none_or(|known| known.value != said.value) {
        extras.push(Extra { name: said.at.clone(), at: said.at, value: Json::of(&said.value) });
    }
}

#[derive(Serialize)]
struct Batch<'a> {
    requests: Vec<One<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

/// Writes `request` for a backend.
pub(super) fn write(request: &EmbedRequest, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    let model = match terms.model.as_str() {
        name if name.contains('/') => Cow::Borrowed(name),
        name => Cow::Owned(format!("models/{name}")),
    };
    let mut requests = Vec::with_capacity(request.inputs.len());
    for input in &request.inputs {
        let EmbedInput::Text(text) = input else {
            return Err(Unfit::untranslatable("input", "holds tokens: Gemini takes only text"));
        };
        requests.push(One {
            model: &model,
            content: Content { parts: [Part { text }] },
            task_type: request.task_type.as_ref().map(|said| said.value.as_str()),
            title: request.title.as_ref().map(|said| said.value.as_str()),
            output_dimensionality: request.dimensions.as_ref().map(|said| said.value),
        });
    }
    if let Some(truncate) = &request.truncate {
        losses.add(truncate.at.as_str(), "Gemini always cuts texts that are too long");
    }
    if let Some(user) = &request.user {
        losses.add(user.at.as_str(), "Gemini has no such parameter");
    }
    for extra in request.engine_options.iter().chain(&request.extras) {
        losses.add(extra.at.as_str(), "Gemini has no such parameter");
    }
    Ok(Sent::new(Endpoint::BatchEmbedContents, &Batch { requests }))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answered<'a> {
    #[serde(borrow)]
    embedding: Option<Values<'a>>,
    #[serde(borrow)]
    embeddings: Vec<Values<'a>>,
    usage_metadata: Option<Counts>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    prompt_token_count: Option<u64>,
}

/// Reads a backend's vectors.
pub(super) fn read_vectors(body: &[u8]) -> Result<EmbedAnswer, BackendError> {
    let wrong = |message: &str| BackendError { message: message.to_owned(), status: None };
    if let Some(error) = fault::told_in(body) {
        return Err(error);
    }
    let answered: Answered<'_> =
        serde_json::from_slice(body).map_err(|_| wrong("sent vectors that are not Gemini's JSON"))?;
    let values = answered.embedding.into_iter().chain(answered.embeddings);
    let vectors: Vec<_> = values.map(|one| Vector::List(Json::from(one.values))).collect();
    if vectors.is_empty() {
        return Err(wrong("sent no vectors"));
    }
    let input_tokens = answered.usage_metadata.and_then(|counts| counts.prompt_token_count);
    Ok(EmbedAnswer { model: None, vectors, usage: Usage { input_tokens, ..Usage::default() } })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<ToldValues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embeddings: Option<Vec<ToldValues>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_metadata: Option<Counts>,
}

#[derive(Serialize)]
struct ToldValues {
    values: Json,
}

/// Writes `answer` to the client that asked `request`.
pub(super) fn write_vectors(answer: &EmbedAnswer, request: &EmbedRequest) -> Option<Vec<u8>> {
    let values = answer.vectors.iter().map(|vector| {
        let values = match vector {
            Vector::List(list) => list.clone(),
            Vector::Base64(text) => base64::floats(text)?,
        };
        Some(ToldValues { values })
    });
    let mut values = values.collect::<Option<Vec<_>>>()?.into_iter();
    let usage_metadata = answer.usage.input_tokens.map(|count| Counts { prompt_token_count: Some(count) });
    let told = if request.origin == Endpoint::EmbedContent {
        Told { embedding: values.next(), embeddings: None, usage_metadata }
    } else {
        Told { embedding: None, embeddings: Some(values.collect()), usage_metadata }
    };
    Some(serde_json::to_vec(&told).expect("our own types are always JSON"))
}
