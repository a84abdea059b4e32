//! What each command does. Here only: which one, on what runtime, and how the process ends.

mod child;
mod config;
mod ctl;
mod documents;
mod replay;
mod serve;
mod tui;

use std::process::ExitCode;

use clap::CommandFactory;
use tokio::runtime::Runtime;

pub(crate) use self::replay::strategy;
use crate::cli::{Cli, Command, Config};
use crate::report::{self, Audience, Failure};

/// Does what the command line says and tells how the process is to end.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let Some(command) = cli.command else {
        report::say(&Cli::command().render_long_help().to_string());
        return ExitCode::SUCCESS;
    };
    let audience = match &command {
        Command::Ctl(ctl) if ctl.json => Audience::Scripts,
        _ => Audience::People,
    };
    match dispatch(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::complain(&failure, audience);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The program's version.
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => runtime()?.block_on(serve::run(arguments)),
        Command::Config(command) => configure(command),
        Command::Ctl(arguments) => runtime()?.block_on(ctl::run(arguments)),
        Command::Tui(arguments) => runtime()?.block_on(tui::run(arguments)),
        Command::Replay(arguments) => replay::play(&arguments),
        Command::Completions { shell } => {
            report::say(&documents::completions(shell));
            Ok(())
        }
        Command::Man { out } => documents::man(out.as_deref()).map(|text| report::say(&text)),
        Command::Version => {
            report::say(&format!(
                "proxylm {} ({}/{})",
                version(),
                std::env::consts::OS,
                std::env::consts::ARCH
            ));
            Ok(())
        }
        Command::Frontend(arguments) => runtime()?.block_on(child::frontend(&arguments)),
        Command::Worker(arguments) => runtime()?.block_on(child::worker(&arguments)),
    }
}

fn configure(command: Config) -> Result<(), Failure> {
    let said = match command {
        Config::Init { out, force } => runtime()?.block_on(config::init(out, force)),
        Config::Validate(file) => config::validate(file.config),
        Config::Show(file) => config::show(file.config),
        Config::Schema => config::schema(),
    };
    said.map(|text| report::say(&text)).map_err(|error| config_failure(&error))
}

/// A configuration command's error, as it is printed.
fn config_failure(error: &config::ConfigCommandError) -> Failure {
    Failure::of(error, error.exit_code()).with_hint(error.hint())
}

/// One thread: every process of proxylm is single-threaded, and there are as many processes as it takes.
fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}"), report::FAILED))
}

/// Lets this process open as many files as the system allows: every client and every stream is one.
#[cfg(unix)]
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    // Where the system refuses, the process lives with what it has.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(not(unix))]
fn raise_open_files() {}

/// Names the cryptography that TLS uses in this process.
fn choose_cryptography() {
    // An error means that it is chosen already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
