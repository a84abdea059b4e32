//! Reads everything beside the conversation and the tools: sampling, thinking, the form of the answer, the engine's options.

use crate::Endpoint;
use crate::hub::{Extra, Fields, Format, Json, Reasoning, Request, Said, Unfit};

use super::keep_rest;

/// Options of engines that stand in the body itself, by their names in Ollama's API.
const ENGINE: [&str; 10] = [
    "num_ctx",
    "keep_alive",
    "num_keep",
    "num_gpu",
    "repeat_last_n",
    "typical_p",
    "tfs_z",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
];

/// Takes the settings out of the body.
pub(super) fn read(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    limits(fields, request)?;
    sampling(fields, request)?;
    request.reasoning = reasoning(fields, &mut request.extras)?;
    request.format = format(fields, &mut request.extras)?;
    request.verbosity = said(fields, "verbosity", Fields::text)?;
    request.user = said(fields, "user", Fields::text)?;
    request.service_tier = said(fields, "service_tier", Fields::text)?;
    request.cache_key = said(fields, "prompt_cache_key", Fields::text)?;
    request.metadata = fields.json("metadata").map(|value| Said::new("metadata", value));
    engine_options(fields, request)
}

/// Takes the member `name`, and where it stands.
fn said<'a, T>(
    fields: &mut Fields<'a>,
    name: &str,
    take: impl Fn(&mut Fields<'a>, &str) -> Result<Option<T>, Unfit>,
) -> Result<Option<Said<T>>, Unfit> {
    let at = fields.path(name);
    Ok(take(fields, name)?.map(|value| Said { value, at }))
}

/// The limit of tokens. Below zero is no limit: some engines' clients say so.
fn limits(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    for name in ["max_tokens", "max_completion_tokens"] {
        if fields.peek(name).is_some_and(|value| value.get().starts_with('-')) {
            fields.take(name);
        }
        let limit = said(fields, name, Fields::count)?;
        request.max_tokens = request.max_tokens.take().or(limit);
    }
    Ok(())
}

fn sampling(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    let sampling = &mut request.sampling;
    sampling.temperature = said(fields, "temperature", Fields::number)?;
    sampling.top_p = said(fields, "top_p", Fields::number)?;
    sampling.top_k = count(fields, "top_k")?;
    sampling.min_p = said(fields, "min_p", Fields::number)?;
    sampling.frequency_penalty = said(fields, "frequency_penalty", Fields::number)?;
    sampling.presence_penalty = said(fields, "presence_penalty", Fields::number)?;
    sampling.repeat_penalty = match said(fields, "repeat_penalty", Fields::number)? {
        Some(penalty) => Some(penalty),
        None => said(fields, "repetition_penalty", Fields::number)?,
    };
    sampling.seed = said(fields, "seed", whole)?;
    sampling.stop = said(fields, "stop", words)?.filter(|stop| !stop.value.is_empty());
    sampling.n = said(fields, "n", Fields::count)?;
    if request.origin == Endpoint::Completions {
        // Here it is the number of candidates.
        let candidates = said(fields, "logprobs", Fields::count)?;
        sampling.logprobs = candidates.as_ref().map(|said| Said::new(said.at.clone(), true));
        sampling.top_logprobs = candidates;
    } else {
        sampling.logprobs = said(fields, "logprobs", Fields::flag)?;
        sampling.top_logprobs = said(fields, "top_logprobs", Fields::count)?;
    }
    sampling.logit_bias = fields.json("logit_bias").map(|value| Said::new("logit_bias", value));
    Ok(())
}

/// A count; below zero (`top_k: -1`) it means none.
fn count(fields: &mut Fields<'_>, name: &str) -> Result<Option<Said<u64>>, Unfit> {
    if fields.peek(name).is_some_and(|value| value.get().starts_with('-')) {
        fields.take(name);
    }
    said(fields, name, Fields::count)
}

fn whole(fields: &mut Fields<'_>, name: &str) -> Result<Option<i64>, Unfit> {
    let path = fields.path(name);
    let Some(value) = fields.take(name) else { return Ok(None) };
    let text = value.get().strip_suffix(".0").unwrap_or(value.get());
    text.parse().map(Some).map_err(|_| Unfit::bad(path, "must be a whole number of at most 63 bits"))
}

/// A string, or a list of strings.
fn words(fields: &mut Fields<'_>, name: &str) -> Result<Option<Vec<String>>, Unfit> {
    let path = fields.path(name);
    let Some(value) = fields.take(name) else { return Ok(None) };
    if let Ok(word) = serde_json::from_str(value.get()) {
        return Ok(Some(vec![word]));
    }
    serde_json::from_str(value.get())
        .map(Some)
        .map_err(|_| Unfit::bad(path, "must be a string or a list of strings"))
}

/// How much to think: said in OpenAI's own way, or in one of those that kindred servers have.
fn reasoning(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Option<Said<Reasoning>>, Unfit> {
    const PLACES: [&str; 7] = [
        "reasoning_effort",
        "reasoning",
        "thinking",
        "enable_thinking",
        "thinking_budget",
        "include_reasoning",
        "chat_template_kwargs",
    ];
    let place = PLACES.into_iter().find(|name| fields.has(name));
    let mut found = Reasoning { effort: fields.text("reasoning_effort")?, ..Reasoning::default() };
    if let Some(mut inner) = fields.object("reasoning")? {
        found.effort = found.effort.or(inner.text("effort")?);
        found.budget = inner.count("max_tokens")?;
        found.enabled = inner.flag("enabled")?;
        found.shown = inner.flag("exclude")?.map(|is_hidden| !is_hidden);
        found.summary = inner.text("summary")?;
        keep_rest(inner, extras);
    }
    if let Some(mut inner) = fields.object("thinking")? {
        found.enabled = inner.text("type")?.map(|word| word != "disabled").or(found.enabled);
        found.budget = inner.count("budget_tokens")?.or(found.budget);
        keep_rest(inner, extras);
    }
    found.enabled = fields.flag("enable_thinking")?.or(found.enabled);
    found.budget = fields.count("thinking_budget")?.or(found.budget);
    found.shown = fields.flag("include_reasoning")?.or(found.shown);
    let template = fields.json("chat_template_kwargs");
    if let Some(mut inner) = template_members(template.as_ref())? {
        let wish = inner.flag("enable_thinking")?;
        found.enabled = wish.or(inner.flag("thinking")?).or(found.enabled);
        found.effort = found.effort.or(inner.text("reasoning_effort")?);
        if let (Some(value), true) = (&template, inner.rest().next().is_some()) {
            extras.push(super::extra("", "chat_template_kwargs", value.clone()));
        }
    }
    Ok(place.filter(|_| found != Reasoning::default()).map(|at| Said::new(at, found)))
}

fn template_members(template: Option<&Json>) -> Result<Option<Fields<'_>>, Unfit> {
    let Some(template) = template else { return Ok(None) };
    let raw = serde_json::from_str(template.as_str()).expect("it was read before");
    Fields::of("chat_template_kwargs", raw).map(Some)
}

fn format(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Option<Said<Format>>, Unfit> {
    let Some(mut inner) = fields.object("response_format")? else { return Ok(None) };
    let at = inner.at().to_owned();
    let format = match inner.needed_text("type")?.as_str() {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => {
            let path = inner.path("json_schema");
            let mut spec = inner.object("json_schema")?.ok_or_else(|| Unfit::bad(path, "is missing"))?;
            let path = spec.path("schema");
            let format = Format::Schema {
                name: spec.text("name")?.unwrap_or_else(|| "response".to_owned()),
                description: spec.text("description")?,
                schema: spec.json("schema").ok_or_else(|| Unfit::bad(path, "is missing"))?,
                strict: spec.flag("strict")?,
            };
            keep_rest(spec, extras);
            Some(format)
        }
        _ => return Err(Unfit::bad(inner.path("type"), "must be text, json_object or json_schema")),
    };
    keep_rest(inner, extras);
    Ok(format.map(|format| Said::new(at, format)))
}

/// The options that Ollama has, where clients write them for it in OpenAI's body. What the dialect itself has a word for
/// counts only where that word was not said.
fn engine_options(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), Unfit> {
    if let Some(mut options) = fields.object("options")? {
        let sampling = &mut request.sampling;
        let number = |place: &mut Option<Said<f64>>, options: &mut Fields<'_>, name: &str| {
            let found = said(options, name, Fields::number)?;
            *place = place.take().or(found);
            Ok::<_, Unfit>(())
        };
        number(&mut sampling.temperature, &mut options, "temperature")?;
        number(&mut sampling.top_p, &mut options, "top_p")?;
        number(&mut sampling.min_p, &mut options, "min_p")?;
        number(&mut sampling.repeat_penalty, &mut options, "repeat_penalty")?;
        number(&mut sampling.presence_penalty, &mut options, "presence_penalty")?;
        number(&mut sampling.frequency_penalty, &mut options, "frequency_penalty")?;
        sampling.top_k = sampling.top_k.take().or(count(&mut options, "top_k")?);
        sampling.seed = sampling.seed.take().or(said(&mut options, "seed", whole)?);
        let stop = said(&mut options, "stop", words)?.filter(|stop| !stop.value.is_empty());
        sampling.stop = sampling.stop.take().or(stop);
        request.max_tokens = request.max_tokens.take().or(count(&mut options, "num_predict")?);
        keep_rest(options, &mut request.engine_options);
    }
    for name in ENGINE {
        if let Some(value) = fields.json(name)
            && request.engine_options.iter().all(|known| known.name != name)
        {
            request.engine_options.push(super::extra("", name, value));
        }
    }
    Ok(())
}
