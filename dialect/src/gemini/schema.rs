//! Google's own form of schemas (a part of `OpenAPI` 3.0) turned into JSON Schema.
//!
//! Keys keep their order and numbers their form. Upper-case types become lower case, `nullable` becomes a type `null`,
//! counts in quotes become numbers, and what only Google's generator reads (`propertyOrdering`, `example`) is left
//! out.

use serde_json::value::RawValue;

use crate::hub::{Fields, Json};

/// `schema` as JSON Schema; unchanged if it is no object.
pub(super) fn as_json_schema(schema: &RawValue) -> Json {
    let mut out = String::with_capacity(schema.get().len());
    write_schema(schema, &mut out);
    Json::parse(&out).unwrap_or_else(|| Json::from(schema))
}

fn write_schema(schema: &RawValue, out: &mut String) {
    let Ok(fields) = Fields::of("", schema) else { return out.push_str(schema.get()) };
    let is_nullable = fields.peek("nullable").is_some_and(|value| value.get() == "true");
    let mut separator = '{';
    for (name, value) in fields.rest() {
        if matches!(&*name, "nullable" | "propertyOrdering" | "property_ordering" | "example") {
            continue;
        }
        out.push(separator);
        separator = ',';
        let name = match &*name {
            "any_of" => "anyOf",
            "min_items" => "minItems",
            "max_items" => "maxItems",
            "min_length" => "minLength",
            "max_length" => "maxLength",
            "min_properties" => "minProperties",
            "max_properties" => "maxProperties",
            "additional_properties" => "additionalProperties",
            name => name,
        };
        out.push_str(Json::of(&name).as_str());
        out.push(':');
        write_member(name, value, is_nullable, out);
    }
    if separator == '{' {
        out.push('{');
    }
    out.push('}');
}

fn write_member(name: &str, value: &RawValue, is_nullable: bool, out: &mut String) {
    match name {
        "type" => write_type(value, is_nullable, out),
        "items" | "additionalProperties" | "not" => write_schema(value, out),
        "properties" | "defs" | "$defs" => write_each_member(value, out),
        "anyOf" | "oneOf" | "allOf" | "prefixItems" => write_each(value, out),
        "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
            out.push_str(value.get().trim_matches('"'));
        }
        _ => out.push_str(value.get()),
    }
}

fn write_type(value: &RawValue, is_nullable: bool, out: &mut String) {
    let lower = value.get().to_ascii_lowercase();
    if is_nullable && lower.starts_with('"') {
        out.extend(["[", lower.as_str(), ",\"null\"]"]);
    } else {
        out.push_str(&lower);
    }
}

fn write_each_member(value: &RawValue, out: &mut String) {
    let Ok(fields) = Fields::of("", value) else { return out.push_str(value.get()) };
    out.push('{');
    for (index, (name, schema)) in fields.rest().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(Json::of(&name).as_str());
        out.push(':');
        write_schema(schema, out);
    }
    out.push('}');
}

fn write_each(value: &RawValue, out: &mut String) {
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
        return out.push_str(value.get());
    };
    out.push('[');
    for (index, schema) in list.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_schema(schema, out);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(schema: &str) -> String {
        as_json_schema(serde_json::from_str(schema).unwrap()).as_str().to_owned()
    }

    #[test]
    fn types_become_lower_case_and_keys_keep_their_order() {
        let schema = r#"{"type":"OBJECT","required":["z"],"properties":{"z":{"type":"STRING","nullable":true,"description":"TYPE"},
            "type":{"type":"ARRAY","minItems":"1","items":{"type":"NUMBER","minimum":1.0}}},"propertyOrdering":["z"]}"#;
        let expected = r#"{"type":"object","required":["z"],"properties":{"z":{"type":["string","null"],"description":"TYPE"},"type":{"type":"array","minItems":1,"items":{"type":"number","minimum":1.0}}}}"#;
        assert_eq!(converted(schema), expected);
    }

    #[test]
    fn alternatives_and_empty_schemas_are_kept() {
        assert_eq!(converted(r#"{"anyOf":[{"type":"INTEGER"},{}]}"#), r#"{"anyOf":[{"type":"integer"},{}]}"#);
        assert_eq!(converted("true"), "true");
        assert_eq!(converted(r#"{"enum":["A"],"type":"STRING"}"#), r#"{"enum":["A"],"type":"string"}"#);
    }
}
