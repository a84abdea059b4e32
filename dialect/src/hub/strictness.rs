//! Whether a schema is one that OpenAI follows to the letter.
//!
//! Its strict mode refuses every object that leaves a property optional or open; the strict modes of other dialects take
//! such schemas. A request must not fail for that.

use serde_json::Value;

use crate::Dialect;
use crate::translate::Engine;

use super::{Json, Losses, Request};

/// What is told where the wish cannot be carried.
const REASON: &str =
    "OpenAI does not follow this schema to the letter, as it leaves properties optional or open";

/// The wish of `request` that `schema`, which stands at `at`, be followed to the letter, as it is sent to OpenAI. Where it
/// cannot be, that is added to `losses`. Other servers, and OpenAI's own clients, are left alone.
pub(crate) fn sent(
    request: &Request,
    engine: Engine,
    strict: Option<bool>,
    schema: Option<&Json>,
    at: &str,
    losses: &mut Losses,
) -> Option<bool> {
    let is_own = matches!(request.origin.dialect(), Dialect::OpenAi | Dialect::Responses);
    if strict != Some(true) || engine != Engine::Provider || is_own {
        return strict;
    }
    if schema.is_some_and(|schema| is_closed(&schema.to_value())) {
        return strict;
    }
    losses.add(at, REASON);
    None
}

/// Whether every object in `schema` requires all its properties and takes no others.
fn is_closed(schema: &Value) -> bool {
    let Value::Object(members) = schema else {
        return schema.as_array().is_none_or(|list| list.iter().all(is_closed));
    };
    let properties = members.get("properties").and_then(Value::as_object);
    if properties.is_some() || members.get("type").is_some_and(|kind| kind == "object") {
        let required = members.get("required").and_then(Value::as_array);
        let is_required = |name: &String| required.is_some_and(|list| list.iter().any(|known| known == name));
        let takes_others = members.get("additionalProperties") != Some(&Value::Bool(false));
        if takes_others || !properties.into_iter().flatten().all(|(name, _)| is_required(name)) {
            return false;
        }
    }
    let lists = ["items", "anyOf", "allOf"].into_iter().filter_map(|name| members.get(name));
    let maps =
        ["properties", "$defs", "definitions"].into_iter().filter_map(|name| members.get(name)?.as_object());
    lists.chain(maps.flat_map(|schemas| schemas.values())).all(is_closed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_is_closed_only_if_all_in_it_is() {
        let inner = json!({"type": "object", "properties": {"b": {}}, "required": ["b"], "additionalProperties": false});
        let with = |inner: &Value| {
            json!({"type": "object", "properties": {"a": {"type": "array", "items": inner}}, "required": ["a"],
                "additionalProperties": false, "$defs": {"d": inner}})
        };
        assert!(is_closed(&with(&inner)));
        for (member, value) in [("required", json!([])), ("additionalProperties", json!(true))] {
            let mut open = inner.clone();
            open[member] = value;
            assert!(!is_closed(&open) && !is_closed(&with(&open)), "{member}");
        }
        assert!(is_closed(&json!({"type": "string"})) && !is_closed(&json!({"type": "object"})));
    }
}
