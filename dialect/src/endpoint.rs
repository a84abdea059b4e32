//! The dialects, and the operations of each that a client may ask for.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// An LLM API as it is spoken on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// OpenAI's chat completions, completions and embeddings, and their many kin.
    OpenAi,
    /// OpenAI's Responses API.
    Responses,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API (`generateContent`).
    Gemini,
    /// Ollama's own API.
    Ollama,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 5] = [Self::OpenAi, Self::Responses, Self::Anthropic, Self::Gemini, Self::Ollama];

    /// The word for it in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI Chat Completions",
            Self::Responses => "OpenAI Responses",
            Self::Anthropic => "Anthropic Messages",
            Self::Gemini => "Gemini",
            Self::Ollama => "Ollama",
        }
    }

    /// Where a conversation is continued in it.
    pub fn chat(self) -> Endpoint {
        match self {
            Self::OpenAi => Endpoint::ChatCompletions,
            Self::Responses => Endpoint::Responses,
            Self::Anthropic => Endpoint::Messages,
            Self::Gemini => Endpoint::GenerateContent,
            Self::Ollama => Endpoint::OllamaChat,
        }
    }
}

/// What is wanted of a model, whatever the dialect. From it follows which backends can serve a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// To continue a conversation.
    Chat,
    /// To continue a text, without a template around it.
    Completion,
    /// To turn texts into vectors.
    Embedding,
    /// To count the tokens of a conversation, which only backends that speak this dialect do.
    Count(Dialect),
    /// Something that only the backend it is meant for understands.
    Native,
}

impl Task {
    /// Whether a backend that speaks `dialect` can do it, by translation if need be.
    pub fn can_be_done_in(self, dialect: Dialect) -> bool {
        match self {
            Self::Chat | Self::Native => true,
            Self::Completion => matches!(dialect, Dialect::OpenAi | Dialect::Ollama),
            Self::Embedding => matches!(dialect, Dialect::OpenAi | Dialect::Gemini | Dialect::Ollama),
            Self::Count(counted_in) => dialect == counted_in,
        }
    }
}

/// One operation of a dialect that asks a model for something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// OpenAI `POST /v1/chat/completions`.
    ChatCompletions,
    /// OpenAI `POST /v1/completions`.
    Completions,
    /// OpenAI `POST /v1/embeddings`.
    Embeddings,
    /// OpenAI `POST /v1/responses`.
    Responses,
    /// Anthropic `POST /v1/messages`.
    Messages,
    /// Anthropic `POST /v1/messages/count_tokens`.
    CountTokens,
    /// Gemini `POST /v1beta/models/{model}:generateContent`, and `:streamGenerateContent` for a stream.
    GenerateContent,
    /// Gemini `POST /v1beta/models/{model}:countTokens`.
    GeminiCountTokens,
    /// Gemini `POST /v1beta/models/{model}:embedContent`.
    EmbedContent,
    /// Gemini `POST /v1beta/models/{model}:batchEmbedContents`.
    BatchEmbedContents,
    /// Ollama `POST /api/chat`.
    OllamaChat,
    /// Ollama `POST /api/generate`.
    OllamaGenerate,
    /// Ollama `POST /api/embed`.
    OllamaEmbed,
    /// Ollama `POST /api/embeddings`, the older one: a single prompt.
    OllamaEmbeddings,
    /// Any other call of a backend's own API, which goes through untouched.
    Native,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 15] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
        Self::GenerateContent,
        Self::GeminiCountTokens,
        Self::EmbedContent,
        Self::BatchEmbedContents,
        Self::OllamaChat,
        Self::OllamaGenerate,
        Self::OllamaEmbed,
        Self::OllamaEmbeddings,
        Self::Native,
    ];

    /// Its place in [`Endpoint::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The dialect it belongs to. A native call is answered in OpenAI's words where we answer ourselves.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Embeddings | Self::Native => Dialect::OpenAi,
            Self::Responses => Dialect::Responses,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
            Self::GenerateContent
            | Self::GeminiCountTokens
            | Self::EmbedContent
            | Self::BatchEmbedContents => Dialect::Gemini,
            Self::OllamaChat | Self::OllamaGenerate | Self::OllamaEmbed | Self::OllamaEmbeddings => {
                Dialect::Ollama
            }
        }
    }

    /// What it wants of a model.
    pub fn task(self) -> Task {
        match self {
            Self::ChatCompletions
            | Self::Responses
            | Self::Messages
            | Self::GenerateContent
            | Self::OllamaChat
            | Self::OllamaGenerate => Task::Chat,
            Self::Completions => Task::Completion,
            Self::Embeddings
            | Self::EmbedContent
            | Self::BatchEmbedContents
            | Self::OllamaEmbed
            | Self::OllamaEmbeddings => Task::Embedding,
            Self::CountTokens | Self::GeminiCountTokens => Task::Count(self.dialect()),
            Self::Native => Task::Native,
        }
    }

    /// Whether it generates text, and so may be streamed.
    pub fn generates(self) -> bool {
        matches!(self.task(), Task::Chat | Task::Completion)
    }

    /// The name in history, metrics and statistics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::GenerateContent => "generate_content",
            Self::GeminiCountTokens => "gemini_count_tokens",
            Self::EmbedContent => "embed_content",
            Self::BatchEmbedContents => "batch_embed_contents",
            Self::OllamaChat => "ollama_chat",
            Self::OllamaGenerate => "ollama_generate",
            Self::OllamaEmbed => "ollama_embed",
            Self::OllamaEmbeddings => "ollama_embeddings",
            Self::Native => "native",
        }
    }

    /// Its path below a server's base URL, for `model` where the path names one. A native call has its own path.
    pub fn path(self, model: &str, stream: bool) -> Cow<'static, str> {
        let of_model = |operation: &str| Cow::Owned(format!("/v1beta/models/{}:{operation}", escaped(model)));
        match self {
            Self::ChatCompletions => "/v1/chat/completions".into(),
            Self::Completions => "/v1/completions".into(),
            Self::Embeddings => "/v1/embeddings".into(),
            Self::Responses => "/v1/responses".into(),
            Self::Messages => "/v1/messages".into(),
            Self::CountTokens => "/v1/messages/count_tokens".into(),
            Self::GenerateContent if stream => of_model("streamGenerateContent"),
            Self::GenerateContent => of_model("generateContent"),
            Self::GeminiCountTokens => of_model("countTokens"),
            Self::EmbedContent => of_model("embedContent"),
            Self::BatchEmbedContents => of_model("batchEmbedContents"),
            Self::OllamaChat => "/api/chat".into(),
            Self::OllamaGenerate => "/api/generate".into(),
            Self::OllamaEmbed => "/api/embed".into(),
            Self::OllamaEmbeddings => "/api/embeddings".into(),
            Self::Native => "".into(),
        }
    }

    /// Whether the model stands in the path, and not in the body.
    pub fn names_model_in_path(self) -> bool {
        self.dialect() == Dialect::Gemini
    }
}

/// `model` as one piece of a path: whatever would end it, or is no plain character of a URL, is escaped.
fn escaped(model: &str) -> String {
    let mut escaped = String::with_capacity(model.len());
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let digit = |half: u8| char::from(b"0123456789ABCDEF"[usize::from(half)]);
            escaped.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    escaped
}

/// How the pieces of a stream are told apart on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Framing {
    /// Server-sent events.
    Events,
    /// A JSON value a line.
    Lines,
    /// One JSON list whose elements come one by one.
    List,
}

impl Framing {
    /// How a stream of `endpoint` is framed when it is asked for with the query string `query`.
    pub fn of(endpoint: Endpoint, query: Option<&str>) -> Self {
        // With a dollar, perhaps escaped, it is the same to Google.
        let is_alt = |pair: &str| matches!(pair, "alt=sse" | "$alt=sse" | "%24alt=sse");
        let asks_for_events = || query.unwrap_or_default().split('&').any(is_alt);
        match endpoint.dialect() {
            Dialect::Ollama => Self::Lines,
            Dialect::Gemini if !asks_for_events() => Self::List,
            _ => Self::Events,
        }
    }

    /// The media type of a stream framed so.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Lines => "application/x-ndjson",
            Self::List => "application/json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_at_its_place_with_a_name_and_a_path_of_its_own() {
        let mut paths = Vec::new();
        for (index, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint.index(), index);
            paths.push((endpoint.as_str(), endpoint.path("m", false)));
        }
        paths.sort();
        paths.dedup_by(|one, other| one.0 == other.0 || one.1 == other.1);
        assert_eq!(paths.len(), Endpoint::ALL.len());
    }

    #[test]
    fn a_model_in_a_path_cannot_change_it() {
        let path = Endpoint::GenerateContent.path("qwen3:8b?x#y z", true);
        assert_eq!(path, "/v1beta/models/qwen3%3A8b%3Fx%23y%20z:streamGenerateContent");
    }

    #[test]
    fn gemini_streams_are_lists_unless_events_are_asked_for() {
        let framing = |query| Framing::of(Endpoint::GenerateContent, query);
        assert_eq!(framing(None), Framing::List);
        assert_eq!(framing(Some("key=x&alt=sse")), Framing::Events);
        assert_eq!(framing(Some("%24alt=sse&key=x")), Framing::Events);
        assert_eq!(framing(Some("alt=json")), Framing::List);
        assert_eq!(Framing::of(Endpoint::OllamaChat, Some("alt=sse")), Framing::Lines);
    }
}
