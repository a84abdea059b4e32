//! The command line. The only place that names a command or a flag.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use ipc_proto::ids::{BackendId, FrontendId, WorkerId};
use ipc_proto::local::RunDir;
use supervisor::config::{LogFormat, LogLevel};
use supervisor::scheduler::catalog::Strategy;

mod ctl;

pub(crate) use self::ctl::{Ctl, CtlCommand, HistoryFilter, LogOptions, RequestsOptions};

/// An LLM proxy that queues by model: one URL for every client and every backend.
#[derive(Debug, Parser)]
#[command(name = "proxylm", version = crate::commands::version(), disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the proxy. Without a configuration it looks for LLM servers on this machine and writes one.
    Serve(Serve),
    /// Make, check and show the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Ask or order a running proxylm, as the user who started it.
    Ctl(Ctl),
    /// Watch a running proxylm on a screen, and act on it with keys; F1 lists them.
    Tui(Tui),
    /// Play a record of scheduling again: whether the decisions are the same, and what other rules would have done.
    Replay(Replay),
    /// Print a script that completes this program's command line in a shell.
    Completions {
        /// Which shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page, or write one for every command.
    Man {
        /// Write the pages of all commands into this directory, which must be there
        #[arg(long, value_name = "DIRECTORY")]
        out: Option<PathBuf>,
    },
    /// Print name, version and system.
    Version,
    /// Hold clients, for a supervisor; never called by people.
    #[command(name = "__frontend", hide = true)]
    Frontend(FrontendChild),
    /// Call one backend, for a supervisor; never called by people.
    #[command(name = "__worker", hide = true)]
    Worker(WorkerChild),
}

/// `proxylm serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file (.yaml, .yml, .toml or .json); by default config.yaml beside the program
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address to listen on, instead of the configured one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// Port to listen on, instead of the configured one; 0 takes any free one
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Least important messages to log: debug, info, warning or error. Overrules the file; `RUST_LOG` overrules both
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,
    /// Form of the log on standard error: text or json. Overrules the file
    #[arg(long, value_name = "FORM")]
    pub(crate) log_format: Option<LogFormat>,
    /// Add two made-up backends and a key, to see queueing and model swaps without any LLM server
    #[arg(long)]
    pub(crate) demo: bool,
    /// Where the instance is to be found.
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Where an instance keeps its sockets.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// Directory of the instance's sockets; by default `proxylm` in `$XDG_RUNTIME_DIR`, else one of the user's own in the
    /// temporary directory
    #[arg(long, value_name = "DIRECTORY", global = true)]
    pub(crate) run_dir: Option<PathBuf>,
}

impl Place {
    /// The run directory: as named, else the user's own.
    pub(crate) fn run_dir(&self) -> RunDir {
        self.run_dir.as_ref().map_or_else(RunDir::default_for_user, RunDir::at)
    }
}

/// `proxylm config …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Look for LLM servers on this machine and write a configuration with fresh keys, printed once.
    Init {
        /// File to write; by default config.yaml beside the program
        #[arg(long, visible_alias = "path", short, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
    },
    /// Check a configuration and say all that is wrong with it.
    #[command(visible_alias = "check")]
    Validate(ConfigFile),
    /// Print the configuration in force, with every default filled in and every secret masked.
    Show(ConfigFile),
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
}

/// Which configuration file.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration file; by default config.yaml beside the program
    #[arg(long, visible_alias = "path", short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// `proxylm tui`.
#[derive(Debug, Args)]
pub(crate) struct Tui {
    /// Where the instance is to be found.
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `proxylm replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// A record, as `scheduler.record` makes it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Also simulate the recorded requests under this strategy, beside the recorded one
    #[arg(long, value_name = "STRATEGY", value_parser = crate::commands::strategy)]
    pub(crate) strategy: Option<Strategy>,
    /// Also simulate them with another number, such as `scheduler.max_wait=30`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// What every child is told on its command line. Nothing here is secret.
#[derive(Debug, Args)]
pub(crate) struct Child {
    /// Counts the processes of one seat or backend from 1
    #[arg(long)]
    generation: u32,
    /// Directory of the instance's sockets
    #[arg(long)]
    run_dir: PathBuf,
    /// Least important messages to log
    #[arg(long, default_value_t = LogLevel::Info)]
    pub(crate) log_level: LogLevel,
    /// Form of the log
    #[arg(long, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

impl Child {
    /// The instance's run directory.
    pub(crate) fn run_dir(&self) -> RunDir {
        RunDir::at(&self.run_dir)
    }
}

/// `proxylm __frontend`.
#[derive(Debug, Args)]
pub(crate) struct FrontendChild {
    /// Which of the frontends, from 0
    #[arg(long)]
    seat: u16,
    /// What every child is told.
    #[command(flatten)]
    pub(crate) child: Child,
}

impl FrontendChild {
    /// Which frontend this process is.
    pub(crate) fn id(&self) -> FrontendId {
        FrontendId { seat: self.seat, generation: self.child.generation }
    }
}

/// `proxylm __worker`.
#[derive(Debug, Args)]
pub(crate) struct WorkerChild {
    /// Number of the backend
    #[arg(long)]
    backend: u32,
    /// What every child is told.
    #[command(flatten)]
    pub(crate) child: Child,
}

impl WorkerChild {
    /// Which worker this process is.
    pub(crate) fn id(&self) -> WorkerId {
        WorkerId { backend: BackendId(self.backend), generation: self.child.generation }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_every_flag_is_explained() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        command.build();
        let mut open = vec![&command];
        while let Some(command) = open.pop() {
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            assert!(command.get_about().is_some(), "{}", command.get_name());
            open.extend(command.get_subcommands());
        }
    }

    #[test]
    fn ctl_takes_its_flags_before_and_after_the_verb() {
        for line in [["ctl", "--json", "status"], ["ctl", "status", "--json"]] {
            let cli = Cli::try_parse_from(["proxylm"].into_iter().chain(line)).unwrap();
            assert!(matches!(cli.command, Some(Command::Ctl(Ctl { json: true, .. }))));
        }
    }
}
