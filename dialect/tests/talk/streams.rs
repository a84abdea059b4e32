//! Streams of each dialect's backends: text, thoughts, parallel calls, and an error.

use dialect::Dialect;

/// The streams of a backend that speaks `dialect`: whole ones, and last one that tells of an error.
pub(crate) fn of(dialect: Dialect) -> [&'static str; 2] {
    match dialect {
        Dialect::OpenAi => [OPENAI, OPENAI_ERROR],
        Dialect::Responses => [RESPONSES, RESPONSES_ERROR],
        Dialect::Anthropic => [ANTHROPIC, ANTHROPIC_ERROR],
        Dialect::Gemini => [GEMINI, GEMINI_ERROR],
        Dialect::Ollama => [OLLAMA, OLLAMA_ERROR],
    }
}

const OPENAI: &str = r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"id":"c1","choices":[{"index":0,"delta":{"reasoning_content":"Hm, 😀"}}]}

: still here

data: {"id":"c1","choices":[{"index":0,"delta":{"content":"Let me \"look\"."}}]}

data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t0","type":"function","function":{"name":"look","arguments":""}},{"index":1,"id":"t1","type":"function","function":{"name":"hear","arguments":"{"}}]}}]}

data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"z\":1.0}"}}]}}]}

data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"}"}}]}}]}

data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: {"id":"c1","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":30,"total_tokens":50,"prompt_tokens_details":{"cached_tokens":16}}}

data: [DONE]

"#;

const OPENAI_ERROR: &str = r#"data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"}}]}

data: {"error":{"message":"slow down","type":"rate_limit_error","code":null}}

"#;

const RESPONSES: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"msg_1","status":"in_progress","role":"assistant","content":[]}}

event: response.content_part.added
data: {"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hé"}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"text":"Hé"}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":5,"output_index":0,"item":{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hé","annotations":[]}]}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":6,"output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"look","arguments":"","status":"in_progress"}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":7,"item_id":"fc_1","output_index":1,"delta":"{\"z\":1.0}"}

event: response.function_call_arguments.done
data: {"type":"response.function_call_arguments.done","sequence_number":8,"item_id":"fc_1","output_index":1,"arguments":"{\"z\":1.0}"}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":9,"output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"look","arguments":"{\"z\":1.0}","status":"completed"}}

event: response.completed
data: {"type":"response.completed","sequence_number":10,"response":{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[],"usage":{"input_tokens":9,"output_tokens":4,"total_tokens":13}}}

"#;

const RESPONSES_ERROR: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}

event: response.failed
data: {"type":"response.failed","sequence_number":1,"response":{"id":"resp_1","object":"response","status":"failed","error":{"code":"server_error","message":"broken"}}}

"#;

const ANTHROPIC: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"usage":{"input_tokens":12,"cache_read_input_tokens":100,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm, 😀"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: ping
data: {"type": "ping"}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Let me \"look\"."}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"look","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"z\":1.0}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_2","name":"hear","input":{}}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

const ANTHROPIC_ERROR: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"usage":{"input_tokens":12,"output_tokens":1}}}

event: error
data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}

"#;

const GEMINI: &str = r#"data: {"candidates":[{"content":{"parts":[{"text":"Hm, 😀","thought":true}],"role":"model"},"index":0}],"modelVersion":"m","responseId":"g1"}

data: {"candidates":[{"content":{"parts":[{"text":"Let me \"look\"."}],"role":"model"},"index":0}],"modelVersion":"m","responseId":"g1"}

data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"look","args":{"z":1.0}},"thoughtSignature":"c2ln"},{"functionCall":{"name":"hear","args":{}}}],"role":"model"},"index":0}],"modelVersion":"m","responseId":"g1"}

data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"totalTokenCount":20,"thoughtsTokenCount":7},"modelVersion":"m","responseId":"g1"}

"#;

const GEMINI_ERROR: &str = r#"data: {"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}],"modelVersion":"m"}

data: {"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}

"#;

const OLLAMA: &str = r#"{"model":"m","created_at":"2026-11-20T19:08:00.5Z","message":{"role":"assistant","content":"","thinking":"Hm, 😀"},"done":false}
{"model":"m","created_at":"2026-11-20T19:08:01Z","message":{"role":"assistant","content":"Let me \"look\"."},"done":false}
{"model":"m","created_at":"2026-11-20T19:08:01Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_a","function":{"index":0,"name":"look","arguments":{"z":1.0}}},{"function":{"index":1,"name":"hear","arguments":{}}}]},"done":false}
{"model":"m","created_at":"2026-11-20T19:08:02Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":9}
"#;

const OLLAMA_ERROR: &str = r#"{"model":"m","created_at":"2026-11-20T19:08:00.5Z","message":{"role":"assistant","content":"Hi"},"done":false}
{"error":"model runner has unexpectedly stopped"}
"#;
