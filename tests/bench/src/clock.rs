//! Time: the monotonic clock as a number that two processes can compare, and a timer finer than a millisecond.
//!
//! The upstream stamps chunks with this clock and the load generator subtracts. Nothing else in the benchmark
//! reads a clock.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of the system's monotonic clock: the same for every process of this machine.
pub(crate) fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the monotonic clock can always be read");
    let seconds = u64::try_from(time.tv_sec()).expect("the monotonic clock starts at the boot");
    let nanos = u64::try_from(time.tv_nsec()).expect("nanoseconds are not negative");
    seconds * 1_000_000_000 + nanos
}

#[cfg(target_os = "linux")]
pub(crate) use linux::Alarm;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::AsFd as _;
    use std::time::Duration;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::AsyncReadExt as _;
    use tokio::net::unix::pipe::Receiver;

    /// Wakes its owner at a set time, to some tens of microseconds.
    ///
    /// The runtime's own timers round up to whole milliseconds, which is more than most of what is measured here.
    pub(crate) struct Alarm {
        timer: TimerFd,
        /// The same timer as something the runtime can read: like a pipe, it yields bytes when it has rung.
        rings: Receiver,
    }

    impl Alarm {
        /// Makes an alarm; needs a running runtime.
        pub(crate) fn new() -> io::Result<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
            let rings = Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
            Ok(Self { timer, rings })
        }

        /// Waits until `due`, a time of [`now_ns`](super::now_ns); returns at once if it has passed.
        pub(crate) async fn until(&mut self, due: u64) -> io::Result<()> {
            if due <= super::now_ns() {
                return Ok(());
            }
            let time = Expiration::OneShot(TimeSpec::from_duration(Duration::from_nanos(due)));
            self.timer.set(time, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            // How often it has rung: eight bytes in one read.
            self.rings.read_exact(&mut [0; 8]).await?;
            Ok(())
        }
    }
}

/// Wakes its owner at a set time, to the millisecond: elsewhere the benchmark compiles, but it measures on Linux.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// Makes an alarm.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Waits until `due`, a time of [`now_ns`].
    pub(crate) async fn until(&mut self, due: u64) -> std::io::Result<()> {
        tokio::time::sleep(std::time::Duration::from_nanos(due.saturating_sub(now_ns()))).await;
        Ok(())
    }
}
