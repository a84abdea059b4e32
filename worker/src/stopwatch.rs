//! How long the backend took, as opposed to the client: a client that reads slowly holds back what the backend has
//! said long ago, and nobody should learn from that how fast the backend is.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// Whoever waits shorter than this has not waited: it is what scheduling costs.
const NOTICEABLE: Duration = Duration::from_millis(2);

/// The time of one attempt on its backend.
///
/// While nobody holds us up the answer ends when its last byte comes. A byte that is there as soon as we look, after we
/// were held up, has come at a time that nobody saw: then the end is reckoned from the pace of the bytes up to the
/// last that we had to wait for.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    start: Instant,
    bytes: u64,
    last: Option<Instant>,
    /// The first byte, and the last one whose time is certain: when, and how many had come by then.
    certain: Option<(Mark, Mark)>,
    was_held_up: bool,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    bytes: u64,
}

impl Stopwatch {
    /// A watch over what began at `start`.
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, bytes: 0, last: None, certain: None, was_held_up: false }
    }

    /// A piece has been taken at `now`, which was looked for from `asked` on; by now `bytes` have come in all.
    pub(crate) fn came(&mut self, bytes: u64, asked: Instant, now: Instant) {
        self.last = Some(now);
        self.bytes = bytes;
        let is_certain = !self.was_held_up || now.duration_since(asked) >= NOTICEABLE;
        if is_certain {
            let mark = Mark { at: now, bytes };
            let first = self.certain.map_or(mark, |(first, _)| first);
            self.certain = Some((first, mark));
        }
    }

    /// From `began` until `now` nothing could be looked for, because the client did not read.
    pub(crate) fn held_up(&mut self, began: Instant, now: Instant) {
        self.was_held_up |= now.duration_since(began) >= NOTICEABLE;
    }

    /// When the first piece came, in microseconds from the start.
    pub(crate) fn first_us(&self) -> Option<u64> {
        self.certain.map(|(first, _)| micros(first.at.duration_since(self.start)))
    }

    /// How long the backend took, in microseconds: until now, if it has said nothing.
    pub(crate) fn total_us(&self) -> u64 {
        let Some(last) = self.last else { return clock::micros_since(self.start) };
        micros(self.reckoned_end().map_or(last, |end| end.min(last)).duration_since(self.start))
    }

    /// The end by the pace of what was certain; `None` if there is no telling.
    fn reckoned_end(&self) -> Option<Instant> {
        let (first, last) = self.certain?;
        let rest = self.bytes.checked_sub(last.bytes).filter(|&rest| rest > 0)?;
        let (span, bytes) = (last.at.duration_since(first.at), last.bytes.checked_sub(first.bytes)?);
        if bytes == 0 {
            return None;
        }
        let more = span.as_nanos() * u128::from(rest) / u128::from(bytes);
        last.at.checked_add(Duration::from_nanos(u64::try_from(more).ok()?))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A piece of 100 bytes that came after `waited`.
    fn piece(watch: &mut Stopwatch, number: u64, now: &mut Instant, waited: Duration) {
        let asked = *now;
        *now += waited;
        watch.came(number * 100, asked, *now);
    }

    #[test]
    fn without_a_slow_client_the_last_byte_is_the_end() {
        let start = clock::now();
        let mut now = start;
        let mut watch = Stopwatch::new(start);
        for number in 1..=5 {
            piece(&mut watch, number, &mut now, if number == 1 { 3 * SECOND } else { SECOND });
            watch.held_up(now, now);
        }
        // Two pieces that come together are as certain as others.
        piece(&mut watch, 6, &mut now, Duration::ZERO);
        assert_eq!((watch.first_us(), watch.total_us()), (Some(3_000_000), 7_000_000));
    }

    #[test]
    fn a_slow_client_does_not_make_the_backend_slow() {
        let start = clock::now();
        let mut now = start;
        let mut watch = Stopwatch::new(start);
        for number in 1..=3 {
            piece(&mut watch, number, &mut now, SECOND);
        }
        // The backend says a piece each second, whatever the client does; this one reads for a minute.
        let began = now;
        now += 60 * SECOND;
        watch.held_up(began, now);
        for number in 4..=10 {
            piece(&mut watch, number, &mut now, Duration::ZERO);
        }
        assert_eq!(watch.total_us(), 10_000_000);
        // After catching up each piece is waited for again, and certain.
        piece(&mut watch, 11, &mut now, SECOND);
        assert_eq!(watch.total_us(), 64_000_000);
    }

    #[test]
    fn no_reckoning_goes_beyond_what_was_seen() {
        let start = clock::now();
        let mut now = start;
        let mut watch = Stopwatch::new(start);
        piece(&mut watch, 1, &mut now, 8 * SECOND);
        watch.held_up(now, now + SECOND);
        now += SECOND;
        piece(&mut watch, 2, &mut now, Duration::ZERO);
        assert_eq!(watch.total_us(), 9_000_000, "one certain piece shows no pace");
        let mut watch = Stopwatch::new(start);
        now = start;
        piece(&mut watch, 1, &mut now, SECOND);
        piece(&mut watch, 2, &mut now, 5 * SECOND);
        watch.held_up(now, now + SECOND);
        now += SECOND;
        piece(&mut watch, 50, &mut now, Duration::ZERO);
        assert_eq!(watch.total_us(), 7_000_000, "a burst at the end is no later than it came");
    }
}
