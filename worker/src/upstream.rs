//! The backend as this worker knows it: its address, its key, and how to call it.
//!
//! It promises that a call reaches the backend as it was made, and that the key appears nowhere but in the request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dialect::translate::Engine;
use dialect::{Dialect, Endpoint};
use http::header::HeaderMap;
use http::{Method, Request, Uri};
use http_body_util::Full;
use ipc_proto::failure::{Failure, FailureKind, Wait};
use ipc_proto::spec::{BackendKind, WorkerSpec};
use ipc_proto::stream::Open;

use crate::call::{self, Call};
use crate::connect::{Client, chain, is_connect_timeout};
use crate::course::Course;
use crate::fake::Fake;
use crate::key::Key;
use crate::source::Source;
use crate::{headers, target};

/// Why a spec cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The address is none.
    #[error("the backend's address {address:?} is not a URL that can be called")]
    Address {
        /// What was given.
        address: String,
    },
    /// The key cannot be sent in a header.
    #[error("the backend's key holds characters that cannot be sent")]
    Key,
    /// TLS cannot be set up.
    #[error("cannot use the system's trust store")]
    Tls(#[source] std::io::Error),
    /// A fake without a description of it.
    #[error("the fake backend comes without its description")]
    NoFake,
}

/// One backend, as its last spec describes it.
pub(crate) struct Upstream {
    /// The spec.
    pub(crate) spec: WorkerSpec,
    key: Key,
    engine: Engine,
    /// Of the operations that are at the same place for every model.
    addresses: Vec<(Endpoint, Uri)>,
    way: Way,
}

enum Way {
    Http(Arc<Client>),
    Fake(Arc<Fake>),
}

/// The beginning of an answer.
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: u16,
    /// Its headers, as they came.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Source,
}

impl Upstream {
    /// Makes the backend of `spec` callable. Connections of `before` are kept where they still fit.
    pub(crate) fn new(spec: WorkerSpec, before: Option<&Self>) -> Result<Self, SpecError> {
        let same_way = before.filter(|before| {
            before.spec.kind == spec.kind
                && before.spec.base_url == spec.base_url
                && before.spec.timeouts.connect_ms == spec.timeouts.connect_ms
                && before.spec.fake == spec.fake
        });
        let way = match same_way.map(|before| &before.way) {
            Some(Way::Http(client)) => Way::Http(Arc::clone(client)),
            Some(Way::Fake(fake)) => Way::Fake(Arc::clone(fake)),
            None => new_way(&spec)?,
        };
        let addresses = match way {
            Way::Fake(_) => Vec::new(),
            Way::Http(_) => Endpoint::ALL
                .into_iter()
                .filter(|endpoint| !endpoint.names_model_in_path() && *endpoint != Endpoint::Native)
                .map(|endpoint| Ok((endpoint, address(&spec.base_url, &endpoint.path("", false))?)))
                .collect::<Result<_, SpecError>>()?,
        };
        Ok(Self { key: Key::of(&spec)?, engine: call::engine(&spec), spec, addresses, way })
    }

    /// The fake, if this backend is one.
    pub(crate) fn fake(&self) -> Option<&Fake> {
        match &self.way {
            Way::Fake(fake) => Some(fake),
            Way::Http(_) => None,
        }
    }

    /// Makes the call that serves the request `open` with `body`, and says what becomes of the answer. Fails when this backend cannot be asked for it.
    pub(crate) fn prepare(&self, open: &Open, body: Bytes) -> Result<(Call, Course), Failure> {
        call::prepare(&self.spec, self.engine, open, body)
    }

    /// Sends the request and waits for the beginning of the answer. Dropping the future cancels the call.
    ///
    /// A request that could not be sent because its pooled connection had died is sent again on a fresh one;
    /// one that may have reached the backend is not: it could be generating already.
    pub(crate) async fn call(&self, open: &Open, call: Call) -> Result<Reply, Failure> {
        let client = match &self.way {
            Way::Fake(fake) => return Ok(fake.answer(call.endpoint, call.stream, &call.body).await),
            Way::Http(client) => client,
        };
        let unsendable = || {
            let failure = Failure::new(FailureKind::BadRequest, "the address cannot be sent");
            failure.telling("the path or the query string cannot be sent", None)
        };
        let mut request = Request::new(Full::default());
        *request.method_mut() = match &open.native {
            Some(native) => Method::from_bytes(native.method.as_bytes()).map_err(|_| unsendable())?,
            None => Method::POST,
        };
        *request.uri_mut() = self.address_for(open, &call).ok_or_else(unsendable)?;
        *request.headers_mut() = headers::for_backend(open, &call, &self.key);
        *request.body_mut() = Full::new(call.body);
        self.send(client, request).await
    }

    /// Asks the backend for `path` below its address.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Failure> {
        let Way::Http(client) = &self.way else {
            return Err(Failure::new(FailureKind::Internal, "a fake has no address to ask"));
        };
        let dialect = match self.spec.kind {
            BackendKind::Anthropic => Dialect::Anthropic,
            BackendKind::Gemini => Dialect::Gemini,
            _ => Dialect::OpenAi,
        };
        let mut request = Request::new(Full::default());
        *request.uri_mut() = address(&self.spec.base_url, path)
            .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        *request.headers_mut() = headers::for_probe(dialect, &self.key);
        self.send(client, request).await
    }

    async fn send(&self, client: &Client, request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
        let response = client.request(request).await.map_err(|error| self.failure_of(&error))?;
        let (mut head, body) = response.into_parts();
        let body = Source::from_wire(body, &mut head.headers);
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
    }

    fn failure_of(&self, error: &hyper_util::client::legacy::Error) -> Failure {
        let at = &self.spec.base_url;
        if is_connect_timeout(error) {
            Failure::new(FailureKind::Timeout(Wait::Connect), format!("{at}: {}", chain(error)))
        } else if error.is_connect() {
            Failure::new(FailureKind::Unreachable, format!("{at}: {}", chain(error)))
        } else {
            let detail = format!("{at}: connection closed before an answer: {}", chain(error));
            Failure::new(FailureKind::Malformed, self.without_key(&detail))
        }
    }

    fn address_for(&self, open: &Open, call: &Call) -> Option<Uri> {
        let query = if call.translated_into.is_some() {
            let is_list = call.stream && call.endpoint.dialect() == Dialect::Gemini;
            is_list.then_some(Cow::Borrowed("alt=sse"))
        } else {
            target::query(open.query.as_deref(), self.key.is_callers())
        };
        if query.is_none()
            && let Some((_, plain)) = self.addresses.iter().find(|(endpoint, _)| *endpoint == call.endpoint)
        {
            return Some(plain.clone());
        }
        let path = match &open.native {
            Some(native) => Cow::Borrowed(native.path.as_str()),
            None => target::path(call.endpoint, open.model.as_str(), call.stream),
        };
        target::address(&self.spec.base_url, &path, query.as_deref())
    }

    /// `text`, which came from the backend, without our key in it.
    pub(crate) fn hiding_key<'text>(&self, text: &'text str) -> Cow<'text, str> {
        self.key.hidden_in(text)
    }

    /// The same, and not too long for a log.
    pub(crate) fn without_key(&self, text: &str) -> String {
        const LONGEST: usize = 300;
        let text = self.hiding_key(text);
        text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

fn new_way(spec: &WorkerSpec) -> Result<Way, SpecError> {
    if spec.kind == BackendKind::Fake {
        let fake = spec.fake.clone().ok_or(SpecError::NoFake)?;
        return Ok(Way::Fake(Arc::new(Fake::new(fake))));
    }
    let tls = match address(&spec.base_url, "/")?.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(SpecError::Address { address: spec.base_url.clone() }),
    };
    let connect = spec.timeouts.connect_ms;
    let within = (connect > 0).then(|| Duration::from_millis(connect));
    Client::new(tls, within).map(|client| Way::Http(Arc::new(client))).map_err(SpecError::Tls)
}

fn address(base_url: &str, path: &str) -> Result<Uri, SpecError> {
    target::address(base_url, path, None).ok_or_else(|| SpecError::Address { address: base_url.to_owned() })
}
