//! JSON values kept as they were written, and objects taken apart member by member.
//!
//! Schemas and arguments must reach the other side with their keys in order and their numbers untouched, so they
//! are carried as text. A reader takes the members it knows out of a [`Fields`]; what is left is known to be lost.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Unfit;

/// A JSON value as it was written: the order of keys, the form of numbers and the spaces are kept.
#[derive(Clone)]
pub(crate) struct Json(Box<RawValue>);

impl Json {
    /// `text` as a value, if it is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(text).ok().map(|raw| Self(raw.to_owned()))
    }

    /// What `value` is as JSON.
    pub(crate) fn of(value: &impl Serialize) -> Self {
        Self(serde_json::value::to_raw_value(value).expect("our own types are always JSON"))
    }

    /// The object without members.
    pub(crate) fn empty_object() -> Self {
        Self::parse("{}").expect("it is JSON")
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Whether it is an object.
    pub(crate) fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }

    /// It as a tree, for the few places that look deep into one or change it.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(self.as_str()).unwrap_or_default()
    }

    /// It as a `T`, if it fits.
    pub(crate) fn to<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.as_str()).ok()
    }
}

impl From<&RawValue> for Json {
    fn from(raw: &RawValue) -> Self {
        Self(raw.to_owned())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Json {
    /// Shows nothing of it outside of tests: it is content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if cfg!(test) { f.write_str(self.as_str()) } else { write!(f, "Json({} bytes)", self.as_str().len()) }
    }
}

/// The members of a JSON object, to be taken out one by one.
///
/// `null` counts as not there. Of a member that is there twice the last one counts. Errors name the member by its
/// path from the top of the body, for example `messages[3].content[0].text`.
pub(crate) struct Fields<'a> {
    at: String,
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// The members of `body`, the whole request or answer.
    pub(crate) fn of_body(body: &'a [u8]) -> Result<Self, Unfit> {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        let members = serde_json::from_slice(body)
            .map_err(|error| Unfit::bad("", format!("the body is not a JSON object: {error}")))?;
        Ok(Self::new(String::new(), members))
    }

    /// The members of the object `value`, which stands at `at`.
    pub(crate) fn of(at: impl Into<String>, value: &'a RawValue) -> Result<Self, Unfit> {
        let at = at.into();
        match serde_json::from_str(value.get()) {
            Ok(members) => Ok(Self::new(at, members)),
            Err(_) => Err(Unfit::bad(at, format!("must be an object, not {}", kind(value)))),
        }
    }

    fn new(at: String, Members(mut members): Members<'a>) -> Self {
        let mut index = 0;
        while index < members.len() {
            let name = members[index].0.clone();
            let is_repeated = members[index + 1..].iter().any(|(later, _)| *later == name);
            if is_repeated || members[index].1.get() == "null" {
                members.remove(index);
            } else {
                index += 1;
            }
        }
        Self { at, members }
    }

    /// Where the object stands; empty for the whole body.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    /// Where its member `name` stands.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// Whether `name` is there and has not been taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(member, _)| member == name)
    }

    /// Looks at the member `name` and leaves it.
    pub(crate) fn peek(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
    }

    /// Takes the member `name`.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.members.iter().position(|(member, _)| member == name)?;
        Some(self.members.remove(index).1)
    }

    /// Takes the member `name` as it is written.
    pub(crate) fn json(&mut self, name: &str) -> Option<Json> {
        self.take(name).map(Json::from)
    }

    /// Takes the member `name`, which must be a string if it is there.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Unfit> {
        self.typed(name, "a string")
    }

    /// Takes the member `name`, which must be `true` or `false` if it is there.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, Unfit> {
        self.typed(name, "true or false")
    }

    /// Takes the member `name`, which must be a number if it is there.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<f64>, Unfit> {
        self.typed(name, "a number")
    }

    /// Takes the member `name`, which must be a whole number of at least 0 if it is there. `7.0` is one.
    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, Unfit> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let whole = value.get().strip_suffix(".0").unwrap_or(value.get());
        let wrong = || self.wrong(name, "a whole number", value);
        whole.parse().map(Some).map_err(|_| wrong())
    }

    /// Takes the member `name`, which must be a list if it is there: its elements.
    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<&'a RawValue>>, Unfit> {
        self.typed(name, "a list")
    }

    /// Takes the member `name`, which must be an object if it is there: its members.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Fields<'a>>, Unfit> {
        let path = self.path(name);
        self.take(name).map(|value| Fields::of(path, value)).transpose()
    }

    /// The same as [`Fields::text`], for a member that must be there.
    pub(crate) fn needed_text(&mut self, name: &str) -> Result<String, Unfit> {
        let path = self.path(name);
        self.text(name)?.ok_or_else(|| Unfit::bad(path, "is missing"))
    }

    /// What has not been taken, in order.
    pub(crate) fn rest(self) -> impl Iterator<Item = (Cow<'a, str>, &'a RawValue)> {
        self.members.into_iter()
    }

    fn typed<T: Deserialize<'a>>(&mut self, name: &str, what: &str) -> Result<Option<T>, Unfit> {
        let Some(value) = self.take(name) else { return Ok(None) };
        serde_json::from_str(value.get()).map(Some).map_err(|_| self.wrong(name, what, value))
    }

    fn wrong(&self, name: &str, what: &str, value: &RawValue) -> Unfit {
        Unfit::bad(self.path(name), format!("must be {what}, not {}", kind(value)))
    }
}

/// What kind of value it is, for people.
pub(crate) fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_taken_and_what_is_left_is_named() {
        let raw: &RawValue =
            serde_json::from_str(r#"{"a":"x","b":7.0,"c":null,"b":8.0,"d":{"e":1},"f":2}"#).unwrap();
        let mut fields = Fields::of("top", raw).unwrap();
        assert_eq!(fields.text("a").unwrap().as_deref(), Some("x"));
        assert_eq!(fields.count("b").unwrap(), Some(8));
        assert_eq!(fields.text("c").unwrap(), None);
        let mut d = fields.object("d").unwrap().unwrap();
        assert_eq!(d.text("e").unwrap_err().to_string(), "top.d.e must be a string, not a number");
        let left: Vec<_> = fields.rest().map(|(name, _)| name).collect();
        assert_eq!(left, ["f"]);
    }

    #[test]
    fn values_stay_as_they_were_written() {
        let text = r#"{"z":1.0, "a":[1e3,18446744073709551616]}"#;
        assert_eq!(serde_json::to_string(&Json::parse(text).unwrap()).unwrap(), text);
        assert_eq!(Json::parse("{"), None);
    }
}
