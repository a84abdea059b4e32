//! A request in the hub: what every dialect can ask for, said once.
//!
//! A reader fills in all that the client said, each with the place where it was said; a writer takes all of it, or
//! names what its dialect cannot carry.

use crate::Endpoint;

use super::json::Json;
use super::{Part, Unfit, Usage};

/// A value and where in its own body the client said it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Said<T> {
    /// The value.
    pub(crate) value: T,
    /// The path of the field, for example `generationConfig.topK`.
    pub(crate) at: String,
}

impl<T> Said<T> {
    /// `value`, said at `at`.
    pub(crate) fn new(at: impl Into<String>, value: T) -> Self {
        Self { value, at: at.into() }
    }
}

/// What is asked of a model: to continue a conversation, or a bare text.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Request {
    /// The operation the client called.
    pub(crate) origin: Endpoint,
    /// The model as the client names it.
    pub(crate) model: String,
    /// Whether the client wants a stream.
    pub(crate) stream: bool,
    /// Whether the stream is to tell the usage at its end. Only OpenAI's chat and completions leave it out unless
    /// asked.
    pub(crate) stream_usage: bool,
    /// The conversation, in order. Instructions that stand outside of it in the client's dialect come first, as
    /// messages of [`Role::System`].
    pub(crate) messages: Vec<Message>,
    /// A bare text to be continued, in place of a conversation.
    pub(crate) bare: Option<Said<Bare>>,
    /// The tools.
    pub(crate) tools: Vec<Tool>,
    /// Which of them are to be called.
    pub(crate) tool_choice: Option<Said<ToolChoice>>,
    /// Whether several may be called at once.
    pub(crate) parallel_tool_calls: Option<Said<bool>>,
    /// The most tokens to generate.
    pub(crate) max_tokens: Option<Said<u64>>,
    /// How the next token is drawn.
    pub(crate) sampling: Sampling,
    /// How much to think.
    pub(crate) reasoning: Option<Said<Reasoning>>,
    /// The form that the answer must have.
    pub(crate) format: Option<Said<Format>>,
    /// How wordy the answer is to be: `low`, `medium`, `high`.
    pub(crate) verbosity: Option<Said<String>>,
    /// Who the client's own user is.
    pub(crate) user: Option<Said<String>>,
    /// The client's notes about the request: an object of strings.
    pub(crate) metadata: Option<Said<Json>>,
    /// The class of service of a hosted API.
    pub(crate) service_tier: Option<Said<String>>,
    /// What makes prompts share a cache at a hosted API.
    pub(crate) cache_key: Option<Said<String>>,
    /// Options that the engine applies when it loads or runs the model (`num_ctx`, `keep_alive`, `mirostat`, …), by
    /// their names in Ollama's API.
    pub(crate) engine_options: Vec<Extra>,
    /// Other members of the body, by their names in the client's dialect. A writer of a kindred dialect may take some;
    /// the others are lost, or passed on where the configuration says so.
    pub(crate) extras: Vec<Extra>,
    /// The paths of fields that nobody misses: hints for caches, and what an agent says about itself. They go where the
    /// backend has a place for them; elsewhere they are not named as lost.
    pub(crate) unmissed: Vec<String>,
    /// What an answer repeats of the request, as the client wrote it. Only Responses does that.
    pub(crate) repeated: Vec<Extra>,
}

/// A member that the hub has no word for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Extra {
    /// Its name, without the path.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) at: String,
    /// Its value.
    pub(crate) value: Json,
}

impl Request {
    /// A request to `origin` in which nothing is said yet.
    pub(crate) fn new(origin: Endpoint) -> Self {
        Self {
            origin,
            model: String::new(),
            stream: false,
            stream_usage: true,
            messages: Vec::new(),
            bare: None,
            tools: Vec::new(),
            tool_choice: None,
            parallel_tool_calls: None,
            max_tokens: None,
            sampling: Sampling::default(),
            reasoning: None,
            format: None,
            verbosity: None,
            user: None,
            metadata: None,
            service_tier: None,
            cache_key: None,
            engine_options: Vec::new(),
            extras: Vec::new(),
            unmissed: Vec::new(),
            repeated: Vec::new(),
        }
    }

    /// The name of the tool that the call `id` was for, looked up in the conversation: some dialects name it again
    /// with the result.
    pub(crate) fn tool_name(&self, id: &str) -> Option<&str> {
        let parts = self.messages.iter().flat_map(|message| &message.parts);
        parts.into_iter().find_map(|part| match &part.kind {
            super::PartKind::ToolCall(call) if call.id == id => Some(call.name.as_str()),
            _ => None,
        })
    }
}

/// One turn of a conversation.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Message {
    /// Who speaks.
    pub(crate) role: Role,
    /// What is said, in order. Results of tools stand in a message of the user, before what the user says beside them;
    /// results that follow each other in the client's body are in one message.
    pub(crate) parts: Vec<Part>,
    /// The speaker's name.
    pub(crate) name: Option<String>,
    /// Where the message stands; for one made of several, the first.
    pub(crate) at: String,
}

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Instructions: `system`, `developer`.
    System,
    /// The user, and the tools.
    User,
    /// The model.
    Assistant,
}

/// A text to be continued as it is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Bare {
    /// The text, or several; or lists of tokens, as the client wrote them.
    pub(crate) prompt: Json,
    /// What comes after the gap to be filled.
    pub(crate) suffix: Option<String>,
}

/// Something that the model may call.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Tool {
    /// Where it is defined.
    pub(crate) at: String,
    /// What it is.
    pub(crate) kind: ToolKind,
    /// Anthropic's `cache_control` on it.
    pub(crate) cache: Option<Json>,
}

/// The kinds of tools.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum ToolKind {
    /// A function with a schema.
    Function(Function),
    /// OpenAI's custom tool: its input is free text.
    Custom {
        /// Its name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// The grammar of its input, as OpenAI writes it.
        format: Option<Json>,
    },
    /// One that the provider runs, or whose schema only the provider knows: `web_search_20250305`, `file_search`,
    /// `googleSearch`, `bash_20250124`.
    Provider {
        /// The type, as the client's dialect calls it.
        kind: String,
        /// The whole definition.
        raw: Json,
    },
}

/// A function.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Function {
    /// Its name. Functions in a namespace have `namespace__name` here.
    pub(crate) name: String,
    /// The namespace it came in (Responses), if it did.
    pub(crate) namespace: Option<String>,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// The schema of its arguments, as written.
    pub(crate) parameters: Option<Json>,
    /// Whether the arguments must follow the schema.
    pub(crate) strict: Option<bool>,
}

/// Which tools are to be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ToolChoice {
    /// As the model likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
    /// Only these, and at least one of them if `required`.
    Allowed {
        /// Their names.
        names: Vec<String>,
        /// Whether one must be called.
        required: bool,
    },
}

/// How the next token is drawn.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Sampling {
    /// 0 to 2 (OpenAI, Gemini, Ollama) or 0 to 1 (Anthropic).
    pub(crate) temperature: Option<Said<f64>>,
    /// Nucleus sampling.
    pub(crate) top_p: Option<Said<f64>>,
    /// The number of candidates.
    pub(crate) top_k: Option<Said<u64>>,
    /// The least share of the likeliest candidate's chance.
    pub(crate) min_p: Option<Said<f64>>,
    /// Against repeating tokens often.
    pub(crate) frequency_penalty: Option<Said<f64>>,
    /// Against repeating tokens at all.
    pub(crate) presence_penalty: Option<Said<f64>>,
    /// The engines' own penalty: 1 is none.
    pub(crate) repeat_penalty: Option<Said<f64>>,
    /// For answers that can be had again.
    pub(crate) seed: Option<Said<i64>>,
    /// What ends the answer.
    pub(crate) stop: Option<Said<Vec<String>>>,
    /// How many answers.
    pub(crate) n: Option<Said<u64>>,
    /// Whether to tell how likely the tokens were.
    pub(crate) logprobs: Option<Said<bool>>,
    /// For how many candidates.
    pub(crate) top_logprobs: Option<Said<u64>>,
    /// Weights of single tokens.
    pub(crate) logit_bias: Option<Said<Json>>,
}

impl Sampling {
    /// Fails where several answers are asked for: the `server` gives one.
    pub(crate) fn refuse_several(&self, server: &str) -> Result<(), Unfit> {
        let Some(n) = self.n.as_ref().filter(|n| n.value > 1) else { return Ok(()) };
        let message = format!("must be 1: {server} gives one answer. Ask as often as you want answers");
        Err(Unfit::untranslatable(&n.at, message))
    }
}

/// How much to think, in whatever of the three ways the client said it.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Reasoning {
    /// Whether to think at all.
    pub(crate) enabled: Option<bool>,
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    pub(crate) effort: Option<String>,
    /// The most tokens for it. Gemini's -1 (as it likes) is `enabled` without one.
    pub(crate) budget: Option<u64>,
    /// Whether the thoughts are to be shown: `false` where the client asks for them to be left out.
    pub(crate) shown: Option<bool>,
    /// Responses' `summary`: `auto`, `concise`, `detailed`.
    pub(crate) summary: Option<String>,
}

impl Reasoning {
    /// Whether the model is to think: what `enabled`, `effort` and `budget` come to. `None`: nothing is said.
    pub(crate) fn wanted(&self) -> Option<bool> {
        let by_effort = self.effort.as_deref().map(|effort| effort != "none");
        self.enabled.or(by_effort).or(self.budget.map(|budget| budget > 0))
    }

    /// The effort that is closest to what was said, by OpenAI's words. A budget up to 2,048 tokens is `low`, up to 8,192
    /// `medium`, beyond that `high`.
    pub(crate) fn as_effort(&self) -> Option<&str> {
        if self.wanted() == Some(false) {
            return Some("none");
        }
        self.effort.as_deref().or(match self.budget {
            Some(..=2048) => Some("low"),
            Some(..=8192) => Some("medium"),
            Some(_) => Some("high"),
            None => None,
        })
    }

    /// The budget that is closest to what was said, in tokens, if thinking is wanted and anything about its amount was
    /// said: `minimal` 1,024, `low` 2,048, `medium` 8,192, `high` 24,576, beyond that 32,768.
    pub(crate) fn as_budget(&self) -> Option<u64> {
        if self.wanted() == Some(false) {
            return None;
        }
        if self.budget.is_some() {
            return self.budget;
        }
        match self.effort.as_deref()? {
            "minimal" => Some(1024),
            "low" => Some(2048),
            "medium" => Some(8192),
            "high" => Some(24_576),
            "xhigh" | "max" => Some(32_768),
            _ => None,
        }
    }
}

/// The form of an answer.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Format {
    /// Any JSON object.
    Json,
    /// JSON that follows a schema.
    Schema {
        /// The schema's name; `response` where the client's dialect has none.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// The schema, as written.
        schema: Json,
        /// Whether it must be followed to the letter.
        strict: Option<bool>,
    },
}

/// Texts to be turned into vectors.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct EmbedRequest {
    /// The operation the client called.
    pub(crate) origin: Endpoint,
    /// The model as the client names it.
    pub(crate) model: String,
    /// The texts.
    pub(crate) inputs: Vec<EmbedInput>,
    /// How long the vectors are to be.
    pub(crate) dimensions: Option<Said<u64>>,
    /// Whether the client wants base64 of little-endian 32-bit floats in place of lists of numbers.
    pub(crate) base64: bool,
    /// Gemini's `taskType`.
    pub(crate) task_type: Option<Said<String>>,
    /// Gemini's `title`.
    pub(crate) title: Option<Said<String>>,
    /// Ollama's `truncate`.
    pub(crate) truncate: Option<Said<bool>>,
    /// Who the client's own user is.
    pub(crate) user: Option<Said<String>>,
    /// As in [`Request::engine_options`].
    pub(crate) engine_options: Vec<Extra>,
    /// As in [`Request::extras`].
    pub(crate) extras: Vec<Extra>,
}

/// One text to be turned into a vector.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum EmbedInput {
    /// A text.
    Text(String),
    /// The text as tokens of the model's own vocabulary, as written.
    Tokens(Json),
}

/// The vectors, in the order of the inputs.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct EmbedAnswer {
    /// The backend's name for the model, if it says.
    pub(crate) model: Option<String>,
    /// A vector for each input.
    pub(crate) vectors: Vec<Vector>,
    /// The tokens used.
    pub(crate) usage: Usage,
}

/// One vector, as the backend wrote it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Vector {
    /// A list of numbers, as written.
    List(Json),
    /// Base64 of little-endian 32-bit floats.
    Base64(String),
}
