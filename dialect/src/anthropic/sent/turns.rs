//! The conversation as Anthropic takes it.
//!
//! Turns of the user and of the model alternate; every call is answered at the beginning of the next turn, in the order
//! of the calls; nothing is empty. Instructions at the beginning become the system prompt; later ones stay where they
//! are, as text of the user's turn inside `<system>` tags.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::hub::{
    Json, Losses, Message, Part, PartKind, Role, ToolCall, ToolResult, Unfit, custom_tools, ids,
};

use super::blocks::{Blocks, Place};
use super::{Task, names};
use crate::hub::Object;

/// What stands for a result that is not there.
const NO_RESULT: &str = "There is no result of this call.";

/// What stands for the words of a failure that has none.
const FAILED: &str = "The tool failed.";

/// What the user is taken to say where the model speaks first.
const OPENING: &str = "(The conversation begins with the assistant.)";

/// A written conversation.
pub(super) struct Talk {
    /// The system prompt.
    pub(super) system: Vec<SystemText>,
    /// The turns.
    pub(super) messages: Vec<Object>,
    /// Whether it ends in the middle of the model's turn.
    pub(super) is_prefilled: bool,
    /// Whether it ends with results of calls that were not made by signed thoughts.
    pub(super) is_unthought: bool,
    /// Whether it names uploaded files.
    pub(super) names_files: bool,
}

/// One text of the system prompt.
pub(super) struct SystemText {
    /// It.
    pub(super) text: String,
    /// The `cache_control` on it.
    pub(super) cache: Option<Json>,
}

impl SystemText {
    /// One without more.
    pub(super) fn plain(text: String) -> Self {
        Self { text, cache: None }
    }

    /// It as a block.
    pub(super) fn block(&self) -> Object {
        Object::typed("text").with("text", &self.text).with_some("cache_control", self.cache.as_ref())
    }
}

#[derive(Default)]
struct Turn {
    is_user: bool,
    /// Results, each with the place of its call.
    results: Vec<(usize, Object)>,
    blocks: Vec<Object>,
    /// Whether its first block is a signed thought.
    is_thought: bool,
}

/// A call of the model's last turn.
struct Call {
    id: String,
    sent: String,
    at: String,
    is_answered: bool,
}

struct Turns<'a, 'b> {
    blocks: Blocks<'a, 'b>,
    system: Vec<SystemText>,
    list: Vec<Turn>,
    calls: Vec<Call>,
    used_ids: BTreeSet<String>,
}

/// Writes the conversation of the request. Fails when there is nothing in it that could be sent, or when it holds
/// something that makes no sense without it.
pub(super) fn write(task: Task<'_>, losses: &mut Losses) -> Result<Talk, Unfit> {
    let mut turns = Turns {
        blocks: Blocks { task, losses, names_files: false },
        system: Vec::new(),
        list: Vec::new(),
        calls: Vec::new(),
        used_ids: BTreeSet::new(),
    };
    let messages = &task.request.messages;
    for (index, message) in messages.iter().enumerate() {
        turns.add(message, index + 1 == messages.len())?;
    }
    turns.settle();
    turns.open()?;
    Ok(turns.done())
}

impl Turns<'_, '_> {
    fn add(&mut self, message: &Message, is_last: bool) -> Result<(), Unfit> {
        if message.name.is_some() {
            self.blocks.losses.add(format!("{}.name", message.at), "Anthropic has no names of speakers");
        }
        match message.role {
            Role::System if self.list.is_empty() => self.add_instructions(message),
            Role::System => self.add_later_instructions(message),
            Role::User => self.add_user(message)?,
            Role::Assistant => self.add_assistant(message, is_last)?,
        }
        Ok(())
    }

    fn add_instructions(&mut self, message: &Message) {
        for part in &message.parts {
            if let Some(text) = self.blocks.words(part) {
                self.system.push(SystemText { text: text.to_owned(), cache: part.cache.clone() });
            }
        }
    }

    fn add_later_instructions(&mut self, message: &Message) {
        let mut has_any = false;
        for part in &message.parts {
            if let Some(text) = self.blocks.words(part) {
                let block = Object::typed("text")
                    .with("text", &format!("<system>\n{text}\n</system>"))
                    .with_some("cache_control", part.cache.as_ref());
                self.push(true, block);
                has_any = true;
            }
        }
        if has_any {
            let reason = "Anthropic takes instructions at the beginning; these were sent in the user's turn";
            self.blocks.losses.add(&message.at, reason);
        }
    }

    fn add_user(&mut self, message: &Message) -> Result<(), Unfit> {
        for part in &message.parts {
            if let PartKind::ToolResult(result) = &part.kind {
                self.add_result(part, result)?;
            } else if let Some(block) = self.blocks.block(part, Place::User)? {
                self.push(true, block);
            }
        }
        Ok(())
    }

    fn add_assistant(&mut self, message: &Message, is_last: bool) -> Result<(), Unfit> {
        for (index, part) in message.parts.iter().enumerate() {
            if let PartKind::ToolCall(call) = &part.kind {
                self.add_call(part, call)?;
                continue;
            }
            // The text that the model is to go on from must not end in white space.
            let trimmed = match part.text().filter(|_| is_last && index + 1 == message.parts.len()) {
                Some(text) => Cow::Owned(Part {
                    kind: PartKind::plain(text.trim_end()),
                    at: part.at.clone(),
                    cache: part.cache.clone(),
                }),
                None => Cow::Borrowed(part),
            };
            if let Some(block) = self.blocks.block(&trimmed, Place::Assistant)? {
                self.push(false, block);
            }
        }
        Ok(())
    }

    fn add_call(&mut self, part: &Part, call: &ToolCall) -> Result<(), Unfit> {
        let arguments =
            if call.is_custom { custom_tools::wrapped(&call.arguments) } else { call.arguments.clone() };
        let input = Json::parse(&arguments).filter(Json::is_object).ok_or_else(|| {
            Unfit::untranslatable(
                &part.at,
                "has arguments that are not a JSON object, as Anthropic wants them",
            )
        })?;
        let mut sent = ids::plain(&call.id).into_owned();
        // Some engines give the first call of every turn the same id; Anthropic wants each only once.
        let mut count = 1;
        while self.used_ids.contains(&sent) {
            sent = ids::made("call_", &call.id, count);
            count += 1;
        }
        let block = Object::typed("tool_use")
            .with("id", &sent)
            .with("name", &*names::sent(&call.name))
            .with("input", &input)
            .with_some("cache_control", part.cache.as_ref());
        self.push(false, block);
        self.used_ids.insert(sent.clone());
        self.calls.push(Call { id: call.id.clone(), sent, at: part.at.clone(), is_answered: false });
        Ok(())
    }

    fn add_result(&mut self, part: &Part, result: &ToolResult) -> Result<(), Unfit> {
        let mut content = Vec::with_capacity(result.parts.len());
        for inner in &result.parts {
            content.extend(self.blocks.block(inner, Place::Result)?);
        }
        let is_open = |call: &Call| call.id == result.id && !call.is_answered;
        let Some(place) = self.calls.iter().position(is_open) else {
            let reason = "answers no call of the turn before it; sent as text";
            self.blocks.losses.add(&part.at, reason);
            let text = format!("[The result of a call that is not in the conversation: {}]", result.id);
            self.push(true, Object::typed("text").with("text", &text));
            for block in content {
                self.push(true, block);
            }
            return Ok(());
        };
        let call = &mut self.calls[place];
        call.is_answered = true;
        let mut block = Object::typed("tool_result").with("tool_use_id", &call.sent);
        match (&content[..], result.parts.as_slice()) {
            ([], _) if result.is_error => block.put("content", FAILED),
            ([], _) => {}
            ([_], [only]) if only.cache.is_none() && only.text().is_some() => {
                block.put("content", only.text().unwrap_or_default());
            }
            _ => block.put("content", &content),
        }
        if result.is_error {
            block.put("is_error", &true);
        }
        block.put_some("cache_control", part.cache.as_ref());
        self.turn(true).results.push((place, block));
        Ok(())
    }

    /// The turn of this side that is going on, or a new one.
    fn turn(&mut self, is_user: bool) -> &mut Turn {
        if self.list.last().is_none_or(|turn| turn.is_user != is_user) {
            if !is_user {
                self.settle();
                self.calls.clear();
            }
            self.list.push(Turn { is_user, ..Turn::default() });
        }
        self.list.last_mut().expect("one was pushed")
    }

    fn push(&mut self, is_user: bool, block: Object) {
        let is_thought = block.is_typed("thinking") || block.is_typed("redacted_thinking");
        let turn = self.turn(is_user);
        turn.is_thought |= is_thought && turn.blocks.is_empty();
        turn.blocks.push(block);
    }

    /// Answers the calls that nobody answered: Anthropic refuses a conversation with an open one.
    fn settle(&mut self) {
        for place in 0..self.calls.len() {
            let call = &mut self.calls[place];
            if call.is_answered {
                continue;
            }
            call.is_answered = true;
            self.blocks.losses.add(&call.at, "has no result; sent as failed");
            let block = Object::typed("tool_result")
                .with("tool_use_id", &call.sent)
                .with("content", NO_RESULT)
                .with("is_error", &true);
            if self.list.last().is_some_and(|turn| !turn.is_user) {
                self.list.push(Turn { is_user: true, ..Turn::default() });
            }
            self.list.last_mut().expect("calls stand in a turn").results.push((place, block));
        }
    }

    /// Sees to it that there is a turn, and that the first is the user's.
    fn open(&mut self) -> Result<(), Unfit> {
        let text = |text: &str| Object::typed("text").with("text", text);
        match self.list.first() {
            Some(first) if first.is_user => {}
            Some(_) => {
                let reason = "Anthropic wants the user to speak first; a note was put before it";
                self.blocks.losses.add("messages", reason);
                let opening = Turn { is_user: true, blocks: vec![text(OPENING)], ..Turn::default() };
                self.list.insert(0, opening);
            }
            None => {
                let Some(last) = self.system.pop() else {
                    let message = "must have something in it that Anthropic takes";
                    return Err(Unfit::untranslatable("messages", message));
                };
                let reason =
                    "Anthropic wants the user to speak; the last instructions were sent as the user's";
                self.blocks.losses.add("messages", reason);
                let block = last.block();
                self.list.push(Turn { is_user: true, blocks: vec![block], ..Turn::default() });
            }
        }
        Ok(())
    }

    fn done(self) -> Talk {
        let last = self.list.last();
        let is_prefilled = last.is_some_and(|turn| !turn.is_user);
        let model = self.list.iter().rev().find(|turn| !turn.is_user);
        let has_results = last.is_some_and(|turn| !turn.results.is_empty());
        let is_unthought = has_results && model.is_some_and(|turn| !turn.is_thought);
        Talk {
            system: self.system,
            messages: self.list.into_iter().map(Turn::written).collect(),
            is_prefilled,
            is_unthought,
            names_files: self.blocks.names_files,
        }
    }
}

impl Turn {
    fn written(mut self) -> Object {
        self.results.sort_by_key(|(place, _)| *place);
        let role = if self.is_user { "user" } else { "assistant" };
        let message = Object::default().with("role", role);
        if self.results.is_empty()
            && let [only] = self.blocks.as_slice()
            && let Some(text) = only.plain_text()
        {
            return message.with("content", text);
        }
        let content: Vec<Object> =
            self.results.into_iter().map(|(_, result)| result).chain(self.blocks).collect();
        message.with("content", &content)
    }
}
