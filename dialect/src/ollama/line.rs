//! What a client gets: lines of JSON, of which the last one says so; a whole answer is that last line alone.
//!
//! Calls of tools are told whole, with their arguments as an object. Times that only Ollama itself could measure are
//! 0. Signatures and sealed thoughts have no place here and are left out; Ollama has one answer, so others are too.

use serde::Serialize;

use crate::Endpoint;
use crate::hub::{
    Answer, Block, Event, Finish, Json, Part, PartKind, Reason, Request, Source, ToolCall, Usage, Writer,
};
use crate::translate::Terms;

use super::client_request::only_loads;
use super::moment;
use super::turn::Call;

/// A writer of a client's stream.
pub(crate) fn writer(request: &Request, terms: &Terms) -> Box<dyn Writer> {
    Box::new(Lines {
        head: Head::new(request, terms),
        open: Open::Text,
        call: Pending::default(),
        calls: 0,
        reason: "stop",
    })
}

/// Writes a whole answer to a client.
pub(crate) fn write_answer(answer: &Answer, request: &Request, terms: &Terms) -> Vec<u8> {
    let mut head = Head::new(request, terms);
    head.answered_by(answer.model.as_deref());
    let mut said = Said::default();
    let mut logprobs = None;
    let mut reason = "stop";
    if let Some(choice) = answer.choices.first() {
        for part in &choice.parts {
            said.add(part);
        }
        logprobs = choice.logprobs.as_ref().and_then(list);
        reason = word(&choice.finish);
    }
    if head.only_loads {
        (said, logprobs) = (Said::default(), None);
    }
    let mut out = Vec::new();
    head.line(said, logprobs, Some(End::new(head.reason(reason), &answer.usage)), &mut out);
    out.pop();
    out
}

/// What is the same in every line.
struct Head {
    model: String,
    created_at: String,
    /// A line as far as its text: nearly every line of a stream is only text.
    before_text: Vec<u8>,
    is_chat: bool,
    only_loads: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    created_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Json>,
    done: bool,
    #[serde(flatten)]
    end: Option<End>,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    #[serde(flatten)]
    said: Said,
}

/// What a line says.
#[derive(Default, Serialize)]
struct Said {
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thinking: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

impl Said {
    fn add(&mut self, part: &Part) {
        match &part.kind {
            PartKind::Text { text, .. }
            | PartKind::Refusal(text)
            | PartKind::Foreign { text: Some(text), .. } => {
                self.content.push_str(text);
            }
            PartKind::Thinking { text, .. } => self.thinking.push_str(text),
            PartKind::Image { source: Source::Base64 { data, .. }, .. } => self.images.push(data.clone()),
            PartKind::Image { source: Source::Url { url, .. }, .. } => self.content.push_str(url),
            PartKind::ToolCall(ToolCall { id, name, arguments, is_custom, .. }) => {
                self.tool_calls.extend(Call::new(self.tool_calls.len(), id, name, arguments, *is_custom));
            }
            _ => {}
        }
    }
}

/// What the last line tells beside.
#[derive(Serialize)]
struct End {
    done_reason: &'static str,
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u64,
    prompt_eval_duration: u64,
    eval_count: u64,
    eval_duration: u64,
}

impl End {
    fn new(done_reason: &'static str, usage: &Usage) -> Self {
        Self {
            done_reason,
            total_duration: 0,
            load_duration: 0,
            prompt_eval_count: usage.input_tokens.unwrap_or(0),
            prompt_eval_duration: 0,
            eval_count: usage.output_tokens.unwrap_or(0),
            eval_duration: 0,
        }
    }
}

/// Ollama's word for how an answer ended.
fn word(finish: &Finish) -> &'static str {
    match finish.reason {
        Reason::Length | Reason::ContextFull => "length",
        _ => "stop",
    }
}

/// Ollama has the list of the tokens' chances alone.
fn list(logprobs: &Json) -> Option<Json> {
    let content = logprobs.to_value().get_mut("content")?.take();
    content.as_array().is_some_and(|list| !list.is_empty()).then(|| Json::of(&content))
}

impl Head {
    fn new(request: &Request, terms: &Terms) -> Self {
        let mut head = Self {
            model: request.model.clone(),
            created_at: moment::written(terms.now),
            before_text: Vec::new(),
            is_chat: request.origin != Endpoint::OllamaGenerate,
            only_loads: only_loads(request),
        };
        head.answered_by(None);
        head
    }

    /// The model is called as the backend calls it, if it says.
    fn answered_by(&mut self, model: Option<&str>) {
        if let Some(model) = model {
            model.clone_into(&mut self.model);
        }
        let model = Json::of(&self.model);
        let before =
            if self.is_chat { r#""message":{"role":"assistant","content":"# } else { r#""response":"# };
        let text = format!(r#"{{"model":{},"created_at":"{}",{before}"#, model.as_str(), self.created_at);
        self.before_text = text.into_bytes();
    }

    /// A line that is only text.
    fn text(&self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before_text);
        serde_json::to_writer(&mut *out, text).expect("a string is always JSON");
        let after: &[u8] = if self.is_chat { b"},\"done\":false}\n" } else { b",\"done\":false}\n" };
        out.extend_from_slice(after);
    }

    fn reason(&self, reason: &'static str) -> &'static str {
        if self.only_loads { "load" } else { reason }
    }

    fn line(&self, said: Said, logprobs: Option<Json>, end: Option<End>, out: &mut Vec<u8>) {
        let Self { model, created_at, .. } = self;
        let done = end.is_some();
        let mut line =
            Line { model, created_at, message: None, response: None, thinking: None, logprobs, done, end };
        if self.is_chat {
            line.message = Some(Message { role: "assistant", said });
        } else {
            line.thinking = Some(said.thinking).filter(|text| !text.is_empty());
            line.response = Some(said.content);
        }
        serde_json::to_writer(&mut *out, &line).expect("our own types are always JSON");
        out.push(b'\n');
    }
}

/// Writes a stream.
struct Lines {
    head: Head,
    open: Open,
    call: Pending,
    calls: usize,
    reason: &'static str,
}

/// What is being told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Call,
}

/// A call whose arguments are coming.
#[derive(Default)]
struct Pending {
    id: String,
    name: String,
    arguments: String,
    is_custom: bool,
}

impl Lines {
    fn say(&self, said: Said, out: &mut Vec<u8>) {
        if !self.head.only_loads {
            self.head.line(said, None, None, out);
        }
    }

    fn open(&mut self, block: Block<'_>) {
        self.open = match block {
            Block::Text | Block::Refusal => Open::Text,
            Block::Thinking => Open::Thinking,
            Block::ToolCall { id, name, is_custom, .. } => {
                let (id, name) = (id.to_owned(), name.to_owned());
                self.call = Pending { id, name, arguments: String::new(), is_custom };
                Open::Call
            }
        };
    }

    fn piece(&mut self, text: &str, out: &mut Vec<u8>) {
        match self.open {
            Open::Text if self.head.only_loads => {}
            Open::Text => self.head.text(text, out),
            Open::Thinking => self.say(Said { thinking: text.to_owned(), ..Said::default() }, out),
            Open::Call => self.call.arguments.push_str(text),
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open != Open::Call {
            return;
        }
        self.open = Open::Text;
        let Pending { id, name, arguments, is_custom } = std::mem::take(&mut self.call);
        // A call that the limit of tokens cut off is none; `done_reason` says why it is missing.
        if let Some(call) = Call::new(self.calls, &id, &name, &arguments, is_custom) {
            self.calls += 1;
            self.say(Said { tool_calls: vec![call], ..Said::default() }, out);
        }
    }
}

impl Writer for Lines {
    fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Begin(beginning, _) => self.head.answered_by(beginning.model.as_deref()),
            Event::Open { choice: 0, block } => self.open(block),
            Event::Piece { choice: 0, text } => self.piece(text, out),
            Event::Close { choice: 0 } => self.close(out),
            Event::Part { choice: 0, part } => {
                let mut said = Said::default();
                said.add(part);
                if !said.content.is_empty() || !said.images.is_empty() {
                    self.say(said, out);
                }
            }
            Event::Logprobs { choice: 0, value } if !self.head.only_loads => {
                if let Some(list) = list(&Json::from(value)) {
                    self.head.line(Said::default(), Some(list), None, out);
                }
            }
            Event::Finish { choice: 0, finish } => self.reason = word(finish),
            Event::End(usage) => {
                let end = End::new(self.head.reason(self.reason), usage);
                self.head.line(Said::default(), None, Some(end), out);
            }
            _ => {}
        }
    }
}
