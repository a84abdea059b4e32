//! What the fake says, in the words of each endpoint. Pure: the same request gets the same answer.

use std::fmt::Write;

use dialect::Endpoint;
use serde_json::{Value, json};

/// What it goes on saying, for as long as it is asked to.
const REFRAIN: [&str; 13] = [
    "The", "queue", "moves,", "models", "come", "and", "go,", "and", "every", "request", "gets", "its",
    "turn.",
];
/// How long its vectors are where nobody asks for a length, and the longest it makes.
const DIMENSIONS: usize = 8;
const MOST_DIMENSIONS: usize = 4096;

/// One answer.
pub(crate) struct Talk {
    endpoint: Endpoint,
    id: String,
    model: String,
    created: u64,
    beginning: Vec<String>,
    words: u32,
    is_cut: bool,
    input_tokens: u64,
    tells_usage: bool,
    vectors: Vec<Value>,
}

impl Talk {
    /// The answer to `request`: `words` words, or fewer if the client wants fewer.
    pub(crate) fn new(
        endpoint: Endpoint,
        model: &str,
        request: &Value,
        words: u32,
        number: u64,
        created: u64,
    ) -> Self {
        let limit = ["max_tokens", "max_completion_tokens"]
            .into_iter()
            .find_map(|member| request.get(member)?.as_u64())
            .map_or(u32::MAX, |limit| u32::try_from(limit).unwrap_or(u32::MAX));
        let mut input = Count::default();
        for member in ["messages", "system", "prompt", "input"] {
            input.add(request.get(member).unwrap_or(&Value::Null));
        }
        let prefix = match endpoint {
            Endpoint::ChatCompletions => "chatcmpl",
            Endpoint::Messages | Endpoint::CountTokens => "msg",
            Endpoint::Embeddings => "embd",
            _ => "cmpl",
        };
        let sentence = format!(
            "This is {model}, which is fake. You sent {} characters in {} pieces.",
            input.characters, input.pieces
        );
        Self {
            endpoint,
            id: format!("{prefix}_fake{number}"),
            model: model.to_owned(),
            created,
            beginning: sentence.split(' ').map(str::to_owned).collect(),
            words: words.min(limit),
            is_cut: limit < words,
            input_tokens: input.words,
            tells_usage: request.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
            vectors: if endpoint == Endpoint::Embeddings { vectors(request) } else { Vec::new() },
        }
    }

    /// Whether it has words for `endpoint`.
    pub(crate) fn is_known(endpoint: Endpoint) -> bool {
        matches!(
            endpoint,
            Endpoint::ChatCompletions
                | Endpoint::Completions
                | Endpoint::Embeddings
                | Endpoint::Messages
                | Endpoint::CountTokens
        )
    }

    /// How many words it says.
    pub(crate) fn words(&self) -> u32 {
        self.words
    }

    fn text_of(&self, index: u32) -> String {
        let index = index as usize;
        let word = match self.beginning.get(index) {
            Some(word) => word,
            None => REFRAIN[(index - self.beginning.len()) % REFRAIN.len()],
        };
        format!("{}{word}", if index == 0 { "" } else { " " })
    }

    fn finish(&self) -> &'static str {
        match (self.endpoint, self.is_cut) {
            (Endpoint::Messages, true) => "max_tokens",
            (Endpoint::Messages, false) => "end_turn",
            (_, true) => "length",
            (_, false) => "stop",
        }
    }

    fn usage(&self) -> Value {
        let (input, output) = (self.input_tokens, u64::from(self.words));
        match self.endpoint {
            Endpoint::Messages => json!({"input_tokens": input, "output_tokens": output}),
            Endpoint::Embeddings => json!({"prompt_tokens": input, "total_tokens": input}),
            _ => json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}),
        }
    }

    /// What a stream begins with.
    pub(crate) fn opening(&self) -> String {
        match self.endpoint {
            Endpoint::ChatCompletions => self.chunk(&json!([{
                "index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": null,
            }])),
            Endpoint::Messages => {
                let mut message = self.message(&json!([]), &Value::Null);
                message["usage"] = json!({"input_tokens": self.input_tokens, "output_tokens": 1});
                let block = json!({"type": "text", "text": ""});
                event("message_start", json!({"message": message}))
                    + &event("content_block_start", json!({"index": 0, "content_block": block}))
                    + &event("ping", json!({}))
            }
            _ => String::new(),
        }
    }

    /// The word at `index`, as a stream says it.
    pub(crate) fn word(&self, index: u32) -> String {
        let text = self.text_of(index);
        match self.endpoint {
            Endpoint::ChatCompletions => self.chunk(&json!([{
                "index": 0, "delta": {"content": text}, "logprobs": null, "finish_reason": null,
            }])),
            Endpoint::Messages => {
                let delta = json!({"type": "text_delta", "text": text});
                event("content_block_delta", json!({"index": 0, "delta": delta}))
            }
            _ => self.chunk(&json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": null}])),
        }
    }

    /// What a stream ends with.
    pub(crate) fn closing(&self) -> String {
        let last = match self.endpoint {
            Endpoint::Messages => {
                let delta = json!({"stop_reason": self.finish(), "stop_sequence": null});
                let usage = json!({"output_tokens": self.words});
                return event("content_block_stop", json!({"index": 0}))
                    + &event("message_delta", json!({"delta": delta, "usage": usage}))
                    + &event("message_stop", json!({}));
            }
            Endpoint::ChatCompletions => {
                json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": self.finish()}])
            }
            _ => json!([{"index": 0, "text": "", "logprobs": null, "finish_reason": self.finish()}]),
        };
        let mut closing = self.chunk(&last);
        if self.tells_usage {
            closing.push_str(&self.chunk_with(&json!([]), Some(self.usage())));
        }
        closing.push_str("data: [DONE]\n\n");
        closing
    }

    /// All of it at once, for who wants no stream.
    pub(crate) fn whole(&self) -> String {
        let text: String = (0..self.words).map(|index| self.text_of(index)).collect();
        let object = |object: &str, choice: Value| {
            json!({
                "id": self.id, "object": object, "created": self.created, "model": self.model,
                "choices": [choice], "usage": self.usage(),
            })
        };
        let answer = match self.endpoint {
            Endpoint::ChatCompletions => {
                let message = json!({"role": "assistant", "content": text, "refusal": null});
                let finish = self.finish();
                object(
                    "chat.completion",
                    json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish}),
                )
            }
            Endpoint::Embeddings => json!({
                "object": "list", "data": self.vectors, "model": self.model, "usage": self.usage(),
            }),
            Endpoint::Messages => {
                self.message(&json!([{"type": "text", "text": text}]), &Value::from(self.finish()))
            }
            Endpoint::CountTokens => json!({"input_tokens": self.input_tokens}),
            _ => object(
                "text_completion",
                json!({"index": 0, "text": text, "logprobs": null, "finish_reason": self.finish()}),
            ),
        };
        answer.to_string()
    }

    fn message(&self, content: &Value, stop_reason: &Value) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": content,
            "stop_reason": stop_reason, "stop_sequence": null, "usage": self.usage(),
        })
    }

    fn chunk(&self, choices: &Value) -> String {
        self.chunk_with(choices, None)
    }

    fn chunk_with(&self, choices: &Value, usage: Option<Value>) -> String {
        let object = match self.endpoint {
            Endpoint::ChatCompletions => "chat.completion.chunk",
            _ => "text_completion",
        };
        let mut chunk = json!({
            "id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    }
}

fn event(name: &str, members: Value) -> String {
    let mut event = json!({"type": name});
    if let (Value::Object(event), Value::Object(members)) = (&mut event, members) {
        event.extend(members);
    }
    format!("event: {name}\ndata: {event}\n\n")
}

/// How much text a request holds.
#[derive(Default)]
struct Count {
    pieces: u64,
    characters: u64,
    words: u64,
}

impl Count {
    fn add(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.pieces += 1;
                self.characters += text.chars().count() as u64;
                self.words += text.split_whitespace().count() as u64;
            }
            Value::Array(values) => values.iter().for_each(|value| self.add(value)),
            Value::Object(members) => {
                ["content", "text"]
                    .iter()
                    .filter_map(|name| members.get(*name))
                    .for_each(|value| self.add(value));
            }
            // Prompts may be given as token numbers.
            Value::Number(_) => self.words += 1,
            Value::Null | Value::Bool(_) => {}
        }
    }
}

/// One vector for every input of an embeddings request; equal inputs have equal vectors.
fn vectors(request: &Value) -> Vec<Value> {
    let asked =
        request.get("dimensions").and_then(Value::as_u64).and_then(|asked| usize::try_from(asked).ok());
    let dimensions = asked.unwrap_or(DIMENSIONS).clamp(1, MOST_DIMENSIONS);
    let as_base64 = request.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let inputs: Vec<&Value> = match request.get("input") {
        // A list of numbers is one text, given as tokens.
        Some(Value::Array(inputs)) if !inputs.first().is_some_and(Value::is_number) => {
            inputs.iter().collect()
        }
        Some(input) => vec![input],
        None => Vec::new(),
    };
    let object = |(index, input): (usize, &Value)| {
        let vector = vector(&input.to_string(), dimensions);
        let embedding = if as_base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            Value::from(base64(&bytes))
        } else {
            Value::from(vector)
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    inputs.into_iter().enumerate().map(object).collect()
}

#[expect(clippy::cast_precision_loss, reason = "noise needs no precision")]
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    // FNV-1a, stirred once for every dimension.
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
    let mut next = || {
        hash = fold(hash, 0x9d);
        ((hash >> 40) as f32 / (1 << 23) as f32) - 1.0
    };
    let vector: Vec<f32> = (0..dimensions).map(|_| next()).collect();
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.into_iter().map(|number| number / length).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let three = [group[0], *group.get(1).unwrap_or(&0), *group.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            let shown = if place <= group.len() { char::from(digit) } else { '=' };
            // Writing to a string cannot fail.
            let _ = text.write_char(shown);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use dialect::watch::{StreamWatch, usage_in_body};

    use super::*;

    fn talk(endpoint: Endpoint, request: &Value) -> Talk {
        Talk::new(endpoint, "m", request, 20, 1, 0)
    }

    #[test]
    fn streams_satisfy_the_watch_over_them() {
        let request = json!({
            "messages": [{"role": "user", "content": "one two"}], "prompt": "", "max_tokens": 5,
            "stream_options": {"include_usage": true},
        });
        for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Messages] {
            let talk = talk(endpoint, &request);
            let mut watch = StreamWatch::new(endpoint, dialect::Framing::Events, false);
            let mut out = Vec::new();
            watch.feed(talk.opening().as_bytes(), &mut out);
            (0..talk.words()).for_each(|word| watch.feed(talk.word(word).as_bytes(), &mut out));
            assert!(watch.has_begun() && !watch.is_complete(), "{endpoint:?}");
            watch.feed(talk.closing().as_bytes(), &mut out);
            assert!(watch.is_complete() && watch.error().is_none(), "{endpoint:?}");
            assert_eq!((watch.usage().input_tokens, watch.usage().output_tokens), (Some(2), Some(5)));
        }
    }

    #[test]
    fn whole_answers_tell_their_usage_and_why_they_end() {
        let talk = |endpoint| talk(endpoint, &json!({"messages": ["a b c"], "max_tokens": 3}));
        let chat = talk(Endpoint::ChatCompletions).whole();
        assert_eq!(usage_in_body(Endpoint::ChatCompletions, chat.as_bytes()).output_tokens, Some(3));
        let chat: Value = serde_json::from_str(&chat).unwrap();
        assert_eq!(chat["choices"][0]["finish_reason"], "length");
        assert_eq!(chat["choices"][0]["message"]["content"], "This is m,");
        let message: Value = serde_json::from_str(&talk(Endpoint::Messages).whole()).unwrap();
        assert_eq!(message["stop_reason"], "max_tokens");
    }

    #[test]
    fn vectors_are_unit_long_equal_for_equal_texts_and_the_same_in_base64() {
        let vectors = vectors(&json!({"input": ["a", "b", "a"], "dimensions": 3}));
        assert_eq!(vectors[0]["embedding"], vectors[2]["embedding"]);
        assert_ne!(vectors[0]["embedding"], vectors[1]["embedding"]);
        let length: f64 =
            vectors[0]["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
        assert!((length - 1.0).abs() < 1e-5);
        assert_eq!(super::vectors(&json!({"input": [1, 2, 3]})).len(), 1);
        let packed = super::vectors(&json!({"input": "a", "encoding_format": "base64"}));
        assert_eq!(packed[0]["embedding"].as_str().unwrap().len(), (DIMENSIONS * 4).div_ceil(3) * 4);
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
