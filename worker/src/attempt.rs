//! The attempts of one data connection, one after the other, each from `Open` to its one end.
//!
//! It promises that every attempt is reported as finished exactly once, however it went, and that the report
//! comes when the backend is done with, not when the client has read everything.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use dialect::Framing;
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
        if !open.lent {
            station.reported().await;
        }
        if account.is_inside_event && matches!(answer, Answer::Fail(_)) {
            // So that what the frontend says next is an event of its own.
            let end: &[u8] = match open.framing {
                Framing::Events => b"\n\n",
                Framing::Lines => b"\n",
                // Nothing ends half an element.
                Framing::List => b"",
            };
            connection.put(&Answer::Chunk(Bytes::from_static(end)));
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
    // An answer takes as long as its backend; what was broken off, until it was broken off.
    let total_us = match (&ending, account.total_us) {
        (Ending::Complete | Ending::Declined, Some(total_us)) => total_us,
        _ => clock::micros_since(start),
    };
    tracing::debug!(request = %open.label, grant = %open.grant, ?ending, "attempt over");
    let is_urgent = !open.lent || ending != Ending::Complete;
    let finished = FromWorker::Finished(Box::new(Finished {
        grant: open.grant,
        ending,
        usage: account.usage,
        upstream_status: account.upstream_status,
        first_byte_us: account.first_byte_us,
        total_us,
        bytes_received: account.bytes_received,
        warnings: account.warning.clone(),
    }));
    if is_urgent {
        station.report(&finished);
    } else {
        station.report_soon(&finished);
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::BytesMut;
    use dialect::Endpoint;
    use ipc_proto::Role;
    use ipc_proto::control::ToWorker;
    use ipc_proto::frame::{DATA_LIMIT, FrameReader};
    use ipc_proto::ids::{GrantId, Label, ModelName, RequestId};
    use ipc_proto::link::{self, Inbox};
    use ipc_proto::secret::Secret;
    use ipc_proto::spec::{BackendKind, Compat, FakeSpec, ProbeSpec, Timeouts, WorkerSpec};
    use ipc_proto::stream::Ask;
    use tokio::io::{AsyncWriteExt, DuplexStream};
    use tokio::task::JoinSet;

    use super::*;
    use crate::upstream::Upstream;

    const BODY: &[u8] = br#"{"model":"m","stream":true}"#;

    /// A station whose backend is made up, with the supervisor's ear.
    fn station(tasks: &mut JoinSet<()>) -> (Station, Inbox<FromWorker, DuplexStream>) {
        station_that_says(tasks, 3, 1)
    }

    fn station_that_says(
        tasks: &mut JoinSet<()>,
        words: u32,
        word_ms: u64,
    ) -> (Station, Inbox<FromWorker, DuplexStream>) {
        let fake = FakeSpec { models: vec![ModelName::new("m")], load_ms: 0, word_ms, words };
        let spec = WorkerSpec {
            name: "under-test".to_owned(),
            kind: BackendKind::Fake,
            base_url: String::new(),
            credential: None,
            run_dir: std::path::PathBuf::new(),
            timeouts: Timeouts { connect_ms: 0, first_event_ms: 0, idle_ms: 0, total_ms: 0 },
            probe: ProbeSpec { interval_ms: 0, timeout_ms: 0 },
            ask_for_usage: false,
            takes_callers_key: false,
            dialects: BackendKind::Fake.dialects().to_vec(),
            compat: Compat::default(),
            fake: Some(fake),
        };
        let (here, there) = tokio::io::duplex(1 << 16);
        let (outbox, _, writer) = link::open::<FromWorker, ToWorker, _>(here);
        let (_, ear, _) = link::open::<ToWorker, FromWorker, _>(there);
        tasks.spawn(async move { writer.run().await.unwrap() });
        (Station::new(Secret::new("boot"), outbox, Upstream::new(spec, None).unwrap()), ear)
    }

    /// What a frontend gets for a stream under `grant`, up to the end of the answer or, `to_the_last`, of the
    /// connection. With the query `asleep` its client reads nothing for a while.
    async fn answers(
        mut stream: DuplexStream,
        grant: u64,
        query: Option<&str>,
        to_the_last: bool,
    ) -> Vec<Answer> {
        link::greet(&mut stream, Role::Data).await.unwrap();
        let open = Open {
            grant: GrantId(grant),
            request: RequestId(u128::from(grant)),
            label: Label::from_client("label-1").unwrap(),
            endpoint: Endpoint::ChatCompletions,
            stream: true,
            model: ModelName::new("m"),
            renamed: false,
            framing: Framing::Events,
            native: None,
            lent: false,
            load: dialect::load::LoadEdit::Keep,
            query: query.map(str::to_owned),
            headers: Vec::new(),
            body_bytes: BODY.len() as u64,
        };
        let asks = [
            Ask::Hello(Secret::new("boot")),
            Ask::Open(Box::new(open)),
            Ask::Body(Bytes::from_static(BODY)),
            Ask::BodyEnd,
        ];
        let mut buffer = BytesMut::new();
        for ask in asks {
            ask.put(&mut buffer).unwrap();
        }
        stream.write_all(&buffer).await.unwrap();
        if query == Some("asleep") {
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
        let mut frames = FrameReader::new(stream, DATA_LIMIT);
        let mut answers = Vec::new();
        while let Ok(Some(frame)) = frames.next().await {
            let answer = Answer::take(frame).unwrap();
            let is_last = matches!(answer, Answer::End(_)) && !to_the_last;
            answers.push(answer);
            if is_last {
                break;
            }
        }
        answers
    }

    async fn finished(ear: &mut Inbox<FromWorker, DuplexStream>) -> Finished {
        loop {
            if let FromWorker::Finished(finished) = ear.recv().await.unwrap().expect("the worker is there") {
                return *finished;
            }
        }
    }

    async fn ending(ear: &mut Inbox<FromWorker, DuplexStream>) -> (GrantId, Ending) {
        let finished = finished(ear).await;
        (finished.grant, finished.ending)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_does_not_make_the_backend_slow() {
        let mut tasks = JoinSet::new();
        // Twenty seconds of words, far more than the buffers between here and there hold.
        let (station, mut ear) = station_that_says(&mut tasks, 2_000, 10);
        for (grant, query) in [(1, None), (2, Some("asleep"))] {
            let (near, far) = tokio::io::duplex(1 << 14);
            let ((), said) = tokio::join!(serve(far, &station), answers(near, grant, query, false));
            assert!(matches!(said.last(), Some(Answer::End(_))), "{:?}", said.last());
            let finished = finished(&mut ear).await;
            assert_eq!(finished.ending, Ending::Complete);
            let seconds = (finished.first_byte_us.unwrap() / 1_000, finished.total_us / 1_000_000);
            assert!(matches!(seconds, (10..=11, 19..=21)), "{query:?}: {seconds:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_nobody_uses_is_closed() {
        let mut tasks = JoinSet::new();
        let (station, _ear) = station(&mut tasks);
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let ((), ()) = tokio::join!(serve(far, &station), async {
            link::greet(&mut near, Role::Data).await.unwrap();
            let mut hello = BytesMut::new();
            Ask::Hello(Secret::new("boot")).put(&mut hello).unwrap();
            near.write_all(&hello).await.unwrap();
            // That this returns, and nobody has left, is what is to be shown.
            assert!(FrameReader::new(&mut near, DATA_LIMIT).next().await.is_ok_and(|frame| frame.is_none()));
        });
    }

    #[tokio::test]
    async fn sch_19_an_attempt_that_panics_fails_and_the_worker_serves_the_next() {
        let mut tasks = JoinSet::new();
        let (station, mut ear) = station(&mut tasks);
        for (grant, query, begun) in [(1, "panic at once", false), (2, "panic midway", true)] {
            let (near, far) = tokio::io::duplex(1 << 16);
            // That both return shows that the connection, whose state nobody knows, is closed.
            let ((), said) = tokio::join!(serve(far, &station), answers(near, grant, Some(query), true));
            let Some(Answer::Fail(failure)) = said.last() else { panic!("it fails: {said:?}") };
            assert_eq!(failure.kind, FailureKind::Internal);
            assert!(!failure.detail.contains("on purpose"), "{failure:?}");
            assert_eq!(matches!(said[0], Answer::Head(_)), begun, "{said:?}");
            let (ended, how) = ending(&mut ear).await;
            assert_eq!(ended, GrantId(grant), "its slot is free");
            assert!(
                matches!(&how, Ending::Failed(failure) if failure.kind == FailureKind::Internal),
                "{how:?}"
            );
        }
        let (near, far) = tokio::io::duplex(1 << 16);
        let ((), said) = tokio::join!(serve(far, &station), answers(near, 3, None, false));
        assert!(matches!(said.last(), Some(Answer::End(_))), "{said:?}");
        assert_eq!(ending(&mut ear).await, (GrantId(3), Ending::Complete));
    }
}
