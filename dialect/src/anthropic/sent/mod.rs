//! What a backend is asked: a request of any dialect in the words of this one.
//!
//! The API is strict, so a request is brought into the form that it takes: turns alternate, every call is answered in the
//! next turn, nothing is empty. What it cannot carry is named with the client's own path. The same request always makes
//! the same bytes.

mod blocks;
mod form;
mod names;
mod settings;
mod talent;
mod thinking;
mod toolbox;
mod turns;

use crate::hub::{Losses, Request, Reversal, Unfit};
use crate::translate::{Sent, Terms};
use crate::{Dialect, Endpoint};

use crate::hub::Object;
use form::Form;
use talent::Talent;
use toolbox::Toolbox;

/// The beta that lets a request name uploaded files.
const FILES_BETA: &str = "files-api-2025-04-14";

/// What every step of the writing looks at.
#[derive(Clone, Copy)]
struct Task<'a> {
    request: &'a Request,
    terms: &'a Terms,
    talent: Talent,
}

impl Task<'_> {
    /// Whether the client speaks this dialect itself: then what only it knows goes through.
    fn is_kindred(&self) -> bool {
        self.request.origin.dialect() == Dialect::Anthropic
    }
}

/// Writes `request` for a backend; what cannot be carried goes to `losses`.
pub(super) fn write(request: &Request, terms: &Terms, losses: &mut Losses) -> Result<Sent, Unfit> {
    if let Some(bare) = &request.bare {
        let message = "is a bare text: Anthropic continues conversations only";
        return Err(Unfit::untranslatable(&bare.at, message));
    }
    request.sampling.refuse_several("Anthropic")?;
    let task = Task { request, terms, talent: Talent::of(&terms.model, terms.engine) };
    let mut reversal = Reversal::default();
    let mut toolbox = Toolbox::of(task, &mut reversal, losses)?;
    let form = Form::of(task, &mut toolbox, &mut reversal, losses);
    let mut written = turns::write(task, losses)?;
    written.system.extend(form.instruction.map(turns::SystemText::plain));
    let thinking = thinking::decide(task, &toolbox, &written, losses);

    let mut body = Object::default();
    body.put("model", &terms.model);
    body.put("max_tokens", &thinking.max_tokens);
    if request.stream {
        body.put("stream", &true);
    }
    put_system(&written.system, &mut body);
    toolbox.put(&mut body);
    body.put("messages", &written.messages);
    body.put_some("thinking", thinking.config.as_ref());
    let config = Object::default()
        .with_some("effort", thinking.effort.as_ref())
        .with_some("format", form.output_format.as_ref());
    if !config.is_empty() {
        body.put("output_config", &config);
    }
    settings::put(task, thinking.is_on, &mut body, losses);
    let mut sent = Sent::new(Endpoint::Messages, &body);
    if written.names_files {
        sent.headers.push(("anthropic-beta", FILES_BETA.to_owned()));
    }
    sent.reversal = reversal;
    Ok(sent)
}

/// A single plain text goes as a string, anything else as blocks.
fn put_system(system: &[turns::SystemText], body: &mut Object) {
    match system {
        [] => {}
        [only] if only.cache.is_none() => body.put("system", &only.text),
        several => body.put("system", &several.iter().map(turns::SystemText::block).collect::<Vec<_>>()),
    }
}
