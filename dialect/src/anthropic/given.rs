//! What a client gets as a whole answer; and what both whole answers and streams make of the parts of one.

use std::borrow::Cow;

use serde::Serialize;

use crate::hub::{
    Answer, Json, Part, PartKind, Provider, Request, Signature, ToolCall, arguments, custom_tools, ids,
};
use crate::translate::Terms;

use super::usage::{self, Counts};
use super::{seal, stop};
use crate::hub::Object;

/// What clients want to see of thoughts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Thoughts {
    /// None: they turned thinking off.
    None,
    /// What is there to be read. They said nothing about it, and an answer that is only thoughts must not look empty.
    Readable,
    /// Signatures, but no words.
    Signatures,
    /// All.
    All,
}

impl Thoughts {
    /// What the client of `request` wants to see.
    pub(super) fn of(request: &Request) -> Self {
        let Some(said) = &request.reasoning else { return Self::Readable };
        match (said.value.wanted(), said.value.shown) {
            (Some(false), _) => Self::None,
            (Some(true), Some(false)) => Self::Signatures,
            (Some(true), _) => Self::All,
            (None, _) => Self::Readable,
        }
    }

    /// Whether words are shown.
    pub(super) fn shows_words(self) -> bool {
        matches!(self, Self::All | Self::Readable)
    }

    /// Whether signatures are shown for which there are no words.
    pub(super) fn shows_seals(self) -> bool {
        matches!(self, Self::All | Self::Signatures)
    }
}

#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: &'a [Object],
    stop_reason: Option<&'a str>,
    stop_sequence: Option<&'a str>,
    usage: Counts<'a>,
}

/// Writes `answer` to the client of `request`.
pub(super) fn write(answer: &Answer, request: &Request, terms: &Terms) -> Vec<u8> {
    let thoughts = Thoughts::of(request);
    let first = answer.choices.first();
    let parts = first.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let mut content = Vec::with_capacity(parts.len());
    for part in parts {
        push(part, thoughts, &terms.label, &mut content);
    }
    if content.is_empty() {
        // Clients read the first block without looking whether there is one.
        content.push(Object::typed("text").with("text", ""));
    }
    let has_refused = parts.iter().any(|part| matches!(part.kind, PartKind::Refusal(_)));
    let finish = first.map(|choice| choice.finish.clone()).unwrap_or_default();
    let (stop_reason, stop_sequence) = stop::written(&finish, request, has_refused);
    let message = Message {
        id: &ids::made("msg_", &terms.label, 0),
        r#type: "message",
        role: "assistant",
        model: answer.model.as_deref().unwrap_or(&request.model),
        content: &content,
        stop_reason: Some(stop_reason),
        stop_sequence,
        usage: Counts::of(&answer.usage, usage::estimate(request), answer.service_tier.as_deref()),
    };
    serde_json::to_vec(&message).expect("our own types are always JSON")
}

/// The message with which a stream begins.
pub(super) fn opening(id: &str, model: &str, usage: Counts<'_>) -> Json {
    Json::of(&Message {
        id,
        r#type: "message",
        role: "assistant",
        model,
        content: &[],
        stop_reason: None,
        stop_sequence: None,
        usage,
    })
}

fn push(part: &Part, thoughts: Thoughts, label: &str, content: &mut Vec<Object>) {
    match &part.kind {
        PartKind::Text { text, .. } | PartKind::Refusal(text) => {
            // Blocks of text that follow each other without anything between come from citations.
            if !text.is_empty() {
                content.push(Object::typed("text").with("text", text));
            }
        }
        PartKind::Thinking { text, signature } => {
            let words = if thoughts.shows_words() { text.as_str() } else { "" };
            if !words.is_empty() || (signature.is_some() && thoughts.shows_seals()) {
                let signature = signature.as_ref().map(seal::written).unwrap_or_default();
                content
                    .push(Object::typed("thinking").with("thinking", words).with("signature", &*signature));
            }
        }
        PartKind::ToolCall(call) => {
            content.extend(call_seal(call.signature.as_ref(), thoughts));
            content.push(written_call(call, label, content.len()));
        }
        _ => content.extend(whole(part, thoughts)),
    }
}

fn written_call(call: &ToolCall, label: &str, count: usize) -> Object {
    let written = if call.is_custom {
        Some(Cow::Owned(custom_tools::wrapped(&call.arguments)))
    } else {
        arguments::mended(&call.arguments)
    };
    let Some(input) = written.and_then(|written| Json::parse(&written)) else {
        // The limit of tokens cut it off: it cannot be called, and must not look as if it could.
        let text = format!("[A call of {} that was cut off: {}]", call.name, call.arguments);
        return Object::typed("text").with("text", &text);
    };
    Object::typed("tool_use")
        .with("id", &*call_id(&call.id, label, count))
        .with("name", &call.name)
        .with("input", &input)
}

/// The id of a call, in the alphabet that clients know.
pub(super) fn call_id<'a>(id: &'a str, label: &str, count: usize) -> Cow<'a, str> {
    if id.is_empty() { Cow::Owned(ids::made("toolu_", label, count)) } else { ids::plain(id) }
}

/// The block that stands in front of a call with a `signature` of its own: clients that think give it back.
pub(super) fn call_seal(signature: Option<&Signature>, thoughts: Thoughts) -> Option<Object> {
    let signature = signature.filter(|_| thoughts == Thoughts::All)?;
    Some(Object::typed("redacted_thinking").with("data", &seal::written_for_call(signature)))
}

/// The block for a part that comes all at once; `None` where this dialect has nothing for it.
pub(super) fn whole(part: &Part, thoughts: Thoughts) -> Option<Object> {
    let text = |text: &str| Object::typed("text").with("text", text);
    match &part.kind {
        PartKind::Text { text: words, .. } | PartKind::Refusal(words) => {
            Some(words).filter(|words| !words.is_empty()).map(|words| text(words))
        }
        PartKind::SealedThinking { data } => {
            let is_shown = thoughts.shows_seals() || data.provider == Provider::Anthropic;
            let is_wanted = is_shown && thoughts != Thoughts::None;
            is_wanted.then(|| Object::typed("redacted_thinking").with("data", &*seal::written(data)))
        }
        // An answer has no block for it, but words can hold its address or its bytes.
        PartKind::Image { source, .. } => {
            source.to_url("image/png").map(|url| text(&format!("![image]({url})")))
        }
        PartKind::Foreign { kind, raw, text: words } => {
            if is_own(kind) {
                return Some(Object::of(raw));
            }
            words.as_deref().map(text)
        }
        _ => None,
    }
}

/// Whether blocks of this kind are known to clients of this dialect.
fn is_own(kind: &str) -> bool {
    matches!(kind, "server_tool_use" | "mcp_tool_use" | "mcp_tool_result" | "container_upload")
        || kind.ends_with("_tool_result")
}
