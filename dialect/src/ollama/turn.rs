//! The messages of a conversation, both ways.
//!
//! In Ollama a message is one text with pictures beside it. A picture comes before the text, as Ollama itself puts
//! it into the prompt. A tool's result is a message of the role `tool`; older servers and clients know neither ids of
//! calls nor `tool_call_id`, so results without one belong to the calls in their order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::hub::{
    Fields, Json, Losses, Message, Part, PartKind, Request, Role, Source, ToolCall, ToolResult, Unfit,
    arguments, billing, custom_tools, failed, ids, kind,
};

use super::options;

/// Reads messages one by one.
#[derive(Default)]
pub(crate) struct Reading {
    /// The calls that no result has come for: id and name.
    open: Vec<(String, String)>,
    calls: usize,
}

impl Reading {
    /// Reads `value`, the message at `at`, into `request`.
    pub(crate) fn add(&mut self, at: String, value: &RawValue, request: &mut Request) -> Result<(), Unfit> {
        let mut fields = Fields::of(at.clone(), value)?;
        let role = fields.needed_text("role")?.to_lowercase();
        let content = fields.text("content")?.unwrap_or_default();
        let mut parts = images(&mut fields)?;
        let role = match role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => {
                let result = self.result(&mut fields, &content, parts)?;
                request.extras.extend(options::rest(fields));
                add_result(at, result, &mut request.messages);
                return Ok(());
            }
            _ => {
                let message = "must be system, user, assistant or tool";
                return Err(Unfit::bad(fields.path("role"), message));
            }
        };
        if let Some(text) = fields.text("thinking")?.filter(|text| !text.is_empty()) {
            let thinking = PartKind::Thinking { text, signature: None };
            parts.push(Part::new(fields.path("thinking"), thinking));
        }
        if !content.is_empty() {
            parts.push(Part::new(fields.path("content"), PartKind::plain(content)));
        }
        for (index, call) in fields.list("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
            let at = format!("{}[{index}]", fields.path("tool_calls"));
            let call = self.call(&at, call, request)?;
            parts.push(Part::new(at, PartKind::ToolCall(call)));
        }
        let name = fields.text("name")?;
        request.extras.extend(options::rest(fields));
        request.messages.push(Message { role, parts, name, at });
        Ok(())
    }

    fn call(&mut self, at: &str, value: &RawValue, request: &mut Request) -> Result<ToolCall, Unfit> {
        let mut fields = Fields::of(at, value)?;
        let missing = || Unfit::bad(format!("{at}.function"), "is missing");
        let mut function = fields.object("function")?.ok_or_else(missing)?;
        let name = function.needed_text("name")?;
        function.take("index");
        let arguments = match function.take("arguments") {
            None => "{}".to_owned(),
            Some(written) => arguments::mended(written.get()).map(Into::into).ok_or_else(|| {
                let message = format!("must be an object, not {}", kind(written));
                Unfit::bad(function.path("arguments"), message)
            })?,
        };
        fields.take("type");
        let id = fields.text("id")?.filter(|id| !id.is_empty());
        // The same in every turn: a call keeps its place in the conversation.
        let id = id.unwrap_or_else(|| ids::made("call_", &name, self.calls));
        self.calls += 1;
        self.open.push((id.clone(), name.clone()));
        request.extras.extend(options::rest(function));
        request.extras.extend(options::rest(fields));
        Ok(ToolCall { id, name, arguments, is_custom: false, signature: None })
    }

    fn result(&mut self, fields: &mut Fields<'_>, content: &str, images: Vec<Part>) -> Result<Part, Unfit> {
        let id = fields.text("tool_call_id")?.filter(|id| !id.is_empty());
        let name = fields.text("tool_name")?.or(fields.text("name")?).filter(|name| !name.is_empty());
        let place = match (&id, &name) {
            (Some(id), _) => self.open.iter().position(|(open, _)| open == id),
            (None, Some(name)) => self.open.iter().position(|(_, open)| open == name),
            (None, None) => (!self.open.is_empty()).then_some(0),
        };
        let call = place.map(|place| self.open.remove(place));
        let (known_id, known_name) = call.unzip();
        let id = id.or(known_id).unwrap_or_else(|| ids::made("call_", fields.at(), 0));
        let (is_error, text) = failed::unmarked(content).map_or((false, content), |text| (true, text));
        let mut parts = vec![Part::new(fields.path("content"), PartKind::plain(text))];
        parts.extend(images);
        let result = ToolResult { id, name: name.or(known_name), parts, is_error };
        Ok(Part::new(fields.at(), PartKind::ToolResult(result)))
    }
}

/// Results that follow each other are one turn.
fn add_result(at: String, result: Part, messages: &mut Vec<Message>) {
    let is_result = |message: &Message| {
        message.parts.last().is_some_and(|part| matches!(part.kind, PartKind::ToolResult(_)))
    };
    match messages.last_mut().filter(|message| is_result(message)) {
        Some(message) => message.parts.push(result),
        None => messages.push(Message { role: Role::User, parts: vec![result], name: None, at }),
    }
}

/// Takes the list `images` out of `fields`: base64 each, or a `data:` address.
pub(crate) fn images(fields: &mut Fields<'_>) -> Result<Vec<Part>, Unfit> {
    let list = fields.list("images")?.unwrap_or_default();
    let mut parts = Vec::with_capacity(list.len());
    for (index, image) in list.into_iter().enumerate() {
        let at = format!("{}[{index}]", fields.path("images"));
        let wrong = |_| Unfit::bad(at.clone(), format!("must be a string of base64, not {}", kind(image)));
        let data: String = serde_json::from_str(image.get()).map_err(wrong)?;
        let source = match Source::of_url(&data) {
            Source::Url { .. } => Source::Base64 { media_type: String::new(), data },
            source => source,
        };
        parts.push(Part::new(at, PartKind::Image { source, detail: None }));
    }
    Ok(parts)
}

/// A message as it is sent.
#[derive(Default, Serialize)]
pub(crate) struct Turn {
    role: &'static str,
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thinking: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
}

/// A call of a tool, in a request and in an answer.
#[derive(Serialize)]
pub(crate) struct Call {
    id: String,
    function: Called,
}

#[derive(Serialize)]
struct Called {
    index: usize,
    name: String,
    arguments: Json,
}

impl Call {
    /// The call of `name` that is the `index`-th of its message. What is written for a custom tool becomes the only
    /// argument, `input`. `None` when the arguments are no JSON object, as when they were cut off by a limit.
    pub(crate) fn new(index: usize, id: &str, name: &str, written: &str, is_custom: bool) -> Option<Self> {
        let arguments = if is_custom {
            Json::parse(&custom_tools::wrapped(written))?
        } else {
            arguments::mended(written).and_then(|arguments| Json::parse(&arguments))?
        };
        let function = Called { index, name: name.to_owned(), arguments };
        Some(Self { id: id.to_owned(), function })
    }
}

/// Writes `message` as the turns it takes: one for each result of a tool, and one for what else is said.
pub(crate) fn write(
    message: &Message,
    request: &Request,
    turns: &mut Vec<Turn>,
    losses: &mut Losses,
) -> Result<(), Unfit> {
    if message.name.is_some() {
        losses.add(format!("{}.name", message.at), "Ollama has no names of speakers");
    }
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    // Instructions and what a user says are texts side by side; what a model said is one text in pieces.
    let mut turn = Saying { role: message.role, turn: Turn { role, ..Turn::default() }, has_part: false };
    let mut has_results = false;
    for part in &message.parts {
        if let PartKind::ToolResult(result) = &part.kind {
            has_results = true;
            turns.push(turn.result(result, request, losses)?);
        } else if let Some(text) = part.text() {
            turn.text(billing::without(message, text));
        } else {
            turn.add(part, losses)?;
        }
    }
    let Turn { content, thinking, images, tool_calls, .. } = &turn.turn;
    let is_empty = content.is_empty() && thinking.is_empty() && images.is_empty() && tool_calls.is_empty();
    // A user who says nothing takes a turn all the same; a model whose words were all left out does not.
    if !is_empty || (!has_results && message.role == Role::User) {
        turns.push(turn.turn);
    }
    Ok(())
}

/// A turn that is being put together.
struct Saying {
    role: Role,
    turn: Turn,
    has_part: bool,
}

impl Saying {
    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.has_part && self.role != Role::Assistant {
            self.turn.content.push('\n');
        }
        self.has_part = true;
        self.turn.content.push_str(text);
    }

    fn add(&mut self, part: &Part, losses: &mut Losses) -> Result<(), Unfit> {
        match &part.kind {
            PartKind::Text { text, .. }
            | PartKind::Refusal(text)
            | PartKind::Foreign { text: Some(text), .. } => self.text(text),
            PartKind::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    losses.add(&part.at, "Ollama chooses the detail of a picture itself");
                }
                self.turn.images.push(picture(part, source)?);
            }
            PartKind::Document { source, name, context, citations } => {
                if citations.as_ref().is_some_and(|setting| setting.to_value()["enabled"] == true) {
                    losses.add(format!("{}.citations", part.at), "Ollama does not cite documents");
                }
                let text = document(part, source)?;
                let lines = [name.as_deref(), context.as_deref(), Some(&text)];
                self.text(&lines.into_iter().flatten().collect::<Vec<_>>().join("\n"));
            }
            PartKind::Audio { .. } | PartKind::Video { .. } => {
                return Err(Unfit::untranslatable(&part.at, "is sound or video, which Ollama does not take"));
            }
            PartKind::Thinking { text, .. } => self.turn.thinking.push_str(text),
            PartKind::ToolCall(call) => {
                let ToolCall { id, name, arguments, is_custom, .. } = call;
                let index = self.turn.tool_calls.len();
                let call = Call::new(index, id, name, arguments, *is_custom).ok_or_else(|| {
                    Unfit::bad(&part.at, "calls a function with arguments that are not a JSON object")
                })?;
                self.turn.tool_calls.push(call);
            }
            PartKind::Foreign { text: None, .. } => losses.add(&part.at, "Ollama has no such part"),
            // History that only its provider can read is nothing that the client asks for now; results have turns of
            // their own.
            PartKind::SealedThinking { .. } | PartKind::ToolResult(_) => {}
        }
        Ok(())
    }

    /// The turn of a tool. Its pictures go to the user's turn that follows: templates show them only there.
    fn result(&mut self, result: &ToolResult, request: &Request, losses: &mut Losses) -> Result<Turn, Unfit> {
        let mut inner = Self { role: Role::Assistant, turn: Turn::default(), has_part: false };
        for part in &result.parts {
            inner.add(part, losses)?;
        }
        self.turn.images.append(&mut inner.turn.images);
        let text = inner.turn.content;
        let name = result.name.clone().or_else(|| request.tool_name(&result.id).map(str::to_owned));
        Ok(Turn {
            role: "tool",
            content: if result.is_error { failed::marked(&text).into_owned() } else { text },
            tool_name: name,
            tool_call_id: Some(result.id.clone()),
            ..Turn::default()
        })
    }
}

fn picture(part: &Part, source: &Source) -> Result<String, Unfit> {
    let reason = match source {
        Source::Base64 { data, .. } => return Ok(data.clone()),
        Source::Url { .. } => "is a picture at an address: Ollama takes only the bytes themselves, in base64",
        Source::File { .. } => "is a file uploaded elsewhere, which Ollama cannot read",
        Source::Text(_) => "is no picture",
    };
    Err(Unfit::untranslatable(&part.at, reason))
}

/// The text of a document.
fn document(part: &Part, source: &Source) -> Result<String, Unfit> {
    let is_text = |media_type: &str| media_type.starts_with("text/") || media_type == "application/json";
    let decoded = match source {
        Source::Text(text) => Some(text.clone()),
        Source::Base64 { data, .. } if source.media_type().is_some_and(is_text) => {
            STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok())
        }
        _ => None,
    };
    decoded
        .ok_or_else(|| Unfit::untranslatable(&part.at, "is a document that is not text: Ollama takes none"))
}
