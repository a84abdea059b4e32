//! Objects as Google's JSON writes them: names in either spelling, numbers perhaps in quotes, a list of one perhaps bare.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::hub::{Extra, Fields, Json, Said, Unfit};

/// The members of one object, to be taken out one by one.
///
/// Members are asked for in camel case and found in snake case as well; paths have the client's spelling.
pub(super) struct Proto<'a>(Fields<'a>);

impl<'a> Proto<'a> {
    /// The members of `body`.
    pub(super) fn of_body(body: &'a [u8]) -> Result<Self, Unfit> {
        Fields::of_body(body).map(Self)
    }

    /// The members of the object `value`, which stands at `at`.
    pub(super) fn of(at: impl Into<String>, value: &'a RawValue) -> Result<Self, Unfit> {
        Fields::of(at, value).map(Self)
    }

    fn spelled<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.0.has(name) || !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Borrowed(name);
        }
        let snake = snake(name);
        if self.0.has(&snake) { Cow::Owned(snake) } else { Cow::Borrowed(name) }
    }

    /// Where the object stands.
    pub(super) fn at(&self) -> &str {
        self.0.at()
    }

    /// Where the member `name` stands, if it is there.
    pub(super) fn path(&self, name: &str) -> String {
        self.0.path(&self.spelled(name))
    }

    /// Whether `name` is there and has not been taken.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.has(&self.spelled(name))
    }

    /// Takes the member `name`.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let name = self.spelled(name);
        self.0.take(&name)
    }

    /// Takes the member `name` as it is written.
    pub(super) fn json(&mut self, name: &str) -> Option<Json> {
        self.take(name).map(Json::from)
    }

    /// Takes the member `name`, which must be a string if it is there.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Unfit> {
        let name = self.spelled(name);
        self.0.text(&name)
    }

    /// The same, for a member that must be there.
    pub(super) fn needed_text(&mut self, name: &str) -> Result<String, Unfit> {
        let path = self.path(name);
        self.text(name)?.ok_or_else(|| Unfit::bad(path, "is missing"))
    }

    /// Takes the member `name`, which must be `true` or `false` if it is there.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Unfit> {
        let name = self.spelled(name);
        self.0.flag(&name)
    }

    /// Takes the member `name`, which must be a number if it is there.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, Unfit> {
        self.parsed(name, "a number", |text| text.parse().ok())
    }

    /// Takes the member `name`, which must be a whole number if it is there.
    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, Unfit> {
        self.parsed(name, "a whole number", |text| text.strip_suffix(".0").unwrap_or(text).parse().ok())
    }

    /// Takes the member `name`, which must be a whole number of at least 0 if it is there.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, Unfit> {
        let what = "a whole number of at least 0";
        self.parsed(name, what, |text| text.strip_suffix(".0").unwrap_or(text).parse().ok())
    }

    /// Takes the member `name` by `take`, with its path.
    pub(super) fn said<T>(
        &mut self,
        name: &str,
        take: fn(&mut Self, &str) -> Result<Option<T>, Unfit>,
    ) -> Result<Option<Said<T>>, Unfit> {
        let at = self.path(name);
        Ok(take(self, name)?.map(|value| Said::new(at, value)))
    }

    /// Takes the member `name`, which must be an object if it is there: its members.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, Unfit> {
        let name = self.spelled(name);
        Ok(self.0.object(&name)?.map(Self))
    }

    /// Takes the member `name`, a list or a single element of one: the elements, each with its path.
    pub(super) fn many(&mut self, name: &str) -> Result<Vec<(String, &'a RawValue)>, Unfit> {
        let path = self.path(name);
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        if !value.get().starts_with('[') {
            return Ok(vec![(path, value)]);
        }
        let list: Vec<&'a RawValue> =
            serde_json::from_str(value.get()).map_err(|_| Unfit::bad(path.as_str(), "must be a list"))?;
        Ok(list.into_iter().enumerate().map(|(index, value)| (format!("{path}[{index}]"), value)).collect())
    }

    /// Takes the member `name`, a list of strings.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Unfit> {
        if !self.has(name) {
            return Ok(None);
        }
        let read = |(path, value): (String, &RawValue)| {
            serde_json::from_str(value.get()).map_err(|_| Unfit::bad(path, "must be a string"))
        };
        self.many(name)?.into_iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// What has not been taken, each with its path.
    pub(super) fn into_extras(self, extras: &mut Vec<Extra>) {
        let at = self.0.at().to_owned();
        extras.extend(self.0.rest().map(|(name, value)| {
            let at = if at.is_empty() { name.to_string() } else { format!("{at}.{name}") };
            Extra { name: name.into_owned(), at, value: Json::from(value) }
        }));
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Unfit> {
        let path = self.path(name);
        let Some(value) = self.take(name) else { return Ok(None) };
        let wrong = || Unfit::bad(path, format!("must be {what}, not {}", crate::hub::kind(value)));
        let text = value.get().trim_matches('"');
        parse(text).map(Some).ok_or_else(wrong)
    }
}

/// `name` in snake case.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_found_and_errors_have_the_clients() {
        let body = br#"{"top_k":"40","maxOutputTokens":7,"stop_sequences":"x","bad_flag":1,"more":{}}"#;
        let mut proto = Proto::of_body(body).unwrap();
        assert_eq!(proto.count("topK").unwrap(), Some(40));
        assert_eq!(proto.integer("maxOutputTokens").unwrap(), Some(7));
        assert_eq!(proto.texts("stopSequences").unwrap(), Some(vec!["x".to_owned()]));
        assert_eq!(proto.flag("badFlag").unwrap_err().field, "bad_flag");
        let mut extras = Vec::new();
        proto.into_extras(&mut extras);
        assert_eq!(extras.iter().map(|extra| extra.at.as_str()).collect::<Vec<_>>(), ["more"]);
    }

    #[test]
    fn a_single_element_counts_as_a_list() {
        let mut proto = Proto::of_body(br#"{"contents":{"a":1},"tools":[1,2],"n":"x"}"#).unwrap();
        assert_eq!(proto.many("contents").unwrap()[0].0, "contents");
        assert_eq!(proto.many("tools").unwrap()[1].0, "tools[1]");
        assert_eq!(proto.number("n").unwrap_err().to_string(), "n must be a number, not a string");
    }
}
