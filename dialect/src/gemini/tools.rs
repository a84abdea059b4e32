//! Tools and the choice among them, as Gemini takes them.
//!
//! Schemas go as written, in `parametersJsonSchema`: Gemini reads JSON Schema there, and nothing has to be left out. Custom
//! tools become functions with one argument. Tools that another provider runs are left out and named.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::Dialect;
use crate::hub::{
    Function, Json, Losses, Request, Reversal, Tool, ToolChoice, ToolKind, Unfit, custom_tools,
};

use super::names;

/// An element of `tools`.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum OutTool {
    /// Functions.
    #[serde(rename_all = "camelCase")]
    Functions {
        /// They.
        function_declarations: Vec<Declaration>,
    },
    /// One of Google's own tools: its settings, as the client wrote them, under its name.
    Own(BTreeMap<String, Json>),
}

impl OutTool {
    /// The names of its functions, as they are sent.
    fn names(&self) -> impl Iterator<Item = &str> {
        let functions = match self {
            Self::Functions { function_declarations } => function_declarations.as_slice(),
            Self::Own(_) => &[],
        };
        functions.iter().map(|function| function.name.as_str())
    }
}

/// A function.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Declaration {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<Json>,
}

/// The `toolConfig`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Config<'a> {
    function_calling_config: Calling<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_function_names: Vec<Cow<'a, str>>,
}

/// The tools of `request`. Names that had to be changed are noted in `reversal`.
pub(super) fn written(request: &Request, losses: &mut Losses, reversal: &mut Reversal) -> Vec<OutTool> {
    let mut functions = Vec::new();
    let mut own = Vec::new();
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Function(function) => functions.push(declared(function, tool, losses, reversal)),
            ToolKind::Custom { name, description, format } => {
                let function = custom_tools::as_function(name, description.as_deref(), format.as_ref());
                functions.push(declared(&function, tool, losses, reversal));
            }
            ToolKind::Provider { kind, raw } if request.origin.dialect() == Dialect::Gemini => {
                own.push(OutTool::Own(BTreeMap::from([(kind.clone(), raw.clone())])));
            }
            ToolKind::Provider { kind, .. } => {
                losses.add(tool.at.as_str(), format!("Gemini has no tool {kind}"));
            }
        }
    }
    let functions = Some(functions).filter(|functions| !functions.is_empty());
    let functions = functions.map(|function_declarations| OutTool::Functions { function_declarations });
    functions.into_iter().chain(own).collect()
}

fn declared(function: &Function, tool: &Tool, losses: &mut Losses, reversal: &mut Reversal) -> Declaration {
    if function.strict == Some(true) {
        losses.add(format!("{}.strict", tool.at), "Gemini does not hold arguments to the letter of a schema");
    }
    let name = names::sent(&function.name);
    if let Cow::Owned(sent) = &name {
        reversal.rename(sent.as_str(), function.name.as_str());
    }
    Declaration {
        name: name.into_owned(),
        description: function.description.clone(),
        parameters_json_schema: function.parameters.clone(),
    }
}

/// The choice among `tools`, which are those of `request` that are sent.
///
/// Fails when a tool must be called that is not among them.
pub(super) fn choice<'a>(
    request: &'a Request,
    tools: &[OutTool],
    losses: &mut Losses,
) -> Result<Option<Config<'a>>, Unfit> {
    if let Some(parallel) = request.parallel_tool_calls.as_ref().filter(|parallel| !parallel.value) {
        losses.add(parallel.at.as_str(), "Gemini cannot be kept from calling several functions at once");
    }
    let Some(said) = &request.tool_choice else { return Ok(None) };
    let declared: Vec<&str> = tools.iter().flat_map(OutTool::names).collect();
    let (mode, names): (_, &[String]) = match &said.value {
        ToolChoice::Auto => ("AUTO", &[]),
        ToolChoice::None => ("NONE", &[]),
        ToolChoice::Required => ("ANY", &[]),
        ToolChoice::Named(name) => ("ANY", std::slice::from_ref(name)),
        ToolChoice::Allowed { names, required: true } => ("ANY", names),
        ToolChoice::Allowed { names, required: false } => ("VALIDATED", names),
    };
    let sent = names.iter().map(|name| names::sent(name));
    let allowed: Vec<_> = sent.filter(|name| declared.contains(&name.as_ref())).collect();
    let is_open = allowed.is_empty() && (declared.is_empty() || !names.is_empty());
    if mode == "ANY" && is_open {
        let message = "wants a tool to be called that is no function: Gemini has none but functions";
        return Err(Unfit::untranslatable(said.at.as_str(), message));
    }
    if allowed.len() < names.len() {
        losses.add(said.at.as_str(), "names tools that Gemini does not get");
    }
    if declared.is_empty() {
        return Ok(None);
    }
    let mode = if is_open && mode == "VALIDATED" { "NONE" } else { mode };
    let calling = Calling { mode, allowed_function_names: allowed };
    Ok(Some(Config { function_calling_config: calling }))
}
