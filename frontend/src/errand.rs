//! The errand: one request as every attempt to answer it is sent off with it.

use dialect::load::LoadOptions;
use dialect::summary::{self, Summary};
use dialect::{Dialect, Endpoint};
use http::request::Parts;
use ipc_proto::control::Grant;
use ipc_proto::failure::FailureKind;
use ipc_proto::ids::ModelName;
use ipc_proto::stream::Open;

use crate::body::Kept;
use crate::call::Call;
use crate::models::Listing;
use crate::reception::Caller;
use crate::refusal::Refusal;
use crate::shared::Terms;
use crate::{auth, forward};

/// The longest model name taken from a path, in bytes: it travels in every message about the request.
const LONGEST_NAME: usize = 512;

/// A request that has been read.
pub(crate) struct Errand {
    /// Who asks.
    pub(crate) caller: Caller,
    /// What is asked.
    pub(crate) call: Call,
    /// What is known of the body. The model is the one that the directory knows.
    pub(crate) summary: Summary,
    head: Parts,
    body: Kept,
    /// Whether the body calls the model by another name than the directory.
    is_renamed: bool,
}

impl Errand {
    /// Reads the request. Fails, in the caller's words, if it is none.
    pub(crate) fn new(
        caller: &Caller,
        call: Call,
        listing: &Listing,
        head: Parts,
        body: Kept,
    ) -> Result<Self, Refusal> {
        let mut summary = read(&call, &body.bytes)?;
        // In a native call nothing is changed, its name of the model included.
        let known = (call.endpoint != Endpoint::Native).then(|| listing.named(&summary.model));
        let known = known.flatten().map(|entry| entry.id.as_str()).filter(|known| *known != summary.model);
        let is_renamed = known.is_some();
        if let Some(known) = known {
            summary.model = known.to_owned();
        }
        Ok(Self { caller: caller.clone(), call, summary, head, body, is_renamed })
    }

    /// How the request's head was sent.
    pub(crate) fn head(&self) -> &Parts {
        &self.head
    }

    /// The request's body, unpacked.
    pub(crate) fn body(&self) -> &bytes::Bytes {
        &self.body.bytes
    }

    /// Gives up all but the body.
    pub(crate) fn into_body(self) -> Kept {
        self.body
    }

    /// The message that opens the attempt which `grant` allows; `lent`: as a loan.
    pub(crate) fn open(&self, terms: &Terms, grant: &Grant, lent: bool) -> Open {
        let query = self.head.uri.query();
        let mut headers = forward::to_backend(&self.head.headers);
        let is_keyed = self.caller.dialect == Dialect::Gemini;
        if terms.takes_callers_key(grant.worker.backend) {
            let asked = query.filter(|_| is_keyed);
            headers.extend(forward::credentials(&self.head.headers, asked, &terms.keyring));
        }
        Open {
            grant: grant.grant,
            request: self.caller.request,
            label: self.caller.label.clone(),
            endpoint: self.call.endpoint,
            stream: self.summary.stream,
            lent,
            model: grant.model.clone().unwrap_or_else(|| ModelName::new(&self.summary.model)),
            renamed: grant.model.is_some() || self.is_renamed,
            framing: self.caller.framing,
            native: self.call.lane.as_ref().and_then(|lane| lane.native.clone()),
            load: grant.load.clone(),
            query: query
                .and_then(|query| if is_keyed { auth::without_key(query) } else { Some(query.to_owned()) }),
            headers,
            body_bytes: self.body.bytes.len() as u64,
        }
    }
}

/// The summary of `body`, with what the path of `call` says.
fn read(call: &Call, body: &[u8]) -> Result<Summary, Refusal> {
    if call.endpoint == Endpoint::Native {
        let summary = summary::read(call.endpoint, body).unwrap_or_else(|_| nothing());
        // Nothing is changed in such a body, so nothing in it is ours to weigh.
        return Ok(Summary { load: LoadOptions::default(), ..summary });
    }
    let mut summary = summary::read(call.endpoint, body)
        .map_err(|bad| Refusal::because(FailureKind::BadRequest, bad.message).at(bad.param))?;
    if let Some(named) = &call.named {
        let refuse = |message: String| Refusal::because(FailureKind::BadRequest, message).at(Some("model"));
        match named.model.len() {
            0 => return Err(refuse("the path names no model: it goes before the colon".to_owned())),
            1..=LONGEST_NAME => {}
            length => {
                let most = LONGEST_NAME;
                return Err(refuse(format!(
                    "the model's name has {length} bytes, and at most {most} fit one"
                )));
            }
        }
        summary.model.clone_from(&named.model);
        summary.stream = named.stream;
    }
    summary.stream &= call.endpoint.generates();
    Ok(summary)
}

/// The summary of a body of which nothing is known.
fn nothing() -> Summary {
    Summary {
        model: String::new(),
        stream: false,
        max_output_tokens: None,
        affinity: 0,
        load: LoadOptions::default(),
    }
}
