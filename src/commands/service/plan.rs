//! What is to be installed: which program, with which configuration, as whom, and what it has to reach.
//!
//! A plan is made of absolute paths, and only for what can start: the configuration is valid, and the account that is
//! to run it can read what it must read and write where it must write. Nothing is changed here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use supervisor::config::{self, Loaded, Overrides};

use super::account::Account;
use crate::report::{FAILED, Failure};

/// For whom a service runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// For the system: it starts with it.
    System,
    /// For one user: it starts with the login.
    User,
}

impl Scope {
    /// The word for it in sentences.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
        }
    }
}

/// A service to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its name, made of letters, digits, `-` and `_`.
    pub(crate) name: String,
    /// For whom it runs.
    pub(crate) scope: Scope,
    /// The program, absolute.
    pub(crate) program: PathBuf,
    /// Its configuration, absolute.
    pub(crate) config: PathBuf,
    /// The folder it runs in: the program's.
    pub(crate) folder: PathBuf,
    /// The history's folder.
    pub(crate) state: PathBuf,
    /// Every folder that it writes to, besides its run directory.
    pub(crate) writable: Vec<PathBuf>,
    /// Who a system service runs as; `None` in a user's service and where there are no such accounts.
    pub(crate) account: Option<Account>,
    /// How long running requests may go on after a stop.
    pub(crate) grace: Duration,
    /// Whether it listens on a port that only the administrator may open.
    pub(crate) has_low_port: bool,
}

/// How long a stop may take beyond the grace of running requests, until the manager kills: the last rows of the history
/// are written then.
const LAST_WORK: Duration = Duration::from_secs(30);

impl Plan {
    /// The plan for `config` or the file where `serve` looks, and what is odd about it. Fails if it could not start.
    pub(crate) fn make(
        name: &str,
        scope: Scope,
        config: Option<&Path>,
        account: Option<&str>,
    ) -> Result<(Self, Vec<String>), Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::new(format!("cannot find out where this program is: {error}"), FAILED)
        })?;
        let config = absolute(&config.map_or_else(config::default_path, Path::to_path_buf))?;
        let loaded = config::load(&config, &Overrides::default()).map_err(|error| {
            let mend = error.hint().unwrap_or_default();
            let again = format!("then check it with `proxylm config validate --config {}`", config.display());
            let hint = if mend.is_empty() { format!("mend it, {again}") } else { format!("{mend}; {again}") };
            Failure::of(&error, FAILED).with_hint(hint)
        })?;
        let account = match scope {
            Scope::System => Account::for_system(account, &config)?,
            Scope::User => None,
        };
        let mut oddities: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        if account.as_ref().is_some_and(Account::is_root) {
            oddities.push(
                "it will run as root, who owns the configuration; name a lesser user with --account"
                    .to_owned(),
            );
        }
        let plan = Self::of(name, scope, program, config, &loaded, account);
        plan.check_access()?;
        Ok((plan, oddities))
    }

    fn of(
        name: &str,
        scope: Scope,
        program: PathBuf,
        config: PathBuf,
        loaded: &Loaded,
        account: Option<Account>,
    ) -> Self {
        let state = folder_of(&loaded.config.database_path);
        let mut writable = vec![state.clone()];
        writable.extend(loaded.config.record().map(|record| folder_of(&record)));
        writable.dedup();
        Self {
            name: name.to_owned(),
            scope,
            folder: folder_of(&program),
            program,
            config,
            state,
            writable,
            account,
            grace: loaded.config.shutdown_grace,
            has_low_port: (1..1024).contains(&loaded.config.port),
        }
    }

    /// The arguments of the program; with `run_dir` if the manager is to say where its sockets are.
    pub(crate) fn arguments(&self, run_dir: Option<&str>) -> Vec<String> {
        let mut arguments =
            vec!["serve".to_owned(), "--config".to_owned(), self.config.display().to_string()];
        arguments.extend(run_dir.into_iter().flat_map(|dir| ["--run-dir".to_owned(), dir.to_owned()]));
        arguments
    }

    /// How many seconds it may take from the wish to stop it until it has to be gone.
    pub(crate) fn stop_seconds(&self) -> u64 {
        (self.grace + LAST_WORK).as_secs()
    }

    /// Whether one of its paths is in one of these folders.
    pub(crate) fn is_in(&self, folders: &[&str]) -> bool {
        let mut paths = [&self.program, &self.config].into_iter().chain(&self.writable);
        paths.any(|path| folders.iter().any(|folder| path.starts_with(folder)))
    }

    /// Fails if whoever runs the service cannot reach what it needs.
    fn check_access(&self) -> Result<(), Failure> {
        let who = self.account.clone().map_or_else(Account::own, Ok)?;
        let refuse = |what: &str, path: &Path, hint: &str| {
            let message =
                format!("the service could not start: {} cannot {what} {}", who.name(), path.display());
            Err(Failure::new(message, FAILED).with_hint(hint.to_owned()))
        };
        if !who.may_run(&self.program) {
            return refuse("run", &self.program, "install the program where it can, such as /usr/local/bin");
        }
        if !who.may_read(&self.config) {
            return refuse("read", &self.config, "make the file its own (chown), or name another --account");
        }
        for folder in &self.writable {
            if !who.may_write_in(folder) {
                let hint = format!(
                    "let storage.database_path and scheduler.record be in a folder of its own, such as /var/lib/{}",
                    self.name
                );
                return refuse("write to the folder", folder, &hint);
            }
        }
        Ok(())
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::new(format!("cannot make {} absolute: {error}", path.display()), FAILED))
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("/")).to_owned()
}
