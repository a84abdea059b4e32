//! The benchmark: proxylm beside a direct connection and nginx, in one run, in interleaved rounds.
//!
//! `cargo run --release -p bench -- scheduling` compares the scheduling strategies in simulated worlds instead, and
//! `… -- translation` what a translated stream costs beside a copied one.
//! `cargo run --release -p bench` builds proxylm, measures and prints a table. It installs nothing; without nginx
//! or strace their figures are left out, and the table says so.

mod book;
mod clock;
mod decision;
mod line;
mod load;
mod measure;
mod order;
mod process;
mod report;
mod run;
mod scheduling;
mod sketch;
mod statistics;
mod syscalls;
mod target;
mod translation;
mod trouble;
mod turns;
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::trouble::Trouble;

/// Measures proxylm beside a direct connection and nginx.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What a user may choose.
#[derive(Args)]
struct Options {
    /// A short run, under half a minute: for a look, not for figures to quote.
    #[arg(long)]
    quick: bool,
    /// Interleaved rounds, instead of the usual number.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// The proxylm binary to measure, instead of building one.
    #[arg(long, value_name = "PATH")]
    proxylm: Option<PathBuf>,
    /// Measure only the direct connection and nginx.
    #[arg(long, conflicts_with = "proxylm")]
    without_proxylm: bool,
    /// The nginx binary, instead of the one that is installed.
    #[arg(long, value_name = "PATH")]
    nginx: Option<PathBuf>,
    /// Also write every round's figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Role {
    /// Measures the scheduling in simulated worlds, and the time of one decision.
    Scheduling(scheduling::Scheduling),
    /// Draws the turns of a run of the demo, as SVG.
    Turns(turns::Turns),
    /// Measures what translation costs beside copying.
    Translation(translation::Translation),
    /// Plays the upstream; the benchmark starts it by itself.
    #[command(hide = true)]
    Upstream,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Trouble::from)
        .and_then(|runtime| runtime.block_on(act(cli)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            report::note(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn act(cli: Cli) -> Result<ExitCode, Trouble> {
    match cli.role {
        Some(Role::Upstream) => {
            upstream::serve().await?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::Scheduling(options)) => {
            let is_sound = scheduling::measure(&options)?;
            return Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Some(Role::Turns(options)) => {
            turns::draw(&options).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::Translation(options)) => {
            let is_cheap = translation::measure(&options).await?;
            return Ok(if is_cheap { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        None => {}
    }
    tokio::select! {
        measured = run::run(&cli.options) => {
            Ok(if measured? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        // Dropping the run asks every process it started to end.
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Ok(ExitCode::from(130))
        }
    }
}
