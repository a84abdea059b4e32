//! What was measured: samples by figure and side, and what each row of the table makes of them.

use std::collections::BTreeMap;

use crate::statistics::{median, spread};
use crate::target::Side;
use crate::trouble::Trouble;

/// A quantity that is measured, the same for every side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Metric {
    /// Half of the answers at a constant rate came within so many microseconds.
    LatencyHalf,
    /// 99 of 100 did.
    Latency99,
    /// Requests a second in a closed loop.
    Throughput,
    /// CPU of all processes for one request, in microseconds.
    Cpu,
    /// Context switches of all processes for one request.
    Switches,
    /// Microseconds to the first chunk, for half of the streams.
    FirstChunkHalf,
    /// For 99 of 100.
    FirstChunk99,
    /// Microseconds from a chunk's making to its arrival, for half of the chunks.
    ChunkHalf,
    /// For 99 of 100.
    Chunk99,
    /// System calls of all processes for one request.
    RequestCalls,
    /// System calls of all processes for one chunk of a stream.
    ChunkCalls,
    /// Memory before any load, in megabytes.
    IdleMemory,
    /// Memory after all load, in megabytes.
    LoadedMemory,
    /// Memory for one open stream, in KiB.
    StreamMemory,
    /// Streams of a thousand that came to their end.
    CrowdComplete,
    /// The most of them that were open at once.
    CrowdOpen,
    /// Milliseconds from the start of the process to the first answer.
    Start,
    /// Microseconds for a request and an answer of so many bytes.
    Size(usize),
    /// Milliseconds for a request of ten megabytes.
    LargeBody,
}

/// How a row reads the samples of its metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reading {
    /// As they are.
    Plain,
    /// Beyond the direct connection's of the same round.
    Added,
    /// As a multiple of nginx's of the same round.
    TimesNginx,
}

/// What a value must keep to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Budget {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// What it shows.
    pub(crate) name: &'static str,
    /// From which samples.
    pub(crate) metric: Metric,
    /// Read how.
    pub(crate) reading: Reading,
    /// Against what, for proxylm.
    pub(crate) budget: Option<Budget>,
    /// Digits after the point.
    pub(crate) digits: usize,
}

const fn row(name: &'static str, metric: Metric, reading: Reading, digits: usize) -> Row {
    Row { name, metric, reading, budget: None, digits }
}

const fn held(row: Row, budget: Budget) -> Row {
    Row { budget: Some(budget), ..row }
}

/// The table: first what has a budget, then the rest.
pub(crate) const ROWS: [Row; 24] = {
    use Budget::{AtLeast, AtMost};
    use Metric as M;
    use Reading::{Added, Plain, TimesNginx};
    [
        held(row("CPU per request at 32 connections, × nginx", M::Cpu, TimesNginx, 2), AtMost(3.5)),
        held(row("latency p50 added at 50/s, µs", M::LatencyHalf, Added, 0), AtMost(400.0)),
        held(row("first chunk p50 added, 50 streams, µs", M::FirstChunkHalf, Added, 0), AtMost(500.0)),
        held(row("chunk delay p50 added, 50 streams, µs", M::ChunkHalf, Added, 0), AtMost(150.0)),
        held(row("system calls per request", M::RequestCalls, Plain, 1), AtMost(30.0)),
        held(row("system calls per chunk", M::ChunkCalls, Plain, 1), AtMost(8.0)),
        held(row("idle memory (PSS), MB", M::IdleMemory, Plain, 1), AtMost(40.0)),
        held(row("memory per open stream, KiB", M::StreamMemory, Plain, 1), AtMost(64.0)),
        held(row("1,000 slow streams: complete", M::CrowdComplete, Plain, 0), AtLeast(1000.0)),
        held(row("1,000 slow streams: open at once", M::CrowdOpen, Plain, 0), AtLeast(1000.0)),
        held(row("start to first answer, ms", M::Start, Plain, 0), AtMost(150.0)),
        row("latency p99 added at 50/s, µs", M::Latency99, Added, 0),
        row("throughput at 32 connections, requests/s", M::Throughput, Plain, 0),
        row("throughput, × nginx", M::Throughput, TimesNginx, 2),
        row("CPU per request, µs", M::Cpu, Plain, 0),
        row("context switches per request", M::Switches, Plain, 1),
        row("first chunk p99 added, 50 streams, µs", M::FirstChunk99, Added, 0),
        row("chunk delay p99 added, 50 streams, µs", M::Chunk99, Added, 0),
        row("memory after all load (PSS), MB", M::LoadedMemory, Plain, 1),
        row("1 KiB in and out, p50 added, µs", M::Size(1 << 10), Added, 0),
        row("16 KiB in and out, p50 added, µs", M::Size(1 << 14), Added, 0),
        row("256 KiB in and out, p50 added, µs", M::Size(1 << 18), Added, 0),
        row("1 MiB in and out, p50 added, µs", M::Size(1 << 20), Added, 0),
        row("request of 10 MB, p50 added, ms", M::LargeBody, Added, 1),
    ]
};

/// Whether a budget is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It is.
    Pass,
    /// It is not.
    Over,
    /// There is a budget, but no figure.
    Unmeasured,
    /// There is no budget.
    None,
}

/// All samples of a run.
#[derive(Default)]
pub(crate) struct Book {
    samples: BTreeMap<(Metric, Side), BTreeMap<u32, f64>>,
    /// What each kind of proxylm's processes has in a figure, in the latest round.
    pub(crate) parts: BTreeMap<&'static str, BTreeMap<String, f64>>,
    /// What a reader must know: what was left out, and why.
    pub(crate) notes: Vec<String>,
    /// Measurements that failed.
    pub(crate) failures: Vec<String>,
}

impl Book {
    /// Keeps one sample of a round.
    pub(crate) fn keep(&mut self, metric: Metric, side: Side, round: u32, value: f64) {
        self.samples.entry((metric, side)).or_default().insert(round, value);
    }

    /// Keeps what each kind of process spent between two readings, for each of `count`.
    pub(crate) fn keep_parts(
        &mut self,
        name: &'static str,
        (before, after): (&BTreeMap<String, f64>, &BTreeMap<String, f64>),
        count: f64,
    ) {
        let spent = after.iter().map(|(part, after)| {
            (part.clone(), (after - before.get(part).copied().unwrap_or_default()) / count)
        });
        self.parts.insert(name, spent.collect());
    }

    /// Notes a failed measurement and goes on: the others are worth having.
    pub(crate) fn check(&mut self, side: Side, what: &str, outcome: Result<(), Trouble>) {
        if let Err(error) = outcome {
            self.failures.push(format!("{}, {what}: {error}", side.as_str()));
        }
    }

    /// One value per round, read as the row wants. The direct connection is always read plain, to have a base.
    pub(crate) fn values(&self, row: Row, side: Side) -> Vec<f64> {
        let of = |side| self.samples.get(&(row.metric, side));
        let Some(own) = of(side) else { return Vec::new() };
        let paired = |base: Option<&BTreeMap<u32, f64>>, read: fn(f64, f64) -> f64| {
            let base = base.cloned().unwrap_or_default();
            own.iter().filter_map(|(round, value)| Some(read(*value, *base.get(round)?))).collect()
        };
        match row.reading {
            Reading::Added if side != Side::Direct => paired(of(Side::Direct), |own, base| own - base),
            Reading::TimesNginx => paired(of(Side::Nginx), |own, base| own / base),
            _ => own.values().copied().collect(),
        }
    }

    /// What the row shows of a side: the median over the rounds.
    pub(crate) fn value(&self, row: Row, side: Side) -> Option<f64> {
        median(&self.values(row, side))
    }

    /// The least and the most over the rounds.
    pub(crate) fn spread(&self, row: Row, side: Side) -> Option<(f64, f64)> {
        spread(&self.values(row, side))
    }

    /// Holds proxylm's value against the row's budget.
    pub(crate) fn verdict(&self, row: Row) -> Verdict {
        let kept = match (row.budget, self.value(row, Side::Proxylm)) {
            (None, _) => return Verdict::None,
            (Some(_), None) => return Verdict::Unmeasured,
            (Some(Budget::AtMost(most)), Some(value)) => value <= most,
            (Some(Budget::AtLeast(least)), Some(value)) => value >= least,
        };
        if kept { Verdict::Pass } else { Verdict::Over }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_and_relative_values_are_taken_within_one_round() {
        let mut book = Book::default();
        let cpu = ROWS[0];
        let latency = ROWS[1];
        for (round, direct, nginx, own) in [(0, 100.0, 10.0, 300.0), (1, 900.0, 20.0, 1000.0)] {
            book.keep(Metric::LatencyHalf, Side::Direct, round, direct);
            book.keep(Metric::LatencyHalf, Side::Proxylm, round, own);
            book.keep(Metric::Cpu, Side::Nginx, round, nginx);
            book.keep(Metric::Cpu, Side::Proxylm, round, nginx * 4.0);
        }
        // A round that one side missed counts for neither.
        book.keep(Metric::LatencyHalf, Side::Proxylm, 2, 5000.0);
        assert_eq!(book.values(latency, Side::Proxylm), [200.0, 100.0]);
        assert_eq!(book.value(latency, Side::Direct), Some(500.0));
        assert_eq!(book.value(cpu, Side::Proxylm), Some(4.0));
        assert_eq!(book.verdict(cpu), Verdict::Over);
        assert_eq!(book.verdict(latency), Verdict::Pass);
        assert_eq!(book.verdict(ROWS[8]), Verdict::Unmeasured);
    }
}
