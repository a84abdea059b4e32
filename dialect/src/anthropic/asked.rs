//! What a client asks: the body of a request, and the conversation in it.
//!
//! Every member that the hub has a word for is taken; the others are kept as extras with their paths. None of them is a
//! reason to refuse: clients of this dialect send what is new every few weeks.

use serde_json::value::RawValue;

use crate::Endpoint;
use crate::hub::{
    Extra, Fields, Format, Json, Message, Part, PartKind, Reasoning, Request, Role, Said, Unfit, kind,
};

use super::{block, tools};

mod unmissed;

/// Members of an answer that some clients leave on the messages of the history: they say nothing to the model.
const OF_ANSWERS: [&str; 8] =
    ["id", "type", "model", "stop_reason", "stop_sequence", "stop_details", "usage", "container"];

/// Reads the `body` of a request.
pub(super) fn read(body: &[u8]) -> Result<Request, Unfit> {
    let mut fields = Fields::of_body(body)?;
    let mut request = Request::new(Endpoint::Messages);
    request.model = fields.needed_text("model")?;
    request.stream = fields.flag("stream")?.unwrap_or(false);
    if let Some(system) = fields.take("system") {
        let parts = block::read_content(system, "system", &mut request.extras)?;
        let message = Message { role: Role::System, parts, name: None, at: "system".to_owned() };
        request.messages.push(message);
    }
    let messages = fields.list("messages")?.ok_or_else(|| Unfit::bad("messages", "is missing"))?;
    for (index, raw) in messages.into_iter().enumerate() {
        read_message(raw, format!("messages[{index}]"), &mut request)?;
    }
    for (index, raw) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let tool = tools::read(raw, format!("tools[{index}]"), &mut request.extras)?;
        request.tools.push(tool);
    }
    if let Some(choice) = fields.object("tool_choice")? {
        tools::read_choice(choice, &mut request)?;
    }
    read_settings(&mut fields, &mut request)?;
    read_thinking(&mut fields, &mut request)?;
    for (name, value) in fields.rest() {
        keep(&mut request.extras, name.to_string(), name.into_owned(), value);
    }
    unmissed::note(&mut request);
    Ok(request)
}

fn keep(extras: &mut Vec<Extra>, at: String, name: String, value: &RawValue) {
    extras.push(Extra { name, at, value: value.into() });
}

fn read_message(raw: &RawValue, at: String, request: &mut Request) -> Result<(), Unfit> {
    let mut fields = Fields::of(&at, raw)?;
    let role = match fields.needed_text("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        // In any place: agents speak so in the middle of a conversation.
        "system" | "developer" => Role::System,
        other => {
            let message = format!("must be \"user\", \"assistant\" or \"system\", not {other:?}");
            return Err(Unfit::bad(fields.path("role"), message));
        }
    };
    let content_at = fields.path("content");
    let mut parts = match fields.take("content") {
        Some(content) => block::read_content(content, &content_at, &mut request.extras)?,
        None => return Err(Unfit::bad(content_at, "is missing")),
    };
    for (name, value) in fields.rest() {
        if !OF_ANSWERS.contains(&name.as_ref()) {
            keep(&mut request.extras, format!("{at}.{name}"), name.into_owned(), value);
        }
    }
    let is_result = |part: &Part| matches!(part.kind, PartKind::ToolResult(_));
    if role == Role::User {
        parts.sort_by_key(|part| !is_result(part));
        let before = request.messages.last_mut().filter(|before| before.role == Role::User);
        if let Some(before) = before
            && !before.parts.is_empty()
            && before.parts.iter().all(is_result)
            && parts.first().is_some_and(is_result)
        {
            before.parts.append(&mut parts);
            return Ok(());
        }
    }
    request.messages.push(Message { role, parts, name: None, at });
    Ok(())
}

fn read_settings(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    let sampling = &mut request.sampling;
    request.max_tokens = said("max_tokens", fields.count("max_tokens")?);
    sampling.temperature = said("temperature", fields.number("temperature")?);
    sampling.top_p = said("top_p", fields.number("top_p")?);
    sampling.top_k = said("top_k", fields.count("top_k")?);
    if let Some(list) = fields.list("stop_sequences")? {
        let mut stops = Vec::with_capacity(list.len());
        for (index, raw) in list.into_iter().enumerate() {
            let stop = serde_json::from_str(raw.get()).map_err(|_| {
                Unfit::bad(format!("stop_sequences[{index}]"), format!("must be a string, not {}", kind(raw)))
            })?;
            stops.push(stop);
        }
        sampling.stop = Some(Said::new("stop_sequences", stops)).filter(|stop| !stop.value.is_empty());
    }
    request.service_tier = said("service_tier", fields.text("service_tier")?);
    if let Some(mut metadata) = fields.object("metadata")? {
        request.user = said("metadata.user_id", metadata.text("user_id")?);
        for (name, value) in metadata.rest() {
            keep(&mut request.extras, format!("metadata.{name}"), name.into_owned(), value);
        }
    }
    // The version of the API, as some clouds want it in the body.
    fields.take("anthropic_version");
    Ok(())
}

fn said<T>(at: &str, value: Option<T>) -> Option<Said<T>> {
    value.map(|value| Said::new(at, value))
}

/// Reads `thinking`, `output_config` and the older `output_format`.
fn read_thinking(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    let mut reasoning = Reasoning::default();
    let mut at = None;
    if let Some(mut thinking) = fields.object("thinking")? {
        let kind = thinking.needed_text("type")?;
        reasoning.enabled = match kind.as_str() {
            "enabled" | "adaptive" => Some(true),
            "disabled" => Some(false),
            _ => {
                let message = format!("must be \"enabled\", \"disabled\" or \"adaptive\", not {kind:?}");
                return Err(Unfit::bad("thinking.type", message));
            }
        };
        reasoning.budget = thinking.count("budget_tokens")?;
        reasoning.shown = thinking.text("display")?.map(|display| display != "omitted");
        at = Some("thinking");
        for (name, value) in thinking.rest() {
            keep(&mut request.extras, format!("thinking.{name}"), name.into_owned(), value);
        }
    }
    if let Some(mut config) = fields.object("output_config")? {
        if let Some(effort) = config.text("effort")? {
            reasoning.effort = Some(effort);
            at = at.or(Some("output_config.effort"));
        }
        if let Some(format) = config.object("format")? {
            read_format(format, request)?;
        }
        for (name, value) in config.rest() {
            keep(&mut request.extras, format!("output_config.{name}"), name.into_owned(), value);
        }
    }
    if let Some(format) = fields.object("output_format")? {
        read_format(format, request)?;
    }
    request.reasoning = at.map(|at| Said::new(at, reasoning));
    Ok(())
}

fn read_format(mut format: Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    let at = format.at().to_owned();
    let kind = format.needed_text("type")?;
    if kind != "json_schema" {
        let message = format!("must be \"json_schema\", not {kind:?}");
        return Err(Unfit::bad(format.path("type"), message));
    }
    let missing = || Unfit::bad(format!("{at}.schema"), "is missing");
    let schema = format.json("schema").filter(Json::is_object).ok_or_else(missing)?;
    let name = format.text("name")?.unwrap_or_else(|| "response".to_owned());
    let form = Format::Schema { name, description: None, schema, strict: Some(true) };
    request.format = Some(Said::new(at, form));
    Ok(())
}

#[cfg(test)]
mod tests;
