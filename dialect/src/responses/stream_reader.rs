//! A backend's stream.
//!
//! Servers leave out what they please: items that are never announced, pieces that never come, a whole answer told only in
//! the last event. So whatever a later event tells again is compared with what has been told, and only the rest of it
//! goes on. The stream is complete when the response's last event has come.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::{CallPiece, Delta, Json, Reader};
use crate::hub::{Finish, PartKind, Reason};
use crate::watch::BackendError;

use super::answer_reader::{Arguments, Item, Response, failure};
use super::{seal, usage};

/// Reads one stream.
#[derive(Default)]
pub(super) struct StreamReader {
    items: Vec<Known>,
    /// The item that was told last, by its place.
    current: Option<u32>,
    is_over: bool,
}

/// What is known of an item.
#[derive(Default)]
struct Known {
    place: u32,
    id: String,
    /// How much of its text, thoughts, or arguments has been told, in bytes.
    told: usize,
    /// The same of a refusal.
    refused: usize,
    /// Whether the thoughts told are the summary; once one form has come the other is passed over.
    is_summary: Option<bool>,
    /// The part of the summary that was told last.
    part: u32,
    is_custom: bool,
    is_done: bool,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
    output_index: Option<u32>,
    summary_index: Option<u32>,
    #[serde(borrow)]
    delta: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<Text<'a>>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

type Sink<'s> = dyn FnMut(Delta<'_>) + 's;

impl Reader for StreamReader {
    fn read(&mut self, name: &[u8], data: &[u8], sink: &mut dyn FnMut(Delta<'_>)) {
        if self.is_over || data.trim_ascii() == b"[DONE]" {
            return;
        }
        match serde_json::from_slice::<Wire<'_>>(data) {
            Ok(wire) => {
                let kind = wire
                    .r#type
                    .as_ref()
                    .map_or_else(|| String::from_utf8_lossy(name), |kind| Cow::Borrowed(&*kind.0));
                self.event(&kind, &wire, data, sink);
            }
            Err(_) if name == b"error" => {
                self.is_over = true;
                sink(Delta::Error(failure(data)));
            }
            // An event of a kind that we do not know may have other members by these names.
            Err(_) if is_unknown(data) => {}
            Err(error) => {
                let message = format!("sent an event that makes no sense: {error}");
                sink(Delta::Error(BackendError { message, status: None }));
            }
        }
    }

    fn finish(&mut self, _sink: &mut dyn FnMut(Delta<'_>)) {}
}

/// Whether `data` is an object that none of the events we read is.
fn is_unknown(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        r#type: Option<Text<'a>>,
    }
    const KNOWN: [&str; 6] = [
        "response.output_text",
        "response.output_item",
        "response.reasoning",
        "response.refusal",
        "response.function_call",
        "response.custom_tool",
    ];
    let kind = serde_json::from_slice::<Kind<'_>>(data).ok().and_then(|kind| kind.r#type);
    kind.is_some_and(|kind| KNOWN.iter().all(|known| !kind.0.starts_with(known)))
}

impl StreamReader {
    fn event(&mut self, kind: &str, wire: &Wire<'_>, data: &[u8], sink: &mut Sink<'_>) {
        let place = wire.output_index.or(self.current).unwrap_or(0);
        let delta = wire.delta.as_ref().map_or("", |text| &text.0);
        let whole = |text: &Option<Text<'_>>| {
            text.as_ref().map_or_else(String::new, |text| text.0.clone().into_owned())
        };
        match kind {
            "response.output_text.delta" => {
                self.said(place, delta, sink);
                weigh(wire.logprobs, sink);
            }
            "response.output_text.done" => self.rest_of_text(place, &whole(&wire.text), sink),
            "response.refusal.delta" => self.refused(place, delta, sink),
            "response.refusal.done" => self.rest_of_refusal(place, &whole(&wire.refusal), sink),
            "response.reasoning_summary_text.delta" => {
                self.thought(place, wire.summary_index, delta, sink);
            }
            "response.reasoning_text.delta" | "response.reasoning.delta" => {
                self.thought(place, None, delta, sink);
            }
            "response.function_call_arguments.delta" => self.argued(place, delta, sink),
            "response.function_call_arguments.done" => {
                self.rest_of_arguments(place, &whole(&wire.arguments), sink);
            }
            "response.custom_tool_call_input.delta" => {
                self.known(place).is_custom = true;
                self.argued(place, delta, sink);
            }
            "response.custom_tool_call_input.done" => {
                self.known(place).is_custom = true;
                self.rest_of_arguments(place, &whole(&wire.input), sink);
            }
            "response.output_item.added" => self.item(place, wire.item, false, sink),
            "response.output_item.done" => self.item(place, wire.item, true, sink),
            "response.created" | "response.in_progress" | "response.queued" => {
                if let Some(response) = response(wire) {
                    sink(Delta::Begin(response.beginning()));
                }
            }
            "response.completed" | "response.incomplete" | "response.done" => self.end(kind, wire, sink),
            "response.failed" | "response.cancelled" => self.fail(wire, data, sink),
            "error" => {
                self.is_over = true;
                sink(Delta::Error(failure(data)));
            }
            // Most of the rest repeats, or tells of work that goes on.
            _ if kind.starts_with("response.") => {}
            _ => {
                if let Some(error) = crate::fault::told_in(data) {
                    self.is_over = true;
                    sink(Delta::Error(error));
                }
            }
        }
    }

    fn known(&mut self, place: u32) -> &mut Known {
        let known = self.items.iter().rposition(|item| item.place == place);
        let index = known.unwrap_or(self.items.len());
        if known.is_none() {
            self.items.push(Known { place, ..Known::default() });
        }
        self.current = Some(place);
        &mut self.items[index]
    }

    fn said(&mut self, place: u32, text: &str, sink: &mut Sink<'_>) {
        self.known(place).told += text.len();
        sink(Delta::Text { choice: 0, text: Cow::Borrowed(text) });
    }

    fn refused(&mut self, place: u32, text: &str, sink: &mut Sink<'_>) {
        self.known(place).refused += text.len();
        sink(Delta::Refusal { choice: 0, text: Cow::Borrowed(text) });
    }

    fn thought(&mut self, place: u32, summary: Option<u32>, text: &str, sink: &mut Sink<'_>) {
        let known = self.known(place);
        if *known.is_summary.get_or_insert(summary.is_some()) != summary.is_some() {
            return;
        }
        let part = summary.unwrap_or(0);
        let is_next = part != known.part && known.told > 0;
        known.part = part;
        known.told += text.len();
        if is_next {
            sink(Delta::Thinking { choice: 0, text: Cow::Borrowed("\n\n") });
        }
        sink(Delta::Thinking { choice: 0, text: Cow::Borrowed(text) });
    }

    fn argued(&mut self, place: u32, text: &str, sink: &mut Sink<'_>) {
        let known = self.known(place);
        known.told += text.len();
        let piece =
            CallPiece { arguments: Cow::Borrowed(text), is_custom: known.is_custom, ..CallPiece::default() };
        sink(Delta::ToolCall { choice: 0, index: place, piece });
    }

    /// A text of a message that is whole. Only one that no piece of came is told: a message may have several.
    fn rest_of_text(&mut self, place: u32, whole: &str, sink: &mut Sink<'_>) {
        if self.known(place).told == 0 {
            self.said(place, whole, sink);
        }
    }

    fn rest_of_refusal(&mut self, place: u32, whole: &str, sink: &mut Sink<'_>) {
        if self.known(place).refused == 0 {
            self.refused(place, whole, sink);
        }
    }

    fn rest_of_arguments(&mut self, place: u32, whole: &str, sink: &mut Sink<'_>) {
        let known = self.known(place);
        let rest = whole.get(known.told..).unwrap_or_default();
        known.told += rest.len();
        let is_custom = known.is_custom;
        let piece =
            CallPiece { arguments: Cow::Borrowed(rest), is_custom, is_whole: true, ..CallPiece::default() };
        sink(Delta::ToolCall { choice: 0, index: place, piece });
    }

    /// An item that begins or is done.
    fn item(&mut self, place: u32, raw: Option<&RawValue>, is_done: bool, sink: &mut Sink<'_>) {
        let Some(raw) = raw else { return };
        let item = match Item::read(raw) {
            Ok(item) => item,
            Err(error) => return sink(Delta::Error(error)),
        };
        let was_current = self.current == Some(place);
        let known = self.known(place);
        if known.is_done {
            return;
        }
        known.is_done = is_done;
        if let Some(id) = &item.id {
            known.id.clone_from(id);
        }
        match item.r#type.as_str() {
            "message" if is_done => {
                self.rest_of_message(place, &item, sink);
                if was_current {
                    sink(Delta::Over { choice: 0 });
                }
            }
            "reasoning" if is_done => self.rest_of_thoughts(place, &item, was_current, sink),
            "message" | "reasoning" => {}
            "function_call" | "custom_tool_call" => self.call(place, item, is_done, sink),
            _ if is_done => {
                if let Some(part) = item.built_in(raw) {
                    sink(Delta::Part { choice: 0, part });
                }
            }
            _ => {}
        }
    }

    fn rest_of_message(&mut self, place: u32, item: &Item, sink: &mut Sink<'_>) {
        let (text, refusal) = (item.text(), item.refusal());
        let known = self.known(place);
        let (told, refused) = (known.told, known.refused);
        if let Some(rest) = text.get(told..).filter(|rest| !rest.is_empty()) {
            self.said(place, rest, sink);
        }
        if let Some(rest) = refusal.get(refused..).filter(|rest| !rest.is_empty()) {
            self.refused(place, rest, sink);
        }
    }

    fn rest_of_thoughts(&mut self, place: u32, item: &Item, was_current: bool, sink: &mut Sink<'_>) {
        let is_untold = self.known(place).told == 0;
        if is_untold {
            let text = item.text();
            self.known(place).told = text.len();
            sink(Delta::Thinking { choice: 0, text: Cow::Owned(text) });
        }
        if !was_current && !is_untold {
            return;
        }
        match seal::read(String::new(), item.encrypted_content.as_deref()) {
            PartKind::Thinking { signature: Some(signature), .. } => {
                sink(Delta::ThinkingSignature { choice: 0, signature });
            }
            PartKind::SealedThinking { data } => {
                let part = crate::hub::Part::answered(PartKind::SealedThinking { data });
                sink(Delta::Part { choice: 0, part });
            }
            _ => {}
        }
        sink(Delta::Over { choice: 0 });
    }

    fn call(&mut self, place: u32, item: Item, is_done: bool, sink: &mut Sink<'_>) {
        let is_custom = item.r#type == "custom_tool_call";
        let (id, name) = (item.id_of_call(), item.tool_name());
        let whole = match item.arguments {
            Some(arguments) => Arguments::into_text(arguments),
            None => item.input.unwrap_or_default(),
        };
        let known = self.known(place);
        known.is_custom = is_custom;
        let rest = whole.get(known.told..).unwrap_or_default();
        known.told += rest.len();
        let piece = CallPiece {
            id: id.map(Cow::Owned),
            name: name.map(Cow::Owned),
            arguments: Cow::Borrowed(rest),
            is_custom,
            is_whole: is_done,
            signature: None,
        };
        sink(Delta::ToolCall { choice: 0, index: place, piece });
        // The end of a function's arguments is seen by themselves; of free text only by this.
        if is_done && is_custom {
            sink(Delta::Over { choice: 0 });
        }
    }

    fn end(&mut self, kind: &str, wire: &Wire<'_>, sink: &mut Sink<'_>) {
        let mut finish = Finish::because(Reason::Stop);
        if let Some(response) = response(wire) {
            sink(Delta::Begin(response.beginning()));
            self.rest_of_output(response.output.as_deref().unwrap_or_default(), sink);
            if let Some(counts) = response.usage {
                sink(Delta::Usage(usage::read(counts)));
            }
            finish = response.finish();
        }
        if kind == "response.incomplete" && finish.reason == Reason::Stop {
            finish.reason = Reason::Length;
        }
        self.is_over = true;
        sink(Delta::Finish { choice: 0, finish });
        sink(Delta::End);
    }

    /// Tells the items of which nothing has come before. Their places may be counted otherwise than in the events.
    fn rest_of_output(&mut self, output: &[&RawValue], sink: &mut Sink<'_>) {
        let is_silent = self.items.is_empty();
        for (place, raw) in (0..).zip(output) {
            let id = Item::read(raw).ok().and_then(|item| item.id).unwrap_or_default();
            let is_new =
                !id.is_empty() && self.items.iter().all(|known| known.place != place && known.id != id);
            if is_silent || is_new {
                self.item(place, Some(raw), true, sink);
            }
        }
    }

    fn fail(&mut self, wire: &Wire<'_>, data: &[u8], sink: &mut Sink<'_>) {
        self.is_over = true;
        let told = response(wire);
        if let Some(counts) = told.as_ref().and_then(|response| response.usage) {
            sink(Delta::Usage(usage::read(counts)));
        }
        let whole = wire.response.map_or(data, |response| response.get().as_bytes());
        let error = told.and_then(|response| response.failure(whole)).unwrap_or_else(|| failure(whole));
        sink(Delta::Error(error));
    }
}

fn response<'a>(wire: &Wire<'a>) -> Option<Response<'a>> {
    serde_json::from_str(wire.response?.get()).ok()
}

/// Passes on how likely the tokens of a piece were, as OpenAI's other API writes it.
fn weigh(logprobs: Option<&RawValue>, sink: &mut Sink<'_>) {
    #[derive(serde::Serialize)]
    struct Told<'a> {
        content: &'a RawValue,
        refusal: Option<()>,
    }
    let Some(content) = logprobs.filter(|list| list.get().len() > 2 && list.get() != "null") else { return };
    let told = Json::of(&Told { content, refusal: None });
    if let Ok(value) = serde_json::from_str::<&RawValue>(told.as_str()) {
        sink(Delta::Logprobs { choice: 0, value });
    }
}
