//! The conversation written as Gemini's `contents`.
//!
//! The user and the model take turns, the user first: messages of one side that follow each other become one turn, and what
//! functions answered stands first in it, in the order of the calls. Instructions at the beginning become the
//! `systemInstruction`; later ones stay in their place, marked, in the user's turn, so that the turns before them, and with
//! them the cached prompt, stay the same.

use std::borrow::Cow;

use crate::hub::{
    Json, Losses, Message, Part, PartKind, Provider, Request, Role, Signature, ToolCall, Unfit, arguments,
    billing, custom_tools,
};

use super::models::Model;
use super::results::{self, Answered};
use super::wire::{Content, FunctionCall, OutPart, Written};
use super::{media, names, signature};

/// Stands for the user where there must be a turn and nothing is said.
const NOTHING: &str = " ";

/// The conversation so far.
pub(super) struct Turns<'a, 'l> {
    request: &'a Request,
    model: Model<'a>,
    losses: &'l mut Losses,
    instructions: Vec<Written<'a>>,
    spoken: Vec<Turn<'a>>,
}

#[derive(Default)]
struct Turn<'a> {
    is_of_model: bool,
    /// What functions answered, each with its place among the calls.
    results: Vec<(usize, Written<'a>)>,
    parts: Vec<Written<'a>>,
    /// The ids of the calls.
    calls: Vec<&'a str>,
}

impl<'a, 'l> Turns<'a, 'l> {
    /// The conversation of `request`.
    pub(super) fn of(request: &'a Request, model: Model<'a>, losses: &'l mut Losses) -> Result<Self, Unfit> {
        let mut turns = Self { request, model, losses, instructions: Vec::new(), spoken: Vec::new() };
        for message in &request.messages {
            if message.name.is_some() {
                turns.losses.add(format!("{}.name", message.at), "Gemini does not name speakers");
            }
            match message.role {
                Role::System => turns.instruct(message),
                Role::User => turns.user(message)?,
                Role::Assistant => turns.model(message)?,
            }
        }
        Ok(turns)
    }

    /// Adds an instruction of our own.
    pub(super) fn instruct_in_words(&mut self, words: String) {
        self.instructions.push(OutPart::text(words).into());
    }

    /// The `systemInstruction` and the `contents`.
    pub(super) fn finish(self) -> (Option<Content<'a>>, Vec<Content<'a>>) {
        let user = |parts| Content { parts, role: Some("user") };
        let mut contents = Vec::with_capacity(self.spoken.len() + 1);
        if self.spoken.first().is_none_or(|turn| turn.is_of_model) {
            let speakers = self.request.messages.iter().filter(|message| message.role != Role::System);
            if let Some(message) = speakers.chain(self.request.messages.last()).next() {
                let reason = "Gemini wants the user to speak first: a blank turn of the user is put in";
                self.losses.add(message.at.as_str(), reason);
            }
            contents.push(user(vec![OutPart::text(NOTHING).into()]));
        }
        for mut turn in self.spoken {
            turn.results.sort_by_key(|(place, _)| *place);
            let mut parts: Vec<_> = turn.results.into_iter().map(|(_, result)| result).collect();
            parts.append(&mut turn.parts);
            if turn.is_of_model {
                contents.push(Content { parts, role: Some("model") });
                continue;
            }
            if parts.is_empty() {
                parts.push(OutPart::text(NOTHING).into());
            }
            contents.push(user(parts));
        }
        let instructions = Content { parts: self.instructions, role: None };
        (Some(instructions).filter(|content| !content.parts.is_empty()), contents)
    }

    fn turn(&mut self, is_of_model: bool) -> &mut Turn<'a> {
        if self.spoken.last().is_none_or(|last| last.is_of_model != is_of_model) {
            self.spoken.push(Turn { is_of_model, ..Turn::default() });
        }
        self.spoken.last_mut().expect("one has just been made")
    }

    fn instruct(&mut self, message: &'a Message) {
        let texts = message.parts.iter().filter_map(|part| {
            let text = part.text();
            if text.is_none() {
                self.losses.add(part.at.as_str(), "Gemini takes only text as instructions");
            }
            text.map(|text| billing::without(message, text)).filter(|text| !text.is_empty())
        });
        let texts: Vec<&str> = texts.collect();
        if self.spoken.is_empty() {
            self.instructions.extend(texts.into_iter().map(|text| OutPart::text(text).into()));
        } else if !texts.is_empty() {
            let reason = "Gemini has instructions only at the beginning: told in place as the user's words";
            self.losses.add(message.at.as_str(), reason);
            let words = format!("<system>\n{}\n</system>", texts.join("\n"));
            self.turn(false).parts.push(OutPart::text(words).into());
        }
    }

    fn user(&mut self, message: &'a Message) -> Result<(), Unfit> {
        let mut parts = Vec::new();
        let mut answers = Vec::new();
        for part in &message.parts {
            match &part.kind {
                PartKind::ToolResult(result) => {
                    let place = self.place_of(&result.id);
                    let Answered { response, mut beside } =
                        results::written(result, &part.at, self.request, self.model, self.losses)?;
                    answers.push((place, response));
                    parts.append(&mut beside);
                }
                _ => self.plain(part, &mut parts)?,
            }
        }
        let turn = self.turn(false);
        turn.results.append(&mut answers);
        turn.parts.append(&mut parts);
        Ok(())
    }

    /// The place of the call `id` in the latest turn of the model.
    fn place_of(&self, id: &str) -> usize {
        let latest = self.spoken.iter().rev().find(|turn| turn.is_of_model);
        let place = latest.and_then(|turn| turn.calls.iter().position(|call| *call == id));
        place.unwrap_or(usize::MAX)
    }

    fn model(&mut self, message: &'a Message) -> Result<(), Unfit> {
        let mut parts = Vec::new();
        let mut calls = Vec::new();
        let has_called = self.spoken.last().is_some_and(|last| last.is_of_model && !last.calls.is_empty());
        let mut proof: Option<&'a Signature> = None;
        for (index, part) in message.parts.iter().enumerate() {
            let is_followed = message.parts.get(index + 1).is_some_and(takes_signature);
            match &part.kind {
                PartKind::Thinking { text, signature: Some(own) } if is_own(own) => {
                    if !is_followed {
                        parts.push(thought(text, own));
                        continue;
                    }
                    proof = Some(own);
                    if !text.is_empty() {
                        parts.push(OutPart::thought(text.as_str()).into());
                    }
                }
                PartKind::SealedThinking { data } if is_own(data) && is_followed => proof = Some(data),
                PartKind::SealedThinking { data } if is_own(data) => parts.push(thought("", data)),
                // Thoughts that Gemini did not sign are of no use to it.
                PartKind::Thinking { .. } | PartKind::SealedThinking { .. } => {}
                PartKind::ToolCall(call) => {
                    let is_first = !has_called && calls.is_empty();
                    let own = call.signature.as_ref().filter(|signature| is_own(signature)).or(proof.take());
                    parts.push(self.call(call, &part.at, own, is_first)?);
                    calls.push(call.id.as_str());
                }
                PartKind::Text { text, .. } if proof.is_some() => {
                    let thought_signature = proof.take().map(|own| own.data.as_str().into());
                    parts.push(OutPart { thought_signature, ..OutPart::text(text.as_str()) }.into());
                }
                _ => self.plain(part, &mut parts)?,
            }
        }
        if !parts.is_empty() {
            let turn = self.turn(true);
            turn.parts.append(&mut parts);
            turn.calls.append(&mut calls);
        }
        Ok(())
    }

    fn call(
        &self,
        call: &'a ToolCall,
        at: &str,
        own: Option<&'a Signature>,
        is_first: bool,
    ) -> Result<Written<'a>, Unfit> {
        let wrapped;
        let written = if call.is_custom {
            wrapped = custom_tools::wrapped(&call.arguments);
            wrapped.as_str()
        } else {
            &call.arguments
        };
        let args = arguments::mended(written).and_then(|text| Json::parse(&text));
        let args = args.ok_or_else(|| {
            Unfit::untranslatable(at, "has arguments that are no JSON object: Gemini takes nothing else")
        })?;
        let id = Some(call.id.as_str()).filter(|id| !id.is_empty()).map(Cow::Borrowed);
        let mut part = OutPart::call(FunctionCall { id, name: names::sent(&call.name), args });
        part.thought_signature = match own {
            Some(own) => Some(own.data.as_str().into()),
            None if is_first && self.model.wants_signatures() => Some(signature::SKIP.into()),
            None => None,
        };
        Ok(part.into())
    }

    /// Writes a part that both sides may say.
    fn plain(&mut self, part: &'a Part, parts: &mut Vec<Written<'a>>) -> Result<(), Unfit> {
        let (source, default_type) = match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal(text) => {
                if !text.is_empty() {
                    parts.push(OutPart::text(text.as_str()).into());
                }
                return Ok(());
            }
            PartKind::Foreign { raw, text, .. } => {
                match text {
                    _ if self.request.origin.dialect() == crate::Dialect::Gemini => {
                        parts.push(Written::Raw(raw.clone()));
                    }
                    Some(text) => parts.push(OutPart::text(text.as_str()).into()),
                    None => self.losses.add(part.at.as_str(), "Gemini has nothing like it"),
                }
                return Ok(());
            }
            PartKind::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.losses.add(part.at.as_str(), "Gemini chooses the detail of a picture itself");
                }
                (source, "image/jpeg")
            }
            PartKind::Audio { source } => (source, "audio/wav"),
            PartKind::Video { source } => (source, "video/mp4"),
            PartKind::Document { source, name, context, citations } => {
                if citations.as_ref().is_some_and(|setting| setting.as_str().contains("true")) {
                    self.losses.add(format!("{}.citations", part.at), "Gemini does not cite documents");
                }
                let about: Vec<&str> = [name, context].into_iter().flatten().map(String::as_str).collect();
                if !about.is_empty() {
                    parts.push(OutPart::text(about.join("\n")).into());
                }
                (source, "application/pdf")
            }
            PartKind::Thinking { .. }
            | PartKind::SealedThinking { .. }
            | PartKind::ToolCall(_)
            | PartKind::ToolResult(_) => {
                return Err(Unfit::bad(part.at.as_str(), "cannot stand in a message of this role"));
            }
        };
        let written = media::written(source, default_type).ok_or_else(|| {
            Unfit::untranslatable(part.at.as_str(), "is a file that was uploaded to another provider")
        })?;
        parts.push(written.into());
        Ok(())
    }
}

fn is_own(signature: &Signature) -> bool {
    signature.provider == Provider::Gemini
}

/// Whether the signature of the thoughts before it belongs on this part, as Gemini itself has it.
fn takes_signature(part: &Part) -> bool {
    match &part.kind {
        PartKind::Text { text, .. } => !text.is_empty(),
        PartKind::ToolCall(call) => call.signature.as_ref().is_none_or(|signature| !is_own(signature)),
        _ => false,
    }
}

/// Signed thoughts; without words, a part that only has the signature.
fn thought<'a>(text: &'a str, own: &'a Signature) -> Written<'a> {
    let mut part = if text.is_empty() { OutPart::text("") } else { OutPart::thought(text) };
    part.thought_signature = Some(own.data.as_str().into());
    part.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;
    use crate::hub::ToolResult;

    fn signed(provider: Provider) -> Signature {
        Signature { provider, data: "c2ln".to_owned() }
    }

    fn call(arguments: &str) -> PartKind {
        let (id, name) = ("1".to_owned(), "f".to_owned());
        PartKind::ToolCall(ToolCall {
            id,
            name,
            arguments: arguments.to_owned(),
            is_custom: false,
            signature: None,
        })
    }

    fn written(role: Role, kinds: Vec<PartKind>) -> Result<(String, String), String> {
        let mut request = Request::new(Endpoint::Messages);
        let begun = vec![Part::new("b", PartKind::plain("Hi"))];
        if role == Role::Assistant {
            request.messages.push(Message { role: Role::User, parts: begun, name: None, at: "b".to_owned() });
        }
        let parts = (0..).zip(kinds).map(|(index, kind)| Part::new(format!("p[{index}]"), kind)).collect();
        request.messages.push(Message { role, parts, name: None, at: "m".to_owned() });
        let mut losses = Losses::default();
        let turns = Turns::of(&request, Model::named("gemini-3-flash"), &mut losses);
        let (instructions, contents) = turns.map_err(|unfit| unfit.to_string())?.finish();
        let last = contents.last().or(instructions.as_ref()).expect("there always is a turn");
        let text = serde_json::to_string(&last.parts).expect("it is JSON");
        Ok((text, losses.header().unwrap_or_default()))
    }

    #[test]
    fn t87_a_seal_before_a_call_is_the_calls_signature() {
        let skip = r#"[{"functionCall":{"id":"1","name":"f","args":{}},"thoughtSignature":"skip_thought_signature_validator"}]"#;
        let own = skip.replace(signature::SKIP, "c2ln");
        for (before, expected) in [
            (PartKind::SealedThinking { data: signed(Provider::Gemini) }, own.as_str()),
            (PartKind::Thinking { text: String::new(), signature: Some(signed(Provider::Gemini)) }, &own),
            (PartKind::SealedThinking { data: signed(Provider::Anthropic) }, skip),
            (PartKind::Thinking { text: "t".to_owned(), signature: Some(signed(Provider::OpenAi)) }, skip),
            (PartKind::Thinking { text: "t".to_owned(), signature: None }, skip),
        ] {
            let (text, lost) = written(Role::Assistant, vec![before, call("")]).expect("it can be written");
            assert_eq!((text.as_str(), lost.as_str()), (expected, ""));
        }
        let alone = vec![PartKind::SealedThinking { data: signed(Provider::Gemini) }];
        let (text, _) = written(Role::Assistant, alone).expect("it can be written");
        assert_eq!(text, r#"[{"text":"","thoughtSignature":"c2ln"}]"#);
    }

    #[test]
    fn tq_12_arguments_that_are_no_object_are_refused_with_their_place() {
        let refused = written(Role::Assistant, vec![PartKind::plain("x"), call("[1]")]);
        assert!(
            refused.is_err_and(|message| message.starts_with("p[1] has arguments that are no JSON object"))
        );
    }

    #[test]
    fn what_only_another_dialect_has_is_told_in_words_or_named() {
        let foreign = |text: Option<&str>| PartKind::Foreign {
            kind: "server_tool_use".to_owned(),
            raw: Json::empty_object(),
            text: text.map(str::to_owned),
        };
        let kinds = vec![foreign(Some("Searched.")), foreign(None)];
        let expected =
            (r#"[{"text":"Searched."}]"#.to_owned(), "p[1]: Gemini has nothing like it".to_owned());
        assert_eq!(written(Role::User, kinds), Ok(expected));
    }

    #[test]
    fn tr_05_documents_of_text_become_text_with_what_is_said_of_them() {
        let document = PartKind::Document {
            source: crate::hub::Source::Text("Body.".to_owned()),
            name: Some("a.txt".to_owned()),
            context: Some("Old.".to_owned()),
            citations: Json::parse(r#"{"enabled":true}"#),
        };
        let (text, lost) = written(Role::User, vec![document]).expect("it can be written");
        assert_eq!(text, r#"[{"text":"a.txt\nOld."},{"text":"Body."}]"#);
        assert!(lost.starts_with("p[0].citations: "));
    }

    #[test]
    fn an_answer_to_a_call_that_is_not_there_takes_its_own_name_or_is_refused() {
        let result = |name: Option<&str>| {
            let (id, name) = ("9".to_owned(), name.map(str::to_owned));
            vec![PartKind::ToolResult(ToolResult { id, name, parts: Vec::new(), is_error: false })]
        };
        let expected = r#"[{"functionResponse":{"id":"9","name":"f","response":{"result":""}}}]"#;
        assert_eq!(written(Role::User, result(Some("f"))), Ok((expected.to_owned(), String::new())));
        assert!(
            written(Role::User, result(None))
                .is_err_and(|message| message.starts_with("p[0] answers a call"))
        );
    }
}
