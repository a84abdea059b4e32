//! What a backend answers: the lines of a stream, and whole answers, which are one such line.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Endpoint;
use crate::fault;
use crate::hub::{
    Answer, Beginning, CallPiece, Choice, Delta, Finish, Json, Part, PartKind, Reader, Reason, ToolCall,
    Usage, arguments, ids,
};
use crate::watch::BackendError;

use super::moment;

/// A reader of a backend's stream.
pub(crate) fn reader(_called: Endpoint) -> Box<dyn Reader> {
    Box::new(Lines::default())
}

/// A line of `/api/chat` or `/api/generate`.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    model: Option<Words<'a>>,
    #[serde(borrow)]
    created_at: Option<Words<'a>>,
    #[serde(borrow)]
    message: Option<Said<'a>>,
    #[serde(borrow)]
    response: Option<Words<'a>>,
    #[serde(borrow)]
    thinking: Option<Words<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Called<'a>>>,
    done: Option<bool>,
    #[serde(borrow)]
    done_reason: Option<Words<'a>>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Text that is borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Words<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    content: Option<Words<'a>>,
    #[serde(borrow)]
    thinking: Option<Words<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Called<'a>>>,
}

#[derive(Deserialize)]
struct Called<'a> {
    #[serde(borrow)]
    id: Option<Words<'a>>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Words<'a>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// What a line says, whichever of the two operations it comes from.
struct Spoken<'a> {
    thinking: Option<Words<'a>>,
    text: Option<Words<'a>>,
    calls: Vec<Called<'a>>,
}

impl<'a> Chunk<'a> {
    fn words(&mut self) -> Spoken<'a> {
        let (response, thinking, calls) =
            (self.response.take(), self.thinking.take(), self.tool_calls.take());
        match self.message.take() {
            Some(said) => Spoken {
                thinking: said.thinking.or(thinking),
                text: said.content.or(response),
                calls: said.tool_calls.or(calls).unwrap_or_default(),
            },
            None => Spoken { thinking, text: response, calls: calls.unwrap_or_default() },
        }
    }

    fn beginning(&mut self) -> Beginning {
        Beginning {
            id: None,
            model: self.model.take().map(|model| model.0.into_owned()),
            created: self.created_at.as_ref().and_then(|time| moment::read(&time.0)),
            service_tier: None,
        }
    }

    fn usage(&self) -> Usage {
        Usage { input_tokens: self.prompt_eval_count, output_tokens: self.eval_count, ..Usage::default() }
    }

    fn finish(&self) -> Finish {
        Finish::because(match self.done_reason.as_ref().map(|reason| &*reason.0) {
            Some("stop" | "load" | "unload") => Reason::Stop,
            Some("length") => Reason::Length,
            _ => Reason::Unknown,
        })
    }

    /// The tokens' chances as OpenAI writes them: Ollama has the list alone.
    fn logprobs(&self) -> Option<Json> {
        let list = self.logprobs.filter(|list| list.get().starts_with('[') && list.get() != "[]")?;
        Json::parse(&format!("{{\"content\":{},\"refusal\":null}}", list.get()))
    }
}

fn no_json(error: &serde_json::Error) -> BackendError {
    BackendError { message: format!("sent what is no answer of Ollama's: {error}"), status: None }
}

/// Reads a stream.
#[derive(Default)]
struct Lines {
    has_begun: bool,
    calls: u32,
    is_over: bool,
}

impl Reader for Lines {
    fn read(&mut self, _name: &[u8], data: &[u8], sink: &mut dyn FnMut(Delta<'_>)) {
        if self.is_over {
            return;
        }
        let mut chunk: Chunk<'_> = match serde_json::from_slice(data) {
            Ok(chunk) => chunk,
            Err(error) => return sink(Delta::Error(no_json(&error))),
        };
        if chunk.error.is_some()
            && let Some(error) = fault::told_in(data)
        {
            return sink(Delta::Error(error));
        }
        if !self.has_begun {
            self.has_begun = true;
            sink(Delta::Begin(chunk.beginning()));
        }
        let Spoken { thinking, text, calls } = chunk.words();
        if let Some(Words(text)) = thinking {
            sink(Delta::Thinking { choice: 0, text });
        }
        if let Some(Words(text)) = text {
            sink(Delta::Text { choice: 0, text });
        }
        for Called { id, function } in calls {
            let arguments = function.arguments.map_or("", RawValue::get);
            let piece = CallPiece {
                id: id.map(|id| id.0).filter(|id| !id.is_empty()),
                name: Some(function.name.0),
                arguments: arguments.into(),
                is_whole: true,
                ..CallPiece::default()
            };
            // Calls come whole; the index in them starts again in each line of some versions.
            sink(Delta::ToolCall { choice: 0, index: self.calls, piece });
            self.calls += 1;
        }
        if let Some(logprobs) = chunk.logprobs()
            && let Ok(value) = serde_json::from_str(logprobs.as_str())
        {
            sink(Delta::Logprobs { choice: 0, value });
        }
        if chunk.done == Some(true) {
            self.is_over = true;
            sink(Delta::Usage(chunk.usage()));
            sink(Delta::Finish { choice: 0, finish: chunk.finish() });
            sink(Delta::End);
        }
    }

    /// The last line says that it is the last: a stream without it is cut off.
    fn finish(&mut self, _sink: &mut dyn FnMut(Delta<'_>)) {}
}

/// Reads a backend's whole answer. A server that streams although it was told not to is understood.
pub(crate) fn read_answer(_called: Endpoint, body: &[u8]) -> Result<Answer, BackendError> {
    let mut answer = Answer::default();
    let mut whole = Whole::default();
    for chunk in serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>() {
        let line = chunk.map_err(|error| no_json(&error))?.get();
        let mut chunk: Chunk<'_> = serde_json::from_str(line).map_err(|error| no_json(&error))?;
        if chunk.error.is_some()
            && let Some(error) = fault::told_in(line.as_bytes())
        {
            return Err(error);
        }
        let Beginning { model, created, .. } = chunk.beginning();
        answer.model = answer.model.or(model);
        answer.created = answer.created.or(created);
        whole.add(&mut chunk);
        if chunk.done == Some(true) {
            answer.usage = chunk.usage();
            answer.choices.push(whole.choice(chunk.finish())?);
            return Ok(answer);
        }
    }
    Err(BackendError { message: "the answer is not complete".to_owned(), status: None })
}

/// A whole answer that is being put together.
#[derive(Default)]
struct Whole {
    thinking: String,
    text: String,
    /// Id, name, and arguments as written.
    calls: Vec<(String, String, String)>,
    logprobs: Vec<Box<RawValue>>,
}

impl Whole {
    fn add(&mut self, chunk: &mut Chunk<'_>) {
        let Spoken { thinking, text, calls } = chunk.words();
        self.thinking.push_str(thinking.as_ref().map_or("", |words| &words.0));
        self.text.push_str(text.as_ref().map_or("", |words| &words.0));
        for Called { id, function } in calls {
            let id = id.map(|id| id.0.into_owned()).unwrap_or_default();
            let arguments = function.arguments.map_or("", RawValue::get).to_owned();
            self.calls.push((id, function.name.0.into_owned(), arguments));
        }
        let list =
            chunk.logprobs.and_then(|list| serde_json::from_str::<Vec<Box<RawValue>>>(list.get()).ok());
        self.logprobs.extend(list.unwrap_or_default());
    }

    fn choice(self, finish: Finish) -> Result<Choice, BackendError> {
        let Self { thinking, text, calls, logprobs } = self;
        let mut choice = Choice { finish, ..Choice::default() };
        if !thinking.is_empty() {
            choice.parts.push(Part::answered(PartKind::Thinking { text: thinking, signature: None }));
        }
        if !text.is_empty() {
            choice.parts.push(Part::answered(PartKind::plain(text)));
        }
        for (index, (id, name, written)) in calls.into_iter().enumerate() {
            let arguments = match arguments::mended(&written) {
                Some(arguments) => arguments.into_owned(),
                None if choice.finish.is_cut() => written,
                None => {
                    let message = format!("the model called {name:?} with arguments that are not JSON");
                    return Err(BackendError { message, status: None });
                }
            };
            let id = if id.is_empty() { ids::made("call_", &name, index) } else { id };
            let call = ToolCall { id, name, arguments, is_custom: false, signature: None };
            choice.parts.push(Part::answered(PartKind::ToolCall(call)));
        }
        if !logprobs.is_empty() {
            choice.logprobs = Some(Json::of(&serde_json::json!({ "content": logprobs, "refusal": null })));
        }
        choice.settle();
        Ok(choice)
    }
}
