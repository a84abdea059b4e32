//! A JSON object put together member by member, in the order in which they are put.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::hub::Json;

/// The object.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Object(Vec<(String, Json)>);

impl Object {
    /// Adds a member.
    pub(super) fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.0.push((name.to_owned(), Json::of(&value)));
    }

    /// Adds a member, if there is a value for it.
    pub(super) fn put_some(&mut self, name: &str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Whether it has a member of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Its members, in order.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether it has no members.
    pub(super) fn is_empty(&self) -> bool {
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
        let mut object = Object::default();
        assert!(object.is_empty());
        object.put("z", "1");
        object.put_some("y", None::<&str>);
        object.put("a", &Json::parse(r#"{"c":1.0,"b":2}"#).unwrap());
        assert!(object.has("z") && !object.has("y"));
        assert_eq!(serde_json::to_string(&object).unwrap(), r#"{"z":"1","a":{"c":1.0,"b":2}}"#);
    }
}
