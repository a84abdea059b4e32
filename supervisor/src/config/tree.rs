//! A configuration file as a tree of values that remember where they stood, whatever the file's format.
//!
//! Nothing is known here of keys and their meaning. A syntax error comes back with its place and without the text
//! around it: that text may hold a key.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};

/// A place in a file, both counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// A value and where it stood.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub(super) place: Option<Place>,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Whole(i128),
    Number(f64),
    Text(String),
    /// Text that came, in whole or part, from the environment: it is never shown, and may stand for a number.
    Substituted(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The name of a map's entry and where it stood.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) place: Option<Place>,
}

/// Why a file could not be read as its format.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct SyntaxError {
    pub(super) place: Option<Place>,
    pub(super) message: String,
}

/// The formats a configuration may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FileFormat {
    Yaml,
    Toml,
    Json,
}

impl FileFormat {
    /// The format that `ending` (without the dot) stands for.
    pub(super) fn of_ending(ending: &str) -> Option<Self> {
        match ending.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Reads `text` as this format.
    pub(super) fn parse(self, text: &str) -> Result<Node, SyntaxError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match self {
            Self::Yaml => parse_yaml(text),
            Self::Toml => parse_toml(text),
            Self::Json => {
                // The YAML reader knows places, but takes more than JSON.
                serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| json_error(&error))?;
                parse_yaml(text)
            }
        }
    }
}

fn parse_yaml(text: &str) -> Result<Node, SyntaxError> {
    // Only `true` and `false` are flags: an unquoted key that reads `on` stays the text it is.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    if text.lines().all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Node { place: None, value: Value::Null });
    }
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| SyntaxError {
        place: error.location().and_then(place_of),
        message: without_place(&UserMessageFormatter.format_message(error.without_snippet())),
    })
}

/// The message without the place at its end, which the caller names in its own way.
fn without_place(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    match first.rfind(" at line ") {
        Some(at) => first[..at].trim_end_matches(',').to_owned(),
        None => first.to_owned(),
    }
}

fn place_of(location: serde_saphyr::Location) -> Option<Place> {
    (location.line() > 0).then(|| Place { line: location.line(), column: location.column() })
}

fn json_error(error: &serde_json::Error) -> SyntaxError {
    let place = Place { line: error.line() as u64, column: error.column() as u64 };
    SyntaxError { place: Some(place), message: without_place(&error.to_string()) }
}

fn parse_toml(text: &str) -> Result<Node, SyntaxError> {
    let lines = Lines::of(text);
    let table = toml::de::DeTable::parse(text).map_err(|error| SyntaxError {
        place: error.span().map(|span| lines.place(span.start)),
        message: error.message().to_owned(),
    })?;
    Ok(Node { place: Some(lines.place(0)), value: toml_map(table.get_ref(), &lines) })
}

fn toml_map(table: &toml::de::DeTable<'_>, lines: &Lines<'_>) -> Value {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): &(&toml::Spanned<_>, &toml::Spanned<toml::de::DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (Key { name: name.to_string(), place: Some(lines.place(key.span().start)) }, toml_node(value, lines))
    };
    Value::Map(entries.iter().map(entry).collect())
}

fn toml_node(value: &toml::Spanned<toml::de::DeValue<'_>>, lines: &Lines<'_>) -> Node {
    use toml::de::DeValue;

    let read = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Whole(number),
            Err(_) => Value::Text(number.to_string()),
        },
        DeValue::Float(number) => number.as_str().parse().map_or(Value::Null, Value::Number),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(list) => Value::List(list.iter().map(|value| toml_node(value, lines)).collect()),
        DeValue::Table(table) => toml_map(table, lines),
    };
    Node { place: Some(lines.place(value.span().start)), value: read }
}

/// Where lines begin, to turn offsets into places.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(newlines).collect() }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or_default();
        Place { line: line as u64, column: before.chars().count() as u64 + 1 }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { place: place_of(spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Whole(number.into()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element::<Node>()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some(key) = map.next_key::<Node>()? {
            let name = match key.value {
                Value::Text(name) => name,
                Value::Whole(number) => number.to_string(),
                Value::Flag(flag) => flag.to_string(),
                _ => return Err(A::Error::custom("a key is not text")),
            };
            entries.push((Key { name, place: key.place }, map.next_value::<Node>()?));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(node: &'a Node, name: &str) -> (&'a Key, &'a Node) {
        let Value::Map(entries) = &node.value else { panic!("not a map: {node:?}") };
        let (key, value) = entries.iter().find(|(key, _)| key.name == name).expect(name);
        (key, value)
    }

    fn at(line: u64, column: u64) -> Place {
        Place { line, column }
    }

    #[test]
    fn every_format_gives_the_same_values_with_their_places() {
        let yaml = "a: 1\nb:\n  - x: on\n    y: -2.5\nc: \"0\"\nd: null\n";
        let json = "{\n  \"a\": 1,\n  \"b\": [{\"x\": \"on\", \"y\": -2.5}],\n  \"c\": \"0\", \"d\": null }";
        let toml = "a = 1\nc = \"0\"\n\n[[b]]\nx = \"on\"\ny = -2.5\n";
        let places = [(at(1, 1), at(3, 5)), (at(2, 3), at(3, 10)), (at(1, 1), at(5, 1))];
        let files = [(FileFormat::Yaml, yaml), (FileFormat::Json, json), (FileFormat::Toml, toml)];
        for ((format, text), (place_of_a, place_of_x)) in files.into_iter().zip(places) {
            let root = format.parse(text).unwrap();
            let (key, a) = entry(&root, "a");
            assert_eq!((&a.value, key.place), (&Value::Whole(1), Some(place_of_a)), "{format:?}");
            assert_eq!(entry(&root, "c").1.value, Value::Text("0".to_owned()), "{format:?}");
            let Value::List(list) = &entry(&root, "b").1.value else { panic!("{format:?}") };
            let (key, x) = entry(&list[0], "x");
            assert_eq!(
                (&x.value, key.place),
                (&Value::Text("on".to_owned()), Some(place_of_x)),
                "{format:?}"
            );
            assert_eq!(entry(&list[0], "y").1.value, Value::Number(-2.5), "{format:?}");
        }
    }

    #[test]
    fn syntax_errors_have_a_place_and_do_not_show_the_line() {
        let files = [
            (FileFormat::Yaml, "a: 1\nkey: [sk-secret\nb: }\n"),
            (FileFormat::Yaml, "a: 1\nkey: sk-secret\nkey: sk-secret\n"),
            (FileFormat::Json, "{\"key\": \"sk-secret\",\n]"),
            (FileFormat::Toml, "a = 1\nkey = sk-secret\n"),
            (FileFormat::Toml, "a = 1\na = \"sk-secret\"\n"),
        ];
        for (format, text) in files {
            let error = format.parse(text).unwrap_err();
            assert!(error.place.is_some_and(|place| place.line >= 2), "{format:?} {error:?}");
            assert!(!error.message.contains("secret"), "{format:?} {error:?}");
            assert!(!error.message.is_empty() && !error.message.contains('\n'), "{format:?} {error:?}");
        }
    }

    #[test]
    fn an_empty_file_is_nothing() {
        for text in ["", "# only a comment\n", "\u{feff}\n"] {
            assert_eq!(FileFormat::Yaml.parse(text).unwrap().value, Value::Null, "{text:?}");
        }
    }
}
