//! A backend's whole answer, and the items of its `output`, which a stream tells as well.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault;
use crate::hub::{
    Answer, Beginning, Choice, Finish, Json, Part, PartKind, Reason, Source, ToolCall, arguments, ids,
};
use crate::watch::BackendError;

use super::{built_in, seal, tool_reader, usage};

/// Reads `body`. Fails when it is no answer, tells of an error, or calls a tool with what is no JSON.
pub(super) fn read(body: &[u8]) -> Result<Answer, BackendError> {
    let response: Response<'_> = serde_json::from_slice(body).map_err(|error| {
        fault::told_in(body).unwrap_or_else(|| wrong(format!("the answer is not a response: {error}")))
    })?;
    if let Some(error) = response.failure(body) {
        return Err(error);
    }
    let Some(output) = &response.output else {
        return Err(wrong("the answer has no output".to_owned()));
    };
    let mut choice = Choice { parts: Vec::new(), finish: response.finish(), logprobs: None };
    for (place, value) in output.iter().enumerate() {
        let mut item = Item::read(value)?;
        if item.r#type.ends_with("_call") && item.id_of_call().is_none() {
            item.call_id = Some(ids::made("call_", response.id.as_deref().unwrap_or_default(), place));
        }
        choice.logprobs = choice.logprobs.or(item.logprobs());
        choice.parts.extend(item.parts(value, choice.finish.is_cut())?);
    }
    choice.settle();
    let Beginning { id, model, created, service_tier } = response.beginning();
    let usage = response.usage.map(usage::read).unwrap_or_default();
    Ok(Answer { id, model, created, choices: vec![choice], usage, service_tier })
}

fn wrong(message: String) -> BackendError {
    BackendError { message, status: None }
}

/// The object `response`.
#[derive(Deserialize)]
pub(super) struct Response<'a> {
    id: Option<String>,
    model: Option<String>,
    created_at: Option<f64>,
    service_tier: Option<String>,
    status: Option<String>,
    incomplete_details: Option<Incomplete>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// The items.
    #[serde(borrow)]
    pub(super) output: Option<Vec<&'a RawValue>>,
    /// The token counts.
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

impl Response<'_> {
    /// How the answer begins.
    pub(super) fn beginning(&self) -> Beginning {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "seconds since 1970, which some servers write as 1.7e9"
        )]
        let created = self.created_at.map(|seconds| seconds as i64).filter(|seconds| *seconds > 0);
        let (id, model, service_tier) = (self.id.clone(), self.model.clone(), self.service_tier.clone());
        Beginning { id, model, created, service_tier }
    }

    /// The failure that it tells of, if it does; `whole` is its text.
    pub(super) fn failure(&self, whole: &[u8]) -> Option<BackendError> {
        let status = self.status.as_deref().unwrap_or_default();
        if self.error.is_some() {
            return Some(failure(whole));
        }
        matches!(status, "failed" | "cancelled" | "queued" | "in_progress").then(|| {
            // A whole answer that is not whole.
            wrong(format!("the response is {status}"))
        })
    }

    /// How the answer ended.
    pub(super) fn finish(&self) -> Finish {
        let reason = self.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
        Finish::because(match (self.status.as_deref(), reason) {
            (_, Some("max_output_tokens" | "max_tokens" | "length")) | (Some("incomplete"), None) => {
                Reason::Length
            }
            (_, Some("content_filter")) => Reason::Refusal,
            (_, Some("pause")) => Reason::Pause,
            (_, Some("malformed_tool_call")) => Reason::BadToolCall,
            (_, Some(_)) => Reason::Unknown,
            (_, None) => Reason::Stop,
        })
    }
}

/// The failure that `data`, an event or a response, tells of.
pub(super) fn failure(data: &[u8]) -> BackendError {
    #[derive(Deserialize)]
    struct Told {
        error: Option<Coded>,
        code: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Coded {
        code: Option<serde_json::Value>,
    }
    let mut error = fault::told_by(data);
    let told: Option<Told> = serde_json::from_slice(data).ok();
    let code = told.and_then(|told| told.error.and_then(|error| error.code).or(told.code));
    let code = code.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    let is_of_client = ["invalid_", "image_", "unsupported_", "empty_", "failed_to_download_"];
    if error.status.is_none() && is_of_client.iter().any(|beginning| code.starts_with(beginning)) {
        error.status = Some(400);
    }
    error
}

/// An item.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Item {
    /// What it is.
    pub(super) r#type: String,
    /// Of a call: its id.
    pub(super) call_id: Option<String>,
    /// Its id as an item.
    pub(super) id: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    /// Of a call of a function: the text of a JSON object.
    pub(super) arguments: Option<Arguments>,
    /// Of a call of a custom tool: any text.
    pub(super) input: Option<String>,
    content: Option<Vec<Content>>,
    summary: Option<Vec<Content>>,
    /// Of thoughts: as only their provider can read them.
    pub(super) encrypted_content: Option<String>,
    result: Option<String>,
    output_format: Option<String>,
}

/// What a function is called with: some servers write the object itself.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Arguments {
    Text(String),
    Object(serde_json::Value),
}

impl Arguments {
    /// Their text.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Object(value) => value.to_string(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    r#type: String,
    text: Option<String>,
    refusal: Option<String>,
    annotations: Option<Vec<Json>>,
    logprobs: Option<Vec<Json>>,
}

impl Item {
    /// The item `value`.
    pub(super) fn read(value: &RawValue) -> Result<Self, BackendError> {
        serde_json::from_str(value.get())
            .map_err(|error| wrong(format!("an item of the output makes no sense: {error}")))
    }

    /// The tool that is called, by its name in the hub.
    pub(super) fn tool_name(&self) -> Option<String> {
        Some(tool_reader::flat(self.namespace.as_deref(), self.name.as_deref()?))
    }

    /// The call's id; servers that know only one id use the item's.
    pub(super) fn id_of_call(&self) -> Option<String> {
        self.call_id.clone().or_else(|| self.id.clone()).filter(|id| !id.is_empty())
    }

    /// All text in it: of a message what is said, with refusals left out; of thoughts the whole of them, else the summary.
    pub(super) fn text(&self) -> String {
        let joined = |list: Option<&Vec<Content>>, gap: &str| {
            let texts: Vec<&str> =
                list.into_iter().flatten().filter_map(|part| part.text.as_deref()).collect();
            texts.join(gap)
        };
        let content = joined(self.content.as_ref(), "");
        if content.is_empty() { joined(self.summary.as_ref(), "\n\n") } else { content }
    }

    /// The refusal in it.
    pub(super) fn refusal(&self) -> String {
        self.content.iter().flatten().filter_map(|part| part.refusal.as_deref()).collect()
    }

    fn logprobs(&self) -> Option<Json> {
        #[derive(serde::Serialize)]
        struct Told<'a> {
            content: &'a [Json],
            refusal: Option<()>,
        }
        let mut lists = self.content.iter().flatten().filter_map(|part| part.logprobs.as_deref());
        let content = lists.find(|list| !list.is_empty())?;
        Some(Json::of(&Told { content, refusal: None }))
    }

    /// Its parts in the hub; `raw` is its text. The answer `is_cut` off: then a call may be half.
    fn parts(self, raw: &RawValue, is_cut: bool) -> Result<Vec<Part>, BackendError> {
        let kind = match self.r#type.as_str() {
            "message" => return Ok(self.said()),
            "reasoning" => seal::read(self.text(), self.encrypted_content.as_deref()),
            "function_call" | "custom_tool_call" => PartKind::ToolCall(self.call(is_cut)?),
            _ => return Ok(self.built_in(raw).into_iter().collect()),
        };
        let is_empty = matches!(&kind, PartKind::Thinking { text, signature: None } if text.is_empty());
        Ok(if is_empty { vec![] } else { vec![Part::answered(kind)] })
    }

    fn said(self) -> Vec<Part> {
        let parts = self.content.into_iter().flatten().filter_map(|part| {
            if let Some(refusal) = part.refusal {
                return Some(PartKind::Refusal(refusal));
            }
            let sources = part.annotations.filter(|list| !list.is_empty()).map(|list| Json::of(&list));
            part.text.filter(|text| !text.is_empty()).map(|text| PartKind::Text { text, sources })
        });
        parts.map(Part::answered).collect()
    }

    fn call(mut self, is_cut: bool) -> Result<ToolCall, BackendError> {
        let id = self.id_of_call().unwrap_or_default();
        let name = self.tool_name().unwrap_or_default();
        if self.r#type == "custom_tool_call" {
            let arguments = self.input.unwrap_or_default();
            return Ok(ToolCall { id, name, arguments, is_custom: true, signature: None });
        }
        let written = self.arguments.take().map(Arguments::into_text).unwrap_or_default();
        let arguments = match arguments::mended(&written) {
            Some(mended) => mended.into_owned(),
            None if is_cut => written,
            None => return Err(wrong(format!("the model called {name:?} with arguments that are not JSON"))),
        };
        Ok(ToolCall { id, name, arguments, is_custom: false, signature: None })
    }

    /// An item that only OpenAI has. A picture has a form everywhere.
    pub(super) fn built_in(self, raw: &RawValue) -> Option<Part> {
        if self.r#type.is_empty() {
            return None;
        }
        if let (true, Some(data)) = (self.r#type == "image_generation_call", self.result) {
            let media_type = format!("image/{}", self.output_format.as_deref().unwrap_or("png"));
            let source = Source::Base64 { media_type, data };
            return Some(Part::answered(PartKind::Image { source, detail: None }));
        }
        let text = built_in::in_words(&self.r#type, raw);
        Some(Part::answered(PartKind::Foreign { kind: self.r#type, raw: raw.into(), text }))
    }
}
