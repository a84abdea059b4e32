//! A backend's whole answer, read by playing it as a stream of one piece.

use std::borrow::Cow;

use crate::hub::{Answer, Choice, Delta, Json, Part, PartKind, Reader, ToolCall, arguments, ids};
use crate::watch::BackendError;

use super::stream_reader::StreamReader;

/// Reads `body`.
///
/// Fails when it tells of an error, is no answer, or has a call whose arguments make no sense.
pub(super) fn read(body: &[u8]) -> Result<Answer, BackendError> {
    let mut reader = StreamReader::default();
    let mut collected = Collected::default();
    reader.read(b"", body, &mut |delta| collected.take(delta));
    reader.finish(&mut |delta| collected.take(delta));
    if let Some(error) = collected.error {
        return Err(error);
    }
    if !collected.is_complete {
        return Err(wrong("sent an answer that does not say why it ended"));
    }
    let mut answer = collected.answer;
    let seed = answer.id.clone().unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let mut calls = 0;
    for choice in &mut answer.choices {
        let is_cut = choice.finish.is_cut();
        for part in &mut choice.parts {
            let PartKind::ToolCall(call) = &mut part.kind else { continue };
            calls += 1;
            if call.id.is_empty() {
                call.id = ids::made("call_", &seed, calls);
            }
            let mended = arguments::mended(&call.arguments).map(Cow::into_owned);
            match mended {
                Some(text) => call.arguments = text,
                None if is_cut => {}
                None => {
                    return Err(wrong(&format!("called {:?} with arguments that are not JSON", call.name)));
                }
            }
        }
        choice.settle();
    }
    Ok(answer)
}

fn wrong(message: &str) -> BackendError {
    BackendError { message: message.to_owned(), status: None }
}

#[derive(Default)]
struct Collected {
    answer: Answer,
    error: Option<BackendError>,
    is_complete: bool,
}

impl Collected {
    fn take(&mut self, delta: Delta<'_>) {
        match delta {
            Delta::Begin(begin) => {
                self.answer.id = begin.id;
                self.answer.model = begin.model;
            }
            Delta::Usage(usage) => self.answer.usage.update(&usage),
            Delta::Error(error) => self.error = Some(error),
            Delta::End => self.is_complete = true,
            Delta::Over { .. } => {}
            Delta::Text { choice, text } => match self.last(choice) {
                Some(PartKind::Text { text: before, .. }) => before.push_str(&text),
                _ => self.push(choice, PartKind::plain(text)),
            },
            Delta::Thinking { choice, text } => match self.last(choice) {
                Some(PartKind::Thinking { text: before, signature: None }) => before.push_str(&text),
                _ => self.push(choice, PartKind::Thinking { text: text.into_owned(), signature: None }),
            },
            Delta::ThinkingSignature { choice, signature } => {
                if let Some(PartKind::Thinking { signature: place @ None, .. }) = self.last(choice) {
                    *place = Some(signature);
                } else {
                    let thinking = PartKind::Thinking { text: String::new(), signature: Some(signature) };
                    self.push(choice, thinking);
                }
            }
            Delta::Refusal { choice, text } => self.push(choice, PartKind::Refusal(text.into_owned())),
            Delta::Part { choice, part } => self.push(choice, part.kind),
            Delta::ToolCall { choice, piece, .. } => {
                let call = ToolCall {
                    id: piece.id.unwrap_or_default().into_owned(),
                    name: piece.name.unwrap_or_default().into_owned(),
                    arguments: piece.arguments.into_owned(),
                    is_custom: false,
                    signature: piece.signature,
                };
                self.push(choice, PartKind::ToolCall(call));
            }
            Delta::Logprobs { choice, value } => {
                if let Some(choice) = self.choice(choice) {
                    choice.logprobs = Some(Json::from(value));
                }
            }
            Delta::Finish { choice, finish } => {
                if let Some(choice) = self.choice(choice) {
                    choice.finish = finish;
                }
            }
        }
    }

    /// The choice with this number. More than 128 are no answer.
    fn choice(&mut self, number: u32) -> Option<&mut Choice> {
        let index = number as usize;
        if index >= 128 {
            self.error = Some(wrong(&format!("sent an answer with a candidate {number}")));
            return None;
        }
        if self.answer.choices.len() <= index {
            self.answer.choices.resize_with(index + 1, Choice::default);
        }
        self.answer.choices.get_mut(index)
    }

    fn last(&mut self, choice: u32) -> Option<&mut PartKind> {
        self.choice(choice)?.parts.last_mut().map(|part| &mut part.kind)
    }

    fn push(&mut self, choice: u32, kind: PartKind) {
        if let Some(choice) = self.choice(choice) {
            choice.parts.push(Part::answered(kind));
        }
    }
}
