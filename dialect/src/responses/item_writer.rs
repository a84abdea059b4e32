//! The conversation as `input` items for a backend.

use crate::Dialect;
use crate::hub::{
    Json, Losses, Message, Part, PartKind, Provider, Request, Role, Signature, Source, ToolCall, ToolResult,
    Unfit, billing, custom_tools, failed, ids,
};
use crate::translate::Engine;

use super::input_item::{Content, Item, Output, Sound};
use super::tool_writer::plain_name;

/// Writes conversations.
pub(super) struct ItemWriter<'a> {
    request: &'a Request,
    engine: Engine,
    losses: &'a mut Losses,
    items: Vec<Item>,
}

/// The conversation of `request` but for its leading instructions, which come first in the pair.
pub(super) fn items(
    request: &Request,
    engine: Engine,
    losses: &mut Losses,
) -> Result<(String, Vec<Item>), Unfit> {
    let is_plain = |message: &&Message| {
        message.role == Role::System && message.parts.iter().all(|part| part.text().is_some())
    };
    let leading = request.messages.iter().take_while(is_plain).count();
    // OpenAI wants something to answer beside the instructions.
    let leading = if leading == request.messages.len() { leading.saturating_sub(1) } else { leading };
    let (first, rest) = request.messages.split_at(leading);
    let said = first.iter().flat_map(|message| message.parts.iter().map(move |part| (message, part)));
    let texts = said.filter_map(|(message, part)| Some(billing::without(message, part.text()?)));
    let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
    let mut writer = ItemWriter { request, engine, losses, items: Vec::new() };
    for message in first {
        writer.name(message);
    }
    for message in rest {
        writer.message(message)?;
    }
    Ok((texts.join("\n\n"), writer.items))
}

impl ItemWriter<'_> {
    fn name(&mut self, message: &Message) {
        if message.name.is_some() {
            self.losses.add(format!("{}.name", message.at), "OpenAI Responses has no names of speakers");
        }
    }

    fn message(&mut self, message: &Message) -> Result<(), Unfit> {
        self.name(message);
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
            // Chat templates of local models know only the older word.
            Role::System if self.engine == Engine::Provider => "developer",
            Role::System => "system",
        };
        let mut content = Vec::new();
        for part in &message.parts {
            let item = match &part.kind {
                PartKind::ToolCall(call) => self.call(call),
                PartKind::ToolResult(result) => self.result(result)?,
                PartKind::Thinking { text, signature } => match self.thoughts(text, signature.as_ref()) {
                    Some(item) => item,
                    None => continue,
                },
                PartKind::SealedThinking { data } => match self.thoughts("", Some(data)) {
                    Some(item) => item,
                    None => continue,
                },
                _ => {
                    let part = if message.role == Role::Assistant {
                        self.answered(part)
                    } else {
                        self.content(part)?
                    };
                    content.extend(part);
                    continue;
                }
            };
            self.flush(role, &mut content);
            self.items.push(item);
        }
        self.flush(role, &mut content);
        Ok(())
    }

    fn flush(&mut self, role: &'static str, content: &mut Vec<Content>) {
        if !content.is_empty() {
            self.items.push(Item::Message { role, content: std::mem::take(content) });
        }
    }

    fn call(&self, call: &ToolCall) -> Item {
        let (call_id, name) = (ids::plain(&call.id).into_owned(), plain_name(&call.name));
        if !call.is_custom {
            return Item::FunctionCall { call_id, name, arguments: call.arguments.clone() };
        }
        if self.engine == Engine::Provider {
            return Item::CustomToolCall { call_id, name, input: call.arguments.clone() };
        }
        Item::FunctionCall { call_id, name, arguments: custom_tools::wrapped(&call.arguments) }
    }

    fn is_custom(&self, id: &str) -> bool {
        let parts = self.request.messages.iter().flat_map(|message| &message.parts);
        self.engine == Engine::Provider
            && parts
                .into_iter()
                .any(|part| matches!(&part.kind, PartKind::ToolCall(call) if call.id == id && call.is_custom))
    }

    fn result(&mut self, result: &ToolResult) -> Result<Item, Unfit> {
        let call_id = ids::plain(&result.id).into_owned();
        let is_text = result.parts.iter().all(|part| part.text().is_some());
        let output = if is_text {
            let text = result.text();
            Output::Text(if result.is_error { failed::marked(&text).into_owned() } else { text })
        } else {
            let mut list = Vec::new();
            for part in &result.parts {
                list.extend(self.content(part)?);
            }
            if result.is_error {
                mark(&mut list);
            }
            if list.is_empty() { Output::Text(String::new()) } else { Output::List(list) }
        };
        Ok(if self.is_custom(&result.id) {
            Item::CustomToolCallOutput { call_id, output }
        } else {
            Item::FunctionCallOutput { call_id, output }
        })
    }

    /// Thoughts of an earlier turn. OpenAI takes its own; servers of one's own take any text; else they are history that
    /// the model does without.
    fn thoughts(&self, text: &str, signature: Option<&Signature>) -> Option<Item> {
        let own = signature.filter(|signature| signature.provider == Provider::OpenAi);
        if let Some(signature) = own {
            let encrypted_content = Some(signature.data.clone());
            let summary =
                if text.is_empty() { vec![] } else { vec![Content::SummaryText { text: text.to_owned() }] };
            return Some(Item::Reasoning { id: None, summary, content: Vec::new(), encrypted_content });
        }
        if !self.engine.is_local() || text.is_empty() {
            return None;
        }
        let id = Some(ids::made("rs_", text, 0));
        let content = vec![Content::ReasoningText { text: text.to_owned() }];
        Some(Item::Reasoning { id, summary: Vec::new(), content, encrypted_content: None })
    }

    /// A part of what the model said.
    fn answered(&mut self, part: &Part) -> Option<Content> {
        let text = |text: &str| Content::OutputText { text: text.to_owned(), annotations: [] };
        match &part.kind {
            PartKind::Text { text: said, .. } => Some(text(said)).filter(|_| !said.is_empty()),
            PartKind::Refusal(refusal) => Some(Content::Refusal { refusal: refusal.clone() }),
            PartKind::Foreign { text: Some(told), .. } => Some(text(told)),
            PartKind::Foreign { kind, .. } => {
                self.losses.add(part.at.clone(), format!("OpenAI Responses has no {kind}"));
                None
            }
            _ => {
                self.losses.add(part.at.clone(), "OpenAI Responses takes only text from the model");
                None
            }
        }
    }

    /// A part of what somebody else said.
    fn content(&mut self, part: &Part) -> Result<Option<Content>, Unfit> {
        Ok(Some(match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal(text) => {
                Content::InputText { text: text.clone() }
            }
            PartKind::Image { source, detail } => self.image(part, source, detail.as_deref())?,
            PartKind::Audio { source } => sound(part, source)?,
            PartKind::Document { .. } => return self.document(part).map(Some),
            PartKind::Foreign { text: Some(text), .. } => Content::InputText { text: text.clone() },
            PartKind::Foreign { kind, .. } => {
                self.losses.add(part.at.clone(), format!("OpenAI Responses has no {kind}"));
                return Ok(None);
            }
            PartKind::Video { .. } => {
                return Err(Unfit::untranslatable(
                    part.at.clone(),
                    "is a video, which OpenAI Responses does not take",
                ));
            }
            // They stand in other places.
            PartKind::Thinking { .. }
            | PartKind::SealedThinking { .. }
            | PartKind::ToolCall(_)
            | PartKind::ToolResult(_) => return Ok(None),
        }))
    }

    fn image(&self, part: &Part, source: &Source, detail: Option<&str>) -> Result<Content, Unfit> {
        let image_url = source.to_url("image/png");
        let file_id = self.own_file(source);
        if image_url.is_none() && file_id.is_none() {
            return Err(Unfit::untranslatable(
                part.at.clone(),
                "is a picture that is kept at another provider",
            ));
        }
        Ok(Content::InputImage { image_url, file_id, detail: detail.unwrap_or("auto").to_owned() })
    }

    fn document(&mut self, part: &Part) -> Result<Content, Unfit> {
        let PartKind::Document { source, name, context, citations } = &part.kind else {
            return Err(Unfit::bad(part.at.clone(), "is no document"));
        };
        if context.is_some() {
            self.losses.add(format!("{}.context", part.at), "OpenAI Responses has no such setting");
        }
        if citations.as_ref().is_some_and(is_enabled) {
            self.losses.add(format!("{}.citations", part.at), "OpenAI Responses has no such setting");
        }
        let filename = name.clone();
        let none = (None, None, None);
        let (file_data, file_url, file_id) = match source {
            Source::Text(text) => {
                let title = name.as_deref().map(|name| format!("{name}\n\n")).unwrap_or_default();
                return Ok(Content::InputText { text: format!("{title}{text}") });
            }
            Source::Base64 { .. } => (source.to_url("application/pdf"), None, None),
            Source::Url { url, .. } => (None, Some(url.clone()), None),
            Source::File { .. } => self.own_file(source).map_or(none, |id| (None, None, Some(id))),
        };
        let filename = match (&file_data, filename) {
            // OpenAI wants a name with data, and none with anything else.
            (Some(_), named) => Some(named.unwrap_or_else(|| "document.pdf".to_owned())),
            (None, _) => None,
        };
        if file_data.is_none() && file_url.is_none() && file_id.is_none() {
            return Err(Unfit::untranslatable(
                part.at.clone(),
                "is a document that is kept at another provider",
            ));
        }
        Ok(Content::InputFile { filename, file_data, file_url, file_id })
    }

    /// The id of a file that is kept where the request goes.
    fn own_file(&self, source: &Source) -> Option<String> {
        let is_kin = matches!(self.request.origin.dialect(), Dialect::OpenAi | Dialect::Responses);
        match source {
            Source::File { id } if is_kin => Some(id.clone()),
            _ => None,
        }
    }
}

/// Marks the answer of a tool that failed: in its first text, or before what is no text.
fn mark(list: &mut Vec<Content>) {
    match list.first_mut() {
        Some(Content::InputText { text }) => *text = failed::marked(text).into_owned(),
        _ => list.insert(0, Content::InputText { text: failed::marked("").into_owned() }),
    }
}

fn is_enabled(citations: &Json) -> bool {
    citations.to_value()["enabled"] != false
}

fn sound(part: &Part, source: &Source) -> Result<Content, Unfit> {
    let Source::Base64 { media_type, data } = source else {
        return Err(Unfit::untranslatable(
            part.at.clone(),
            "is sound that does not stand in the request itself",
        ));
    };
    let format = match media_type.rsplit('/').next().unwrap_or_default() {
        "mpeg" | "mp3" => "mp3",
        "x-wav" | "wave" | "wav" | "" => "wav",
        other => other,
    };
    Ok(Content::InputAudio { input_audio: Sound { data: data.clone(), format: format.to_owned() } })
}
