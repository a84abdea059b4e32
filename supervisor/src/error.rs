//! Why an instance could not start or had to end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipc_proto::local::RunDirError;

use crate::config::ConfigError;
use crate::store::StoreError;

/// Why an instance could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The run directory cannot be used.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The lock in the run directory cannot be used.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another instance has the run directory.
    #[error("proxylm is already running in {}{}", run_dir.display(), process(*pid))]
    AlreadyRunning {
        /// The run directory.
        run_dir: PathBuf,
        /// The other instance's process, if it wrote it down.
        pid: Option<u32>,
    },
    /// Somebody listens at the client address already.
    #[error("the port of {address} is in use by another program")]
    PortInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The client address cannot be taken.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The history cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The supervisor's socket cannot be bound.
    #[error("cannot bind the socket {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record of decisions cannot be begun.
    #[error("cannot write the record {}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("cannot draw random numbers: {0}")]
    Random(getrandom::Error),
    /// The system does not let us take its signals over.
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    /// Nobody knows where this program's file is, which children are started from.
    #[error("cannot find this program's own file")]
    Program(#[source] io::Error),
}

impl SupervisorError {
    /// What to do about it, if anything is known to help.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::RunDir(error) => Some(error.hint()),
            Self::Store(error) => error.hint(),
            Self::AlreadyRunning { .. } => Some(
                "stop it with proxylm ctl stop, or give this one a directory of its own with --run-dir"
                    .to_owned(),
            ),
            Self::PortInUse { .. } => {
                Some("end that program, or choose another port with --port or proxy.port".to_owned())
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 belong to the administrator: choose another with --port".to_owned())
            }
            Self::Listen { .. } => Some("set proxy.host to an address of this machine".to_owned()),
            Self::Record { .. } => Some("name another file in scheduler.record, or none".to_owned()),
            Self::Lock { .. } | Self::Socket { .. } => Some("name another one with --run-dir".to_owned()),
            Self::Random(_) | Self::Signals(_) | Self::Program(_) => None,
        }
    }

    /// The exit code of a process that ends with it: 2 for a wrong configuration, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            _ => 1,
        }
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" as process {pid}")).unwrap_or_default()
}
