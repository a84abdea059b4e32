//! The backend as this worker knows it: its address, its key, and how to call it.
//!
//! It promises that the request's bytes reach the backend as the client wrote them, apart from the three edits it
//! is asked for, and that the key appears nowhere but in the request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dialect::{Dialect, Endpoint, edit};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use ipc_proto::failure::{Failure, FailureKind, Wait};
use ipc_proto::spec::{BackendKind, Credential, WorkerSpec};
use ipc_proto::stream::Open;

use crate::connect::{Client, chain, is_connect_timeout};
use crate::fake::Fake;
use crate::headers;
use crate::source::Source;

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
    credential: Option<(HeaderName, HeaderValue)>,
    addresses: Vec<(Endpoint, Uri)>,
    way: Way,
}

enum Way {
    Http(Arc<Client>),
    Fake(Arc<Fake>),
}

/// What a call needs, made of what the frontend sent.
pub(crate) struct Call {
    body: Bytes,
    /// Whether we asked for usage that the client did not ask for.
    pub(crate) hide_usage: bool,
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
                .map(|endpoint| Ok((endpoint, address(&spec.base_url, endpoint.path())?)))
                .collect::<Result<_, SpecError>>()?,
        };
        let credential = spec.credential.as_ref().map(header_of).transpose()?;
        Ok(Self { spec, credential, addresses, way })
    }

    /// The fake, if this backend is one.
    pub(crate) fn fake(&self) -> Option<&Fake> {
        match &self.way {
            Way::Fake(fake) => Some(fake),
            Way::Http(_) => None,
        }
    }

    /// Makes the edits that a request may need: another name for the model, other load options, a wish for usage.
    pub(crate) fn prepare(&self, open: &Open, body: Bytes) -> Call {
        let mut body = body;
        if let Some(model) = &open.model
            && let Cow::Owned(edited) = edit::with_model(&body, model.as_str())
        {
            body = edited.into();
        }
        // Others do not load by request, or would refuse what they do not know.
        if matches!(self.spec.kind, BackendKind::Ollama | BackendKind::Fake)
            && let Cow::Owned(edited) = edit::with_load(&body, &open.load)
        {
            body = edited.into();
        }
        let wants_usage =
            self.spec.ask_for_usage && open.stream && open.endpoint == Endpoint::ChatCompletions;
        match wants_usage.then(|| edit::asking_for_usage(&body)).flatten() {
            Some(edited) => Call { body: edited.into(), hide_usage: true },
            None => Call { body, hide_usage: false },
        }
    }

    /// Sends the request and waits for the beginning of the answer. Dropping the future cancels the call.
    ///
    /// A request that could not be sent because its pooled connection had died is sent again on a fresh one;
    /// one that may have reached the backend is not: it could be generating already.
    pub(crate) async fn call(&self, open: &Open, call: Call) -> Result<Reply, Failure> {
        let client = match &self.way {
            Way::Fake(fake) => return Ok(fake.answer(open.endpoint, open.stream, &call.body).await),
            Way::Http(client) => client,
        };
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self
            .address_for(open)
            .ok_or_else(|| Failure::new(FailureKind::BadRequest, "the query string cannot be sent"))?;
        *request.headers_mut() = headers::for_backend(open, self.credential.as_ref());
        self.send(client, request).await
    }

    /// Asks the backend for `path` below its address.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Failure> {
        let Way::Http(client) = &self.way else {
            return Err(Failure::new(FailureKind::Internal, "a fake has no address to ask"));
        };
        let dialect = match self.spec.kind {
            BackendKind::Anthropic => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        };
        let mut request = Request::new(Full::default());
        *request.uri_mut() = address(&self.spec.base_url, path)
            .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        *request.headers_mut() = headers::for_probe(dialect, self.credential.as_ref());
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

    fn address_for(&self, open: &Open) -> Option<Uri> {
        let (_, plain) = self.addresses.iter().find(|(endpoint, _)| *endpoint == open.endpoint)?;
        match open.query.as_deref() {
            None | Some("") => Some(plain.clone()),
            Some(query) => format!("{plain}?{query}").parse().ok(),
        }
    }

    /// `text`, which came from the backend, without our key in it and not too long for a log.
    pub(crate) fn without_key(&self, text: &str) -> String {
        const LONGEST: usize = 300;
        let key = self.spec.credential.as_ref().map(|credential| match credential {
            // To find the key where a backend repeats it.
            Credential::Bearer(secret) | Credential::ApiKey(secret) => secret.expose(),
        });
        let text = match key.filter(|key| !key.is_empty()) {
            Some(key) => Cow::Owned(text.replace(key, "[secret]")),
            None => Cow::Borrowed(text),
        };
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
    let address = format!("{base_url}{path}").parse::<Uri>().ok();
    let complete = address.filter(|address| address.scheme().is_some() && address.host().is_some());
    complete.ok_or_else(|| SpecError::Address { address: base_url.to_owned() })
}

fn header_of(credential: &Credential) -> Result<(HeaderName, HeaderValue), SpecError> {
    let (name, value) = match credential {
        // The one place where the key is used.
        Credential::Bearer(secret) => (header::AUTHORIZATION, format!("Bearer {}", secret.expose())),
        Credential::ApiKey(secret) => (HeaderName::from_static("x-api-key"), secret.expose().to_owned()),
    };
    let mut value = HeaderValue::try_from(value).map_err(|_| SpecError::Key)?;
    value.set_sensitive(true);
    Ok((name, value))
}
