//! A request in the hub written as `generateContent`.
//!
//! Everything stands in a fixed order and nothing is made up by chance: the same conversation gives the same bytes.

use serde::Serialize;

use crate::Endpoint;
use crate::hub::{Format, Json, Losses, Request, Reversal, Unfit};
use crate::translate::{Sent, Terms};

use super::models::{Model, Thinking};
use super::tools::{self, OutTool};
use super::turns::Turns;
use super::wire::Content;

/// The most stop sequences that Gemini takes.
const MOST_STOPS: usize = 5;

/// The most answers that Gemini gives at once.
const MOST_CANDIDATES: u64 = 8;

/// The most candidates for a token that Gemini tells.
const MOST_LOGPROBS: u64 = 20;

const NO_PARAMETER: &str = "Gemini has no such parameter";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<OutTool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<tools::Config<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_config: Option<Generation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Generation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<Thinking>,
}

/// Writes `request` for the model that `terms` name.
pub(super) fn write(request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    if let Some(bare) = &request.bare {
        let message = "is a bare text: Gemini continues only conversations";
        return Err(Unfit::untranslatable(bare.at.as_str(), message));
    }
    let model = Model::named(&terms.model);
    let mut reversal = Reversal::default();
    let tools = tools::written(request, losses, &mut reversal);
    let has_functions = tools.iter().any(|tool| matches!(tool, OutTool::Functions { .. }));
    // Models before 3 take either functions or a format.
    let in_words = request.format.as_ref().filter(|_| has_functions && !model.is_third());
    let mut turns = Turns::of(request, model, losses)?;
    if let Some(format) = in_words {
        turns.instruct_in_words(format_in_words(&format.value));
    }
    let (system_instruction, contents) = turns.finish();
    let mut generation = sampled(request, losses);
    match in_words {
        Some(format) => {
            losses.add(format.at.as_str(), "this model takes no format beside functions: asked for in words");
        }
        None => set_format(&mut generation, request),
    }
    generation.thinking_config =
        request.reasoning.as_ref().and_then(|reasoning| model.thinking(reasoning, losses));
    let tool_config = tools::choice(request, &tools, losses)?;
    let service_tier = tier(request, losses);
    lose_rest(request, losses);
    let generation_config = Some(generation).filter(|generation| *generation != Generation::default());
    let body = Body { system_instruction, contents, tools, tool_config, generation_config, service_tier };
    let mut sent = Sent::new(Endpoint::GenerateContent, &body);
    sent.reversal = reversal;
    Ok(sent)
}

fn sampled<'a>(request: &'a Request, losses: &mut Losses) -> Generation<'a> {
    let sampling = &request.sampling;
    let value = |said: &Option<crate::hub::Said<f64>>| said.as_ref().map(|said| said.value);
    let mut generation = Generation {
        max_output_tokens: request.max_tokens.as_ref().map(|said| said.value),
        temperature: value(&sampling.temperature),
        top_p: value(&sampling.top_p),
        top_k: sampling.top_k.as_ref().map(|said| said.value),
        frequency_penalty: value(&sampling.frequency_penalty),
        presence_penalty: value(&sampling.presence_penalty),
        response_logprobs: sampling.logprobs.as_ref().map(|said| said.value).filter(|wanted| *wanted),
        ..Generation::default()
    };
    if let Some(seed) = &sampling.seed {
        generation.seed = i32::try_from(seed.value).ok();
        if generation.seed.is_none() {
            losses.add(seed.at.as_str(), "Gemini takes seeds of 32 bits");
        }
    }
    if let Some(stop) = &sampling.stop {
        generation.stop_sequences =
            stop.value.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        if generation.stop_sequences.len() > MOST_STOPS {
            generation.stop_sequences.truncate(MOST_STOPS);
            losses.add(stop.at.as_str(), "Gemini takes 5 stop sequences: the others are left out");
        }
    }
    if let Some(n) = sampling.n.as_ref().filter(|n| n.value != 1) {
        generation.candidate_count = Some(n.value.min(MOST_CANDIDATES));
        if n.value > MOST_CANDIDATES {
            losses.add(n.at.as_str(), "Gemini gives 8 answers at most");
        }
    }
    if let Some(top) = &sampling.top_logprobs {
        if generation.response_logprobs.is_some() {
            generation.logprobs = Some(top.value.min(MOST_LOGPROBS)).filter(|top| *top > 0);
        } else if top.value > 0 {
            losses.add(top.at.as_str(), "needs logprobs beside it");
        }
    }
    let lost = [
        sampling.min_p.as_ref().map(|said| &said.at),
        sampling.repeat_penalty.as_ref().map(|said| &said.at),
        sampling.logit_bias.as_ref().map(|said| &said.at),
    ];
    lost.into_iter().flatten().for_each(|at| losses.add(at.as_str(), NO_PARAMETER));
    generation
}

fn set_format<'a>(generation: &mut Generation<'a>, request: &'a Request) {
    let Some(format) = &request.format else { return };
    generation.response_mime_type = Some("application/json");
    if let Format::Schema { schema, .. } = &format.value {
        generation.response_json_schema = Some(schema);
    }
}

fn format_in_words(format: &Format) -> String {
    match format {
        Format::Json => "Give your final answer as one JSON object and nothing else.".to_owned(),
        Format::Schema { schema, .. } => format!(
            "Give your final answer as JSON that follows this JSON Schema, and nothing else:\n{}",
            schema.as_str()
        ),
    }
}

/// The class of service, in Gemini's words.
fn tier(request: &Request, losses: &mut Losses) -> Option<&'static str> {
    let said = request.service_tier.as_ref()?;
    match said.value.as_str() {
        "flex" => Some("flex"),
        "priority" => Some("priority"),
        "standard_only" => Some("standard"),
        "auto" | "default" => None,
        _ => {
            losses.add(said.at.as_str(), "Gemini has no such class of service");
            None
        }
    }
}

/// Names everything for which Gemini has no place.
fn lose_rest(request: &Request, losses: &mut Losses) {
    let lost = [
        request.verbosity.as_ref().map(|said| &said.at),
        request.user.as_ref().map(|said| &said.at),
        request.metadata.as_ref().map(|said| &said.at),
        request.cache_key.as_ref().map(|said| &said.at),
    ];
    let extras = request.engine_options.iter().chain(&request.extras).map(|extra| &extra.at);
    lost.into_iter().flatten().chain(extras).for_each(|at| losses.add(at.as_str(), NO_PARAMETER));
}
