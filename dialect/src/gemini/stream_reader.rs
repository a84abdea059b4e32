//! A backend's stream read piece by piece.
//!
//! Gemini has no end marker: a stream is complete when its bytes are over and every candidate that began has told why it
//! ended, or the prompt was blocked. Sources of grounding and citations are not carried.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::fault;
use crate::hub::{Beginning, CallPiece, Delta, Finish, Json, Part as HubPart, PartKind, Reader, Reason};
use crate::watch::BackendError;

use super::chunk::{Candidate, Chunk, Part, Text};
use super::proto::Proto;
use super::signature::Proof;
use super::{logprobs, media, reasons};

/// Where the deltas go.
type Sink<'a> = dyn FnMut(Delta<'_>) + 'a;

/// A reader of one stream.
#[derive(Default)]
pub(super) struct StreamReader {
    has_begun: bool,
    /// Calls so far, in all candidates.
    calls: u32,
    /// For each candidate, whether it has ended.
    ended: Vec<bool>,
}

impl StreamReader {
    fn chunk(&mut self, chunk: Chunk<'_>, sink: &mut Sink<'_>) {
        if !self.has_begun {
            self.has_begun = true;
            let owned = |text: Option<Text<'_>>| text.map(|Text(text)| text.into_owned());
            let (id, model) = (owned(chunk.response_id), owned(chunk.model_version));
            sink(Delta::Begin(Beginning { id, model, ..Beginning::default() }));
        }
        if let Some(counts) = chunk.usage_metadata {
            sink(Delta::Usage(counts.usage()));
        }
        let is_blocked = chunk.candidates.is_empty();
        for candidate in chunk.candidates {
            self.candidate(candidate, sink);
        }
        if let Some(feedback) = chunk.prompt_feedback.filter(|_| is_blocked)
            && let Some(Text(reason)) = feedback.block_reason
        {
            let text = match feedback.block_reason_message {
                Some(Text(message)) => message,
                None => Cow::Owned(format!("The prompt was blocked: {reason}.")),
            };
            sink(Delta::Refusal { choice: 0, text });
            self.end_of(0, Reason::Refusal, sink);
        }
    }

    fn candidate(&mut self, candidate: Candidate<'_>, sink: &mut Sink<'_>) {
        let choice = candidate.index;
        self.place(choice);
        for part in candidate.content.into_iter().flat_map(|content| content.parts) {
            self.part(choice, part, sink);
        }
        if let Some(value) = candidate.logprobs_result.and_then(logprobs::read) {
            sink(Delta::Logprobs { choice, value: &value });
        }
        if let Some(reason) = candidate.finish_reason.and_then(|Text(word)| reasons::read(&word)) {
            self.end_of(choice, reason, sink);
        }
    }

    fn end_of(&mut self, choice: u32, reason: Reason, sink: &mut Sink<'_>) {
        if let Some(ended) = self.place(choice) {
            *ended = true;
        }
        sink(Delta::Finish { choice, finish: Finish::because(reason) });
    }

    /// Whether `choice` has ended. Of more than 128 none is kept: the stream breaks at them.
    fn place(&mut self, choice: u32) -> Option<&mut bool> {
        let index = usize::try_from(choice).ok().filter(|index| *index < 128)?;
        if self.ended.len() <= index {
            self.ended.resize(index + 1, true);
            self.ended[index] = false;
        }
        self.ended.get_mut(index)
    }

    fn part(&mut self, choice: u32, mut part: Part<'_>, sink: &mut Sink<'_>) {
        let mut proof = part.thought_signature.take().and_then(|Text(written)| Proof::read(&written));
        if let Some(Text(text)) = part.text.take().filter(|Text(text)| !text.is_empty()) {
            sink(if part.thought { Delta::Thinking { choice, text } } else { Delta::Text { choice, text } });
        } else if let Some(call) = part.function_call.take() {
            let piece = CallPiece {
                id: call.id.map(|Text(id)| id),
                name: Some(call.name.0),
                arguments: call.args.map_or("{}", RawValue::get).into(),
                is_custom: false,
                is_whole: true,
                signature: proof.take().map(|proof| proof.signature),
            };
            sink(Delta::ToolCall { choice, index: self.calls, piece });
            self.calls += 1;
        } else if let Some(kind) = other(&part) {
            sink(Delta::Part { choice, part: HubPart::answered(kind) });
        }
        if let Some(Proof { signature, .. }) = proof {
            sink(Delta::ThinkingSignature { choice, signature });
        }
    }
}

/// A part that is neither text nor a call. One that nobody knows is passed over.
fn other(part: &Part<'_>) -> Option<PartKind> {
    let inline = part.inline_data.and_then(|value| Proto::of("", value).ok());
    let file = part.file_data.and_then(|value| Proto::of("", value).ok());
    let foreign = |kind: &str, member: &RawValue, text: String| PartKind::Foreign {
        kind: kind.to_owned(),
        raw: Json::parse(&format!("{{\"{kind}\":{member}}}")).unwrap_or_else(|| Json::from(member)),
        text: Some(text),
    };
    let told = |member: &RawValue, name: &str| {
        let mut fields = Proto::of("", member).ok()?;
        fields.text(name).ok().flatten()
    };
    if let Some(inline) = inline {
        return media::read_inline(inline).ok();
    }
    if let Some(file) = file {
        return media::read_file(file).ok();
    }
    if let Some(code) = part.executable_code {
        let language = told(code, "language").unwrap_or_default().to_ascii_lowercase();
        let text = format!("```{language}\n{}\n```\n", told(code, "code").unwrap_or_default());
        return Some(foreign("executableCode", code, text));
    }
    let result = part.code_execution_result?;
    let text = format!("```\n{}\n```\n", told(result, "output").unwrap_or_default());
    Some(foreign("codeExecutionResult", result, text))
}

impl Reader for StreamReader {
    fn read(&mut self, name: &[u8], data: &[u8], sink: &mut dyn FnMut(Delta<'_>)) {
        if name == b"error" {
            return sink(Delta::Error(fault::told_by(data)));
        }
        let data = data.trim_ascii();
        // Some servers end their streams as OpenAI does.
        if data == b"[DONE]" {
            return;
        }
        if data.first() == Some(&b'[') {
            return match serde_json::from_slice::<Vec<&RawValue>>(data) {
                Ok(list) => list.into_iter().for_each(|value| self.read(name, value.get().as_bytes(), sink)),
                Err(_) => sink(Delta::Error(no_json())),
            };
        }
        match serde_json::from_slice::<Chunk<'_>>(data) {
            Ok(chunk) if chunk.error.is_some() => sink(Delta::Error(fault::told_by(data))),
            Ok(chunk) => self.chunk(chunk, sink),
            Err(_) => sink(Delta::Error(fault::told_in(data).unwrap_or_else(no_json))),
        }
    }

    fn finish(&mut self, sink: &mut dyn FnMut(Delta<'_>)) {
        if !self.ended.is_empty() && self.ended.iter().all(|ended| *ended) {
            sink(Delta::End);
        }
    }
}

fn no_json() -> BackendError {
    BackendError { message: "sent a piece of an answer that is not Gemini's JSON".to_owned(), status: None }
}
