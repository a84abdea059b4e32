//! Reads the content of a message: a string, or a list of parts.

use serde_json::value::RawValue;

use crate::hub::{Extra, Fields, Part, PartKind, Source, Unfit, kind};

use super::keep_rest;

/// The parts of the content `value`, which stands at `at`. Empty texts are none.
pub(super) fn read(value: &RawValue, at: &str, extras: &mut Vec<Extra>) -> Result<Vec<Part>, Unfit> {
    if let Some(text) = string(value) {
        return Ok(said(at, text).into_iter().collect());
    }
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
        return Err(Unfit::bad(at, format!("must be a string or a list of parts, not {}", kind(value))));
    };
    let mut parts = Vec::with_capacity(list.len());
    for (index, value) in list.into_iter().enumerate() {
        let at = format!("{at}[{index}]");
        match string(value) {
            Some(text) => parts.extend(said(&at, text)),
            None => parts.extend(part(value, at, extras)?),
        }
    }
    Ok(parts)
}

fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn said(at: &str, text: String) -> Option<Part> {
    (!text.is_empty()).then(|| Part::new(at, PartKind::plain(text)))
}

fn part(value: &RawValue, at: String, extras: &mut Vec<Extra>) -> Result<Option<Part>, Unfit> {
    let mut fields = Fields::of(at.clone(), value)?;
    let cache = fields.json("cache_control");
    let name = fields.needed_text("type")?;
    let kind = match name.as_str() {
        // Some clients mix the two APIs of OpenAI.
        "text" | "input_text" | "output_text" => {
            let text = fields.needed_text("text")?;
            if text.is_empty() {
                return Ok(None);
            }
            PartKind::plain(text)
        }
        "refusal" => PartKind::Refusal(fields.needed_text("refusal")?),
        "image_url" => {
            let (url, detail) = address(&mut fields, "image_url", extras)?;
            PartKind::Image { source: Source::of_url(&url), detail }
        }
        "audio_url" => {
            PartKind::Audio { source: Source::of_url(&address(&mut fields, "audio_url", extras)?.0) }
        }
        "video_url" => {
            PartKind::Video { source: Source::of_url(&address(&mut fields, "video_url", extras)?.0) }
        }
        "input_audio" => PartKind::Audio { source: sound(&mut fields, extras)? },
        "file" => file(&mut fields, extras)?,
        _ => {
            let kind = PartKind::Foreign { kind: name, raw: value.into(), text: None };
            return Ok(Some(Part { kind, at, cache }));
        }
    };
    keep_rest(fields, extras);
    Ok(Some(Part { kind, at, cache }))
}

/// The address in the member `name`: an object with a `url`, or the address itself; and the `detail`.
fn address(
    fields: &mut Fields<'_>,
    name: &str,
    extras: &mut Vec<Extra>,
) -> Result<(String, Option<String>), Unfit> {
    let path = fields.path(name);
    if let Some(url) = fields.peek(name).and_then(string) {
        fields.take(name);
        return Ok((url, fields.text("detail")?));
    }
    let mut inner = fields.object(name)?.ok_or_else(|| Unfit::bad(path, "is missing"))?;
    let url = inner.needed_text("url")?;
    let detail = inner.text("detail")?;
    keep_rest(inner, extras);
    Ok((url, detail))
}

fn sound(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Source, Unfit> {
    let path = fields.path("input_audio");
    let mut inner = fields.object("input_audio")?.ok_or_else(|| Unfit::bad(path, "is missing"))?;
    let data = inner.needed_text("data")?;
    let format = inner.text("format")?.unwrap_or_else(|| "wav".to_owned());
    keep_rest(inner, extras);
    Ok(match Source::of_url(&data) {
        source @ Source::Base64 { .. } => source,
        _ => Source::Base64 { media_type: format!("audio/{format}"), data },
    })
}

fn file(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<PartKind, Unfit> {
    let path = fields.path("file");
    let missing = || Unfit::bad(path.clone(), "must have file_data or file_id");
    let mut inner = fields.object("file")?.ok_or_else(missing)?;
    let name = inner.text("filename")?;
    let source = match (inner.text("file_data")?, inner.text("file_id")?) {
        (Some(data), _) if data.starts_with("data:") || data.contains("://") => Source::of_url(&data),
        (Some(data), _) => Source::Base64 { media_type: String::new(), data },
        (None, Some(id)) => Source::File { id },
        (None, None) => return Err(missing()),
    };
    keep_rest(inner, extras);
    let is_image = source.media_type().is_some_and(|media_type| media_type.starts_with("image/"));
    Ok(match source {
        source if is_image => PartKind::Image { source, detail: None },
        source => PartKind::Document { source, name, context: None, citations: None },
    })
}
