//! What can be said in words of the items that only OpenAI has: calls of its own tools, and what came of them.

use serde_json::Value;
use serde_json::value::RawValue;

/// The item `raw` of this kind in words, for a backend that does not have it. `None` where there is nothing to tell.
pub(super) fn in_words(kind: &str, raw: &RawValue) -> Option<String> {
    let item: Value = serde_json::from_str(raw.get()).ok()?;
    let told = match kind {
        "web_search_call" => format!("[searched the web: {}]", action(&item)?),
        "file_search_call" => format!("[searched files: {}]", line(&item["queries"])?),
        "code_interpreter_call" => {
            let ran = format!("[ran code]\n{}", line(&item["code"])?);
            match line(&item["outputs"]) {
                Some(outputs) => format!("{ran}\n[its output]\n{outputs}"),
                None => ran,
            }
        }
        "image_generation_call" => "[generated an image]".to_owned(),
        "local_shell_call" => format!("[ran a command: {}]", line(&item["action"]["command"])?),
        "shell_call" => format!("[ran commands]\n{}", line(&item["action"]["commands"])?),
        "apply_patch_call" => format!("[patched a file: {}]", item["operation"]),
        "computer_call" => format!("[used the computer: {}]", item["action"]),
        "mcp_call" => {
            let called = format!("[called {} with {}]", line(&item["name"])?, line(&item["arguments"])?);
            match line(&item["output"]) {
                Some(output) => format!("{called}\n[its answer]\n{output}"),
                None => called,
            }
        }
        "local_shell_call_output" | "shell_call_output" | "apply_patch_call_output" => line(&item["output"])?,
        _ => return None,
    };
    Some(told)
}

fn action(item: &Value) -> Option<String> {
    let action = &item["action"];
    ["query", "queries", "url", "pattern"].iter().find_map(|name| line(&action[*name]))
}

/// A string as it is, a list line by line with what is textual in it.
fn line(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let lines: Vec<String> = list.iter().filter_map(line).collect();
            lines.join("\n")
        }
        Value::Object(members) => {
            let textual = ["text", "stdout", "stderr", "logs"];
            let lines: Vec<String> = textual.iter().filter_map(|name| line(members.get(*name)?)).collect();
            lines.join("\n")
        }
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_built_in_tools_are_told_in_words() {
        for (kind, raw, expected) in [
            (
                "web_search_call",
                r#"{"action":{"type":"search","query":"rust"}}"#,
                Some("[searched the web: rust]"),
            ),
            (
                "shell_call_output",
                r#"{"output":[{"stdout":"a","stderr":"b","outcome":{"type":"exit","exit_code":0}}]}"#,
                Some("a\nb"),
            ),
            ("local_shell_call", r#"{"action":{"command":["ls","-l"]}}"#, Some("[ran a command: ls\n-l]")),
            ("mcp_list_tools", r#"{"tools":[]}"#, None),
            ("web_search_call", "{}", None),
        ] {
            let raw: &RawValue = serde_json::from_str(raw).unwrap();
            assert_eq!(in_words(kind, raw).as_deref(), expected, "{kind}");
        }
    }
}
