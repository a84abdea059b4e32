//! A real instance: the program itself, serving from a temporary directory on a port of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use ipc_proto::operator::{BackendView, RequestRecord, Snapshot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::Client;
use super::command::{Lines, PROGRAM, Said, command, said};
use super::upstream::Upstream;
use super::wait::{wait_for, wait_until};

/// The key of the client `tester`.
pub(crate) const KEY: &str = "sk-test-tester-7f3a";
/// The key of the client `other`.
pub(crate) const OTHER_KEY: &str = "sk-test-other-91bc";
/// The admin key.
pub(crate) const ADMIN_KEY: &str = "sk-test-admin-c0de";

/// An instance to be: its configuration, and how it is started.
pub(crate) struct Setup {
    config: Value,
    flags: Vec<String>,
    largest_file: Option<u32>,
    dir: TempDir,
}

impl Setup {
    /// A configuration without backends that fails fast: short pauses before another attempt.
    pub(crate) fn new() -> Self {
        let dir = TempDir::with_prefix("plm").unwrap();
        let config = json!({
            "proxy": { "host": "127.0.0.1", "port": 0, "frontends": 1, "log_level": "debug", "shutdown_grace_seconds": 5 },
            "auth": {
                "api_keys": [{ "name": "tester", "key": KEY }, { "name": "other", "key": OTHER_KEY }],
                "admin_key": ADMIN_KEY
            },
            "retry": { "initial_backoff_ms": 1, "max_backoff_ms": 5 },
            "storage": { "database_path": dir.path().join("history.db") },
            "backends": []
        });
        Self { config, flags: Vec::new(), largest_file: None, dir }
    }

    /// An instance with one backend `b1`.
    pub(crate) fn with(upstream: &Upstream) -> Self {
        Self::new().backend("b1", upstream, json!({}))
    }

    /// An instance with the backends `b1` and `b2`, in this order of preference.
    pub(crate) fn with_two(first: &Upstream, second: &Upstream) -> Self {
        Self::with(first).backend("b2", second, json!({ "priority": 200 }))
    }

    /// Adds a backend with these settings besides name and address.
    pub(crate) fn backend(self, name: &str, upstream: &Upstream, settings: Value) -> Self {
        let mut backend =
            json!({ "name": name, "url": upstream.url(), "slots": 1, "serialize_by_model": true });
        merge(&mut backend, settings);
        self.add_backend(backend)
    }

    /// Adds a made-up backend that offers these models.
    pub(crate) fn fake(self, name: &str, models: &[&str], settings: Value) -> Self {
        let mut fake = json!({ "models": models, "load_seconds": 0, "word_ms": 1, "words": 5 });
        merge(&mut fake, settings);
        self.add_backend(json!({ "name": name, "type": "fake", "fake": fake }))
    }

    fn add_backend(mut self, backend: Value) -> Self {
        self.config["backends"].as_array_mut().unwrap().push(backend);
        self
    }

    /// Lays these settings over the configuration.
    pub(crate) fn settings(mut self, settings: Value) -> Self {
        merge(&mut self.config, settings);
        self
    }

    /// Adds a flag to `serve`.
    pub(crate) fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Lets it write no file longer than this, in blocks of 512 or 1,024 bytes: a disk that is full.
    pub(crate) fn largest_file(mut self, blocks: u32) -> Self {
        self.largest_file = Some(blocks);
        self
    }

    /// The directory of everything.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it and returns when it accepts clients.
    #[track_caller]
    pub(crate) fn start(self) -> Instance {
        let config = self.dir.path().join("config.json");
        std::fs::write(&config, self.config.to_string()).unwrap();
        let arguments = serve_arguments(self.dir.path(), &config, &self.flags);
        let mut instance = match self.largest_file {
            None => Instance::spawn(self.dir, command(Path::new(PROGRAM), &arguments)),
            Some(blocks) => {
                // The signal is ignored, so that a write over the limit fails as it would on a full disk.
                let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
                let before = ["-c".to_owned(), script, PROGRAM.to_owned()];
                let arguments: Vec<_> = before.into_iter().chain(arguments).collect();
                Instance::spawn(self.dir, command(Path::new("/bin/sh"), &arguments))
            }
        };
        instance.wait_for_address();
        instance
    }

    /// Starts it although it must not come up, and returns what it said.
    pub(crate) fn start_in_vain(&self) -> Said {
        let config = self.dir.path().join("config.json");
        std::fs::write(&config, self.config.to_string()).unwrap();
        let arguments = serve_arguments(self.dir.path(), &config, &self.flags);
        said(&command(Path::new(PROGRAM), &arguments).output().unwrap())
    }
}

fn serve_arguments(dir: &Path, config: &Path, flags: &[String]) -> Vec<String> {
    let mut arguments = vec!["serve".to_owned(), "--config".to_owned(), config.display().to_string()];
    if !flags.iter().any(|flag| flag == "--run-dir") {
        arguments.extend(["--run-dir".to_owned(), dir.join("run").display().to_string()]);
    }
    arguments.extend(["--log-format".to_owned(), "json".to_owned()]);
    arguments.extend_from_slice(flags);
    arguments
}

/// Lays `over` upon `under`: objects key by key, everything else whole.
pub(crate) fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// A running instance. It ends with the test.
pub(crate) struct Instance {
    dir: TempDir,
    process: Child,
    out: Lines,
    log: Lines,
    address: SocketAddr,
}

impl Instance {
    fn spawn(dir: TempDir, mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let out = Lines::collect(process.stdout.take().unwrap());
        let log = Lines::collect(process.stderr.take().unwrap());
        Self { dir, process, out, log, address: ([0, 0, 0, 0], 0).into() }
    }

    #[track_caller]
    fn wait_for_address(&mut self) {
        let found = wait_for(|| {
            let exited = self.process.try_wait().unwrap();
            let text = self.out.text();
            let address =
                text.lines().find_map(|line| line.strip_prefix("listening on http://")).map(str::to_owned);
            address.map(Ok).or(exited.map(Err))
        });
        match found {
            Some(Ok(address)) => self.address = address.trim().parse().unwrap(),
            Some(Err(status)) => panic!("serve ended ({status}):\n{}\n{}", self.out.text(), self.log.text()),
            None => panic!("serve printed no address:\n{}\n{}", self.out.text(), self.log.text()),
        }
    }

    /// Ends it in order and starts it again with the same configuration and history.
    #[track_caller]
    pub(crate) fn restart(self) -> Self {
        let mut old = self;
        old.signal(Signal::SIGTERM);
        old.wait_for_exit();
        old.start_again()
    }

    /// Starts it again in the same directory, after it ended.
    #[track_caller]
    pub(crate) fn start_again(mut self) -> Self {
        // Takes the directory out of the old instance, which must not delete it.
        let dir = std::mem::replace(&mut self.dir, TempDir::with_prefix("plm").unwrap());
        let config = dir.path().join("config.json");
        let arguments = serve_arguments(dir.path(), &config, &[]);
        let mut new = Self::spawn(dir, command(Path::new(PROGRAM), &arguments));
        new.wait_for_address();
        new
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The client `tester`.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address, KEY)
    }

    /// A client without a key.
    pub(crate) fn stranger(&self) -> Client {
        Client::anonymous(self.address)
    }

    /// The directory of everything.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The history's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("history.db")
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Its standard output so far.
    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    /// Runs `proxylm ctl` against it.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Said {
        let run_dir = self.dir.path().join("run").display().to_string();
        let all: Vec<_> =
            ["ctl", "--run-dir", &run_dir].into_iter().chain(arguments.iter().copied()).collect();
        said(&command(Path::new(PROGRAM), &all).output().unwrap())
    }

    /// Gives an order that must go well.
    #[track_caller]
    pub(crate) fn order(&self, arguments: &[&str]) -> String {
        let said = self.ctl(arguments);
        assert_eq!(said.code, 0, "ctl {arguments:?}: {said:?}");
        said.out
    }

    /// Its whole state.
    #[track_caller]
    pub(crate) fn snapshot(&self) -> Snapshot {
        let text = self.order(&["status", "--json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no snapshot ({error}): {text}"))
    }

    /// The state of one backend.
    #[track_caller]
    pub(crate) fn backend(&self, name: &str) -> BackendView {
        let found = self.snapshot().backends.into_iter().find(|backend| backend.name == name);
        found.unwrap_or_else(|| panic!("no backend {name}"))
    }

    /// Past requests, newest first.
    #[track_caller]
    pub(crate) fn history(&self, filter: &[&str]) -> Vec<RequestRecord> {
        let arguments: Vec<_> = ["history", "--json"].into_iter().chain(filter.iter().copied()).collect();
        serde_json::from_str(&self.order(&arguments)).unwrap()
    }

    /// The one request with this id, once it has ended and is on record.
    #[track_caller]
    pub(crate) fn ended(&self, id: &str) -> RequestRecord {
        let found = wait_for(|| {
            let found = self.history(&["--id", id]);
            assert!(found.len() < 2, "one row per request: {found:?}");
            found.into_iter().find(|record| record.state.is_final())
        });
        found.unwrap_or_else(|| panic!("request {id} does not end; live: {:?}", self.snapshot().requests))
    }

    /// Returns when so many requests wait.
    #[track_caller]
    pub(crate) fn wait_for_queued(&self, count: u64) {
        wait_until(&format!("{count} requests are queued"), || self.snapshot().instance.queued == count);
    }

    /// Returns when no request is live and no slot taken.
    #[track_caller]
    pub(crate) fn wait_for_quiet(&self) {
        wait_until("nothing is live any more", || {
            let snapshot = self.snapshot();
            snapshot.live == 0
                && snapshot.instance.queued == 0
                && snapshot.frontends.iter().all(|frontend| frontend.requests == 0)
                && snapshot.backends.iter().all(|backend| backend.slots_used == 0 && backend.queued == 0)
        });
    }

    /// Returns when the backend is `up` or `down`.
    #[track_caller]
    pub(crate) fn wait_for_health(&self, name: &str, health: &str) {
        wait_until(&format!("{name} is {health}"), || self.backend(name).health == health);
    }

    /// Kills the backend's worker at once.
    #[track_caller]
    pub(crate) fn kill_worker(&self, backend: &str) {
        kill_now(self.backend(backend).worker_pid.expect("the backend has a worker"));
    }

    /// Sends the instance a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill(pid(self.process.id()), signal);
    }

    /// Returns when the instance has ended, and how.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        wait_for(|| self.process.try_wait().unwrap())
            .unwrap_or_else(|| panic!("it does not end:\n{}", self.log()))
    }
}

/// Kills a process at once.
pub(crate) fn kill_now(process: u32) {
    kill(pid(process), Signal::SIGKILL).unwrap();
}

fn pid(process: u32) -> Pid {
    Pid::from_raw(i32::try_from(process).unwrap())
}

impl Drop for Instance {
    fn drop(&mut self) {
        let ended_before = self.process.try_wait();
        if matches!(ended_before, Ok(None)) {
            // Again and again: the second signal ends it without waiting for anybody.
            let ended = wait_for(|| {
                self.signal(Signal::SIGTERM);
                self.process.try_wait().unwrap_or_default()
            });
            if ended.is_none() {
                let _ = self.process.kill();
                let _ = self.process.wait();
            }
        }
        if std::thread::panicking() {
            eprintln!("--- what the instance said\n{}\n--- its log\n{}", self.out.text(), self.log.text());
            eprintln!("--- how it had ended before the test did: {ended_before:?}");
        }
    }
}
