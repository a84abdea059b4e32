//! A JSON object put together member by member, in the order in which they are put.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Fields, Json};

/// The object.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Object(Vec<(String, Json)>);

impl Object {
    /// One of this `type`.
    pub(crate) fn typed(kind: &str) -> Self {
        Self::default().with("type", kind)
    }

    /// One with the members of `object`.
    pub(crate) fn of(object: &Json) -> Self {
        let fields = Fields::of_body(object.as_str().as_bytes());
        let members = fields
            .map(|fields| fields.rest().map(|(name, value)| (name.into_owned(), value.into())).collect());
        Self(members.unwrap_or_default())
    }

    /// It with one member more.
    pub(crate) fn with(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        self.put(name, value);
        self
    }

    /// It with one member more, if there is a value for it.
    pub(crate) fn with_some(mut self, name: &str, value: Option<&(impl Serialize + ?Sized)>) -> Self {
        self.put_some(name, value);
        self
    }

    /// Adds a member.
    pub(crate) fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.0.push((name.to_owned(), Json::of(&value)));
    }

    /// It with another value for the member `name`, in its place.
    pub(crate) fn replaced(mut self, name: &str, value: Json) -> Self {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
        self
    }

    /// Adds a member, if there is a value for it.
    pub(crate) fn put_some(&mut self, name: &str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Whether it has a member of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether it is of this `type`.
    pub(crate) fn is_typed(&self, kind: &str) -> bool {
        self.get("type").is_some_and(|value| value.as_str().trim_matches('"') == kind)
    }

    /// The text, if it is a block of text and nothing else.
    pub(crate) fn plain_text(&self) -> Option<&Json> {
        if self.0.len() == 2 && self.is_typed("text") { self.get("text") } else { None }
    }

    fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Its members, in order.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_order_in_which_they_were_put() {
        let input = Json::parse(r#"{"c":1.0,"b":2}"#).unwrap();
        let object = Object::typed("tool_use").with("input", &input).with_some("id", None::<&str>);
        assert!(object.has("input") && !object.has("id") && !object.is_empty());
        assert_eq!(serde_json::to_string(&object).unwrap(), r#"{"type":"tool_use","input":{"c":1.0,"b":2}}"#);
    }
}
