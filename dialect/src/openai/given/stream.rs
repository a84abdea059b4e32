//! Writes a client's stream, chunk by chunk.
//!
//! Every chunk has the same id, time and model; the role is told once for each choice, with its first chunk. Usage has a chunk
//! of its own, before the end, and only if the client asked for it.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::hub::{Beginning, Block, Event, Finish, Part, PartKind, Request, Signature, Writer, custom_tools};
use crate::openai::finish;
use crate::openai::thoughts::Detail;
use crate::translate::Terms;

use super::Manner;
use super::annotations::{self, Annotation};
use super::answer::{Extra, Image};
use super::counts::Counts;

/// A writer of the stream that `request` asked for.
pub(crate) fn writer(request: &Request, terms: &Terms) -> Box<dyn Writer> {
    let manner = Manner::of(request);
    let id = manner.id(&terms.label);
    Box::new(Stream {
        manner,
        id,
        now: terms.now,
        tells_usage: request.stream_usage,
        head: Vec::new(),
        strands: Vec::new(),
    })
}

struct Stream {
    manner: Manner,
    id: String,
    now: i64,
    tells_usage: bool,
    /// The beginning of every chunk, up to the choices.
    head: Vec<u8>,
    strands: Vec<Strand>,
}

/// One choice.
#[derive(Default)]
struct Strand {
    has_role: bool,
    open: Open,
    /// The thoughts of the open block, told again with their signature.
    thoughts: String,
    /// How many calls, entries of `reasoning_details` and pictures there were.
    calls: u32,
    details: u32,
    images: usize,
    /// How many characters of text there were.
    characters: usize,
}

/// The block that is open.
#[derive(Default)]
enum Open {
    #[default]
    Nothing,
    Text,
    Thinking,
    Refusal,
    Function,
    Custom,
    /// A custom tool that the backend was told as a function: its arguments, until they are whole.
    Emulated(String),
}

/// What a chunk adds to a choice.
#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<[Detail; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[Call<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<CallBody<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<[Image; 1]>,
}

#[derive(Default, Serialize)]
struct Call<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<CallBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<CallBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Extra<'a>>,
}

#[derive(Default, Serialize)]
struct CallBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
}

impl<'a> Call<'a> {
    fn piece(index: u32, is_custom: bool, text: &'a str) -> Self {
        let custom = is_custom.then(|| CallBody { input: Some(text), ..CallBody::default() });
        let function = (!is_custom).then(|| CallBody { arguments: Some(text), ..CallBody::default() });
        Self { index, function, custom, ..Self::default() }
    }
}

impl Writer for Stream {
    fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Begin(beginning, _) => self.begin(beginning),
            Event::Open { choice, block } => self.open(choice, block, out),
            Event::Piece { choice, text } => self.piece(choice, text, out),
            Event::Signature { choice, signature } => self.sign(choice, signature, out),
            Event::Close { choice } => self.close(choice, out),
            Event::Part { choice, part } => self.part(choice, part, out),
            Event::Logprobs { choice, value } => {
                self.role(choice, None, out);
                self.chunk(choice, &Delta::default(), Some(value), None, out);
            }
            Event::Finish { choice, finish } => {
                self.role(choice, Some(""), out);
                self.chunk(choice, &Delta::default(), None, Some(finish), out);
            }
            Event::End(usage) => {
                if self.tells_usage {
                    let counts = Counts::of(usage, self.manner.prompt_tokens);
                    out.extend_from_slice(&self.head);
                    out.extend_from_slice(b"[],\"usage\":");
                    append(&counts, out);
                    out.extend_from_slice(b"}\n\n");
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
    }
}

impl Stream {
    fn begin(&mut self, beginning: &Beginning) {
        #[derive(Serialize)]
        struct Head<'a> {
            id: &'a str,
            object: &'static str,
            created: i64,
            model: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            service_tier: Option<&'a str>,
        }
        let mut head = b"data: ".to_vec();
        let members = Head {
            id: &self.id,
            object: self.manner.object(true),
            created: self.now,
            model: beginning.model.as_deref().unwrap_or(&self.manner.model),
            service_tier: beginning.service_tier.as_deref(),
        };
        append(&members, &mut head);
        head.pop();
        head.extend_from_slice(b",\"choices\":");
        self.head = head;
    }

    fn strand(&mut self, choice: u32) -> &mut Strand {
        let index = choice as usize;
        if self.strands.len() <= index {
            self.strands.resize_with(index + 1, Strand::default);
        }
        &mut self.strands[index]
    }

    /// Tells the role, once.
    fn role(&mut self, choice: u32, content: Option<&str>, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.strand(choice).has_role, true) && !self.manner.is_bare {
            self.say(choice, &Delta { role: Some("assistant"), content, ..Delta::default() }, out);
        }
    }

    fn open(&mut self, choice: u32, block: Block<'_>, out: &mut Vec<u8>) {
        self.role(choice, (block == Block::Text).then_some(""), out);
        let strand = self.strand(choice);
        match block {
            Block::Text => strand.open = Open::Text,
            Block::Refusal => strand.open = Open::Refusal,
            Block::Thinking => {
                strand.open = Open::Thinking;
                strand.thoughts.clear();
            }
            Block::ToolCall { id, name, is_custom, signature } => {
                self.open_call(choice, id, name, is_custom, signature, out);
            }
        }
    }

    fn open_call(
        &mut self,
        choice: u32,
        id: &str,
        name: &str,
        is_custom: bool,
        signature: Option<&Signature>,
        out: &mut Vec<u8>,
    ) {
        let is_emulated = self.manner.is_emulated(name, is_custom);
        let is_custom = is_custom || is_emulated;
        let strand = self.strand(choice);
        strand.open = match (is_emulated, is_custom) {
            (true, _) => Open::Emulated(String::new()),
            (false, true) => Open::Custom,
            (false, false) => Open::Function,
        };
        let index = strand.calls;
        strand.calls += 1;
        let name = Some(name);
        if self.manner.is_legacy {
            // The older way has room for a single call.
            if index == 0 {
                let body = CallBody { name, arguments: Some(""), input: None };
                self.say(choice, &Delta { function_call: Some(body), ..Delta::default() }, out);
            }
            return;
        }
        let mut call = Call { index, id: Some(id), extra_content: Extra::of(signature), ..Call::default() };
        if is_custom {
            call.r#type = Some("custom");
            call.custom = Some(CallBody { name, arguments: None, input: Some("") });
        } else {
            call.r#type = Some("function");
            call.function = Some(CallBody { name, arguments: Some(""), input: None });
        }
        self.say(choice, &Delta { tool_calls: Some([call]), ..Delta::default() }, out);
    }

    fn piece(&mut self, choice: u32, text: &str, out: &mut Vec<u8>) {
        let (is_legacy, hides_thoughts) = (self.manner.is_legacy, self.manner.hides_thoughts);
        let strand = self.strand(choice);
        let index = strand.calls.saturating_sub(1);
        let mut delta = Delta::default();
        match &mut strand.open {
            Open::Text | Open::Nothing => {
                strand.characters += text.chars().count();
                delta.content = Some(text);
            }
            Open::Thinking if hides_thoughts => return,
            Open::Thinking => {
                strand.thoughts.push_str(text);
                delta.reasoning_content = Some(text);
            }
            Open::Refusal => delta.refusal = Some(text),
            Open::Emulated(arguments) => return arguments.push_str(text),
            Open::Function if is_legacy && index > 0 => return,
            Open::Function if is_legacy => {
                delta.function_call = Some(CallBody { arguments: Some(text), ..CallBody::default() });
            }
            Open::Function => delta.tool_calls = Some([Call::piece(index, false, text)]),
            Open::Custom => delta.tool_calls = Some([Call::piece(index, true, text)]),
        }
        self.say(choice, &delta, out);
    }

    fn sign(&mut self, choice: u32, signature: &Signature, out: &mut Vec<u8>) {
        if self.manner.hides_thoughts {
            return;
        }
        let strand = self.strand(choice);
        let thoughts = std::mem::take(&mut strand.thoughts);
        let detail = Detail::signed(strand.details, &thoughts, signature);
        strand.details += 1;
        self.say(choice, &Delta { reasoning_details: Some([detail]), ..Delta::default() }, out);
    }

    fn close(&mut self, choice: u32, out: &mut Vec<u8>) {
        let strand = self.strand(choice);
        let index = strand.calls.saturating_sub(1);
        if let Open::Emulated(arguments) = std::mem::take(&mut strand.open) {
            let input = custom_tools::unwrapped(&arguments).unwrap_or(arguments);
            let call = Call::piece(index, true, &input);
            self.say(choice, &Delta { tool_calls: Some([call]), ..Delta::default() }, out);
        }
    }

    fn part(&mut self, choice: u32, part: &Part, out: &mut Vec<u8>) {
        let hides_thoughts = self.manner.hides_thoughts;
        self.role(choice, Some(""), out);
        let strand = self.strand(choice);
        let mut delta = Delta::default();
        match &part.kind {
            PartKind::Text { text, sources } => {
                let start = strand.characters;
                strand.characters += text.chars().count();
                delta.content = (!text.is_empty()).then_some(text);
                if let Some(sources) = sources {
                    delta.annotations = annotations::of(sources, start, strand.characters);
                }
            }
            PartKind::SealedThinking { data } if !hides_thoughts => {
                delta.reasoning_details = Some([Detail::sealed(strand.details, data)]);
                strand.details += 1;
            }
            PartKind::Image { source, .. } => {
                let index = strand.images;
                strand.images += 1;
                delta.images = source.to_url("image/png").map(|url| [Image::new(index, url)]);
            }
            PartKind::Foreign { text: Some(text), .. } => {
                strand.characters += text.chars().count();
                delta.content = Some(text);
            }
            _ => return,
        }
        self.say(choice, &delta, out);
    }

    fn say(&self, choice: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        // A completion has room for text only.
        if !self.manner.is_bare || delta.content.is_some() {
            self.chunk(choice, delta, None, None, out);
        }
    }

    fn chunk(
        &self,
        index: u32,
        delta: &Delta<'_>,
        logprobs: Option<&RawValue>,
        finish: Option<&Finish>,
        out: &mut Vec<u8>,
    ) {
        #[derive(Serialize)]
        struct Choice<'a> {
            index: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            delta: Option<&'a Delta<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            text: Option<&'a str>,
            logprobs: Option<&'a RawValue>,
            finish_reason: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            stop_reason: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            native_finish_reason: Option<&'static str>,
        }
        let is_bare = self.manner.is_bare;
        let choice = Choice {
            index,
            delta: (!is_bare).then_some(delta),
            text: is_bare.then_some(delta.content.unwrap_or_default()),
            logprobs,
            finish_reason: finish.map(|finish| finish::word(finish, self.manner.is_legacy)),
            stop_reason: finish.and_then(|finish| finish.stop_sequence.as_deref()),
            native_finish_reason: finish.and_then(finish::native_word),
        };
        out.extend_from_slice(&self.head);
        append(&[choice], out);
        out.extend_from_slice(b"}\n\n");
    }
}

fn append(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("our own types are always JSON");
}
