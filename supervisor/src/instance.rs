//! The run directory as one instance's own: its lock, and the sockets in it.

use std::io::ErrorKind;

use ipc_proto::local::RunDir;

use crate::error::SupervisorError;
use crate::hold::{Hold, NotHeld};

/// Makes the run directory ours for as long as the result lives. Fails at once when another instance has it.
pub(crate) fn lock(run_dir: &RunDir) -> Result<Hold, SupervisorError> {
    let path = run_dir.lock_file();
    Hold::take(&path).map_err(|error| match error {
        NotHeld::ByAnother(pid) => {
            SupervisorError::AlreadyRunning { run_dir: run_dir.path().to_owned(), pid }
        }
        NotHeld::Io(source) => SupervisorError::Lock { path, source },
    })
}

/// Removes the sockets of this instance, or those that a dead one left, from the run directory.
pub(crate) fn remove_sockets(run_dir: &RunDir) {
    let Ok(entries) = std::fs::read_dir(run_dir.path()) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "sock")
            && let Err(error) = std::fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::debug!(path = %path.display(), %error, "a socket is left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_second_instance_is_refused_with_the_first_ones_process() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = RunDir::at(folder.path());
        let _first = lock(&run_dir).unwrap();
        let error = lock(&run_dir).unwrap_err();
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        assert!(error.hint().unwrap().contains("--run-dir"));
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn only_sockets_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["w0-1.sock", "proxylm.sock", "lock"] {
            File::create(folder.path().join(name)).unwrap();
        }
        remove_sockets(&RunDir::at(folder.path()));
        let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["lock"]);
    }
}
