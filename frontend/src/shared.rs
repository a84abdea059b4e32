//! What every client's connection shares: the terms in force, the models there are, the way to the supervisor and to
//! the workers. Terms and models are replaced as a whole; whoever is under way keeps those it began with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method};
use ipc_proto::control::Directory;
use ipc_proto::ids::BackendId;
use ipc_proto::spec::{ClientLimits, FrontendSpec, KnownBackend};

use crate::auth::Keyring;
use crate::body::Budget;
use crate::desk::Desk;
use crate::dispatch::Pool;
use crate::estimate::Counters;
use crate::lanes;
use crate::loans::Loans;
use crate::models::Listing;
use crate::routes::Route;

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
    /// Who counts tokens where no backend does.
    pub(crate) counters: Counters,
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
    backends: Vec<KnownBackend>,
    names: HashMap<BackendId, HeaderValue>,
    has_lanes: bool,
}

impl Terms {
    /// The terms of `spec`.
    pub(crate) fn new(spec: &FrontendSpec) -> Self {
        let named = |known: &KnownBackend| Some((known.id, HeaderValue::from_str(&known.name).ok()?));
        Self {
            keyring: Keyring::new(&spec.access),
            limits: spec.limits,
            heartbeat: (spec.heartbeat_ms > 0).then(|| Duration::from_millis(spec.heartbeat_ms)),
            names: spec.backends.iter().filter_map(named).collect(),
            backends: spec.backends.clone(),
            has_lanes: spec.native_prefixes,
        }
    }

    /// The backend's name as a header, where it can be one.
    pub(crate) fn backend(&self, backend: BackendId) -> Option<HeaderValue> {
        self.names.get(&backend).cloned()
    }

    /// Whether the caller's own credentials go to this backend.
    pub(crate) fn takes_callers_key(&self, backend: BackendId) -> bool {
        self.backends.iter().any(|known| known.id == backend && known.takes_callers_key)
    }

    /// What `method` and `path` ask for.
    pub(crate) fn route(&self, method: &Method, path: &str) -> Route {
        match Route::of(method, path) {
            Route::Unknown if self.has_lanes => {
                lanes::lead(&self.backends, method, path).unwrap_or(Route::Unknown)
            }
            route => route,
        }
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
            counters: Counters::default(),
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
