//! What people and scripts see: results, tables, and errors with their causes and a hint. The only place that prints.

use std::error::Error;
use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// The operation failed.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage, or a wrong configuration.
pub(crate) const WRONG_USAGE: u8 = 2;
/// No instance is running.
pub(crate) const NOT_RUNNING: u8 = 3;

/// Why a command did not do what it should.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip)]
    exit_code: u8,
}

impl Failure {
    /// A failure that ends the process with `exit_code`.
    pub(crate) fn new(message: impl Into<String>, exit_code: u8) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, exit_code }
    }

    /// The same for `error`, with everything that caused it.
    pub(crate) fn of(error: &dyn Error, exit_code: u8) -> Self {
        let mut failure = Self::new(error.to_string(), exit_code);
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors repeat their cause in their own words.
            if !failure.message.contains(&text) && failure.causes.last() != Some(&text) {
                failure.causes.push(text);
            }
            cause = error.source();
        }
        failure
    }

    /// The same, with what to do about it; an empty hint is none.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into().filter(|hint| !hint.is_empty());
        self
    }

    /// How the process is to end.
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("error: {}", self.message)];
        lines.extend(self.causes.iter().map(|cause| format!("  caused by: {cause}")));
        lines.extend(self.hint.iter().map(|hint| format!("hint: {hint}")));
        lines.join("\n")
    }
}

/// For whom something is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Audience {
    /// A person.
    People,
    /// A script: JSON.
    Scripts,
}

/// Prints `text` and a line end on standard output. A reader that has gone away is no error.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
}

/// Prints `value` as JSON on standard output.
pub(crate) fn say_json<T: Serialize>(value: &T) {
    let text =
        serde_json::to_string_pretty(value).expect("our own types have string keys and finite numbers");
    say(&text);
}

/// Prints a line of a story that goes on. `false`: nobody reads it any more.
pub(crate) fn go_on(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

/// The same for `value` as one line of JSON.
pub(crate) fn go_on_json<T: Serialize>(value: &T) -> bool {
    go_on(&serde_json::to_string(value).expect("our own types have string keys and finite numbers"))
}

/// Prints a remark about what is printed, on standard error.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints `failure` on standard error.
pub(crate) fn complain(failure: &Failure, audience: Audience) {
    let text = match audience {
        Audience::People => failure.text(),
        Audience::Scripts => serde_json::json!({ "error": failure }).to_string(),
    };
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `text` on one line and harmless for a terminal: names and errors come from clients and backends.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Lays out rows under a header, without lines; for people. A row is one line, whatever is in it.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|title| title.to_uppercase()).collect::<Vec<_>>());
    let harmless = |row: Vec<String>| row.iter().map(|cell| one_line(cell)).collect::<Vec<_>>();
    table.add_rows(rows.into_iter().map(harmless));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the file")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn what_others_chose_makes_no_rows_and_moves_no_cursor() {
        let text = table(&["model"], vec![vec!["a\0\n\u{1b}[31mb".to_owned()]]);
        assert_eq!(text, "MODEL\na   [31mb");
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_a_hint() {
        let error = Outer(std::io::Error::other("the disk is gone"));
        let failure = Failure::of(&error, FAILED).with_hint("plug it in".to_owned());
        assert_eq!(
            failure.text(),
            "error: cannot read the file\n  caused by: the disk is gone\nhint: plug it in"
        );
    }

    #[test]
    fn a_table_has_no_lines_and_no_trailing_blanks() {
        let rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&["name", "n"], rows), "NAME  N\na     1\nlong");
    }
}
