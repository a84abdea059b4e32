//! The command line of `proxylm ctl`.

use clap::{Args, Subcommand};
use ipc_proto::operator::{LogLevel, RequestState};

use super::Place;
use crate::moments;

/// `proxylm ctl …`.
#[derive(Debug, Args)]
pub(crate) struct Ctl {
    /// Where the instance is to be found.
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print JSON, for scripts; with --follow one line of it for each change
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to ask or order.
    #[command(subcommand)]
    pub(crate) command: CtlCommand,
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
    Requests(RequestsOptions),
    /// All that is known of one request, live or past.
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Why a request, waiting or ended, was sent where it was: every decision, and how each backend looked.
    Explain {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Past requests, newest first.
    History(HistoryFilter),
    /// The latest lines of the log, of all processes of the instance.
    Log(LogOptions),
    /// End one request.
    Cancel {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Grant nothing more on a backend; what runs there finishes.
    Drain {
        /// Its name
        backend: String,
        /// Return only when nothing runs there any more
        #[arg(long)]
        wait: bool,
    },
    /// Use a drained backend again.
    Undrain {
        /// Its name
        backend: String,
    },
    /// Send nothing new to any backend: what runs finishes, what comes waits.
    Pause,
    /// Send requests to the backends again, after a pause.
    Resume,
    /// Replace a backend's worker; what runs there finishes first.
    Restart {
        /// The backend's name
        backend: String,
    },
    /// Finish what runs, then end the instance; returns when it is gone.
    Stop,
}

/// Which live requests to list, and how.
#[derive(Debug, Default, Args)]
pub(crate) struct RequestsOptions {
    /// Go on with a line for each change, until Ctrl-C or the end of the instance
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only this model, as clients name it
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Only those on this backend, and those whose model it has
    #[arg(long, value_name = "BACKEND")]
    pub(crate) backend: Option<String>,
    /// Only this client, by the name of its key
    #[arg(long, value_name = "CLIENT")]
    pub(crate) client: Option<String>,
}

/// Which lines of the log.
#[derive(Debug, Args)]
pub(crate) struct LogOptions {
    /// Go on with each new line, until Ctrl-C or the end of the instance
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Least important lines to show: debug, info, warning or error. Lines from before are kept from info upwards
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    pub(crate) level: LogLevel,
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
    /// Only requests that came since then: 30m, 2h, 7d, 2026-11-20, 2026-11-20T14:00 or 2026-11-20T14:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moments::unix_us)]
    pub(crate) since: Option<i64>,
    /// Only requests that came until then; TIME as above, a day as its beginning
    #[arg(long, value_name = "TIME", value_parser = moments::unix_us)]
    pub(crate) until: Option<i64>,
    /// Print comma-separated values with all there is, for spreadsheets
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}

fn state(word: &str) -> Result<RequestState, String> {
    RequestState::from_word(word).ok_or_else(|| {
        let words: Vec<_> = RequestState::ALL.iter().map(|state| state.as_str()).collect();
        format!("the states are {}", words.join(", "))
    })
}

fn level(word: &str) -> Result<LogLevel, String> {
    LogLevel::from_word(word).ok_or_else(|| {
        let words: Vec<_> = LogLevel::ALL.iter().map(|level| level.as_str()).collect();
        format!("the levels are {}", words.join(", "))
    })
}
