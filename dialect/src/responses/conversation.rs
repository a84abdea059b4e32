//! The items of a client's `input`, put together to the turns of a conversation.
//!
//! What the model did in one turn comes as several items: thoughts, a message, calls. They are one message here, so that
//! every dialect can tell it as one turn. Results that follow each other are one message too.

use serde_json::value::RawValue;

use crate::hub::{Extra, Fields, Message, Part, PartKind, Role, Tool, ToolCall, ToolResult, Unfit, failed};

use super::{built_in, content, seal, tool_reader};

/// The conversation so far.
#[derive(Default)]
pub(super) struct Conversation {
    /// The turns.
    pub(super) messages: Vec<Message>,
    /// Tools that are defined on the way.
    pub(super) tools: Vec<Tool>,
    /// What has no place in a turn.
    pub(super) extras: Vec<Extra>,
}

impl Conversation {
    /// Takes `instructions`, which come before everything else.
    pub(super) fn instruct(&mut self, text: String) {
        if !text.is_empty() {
            let part = Part::new("instructions", PartKind::plain(text));
            self.say(Role::System, vec![part], "instructions");
        }
    }

    /// Takes `input`: a string, or a list of items.
    pub(super) fn hear(&mut self, input: &RawValue) -> Result<(), Unfit> {
        if let Ok(text) = serde_json::from_str::<String>(input.get()) {
            if !text.is_empty() {
                self.say(Role::User, vec![Part::new("input", PartKind::plain(text))], "input");
            }
            return Ok(());
        }
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(input.get()) else {
            let what = crate::hub::kind(input);
            return Err(Unfit::bad("input", format!("must be a string or a list, not {what}")));
        };
        for (index, item) in items.into_iter().enumerate() {
            self.item(item, &format!("input[{index}]"))?;
        }
        Ok(())
    }

    fn item(&mut self, value: &RawValue, at: &str) -> Result<(), Unfit> {
        let mut fields = Fields::of(at, value)?;
        let told = fields.text("type")?;
        let kind = match told.as_deref() {
            Some(kind) => kind,
            None if fields.has("role") => "message",
            None if fields.has("id") => "item_reference",
            None => return Err(Unfit::bad(fields.path("type"), "is missing")),
        };
        match kind {
            "message" => return self.message(fields),
            "reasoning" => self.reasoning(&mut fields)?,
            "function_call" | "custom_tool_call" => self.call(&mut fields, kind == "custom_tool_call")?,
            "function_call_output" | "custom_tool_call_output" => self.result(&mut fields)?,
            "additional_tools" | "tool_search_output" => {
                let list = fields.list("tools")?.unwrap_or_default();
                let path = fields.path("tools");
                let found = tool_reader::tools(list, &path, &mut self.extras)?;
                self.tools.extend(found);
                return Ok(());
            }
            "item_reference" => {
                let message = "refers to an item that this backend does not keep: send the whole item in its \
                               place, as SDKs do that are told not to store";
                return Err(Unfit::untranslatable(at, message));
            }
            "compaction" | "compaction_summary" | "compaction_trigger" | "context_compaction" => {
                let message =
                    "is a compaction, which only OpenAI can make and read: send the whole conversation";
                return Err(Unfit::untranslatable(at, message));
            }
            other => {
                self.built_in(other, value, at);
                return Ok(());
            }
        }
        for known in ["id", "status", "caller"] {
            fields.take(known);
        }
        content::keep_rest(fields, &mut self.extras);
        Ok(())
    }

    fn message(&mut self, mut fields: Fields<'_>) -> Result<(), Unfit> {
        let role = match fields.needed_text("role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" | "developer" => Role::System,
            other => return Err(Unfit::bad(fields.path("role"), format!("{other:?} is no role"))),
        };
        let path = fields.path("content");
        let Some(said) = fields.take("content") else { return Err(Unfit::bad(path, "is missing")) };
        let parts = content::parts(said, &path, &mut self.extras)?;
        let at = fields.at().to_owned();
        for known in ["id", "status", "phase"] {
            fields.take(known);
        }
        content::keep_rest(fields, &mut self.extras);
        match role {
            Role::Assistant => self.answer(parts, &at),
            _ => self.say(role, parts, &at),
        }
        Ok(())
    }

    fn say(&mut self, role: Role, parts: Vec<Part>, at: &str) {
        if !parts.is_empty() {
            self.messages.push(Message { role, parts, name: None, at: at.to_owned() });
        }
    }

    /// A message of the model. After another one without calls it is a message of its own, with the thoughts before it.
    fn answer(&mut self, parts: Vec<Part>, at: &str) {
        let Some(last) = self.messages.last_mut().filter(|last| last.role == Role::Assistant) else {
            return self.say(Role::Assistant, parts, at);
        };
        let has_said = |part: &Part| matches!(part.kind, PartKind::Text { .. } | PartKind::Refusal(_));
        let has_called = |part: &Part| matches!(part.kind, PartKind::ToolCall(_));
        if last.parts.iter().any(has_called) || !last.parts.iter().any(has_said) {
            last.parts.extend(parts);
            return;
        }
        let thoughts = last.parts.iter().rposition(|part| !is_thought(part)).map_or(0, |place| place + 1);
        let mut all = last.parts.split_off(thoughts);
        let at = all.first().map_or(at, |part| part.at.as_str()).to_owned();
        all.extend(parts);
        self.say(Role::Assistant, all, &at);
    }

    /// Something the model did in its turn.
    fn act(&mut self, part: Part) {
        match self.messages.last_mut() {
            Some(last) if last.role == Role::Assistant => last.parts.push(part),
            _ => {
                let at = part.at.clone();
                self.say(Role::Assistant, vec![part], &at);
            }
        }
    }

    fn reasoning(&mut self, fields: &mut Fields<'_>) -> Result<(), Unfit> {
        let at = fields.at().to_owned();
        let mut told = |name: &str| -> Result<String, Unfit> {
            let path = fields.path(name);
            let Some(list) = fields.take(name) else { return Ok(String::new()) };
            let parts = content::parts(list, &path, &mut self.extras)?;
            let texts: Vec<&str> = parts.iter().filter_map(Part::text).collect();
            Ok(texts.join("\n\n"))
        };
        let (summary, whole) = (told("summary")?, told("content")?);
        let encrypted = fields.text("encrypted_content")?;
        let kind = seal::read(if whole.is_empty() { summary } else { whole }, encrypted.as_deref());
        if !matches!(&kind, PartKind::Thinking { text, signature: None } if text.is_empty()) {
            self.act(Part::new(at, kind));
        }
        Ok(())
    }

    fn call(&mut self, fields: &mut Fields<'_>, is_custom: bool) -> Result<(), Unfit> {
        let at = fields.at().to_owned();
        let id = fields.needed_text("call_id")?;
        let name = fields.needed_text("name")?;
        let namespace = fields.text("namespace")?;
        let arguments = if is_custom {
            fields.needed_text("input")?
        } else {
            let path = fields.path("arguments");
            let written = fields.text("arguments")?.unwrap_or_default();
            let mended = crate::hub::arguments::mended(&written);
            mended.ok_or_else(|| Unfit::bad(path, "must be a JSON object in a string"))?.into_owned()
        };
        let name = tool_reader::flat(namespace.as_deref(), &name);
        let signature = self.take_call_signature();
        let call = ToolCall { id, name, arguments, is_custom, signature };
        self.act(Part::new(at, PartKind::ToolCall(call)));
        Ok(())
    }

    /// Gemini signs calls; such a signature comes in a reasoning item without a text just before the call.
    fn take_call_signature(&mut self) -> Option<crate::hub::Signature> {
        let last = self.messages.last_mut().filter(|last| last.role == Role::Assistant)?;
        let is_ours = matches!(&last.parts.last()?.kind, PartKind::Thinking { text, signature: Some(signature) }
            if text.is_empty() && signature.provider == crate::hub::Provider::Gemini);
        if !is_ours {
            return None;
        }
        let part = last.parts.pop()?;
        if last.parts.is_empty() {
            self.messages.pop();
        }
        match part.kind {
            PartKind::Thinking { signature, .. } => signature,
            _ => None,
        }
    }

    fn result(&mut self, fields: &mut Fields<'_>) -> Result<(), Unfit> {
        let at = fields.at().to_owned();
        let id = fields.needed_text("call_id")?;
        let path = fields.path("output");
        let Some(output) = fields.take("output") else { return Err(Unfit::bad(path, "is missing")) };
        let mut parts = content::parts(output, &path, &mut self.extras)?;
        let is_error = parts.first_mut().is_some_and(unmark);
        let namespace = fields.text("namespace")?;
        let name = fields.text("name")?.map(|name| tool_reader::flat(namespace.as_deref(), &name));
        let result = PartKind::ToolResult(ToolResult { id, name, parts, is_error });
        self.reply(Part::new(at, result));
        Ok(())
    }

    /// What a tool answers: in one message with the answers before it.
    fn reply(&mut self, part: Part) {
        let is_reply = |part: &Part| matches!(part.kind, PartKind::ToolResult(_));
        match self.messages.last_mut() {
            Some(last) if last.role == Role::User && last.parts.iter().all(is_reply) => last.parts.push(part),
            _ => {
                let at = part.at.clone();
                self.say(Role::User, vec![part], &at);
            }
        }
    }

    /// An item of a tool that OpenAI runs, or whose form only its models know.
    fn built_in(&mut self, kind: &str, raw: &RawValue, at: &str) {
        let text = built_in::in_words(kind, raw);
        let part = Part::new(at, PartKind::Foreign { kind: kind.to_owned(), raw: raw.into(), text });
        if kind.ends_with("_output") || kind.ends_with("_response") {
            self.say(Role::User, vec![part], at);
        } else {
            self.act(part);
        }
    }
}

fn is_thought(part: &Part) -> bool {
    matches!(part.kind, PartKind::Thinking { .. } | PartKind::SealedThinking { .. })
}

/// Takes the mark of a failure off `part`, if it has one.
fn unmark(part: &mut Part) -> bool {
    let PartKind::Text { text, .. } = &mut part.kind else { return false };
    let words = failed::unmarked(text).map(str::to_owned);
    let is_marked = words.is_some();
    *text = words.unwrap_or_else(|| std::mem::take(text));
    is_marked
}
