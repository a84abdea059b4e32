//! A client's tools, and which of them are to be called.

use serde_json::value::RawValue;

use crate::hub::{Extra, Fields, Function, Said, Tool, ToolChoice, ToolKind, Unfit};

use super::content::{cache, keep_rest};

/// The name in the hub of the tool `name` in a namespace.
pub(super) fn flat(namespace: Option<&str>, name: &str) -> String {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{namespace}__{name}"),
        None => name.to_owned(),
    }
}

/// The tools of `list`, which stands at `at`; those in namespaces are among them. What they say beyond what the hub holds
/// goes to `extras`.
pub(super) fn tools(list: Vec<&RawValue>, at: &str, extras: &mut Vec<Extra>) -> Result<Vec<Tool>, Unfit> {
    let mut found = Vec::new();
    for (index, value) in list.into_iter().enumerate() {
        let at = format!("{at}[{index}]");
        let mut fields = Fields::of(at.clone(), value)?;
        if fields.peek("type").map(RawValue::get) != Some("\"namespace\"") {
            found.push(tool(value, at, None, extras)?);
            continue;
        }
        fields.take("type");
        let namespace = fields.needed_text("name")?;
        let about = fields.text("description")?.filter(|about| !about.is_empty());
        let path = fields.path("tools");
        let first = found.len();
        for (index, value) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
            found.push(tool(value, format!("{path}[{index}]"), Some(&namespace), extras)?);
        }
        if let (Some(about), Some(first)) = (about, found.get_mut(first)) {
            tell_about(first, about);
        }
        keep_rest(fields, extras);
    }
    Ok(found)
}

/// Tells what a namespace is `about` with its first tool: other dialects have no place for it.
fn tell_about(first: &mut Tool, about: String) {
    let (ToolKind::Function(Function { description, .. }) | ToolKind::Custom { description, .. }) =
        &mut first.kind
    else {
        return;
    };
    *description = Some(match description.take() {
        Some(own) => format!("{about}\n\n{own}"),
        None => about,
    });
}

fn tool(
    value: &RawValue,
    at: String,
    namespace: Option<&str>,
    extras: &mut Vec<Extra>,
) -> Result<Tool, Unfit> {
    let mut fields = Fields::of(at.clone(), value)?;
    let kind = fields.needed_text("type")?;
    if !matches!(kind.as_str(), "function" | "custom") {
        return Ok(Tool { at, kind: ToolKind::Provider { kind, raw: value.into() }, cache: None });
    }
    let cache = cache(&mut fields);
    // OpenAI's other API puts the definition into an object.
    let nested = fields.object(&kind)?;
    let mut definition = match nested {
        Some(nested) => {
            keep_rest(fields, extras);
            nested
        }
        None => fields,
    };
    let name = flat(namespace, &definition.needed_text("name")?);
    let description = definition.text("description")?;
    let kind = if kind == "function" {
        ToolKind::Function(Function {
            name,
            namespace: namespace.map(str::to_owned),
            description,
            parameters: definition.json("parameters"),
            strict: definition.flag("strict")?,
        })
    } else {
        ToolKind::Custom { name, description, format: definition.json("format") }
    };
    keep_rest(definition, extras);
    Ok(Tool { at, kind, cache })
}

/// What `tool_choice` says.
pub(super) fn choice(value: &RawValue, extras: &mut Vec<Extra>) -> Result<Said<ToolChoice>, Unfit> {
    let at = "tool_choice";
    if let Ok(word) = serde_json::from_str::<String>(value.get()) {
        return match word.as_str() {
            "auto" => Ok(Said::new(at, ToolChoice::Auto)),
            "none" => Ok(Said::new(at, ToolChoice::None)),
            "required" | "any" => Ok(Said::new(at, ToolChoice::Required)),
            other => Err(Unfit::bad(at, format!("{other:?} is none of auto, none, required"))),
        };
    }
    let mut fields = Fields::of(at, value)?;
    let choice = match fields.needed_text("type")?.as_str() {
        "allowed_tools" => {
            // OpenAI's other API puts it into an object.
            let nested = fields.object("allowed_tools")?;
            return allowed(nested.unwrap_or(fields), extras);
        }
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "required" | "any" => ToolChoice::Required,
        kind => ToolChoice::Named(named_as(kind, &mut fields)?),
    };
    keep_rest(fields, extras);
    Ok(Said::new(at, choice))
}

fn allowed(mut fields: Fields<'_>, extras: &mut Vec<Extra>) -> Result<Said<ToolChoice>, Unfit> {
    let required = fields.text("mode")?.as_deref() == Some("required");
    let path = fields.path("tools");
    let tools = fields.list("tools")?.unwrap_or_default().into_iter().enumerate();
    let names = tools
        .map(|(index, tool)| named(&mut Fields::of(format!("{path}[{index}]"), tool)?))
        .collect::<Result<_, _>>()?;
    keep_rest(fields, extras);
    Ok(Said::new("tool_choice", ToolChoice::Allowed { names, required }))
}

fn named(fields: &mut Fields<'_>) -> Result<String, Unfit> {
    let kind = fields.needed_text("type")?;
    named_as(&kind, fields)
}

/// The name of a chosen tool of this kind. Those that OpenAI runs have none but their kind.
fn named_as(kind: &str, fields: &mut Fields<'_>) -> Result<String, Unfit> {
    match kind {
        "function" | "custom" => {
            let nested = fields.object(kind)?;
            let namespace = fields.text("namespace")?;
            let name = match nested {
                Some(mut nested) => nested.needed_text("name")?,
                None => fields.needed_text("name")?,
            };
            Ok(flat(namespace.as_deref(), &name))
        }
        "mcp" => {
            let name = fields.text("name")?;
            let server = fields.text("server_label")?;
            Ok(name.or(server).unwrap_or_else(|| kind.to_owned()))
        }
        kind if kind.starts_with("web_search") => Ok("web_search".to_owned()),
        kind => Ok(kind.to_owned()),
    }
}
