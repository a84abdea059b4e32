//! A request to a backend that speaks Ollama's own API: `/api/chat`, and `/api/generate` for a bare text.

use serde::Serialize;

use crate::hub::{
    Bare, Extra, Format, Function, Json, Losses, Reasoning, Request, Said, Tool, ToolChoice, ToolKind, Unfit,
    custom_tools,
};
use crate::translate::{Sent, Terms};
use crate::{Dialect, Endpoint};

use super::options::{self, Options};
use super::turn::{self, Turn};

/// Writes a request to a backend.
///
/// `stream` is always said: without it Ollama streams. Whether several calls are made, or a tool is called at all, is up to
/// the model: there is no field for either.
pub(crate) fn write_request(request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    request.sampling.refuse_several("Ollama")?;
    let mut body = Body {
        model: &terms.model,
        messages: None,
        prompt: None,
        suffix: None,
        raw: None,
        tools: Vec::new(),
        format: request.format.as_ref().map(|said| form(&said.value)),
        think: request.reasoning.as_ref().and_then(|said| think(&said.value)),
        stream: request.stream,
        keep_alive: options::keep_alive_in(&request.engine_options),
        logprobs: request.sampling.logprobs.as_ref().map(|said| said.value),
        top_logprobs: request.sampling.top_logprobs.as_ref().map(|said| said.value),
        truncate: None,
        shift: None,
        options: Options::of(request, losses),
    };
    let endpoint = if let Some(bare) = &request.bare {
        body.continue_text(bare)?;
        Endpoint::OllamaGenerate
    } else {
        let mut turns = Vec::with_capacity(request.messages.len());
        for message in &request.messages {
            turn::write(message, request, &mut turns, losses)?;
        }
        if turns.is_empty() {
            return Err(Unfit::untranslatable("", "says nothing that Ollama could take"));
        }
        body.messages = Some(turns);
        body.tools = tools(request, losses);
        Endpoint::OllamaChat
    };
    body.extras(request, losses);
    lose_the_rest(request, losses);
    Ok(Sent::new(endpoint, &body))
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Turn>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Offered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Form<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shift: Option<&'a Json>,
    #[serde(skip_serializing_if = "Options::is_empty")]
    options: Options,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Form<'a> {
    Word(&'static str),
    Schema(&'a Json),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Think {
    Whether(bool),
    HowMuch(&'static str),
}

#[derive(Serialize)]
struct Offered {
    r#type: &'static str,
    function: Described,
}

#[derive(Serialize)]
struct Described {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    parameters: Json,
}

impl<'a> Body<'a> {
    /// Makes it one for `/api/generate`. A text with a gap goes through the model's own template for gaps; any other one
    /// as it is.
    fn continue_text(&mut self, said: &'a Said<Bare>) -> Result<(), Unfit> {
        let Bare { prompt, suffix } = &said.value;
        let one =
            prompt.to::<Vec<String>>().filter(|texts| texts.len() == 1).and_then(|mut texts| texts.pop());
        let text = prompt.to::<String>().or(one).ok_or_else(|| {
            Unfit::untranslatable(
                &said.at,
                "is not one text: Ollama continues one text at a time, and no tokens",
            )
        })?;
        self.prompt = Some(text);
        self.suffix = suffix.as_deref();
        self.raw = Some(suffix.is_none());
        Ok(())
    }

    /// Members that only Ollama's own clients send go on; no others are known to it, and it refuses none, so that they
    /// would only seem to be heard.
    fn extras(&mut self, request: &'a Request, losses: &mut Losses) {
        for extra in &request.extras {
            let Extra { name, at, value } = extra;
            let is_own = request.origin.dialect() == Dialect::Ollama && at == name;
            match name.as_str() {
                "truncate" if is_own => self.truncate = Some(value),
                "shift" if is_own => self.shift = Some(value),
                _ => losses.add(at, "Ollama has no such field here"),
            }
        }
    }
}

fn form(format: &Format) -> Form<'_> {
    match format {
        Format::Json => Form::Word("json"),
        Format::Schema { schema, .. } => Form::Schema(schema),
    }
}

/// What comes closest to `reasoning`: Ollama knows on, off, and three amounts, which most models take as on.
fn think(reasoning: &Reasoning) -> Option<Think> {
    if !reasoning.wanted()? {
        return Some(Think::Whether(false));
    }
    Some(match reasoning.as_effort() {
        Some("minimal" | "low") => Think::HowMuch("low"),
        Some("medium") => Think::HowMuch("medium"),
        Some("high" | "xhigh" | "max") => Think::HowMuch("high"),
        _ => Think::Whether(true),
    })
}

/// The functions that may be called. A choice that Ollama has no field for is kept by what is offered, as far as it goes.
fn tools(request: &Request, losses: &mut Losses) -> Vec<Offered> {
    let choice = request.tool_choice.as_ref();
    let is_offered = |name: &str| match choice.map(|said| &said.value) {
        Some(ToolChoice::None) => false,
        Some(ToolChoice::Named(only)) => only == name,
        Some(ToolChoice::Allowed { names, .. }) => names.iter().any(|allowed| allowed == name),
        Some(ToolChoice::Auto | ToolChoice::Required) | None => true,
    };
    if let Some(said) = choice {
        let must_call = matches!(
            said.value,
            ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. }
        );
        if must_call {
            losses.add(&said.at, "Ollama cannot make a model call a tool");
        }
    }
    let one_at_a_time = request.parallel_tool_calls.as_ref().filter(|said| !said.value);
    if let Some(said) = one_at_a_time {
        losses.add(&said.at, "Ollama cannot keep a model from calling several tools at once");
    }
    let mut offered = Vec::with_capacity(request.tools.len());
    for Tool { at, kind, .. } in &request.tools {
        match kind {
            ToolKind::Function(function) if is_offered(&function.name) => {
                if function.strict == Some(true) && has_properties(function) {
                    losses.add(format!("{at}.strict"), "Ollama does not hold arguments to a schema");
                }
                offered.push(describe(function.clone()));
            }
            ToolKind::Custom { name, description, format } if is_offered(name) => {
                offered.push(describe(custom_tools::as_function(
                    name,
                    description.as_deref(),
                    format.as_ref(),
                )));
            }
            // Not to be called: what is not offered cannot be.
            ToolKind::Function(_) | ToolKind::Custom { .. } => {}
            ToolKind::Provider { .. } => losses.add(at, "only its provider can run this tool"),
        }
    }
    offered
}

/// Whether its arguments can be wrong: those of a function without any cannot.
fn has_properties(function: &Function) -> bool {
    let schema = function.parameters.as_ref().map(Json::to_value).unwrap_or_default();
    schema["properties"].as_object().is_some_and(|properties| !properties.is_empty())
}

fn describe(function: Function) -> Offered {
    let Function { name, description, parameters, .. } = function;
    let none = || Json::parse(r#"{"type":"object","properties":{}}"#).expect("it is JSON");
    let parameters = parameters.unwrap_or_else(none);
    Offered { r#type: "function", function: Described { name, description, parameters } }
}

fn lose_the_rest(request: &Request, losses: &mut Losses) {
    const REASON: &str = "Ollama has no such parameter";
    let texts = [&request.verbosity, &request.user, &request.service_tier, &request.cache_key];
    for said in texts.into_iter().flatten() {
        losses.add(&said.at, REASON);
    }
    if let Some(said) = &request.metadata {
        losses.add(&said.at, REASON);
    }
}
