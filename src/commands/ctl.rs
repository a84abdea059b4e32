//! `proxylm ctl`: asks or orders a running instance over its local socket, and prints what it says.
//!
//! The run directory lets in the user who started the instance and nobody else, so there is no key.

use ipc_proto::local::RunDir;
use ipc_proto::operator::{Command, Reply, RequestRecord, Snapshot};

use self::line::{CallError, Line};
use crate::cli::{Ctl, CtlCommand, RequestsOptions};
use crate::report::{self, FAILED, Failure};
use crate::tables;

mod follow;
mod line;
mod past;

/// Does what was asked for, and prints it.
pub(crate) async fn run(arguments: Ctl) -> Result<(), Failure> {
    let run_dir = arguments.place.run_dir();
    let json = arguments.json;
    let mut line = Line::open(&run_dir).await?;
    let command = match arguments.command {
        CtlCommand::Requests(options) if options.follow => {
            return follow::requests(line, options, json).await;
        }
        CtlCommand::Log(options) => return follow::log(line, options, json).await,
        CtlCommand::History(filter) => {
            let csv = filter.csv;
            let records = past::requests(&mut line, filter).await?;
            show_history(&records, csv, json);
            return Ok(());
        }
        CtlCommand::Drain { backend, wait: true } => {
            done(&follow::drained(&mut line, backend).await?, json);
            return Ok(());
        }
        CtlCommand::Stop => return stop(line, &run_dir, json).await,
        CtlCommand::Requests(options) => return list_requests(&mut line, &options, json).await,
        CtlCommand::Status => return show_state(&mut line, View::Status, json).await,
        CtlCommand::Backends => return show_state(&mut line, View::Backends, json).await,
        CtlCommand::Models => return show_state(&mut line, View::Models, json).await,
        CtlCommand::Show { id } => return show_request(&mut line, id, json).await,
        CtlCommand::Explain { id } => Command::Explain { request: id },
        CtlCommand::Drain { backend, wait: false } => Command::Drain { backend },
        CtlCommand::Undrain { backend } => Command::Undrain { backend },
        CtlCommand::Cancel { id } => Command::Cancel { request: id },
        CtlCommand::Pause => Command::Pause,
        CtlCommand::Resume => Command::Resume,
        CtlCommand::Restart { backend } => Command::Restart { backend },
    };
    match line.call(command).await.map_err(CallError::into_failure)? {
        Reply::Done(sentence) => done(&sentence, json),
        Reply::Explained(explanation) if json => report::say_json(&explanation),
        Reply::Explained(explanation) => report::say(&tables::explanation(&explanation)),
        _ => return Err(unexpected()),
    }
    Ok(())
}

/// An instance of another build would have been told from us by its version.
fn unexpected() -> Failure {
    Failure::new("the running proxylm answered something else than it was asked", FAILED)
}

fn done(sentence: &str, json: bool) {
    if json { report::say_json(&serde_json::json!({ "done": sentence })) } else { report::say(sentence) }
}

/// Which part of the state was asked for.
#[derive(Clone, Copy)]
enum View {
    Status,
    Backends,
    Models,
}

async fn snapshot(line: &mut Line) -> Result<Box<Snapshot>, Failure> {
    match line.call(Command::Snapshot).await.map_err(CallError::into_failure)? {
        Reply::Snapshot(snapshot) => Ok(snapshot),
        _ => Err(unexpected()),
    }
}

async fn show_state(line: &mut Line, view: View, json: bool) -> Result<(), Failure> {
    let snapshot = snapshot(line).await?;
    match (view, json) {
        (View::Status, true) => report::say_json(&snapshot),
        (View::Backends, true) => report::say_json(&snapshot.backends),
        (View::Models, true) => report::say_json(&snapshot.learned),
        (View::Status, false) => report::say(&tables::status(&snapshot)),
        (View::Backends, false) => report::say(&tables::backends(&snapshot)),
        (View::Models, false) => report::say(&tables::learned(&snapshot.learned)),
    }
    Ok(())
}

/// Lists live requests. With filters the instance does the choosing, as for those who follow.
async fn list_requests(line: &mut Line, options: &RequestsOptions, json: bool) -> Result<(), Failure> {
    let snapshot = match follow::chosen(line, options).await? {
        Some(chosen) => chosen,
        None => snapshot(line).await?,
    };
    if json {
        report::say_json(&snapshot.requests);
    } else {
        report::say(&tables::requests(&snapshot));
    }
    Ok(())
}

async fn show_request(line: &mut Line, id: String, json: bool) -> Result<(), Failure> {
    let reply = line.call(Command::Explain { request: id }).await.map_err(CallError::into_failure)?;
    let Reply::Explained(explanation) = reply else { return Err(unexpected()) };
    if json {
        report::say_json(&explanation.record);
    } else {
        report::say(&tables::request(&explanation.record));
    }
    Ok(())
}

fn show_history(records: &[RequestRecord], csv: bool, json: bool) {
    if csv {
        report::say(&tables::csv(records));
    } else if json {
        report::say_json(&records);
    } else {
        report::say(&tables::history(records));
    }
}

/// Has the instance end, and returns when it is gone.
async fn stop(mut line: Line, run_dir: &RunDir, json: bool) -> Result<(), Failure> {
    let sentence = match line.call(Command::Stop).await {
        Ok(Reply::Done(sentence)) => sentence,
        Ok(_) => return Err(unexpected()),
        // An instance with nothing to finish may be gone before its answer is.
        Err(CallError::Link(error)) => {
            let gone = tokio::time::timeout(line::PATIENCE, line.gone(run_dir)).await;
            gone.map_err(|_| line::broken(&error))?;
            "the instance has stopped".to_owned()
        }
        Err(error) => return Err(error.into_failure()),
    };
    done(&sentence, json);
    line.gone(run_dir).await;
    Ok(())
}
