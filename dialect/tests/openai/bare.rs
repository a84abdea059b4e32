//! Completions.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::json;

use crate::exchange::{Exchange, terms, tried};

fn to(engine: Engine, body: &str) -> Exchange {
    tried(Endpoint::Completions, Dialect::OpenAi, &terms(engine), body).expect("it can be carried")
}

#[test]
fn a_completion_arrives_as_it_was() {
    let body = r#"{"model":"up","prompt":["a",[1,2]],"suffix":"z","max_tokens":5,"temperature":0.5,"seed":-1,"stop":["X"],"n":2,"logprobs":3,"echo":true,"best_of":2}"#;
    let sent = to(Engine::Provider, body);
    assert_eq!(sent.body, body);
    assert_eq!(sent.losses, Vec::<String>::new());
}

#[test]
fn its_answer_and_its_stream_have_its_own_form() {
    let answer = to(Engine::Vllm, r#"{"model":"m","prompt":"a"}"#).answered(
        &json!({"model": "big", "choices": [{"index": 0, "text": "bc", "finish_reason": "length", "logprobs": {"tokens": ["bc"]}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2}}).to_string(),
    );
    assert_eq!((&answer["object"], &answer["model"]), (&json!("text_completion"), &json!("big")));
    let choice = json!({"index": 0, "text": "bc", "logprobs": {"tokens": ["bc"]}, "finish_reason": "length"});
    assert_eq!(answer["choices"][0], choice);
    let stream = "data: {\"choices\":[{\"index\":0,\"text\":\"b\",\"finish_reason\":null}]}\n\ndata: {\"choices\":[{\"index\":0,\"text\":\"c\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let (out, error) = to(Engine::Vllm, r#"{"model":"m","prompt":"a","stream":true}"#).streamed(stream);
    assert_eq!(error, None);
    let events: Vec<_> = out.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 4);
    assert!(
        events[0].contains(r#""object":"text_completion""#) && events[0].starts_with("data: {\"id\":\"cmpl-")
    );
    assert!(
        events[0].ends_with(r#""choices":[{"index":0,"text":"b","logprobs":null,"finish_reason":null}]}"#)
    );
    assert!(
        events[2].ends_with(r#""choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}]}"#)
    );
    assert_eq!(events[3], "data: [DONE]");
}
