//! The attempts of one data connection, one after the other, each from `Open` to its one end.
//!
//! It promises that every attempt is reported as finished exactly once, however it went, and that the report
//! comes when the backend is done with, not when the client has read everything.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt;
use ipc_proto::control::{Ending, Finished, FromWorker};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::stream::{Answer, End, Open};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::clock;
use crate::connection::{Broken, Connection};
use crate::pump::{Account, Interrupt, Pump, Verdict};
use crate::roster::{Presence, Refusal, Stop, StopReason};
use crate::station::Station;

/// Bodies over this size leave large buffers behind.
const LARGE: u64 = 16 * 1024;

/// Serves a frontend's attempts until it leaves or breaks the rules.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, station: &Station) {
    let ended = match Connection::accept(stream, &station.secret).await {
        Ok(connection) => serve_accepted(connection, station).await,
        Err(broken) => Err(broken),
    };
    if let Err(Broken::Protocol(problem)) = ended {
        tracing::warn!(problem, "a data connection was closed");
    }
}

async fn serve_accepted<S: AsyncRead + AsyncWrite + Unpin>(
    mut connection: Connection<S>,
    station: &Station,
) -> Result<(), Broken> {
    while let Some(open) = connection.next_attempt().await? {
        match station.roster.enter(open.grant, open.request) {
            Ok(presence) => attempt(&mut connection, station, presence, &open).await?,
            Err(refusal) => refuse(&mut connection, station, refusal, &open).await?,
        }
        connection.rest();
        if open.body_bytes > LARGE {
            connection = connection.with_fresh_reader();
        }
    }
    Ok(())
}

/// Tells the frontend that its grant is of no use here.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    station: &Station,
    refusal: Refusal,
    open: &Open,
) -> Result<(), Broken> {
    if refusal == Refusal::Draining {
        // Nobody has reported this grant yet, and its slot must not be lost.
        station.report_never_started(open.grant);
    }
    connection.body(open, &Stop::default()).await?;
    let failure = Failure::new(FailureKind::GrantLapsed, refusal.to_string());
    connection.put(&Answer::Fail(Box::new(failure)));
    connection.flush().await
}

async fn attempt<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    station: &Station,
    mut presence: Presence<'_>,
    open: &Open,
) -> Result<(), Broken> {
    let start = clock::now();
    station.report_soon(&FromWorker::Started { grant: open.grant });
    let stop = presence.stop();
    let body = match connection.body(open, &stop).await {
        Ok(body) => body,
        Err(broken) => {
            let account = Account::default();
            finish(station, &mut presence, open, start, Ending::Cancelled, &account);
            return Err(broken);
        }
    };
    let mut pump = Pump::new(connection, station, open, stop, start);
    let result = AssertUnwindSafe(pump.run(body)).catch_unwind().await;
    let account = pump.into_account();
    // Whatever was upstream has been dropped by now, and with it the call.
    let (ending, answer) = end_of(result.as_ref().ok(), &account);
    finish(station, &mut presence, open, start, ending, &account);
    if let Some(answer) = answer {
        // The slot first, then the client: who has got an answer and asks again should find its backend free.
        station.reported().await;
        if account.is_inside_event && matches!(answer, Answer::Fail(_)) {
            // So that what the frontend says next is an event of its own.
            connection.put(&Answer::Chunk(Bytes::from_static(b"\n\n")));
        }
        connection.put(&answer);
        connection.flush().await?;
    }
    match result {
        Ok(Ok(_) | Err(Interrupt::Stopped(_) | Interrupt::TimedOut(_))) => Ok(()),
        Ok(Err(Interrupt::Disturbed(broken))) => Err(broken),
        // The connection's state cannot be relied on.
        Err(_) => Err(Broken::Protocol("an attempt panicked".to_owned())),
    }
}

/// Reports the end of the attempt: the one place where that happens once it has begun.
fn finish(
    station: &Station,
    presence: &mut Presence<'_>,
    open: &Open,
    start: Instant,
    ending: Ending,
    account: &Account,
) {
    presence.over();
    tracing::debug!(request = %open.label, grant = %open.grant, ?ending, "attempt over");
    station.report(&FromWorker::Finished(Box::new(Finished {
        grant: open.grant,
        ending,
        usage: account.usage,
        upstream_status: account.upstream_status,
        first_byte_us: account.first_byte_us,
        total_us: clock::micros_since(start),
        bytes_received: account.bytes_received,
    })));
}

/// What to report, and what to tell the frontend if it is still there. `None` as the result: a panic.
fn end_of(result: Option<&Result<Verdict, Interrupt>>, account: &Account) -> (Ending, Option<Answer>) {
    let fail = |failure: Failure| Answer::Fail(Box::new(failure));
    let end = || Some(Answer::End(End { usage: account.usage }));
    let with_status = |failure: Failure| Failure { upstream_status: account.upstream_status, ..failure };
    match result {
        Some(Ok(Verdict::Complete)) => (Ending::Complete, end()),
        Some(Ok(Verdict::Declined)) => (Ending::Declined, end()),
        Some(Ok(Verdict::Failed(failure))) => (Ending::Failed(failure.clone()), Some(fail(failure.clone()))),
        Some(Err(Interrupt::Stopped(StopReason::Revoked))) => {
            let failure = Failure::new(FailureKind::GrantLapsed, "the grant was revoked");
            (Ending::Cancelled, Some(fail(with_status(failure))))
        }
        Some(Err(Interrupt::Stopped(StopReason::DrainOver))) => {
            let failure = with_status(Failure::new(FailureKind::Draining, "the time for draining was over"));
            (Ending::Failed(failure.clone()), Some(fail(failure)))
        }
        Some(Err(Interrupt::TimedOut(failure))) => {
            (Ending::Failed(failure.clone()), Some(fail(failure.clone())))
        }
        Some(Err(Interrupt::Disturbed(Broken::Protocol(problem)))) => {
            (Ending::Failed(Failure::new(FailureKind::Internal, problem.clone())), None)
        }
        Some(Err(Interrupt::Disturbed(_))) => (Ending::Cancelled, None),
        None => {
            let failure = Failure::new(FailureKind::Internal, "the attempt panicked");
            tracing::error!("an attempt panicked");
            (Ending::Failed(failure.clone()), Some(fail(failure)))
        }
    }
}
