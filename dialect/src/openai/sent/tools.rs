//! Writes the tools, and which of them are to be called.

use serde_json::value::RawValue;

use crate::hub::Object;
use crate::hub::{Fields, Function, Json, Said, Tool, ToolChoice, ToolKind, Unfit, custom_tools, strictness};
use crate::translate::Engine;

use super::{Task, names};

/// Puts `tools`, `tool_choice` and `parallel_tool_calls` into `body`.
///
/// A tool that another provider runs is lost; if it must be called, the request cannot be carried.
pub(super) fn write(task: &mut Task<'_>, body: &mut Object) -> Result<(), Unfit> {
    let request = task.request;
    let choice = request.tool_choice.as_ref();
    let (allowed, choice_word) = choice_of(task, choice);
    let mut tools = Vec::new();
    let mut lost = None;
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Provider { kind, .. } => {
                lost = Some((tool, kind));
                let reason = format!("the tool {kind} is one that only its own provider has");
                task.losses.add(&tool.at, reason);
            }
            _ if allowed
                .as_ref()
                .is_some_and(|names| !names.iter().any(|name| name_of(tool) == Some(name))) => {}
            ToolKind::Function(function) => {
                let (wish, schema) = (function.strict, function.parameters.as_ref());
                let strict = strictness::sent(task.request, task.engine, wish, schema, &tool.at, task.losses);
                tools.push(function_tool(function, strict));
            }
            ToolKind::Custom { name, description, format } => {
                tools.push(custom_tool(task.engine, name, description.as_deref(), format.as_ref()));
            }
        }
    }
    let is_forced = choice.is_some_and(|said| match &said.value {
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => tools.is_empty(),
        ToolChoice::Named(name) => !request.tools.iter().any(|tool| name_of(tool) == Some(name)),
        _ => false,
    });
    match (choice, lost) {
        (Some(_), Some((tool, kind))) if is_forced => {
            let message =
                format!("is the tool {kind}, which must be called and which this backend does not have");
            return Err(Unfit::untranslatable(&tool.at, message));
        }
        (Some(said), None) if is_forced && request.tools.is_empty() => {
            task.losses.add(&said.at, "there are no tools");
        }
        (Some(said), None) if is_forced => {
            return Err(Unfit::bad(&said.at, "names a tool that is not defined"));
        }
        _ => {}
    }
    if tools.is_empty() {
        return Ok(());
    }
    body.put("tools", &tools);
    body.put_some("tool_choice", choice_word.as_ref());
    body.put_some("parallel_tool_calls", request.parallel_tool_calls.as_ref().map(|said| &said.value));
    Ok(())
}

fn name_of(tool: &Tool) -> Option<&String> {
    match &tool.kind {
        ToolKind::Function(function) => Some(&function.name),
        ToolKind::Custom { name, .. } => Some(name),
        ToolKind::Provider { .. } => None,
    }
}

/// The tools to which the choice comes down where the server has no words for it, and the choice itself.
fn choice_of(task: &Task<'_>, choice: Option<&Said<ToolChoice>>) -> (Option<Vec<String>>, Option<Json>) {
    let word = |word: &str| Some(Json::of(&word));
    match choice.map(|said| &said.value) {
        None => (None, None),
        Some(ToolChoice::Auto) => (None, word("auto")),
        Some(ToolChoice::None) => (None, word("none")),
        Some(ToolChoice::Required) => (None, word("required")),
        // LM Studio takes only words: the one tool is left to be called.
        Some(ToolChoice::Named(name)) if task.engine == Engine::LmStudio => {
            (Some(vec![name.clone()]), word("required"))
        }
        Some(ToolChoice::Named(name)) => (None, Some(Json::of(&named(task, name)))),
        Some(ToolChoice::Allowed { names, required }) => {
            let mode = if *required { "required" } else { "auto" };
            if task.engine != Engine::Provider {
                return (Some(names.clone()), word(mode));
            }
            let tools: Vec<_> = names.iter().map(|name| named(task, name)).collect();
            let (mut inner, mut outer) = (Object::default(), Object::default());
            inner.put("mode", mode);
            inner.put("tools", &tools);
            outer.put("type", "allowed_tools");
            outer.put("allowed_tools", &inner);
            (None, Some(Json::of(&outer)))
        }
    }
}

/// A choice of the tool that the client calls `name`.
fn named(task: &Task<'_>, name: &str) -> Object {
    let is_custom = task.engine == Engine::Provider
        && task
            .request
            .tools
            .iter()
            .any(|tool| matches!(&tool.kind, ToolKind::Custom { name: other, .. } if other == name));
    let kind = if is_custom { "custom" } else { "function" };
    let (mut inner, mut outer) = (Object::default(), Object::default());
    inner.put("name", &names::name(name));
    outer.put("type", kind);
    outer.put(kind, &inner);
    outer
}

fn function_tool(function: &Function, strict: Option<bool>) -> Object {
    let (mut inner, mut outer) = (Object::default(), Object::default());
    inner.put("name", &names::name(&function.name));
    inner.put_some("description", function.description.as_deref());
    inner.put("parameters", &whole_schema(function.parameters.as_ref()));
    inner.put_some("strict", strict.as_ref());
    outer.put("type", "function");
    outer.put("function", &inner);
    outer
}

fn custom_tool(engine: Engine, name: &str, description: Option<&str>, format: Option<&Json>) -> Object {
    if engine != Engine::Provider {
        return function_tool(&custom_tools::as_function(name, description, format), None);
    }
    let (mut inner, mut outer) = (Object::default(), Object::default());
    inner.put("name", &names::name(name));
    inner.put_some("description", description);
    inner.put_some("format", format.map(nested_format).as_ref());
    outer.put("type", "custom");
    outer.put("custom", &inner);
    outer
}

/// The grammar of a custom tool: the Responses API writes it flat, this one in a member of its own.
fn nested_format(format: &Json) -> Json {
    let Some(custom_tools::Grammar { syntax, definition }) = custom_tools::Grammar::of(format) else {
        return format.clone();
    };
    let (mut inner, mut outer) = (Object::default(), Object::default());
    inner.put("definition", &definition);
    inner.put("syntax", &syntax);
    outer.put("type", "grammar");
    outer.put("grammar", &inner);
    Json::of(&outer)
}

/// The schema of a function's arguments, with the `properties` that several servers insist on. All else stays as written.
fn whole_schema(schema: Option<&Json>) -> Json {
    let mut whole = Object::default();
    let written = schema.map_or("{}", Json::as_str);
    let raw: &RawValue = serde_json::from_str(written).expect("it was read before");
    let Ok(fields) = Fields::of("", raw) else { return Json::from(raw) };
    let kind = fields.peek("type").map(RawValue::get);
    let is_object = kind == Some("\"object\"") || (kind.is_none() && written.len() <= 2);
    if fields.has("properties") || !is_object {
        return Json::from(raw);
    }
    if kind.is_none() {
        whole.put("type", "object");
    }
    for (name, value) in fields.rest() {
        whole.put(&name, value);
    }
    whole.put("properties", &Json::empty_object());
    Json::of(&whole)
}
