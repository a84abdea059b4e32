//! Tools for a backend, and which of them are to be called.

use serde::Serialize;
use serde_json::{Value, json};

use crate::hub::{
    Function, Json, Losses, Request, Reversal, Said, ToolChoice, ToolKind, Unfit, custom_tools, ids,
    strictness,
};
use crate::translate::Engine;

/// The longest name of a tool that OpenAI takes.
const LONGEST_NAME: usize = 64;

/// The tools of one request, as they are sent.
pub(super) struct Tools {
    /// The definitions.
    pub(super) list: Vec<Json>,
    /// Names that had to be changed.
    pub(super) reversal: Reversal,
    /// Of the definitions: the name in the hub, and how it is chosen.
    chosen: Vec<(String, Value)>,
    /// Whether the server is OpenAI's own: it takes custom tools and lists of allowed ones.
    takes_custom: bool,
}

/// The tool's name as OpenAI takes it: the same for the same name. Letters, digits, `_` and `-`, 64 of them at most.
pub(super) fn plain_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(fits) {
        return name.to_owned();
    }
    let hash = ids::made("_", name, 0);
    let kept: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(LONGEST_NAME - 9).collect();
    format!("{kept}{}", &hash[..9])
}

impl Tools {
    /// The tools of `request` for a server of this kind.
    pub(super) fn of(request: &Request, engine: Engine, losses: &mut Losses) -> Self {
        let takes_custom = engine == Engine::Provider;
        let mut tools =
            Self { list: Vec::new(), reversal: Reversal::default(), chosen: Vec::new(), takes_custom };
        for tool in &request.tools {
            match &tool.kind {
                ToolKind::Function(function) => {
                    let (wish, schema) = (function.strict, function.parameters.as_ref());
                    let strict = strictness::sent(request, engine, wish, schema, &tool.at, losses);
                    tools.function(function, strict);
                }
                ToolKind::Custom { name, description, format } if takes_custom => {
                    tools.custom(name, description.as_deref(), format.as_ref());
                }
                ToolKind::Custom { name, description, format } => {
                    let function = custom_tools::as_function(name, description.as_deref(), format.as_ref());
                    tools.function(&function, None);
                }
                ToolKind::Provider { kind, raw } => {
                    match hosted(kind, raw).filter(|_| engine == Engine::Provider) {
                        Some(definition) => {
                            lose_settings(raw, &tool.at, losses);
                            tools.add(kind, json!({"type": definition["type"]}), &definition);
                        }
                        None => losses.add(tool.at.clone(), format!("the backend has no tool {kind}")),
                    }
                }
            }
        }
        tools
    }

    fn function(&mut self, function: &Function, strict: Option<bool>) {
        #[derive(Serialize)]
        struct Definition<'a> {
            r#type: &'static str,
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            parameters: Json,
            /// Left out it would be true, and other dialects mean the opposite.
            strict: bool,
        }
        let name = self.rename(&function.name);
        let definition = Definition {
            r#type: "function",
            name: &name,
            description: function.description.as_deref(),
            parameters: with_properties(function.parameters.as_ref()),
            strict: strict.unwrap_or(false),
        };
        self.add(&function.name, json!({"type": "function", "name": name}), &definition);
    }

    fn custom(&mut self, name: &str, description: Option<&str>, format: Option<&Json>) {
        #[derive(Serialize)]
        struct Definition<'a> {
            r#type: &'static str,
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            format: Option<Value>,
        }
        let sent = self.rename(name);
        let grammar = format.and_then(custom_tools::Grammar::of);
        let format = grammar.map(
            |grammar| json!({"type": "grammar", "syntax": grammar.syntax, "definition": grammar.definition}),
        );
        let definition = Definition { r#type: "custom", name: &sent, description, format };
        self.add(name, json!({"type": "custom", "name": sent}), &definition);
    }

    fn add(&mut self, name: &str, choice: Value, definition: &impl Serialize) {
        self.list.push(Json::of(definition));
        self.chosen.push((name.to_owned(), choice));
    }

    fn rename(&mut self, name: &str) -> String {
        let sent = plain_name(name);
        if sent != name {
            self.reversal.rename(sent.clone(), name);
        }
        sent
    }

    /// What `tool_choice` is sent. Fails if it names a tool that is not.
    pub(super) fn choice(&mut self, choice: Option<&Said<ToolChoice>>) -> Result<Option<Value>, Unfit> {
        let Some(Said { value, at }) = choice else { return Ok(None) };
        if self.list.is_empty() && !matches!(value, ToolChoice::Named(_)) {
            if matches!(value, ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) {
                return Err(Unfit::untranslatable(
                    at,
                    "wants a tool called, but the backend has none of the tools",
                ));
            }
            return Ok(None);
        }
        let chosen = |name: &String| {
            let found =
                self.chosen.iter().find(|(known, choice)| known == name || choice["type"] == name.as_str());
            let wrong =
                || Unfit::untranslatable(at, format!("names {name:?}, which is none of the tools sent"));
            found.map(|(_, choice)| choice.clone()).ok_or_else(wrong)
        };
        Ok(Some(match value {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Named(name) => chosen(name)?,
            ToolChoice::Allowed { names, required } => {
                let mode = if *required { "required" } else { "auto" };
                if self.takes_custom {
                    let tools = names.iter().map(chosen).collect::<Result<Vec<_>, _>>()?;
                    json!({"type": "allowed_tools", "mode": mode, "tools": tools})
                } else {
                    names.iter().try_for_each(|name| chosen(name).map(|_| ()))?;
                    self.keep_only(names);
                    json!(mode)
                }
            }
        }))
    }

    fn keep_only(&mut self, names: &[String]) {
        let allowed: Vec<bool> = self.chosen.iter().map(|(name, _)| names.contains(name)).collect();
        let mut kept = allowed.iter();
        self.list.retain(|_| kept.next().copied().unwrap_or_default());
        let mut kept = allowed.iter();
        self.chosen.retain(|_| kept.next().copied().unwrap_or_default());
    }
}

/// The schema of a function's arguments with `properties` in it, which OpenAI and other servers insist on.
fn with_properties(schema: Option<&Json>) -> Json {
    const NONE: &str = r#"{"type":"object","properties":{}}"#;
    let nothing = || Json::parse(NONE).expect("it is JSON");
    let Some(schema) = schema.filter(|schema| schema.is_object()) else { return nothing() };
    let Some(members) = schema.to::<serde_json::Map<String, Value>>() else { return nothing() };
    if members.is_empty() {
        return nothing();
    }
    let is_plain =
        members.get("type").is_some_and(|kind| kind == "object") && !members.contains_key("properties");
    let open = schema.as_str().trim_end().strip_suffix('}').filter(|_| is_plain);
    let with = open.and_then(|open| Json::parse(&format!("{},\"properties\":{{}}}}", open.trim_end())));
    with.unwrap_or_else(|| schema.clone())
}

/// The tool of OpenAI that does what this tool of another provider does.
fn hosted(kind: &str, raw: &Json) -> Option<Value> {
    let raw = raw.to_value();
    if kind.starts_with("web_search") || matches!(kind, "googleSearch" | "google_search") {
        let mut tool = json!({"type": "web_search"});
        if raw["allowed_domains"].is_array() {
            tool["filters"] = json!({"allowed_domains": raw["allowed_domains"]});
        }
        if raw["user_location"].is_object() {
            tool["user_location"] = raw["user_location"].clone();
        }
        return Some(tool);
    }
    let runs_code = kind.starts_with("code_execution") || kind == "codeExecution";
    runs_code.then(|| json!({"type": "code_interpreter", "container": {"type": "auto"}}))
}

/// Names the settings of a hosted tool that have no place in OpenAI's.
fn lose_settings(raw: &Json, at: &str, losses: &mut Losses) {
    let members: serde_json::Map<String, Value> = raw.to().unwrap_or_default();
    for name in members.keys() {
        if !matches!(name.as_str(), "type" | "name" | "allowed_domains" | "user_location" | "cache_control") {
            losses.add(format!("{at}.{name}"), "OpenAI's tool has no such setting");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t16_schemas_get_the_properties_that_servers_insist_on_and_are_else_untouched() {
        for (schema, expected) in [
            (None, r#"{"type":"object","properties":{}}"#),
            (Some("{}"), r#"{"type":"object","properties":{}}"#),
            (
                Some(r#"{"type":"object", "additionalProperties":false }"#),
                r#"{"type":"object", "additionalProperties":false,"properties":{}}"#,
            ),
            (
                Some(r#"{"required":["z"],"type":"object","properties":{"z":{"maximum":1.0}}}"#),
                r#"{"required":["z"],"type":"object","properties":{"z":{"maximum":1.0}}}"#,
            ),
        ] {
            let schema = schema.and_then(Json::parse);
            assert_eq!(with_properties(schema.as_ref()).as_str(), expected);
        }
    }

    #[test]
    fn tr_21_names_are_made_to_fit_and_stay_told_apart() {
        assert_eq!(plain_name("get_weather"), "get_weather");
        let (dots, slashes) = (plain_name("a.b"), plain_name("a/b"));
        assert!(dots.starts_with("a_b_") && slashes.starts_with("a_b_") && dots != slashes);
        assert_eq!(plain_name(&"x".repeat(100)).len(), 64);
        assert_eq!(plain_name("a.b"), dots);
    }
}
