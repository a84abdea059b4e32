//! Pictures, sounds, films and documents as Gemini carries them: bytes here, or a file elsewhere, with a media type.

use crate::hub::{PartKind, Source, Unfit};

use super::base64;
use super::proto::Proto;
use super::wire::{Blob, FileData, OutPart};

/// Where files uploaded to Google are.
const UPLOADED: [&str; 3] = ["https://generativelanguage.googleapis.com/", "gs://", "files/"];

/// Media types by the end of a file's name.
const ENDINGS: [(&str, &str); 22] = [
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".gif", "image/gif"),
    (".webp", "image/webp"),
    (".heic", "image/heic"),
    (".mp3", "audio/mp3"),
    (".wav", "audio/wav"),
    (".flac", "audio/flac"),
    (".ogg", "audio/ogg"),
    (".m4a", "audio/m4a"),
    (".mp4", "video/mp4"),
    (".mov", "video/mov"),
    (".webm", "video/webm"),
    (".mpeg", "video/mpeg"),
    (".pdf", "application/pdf"),
    (".txt", "text/plain"),
    (".md", "text/markdown"),
    (".html", "text/html"),
    (".csv", "text/csv"),
    (".xml", "text/xml"),
    (".json", "application/json"),
];

/// The part that the object `inlineData` is.
pub(super) fn read_inline(mut blob: Proto<'_>) -> Result<PartKind, Unfit> {
    let media_type = blob.text("mimeType")?.unwrap_or_default();
    let data = base64::standard(blob.needed_text("data")?);
    let name = blob.text("displayName")?;
    let as_text = || base64::decoded(&data).and_then(|bytes| String::from_utf8(bytes).ok());
    let text = if is_text(&media_type) { as_text() } else { None };
    let source = match text {
        Some(text) => Source::Text(text),
        None => Source::Base64 { media_type: media_type.clone(), data },
    };
    Ok(of_type(&media_type, source, name))
}

/// Whether bytes of this type can be read as they are: then they are told as text, which every model takes.
fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || media_type == "application/json"
}

/// The part that the object `fileData` is. Nobody but Google can read a file that was uploaded there.
pub(super) fn read_file(mut file: Proto<'_>) -> Result<PartKind, Unfit> {
    let at = file.path("fileUri");
    let url = file.needed_text("fileUri")?;
    let media_type = file.text("mimeType")?;
    let name = file.text("displayName")?;
    let told = media_type.clone().or_else(|| type_by_ending(&url).map(str::to_owned));
    let is_film = url.contains("youtube.com/") || url.contains("youtu.be/");
    let told = told.unwrap_or_else(|| if is_film { "video/mp4" } else { "" }.to_owned());
    if UPLOADED.iter().any(|start| url.starts_with(start)) {
        return Err(Unfit::untranslatable(at, "is a file that was uploaded to Google"));
    }
    Ok(of_type(&told, Source::Url { url, media_type }, name))
}

fn of_type(media_type: &str, source: Source, name: Option<String>) -> PartKind {
    match media_type.split('/').next() {
        Some("image") => PartKind::Image { source, detail: None },
        Some("audio") => PartKind::Audio { source },
        Some("video") => PartKind::Video { source },
        _ => PartKind::Document { source, name, context: None, citations: None },
    }
}

/// `source` as a part, as `default_type` where nothing tells its media type. `None` for a file that was uploaded to another
/// provider.
pub(super) fn written<'a>(source: &'a Source, default_type: &'static str) -> Option<OutPart<'a>> {
    match source {
        Source::Base64 { data, .. } => {
            let mime_type = source.media_type().filter(|told| !told.is_empty()).unwrap_or(default_type);
            Some(OutPart {
                inline_data: Some(Blob { mime_type: mime_type.into(), data }),
                ..OutPart::default()
            })
        }
        Source::Url { url, media_type } => {
            let told = media_type.as_deref().or_else(|| type_by_ending(url)).unwrap_or(default_type);
            Some(file(url, Some(told)))
        }
        Source::File { id } if UPLOADED.iter().any(|start| id.starts_with(start)) => Some(file(id, None)),
        Source::File { .. } => None,
        Source::Text(text) => Some(OutPart::text(text.as_str())),
    }
}

fn file<'a>(file_uri: &'a str, mime_type: Option<&'a str>) -> OutPart<'a> {
    OutPart { file_data: Some(FileData { mime_type, file_uri }), ..OutPart::default() }
}

/// The media type of the file at `url`, by the end of its name.
fn type_by_ending(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    ENDINGS.iter().find(|(ending, _)| path.ends_with(ending)).map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(json: &str) -> PartKind {
        let raw = serde_json::from_str(json).unwrap();
        read_inline(Proto::of("x", raw).unwrap()).unwrap()
    }

    #[test]
    fn bytes_become_what_their_type_says() {
        let picture = inline(r#"{"mimeType":"image/png","data":"_-8"}"#);
        let source = Source::Base64 { media_type: "image/png".to_owned(), data: "/+8=".to_owned() };
        assert_eq!(picture, PartKind::Image { source, detail: None });
        let sound = inline(r#"{"mime_type":"audio/mp3","data":"AAAA"}"#);
        assert!(matches!(sound, PartKind::Audio { .. }));
        let text = inline(r#"{"mimeType":"text/markdown","data":"IyBIaQ==","displayName":"a.md"}"#);
        let PartKind::Document { source, name, .. } = text else { unreachable!("it is a document") };
        assert_eq!((source, name.as_deref()), (Source::Text("# Hi".to_owned()), Some("a.md")));
        let no_text = inline(r#"{"mimeType":"text/plain","data":"/w=="}"#);
        assert!(matches!(no_text, PartKind::Document { source: Source::Base64 { .. }, .. }));
    }

    #[test]
    fn the_type_of_a_file_is_read_from_its_name_where_nothing_tells_it() {
        for (url, kind) in [
            ("https://a.example/b.MP4?c#d", "video/mp4"),
            ("https://a.example/b", "image/jpeg"),
            ("https://a.example/b.pdf", "application/pdf"),
        ] {
            let source = Source::Url { url: url.to_owned(), media_type: None };
            let part = written(&source, "image/jpeg").unwrap();
            assert_eq!(part.file_data.unwrap().mime_type, Some(kind));
        }
        let raw = serde_json::from_str(r#"{"fileUri":"https://youtu.be/x"}"#).unwrap();
        let film = read_file(Proto::of("x", raw).unwrap()).unwrap();
        assert!(matches!(film, PartKind::Video { source: Source::Url { .. } }));
        assert!(written(&Source::File { id: "file-1".to_owned() }, "image/jpeg").is_none());
        assert!(written(&Source::File { id: "files/1".to_owned() }, "image/jpeg").is_some());
    }
}
