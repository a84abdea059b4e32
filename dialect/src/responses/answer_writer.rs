//! A whole answer to a client.

use crate::hub::{Answer, Beginning, Finish, Json, Part, PartKind, Request, ids};
use crate::translate::Terms;

use super::item::{Content, Item, Status};
use super::names::Names;
use super::response::{End, Frame};

/// Writes the first choice of `answer`: the Responses API has no others.
pub(super) fn write(answer: &Answer, request: &Request, terms: &Terms) -> Vec<u8> {
    let beginning = Beginning {
        id: answer.id.clone(),
        model: answer.model.clone(),
        created: answer.created,
        service_tier: answer.service_tier.clone(),
    };
    let frame = Frame::new(request, terms, &beginning);
    let choice = answer.choices.first();
    let parts = choice.map_or(&[][..], |choice| &choice.parts);
    let finish = choice.map_or_else(Finish::default, |choice| choice.finish.clone());
    let has_refused = parts.iter().any(|part| matches!(part.kind, PartKind::Refusal(_)));
    let end = End::of(&finish, has_refused);

    let mut output =
        Output { seed: &terms.label, names: Names::of(request), items: Vec::new(), status: end.of_item() };
    for (place, part) in parts.iter().enumerate() {
        output.add(part, place + 1 == parts.len());
    }
    if let Some(logprobs) = choice.and_then(|choice| choice.logprobs.as_ref()) {
        output.weigh(logprobs);
    }
    let response = frame.at(&end, &output.items, Some(&answer.usage));
    serde_json::to_vec(&response).expect("our own types are always JSON")
}

struct Output<'a> {
    seed: &'a str,
    names: Names,
    items: Vec<Item>,
    /// Of the last item.
    status: Status,
}

impl Output<'_> {
    fn add(&mut self, part: &Part, is_last: bool) {
        let status = if is_last { self.status } else { Status::Completed };
        if let Some(content) = Content::of(part) {
            if let Some(Item::Message { content: said, status: told, .. }) = self.items.last_mut() {
                said.push(content);
                *told = status;
            } else {
                let id = ids::made("msg_", self.seed, self.items.len());
                self.items.push(Item::message(id, status, vec![content]));
            }
            return;
        }
        if let PartKind::ToolCall(call) = &part.kind {
            if call.signature.is_some() {
                let id = ids::made("rs_", self.seed, self.items.len());
                self.items.push(Item::thoughts(id, "", call.signature.as_ref()));
            }
            let item = Item::call(self.seed, self.items.len(), &self.names, call, status);
            self.items.push(item);
            return;
        }
        self.items.extend(Item::of(self.seed, self.items.len(), part));
    }

    /// Notes how likely the tokens of the text were, told as OpenAI's other API does.
    fn weigh(&mut self, told: &Json) {
        let texts = self.items.iter_mut().filter_map(|item| match item {
            Item::Message { content, .. } => Some(content),
            _ => None,
        });
        let text = texts.flatten().find_map(|content| match content {
            Content::OutputText { logprobs, .. } => Some(logprobs),
            Content::Refusal { .. } => None,
        });
        if let Some(logprobs) = text {
            *logprobs = tokens(told.as_str());
        }
    }
}

/// The list of tokens in `told`, an object of OpenAI's other API.
pub(super) fn tokens(told: &str) -> Vec<Json> {
    #[derive(serde::Deserialize)]
    struct Told {
        #[serde(default)]
        content: Option<Vec<Json>>,
    }
    serde_json::from_str(told).ok().and_then(|Told { content }| content).unwrap_or_default()
}
