//! A client's request: the body of `POST /v1/responses`.
//!
//! It reads only requests that go to a backend of another dialect, and those keep nothing: whatever builds on an
//! earlier answer is refused, with what to do in its place.

use serde_json::value::RawValue;

use crate::Endpoint;
use crate::hub::{
    Extra, Fields, Format, Json, Message, Part, PartKind, Reasoning, Request, Role, Said, Unfit,
};

use super::content::keep_rest;
use super::conversation::Conversation;
use super::tool_reader;

/// The members that the answer repeats.
const REPEATED: [&str; 18] = [
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// What Codex says about itself.
const UNMISSED: [&str; 1] = ["client_metadata"];

/// Reads `body`.
pub(super) fn read(body: &[u8]) -> Result<Request, Unfit> {
    let mut fields = Fields::of_body(body)?;
    refuse_state(&mut fields)?;
    let mut request = Request::new(Endpoint::Responses);
    request.repeated = repeated(&fields);
    request.model = fields.needed_text("model")?;
    request.stream = fields.flag("stream")?.unwrap_or(false);
    // All it can say is whether events are padded.
    fields.take("stream_options");

    let mut conversation = Conversation::default();
    if let Some(text) = fields.text("instructions")? {
        conversation.instruct(text);
    }
    match fields.take("input") {
        Some(input) => conversation.hear(input)?,
        None if fields.has("messages") => {
            return Err(Unfit::bad(
                "messages",
                "is of another API: the Responses API has the conversation in input",
            ));
        }
        None => {}
    }
    let list = fields.list("tools")?.unwrap_or_default();
    request.tools = tool_reader::tools(list, "tools", &mut conversation.extras)?;
    if let Some(choice) = fields.take("tool_choice") {
        request.tool_choice = Some(tool_reader::choice(choice, &mut conversation.extras)?);
    }
    let Conversation { mut messages, tools, extras } = conversation;
    if messages.is_empty() {
        messages.push(probe());
    }
    request.messages = messages;
    request.tools.extend(tools);
    request.extras = extras;
    settings(&mut fields, &mut request)?;
    who(&mut fields, &mut request)?;
    harmless(&mut fields, &mut request)?;
    keep_rest(fields, &mut request.extras);
    request.unmissed = UNMISSED.map(str::to_owned).to_vec();
    Ok(request)
}

/// Clients ask nothing at all to see whether the server answers; most backends do not take an empty conversation.
fn probe() -> Message {
    let part = Part::new("input", PartKind::plain("."));
    Message { role: Role::User, parts: vec![part], name: None, at: "input".to_owned() }
}

fn refuse_state(fields: &mut Fields<'_>) -> Result<(), Unfit> {
    let mends = [
        (
            "previous_response_id",
            "names an answer that this backend does not keep: send the whole conversation as input",
        ),
        (
            "conversation",
            "names a conversation that this backend does not keep: send the whole conversation as input",
        ),
        ("prompt", "names a prompt that is kept at OpenAI: send its text as instructions and input"),
    ];
    for (name, mend) in mends {
        if fields.has(name) {
            return Err(Unfit::untranslatable(name, mend));
        }
    }
    if fields.flag("background")? == Some(true) {
        let message =
            "cannot be true: this backend keeps no answers to be fetched later; leave it out, and stream";
        return Err(Unfit::untranslatable("background", message));
    }
    Ok(())
}

fn repeated(fields: &Fields<'_>) -> Vec<Extra> {
    let found = REPEATED.iter().filter_map(|name| Some((*name, fields.peek(name)?)));
    found.map(|(name, value)| Extra { name: name.into(), at: name.into(), value: value.into() }).collect()
}

fn said<T>(name: &str, value: Option<T>) -> Option<Said<T>> {
    value.map(|value| Said::new(name, value))
}

fn settings(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    request.parallel_tool_calls = said("parallel_tool_calls", fields.flag("parallel_tool_calls")?);
    request.max_tokens = said("max_output_tokens", fields.count("max_output_tokens")?);
    request.sampling.temperature = said("temperature", fields.number("temperature")?);
    request.sampling.top_p = said("top_p", fields.number("top_p")?);
    request.sampling.top_logprobs =
        said("top_logprobs", fields.count("top_logprobs")?.filter(|count| *count > 0));
    if request.sampling.top_logprobs.is_some() {
        request.sampling.logprobs = Some(Said::new("top_logprobs", true));
    }
    request.metadata = said("metadata", fields.json("metadata").filter(|object| !is_empty(object)));
    request.service_tier = said("service_tier", fields.text("service_tier")?);
    request.cache_key = said("prompt_cache_key", fields.text("prompt_cache_key")?);
    if let Some(mut reasoning) = fields.object("reasoning")? {
        request.reasoning = Some(Said::new("reasoning", thoughts(&mut reasoning)?));
        keep_rest(reasoning, &mut request.extras);
    }
    if let Some(mut text) = fields.object("text")? {
        request.verbosity = said("text.verbosity", text.text("verbosity")?);
        if let Some(format) = text.object("format")? {
            request.format = form(format, &mut request.extras)?;
        }
        keep_rest(text, &mut request.extras);
    }
    Ok(())
}

fn is_empty(object: &Json) -> bool {
    object.to::<serde_json::Map<String, serde_json::Value>>().is_some_and(|members| members.is_empty())
}

fn thoughts(fields: &mut Fields<'_>) -> Result<Reasoning, Unfit> {
    let older = fields.text("generate_summary")?;
    let summary = fields.text("summary")?.or(older);
    let shown = summary.as_deref().map(|summary| summary != "none");
    let effort = fields.text("effort")?;
    Ok(Reasoning {
        enabled: None,
        effort,
        budget: None,
        shown,
        summary: summary.filter(|word| word != "none"),
    })
}

fn form(mut fields: Fields<'_>, extras: &mut Vec<Extra>) -> Result<Option<Said<Format>>, Unfit> {
    let at = fields.at().to_owned();
    let format = match fields.needed_text("type")?.as_str() {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => {
            // OpenAI's other API puts the schema into an object.
            let nested = fields.object("json_schema")?;
            let mut inner = nested.unwrap_or(fields);
            let name = inner.text("name")?.unwrap_or_else(|| "response".to_owned());
            let description = inner.text("description")?;
            let strict = inner.flag("strict")?;
            let path = inner.path("schema");
            let schema = inner.json("schema").ok_or_else(|| Unfit::bad(path, "is missing"))?;
            keep_rest(inner, extras);
            let format = Format::Schema { name, description, schema, strict };
            return Ok(Some(Said::new(at, format)));
        }
        other => {
            let message = format!("{other:?} is none of text, json_object, json_schema");
            return Err(Unfit::bad(fields.path("type"), message));
        }
    };
    keep_rest(fields, extras);
    Ok(format.map(|format| Said::new(at, format)))
}

fn who(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    request.user = said("user", fields.text("user")?);
    if request.user.is_none() {
        request.user = said("safety_identifier", fields.text("safety_identifier")?);
    }
    Ok(())
}

/// Takes what asks for nothing but what happens anyway.
fn harmless(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    if fields.peek("truncation").map(RawValue::get) == Some("\"disabled\"") {
        fields.take("truncation");
    }
    let Some(include) = fields.list("include")? else { return Ok(()) };
    for (index, value) in include.into_iter().enumerate() {
        match value.get() {
            // Signatures are always told.
            "\"reasoning.encrypted_content\"" => {}
            "\"message.output_text.logprobs\"" => {
                let at = format!("include[{index}]");
                request.sampling.logprobs.get_or_insert_with(|| Said::new(at, true));
            }
            _ => {
                let at = format!("include[{index}]");
                request.extras.push(Extra { name: at.clone(), at, value: value.into() });
            }
        }
    }
    Ok(())
}
