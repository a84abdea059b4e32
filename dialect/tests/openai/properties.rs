//! Whatever a client or a backend sends, nothing panics, and a stream says the same however it is cut.

use dialect::translate::{Engine, request};
use dialect::{Dialect, Endpoint};
use proptest::prelude::*;

use crate::exchange::terms;

const REQUEST: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"é"}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":"auto","stop":["a"],"reasoning":{"effort":"low"}}"#;

const STREAM: &str = "data: {\"id\":\"x\",\"model\":\"b\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"Hm\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"Hm\",\"signature\":\"s\",\"format\":\"anthropic-claude-v1\"}]}}]}\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"\\u00e9\"}],\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

/// What a client gets of `stream`, cut after these bytes.
fn told(stream: &[u8], cuts: &[usize]) -> Vec<u8> {
    let sent =
        request(Endpoint::ChatCompletions, Dialect::OpenAi, REQUEST.as_bytes(), true, &terms(Engine::Other));
    let mut translator = sent.expect("it can be carried").translator;
    let (mut out, mut start) = (Vec::new(), 0);
    for cut in cuts.iter().map(|cut| cut % (stream.len() + 1)) {
        translator.feed(&stream[start.min(cut)..cut], &mut out);
        start = start.max(cut);
    }
    translator.feed(&stream[start..], &mut out);
    translator.finish(&mut out);
    out
}

/// `text` with some of its bytes replaced.
fn damaged(text: &str, damage: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, byte) in damage {
        let place = place % bytes.len();
        bytes[place] = *byte;
    }
    bytes
}

proptest! {
    #[test]
    fn a_stream_says_the_same_however_it_is_cut(mut cuts in prop::collection::vec(0..STREAM.len(), 0..6)) {
        cuts.sort_unstable();
        let whole = told(STREAM.as_bytes(), &[]);
        prop_assert!(whole.ends_with(b"data: [DONE]\n\n"));
        prop_assert_eq!(told(STREAM.as_bytes(), &cuts), whole);
    }

    #[test]
    fn damaged_streams_and_requests_never_panic(damage in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        told(&damaged(STREAM, &damage), &[]);
        let body = damaged(REQUEST, &damage);
        let sent = request(Endpoint::ChatCompletions, Dialect::OpenAi, &body, false, &terms(Engine::Vllm));
        if let Ok(mut sent) = sent {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&sent.body).is_ok());
            let _ = sent.translator.whole(&body);
        }
        let _ = request(Endpoint::Embeddings, Dialect::OpenAi, &body, false, &terms(Engine::Other));
        let _ = request(Endpoint::Completions, Dialect::OpenAi, &body, false, &terms(Engine::Other));
    }
}
