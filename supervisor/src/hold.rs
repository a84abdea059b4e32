//! A file that one process at a time may hold: how an instance says that something is its own.
//!
//! The system lets go of it when the process ends, however it ends. The number in the file is only for people.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

/// A held file. Let go when dropped.
#[derive(Debug)]
pub(crate) struct Hold(File);

/// Why a file cannot be held.
#[derive(Debug)]
pub(crate) enum NotHeld {
    /// Another process holds it: this one, if it wrote itself down.
    ByAnother(Option<u32>),
    /// It cannot be opened or locked.
    Io(io::Error),
}

impl Hold {
    /// Takes the file at `path`, which is made if it is missing, and writes our process down in it. Never waits.
    pub(crate) fn take(path: &Path) -> Result<Self, NotHeld> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(NotHeld::Io)?;
        match file.try_lock() {
            Ok(()) => {
                let pid = std::process::id().to_string();
                file.set_len(0).and_then(|()| file.write_all(pid.as_bytes())).map_err(NotHeld::Io)?;
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => Err(NotHeld::ByAnother(written(&mut file))),
            Err(TryLockError::Error(error)) => Err(NotHeld::Io(error)),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // So that nobody reads an old number. The file itself stays: another process may be about to lock it, and
        // must not end up with one that nobody else can see.
        let _ = self.0.set_len(0);
    }
}

fn written(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_holds_a_file_and_is_known_by_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Hold::take(&path).unwrap();
        let us = std::process::id();
        assert!(matches!(Hold::take(&path), Err(NotHeld::ByAnother(Some(pid))) if pid == us));
        drop(first);
        assert!(Hold::take(&path).is_ok());
        assert!(matches!(Hold::take(folder.path()), Err(NotHeld::Io(_))));
    }
}
