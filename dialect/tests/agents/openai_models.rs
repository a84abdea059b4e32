//! What OpenAI's own models refuse, by their names: a request of another dialect must not fail for it.

use dialect::Dialect::{self, OpenAi, Responses};
use dialect::Endpoint;
use dialect::translate::Engine;
use serde_json::{Value, json};

use crate::exchange::{Exchange, terms, tried};

fn sent(to: Dialect, model: &str, more: &Value) -> Exchange {
    let mut body = json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    let mut terms = terms(Engine::Provider);
    model.clone_into(&mut terms.model);
    tried(Endpoint::Messages, to, &terms, &body.to_string()).expect("it can be carried")
}

#[test]
fn a_model_that_thinks_gets_no_temperature() {
    let drawn = json!({"temperature": 0, "top_p": 0.5, "stop_sequences": ["END"]});
    for model in ["gpt-5-mini", "o4-mini"] {
        let sent = sent(OpenAi, model, &drawn);
        for (name, field) in
            [("temperature", "temperature: "), ("top_p", "top_p: "), ("stop", "stop_sequences: ")]
        {
            assert_eq!(sent.json().get(name), None, "{model}");
            assert!(sent.losses.iter().any(|loss| loss.starts_with(field)), "{field} in {:?}", sent.losses);
        }
    }
    // The usual temperature is what it has anyway.
    assert_eq!(sent(OpenAi, "gpt-5-mini", &json!({"temperature": 1})).losses, Vec::<String>::new());
    for model in ["gpt-4.1", "gpt-5.2", "my-deployment"] {
        assert_eq!(sent(OpenAi, model, &drawn).json()["temperature"], 0.0, "{model}");
        assert_eq!(sent(Responses, model, &drawn).json()["temperature"], 0.0, "{model}");
    }
}

#[test]
fn t23_a_model_that_does_not_think_is_not_asked_to() {
    let sent = sent(OpenAi, "gpt-4o", &json!({"thinking": {"type": "enabled", "budget_tokens": 5000}}));
    assert_eq!(sent.json().get("reasoning_effort"), None);
    assert_eq!(sent.losses, ["thinking: the model does not think"]);
}

#[test]
fn tq_19_an_effort_is_the_nearest_that_the_model_takes() {
    for (model, wanted, expected) in
        [("gpt-5.2", "max", "xhigh"), ("gpt-5.1", "max", "high"), ("o3", "xhigh", "high")]
    {
        let more = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": wanted}});
        let chat = sent(OpenAi, model, &more);
        assert_eq!(chat.json()["reasoning_effort"], expected, "{model} {wanted}");
        let responses = sent(Responses, model, &more);
        assert_eq!(responses.json()["reasoning"]["effort"], expected, "{model} {wanted}");
        for losses in [chat.losses, responses.losses] {
            assert!(losses.len() == 1 && losses[0].starts_with("thinking: sent as "), "{losses:?}");
        }
    }
}

#[test]
fn schemas_that_openai_would_refuse_to_the_letter_are_sent_without_that_wish() {
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let more = json!({
        "tools": [{"name": "f", "input_schema": open, "strict": true}],
        "output_config": {"format": {"type": "json_schema", "schema": open}}
    });
    let sent = sent(Responses, "gpt-4.1", &more);
    assert_eq!(sent.json()["tools"][0]["strict"], false);
    assert_eq!(sent.json()["text"]["format"].get("strict"), None);
    let fields: Vec<_> = sent.losses.iter().filter_map(|loss| loss.split(':').next()).collect();
    assert_eq!(fields, ["tools[0]", "output_config.format"]);
}
