//! The parts of a client's messages and of the answers of its tools.

use serde_json::value::RawValue;

use crate::hub::{Extra, Fields, Json, Part, PartKind, Source, Unfit};

/// The parts of `value`, which is a string or a list of parts and stands at `at`. What has no place in a part goes to
/// `extras`.
pub(super) fn parts(value: &RawValue, at: &str, extras: &mut Vec<Extra>) -> Result<Vec<Part>, Unfit> {
    if let Ok(text) = serde_json::from_str::<String>(value.get()) {
        return Ok(vec![Part::new(at, PartKind::plain(text))]);
    }
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
        let what = crate::hub::kind(value);
        return Err(Unfit::bad(at, format!("must be a string or a list, not {what}")));
    };
    list.into_iter()
        .enumerate()
        .map(|(index, value)| {
            if let Ok(text) = serde_json::from_str::<String>(value.get()) {
                return Ok(Part::new(format!("{at}[{index}]"), PartKind::plain(text)));
            }
            part(value, format!("{at}[{index}]"), extras)
        })
        .collect()
}

/// Puts what is left of an object where a writer can name it. `false` is what every such setting is without being said.
pub(super) fn keep_rest(fields: Fields<'_>, extras: &mut Vec<Extra>) {
    let top = fields.at().to_owned();
    for (name, value) in fields.rest() {
        if value.get() != "false" {
            let at = if top.is_empty() { name.into_owned() } else { format!("{top}.{name}") };
            extras.push(Extra { name: at.clone(), at, value: value.into() });
        }
    }
}

fn part(value: &RawValue, at: String, extras: &mut Vec<Extra>) -> Result<Part, Unfit> {
    let mut fields = Fields::of(at.clone(), value)?;
    let told = fields.text("type")?;
    let kind = match told.as_deref() {
        Some(kind) => kind,
        None if fields.has("text") => "input_text",
        None => return Err(Unfit::bad(fields.path("type"), "is missing")),
    };
    let kind = match kind {
        "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => text(&mut fields)?,
        "refusal" => PartKind::Refusal(fields.needed_text("refusal")?),
        "input_image" | "image_url" | "computer_screenshot" => image(&mut fields)?,
        "input_file" => file(&mut fields)?,
        "input_audio" => audio(&mut fields)?,
        other => {
            let kind = PartKind::Foreign { kind: other.to_owned(), raw: value.into(), text: None };
            return Ok(Part::new(at, kind));
        }
    };
    let mut part = Part::new(at, kind);
    part.cache = cache(&mut fields);
    keep_rest(fields, extras);
    Ok(part)
}

/// Where the client wants a prompt's cache to end, in Anthropic's words.
pub(super) fn cache(fields: &mut Fields<'_>) -> Option<Json> {
    let breakpoint =
        fields.take("prompt_cache_breakpoint").and_then(|_| Json::parse(r#"{"type":"ephemeral"}"#));
    fields.json("cache_control").or(breakpoint)
}

fn text(fields: &mut Fields<'_>) -> Result<PartKind, Unfit> {
    let text = fields.needed_text("text")?;
    let sources =
        fields.json("annotations").filter(|list| list.to::<Vec<Json>>().is_some_and(|l| !l.is_empty()));
    fields.take("logprobs");
    Ok(PartKind::Text { text, sources })
}

fn image(fields: &mut Fields<'_>) -> Result<PartKind, Unfit> {
    let mut detail = fields.text("detail")?;
    // The other API of OpenAI puts the address into an object.
    let is_nested = fields.peek("image_url").is_some_and(|url| url.get().starts_with('{'));
    let url = if is_nested {
        let nested = fields.object("image_url")?;
        nested.map_or(Ok(None), |mut nested| {
            detail = detail.take().or(nested.text("detail")?);
            nested.text("url")
        })?
    } else {
        fields.text("image_url")?
    };
    let id = fields.text("file_id")?;
    let source = match (url, id) {
        (Some(url), _) => Source::of_url(&url),
        (None, Some(id)) => Source::File { id },
        (None, None) => return Err(Unfit::bad(fields.path("image_url"), "is missing")),
    };
    Ok(PartKind::Image { source, detail })
}

fn file(fields: &mut Fields<'_>) -> Result<PartKind, Unfit> {
    let name = fields.text("filename")?;
    let (data, url, id) = (fields.text("file_data")?, fields.text("file_url")?, fields.text("file_id")?);
    let source = match (data, url, id) {
        (Some(data), ..) if data.starts_with("data:") => Source::of_url(&data),
        (Some(data), ..) => {
            let media_type = name.as_deref().and_then(type_by_name).unwrap_or_default().to_owned();
            Source::Base64 { media_type, data }
        }
        (None, Some(url), _) => Source::of_url(&url),
        (None, None, Some(id)) => Source::File { id },
        (None, None, None) => {
            return Err(Unfit::bad(fields.at(), "must have file_data, file_url or file_id"));
        }
    };
    fields.take("detail");
    Ok(PartKind::Document { source, name, context: None, citations: None })
}

fn type_by_name(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "txt" | "md" => "text/plain",
        "csv" => "text/csv",
        "html" => "text/html",
        "json" => "application/json",
        _ => return None,
    })
}

fn audio(fields: &mut Fields<'_>) -> Result<PartKind, Unfit> {
    let path = fields.path("input_audio");
    // Some clients leave the inner object out.
    let (data, format) = match fields.object("input_audio")? {
        Some(mut inner) => (inner.needed_text("data")?, inner.text("format")?),
        None if fields.has("data") => (fields.needed_text("data")?, fields.text("format")?),
        None => return Err(Unfit::bad(path, "is missing")),
    };
    let media_type = format.map(|format| format!("audio/{format}")).unwrap_or_default();
    Ok(PartKind::Audio { source: Source::Base64 { media_type, data } })
}
