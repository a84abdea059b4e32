//! Embeddings, both ways: `/api/embed`, and the older `/api/embeddings` for a single text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::fault;
use crate::hub::{
    EmbedAnswer, EmbedInput, EmbedRequest, Fields, Json, Losses, Said, Unfit, Usage, Vector, kind,
};
use crate::translate::{Sent, Terms};
use crate::watch::BackendError;
use crate::{Dialect, Endpoint};

use super::options::{self, Options};

/// Reads a client's request for vectors. One without a text only loads a model, which no other dialect can ask for.
pub(crate) fn read_embed(endpoint: Endpoint, body: &[u8]) -> Result<EmbedRequest, Unfit> {
    let mut body = Fields::of_body(body)?;
    let model = body.needed_text("model")?;
    let name = if endpoint == Endpoint::OllamaEmbeddings { "prompt" } else { "input" };
    let texts = match body.take(name) {
        None => Vec::new(),
        Some(input) => {
            let one = serde_json::from_str(input.get()).map(|text| vec![text]);
            let many = |_| serde_json::from_str::<Vec<String>>(input.get());
            one.or_else(many).map_err(|_| {
                Unfit::bad(name, format!("must be a string or a list of strings, not {}", kind(input)))
            })?
        }
    };
    if texts.iter().all(String::is_empty) {
        return Err(Unfit::untranslatable(
            name,
            "is empty: only Ollama itself loads a model without using it",
        ));
    }
    let said = |name: &str| name.to_owned();
    let truncate = body.flag("truncate")?.map(|value| Said::new(said("truncate"), value));
    let dimensions = body.count("dimensions")?.filter(|count| *count > 0);
    Ok(EmbedRequest {
        origin: endpoint,
        model,
        inputs: texts.into_iter().map(EmbedInput::Text).collect(),
        dimensions: dimensions.map(|value| Said::new(said("dimensions"), value)),
        base64: false,
        task_type: None,
        title: None,
        truncate,
        user: None,
        engine_options: options::read_for_engine(&mut body)?,
        extras: options::rest(body),
    })
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<&'a Json>,
    #[serde(skip_serializing_if = "Options::is_empty")]
    options: Options,
}

/// Writes a request for vectors to a backend.
pub(crate) fn write_embed(request: &EmbedRequest, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    let name = match request.origin.dialect() {
        Dialect::Gemini => "content",
        _ => "input",
    };
    let mut input = Vec::with_capacity(request.inputs.len());
    for text in &request.inputs {
        match text {
            EmbedInput::Text(text) => input.push(text.as_str()),
            EmbedInput::Tokens(_) => {
                return Err(Unfit::untranslatable(name, "has tokens: Ollama takes texts alone"));
            }
        }
    }
    for said in [&request.task_type, &request.title, &request.user].into_iter().flatten() {
        losses.add(&said.at, "Ollama has no such parameter");
    }
    for extra in &request.extras {
        losses.add(&extra.at, "Ollama has no such field here");
    }
    let body = Body {
        model: &terms.model,
        input,
        truncate: request.truncate.as_ref().map(|said| said.value),
        dimensions: request.dimensions.as_ref().map(|said| said.value),
        keep_alive: options::keep_alive_in(&request.engine_options),
        options: Options::of_engine(&request.engine_options),
    };
    Ok(Sent::new(Endpoint::OllamaEmbed, &body))
}

#[derive(Deserialize)]
struct Told {
    model: Option<String>,
    embeddings: Option<Vec<Json>>,
    embedding: Option<Json>,
    prompt_eval_count: Option<u64>,
}

/// Reads a backend's vectors, from either of the two operations.
pub(crate) fn read_vectors(body: &[u8]) -> Result<EmbedAnswer, BackendError> {
    if let Some(error) = fault::told_in(body) {
        return Err(error);
    }
    let wrong = |message: String| BackendError { message, status: None };
    let told: Told =
        serde_json::from_slice(body).map_err(|error| wrong(format!("sent what are no vectors: {error}")))?;
    let lists = told.embeddings.unwrap_or_else(|| told.embedding.into_iter().collect());
    if lists.is_empty() || lists.iter().any(|list| !list.as_str().starts_with('[')) {
        return Err(wrong("sent no vectors".to_owned()));
    }
    let usage = Usage { input_tokens: told.prompt_eval_count, ..Usage::default() };
    Ok(EmbedAnswer { model: told.model, vectors: lists.into_iter().map(Vector::List).collect(), usage })
}

#[derive(Serialize)]
struct Many<'a> {
    model: &'a str,
    embeddings: Vec<Json>,
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u64,
}

#[derive(Serialize)]
struct One {
    embedding: Json,
}

/// Writes vectors to a client; `None` if one of them is none. The times are 0: only Ollama itself could measure them.
pub(crate) fn write_vectors(answer: &EmbedAnswer, request: &EmbedRequest, _terms: &Terms) -> Option<Vec<u8>> {
    let mut lists = answer.vectors.iter().map(numbers).collect::<Option<Vec<_>>>()?.into_iter();
    let body = if request.origin == Endpoint::OllamaEmbeddings {
        serde_json::to_vec(&One { embedding: lists.next()? })
    } else {
        serde_json::to_vec(&Many {
            model: answer.model.as_deref().unwrap_or(&request.model),
            embeddings: lists.collect(),
            total_duration: 0,
            load_duration: 0,
            prompt_eval_count: answer.usage.input_tokens.unwrap_or(0),
        })
    };
    Some(body.expect("our own types are always JSON"))
}

/// A vector as a list of numbers; `None` if it is neither that nor base64 of whole numbers.
fn numbers(vector: &Vector) -> Option<Json> {
    match vector {
        Vector::List(list) => Some(list.clone()),
        Vector::Base64(data) => {
            let bytes = STANDARD.decode(data).ok().filter(|bytes| bytes.len() % 4 == 0)?;
            let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            Some(Json::of(&bytes.chunks_exact(4).map(number).collect::<Vec<_>>()))
        }
    }
}
