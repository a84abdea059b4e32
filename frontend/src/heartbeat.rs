//! The heartbeat: when a stream in which nothing moves is due a sign of life.
//!
//! One timer per stream, made when it is first waited for. While pieces pass it is left where it is and set anew only
//! when it fires, so a busy stream pays a glance at the clock per piece, and a silent one wakes once per interval.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::Sleep;

use crate::clock;

/// Finds out when a stream has been silent for too long.
pub(crate) struct Heartbeat {
    beat: Bytes,
    interval: Duration,
    moved: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Heartbeat {
    /// One that is due whenever nothing has passed for `interval`, from now on; then `beat` is what to send.
    pub(crate) fn new(interval: Duration, beat: impl Into<Bytes>) -> Self {
        Self { beat: beat.into(), interval, moved: clock::now(), timer: None }
    }

    /// Another one like it, that begins to count now.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.interval, self.beat.clone())
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
                return Poll::Ready(self.beat.clone());
            }
            timer.as_mut().reset(due.into());
        }
    }
}
