//! Parts of a conversation as content blocks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hub::{Losses, Part, PartKind, Provider, Source, Unfit};

use super::super::source;
use super::Task;
use crate::hub::Object;

/// The kinds of pictures that Anthropic takes.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Where a block stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    User,
    Assistant,
    Result,
}

/// Writes blocks.
pub(super) struct Blocks<'a, 'b> {
    pub(super) task: Task<'a>,
    pub(super) losses: &'b mut Losses,
    /// Whether one of them names an uploaded file.
    pub(super) names_files: bool,
}

impl Blocks<'_, '_> {
    /// The words of a part of instructions. Anything else in them is lost.
    pub(super) fn words<'p>(&mut self, part: &'p Part) -> Option<&'p str> {
        if part.text().is_none() {
            self.losses.add(&part.at, "Anthropic takes nothing but text as instructions");
        }
        part.text().filter(|text| !text.trim().is_empty())
    }

    /// The block for `part`; `None` if it is empty or lost. Calls and results of tools are not written here.
    pub(super) fn block(&mut self, part: &Part, place: Place) -> Result<Option<Object>, Unfit> {
        let object = match &part.kind {
            PartKind::Text { text, sources } => {
                let own = sources.as_ref().filter(|_| self.task.is_kindred());
                text_block(text).map(|block| block.with_some("citations", own))
            }
            PartKind::Refusal(text) => text_block(text),
            PartKind::Thinking { text, signature } => {
                let signature = signature.as_ref().filter(|one| one.provider == Provider::Anthropic);
                return Ok(self.thoughts(text, signature.map(|one| one.data.as_str())));
            }
            PartKind::SealedThinking { data } => {
                let is_own = data.provider == Provider::Anthropic;
                return Ok(is_own.then(|| Object::typed("redacted_thinking").with("data", &data.data)));
            }
            PartKind::Foreign { kind, raw, text } => {
                return Ok(self.foreign(part, kind, raw, text.as_deref()));
            }
            PartKind::Image { .. }
            | PartKind::Audio { .. }
            | PartKind::Video { .. }
            | PartKind::Document { .. }
                if place == Place::Assistant =>
            {
                self.losses.add(&part.at, "Anthropic takes none in a turn of the model");
                return Ok(None);
            }
            PartKind::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.losses.add(&part.at, "Anthropic chooses the detail of a picture itself");
                }
                Some(self.picture(part, source)?)
            }
            PartKind::Document { source, name, context, citations } => {
                let source = self.document(part, source)?;
                let block = Object::typed("document")
                    .with("source", &source)
                    .with_some("title", name.as_ref())
                    .with_some("context", context.as_ref())
                    .with_some("citations", citations.as_ref());
                Some(block)
            }
            PartKind::Audio { .. } => {
                return Err(Unfit::untranslatable(&part.at, "is sound, which Anthropic does not take"));
            }
            PartKind::Video { .. } => {
                return Err(Unfit::untranslatable(&part.at, "is video, which Anthropic does not take"));
            }
            PartKind::ToolCall(_) | PartKind::ToolResult(_) => {
                self.losses.add(&part.at, "has no place here");
                None
            }
        };
        Ok(object.map(|object| object.with_some("cache_control", part.cache.as_ref())))
    }

    /// Thoughts of the history: signed ones go back to who made them, others to engines that do not ask for a
    /// signature. Elsewhere nobody misses them.
    fn thoughts(&self, text: &str, signature: Option<&str>) -> Option<Object> {
        let is_taken = signature.is_some() || (self.task.talent.is_local && !text.is_empty());
        is_taken.then(|| {
            Object::typed("thinking").with("thinking", text).with("signature", signature.unwrap_or_default())
        })
    }

    fn foreign(
        &mut self,
        part: &Part,
        kind: &str,
        raw: &crate::hub::Json,
        text: Option<&str>,
    ) -> Option<Object> {
        if self.task.is_kindred() {
            return Some(Object::of(raw));
        }
        let Some(text) = text else {
            self.losses.add(&part.at, format!("Anthropic has nothing like {kind:?}"));
            return None;
        };
        self.losses.add(&part.at, format!("Anthropic has nothing like {kind:?}; sent as text"));
        text_block(text)
    }

    fn picture(&mut self, part: &Part, source: &Source) -> Result<Object, Unfit> {
        let source = match source {
            Source::Base64 { media_type, data } => {
                let told = source.media_type().unwrap_or(media_type).to_ascii_lowercase();
                let told = if told == "image/jpg" { "image/jpeg" } else { told.as_str() };
                if !PICTURES.contains(&told) {
                    let message = format!("is a picture of the type {told:?}, which Anthropic does not take");
                    return Err(Unfit::untranslatable(&part.at, message));
                }
                source::written(&Source::Base64 { media_type: told.to_owned(), data: data.clone() })
            }
            Source::Text(_) => return Err(Unfit::untranslatable(&part.at, "is a picture without bytes")),
            other => self.elsewhere(part, other)?,
        };
        Ok(Object::typed("image").with("source", &source))
    }

    fn document(&mut self, part: &Part, source: &Source) -> Result<Object, Unfit> {
        let Source::Base64 { data, .. } = source else { return self.elsewhere(part, source) };
        let told = source.media_type().unwrap_or_default().to_ascii_lowercase();
        if told == "application/pdf" {
            return Ok(source::written(source));
        }
        let is_text = told.starts_with("text/")
            || ["json", "xml", "yaml", "javascript", "x-sh"].iter().any(|word| told.ends_with(word));
        let text = STANDARD.decode(data.trim_end()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.filter(|_| is_text).map(|text| source::written(&Source::Text(text))).ok_or_else(|| {
            let message = format!("is a document of the type {told:?}; Anthropic takes PDF and text");
            Unfit::untranslatable(&part.at, message)
        })
    }

    /// A source whose bytes are not here.
    fn elsewhere(&mut self, part: &Part, source: &Source) -> Result<Object, Unfit> {
        match source {
            Source::File { .. } if !self.task.is_kindred() => {
                Err(Unfit::untranslatable(&part.at, "is a file uploaded to another provider"))
            }
            Source::Url { url, .. } if !url.starts_with("https://") && !url.starts_with("http://") => {
                Err(Unfit::untranslatable(&part.at, "is at an address that only its own provider can read"))
            }
            _ => {
                self.names_files |= matches!(source, Source::File { .. });
                Ok(source::written(source))
            }
        }
    }
}

/// Text, if there is any: Anthropic refuses one that is empty or only white space.
fn text_block(text: &str) -> Option<Object> {
    (!text.trim().is_empty()).then(|| Object::typed("text").with("text", text))
}
