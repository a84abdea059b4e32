//! Writes everything beside the conversation and the tools.

use serde_json::value::RawValue;

use crate::Dialect;
use crate::hub::Object;
use crate::hub::{Extra, Fields, Format, Json, Said, Unfit, ids, strictness};
use crate::responses::model::{self, Thinks};
use crate::translate::{Engine, FormatMode};

use super::{NO_SUCH, NOT_HERE, Task, engines, names};

/// The most stop sequences that OpenAI takes.
const MOST_STOPS: usize = 4;
/// The longest name of a user that OpenAI takes.
const LONGEST_USER: usize = 64;

/// Members of OpenAI's own bodies for which the hub has no word.
const OPENAI: [&str; 9] = [
    "store",
    "prediction",
    "modalities",
    "audio",
    "web_search_options",
    "safety_identifier",
    "prompt_cache_retention",
    "echo",
    "best_of",
];
/// Options of Ollama that llama.cpp takes in the body.
const LLAMA_CPP: [&str; 6] =
    ["repeat_last_n", "typical_p", "mirostat", "mirostat_tau", "mirostat_eta", "tfs_z"];

/// Puts what only a chat has into `body`: thinking, the form of the answer.
pub(super) fn write_chat(task: &mut Task<'_>, body: &mut Object) -> Result<(), Unfit> {
    write_reasoning(task, body);
    write_format(task, body)?;
    if let Some(said) = &task.request.verbosity {
        if task.engine == Engine::Provider {
            body.put("verbosity", &said.value);
        } else {
            task.losses.add(&said.at, NOT_HERE);
        }
    }
    Ok(())
}

/// Puts limits, sampling, engine options and who asks into `body`.
pub(super) fn write(task: &mut Task<'_>, body: &mut Object) {
    let (request, engine) = (task.request, task.engine);
    let is_bare = request.bare.is_some();
    let limit = if engine == Engine::Provider && !is_bare { "max_completion_tokens" } else { "max_tokens" };
    put(body, limit, request.max_tokens.as_ref());
    let sampling = &request.sampling;
    let is_drawn = is_bare || !task.is_thinking();
    if is_drawn {
        put(body, "temperature", sampling.temperature.as_ref());
        put(body, "top_p", sampling.top_p.as_ref());
        put(body, "frequency_penalty", sampling.frequency_penalty.as_ref());
        put(body, "presence_penalty", sampling.presence_penalty.as_ref());
    } else {
        task.lose_drawing();
    }
    put(body, "seed", sampling.seed.as_ref());
    if is_drawn {
        write_stop(task, body);
    }
    put(body, "n", sampling.n.as_ref());
    if is_drawn {
        write_chances(task, body);
    }
    // Ollama's own API takes them; its API of this dialect passes over them.
    let takes_engine = engine.is_local() && engine != Engine::Ollama;
    let penalty = if engine == Engine::Vllm { "repetition_penalty" } else { "repeat_penalty" };
    task.put_if(takes_engine, body, "top_k", sampling.top_k.as_ref());
    task.put_if(takes_engine, body, "min_p", sampling.min_p.as_ref());
    task.put_if(takes_engine, body, penalty, sampling.repeat_penalty.as_ref());
    for option in &request.engine_options {
        if engine == Engine::LlamaCpp && LLAMA_CPP.contains(&option.name.as_str()) {
            body.put(&option.name, &option.value);
        } else {
            task.losses.add(&option.at, NOT_HERE);
        }
    }
    write_caller(task, body);
}

fn put<T: serde::Serialize>(body: &mut Object, name: &str, said: Option<&Said<T>>) {
    body.put_some(name, said.map(|said| &said.value));
}

impl Task<'_> {
    /// Whether the model is one of OpenAI's that thinks: it refuses any setting of how its tokens are drawn.
    fn is_thinking(&self) -> bool {
        let wanted = self.request.reasoning.as_ref().and_then(|said| said.value.wanted());
        self.engine == Engine::Provider && model::is_thinking(&self.terms.model, wanted)
    }

    /// Names the settings that a model which thinks refuses, where they are not what it does anyway.
    fn lose_drawing(&mut self) {
        let sampling = &self.request.sampling;
        let differs = |said: &Option<Said<f64>>, usual: f64| {
            let said = said.as_ref().filter(|said| (said.value - usual).abs() > f64::EPSILON);
            said.map(|said| said.at.clone())
        };
        let lost = [
            differs(&sampling.temperature, 1.0),
            differs(&sampling.top_p, 1.0),
            differs(&sampling.frequency_penalty, 0.0),
            differs(&sampling.presence_penalty, 0.0),
            sampling.stop.as_ref().filter(|said| !said.value.is_empty()).map(|said| said.at.clone()),
            sampling.logprobs.as_ref().filter(|said| said.value).map(|said| said.at.clone()),
            sampling.logit_bias.as_ref().map(|said| said.at.clone()),
        ];
        for at in lost.into_iter().flatten() {
            self.losses.add(at, "the model thinks, and takes no such setting");
        }
    }

    /// Puts the member if the server takes it; else it is lost.
    fn put_if<T: serde::Serialize>(
        &mut self,
        takes: bool,
        body: &mut Object,
        name: &str,
        said: Option<&Said<T>>,
    ) {
        match said {
            Some(said) if takes => body.put(name, &said.value),
            Some(said) => self.losses.add(&said.at, NOT_HERE),
            None => {}
        }
    }
}

/// How likely tokens were, or are to be.
fn write_chances(task: &mut Task<'_>, body: &mut Object) {
    let sampling = &task.request.sampling;
    if task.request.bare.is_some() {
        let candidates = sampling.top_logprobs.as_ref().map(|said| said.value);
        let is_wanted = sampling.logprobs.as_ref().is_some_and(|said| said.value);
        body.put_some("logprobs", candidates.or(is_wanted.then_some(1)).as_ref());
    } else {
        put(body, "logprobs", sampling.logprobs.as_ref());
        put(body, "top_logprobs", sampling.top_logprobs.as_ref());
    }
    task.put_if(task.engine != Engine::Ollama, body, "logit_bias", sampling.logit_bias.as_ref());
}

fn write_stop(task: &mut Task<'_>, body: &mut Object) {
    let Some(said) = &task.request.sampling.stop else { return };
    let mut stops: Vec<_> = said.value.iter().filter(|stop| !stop.is_empty()).collect();
    if task.engine == Engine::Provider && stops.len() > MOST_STOPS {
        stops.truncate(MOST_STOPS);
        task.losses.add(&said.at, "OpenAI takes four of them at most: the first four are sent");
    }
    if !stops.is_empty() {
        body.put("stop", &stops);
    }
}

/// Who asks, for what class of service, with what notes.
fn write_caller(task: &mut Task<'_>, body: &mut Object) {
    let (request, is_provider) = (task.request, task.engine == Engine::Provider);
    if let Some(user) = &request.user {
        if is_provider && user.value.len() > LONGEST_USER {
            body.put("user", &ids::made("user_", &user.value, 0));
        } else {
            body.put("user", &user.value);
        }
    }
    if let Some(cache_key) = request.cache_key.as_ref().filter(|_| is_provider) {
        body.put("prompt_cache_key", &cache_key.value);
    }
    if let Some(tier) = &request.service_tier {
        let word = if tier.value == "standard_only" { "default" } else { tier.value.as_str() };
        if is_provider {
            body.put("service_tier", word);
        } else {
            task.losses.add(&tier.at, NOT_HERE);
        }
    }
    if let Some(metadata) = &request.metadata {
        let is_stored = |extra: &Extra| extra.name == "store" && extra.value.as_str() == "true";
        if is_provider && request.extras.iter().any(is_stored) {
            body.put("metadata", &metadata.value);
        } else {
            task.losses.add(&metadata.at, "notes are kept only with answers that OpenAI stores");
        }
    }
}

/// How much to think: by a word where the server takes one, and by the template's switch at engines that have it.
fn write_reasoning(task: &mut Task<'_>, body: &mut Object) {
    let Some(said) = &task.request.reasoning else { return };
    let (reasoning, engine) = (&said.value, task.engine);
    let (is_provider, model) = (engine == Engine::Provider, &task.terms.model);
    if is_provider && model::thinks(model) == Thinks::Never {
        if reasoning.wanted() == Some(true) {
            task.losses.add(&said.at, "the model does not think");
        }
        return;
    }
    let said_none = reasoning.effort.as_deref() == Some("none");
    let effort = match reasoning.as_effort() {
        Some("none") if engine == Engine::Provider && model::thinks(&task.terms.model) == Thinks::Always => {
            let least = model::least_effort(&task.terms.model);
            if least != "none" {
                task.losses.add(&said.at, "this model always thinks: it is asked for the least");
            }
            Some(least)
        }
        // Models that always think, and those that never do, refuse the word: it is sent only as said.
        Some("none") if !engine.is_local() && !said_none => None,
        Some("none") if matches!(engine, Engine::Vllm | Engine::LlamaCpp) => None,
        // Merely wanted: where nothing else can say so, the usual effort does.
        None if reasoning.wanted() == Some(true) && !matches!(engine, Engine::Vllm | Engine::LlamaCpp) => {
            Some("medium")
        }
        effort => effort,
    };
    let word = effort.map(|word| match (word, engine.is_local()) {
        ("minimal", true) => "low",
        ("xhigh" | "max", true) => "high",
        _ if is_provider => model::effort(model, word),
        ("max", false) => "xhigh",
        _ => word,
    });
    if let (Some(word), Some(effort)) = (word, &reasoning.effort)
        && word != effort
    {
        task.losses.add(&said.at, format!("sent as {word}, the nearest that this backend has"));
    }
    if matches!(engine, Engine::Vllm | Engine::LlamaCpp) {
        let mut template = Object::default();
        template.put_some("enable_thinking", reasoning.wanted().as_ref());
        if engine == Engine::LlamaCpp {
            template.put_some("reasoning_effort", word);
        } else {
            body.put_some("reasoning_effort", word);
        }
        if !template.is_empty() {
            body.put("chat_template_kwargs", &task.with_own_template(template));
        }
    } else {
        body.put_some("reasoning_effort", word);
    }
}

impl Task<'_> {
    /// The settings for the template that the client wrote itself, if they are passed on, and of `ours` what it left open.
    fn with_own_template(&self, ours: Object) -> Object {
        let is_own = |extra: &&Extra| extra.name == "chat_template_kwargs" && self.passes(extra);
        let own = self.request.extras.iter().find(is_own);
        let members = own.and_then(|own| own.value.to::<Box<RawValue>>());
        let Some(members) = members.as_deref().and_then(|own| Fields::of("", own).ok()) else { return ours };
        let mut merged = Object::default();
        for (name, value) in members.rest() {
            merged.put(&name, value);
        }
        for (name, value) in ours.members() {
            if !merged.has(name) {
                merged.put(name, value);
            }
        }
        merged
    }

    /// Whether a member that the hub has no word for goes to the server under its name.
    fn passes(&self, extra: &Extra) -> bool {
        let (origin, is_provider) = (self.request.origin.dialect(), self.engine == Engine::Provider);
        let is_openai = OPENAI.contains(&extra.name.as_str());
        let is_engines = self.terms.pass_unknown && engines::takes(self.engine, &extra.name);
        let is_passed = match origin {
            Dialect::OpenAi => self.terms.pass_unknown || (is_provider && is_openai),
            Dialect::Responses => is_engines || (is_provider && is_openai),
            _ => is_engines,
        };
        is_passed && extra.name == extra.at
    }
}

fn write_format(task: &mut Task<'_>, body: &mut Object) -> Result<(), Unfit> {
    let Some(said) = &task.request.format else { return Ok(()) };
    let is_translated = task.request.origin.dialect() != Dialect::OpenAi;
    let any_object = || Json::parse(r#"{"type":"object"}"#).expect("it is JSON");
    let (mut inner, mut outer) = (Object::default(), Object::default());
    match &said.value {
        Format::Json => match task.terms.format_mode {
            FormatMode::StrictReject => {
                let message =
                    "asks for any JSON object, which compat.response_format_mode forbids for this backend";
                return Err(Unfit::untranslatable(&said.at, message));
            }
            // LM Studio knows only schemas.
            FormatMode::Passthrough if task.engine != Engine::LmStudio || !is_translated => {
                outer.put("type", "json_object");
                body.put("response_format", &outer);
                return Ok(());
            }
            FormatMode::Passthrough | FormatMode::NormalizeJsonObject => {
                inner.put("name", "response");
                inner.put("schema", &any_object());
            }
        },
        Format::Schema { name, description, schema, strict } => {
            inner.put("name", &names::name(name));
            inner.put_some("description", description.as_deref());
            inner.put("schema", schema);
            let (request, engine) = (task.request, task.engine);
            let strict = strictness::sent(request, engine, *strict, Some(schema), &said.at, task.losses);
            inner.put_some("strict", strict.as_ref());
        }
    }
    outer.put("type", "json_schema");
    outer.put("json_schema", &inner);
    body.put("response_format", &outer);
    Ok(())
}

/// Passes on the members that the hub has no word for, or names them as lost.
pub(super) fn write_extras(task: &mut Task<'_>, body: &mut Object) {
    for extra in &task.request.extras {
        if task.passes(extra) {
            if !body.has(&extra.name) {
                body.put(&extra.name, &extra.value);
            }
        } else {
            task.losses.add(&extra.at, NO_SUCH);
        }
    }
}
