//! Streams: what the backend sends, and what the client gets.

use serde_json::json;

use crate::exchange::{events, framed, last_response, stream, told};

const ASKED: &str = r#"{"model":"m","input":"Hi","stream":true,"instructions":"Be brief.","temperature":0.5,
    "tools":[{"type":"function","name":"f","parameters":{}},{"type":"custom","name":"sh"}]}"#;

const CREATED: &str = r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_9","created_at":1700000001,
    "model":"gpt-4.1-x","status":"in_progress","output":[]}}"#;
const COMPLETED: &str = r#"{"type":"response.completed","response":{"id":"resp_9","status":"completed","output":[],
    "usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":3,
    "output_tokens_details":{"reasoning_tokens":1},"total_tokens":12}}}"#;

fn one_line(event: &str) -> String {
    event.replace('\n', " ")
}

fn run(middle: &[&str]) -> crate::exchange::Streamed {
    let (created, completed) = (one_line(CREATED), one_line(COMPLETED));
    let mut all = vec![created.as_str()];
    all.extend(middle);
    all.push(&completed);
    stream(ASKED, &all)
}

#[test]
fn ts_08_text_is_told_event_by_event_as_openai_does() {
    let streamed = run(&[
        r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"msg_x","type":"message","role":"assistant","content":[]}}"#,
        r#"{"type":"response.content_part.added","output_index":0,"content_index":0,"part":{"type":"output_text","text":""}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hel"}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"lo"}"#,
        r#"{"type":"response.output_text.done","output_index":0,"content_index":0,"text":"Hello"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"msg_x","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]}}"#,
    ]);
    assert!(streamed.is_complete && streamed.error.is_none());
    assert_eq!((streamed.usage.input_tokens, streamed.usage.cached_tokens), (Some(9), Some(4)));
    assert_eq!(
        told(&streamed.text),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta Hel",
            "output_text.delta lo",
            "output_text.done Hello",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
    );
    let all = events(&streamed.text);
    let id = all[2]["item"]["id"].as_str().unwrap();
    assert!(id.starts_with("msg_"));
    assert_eq!(
        all[4],
        json!({"type": "response.output_text.delta", "sequence_number": 4, "item_id": id, "output_index": 0,
            "content_index": 0, "delta": "Hel", "logprobs": []})
    );
    let response = last_response(&streamed.text);
    let expected = [
        ("id", json!("resp_9")),
        ("object", json!("response")),
        ("created_at", json!(1_700_000_001)),
        ("status", json!("completed")),
        ("model", json!("gpt-4.1-x")),
        ("instructions", json!("Be brief.")),
        ("temperature", json!(0.5)),
        ("top_p", json!(1.0)),
        ("store", json!(false)),
        ("tool_choice", json!("auto")),
        ("parallel_tool_calls", json!(true)),
        (
            "usage",
            json!({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
                "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 12}),
        ),
    ];
    for (name, value) in expected {
        assert_eq!(response[name], value, "{name}");
    }
    assert_eq!(response["tools"][1], json!({"type": "custom", "name": "sh"}));
    assert_eq!(response["output"][0]["content"][0]["text"], "Hello");
    assert_eq!(response["output"][0]["status"], "completed");
}

#[test]
fn ts_04_thoughts_are_told_as_a_summary_with_their_seal() {
    let streamed = run(&[
        r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_x","type":"reasoning","summary":[]}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"One."}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"Two."}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"rs_x","type":"reasoning","summary":[{"type":"summary_text","text":"One."},{"type":"summary_text","text":"Two."}],"encrypted_content":"gAAA"}}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"Hi"}"#,
    ]);
    assert_eq!(
        told(&streamed.text)[2..9],
        [
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta One.",
            "reasoning_summary_text.delta \n\n",
            "reasoning_summary_text.delta Two.",
            "reasoning_summary_text.done One.\n\nTwo.",
            "reasoning_summary_part.done",
        ]
    );
    let output = last_response(&streamed.text)["output"].take();
    assert_eq!(output[0]["summary"], json!([{"type": "summary_text", "text": "One.\n\nTwo."}]));
    assert_eq!(output[0]["encrypted_content"], "gAAA");
    assert_eq!(output[1]["content"][0]["text"], "Hi");
}

#[test]
fn ts_01_ts_02_parallel_calls_are_items_of_their_own() {
    let streamed = run(&[
        r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"fc_a","type":"function_call","call_id":"c1","name":"f","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"a\":"}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"ct_b","type":"custom_tool_call","call_id":"c2","name":"sh","input":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"1}"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"fc_a","type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\":1}"}}"#,
        r#"{"type":"response.custom_tool_call_input.delta","output_index":1,"delta":"ls"}"#,
        r#"{"type":"response.custom_tool_call_input.done","output_index":1,"input":"ls"}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"ct_b","type":"custom_tool_call","call_id":"c2","name":"sh","input":"ls"}}"#,
    ]);
    assert_eq!(streamed.error, None);
    assert_eq!(
        told(&streamed.text)[2..],
        [
            "output_item.added",
            "function_call_arguments.delta {\"a\":",
            "function_call_arguments.delta 1}",
            "function_call_arguments.done {\"a\":1}",
            "output_item.done",
            "output_item.added",
            "custom_tool_call_input.delta ls",
            "custom_tool_call_input.done ls",
            "output_item.done",
            "completed",
        ]
    );
    let output = last_response(&streamed.text)["output"].take();
    let without_id = |index: usize| {
        let mut item = output[index].clone();
        assert!(item.as_object_mut().unwrap().remove("id").is_some());
        item
    };
    assert_eq!(
        without_id(0),
        json!({"type": "function_call", "status": "completed", "arguments": "{\"a\":1}", "call_id": "c1", "name": "f"})
    );
    assert_eq!(
        without_id(1),
        json!({"type": "custom_tool_call", "status": "completed", "call_id": "c2", "name": "sh", "input": "ls"})
    );
}

#[test]
fn a_custom_tool_that_the_backend_knew_as_a_function_is_a_custom_tool_again() {
    let streamed = run(&[
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c2","name":"sh","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"input\":\"say "}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"\\\"x\\\"\"}"}"#,
    ]);
    assert_eq!(
        told(&streamed.text)[2..6],
        [
            "output_item.added",
            "custom_tool_call_input.delta say \"x\"",
            "custom_tool_call_input.done say \"x\"",
            "output_item.done"
        ]
    );
}

#[test]
fn ts_14_refusals_and_likelihoods_are_told() {
    let streamed = run(&[
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"So","logprobs":[{"token":"So","logprob":-0.1,"top_logprobs":[]}]}"#,
        r#"{"type":"response.refusal.delta","output_index":0,"content_index":1,"delta":"No."}"#,
    ]);
    let all = told(&streamed.text);
    assert!(all.contains(&"refusal.delta No.".to_owned()) && all.contains(&"refusal.done No.".to_owned()));
    let response = last_response(&streamed.text);
    assert_eq!(response["status"], "completed");
    assert_eq!(response["output"].as_array().unwrap().len(), 1);
    assert_eq!(response["output"][0]["content"][1], json!({"type": "refusal", "refusal": "No."}));
    let asked = ASKED.replace("\"temperature\"", "\"top_logprobs\":1,\"temperature\"");
    let (created, completed) = (one_line(CREATED), one_line(COMPLETED));
    let delta = r#"{"type":"response.output_text.delta","output_index":0,"delta":"So","logprobs":[{"token":"So","logprob":-0.1,"top_logprobs":[]}]}"#;
    let streamed = stream(&asked, &[&created, delta, &completed]);
    let all = events(&streamed.text);
    let delta = all.iter().find(|event| event["type"] == "response.output_text.delta").unwrap();
    assert_eq!(delta["logprobs"], json!([{"token": "So", "logprob": -0.1, "top_logprobs": []}]));
}

#[test]
fn what_a_server_leaves_out_is_made_up_from_what_it_says_later() {
    let told_late = run(&[
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]}}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"}}"#,
    ]);
    let output = last_response(&told_late.text)["output"].take();
    assert_eq!(output[0]["content"][0]["text"], "Hello");
    assert_eq!(output[1]["arguments"], "{}");
    let only_end = stream(
        ASKED,
        &[
            r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"message","id":"m","content":[{"type":"output_text","text":"Hello"}]}]}}"#,
        ],
    );
    assert!(only_end.is_complete);
    assert_eq!(last_response(&only_end.text)["output"][0]["content"][0]["text"], "Hello");
    let repeated = run(&[
        r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"delta":"Hello"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"m","type":"message","content":[{"type":"output_text","text":"Hello"}]}}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"m","type":"message","content":[{"type":"output_text","text":"Hello"}]}}"#,
    ]);
    assert_eq!(last_response(&repeated.text)["output"][0]["content"].as_array().unwrap().len(), 1);
}

#[test]
fn ts_06_a_stream_without_its_last_event_is_not_complete() {
    let created = one_line(CREATED);
    let delta = r#"{"type":"response.output_text.delta","output_index":0,"delta":"Hel"}"#;
    let streamed = stream(ASKED, &[&created, delta]);
    assert!(!streamed.is_complete);
    assert!(!streamed.text.contains("response.completed") && !streamed.text.contains("output_text.done"));
}

#[test]
fn ts_05_te_errors_have_the_status_that_fits_them() {
    let created = one_line(CREATED);
    for (event, message, status) in [
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow down"}}}"#,
            "slow down",
            Some(429),
        ),
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"oh"}}}"#,
            "oh",
            Some(500),
        ),
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"invalid_image","message":"eh"}}}"#,
            "eh",
            Some(400),
        ),
        (
            r#"{"type":"response.cancelled","response":{"status":"cancelled"}}"#,
            "the response is cancelled",
            None,
        ),
        (r#"{"type":"error","code":"server_error","message":"broken","param":null}"#, "broken", Some(500)),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"too long"}}"#,
            "too long",
            Some(400),
        ),
    ] {
        let streamed = stream(ASKED, &[&created, event]);
        assert_eq!(streamed.error, Some((message.to_owned(), status)), "{event}");
        assert!(!streamed.is_complete && !streamed.text.contains("completed"));
    }
    let terms = crate::exchange::terms(dialect::translate::Engine::Provider, "m");
    let make = || {
        let (from, to) = (dialect::Endpoint::Responses, dialect::Dialect::Responses);
        crate::exchange::translated(from, to, ASKED, &terms).unwrap()
    };
    for bytes in ["data: {\"type\":\n\n", "data: not JSON\n\n", "event: error\ndata: overloaded\n\n"] {
        assert!(crate::exchange::streamed(&make, bytes).error.is_some(), "{bytes}");
    }
    let unknown = "data: {\"type\":\"response.new.thing\",\"delta\":{\"x\":1}}\n\n";
    assert_eq!(crate::exchange::streamed(&make, unknown).error, None);
    let bare = framed(&[&one_line(COMPLETED)]).replace("event: response.completed\n", "");
    assert!(crate::exchange::streamed(&make, &(bare + "data: [DONE]\n\n")).is_complete);
}

#[test]
fn cut_answers_are_incomplete_with_their_reason() {
    let created = one_line(CREATED);
    let delta = r#"{"type":"response.output_text.delta","output_index":0,"delta":"Hel"}"#;
    for reason in ["max_output_tokens", "content_filter"] {
        let end = format!(
            r#"{{"type":"response.incomplete","response":{{"status":"incomplete","incomplete_details":{{"reason":"{reason}"}},"output":[]}}}}"#
        );
        let streamed = stream(ASKED, &[&created, delta, &end]);
        assert!(streamed.is_complete);
        assert_eq!(told(&streamed.text).last().unwrap(), "incomplete");
        let response = last_response(&streamed.text);
        assert_eq!(
            (&response["status"], &response["incomplete_details"]),
            (&json!("incomplete"), &json!({"reason": reason}))
        );
        assert_eq!(response["output"][0]["status"], "incomplete");
    }
    let call = r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a"}}"#;
    let end =
        r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#;
    let streamed = stream(ASKED, &[&created, call, end]);
    assert_eq!(streamed.error, None);
    let item = last_response(&streamed.text)["output"][0].take();
    assert_eq!((&item["status"], &item["arguments"]), (&json!("incomplete"), &json!("{\"a")));
}
