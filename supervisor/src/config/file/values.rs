//! Values that take more than one form in the file, and keys, which are never written.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number, or the word for "decide it yourself".
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Count<const MIN: u32, const MAX: u32> {
    /// This many.
    Exactly(u32),
    /// `auto`.
    #[default]
    #[serde(with = "auto")]
    Auto,
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Count<MIN, MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Count{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "const": "auto" },
            { "type": "integer", "minimum": MIN, "maximum": MAX },
        ] })
    }
}

/// Yes, no, or the word for "decide it yourself".
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Switch {
    /// This.
    Exactly(bool),
    /// `auto`.
    #[default]
    #[serde(with = "auto")]
    Auto,
}

impl JsonSchema for Switch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Switch".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "const": "auto" }, { "type": "boolean" }] })
    }
}

/// The word `auto`.
mod auto {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("auto")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "auto" => Ok(()),
            _ => Err(D::Error::custom("expected auto")),
        }
    }
}

/// A key. It is read from the file and never written: it prints and serialises as `***`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline, extend("writeOnly" = true))]
pub struct Hidden(String);

impl Hidden {
    /// Wraps `key`.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Hidden {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "***" })
    }
}
