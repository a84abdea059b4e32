//! `proxylm ctl`: one call to a running instance over its local socket, and its answer printed.
//!
//! The run directory lets in the user who started the instance and nobody else, so there is no key.

use std::io;
use std::time::Duration;

use ipc_proto::Role;
use ipc_proto::link::{self, Inbox, LinkError, Outbox, SendError, Writer};
use ipc_proto::local::{self, RunDir, Stream};
use ipc_proto::operator::{Call, Command, HistoryQuery, Refusal, Reply, Snapshot, ToOperator};

use crate::cli::{Ctl, CtlCommand, HistoryFilter};
use crate::report::{self, FAILED, Failure, NOT_RUNNING};
use crate::tables;

/// An instance that does not answer for so long is stuck; every call is answered without waiting for a backend.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at a socket that is about to go away.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Calls the instance and prints what it says.
pub(crate) async fn run(arguments: Ctl) -> Result<(), Failure> {
    let run_dir = arguments.place.run_dir();
    let mut line = Line::open(&run_dir).await?;
    let view = View::of(&arguments.command);
    let ends = matches!(arguments.command, CtlCommand::Stop);
    let answer = tokio::time::timeout(PATIENCE, line.call(command(arguments.command)))
        .await
        .map_err(|_| Failure::new("the running proxylm does not answer", FAILED))?;
    let reply = match answer {
        // An instance with nothing to finish may be gone before its answer is.
        Err(CallError::Link(error)) if ends => {
            let gone = tokio::time::timeout(PATIENCE, line.gone(&run_dir)).await;
            gone.map(|()| Reply::Done("the instance has stopped".to_owned())).map_err(|_| broken(&error))?
        }
        answer => answer.map_err(CallError::into_failure)?,
    };
    show(reply, view, arguments.json);
    if ends {
        line.gone(&run_dir).await;
    }
    Ok(())
}

/// Why a call has no reply.
enum CallError {
    /// The link failed.
    Link(LinkError),
    /// The instance refused.
    Refused(Refusal),
    /// The call could not be said.
    Send(SendError),
}

impl CallError {
    fn into_failure(self) -> Failure {
        match self {
            Self::Link(error) => broken(&error),
            Self::Refused(refusal) => Failure::new(refusal.message, FAILED).with_hint(refusal.hint),
            Self::Send(error) => Failure::of(&error, FAILED),
        }
    }
}

fn command(verb: CtlCommand) -> Command {
    match verb {
        CtlCommand::Status | CtlCommand::Backends | CtlCommand::Models | CtlCommand::Requests => {
            Command::Snapshot
        }
        CtlCommand::History(filter) => Command::History(query(filter)),
        CtlCommand::Explain { id } => Command::Explain { request: id },
        CtlCommand::Drain { backend } => Command::Drain { backend },
        CtlCommand::Undrain { backend } => Command::Undrain { backend },
        CtlCommand::Cancel { id } => Command::Cancel { request: id },
        CtlCommand::Restart { backend } => Command::Restart { backend },
        CtlCommand::Stop => Command::Stop,
    }
}

fn query(filter: HistoryFilter) -> HistoryQuery {
    HistoryQuery {
        limit: filter.limit.min(HistoryQuery::MAX),
        model: filter.model,
        backend: filter.backend,
        client: filter.client,
        state: filter.state,
        request: filter.id,
        since_unix_us: None,
        until_unix_us: None,
    }
}

/// Which part of a snapshot was asked for.
#[derive(Clone, Copy)]
enum View {
    Status,
    Backends,
    Models,
    Requests,
}

impl View {
    fn of(verb: &CtlCommand) -> Self {
        match verb {
            CtlCommand::Backends => Self::Backends,
            CtlCommand::Models => Self::Models,
            CtlCommand::Requests => Self::Requests,
            _ => Self::Status,
        }
    }
}

fn show(reply: Reply, view: View, json: bool) {
    match (reply, json) {
        (Reply::Done(sentence), false) => report::say(&sentence),
        (Reply::Done(sentence), true) => report::say_json(&serde_json::json!({ "done": sentence })),
        (Reply::Snapshot(snapshot), false) => report::say(&view.text(&snapshot)),
        (Reply::Snapshot(snapshot), true) => match view {
            View::Status => report::say_json(&snapshot),
            View::Backends => report::say_json(&snapshot.backends),
            View::Models => report::say_json(&snapshot.learned),
            View::Requests => report::say_json(&snapshot.requests),
        },
        (Reply::History(records), false) => report::say(&tables::history(&records)),
        (Reply::History(records), true) => report::say_json(&records),
        (Reply::Explained(explanation), false) => report::say(&tables::explanation(&explanation)),
        (Reply::Explained(explanation), true) => report::say_json(&explanation),
    }
}

impl View {
    fn text(self, snapshot: &Snapshot) -> String {
        match self {
            Self::Status => tables::status(snapshot),
            Self::Backends => tables::backends(snapshot),
            Self::Models => tables::learned(&snapshot.learned),
            Self::Requests => tables::requests(snapshot),
        }
    }
}

/// An operator's link to the instance.
struct Line {
    outbox: Outbox<Call>,
    inbox: Inbox<ToOperator, Stream>,
    writer: Option<Writer<Stream>>,
}

impl Line {
    async fn open(run_dir: &RunDir) -> Result<Self, Failure> {
        let mut stream = local::connect(&run_dir.supervisor_socket())
            .await
            .map_err(|error| no_connection(run_dir, &error))?;
        tokio::time::timeout(PATIENCE, link::greet(&mut stream, Role::Operator))
            .await
            .map_err(|_| Failure::new("the running proxylm does not answer", FAILED))?
            .map_err(|error| broken(&error))?;
        let (outbox, inbox, writer) = link::open(stream);
        Ok(Self { outbox, inbox, writer: Some(writer) })
    }

    /// Sends the only call of this line and waits for its answer.
    async fn call(&mut self, command: Command) -> Result<Reply, CallError> {
        self.outbox.send(&Call { id: 1, command }).map_err(CallError::Send)?;
        let writer = self.writer.take().expect("a line makes one call");
        let answer = tokio::select! {
            answer = self.inbox.recv() => answer,
            written = writer.run() => Err(written.map_or_else(LinkError::Io, |()| hung_up())),
        };
        match answer.and_then(|told| told.ok_or_else(hung_up)).map_err(CallError::Link)? {
            ToOperator::Answer(response) => response.reply.map_err(CallError::Refused),
            ToOperator::Event(_) => Err(CallError::Link(hung_up())),
        }
    }

    /// Returns when the instance has ended: when nobody listens at its socket any more.
    async fn gone(&mut self, run_dir: &RunDir) {
        // The instance hangs up at its end, or earlier; what it says until then is of no interest.
        while let Ok(Some(_)) = self.inbox.recv().await {}
        while local::connect(&run_dir.supervisor_socket()).await.is_ok() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn hung_up() -> LinkError {
    LinkError::Io(io::ErrorKind::UnexpectedEof.into())
}

fn no_connection(run_dir: &RunDir, error: &io::Error) -> Failure {
    let place = run_dir.path().display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Failure::new(format!("no proxylm is running in {place}"), NOT_RUNNING)
                .with_hint("start one with `proxylm serve`, or name its directory with --run-dir".to_owned())
        }
        _ => Failure::new(format!("cannot connect to the proxylm in {place}: {error}"), FAILED),
    }
}

fn broken(error: &LinkError) -> Failure {
    let failure = Failure::of(error, FAILED);
    match error {
        LinkError::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            Failure::new("the running proxylm ended before it answered", FAILED)
        }
        LinkError::Version { .. } => failure.with_hint("stop the old one and start it again".to_owned()),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_hangs_up_has_ended() {
        let failure = broken(&hung_up());
        assert_eq!(failure.exit_code(), FAILED);
        assert!(format!("{failure:?}").contains("ended before it answered"), "{failure:?}");
    }
}
