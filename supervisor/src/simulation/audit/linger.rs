//! P12: a server that holds a model for which nothing waits may rest, although another is waited for that no server has,
//! because follow-ups usually come quickly; but never for longer than a round trip of loads, and never while somebody has
//! waited for three of them, or too long at all.

use super::super::engine::{Engine, seconds};
use super::super::setting::Setting;
use super::ROUNDING_S;
use crate::clock::Time;

/// Nobody waits for follow-ups to another model for longer than so many round trips.
const MOST_ROUNDS: f64 = 3.0;

/// Which servers rest, and until when they may.
#[derive(Debug)]
pub(super) struct Lingers {
    is_allowed: bool,
    max_wait_s: f64,
    /// By server: when its latest request ended, or nothing while one runs.
    idle_since: Vec<Option<Time>>,
    /// By server: until when it may rest at the latest, in seconds.
    until_s: Vec<f64>,
}

impl Lingers {
    /// Of so many servers, all idle.
    pub(super) fn new(servers: usize, setting: &Setting) -> Self {
        let max_wait_s =
            setting.knobs.max_wait_ms.map_or(f64::INFINITY, |wait| seconds(wait.saturating_mul(1000)));
        Self {
            is_allowed: setting.knobs.linger,
            max_wait_s,
            idle_since: vec![Some(Time::default()); servers],
            until_s: vec![f64::INFINITY; servers],
        }
    }

    /// A moment of rest: nothing has happened since the one before. Who rested then must have had the time for it.
    pub(super) fn begin(&mut self, now: Time, engines: &[Engine<'_>]) -> Result<(), String> {
        for (server, engine) in engines.iter().enumerate() {
            let until_s = std::mem::replace(&mut self.until_s[server], f64::INFINITY);
            let over_s = seconds(now.0) - until_s;
            if over_s > ROUNDING_S {
                let name = &engine.server.name;
                return Err(format!("P12: {name} has rested {over_s:.3} s longer than it may"));
            }
            let is_idle = engine.runs.is_empty();
            let since = self.idle_since[server].unwrap_or(now);
            self.idle_since[server] = is_idle.then_some(since);
        }
        Ok(())
    }

    /// A server could load a model that nobody has and that has been waited for since `oldest`; it does not if it rests.
    pub(super) fn rests(
        &mut self,
        now: Time,
        (server, engine): (usize, &Engine<'_>),
        (model, oldest): (usize, Time),
        expected_s: impl Fn(usize) -> Option<f64>,
    ) -> Result<(), String> {
        let Some(since) = self.idle_since[server] else { return Ok(()) };
        if engine.residents.iter().any(|resident| resident.ready_at > now) {
            return Ok(());
        }
        let is_full = engine.residents.len() >= engine.server.max_models as usize;
        if !is_full || !self.is_allowed {
            return Err(format!("P12: {} rests although model {model} waits", engine.server.name));
        }
        // Which of several would go is the scheduler's choice: the one that is loaded slowest bounds the round trip.
        let back = engine.residents.iter().filter_map(|resident| expected_s(resident.model));
        let (Some(load_s), back_s) = (expected_s(model), back.fold(0.0, f64::max)) else { return Ok(()) };
        let round_s = load_s + back_s;
        let patient_s = seconds(oldest.0) + (MOST_ROUNDS * round_s).min(self.max_wait_s);
        self.until_s[server] = self.until_s[server].min(seconds(since.0) + round_s).min(patient_s);
        if self.until_s[server] + ROUNDING_S < seconds(now.0) {
            return Err(format!("P12: {} still rests, and model {model} waits", engine.server.name));
        }
        Ok(())
    }
}
