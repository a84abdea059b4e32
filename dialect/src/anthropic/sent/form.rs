//! The form that an answer must have: by Anthropic's own means where the model has them, else by a tool that the model must
//! call with the answer.

use serde_json::{Map, Value};

use crate::hub::{Format, Json, Losses, Reversal};

use super::Task;
use super::toolbox::Toolbox;
use crate::hub::Object;

/// What any JSON object is asked for with.
const ANY_OBJECT: &str =
    "Answer with a single JSON object and nothing else: no words around it, no code fence.";

/// Words of a schema that cannot be held to.
const NOT_HELD: [&str; 16] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "not",
    "if",
    "oneOf",
];

/// How the form is asked for.
#[derive(Default)]
pub(super) struct Form {
    /// The member `format` of `output_config`.
    pub(super) output_format: Option<Object>,
    /// Words to be added to the instructions.
    pub(super) instruction: Option<String>,
}

impl Form {
    /// How the form that the request wants is asked for. An answer that comes as a call is told back by `reversal`.
    pub(super) fn of(
        task: Task<'_>,
        toolbox: &mut Toolbox,
        reversal: &mut Reversal,
        losses: &mut Losses,
    ) -> Self {
        let Some(asked) = &task.request.format else { return Self::default() };
        let (schema, description) = match &asked.value {
            Format::Json => {
                losses.add(&asked.at, "asked for in words: Anthropic has no such mode");
                return Self { instruction: Some(ANY_OBJECT.to_owned()), ..Self::default() };
            }
            Format::Schema { schema, description, .. } => (schema, description.as_deref()),
        };
        if task.talent.keeps_to_schemas()
            && let Some(schema) = held(schema)
        {
            let format = Object::typed("json_schema").with("schema", &schema);
            return Self { output_format: Some(format), ..Self::default() };
        }
        if is_of_object(schema) {
            reversal.answer_by(toolbox.add_answer(schema, description));
            return Self::default();
        }
        losses.add(&asked.at, "asked for in words: it is no schema of an object");
        let words = format!("Answer only with JSON that follows this schema:\n{}", schema.as_str());
        Self { instruction: Some(words), ..Self::default() }
    }
}

/// Whether Anthropic can hold a model to `schema` as it stands.
pub(super) fn is_kept_to(schema: &Json) -> bool {
    held(schema).is_some_and(|held| held == *schema)
}

/// `schema` as Anthropic holds a model to it: every object must be closed. One that leaves open whether others may be
/// there is closed, which asks for nothing that it forbids. `None` where it cannot be held to.
fn held(schema: &Json) -> Option<Json> {
    let mut value = schema.to_value();
    let has_changed = close(&mut value)?;
    Some(if has_changed { Json::of(&value) } else { schema.clone() })
}

/// Closes every object in `schema`. Says whether it changed anything; `None` where it cannot be held to.
fn close(schema: &mut Value) -> Option<bool> {
    let Value::Object(members) = schema else {
        // `true` stands for anything, which cannot be held to.
        return None;
    };
    if NOT_HELD.iter().any(|word| members.contains_key(*word)) {
        return None;
    }
    let mut has_changed = close_itself(members)?;
    for name in ["properties", "$defs", "definitions"] {
        if let Some(Value::Object(schemas)) = members.get_mut(name) {
            for inner in schemas.values_mut() {
                has_changed |= close(inner)?;
            }
        }
    }
    for name in ["anyOf", "allOf"] {
        if let Some(Value::Array(schemas)) = members.get_mut(name) {
            for inner in schemas {
                has_changed |= close(inner)?;
            }
        }
    }
    if let Some(items) = members.get_mut("items") {
        has_changed |= close(items)?;
    }
    Some(has_changed)
}

fn close_itself(members: &mut Map<String, Value>) -> Option<bool> {
    let is_object = match members.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => members.contains_key("properties"),
    };
    match members.get("additionalProperties") {
        _ if !is_object => Some(false),
        Some(Value::Bool(false)) => Some(false),
        // A map of any keys, or an object of which nothing is said.
        Some(_) => None,
        None if !members.contains_key("properties") => None,
        None => {
            members.insert("additionalProperties".to_owned(), Value::Bool(false));
            Some(true)
        }
    }
}

fn is_of_object(schema: &Json) -> bool {
    let value = schema.to_value();
    match value.get("type") {
        Some(kind) => kind == "object",
        None => value.get("properties").is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_text(schema: &str) -> Option<String> {
        held(&Json::parse(schema).unwrap()).map(|schema| schema.as_str().to_owned())
    }

    #[test]
    fn schemas_that_fit_stay_as_they_are_written() {
        let schema = r#"{ "type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false }"#;
        assert_eq!(held_text(schema).as_deref(), Some(schema));
    }

    #[test]
    fn open_objects_are_closed_and_what_cannot_be_held_to_is_not() {
        assert_eq!(
            held_text(
                r#"{"properties":{"b":{"type":"array","items":{"type":"object","properties":{}}}},"type":"object"}"#
            )
            .as_deref(),
            Some(
                r#"{"properties":{"b":{"type":"array","items":{"type":"object","properties":{},"additionalProperties":false}}},"type":"object","additionalProperties":false}"#
            )
        );
        for schema in [
            r#"{"type":"object"}"#,
            r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}"#,
            r#"{"type":"object","properties":{},"additionalProperties":{"type":"string"}}"#,
            "true",
        ] {
            assert_eq!(held_text(schema), None, "{schema}");
        }
    }
}
