//! The sources of a text, as Responses names them.

use serde_json::{Value, json};

use crate::hub::Json;

/// The `annotations` for `text`, whose sources another dialect wrote as `sources`. Of those without an address nothing can
/// be told here.
pub(super) fn written(sources: Option<&Json>, text: &str) -> Vec<Json> {
    let sources: Vec<Value> = sources.and_then(Json::to).unwrap_or_default();
    sources.iter().filter_map(|source| one(source, text)).map(|annotation| Json::of(&annotation)).collect()
}

fn one(source: &Value, text: &str) -> Option<Value> {
    // OpenAI's other API puts it into an object; Anthropic cites for the whole block, by another type.
    let nested = source.get("url_citation").unwrap_or(source);
    let Some(url) = nested.get("url").and_then(Value::as_str) else {
        let kind = source["type"].as_str()?;
        let is_ours = matches!(kind, "file_citation" | "container_file_citation" | "file_path");
        return is_ours.then(|| source.clone());
    };
    let place = |name: &str, otherwise: usize| nested[name].as_u64().unwrap_or(otherwise as u64);
    Some(json!({
        "type": "url_citation",
        "start_index": place("start_index", 0),
        "end_index": place("end_index", text.chars().count()),
        "url": url,
        "title": nested["title"].as_str().unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tp_18_sources_of_other_dialects_become_annotations() {
        let sources = Json::parse(
            r#"[{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":1,"end_index":2}},
            {"type":"web_search_result_location","url":"v","title":"s","cited_text":"c"},
            {"type":"char_location","document_index":0}]"#,
        );
        let told: Vec<String> =
            written(sources.as_ref(), "abc").iter().map(|json| json.as_str().to_owned()).collect();
        assert_eq!(
            told,
            [
                r#"{"type":"url_citation","start_index":1,"end_index":2,"url":"u","title":"t"}"#,
                r#"{"type":"url_citation","start_index":0,"end_index":3,"url":"v","title":"s"}"#
            ]
        );
    }
}
