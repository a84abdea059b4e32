//! The frontends' processes, one per seat, and which requests each holds.
//!
//! A frontend that ends takes its clients with it: what it held is forgotten here, and running attempts end when
//! their workers notice.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ipc_proto::control::ToFrontend;
use ipc_proto::ids::{FrontendId, RequestId};
use ipc_proto::operator::FrontendView;

use super::laws::Laws;
use super::restart::{LONGEST_FRONTEND_PAUSE_MS, Restarts};
use super::timer::Timer;
use super::worker::START_PATIENCE_MS;
use super::{Effect, Note, Scheduler, Turn};
use crate::clock::Time;

/// Where a frontend's process stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SeatStage {
    /// Nobody sits there, and nobody is due.
    Empty,
    /// Started; nothing heard yet.
    Starting,
    /// Its link is open.
    Joined,
    /// It accepts clients.
    Listening,
    /// It finishes what it has.
    Draining,
    /// It has finished.
    Drained,
    /// Killed; its end is awaited.
    Ending,
    /// Dead; the next one starts after a pause.
    Backoff,
}

/// A frontend's place.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) generation: u32,
    pid: Option<u32>,
    pub(super) stage: SeatStage,
    started: Time,
    restarts: Restarts,
    /// What it holds.
    pub(super) requests: BTreeSet<RequestId>,
}

impl Seat {
    /// A place where nobody sits.
    pub(super) fn empty() -> Self {
        Self {
            generation: 0,
            pid: None,
            stage: SeatStage::Empty,
            started: Time::default(),
            restarts: Restarts::default(),
            requests: BTreeSet::new(),
        }
    }

    /// As operators see it.
    pub(super) fn view(&self, seat: u16) -> FrontendView {
        let state = match self.stage {
            SeatStage::Starting | SeatStage::Joined => "starting",
            SeatStage::Listening => "ready",
            SeatStage::Draining | SeatStage::Drained | SeatStage::Ending => "draining",
            SeatStage::Backoff | SeatStage::Empty => "backoff",
        };
        FrontendView {
            seat,
            generation: self.generation,
            pid: self.pid,
            state: state.to_owned(),
            requests: self.requests.len() as u64,
        }
    }
}

impl<L: Laws> Scheduler<L> {
    /// The seat of `frontend`, if that generation sits there.
    fn seat_of(&mut self, frontend: FrontendId) -> Option<&mut Seat> {
        self.seats.get_mut(&frontend.seat).filter(|seat| seat.generation == frontend.generation)
    }

    /// Whether `frontend` may bring requests.
    pub(super) fn is_seated(&self, frontend: FrontendId) -> bool {
        self.seats.get(&frontend.seat).is_some_and(|seat| {
            seat.generation == frontend.generation
                && !matches!(seat.stage, SeatStage::Empty | SeatStage::Backoff)
        })
    }

    /// Starts the next generation in `seat`.
    pub(super) fn start_frontend(&mut self, turn: &mut Turn<'_>, number: u16) {
        let Some(seat) = self.seats.get_mut(&number) else { return };
        seat.generation += 1;
        seat.pid = None;
        seat.stage = SeatStage::Starting;
        seat.started = turn.now;
        let frontend = FrontendId { seat: number, generation: seat.generation };
        turn.effects.push(Effect::StartFrontend(frontend));
        self.timers.arm(Timer::Frontend(number), turn.now.plus_millis(START_PATIENCE_MS));
    }

    /// A frontend's link is open.
    pub(super) fn frontend_up(&mut self, frontend: FrontendId, pid: u32) {
        let Some(seat) = self.seat_of(frontend) else { return };
        seat.pid = Some(pid);
        if seat.stage == SeatStage::Starting {
            seat.stage = SeatStage::Joined;
            self.timers.disarm(&Timer::Frontend(frontend.seat));
        }
    }

    /// A frontend accepts clients.
    pub(super) fn frontend_listening(&mut self, frontend: FrontendId, _address: SocketAddr) {
        if let Some(seat) = self.seat_of(frontend)
            && matches!(seat.stage, SeatStage::Starting | SeatStage::Joined)
        {
            seat.stage = SeatStage::Listening;
            self.timers.disarm(&Timer::Frontend(frontend.seat));
        }
    }

    /// A frontend is to take nothing new and to finish within `within_ms`.
    pub(super) fn drain_frontend(&mut self, turn: &mut Turn<'_>, number: u16, within_ms: u64) {
        let Some(seat) = self.seats.get_mut(&number) else { return };
        match seat.stage {
            SeatStage::Joined | SeatStage::Listening => {
                seat.stage = SeatStage::Draining;
                let frontend = FrontendId { seat: number, generation: seat.generation };
                turn.effects.push(Effect::ToFrontend(frontend, ToFrontend::Drain { within_ms }));
                self.changes.terrain = true;
            }
            SeatStage::Starting => self.kill_frontend(turn, number),
            SeatStage::Backoff => {
                seat.stage = SeatStage::Empty;
                self.timers.disarm(&Timer::Frontend(number));
            }
            SeatStage::Empty | SeatStage::Draining | SeatStage::Drained | SeatStage::Ending => {}
        }
    }

    /// A draining frontend holds nothing any more.
    pub(super) fn frontend_drained(&mut self, frontend: FrontendId) {
        if let Some(seat) = self.seat_of(frontend)
            && seat.stage == SeatStage::Draining
        {
            seat.stage = SeatStage::Drained;
        }
    }

    /// A frontend is ended at once.
    pub(super) fn kill_frontend(&mut self, turn: &mut Turn<'_>, number: u16) {
        let Some(seat) = self.seats.get_mut(&number) else { return };
        seat.stage = SeatStage::Ending;
        self.changes.terrain = true;
        let frontend = FrontendId { seat: number, generation: seat.generation };
        turn.effects.push(Effect::KillFrontend(frontend));
        self.timers.arm(Timer::Frontend(number), turn.now.plus_millis(START_PATIENCE_MS));
    }

    /// A frontend is late, or the next one is due.
    pub(super) fn frontend_due(&mut self, turn: &mut Turn<'_>, number: u16) {
        match self.seats.get(&number).map(|seat| seat.stage) {
            Some(SeatStage::Backoff) => self.start_frontend(turn, number),
            Some(SeatStage::Starting | SeatStage::Ending) => self.kill_frontend(turn, number),
            _ => {}
        }
    }

    /// A frontend has ended: its clients are gone.
    pub(super) fn frontend_gone(&mut self, turn: &mut Turn<'_>, frontend: FrontendId) {
        let (is_stopping, is_wanted) = (self.is_stopping(), frontend.seat < self.catalog.frontends);
        let Some(seat) = self.seats.get_mut(&frontend.seat) else { return };
        if seat.generation != frontend.generation
            || matches!(seat.stage, SeatStage::Empty | SeatStage::Backoff)
        {
            return;
        }
        seat.pid = None;
        seat.stage = SeatStage::Empty;
        let held =
            if L::LOST_FRONTENDS_FORGOTTEN { std::mem::take(&mut seat.requests) } else { BTreeSet::new() };
        self.timers.disarm(&Timer::Frontend(frontend.seat));
        for request in held {
            self.orphaned(turn, request);
        }
        self.end_loans_with(turn, frontend);
        let Some(seat) = self.seats.get_mut(&frontend.seat) else { return };
        if is_stopping || !is_wanted {
            return;
        }
        let pause =
            seat.restarts.pause_ms(seat.started, turn.now, LONGEST_FRONTEND_PAUSE_MS, &mut self.random);
        self.counters.restarts += 1;
        turn.note(Note::ChildLost { child: format!("frontend {}", frontend.seat), restart_in_ms: pause });
        if pause == 0 {
            self.start_frontend(turn, frontend.seat);
        } else if let Some(seat) = self.seats.get_mut(&frontend.seat) {
            seat.stage = SeatStage::Backoff;
            self.timers.arm(Timer::Frontend(frontend.seat), turn.now.plus_millis(pause));
        }
    }
}
