//! The environment a configuration refers to, and the replacement of the references in it.
//!
//! `${NAME}` and `${NAME:-default}` may stand anywhere in a text, `env:NAME` as a whole one, `$$` is a dollar sign.
//! What came from here is marked, so that it is never shown. References are replaced after the file was read: no
//! value can change the file's structure.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::Problem;
use super::tree::{Node, Value};

/// The variables a configuration may refer to.
#[derive(Default)]
pub(super) struct Environment {
    /// The text of variables; `None`: it is set, but not to text.
    variables: BTreeMap<String, Option<String>>,
}

impl Environment {
    /// Those of the process, and those in the file `.env` in `folder` that the process does not have.
    pub(super) fn of_process_and(folder: &Path) -> Result<Self, Problem> {
        let mut variables = BTreeMap::new();
        let file = folder.join(".env");
        if file.is_file() {
            let broken = || Problem::new(".env", format!("a line of {} is not NAME=value", file.display()));
            let unreadable = || Problem::new(".env", format!("cannot read {}", file.display()));
            for entry in dotenvy::from_path_iter(&file).map_err(|_| unreadable())? {
                let (name, text) = entry.map_err(|_| broken())?;
                variables.insert(name, Some(text));
            }
        }
        let of_process = std::env::vars_os()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok())));
        variables.extend(of_process);
        Ok(Self { variables })
    }

    /// Replaces every reference in `node`; `key` is what `node` is called. Problems are added to `problems`.
    pub(super) fn fill(&self, node: &mut Node, key: &str, problems: &mut Vec<Problem>) {
        match &mut node.value {
            Value::Text(text) => match self.replace(text) {
                Ok(None) => {}
                Ok(Some(value)) => node.value = value,
                Err(message) => {
                    problems.push(Problem::new(key, message).at(node.place));
                    node.value = Value::Null;
                }
            },
            Value::List(list) => {
                for (index, node) in list.iter_mut().enumerate() {
                    self.fill(node, &format!("{key}[{index}]"), problems);
                }
            }
            Value::Map(entries) => {
                for (name, node) in entries {
                    self.fill(node, &super::conform::below(key, &name.name), problems);
                }
            }
            _ => {}
        }
    }

    /// The value of `text` with its references replaced; `None` if nothing changes.
    fn replace(&self, text: &str) -> Result<Option<Value>, String> {
        if let Some(name) = text.strip_prefix("env:").filter(|name| is_name(name)) {
            return Ok(Some(Value::Substituted(self.get(name)?.to_owned())));
        }
        if !text.contains('$') {
            return Ok(None);
        }
        let mut out = String::new();
        let mut substituted = false;
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = after.find('}').ok_or("a ${ has no } (a dollar sign itself is written $$)")?;
                out.push_str(self.reference(&after[..end])?);
                rest = &after[end + 1..];
                substituted = true;
            } else {
                out.push('$');
            }
        }
        out.push_str(rest);
        Ok(Some(if substituted { Value::Substituted(out) } else { Value::Text(out) }))
    }

    /// The text for what stands between the braces.
    fn reference<'a>(&'a self, reference: &'a str) -> Result<&'a str, String> {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_name(name) {
            return Err(
                "${…} does not hold the name of a variable (a dollar sign itself is written $$)".to_owned()
            );
        }
        match (self.variables.get(name), default) {
            (Some(Some(text)), _) if !text.is_empty() => Ok(text),
            (None | Some(Some(_)), Some(default)) => Ok(default),
            _ => self.get(name),
        }
    }

    fn get(&self, name: &str) -> Result<&str, String> {
        match self.variables.get(name) {
            Some(Some(text)) => Ok(text),
            Some(None) => Err(format!("the environment variable {name} is not valid text")),
            None => Err(format!("the environment variable {name} is not set")),
        }
    }
}

fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        let set = [("KEY", Some("sk-1")), ("EMPTY", Some("")), ("NOT_TEXT", None)];
        let variables = set.map(|(name, text)| (name.to_owned(), text.map(str::to_owned)));
        Environment { variables: variables.into() }
    }

    #[test]
    fn references_are_replaced() {
        let same = None;
        let substituted = |text: &str| Some(Value::Substituted(text.to_owned()));
        let cases = [
            ("plain", same.clone()),
            ("${KEY}", substituted("sk-1")),
            ("a-${KEY}-${KEY}", substituted("a-sk-1-sk-1")),
            ("${NONE:-x y}", substituted("x y")),
            ("${EMPTY:-x}", substituted("x")),
            ("${KEY:-x}", substituted("sk-1")),
            ("${NONE:-}", substituted("")),
            ("${EMPTY}", substituted("")),
            ("env:KEY", substituted("sk-1")),
            ("see env:KEY", same.clone()),
            ("env:not a name", same),
            ("$$x", Some(Value::Text("$x".to_owned()))),
            ("$${KEY}", Some(Value::Text("${KEY}".to_owned()))),
            ("5 $ each", Some(Value::Text("5 $ each".to_owned()))),
        ];
        for (text, expected) in cases {
            assert_eq!(environment().replace(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_names_the_variable() {
        let cases = [
            ("${NONE}", "NONE is not set"),
            ("env:NONE", "NONE is not set"),
            ("${NOT_TEXT:-x}", "NOT_TEXT is not valid text"),
            ("${KEY", "has no }"),
            ("${1X}", "name of a variable"),
        ];
        for (text, expected) in cases {
            let message = environment().replace(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn the_file_beside_gives_way_to_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::var("PATH").unwrap();
        std::fs::write(folder.path().join(".env"), "PATH=from-file\nONLY_IN_THE_FILE='x y'\n").unwrap();
        let environment = Environment::of_process_and(folder.path()).unwrap();
        assert_eq!(environment.get("PATH"), Ok(path.as_str()));
        assert_eq!(environment.get("ONLY_IN_THE_FILE"), Ok("x y"));
        std::fs::write(folder.path().join(".env"), "KEY sk-secret\n").unwrap();
        let problem = Environment::of_process_and(folder.path()).err().unwrap();
        assert!(!problem.message.contains("secret"), "{problem}");
    }
}
