//! From one dialect into another: a request on its way to a backend, and everything that comes back.
//!
//! A request that the backend speaks already is never brought here: its bytes go through as they are. A
//! [`Translator`] belongs to one attempt and is fed with the answer's bytes, however they are cut.

use crate::framing::Unframer;
use crate::hub::{EmbedRequest, Losses, Reader, Request, Reversal, Unfit, Weaver, Writer, defaults, pairs};
use crate::watch::BackendError;
use crate::{Dialect, Endpoint, Framing, Task, Usage, anthropic, gemini, ollama, openai, responses};

/// What kind of server the backend is, where servers of one dialect differ in what they take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The provider that made the dialect: it takes all of it, and nothing else.
    Provider,
    /// LM Studio.
    LmStudio,
    /// Ollama.
    Ollama,
    /// llama.cpp's server.
    LlamaCpp,
    /// vLLM.
    Vllm,
    /// Some other server that speaks the dialect.
    Other,
}

impl Engine {
    /// Whether it runs models of one's own: then it takes the engines' parameters (`top_k`, `min_p`, `repeat_penalty`) beside
    /// the dialect's.
    pub fn is_local(self) -> bool {
        matches!(self, Self::LmStudio | Self::Ollama | Self::LlamaCpp | Self::Vllm)
    }
}

/// What is done with `response_format` on its way to a backend that speaks OpenAI chat (`compat.response_format_mode`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormatMode {
    /// Nothing.
    #[default]
    Passthrough,
    /// `json_object` becomes a `json_schema` that any object fits.
    NormalizeJsonObject,
    /// `json_object` is refused.
    StrictReject,
}

/// The terms of one translation.
#[derive(Clone, PartialEq, Debug)]
pub struct Terms {
    /// The backend's name for the model.
    pub model: String,
    /// What kind of server it is.
    pub engine: Engine,
    /// Whether a request that cannot be carried whole is refused.
    pub is_strict: bool,
    /// Whether members that nobody knows are passed on under their names to backends that may know them.
    pub pass_unknown: bool,
    /// What is done with `response_format`.
    pub format_mode: FormatMode,
    /// The limit of tokens where the backend wants one and the client says none.
    pub max_tokens: u64,
    /// The request's label; ids are made from it.
    pub label: String,
    /// The time, in seconds since 1970.
    pub now: i64,
    /// How a stream to the client is framed.
    pub framing: Framing,
}

/// How a request gets to a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// As it is.
    Straight,
    /// Translated into this dialect.
    Through(Dialect),
}

/// How a request to `endpoint` gets to a backend that speaks `spoken`, the dialect it knows best first; `None`: not at
/// all.
pub fn way(endpoint: Endpoint, spoken: &[Dialect]) -> Option<Way> {
    if spoken.contains(&endpoint.dialect()) || endpoint == Endpoint::Native {
        return Some(Way::Straight);
    }
    let reached = spoken.iter().copied().find(|dialect| endpoint.task().can_be_done_in(*dialect));
    reached.map(Way::Through)
}

/// A request in the backend's dialect.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sent {
    /// Which operation is called.
    pub(crate) endpoint: Endpoint,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Headers that the body needs, for example `anthropic-beta`.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// What is to be changed back in the answer.
    pub(crate) reversal: Reversal,
}

impl Sent {
    /// A call of `endpoint` with `body`.
    pub(crate) fn new(endpoint: Endpoint, body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("our own types are always JSON");
        Self { endpoint, body, headers: Vec::new(), reversal: Reversal::default() }
    }
}

/// A translated request.
pub struct Translation {
    /// Which operation of the backend is called; its path follows from it.
    pub endpoint: Endpoint,
    /// The body to send.
    pub body: Vec<u8>,
    /// Headers to send beside those that every call has.
    pub headers: Vec<(&'static str, String)>,
    /// What could not be carried.
    pub losses: Losses,
    /// For the answer.
    pub translator: Translator,
}

/// Translates the `body` of a request to `from` into `to`. The model is `asked` where the path names it; `stream` says
/// whether the client wants a stream.
///
/// Fails when the request is wrong in its own dialect, when it cannot be said in the other at all, and, if the terms are
/// strict, when anything of it would be lost.
pub fn request(
    from: Endpoint,
    to: Dialect,
    body: &[u8],
    stream: bool,
    terms: &Terms,
) -> Result<Translation, Unfit> {
    let mut losses = Losses::default();
    let (sent, task) = if from.task() == Task::Embedding {
        let request = read_embed(from, body)?;
        (write_embed(to, &request, terms, &mut losses)?, Asked::Vectors(Box::new(request)))
    } else {
        let mut request = read_request(from, body)?;
        request.stream = stream;
        ollama::name_load(&request, &mut losses);
        pairs::settle(&mut request, &mut losses);
        let sent = write_request(to, &request, terms, &mut losses)?;
        losses.forget(&request.unmissed);
        losses.forget(&defaults::places(&request));
        // What a stream needs of the request its writer has: the conversation need not be kept for as long as it lasts.
        let asked =
            if stream { Asked::Stream(writer(&request, terms)) } else { Asked::Text(Box::new(request)) };
        (sent, asked)
    };
    if terms.is_strict && !losses.is_empty() {
        let field = losses.list()[0].field.clone();
        let all = losses.header().unwrap_or_default();
        let message = format!("cannot be carried to this backend, and compat.translation is strict: {all}");
        return Err(Unfit::untranslatable(field, message));
    }
    let Sent { endpoint, body, headers, reversal } = sent;
    let translator = Translator::new(endpoint, task, reversal, terms);
    Ok(Translation { endpoint, body, headers, losses, translator })
}

/// What the client wants.
enum Asked {
    /// A whole answer to this.
    Text(Box<Request>),
    /// A stream, which this writes.
    Stream(Box<dyn Writer>),
    /// Vectors.
    Vectors(Box<EmbedRequest>),
}

/// Translates what comes back from one attempt.
pub struct Translator {
    called: Endpoint,
    asked: Asked,
    terms: Terms,
    reversal: Reversal,
    stream: Option<Stream>,
}

/// The state of a stream.
struct Stream {
    unframer: Unframer,
    reader: Box<dyn Reader>,
    weaver: Weaver,
}

impl Translator {
    fn new(called: Endpoint, asked: Asked, reversal: Reversal, terms: &Terms) -> Self {
        Self { called, asked, terms: terms.clone(), reversal, stream: None }
    }

    /// The media type of what the client gets.
    pub fn content_type(&self) -> &'static str {
        if self.is_stream() { self.terms.framing.content_type() } else { "application/json" }
    }

    fn is_stream(&self) -> bool {
        matches!(&self.asked, Asked::Stream(_))
    }

    /// Takes the next bytes of the backend's stream and appends to `out` what the client gets: whole events.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some((stream, writer)) = self.stream() else { return };
        let Stream { unframer, reader, weaver } = stream;
        unframer.feed(bytes, &mut |name, data| {
            reader.read(name, data, &mut |delta| weaver.take(delta, &mut |event| writer.write(event, out)));
        });
    }

    /// Appends what is left when the backend's bytes are over.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let Some((stream, writer)) = self.stream() else { return };
        let Stream { unframer, reader, weaver } = stream;
        unframer.finish(&mut |name, data| {
            reader.read(name, data, &mut |delta| weaver.take(delta, &mut |event| writer.write(event, out)));
        });
        reader.finish(&mut |delta| weaver.take(delta, &mut |event| writer.write(event, out)));
    }

    fn stream(&mut self) -> Option<(&mut Stream, &mut dyn Writer)> {
        let Asked::Stream(writer) = &mut self.asked else { return None };
        let (called, terms, reversal) = (self.called, &self.terms, &mut self.reversal);
        let stream = self.stream.get_or_insert_with(|| Stream {
            unframer: Unframer::new(Framing::of(called, Some("alt=sse"))),
            reader: reader(called),
            weaver: Weaver::new(std::mem::take(reversal), &terms.label),
        });
        Some((stream, &mut **writer))
    }

    /// Translates a whole answer. A client that wants a stream gets one that tells it.
    ///
    /// Fails when the answer makes no sense, or tells of an error.
    pub fn whole(&mut self, body: &[u8]) -> Result<(Vec<u8>, Usage), BackendError> {
        match &mut self.asked {
            Asked::Vectors(request) => {
                let answer = read_vectors(self.called, body)?;
                if answer.vectors.len() != request.inputs.len() {
                    let (sent, asked) = (answer.vectors.len(), request.inputs.len());
                    return Err(wrong(format!("sent {sent} vectors for {asked} inputs")));
                }
                let written = write_vectors(&answer, request, &self.terms);
                Ok((written.ok_or_else(|| wrong("sent a vector that is none".to_owned()))?, answer.usage))
            }
            Asked::Text(request) => {
                let mut answer = read_answer(self.called, body)?;
                let usage = answer.usage;
                self.reversal.apply(&mut answer);
                answer.count();
                Ok((write_answer(&answer, request, &self.terms), usage))
            }
            Asked::Stream(writer) => {
                let mut answer = read_answer(self.called, body)?;
                let usage = answer.usage;
                self.reversal.apply(&mut answer);
                let mut weaver = Weaver::new(Reversal::default(), &self.terms.label);
                let mut out = Vec::new();
                answer.play(&mut |delta| weaver.take(delta, &mut |event| writer.write(event, &mut out)));
                match weaver.error() {
                    Some(error) => Err(error.clone()),
                    None => Ok((out, usage)),
                }
            }
        }
    }

    /// Whether the stream has said anything of the answer yet.
    pub fn has_begun(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.weaver.has_begun())
    }

    /// Whether the stream is complete.
    pub fn is_complete(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.weaver.is_complete())
    }

    /// The error that the backend put into its stream, or that makes it useless, if there is one.
    pub fn error(&self) -> Option<&BackendError> {
        let stream = self.stream.as_ref()?;
        stream.weaver.error().or_else(|| stream.unframer.error())
    }

    /// The tokens that the stream has reported so far.
    pub fn usage(&self) -> Usage {
        self.stream.as_ref().map(|stream| stream.weaver.usage()).unwrap_or_default()
    }

    /// The memory kept for bytes held back, in bytes.
    pub fn held_capacity(&self) -> usize {
        let held = |stream: &Stream| stream.unframer.capacity() + stream.weaver.held_capacity();
        self.stream.as_ref().map_or(0, held)
    }
}

/// An answer that cannot be used.
fn wrong(message: String) -> BackendError {
    BackendError { message, status: None }
}

fn read_request(from: Endpoint, body: &[u8]) -> Result<Request, Unfit> {
    match from.dialect() {
        Dialect::OpenAi => openai::read_request(from, body),
        Dialect::Responses => responses::read_request(body),
        Dialect::Anthropic => anthropic::read_request(body),
        Dialect::Gemini => gemini::read_request(body),
        Dialect::Ollama => ollama::read_request(from, body),
    }
}

fn write_request(to: Dialect, request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    match to {
        Dialect::OpenAi => openai::write_request(request, terms, losses),
        Dialect::Responses => responses::write_request(request, terms, losses),
        Dialect::Anthropic => anthropic::write_request(request, terms, losses),
        Dialect::Gemini => gemini::write_request(request, terms, losses),
        Dialect::Ollama => ollama::write_request(request, terms, losses),
    }
}

fn reader(called: Endpoint) -> Box<dyn Reader> {
    match called.dialect() {
        Dialect::OpenAi => openai::reader(called),
        Dialect::Responses => responses::reader(),
        Dialect::Anthropic => anthropic::reader(),
        Dialect::Gemini => gemini::reader(),
        Dialect::Ollama => ollama::reader(called),
    }
}

fn writer(request: &Request, terms: &Terms) -> Box<dyn Writer> {
    match request.origin.dialect() {
        Dialect::OpenAi => openai::writer(request, terms),
        Dialect::Responses => responses::writer(request, terms),
        Dialect::Anthropic => anthropic::writer(request, terms),
        Dialect::Gemini => gemini::writer(request, terms),
        Dialect::Ollama => ollama::writer(request, terms),
    }
}

fn read_answer(called: Endpoint, body: &[u8]) -> Result<crate::hub::Answer, BackendError> {
    match called.dialect() {
        Dialect::OpenAi => openai::read_answer(called, body),
        Dialect::Responses => responses::read_answer(body),
        Dialect::Anthropic => anthropic::read_answer(body),
        Dialect::Gemini => gemini::read_answer(body),
        Dialect::Ollama => ollama::read_answer(called, body),
    }
}

fn write_answer(answer: &crate::hub::Answer, request: &Request, terms: &Terms) -> Vec<u8> {
    match request.origin.dialect() {
        Dialect::OpenAi => openai::write_answer(answer, request, terms),
        Dialect::Responses => responses::write_answer(answer, request, terms),
        Dialect::Anthropic => anthropic::write_answer(answer, request, terms),
        Dialect::Gemini => gemini::write_answer(answer, request, terms),
        Dialect::Ollama => ollama::write_answer(answer, request, terms),
    }
}

fn read_embed(from: Endpoint, body: &[u8]) -> Result<EmbedRequest, Unfit> {
    match from.dialect() {
        Dialect::Gemini => gemini::read_embed(from, body),
        Dialect::Ollama => ollama::read_embed(from, body),
        _ => openai::read_embed(body),
    }
}

fn write_embed(
    to: Dialect,
    request: &EmbedRequest,
    terms: &Terms,
    losses: &mut Losses,
) -> Result<Sent, Unfit> {
    match to {
        Dialect::OpenAi => openai::write_embed(request, terms, losses),
        Dialect::Gemini => gemini::write_embed(request, terms, losses),
        Dialect::Ollama => ollama::write_embed(request, terms, losses),
        Dialect::Anthropic | Dialect::Responses => {
            Err(Unfit::untranslatable("", format!("{} has no embeddings", to.name())))
        }
    }
}

fn read_vectors(called: Endpoint, body: &[u8]) -> Result<crate::hub::EmbedAnswer, BackendError> {
    match called.dialect() {
        Dialect::Gemini => gemini::read_vectors(called, body),
        Dialect::Ollama => ollama::read_vectors(body),
        _ => openai::read_vectors(body),
    }
}

fn write_vectors(answer: &crate::hub::EmbedAnswer, request: &EmbedRequest, terms: &Terms) -> Option<Vec<u8>> {
    match request.origin.dialect() {
        Dialect::Gemini => gemini::write_vectors(answer, request, terms),
        Dialect::Ollama => ollama::write_vectors(answer, request, terms),
        _ => openai::write_vectors(answer, request, terms),
    }
}
