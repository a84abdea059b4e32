//! An operator's link to the instance: calls and their answers, and what the instance tells by itself.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use ipc_proto::Role;
use ipc_proto::link::{self, Inbox, LinkError, Outbox, SendError};
use ipc_proto::local::{self, RunDir, Stream};
use ipc_proto::operator::{Call, Command, Event, Refusal, Reply, Response, ToOperator};
use tokio::task::JoinSet;

use crate::report::{FAILED, Failure, NOT_RUNNING};

/// An instance that does not answer for so long is stuck; every call is answered without waiting for a backend.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at a socket that is about to go away.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why a call has no reply.
pub(super) enum CallError {
    /// The link failed.
    Link(LinkError),
    /// The instance refused.
    Refused(Refusal),
    /// The call could not be said.
    Send(SendError),
    /// The instance says nothing.
    Silent,
}

impl CallError {
    /// As it is told to whoever called.
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Link(error) => broken(&error),
            Self::Refused(refusal) => Failure::new(refusal.message, FAILED).with_hint(refusal.hint),
            Self::Send(error) => Failure::of(&error, FAILED),
            Self::Silent => silent(),
        }
    }
}

/// A link to the instance.
pub(super) struct Line {
    outbox: Outbox<Call>,
    inbox: Inbox<ToOperator, Stream>,
    /// Carries calls for as long as the line lives.
    _writing: JoinSet<()>,
    last_id: u32,
    /// What the instance told before it answered.
    told: VecDeque<Event>,
}

impl Line {
    /// Connects to the instance in `run_dir`.
    pub(super) async fn open(run_dir: &RunDir) -> Result<Self, Failure> {
        let mut stream = local::connect(&run_dir.supervisor_socket())
            .await
            .map_err(|error| no_connection(run_dir, &error))?;
        tokio::time::timeout(PATIENCE, link::greet(&mut stream, Role::Operator))
            .await
            .map_err(|_| silent())?
            .map_err(|error| broken(&error))?;
        let (outbox, inbox, writer) = link::open(stream);
        let mut writing = JoinSet::new();
        // That a call could not be written shows when its answer does not come.
        writing.spawn(async move { drop(writer.run().await) });
        Ok(Self { outbox, inbox, _writing: writing, last_id: 0, told: VecDeque::new() })
    }

    /// Calls, and waits for the answer. What the instance tells by itself meanwhile is kept for [`Self::event`].
    pub(super) async fn call(&mut self, command: Command) -> Result<Reply, CallError> {
        self.last_id += 1;
        let id = self.last_id;
        self.outbox.send(&Call { id, command }).map_err(CallError::Send)?;
        tokio::time::timeout(PATIENCE, self.answer_to(id)).await.map_err(|_| CallError::Silent)?
    }

    async fn answer_to(&mut self, call: u32) -> Result<Reply, CallError> {
        loop {
            match self
                .inbox
                .recv()
                .await
                .and_then(|told| told.ok_or_else(hung_up))
                .map_err(CallError::Link)?
            {
                ToOperator::Answer(Response { id, reply }) if id == call => {
                    return reply.map_err(CallError::Refused);
                }
                ToOperator::Answer(_) => {}
                ToOperator::Event(event) => self.told.push_back(*event),
            }
        }
    }

    /// What the instance told before its last answer.
    pub(super) fn told_before(&mut self) -> VecDeque<Event> {
        std::mem::take(&mut self.told)
    }

    /// What the instance tells next; `None` when it has ended. Safe to cancel.
    pub(super) async fn event(&mut self) -> Option<Event> {
        if let Some(event) = self.told.pop_front() {
            return Some(event);
        }
        loop {
            match self.inbox.recv().await {
                Ok(Some(ToOperator::Event(event))) => return Some(*event),
                Ok(Some(ToOperator::Answer(_))) => {}
                // Whether it said goodbye or not: it is not there any more.
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Returns when the instance has ended: when nobody listens at its socket any more.
    pub(super) async fn gone(&mut self, run_dir: &RunDir) {
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

fn silent() -> Failure {
    Failure::new("the running proxylm does not answer", FAILED)
        .with_hint("see its log; if it hangs, end its process and start it again".to_owned())
}

fn no_connection(run_dir: &RunDir, error: &io::Error) -> Failure {
    let place = run_dir.path().display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Failure::new(format!("no proxylm is running in {place}"), NOT_RUNNING)
                .with_hint("start one with `proxylm serve`, or name its directory with --run-dir".to_owned())
        }
        io::ErrorKind::PermissionDenied => {
            Failure::new(format!("cannot connect to the proxylm in {place}: {error}"), FAILED)
                .with_hint("run this as the user who started it".to_owned())
        }
        _ => Failure::new(format!("cannot connect to the proxylm in {place}: {error}"), FAILED),
    }
}

/// What is said of a link that failed.
pub(super) fn broken(error: &LinkError) -> Failure {
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
