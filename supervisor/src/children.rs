//! The operating system's side of children: starting, ending and reaping processes.
//!
//! A child is this same program under a hidden subcommand. It learns the boot secret from its standard input, which
//! stays open as its lifeline; nothing secret is in its arguments or its environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ipc_proto::ids::{FrontendId, WorkerId};
use ipc_proto::local::RunDir;
use ipc_proto::secret::Secret;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::actor::Input;

/// How long a child whose link has ended may take to end by itself.
const LEAVE: Duration = Duration::from_secs(1);
/// How long killed children may take to be gone when the instance ends.
const END: Duration = Duration::from_secs(5);
/// What every child may know of our environment.
const ENVIRONMENT: [&str; 10] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "LANG",
    "LANGUAGE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// What a worker may know besides: the way to its backend.
const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// One child process, whatever its role.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum ChildId {
    /// A frontend.
    Frontend(FrontendId),
    /// A worker.
    Worker(WorkerId),
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frontend(frontend) => write!(f, "frontend {frontend}"),
            Self::Worker(worker) => write!(f, "worker {worker}"),
        }
    }
}

/// What children are started as.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The executable.
    pub(crate) path: PathBuf,
    /// Arguments in front of the subcommand: none but in tests.
    pub(crate) before: Vec<OsString>,
    /// Arguments behind it: how to log.
    pub(crate) after: Vec<OsString>,
}

impl Program {
    /// This program. On Linux the very image that is running, also when the file was replaced since.
    pub(crate) fn this(after: Vec<OsString>) -> io::Result<Self> {
        let path = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()?
        };
        Ok(Self { path, before: Vec::new(), after })
    }
}

/// What a child is wished to do. A later one never takes back an earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Wish {
    Live,
    Leave,
    Die,
}

/// The children that run. Dropping it kills them.
pub(crate) struct Children {
    program: Program,
    run_dir: RunDir,
    secret: Secret,
    inputs: mpsc::Sender<Input>,
    wishes: BTreeMap<ChildId, watch::Sender<Wish>>,
    tasks: JoinSet<()>,
}

impl Children {
    /// No children yet. Each one's end will be told to `inputs`, once.
    pub(crate) fn new(
        program: Program,
        run_dir: RunDir,
        secret: Secret,
        inputs: mpsc::Sender<Input>,
    ) -> Self {
        Self { program, run_dir, secret, inputs, wishes: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Starts `child`. That it could not be started is told as its end.
    pub(crate) fn start(&mut self, child: ChildId) {
        while self.tasks.try_join_next().is_some() {}
        let (wish, wished) = watch::channel(Wish::Live);
        self.wishes.insert(child, wish);
        let command = self.command(child);
        let secret = self.secret.clone();
        let inputs = self.inputs.clone();
        self.tasks.spawn(async move {
            let ended = live(command, child, secret, wished).await;
            // Nobody listens any more when the instance itself ends.
            let _ = inputs.send(Input::Exited { child, ended }).await;
        });
    }

    /// Lets `child` end by itself, and kills it if it does not do so soon.
    pub(crate) fn leave(&self, child: ChildId) {
        self.wish(child, Wish::Leave);
    }

    /// Ends `child` at once.
    pub(crate) fn kill(&self, child: ChildId) {
        self.wish(child, Wish::Die);
    }

    fn wish(&self, child: ChildId, wish: Wish) {
        if let Some(wishes) = self.wishes.get(&child) {
            wishes.send_if_modified(|wished| wish > std::mem::replace(wished, wish.max(*wished)));
        }
    }

    /// Forgets a child whose end was told.
    pub(crate) fn forget(&mut self, child: ChildId) {
        self.wishes.remove(&child);
    }

    /// Kills whoever is left, and returns when all are gone. Somebody must go on reading `inputs`, or have closed it.
    pub(crate) async fn end(mut self) {
        for wish in self.wishes.values() {
            wish.send_replace(Wish::Die);
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(END, all).await.is_err() {
            tracing::warn!("some children do not end although they were killed");
        }
    }

    fn command(&self, child: ChildId) -> Command {
        let mut command = Command::new(&self.program.path);
        command.args(&self.program.before);
        match child {
            ChildId::Frontend(FrontendId { seat, generation }) => {
                command.args(["__frontend", "--seat", &seat.to_string()]);
                command.args(["--generation", &generation.to_string()]);
            }
            ChildId::Worker(WorkerId { backend, generation }) => {
                command.args(["__worker", "--backend", &backend.0.to_string()]);
                command.args(["--generation", &generation.to_string()]);
            }
        }
        command.arg("--run-dir").arg(self.run_dir.path()).args(&self.program.after);
        command.env_clear().envs(environment(child));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        #[cfg(unix)]
        {
            // What lists of processes show; and a group of its own, so that Ctrl-C reaches the supervisor alone,
            // which then ends its children in order.
            command.arg0("proxylm").process_group(0);
        }
        command
    }
}

/// The part of our environment that is none of a secret and some use to `child`.
fn environment(child: ChildId) -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(move |(name, _)| {
        let Some(name) = name.to_str() else { return false };
        let to_worker = matches!(child, ChildId::Worker(_)) && PROXIES.contains(&name);
        ENVIRONMENT.contains(&name) || name.starts_with("LC_") || to_worker || is_of_the_system(name)
    })
}

/// Whether no program can start without this variable.
fn is_of_the_system(name: &str) -> bool {
    cfg!(windows) && ["SYSTEMROOT", "TEMP", "TMP"].contains(&name.to_ascii_uppercase().as_str())
}

/// The whole life of a process. Returns how it ended, in words.
async fn live(
    mut command: Command,
    child: ChildId,
    secret: Secret,
    mut wished: watch::Receiver<Wish>,
) -> String {
    let (mut process, lifeline) = match born(&mut command, &secret).await {
        Ok(born) => born,
        Err(error) => return format!("it could not be started: {error}"),
    };
    tracing::debug!(%child, pid = process.id(), "started");
    let status = loop {
        tokio::select! {
            status = process.wait() => break status,
            // The sender lives until the end was told.
            _ = wished.changed() => {}
        }
        let wish = *wished.borrow_and_update();
        let left = match wish {
            Wish::Live => continue,
            Wish::Leave => tokio::time::timeout(LEAVE, process.wait()).await.ok(),
            Wish::Die => None,
        };
        if let Some(status) = left {
            break status;
        }
        if let Err(error) = process.start_kill() {
            tracing::debug!(%child, %error, "it cannot be killed");
        }
    };
    drop(lifeline);
    status.map_or_else(|error| format!("nobody knows how: {error}"), describe)
}

/// Starts the process and tells it the secret. The pipe is its lifeline.
async fn born(command: &mut Command, secret: &Secret) -> io::Result<(Child, ChildStdin)> {
    let mut process = command.spawn()?;
    let mut lifeline = process.stdin.take().expect("standard input was asked to be a pipe");
    // To the one process that needs it; a line is far less than a pipe holds, so this does not wait.
    let line = format!("{}\n", secret.expose());
    if let Err(error) = lifeline.write_all(line.as_bytes()).await {
        // It has ended already; how, its status tells.
        tracing::debug!(%error, "a child did not take the secret");
    }
    Ok((process, lifeline))
}

fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("by signal {signal}");
    }
    match status.code() {
        Some(code) => format!("with exit code {code}"),
        None => "without an exit code".to_owned(),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use ipc_proto::ids::BackendId;

    use super::*;

    const CHILD: ChildId = ChildId::Worker(WorkerId { backend: BackendId(3), generation: 2 });

    /// Children that run `script` instead of this program.
    fn children(script: &str) -> (Children, mpsc::Receiver<Input>) {
        let before = ["-c", script, "sh"].map(OsString::from).to_vec();
        let program = Program { path: "/bin/sh".into(), before, after: vec!["--log-level".into()] };
        let (inputs, told) = mpsc::channel(8);
        let secret = Secret::new("0123456789abcdef0123456789abcdef");
        (Children::new(program, RunDir::at("/run/none"), secret, inputs), told)
    }

    async fn end(told: &mut mpsc::Receiver<Input>) -> String {
        match told.recv().await {
            Some(Input::Exited { child: CHILD, ended }) => ended,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_child_is_told_the_secret_and_its_end_is_told_once() {
        let arguments = "__worker --backend 3 --generation 2 --run-dir /run/none --log-level";
        let script = format!(
            r#"read line; [ "$*" = "{arguments}" ] && [ "$line" = 0123456789abcdef0123456789abcdef ] && exit 7"#
        );
        let (mut children, mut told) = children(&script);
        children.start(CHILD);
        assert_eq!(end(&mut told).await, "with exit code 7");
        children.end().await;
        assert!(told.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_child_is_killed_when_wished() {
        let (mut children, mut told) = children("exec cat");
        children.start(CHILD);
        children.kill(CHILD);
        assert_eq!(end(&mut told).await, "by signal 9");
        children.start(CHILD);
        children.end().await;
        assert_eq!(end(&mut told).await, "by signal 9");
    }

    #[tokio::test]
    async fn a_child_that_cannot_start_has_ended() {
        let (mut children, mut told) = children("");
        children.program.path = "/nowhere/proxylm".into();
        children.start(CHILD);
        assert!(end(&mut told).await.starts_with("it could not be started"));
    }

    #[tokio::test]
    async fn the_environment_of_a_child_holds_only_what_it_may_know() {
        let known = "PWD|SHLVL|_|OLDPWD|PATH|HOME|TMPDIR|XDG_RUNTIME_DIR|RUST_*|LANG*|LC_*|SSL_CERT_*|*_PROXY|*_proxy";
        let script = format!(
            "for name in $(env | sed 's/=.*//'); do case $name in {known}) ;; *) exit 1;; esac; done"
        );
        let (mut children, mut told) = children(&script);
        children.start(CHILD);
        assert_eq!(end(&mut told).await, "with exit code 0");
        assert!(
            std::env::vars_os().any(|(name, _)| name == "CARGO_MANIFEST_DIR"),
            "there is something to hide"
        );
    }
}
