//! How the next token is drawn, and the other plain members of a request.

use crate::hub::{Losses, Said};

use super::Task;
use crate::hub::Object;

/// Why most of what is lost here is.
const NOT_HERE: &str = "Anthropic has no such parameter";

/// The longest name of a user.
const LONGEST_USER: usize = 256;

/// Adds the settings of the request to `body`; the model `thinks` or does not.
pub(super) fn put(task: Task<'_>, thinks: bool, body: &mut Object, losses: &mut Losses) {
    put_sampling(task, thinks, body, losses);
    put_stops(task, body, losses);
    put_user(task, body, losses);
    if let Some(tier) = &task.request.service_tier {
        match tier.value.as_str() {
            "auto" => body.put("service_tier", "auto"),
            "default" | "standard_only" => body.put("service_tier", "standard_only"),
            _ => losses.add(&tier.at, "Anthropic has no such class of service"),
        }
    }
    for extra in &task.request.extras {
        if task.is_kindred() && extra.at == extra.name && !body.has(&extra.name) {
            body.put(&extra.name, &extra.value);
        } else if extra.name != "safety_identifier" {
            // That one is the user's name, if the client gives no other.
            losses.add(&extra.at, "Anthropic does not know it");
        }
    }
    lose(task, losses);
}

fn put_sampling(task: Task<'_>, thinks: bool, body: &mut Object, losses: &mut Losses) {
    let sampling = &task.request.sampling;
    if let Some(temperature) = &sampling.temperature {
        let clamped = temperature.value.clamp(0.0, 1.0);
        if !task.talent.is_drawn() {
            losses.add(&temperature.at, "this model takes none");
        } else if thinks && temperature.value < 1.0 {
            losses.add(&temperature.at, "must be 1 while the model thinks");
        } else {
            #[expect(clippy::float_cmp, reason = "clamping leaves a number that fits as it is")]
            if clamped != temperature.value {
                losses.add(&temperature.at, format!("sent as {clamped}: Anthropic takes 0 to 1"));
            }
            if !thinks {
                body.put("temperature", &clamped);
            }
        }
    }
    if let Some(top_p) = &sampling.top_p {
        if !task.talent.is_drawn() {
            losses.add(&top_p.at, "this model takes none");
        } else if thinks && top_p.value < 0.95 {
            losses.add(&top_p.at, "must be at least 0.95 while the model thinks");
        } else if body.has("temperature") && !task.talent.takes_both() {
            if top_p.value < 1.0 {
                losses.add(&top_p.at, "this model takes it or a temperature, not both");
            }
        } else {
            body.put("top_p", &top_p.value.clamp(0.0, 1.0));
        }
    }
    if let Some(top_k) = &sampling.top_k {
        if thinks || !task.talent.is_drawn() {
            losses.add(&top_k.at, "this model takes none, or not while it thinks");
        } else {
            body.put("top_k", &top_k.value);
        }
    }
}

fn put_stops(task: Task<'_>, body: &mut Object, losses: &mut Losses) {
    let Some(stop) = &task.request.sampling.stop else { return };
    let kept: Vec<&str> =
        stop.value.iter().map(String::as_str).filter(|stop| !stop.trim().is_empty()).collect();
    if kept.len() < stop.value.len() {
        losses.add(&stop.at, "Anthropic takes no stop sequences that are only white space");
    }
    if !kept.is_empty() {
        body.put("stop_sequences", &kept);
    }
}

fn put_user(task: Task<'_>, body: &mut Object, losses: &mut Losses) {
    let by_extra = || {
        let extra = task.request.extras.iter().find(|extra| extra.name == "safety_identifier")?;
        Some(Said::new(&extra.at, extra.value.to::<String>()?))
    };
    let Some(user) = task.request.user.clone().or_else(by_extra) else { return };
    if user.value.len() > LONGEST_USER {
        losses.add(&user.at, "too long for Anthropic");
    } else if !user.value.is_empty() {
        body.put("metadata", &Object::default().with("user_id", &user.value));
    }
}

/// Names everything that has no place here at all.
fn lose(task: Task<'_>, losses: &mut Losses) {
    let request = task.request;
    let sampling = &request.sampling;
    let asked = [
        sampling.frequency_penalty.as_ref().map(|said| &said.at),
        sampling.presence_penalty.as_ref().map(|said| &said.at),
        sampling.repeat_penalty.as_ref().map(|said| &said.at),
        sampling.min_p.as_ref().map(|said| &said.at),
        sampling.seed.as_ref().map(|said| &said.at),
        sampling.logprobs.as_ref().map(|said| &said.at),
        sampling.top_logprobs.as_ref().map(|said| &said.at),
        sampling.logit_bias.as_ref().map(|said| &said.at),
        request.verbosity.as_ref().map(|said| &said.at),
        request.metadata.as_ref().map(|said| &said.at),
        request.cache_key.as_ref().map(|said| &said.at),
    ];
    for at in asked.into_iter().flatten() {
        losses.add(at, NOT_HERE);
    }
    for option in &request.engine_options {
        losses.add(&option.at, NOT_HERE);
    }
}
