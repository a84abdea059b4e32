//! What each child is told about the configuration.

use ipc_proto::ids::BackendId;
use ipc_proto::local::RunDir;
use ipc_proto::secret::Pepper;
use ipc_proto::spec::{Access, FrontendSpec, KnownBackend, Listen, WorkerSpec};

use crate::config::Config;
use crate::reserve::Reservation;

/// The configuration as children see it.
pub(crate) struct Specs {
    config: Config,
    run_dir: RunDir,
    access: Access,
    listen: Listen,
    backends: Vec<KnownBackend>,
}

impl Specs {
    /// For frontends that listen at the port of `reservation` and know client keys under `pepper`.
    pub(crate) fn new(config: Config, run_dir: RunDir, reservation: &Reservation, pepper: Pepper) -> Self {
        let access = config.access(pepper);
        let backends = config.known_backends();
        let listen = Listen::Bind { address: reservation.address(), shared: reservation.is_shared() };
        Self { config, run_dir, access, listen, backends }
    }

    /// For any frontend: all are alike.
    pub(crate) fn frontend(&self) -> FrontendSpec {
        FrontendSpec {
            listen: self.listen,
            run_dir: self.run_dir.path().to_owned(),
            access: self.access.clone(),
            limits: self.config.client_limits(),
            backends: self.backends.clone(),
            native_prefixes: self.config.native_prefixes(),
            heartbeat_ms: self.config.heartbeat_ms(),
        }
    }

    /// The name of `backend`; `None` when the configuration does not have it.
    pub(crate) fn name_of(&self, backend: BackendId) -> Option<&str> {
        self.backends.iter().find(|known| known.id == backend).map(|known| known.name.as_str())
    }

    /// For the worker of `backend`; `None` when the configuration does not have it.
    pub(crate) fn worker(&self, backend: BackendId) -> Option<WorkerSpec> {
        self.config.worker_spec(backend, self.run_dir.path())
    }
}
