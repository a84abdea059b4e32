//! The configuration as it is written: one type per section, one field per key. The comments here are what
//! editors show and the reference prints. What the values mean together is decided in `check.rs`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod backend;
mod scheduling;
mod values;

pub use self::backend::{AuthType, Backend, Fake, Kind};
pub use self::scheduling::{Alias, Class, Linger, LoadOptions, Routing, Scheduler};
pub use self::values::{Count, Hidden, OrOff, OverflowAfter, Switch};
use self::values::{plain_number, plain_number_if_any};

/// The configuration of proxylm.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "proxylm configuration", extend("required" = ["backends"]))]
pub struct File {
    /// For editors: where the schema of this file is.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Where clients come in.
    pub proxy: Proxy,
    /// Who may ask.
    pub auth: Auth,
    /// Which backend serves which request.
    pub routing: Routing,
    /// How requests wait.
    pub scheduler: Scheduler,
    /// What happens after a failed attempt.
    pub retry: Retry,
    /// How backends are looked after.
    pub discovery: Discovery,
    /// The history of requests.
    pub storage: Storage,
    /// The terminal screen.
    pub tui: Tui,
    /// Switches for clients and backends with habits of their own.
    pub compat: Compat,
    /// The servers that answer. At least one.
    pub backends: Vec<Backend>,
}

/// Where clients come in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// The address to listen on, or a name for it. 0.0.0.0 is every interface, 127.0.0.1 this machine only.
    pub host: String,
    /// The port to listen on. 0: any that is free.
    pub port: u16,
    /// The least important messages that are logged.
    pub log_level: Level,
    /// How logs look.
    pub log: Log,
    /// How many processes face the clients. auto: 2 on up to 4 processors, else half of them, at most 8.
    pub frontends: Count<1, 64>,
    /// Bounds on what clients may do.
    pub limits: Limits,
    /// How long running requests may go on after a stop, in seconds. 0: they end at once. Default 30.
    #[schemars(range(min = 0, max = 86_400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_grace_seconds: Option<u32>,
    /// How often a streaming client whose request waits gets a sign of life, in seconds: a comment in the stream, so
    /// that nothing between it and us takes the connection for dead. 0: never.
    #[serde(serialize_with = "plain_number")]
    #[schemars(range(min = 0, max = 3600))]
    pub heartbeat_seconds: f64,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 8080,
            log_level: Level::Info,
            log: Log::default(),
            frontends: Count::Auto,
            limits: Limits::default(),
            shutdown_grace_seconds: None,
            heartbeat_seconds: 10.0,
        }
    }
}

/// How logs look.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// text for people, json for machines.
    pub format: Format,
}

/// The least important messages that are logged.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything, down to single decisions.
    Debug,
    /// What an operator wants to have seen.
    #[default]
    Info,
    /// What may need a hand.
    Warning,
    /// The same as warning.
    Warn,
    /// What has gone wrong.
    Error,
}

/// How logs look.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One readable line per message.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Bounds on what clients may do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest request body, in MiB.
    #[schemars(range(min = 1, max = 4096))]
    pub max_body_mb: u32,
    /// How long a client may take for the head of a request, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub header_read_seconds: u32,
    /// How long a client may take for the body of a request, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub body_read_seconds: u32,
    /// How long a connection may be silent between requests, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub idle_seconds: u32,
    /// The most connections at once, in each frontend.
    #[schemars(range(min = 1))]
    pub max_connections: u32,
    /// Another name for `proxy.shutdown_grace_seconds`.
    #[schemars(range(min = 0, max = 86_400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_grace_seconds: Option<u32>,
    /// Another name for `proxy.shutdown_grace_seconds`.
    #[schemars(range(min = 0, max = 86_400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_seconds: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_mb: 32,
            header_read_seconds: 10,
            body_read_seconds: 60,
            idle_seconds: 400,
            max_connections: 20_000,
            shutdown_grace_seconds: None,
            shutdown_seconds: None,
        }
    }
}

/// Who may ask.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// keys: a client shows one of `api_keys`. none: nobody is asked, on a loopback host only.
    pub mode: AuthMode,
    /// The clients and their keys. Without any, nobody is asked, on a loopback host only.
    pub api_keys: Vec<ApiKey>,
    /// The key of the administrator. It must differ from every client's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_key: Option<Hidden>,
}

/// Whether clients need a key.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// A client shows one of `api_keys`.
    #[default]
    Keys,
    /// Nobody is asked.
    None,
}

/// A client and its key.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "key"]))]
pub struct ApiKey {
    /// The client's name in logs and history. No two clients share one.
    pub name: String,
    /// The client's key, as it sends it.
    pub key: Hidden,
    /// Whether somebody waits for its answers. batch: nobody does, and they yield to interactive requests for the
    /// same model. A request may say otherwise with the header x-proxylm-class.
    pub class: Class,
    /// For its requests, in place of `scheduler.max_wait`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "plain_number_if_any")]
    #[schemars(range(min = 0, max = 604_800))]
    pub max_wait: Option<f64>,
}

/// What happens after a failed attempt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Attempts of one request over all backends, the first included. 1: no second attempt.
    #[schemars(range(min = 1))]
    pub max_attempts: u32,
    /// The pause before the second attempt, in milliseconds; it doubles with each further one. 0: no pause.
    pub initial_backoff_ms: u32,
    /// The longest pause, in milliseconds. Not less than `initial_backoff_ms`.
    pub max_backoff_ms: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: 3, initial_backoff_ms: 500, max_backoff_ms: 8000 }
    }
}

/// How backends are looked after.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// Whether backends that are up are asked for their models again and again.
    pub enabled: bool,
    /// The pause between two questions, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub interval_seconds: u32,
    /// How many failed questions in a row take a backend down.
    #[schemars(range(min = 1))]
    pub unhealthy_after_failed_polls: u32,
    /// How long an answer may take, in seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { enabled: true, interval_seconds: 30, unhealthy_after_failed_polls: 3, timeout_seconds: 5 }
    }
}

/// The history of requests.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The database's file. A relative path starts at the folder of the program.
    pub database_path: String,
    /// How long ended requests are kept, in days. 0: for ever.
    pub history_retention_days: u32,
    /// Whether the file is compacted at every start.
    pub vacuum_on_start: bool,
}

impl Default for Storage {
    fn default() -> Self {
        Self { database_path: "./proxylm.db".to_owned(), history_retention_days: 30, vacuum_on_start: false }
    }
}

/// The terminal screen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tui {
    /// How long ended requests stay on the screen, in minutes. 0: they leave at once.
    pub show_completed_minutes: u32,
}

impl Default for Tui {
    fn default() -> Self {
        Self { show_completed_minutes: 30 }
    }
}

/// Switches for clients and backends with habits of their own.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Compat {
    /// What happens to `response_format` in requests.
    pub response_format_mode: ResponseFormatMode,
    /// Whether backends are asked for token counts in streams when the client did not ask. The extra chunk is
    /// taken out again. auto: of Ollama, LM Studio, llama.cpp and vLLM; always: also of type openai.
    pub stream_usage: StreamUsage,
    /// What happens to options of a request that would make Ollama load its model anew, such as `num_ctx`. bucket: the
    /// context is rounded up to a power of two and never shrinks, the others stay as they were loaded. pin: all stay as
    /// they were loaded first. pass: they go to the engine as they are. strip: they are taken out.
    pub load_options: LoadOptions,
    /// What happens when a request cannot be carried whole into the dialect of a backend. warn: it is sent, and what is
    /// lost is named in the header `x-proxylm-warning` and in the history. strict: it is refused, naming the field.
    pub translation: Translation,
    /// What happens to fields on top of a translated request that its own API does not have. pass: parameters of LM Studio,
    /// llama.cpp and vLLM (`min_p`, `chat_template_kwargs`, `guided_json`, …) are sent to the engine that has them, and any field of
    /// an OpenAI chat request to servers of the Responses API other than type openai-responses. drop: they are left out, and
    /// named like other losses.
    pub unknown_fields: UnknownFields,
    /// The limit of tokens for backends that want one (Anthropic) where the request names none.
    #[schemars(range(min = 1))]
    pub default_max_tokens: u64,
    /// Whether the paths /openai/, /anthropic/, /gemini/ and those that begin with the name of a backend lead straight to a
    /// backend, with the rest of the path and the body untouched.
    pub native_prefixes: bool,
}

impl Default for Compat {
    fn default() -> Self {
        Self {
            response_format_mode: ResponseFormatMode::default(),
            stream_usage: StreamUsage::default(),
            load_options: LoadOptions::default(),
            translation: Translation::default(),
            unknown_fields: UnknownFields::default(),
            default_max_tokens: 4096,
            native_prefixes: false,
        }
    }
}

/// What happens when a request cannot be carried whole.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Translation {
    /// It is sent, and what is lost is named.
    #[default]
    Warn,
    /// It is refused.
    Strict,
}

/// What happens to fields that nobody knows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownFields {
    /// They are sent.
    #[default]
    Pass,
    /// They are left out.
    Drop,
}

/// What happens to `response_format` in requests.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormatMode {
    /// Nothing.
    #[default]
    Passthrough,
    /// `json_object` becomes a `json_schema` that any object fits: LM Studio refuses `json_object`.
    NormalizeJsonObject,
    /// `json_object` is refused.
    StrictReject,
}

/// Whether backends are asked for token counts in streams.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamUsage {
    /// Ollama, LM Studio, llama.cpp and vLLM are.
    #[default]
    Auto,
    /// All are that speak OpenAI's API.
    Always,
    /// None is.
    Never,
}
