//! A request to a backend that speaks Responses. It is asked to keep nothing: the whole conversation goes with every
//! request, and thoughts come back sealed so that they can go with the next one.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::Dialect;
use crate::Endpoint;
use crate::hub::{Extra, Format, Json, Losses, Reasoning, Request, Said, Unfit, ids, strictness};
use crate::translate::{Engine, Sent, Terms};

use super::input_item::Item;
use super::item_writer;
use super::model::{self, Thinks};
use super::tool_writer::{Tools, plain_name};

/// The longest user id and cache key that OpenAI takes.
const LONGEST_ID: usize = 64;
/// The least limit of tokens that OpenAI takes.
const LEAST_TOKENS: u64 = 16;
/// Members of OpenAI's chat API that mean the same here.
const KINDRED: [&str; 4] =
    ["safety_identifier", "prompt_cache_retention", "prompt_cache_options", "moderation"];

/// Writes `request`. What it cannot carry is added to `losses`.
pub(super) fn write(request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    if let Some(bare) = &request.bare {
        let message = "is a text to be completed, which OpenAI Responses does not do: send messages";
        return Err(Unfit::untranslatable(bare.at.clone(), message));
    }
    request.sampling.refuse_several("the Responses API")?;
    let is_provider = terms.engine == Engine::Provider;
    let thinks = if is_provider { model::thinks(&terms.model) } else { Thinks::Perhaps };
    let (instructions, input) = item_writer::items(request, terms.engine, losses)?;
    let mut tools = Tools::of(request, terms.engine, losses);
    let tool_choice = tools.choice(request.tool_choice.as_ref())?;
    let reasoning = reasoning(request, terms, thinks, losses);
    let wanted = request.reasoning.as_ref().and_then(|said| said.value.wanted());
    let is_thinking = is_provider && model::is_thinking(&terms.model, wanted);
    let drawn = Drawn::of(request, is_thinking, losses);
    let mut body = Body {
        model: &terms.model,
        instructions: Some(instructions).filter(|text| !text.is_empty()),
        input,
        parallel_tool_calls: said(request.parallel_tool_calls.as_ref()).filter(|_| !tools.list.is_empty()),
        tools: tools.list,
        tool_choice,
        max_output_tokens: limit(request, thinks, losses),
        temperature: drawn.temperature,
        top_p: drawn.top_p,
        top_logprobs: said(request.sampling.top_logprobs.as_ref()).filter(|_| !is_thinking),
        include: include(request, thinks, is_thinking, losses),
        reasoning,
        text: text(request, terms.engine, losses),
        user: short(request.user.as_ref(), "user_"),
        metadata: request.metadata.as_ref().map(|said| &said.value),
        service_tier: tier(request, losses),
        prompt_cache_key: short(request.cache_key.as_ref(), "cache_"),
        store: false,
        stream: request.stream,
        stream_options: (is_provider && request.stream).then(|| json!({"include_obfuscation": false})),
        passed: Passed(Vec::new()),
    };
    if is_provider && matches!(request.format, Some(Said { value: Format::Json, .. })) {
        name_json(request, &mut body);
    }
    body.passed = passed(request, terms, losses);
    lose_sampling(request, losses);
    let mut sent = Sent::new(Endpoint::Responses, &body);
    sent.reversal = tools.reversal;
    Ok(sent)
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    input: Vec<Item>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<String>,
    store: bool,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<Value>,
    #[serde(flatten)]
    passed: Passed<'a>,
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<TextFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TextFormat<'a> {
    JsonObject,
    JsonSchema {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        schema: &'a Json,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
}

/// Members that go under their own names.
struct Passed<'a>(Vec<&'a Extra>);

impl Serialize for Passed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for extra in &self.0 {
            map.serialize_entry(&extra.name, &extra.value)?;
        }
        map.end()
    }
}

fn said<T: Clone>(said: Option<&Said<T>>) -> Option<T> {
    said.map(|said| said.value.clone())
}

struct Drawn {
    temperature: Option<f64>,
    top_p: Option<f64>,
}

impl Drawn {
    /// Models that think refuse any setting of it, even the usual 1.
    fn of(request: &Request, is_thinking: bool, losses: &mut Losses) -> Self {
        let mut kept = |said: Option<&Said<f64>>| {
            let Said { value, at } = said?;
            if is_thinking {
                if (*value - 1.0).abs() > f64::EPSILON {
                    losses.add(at.clone(), "the model thinks, and takes no such setting");
                }
                return None;
            }
            Some(*value)
        };
        Self {
            temperature: kept(request.sampling.temperature.as_ref()),
            top_p: kept(request.sampling.top_p.as_ref()),
        }
    }
}

fn limit(request: &Request, thinks: Thinks, losses: &mut Losses) -> Option<u64> {
    let Said { value, at } = request.max_tokens.as_ref()?;
    // By its name it is one of OpenAI's own models.
    if thinks != Thinks::Perhaps && *value < LEAST_TOKENS {
        losses.add(at.clone(), "OpenAI takes no limit under 16 tokens: raised to 16");
        return Some(LEAST_TOKENS);
    }
    Some(*value)
}

fn include(request: &Request, thinks: Thinks, is_thinking: bool, losses: &mut Losses) -> Vec<&'static str> {
    let wanted = request.reasoning.as_ref().and_then(|said| said.value.wanted());
    let mut list = Vec::new();
    if thinks == Thinks::Always || (thinks == Thinks::Perhaps && wanted == Some(true)) {
        list.push("reasoning.encrypted_content");
    }
    match request.sampling.logprobs.as_ref().filter(|said| said.value) {
        Some(said) if is_thinking => losses.add(said.at.clone(), "the model thinks, and tells none"),
        Some(_) => list.push("message.output_text.logprobs"),
        None => {}
    }
    list
}

fn reasoning(request: &Request, terms: &Terms, thinks: Thinks, losses: &mut Losses) -> Option<Value> {
    let Said { value, at } = request.reasoning.as_ref()?;
    if thinks == Thinks::Never {
        if value.wanted() == Some(true) {
            losses.add(at.clone(), "the model does not think");
        }
        return None;
    }
    let is_provider = terms.engine == Engine::Provider;
    let effort = value.as_effort().map(|wanted| match wanted {
        _ if is_provider => model::effort(&terms.model, wanted),
        "minimal" => "low",
        "xhigh" | "max" => "high",
        _ => wanted,
    });
    match (value.as_effort(), effort) {
        (Some("none"), Some(effort)) if effort != "none" => {
            losses.add(at.clone(), "the model cannot be told not to think: it thinks as little as it can");
        }
        (wanted, Some(effort)) if wanted != Some(effort) => {
            losses.add(at.clone(), format!("sent as {effort}, the nearest that this model has"));
        }
        _ => {}
    }
    let mut told = serde_json::Map::new();
    told.extend(effort.map(|effort| ("effort".to_owned(), json!(effort))));
    told.extend(summary(value).map(|summary| ("summary".to_owned(), json!(summary))));
    (!told.is_empty()).then_some(Value::Object(told))
}

/// Thoughts are told only where a summary is asked for, and some accounts may not ask: only who wants to see them does.
fn summary(reasoning: &Reasoning) -> Option<&str> {
    let is_shown = reasoning.shown.unwrap_or(reasoning.enabled == Some(true) || reasoning.budget.is_some());
    let asked = reasoning.summary.as_deref();
    asked.or((is_shown && reasoning.wanted() != Some(false)).then_some("auto"))
}

fn text<'a>(request: &'a Request, engine: Engine, losses: &mut Losses) -> Option<Text<'a>> {
    let format = request.format.as_ref().map(|said| match &said.value {
        Format::Json => TextFormat::JsonObject,
        Format::Schema { name, description, schema, strict } => TextFormat::JsonSchema {
            name: plain_name(name),
            description: description.as_deref(),
            schema,
            strict: strictness::sent(request, engine, *strict, Some(schema), &said.at, losses),
        },
    });
    let verbosity = request.verbosity.as_ref().map(|said| said.value.as_str());
    (format.is_some() || verbosity.is_some()).then_some(Text { format, verbosity })
}

/// OpenAI refuses to answer in JSON unless the conversation speaks of it.
fn name_json(request: &Request, body: &mut Body<'_>) {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    let speaks = parts
        .into_iter()
        .filter_map(|part| part.text())
        .any(|text| text.to_ascii_lowercase().contains("json"));
    if !speaks {
        let before = body.instructions.take().map(|text| format!("{text}\n\n")).unwrap_or_default();
        body.instructions = Some(format!("{before}Answer with a JSON object."));
    }
}

/// A name for somebody or something: one that is too long goes as another that is always the same for it.
fn short(said: Option<&Said<String>>, prefix: &str) -> Option<String> {
    let value = &said?.value;
    Some(if value.len() <= LONGEST_ID { value.clone() } else { ids::made(prefix, value, 0) })
}

fn tier<'a>(request: &'a Request, losses: &mut Losses) -> Option<&'a str> {
    let Said { value, at } = request.service_tier.as_ref()?;
    match value.as_str() {
        known @ ("auto" | "default" | "flex" | "priority" | "scale") => Some(known),
        "standard" | "standard_only" => Some("default"),
        _ => {
            losses.add(at.clone(), "OpenAI Responses has no such class of service");
            None
        }
    }
}

fn passed<'a>(request: &'a Request, terms: &Terms, losses: &mut Losses) -> Passed<'a> {
    let is_kin = request.origin.dialect() == Dialect::OpenAi && terms.engine == Engine::Provider;
    // OpenAI itself refuses what it does not know.
    let is_unknown_kin =
        request.origin.dialect() == Dialect::OpenAi && terms.pass_unknown && terms.engine != Engine::Provider;
    let mut list = Vec::new();
    for extra in &request.extras {
        if is_kin && KINDRED.contains(&extra.name.as_str()) || is_unknown_kin && extra.name == extra.at {
            list.push(extra);
        } else {
            losses.add(extra.at.clone(), "OpenAI Responses has no such parameter");
        }
    }
    for option in &request.engine_options {
        losses.add(option.at.clone(), "OpenAI Responses has no such parameter");
    }
    Passed(list)
}

fn lose_sampling(request: &Request, losses: &mut Losses) {
    let s = &request.sampling;
    let reason = "OpenAI Responses has no such parameter";
    let mut lose = |at: Option<&String>| {
        if let Some(at) = at {
            losses.add(at.clone(), reason);
        }
    };
    lose(s.top_k.as_ref().map(|said| &said.at));
    lose(s.min_p.as_ref().map(|said| &said.at));
    lose(s.frequency_penalty.as_ref().map(|said| &said.at));
    lose(s.presence_penalty.as_ref().map(|said| &said.at));
    lose(s.repeat_penalty.as_ref().map(|said| &said.at));
    lose(s.seed.as_ref().map(|said| &said.at));
    lose(s.stop.as_ref().filter(|said| !said.value.is_empty()).map(|said| &said.at));
    lose(s.logit_bias.as_ref().map(|said| &said.at));
}
