//! The link to the instance: opened, kept, and opened again when it breaks, for as long as the screen is there.
//!
//! What the instance says comes out as messages, in order; calls go in. Knows nothing of what they mean.

use std::io;
use std::time::Duration;

use ipc_proto::Role;
use ipc_proto::link::{self, Inbox, LinkError, Outbox, Writer};
use ipc_proto::local::{self, RunDir, Stream};
use ipc_proto::operator::{Call, ToOperator};
use tokio::sync::mpsc;

use crate::app::Message;

/// How long an instance may take to greet.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause before the first new attempt; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: a local socket costs nothing to try, and an instance that is back should be seen at once.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Why the instance cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens in the run directory.
    #[error("no proxylm is running in {0}")]
    NotRunning(String),
    /// Somebody does, but does not answer.
    #[error("the running proxylm does not answer")]
    Silent,
    /// It cannot be talked to.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// An open link, with all its parts.
pub(crate) struct Line {
    outbox: Outbox<Call>,
    inbox: Inbox<ToOperator, Stream>,
    writer: Writer<Stream>,
}

/// Opens a link to the instance in `run_dir`.
pub(crate) async fn connect(run_dir: &RunDir) -> Result<Line, ConnectError> {
    let mut stream =
        local::connect(&run_dir.supervisor_socket()).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ConnectError::NotRunning(run_dir.path().display().to_string())
            }
            _ => ConnectError::Link(error.into()),
        })?;
    tokio::time::timeout(PATIENCE, link::greet(&mut stream, Role::Operator))
        .await
        .map_err(|_| ConnectError::Silent)??;
    let (outbox, inbox, writer) = link::open(stream);
    Ok(Line { outbox, inbox, writer })
}

/// Keeps a link to the instance, beginning with `line`. Ends when nobody takes its messages any more.
pub(crate) async fn keep(
    run_dir: RunDir,
    line: Line,
    messages: mpsc::Sender<Message>,
    mut calls: mpsc::Receiver<Call>,
) {
    let mut line = Some(line);
    let mut pause = FIRST_PAUSE;
    loop {
        let open = match line.take() {
            Some(line) => Ok(line),
            None => connect(&run_dir).await,
        };
        let reason = match open {
            Ok(line) => {
                // Calls for a link that is gone must not go to the next one.
                while calls.try_recv().is_ok() {}
                if messages.send(Message::Connected).await.is_err() {
                    return;
                }
                pause = FIRST_PAUSE;
                match talk(line, &messages, &mut calls).await {
                    Some(reason) => reason,
                    None => return,
                }
            }
            Err(error) => error.to_string(),
        };
        if messages.send(Message::Lost { reason }).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Carries messages and calls until the link breaks; then why. `None`: the screen is gone.
async fn talk(
    line: Line,
    messages: &mpsc::Sender<Message>,
    calls: &mut mpsc::Receiver<Call>,
) -> Option<String> {
    let Line { outbox, mut inbox, writer } = line;
    let mut writing = std::pin::pin!(writer.run());
    loop {
        tokio::select! {
            said = inbox.recv() => {
                let message = match said {
                    Ok(Some(ToOperator::Answer(response))) => {
                        Message::Answer { id: response.id, reply: response.reply }
                    }
                    Ok(Some(ToOperator::Event(event))) => Message::Event(*event),
                    Ok(None) => return Some("it hung up".to_owned()),
                    Err(error) => return Some(error.to_string()),
                };
                messages.send(message).await.ok()?;
            }
            call = calls.recv() => {
                if let Err(error) = outbox.send(&call?) {
                    return Some(error.to_string());
                }
            }
            written = &mut writing => {
                return Some(written.map_or_else(|error| error.to_string(), |()| "it hung up".to_owned()));
            }
        }
    }
}
