//! What backends really send, shortened: whole streams that one can read.

/// A chat with reasoning, two tool calls in pieces, a comment, and usage in a chunk of its own.
pub(crate) const OPENAI_CHAT: &str = r#": warming up

data: {"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}

data: {"id":"c1","choices":[{"index":0,"delta":{"reasoning_content":"The user says \"usage\"."}}],"usage":null}

data: {"id":"c1","choices":[{"index":0,"delta":{"content":"Let me look.\n\ndata: [DONE]"}}],"usage":null}

data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"look","arguments":""}}]}}],"usage":null}

data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"error\":"}}]}}],"usage":null}

data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}],"usage":null}

data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":null}

data: {"id":"c1","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":30,"total_tokens":50,"prompt_tokens_details":{"cached_tokens":16},"completion_tokens_details":{"reasoning_tokens":9}}}

data: [DONE]

"#;

/// The chunk of [`OPENAI_CHAT`] that only carries usage.
pub(crate) const OPENAI_USAGE_CHUNK: &str = r#"data: {"id":"c1","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":30,"total_tokens":50,"prompt_tokens_details":{"cached_tokens":16},"completion_tokens_details":{"reasoning_tokens":9}}}

"#;

/// Legacy completions, with usage beside the last words: that chunk is not only usage.
pub(crate) const OPENAI_COMPLETIONS: &str = r#"data: {"id":"x","object":"text_completion","choices":[{"index":0,"text":"Hi"}]}

data: {"id":"x","object":"text_completion","choices":[{"index":0,"text":"!","finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":3}}

data: [DONE]

"#;

/// Messages with thinking, text, a tool call in pieces, a ping, and an event of a kind yet unknown.
pub(crate) const ANTHROPIC_MESSAGES: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","usage":{"input_tokens":12,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":1}}}

event: ping
data: {"type": "ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"An \"error\"? No."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"look","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"where\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \"here\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: something_new
data: {"type":"something_new","usage":{"output_tokens":9999}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":0,"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

/// A chat that breaks off with an error of the backend's own.
pub(crate) const OPENAI_ERROR: &str = r#"data: {"id":"c1","choices":[{"index":0,"delta":{"content":"He"}}]}

data: {"error":{"message":"Rate limit reached","type":"rate_limit_error","param":null,"code":null}}

data: [DONE]

"#;

/// Messages that end with an error before anything was said.
pub(crate) const ANTHROPIC_ERROR: &str = r#"event: ping
data: {"type": "ping"}

event: error
data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}

"#;

/// An answer of the Responses API with a tool call, and the usage in its last event.
pub(crate) const RESPONSES: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","error":null,"output":[],"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"look","arguments":""}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":2,"output_index":0,"item_id":"fc_1","delta":"{\"error\":1}"}

event: response.completed
data: {"type":"response.completed","sequence_number":3,"response":{"id":"resp_1","object":"response","status":"completed","error":null,"output":[{"type":"function_call","id":"fc_1","call_id":"call_1","name":"look","arguments":"{\"error\":1}"}],"usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":16},"output_tokens":30,"output_tokens_details":{"reasoning_tokens":9},"total_tokens":50},"user":null}}

"#;

/// An answer of the Responses API that fails after it has begun.
pub(crate) const RESPONSES_FAILED: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","error":null}}

event: response.failed
data: {"type":"response.failed","sequence_number":1,"response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"The model broke"},"usage":{"input_tokens":5,"output_tokens":0}}}

"#;

/// Gemini's answer as server-sent events, with a thought, a call and usage that grows.
pub(crate) const GEMINI_EVENTS: &str = r#"data: {"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":20,"thoughtsTokenCount":9,"totalTokenCount":29},"modelVersion":"g","responseId":"r"}

data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"look","args":{"error":{"code":400}}},"thoughtSignature":"QUJD"}],"role":"model"},"index":0}],"modelVersion":"g","responseId":"r"}

data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":20,"cachedContentTokenCount":16,"candidatesTokenCount":21,"thoughtsTokenCount":9,"totalTokenCount":50},"modelVersion":"g","responseId":"r"}

"#;

/// The same as one list, spread over lines as Google does.
pub(crate) const GEMINI_LIST: &str = r#"[{
  "candidates": [
    {
      "content": { "parts": [ { "text": "]}, \"{" } ], "role": "model" },
      "index": 0
    }
  ]
}
,
{
  "candidates": [ { "content": { "parts": [ { "text": "." } ] }, "finishReason": "STOP" } ],
  "usageMetadata": { "promptTokenCount": 20, "cachedContentTokenCount": 16, "candidatesTokenCount": 21, "thoughtsTokenCount": 9 }
}
]
"#;

/// A chat of Ollama's, with thinking and a call.
pub(crate) const OLLAMA_CHAT: &str = r#"{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}
{"model":"m","created_at":"2026-01-01T00:00:01Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"look","arguments":{"done":true,"error":"none"}}}]},"done":false}
{"model":"m","created_at":"2026-01-01T00:00:02Z","message":{"role":"assistant","content":"\"done\":true"},"done":false}
{"model":"m","created_at":"2026-01-01T00:00:03Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":5,"prompt_eval_count":20,"eval_count":30}
"#;
