//! The supervisor: decides and remembers. It owns configuration, scheduler, children and database; it never
//! touches a payload byte and never takes a client's connection.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipc_proto::ids::BackendId;
use ipc_proto::local::{self, Listener, RunDir};
use ipc_proto::operator::InstanceView;
use ipc_proto::secret::{Pepper, Secret};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::actor::{Actor, INPUTS, State};
use self::children::{Children, Program};
use self::clock::Clock;
use self::config::Loaded;
use self::record::Header;
use self::recorder::Recorder;
use self::reserve::Reservation;
use self::scheduler::Scheduler;
use self::scheduler::catalog::Catalog;
use self::scheduler::learner::{Learner, Observation};
use self::signals::Signals;
use self::specs::Specs;
use self::store::{Store, StoreSettings};

mod actor;
mod alarm;
mod children;
pub mod clock;
pub mod config;
mod crew;
mod error;
mod hold;
mod instance;
mod journal;
mod links;
mod operators;
pub mod record;
mod recorder;
mod reserve;
pub mod scheduler;
mod signals;
pub mod simulation;
mod specs;
pub mod store;
#[cfg(unix)]
#[cfg(test)]
mod tests;
mod vigil;
mod watchers;

pub use self::error::SupervisorError;

/// How long the last rows may take to reach the disk when the instance ends: once through the wait for a locked file.
const LAST_ROWS: Duration = Duration::from_secs(6);

/// What an instance is started with.
pub struct RunOptions {
    /// The checked configuration, and where it came from.
    pub config: Loaded,
    /// Where the instance keeps its sockets and its lock; made if it is missing.
    pub run_dir: RunDir,
    /// The least important messages that children log, as their `--log-level` takes it.
    pub log_level: String,
    /// How their logs look, as their `--log-format` takes it.
    pub log_format: String,
    /// Called once, when the first frontend accepts clients, with the address it listens at.
    pub announce: Box<dyn FnOnce(SocketAddr) + Send>,
}

/// Runs an instance until it is stopped: by SIGTERM, SIGINT or an operator, after a drain; by a second signal, at once.
///
/// Wants a current-thread runtime, and that this program understands the hidden subcommands for children. Fails
/// before the first child is started, or not at all. Cancelling it kills the children.
pub async fn run(options: RunOptions) -> Result<(), SupervisorError> {
    let arguments = ["--log-level", &options.log_level, "--log-format", &options.log_format];
    let program = Program::this(arguments.map(OsString::from).to_vec()).map_err(SupervisorError::Program)?;
    let secret = Secret::new(hex(random()?));
    Box::pin(run_with(options, program, secret)).await
}

/// The same with children that are started from `program` and know `secret`.
async fn run_with(options: RunOptions, program: Program, secret: Secret) -> Result<(), SupervisorError> {
    let RunOptions { config: loaded, run_dir, announce, .. } = options;
    run_dir.prepare()?;
    let lock = instance::lock(&run_dir)?;
    let reservation = Reservation::take(loaded.config.listen_address()?)?;
    let clock = Clock::start();
    let store = Store::open(&store_settings(&loaded), clock)?;
    instance::remove_sockets(&run_dir);
    let listener = bind(&run_dir)?;
    let signals = Signals::take().map_err(SupervisorError::Signals)?;

    let (input, mut inputs) = mpsc::channel(INPUTS);
    let children = Children::new(program, run_dir.clone(), secret.clone(), input.clone());
    let catalog = Arc::new(loaded.config.catalog());
    let seed = u64::from_le_bytes(random()?);
    let observations = store.observations()?;
    let recorder = match loaded.config.record() {
        None => None,
        Some(path) => {
            let known = observations.clone();
            let header = Header::new(Catalog::clone(&catalog), seed, clock.started_unix_us(), known);
            let begun = Recorder::begin(&path, &header);
            Some(begun.map_err(|source| SupervisorError::Record { path, source })?)
        }
    };
    let learner = remembered(&observations, &catalog);
    let mut actor = Actor {
        clock,
        instance: describe(&loaded, &catalog, &reservation, clock),
        scheduler: Scheduler::new(catalog, seed, clock.started_unix_us()).with_learner(learner),
        children,
        store,
        recorder,
        specs: Specs::new(loaded.config, run_dir.clone(), &reservation, Pepper::new(random()?)),
        announce: Some(announce),
        state: State::default(),
    };
    let (close, closing) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(links::accept_all(listener, secret, input.clone(), closing));
    let told = tasks.spawn(signals.tell(input));
    // A task of its own: whenever the outermost future is woken, the runtime asks the kernel for news in between.
    let mut acting = JoinSet::new();
    acting.spawn(async move {
        actor.run(&mut inputs).await;
        // `inputs` end here: nobody is listened to any more, so that nobody waits to be heard.
        actor
    });
    let actor = match acting.join_next().await.expect("it was spawned just now") {
        Ok(actor) => actor,
        // A scheduler whose state was wrong must not be served from.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    told.abort();
    let store = actor.end().await;
    if !store.close(LAST_ROWS).await {
        tracing::warn!("the last rows of the history could not be written in time");
    }
    // Last, so that whoever waits for the socket to be gone finds everything done.
    close.send_replace(true);
    while tasks.join_next().await.is_some() {}
    instance::remove_sockets(&run_dir);
    drop((reservation, lock));
    Ok(())
}

fn bind(run_dir: &RunDir) -> Result<Listener, SupervisorError> {
    let path = run_dir.supervisor_socket();
    local::bind(&path).map_err(|source| SupervisorError::Socket { path, source })
}

fn store_settings(loaded: &Loaded) -> StoreSettings {
    StoreSettings {
        path: loaded.config.database_path.clone(),
        retention_days: loaded.config.history_retention_days,
        vacuum_on_start: loaded.config.vacuum_on_start,
    }
}

/// What earlier runs have learned of the backends of today: by name, which outlives their numbers.
fn remembered(observations: &[Observation<String>], catalog: &Catalog) -> Learner {
    let mut learner = Learner::default();
    let ids: BTreeMap<&str, BackendId> =
        catalog.backends.iter().map(|(id, backend)| (backend.name.as_str(), *id)).collect();
    for (name, id) in &ids {
        learner.backend(*id, name);
    }
    learner.refill(observations.iter().filter_map(|observation| {
        let id = *ids.get(observation.backend.as_str())?;
        Some(observation.clone().at(id))
    }));
    learner
}

/// The instance as operators see it, as far as that never changes.
fn describe(loaded: &Loaded, catalog: &Catalog, reservation: &Reservation, clock: Clock) -> InstanceView {
    let config = if loaded.path.exists() { loaded.path.display().to_string() } else { String::new() };
    InstanceView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        address: reservation.address().to_string(),
        phase: String::new(),
        strategy: catalog.strategy.as_str().to_owned(),
        config,
        database: loaded.config.database_path.display().to_string(),
        started_unix_us: clock.started_unix_us(),
        now_unix_us: clock.started_unix_us(),
        queued: 0,
        queue_limit: catalog.queue.max_waiting,
    }
}

/// Random bytes from the system.
fn random<const N: usize>() -> Result<[u8; N], SupervisorError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(SupervisorError::Random)?;
    Ok(bytes)
}

/// 128 bits as children read them.
fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}
