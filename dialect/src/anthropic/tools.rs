//! Tools as a client defines them, and its choice among them.

use serde_json::value::RawValue;

use crate::hub::{Extra, Fields, Function, Request, Said, Tool, ToolChoice, ToolKind, Unfit};

/// Reads the tool `raw`, which stands at `at`. One without a type, or of type `custom`, is a function; every other one is
/// Anthropic's own.
pub(super) fn read(raw: &RawValue, at: String, extras: &mut Vec<Extra>) -> Result<Tool, Unfit> {
    let mut fields = Fields::of(&at, raw)?;
    let cache = fields.json("cache_control");
    let kind = fields.text("type")?.unwrap_or_else(|| "custom".to_owned());
    if kind != "custom" {
        return Ok(Tool { at, kind: ToolKind::Provider { kind, raw: raw.into() }, cache });
    }
    let function = Function {
        name: fields.needed_text("name")?,
        namespace: None,
        description: fields.text("description")?,
        parameters: fields.json("input_schema"),
        strict: fields.flag("strict")?,
    };
    // How finely arguments are cut into pieces: they are passed on as they come.
    fields.take("eager_input_streaming");
    for (name, value) in fields.rest() {
        let is_default = matches!((name.as_ref(), value.get()), ("defer_loading", "false"));
        if !is_default {
            extras.push(Extra { at: format!("{at}.{name}"), name: name.into_owned(), value: value.into() });
        }
    }
    Ok(Tool { at, kind: ToolKind::Function(function), cache })
}

/// Reads `tool_choice` into `request`.
pub(super) fn read_choice(mut fields: Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    let kind = fields.needed_text("type")?;
    let choice = match kind.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(fields.needed_text("name")?),
        _ => {
            let message = format!("must be \"auto\", \"any\", \"tool\" or \"none\", not {kind:?}");
            return Err(Unfit::bad("tool_choice.type", message));
        }
    };
    if fields.flag("disable_parallel_tool_use")? == Some(true) {
        request.parallel_tool_calls = Some(Said::new("tool_choice.disable_parallel_tool_use", false));
    }
    request.tool_choice = Some(Said::new("tool_choice", choice));
    Ok(())
}
