//! The parts of messages and answers.

use super::json::Json;

/// A part of a message or of an answer.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Part {
    /// What it is.
    pub(crate) kind: PartKind,
    /// Where the client said it; empty in answers.
    pub(crate) at: String,
    /// Anthropic's `cache_control` on it.
    pub(crate) cache: Option<Json>,
}

impl Part {
    /// A part said at `at`.
    pub(crate) fn new(at: impl Into<String>, kind: PartKind) -> Self {
        Self { kind, at: at.into(), cache: None }
    }

    /// A part of an answer.
    pub(crate) fn answered(kind: PartKind) -> Self {
        Self::new("", kind)
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            PartKind::Text { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// The kinds of parts.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum PartKind {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// Where it comes from: Anthropic's `citations`, OpenAI's `annotations`, as written there.
        sources: Option<Json>,
    },
    /// A picture.
    Image {
        /// Where it is.
        source: Source,
        /// OpenAI's `detail`: `auto`, `low`, `high`.
        detail: Option<String>,
    },
    /// Sound.
    Audio {
        /// Where it is. OpenAI's `format` is the second half of the media type.
        source: Source,
    },
    /// Moving pictures.
    Video {
        /// Where they are.
        source: Source,
    },
    /// A document: PDF, text.
    Document {
        /// Where it is.
        source: Source,
        /// Its name.
        name: Option<String>,
        /// What it is about (Anthropic's `context`).
        context: Option<String>,
        /// Anthropic's `citations` setting on it, as written.
        citations: Option<Json>,
    },
    /// What the model thought.
    Thinking {
        /// The thoughts; empty where only the signature is there.
        text: String,
        /// What proves them to the provider that made them.
        signature: Option<Signature>,
    },
    /// Thoughts that only the provider can read.
    SealedThinking {
        /// Them.
        data: Signature,
    },
    /// The model calls a tool.
    ToolCall(ToolCall),
    /// What a tool answered.
    ToolResult(ToolResult),
    /// The model declines.
    Refusal(
        /// In these words.
        String,
    ),
    /// Something that only one dialect has (`server_tool_use`, `web_search_tool_result`, `executableCode`).
    Foreign {
        /// The block's type there.
        kind: String,
        /// The whole block.
        raw: Json,
        /// What can be said of it in words, for dialects that do not have it.
        text: Option<String>,
    },
}

impl PartKind {
    /// Text without sources.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), sources: None }
    }
}

/// Where the bytes of a picture, sound or document are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Here.
    Base64 {
        /// Their media type; empty where the dialect does not tell.
        media_type: String,
        /// The bytes in base64.
        data: String,
    },
    /// There.
    Url {
        /// The address.
        url: String,
        /// Their media type, where it is told.
        media_type: Option<String>,
    },
    /// Uploaded to the provider before.
    File {
        /// The provider's id for them.
        id: String,
    },
    /// Here, and they are text.
    Text(String),
}

impl Source {
    /// What `url` is: a `data:` address holds the bytes itself.
    pub(crate) fn of_url(url: &str) -> Self {
        let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        match inline {
            Some((media_type, data)) => {
                let media_type = media_type.split(';').next().unwrap_or_default().to_owned();
                Self::Base64 { media_type, data: data.to_owned() }
            }
            None => Self::Url { url: url.to_owned(), media_type: None },
        }
    }

    /// It as a URL, a `data:` one where the bytes are here; `None` for an uploaded file and for text. A picture whose type is
    /// not told goes as `default_type`, unless its first bytes tell.
    pub(crate) fn to_url(&self, default_type: &str) -> Option<String> {
        match self {
            Self::Base64 { media_type, data } => {
                let told = Some(media_type.as_str()).filter(|told| !told.is_empty());
                let media_type = told.or_else(|| told_by_bytes(data)).unwrap_or(default_type);
                Some(format!("data:{media_type};base64,{data}"))
            }
            Self::Url { url, .. } => Some(url.clone()),
            Self::File { .. } | Self::Text(_) => None,
        }
    }

    /// The media type of bytes that are here, told or read from their beginning.
    pub(crate) fn media_type(&self) -> Option<&str> {
        match self {
            Self::Base64 { media_type, data } if media_type.is_empty() => told_by_bytes(data),
            Self::Base64 { media_type, .. } => Some(media_type),
            Self::Url { media_type, .. } => media_type.as_deref(),
            Self::File { .. } => None,
            Self::Text(_) => Some("text/plain"),
        }
    }
}

/// The media type by which bytes begin, in base64: the marks of PNG, JPEG, GIF, WebP and PDF.
fn told_by_bytes(data: &str) -> Option<&'static str> {
    const MARKS: [(&str, &str); 5] = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi0", "application/pdf"),
    ];
    MARKS.iter().find(|(mark, _)| data.starts_with(mark)).map(|(_, media_type)| *media_type)
}

/// Proof of thoughts, as its provider made it: only that provider can read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Signature {
    /// Whose it is.
    pub(crate) provider: Provider,
    /// The proof.
    pub(crate) data: String,
}

/// Who makes signatures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Provider {
    /// Anthropic: `signature`, and `data` of `redacted_thinking`.
    Anthropic,
    /// OpenAI: `encrypted_content` of a reasoning item.
    OpenAi,
    /// Google: `thoughtSignature`.
    Gemini,
}

impl Provider {
    /// The mark in extension fields that says whose a signature is.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic-claude-v1",
            Self::OpenAi => "openai-responses-v1",
            Self::Gemini => "google-gemini-v1",
        }
    }

    /// Whose mark `mark` is.
    pub(crate) fn of_mark(mark: &str) -> Option<Self> {
        [Self::Anthropic, Self::OpenAi, Self::Gemini].into_iter().find(|provider| provider.mark() == mark)
    }
}

/// A call of a tool.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ToolCall {
    /// Its id; made up by us where the dialect has none.
    pub(crate) id: String,
    /// The tool's name. Tools in a namespace have `namespace__name` here.
    pub(crate) name: String,
    /// What it is called with: the text of a JSON object; for a custom tool any text. Never empty for a function.
    pub(crate) arguments: String,
    /// Whether it is a custom tool, whose input is free text.
    pub(crate) is_custom: bool,
    /// Gemini's signature on the call.
    pub(crate) signature: Option<Signature>,
}

/// What a tool answered.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ToolResult {
    /// The id of the call.
    pub(crate) id: String,
    /// The tool's name, where the client's dialect says it again; else look it up with
    /// [`Request::tool_name`](super::Request::tool_name).
    pub(crate) name: Option<String>,
    /// The answer: texts, pictures, documents.
    pub(crate) parts: Vec<Part>,
    /// Whether the tool failed.
    pub(crate) is_error: bool,
}

impl ToolResult {
    /// All text in it, joined without anything between.
    pub(crate) fn text(&self) -> String {
        self.parts.iter().filter_map(Part::text).collect()
    }
}
