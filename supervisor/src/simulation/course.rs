//! The course of a run: what became of every request, and what it cost.

use crate::clock::Time;

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// With a complete answer.
    Done,
    /// Without one.
    Failed,
    /// Its client left before it was sent anywhere.
    GaveUp,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lot {
    /// Its place in [`Instance::requests`](super::Instance::requests).
    pub job: usize,
    /// When it came.
    pub arrived: Time,
    /// When work on its latest attempt began, the model being there; `None`: never.
    pub started: Option<Time>,
    /// When it ended.
    pub ended: Time,
    /// How.
    pub fate: Fate,
    /// The server of its latest attempt.
    pub server: Option<usize>,
    /// Attempts.
    pub attempts: u32,
}

impl Lot {
    /// How long it waited for its service to begin, the load included, or until its client left. In microseconds;
    /// `None` if it failed before.
    pub fn wait_us(&self) -> Option<u64> {
        let until = match self.fate {
            Fate::GaveUp => Some(self.ended),
            _ => self.started,
        };
        until.map(|until| until.since(self.arrived))
    }
}

/// The course of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Course {
    /// What became of the requests that came, in the order in which they came.
    pub lots: Vec<Lot>,
    /// Loads of models, on all servers.
    pub loads: u64,
    /// Seconds spent on them.
    pub loading_s: f64,
    /// Seconds that the longest of them took.
    pub longest_load_s: f64,
    /// The decisions: which request of [`Instance::requests`](super::Instance::requests) went to which server, in order.
    pub decisions: Vec<(usize, usize)>,
    /// Events that the scheduler was told.
    pub events: u64,
    /// The longest time for which a model had waiting requests and no server, in microseconds.
    pub longest_without_server_us: u64,
}
