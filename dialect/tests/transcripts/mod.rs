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
