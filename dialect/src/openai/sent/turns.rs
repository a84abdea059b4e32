//! Writes the messages.
//!
//! The results of tools come directly after the calls, in their order, each as a message of its own; what the user says
//! beside them follows. Instructions stay where they stand; those that follow each other are one message for local engines.

use serde::{Serialize, Serializer};

use crate::hub::Object;
use crate::hub::{
    Message, PartKind, Provider, Role, ToolCall, ToolResult, Unfit, billing, custom_tools, failed,
};
use crate::translate::Engine;

use super::contents::{Piece, text_of};
use super::{Task, names};

/// Models whose own APIs want the thoughts before a call back.
const WANT_THOUGHTS: [&str; 4] = ["deepseek", "kimi", "glm", "mimo"];

/// A message as it is sent.
#[derive(Serialize)]
pub(super) struct Sent {
    role: &'static str,
    content: Content,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
}

enum Content {
    Nothing,
    Text(String),
    /// Pieces; `true` if texts alone become one string.
    Pieces(Vec<Piece>, bool),
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Pieces(pieces, joins) => {
                let text = |piece: &Piece| match piece {
                    Piece::Text(text) => Some(text.clone()),
                    Piece::Other(_) => None,
                };
                match pieces.iter().map(text).collect::<Option<Vec<_>>>() {
                    Some(texts) if *joins || texts.len() < 2 => serializer.serialize_str(&texts.join("\n")),
                    _ => serializer.collect_seq(pieces.iter().map(Piece::to_part)),
                }
            }
        }
    }
}

impl Sent {
    fn new(role: &'static str, content: Content) -> Self {
        Self {
            role,
            content,
            name: None,
            refusal: None,
            reasoning_content: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }
}

/// The messages of the request.
pub(super) fn messages(task: &mut Task<'_>) -> Result<Vec<Sent>, Unfit> {
    let mut turns = Turns { sent: Vec::new(), called: Vec::new(), has_omitted: false };
    for message in in_order(&task.request.messages) {
        match message.role {
            Role::System => turns.instruct(task, message),
            Role::User => turns.user(task, message)?,
            Role::Assistant => turns.answer(task, message),
        }
    }
    Ok(turns.sent)
}

/// The messages, where instructions between calls and their results follow the results.
fn in_order(messages: &[Message]) -> Vec<&Message> {
    let mut ordered: Vec<_> = messages.iter().collect();
    let has = |message: &Message, wanted: fn(&PartKind) -> bool| {
        message.parts.iter().any(|part| wanted(&part.kind))
    };
    for index in 1..ordered.len().saturating_sub(1) {
        let (before, after) = (ordered[index - 1], ordered[index + 1]);
        if ordered[index].role == Role::System
            && has(before, |kind| matches!(kind, PartKind::ToolCall(_)))
            && has(after, |kind| matches!(kind, PartKind::ToolResult(_)))
        {
            ordered.swap(index, index + 1);
        }
    }
    ordered
}

struct Turns {
    sent: Vec<Sent>,
    /// The ids of the last calls, in order.
    called: Vec<String>,
    /// Whether the message before was left out.
    has_omitted: bool,
}

impl Turns {
    fn instruct(&mut self, task: &mut Task<'_>, message: &Message) {
        let mut texts = Vec::new();
        for part in &message.parts {
            match (&part.kind, part.text()) {
                (_, Some(text)) => texts.push(billing::without(message, text)),
                (PartKind::Foreign { text: Some(text), .. }, _) => texts.push(text),
                _ => task.losses.add(&part.at, "instructions are text here"),
            }
        }
        texts.retain(|text| !text.is_empty());
        if texts.is_empty() {
            return;
        }
        let text = texts.join("\n");
        // Templates of several models have room for one message of instructions at a time.
        if let Some(Sent { role: "system", name: None, content: Content::Text(known), .. }) =
            self.sent.last_mut()
            && task.engine.is_local()
            && message.name.is_none()
        {
            known.push('\n');
            known.push_str(&text);
            return;
        }
        let mut sent = Sent::new("system", Content::Text(text));
        sent.name.clone_from(&message.name);
        self.sent.push(sent);
    }

    fn user(&mut self, task: &mut Task<'_>, message: &Message) -> Result<(), Unfit> {
        let mut results = Vec::new();
        let mut said = Vec::new();
        for part in &message.parts {
            match &part.kind {
                PartKind::ToolResult(result) => results.push(result),
                _ => said.push(part),
            }
        }
        let place = |result: &ToolResult| self.called.iter().position(|id| *id == result.id);
        results.sort_by_key(|result| place(result).unwrap_or(usize::MAX));
        let has_results = !results.is_empty();
        let mut pieces = Vec::new();
        for result in results {
            self.result(task, result, &mut pieces)?;
        }
        for part in said {
            pieces.extend(task.piece(part)?);
        }
        let was_omitted = std::mem::take(&mut self.has_omitted);
        if has_results && pieces.is_empty() {
            return Ok(());
        }
        // Without the model's turn between them two turns of the user are one.
        if let Some(Sent { role: "user", content: Content::Pieces(known, _), .. }) = self.sent.last_mut()
            && was_omitted
        {
            known.append(&mut pieces);
            return Ok(());
        }
        let joins = task.engine != Engine::Provider;
        let mut sent = Sent::new("user", Content::Pieces(pieces, joins));
        sent.name.clone_from(&message.name);
        self.sent.push(sent);
        Ok(())
    }

    /// A tool's result, which is text here: pictures and documents in it follow in `shown`, as said by the user.
    fn result(
        &mut self,
        task: &mut Task<'_>,
        result: &ToolResult,
        shown: &mut Vec<Piece>,
    ) -> Result<(), Unfit> {
        let (mut text, mut others) = (String::new(), Vec::new());
        for part in &result.parts {
            match &part.kind {
                PartKind::Document { source, .. } if text_of(source).is_some() => {
                    text.extend(text_of(source));
                }
                PartKind::Foreign { text: Some(words), .. } => text.push_str(words),
                PartKind::Foreign { kind, .. } => {
                    let reason = format!("results of tools have no parts of the type {kind} here");
                    task.losses.add(&part.at, reason);
                }
                _ => match task.piece(part)? {
                    Some(Piece::Text(words)) => text.push_str(&words),
                    Some(other) => others.push(other),
                    None => {}
                },
            }
        }
        if !others.is_empty() {
            let name = result.name.as_deref().or(task.request.tool_name(&result.id)).unwrap_or("the tool");
            if text.is_empty() {
                text.push_str("The result is shown in the next message.");
            }
            shown.push(Piece::Text(format!("Shown by {name} ({}):", names::id(&result.id))));
            shown.append(&mut others);
        }
        if result.is_error {
            text = failed::marked(&text).into_owned();
        }
        let mut sent = Sent::new("tool", Content::Text(text));
        sent.tool_call_id = Some(names::id(&result.id).into_owned());
        self.sent.push(sent);
        Ok(())
    }

    fn answer(&mut self, task: &mut Task<'_>, message: &Message) {
        let (mut text, mut thoughts, mut refusal) = (String::new(), String::new(), String::new());
        let mut calls = Vec::new();
        let mut was_foreign = false;
        self.called.clear();
        for part in &message.parts {
            match &part.kind {
                PartKind::Text { text: words, .. } => {
                    text.push_str(if was_foreign && !words.is_empty() { "\n" } else { "" });
                    text.push_str(words);
                }
                PartKind::Foreign { text: Some(words), .. } => {
                    text.push_str(if text.is_empty() { "" } else { "\n" });
                    text.push_str(words);
                }
                PartKind::Refusal(words) if task.engine.is_local() => text.push_str(words),
                PartKind::Refusal(words) => refusal.push_str(words),
                PartKind::Thinking { text: words, .. } => thoughts.push_str(words),
                PartKind::SealedThinking { .. } => {}
                PartKind::ToolCall(made) => {
                    self.called.push(made.id.clone());
                    calls.push(call(task, made));
                }
                _ => task.losses.add(&part.at, "the model says only text here"),
            }
            was_foreign = matches!(part.kind, PartKind::Foreign { .. });
        }
        self.has_omitted = text.is_empty() && refusal.is_empty() && calls.is_empty();
        if self.has_omitted {
            return;
        }
        let content = if text.is_empty() { Content::Nothing } else { Content::Text(text) };
        let mut sent = Sent::new("assistant", content);
        let some = |text: String| (!text.is_empty()).then_some(text);
        sent.name.clone_from(&message.name);
        sent.refusal = some(refusal);
        sent.reasoning_content = some(thoughts).filter(|_| task.takes_thoughts(!calls.is_empty()));
        sent.tool_calls = calls;
        self.sent.push(sent);
    }
}

impl Task<'_> {
    /// Whether the server is told again what the model thought in a turn, in which it called tools or did not. Of hosted
    /// APIs some refuse the member, and some refuse calls without it: that goes by the model.
    fn takes_thoughts(&self, has_called: bool) -> bool {
        let model = self.terms.model.to_ascii_lowercase();
        let wants_them = || WANT_THOUGHTS.iter().any(|name| model.contains(name));
        self.engine.is_local() || (self.engine == Engine::Other && has_called && wants_them())
    }
}

fn call(task: &Task<'_>, call: &ToolCall) -> Object {
    let mut body = Object::default();
    let mut sent = Object::default();
    sent.put("id", &names::id(&call.id));
    body.put("name", &names::name(&call.name));
    if call.is_custom && task.engine == Engine::Provider {
        sent.put("type", "custom");
        body.put("input", &call.arguments);
        sent.put("custom", &body);
    } else {
        sent.put("type", "function");
        if call.is_custom {
            body.put("arguments", &custom_tools::wrapped(&call.arguments));
        } else {
            body.put("arguments", &call.arguments);
        }
        sent.put("function", &body);
    }
    // Of the servers of this dialect only Google's own has signatures on calls.
    let signature = call.signature.as_ref().filter(|signature| signature.provider == Provider::Gemini);
    if let (Some(signature), Engine::Other) = (signature, task.engine) {
        sent.put("extra_content", &serde_json::json!({"google": {"thought_signature": signature.data}}));
    }
    sent
}
