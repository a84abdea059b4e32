//! Values that take more than one form in the file, and keys, which are never written.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

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

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    /// The number, if there is one.
    pub fn exactly(self) -> Option<u32> {
        match self {
            Self::Exactly(count) => Some(count),
            Self::Auto => None,
        }
    }
}

/// A number from 0 to `MAX`, or the word for "not at all".
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OrOff<const MAX: u32> {
    /// This much.
    Exactly(#[serde(serialize_with = "plain_number")] f64),
    /// `off`.
    #[serde(with = "off")]
    Off,
}

impl<const MAX: u32> OrOff<MAX> {
    /// The number; `None`: off.
    pub fn exactly(self) -> Option<f64> {
        match self {
            Self::Exactly(number) => Some(number),
            Self::Off => None,
        }
    }
}

impl<const MAX: u32> JsonSchema for OrOff<MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OffOrTo{MAX}").into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "const": "off" },
            { "type": "number", "minimum": 0, "maximum": MAX },
        ] })
    }
}

/// When a backend takes what others have no room for: seconds, or a word.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OverflowAfter {
    /// Requests that have waited so long, in seconds.
    Seconds(#[serde(serialize_with = "plain_number")] f64),
    /// `off`: it serves like any other.
    #[serde(with = "off")]
    Off,
    /// `auto`.
    #[default]
    #[serde(with = "auto")]
    Auto,
}

impl JsonSchema for OverflowAfter {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OverflowAfter".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "const": "auto" },
            { "const": "off" },
            { "type": "number", "minimum": 0, "maximum": 604_800 },
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

impl Switch {
    /// The choice, if there is one.
    pub fn exactly(self) -> Option<bool> {
        match self {
            Self::Exactly(said) => Some(said),
            Self::Auto => None,
        }
    }
}

impl JsonSchema for Switch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Switch".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "const": "auto" }, { "type": "boolean" }] })
    }
}

/// Writes a number as people do: 240, not 240.0.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
#[expect(clippy::cast_possible_truncation, reason = "whole, and small enough to be exact")]
pub(super) fn plain_number<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        serializer.serialize_i64(*number as i64)
    } else {
        serializer.serialize_f64(*number)
    }
}

/// The same for a number that may be missing.
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(super) fn plain_number_if_any<S: Serializer>(
    number: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => plain_number(number, serializer),
        None => serializer.serialize_none(),
    }
}

/// The word `auto`.
mod auto {
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("auto")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        super::read_word(deserializer, "auto")
    }
}

/// The word `off`.
mod off {
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("off")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        super::read_word(deserializer, "off")
    }
}

fn read_word<'de, D: serde::Deserializer<'de>>(deserializer: D, word: &str) -> Result<(), D::Error> {
    if String::deserialize(deserializer)? == word {
        Ok(())
    } else {
        Err(serde::de::Error::custom(format!("expected {word}")))
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
