//! A client's `generateContent` read into the hub.
//!
//! The model and the wish for a stream stand in the path, not here. What the hub has no word for is kept with its
//! path, so that it is named as lost.

use serde_json::value::RawValue;

use crate::Endpoint;
use crate::hub::{
    Extra, Format, Function, Json, Reasoning, Request, Said, Sampling, Tool, ToolChoice, ToolKind, Unfit,
};

use super::conversation::Conversation;
use super::proto::Proto;
use super::schema;

/// What names something that only Google has, and without which the request makes no sense.
const KEPT_BY_GEMINI: [(&str, &str); 2] = [
    ("cachedContent", "names a prompt that only Gemini keeps: send its contents instead"),
    ("continuationToken", "goes on with an answer that only Gemini keeps"),
];

/// Reads `body`.
pub(super) fn read(body: &[u8]) -> Result<Request, Unfit> {
    let mut fields = Proto::of_body(body)?;
    let mut request = Request::new(Endpoint::GenerateContent);
    for (name, message) in KEPT_BY_GEMINI {
        if fields.has(name) {
            return Err(Unfit::untranslatable(fields.path(name), message));
        }
    }
    if let Some(model) = fields.text("model")? {
        model.strip_prefix("models/").unwrap_or(&model).clone_into(&mut request.model);
    }
    let mut conversation = Conversation::default();
    let instructions_at = fields.path("systemInstruction");
    if let Some(instructions) = fields.take("systemInstruction") {
        conversation.instructions(&instructions_at, instructions)?;
    }
    let contents = fields.many("contents")?;
    if contents.is_empty() {
        return Err(Unfit::bad("contents", "is missing or empty"));
    }
    for (at, content) in contents {
        conversation.content(at, content)?;
    }
    request.messages = conversation.messages;
    request.extras = conversation.extras;
    for (at, tool) in fields.many("tools")? {
        read_tool(&at, tool, &mut request)?;
    }
    if let Some(config) = fields.object("toolConfig")? {
        read_tool_config(config, &mut request)?;
    }
    if let Some(config) = fields.object("generationConfig")? {
        read_generation(config, &mut request)?;
    }
    request.service_tier =
        fields.said("serviceTier", Proto::text)?.and_then(|Said { value, at }| {
            match value.to_ascii_lowercase().as_str() {
                "" | "unspecified" => None,
                "standard" => Some(Said::new(at, "default".to_owned())),
                tier => Some(Said::new(at, tier.to_owned())),
            }
        });
    fields.into_extras(&mut request.extras);
    Ok(request)
}

/// Reads one element of `tools`: functions, and any number of Google's own tools beside them.
fn read_tool(at: &str, tool: &RawValue, request: &mut Request) -> Result<(), Unfit> {
    let mut fields = Proto::of(at, tool)?;
    for (at, function) in fields.many("functionDeclarations")? {
        let function = read_function(&at, function, &mut request.extras)?;
        request.tools.push(Tool { at, kind: ToolKind::Function(function), cache: None });
    }
    let mut own = Vec::new();
    fields.into_extras(&mut own);
    request.tools.extend(own.into_iter().map(|Extra { name, at, value }| Tool {
        at,
        kind: ToolKind::Provider { kind: name, raw: value },
        cache: None,
    }));
    Ok(())
}

fn read_function(at: &str, function: &RawValue, extras: &mut Vec<Extra>) -> Result<Function, Unfit> {
    let mut fields = Proto::of(at, function)?;
    let name = fields.needed_text("name")?;
    let description = fields.text("description")?;
    let in_openapi = fields.take("parameters").map(schema::as_json_schema);
    let parameters = fields.json("parametersJsonSchema").or(in_openapi);
    // What the function returns is told to no model but Gemini, and not needed to call it.
    fields.take("response");
    fields.take("responseJsonSchema");
    if fields
        .text("behavior")?
        .is_some_and(|behavior| !matches!(behavior.as_str(), "UNSPECIFIED" | "BLOCKING"))
    {
        let value = Json::of(&"NON_BLOCKING");
        extras.push(Extra { name: "behavior".to_owned(), at: format!("{at}.behavior"), value });
    }
    fields.into_extras(extras);
    Ok(Function { name, namespace: None, description, parameters, strict: None })
}

fn read_tool_config(mut config: Proto<'_>, request: &mut Request) -> Result<(), Unfit> {
    if let Some(mut calling) = config.object("functionCallingConfig")? {
        let at = calling.path("mode");
        let mode = calling.text("mode")?.unwrap_or_default().to_ascii_uppercase();
        let mut names = calling.texts("allowedFunctionNames")?.unwrap_or_default();
        let choice = match (mode.as_str(), names.len()) {
            ("ANY", 0) => Some(ToolChoice::Required),
            ("ANY", 1) => names.pop().map(ToolChoice::Named),
            ("ANY", _) => Some(ToolChoice::Allowed { names, required: true }),
            ("NONE", _) => Some(ToolChoice::None),
            ("AUTO" | "VALIDATED", 0) => Some(ToolChoice::Auto),
            ("AUTO" | "VALIDATED", _) => Some(ToolChoice::Allowed { names, required: false }),
            ("" | "MODE_UNSPECIFIED", _) => None,
            _ => return Err(Unfit::bad(at, "must be AUTO, ANY, NONE or VALIDATED")),
        };
        request.tool_choice = choice.map(|choice| Said::new(at, choice));
        calling.into_extras(&mut request.extras);
    }
    config.into_extras(&mut request.extras);
    Ok(())
}

fn read_generation(mut config: Proto<'_>, request: &mut Request) -> Result<(), Unfit> {
    request.max_tokens = config.said("maxOutputTokens", Proto::count)?;
    request.sampling = Sampling {
        temperature: config.said("temperature", Proto::number)?,
        top_p: config.said("topP", Proto::number)?,
        top_k: config.said("topK", Proto::count)?,
        frequency_penalty: config.said("frequencyPenalty", Proto::number)?,
        presence_penalty: config.said("presencePenalty", Proto::number)?,
        seed: config.said("seed", Proto::integer)?,
        stop: config.said("stopSequences", Proto::texts)?,
        n: config.said("candidateCount", Proto::count)?,
        logprobs: config.said("responseLogprobs", Proto::flag)?,
        top_logprobs: config.said("logprobs", Proto::count)?,
        ..Sampling::default()
    };
    read_format(&mut config, request)?;
    let at = config.path("thinkingConfig");
    if let Some(thinking) = config.object("thinkingConfig")? {
        let reasoning = read_thinking(thinking, &mut request.extras)?;
        request.reasoning = Some(Said::new(at, reasoning));
    }
    let modalities = config.path("responseModalities");
    let wanted = config.json("responseModalities");
    let is_text =
        |wanted: &Json| wanted.as_str().to_ascii_uppercase().trim_matches(['[', ']', ' ']) == "\"TEXT\"";
    if let Some(value) = wanted.filter(|wanted| !is_text(wanted) && wanted.as_str() != "[]") {
        request.extras.push(Extra { name: "responseModalities".to_owned(), at: modalities, value });
    }
    config.into_extras(&mut request.extras);
    Ok(())
}

fn read_format(config: &mut Proto<'_>, request: &mut Request) -> Result<(), Unfit> {
    let type_at = config.path("responseMimeType");
    let media_type = config.text("responseMimeType")?;
    let places = ["responseJsonSchema", "_responseJsonSchema", "responseSchema"];
    let place = places.into_iter().find(|name| config.has(name));
    let schema_at = place.map(|name| config.path(name));
    let schema = place.and_then(|name| match name {
        "responseSchema" => config.take(name).map(schema::as_json_schema),
        _ => config.json(name),
    });
    // An SDK may send both forms of one schema.
    for name in places {
        config.take(name);
    }
    request.format = match (media_type.as_deref(), schema, schema_at) {
        (Some("application/json"), Some(schema), Some(at)) => {
            let format =
                Format::Schema { name: "response".to_owned(), description: None, schema, strict: None };
            Some(Said::new(at, format))
        }
        (Some("application/json"), _, _) => Some(Said::new(type_at, Format::Json)),
        (None | Some("" | "text/plain"), None, _) => None,
        (None | Some("" | "text/plain"), Some(_), at) => {
            let message = "needs responseMimeType application/json beside it";
            return Err(Unfit::bad(at.unwrap_or_default(), message));
        }
        (Some(other), schema, at) => {
            let value = Json::of(&other);
            request.extras.push(Extra { name: "responseMimeType".to_owned(), at: type_at, value });
            let schema =
                schema.zip(at).map(|(value, at)| Extra { name: "responseSchema".to_owned(), at, value });
            request.extras.extend(schema);
            None
        }
    };
    Ok(())
}

fn read_thinking(mut thinking: Proto<'_>, extras: &mut Vec<Extra>) -> Result<Reasoning, Unfit> {
    let mut reasoning = Reasoning { shown: thinking.flag("includeThoughts")?, ..Reasoning::default() };
    reasoning.shown.get_or_insert(false);
    match thinking.integer("thinkingBudget")? {
        None => {}
        Some(0) => reasoning.enabled = Some(false),
        Some(budget) => {
            reasoning.enabled = Some(true);
            // A negative one leaves the amount to the model.
            reasoning.budget = u64::try_from(budget).ok();
        }
    }
    if let Some(level) = thinking.text("thinkingLevel")? {
        let level = level.to_ascii_lowercase();
        if level != "thinking_level_unspecified" {
            reasoning.effort = Some(level);
        }
    }
    thinking.into_extras(extras);
    Ok(reasoning)
}
