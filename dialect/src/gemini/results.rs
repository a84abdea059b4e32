//! What functions answered, written as `functionResponse`.
//!
//! Gemini wants the function's name and an object: text that is one goes as it is, other text under `result`, that of a
//! failure under `error`. Models from 3 on take pictures inside; others get them right after the answers.

use serde::Serialize;

use crate::hub::{Json, Losses, PartKind, Request, Source, ToolResult, Unfit, arguments};

use super::models::Model;
use super::wire::{FunctionResponse, OutPart, Written};
use super::{media, names};

/// An answer as it is written.
pub(super) struct Answered<'a> {
    /// The answer.
    pub(super) response: Written<'a>,
    /// What has no place in it.
    pub(super) beside: Vec<Written<'a>>,
}

/// `result`, which the client said at `at`, for `model`. What it cannot hold is named in `losses`; without the
/// function's name it is nothing.
pub(super) fn written<'a>(
    result: &'a ToolResult,
    at: &str,
    request: &'a Request,
    model: Model<'_>,
    losses: &mut Losses,
) -> Result<Answered<'a>, Unfit> {
    let name = request.tool_name(&result.id).or(result.name.as_deref()).ok_or_else(|| {
        Unfit::untranslatable(
            at,
            "answers a call that is not in the conversation: Gemini wants its function's name",
        )
    })?;
    let mut text = String::new();
    let mut inside = Vec::new();
    let mut beside = Vec::new();
    for part in &result.parts {
        let (source, default_type) = match &part.kind {
            PartKind::Text { text: more, .. }
            | PartKind::Refusal(more)
            | PartKind::Document { source: Source::Text(more), .. }
            | PartKind::Foreign { text: Some(more), .. } => {
                text.push_str(more);
                continue;
            }
            PartKind::Image { source, .. } => (source, "image/jpeg"),
            PartKind::Audio { source } => (source, "audio/wav"),
            PartKind::Video { source } => (source, "video/mp4"),
            PartKind::Document { source, .. } => (source, "application/pdf"),
            _ => {
                losses.add(part.at.as_str(), "Gemini has nothing like it in a function's answer");
                continue;
            }
        };
        let media = media::written(source, default_type).ok_or_else(|| {
            Unfit::untranslatable(part.at.as_str(), "is a file that was uploaded to another provider")
        })?;
        if model.is_third() && media.inline_data.is_some() {
            inside.push(media);
        } else {
            beside.push(media.into());
        }
    }
    let id = Some(result.id.as_str()).filter(|id| !id.is_empty());
    let response = object(&text, result.is_error);
    let response = FunctionResponse { id, name: names::sent(name), response, parts: inside };
    let response = OutPart { function_response: Some(response), ..OutPart::default() };
    Ok(Answered { response: response.into(), beside })
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Wrapped<'a> {
    Result(&'a str),
    Error(&'a str),
}

fn object(text: &str, is_error: bool) -> Json {
    let as_written = || Json::parse(text.trim()).filter(|_| arguments::is_object(text.trim()));
    if is_error {
        Json::of(&Wrapped::Error(text))
    } else {
        as_written().unwrap_or_else(|| Json::of(&Wrapped::Result(text)))
    }
}
