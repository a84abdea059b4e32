//! `proxylm tui`: the screen, on the instance of a run directory.

use tui::{ConnectError, TuiError};

use crate::cli::Tui;
use crate::report::{FAILED, Failure, NOT_RUNNING};

/// Shows the instance until the user quits.
pub(crate) async fn run(arguments: Tui) -> Result<(), Failure> {
    tui::run(arguments.place.run_dir()).await.map_err(|error| match &error {
        TuiError::Connect(ConnectError::NotRunning(_)) => Failure::new(error.to_string(), NOT_RUNNING)
            .with_hint("start one with `proxylm serve`, or name its directory with --run-dir".to_owned()),
        _ => Failure::of(&error, FAILED),
    })
}
