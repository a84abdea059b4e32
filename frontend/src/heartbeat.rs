//! The heartbeat: when a stream in which nothing moves is due a sign of life.
//!
//! One timer per stream, made when it is first waited for. While pieces pass it is left where it is and set anew only
//! when it fires, so a busy stream pays a glance at the clock per piece, and a silent one wakes once per interval.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::Dialect;
use dialect::heartbeat;
use tokio::time::Sleep;

use crate::clock;

/// Finds out when a stream has been silent for too long.
pub(crate) struct Heartbeat {
    dialect: Dialect,
    interval: Duration,
    moved: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Heartbeat {
    /// One for a client that understands `dialect`, due whenever nothing has passed for `interval`, from now on.
    pub(crate) fn new(interval: Duration, dialect: Dialect) -> Self {
        Self { dialect, interval, moved: clock::now(), timer: None }
    }

    /// After how much silence it is due.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Something has passed: the silence begins anew.
    pub(crate) fn moved(&mut self) {
        self.moved = clock::now();
    }

    /// What to send, when the stream has been silent for the interval. That counts as something that passes.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            let due = self.moved + self.interval;
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due.into())));
            std::task::ready!(timer.as_mut().poll(cx));
            if clock::now() >= due {
                self.moved();
                return Poll::Ready(Bytes::from_static(heartbeat::beat(self.dialect)));
            }
            timer.as_mut().reset(due.into());
        }
    }
}
