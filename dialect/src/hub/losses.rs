//! What a translation cannot carry: named, never dropped silently; and requests that cannot be translated at all.

use std::borrow::Cow;
use std::fmt;

/// How many losses are named one by one.
const NAMED: usize = 16;

/// Something of the request that the backend does not get, or not as the client said it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// Where the client said it: the path of a field in its own body, for example `tools[1]`.
    pub field: String,
    /// What became of it, for example `Anthropic has no such parameter`.
    pub reason: Cow<'static, str>,
}

/// The losses of one request.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// Notes that `field` is lost because of `reason`. The same field is named once.
    pub fn add(&mut self, field: impl Into<String>, reason: impl Into<Cow<'static, str>>) {
        let field = field.into();
        if self.0.iter().all(|loss| loss.field != field) {
            self.0.push(Loss { field, reason: reason.into() });
        }
    }

    /// Forgets those of these fields: nothing was asked for in them, or nobody misses it.
    pub(crate) fn forget(&mut self, fields: &[impl AsRef<str>]) {
        self.0.retain(|loss| fields.iter().all(|field| field.as_ref() != loss.field));
    }

    /// All of them, in the order of the translation.
    pub fn list(&self) -> &[Loss] {
        &self.0
    }

    /// Whether nothing is lost.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All in one line that can be sent as a header: `field: reason; field: reason`. `None` when nothing is lost.
    pub fn header(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut text = String::new();
        for (index, loss) in self.0.iter().take(NAMED).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            text.extend([separator, &loss.field, ": ", &loss.reason]);
        }
        if self.0.len() > NAMED {
            text.extend(["; and ", &(self.0.len() - NAMED).to_string(), " more"]);
        }
        Some(text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect())
    }
}

/// Why a request is not sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unfit {
    /// The field at fault, as a path in the client's body; empty when it is the body as a whole.
    pub field: String,
    /// What is wrong with it. Follows the field's name: `must be a list, not a string`.
    pub message: String,
    /// Whether the request would have been understood in its own dialect: then another backend may take it.
    pub is_good_elsewhere: bool,
}

impl Unfit {
    /// A request that is wrong in its own dialect.
    pub(crate) fn bad(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), is_good_elsewhere: false }
    }

    /// A request that cannot be said in the backend's dialect.
    pub(crate) fn untranslatable(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), is_good_elsewhere: true }
    }
}

impl fmt::Display for Unfit {
    /// A sentence for the person who called.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.field.is_empty() { "" } else { " " };
        write!(f, "{}{space}{}", self.field, self.message)
    }
}

impl std::error::Error for Unfit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_each_field_once_and_stays_one_line() {
        let mut losses = Losses::default();
        assert_eq!(losses.header(), None);
        losses.add("seed", "Anthropic has no such parameter");
        losses.add("seed", "again");
        losses.add("tools[0]", "a\nb é");
        assert_eq!(
            losses.header().as_deref(),
            Some("seed: Anthropic has no such parameter; tools[0]: a?b ?")
        );
        (0..20).for_each(|index| losses.add(format!("x{index}"), "y"));
        assert!(losses.header().is_some_and(|text| text.ends_with("; and 6 more")));
    }
}
