//! Every dialect to every other through a real worker: the right place, the right framing, the right end.

use dialect::{Dialect, Endpoint, Framing};
use ipc_proto::control::Ending;
use ipc_proto::failure::FailureKind;
use serde_json::{Value, json};

use crate::support::{Answered, Backend, open};

/// A question in `dialect`.
fn question(dialect: Dialect, stream: bool) -> Vec<u8> {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let mut body = match dialect {
        Dialect::OpenAi | Dialect::Ollama => json!({"model": "m", "messages": messages}),
        Dialect::Anthropic => json!({"model": "m", "max_tokens": 9, "messages": messages}),
        Dialect::Responses => json!({"model": "m", "input": "hello"}),
        Dialect::Gemini => return br#"{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}"#.to_vec(),
    };
    body["stream"] = Value::from(stream);
    body.to_string().into_bytes()
}

/// The answer "hi" of a backend that speaks `dialect`, in one piece.
fn whole(dialect: Dialect) -> Value {
    let said = json!([{"type": "output_text", "text": "hi", "annotations": []}]);
    match dialect {
        Dialect::OpenAi => json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}),
        Dialect::Responses => json!({"id": "r", "object": "response", "created_at": 1, "model": "m",
            "status": "completed", "error": null, "incomplete_details": null,
            "output": [{"id": "i", "type": "message", "role": "assistant", "status": "completed", "content": said}],
            "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}),
        Dialect::Anthropic => json!({"id": "a", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 3, "output_tokens": 2}}),
        Dialect::Gemini => json!({
            "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}}),
        Dialect::Ollama => json!({"model": "m", "created_at": "2026-01-01T00:00:00Z",
            "message": {"role": "assistant", "content": "hi"}, "done": true, "done_reason": "stop",
            "prompt_eval_count": 3, "eval_count": 2}),
    }
}

/// The same as a stream, in two pieces: what it says, and how it ends.
fn stream(dialect: Dialect) -> (String, String) {
    let data = |value: &Value| format!("data: {value}\n\n");
    match dialect {
        Dialect::OpenAi => {
            let choice = |delta: &Value, finish: &Value| {
                json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            };
            let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
            let end =
                [data(&choice(&json!({}), &json!("stop"))), data(&usage), "data: [DONE]\n\n".to_owned()];
            (data(&choice(&json!({"role": "assistant", "content": "hi"}), &Value::Null)), end.concat())
        }
        Dialect::Responses => response_stream(),
        Dialect::Anthropic => {
            let said = [
                json!({"type": "message_start", "message": {"id": "a", "type": "message", "role": "assistant",
                    "model": "m", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}),
            ];
            let end = [
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                    "usage": {"output_tokens": 2}}),
                json!({"type": "message_stop"}),
            ];
            (said.iter().map(event).collect(), end.iter().map(event).collect())
        }
        Dialect::Gemini => {
            let said = json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}}]});
            let end = json!({"candidates": [{"content": {"role": "model", "parts": []}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}});
            (data(&said), data(&end))
        }
        Dialect::Ollama => {
            let said =
                json!({"model": "m", "message": {"role": "assistant", "content": "hi"}, "done": false});
            let mut end = whole(dialect);
            end["message"]["content"] = Value::from("");
            (format!("{said}\n"), format!("{end}\n"))
        }
    }
}

fn event(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap())
}

fn response_stream() -> (String, String) {
    let item =
        json!({"id": "i", "type": "message", "role": "assistant", "status": "in_progress", "content": []});
    let part = json!({"type": "output_text", "text": "", "annotations": []});
    let begun = json!({"id": "r", "object": "response", "created_at": 1, "model": "m",
        "status": "in_progress", "output": []});
    let said = [
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
        json!({"type": "response.content_part.added", "item_id": "i", "output_index": 0,
            "content_index": 0, "part": part}),
        json!({"type": "response.output_text.delta", "item_id": "i", "output_index": 0,
            "content_index": 0, "delta": "hi"}),
    ];
    let done = whole(Dialect::Responses);
    let end = [
        json!({"type": "response.output_text.done", "item_id": "i", "output_index": 0,
            "content_index": 0, "text": "hi"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]}),
        json!({"type": "response.completed", "response": done}),
    ];
    (said.iter().map(event).collect(), end.iter().map(event).collect())
}

/// Where a backend that speaks `dialect` is asked.
fn place(dialect: Dialect, stream: bool) -> String {
    let query = if stream && dialect == Dialect::Gemini { "?alt=sse" } else { "" };
    format!("POST {}{query}", dialect.chat().path("m", stream))
}

fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    let all = || Dialect::ALL.into_iter();
    all()
        .flat_map(move |ours| all().map(move |theirs| (ours, theirs)))
        .filter(|(ours, theirs)| ours != theirs)
}

/// What a client that speaks `ours` gets of a backend that speaks `theirs`, says `pieces` of a stream and closes.
async fn streamed(
    ours: Dialect,
    theirs: Dialect,
    pieces: &[&str],
    query: Option<&str>,
) -> (Answered, Ending) {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|spec| spec.dialects = vec![theirs]).await;
    let mut frontend = supervisor.frontend().await;
    let body = question(ours, true);
    let mut asked = open(1, ours.chat(), true, &body);
    asked.framing = Framing::of(ours.chat(), query);
    asked.query = query.map(str::to_owned);
    frontend.send(asked, &body).await;
    let mut exchange = backend.exchange().await;
    assert_eq!(exchange.asked_for(), place(theirs, true), "{ours:?} to {theirs:?}");
    let script = async {
        let content_type = Framing::of(theirs.chat(), Some("alt=sse")).content_type();
        exchange
            .write(format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n"))
            .await;
        for piece in pieces {
            exchange.write(piece).await;
        }
        exchange.close().await;
    };
    let (answered, ()) = tokio::join!(frontend.answer(), script);
    let finished = supervisor.finished().await;
    if finished.ending == Ending::Complete {
        let usage = (finished.usage.input_tokens, finished.usage.output_tokens);
        assert_eq!(usage, (Some(3), Some(2)), "{ours:?} to {theirs:?}");
    }
    (answered, finished.ending)
}

#[tokio::test]
async fn every_dialect_streams_to_every_other() {
    for (ours, theirs) in pairs() {
        let (said, end) = stream(theirs);
        let queries = if ours == Dialect::Gemini { &[None, Some("alt=sse")][..] } else { &[None] };
        for query in queries {
            let (answered, ending) = streamed(ours, theirs, &[&said, &end], *query).await;
            assert_eq!((&answered.failure, ending), (&None, Ending::Complete), "{ours:?} to {theirs:?}");
            assert!(answered.head.as_ref().is_some_and(|head| head.events));
            let framing = Framing::of(ours.chat(), *query);
            assert_eq!(answered.header("content-type"), Some(framing.content_type()));
            assert!(answered.text().contains("\"hi\""), "{ours:?} to {theirs:?}: {}", answered.text());
            match framing {
                Framing::Events => {
                    assert!(["\n\n", "\r\n\r\n"].iter().any(|end| answered.text().ends_with(end)));
                }
                Framing::Lines => {
                    assert!(answered.text().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
                }
                Framing::List => assert!(serde_json::from_slice::<Vec<Value>>(&answered.body).is_ok()),
            }
        }
    }
}

#[tokio::test]
async fn no_dialect_takes_a_broken_stream_for_a_finished_one() {
    for (ours, theirs) in pairs() {
        let (answered, ending) = streamed(ours, theirs, &[&stream(theirs).0], None).await;
        assert_eq!(answered.failure.unwrap().kind, FailureKind::Broken, "{ours:?} to {theirs:?}");
        assert!(matches!(ending, Ending::Failed(_)));
    }
}

#[tokio::test]
async fn every_dialect_answers_every_other_in_one_piece() {
    for (ours, theirs) in pairs() {
        // A client that wanted a stream gets one, though the backend has none.
        for stream in [false, true] {
            let backend = Backend::start().await;
            let mut supervisor = backend.worker(|spec| spec.dialects = vec![theirs]).await;
            let mut frontend = supervisor.frontend().await;
            let body = question(ours, stream);
            frontend.send(open(1, ours.chat(), stream, &body), &body).await;
            let mut exchange = backend.exchange().await;
            assert_eq!(exchange.asked_for(), place(theirs, stream), "{ours:?} to {theirs:?}");
            exchange.json(200, &whole(theirs).to_string()).await;
            let answered = frontend.answer().await;
            assert_eq!(answered.failure, None, "{ours:?} to {theirs:?}");
            let head = answered.head.as_ref().unwrap();
            assert_eq!((head.status, head.events), (200, stream));
            let expected =
                if stream { Framing::of(ours.chat(), None).content_type() } else { "application/json" };
            assert_eq!(answered.header("content-type"), Some(expected));
            assert!(answered.text().contains("\"hi\""), "{ours:?} to {theirs:?}: {}", answered.text());
            let finished = supervisor.finished().await;
            let usage = (finished.usage.input_tokens, finished.usage.output_tokens);
            assert_eq!((finished.ending, usage), (Ending::Complete, (Some(3), Some(2))));
        }
    }
}

#[tokio::test]
async fn vectors_come_from_every_backend_that_makes_them() {
    let asked = [
        (Endpoint::Embeddings, json!({"model": "m", "input": ["a"]})),
        (Endpoint::EmbedContent, json!({"content": {"parts": [{"text": "a"}]}})),
        (Endpoint::OllamaEmbed, json!({"model": "m", "input": ["a"]})),
    ];
    let made = [
        (
            Dialect::OpenAi,
            json!({"object": "list", "model": "m",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
            "usage": {"prompt_tokens": 3, "total_tokens": 3}}),
        ),
        (Dialect::Gemini, json!({"embeddings": [{"values": [0.5, 0.25]}]})),
        (Dialect::Ollama, json!({"model": "m", "embeddings": [[0.5, 0.25]], "prompt_eval_count": 3})),
    ];
    for (endpoint, body) in &asked {
        for (theirs, answer) in made.iter().filter(|(theirs, _)| *theirs != endpoint.dialect()) {
            let backend = Backend::start().await;
            let mut supervisor = backend.worker(|spec| spec.dialects = vec![*theirs]).await;
            let mut frontend = supervisor.frontend().await;
            let body = body.to_string().into_bytes();
            frontend.send(open(1, *endpoint, false, &body), &body).await;
            let mut exchange = backend.exchange().await;
            exchange.json(200, &answer.to_string()).await;
            let answered = frontend.answer().await;
            assert_eq!(answered.failure, None, "{endpoint:?} to {theirs:?}: {}", exchange.asked_for());
            assert!(answered.text().contains("0.25"), "{}", answered.text());
            assert_eq!(supervisor.ending().await, Ending::Complete);
        }
    }
}

#[tokio::test]
async fn long_requests_and_answers_are_translated_like_short_ones() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    let text = "long ".repeat(400_000);
    let body = json!({"model": "m", "input": [text]}).to_string().into_bytes();
    frontend.send(open(1, Endpoint::OllamaEmbed, false, &body), &body).await;
    let mut exchange = backend.exchange().await;
    let sent: Value = serde_json::from_slice(&exchange.body).unwrap();
    assert!(sent["input"] == text || sent["input"][0] == text);
    let vector: Vec<f64> = (0..200_000).map(|index| f64::from(index) + 0.125).collect();
    let answer = json!({"object": "list", "model": "m",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    .to_string();
    let (answered, ()) = tokio::join!(frontend.answer(), exchange.json(200, &answer));
    let told: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!(told["embeddings"][0].as_array().map(Vec::len), Some(200_000));
    assert_eq!(told["embeddings"][0][199_999], 199_999.125);
    assert_eq!(supervisor.finished().await.usage.input_tokens, Some(3));
}
