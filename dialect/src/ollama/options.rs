//! The object `options` and `keep_alive`: how the next token is drawn, and what the engine is told.

use serde::Serialize;

use crate::hub::{Extra, Fields, Json, Losses, Request, Said, Sampling, Unfit, kind};

/// Options with a word of their own in the hub, and numbers.
#[derive(Default)]
pub(crate) struct Drawn {
    /// How the next token is drawn.
    pub(crate) sampling: Sampling,
    /// `num_predict`, if it is a limit: below 0 it is none.
    pub(crate) max_tokens: Option<Said<u64>>,
    /// The others.
    pub(crate) engine: Vec<Extra>,
}

/// Takes `options` and `keep_alive` out of `body`.
pub(crate) fn read(body: &mut Fields<'_>) -> Result<Drawn, Unfit> {
    let mut drawn = Drawn::default();
    if let Some(mut options) = body.object("options")? {
        let sampling = &mut drawn.sampling;
        sampling.temperature = number(&mut options, "temperature")?;
        sampling.top_p = number(&mut options, "top_p")?;
        sampling.top_k = whole(&mut options, "top_k")?.map(not_below_0);
        sampling.min_p = number(&mut options, "min_p")?;
        sampling.frequency_penalty = number(&mut options, "frequency_penalty")?;
        sampling.presence_penalty = number(&mut options, "presence_penalty")?;
        sampling.repeat_penalty = number(&mut options, "repeat_penalty")?;
        sampling.seed = whole(&mut options, "seed")?;
        sampling.stop = stop(&mut options)?;
        drawn.max_tokens = whole(&mut options, "num_predict")?
            .and_then(|said| u64::try_from(said.value).ok().map(|value| Said::new(said.at, value)));
        drawn.engine = rest(options);
    }
    drawn.engine.extend(keep_alive(body));
    Ok(drawn)
}

/// Takes all of `options`, and `keep_alive`, as options of the engine: nothing is drawn where vectors are made.
pub(crate) fn read_for_engine(body: &mut Fields<'_>) -> Result<Vec<Extra>, Unfit> {
    let mut engine = body.object("options")?.map(rest).unwrap_or_default();
    engine.extend(keep_alive(body));
    Ok(engine)
}

fn keep_alive(body: &mut Fields<'_>) -> Option<Extra> {
    let at = body.path("keep_alive");
    let value = body.json("keep_alive")?;
    Some(Extra { name: "keep_alive".to_owned(), at, value })
}

/// What is left of `fields`, under its names and paths.
pub(crate) fn rest(fields: Fields<'_>) -> Vec<Extra> {
    let at = if fields.at().is_empty() { String::new() } else { format!("{}.", fields.at()) };
    let extra = |name: &str, value| Extra { name: name.to_owned(), at: format!("{at}{name}"), value };
    fields.rest().map(|(name, value)| extra(&name, Json::from(value))).collect()
}

fn number(options: &mut Fields<'_>, name: &str) -> Result<Option<Said<f64>>, Unfit> {
    let at = options.path(name);
    Ok(options.number(name)?.map(|value| Said::new(at, value)))
}

/// A whole number; a fraction is cut off, as Ollama does.
fn whole(options: &mut Fields<'_>, name: &str) -> Result<Option<Said<i64>>, Unfit> {
    let at = options.path(name);
    if let Some(Ok(value)) = options.peek(name).map(|value| value.get().parse()) {
        options.take(name);
        return Ok(Some(Said::new(at, value)));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the cut is meant")]
    Ok(options.number(name)?.map(|value| Said::new(at, value as i64)))
}

fn not_below_0(said: Said<i64>) -> Said<u64> {
    Said::new(said.at, u64::try_from(said.value).unwrap_or(0))
}

/// A string or a list of strings; an empty list says nothing.
fn stop(options: &mut Fields<'_>) -> Result<Option<Said<Vec<String>>>, Unfit> {
    let at = options.path("stop");
    let Some(value) = options.take("stop") else { return Ok(None) };
    let one = serde_json::from_str(value.get()).map(|text| vec![text]);
    let stops: Vec<String> = one.or_else(|_| serde_json::from_str(value.get())).map_err(|_| {
        Unfit::bad(at.clone(), format!("must be a string or a list of strings, not {}", kind(value)))
    })?;
    Ok((!stops.is_empty()).then(|| Said::new(at, stops)))
}

/// The object `options` as it is sent.
#[derive(Default, PartialEq, Serialize)]
pub(crate) struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<Vec<String>>,
    #[serde(flatten)]
    engine: serde_json::Map<String, serde_json::Value>,
}

impl Options {
    /// The options of `request`; what Ollama draws no tokens by is lost.
    pub(crate) fn of(request: &Request, losses: &mut Losses) -> Self {
        let sampling = &request.sampling;
        if let Some(said) = &sampling.logit_bias {
            losses.add(&said.at, "Ollama cannot weigh single tokens");
        }
        Self {
            num_predict: value(request.max_tokens.as_ref()),
            temperature: value(sampling.temperature.as_ref()),
            top_p: value(sampling.top_p.as_ref()),
            top_k: value(sampling.top_k.as_ref()),
            min_p: value(sampling.min_p.as_ref()),
            frequency_penalty: value(sampling.frequency_penalty.as_ref()),
            presence_penalty: value(sampling.presence_penalty.as_ref()),
            repeat_penalty: value(sampling.repeat_penalty.as_ref()),
            seed: value(sampling.seed.as_ref()),
            stop: sampling.stop.as_ref().map(|said| said.value.clone()).filter(|stops| !stops.is_empty()),
            engine: engine(&request.engine_options),
        }
    }

    /// The options of a request for vectors.
    pub(crate) fn of_engine(extras: &[Extra]) -> Self {
        Self { engine: engine(extras), ..Self::default() }
    }

    /// Whether nothing is said.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn value<T: Copy>(said: Option<&Said<T>>) -> Option<T> {
    said.map(|said| said.value)
}

fn engine(extras: &[Extra]) -> serde_json::Map<String, serde_json::Value> {
    let options = extras.iter().filter(|extra| extra.name != "keep_alive");
    options.map(|extra| (extra.name.clone(), extra.value.to_value())).collect()
}

/// How long the model is to stay loaded, if the client says.
pub(crate) fn keep_alive_in(extras: &[Extra]) -> Option<&Json> {
    extras.iter().find(|extra| extra.name == "keep_alive").map(|extra| &extra.value)
}
