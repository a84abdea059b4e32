//! What to do about a file that cannot be read as its format. The reader's own message says what it met; this says what
//! the format wants there. Nothing of the file's text is shown.

use super::tree::FileFormat;

/// A sentence for somebody whose file was refused with `message`.
pub(super) fn mend(format: FileFormat, message: &str) -> &'static str {
    if message.contains("duplicate") {
        return "a key stands once in its section: keep one of the two, with the contents of both";
    }
    match format {
        FileFormat::Yaml if has_word(message, "tab") || has_word(message, "tabs") => {
            "YAML is indented with spaces alone: put spaces in place of the tabs"
        }
        FileFormat::Yaml => {
            "the keys of a section begin in the same column and have a space after their colon; \
             text with a character such as : # { [ * & ! % @ ` stands in quotes, and every quote and bracket is closed"
        }
        FileFormat::Json => {
            "names and text stand in double quotes, a comma stands between entries and none after the last, \
             every bracket is closed, and there are no comments"
        }
        FileFormat::Toml => {
            "a line is a [section] or key = value; text stands in double quotes, and every quote and bracket is closed"
        }
    }
}

fn has_word(message: &str, word: &str) -> bool {
    message.split(|character: char| !character.is_alphanumeric()).any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_mistake_has_its_mend() {
        let yaml_in_general = "same column";
        let cases = [
            (FileFormat::Yaml, "a: 1\n\tb: 2\n", "spaces in place of the tabs"),
            (FileFormat::Yaml, "a:\n\tb: 2\n", "spaces in place of the tabs"),
            (FileFormat::Yaml, "a: 1\na: 2\n", "keep one of the two"),
            (FileFormat::Yaml, "a: 1\n b: 2\n", yaml_in_general),
            (FileFormat::Yaml, "a: @x\n", "in quotes"),
            (FileFormat::Yaml, "a: \"x\nb: 2\n", "every quote and bracket"),
            (FileFormat::Json, "{\"a\": 1,}", "none after the last"),
            (FileFormat::Json, "// a comment\n{}", "no comments"),
            (FileFormat::Json, "{\"a\": 1, \"a\": 2}", "keep one of the two"),
            (FileFormat::Toml, "a = x\n", "double quotes"),
            (FileFormat::Toml, "a = 1\na = 2\n", "keep one of the two"),
        ];
        for (format, text, expected) in cases {
            let message = format.parse(text).unwrap_err().message;
            let said = mend(format, &message);
            assert!(said.contains(expected), "{text:?}: {message}: {said}");
        }
    }
}
