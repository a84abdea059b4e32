//! Reads a whole answer.

use crate::Endpoint;
use crate::fault;
use crate::hub::arguments::mended;
use crate::hub::{Answer, Beginning, Choice, Delta, Finish, Json, Part, PartKind, ToolCall, ids};
use crate::openai::finish;
use crate::watch::BackendError;

use super::chunk::{self, Chunk, Text};
use super::stream::tell;

/// Reads the `body` of an answer of a chat or a completion. An answer without choices is an error.
pub(crate) fn read_answer(_called: Endpoint, body: &[u8]) -> Result<Answer, BackendError> {
    let Ok(mut chunk) = serde_json::from_slice::<Chunk<'_>>(body) else {
        return Err(
            fault::told_in(body).unwrap_or_else(|| wrong("the answer is not what chat completions send"))
        );
    };
    let usage = chunk.usage().unwrap_or_default();
    let choices = chunk.choices.take().unwrap_or_default();
    if chunk.error.is_some() || choices.is_empty() {
        return Err(fault::told_in(body).unwrap_or_else(|| wrong("the answer has no choices")));
    }
    let begun = chunk.beginning();
    let seed = begun.id.clone().unwrap_or_default();
    let mut read = Vec::with_capacity(choices.len());
    for choice in choices {
        read.push((choice.index.unwrap_or(0), whole(choice, &seed)?));
    }
    read.sort_by_key(|(index, _)| *index);
    let choices = read.into_iter().map(|(_, choice)| choice).collect();
    let Beginning { id, model, created, service_tier } = begun;
    Ok(Answer { id, model, created, choices, usage, service_tier })
}

fn wrong(message: &str) -> BackendError {
    BackendError { message: message.to_owned(), status: None }
}

fn whole(mut choice: chunk::Choice<'_>, seed: &str) -> Result<Choice, BackendError> {
    let finish = match &choice.finish_reason {
        Some(Text(word)) => finish::read(word, choice.stop_sequence()).map_err(|message| wrong(&message))?,
        None => Finish::default(),
    };
    let number = choice.index.unwrap_or(0);
    let mut parts = Vec::new();
    if let Some(said) = choice.take_said() {
        tell(number, said, &mut false, &mut |delta| gather(delta, &mut parts, seed));
    }
    if let Some(Text(text)) = choice.text.take().filter(|Text(text)| !text.is_empty()) {
        parts.push(Part::answered(PartKind::plain(text)));
    }
    for part in &mut parts {
        let PartKind::ToolCall(call) = &mut part.kind else { continue };
        if call.is_custom {
            continue;
        }
        match mended(&call.arguments) {
            Some(arguments) => call.arguments = arguments.into_owned(),
            // Cut off: what there is of it is told.
            None if finish.is_cut() => {}
            None => {
                let message = format!("the model called {:?} with arguments that are not JSON", call.name);
                return Err(wrong(&message));
            }
        }
    }
    let logprobs = choice.logprobs.map(Json::from);
    let mut whole = Choice { parts, finish, logprobs };
    whole.settle();
    Ok(whole)
}

/// Makes parts of what a message says.
fn gather(delta: Delta<'_>, parts: &mut Vec<Part>, seed: &str) {
    let kind = match delta {
        Delta::Text { text, .. } if !text.is_empty() => PartKind::plain(text),
        Delta::Refusal { text, .. } if !text.is_empty() => PartKind::Refusal(text.into_owned()),
        Delta::Thinking { text, .. } => PartKind::Thinking { text: text.into_owned(), signature: None },
        Delta::ThinkingSignature { signature: data, .. } => {
            if let Some(PartKind::Thinking { signature, .. }) = parts.last_mut().map(|part| &mut part.kind) {
                *signature = Some(data);
            }
            return;
        }
        Delta::ToolCall { piece, .. } => {
            let Some(name) = piece.name else { return };
            let id = piece.id.map(std::borrow::Cow::into_owned).filter(|id| !id.is_empty());
            PartKind::ToolCall(ToolCall {
                id: id.unwrap_or_else(|| ids::made("call_", seed, parts.len())),
                name: name.into_owned(),
                arguments: piece.arguments.into_owned(),
                is_custom: piece.is_custom,
                signature: piece.signature,
            })
        }
        Delta::Part { part, .. } => return parts.push(part),
        _ => return,
    };
    parts.push(Part::answered(kind));
}
