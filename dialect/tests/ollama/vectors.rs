//! Embeddings.

use dialect::Dialect::Ollama;
use dialect::Endpoint::{OllamaEmbed, OllamaEmbeddings};
use serde_json::json;

use crate::bench::{lost, sent, translate, translator, whole};

#[test]
fn texts_are_asked_for_and_vectors_come_as_written() {
    let body = json!({
        "model": "m", "input": ["a", "b"], "truncate": false, "dimensions": 2, "keep_alive": "1h",
        "options": {"num_ctx": 512}, "flux": 1
    });
    let (out, losses) = sent(OllamaEmbed, Ollama, &body);
    let mut expected = body.clone();
    expected["model"] = json!("qwen3:8b");
    expected.as_object_mut().unwrap().shift_remove("flux");
    assert_eq!(out, expected);
    assert_eq!(lost(&losses), ["flux"]);

    let answer = br#"{"model":"e","embeddings":[[0.10, -1e-3],[1,2]],"prompt_eval_count":4}"#;
    let (told, usage) = translator(OllamaEmbed, Ollama, &body).whole(answer).unwrap();
    assert_eq!(
        String::from_utf8(told).unwrap(),
        r#"{"model":"e","embeddings":[[0.10, -1e-3],[1,2]],"total_duration":0,"load_duration":0,"prompt_eval_count":4}"#
    );
    assert_eq!(usage.input_tokens, Some(4));
}

#[test]
fn the_older_operation_has_one_text_and_one_vector() {
    let body = json!({"model": "m", "prompt": "a"});
    assert_eq!(sent(OllamaEmbeddings, Ollama, &body).0, json!({"model": "qwen3:8b", "input": ["a"]}));
    let told = whole(&mut translator(OllamaEmbeddings, Ollama, &body), &json!({"embeddings": [[1.5]]}));
    assert_eq!(told, json!({"embedding": [1.5]}));
    let told = whole(&mut translator(OllamaEmbeddings, Ollama, &body), &json!({"embedding": [2.5]}));
    assert_eq!(told, json!({"embedding": [2.5]}));
}

#[test]
fn what_cannot_be_asked_or_answered_is_said() {
    let refused = |body| translate(OllamaEmbed, Ollama, &body).err().unwrap().to_string();
    assert_eq!(
        refused(json!({"model": "m", "input": [1, 2]})),
        "input must be a string or a list of strings, not a list"
    );
    assert!(refused(json!({"model": "m"})).starts_with("input is empty"));
    let mut translator = translator(OllamaEmbed, Ollama, &json!({"model": "m", "input": "a"}));
    for answer in [r#"{"error":"no such model"}"#, r#"{"embeddings":[]}"#, r#"{"embeddings":["x"]}"#, "{"] {
        assert!(translator.whole(answer.as_bytes()).is_err(), "{answer}");
    }
}

#[test]
fn vectors_that_are_none_are_an_error_to_every_client() {
    use dialect::Dialect::OpenAi;
    use dialect::Endpoint::{BatchEmbedContents, EmbedContent, Embeddings};
    let gemini = json!({"content": {"parts": [{"text": "a"}]}});
    for (endpoint, body) in [
        (OllamaEmbed, json!({"model": "m", "input": "a"})),
        (OllamaEmbeddings, json!({"model": "m", "prompt": "a"})),
        (EmbedContent, gemini.clone()),
        (BatchEmbedContents, json!({"requests": [gemini]})),
    ] {
        let mut translator = translator(endpoint, OpenAi, &body);
        let mut answer = |vector: &str| {
            let entry = format!(r#"{{"object":"embedding","index":0,"embedding":{vector}}}"#);
            translator.whole(format!(r#"{{"data":[{entry}],"model":"m"}}"#).as_bytes()).is_ok()
        };
        // Base64 of one number; of none; of a byte too few.
        assert!(answer(r#""AACAPw==""#), "{endpoint:?}");
        assert!(!answer(r#""no base64!""#) && !answer(r#""AACA""#), "{endpoint:?}");
    }
    let two = json!({"model": "m", "input": ["a", "b"]});
    let (mut ours, mut theirs) =
        (translator(OllamaEmbed, Ollama, &two), translator(Embeddings, Ollama, &two));
    let short = br#"{"model":"e","embeddings":[[1]]}"#;
    assert!(ours.whole(short).is_err() && theirs.whole(short).is_err(), "a vector is missing");
}
