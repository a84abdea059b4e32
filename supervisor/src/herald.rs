//! What the service manager that started us is told, if it asks: that we serve, that we live, that we end.
//!
//! The words are those of systemd's notification protocol, which other managers speak too: datagrams to the socket
//! that `NOTIFY_SOCKET` names. Nothing here waits, and a manager that does not listen disturbs nobody.

use std::net::SocketAddr;

use crate::clock::Time;
use crate::scheduler::Note;

/// The line to the service manager; silent where there is none.
#[derive(Default)]
pub(crate) struct Herald {
    manager: Option<manager::Socket>,
    /// What could not be said yet, because the manager's ears were full.
    unsaid: Option<String>,
    /// How often the manager wants to hear that we live, in microseconds.
    every_us: Option<u64>,
    /// When it is told next.
    due: Time,
}

impl Herald {
    /// The line that this process was given by its environment.
    pub(crate) fn of_environment() -> Self {
        let manager = std::env::var_os("NOTIFY_SOCKET").and_then(|name| manager::Socket::to(&name));
        let variable = |name| std::env::var(name).ok();
        let every_us = beat(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID").as_deref());
        Self { every_us: every_us.filter(|_| manager.is_some()), manager, ..Self::default() }
    }

    /// Clients are accepted at `address`.
    pub(crate) fn ready(&mut self, address: SocketAddr) {
        self.say(format!("READY=1\nSTATUS=serving at http://{address}"));
    }

    /// Tells what the scheduler noted, where it is the manager's business: that the instance has begun to end.
    pub(crate) fn hear(&mut self, note: &Note) {
        if matches!(note, Note::Phase("draining")) {
            self.say("STOPPING=1\nSTATUS=finishing what runs".to_owned());
        }
    }

    /// When [`Herald::alive`] has something to do next.
    pub(crate) fn due(&self) -> Option<Time> {
        self.every_us.map(|_| self.due)
    }

    /// Says that we live, if it is time to.
    pub(crate) fn alive(&mut self, now: Time) {
        if let Some(unsaid) = self.unsaid.take() {
            self.say(unsaid);
        }
        let Some(every_us) = self.every_us.filter(|_| self.due <= now) else { return };
        self.due = Time(now.0.saturating_add(every_us));
        if let Some(manager) = &self.manager {
            // One that is missed is made up for by the next: there are two in each of the manager's intervals.
            let _ = manager.send("WATCHDOG=1");
        }
    }

    fn say(&mut self, text: String) {
        let Some(manager) = &self.manager else { return };
        match manager.send(&text) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.unsaid = Some(text),
            Err(error) => tracing::warn!(%error, "the service manager cannot be told how we are"),
        }
    }
}

/// Half of the time after which the manager would take us for dead, in microseconds; `None` if it does not watch us.
fn beat(interval: Option<&str>, pid: Option<&str>) -> Option<u64> {
    let is_meant = pid.is_none_or(|pid| pid == std::process::id().to_string());
    let interval: u64 = interval?.parse().ok()?;
    (is_meant && interval > 0).then_some((interval / 2).max(1))
}

#[cfg(unix)]
mod manager {
    //! The socket, where there are such.

    use std::ffi::OsStr;
    use std::io;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    /// A manager's socket that we can send to.
    pub(super) struct Socket {
        ours: UnixDatagram,
        theirs: SocketAddr,
    }

    impl Socket {
        /// The socket named `name`, which may be one without a file (`@…`). `None` if that is no name.
        pub(super) fn to(name: &OsStr) -> Option<Self> {
            let ours = UnixDatagram::unbound().ok()?;
            ours.set_nonblocking(true).ok()?;
            Some(Self { ours, theirs: address(name)? })
        }

        /// Sends one message, without waiting.
        pub(super) fn send(&self, text: &str) -> io::Result<()> {
            self.ours.send_to_addr(text.as_bytes(), &self.theirs).map(drop)
        }
    }

    fn address(name: &OsStr) -> Option<SocketAddr> {
        #[cfg(target_os = "linux")]
        if let Some(name) = std::os::unix::ffi::OsStrExt::as_bytes(name).strip_prefix(b"@") {
            use std::os::linux::net::SocketAddrExt;
            return SocketAddr::from_abstract_name(name).ok();
        }
        SocketAddr::from_pathname(name).ok()
    }
}

#[cfg(not(unix))]
mod manager {
    //! No such sockets here.

    use std::ffi::OsStr;
    use std::io;

    /// No socket.
    pub(super) enum Socket {}

    impl Socket {
        /// None.
        pub(super) fn to(_name: &OsStr) -> Option<Self> {
            None
        }

        /// Never called.
        pub(super) fn send(&self, _text: &str) -> io::Result<()> {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_beats_twice_in_the_managers_interval_if_it_is_us_who_are_watched() {
        let me = std::process::id().to_string();
        assert_eq!(beat(Some("60000000"), Some(&me)), Some(30_000_000));
        assert_eq!(beat(Some("60000000"), None), Some(30_000_000));
        assert_eq!(beat(Some("60000000"), Some("1")), None);
        assert_eq!(beat(Some("0"), None), None);
        assert_eq!(beat(Some("often"), None), None);
        assert_eq!(beat(None, None), None);
    }

    #[test]
    fn without_a_manager_nothing_is_due() {
        let mut herald = Herald::default();
        herald.ready(([127, 0, 0, 1], 8080).into());
        herald.alive(Time::from_millis(1));
        herald.hear(&Note::Phase("draining"));
        assert_eq!((herald.due(), herald.unsaid), (None, None));
    }

    #[cfg(unix)]
    #[test]
    fn what_a_busy_manager_could_not_hear_is_said_again() {
        use std::os::unix::net::UnixDatagram;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let socket = manager::Socket::to(path.as_os_str()).unwrap();
        let mut sent = 0;
        while socket.send("WATCHDOG=1").is_ok() {
            sent += 1;
        }
        let mut herald = Herald { manager: Some(socket), every_us: Some(5), ..Herald::default() };
        herald.ready(([127, 0, 0, 1], 8080).into());
        assert!(herald.unsaid.is_some());
        let mut heard = [0; 100];
        for _ in 0..sent {
            manager.recv(&mut heard).unwrap();
        }
        herald.alive(Time(7));
        assert_eq!((herald.unsaid.clone(), herald.due()), (None, Some(Time(12))));
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1\nSTATUS=serving at http://127.0.0.1:8080");
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"WATCHDOG=1");
        herald.alive(Time(11));
        assert!(manager.recv(&mut heard).is_err(), "it is not time yet");
    }
}
