//! The models there are, as each dialect lists them. Rendered once per directory, not per request.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use ipc_proto::control::{Directory, ModelEntry};
use ipc_proto::failure::FailureKind;
use serde::Serialize;

use dialect::Dialect;

use crate::answer_body::AnswerBody;
use crate::ollama;
use crate::refusal::{Refusal, unknown_model};

/// A directory, made ready to be shown.
pub(crate) struct Listing {
    /// The directory itself.
    pub(crate) directory: Directory,
    openai: Bytes,
    anthropic: Bytes,
    gemini: Bytes,
    ollama: Bytes,
}

#[derive(Serialize)]
struct OpenAiList<'a> {
    object: &'static str,
    data: Vec<OpenAiModel<'a>>,
}

#[derive(Serialize)]
struct OpenAiModel<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
    served_by: &'a [String],
}

#[derive(Serialize)]
struct AnthropicList<'a> {
    data: Vec<AnthropicModel<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: String,
}

#[derive(Serialize)]
struct GeminiList<'a> {
    models: Vec<GeminiModel<'a>>,
}

/// Without limits of tokens, which the directory does not know.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeminiModel<'a> {
    name: String,
    version: &'static str,
    display_name: &'a str,
    description: String,
    supported_generation_methods: [&'static str; 4],
}

fn openai(entry: &ModelEntry) -> OpenAiModel<'_> {
    OpenAiModel {
        id: entry.id.as_str(),
        object: "model",
        created: entry.created,
        owned_by: &entry.owned_by,
        served_by: &entry.served_by,
    }
}

fn anthropic(entry: &ModelEntry) -> AnthropicModel<'_> {
    AnthropicModel {
        kind: "model",
        id: entry.id.as_str(),
        display_name: entry.id.as_str(),
        created_at: made(entry),
    }
}

fn gemini(entry: &ModelEntry) -> GeminiModel<'_> {
    let id = entry.id.as_str();
    GeminiModel {
        name: format!("models/{id}"),
        version: "",
        display_name: id,
        description: format!("served by {}", entry.served_by.join(", ")),
        supported_generation_methods: [
            "generateContent",
            "countTokens",
            "embedContent",
            "batchEmbedContents",
        ],
    }
}

/// When the model was made or first seen, as text.
pub(crate) fn made(entry: &ModelEntry) -> String {
    jiff::Timestamp::from_second(entry.created).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

impl Listing {
    /// Makes `directory` ready.
    pub(crate) fn new(directory: Directory) -> Self {
        let models = &directory.models;
        let first_list = OpenAiList { object: "list", data: models.iter().map(openai).collect() };
        let second_list = AnthropicList {
            data: models.iter().map(anthropic).collect(),
            has_more: false,
            first_id: models.first().map(|entry| entry.id.as_str()),
            last_id: models.last().map(|entry| entry.id.as_str()),
        };
        let third_list = GeminiList { models: models.iter().map(gemini).collect() };
        Self {
            openai: json(&first_list),
            anthropic: json(&second_list),
            gemini: json(&third_list),
            ollama: ollama::tags(models),
            directory,
        }
    }

    /// The whole list.
    pub(crate) fn all(&self, dialect: Dialect) -> Response<AnswerBody> {
        json_response(match dialect {
            Dialect::OpenAi | Dialect::Responses => self.openai.clone(),
            Dialect::Anthropic => self.anthropic.clone(),
            Dialect::Gemini => self.gemini.clone(),
            Dialect::Ollama => self.ollama.clone(),
        })
    }

    /// One model.
    pub(crate) fn one(&self, id: &str, dialect: Dialect) -> Result<Response<AnswerBody>, Refusal> {
        let entry = self.named(id).ok_or_else(|| {
            Refusal::because(FailureKind::UnknownModel, unknown_model(id)).at(Some("model"))
        })?;
        Ok(json_response(match dialect {
            Dialect::OpenAi | Dialect::Responses => json(&openai(entry)),
            Dialect::Anthropic => json(&anthropic(entry)),
            Dialect::Gemini => json(&gemini(entry)),
            Dialect::Ollama => ollama::shown(entry),
        }))
    }

    /// The model that a client calls `name`. If there is none of just this name: to Ollama and its users a name and the
    /// same with the default tag are one, and to Google's so is a name with its collection before it.
    pub(crate) fn named(&self, name: &str) -> Option<&ModelEntry> {
        self.entry(name)
            .or_else(|| self.entry(&ollama::other_name(name)?))
            .or_else(|| self.entry(name.strip_prefix("models/")?))
    }

    /// Whether tokens for this model have to be counted here, because no backend that has it counts them in
    /// `dialect`. Not so for a model that is not listed: what is to be said of it is not known here.
    pub(crate) fn wants_estimate(&self, id: &str, dialect: Dialect) -> bool {
        self.entry(id).is_some_and(|entry| !entry.counted_in.contains(&dialect))
    }

    fn entry(&self, id: &str) -> Option<&ModelEntry> {
        self.directory.models.iter().find(|entry| entry.id.as_str() == id)
    }
}

/// `value` as JSON.
pub(crate) fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("strings, numbers and lists are always JSON").into()
}

/// A good answer that is JSON.
pub(crate) fn json_response(body: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(body));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use ipc_proto::ids::ModelName;

    use super::*;

    fn listing() -> Listing {
        let entry = |id: &str, counted_in| ModelEntry {
            id: ModelName::new(id),
            created: 1_700_000_000,
            owned_by: "proxylm".to_owned(),
            served_by: vec!["one".to_owned(), "two".to_owned()],
            counted_in,
        };
        Listing::new(Directory {
            models: vec![entry("m", vec![Dialect::Anthropic]), entry("org/n:7b", Vec::new())],
            ready: true,
            reason: String::new(),
            backends_up: 1,
            backends: 1,
        })
    }

    fn read(bytes: &Bytes) -> serde_json::Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn api_08_items_carry_created_and_served_by() {
        let listing = listing();
        let openai = read(&listing.openai);
        assert_eq!(openai["data"][0]["served_by"][0], "one");
        assert_eq!(openai["data"][0]["created"], 1_700_000_000);
        let anthropic = read(&listing.anthropic);
        assert_eq!(anthropic["data"][0]["created_at"], "2023-11-14T22:13:20Z");
        assert_eq!(anthropic["first_id"], "m");
        for dialect in Dialect::ALL {
            let missing = listing.one("x", dialect).err().map(|refusal| refusal.status);
            assert_eq!(missing, Some(StatusCode::NOT_FOUND));
        }
    }

    #[test]
    fn gemini_and_ollama_see_models_in_their_shapes() {
        let gemini = read(&listing().gemini);
        assert_eq!(
            gemini["models"][1],
            serde_json::json!({
                "name": "models/org/n:7b",
                "version": "",
                "displayName": "org/n:7b",
                "description": "served by one, two",
                "supportedGenerationMethods":
                    ["generateContent", "countTokens", "embedContent", "batchEmbedContents"],
            })
        );
        let ollama = read(&listing().ollama);
        assert_eq!(
            ollama["models"][0],
            serde_json::json!({
                "name": "m",
                "model": "m:latest",
                "modified_at": "2023-11-14T22:13:20Z",
                "size": 0,
                "digest": "",
                "details": {
                    "parent_model": "",
                    "format": "",
                    "family": "",
                    "families": [],
                    "parameter_size": "",
                    "quantization_level": "",
                },
            })
        );
        assert_eq!(ollama["models"][1]["model"], "org/n:7b");
    }

    #[test]
    fn the_default_tag_and_googles_collection_are_no_difference() {
        let listing = listing();
        for dialect in [Dialect::Ollama, Dialect::OpenAi, Dialect::Gemini] {
            assert!(listing.one("m:latest", dialect).is_ok());
            assert!(listing.one("models/m", dialect).is_ok());
            assert!(listing.one("org/n", dialect).is_err());
        }
    }

    #[test]
    fn tokens_are_estimated_where_no_backend_counts_them() {
        let listing = listing();
        assert!(!listing.wants_estimate("m", Dialect::Anthropic));
        assert!(listing.wants_estimate("m", Dialect::Gemini));
        assert!(!listing.wants_estimate("unheard-of", Dialect::Gemini));
    }
}
