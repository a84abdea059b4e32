//! Where the elements of one JSON list end, as its bytes come: Gemini streams its answers as such a list.
//!
//! It counts brackets outside of strings and judges nothing else: whether an element is good JSON is for others to say.

/// What has passed of a list.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Elements {
    /// How many brackets are open inside of the list.
    depth: u32,
    stage: Stage,
    is_in_string: bool,
    is_escaped: bool,
    /// Whether something of an element, or a separator in front of one, has come since the last element.
    is_inside: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Stage {
    #[default]
    Before,
    Open,
    Closed,
}

impl Elements {
    /// Where in `bytes` the next element ends, or the list; all bytes before are taken note of. Each byte
    /// that follows the list stands for itself.
    pub(crate) fn next_end(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.stage == Stage::Closed {
            // Nothing belongs there but a line end.
            return (!bytes.is_empty()).then_some(1);
        }
        let mut at = 0;
        while at < bytes.len() {
            if self.is_in_string && !self.is_escaped {
                // Most of a stream is text: it is passed over at once.
                at += bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            }
            at += 1;
            if self.ends_with(bytes[at - 1]) {
                return Some(at);
            }
        }
        None
    }

    /// Takes note of all of `bytes`.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = self.next_end(rest) {
            rest = &rest[end..];
        }
    }

    /// Whether an element can follow: nothing has come, or the last thing was an element.
    pub(crate) fn is_between(self) -> bool {
        !self.is_inside && self.stage != Stage::Closed
    }

    /// Whether an element, or the list, ends with `byte`.
    fn ends_with(&mut self, byte: u8) -> bool {
        if self.is_in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_in_string = false,
                _ => {}
            }
            return false;
        }
        self.is_inside |= !byte.is_ascii_whitespace();
        match byte {
            b'"' => self.is_in_string = true,
            b'[' if self.stage == Stage::Before && self.depth == 0 => self.stage = Stage::Open,
            b'[' | b'{' => self.depth = self.depth.saturating_add(1),
            b']' if self.depth == 0 => {
                self.stage = Stage::Closed;
                return true;
            }
            b']' | b'}' if self.depth > 0 => {
                self.depth -= 1;
                self.is_inside = self.depth > 0;
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &str, cut: usize) -> Vec<usize> {
        let mut elements = Elements::default();
        let (mut found, mut at) = (Vec::new(), 0);
        for part in text.as_bytes().chunks(cut) {
            let mut rest = part;
            while let Some(end) = elements.next_end(rest) {
                at += end;
                found.push(at);
                rest = &rest[end..];
            }
            at += rest.len();
        }
        found
    }

    #[test]
    fn elements_end_where_their_brackets_close() {
        let text = r#" [{"a":"}]\"{","b":[1,{}]}
,
{} ,{"c\\":"x"}]"#;
        let expected: Vec<_> = ["[1,{}]}", "{} ", r#""x"}"#, "]"]
            .iter()
            .scan(0, |from, end| {
                let place = text[*from..].find(end).unwrap() + *from + end.trim_end().len();
                *from = place;
                Some(place)
            })
            .collect();
        for cut in 1..=text.len() {
            assert_eq!(ends(text, cut)[..3], expected[..3], "in pieces of {cut}");
            assert_eq!(ends(text, cut).last(), Some(&text.len()));
        }
    }

    #[test]
    fn something_fits_only_between_elements() {
        for (text, fits) in [
            ("", true),
            (" \n", true),
            ("[", false),
            ("[{}", true),
            ("[{} \n", true),
            ("[{},", false),
            ("[{\"a\":\"}\"", false),
            ("[{}]", false),
        ] {
            let mut elements = Elements::default();
            elements.pass(text.as_bytes());
            assert_eq!(elements.is_between(), fits, "{text:?}");
        }
    }
}
