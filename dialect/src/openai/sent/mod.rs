//! Writes a request to a backend that speaks this dialect: OpenAI's own API, or one of the many servers like it.
//!
//! Not carried, and not named as lost, because nothing of the conversation or of what was asked for hangs on it:
//! `cache_control` and other hints for caches, thoughts of earlier turns that the server has no place for, and billing lines.

mod contents;
mod engines;
mod names;
mod settings;
mod tools;
mod turns;

use crate::Endpoint;
use crate::hub::{Losses, Request, Unfit};
use crate::translate::{Engine, Sent, Terms};

use crate::hub::Object;

/// Why something of another dialect is lost.
const NO_SUCH: &str = "OpenAI Chat Completions has no such parameter";
/// Why something that only some servers take is lost.
const NOT_HERE: &str = "this backend takes no such parameter";

/// What every part of the writing needs.
struct Task<'a> {
    request: &'a Request,
    terms: &'a Terms,
    engine: Engine,
    losses: &'a mut Losses,
}

/// Writes `request` to a backend on these `terms`.
pub(crate) fn write_request(request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    let one_answer = match terms.engine {
        Engine::LmStudio => Some("LM Studio"),
        Engine::Ollama => Some("Ollama"),
        _ => None,
    };
    one_answer.map_or(Ok(()), |server| request.sampling.refuse_several(server))?;
    let mut task = Task { request, terms, engine: terms.engine, losses };
    let mut body = Object::default();
    body.put("model", &terms.model);
    let endpoint = if let Some(bare) = &request.bare {
        body.put("prompt", &bare.value.prompt);
        body.put_some("suffix", bare.value.suffix.as_deref());
        task.lose_chat();
        Endpoint::Completions
    } else {
        body.put("messages", &turns::messages(&mut task)?);
        tools::write(&mut task, &mut body)?;
        settings::write_chat(&mut task, &mut body)?;
        Endpoint::ChatCompletions
    };
    settings::write(&mut task, &mut body);
    settings::write_extras(&mut task, &mut body);
    if request.stream {
        body.put("stream", &true);
        // Else most servers count nothing in a stream.
        let mut options = Object::default();
        options.put("include_usage", &true);
        body.put("stream_options", &options);
    }
    let mut sent = Sent::new(endpoint, &body);
    names::reverse(request, &mut sent.reversal);
    Ok(sent)
}

impl Task<'_> {
    /// A bare text has no tools, no thoughts and no form.
    fn lose_chat(&mut self) {
        const REASON: &str = "completions have no such parameter";
        let request = self.request;
        let tools = request.tools.first().map(|tool| &tool.at);
        let places = [
            tools,
            request.tool_choice.as_ref().map(|said| &said.at),
            request.reasoning.as_ref().map(|said| &said.at),
            request.format.as_ref().map(|said| &said.at),
            request.verbosity.as_ref().map(|said| &said.at),
        ];
        for place in places.into_iter().flatten() {
            self.losses.add(place.clone(), REASON);
        }
    }
}
