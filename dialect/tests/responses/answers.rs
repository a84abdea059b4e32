//! Whole answers: what the backend says, and what the client gets.

use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use serde_json::json;

use crate::alone::answered;
use crate::exchange::{last_response, terms, translated};

const ASKED: &str = r#"{"model":"m","input":"Hi","tools":[{"type":"function","name":"f","parameters":{}},
    {"type":"custom","name":"sh"}]}"#;

const ANSWER: &str = r#"{"id":"resp_1","object":"response","created_at":1700000001.0,"status":"completed","error":null,
    "incomplete_details":null,"model":"gpt-x","output":[
    {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"gAAA"},
    {"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}},
    {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[
     {"type":"output_text","text":"Hello","annotations":[{"type":"url_citation","start_index":0,"end_index":5,"url":"u","title":"t"}]}]},
    {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\":1.0}","status":"completed"},
    {"type":"image_generation_call","id":"ig_1","status":"completed","result":"AAAA"}],
    "usage":{"input_tokens":9,"output_tokens":3,"output_tokens_details":{"reasoning_tokens":2}}}"#;

#[test]
fn a_whole_answer_comes_through() {
    let answer = answered(ASKED, ANSWER);
    assert_eq!((&answer["id"], &answer["model"]), (&json!("resp_1"), &json!("gpt-x")));
    assert_eq!((&answer["status"], &answer["created_at"]), (&json!("completed"), &json!(1_700_000_001)));
    let mut output = answer["output"].clone();
    for item in output.as_array_mut().unwrap() {
        item.as_object_mut().unwrap().remove("id").unwrap();
    }
    assert_eq!(
        output,
        json!([
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAA"},
            {"type": "message", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "logprobs": [], "text": "[searched the web: q]", "annotations": []},
                {"type": "output_text", "logprobs": [], "text": "Hello", "annotations": [
                    {"type": "url_citation", "start_index": 0, "end_index": 5, "url": "u", "title": "t"}]}]},
            {"type": "function_call", "status": "completed", "arguments": "{\"a\":1.0}", "call_id": "c1", "name": "f"},
            {"type": "image_generation_call", "status": "completed", "result": "AAAA"}
        ])
    );
    assert_eq!(answer["usage"]["total_tokens"], 12);
    assert_eq!(answer["usage"]["output_tokens_details"]["reasoning_tokens"], 2);
}

#[test]
fn t54_a_whole_answer_is_told_as_a_stream_to_who_wants_one() {
    let asked = ASKED.replace("\"input\"", "\"stream\":true,\"input\"");
    let mut all =
        translated(Endpoint::Responses, Dialect::Responses, &asked, &terms(Engine::Provider, "m")).unwrap();
    let (out, usage) = all.translator.whole(ANSWER.as_bytes()).unwrap();
    let response = last_response(std::str::from_utf8(&out).unwrap());
    let whole = answered(ASKED, ANSWER);
    assert_eq!(response["output"], whole["output"]);
    assert_eq!(response["usage"], whole["usage"]);
    assert_eq!(usage.output_tokens, Some(3));
}

#[test]
fn answers_that_are_none_are_errors() {
    for (answer, message, status) in [
        (
            r#"{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"oh"},"output":[]}"#,
            "oh",
            Some(500),
        ),
        (
            r#"{"error":{"message":"no such model","type":"invalid_request_error"}}"#,
            "no such model",
            Some(400),
        ),
        (r#"{"id":"resp_1","status":"queued","output":[]}"#, "the response is queued", None),
        (r#"{"id":"resp_1"}"#, "the answer has no output", None),
        (
            r#"{"status":"completed","output":[{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a"}]}"#,
            "the model called \"f\" with arguments that are not JSON",
            None,
        ),
    ] {
        let mut all =
            translated(Endpoint::Responses, Dialect::Responses, ASKED, &terms(Engine::Provider, "m"))
                .unwrap();
        let error = all.translator.whole(answer.as_bytes()).unwrap_err();
        assert_eq!((error.message.as_str(), error.status), (message, status), "{answer}");
    }
}

#[test]
fn an_answer_cut_off_in_a_call_is_told_as_far_as_it_goes() {
    let answer = r#"{"id":"resp_1","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},
        "output":[{"type":"function_call","name":"f","arguments":"{\"a"}]}"#;
    let whole = answered(ASKED, answer);
    let item = &whole["output"][0];
    assert_eq!((&item["status"], &item["arguments"]), (&json!("incomplete"), &json!("{\"a")));
    assert!(item["call_id"].as_str().is_some_and(|id| id.starts_with("call_")));
    let asked = ASKED.replace("\"input\"", "\"stream\":true,\"input\"");
    let mut all =
        translated(Endpoint::Responses, Dialect::Responses, &asked, &terms(Engine::Provider, "m")).unwrap();
    let (out, _) = all.translator.whole(answer.as_bytes()).unwrap();
    let response = last_response(std::str::from_utf8(&out).unwrap());
    assert_eq!(response["output"], whole["output"]);
}
