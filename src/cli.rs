//! The command line. The only place that names a command or a flag.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ipc_proto::ids::{BackendId, FrontendId, WorkerId};
use ipc_proto::local::RunDir;
use ipc_proto::operator::RequestState;
use supervisor::config::{LogFormat, LogLevel};
use supervisor::scheduler::catalog::Strategy;

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

/// `proxylm ctl …`.
#[derive(Debug, Args)]
pub(crate) struct Ctl {
    /// Where the instance is to be found.
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to ask or order.
    #[command(subcommand)]
    pub(crate) command: CtlCommand,
}

/// `proxylm tui`.
#[derive(Debug, Args)]
pub(crate) struct Tui {
    /// Where the instance is to be found.
    #[command(flatten)]
    pub(crate) place: Place,
}

/// The verbs of `proxylm ctl`.
#[derive(Debug, Subcommand)]
pub(crate) enum CtlCommand {
    /// The instance, its frontends, its backends and what it has done.
    Status,
    /// The backends: health, slots, the models they hold and for whom.
    Backends,
    /// What has been learned of each model on each backend: how long it loads, how fast it reads and writes.
    Models,
    /// The live requests: running ones first, then the queue.
    Requests,
    /// Past requests, newest first.
    History(HistoryFilter),
    /// Why a request, waiting or ended, was sent where it was: every decision, and how each backend looked.
    Explain {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Grant nothing more on a backend; what runs there finishes.
    Drain {
        /// Its name
        backend: String,
    },
    /// Use a drained backend again.
    Undrain {
        /// Its name
        backend: String,
    },
    /// End one request.
    Cancel {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Replace a backend's worker; what runs there finishes first.
    Restart {
        /// The backend's name
        backend: String,
    },
    /// Finish what runs, then end the instance; returns when it is gone.
    Stop,
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

/// Which past requests to list.
#[derive(Debug, Args)]
pub(crate) struct HistoryFilter {
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub(crate) limit: u32,
    /// Only this model
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Only this backend
    #[arg(long, value_name = "BACKEND")]
    pub(crate) backend: Option<String>,
    /// Only this client, by the name of its key
    #[arg(long, value_name = "CLIENT")]
    pub(crate) client: Option<String>,
    /// Only this state: queued, running, completed, failed or cancelled
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub(crate) state: Option<RequestState>,
    /// Only the requests with this id
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
}

fn state(word: &str) -> Result<RequestState, String> {
    RequestState::from_word(word).ok_or_else(|| {
        let words: Vec<_> = RequestState::ALL.iter().map(|state| state.as_str()).collect();
        format!("the states are {}", words.join(", "))
    })
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
