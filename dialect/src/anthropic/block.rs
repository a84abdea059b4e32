//! Content blocks that come in: what each is in the hub. Requests and answers are made of the same ones.

use serde_json::value::RawValue;

use crate::hub::{Extra, Fields, Json, Part, PartKind, Source, ToolCall, ToolResult, Unfit, arguments, kind};

use super::{seal, source};

/// Reads `content`, which stands at `at`: a string, or a list of blocks. What the hub has no place for goes to `extras`.
pub(super) fn read_content(
    content: &RawValue,
    at: &str,
    extras: &mut Vec<Extra>,
) -> Result<Vec<Part>, Unfit> {
    if let Ok(text) = serde_json::from_str::<String>(content.get()) {
        return Ok(vec![Part::new(at, PartKind::plain(text))]);
    }
    let Ok(blocks) = serde_json::from_str::<Vec<&RawValue>>(content.get()) else {
        return Err(Unfit::bad(at, format!("must be a string or a list of blocks, not {}", kind(content))));
    };
    let mut parts = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.into_iter().enumerate() {
        read(block, &format!("{at}[{index}]"), &mut parts, extras)?;
    }
    Ok(attach_seals(parts))
}

/// Reads the block `raw`, which stands at `at`, and appends what it is to `parts`.
pub(super) fn read(
    raw: &RawValue,
    at: &str,
    parts: &mut Vec<Part>,
    extras: &mut Vec<Extra>,
) -> Result<(), Unfit> {
    let mut block = Fields::of(at, raw)?;
    let kind = block.needed_text("type")?;
    let cache = block.json("cache_control");
    let read = match kind.as_str() {
        "text" => PartKind::Text { text: block.needed_text("text")?, sources: sources(&mut block) },
        "thinking" => {
            let text = block.text("thinking")?.unwrap_or_default();
            let seal = block.text("signature")?.as_deref().and_then(seal::read);
            PartKind::Thinking { text, signature: seal.map(|seal| seal.signature) }
        }
        "redacted_thinking" => sealed(&block.needed_text("data")?, raw),
        "tool_use" => PartKind::ToolCall(read_call(&mut block)?),
        "tool_result" => PartKind::ToolResult(read_result(&mut block, extras)?),
        "image" => {
            let Some(source) = read_source(&mut block)? else {
                parts.push(foreign(kind, at, raw, cache));
                return Ok(());
            };
            PartKind::Image { source, detail: None }
        }
        "document" => return read_document(block, raw, cache, parts, extras),
        _ => {
            parts.push(foreign(kind, at, raw, cache));
            return Ok(());
        }
    };
    keep_rest(block, extras);
    parts.push(Part { kind: read, at: at.to_owned(), cache });
    Ok(())
}

/// Sources in which there is one.
fn sources(block: &mut Fields<'_>) -> Option<Json> {
    block.json("citations").filter(|citations| !matches!(citations.as_str(), "[]"))
}

fn read_source(block: &mut Fields<'_>) -> Result<Option<Source>, Unfit> {
    let at = block.path("source");
    match block.object("source")? {
        Some(fields) => source::read(fields),
        None => Err(Unfit::bad(at, "is missing")),
    }
}

/// Thoughts that only their provider can read. One that belongs to a call is told apart by [`attach_seals`].
fn sealed(data: &str, raw: &RawValue) -> PartKind {
    match seal::read(data) {
        Some(seal) if seal.is_for_call => {
            PartKind::Foreign { kind: FOR_CALL.to_owned(), raw: raw.into(), text: Some(data.to_owned()) }
        }
        Some(seal) => PartKind::SealedThinking { data: seal.signature },
        None => PartKind::Thinking { text: String::new(), signature: None },
    }
}

/// The kind of a part that only lives until its call is found.
const FOR_CALL: &str = "signature of the next call";

/// Gives the signatures of calls, which stand in front of them, to the calls.
fn attach_seals(parts: Vec<Part>) -> Vec<Part> {
    let mut waiting = None;
    let mut kept = Vec::with_capacity(parts.len());
    for mut part in parts {
        match &mut part.kind {
            PartKind::Foreign { kind, text, .. } if kind == FOR_CALL => {
                waiting = text.as_deref().and_then(seal::read).map(|seal| seal.signature);
                continue;
            }
            PartKind::ToolCall(call) => call.signature = waiting.take(),
            _ => waiting = None,
        }
        kept.push(part);
    }
    kept
}

fn read_call(block: &mut Fields<'_>) -> Result<ToolCall, Unfit> {
    let at = block.path("input");
    let input = block.take("input").map_or("{}", RawValue::get);
    let arguments = arguments::mended(input)
        .ok_or_else(|| Unfit::bad(at, "must be an object: the tool's arguments"))?
        .into_owned();
    Ok(ToolCall {
        id: block.text("id")?.unwrap_or_default(),
        name: block.needed_text("name")?,
        arguments,
        is_custom: false,
        signature: None,
    })
}

fn read_result(block: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<ToolResult, Unfit> {
    let at = block.path("content");
    let parts = match block.take("content") {
        Some(content) => read_content(content, &at, extras)?,
        None => Vec::new(),
    };
    Ok(ToolResult {
        id: block.needed_text("tool_use_id")?,
        name: None,
        parts,
        is_error: block.flag("is_error")?.unwrap_or(false),
    })
}

/// Reads a document. One made of blocks becomes their text, and their pictures after it.
fn read_document(
    mut block: Fields<'_>,
    raw: &RawValue,
    cache: Option<Json>,
    parts: &mut Vec<Part>,
    extras: &mut Vec<Extra>,
) -> Result<(), Unfit> {
    let at = block.at().to_owned();
    let content = block.peek("source").and_then(|source| {
        let mut fields = Fields::of(block.path("source"), source).ok()?;
        (fields.text("type").ok()?.as_deref() == Some("content")).then(|| fields.take("content"))?
    });
    let mut pictures = Vec::new();
    let source = if let Some(content) = content {
        let mut texts = Vec::new();
        for part in read_content(content, &format!("{at}.source.content"), extras)? {
            match part.text() {
                Some(text) => texts.push(text.to_owned()),
                None => pictures.push(part),
            }
        }
        block.take("source");
        Source::Text(texts.join("\n\n"))
    } else if let Some(source) = read_source(&mut block)? {
        source
    } else {
        parts.push(foreign("document".to_owned(), &at, raw, cache));
        return Ok(());
    };
    let kind = PartKind::Document {
        source,
        name: block.text("title")?,
        context: block.text("context")?,
        citations: block.json("citations"),
    };
    keep_rest(block, extras);
    parts.push(Part { kind, at, cache });
    parts.append(&mut pictures);
    Ok(())
}

fn foreign(kind: String, at: &str, raw: &RawValue, cache: Option<Json>) -> Part {
    let text = words_of(&kind, &Json::from(raw).to_value());
    Part { kind: PartKind::Foreign { kind, raw: raw.into(), text }, at: at.to_owned(), cache }
}

fn keep_rest(block: Fields<'_>, extras: &mut Vec<Extra>) {
    let at = block.at().to_owned();
    for (name, value) in block.rest() {
        // Always there in answers, and told again in histories.
        if name != "caller" || value.get() != r#"{"type":"direct"}"# {
            extras.push(Extra { at: format!("{at}.{name}"), name: name.into_owned(), value: value.into() });
        }
    }
}

/// Makes a part that was read one of an answer. What the provider's own tools did stands beside the answer, and is not to be
/// read in the midst of it by clients that have no blocks for it.
pub(super) fn as_answered(part: &mut Part) {
    part.at.clear();
    if let PartKind::Foreign { text, .. } = &mut part.kind {
        *text = None;
    }
}

/// What can be said of a block that only this dialect has: a call in its own words, or every text in a result. `None`
/// where there is nothing to read.
fn words_of(kind: &str, block: &serde_json::Value) -> Option<String> {
    if kind.ends_with("tool_use") {
        let name = block.get("name").and_then(serde_json::Value::as_str).unwrap_or(kind);
        let input = block.get("input").map(ToString::to_string).unwrap_or_default();
        return Some(format!("[{name} {input}]"));
    }
    if kind == "tool_reference" {
        // Every tool is defined at once elsewhere.
        let name = block.get("tool_name").and_then(serde_json::Value::as_str)?;
        return Some(format!("[The tool {name} can be called now.]\n"));
    }
    let mut texts = Vec::new();
    collect(block, &mut texts);
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn collect<'a>(value: &'a serde_json::Value, texts: &mut Vec<&'a str>) {
    const READABLE: [&str; 8] = ["title", "url", "source", "text", "stdout", "stderr", "error_code", "data"];
    match value {
        serde_json::Value::Object(members) => {
            let is_encoded = members.get("type").and_then(serde_json::Value::as_str) == Some("base64");
            for (name, member) in members {
                match member {
                    serde_json::Value::String(text) if !text.is_empty() => {
                        let is_content = name == "content" || READABLE.contains(&name.as_str());
                        if is_content && !(is_encoded && name == "data") {
                            texts.push(text);
                        }
                    }
                    _ => collect(member, texts),
                }
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|element| collect(element, texts)),
        _ => {}
    }
}
