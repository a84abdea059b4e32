//! The shapes in which backends list their models.

use ipc_proto::control::OfferedModel;
use ipc_proto::ids::ModelName;
use serde_json::Value;

/// One page of a backend's models.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The models on it.
    pub(crate) models: Vec<Listed>,
    /// Behind which id the next page begins, if there is one.
    pub(crate) next_after: Option<String>,
}

/// One model of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The model.
    pub(crate) model: OfferedModel,
    /// The longest context that it takes as it is served, in tokens, where the list tells.
    pub(crate) context: Option<u64>,
}

/// Reads a list of models: an object whose `data` lists objects with an `id`, or a bare list of names. `null` in
/// place of either list is an empty one. The error says what is there instead.
pub(crate) fn models(body: &[u8]) -> Result<Page, String> {
    let body: Value = serde_json::from_slice(body).map_err(|_| "the answer is no JSON".to_owned())?;
    let page = |models| Page { models, next_after: None };
    match &body {
        Value::Null => Ok(page(Vec::new())),
        Value::Array(names) => names.iter().map(bare_name).collect::<Result<_, _>>().map(page),
        Value::Object(object) => {
            let models = match object.get("data") {
                None => return Err("the answer has no list named data".to_owned()),
                Some(Value::Null) => Vec::new(),
                Some(Value::Array(items)) => items.iter().map(item).collect::<Result<_, _>>()?,
                Some(_) => return Err("data is no list".to_owned()),
            };
            let has_more = object.get("has_more").and_then(Value::as_bool) == Some(true);
            let last_id = object.get("last_id").and_then(Value::as_str);
            Ok(Page { models, next_after: last_id.filter(|_| has_more).map(str::to_owned) })
        }
        _ => Err("the answer is no list of models".to_owned()),
    }
}

/// Reads a page of Gemini's models: those that generate text or embed it.
pub(crate) fn gemini_models(body: &[u8]) -> Result<Page, String> {
    const USEFUL: [&str; 2] = ["generateContent", "embedContent"];
    let body: Value = serde_json::from_slice(body).map_err(|_| "the answer is no JSON".to_owned())?;
    let items = match body.get("models") {
        Some(Value::Array(items)) => items.as_slice(),
        // A page without models has no list.
        None | Some(Value::Null) if body.is_object() => &[],
        _ => return Err("the answer has no list named models".to_owned()),
    };
    let is_useful = |item: &&Value| {
        let methods = item.get("supportedGenerationMethods").and_then(Value::as_array);
        // A server that does not say what a model can do offers it for something.
        methods
            .is_none_or(|methods| methods.iter().filter_map(Value::as_str).any(|name| USEFUL.contains(&name)))
    };
    let model = |item: &Value| {
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
        let name = name.strip_prefix("models/").unwrap_or(name);
        if name.is_empty() {
            return Err("an item of models has no name".to_owned());
        }
        let model = OfferedModel { id: ModelName::new(name), created: None, owned_by: None };
        Ok(Listed { model, context: item.get("inputTokenLimit").and_then(Value::as_u64) })
    };
    let models = items.iter().filter(is_useful).map(model).collect::<Result<_, _>>()?;
    let next = body.get("nextPageToken").and_then(Value::as_str).filter(|token| !token.is_empty());
    Ok(Page { models, next_after: next.map(str::to_owned) })
}

fn bare_name(value: &Value) -> Result<Listed, String> {
    let name = value.as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| "the list holds something else than names".to_owned())?;
    let model = OfferedModel { id: ModelName::new(name), created: None, owned_by: None };
    Ok(Listed { model, context: None })
}

fn item(value: &Value) -> Result<Listed, String> {
    let text = |member: &str| value.get(member).and_then(Value::as_str).filter(|text| !text.is_empty());
    let id = text("id").ok_or_else(|| "an item of data has no id".to_owned())?;
    let created_at = || text("created_at")?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
    let model = OfferedModel {
        id: ModelName::new(id),
        created: value.get("created").and_then(Value::as_i64).or_else(created_at),
        owned_by: text("owned_by").map(str::to_owned),
    };
    let context = value.get("max_model_len").and_then(Value::as_u64).filter(|&context| context > 0);
    Ok(Listed { model, context })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(body: &str) -> Result<Vec<String>, String> {
        models(body.as_bytes())
            .map(|page| page.models.iter().map(|listed| listed.model.id.to_string()).collect())
    }

    #[test]
    fn dis_03_lists_of_models_and_what_is_none() {
        let none: Vec<String> = Vec::new();
        let ab = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(names(r#"{"object":"list","data":[{"id":"a"},{"id":"b","x":1}]}"#), Ok(ab.clone()));
        assert_eq!(names(r#"["a","b"]"#), Ok(ab));
        for empty in [r#"{"data":[]}"#, r#"{"data":null}"#, "[]", "null"] {
            assert_eq!(names(empty), Ok(none.clone()), "{empty}");
        }
        for wrong in [
            r#"{"data":[{"id":"a"},{"name":"b"}]}"#,
            r#"{"data":[{"id":""}]}"#,
            r#"{"data":[{"id":7}]}"#,
            r#"{"data":{}}"#,
            r#"{"models":[]}"#,
            r#"["a",7]"#,
            r#"[{"id":"a"}]"#,
            "<html></html>",
            "7",
            "",
        ] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn dis_09_pages_and_dates_of_anthropic() {
        let body = r#"{"data":[{"id":"claude","created_at":"1970-01-01T00:01:00Z","type":"model"}],
            "has_more":true,"last_id":"claude"}"#;
        let page = models(body.as_bytes()).unwrap();
        assert_eq!(page.next_after.as_deref(), Some("claude"));
        assert_eq!(page.models[0].model.created, Some(60));
        let last = models(br#"{"data":[],"has_more":false,"last_id":"claude"}"#).unwrap();
        assert_eq!(last.next_after, None);
    }

    #[test]
    fn gemini_lists_what_generates_or_embeds() {
        let body = r#"{"models":[
            {"name":"models/g","inputTokenLimit":1000,"supportedGenerationMethods":["generateContent","countTokens"]},
            {"name":"models/e","supportedGenerationMethods":["embedContent"]},
            {"name":"models/aqa","supportedGenerationMethods":["generateAnswer"]},
            {"name":"tunedModels/t"}],"nextPageToken":"p2"}"#;
        let page = gemini_models(body.as_bytes()).unwrap();
        let names: Vec<_> = page.models.iter().map(|listed| listed.model.id.as_str()).collect();
        assert_eq!(names, ["g", "e", "tunedModels/t"]);
        assert_eq!((page.models[0].context, page.next_after.as_deref()), (Some(1000), Some("p2")));
        assert_eq!(gemini_models(b"{}"), Ok(Page { models: Vec::new(), next_after: None }));
        for wrong in ["[]", r#"{"models":7}"#, r#"{"models":[{"id":"g"}]}"#, "<html>"] {
            assert!(gemini_models(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
