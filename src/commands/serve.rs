//! `proxylm serve`: reads the configuration, or makes a first one, and runs the supervisor until it is stopped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use ipc_proto::secret::Secret;
use supervisor::RunOptions;
use supervisor::config::{self, ConfigError, Loaded, Overrides};

use crate::cli::Serve;
use crate::logs;
use crate::report::{self, Failure, WRONG_USAGE};

/// Serves until a signal or `ctl stop` ends the instance.
pub(crate) async fn run(arguments: Serve) -> Result<(), Failure> {
    super::raise_open_files();
    super::choose_cryptography();
    let path = arguments.config.clone().unwrap_or_else(config::default_path);
    if is_first_run(&arguments, &path) {
        let said = super::config::init(Some(path.clone()), false).await;
        report::say(&said.map_err(|error| super::config_failure(&error))?);
    }
    let loaded = config::load(&path, &overrides(&arguments)).map_err(|error| wrong(&error))?;
    let level = loaded.config.log_level();
    let format = arguments.log_format.unwrap_or_else(|| loaded.config.log_format());
    logs::start(level, format);
    let welcome = Welcome::to(&loaded, arguments.place.run_dir.clone());
    let options = RunOptions {
        run_dir: arguments.place.run_dir(),
        log_level: level.as_str().to_owned(),
        log_format: format.as_str().to_owned(),
        announce: Box::new(move |address| report::say(&welcome.text(address))),
        config: loaded,
    };
    supervisor::run(options)
        .await
        .map_err(|error| Failure::of(&error, error.exit_code()).with_hint(error.hint()))
}

/// Whether this is somebody's first try: no file where it usually is, and none named. A file that was named and is
/// missing is a mistake, and not to be made up for with another one.
fn is_first_run(arguments: &Serve, path: &Path) -> bool {
    arguments.config.is_none() && !arguments.demo && !path.exists()
}

fn overrides(arguments: &Serve) -> Overrides {
    Overrides {
        host: arguments.host.clone(),
        port: arguments.port,
        log_level: arguments.log_level,
        demo: arguments.demo,
    }
}

fn wrong(error: &ConfigError) -> Failure {
    Failure::of(error, WRONG_USAGE).with_hint(error.hint())
}

/// What is printed once the instance serves: where it is, and what to type next.
struct Welcome {
    demo_key: Option<Secret>,
    asks_for_keys: bool,
    run_dir: Option<PathBuf>,
}

impl Welcome {
    fn to(loaded: &Loaded, run_dir: Option<PathBuf>) -> Self {
        Self { asks_for_keys: loaded.config.key_count() > 0, demo_key: loaded.demo_key.clone(), run_dir }
    }

    fn text(&self, address: SocketAddr) -> String {
        format!(
            "proxylm {}\nlistening on http://{address}\ntry:  {}\nsee:  {}",
            super::version(),
            self.curl(reachable(address)),
            self.status()
        )
    }

    /// A request that can be pasted into a shell.
    fn curl(&self, address: SocketAddr) -> String {
        let key = match &self.demo_key {
            // Printing it is what a demonstration's key is for: it ends with the instance.
            Some(key) => format!(" -H 'Authorization: Bearer {}'", key.expose()),
            None if self.asks_for_keys => " -H \"Authorization: Bearer $KEY\"".to_owned(),
            None => String::new(),
        };
        if self.demo_key.is_none() {
            return format!("curl http://{address}/v1/models{key}");
        }
        let body = r#"{"model":"demo-small","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
        let kind = "-H 'Content-Type: application/json'";
        format!("curl -N http://{address}/v1/chat/completions{key} {kind} -d '{body}'")
    }

    /// The command that shows this instance, as this program was called.
    fn status(&self) -> String {
        let program = std::env::args().next().unwrap_or_else(|| "proxylm".to_owned());
        let place =
            self.run_dir.as_ref().map(|dir| format!(" --run-dir {}", dir.display())).unwrap_or_default();
        format!("{program} ctl status{place}")
    }
}

/// An address at which this machine reaches `address`: one that stands for all of them is no address to call.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curl_line_calls_an_address_that_can_be_called_with_the_key_there_is() {
        let mut welcome = Welcome { demo_key: None, asks_for_keys: true, run_dir: None };
        let text = welcome.text("0.0.0.0:8080".parse().unwrap());
        assert!(text.contains("listening on http://0.0.0.0:8080\n"), "{text}");
        assert!(
            text.contains("curl http://127.0.0.1:8080/v1/models -H \"Authorization: Bearer $KEY\"\n"),
            "{text}"
        );
        welcome.demo_key = Some(Secret::new("sk-demo"));
        let text = welcome.text("[::]:1".parse().unwrap());
        assert!(
            text.contains("curl -N http://[::1]:1/v1/chat/completions -H 'Authorization: Bearer sk-demo'"),
            "{text}"
        );
    }
}
