//! A client's `contents` read into turns: parts of all kinds, calls given ids, results matched to their calls.
//!
//! Function calls often have no ids: they get one from their place in the conversation, the same in every later turn. SDKs
//! keep each chunk of a stream as a content of its own, so contents of the model that follow each other are one turn,
//! and pieces of text in it are one text.

use serde_json::value::RawValue;

use crate::hub::{Extra, Json, Message, Part, PartKind, Provider, Role, ToolCall, ToolResult, Unfit, ids};

use super::media;
use super::proto::Proto;
use super::signature::Proof;

/// The turns read so far.
#[derive(Default)]
pub(super) struct Conversation {
    /// The turns.
    pub(super) messages: Vec<Message>,
    /// What no turn can hold.
    pub(super) extras: Vec<Extra>,
    /// Calls so far.
    calls: usize,
    /// Calls that no result has come for.
    unanswered: Vec<Unanswered>,
}

struct Unanswered {
    id: String,
    name: String,
    has_own_id: bool,
}

impl Conversation {
    /// Reads the system's instructions: a content, or only its text.
    pub(super) fn instructions(&mut self, at: &str, value: &RawValue) -> Result<(), Unfit> {
        let mut parts = Vec::new();
        if let Ok(text) = serde_json::from_str::<String>(value.get()) {
            parts.push(Part::new(at, PartKind::plain(text)));
        } else {
            let mut content = Proto::of(at, value)?;
            content.take("role");
            for (path, part) in content.many("parts")? {
                self.part(&path, part, &mut parts)?;
            }
            content.into_extras(&mut self.extras);
        }
        if !parts.is_empty() {
            self.messages.push(Message { role: Role::System, parts, name: None, at: at.to_owned() });
        }
        Ok(())
    }

    /// Reads the next content.
    pub(super) fn content(&mut self, at: String, value: &RawValue) -> Result<(), Unfit> {
        let mut content = Proto::of(at.as_str(), value)?;
        let role_at = content.path("role");
        let role = content.text("role")?.unwrap_or_default();
        let read = content.many("parts")?;
        content.into_extras(&mut self.extras);
        match role.as_str() {
            "model" => self.of_model(at, read),
            "" | "user" | "function" | "tool" => self.of_user(at, read),
            _ => Err(Unfit::bad(role_at, "must be user or model")),
        }
    }

    fn of_model(&mut self, at: String, read: Vec<(String, &RawValue)>) -> Result<(), Unfit> {
        let goes_on = self.messages.last().is_some_and(|last| last.role == Role::Assistant);
        let mut message = match self.messages.pop_if(|_| goes_on) {
            Some(message) => message,
            None => Message { role: Role::Assistant, parts: Vec::new(), name: None, at },
        };
        for (path, value) in read {
            let mut parts = std::mem::take(&mut message.parts);
            let known = parts.len();
            self.part(&path, value, &mut parts)?;
            join_texts(&mut parts, known);
            message.parts = parts;
        }
        if !message.parts.is_empty() {
            self.messages.push(message);
        }
        Ok(())
    }

    fn of_user(&mut self, at: String, read: Vec<(String, &RawValue)>) -> Result<(), Unfit> {
        let mut parts = Vec::new();
        for (path, value) in read {
            self.part(&path, value, &mut parts)?;
        }
        let is_result = |part: &Part| matches!(part.kind, PartKind::ToolResult(_));
        parts.sort_by_key(|part| !is_result(part));
        let only_results = |parts: &[Part]| !parts.is_empty() && parts.iter().all(is_result);
        if only_results(&parts)
            && let Some(last) = self.messages.last_mut()
            && last.role == Role::User
            && only_results(&last.parts)
        {
            last.parts.append(&mut parts);
        } else {
            self.messages.push(Message { role: Role::User, parts, name: None, at });
        }
        Ok(())
    }

    /// Reads one part, which may become several.
    fn part(&mut self, at: &str, value: &RawValue, parts: &mut Vec<Part>) -> Result<(), Unfit> {
        if let Ok(text) = serde_json::from_str::<String>(value.get()) {
            parts.push(Part::new(at, PartKind::plain(text)));
            return Ok(());
        }
        let mut fields = Proto::of(at, value)?;
        let is_thought = fields.flag("thought")?.unwrap_or(false);
        let proof = fields.text("thoughtSignature")?.as_deref().and_then(Proof::read);
        if is_thought {
            return self.thought(at, fields, proof, parts);
        }
        let (own, foreign): (Option<Proof>, Option<Proof>) = match proof {
            Some(proof) if proof.signature.provider == Provider::Gemini => (Some(proof), None),
            other => (None, other),
        };
        if let Some(proof) = foreign {
            sign(at, proof, parts);
        }
        let mut kind = self.kind(at, value, &mut fields)?;
        fields.into_extras(&mut self.extras);
        let own = match &mut kind {
            PartKind::ToolCall(call) => {
                call.signature = own.map(|proof| proof.signature);
                None
            }
            _ => own,
        };
        let is_only_proof = own.is_some() && matches!(&kind, PartKind::Text { text, .. } if text.is_empty());
        if !is_only_proof {
            parts.push(Part::new(at, kind));
        }
        parts.extend(own.map(|proof| Part::new(at, proof.into_part())));
        Ok(())
    }

    fn thought(
        &mut self,
        at: &str,
        mut fields: Proto<'_>,
        proof: Option<Proof>,
        parts: &mut Vec<Part>,
    ) -> Result<(), Unfit> {
        let text = fields.text("text")?.unwrap_or_default();
        fields.into_extras(&mut self.extras);
        if !text.is_empty() {
            match parts.last_mut().map(|part| &mut part.kind) {
                Some(PartKind::Thinking { text: before, signature: None }) => before.push_str(&text),
                _ => parts.push(Part::new(at, PartKind::Thinking { text, signature: None })),
            }
        }
        if let Some(proof) = proof {
            sign(at, proof, parts);
        }
        Ok(())
    }

    fn kind(&mut self, at: &str, whole: &RawValue, fields: &mut Proto<'_>) -> Result<PartKind, Unfit> {
        if let Some(text) = fields.text("text")? {
            return Ok(PartKind::plain(text));
        }
        if let Some(blob) = fields.object("inlineData")? {
            return media::read_inline(blob);
        }
        if let Some(file) = fields.object("fileData")? {
            return media::read_file(file);
        }
        if let Some(call) = fields.object("functionCall")? {
            return self.call(call);
        }
        if let Some(response) = fields.object("functionResponse")? {
            return self.result(response);
        }
        let raw = Json::from(whole);
        if let Some(code) = fields.object("executableCode")? {
            return executable(code, raw);
        }
        if let Some(result) = fields.object("codeExecutionResult")? {
            return code_result(result, raw);
        }
        let members: serde_json::Map<String, serde_json::Value> = raw.to().unwrap_or_default();
        let kind = members.into_iter().map(|(name, _)| name).find(|name| fields.has(name));
        let kind = kind.ok_or_else(|| Unfit::bad(at, "has none of the members of a part"))?;
        fields.take(&kind);
        Ok(PartKind::Foreign { kind, raw, text: None })
    }

    fn call(&mut self, mut call: Proto<'_>) -> Result<PartKind, Unfit> {
        let name = call.needed_text("name")?;
        let own_id = call.text("id")?.filter(|id| !id.is_empty());
        let args_at = call.path("args");
        let args = call.json("args").unwrap_or_else(Json::empty_object);
        if !args.is_object() {
            return Err(Unfit::bad(args_at, "must be an object"));
        }
        call.into_extras(&mut self.extras);
        self.calls += 1;
        let has_own_id = own_id.is_some();
        let id = own_id.unwrap_or_else(|| ids::made("call_", &name, self.calls));
        self.unanswered.push(Unanswered { id: id.clone(), name: name.clone(), has_own_id });
        let arguments = args.as_str().to_owned();
        Ok(PartKind::ToolCall(ToolCall { id, name, arguments, is_custom: false, signature: None }))
    }

    fn result(&mut self, mut response: Proto<'_>) -> Result<PartKind, Unfit> {
        let own_id = response.text("id")?.filter(|id| !id.is_empty());
        let name = response.text("name")?;
        let at = response.at().to_owned();
        let id = self.answered(own_id.as_deref(), name.as_deref()).ok_or_else(|| {
            Unfit::bad(at.as_str(), "answers a function call that is not in the conversation before it")
        })?;
        let response_at = response.path("response");
        let told = response.json("response").map(|value| Answered::read(&value));
        let is_error = told.as_ref().is_some_and(|told| told.is_error);
        let mut parts: Vec<Part> = told
            .into_iter()
            .map(|told| Part::new(response_at.as_str(), PartKind::plain(told.text)))
            .collect();
        for (path, value) in response.many("parts")? {
            let mut fields = Proto::of(path.as_str(), value)?;
            let kind = match (fields.object("inlineData")?, fields.object("fileData")?) {
                (Some(blob), _) => media::read_inline(blob)?,
                (None, Some(file)) => media::read_file(file)?,
                (None, None) => return Err(Unfit::bad(path, "has neither inlineData nor fileData")),
            };
            fields.into_extras(&mut self.extras);
            parts.push(Part::new(path, kind));
        }
        response.into_extras(&mut self.extras);
        Ok(PartKind::ToolResult(ToolResult { id, name, parts, is_error }))
    }

    /// The id of the call that is answered: by its id, else the first of this name without an answer.
    fn answered(&mut self, id: Option<&str>, name: Option<&str>) -> Option<String> {
        let by_id = |call: &Unanswered| Some(call.id.as_str()) == id;
        let by_name = |call: &Unanswered| {
            name.is_none_or(|name| call.name == name) && (id.is_none() || !call.has_own_id)
        };
        let place =
            self.unanswered.iter().position(by_id).or_else(|| self.unanswered.iter().position(by_name))?;
        Some(self.unanswered.remove(place).id)
    }
}

/// Signs the thoughts that `parts` end with, if they do and have no signature yet.
fn sign(at: &str, proof: Proof, parts: &mut Vec<Part>) {
    if !proof.is_sealed
        && let Some(PartKind::Thinking { signature, .. }) = parts.last_mut().map(|part| &mut part.kind)
        && signature.is_none()
    {
        *signature = Some(proof.signature);
    } else {
        parts.push(Part::new(at, proof.into_part()));
    }
}

/// Joins a text that was added after the first `known` parts with the text before it.
fn join_texts(parts: &mut Vec<Part>, known: usize) {
    let Some((before, added)) = parts.split_at_mut_checked(known) else { return };
    if let (Some(PartKind::Text { text, .. }), Some(PartKind::Text { text: more, .. })) =
        (before.last_mut().map(|part| &mut part.kind), added.first().map(|part| &part.kind))
    {
        text.push_str(more);
        parts.remove(known);
    }
}

fn executable(mut code: Proto<'_>, raw: Json) -> Result<PartKind, Unfit> {
    let language = code.text("language")?.unwrap_or_default().to_ascii_lowercase();
    let text = format!("```{language}\n{}\n```\n", code.text("code")?.unwrap_or_default());
    Ok(PartKind::Foreign { kind: "executableCode".to_owned(), raw, text: Some(text) })
}

fn code_result(mut result: Proto<'_>, raw: Json) -> Result<PartKind, Unfit> {
    let text = format!("```\n{}\n```\n", result.text("output")?.unwrap_or_default());
    Ok(PartKind::Foreign { kind: "codeExecutionResult".to_owned(), raw, text: Some(text) })
}

/// What a function answered, as text.
struct Answered {
    text: String,
    is_error: bool,
}

impl Answered {
    /// An object with one string, under one of the names that SDKs put it under, is that string; any other is its JSON.
    fn read(response: &Json) -> Self {
        let members: serde_json::Map<String, serde_json::Value> = response.to().unwrap_or_default();
        if members.len() == 1
            && let Some((name, serde_json::Value::String(text))) = members.into_iter().next()
            && matches!(name.as_str(), "result" | "output" | "content" | "error")
        {
            return Self { text, is_error: name == "error" };
        }
        Self { text: response.as_str().to_owned(), is_error: false }
    }
}
