//! Reads a client's request to chat completions or completions.
//!
//! Takes also what kindred servers added to the dialect and their clients send to all of them: engines' parameters, thoughts,
//! `cache_control`. What it does not know is kept with its path, so that whoever writes the request can name it.

mod contents;
mod settings;
mod tools;
mod turns;

use crate::Endpoint;
use crate::hub::{Bare, Extra, Fields, Json, Request, Said, Unfit};

/// Reads the `body` of a request to `endpoint`.
pub(crate) fn read_request(endpoint: Endpoint, body: &[u8]) -> Result<Request, Unfit> {
    let mut fields = Fields::of_body(body)?;
    let mut request = Request::new(endpoint);
    request.model = fields.needed_text("model")?;
    request.stream = fields.flag("stream")?.unwrap_or(false);
    request.stream_usage = false;
    if let Some(mut options) = fields.object("stream_options")? {
        request.stream_usage = options.flag("include_usage")?.unwrap_or(false);
        // Pads the events against eavesdroppers; nothing of the answer depends on it.
        options.take("include_obfuscation");
        keep_rest(options, &mut request.extras);
    }
    if endpoint == Endpoint::Completions {
        let prompt = fields.json("prompt").ok_or_else(|| Unfit::bad("prompt", "is missing"))?;
        request.bare = Some(Said::new("prompt", Bare { prompt, suffix: fields.text("suffix")? }));
    } else {
        let messages = fields.list("messages")?.ok_or_else(|| Unfit::bad("messages", "is missing"))?;
        request.messages = turns::read(&messages, &mut request.extras)?;
        tools::read(&mut fields, &mut request)?;
    }
    settings::read(&mut fields, &mut request)?;
    request.extras.extend(fields.rest().map(|(name, value)| extra("", &name, value.into())));
    request.unmissed = unmissed(&request);
    Ok(request)
}

/// Hints for OpenAI's cache, and what every answer is without being asked.
fn unmissed(request: &Request) -> Vec<String> {
    let says_nothing = |extra: &&Extra| match extra.name.as_str() {
        "prompt_cache_retention" => true,
        "modalities" => extra.value.to::<Vec<String>>().is_some_and(|list| list == ["text"]),
        _ => false,
    };
    let extras = request.extras.iter().filter(says_nothing).map(|extra| extra.at.clone());
    extras.chain(request.cache_key.iter().map(|key| key.at.clone())).collect()
}

/// Whether the client knows only the older way of calling functions: `functions` and `function_call`.
pub(super) fn is_legacy(request: &Request) -> bool {
    request.tools.first().is_some_and(|tool| tool.at.starts_with("functions"))
}

/// Keeps what is left of an object inside the body. Empty lists say nothing: clients that send an answer back leave many.
fn keep_rest(fields: Fields<'_>, extras: &mut Vec<Extra>) {
    let at = fields.at().to_owned();
    let rest = fields.rest().filter(|(_, value)| value.get() != "[]");
    extras.extend(rest.map(|(name, value)| extra(&at, &name, value.into())));
}

fn extra(at: &str, name: &str, value: Json) -> Extra {
    let dot = if at.is_empty() { "" } else { "." };
    Extra { name: name.to_owned(), at: format!("{at}{dot}{name}"), value }
}
