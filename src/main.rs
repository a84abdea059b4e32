//! proxylm, the program: one binary that is supervisor, frontend, worker or operator, as its command line says.

mod cli;
mod commands;
mod logs;
mod moments;
mod report;
mod tables;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    commands::run(cli::Cli::parse())
}
