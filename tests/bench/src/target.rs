//! Who is measured: the upstream itself, nginx before it, and proxylm before it; started and stopped.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde::Serialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use crate::order::{Address, MODEL};
use crate::process;
use crate::trouble::{Trouble, within};

/// The client key of the measured instance.
const KEY: &str = "sk-bench-client";

/// Enough for every stream of the largest crowd: the benchmark measures the proxy, not its queue.
const SLOTS: u32 = 1200;

/// The columns of the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// Straight to the upstream.
    Direct,
    /// Through nginx.
    Nginx,
    /// Through proxylm.
    Proxylm,
}

impl Side {
    /// Every side.
    pub(crate) const ALL: [Self; 3] = [Self::Direct, Self::Nginx, Self::Proxylm];

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Proxylm => "proxylm",
        }
    }
}

/// A running side.
pub(crate) struct Target {
    /// Which one.
    pub(crate) side: Side,
    /// Where it answers.
    pub(crate) address: Address,
    running: Running,
}

impl Target {
    /// Starts the upstream: this program again, in a process of its own.
    pub(crate) async fn upstream() -> Result<Self, Trouble> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("upstream");
        let (running, address) = Running::start(command, tempfile::tempdir()?, "").await?;
        Ok(Self { side: Side::Direct, address: Address { authority: address, key: None }, running })
    }

    /// Starts nginx before `upstream`: two workers, no buffering, connections kept alive on both sides.
    pub(crate) async fn nginx(program: &Path, upstream: &str) -> Result<Self, Trouble> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, nginx_config(folder.path(), port, upstream))?;
        let mut command = Command::new(program);
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(folder.path().join("error.log"));
        let authority = format!("127.0.0.1:{port}");
        let running = Running::spawn(command, folder)?;
        let connected = within(5, "nginx's first connection", async {
            while TcpStream::connect(&authority).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        });
        connected.await.map_err(|error| running.explain(&error))?;
        Ok(Self { side: Side::Nginx, address: Address { authority, key: None }, running })
    }

    /// Starts proxylm before `upstream`, with everything on: keys, history, scheduling, two frontends.
    pub(crate) async fn proxylm(program: &Path, upstream: &str) -> Result<Self, Trouble> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config.yaml");
        std::fs::write(&config, proxylm_config(folder.path(), upstream))?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(&config).arg("--run-dir").arg(folder.path().join("run"));
        command.args(["--port", "0", "--log-level", "warning"]);
        let (running, authority) = Running::start(command, folder, "listening on http://").await?;
        let address = Address { authority, key: Some(KEY.to_owned()) };
        Ok(Self { side: Side::Proxylm, address, running })
    }

    /// Whether it stands between client and upstream, so that its own cost can be measured.
    pub(crate) fn is_proxy(&self) -> bool {
        self.side != Side::Direct
    }

    /// Its processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.running.child.id().map(process::tree).unwrap_or_default()
    }

    /// A folder for files of measurements; ends with the target.
    pub(crate) fn folder(&self) -> &Path {
        self.running.folder.path()
    }

    /// Ends it politely, and after ten seconds otherwise.
    pub(crate) async fn stop(self) -> Result<(), Trouble> {
        self.running.stop().await
    }
}

/// A running demonstration: two made-up backends, no keys.
pub(crate) struct Demo {
    authority: String,
    run_dir: PathBuf,
    running: Running,
}

impl Demo {
    /// Starts `proxylm serve --demo` under `strategy`, with everything it writes in a folder of its own.
    pub(crate) async fn start(program: &Path, strategy: &str) -> Result<Self, Trouble> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config.yaml");
        let database = folder.path().join("demo.db");
        let text = format!(
            "proxy: {{ host: 127.0.0.1 }}\nauth: {{ mode: none }}\nrouting: {{ strategy: {strategy} }}\n\
             scheduler: {{ max_wait: 15 }}\n\
             storage: {{ database_path: {} }}\n",
            database.display()
        );
        std::fs::write(&config, text)?;
        let run_dir = folder.path().join("run");
        let mut command = Command::new(program);
        command.args(["serve", "--demo", "--port", "0", "--log-level", "warning"]);
        command.arg("--config").arg(&config).arg("--run-dir").arg(&run_dir);
        let (running, authority) = Running::start(command, folder, "listening on http://").await?;
        Ok(Self { authority, run_dir, running })
    }

    /// Where it answers, as `host:port`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Where its operators find it.
    pub(crate) fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Ends it.
    pub(crate) async fn stop(self) -> Result<(), Trouble> {
        self.running.stop().await
    }
}

/// A child process and its files. When it is dropped, the process is asked to end.
struct Running {
    child: Child,
    folder: TempDir,
    /// Kept open: a process that prints one more line must not die of it.
    output: Option<Lines<BufReader<ChildStdout>>>,
}

impl Running {
    fn spawn(mut command: Command, folder: TempDir) -> Result<Self, Trouble> {
        let log = File::create(folder.path().join("stderr.log"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command
            .spawn()
            .map_err(|error| format!("{}: {error}", command.as_std().get_program().display()))?;
        let output = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        Ok(Self { child, folder, output })
    }

    /// Starts a process that prints its address behind `mark`.
    async fn start(command: Command, folder: TempDir, mark: &str) -> Result<(Self, String), Trouble> {
        let program = command.as_std().get_program().display().to_string();
        let mut running = Self::spawn(command, folder)?;
        let mut output = running.output.take().expect("standard output is piped");
        let address = within(20, "a target's address", async {
            loop {
                let Some(line) = output.next_line().await? else {
                    return Err(format!("{program} ended at once").into());
                };
                if let Some((_, rest)) = line.split_once(mark) {
                    return Ok(rest.split_whitespace().next().unwrap_or_default().to_owned());
                }
            }
        });
        let address = address.await.map_err(|error| running.explain(&error))?;
        running.output = Some(output);
        Ok((running, address))
    }

    /// An error with the last lines that the process wrote.
    fn explain(&self, error: &Trouble) -> Trouble {
        let log = std::fs::read_to_string(self.folder.path().join("stderr.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("{error}\n{}", lines[lines.len().saturating_sub(8)..].join("\n")).into()
    }

    /// Ends it politely, and after ten seconds otherwise.
    async fn stop(mut self) -> Result<(), Trouble> {
        self.terminate();
        let waited = within(10, "the end of a target", async { Ok(self.child.wait().await?) }).await;
        if waited.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }

    fn terminate(&self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended by itself meanwhile.
            let _sent = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// The nginx program, where the PATH or the usual place has one.
pub(crate) fn find_nginx() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let usual = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
    std::env::split_paths(&folders)
        .chain(usual)
        .map(|folder| folder.join("nginx"))
        .find(|path| path.is_file())
}

/// What a program prints when asked for its version: on either output, the first line.
pub(crate) async fn version(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().await.ok()?;
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().map(str::to_owned)
}

fn nginx_config(folder: &Path, port: u16, upstream: &str) -> String {
    let folder = folder.display();
    // Started by root, its workers would change to a user who may not write here.
    let user = if geteuid().is_root() { "user root;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .concat();
    format!(
        "daemon off;\n{user}\nworker_processes 2;\nworker_rlimit_nofile 16384;\npid {folder}/nginx.pid;\n\
         error_log {folder}/error.log warn;\nevents {{ worker_connections 8192; }}\nhttp {{\n{temporary}\
         access_log off;\nclient_max_body_size 64m;\nkeepalive_requests 1000000;\n\
         upstream mock {{ server {upstream}; keepalive 256; keepalive_requests 1000000; }}\n\
         server {{\nlisten 127.0.0.1:{port} backlog=4096;\nlocation / {{\nproxy_pass http://mock;\n\
         proxy_http_version 1.1;\nproxy_set_header Connection \"\";\nproxy_buffering off;\n\
         proxy_request_buffering off;\n}}\n}}\n}}\n"
    )
}

fn proxylm_config(folder: &Path, upstream: &str) -> String {
    let folder = folder.display();
    format!(
        "proxy:\n  host: 127.0.0.1\n  port: 0\n  frontends: 2\n  shutdown_grace_seconds: 2\n\
         auth:\n  api_keys:\n    - name: bench\n      key: {KEY}\n\
         storage:\n  database_path: {folder}/bench.db\n\
         backends:\n  - name: upstream\n    type: openai\n    url: http://{upstream}\n    slots: {SLOTS}\n\
         \x20   serialize_by_model: false\n    models: [{MODEL}]\n"
    )
}
