//! Where the members of a JSON object lie in a body, and changes to some of them that leave every other byte alone.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::members::range_of;

/// One member of an object, as it is written.
pub(crate) struct Member<'a> {
    name: &'a RawValue,
    pub(crate) value: &'a RawValue,
}

impl<'a> Member<'a> {
    /// Its name; `None` where one of its escapes is broken.
    pub(crate) fn name(&self) -> Option<Cow<'a, str>> {
        let written = self.name.get();
        match written.get(1..written.len() - 1) {
            Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
            _ => serde_json::from_str(written).ok().map(Cow::Owned),
        }
    }
}

/// The members of one object, in the order in which they are written, doubles included.
pub(crate) struct Layout<'a> {
    pub(crate) members: Vec<Member<'a>>,
}

impl<'a> Layout<'a> {
    /// The members of the object `text`; `None` when it is no object.
    pub(crate) fn read(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

impl<'de> Deserialize<'de> for Layout<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LayoutVisitor)
    }
}

struct LayoutVisitor;

impl<'de> Visitor<'de> for LayoutVisitor {
    type Value = Layout<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Layout<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry()? {
            members.push(Member { name, value });
        }
        Ok(Layout { members })
    }
}

/// What is to become of a member.
pub(crate) enum Fate {
    /// It stays as it is.
    Keep,
    /// Its value becomes this text.
    Become(String),
    /// It goes, and a comma with it.
    Go,
}

/// Changes to one body, gathered before any is made: none of them overlaps another.
pub(crate) struct Patch<'a> {
    body: &'a [u8],
    changes: Vec<(Range<usize>, String)>,
}

impl<'a> Patch<'a> {
    /// No changes to `body` yet.
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, changes: Vec::new() }
    }

    /// The body that is changed.
    pub(crate) fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Puts `text` in the place of `value`, which was read from the body.
    pub(crate) fn replace(&mut self, value: &RawValue, text: String) {
        if value.get() != text {
            self.changes.push((range_of(value, self.body), text));
        }
    }

    /// Gives each member of an object that was read from the body its fate. `fresh` holds members that are put
    /// first, each written as `"name":value`; `brace` is where the object opens.
    pub(crate) fn settle(&mut self, brace: usize, layout: &Layout<'_>, fates: Vec<Fate>, fresh: &[String]) {
        let is_kept = |fate: &Fate| !matches!(fate, Fate::Go);
        let last_kept = fates.iter().rposition(is_kept);
        if !fresh.is_empty() {
            let comma = if last_kept.is_some() { "," } else { "" };
            self.changes.push((brace + 1..brace + 1, fresh.join(",") + comma));
        }
        let start = |index: usize| range_of(layout.members[index].name, self.body).start;
        let end = |index: usize| range_of(layout.members[index].value, self.body).end;
        // Behind the last member that stays there is no comma to take along: the one before goes.
        let kept_until = last_kept.map_or(0, |last| last + 1);
        let gone: Vec<_> = fates[..kept_until]
            .iter()
            .enumerate()
            .filter(|(_, fate)| !is_kept(fate))
            .map(|(index, _)| (start(index)..start(index + 1), String::new()))
            .collect();
        self.changes.extend(gone);
        if kept_until < fates.len() {
            let from = last_kept.map_or_else(|| start(0), end);
            self.changes.push((from..end(fates.len() - 1), String::new()));
        }
        for (member, fate) in layout.members.iter().zip(fates) {
            if let Fate::Become(text) = fate {
                self.replace(member.value, text);
            }
        }
    }

    /// The body with the changes made.
    pub(crate) fn apply(mut self) -> Cow<'a, [u8]> {
        if self.changes.is_empty() {
            return Cow::Borrowed(self.body);
        }
        self.changes.sort_by_key(|(range, _)| (range.start, range.end));
        let added: usize = self.changes.iter().map(|(_, text)| text.len()).sum();
        let mut out = Vec::with_capacity(self.body.len() + added);
        let mut done = 0;
        for (range, text) in self.changes {
            out.extend_from_slice(&self.body[done..range.start]);
            out.extend_from_slice(text.as_bytes());
            done = range.end;
        }
        out.extend_from_slice(&self.body[done..]);
        Cow::Owned(out)
    }
}
