//! Writes the parts of what a user says.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::json;

use crate::Dialect;
use crate::hub::{Json, Part, PartKind, Source, Unfit};
use crate::translate::Engine;

use super::Task;

/// A piece of content.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Piece {
    /// Text.
    Text(String),
    /// A part of another type, as it is written.
    Other(Json),
}

impl Piece {
    fn other(value: &impl Serialize) -> Self {
        Self::Other(Json::of(value))
    }

    /// It as a part in a list.
    pub(super) fn to_part(&self) -> Json {
        match self {
            Self::Text(text) => Json::of(&TextPart { r#type: "text", text }),
            Self::Other(part) => part.clone(),
        }
    }
}

#[derive(Serialize)]
struct TextPart<'a> {
    r#type: &'static str,
    text: &'a str,
}

impl Task<'_> {
    /// The piece for `part`; `None` where there is nothing to be said. What the server cannot be shown at all is an error: an
    /// answer that does not know of it would be worse than none.
    pub(super) fn piece(&mut self, part: &Part) -> Result<Option<Piece>, Unfit> {
        Ok(Some(match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal(text) => {
                return Ok((!text.is_empty()).then(|| Piece::Text(text.clone())));
            }
            PartKind::Image { source, detail } => image(part, source, detail.as_deref())?,
            PartKind::Audio { source } => self.audio(part, source)?,
            PartKind::Video { source } => self.video(part, source)?,
            PartKind::Document { source, name, context, citations } => {
                if citations.as_ref().is_some_and(|setting| setting.to_value()["enabled"] == true) {
                    self.losses.add(format!("{}.citations", part.at), "the backend cites nothing");
                }
                self.document(part, source, name.as_deref(), context.as_deref())?
            }
            PartKind::Foreign { raw, .. } if self.takes_foreign() => Piece::Other(raw.clone()),
            PartKind::Foreign { text: Some(text), .. } => Piece::Text(text.clone()),
            PartKind::Foreign { kind, text: None, .. } => {
                let message = format!("is of the type {kind}, which this backend cannot be shown");
                return Err(Unfit::untranslatable(&part.at, message));
            }
            PartKind::ToolCall(_) => {
                self.losses.add(&part.at, "only the model calls tools");
                return Ok(None);
            }
            PartKind::Thinking { .. } | PartKind::SealedThinking { .. } | PartKind::ToolResult(_) => {
                return Ok(None);
            }
        }))
    }

    /// Whether parts of an unknown type may be passed on: the client speaks this very dialect.
    fn takes_foreign(&self) -> bool {
        self.terms.pass_unknown && self.request.origin.dialect() == Dialect::OpenAi
    }

    fn audio(&self, part: &Part, source: &Source) -> Result<Piece, Unfit> {
        match source {
            Source::Base64 { media_type, data } => {
                let format = match media_type.rsplit('/').next().unwrap_or_default() {
                    "mpeg" | "mp3" => "mp3",
                    "x-wav" | "wave" | "vnd.wave" | "wav" | "" => "wav",
                    other => other,
                };
                let sound = json!({"data": data, "format": format});
                Ok(Piece::other(&json!({"type": "input_audio", "input_audio": sound})))
            }
            Source::Url { url, .. } if self.engine == Engine::Vllm => {
                Ok(Piece::other(&json!({"type": "audio_url", "audio_url": {"url": url}})))
            }
            _ => Err(Unfit::untranslatable(&part.at, "must hold the sound itself for this backend")),
        }
    }

    fn video(&self, part: &Part, source: &Source) -> Result<Piece, Unfit> {
        match source.to_url("video/mp4") {
            Some(url) if matches!(self.engine, Engine::Vllm | Engine::Other) => {
                Ok(Piece::other(&json!({"type": "video_url", "video_url": {"url": url}})))
            }
            _ => Err(Unfit::untranslatable(&part.at, "is a video, which this backend cannot be shown")),
        }
    }

    fn document(
        &self,
        part: &Part,
        source: &Source,
        name: Option<&str>,
        context: Option<&str>,
    ) -> Result<Piece, Unfit> {
        let is_openai = matches!(self.request.origin.dialect(), Dialect::OpenAi | Dialect::Responses);
        if let Some(text) = text_of(source) {
            let head: Vec<_> = [name, context].into_iter().flatten().collect();
            let gap = if head.is_empty() { "" } else { "\n\n" };
            return Ok(Piece::Text(format!("{}{gap}{text}", head.join("\n"))));
        }
        if self.engine.is_local() {
            return Err(Unfit::untranslatable(
                &part.at,
                "is a document, of which this backend takes only text",
            ));
        }
        let name = name.unwrap_or("document.pdf");
        let file = match source {
            Source::Base64 { .. } => {
                json!({"filename": name, "file_data": source.to_url("application/pdf")})
            }
            Source::Url { url, .. } if self.engine == Engine::Other => {
                json!({"filename": name, "file_data": url})
            }
            Source::File { id } if is_openai => json!({"file_id": id}),
            Source::File { .. } => {
                return Err(Unfit::untranslatable(&part.at, "was uploaded to another provider"));
            }
            Source::Url { .. } | Source::Text(_) => {
                return Err(Unfit::untranslatable(
                    &part.at,
                    "must hold the document itself for this backend",
                ));
            }
        };
        Ok(Piece::other(&json!({"type": "file", "file": file})))
    }
}

fn image(part: &Part, source: &Source, detail: Option<&str>) -> Result<Piece, Unfit> {
    let Some(url) = source.to_url("image/jpeg") else {
        return Err(Unfit::untranslatable(&part.at, "was uploaded to another provider"));
    };
    let mut image = json!({"url": url});
    if let Some(detail) = detail {
        image["detail"] = detail.into();
    }
    Ok(Piece::other(&json!({"type": "image_url", "image_url": image})))
}

/// The text of a document that is one.
pub(super) fn text_of(source: &Source) -> Option<String> {
    match source {
        Source::Text(text) => Some(text.clone()),
        Source::Base64 { media_type, data } if media_type.starts_with("text/") => {
            String::from_utf8(BASE64_STANDARD.decode(data).ok()?).ok()
        }
        _ => None,
    }
}
