//! The load generator: a constant rate, a closed loop, one after another, and many streams at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::{Alarm, now_ns};
use crate::line::{Line, Seen};
use crate::order::{Address, Order};
use crate::statistics::figure;
use crate::trouble::{Trouble, within};

/// Sends `count` requests at a constant `rate` a second; returns each one's latency in microseconds.
///
/// Due times are fixed in advance and latency counts from them: a slow answer delays no later request, and a
/// late one is not forgiven. A request that finds no idle connection opens one.
pub(crate) async fn at_rate(to: &Address, rate: u64, count: u64) -> Result<Vec<f64>, Trouble> {
    let order = Order::small();
    let mut alarm = Alarm::new()?;
    let mut idle = vec![Line::open(to).await?, Line::open(to).await?];
    for line in &mut idle {
        line.ask(&order).await?;
    }
    let mut under_way: JoinSet<Result<(Line, f64), Trouble>> = JoinSet::new();
    let mut latencies = Vec::new();
    let start = now_ns() + 5_000_000;
    for turn in 0..count {
        let due = start + turn * 1_000_000_000 / rate;
        alarm.until(due).await?;
        while let Some(ended) = under_way.try_join_next() {
            let (line, latency) = ended??;
            idle.push(line);
            latencies.push(latency);
        }
        let (line, to, order) = (idle.pop(), to.clone(), order.clone());
        under_way.spawn(async move {
            let mut line = match line {
                Some(line) => line,
                None => Line::open(&to).await?,
            };
            line.ask(&order).await?;
            Ok((line, figure(now_ns() - due) / 1000.0))
        });
    }
    while let Some(ended) = under_way.join_next().await {
        latencies.push(ended??.1);
    }
    Ok(latencies)
}

/// What a closed loop did.
pub(crate) struct Loop {
    /// Requests answered.
    pub(crate) requests: u64,
    /// How long it ran, in seconds.
    pub(crate) seconds: f64,
}

/// Keeps `connections` busy for `length`, each sending its next request when it has the answer to the last.
pub(crate) async fn closed_loop(to: &Address, connections: usize, length: Duration) -> Result<Loop, Trouble> {
    let mut lines = Vec::new();
    for _ in 0..connections {
        lines.push(Line::open(to).await?);
    }
    let order = Order::small();
    let start = now_ns();
    let end = start + u64::try_from(length.as_nanos())?;
    let mut workers: JoinSet<Result<u64, Trouble>> = JoinSet::new();
    for mut line in lines {
        let order = order.clone();
        workers.spawn(async move {
            let mut answered = 0;
            while now_ns() < end {
                line.ask(&order).await?;
                answered += 1;
            }
            Ok(answered)
        });
    }
    let mut requests = 0;
    while let Some(ended) = workers.join_next().await {
        requests += ended??;
    }
    Ok(Loop { requests, seconds: figure(now_ns() - start) / 1e9 })
}

/// Sends `count` requests one after another on one connection; returns each one's time in microseconds.
pub(crate) async fn in_turn(to: &Address, order: &Order, count: u64) -> Result<Vec<f64>, Trouble> {
    let mut line = Line::open(to).await?;
    line.ask(order).await?;
    let mut times = Vec::new();
    for _ in 0..count {
        let sent = now_ns();
        line.ask(order).await?;
        times.push(figure(now_ns() - sent) / 1000.0);
    }
    Ok(times)
}

/// Opens `count` connections with `rounds` streams each, one after the other; the beginnings are spread over
/// `spread`, so that their chunks do not come in one burst.
pub(crate) async fn streams(
    to: &Address,
    order: &Order,
    (count, rounds): (u32, u32),
    spread: Duration,
) -> Result<Vec<Seen>, Trouble> {
    let mut workers: JoinSet<Result<Vec<Seen>, Trouble>> = JoinSet::new();
    let start = now_ns() + 5_000_000;
    for seat in 0..count {
        let mut line = Line::open(to).await?;
        let order = order.clone();
        let begin = start + u64::try_from((spread * seat / count).as_nanos())?;
        workers.spawn(async move {
            Alarm::new()?.until(begin).await?;
            let mut seen = Vec::new();
            for _ in 0..rounds {
                seen.push(line.stream(&order, || ()).await?);
            }
            Ok(seen)
        });
    }
    let mut seen = Vec::new();
    while let Some(ended) = workers.join_next().await {
        seen.extend(ended??);
    }
    Ok(seen)
}

/// Many streams that are open at the same time.
pub(crate) struct Crowd {
    streams: JoinSet<Result<Seen, Trouble>>,
    size: u64,
    chunks: usize,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    begun: AtomicU64,
    open: AtomicU64,
    most_open: AtomicU64,
}

/// How a crowd ended.
pub(crate) struct Toll {
    /// Streams that brought every chunk and the end marker.
    pub(crate) complete: u64,
    /// The most that were open at once.
    pub(crate) most_open: u64,
    /// Why the first of the lost ones was lost.
    pub(crate) first_loss: Option<String>,
}

impl Crowd {
    /// Opens `size` connections and begins a stream of `chunks` chunks on each.
    pub(crate) async fn begin(
        to: &Address,
        order: &Order,
        size: u64,
        chunks: usize,
    ) -> Result<Self, Trouble> {
        let mut lines = Vec::new();
        for _ in 0..size {
            lines.push(Line::open(to).await?);
        }
        let count = Arc::<Count>::default();
        let mut streams = JoinSet::new();
        for mut line in lines {
            let (order, count) = (order.clone(), count.clone());
            streams.spawn(async move {
                let mut begun = false;
                let seen = line.stream(&order, || count.arrived(&mut begun)).await;
                count.ended(begun);
                seen
            });
        }
        Ok(Self { streams, size, chunks, count })
    }

    /// Waits until the first chunk of every stream is here.
    pub(crate) async fn all_begun(&self) -> Result<(), Trouble> {
        within(30, "the first chunk of every stream", async {
            while self.count.begun.load(Ordering::Relaxed) < self.size {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        })
        .await
    }

    /// Waits for the end of every stream. Losses are counted, not errors.
    pub(crate) async fn finish(mut self) -> Toll {
        let mut toll = Toll { complete: 0, most_open: 0, first_loss: None };
        while let Some(ended) = self.streams.join_next().await {
            let loss = match ended {
                Ok(Ok(seen)) if seen.done && seen.delays_ns.len() == self.chunks => {
                    toll.complete += 1;
                    continue;
                }
                Ok(Ok(seen)) => {
                    format!("{} of {} chunks, done: {}", seen.delays_ns.len(), self.chunks, seen.done)
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            toll.first_loss.get_or_insert(loss);
        }
        toll.most_open = self.count.most_open.load(Ordering::Relaxed);
        toll
    }
}

impl Count {
    fn arrived(&self, begun: &mut bool) {
        if !std::mem::replace(begun, true) {
            self.begun.fetch_add(1, Ordering::Relaxed);
            let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
            self.most_open.fetch_max(open, Ordering::Relaxed);
        }
    }

    fn ended(&self, begun: bool) {
        if begun {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
