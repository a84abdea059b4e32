//! Embeddings.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried};

fn to(body: &Value) -> Exchange {
    tried(Endpoint::Embeddings, Dialect::OpenAi, &terms(Engine::Other), &body.to_string())
        .expect("it can be carried")
}

#[test]
fn inputs_of_every_form_arrive() {
    for (input, sent) in [
        (json!("a"), json!(["a"])),
        (json!(["a", "b"]), json!(["a", "b"])),
        (json!([1, 2]), json!([[1, 2]])),
        (json!([[1, 2], [3]]), json!([[1, 2], [3]])),
    ] {
        assert_eq!(to(&json!({"model": "m", "input": input})).json()["input"], sent);
    }
    for (body, said) in [
        (json!({"model": "m"}), "input is missing"),
        (json!({"model": "m", "input": []}), "input must not be empty"),
        (
            json!({"model": "m", "input": ["a", 1]}),
            "input[1] must be a text or a list of tokens, not a number",
        ),
    ] {
        let error = tried(Endpoint::Embeddings, Dialect::OpenAi, &terms(Engine::Other), &body.to_string());
        assert_eq!(error.err().unwrap().to_string(), said);
    }
    let sent = to(&json!({"model": "m", "input": "a", "dimensions": 2, "user": "u", "x": 1}));
    assert_eq!(sent.losses, ["x: OpenAI's embeddings have no such parameter"]);
    assert_eq!((&sent.json()["dimensions"], &sent.json()["user"]), (&json!(2), &json!("u")));
}

#[test]
fn vectors_come_back_in_order_and_in_the_form_that_the_client_wants() {
    let answer = json!({"model": "big", "usage": {"prompt_tokens": 3, "total_tokens": 3}, "data": [
        {"index": 1, "embedding": [0.5, -2.0]}, {"index": 0, "embedding": "AACAPwAAAEA="}]})
    .to_string();
    let lists = to(&json!({"model": "m", "input": ["a", "b"]})).answered(&answer);
    assert_eq!(lists["data"][0], json!({"object": "embedding", "index": 0, "embedding": [1.0, 2.0]}));
    assert_eq!(lists["data"][1]["embedding"], json!([0.5, -2.0]));
    assert_eq!(lists["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    let packed =
        to(&json!({"model": "m", "input": ["a", "b"], "encoding_format": "base64"})).answered(&answer);
    assert_eq!(
        (&packed["data"][0]["embedding"], &packed["data"][1]["embedding"]),
        (&json!("AACAPwAAAEA="), &json!("AAAAPwAAAMA="))
    );
}
