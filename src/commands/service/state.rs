//! Whether a service is there and runs, in one word and one exit code.

use std::process::{Command, ExitCode, Stdio};

use service_manager::ServiceStatus;

use super::plan::Scope;
use super::target::{Manager, Target};
use crate::report::{FAILED, Failure, NOT_RUNNING};

/// The service is not installed.
pub(crate) const NOT_INSTALLED: u8 = 4;

/// What the manager believes of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// It runs.
    Running,
    /// It begins to run.
    Starting,
    /// It finishes what it has.
    Stopping,
    /// It has ended as it should, or was never started.
    Stopped,
    /// It has ended otherwise.
    Failed,
    /// The manager does not know it.
    NotInstalled,
}

impl State {
    /// Asks the manager about `target`.
    pub(crate) fn of(target: &Target) -> Result<Self, Failure> {
        if target.manager == Manager::Systemd {
            return of_unit(target);
        }
        match target.status() {
            Ok(ServiceStatus::Running) => Ok(Self::Running),
            Ok(ServiceStatus::Stopped(_)) => Ok(Self::Stopped),
            Ok(ServiceStatus::NotInstalled) => Ok(Self::NotInstalled),
            Err(error) => Err(unknown(target, &error.to_string())),
        }
    }

    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::NotInstalled => "not installed",
        }
    }

    /// How a process that was asked for it ends.
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Running => ExitCode::SUCCESS,
            Self::NotInstalled => ExitCode::from(NOT_INSTALLED),
            Self::Starting | Self::Stopping | Self::Stopped | Self::Failed => ExitCode::from(NOT_RUNNING),
        }
    }
}

fn of_unit(target: &Target) -> Result<State, Failure> {
    let mut command = Command::new("systemctl");
    if target.scope == Scope::User {
        command.arg("--user");
    }
    let unit = format!("{}.service", target.name);
    command.args(["show", "--property=LoadState,ActiveState", &unit]).stdin(Stdio::null());
    let said = command.output().map_err(|error| unknown(target, &error.to_string()))?;
    if !said.status.success() {
        return Err(unknown(target, String::from_utf8_lossy(&said.stderr).trim()));
    }
    of_properties(&String::from_utf8_lossy(&said.stdout))
        .ok_or_else(|| unknown(target, String::from_utf8_lossy(&said.stdout).trim()))
}

/// What systemd's words mean; `None` for words that we do not know.
fn of_properties(text: &str) -> Option<State> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    Some(match value("ActiveState")? {
        "active" | "reloading" | "refreshing" => State::Running,
        "activating" => State::Starting,
        "deactivating" => State::Stopping,
        "failed" => State::Failed,
        "inactive" if value("LoadState") == Some("not-found") => State::NotInstalled,
        "inactive" | "maintenance" => State::Stopped,
        _ => return None,
    })
}

fn unknown(target: &Target, why: &str) -> Failure {
    let failure = Failure::new(
        format!("{} does not say how the service {} is: {why}", target.manager.word(), target.name),
        FAILED,
    );
    if target.scope == Scope::User && target.manager == Manager::Systemd {
        return failure.with_hint(super::NO_SESSION.to_owned());
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_systemds_words_has_one_of_ours() {
        for (load, active, state) in [
            ("loaded", "active", State::Running),
            ("loaded", "activating", State::Starting),
            ("loaded", "deactivating", State::Stopping),
            ("loaded", "failed", State::Failed),
            ("loaded", "inactive", State::Stopped),
            ("not-found", "inactive", State::NotInstalled),
            // Its unit is gone, the process is not.
            ("not-found", "active", State::Running),
        ] {
            let text = format!("LoadState={load}\nActiveState={active}\n");
            assert_eq!(of_properties(&text), Some(state), "{text}");
        }
        assert_eq!(of_properties("ActiveState=dreaming\n"), None);
        assert_eq!(of_properties(""), None);
    }
}
