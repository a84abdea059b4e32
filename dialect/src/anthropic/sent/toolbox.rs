//! The tools of a request, and which of them are to be called.

use crate::hub::{
    Function, Json, Losses, PartKind, Reversal, Said, Tool, ToolChoice, ToolKind, Unfit, custom_tools,
};

use super::{Task, form, names};
use crate::hub::Object;

/// How the types of tools begin that Anthropic itself runs or defines.
const OWN_KINDS: [&str; 10] = [
    "web_search_2",
    "web_fetch_2",
    "code_execution_2",
    "bash_2",
    "text_editor_2",
    "computer_2",
    "memory_2",
    "tool_search_tool_",
    "mcp_toolset",
    "advisor_2",
];

/// The tools as they are sent.
#[derive(Default)]
pub(super) struct Toolbox {
    tools: Vec<Object>,
    /// The names of those that have one.
    names: Vec<String>,
    choice: Option<Choice>,
    is_serial: bool,
}

/// What the model is to call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Choice {
    Auto,
    Any,
    None,
    Tool(String),
}

impl Toolbox {
    /// The tools of the request. Fails when it wants one called and none of them can be sent.
    pub(super) fn of(task: Task<'_>, reversal: &mut Reversal, losses: &mut Losses) -> Result<Self, Unfit> {
        let request = task.request;
        let mut toolbox = Self::default();
        let allowed = match request.tool_choice.as_ref().map(|choice| &choice.value) {
            Some(ToolChoice::Allowed { names, .. }) => Some(names),
            _ => None,
        };
        let mut lost = None;
        for tool in &request.tools {
            let name = name_of(tool);
            if allowed.is_some_and(|allowed| name.is_none_or(|name| !allowed.iter().any(|one| one == name))) {
                continue;
            }
            if !toolbox.add(task, tool, reversal, losses) {
                lost = Some(tool);
            }
        }
        let choice = request.tool_choice.as_ref();
        if toolbox.tools.is_empty()
            && let Some(lost) = lost
            && choice.is_some_and(|choice| must_call(&choice.value))
        {
            let message = "is to be called, but only another provider has it";
            return Err(Unfit::untranslatable(&lost.at, message));
        }
        toolbox.choose(choice, losses)?;
        toolbox.is_serial = request.parallel_tool_calls.as_ref().is_some_and(|parallel| !parallel.value);
        toolbox.remember(task);
        Ok(toolbox)
    }

    /// Adds `tool`; says whether it could.
    fn add(&mut self, task: Task<'_>, tool: &Tool, reversal: &mut Reversal, losses: &mut Losses) -> bool {
        match &tool.kind {
            ToolKind::Function(function) => self.add_function(task, tool, function, reversal, losses),
            ToolKind::Custom { name, description, format } => {
                let function = custom_tools::as_function(name, description.as_deref(), format.as_ref());
                self.add_function(task, tool, &function, reversal, losses);
            }
            ToolKind::Provider { kind, raw } => {
                let is_own = task.is_kindred() || OWN_KINDS.iter().any(|own| kind.starts_with(own));
                if !is_own {
                    losses.add(&tool.at, format!("Anthropic has no tool of the type {kind:?}"));
                    return false;
                }
                self.names.extend(raw.to_value()["name"].as_str().map(str::to_owned));
                self.tools.push(Object::of(raw));
            }
        }
        true
    }

    fn add_function(
        &mut self,
        task: Task<'_>,
        tool: &Tool,
        function: &Function,
        reversal: &mut Reversal,
        losses: &mut Losses,
    ) {
        let name = names::sent(&function.name);
        if name != function.name {
            reversal.rename(&*name, &function.name);
        }
        let schema = schema_of(function.parameters.as_ref());
        let description = function.description.as_deref().filter(|text| !text.is_empty());
        let mut object = Object::default()
            .with("name", &*name)
            .with_some("description", description)
            .with("input_schema", &schema);
        if function.strict == Some(true) {
            let is_kept = task.talent.keeps_to_schemas() && form::is_kept_to(&schema);
            if is_kept {
                object.put("strict", &true);
            } else {
                losses.add(format!("{}.strict", tool.at), "this backend cannot hold a model to this schema");
            }
        }
        object.put_some("cache_control", tool.cache.as_ref());
        self.names.push(name.into_owned());
        self.tools.push(object);
    }

    /// Fails if it names a tool that is not there.
    fn choose(&mut self, choice: Option<&Said<ToolChoice>>, losses: &mut Losses) -> Result<(), Unfit> {
        let Some(choice) = choice else { return Ok(()) };
        if self.tools.is_empty() {
            if must_call(&choice.value) {
                losses.add(&choice.at, "there are no tools to be called");
            }
            return Ok(());
        }
        if let ToolChoice::Named(name) = &choice.value
            && !self.names.iter().any(|known| *known == names::sent(name))
        {
            let message = format!("names {name:?}, which is none of the tools sent");
            return Err(Unfit::untranslatable(&choice.at, message));
        }
        self.choice = Some(match &choice.value {
            ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => Choice::Auto,
            ToolChoice::None => Choice::None,
            ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => Choice::Any,
            ToolChoice::Named(name) => Choice::Tool(names::sent(name).into_owned()),
        });
        Ok(())
    }

    /// A conversation in which tools were called needs tools: those that were, though no more can be called.
    fn remember(&mut self, task: Task<'_>) {
        if !self.tools.is_empty() {
            return;
        }
        for part in task.request.messages.iter().flat_map(|message| &message.parts) {
            let PartKind::ToolCall(call) = &part.kind else { continue };
            let name = names::sent(&call.name).into_owned();
            if !self.names.contains(&name) {
                let tool = Object::default()
                    .with("name", &name)
                    .with("description", "No longer available.")
                    .with("input_schema", &schema_of(None));
                self.tools.push(tool);
                self.names.push(name);
                self.choice = Some(Choice::None);
            }
        }
    }

    /// Adds a tool whose arguments are the answer, as `schema` says; the model must call it, or another of the tools.
    /// Returns its name.
    pub(super) fn add_answer(&mut self, schema: &Json, description: Option<&str>) -> String {
        let mut name = "give_answer".to_owned();
        while self.names.contains(&name) {
            name.push('_');
        }
        let can_call = !matches!(self.choice, Some(Choice::None)) && !self.tools.is_empty();
        let words = "Gives the answer to the user, in the form that was asked for. It ends the turn.";
        let words = description.map_or(words.to_owned(), |more| format!("{words} {more}"));
        let tool = Object::default()
            .with("name", &name)
            .with("description", &words)
            .with("input_schema", &schema_of(Some(schema)));
        self.tools.push(tool);
        self.names.push(name.clone());
        self.choice = Some(if can_call { Choice::Any } else { Choice::Tool(name.clone()) });
        name
    }

    /// Whether the model must call a tool, which it cannot while it thinks.
    pub(super) fn is_forced(&self) -> bool {
        matches!(self.choice, Some(Choice::Any | Choice::Tool(_)))
    }

    /// Adds the tools and the choice to `body`.
    pub(super) fn put(&self, body: &mut Object) {
        if self.tools.is_empty() {
            return;
        }
        body.put("tools", &self.tools);
        let choice = match &self.choice {
            None if self.is_serial => Some(&Choice::Auto),
            choice => choice.as_ref(),
        };
        let Some(choice) = choice else { return };
        let mut object = match choice {
            Choice::Auto => Object::typed("auto"),
            Choice::Any => Object::typed("any"),
            Choice::None => Object::typed("none"),
            Choice::Tool(name) => Object::typed("tool").with("name", name),
        };
        if self.is_serial && *choice != Choice::None {
            object.put("disable_parallel_tool_use", &true);
        }
        body.put("tool_choice", &object);
    }
}

fn must_call(choice: &ToolChoice) -> bool {
    matches!(choice, ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. })
}

fn name_of(tool: &Tool) -> Option<&str> {
    match &tool.kind {
        ToolKind::Function(function) => Some(&function.name),
        ToolKind::Custom { name, .. } => Some(name),
        ToolKind::Provider { .. } => None,
    }
}

/// The schema of a tool's arguments as it is sent: it must be of an object, and say so.
fn schema_of(parameters: Option<&Json>) -> Json {
    let parse = |text: &str| Json::parse(text).expect("it is JSON");
    let written = parameters.filter(|schema| schema.is_object());
    let Some(schema) = written else { return parse(r#"{"type":"object","properties":{}}"#) };
    let has_type = Object::of(schema).has("type");
    match schema.as_str()[1..].trim_start() {
        "}" => parse(r#"{"type":"object","properties":{}}"#),
        _ if has_type => schema.clone(),
        rest => parse(&format!(r#"{{"type":"object",{rest}"#)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t62_tq_13_schemas_say_that_they_are_of_objects_and_stay_as_written() {
        let schema = |text: &str| schema_of(Json::parse(text).as_ref()).as_str().to_owned();
        let none = r#"{"type":"object","properties":{}}"#;
        assert_eq!(schema_of(None).as_str(), none);
        for text in ["{}", "{ }", "null", "true"] {
            assert_eq!(schema(text), none, "{text}");
        }
        let written = r#"{"properties":{"b":{"type":"integer","maximum":1.0},"a":{}}, "type":"object"}"#;
        assert_eq!(schema(written), written);
        assert_eq!(schema(r#"{"properties":{"a":{}}}"#), r#"{"type":"object","properties":{"a":{}}}"#);
    }
}
