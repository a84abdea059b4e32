//! Requests for vectors of a Gemini client, and what a Gemini backend answers.

use dialect::{Dialect, Endpoint};
use serde_json::json;

use crate::scene::{self, Asked, terms};

fn ask(endpoint: Endpoint, body: &serde_json::Value) -> Asked {
    scene::ask(endpoint, Dialect::Gemini, &body.to_string(), false, &terms("gemini-embedding-001"))
}

const BOTH: &str = r#"{"embeddings":[{"values":[0.1,1e-3]},{"values":[2,-3.0]}]}"#;

#[test]
fn one_text_is_asked_for_as_a_batch_of_one() {
    let body = json!({"model": "models/x", "content": {"parts": [{"text": "Hi"}]}, "taskType": "RETRIEVAL_DOCUMENT", "title": "T", "outputDimensionality": 2});
    let asked = ask(Endpoint::EmbedContent, &body);
    assert_eq!(
        asked.json(),
        json!({"requests": [{
            "model": "models/gemini-embedding-001", "content": {"parts": [{"text": "Hi"}]},
            "taskType": "RETRIEVAL_DOCUMENT", "title": "T", "outputDimensionality": 2,
        }]})
    );
    assert_eq!(asked.lost(), "");
    let told = asked.whole(r#"{"embeddings":[{"values":[0.1,0.2]}]}"#).expect("vectors");
    assert_eq!(told, json!({"embedding": {"values": [0.1, 0.2]}}));
}

#[test]
fn several_texts_come_back_in_order_as_they_were_written() {
    let body = json!({"requests": [
        {"model": "models/x", "content": {"parts": [{"text": "A"}]}, "embedContentConfig": {"taskType": "CLUSTERING"}},
        {"model": "models/x", "content": {"parts": [{"text": "B"}]}, "outputDimensionality": 5},
    ]});
    let asked = ask(Endpoint::BatchEmbedContents, &body);
    assert_eq!(asked.json()["requests"][1]["content"]["parts"][0]["text"], "B");
    assert_eq!(asked.json()["requests"][1]["taskType"], "CLUSTERING");
    assert!(asked.lost().starts_with("requests[1].outputDimensionality: "), "{}", asked.lost());
    assert_eq!(
        asked.whole(BOTH).expect("vectors"),
        json!({"embeddings": [{"values": [0.1, 1e-3]}, {"values": [2, -3.0]}]})
    );
}

#[test]
fn what_is_no_text_or_no_vector_is_refused() {
    let terms = terms("m");
    let body = r#"{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}}"#;
    let refused = scene::try_ask(Endpoint::EmbedContent, Dialect::Gemini, body, false, &terms);
    assert_eq!(refused.err().expect("refused").to_string(), "content.parts[0] is no text");
    let body = json!({"content": {"parts": [{"text": "Hi"}]}});
    let error = ask(Endpoint::EmbedContent, &body).whole(r#"{"error":{"code":404,"message":"no model"}}"#);
    assert_eq!(error.expect_err("an error").status, Some(404));
    assert!(ask(Endpoint::EmbedContent, &body).whole("{}").is_err());
}
