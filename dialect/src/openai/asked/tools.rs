//! Reads the tools, and which of them are to be called.

use serde_json::value::RawValue;

use crate::hub::{Extra, Fields, Function, Request, Said, Tool, ToolChoice, ToolKind, Unfit, kind};

use super::keep_rest;

/// The tools in the older way of calling them.
const FUNCTIONS: &str = "functions";

/// Takes everything about tools out of the body.
pub(super) fn read(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    let extras = &mut request.extras;
    for (index, value) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        request.tools.push(tool(format!("tools[{index}]"), value, extras)?);
    }
    for (index, value) in fields.list(FUNCTIONS)?.unwrap_or_default().into_iter().enumerate() {
        let at = format!("functions[{index}]");
        let function = function(Fields::of(at.clone(), value)?, extras)?;
        request.tools.push(Tool { at, kind: ToolKind::Function(function), cache: None });
    }
    for name in ["function_call", "tool_choice"] {
        if let Some(value) = fields.take(name) {
            request.tool_choice = Some(Said::new(name, choice(name, value)?));
        }
    }
    let parallel = fields.flag("parallel_tool_calls")?;
    request.parallel_tool_calls = parallel.map(|parallel| Said::new("parallel_tool_calls", parallel));
    if super::is_legacy(request) && parallel.is_none() {
        // The older way has room for one call in an answer.
        request.parallel_tool_calls = Some(Said::new(FUNCTIONS, false));
    }
    Ok(())
}

fn tool(at: String, value: &RawValue, extras: &mut Vec<Extra>) -> Result<Tool, Unfit> {
    let mut fields = Fields::of(at.clone(), value)?;
    let cache = fields.json("cache_control");
    let name = fields.text("type")?;
    let kind = match name.as_deref() {
        Some("function") | None if fields.has("function") => {
            let inner = fields.object("function")?.expect("it is there");
            let function = function(inner, extras)?;
            keep_rest(fields, extras);
            ToolKind::Function(function)
        }
        // The flat form of the Responses API, which some clients send here too.
        Some("function") => ToolKind::Function(function(fields, extras)?),
        Some("custom") => {
            let mut inner = match fields.object("custom")? {
                Some(inner) => inner,
                None => fields,
            };
            let name = inner.needed_text("name")?;
            let (description, format) = (inner.text("description")?, inner.json("format"));
            keep_rest(inner, extras);
            ToolKind::Custom { name, description, format }
        }
        Some(name) => ToolKind::Provider { kind: name.to_owned(), raw: value.into() },
        None if fields.has("name") => ToolKind::Function(function(fields, extras)?),
        None => return Err(Unfit::bad(fields.path("type"), "is missing")),
    };
    Ok(Tool { at, kind, cache })
}

fn function(mut fields: Fields<'_>, extras: &mut Vec<Extra>) -> Result<Function, Unfit> {
    let name = fields.needed_text("name")?;
    let description = fields.text("description")?;
    let strict = fields.flag("strict")?;
    let schema = ["parameters", "input_schema"].into_iter().find(|name| fields.has(name));
    let at = fields.path(schema.unwrap_or_default());
    let parameters = schema.and_then(|name| fields.json(name));
    if parameters.as_ref().is_some_and(|schema| !schema.is_object()) {
        return Err(Unfit::bad(at, "must be a schema, which is an object"));
    }
    keep_rest(fields, extras);
    Ok(Function { name, namespace: None, description, parameters, strict })
}

fn choice(at: &str, value: &RawValue) -> Result<ToolChoice, Unfit> {
    if let Ok(word) = serde_json::from_str::<String>(value.get()) {
        return word_choice(&word).ok_or_else(|| unknown(at));
    }
    if !value.get().starts_with('{') {
        return Err(Unfit::bad(at, format!("must be a string or an object, not {}", kind(value))));
    }
    let mut fields = Fields::of(at, value)?;
    let sort = fields.text("type")?;
    match sort.as_deref() {
        Some("allowed_tools") => allowed(fields),
        Some("function" | "custom" | "tool") | None => Ok(ToolChoice::Named(name_in(&mut fields)?)),
        Some(word) => word_choice(word).ok_or_else(|| unknown(&fields.path("type"))),
    }
}

fn unknown(at: &str) -> Unfit {
    Unfit::bad(at, "must be auto, none, required, or name a function")
}

fn word_choice(word: &str) -> Option<ToolChoice> {
    Some(match word {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "required" | "any" => ToolChoice::Required,
        _ => return None,
    })
}

/// The name in `{"function": {"name": …}}`, or beside the type.
fn name_in(fields: &mut Fields<'_>) -> Result<String, Unfit> {
    for member in ["function", "custom"] {
        if let Some(mut inner) = fields.object(member)? {
            return inner.needed_text("name");
        }
    }
    fields.needed_text("name")
}

fn allowed(mut fields: Fields<'_>) -> Result<ToolChoice, Unfit> {
    let mut inner = match fields.object("allowed_tools")? {
        Some(inner) => inner,
        None => fields,
    };
    let required = inner.text("mode")?.as_deref() == Some("required");
    let at = inner.path("tools");
    let mut names = Vec::new();
    for (index, value) in inner.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        names.push(name_in(&mut Fields::of(format!("{at}[{index}]"), value)?)?);
    }
    Ok(ToolChoice::Allowed { names, required })
}
