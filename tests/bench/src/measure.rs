//! The measurements: each one for one target, into the book.

use std::time::Duration;

use crate::book::{Book, Metric};
use crate::load::{self, Crowd};
use crate::order::{Answer, Order};
use crate::process;
use crate::statistics::{figure, length, percentile};
use crate::syscalls::Counter;
use crate::target::{Side, Target};
use crate::trouble::Trouble;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Interleaved rounds.
    pub(crate) rounds: u32,
    /// Requests at the constant rate, per round.
    pub(crate) requests: u64,
    /// Length of the closed loop, per round, in milliseconds.
    pub(crate) loop_ms: u64,
    /// Streams per connection, per round.
    pub(crate) streams: u32,
    /// Requests per body size, per round.
    pub(crate) sizes: u64,
    /// Starts of proxylm.
    pub(crate) starts: u32,
    /// Requests under strace.
    pub(crate) traced: u64,
    /// Between two chunks of a slow stream, in milliseconds.
    pub(crate) slow_ms: u64,
}

impl Scale {
    /// For figures to publish: some three minutes.
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        requests: 200,
        loop_ms: 4000,
        streams: 8,
        sizes: 50,
        starts: 7,
        traced: 400,
        slow_ms: 1000,
    };
    /// For a look: less than half a minute.
    pub(crate) const QUICK: Self = Self {
        rounds: 2,
        requests: 25,
        loop_ms: 400,
        streams: 2,
        sizes: 8,
        starts: 3,
        traced: 100,
        slow_ms: 500,
    };
}

/// Requests a second of the latency measurement: far from saturation.
const RATE: u64 = 50;
const CONNECTIONS: usize = 32;
const STREAMS: u32 = 50;
/// Few, so that many first chunks are seen: each connection makes several streams.
const CHUNKS: u32 = 12;
const GAP: Duration = Duration::from_millis(20);
/// Streams that are open for the memory figure.
const OPEN: u64 = 500;
const CROWD: u64 = 1000;
/// Body sizes in and out; the table has a row for each.
const SIZES: [usize; 4] = [1 << 10, 1 << 14, 1 << 18, 1 << 20];
/// For what a load leaves behind (sockets that close, batches that are written) to be over.
const SETTLE: Duration = Duration::from_millis(500);

fn stream(chunks: u32, gap: Duration) -> Order {
    let gap_us = u64::try_from(gap.as_micros()).expect("a gap is short");
    Order::new(Answer::Stream { chunks, gap_us }, 1024)
}

/// Latency at a constant rate.
pub(crate) async fn latency(
    target: &Target,
    scale: Scale,
    round: u32,
    book: &mut Book,
) -> Result<(), Trouble> {
    let latencies = load::at_rate(&target.address, RATE, scale.requests).await?;
    for (metric, percent) in [(Metric::LatencyHalf, 50), (Metric::Latency99, 99)] {
        let value = percentile(&latencies, percent).ok_or("no request was sent")?;
        book.keep(metric, target.side, round, value);
    }
    Ok(())
}

/// Throughput of a closed loop, and what a request costs in CPU and context switches.
pub(crate) async fn closed_loop(
    target: &Target,
    scale: Scale,
    round: u32,
    book: &mut Book,
) -> Result<(), Trouble> {
    // Unmeasured: connections, caches and pools come to be.
    load::closed_loop(&target.address, CONNECTIONS, Duration::from_millis(200)).await?;
    let pids = target.pids();
    let (cpu, switches) = (process::cpu_us(&pids), process::switches(&pids));
    let parts = process::by_part(&pids, process::cpu_us);
    let length = Duration::from_millis(scale.loop_ms);
    let done = load::closed_loop(&target.address, CONNECTIONS, length).await?;
    let requests = figure(done.requests);
    book.keep(Metric::Throughput, target.side, round, requests / done.seconds);
    if target.is_proxy() {
        let (cpu, switches) = (process::cpu_us(&pids) - cpu, process::switches(&pids) - switches);
        book.keep(Metric::Cpu, target.side, round, cpu / requests);
        book.keep(Metric::Switches, target.side, round, figure(switches) / requests);
        if target.side == Side::Proxylm {
            let now = process::by_part(&pids, process::cpu_us);
            book.keep_parts("CPU per request, µs", (&parts, &now), requests);
        }
    }
    Ok(())
}

/// First chunks and chunk delays of fifty streams at once.
pub(crate) async fn streams(
    target: &Target,
    scale: Scale,
    round: u32,
    book: &mut Book,
) -> Result<(), Trouble> {
    let seen = load::streams(&target.address, &stream(CHUNKS, GAP), (STREAMS, scale.streams), GAP).await?;
    if let Some(short) = seen.iter().find(|seen| !seen.done) {
        return Err(format!("a stream ended after {} chunks", short.delays_ns.len()).into());
    }
    let us = |ns: u64| figure(ns) / 1000.0;
    let firsts: Vec<f64> = seen.iter().map(|seen| us(seen.first_ns)).collect();
    let delays: Vec<f64> = seen.iter().flat_map(|seen| &seen.delays_ns).map(|ns| us(*ns)).collect();
    let rows = [
        (Metric::FirstChunkHalf, &firsts, 50),
        (Metric::FirstChunk99, &firsts, 99),
        (Metric::ChunkHalf, &delays, 50),
        (Metric::Chunk99, &delays, 99),
    ];
    for (metric, sample, percent) in rows {
        book.keep(metric, target.side, round, percentile(sample, percent).ok_or("no chunk came")?);
    }
    Ok(())
}

/// Bodies of several sizes, one after another.
pub(crate) async fn sizes(target: &Target, scale: Scale, round: u32, book: &mut Book) -> Result<(), Trouble> {
    for bytes in SIZES {
        let order = Order::new(Answer::Whole { bytes }, bytes);
        let times = load::in_turn(&target.address, &order, scale.sizes).await?;
        let value = percentile(&times, 50).ok_or("no request was sent")?;
        book.keep(Metric::Size(bytes), target.side, round, value);
    }
    let large = Order::new(Answer::Whole { bytes: 1024 }, 10_000_000);
    let times = load::in_turn(&target.address, &large, 3).await?;
    let value = percentile(&times, 50).ok_or("no request was sent")?;
    book.keep(Metric::LargeBody, target.side, round, value / 1000.0);
    Ok(())
}

/// Memory before any load, and of five hundred open streams. Only for a target that has done nothing yet.
pub(crate) async fn memory(target: &Target, scale: Scale, book: &mut Book) -> Result<(), Trouble> {
    load::in_turn(&target.address, &Order::small(), 1).await?;
    tokio::time::sleep(SETTLE).await;
    let pids = target.pids();
    let idle = process::pss_kib(&pids);
    let parts = process::by_part(&pids, process::pss_kib);
    book.keep(Metric::IdleMemory, target.side, 0, idle * 1024.0 / 1e6);
    let slow = stream(3, Duration::from_millis(scale.slow_ms));
    let crowd = Crowd::begin(&target.address, &slow, OPEN, 3).await?;
    crowd.all_begun().await?;
    tokio::time::sleep(SETTLE).await;
    let open = process::pss_kib(&pids);
    book.keep(Metric::StreamMemory, target.side, 0, (open - idle) / figure(OPEN));
    if target.side == Side::Proxylm {
        let now = process::by_part(&pids, process::pss_kib);
        book.keep_parts("memory per open stream, KiB", (&parts, &now), figure(OPEN));
    }
    let toll = crowd.finish().await;
    if toll.most_open < OPEN {
        return Err(format!("only {} of {OPEN} streams were open at once", toll.most_open).into());
    }
    Ok(())
}

/// Memory after everything else.
pub(crate) async fn loaded_memory(target: &Target, book: &mut Book) {
    tokio::time::sleep(SETTLE).await;
    let kib = process::pss_kib(&target.pids());
    book.keep(Metric::LoadedMemory, target.side, 0, kib * 1024.0 / 1e6);
}

/// A thousand slow streams at once.
pub(crate) async fn crowd(target: &Target, scale: Scale, book: &mut Book) -> Result<(), Trouble> {
    let (chunks, gap) = (5, Duration::from_millis(scale.slow_ms));
    let crowd = Crowd::begin(&target.address, &stream(chunks, gap), CROWD, usize::try_from(chunks)?).await?;
    let toll = crowd.finish().await;
    book.keep(Metric::CrowdComplete, target.side, 0, figure(toll.complete));
    book.keep(Metric::CrowdOpen, target.side, 0, figure(toll.most_open));
    toll.first_loss.map_or(Ok(()), |loss| Err(format!("a stream was lost: {loss}").into()))
}

/// System calls per request, one after another, and per chunk of eight streams.
pub(crate) async fn system_calls(target: &Target, scale: Scale, book: &mut Book) -> Result<(), Trouble> {
    let pids = target.pids();
    let counter = Counter::attach(&pids, target.folder()).await?;
    let times = load::in_turn(&target.address, &Order::small(), scale.traced).await?;
    // The first request of the connection is not timed, but it is traced.
    let per_request = figure(counter.stop().await?) / (length(times.len()) + 1.0);
    book.keep(Metric::RequestCalls, target.side, 0, per_request);
    let (streams, chunks) = (8, 100);
    let gap = Duration::from_millis(10);
    let counter = Counter::attach(&pids, target.folder()).await?;
    load::streams(&target.address, &stream(chunks, gap), (streams, 1), gap).await?;
    let calls = figure(counter.stop().await?);
    let per_chunk = (calls - per_request * f64::from(streams)) / f64::from(streams * chunks);
    book.keep(Metric::ChunkCalls, target.side, 0, per_chunk);
    Ok(())
}
