//! Local sockets and the run directory that holds them. The only file that names the crate behind them.
//!
//! Whoever may enter the run directory may talk to the instance, so the directory belongs to one user and to no
//! one else (mode 0700), the sockets are 0600, and the peer's user is compared where the system tells it.

use std::io;
use std::path::{Path, PathBuf};

use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ListenerOptions};

pub use interprocess::local_socket::tokio::Listener;

use crate::ids::WorkerId;

/// A connection over a local socket.
#[cfg(unix)]
pub use crate::quiet::QuietStream as Stream;
/// A connection over a local socket.
#[cfg(not(unix))]
pub use interprocess::local_socket::tokio::Stream;

/// A connection as the system's library makes it.
type RawStream = interprocess::local_socket::tokio::Stream;

/// The longest path of a socket: what fits `sockaddr_un` on the narrower systems, with its end marker.
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "macos") { 103 } else { 107 };
/// The longest file name that [`RunDir`] makes up.
const LONGEST_NAME: usize = "w4294967295-4294967295.sock".len();

/// Why a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// It cannot be made or looked at.
    #[error("cannot use the run directory {}", path.display())]
    Prepare {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could get in.
    #[error("the run directory {} {problem}", path.display())]
    Unsafe {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Sockets in it would have names that the system cannot take.
    #[error("the run directory {} is too long a path: {length} bytes, and at most {limit} fit", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// Its length.
        length: usize,
        /// The longest that works.
        limit: usize,
    },
}

impl RunDirError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Prepare { .. } => "name another one with --run-dir".to_owned(),
            Self::Unsafe { path, .. } => format!(
                "make it yours alone (chmod 700 {}), or name another one with --run-dir",
                path.display()
            ),
            Self::TooLong { .. } => "name a shorter one with --run-dir, for example /tmp/proxylm".to_owned(),
        }
    }
}

/// The directory of one instance's sockets and lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// The directory `path`, as it is named; nothing is looked at.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where an instance lives when nobody says: `$XDG_RUNTIME_DIR/proxylm`, else `proxylm-<uid>` in the
    /// system's temporary directory.
    pub fn default_for_user() -> Self {
        match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(dir) if Path::new(&dir).is_dir() => Self(Path::new(&dir).join("proxylm")),
            _ => Self(std::env::temp_dir().join(format!("proxylm-{}", user_suffix()))),
        }
    }

    /// Makes the directory if it is missing, and checks that it is ours alone and short enough.
    pub fn prepare(&self) -> Result<(), RunDirError> {
        let path = &self.0;
        let length = path.as_os_str().len();
        let limit = MAX_SOCKET_PATH - 1 - LONGEST_NAME;
        if length > limit {
            return Err(RunDirError::TooLong { path: path.clone(), length, limit });
        }
        make_private(path)
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the supervisor listens.
    pub fn supervisor_socket(&self) -> PathBuf {
        self.0.join("proxylm.sock")
    }

    /// Where a worker listens for attempts.
    pub fn worker_socket(&self, worker: WorkerId) -> PathBuf {
        self.0.join(format!("{worker}.sock"))
    }

    /// The file that says, by its lock, that an instance runs here.
    pub fn lock_file(&self) -> PathBuf {
        self.0.join("lock")
    }
}

#[cfg(unix)]
fn user_suffix() -> String {
    nix::unistd::geteuid().to_string()
}

#[cfg(not(unix))]
fn user_suffix() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "user".to_owned())
}

#[cfg(unix)]
fn make_private(path: &Path) -> Result<(), RunDirError> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    let prepare = |source| RunDirError::Prepare { path: path.to_owned(), source };
    let refuse = |problem| Err(RunDirError::Unsafe { path: path.to_owned(), problem });
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(prepare)?;
    let found = std::fs::symlink_metadata(path).map_err(prepare)?;
    if !found.is_dir() {
        refuse("is not a directory")
    } else if found.uid() != nix::unistd::geteuid().as_raw() {
        refuse("belongs to another user")
    } else if found.mode() & 0o077 != 0 {
        refuse("can be entered by other users")
    } else {
        Ok(())
    }
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> Result<(), RunDirError> {
    std::fs::create_dir_all(path).map_err(|source| RunDirError::Prepare { path: path.to_owned(), source })
}

/// Listens at `path`, for this user only. A socket that a dead process left there is replaced.
pub fn bind(path: &Path) -> io::Result<Listener> {
    let options = ListenerOptions::new().name(path.to_fs_name::<GenericFilePath>()?).try_overwrite(true);
    #[cfg(unix)]
    let options = interprocess::os::unix::local_socket::ListenerOptionsExt::mode(options, 0o600);
    options.create_tokio()
}

/// Connects to whoever listens at `path`.
pub async fn connect(path: &Path) -> io::Result<Stream> {
    let name = path.to_fs_name::<GenericFilePath>()?;
    taken_over(ConnectOptions::new().name(name).connect_tokio().await?)
}

/// The next connection to `listener`; one from another user is closed and passed over.
pub async fn accept(listener: &Listener) -> io::Result<Stream> {
    loop {
        let stream = listener.accept().await?;
        if is_same_user(&stream)? {
            return taken_over(stream);
        }
        tracing::warn!("another user tried to connect to our socket");
    }
}

#[cfg(unix)]
fn taken_over(stream: RawStream) -> io::Result<Stream> {
    use std::os::fd::AsFd;

    let RawStream::UdSocket(socket) = stream;
    Stream::new(socket.as_fd().try_clone_to_owned()?)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix form can fail")]
fn taken_over(stream: RawStream) -> io::Result<Stream> {
    Ok(stream)
}

/// Whether the peer runs as this user. Where the system does not tell, the socket's permissions have decided.
#[cfg(unix)]
fn is_same_user(stream: &RawStream) -> io::Result<bool> {
    let euid = stream.peer_creds()?.euid();
    Ok(euid.is_none_or(|euid| euid == nix::unistd::geteuid().as_raw()))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix form can fail")]
fn is_same_user(_stream: &RawStream) -> io::Result<bool> {
    Ok(true)
}
