//! Custom tools, whose input is free text, told as functions to backends that know only those.
//!
//! The function has one argument, the string `input`. A model that calls it gives the text there; a call in the history
//! is wrapped the same way. What the client gets is the text again.

use serde::{Deserialize, Serialize};

use super::{Function, Json};

/// The schema of such a function.
const SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as plain text."}},"required":["input"],"additionalProperties":false}"#;

/// The function that stands for the custom tool `name`. A grammar in `format` cannot be enforced: its text is added to the
/// description.
pub(crate) fn as_function(name: &str, description: Option<&str>, format: Option<&Json>) -> Function {
    let mut words = description.unwrap_or_default().to_owned();
    if let Some(Grammar { syntax, definition }) = format.and_then(Grammar::of) {
        let gap = if words.is_empty() { "" } else { "\n\n" };
        words = format!("{words}{gap}The input must follow this {syntax} grammar:\n{definition}");
    }
    Function {
        name: name.to_owned(),
        namespace: None,
        description: Some(words).filter(|words| !words.is_empty()),
        parameters: Json::parse(SCHEMA),
        strict: None,
    }
}

/// The arguments of the function in place of the text `input`.
pub(crate) fn wrapped(input: &str) -> String {
    serde_json::to_string(&Wrapped { input: input.to_owned() }).expect("a string is always JSON")
}

/// The text in the `arguments` of such a function. `None` if they are not what [`wrapped`] makes.
pub(crate) fn unwrapped(arguments: &str) -> Option<String> {
    serde_json::from_str(arguments).ok().map(|Wrapped { input }| input)
}

#[derive(Serialize, Deserialize)]
struct Wrapped {
    input: String,
}

/// The grammar of a custom tool's input. OpenAI's two APIs nest it differently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Grammar {
    /// `lark` or `regex`.
    pub(crate) syntax: String,
    /// Its text.
    pub(crate) definition: String,
}

impl Grammar {
    /// The grammar in a tool's `format`, as either API writes it. `None` for plain text.
    pub(crate) fn of(format: &Json) -> Option<Self> {
        let Written { grammar, syntax, definition } = format.to()?;
        let nested = grammar.unwrap_or_default();
        let definition = definition.or(nested.definition)?;
        let syntax = syntax.or(nested.syntax).unwrap_or_else(|| "lark".to_owned());
        Some(Self { syntax, definition })
    }
}

#[derive(Deserialize)]
struct Written {
    grammar: Option<Nested>,
    syntax: Option<String>,
    definition: Option<String>,
}

#[derive(Default, Deserialize)]
struct Nested {
    syntax: Option<String>,
    definition: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grammar_is_found_in_both_forms_and_told_in_the_description() {
        let flat = Json::parse(r#"{"type":"grammar","syntax":"regex","definition":"[a-z]+"}"#).unwrap();
        let nested =
            Json::parse(r#"{"type":"grammar","grammar":{"syntax":"regex","definition":"[a-z]+"}}"#).unwrap();
        for format in [flat, nested] {
            let function = as_function("sh", Some("Runs it."), Some(&format));
            let expected = "Runs it.\n\nThe input must follow this regex grammar:\n[a-z]+";
            assert_eq!(function.description.as_deref(), Some(expected));
        }
        let text = Json::parse(r#"{"type":"text"}"#).unwrap();
        let function = as_function("sh", None, Some(&text));
        assert_eq!(function.description, None);
        assert!(function.parameters.is_some_and(|schema| schema.as_str().contains("\"input\"")));
    }

    #[test]
    fn texts_come_out_as_they_went_in() {
        for text in ["", "*** Begin Patch\n\"x\"\\\n", "{\"input\":1}"] {
            assert_eq!(unwrapped(&wrapped(text)).as_deref(), Some(text));
        }
        for arguments in ["", "{}", "{\"input\":1}", "text"] {
            assert_eq!(unwrapped(arguments), None, "{arguments}");
        }
    }
}
