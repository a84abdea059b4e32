//! What goes in and what comes out, as short words: `text: +Hel +lo .` is a block of text in two pieces.

use super::*;
use crate::hub::{Part, PartKind, Provider, Signature};

fn weaver() -> Weaver {
    Weaver::new(Reversal::default(), "label-1")
}

/// What the weaver makes of `deltas`.
fn woven(weaver: &mut Weaver, deltas: Vec<Delta<'static>>) -> String {
    let mut told = Vec::new();
    for delta in deltas {
        weaver.take(delta, &mut |event| told.push(word(&event)));
    }
    told.join(" ")
}

fn word(event: &Event<'_>) -> String {
    match event {
        Event::Begin(..) => "begin".to_owned(),
        Event::Open { choice, block } => {
            let block = match block {
                Block::Text => "text".to_owned(),
                Block::Thinking => "thinking".to_owned(),
                Block::Refusal => "refusal".to_owned(),
                Block::ToolCall { id, name, .. } => format!("call({id},{name})"),
            };
            if *choice == 0 { format!("{block}:") } else { format!("{block}@{choice}:") }
        }
        Event::Piece { text, .. } => format!("+{text}"),
        Event::Signature { signature, .. } => format!("signed({})", signature.data),
        Event::Close { .. } => ".".to_owned(),
        Event::Part { .. } => "part".to_owned(),
        Event::Logprobs { .. } => "logprobs".to_owned(),
        Event::Finish { finish, .. } => format!("{:?}", finish.reason),
        Event::End(_) => "end".to_owned(),
    }
}

fn text(text: &'static str) -> Delta<'static> {
    Delta::Text { choice: 0, text: text.into() }
}

fn thinking(text: &'static str) -> Delta<'static> {
    Delta::Thinking { choice: 0, text: text.into() }
}

fn call(index: u32, id: &'static str, name: &'static str, arguments: &'static str) -> Delta<'static> {
    let some = |text: &'static str| (!text.is_empty()).then_some(Cow::Borrowed(text));
    let piece =
        CallPiece { id: some(id), name: some(name), arguments: arguments.into(), ..CallPiece::default() };
    Delta::ToolCall { choice: 0, index, piece }
}

fn stop(reason: Reason) -> Delta<'static> {
    Delta::Finish { choice: 0, finish: Finish::because(reason) }
}

#[test]
fn t36_t37_t38_thoughts_and_text_take_turns() {
    let deltas = vec![thinking("a"), thinking("b"), text("c"), thinking("d"), stop(Reason::Stop), Delta::End];
    let told = woven(&mut weaver(), deltas);
    assert_eq!(told, "begin thinking: +a +b . text: +c . thinking: +d . Stop end");
}

#[test]
fn t33_who_stops_after_a_call_wants_it_called_and_t50_the_limit_stands() {
    let with = |reason| vec![text("x"), call(0, "c1", "f", "{}"), stop(reason), Delta::End];
    assert!(woven(&mut weaver(), with(Reason::Stop)).ends_with(". ToolCalls end"));
    assert!(woven(&mut weaver(), with(Reason::Length)).ends_with(". Length end"));
}

#[test]
fn t34_t41_calls_come_one_after_the_other_however_they_are_mixed() {
    let one_by_one = vec![
        call(0, "c1", "f", ""),
        call(0, "c1", "f", "{\"a\":"),
        call(0, "c1", "f", "1}"),
        call(1, "c2", "g", "{\"b\":2}"),
        Delta::End,
    ];
    let expected = "begin call(c1,f): +{\"a\": +1} . call(c2,g): +{\"b\":2} . ToolCalls end";
    assert_eq!(woven(&mut weaver(), one_by_one), expected);
    let mixed = vec![
        call(0, "c1", "f", "{\"a\":"),
        call(1, "c2", "g", "{\"b\":"),
        text("!"),
        call(0, "", "", "1}"),
        call(1, "", "", "2}"),
        Delta::End,
    ];
    let expected = "begin call(c1,f): +{\"a\": +1} . call(c2,g): +{\"b\": +2} . text: +! . ToolCalls end";
    assert_eq!(woven(&mut weaver(), mixed), expected);
}

#[test]
fn t40_arguments_wait_for_the_name_and_an_id_is_made_up() {
    let told = woven(&mut weaver(), vec![call(0, "", "", "{\"a\""), call(0, "", "f", ":1}"), Delta::End]);
    let id = ids::made("call_", "label-1", 1);
    assert_eq!(told, format!("begin call({id},f): +{{\"a\":1}} . ToolCalls end"));
}

#[test]
fn t43_a_call_without_arguments_gets_an_empty_object() {
    let told = woven(&mut weaver(), vec![call(0, "c1", "f", ""), call(1, "c2", "g", "{}"), Delta::End]);
    assert_eq!(told, "begin call(c1,f): +{} . call(c2,g): +{} . ToolCalls end");
}

#[test]
fn every_call_with_the_same_number_is_another_one_if_its_id_is() {
    let told = woven(&mut weaver(), vec![call(0, "c1", "f", "{}"), call(0, "c2", "f", "{}"), Delta::End]);
    assert_eq!(told, "begin call(c1,f): +{} . call(c2,f): +{} . ToolCalls end");
}

#[test]
fn t51_arguments_that_are_no_json_break_the_stream_unless_the_limit_cut_them() {
    let mut broken = weaver();
    let told =
        woven(&mut broken, vec![call(0, "c1", "f", "{\"a\":"), stop(Reason::Stop), Delta::End, text("x")]);
    assert_eq!(told, "begin call(c1,f): +{\"a\":");
    assert!(broken.error().is_some_and(|error| error.message.contains("\"f\"")) && !broken.is_complete());
    let cut = vec![call(0, "c1", "f", "{\"a\":"), stop(Reason::Length), Delta::End];
    assert_eq!(woven(&mut weaver(), cut), "begin call(c1,f): +{\"a\": . Length end");
    let quoted = vec![call(0, "c1", "f", r#""{\"a\":1}""#), Delta::End];
    assert_eq!(woven(&mut weaver(), quoted), "begin call(c1,f): +{\"a\":1} . ToolCalls end");
}

#[test]
fn a_signature_in_pieces_is_told_once_when_the_thoughts_are_over() {
    let signature = |data: &str| Delta::ThinkingSignature {
        choice: 0,
        signature: Signature { provider: Provider::Anthropic, data: data.to_owned() },
    };
    let deltas = vec![thinking("a"), signature("x"), signature("y"), thinking("b"), text("c"), Delta::End];
    let told = woven(&mut weaver(), deltas);
    assert_eq!(told, "begin thinking: +a signed(xy) . thinking: +b . text: +c . Unknown end");
}

#[test]
fn the_answer_tool_is_told_as_text_and_stops() {
    let mut reversal = Reversal::default();
    reversal.answer_by("answer");
    reversal.rename("short", "a.long.name");
    let mut one = Weaver::new(reversal.clone(), "label-1");
    let told =
        woven(&mut one, vec![call(0, "c1", "answer", "{\"a\":1}"), stop(Reason::ToolCalls), Delta::End]);
    assert_eq!(told, "begin text: +{\"a\":1} . Stop end");
    let mut other = Weaver::new(reversal, "label-1");
    let told = woven(&mut other, vec![call(0, "c1", "short", "{}"), Delta::End]);
    assert_eq!(told, "begin call(c1,a.long.name): +{} . ToolCalls end");
}

#[test]
fn choices_and_whole_parts_keep_to_themselves() {
    let part = Delta::Part { choice: 0, part: Part::answered(PartKind::plain("whole")) };
    let other = Delta::Text { choice: 1, text: "b".into() };
    let told = woven(&mut weaver(), vec![text("a"), other, part, stop(Reason::Stop), Delta::End]);
    assert_eq!(told, "begin text: +a text@1: +b . part Stop . Unknown end");
    let mut wrong = weaver();
    woven(&mut wrong, vec![Delta::Text { choice: u32::MAX, text: "b".into() }]);
    assert!(wrong.error().is_some());
}

#[test]
fn t46_what_nobody_counted_is_never_nothing() {
    let mut counted = None;
    let mut one = weaver();
    for delta in [text("four more bytes"), Delta::End] {
        one.take(delta, &mut |event| {
            if let Event::End(usage) = event {
                counted = usage.output_tokens;
            }
        });
    }
    assert_eq!((counted, one.usage().output_tokens), (Some(4), None));
}

#[test]
fn after_an_error_and_after_the_end_nothing_is_told() {
    let mut ended = weaver();
    assert_eq!(woven(&mut ended, vec![Delta::End, text("x"), Delta::End]), "begin Unknown end");
    let error = Delta::Error(BackendError { message: "no".to_owned(), status: Some(529) });
    let mut broken = weaver();
    assert_eq!(woven(&mut broken, vec![error, text("x"), Delta::End]), "");
    assert!(!broken.has_begun() && broken.error().is_some());
}
