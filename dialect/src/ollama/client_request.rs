//! A client's request to `/api/chat` or `/api/generate`.
//!
//! `/api/generate` is a conversation of one turn, unless it asks for its text to be continued as it is (`raw`,
//! `suffix`).
//!
//! A request that says nothing only loads the model. No other dialect has that, so a backend that loads models when they
//! are used is asked for a few tokens, which the client does not get to see; `messages` or `prompt` is then among the
//! extras, so that this is named. To unload a model in this way cannot be carried.

use serde_json::value::RawValue;

use crate::hub::{
    Bare, Extra, Fields, Format, Function, Json, Losses, Message, Part, PartKind, Reasoning, Request, Role,
    Said, Tool, ToolKind, Unfit, kind,
};

use crate::{Dialect, Endpoint};

use super::options::{self, Drawn};
use super::turn::{self, Reading};

/// What is asked when the model is only to be loaded.
const HARMLESS: &str = "Hi";

/// How much is generated then: the least that every hosted API takes.
const FEW_TOKENS: u64 = 16;

/// Reads a client's request.
pub(crate) fn read_request(endpoint: Endpoint, body: &[u8]) -> Result<Request, Unfit> {
    let mut body = Fields::of_body(body)?;
    let mut request = Request::new(endpoint);
    request.model = body.needed_text("model")?;
    request.stream = body.flag("stream")?.unwrap_or(true);
    let Drawn { sampling, max_tokens, engine } = options::read(&mut body)?;
    (request.sampling, request.max_tokens, request.engine_options) = (sampling, max_tokens, engine);
    let at = |name: &str| name.to_owned();
    request.sampling.logprobs = body.flag("logprobs")?.map(|value| Said::new(at("logprobs"), value));
    let top = body.count("top_logprobs")?.filter(|count| *count > 0);
    request.sampling.top_logprobs = top.map(|value| Said::new(at("top_logprobs"), value));
    request.reasoning = think(&mut body)?;
    request.format = format(&mut body)?;
    if endpoint == Endpoint::OllamaGenerate {
        read_prompt(&mut body, &mut request)?;
    } else {
        for (index, tool) in body.list("tools")?.unwrap_or_default().into_iter().enumerate() {
            let tool = read_tool(format!("tools[{index}]"), tool, &mut request)?;
            request.tools.push(tool);
        }
        let mut reading = Reading::default();
        for (index, message) in body.list("messages")?.unwrap_or_default().into_iter().enumerate() {
            reading.add(format!("messages[{index}]"), message, &mut request)?;
        }
        if request.messages.is_empty() {
            only_load("messages", &mut request)?;
        }
    }
    request.extras.extend(options::rest(body));
    Ok(request)
}

/// Whether the client only wants the model loaded: what the backend generates for it is not for the client.
pub(crate) fn only_loads(request: &Request) -> bool {
    request.extras.iter().any(is_mark)
}

/// Names what becomes of a request that only loads the model.
pub(crate) fn name_load(request: &Request, losses: &mut Losses) {
    let mark = request.extras.iter().find(|extra| is_mark(extra));
    if let Some(mark) = mark.filter(|_| request.origin.dialect() == Dialect::Ollama) {
        let reason =
            format!("nothing is asked: to load its model, the backend generates up to {FEW_TOKENS} tokens");
        losses.add(&mark.at, reason);
    }
}

fn is_mark(extra: &Extra) -> bool {
    matches!(extra.at.as_str(), "messages" | "prompt")
}

/// Makes `request`, in which nothing is said, one that loads the model.
fn only_load(name: &str, request: &mut Request) -> Result<(), Unfit> {
    let keep_alive = options::keep_alive_in(&request.engine_options).map(Json::as_str).unwrap_or_default();
    let of_zero = keep_alive.trim_matches('"');
    if of_zero.starts_with('0') && of_zero.trim_end_matches(char::is_alphabetic).parse() == Ok(0.0) {
        let message = "is 0 and nothing is asked: only Ollama itself can unload a model in this way";
        return Err(Unfit::untranslatable("keep_alive", message));
    }
    request.extras.push(Extra { name: name.to_owned(), at: name.to_owned(), value: Json::of(&"") });
    let part = Part::new(name, PartKind::plain(HARMLESS));
    request.messages = vec![Message { role: Role::User, parts: vec![part], name: None, at: name.to_owned() }];
    request.max_tokens = Some(Said::new(name, FEW_TOKENS));
    request.format = None;
    request.tools.clear();
    Ok(())
}

fn read_prompt(body: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    let prompt = body.text("prompt")?.unwrap_or_default();
    let suffix = body.text("suffix")?.filter(|suffix| !suffix.is_empty());
    let is_raw = body.flag("raw")?.unwrap_or(false);
    let has_images = body.peek("images").is_some_and(|images| images.get() != "[]");
    if prompt.is_empty() && suffix.is_none() && !has_images {
        return only_load("prompt", request);
    }
    if is_raw || suffix.is_some() {
        // A system prompt or pictures that stand beside it are left in the body and become extras.
        request.bare = Some(Said::new("prompt", Bare { prompt: Json::of(&prompt), suffix }));
        return Ok(());
    }
    if let Some(system) = body.text("system")?.filter(|system| !system.is_empty()) {
        let parts = vec![Part::new("system", PartKind::plain(system))];
        request.messages.push(Message { role: Role::System, parts, name: None, at: "system".to_owned() });
    }
    let mut parts = turn::images(body)?;
    if !prompt.is_empty() {
        parts.push(Part::new("prompt", PartKind::plain(prompt)));
    }
    request.messages.push(Message { role: Role::User, parts, name: None, at: "prompt".to_owned() });
    Ok(())
}

/// `think`: a yes or no, or how much.
fn think(body: &mut Fields<'_>) -> Result<Option<Said<Reasoning>>, Unfit> {
    let Some(value) = body.take("think") else { return Ok(None) };
    let reasoning = match serde_json::from_str(value.get()) {
        Ok(serde_json::Value::Bool(enabled)) => Reasoning { enabled: Some(enabled), ..Reasoning::default() },
        Ok(serde_json::Value::String(effort)) if effort.is_empty() => return Ok(None),
        Ok(serde_json::Value::String(effort)) => Reasoning { effort: Some(effort), ..Reasoning::default() },
        _ => {
            let message = format!("must be true, false or a string, not {}", kind(value));
            return Err(Unfit::bad("think", message));
        }
    };
    Ok(Some(Said::new("think", reasoning)))
}

/// `format`: `json` or a schema.
fn format(body: &mut Fields<'_>) -> Result<Option<Said<Format>>, Unfit> {
    let Some(value) = body.take("format") else { return Ok(None) };
    let format = match value.get() {
        "\"\"" => return Ok(None),
        "\"json\"" => Format::Json,
        schema if schema.starts_with('{') => {
            let schema = Json::from(value);
            Format::Schema { name: "response".to_owned(), description: None, schema, strict: None }
        }
        _ => return Err(Unfit::bad("format", "must be \"json\" or a JSON schema")),
    };
    Ok(Some(Said::new("format", format)))
}

fn read_tool(at: String, value: &RawValue, request: &mut Request) -> Result<Tool, Unfit> {
    let mut fields = Fields::of(at.as_str(), value)?;
    let of_type = fields.text("type")?.unwrap_or_else(|| "function".to_owned());
    let function = fields.object("function")?;
    let kind = match function {
        Some(mut function) if of_type == "function" => {
            let read = Function {
                name: function.needed_text("name")?,
                namespace: None,
                description: function.text("description")?,
                parameters: function.json("parameters"),
                strict: function.flag("strict")?,
            };
            request.extras.extend(options::rest(function));
            request.extras.extend(options::rest(fields));
            ToolKind::Function(read)
        }
        None if of_type == "function" => return Err(Unfit::bad(format!("{at}.function"), "is missing")),
        _ => ToolKind::Provider { kind: of_type, raw: Json::from(value) },
    };
    Ok(Tool { at, kind, cache: None })
}
