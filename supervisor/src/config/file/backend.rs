//! The keys of one backend, as written.

use dialect::Dialect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Count, Hidden, OverflowAfter, Switch};

/// A server that answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub struct Backend {
    /// Its name: 1 to 64 letters, digits, dots, dashes or underscores. No two backends share one.
    pub name: String,
    /// Its address: http or https, host, port, and a path if it has one. A /v1 or /v1beta at the end makes no difference.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// What software it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Which backend is preferred among those that could serve: the lower number.
    pub priority: i32,
    /// How many requests it gets at once. auto: what it says of itself; else 8 for vllm, anthropic, gemini, and openai on the
    /// public internet with https, and 1 for the others.
    pub slots: Count<1, 65_535>,
    /// Another name for slots; 0 is auto.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65_535))]
    pub max_concurrency: Option<u32>,
    /// How many models it holds at once. auto: what it says of itself; else 1.
    pub max_models: Count<1, 65_535>,
    /// Whether a change of model costs it a load: then it is never asked for one model more while those it holds are
    /// answering. auto: yes, except for anthropic, gemini, and for openai on the public internet with https, until measured.
    pub serialize_by_model: Switch,
    /// It gets only requests that have waited so long, in seconds: for a service that costs money, or a slow machine.
    /// 0: those that no other backend can begin at once. off: it serves like any other. auto: 0 if a change of model
    /// costs it nothing and its priority is behind that of a backend that has to load its models, else off.
    pub overflow_after: OverflowAfter,
    /// Its share under strategy random, relative to the others'.
    #[schemars(range(min = 1, max = 65_535))]
    pub weight: u32,
    /// How long a whole answer that is not streamed may take, in seconds.
    #[schemars(range(min = 1, max = 604_800))]
    pub timeout_seconds: u32,
    /// How long the first piece of an answer may take, model loading included, in seconds. 0: for ever. Default 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub first_byte_timeout_seconds: Option<u32>,
    /// Another name for `first_byte_timeout_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub header_timeout_seconds: Option<u32>,
    /// How long an answer may pause between two pieces, in seconds. 0: for ever.
    #[schemars(range(min = 0, max = 604_800))]
    pub idle_timeout_seconds: u32,
    /// How long connecting may take, in seconds. 0: as long as the system tries.
    #[schemars(range(min = 0, max = 3600))]
    pub connect_timeout_seconds: u32,
    /// The key to show it. null or empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Hidden>,
    /// How the key is shown. auto: x-api-key for anthropic, x-goog-api-key for gemini, else as a bearer token. passthrough: the
    /// caller's own key is shown in place of one of ours.
    pub auth_type: AuthType,
    /// The APIs it speaks itself, the one it knows best first; requests in others are translated into that one. Empty: by its
    /// type (openai-responses: openai-responses, openai; ollama: ollama, openai; else the one that the type is named for, or
    /// openai).
    pub dialects: Vec<DialectName>,
    /// The models it has. Empty: whatever it lists.
    pub models: Vec<String>,
    /// How the fake behaves; only for type fake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fake: Option<Fake>,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            kind: Kind::OpenAi,
            priority: 100,
            slots: Count::Auto,
            max_concurrency: None,
            max_models: Count::Auto,
            serialize_by_model: Switch::Auto,
            overflow_after: OverflowAfter::Auto,
            weight: 1,
            timeout_seconds: 600,
            first_byte_timeout_seconds: None,
            header_timeout_seconds: None,
            idle_timeout_seconds: 300,
            connect_timeout_seconds: 10,
            api_key: None,
            auth_type: AuthType::Auto,
            dialects: Vec::new(),
            models: Vec::new(),
            fake: None,
        }
    }
}

/// What software a backend is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Anything that speaks OpenAI's API.
    #[default]
    OpenAi,
    /// The same as openai.
    #[serde(rename = "")]
    Unsaid,
    /// OpenAI's API with its Responses.
    #[serde(rename = "openai-responses")]
    OpenAiResponses,
    /// Anthropic's API.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Ollama.
    Ollama,
    /// LM Studio.
    LmStudio,
    /// llama.cpp's server.
    LlamaCpp,
    /// vLLM.
    Vllm,
    /// Nobody: made-up answers, for demonstrations and tests.
    Fake,
}

/// An API that a backend may speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DialectName {
    /// OpenAI's chat completions, completions and embeddings.
    #[serde(rename = "openai")]
    OpenAi,
    /// OpenAI's Responses.
    #[serde(rename = "openai-responses")]
    OpenAiResponses,
    /// Anthropic's Messages.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Ollama's own API.
    Ollama,
}

impl From<DialectName> for Dialect {
    fn from(name: DialectName) -> Self {
        match name {
            DialectName::OpenAi => Self::OpenAi,
            DialectName::OpenAiResponses => Self::Responses,
            DialectName::Anthropic => Self::Anthropic,
            DialectName::Gemini => Self::Gemini,
            DialectName::Ollama => Self::Ollama,
        }
    }
}

/// How a key is shown to a backend.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthType {
    /// As its type expects.
    #[default]
    Auto,
    /// Authorization: Bearer
    Bearer,
    /// x-api-key
    XApiKey,
    /// x-goog-api-key
    XGoogApiKey,
    /// The caller's own key goes to the backend, as the caller sent it.
    Passthrough,
    /// Not at all.
    None,
}

/// How a fake backend behaves. It holds one model at a time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fake {
    /// The models it offers. Empty: those under models.
    pub models: Vec<String>,
    /// How long it takes to load one, in seconds.
    #[schemars(range(min = 0, max = 3600))]
    pub load_seconds: f64,
    /// The pause between two words, in milliseconds.
    #[schemars(range(min = 0, max = 60_000))]
    pub word_ms: u32,
    /// How many words it says.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub words: u32,
}

impl Default for Fake {
    fn default() -> Self {
        Self { models: Vec::new(), load_seconds: 2.0, word_ms: 60, words: 40 }
    }
}
