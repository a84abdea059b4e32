//! Where the bytes of pictures and documents are, in the words of this dialect: the member `source`.

use crate::hub::{Fields, Source, Unfit};

use crate::hub::Object;

/// Reads the `source` of a block. `None` for a type of source that nobody knows.
pub(super) fn read(mut source: Fields<'_>) -> Result<Option<Source>, Unfit> {
    let kind = source.needed_text("type")?;
    Ok(Some(match kind.as_str() {
        "base64" => Source::Base64 {
            media_type: source.text("media_type")?.unwrap_or_default(),
            data: source.needed_text("data")?,
        },
        "text" => Source::Text(source.needed_text("data")?),
        "url" => match Source::of_url(&source.needed_text("url")?) {
            Source::Url { url, .. } => Source::Url { url, media_type: source.text("media_type")? },
            inline => inline,
        },
        "file" => Source::File { id: source.needed_text("file_id")? },
        _ => return Ok(None),
    }))
}

/// `source` as it is written.
pub(super) fn written(source: &Source) -> Object {
    match source {
        Source::Base64 { media_type, data } => {
            let told = source.media_type().unwrap_or(media_type);
            Object::typed("base64").with("media_type", told).with("data", data)
        }
        Source::Url { url, .. } => Object::typed("url").with("url", url),
        Source::File { id } => Object::typed("file").with("file_id", id),
        Source::Text(text) => Object::typed("text").with("media_type", "text/plain").with("data", text),
    }
}
