//! The models there are, as each dialect lists them. Rendered once per directory, not per request.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use ipc_proto::control::{Directory, ModelEntry};
use ipc_proto::failure::FailureKind;
use serde::Serialize;

use dialect::Dialect;

use crate::answer_body::AnswerBody;
use crate::refusal::{Refusal, unknown_model};

/// A directory, made ready to be shown.
pub(crate) struct Listing {
    /// The directory itself.
    pub(crate) directory: Directory,
    openai: Bytes,
    anthropic: Bytes,
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
    let created = jiff::Timestamp::from_second(entry.created).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    AnthropicModel {
        kind: "model",
        id: entry.id.as_str(),
        display_name: entry.id.as_str(),
        created_at: created.to_string(),
    }
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
        Self { openai: json(&first_list), anthropic: json(&second_list), directory }
    }

    /// The whole list.
    pub(crate) fn all(&self, dialect: Dialect) -> Response<AnswerBody> {
        json_response(match dialect {
            Dialect::OpenAi => self.openai.clone(),
            Dialect::Anthropic => self.anthropic.clone(),
        })
    }

    /// One model.
    pub(crate) fn one(&self, id: &str, dialect: Dialect) -> Result<Response<AnswerBody>, Refusal> {
        let entry = self.directory.models.iter().find(|entry| entry.id.as_str() == id);
        let entry = entry.ok_or_else(|| {
            Refusal::because(FailureKind::UnknownModel, unknown_model(id)).at(Some("model"))
        })?;
        Ok(json_response(match dialect {
            Dialect::OpenAi => json(&openai(entry)),
            Dialect::Anthropic => json(&anthropic(entry)),
        }))
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

    #[test]
    fn api_08_items_carry_created_and_served_by() {
        let listing = Listing::new(Directory {
            models: vec![ModelEntry {
                id: ModelName::new("m"),
                created: 1_700_000_000,
                owned_by: "proxylm".to_owned(),
                served_by: vec!["one".to_owned()],
            }],
            ready: true,
            reason: String::new(),
            backends_up: 1,
            backends: 1,
        });
        let openai: serde_json::Value = serde_json::from_slice(&listing.openai).unwrap();
        assert_eq!(openai["data"][0]["served_by"][0], "one");
        assert_eq!(openai["data"][0]["created"], 1_700_000_000);
        let anthropic: serde_json::Value = serde_json::from_slice(&listing.anthropic).unwrap();
        assert_eq!(anthropic["data"][0]["created_at"], "2023-11-14T22:13:20Z");
        assert_eq!(anthropic["first_id"], "m");
        assert_eq!(
            listing.one("x", Dialect::OpenAi).err().map(|refusal| refusal.status),
            Some(StatusCode::NOT_FOUND)
        );
    }
}
