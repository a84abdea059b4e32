//! Requests in, requests out.

use dialect::Dialect::Ollama;
use dialect::Endpoint::{OllamaChat, OllamaGenerate};
use serde_json::json;

use crate::bench::{lost, sent, translate};

#[test]
fn a_conversation_with_everything_in_it_survives() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is this?", "images": ["iVBORw0KGgo="]},
            {"role": "assistant", "content": "Let me look.", "thinking": "Hm.", "tool_calls": [
                {"id": "call_1", "function": {"name": "look", "arguments": {"z": 1.0, "a": "x"}}},
                {"id": "call_2", "function": {"name": "hear", "arguments": {}}}
            ]},
            {"role": "tool", "content": "A cat.", "tool_name": "look", "tool_call_id": "call_1"},
            {"role": "tool", "content": "Purring.", "tool_name": "hear", "tool_call_id": "call_2"},
            {"role": "user", "content": "So?"}
        ],
        "tools": [{"type": "function", "function": {
            "name": "look", "description": "Looks.",
            "parameters": {"type": "object", "required": ["z"], "properties": {"z": {"type": "number"}, "a": {"type": "string"}}}
        }}],
        "format": {"type": "object", "properties": {"z": {}, "a": {}}},
        "think": "high",
        "keep_alive": "10m",
        "logprobs": true, "top_logprobs": 2,
        "truncate": false, "shift": true,
        "stream": false,
        "options": {
            "num_predict": 99, "temperature": 0.5, "top_p": 0.9, "top_k": 20, "min_p": 0.05,
            "frequency_penalty": 0.1, "presence_penalty": 0.2, "repeat_penalty": 1.1, "seed": 7,
            "stop": ["END"], "num_ctx": 8192, "mirostat": 1
        }
    });
    let (out, losses) = sent(OllamaChat, Ollama, &body);
    let mut expected = body;
    expected["model"] = json!("qwen3:8b");
    for (call, index) in [(0, 0), (1, 1)] {
        expected["messages"][2]["tool_calls"][call]["function"]["index"] = json!(index);
    }
    assert_eq!(out, expected);
    assert_eq!(lost(&losses), [""; 0]);
}

#[test]
fn t17_keys_and_numbers_stay_as_written_and_bytes_are_stable() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"z": 1.50, "a": 2}}}]},
            {"role": "tool", "content": "ok"}
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}}]
    });
    let text = body.to_string().replace("1.5", "1.50");
    let once = dialect::translate::request(OllamaChat, Ollama, text.as_bytes(), true, &crate::bench::terms());
    let again =
        dialect::translate::request(OllamaChat, Ollama, text.as_bytes(), true, &crate::bench::terms());
    let once = String::from_utf8(once.unwrap().body).unwrap();
    assert_eq!(once, String::from_utf8(again.unwrap().body).unwrap());
    assert!(once.contains(r#"{"z":1.50,"a":2}"#), "{once}");
    assert!(once.contains(r#""properties":{"z":{},"a":{}}"#), "{once}");
}

#[test]
fn results_without_ids_belong_to_the_calls_by_name_and_order() {
    let call = |name: &str| json!({"function": {"name": name, "arguments": {}}});
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": "", "tool_calls": [call("a"), call("b"), call("a")]},
        {"role": "tool", "content": "of b", "tool_name": "b"},
        {"role": "tool", "content": "of the first a"},
        {"role": "tool", "content": "of the second a", "name": "a"}
    ]});
    let (out, _) = sent(OllamaChat, Ollama, &body);
    let id = |index: usize| out["messages"][1]["tool_calls"][index]["id"].clone();
    let result = |index: usize| {
        (out["messages"][index]["tool_name"].clone(), out["messages"][index]["tool_call_id"].clone())
    };
    assert_eq!(result(2), (json!("a"), id(0)));
    assert_eq!(result(3), (json!("b"), id(1)));
    assert_eq!(result(4), (json!("a"), id(2)));
    let said = |index: usize| out["messages"][index]["content"].clone();
    assert_eq!([said(2), said(3)], ["of the first a", "of b"]);
    assert_ne!(id(0), id(2));
}

#[test]
fn a_prompt_is_a_conversation_of_one_turn() {
    let body = json!({
        "model": "m", "prompt": "Why?", "system": "Be brief.", "images": ["data:image/png;base64,iVBORw0KGgo="],
        "template": "{{ .Prompt }}", "context": [1, 2], "options": {"num_predict": -1, "seed": 1.9, "stop": "END"}
    });
    let (out, losses) = sent(OllamaGenerate, Ollama, &body);
    let expected = json!({
        "model": "qwen3:8b",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why?", "images": ["iVBORw0KGgo="]}
        ],
        "stream": true,
        "options": {"seed": 1, "stop": ["END"]}
    });
    assert_eq!(out, expected);
    assert_eq!(lost(&losses), ["template", "context"]);
}

#[test]
fn a_raw_prompt_and_one_with_a_gap_are_bare() {
    let body = json!({"model": "m", "prompt": "[INST] Hi [/INST]", "raw": true, "stream": false});
    let translation = translate(OllamaGenerate, Ollama, &body).unwrap();
    assert_eq!(translation.endpoint, OllamaGenerate);
    let (out, _) = sent(OllamaGenerate, Ollama, &body);
    assert_eq!(
        out,
        json!({"model": "qwen3:8b", "prompt": "[INST] Hi [/INST]", "raw": true, "stream": false})
    );

    let body =
        json!({"model": "m", "prompt": "def f(", "suffix": "return", "system": "s", "images": ["eA=="]});
    let (out, losses) = sent(OllamaGenerate, Ollama, &body);
    let expected =
        json!({"model": "qwen3:8b", "prompt": "def f(", "suffix": "return", "raw": false, "stream": true});
    assert_eq!(out, expected);
    assert_eq!(lost(&losses), ["system", "images"]);
}

#[test]
fn a_request_that_only_loads_asks_for_a_few_tokens_and_says_so() {
    for (endpoint, body, field) in [
        (OllamaGenerate, json!({"model": "m", "keep_alive": "5m"}), "prompt"),
        (OllamaChat, json!({"model": "m", "messages": []}), "messages"),
    ] {
        let (out, losses) = sent(endpoint, Ollama, &body);
        assert_eq!(out["messages"], json!([{"role": "user", "content": "Hi"}]));
        assert_eq!(out["options"], json!({"num_predict": 16}));
        assert_eq!(lost(&losses), [field]);
    }
    for zero in [json!(0), json!("0"), json!("0s"), json!(0.0)] {
        let body = json!({"model": "m", "keep_alive": zero});
        let unfit = translate(OllamaGenerate, Ollama, &body).err().unwrap();
        assert!(unfit.field == "keep_alive" && unfit.is_good_elsewhere, "{unfit}");
    }
    assert!(translate(OllamaGenerate, Ollama, &json!({"model": "m", "keep_alive": "0.5h"})).is_ok());
}

#[test]
fn thinking_is_said_in_each_way() {
    for (think, expected) in [
        (json!(true), json!(true)),
        (json!(false), json!(false)),
        (json!("low"), json!("low")),
        (json!("max"), json!("high")),
        (json!("none"), json!(false)),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "think": think});
        assert_eq!(sent(OllamaChat, Ollama, &body).0["think"], expected, "{think}");
    }
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let with = |message| json!({"model": "m", "messages": [message]});
    for (body, said) in [
        (json!({"messages": []}), "model is missing"),
        (json!({"model": "m", "messages": "Hi"}), "messages must be a list, not a string"),
        (with(json!({"content": "Hi"})), "messages[0].role is missing"),
        (
            with(json!({"role": "narrator", "content": "x"})),
            "messages[0].role must be system, user, assistant or tool",
        ),
        (with(json!({"role": "user", "content": [1]})), "messages[0].content must be a string, not a list"),
        (
            with(json!({"role": "user", "images": [{}]})),
            "messages[0].images[0] must be a string of base64, not an object",
        ),
        (
            with(json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": [1]}}]})),
            "messages[0].tool_calls[0].function.arguments must be an object, not a list",
        ),
        (
            json!({"model": "m", "messages": [], "options": {"top_k": "x"}}),
            "options.top_k must be a number, not a string",
        ),
        (json!({"model": "m", "messages": [], "format": "xml"}), "format must be \"json\" or a JSON schema"),
        (
            json!({"model": "m", "messages": [], "tools": [{"type": "function"}]}),
            "tools[0].function is missing",
        ),
    ] {
        let unfit = translate(OllamaChat, Ollama, &body).err().unwrap();
        assert_eq!(unfit.to_string(), said);
        assert!(!unfit.is_good_elsewhere);
    }
}

#[test]
fn what_nobody_knows_is_lost_by_its_path() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "user", "content": "Hi", "mood": "good"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}, "why": 1}}]}
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "cost": 1}},
            {"type": "web_search"}
        ],
        "flux": 1
    });
    let (out, losses) = sent(OllamaChat, Ollama, &body);
    let fields = [
        "messages[1].tool_calls[0]",
        "tools[1]",
        "tools[0].function.cost",
        "messages[0].mood",
        "messages[1].tool_calls[0].function.why",
        "flux",
    ];
    assert_eq!(lost(&losses), fields);
    assert_eq!(out["tools"].as_array().unwrap().len(), 1);
}
