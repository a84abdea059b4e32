//! The specs: the whole configuration of one child, as the supervisor sends it. A new one replaces the last.

use std::net::SocketAddr;
use std::path::PathBuf;

use dialect::Dialect;
use dialect::translate::FormatMode;
use serde::{Deserialize, Serialize};

use crate::ids::{BackendId, KeyId, ModelName};
use crate::secret::{KeyDigest, Pepper, Secret};

/// Everything a frontend is told about its configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FrontendSpec {
    /// Where and how to listen.
    pub listen: Listen,
    /// The directory of the workers' sockets.
    pub run_dir: PathBuf,
    /// Who may ask.
    pub access: Access,
    /// Limits on clients.
    pub limits: ClientLimits,
    /// The backends.
    pub backends: Vec<KnownBackend>,
    /// Whether `/openai/…`, `/anthropic/…`, `/gemini/…` and `/{backend}/…` lead straight to a backend.
    pub native_prefixes: bool,
    /// Between two signs of life to a streaming client whose request waits, in milliseconds; 0: none are sent.
    pub heartbeat_ms: u64,
}

/// What a frontend knows of a backend.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KnownBackend {
    /// Its id.
    pub id: BackendId,
    /// Its name: for the `x-proxylm-backend` header, and as a prefix of paths.
    pub name: String,
    /// What software it is.
    pub kind: BackendKind,
    /// The dialects it speaks, the one it knows best first.
    pub dialects: Vec<Dialect>,
    /// Whether the caller's own credentials go to it (`auth_type: passthrough`).
    pub takes_callers_key: bool,
}

/// How a frontend comes by its listening socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Listen {
    /// Bind this address; with `shared`, beside the other frontends (`SO_REUSEPORT`).
    Bind {
        /// The address.
        address: SocketAddr,
        /// Whether other processes of this instance listen there too.
        shared: bool,
    },
}

/// Who may ask: client keys as keyed digests, never as text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Access {
    /// The key of the digests, new with every start.
    pub pepper: Pepper,
    /// The client keys. Empty: whoever reaches the port may ask.
    pub keys: Vec<ClientKey>,
    /// The admin key, if one is configured.
    pub admin: Option<KeyDigest>,
}

/// One client key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClientKey {
    /// Its id.
    pub id: KeyId,
    /// The client's name, for logs and history.
    pub name: String,
    /// The digest of the key's text.
    pub digest: KeyDigest,
}

/// Limits on what clients may do to a frontend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientLimits {
    /// The longest body, in bytes.
    pub max_body_bytes: u64,
    /// All request bodies held at once, in bytes.
    pub max_held_bytes: u64,
    /// Connections at once.
    pub max_connections: u32,
    /// For a request's head, in milliseconds.
    pub header_read_ms: u64,
    /// For a request's body, in milliseconds.
    pub body_read_ms: u64,
    /// For a client that neither reads nor writes, in milliseconds.
    pub idle_ms: u64,
}

/// Everything a worker is told about its backend.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkerSpec {
    /// The backend's name, for logs.
    pub name: String,
    /// What software it is.
    pub kind: BackendKind,
    /// Whether the caller's own credentials go to it, in place of a key of ours.
    pub takes_callers_key: bool,
    /// Its address, without `/v1` and without a slash at the end. Empty for the fake.
    pub base_url: String,
    /// The key to present, and how.
    pub credential: Option<Credential>,
    /// The directory of the workers' sockets.
    pub run_dir: PathBuf,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How to look after it between requests.
    pub probe: ProbeSpec,
    /// Whether to ask for usage in streams when the client did not, and take it out again.
    pub ask_for_usage: bool,
    /// The dialects it speaks itself, the one it knows best first. Requests in others are translated.
    pub dialects: Vec<Dialect>,
    /// How translation goes about what cannot be carried.
    pub compat: Compat,
    /// How the fake behaves; only for [`BackendKind::Fake`].
    pub fake: Option<FakeSpec>,
}

/// How translation goes about what cannot be carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Compat {
    /// Whether a request that would lose anything is refused.
    pub is_strict: bool,
    /// Whether members that nobody knows are passed on where the backend may know them.
    pub pass_unknown: bool,
    /// What is done with `response_format`.
    pub format_mode: FormatMode,
    /// The limit of tokens where the backend wants one and the client says none.
    pub max_tokens: u64,
}

impl Default for Compat {
    /// As it is without a word in the configuration.
    fn default() -> Self {
        Self { is_strict: false, pass_unknown: true, format_mode: FormatMode::Passthrough, max_tokens: 4096 }
    }
}

/// The kinds of backends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// Anything that speaks OpenAI's API.
    OpenAi,
    /// OpenAI's API with its Responses.
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
    /// Nobody: the worker makes up the answers itself, for demonstrations and tests.
    Fake,
}

impl BackendKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::OpenAi,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::Gemini,
        Self::Ollama,
        Self::LmStudio,
        Self::LlamaCpp,
        Self::Vllm,
        Self::Fake,
    ];

    /// The word for it in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::LmStudio => "lmstudio",
            Self::LlamaCpp => "llamacpp",
            Self::Vllm => "vllm",
            Self::Fake => "fake",
        }
    }

    /// The dialects it speaks unless the configuration says otherwise, the one it knows best first.
    pub fn dialects(self) -> &'static [Dialect] {
        match self {
            Self::Fake => &[Dialect::OpenAi, Dialect::Anthropic],
            Self::Anthropic => &[Dialect::Anthropic],
            Self::Gemini => &[Dialect::Gemini],
            Self::OpenAiResponses => &[Dialect::Responses, Dialect::OpenAi],
            Self::Ollama => &[Dialect::Ollama, Dialect::OpenAi],
            Self::OpenAi | Self::LmStudio | Self::LlamaCpp | Self::Vllm => &[Dialect::OpenAi],
        }
    }
}

/// A provider key and the way to present it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Credential {
    /// `Authorization: Bearer …`
    Bearer(Secret),
    /// `x-api-key: …`
    ApiKey(Secret),
    /// `x-goog-api-key: …`
    GoogleKey(Secret),
}

/// How long to wait for what, in milliseconds; 0 is for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timeouts {
    /// For the connection.
    pub connect_ms: u64,
    /// For the first event of a stream, or the head of a whole answer.
    pub first_event_ms: u64,
    /// Between two pieces of the answer.
    pub idle_ms: u64,
    /// For a whole answer that is not streamed.
    pub total_ms: u64,
}

/// How a worker looks after its backend between requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProbeSpec {
    /// Between two probes, in milliseconds; 0: only when asked.
    pub interval_ms: u64,
    /// For one probe, in milliseconds.
    pub timeout_ms: u64,
}

/// How the fake behaves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FakeSpec {
    /// The models it offers.
    pub models: Vec<ModelName>,
    /// How long it takes to load one, in milliseconds. It holds one at a time, and asked for another it breaks off
    /// what runs, as careless engines do; 0: it swaps freely.
    pub load_ms: u64,
    /// Between two words, in milliseconds.
    pub word_ms: u64,
    /// How many words it says.
    pub words: u32,
}
