//! The items of an answer's `output`.

use serde::Serialize;

use crate::hub::{Json, Part, PartKind, Signature, Source, ToolCall, custom_tools, ids};

use super::names::Names;
use super::{annotation, seal};

/// An item.
#[derive(Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    /// A message of the model.
    Message {
        /// Its id.
        id: String,
        /// How far it is.
        status: Status,
        /// Always `assistant`.
        role: &'static str,
        /// What it says.
        content: Vec<Content>,
    },
    /// Thoughts. They are told as a summary: that is what clients show, and what they send again word by word.
    Reasoning {
        /// Its id.
        id: String,
        /// The thoughts.
        summary: Vec<Summary>,
        /// What proves them to their provider.
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    /// A call of a function.
    FunctionCall {
        /// Its id as an item.
        id: String,
        /// How far it is.
        status: Status,
        /// The text of a JSON object.
        arguments: String,
        /// Its id as a call.
        call_id: String,
        /// The function.
        name: String,
        /// The namespace it is in.
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
    },
    /// A call of a custom tool.
    CustomToolCall {
        /// Its id as an item.
        id: String,
        /// How far it is.
        status: Status,
        /// Its id as a call.
        call_id: String,
        /// The tool.
        name: String,
        /// The namespace it is in.
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// Any text.
        input: String,
    },
    /// A picture that the model made.
    ImageGenerationCall {
        /// Its id.
        id: String,
        /// How far it is.
        status: Status,
        /// The picture in base64.
        result: String,
    },
}

/// How far an item is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It is being told.
    InProgress,
    /// It is whole.
    Completed,
    /// It was cut off.
    Incomplete,
}

/// A part of a message.
#[derive(Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Content {
    /// Text.
    OutputText {
        /// Its sources.
        annotations: Vec<Json>,
        /// How likely its tokens were.
        logprobs: Vec<Json>,
        /// The text.
        text: String,
    },
    /// The model declines.
    Refusal {
        /// In these words.
        refusal: String,
    },
}

impl Content {
    /// A text that has not begun.
    pub(super) fn text(text: String) -> Self {
        Self::OutputText { annotations: Vec::new(), logprobs: Vec::new(), text }
    }

    /// The part of an answer as a part of a message, if it is one. What has no item of its own is told in words, if there are
    /// any: a picture that is only an address, what another provider's tools did.
    pub(super) fn of(part: &Part) -> Option<Self> {
        match &part.kind {
            PartKind::Text { text, sources } => {
                let annotations = annotation::written(sources.as_ref(), text);
                Some(Self::OutputText { annotations, logprobs: Vec::new(), text: text.clone() })
            }
            PartKind::Refusal(refusal) => Some(Self::Refusal { refusal: refusal.clone() }),
            PartKind::Image { source: Source::Url { url, .. }, .. } => {
                Some(Self::text(format!("![image]({url})")))
            }
            PartKind::Foreign { text: Some(text), .. } => Some(Self::text(text.clone())),
            _ => None,
        }
    }
}

/// A part of the thoughts.
#[derive(Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Summary {
    /// Text.
    SummaryText {
        /// The text.
        text: String,
    },
}

impl Item {
    /// A message that says `content`.
    pub(super) fn message(id: String, status: Status, content: Vec<Content>) -> Self {
        Self::Message { id, status, role: "assistant", content }
    }

    /// Thoughts, signed or not.
    pub(super) fn thoughts(id: String, text: &str, signature: Option<&Signature>) -> Self {
        let summary =
            if text.is_empty() { vec![] } else { vec![Summary::SummaryText { text: text.to_owned() }] };
        let encrypted_content = signature.map(|signature| seal::written(signature, false));
        Self::Reasoning { id, summary, encrypted_content }
    }

    /// Thoughts that only their provider can read.
    pub(super) fn sealed(id: String, data: &Signature) -> Self {
        Self::Reasoning { id, summary: Vec::new(), encrypted_content: Some(seal::written(data, true)) }
    }

    /// A call. A custom tool that the backend knew as a function is a custom tool again; what is no wrapped text then is its
    /// input as it stands.
    pub(super) fn call(seed: &str, place: usize, names: &Names, call: &ToolCall, status: Status) -> Self {
        let (namespace, name) = names.split(&call.name);
        let (call_id, name) = (call.id.clone(), name.to_owned());
        if call.is_custom || names.is_custom(&call.name) {
            let unwrapped = if call.is_custom { None } else { custom_tools::unwrapped(&call.arguments) };
            let input = unwrapped.unwrap_or_else(|| call.arguments.clone());
            let id = ids::made("ctc_", seed, place);
            Self::CustomToolCall { id, status, call_id, name, namespace, input }
        } else {
            let id = ids::made("fc_", seed, place);
            let arguments = call.arguments.clone();
            Self::FunctionCall { id, status, arguments, call_id, name, namespace }
        }
    }

    /// The part of an answer as an item of its own, if it is one and has a form here.
    pub(super) fn of(seed: &str, place: usize, part: &Part) -> Option<Self> {
        match &part.kind {
            PartKind::Thinking { text, signature } => {
                Some(Self::thoughts(ids::made("rs_", seed, place), text, signature.as_ref()))
            }
            PartKind::SealedThinking { data } => Some(Self::sealed(ids::made("rs_", seed, place), data)),
            PartKind::Image { source: Source::Base64 { data, .. }, .. } => Some(Self::ImageGenerationCall {
                id: ids::made("ig_", seed, place),
                status: Status::Completed,
                result: data.clone(),
            }),
            _ => None,
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Message { id, .. }
            | Self::Reasoning { id, .. }
            | Self::FunctionCall { id, .. }
            | Self::CustomToolCall { id, .. }
            | Self::ImageGenerationCall { id, .. } => id,
        }
    }

    /// The same item before anything of it has been told.
    pub(super) fn begun(&self) -> Self {
        let mut item = self.clone();
        match &mut item {
            Self::Message { status, content, .. } => {
                *status = Status::InProgress;
                content.clear();
            }
            Self::Reasoning { summary, encrypted_content, .. } => {
                summary.clear();
                *encrypted_content = None;
            }
            Self::FunctionCall { status, arguments: text, .. }
            | Self::CustomToolCall { status, input: text, .. }
            | Self::ImageGenerationCall { status, result: text, .. } => {
                *status = Status::InProgress;
                text.clear();
            }
        }
        item
    }
}
