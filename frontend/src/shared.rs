//! What every client's connection shares: the terms in force, the models there are, the way to the supervisor and to
//! the workers. Terms and models are replaced as a whole; whoever is under way keeps those it began with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use ipc_proto::control::Directory;
use ipc_proto::ids::BackendId;
use ipc_proto::spec::{ClientLimits, FrontendSpec};

use crate::auth::Keyring;
use crate::body::Budget;
use crate::desk::Desk;
use crate::dispatch::Pool;
use crate::loans::Loans;
use crate::models::Listing;

/// What every connection shares.
pub(crate) struct Shared {
    /// The open exchanges.
    pub(crate) desk: Arc<Desk>,
    /// What was lent to this frontend.
    pub(crate) loans: Loans,
    /// The way to the workers.
    pub(crate) pool: Pool,
    /// The memory for request bodies.
    pub(crate) budget: Arc<Budget>,
    terms: Current<Terms>,
    listing: Current<Listing>,
}

/// A spec, made ready for use.
pub(crate) struct Terms {
    /// Who may ask.
    pub(crate) keyring: Keyring,
    /// Limits on clients.
    pub(crate) limits: ClientLimits,
    /// Between two signs of life to a streaming client, if there are to be any.
    pub(crate) heartbeat: Option<Duration>,
    backends: HashMap<BackendId, HeaderValue>,
}

impl Terms {
    /// The terms of `spec`.
    pub(crate) fn new(spec: &FrontendSpec) -> Self {
        let named =
            |(id, name): &(BackendId, String)| HeaderValue::from_str(name).ok().map(|value| (*id, value));
        Self {
            keyring: Keyring::new(&spec.access),
            limits: spec.limits,
            heartbeat: (spec.heartbeat_ms > 0).then(|| Duration::from_millis(spec.heartbeat_ms)),
            backends: spec.backends.iter().filter_map(named).collect(),
        }
    }

    /// The backend's name as a header, where it can be one.
    pub(crate) fn backend(&self, backend: BackendId) -> Option<HeaderValue> {
        self.backends.get(&backend).cloned()
    }
}

impl Shared {
    /// Everything in its first form.
    pub(crate) fn new(desk: Arc<Desk>, pool: Pool, spec: &FrontendSpec, directory: Directory) -> Arc<Self> {
        Arc::new(Self {
            desk,
            loans: Loans::default(),
            pool,
            budget: Arc::default(),
            terms: Current::new(Terms::new(spec)),
            listing: Current::new(Listing::new(directory)),
        })
    }

    /// The terms in force.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        self.terms.get()
    }

    /// The models there are.
    pub(crate) fn listing(&self) -> Arc<Listing> {
        self.listing.get()
    }

    /// Puts a new spec in force. The address stays: a frontend listens where it began.
    pub(crate) fn respec(&self, spec: &FrontendSpec) {
        self.terms.set(Terms::new(spec));
    }

    /// Lists other models from now on.
    pub(crate) fn relist(&self, directory: Directory) {
        self.listing.set(Listing::new(directory));
    }
}

/// A value that is replaced as a whole. A lock, because every connection is a task of its own; it is held only to
/// copy the pointer.
struct Current<T>(Mutex<Arc<T>>);

impl<T> Current<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }

    fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}
