//! What each part of the instance gets of the configuration.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use ipc_proto::ids::{BackendId, KeyId};
use ipc_proto::secret::{Pepper, Secret};
use ipc_proto::spec::{Access, ClientKey, ClientLimits, KnownBackend, WorkerSpec};

use super::address::without_brackets;
use super::backend::millis_of;
use super::check::backend_id;
use super::error::ConfigError;
use super::{Config, LogFormat, LogLevel};
use crate::scheduler::catalog::{Catalog, Client};

impl Config {
    /// What the scheduler gets. A backend's id is its place in the file.
    pub fn catalog(&self) -> Catalog {
        let backends = self.backends.iter().enumerate();
        let clients = self.keys.iter().enumerate();
        Catalog {
            backends: backends.map(|(index, backend)| (backend_id(index), backend.catalog.clone())).collect(),
            aliases: self.aliases.clone(),
            clients: clients.map(|(index, (client, _))| (key_id(index), client.clone())).collect(),
            strategy: self.scheduling.strategy,
            knobs: self.scheduling.knobs,
            load_options: self.scheduling.load_options,
            queue: self.scheduling.queue,
            retry: self.retry,
            health: self.health,
            frontends: self.frontends,
            shutdown_grace_ms: u64::try_from(self.shutdown_grace.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// What the worker of `backend` gets, its key included; `None` if there is no such backend.
    pub fn worker_spec(&self, backend: BackendId, run_dir: &Path) -> Option<WorkerSpec> {
        let backend = self.backends.get(usize::try_from(backend.0).ok()?)?;
        Some(WorkerSpec {
            name: backend.catalog.name.clone(),
            kind: backend.catalog.kind,
            takes_callers_key: backend.takes_callers_key,
            base_url: backend.catalog.url.clone(),
            credential: backend.credential.clone(),
            run_dir: run_dir.to_owned(),
            timeouts: backend.timeouts,
            probe: self.probe.clone(),
            ask_for_usage: backend.ask_for_usage,
            dialects: backend.catalog.dialects.clone(),
            compat: self.compat,
            fake: backend.fake.clone(),
        })
    }

    /// What frontends know of backends, the most preferred first.
    pub fn known_backends(&self) -> Vec<KnownBackend> {
        let mut known: Vec<_> = self.backends.iter().enumerate().collect();
        known.sort_by_key(|(_, backend)| backend.catalog.priority);
        let known = known.into_iter().map(|(index, backend)| KnownBackend {
            id: backend_id(index),
            name: backend.catalog.name.clone(),
            kind: backend.catalog.kind,
            dialects: backend.catalog.dialects.clone(),
            takes_callers_key: backend.takes_callers_key,
        });
        known.collect()
    }

    /// What frontends know of keys: their digests under `pepper`.
    pub fn access(&self, pepper: Pepper) -> Access {
        let key = |(index, (client, key)): (usize, &(Client, Secret))| ClientKey {
            id: key_id(index),
            name: client.name.clone(),
            digest: pepper.digest(key.expose()),
        };
        Access {
            pepper,
            keys: self.keys.iter().enumerate().map(key).collect(),
            admin: self.admin_key.as_ref().map(|key| pepper.digest(key.expose())),
        }
    }

    /// The bounds on what clients may do to one frontend.
    pub fn client_limits(&self) -> ClientLimits {
        self.limits
    }

    /// Whether paths that begin with the name of a backend lead straight to it.
    pub fn native_prefixes(&self) -> bool {
        self.file.compat.native_prefixes
    }

    /// Between two signs of life to a streaming client whose request waits, in milliseconds; 0: none are sent.
    pub fn heartbeat_ms(&self) -> u64 {
        millis_of(self.file.proxy.heartbeat_seconds)
    }

    /// The file in which events and decisions are to be written down for replays; `None`: nowhere. Absolute unless
    /// the program's own folder is unknown.
    pub fn record(&self) -> Option<PathBuf> {
        self.scheduling.record.clone()
    }

    /// The least important messages to log.
    pub fn log_level(&self) -> LogLevel {
        self.log_level
    }

    /// How logs are to look.
    pub fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// How many frontends to run.
    pub fn frontends(&self) -> u16 {
        self.frontends
    }

    /// Where to listen; asks the system for the address if the host is a name, and may wait for that.
    pub fn listen_address(&self) -> Result<SocketAddr, ConfigError> {
        let failed = |source| ConfigError::Host { host: self.host.clone(), source };
        let found = (without_brackets(&self.host), self.port).to_socket_addrs().map_err(failed)?;
        let found: Vec<_> = found.collect();
        let preferred = found.iter().find(|address| address.is_ipv4()).or(found.first());
        preferred.copied().ok_or_else(|| failed(std::io::Error::other("the name has no address")))
    }

    /// How many backends there are.
    pub fn backend_count(&self) -> usize {
        self.backends.len()
    }

    /// How many clients have a key.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Whether clients are asked for a key.
    pub fn asks_for_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The word for the strategy, as configured.
    pub fn strategy(&self) -> &'static str {
        self.scheduling.strategy.as_str()
    }
}

/// The id of the client key at `index` in the file.
fn key_id(index: usize) -> KeyId {
    KeyId(u32::try_from(index).expect("a file holds fewer keys than that"))
}
