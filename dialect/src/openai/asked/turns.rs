//! Reads the messages of a conversation.

use serde_json::value::RawValue;

use crate::hub::arguments::mended;
use crate::hub::{
    Extra, Fields, Message, Part, PartKind, Provider, Role, Signature, ToolCall, ToolResult, Unfit, failed,
    ids,
};
use crate::openai::thoughts;

use super::{contents, keep_rest};

/// The messages in `list`. Results of tools that follow each other become one message of the user.
pub(super) fn read(list: &[&RawValue], extras: &mut Vec<Extra>) -> Result<Vec<Message>, Unfit> {
    let mut turns =
        Turns { messages: Vec::with_capacity(list.len()), is_in_results: false, called: None, extras };
    for (index, value) in list.iter().enumerate() {
        turns.add(Fields::of(format!("messages[{index}]"), value)?, index)?;
    }
    Ok(turns.messages)
}

struct Turns<'a> {
    messages: Vec<Message>,
    /// Whether the last message holds results that the next may be added to.
    is_in_results: bool,
    /// The id that was made for the last call in the older way, which has none.
    called: Option<String>,
    extras: &'a mut Vec<Extra>,
}

impl Turns<'_> {
    fn add(&mut self, mut fields: Fields<'_>, index: usize) -> Result<(), Unfit> {
        let at = fields.at().to_owned();
        let role = fields.needed_text("role")?;
        let cache = fields.json("cache_control");
        let was_in_results = std::mem::take(&mut self.is_in_results);
        let (role, mut parts) = match role.as_str() {
            "system" | "developer" => (Role::System, self.needed_content(&mut fields)?),
            "user" => (Role::User, self.needed_content(&mut fields)?),
            "assistant" => (Role::Assistant, self.answer(&mut fields, index)?),
            "tool" | "function" => {
                let result = self.result(&mut fields, role == "function")?;
                self.is_in_results = true;
                (Role::User, vec![Part::new(at.clone(), PartKind::ToolResult(result))])
            }
            _ => {
                let known = "must be system, developer, user, assistant, tool or function";
                return Err(Unfit::bad(fields.path("role"), known));
            }
        };
        if let (Some(cache), Some(last)) = (cache, parts.last_mut()) {
            last.cache = Some(cache);
        }
        let name = fields.text("name")?;
        keep_rest(fields, self.extras);
        match self.messages.last_mut() {
            Some(last) if was_in_results && self.is_in_results => last.parts.append(&mut parts),
            _ => self.messages.push(Message { role, parts, name, at }),
        }
        Ok(())
    }

    fn needed_content(&mut self, fields: &mut Fields<'_>) -> Result<Vec<Part>, Unfit> {
        let path = fields.path("content");
        let value = fields.take("content").ok_or_else(|| Unfit::bad(path.clone(), "is missing"))?;
        contents::read(value, &path, self.extras)
    }

    fn content(&mut self, fields: &mut Fields<'_>) -> Result<Vec<Part>, Unfit> {
        let path = fields.path("content");
        fields
            .take("content")
            .map_or_else(|| Ok(Vec::new()), |value| contents::read(value, &path, self.extras))
    }

    /// The parts of a message of the model: thoughts, words, calls.
    fn answer(&mut self, fields: &mut Fields<'_>, index: usize) -> Result<Vec<Part>, Unfit> {
        let at = fields.at().to_owned();
        // Whatever else stands there than text is some server's own.
        let text = |value: Option<&RawValue>| -> Option<String> { serde_json::from_str(value?.get()).ok() };
        let other = text(fields.take("reasoning"));
        let words = text(fields.take("reasoning_content")).or(other);
        let details = fields.json("reasoning_details");
        let thoughts = thoughts::read(words, details.as_ref());
        let mut parts: Vec<_> = thoughts.into_iter().map(|kind| Part::new(at.clone(), kind)).collect();
        parts.extend(self.content(fields)?);
        if let Some(words) = fields.text("refusal")?.filter(|words| !words.is_empty()) {
            parts.push(Part::new(fields.path("refusal"), PartKind::Refusal(words)));
        }
        for (place, value) in fields.list("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
            let path = format!("{at}.tool_calls[{place}]");
            let id = || ids::made("call_", &path, index);
            let call = self.call(Fields::of(path.clone(), value)?, id)?;
            parts.push(Part::new(path.clone(), PartKind::ToolCall(call)));
        }
        if let Some(inner) = fields.object("function_call")? {
            let path = inner.at().to_owned();
            let id = ids::made("call_", &path, index);
            self.called = Some(id.clone());
            let (name, arguments) = self.function(inner)?;
            let call = ToolCall { id, name, arguments, is_custom: false, signature: None };
            parts.push(Part::new(path, PartKind::ToolCall(call)));
        }
        Ok(parts)
    }

    fn call(&mut self, mut fields: Fields<'_>, made: impl Fn() -> String) -> Result<ToolCall, Unfit> {
        let id = fields.text("id")?.filter(|id| !id.is_empty()).unwrap_or_else(made);
        let signature = match fields.object("extra_content")? {
            Some(mut outer) => match outer.object("google")? {
                Some(mut inner) => inner.text("thought_signature")?,
                None => None,
            },
            None => None,
        };
        let signature = signature.map(|data| Signature { provider: Provider::Gemini, data });
        fields.take("index");
        let path = fields.path("function");
        fields.take("type");
        let (name, arguments, is_custom) = if let Some(mut custom) = fields.object("custom")? {
            (custom.needed_text("name")?, custom.text("input")?.unwrap_or_default(), true)
        } else {
            let inner = fields.object("function")?.ok_or_else(|| Unfit::bad(path, "is missing"))?;
            let (name, arguments) = self.function(inner)?;
            (name, arguments, false)
        };
        keep_rest(fields, self.extras);
        Ok(ToolCall { id, name, arguments, is_custom, signature })
    }

    /// The name and the arguments of a call.
    fn function(&mut self, mut fields: Fields<'_>) -> Result<(String, String), Unfit> {
        let name = fields.needed_text("name")?;
        let path = fields.path("arguments");
        let written = match fields.take("arguments") {
            // Some clients put the object there and not its text.
            Some(value) if value.get().starts_with('{') => value.get().to_owned(),
            Some(value) => serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned()),
            None => String::new(),
        };
        let Some(arguments) = mended(&written).map(std::borrow::Cow::into_owned) else {
            return Err(Unfit::untranslatable(path, "must be the text of a JSON object"));
        };
        keep_rest(fields, self.extras);
        Ok((name, arguments))
    }

    fn result(&mut self, fields: &mut Fields<'_>, is_legacy: bool) -> Result<ToolResult, Unfit> {
        let name = fields.text("name")?;
        let id = match fields.text("tool_call_id")? {
            Some(id) => id,
            None if is_legacy => self.called.take().ok_or_else(|| {
                Unfit::bad(fields.at(), "is the result of a function that was not called before it")
            })?,
            None => return Err(Unfit::bad(fields.path("tool_call_id"), "is missing")),
        };
        let mut parts = self.content(fields)?;
        let mut is_error = false;
        if let Some(PartKind::Text { text, .. }) = parts.first_mut().map(|part| &mut part.kind)
            && let Some(words) = failed::unmarked(text)
        {
            *text = words.to_owned();
            is_error = true;
        }
        Ok(ToolResult { id, name, parts, is_error })
    }
}
