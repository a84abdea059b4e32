//! What a schema asks of one value, gathered from the forms in which the schema's maker writes it.

use std::fmt;

use serde_json::{Map, Value as Json};

/// What one value may be.
#[derive(Default, Debug)]
pub(super) struct Wants<'a> {
    /// These words.
    pub(super) words: Vec<&'a str>,
    /// Any text.
    pub(super) text: bool,
    /// The text is a key.
    pub(super) secret: bool,
    /// `true` or `false`.
    pub(super) flag: bool,
    /// A whole number within these bounds.
    pub(super) whole: Option<Bounds>,
    /// Any number within these bounds.
    pub(super) number: Option<Bounds>,
    /// A list of these.
    pub(super) elements: Option<&'a Json>,
    /// A map with these keys.
    pub(super) entries: Option<&'a Map<String, Json>>,
    /// A map with any keys, and these values.
    pub(super) any_entry: Option<&'a Json>,
}

/// The bounds of a number, both included.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Bounds {
    pub(super) least: Option<f64>,
    pub(super) most: Option<f64>,
}

impl<'a> Wants<'a> {
    /// Reads `schema`.
    pub(super) fn of(schema: &'a Json) -> Self {
        let mut wants = Self::default();
        wants.add(schema);
        wants
    }

    fn add(&mut self, schema: &'a Json) {
        for alternatives in ["anyOf", "oneOf"] {
            for alternative in schema.get(alternatives).and_then(Json::as_array).into_iter().flatten() {
                self.add(alternative);
            }
        }
        let listed = schema.get("enum").and_then(Json::as_array).into_iter().flatten();
        let words = listed.chain(schema.get("const")).filter_map(Json::as_str);
        let before = self.words.len();
        self.words.extend(words);
        let is_word = self.words.len() > before;
        match schema.get("type") {
            Some(Json::String(kind)) => self.add_kind(kind, schema, is_word),
            Some(Json::Array(kinds)) => {
                for kind in kinds.iter().filter_map(Json::as_str) {
                    self.add_kind(kind, schema, is_word);
                }
            }
            _ => {}
        }
    }

    fn add_kind(&mut self, kind: &str, schema: &'a Json, is_word: bool) {
        let bound = |name| schema.get(name).and_then(Json::as_f64);
        let bounds = Bounds { least: bound("minimum"), most: bound("maximum") };
        match kind {
            "string" if !is_word => {
                self.text = true;
                self.secret |= schema.get("writeOnly") == Some(&Json::Bool(true));
            }
            "boolean" => self.flag = true,
            "integer" => self.whole = Some(bounds.within_format(schema)),
            "number" => self.number = Some(bounds),
            "array" => self.elements = schema.get("items"),
            "object" => {
                self.entries = schema.get("properties").and_then(Json::as_object);
                self.any_entry = schema.get("additionalProperties").filter(|values| values.is_object());
            }
            _ => {}
        }
    }

    /// The one of the words that `text` is, whatever its case.
    pub(super) fn word(&self, text: &str) -> Option<&'a str> {
        self.words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied()
    }

    /// The words that may stand in place of a number, for the end of a sentence about the number.
    pub(super) fn or_words(&self) -> String {
        if self.words.is_empty() { String::new() } else { format!(" or {}", self.words.join(" or ")) }
    }

    /// A sentence for somebody who wrote something else.
    pub(super) fn expected(&self) -> String {
        let kinds = [
            (self.flag, "true or false"),
            (self.whole.is_some(), "a whole number"),
            (self.number.is_some(), "a number"),
            (self.text, "text (put it in quotes if it looks like something else)"),
            (self.elements.is_some(), "a list"),
            (self.entries.is_some() || self.any_entry.is_some(), "a section with keys of its own"),
        ];
        let words = self.words.iter().copied().filter(|word| !word.is_empty());
        let kinds = kinds.into_iter().filter(|(wanted, _)| *wanted).map(|(_, kind)| kind);
        format!("expected {}", words.chain(kinds).collect::<Vec<_>>().join(", ").replace_last(", ", " or "))
    }
}

/// Replacing the last of several.
trait ReplaceLast {
    fn replace_last(&self, from: &str, to: &str) -> String;
}

impl ReplaceLast for String {
    fn replace_last(&self, from: &str, to: &str) -> String {
        match self.rsplit_once(from) {
            Some((before, after)) => format!("{before}{to}{after}"),
            None => self.clone(),
        }
    }
}

impl Bounds {
    /// The same, and within what the number's format can hold.
    fn within_format(self, schema: &Json) -> Self {
        let most = match schema.get("format").and_then(Json::as_str) {
            Some("uint16") => Some(f64::from(u16::MAX)),
            Some("uint32") => Some(f64::from(u32::MAX)),
            Some("int32") => Some(f64::from(i32::MAX)),
            _ => None,
        };
        let least = match schema.get("format").and_then(Json::as_str) {
            Some("uint16" | "uint32") => Some(0.0),
            Some("int32") => Some(f64::from(i32::MIN)),
            _ => None,
        };
        Self { least: self.least.or(least), most: self.most.or(most) }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most.filter(|most| *most < f64::from(i32::MAX))) {
            (Some(least), Some(most)) => write!(f, "between {least} and {most}"),
            (Some(least), None) => write!(f, "at least {least}"),
            (None, Some(most)) => write!(f, "at most {most}"),
            (None, None) => f.write_str("any number"),
        }
    }
}
