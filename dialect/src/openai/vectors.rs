//! Embeddings: requests and vectors, both ways.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::hub::{
    EmbedAnswer, EmbedInput, EmbedRequest, Extra, Fields, Json, Losses, Said, Unfit, Vector, kind,
};
use crate::translate::{Sent, Terms};
use crate::usage::Tally;
use crate::watch::BackendError;
use crate::{Dialect, Endpoint, fault};

use crate::hub::Object;

/// Why something of another dialect is lost.
const NO_SUCH: &str = "OpenAI's embeddings have no such parameter";

/// Reads a client's request for vectors.
pub(crate) fn read_embed(body: &[u8]) -> Result<EmbedRequest, Unfit> {
    let mut fields = Fields::of_body(body)?;
    let model = fields.needed_text("model")?;
    let input = fields.take("input").ok_or_else(|| Unfit::bad("input", "is missing"))?;
    let dimensions = fields.count("dimensions")?.map(|count| Said::new("dimensions", count));
    let base64 = match fields.text("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Unfit::bad("encoding_format", "must be float or base64")),
    };
    let user = fields.text("user")?.map(|user| Said::new("user", user));
    let extra = |(name, value): (std::borrow::Cow<'_, str>, &RawValue)| Extra {
        name: name.clone().into_owned(),
        at: name.into_owned(),
        value: value.into(),
    };
    Ok(EmbedRequest {
        origin: Endpoint::Embeddings,
        model,
        inputs: inputs(input)?,
        dimensions,
        base64,
        task_type: None,
        title: None,
        truncate: None,
        user,
        engine_options: Vec::new(),
        extras: fields.rest().map(extra).collect(),
    })
}

/// A text, a list of texts, a text as tokens, or a list of such.
fn inputs(value: &RawValue) -> Result<Vec<EmbedInput>, Unfit> {
    if let Ok(text) = serde_json::from_str(value.get()) {
        return Ok(vec![EmbedInput::Text(text)]);
    }
    let wrong = |at: String, value: &RawValue| {
        Unfit::bad(at, format!("must be a text or a list of tokens, not {}", kind(value)))
    };
    let list: Vec<&RawValue> =
        serde_json::from_str(value.get()).map_err(|_| wrong("input".to_owned(), value))?;
    let is_number = |value: &&RawValue| value.get().bytes().all(|byte| byte.is_ascii_digit());
    if list.is_empty() {
        return Err(Unfit::bad("input", "must not be empty"));
    }
    if list.iter().all(is_number) {
        return Ok(vec![EmbedInput::Tokens(value.into())]);
    }
    let input = |(index, value): (usize, &RawValue)| match serde_json::from_str(value.get()) {
        Ok(text) => Ok(EmbedInput::Text(text)),
        Err(_) if value.get().starts_with('[') => Ok(EmbedInput::Tokens(value.into())),
        Err(_) => Err(wrong(format!("input[{index}]"), value)),
    };
    list.into_iter().enumerate().map(input).collect()
}

/// Writes a request for vectors to a backend. Plain lists are asked for, which every server has.
pub(crate) fn write_embed(request: &EmbedRequest, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    if request.inputs.is_empty() {
        return Err(Unfit::untranslatable("", "has no text to make a vector of"));
    }
    let mut body = Object::default();
    body.put("model", &terms.model);
    let inputs: Vec<_> = request
        .inputs
        .iter()
        .map(|input| match input {
            EmbedInput::Text(text) => Json::of(text),
            EmbedInput::Tokens(tokens) => tokens.clone(),
        })
        .collect();
    body.put("input", &inputs);
    body.put_some("dimensions", request.dimensions.as_ref().map(|said| &said.value));
    body.put("encoding_format", "float");
    body.put_some("user", request.user.as_ref().map(|said| &said.value));
    let lost = [
        request.task_type.as_ref().map(|said| &said.at),
        request.title.as_ref().map(|said| &said.at),
        // Without it the server does as it likes, which is the same as `true`.
        request.truncate.as_ref().filter(|said| !said.value).map(|said| &said.at),
    ];
    let options = request.engine_options.iter().map(|option| &option.at);
    for at in lost.into_iter().flatten().chain(options) {
        losses.add(at.clone(), NO_SUCH);
    }
    for extra in &request.extras {
        if terms.pass_unknown && request.origin == Endpoint::Embeddings {
            body.put(&extra.name, &extra.value);
        } else {
            losses.add(&extra.at, NO_SUCH);
        }
    }
    Ok(Sent::new(Endpoint::Embeddings, &body))
}

#[derive(Deserialize)]
struct Read<'a> {
    model: Option<String>,
    #[serde(borrow)]
    data: Option<Vec<Entry<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(default)]
    index: Option<usize>,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

/// Reads a backend's vectors.
pub(crate) fn read_vectors(body: &[u8]) -> Result<EmbedAnswer, BackendError> {
    if let Some(error) = fault::told_in(body) {
        return Err(error);
    }
    let wrong =
        || BackendError { message: "the answer is not what embeddings send".to_owned(), status: None };
    let read: Read<'_> = serde_json::from_slice(body).map_err(|_| wrong())?;
    let mut entries: Vec<_> = read.data.ok_or_else(wrong)?.into_iter().enumerate().collect();
    entries.sort_by_key(|(place, entry)| entry.index.unwrap_or(*place));
    let vector = |(_, entry): (usize, Entry<'_>)| match serde_json::from_str(entry.embedding.get()) {
        Ok(text) => Vector::Base64(text),
        Err(_) => Vector::List(entry.embedding.into()),
    };
    let mut tally = Tally::default();
    if let Some(usage) = read.usage {
        tally.add(Dialect::OpenAi, usage);
    }
    Ok(EmbedAnswer {
        model: read.model,
        vectors: entries.into_iter().map(vector).collect(),
        usage: tally.usage(Dialect::OpenAi),
    })
}

#[derive(Serialize)]
struct Written<'a> {
    object: &'static str,
    data: Vec<WrittenEntry>,
    model: &'a str,
    usage: WrittenUsage,
}

#[derive(Serialize)]
struct WrittenEntry {
    object: &'static str,
    index: usize,
    embedding: Json,
}

#[derive(Serialize)]
struct WrittenUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// Writes vectors to the client of `request`; `None` if one of them is none.
pub(crate) fn write_vectors(answer: &EmbedAnswer, request: &EmbedRequest, _terms: &Terms) -> Option<Vec<u8>> {
    let prompt_tokens = answer.usage.input_tokens.unwrap_or(0);
    let entry = |(index, vector): (usize, &Vector)| {
        let embedding = if request.base64 { to_base64(vector) } else { to_list(vector) }?;
        Some(WrittenEntry { object: "embedding", index, embedding })
    };
    let written = Written {
        object: "list",
        data: answer.vectors.iter().enumerate().map(entry).collect::<Option<_>>()?,
        model: answer.model.as_deref().unwrap_or(&request.model),
        usage: WrittenUsage { prompt_tokens, total_tokens: prompt_tokens },
    };
    Some(serde_json::to_vec(&written).expect("our own types are always JSON"))
}

fn to_base64(vector: &Vector) -> Option<Json> {
    match vector {
        Vector::Base64(text) => Some(Json::of(text)),
        Vector::List(list) => {
            let numbers: Vec<f32> = list.to()?;
            let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
            Some(Json::of(&BASE64_STANDARD.encode(bytes)))
        }
    }
}

fn to_list(vector: &Vector) -> Option<Json> {
    match vector {
        Vector::List(list) => Some(list.clone()),
        Vector::Base64(text) => {
            let bytes = BASE64_STANDARD.decode(text).ok().filter(|bytes| bytes.len() % 4 == 0)?;
            let number = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            Some(Json::of(&bytes.chunks_exact(4).map(number).collect::<Vec<_>>()))
        }
    }
}
