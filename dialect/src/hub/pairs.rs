//! Calls and their results, brought together: every call is answered before the model speaks again, in the order of the
//! calls, and nothing is answered that was not called.
//!
//! Hosted APIs refuse a conversation in which that is not so, and engines that know results only by their place take one
//! for another. Clients send such conversations all the same: after an interruption, after cutting an old history short.

use super::{Losses, Message, Part, PartKind, Request, Role, ToolResult};

/// What stands for a result that is not there.
const NO_RESULT: &str = "There is no result of this call.";

/// Brings the calls and results of `request` together. What is made up, or told as text, is added to `losses`.
pub(crate) fn settle(request: &mut Request, losses: &mut Losses) {
    let mut settled: Vec<Message> = Vec::with_capacity(request.messages.len());
    let mut calls: Vec<Call> = Vec::new();
    let mut start = 0;
    for message in std::mem::take(&mut request.messages) {
        if message.role == Role::Assistant {
            answer(&mut settled, start, &mut calls, losses);
            calls.extend(message.parts.iter().filter_map(Call::of));
            start = settled.len() + 1;
        }
        settled.push(message);
    }
    answer(&mut settled, start, &mut calls, losses);
    request.messages = settled;
}

/// A call that is to be answered.
struct Call {
    id: String,
    at: String,
    result: Option<Part>,
}

impl Call {
    fn of(part: &Part) -> Option<Self> {
        let PartKind::ToolCall(call) = &part.kind else { return None };
        Some(Self { id: call.id.clone(), at: part.at.clone(), result: None })
    }
}

/// Sees to it that the messages from `start` on, all that was said until the model speaks again, answer the `calls` and
/// nothing else.
fn answer(settled: &mut Vec<Message>, start: usize, calls: &mut Vec<Call>, losses: &mut Losses) {
    let is_result = |part: &Part| matches!(part.kind, PartKind::ToolResult(_));
    let has_result = |message: &Message| message.parts.iter().any(is_result);
    let first = settled[start.min(settled.len())..].iter().position(has_result).map(|place| start + place);
    if first.is_none() && calls.is_empty() {
        return;
    }
    for index in first.unwrap_or(settled.len())..settled.len() {
        if has_result(&settled[index]) {
            let parts = std::mem::take(&mut settled[index].parts);
            settled[index].parts = parts.into_iter().flat_map(|part| sorted(part, calls, losses)).collect();
        }
    }
    let results: Vec<_> = calls
        .drain(..)
        .map(|call| call.result.unwrap_or_else(|| missing(call.id, call.at, losses)))
        .collect();
    let is_user = |message: &Message| message.role == Role::User;
    let by_user = || settled[start.min(settled.len())..].iter().position(is_user).map(|place| start + place);
    if let Some(place) = first.or_else(by_user) {
        settled[place].parts.splice(..0, results);
    } else {
        let at = results.first().map(|part| part.at.clone()).unwrap_or_default();
        settled.push(Message { role: Role::User, parts: results, name: None, at });
    }
    // Messages that held nothing but results which stand in another one now.
    let mut index = 0;
    settled.retain(|message| {
        index += 1;
        index <= first.unwrap_or(usize::MAX).saturating_add(1)
            || !message.parts.is_empty()
            || message.role != Role::User
    });
}

/// What stays of `part` where it is: a result goes to its call; one that has none is told as text.
fn sorted(mut part: Part, calls: &mut [Call], losses: &mut Losses) -> Vec<Part> {
    let PartKind::ToolResult(result) = &mut part.kind else { return vec![part] };
    if let Some(call) = calls.iter_mut().find(|call| call.id == result.id && call.result.is_none()) {
        call.result = Some(part);
        return Vec::new();
    }
    losses.add(&part.at, "answers no call of the turn before it; sent as text");
    let words = format!("[The result of a call that is not in the conversation: {}]", result.id);
    let mut told = vec![Part::new(part.at.clone(), PartKind::plain(words))];
    told.append(&mut result.parts);
    told
}

fn missing(id: String, at: String, losses: &mut Losses) -> Part {
    losses.add(&at, "has no result; sent as failed");
    let parts = vec![Part::new(at.clone(), PartKind::plain(NO_RESULT))];
    Part::new(at, PartKind::ToolResult(ToolResult { id, name: None, parts, is_error: true }))
}

#[cfg(test)]
mod tests {
    use super::super::ToolCall;
    use super::*;
    use crate::Endpoint;

    fn said(role: Role, parts: Vec<PartKind>) -> Message {
        let parts = parts.into_iter().map(|kind| Part::new("p", kind)).collect();
        Message { role, parts, name: None, at: "m".to_owned() }
    }

    fn call(id: &str) -> PartKind {
        PartKind::ToolCall(ToolCall {
            id: id.to_owned(),
            name: "look".to_owned(),
            arguments: "{}".to_owned(),
            is_custom: false,
            signature: None,
        })
    }

    fn result(id: &str) -> PartKind {
        let parts = vec![Part::new("r", PartKind::plain(format!("of {id}")))];
        PartKind::ToolResult(ToolResult { id: id.to_owned(), name: None, parts, is_error: false })
    }

    fn text(words: &str) -> PartKind {
        PartKind::plain(words)
    }

    /// The conversation in short: a letter for who speaks, `!` for a call, `=` for a result.
    fn settled(messages: Vec<Message>) -> (String, usize) {
        let mut request = Request::new(Endpoint::ChatCompletions);
        request.messages = messages;
        let mut losses = Losses::default();
        settle(&mut request, &mut losses);
        let told = request.messages.iter().map(|message| {
            let parts = message.parts.iter().map(|part| match &part.kind {
                PartKind::ToolCall(call) => format!("!{}", call.id),
                PartKind::ToolResult(result) if result.is_error => format!("={}?", result.id),
                PartKind::ToolResult(result) => format!("={}", result.id),
                _ => part.text().unwrap_or_default().to_owned(),
            });
            format!("{:?}:{}", message.role, parts.collect::<Vec<_>>().join(","))
        });
        (told.collect::<Vec<_>>().join(" "), losses.list().len())
    }

    #[test]
    fn t09_results_follow_the_order_of_the_calls_wherever_they_stand() {
        use Role::{Assistant, System, User};
        let (told, losses) = settled(vec![
            said(User, vec![text("q")]),
            said(Assistant, vec![call("a"), call("b"), call("c")]),
            said(User, vec![result("c"), result("a")]),
            said(System, vec![text("s")]),
            said(User, vec![result("b"), text("u")]),
            said(Assistant, vec![text("x")]),
        ]);
        assert_eq!(told, "User:q Assistant:!a,!b,!c User:=a,=b,=c System:s User:u Assistant:x");
        assert_eq!(losses, 0);
    }

    #[test]
    fn a_call_that_nobody_answered_is_answered_and_said_to_be() {
        use Role::{Assistant, User};
        let (told, losses) = settled(vec![
            said(User, vec![text("q")]),
            said(Assistant, vec![call("a"), call("b")]),
            said(User, vec![result("b"), text("stop")]),
            said(Assistant, vec![call("c")]),
            said(Assistant, vec![text("x"), call("d")]),
        ]);
        let expected =
            "User:q Assistant:!a,!b User:=a?,=b,stop Assistant:!c User:=c? Assistant:x,!d User:=d?";
        assert_eq!(told, expected);
        assert_eq!(losses, 1, "the calls of this test stand at one place");
    }

    #[test]
    fn a_result_without_a_call_is_told_as_text() {
        use Role::{Assistant, User};
        let (told, losses) = settled(vec![
            said(User, vec![result("z"), text("q")]),
            said(Assistant, vec![call("a")]),
            said(User, vec![result("a"), result("a")]),
        ]);
        let note = |id: &str| format!("[The result of a call that is not in the conversation: {id}],of {id}");
        assert_eq!(told, format!("User:{},q Assistant:!a User:=a,{}", note("z"), note("a")));
        assert_eq!(losses, 1);
    }
}
