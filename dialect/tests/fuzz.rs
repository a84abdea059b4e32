//! Every input that the fuzzer found worth keeping, once more; and the seeds that it starts from.
//!
//! `fuzz/seeds/` has a file for each target, with an input a line, in base64. See `fuzz/README.md`.

mod fuzzed;
#[path = "talk/streams.rs"]
mod streams;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::Dialect;

/// How many inputs of a target are kept.
const KEPT: usize = 100;

/// How long an input may be that is kept, in bytes.
const LONGEST: usize = 2048;

fn fuzz() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"))
}

/// The names of all targets.
fn targets() -> Vec<String> {
    let of = |kind: &'static str| Dialect::ALL.into_iter().map(move |by| (kind, by));
    let name = |(kind, by): (&str, Dialect)| format!("{kind}_{}", word(by));
    let kinds = ["request", "answer", "stream"].into_iter().flat_map(of);
    kinds.map(name).chain(["watch".to_owned()]).collect()
}

fn word(by: Dialect) -> &'static str {
    by.as_str().trim_start_matches("openai-")
}

fn run(target: &str, input: &[u8]) {
    let (kind, word_of) = target.split_once('_').unwrap_or((target, ""));
    let by = Dialect::ALL.into_iter().find(|by| word(*by) == word_of);
    match (kind, by) {
        ("request", Some(by)) => fuzzed::request(by, input),
        ("answer", Some(by)) => fuzzed::answer(by, input),
        ("stream", Some(by)) => fuzzed::stream(by, input),
        _ => fuzzed::watch(input),
    }
}

fn seeds_of(target: &str) -> Vec<Vec<u8>> {
    let lines = fs::read_to_string(fuzz().join("seeds").join(target)).unwrap_or_default();
    lines.lines().map(|line| STANDARD.decode(line).expect("seeds are in base64")).collect()
}

fn files_in(dir: PathBuf) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read(entry.path()).ok()).collect()
}

/// Targets whose dialect is spoken already.
fn is_spoken(target: &str) -> bool {
    let of = |by: &Dialect| target.ends_with(&format!("_{}", word(*by)));
    target == "watch" || fuzzed::SPOKEN.iter().any(of)
}

#[test]
fn what_the_fuzzer_found_stays_mended() {
    for target in targets().into_iter().filter(|target| is_spoken(target)) {
        let seeds = seeds_of(&target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for input in &seeds {
            run(&target, input);
        }
    }
}

#[test]
#[ignore = "writes the fuzzer's corpus: run before fuzzing"]
fn lay_out() {
    for target in targets() {
        let dir = fuzz().join("corpus").join(&target);
        fs::create_dir_all(&dir).unwrap();
        for (index, input) in seeds_of(&target).into_iter().chain(first_seeds(&target)).enumerate() {
            fs::write(dir.join(format!("seed-{index:03}")), input).unwrap();
        }
    }
}

#[test]
#[ignore = "writes the seeds: run after fuzzing"]
fn collect() {
    for target in targets() {
        let mut found: Vec<_> = first_seeds(&target);
        let known: BTreeSet<_> = files_in(fuzz().join("corpus").join(&target)).into_iter().collect();
        let mut known: Vec<_> = known.into_iter().filter(|input| input.len() <= LONGEST).collect();
        known.sort_by_key(|input| (input.len(), input.clone()));
        // Some of every length: the longest ones reach the deepest.
        let step = known.len().div_ceil(KEPT).max(1);
        found.extend(known.into_iter().step_by(step));
        found.extend(files_in(fuzz().join("artifacts").join(&target)));
        let mut seen = BTreeSet::new();
        found.retain(|input| seen.insert(input.clone()));
        let lines: String = found.iter().map(|input| STANDARD.encode(input) + "\n").collect();
        fs::create_dir_all(fuzz().join("seeds")).unwrap();
        fs::write(fuzz().join("seeds").join(&target), lines).unwrap();
    }
}

/// What the fuzzer starts from when nothing is known yet.
fn first_seeds(target: &str) -> Vec<Vec<u8>> {
    let (kind, word_of) = target.split_once('_').unwrap_or((target, ""));
    let by = Dialect::ALL.into_iter().find(|by| word(*by) == word_of);
    match (kind, by) {
        ("request", Some(by)) => REQUESTS[by as usize].iter().map(|body| prefixed(&[0], body)).collect(),
        ("answer", Some(by)) => {
            vec![prefixed(&[0], ANSWERS[by as usize]), prefixed(&[1], ANSWERS[by as usize])]
        }
        ("stream", Some(by)) => streams::of(by).iter().map(|stream| prefixed(&[0, 7], stream)).collect(),
        _ => {
            let all = Dialect::ALL.into_iter().flat_map(|by| {
                let first = u8::try_from(by.chat().index()).expect("there are few") + 48;
                streams::of(by).map(|stream| prefixed(&[first, 7], stream))
            });
            all.collect()
        }
    }
}

fn prefixed(prefix: &[u8], text: &str) -> Vec<u8> {
    [prefix, text.as_bytes()].concat()
}

/// Requests that name as many members as fit, in the order of [`Dialect::ALL`].
const REQUESTS: [&[&str]; 5] = [
    &[
        r#"{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"s"}]},{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}]},{"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}]},{"role":"tool","tool_call_id":"a","content":"ok"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,"max_tokens":5,"temperature":1.5,"top_p":0.9,"stop":["a"],"seed":1,"n":1,"logprobs":true,"top_logprobs":2,"response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{},"strict":true}},"reasoning_effort":"low","user":"u","metadata":{"a":"b"},"stream_options":{"include_usage":true}}"#,
        r#"{"model":"m","prompt":"x","suffix":"y","max_tokens":5,"echo":true,"logprobs":1}"#,
        r#"{"model":"m","input":["x",[1,2]],"dimensions":2,"encoding_format":"base64","user":"u"}"#,
    ],
    &[
        r#"{"model":"m","instructions":"s","input":[{"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgo="}]},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"e"},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":[{"type":"input_text","text":"ok"}]},{"type":"custom_tool_call","call_id":"b","name":"c","input":"x"}],"tools":[{"type":"function","name":"f","parameters":{},"strict":false},{"type":"custom","name":"c"},{"type":"web_search"}],"tool_choice":"auto","text":{"format":{"type":"json_schema","name":"r","schema":{}},"verbosity":"low"},"reasoning":{"effort":"low","summary":"auto"},"max_output_tokens":16,"store":false,"include":["reasoning.encrypted_content"]}"#,
    ],
    &[
        r#"{"model":"m","max_tokens":5,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c"},{"type":"tool_use","id":"a","name":"f","input":{"z":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"ok"}],"is_error":true}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},"thinking":{"type":"enabled","budget_tokens":1024},"stop_sequences":["a"],"top_k":5,"metadata":{"user_id":"u"}}"#,
    ],
    &[
        r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"x"},{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}]},{"role":"model","parts":[{"text":"hm","thought":true},{"functionCall":{"name":"f","args":{"z":1}},"thoughtSignature":"c2ln"}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"ok"}}}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"}}]},{"googleSearch":{}}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},"generationConfig":{"temperature":1,"topK":5,"maxOutputTokens":5,"stopSequences":["a"],"responseMimeType":"application/json","responseJsonSchema":{},"thinkingConfig":{"thinkingBudget":-1,"includeThoughts":true},"candidateCount":2},"safetySettings":[]}"#,
        r#"{"content":{"parts":[{"text":"x"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":2,"requests":[{"model":"models/m","content":{"parts":[{"text":"x"}]}}]}"#,
    ],
    &[
        r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"x","images":["iVBORw0KGgo="]},{"role":"assistant","content":"","thinking":"hm","tool_calls":[{"id":"a","function":{"index":0,"name":"f","arguments":{"z":1}}}]},{"role":"tool","content":"[tool error] no","tool_name":"f","tool_call_id":"a"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],"format":{"type":"object"},"think":"low","keep_alive":"5m","logprobs":true,"options":{"num_ctx":5,"num_predict":5,"temperature":0.1,"stop":"a","seed":1,"top_k":3}}"#,
        r#"{"model":"m","prompt":"x","suffix":"y","raw":true,"system":"s","context":[1],"images":["eA=="],"input":["a"],"truncate":true,"dimensions":2,"format":"json"}"#,
    ],
];

/// Whole answers, in the order of [`Dialect::ALL`].
const ANSWERS: [&str; 5] = [
    r#"{"id":"c","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x","reasoning_content":"hm","refusal":"no","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}]},"logprobs":{"content":[]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":1}}}"#,
    r#"{"id":"r","created_at":1,"model":"m","status":"completed","output":[{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"e"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"x","annotations":[]},{"type":"refusal","refusal":"no"}]},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}],"usage":{"input_tokens":1,"output_tokens":2,"input_tokens_details":{"cached_tokens":1}},"incomplete_details":{"reason":"max_output_tokens"}}"#,
    r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"d"},{"type":"text","text":"x","citations":[]},{"type":"tool_use","id":"a","name":"f","input":{"z":1}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3,"cache_creation_input_tokens":4}}"#,
    r#"{"responseId":"g","modelVersion":"m","candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"hm","thought":true,"thoughtSignature":"s"},{"text":"x"},{"functionCall":{"id":"a","name":"f","args":{"z":1}}},{"inlineData":{"mimeType":"image/png","data":"eA=="}}]},"finishReason":"STOP","logprobsResult":{}}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"thoughtsTokenCount":3,"cachedContentTokenCount":1},"promptFeedback":{}}"#,
    r#"{"model":"m","created_at":"2026-11-20T19:08:00Z","message":{"role":"assistant","content":"x","thinking":"hm","tool_calls":[{"id":"a","function":{"index":0,"name":"f","arguments":{"z":1}}}]},"logprobs":[{"token":"x","logprob":-0.1}],"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":2}"#,
];
