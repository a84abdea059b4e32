//! The hidden commands by which a supervisor starts its children.

use ipc_proto::pulse;
use tokio::task::JoinSet;

use crate::cli::{FrontendChild, WorkerChild};
use crate::logs;
use crate::report::{FAILED, Failure};

/// Holds clients until the supervisor drains this process or goes away.
pub(crate) async fn frontend(arguments: &FrontendChild) -> Result<(), Failure> {
    logs::start(arguments.child.log_level, arguments.child.log_format);
    super::raise_open_files();
    let options = frontend::FrontendOptions { frontend: arguments.id(), run_dir: arguments.child.run_dir() };
    let mut beating = JoinSet::new();
    beating.spawn(pulse::beat());
    frontend::run(options).await.map_err(|error| Failure::of(&error, FAILED))
}

/// Calls one backend until the supervisor drains this process or goes away.
pub(crate) async fn worker(arguments: &WorkerChild) -> Result<(), Failure> {
    logs::start(arguments.child.log_level, arguments.child.log_format);
    super::raise_open_files();
    super::choose_cryptography();
    let options = worker::WorkerOptions { worker: arguments.id(), run_dir: arguments.child.run_dir() };
    let mut beating = JoinSet::new();
    beating.spawn(pulse::beat());
    worker::run(options).await.map_err(|error| Failure::of(&error, FAILED))
}
