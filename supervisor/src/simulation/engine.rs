//! A server's engine: which models it holds, what it loads, and how far it has come with each request.
//!
//! Requests for a model that is being loaded wait for the load. A load that nobody waits for any more goes on.
//! Models are loaded side by side; a load that drives out one that is itself still being loaded waits for it.

use std::time::Duration;

use ipc_proto::ids::GrantId;

use super::dice::Dice;
use super::instance::Server;
use crate::clock::Time;

/// A model in memory, or on its way there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resident {
    pub(crate) model: usize,
    pub(crate) ready_at: Time,
    last_used: Time,
}

#[cfg(test)]
impl Resident {
    /// A model that has been there from the start.
    pub(super) fn ready(model: usize) -> Self {
        Self { model, ready_at: Time::default(), last_used: Time::default() }
    }
}

/// A request at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) grant: GrantId,
    pub(crate) job: usize,
    pub(crate) model: usize,
    /// When it came.
    pub(crate) called: Time,
    /// When its model was there and work on it began.
    pub(crate) started: Option<Time>,
    /// Whether its first token is made.
    pub(crate) has_begun: bool,
    /// Seconds of work to do, at rate 1.
    left: f64,
    /// What is left when the first token comes.
    left_at_first: f64,
    /// What is left when it breaks; `None`: it does not.
    left_at_break: Option<f64>,
}

/// What a request asks of an engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) grant: GrantId,
    pub(crate) job: usize,
    pub(crate) model: usize,
    /// Seconds until the first token and in all, alone on the server.
    pub(crate) service: (f64, f64),
    /// After which part of the work before its first token it breaks; `None`: it does not.
    pub(crate) breaks_after: Option<f64>,
}

/// What has happened at an engine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// Work on a request has begun: its model is there.
    Started(Run),
    /// Its first token is made.
    Begun(Run),
    /// It is done.
    Done(Run),
    /// It broke.
    Broke(Run),
}

/// A load that a request has caused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Load {
    pub(crate) model: usize,
    /// The model that went for it.
    pub(crate) evicted: Option<usize>,
}

/// An engine.
#[derive(Debug)]
pub(crate) struct Engine<'a> {
    pub(crate) server: &'a Server,
    /// Names the draws of its loads.
    name: [u64; 3],
    load_cv: f64,
    pub(crate) is_away: bool,
    pub(crate) residents: Vec<Resident>,
    pub(crate) runs: Vec<Run>,
    /// Loads so far, by model.
    loads: Vec<u64>,
    /// Seconds spent on loads.
    pub(crate) loading_s: f64,
    /// Seconds that the longest took.
    pub(crate) longest_load_s: f64,
    now: Time,
}

impl<'a> Engine<'a> {
    /// An empty engine; `name` makes its loads' noise its own.
    pub(crate) fn new(server: &'a Server, name: [u64; 3], load_cv: f64) -> Self {
        Self {
            server,
            name,
            load_cv,
            is_away: false,
            residents: Vec::new(),
            runs: Vec::new(),
            loads: vec![0; server.can.len()],
            loading_s: 0.0,
            longest_load_s: 0.0,
            now: Time::default(),
        }
    }

    /// Whether it holds `model`, or loads it.
    pub(crate) fn holds(&self, model: usize) -> bool {
        self.residents.iter().any(|resident| resident.model == model)
    }

    /// How many requests for `model` it works on.
    pub(crate) fn running(&self, model: usize) -> usize {
        self.runs.iter().filter(|run| run.model == model).count()
    }

    /// The models that are in memory.
    pub(crate) fn ready(&self) -> impl Iterator<Item = usize> {
        let ready = self.residents.iter().filter(|resident| resident.ready_at <= self.now);
        ready.map(|resident| resident.model)
    }

    /// All loads so far.
    pub(crate) fn all_loads(&self) -> u64 {
        self.loads.iter().sum()
    }

    /// Takes a request in at `now`, driving out `victim` if it must load and has no room; without one the idle model
    /// that was used longest ago. Says what it loads, if it does; an error if that would drive out a busy model.
    pub(crate) fn take(
        &mut self,
        now: Time,
        order: &Order,
        victim: Option<usize>,
    ) -> Result<Option<Load>, String> {
        self.advance(now);
        let load = if self.holds(order.model) { None } else { Some(self.load(order.model, victim)?) };
        for resident in self.residents.iter_mut().filter(|resident| resident.model == order.model) {
            resident.last_used = now;
        }
        let (first, all) = order.service;
        self.runs.push(Run {
            grant: order.grant,
            job: order.job,
            model: order.model,
            called: now,
            started: None,
            has_begun: false,
            left: all,
            left_at_first: all - first,
            left_at_break: order.breaks_after.map(|part| all - first * part),
        });
        Ok(load)
    }

    fn load(&mut self, model: usize, victim: Option<usize>) -> Result<Load, String> {
        let is_full = self.residents.len() >= self.server.max_models as usize;
        let mut begins = self.now;
        let mut evicted = None;
        if is_full {
            let Some(place) = self.place_to_free(victim) else {
                return Err(format!("P3: {}: no idle model makes room for {model}", self.server.name));
            };
            let gone = self.residents.swap_remove(place);
            begins = begins.max(gone.ready_at);
            evicted = Some(gone.model);
        }
        self.loads[model] += 1;
        let mut dice = {
            let [world, luck, server] = self.name;
            Dice::named(&[world, luck, server, model as u64, self.loads[model]])
        };
        let takes = self.server.t_load[model] * dice.noise(self.load_cv);
        self.loading_s += takes;
        self.longest_load_s = self.longest_load_s.max(takes);
        let ready_at = begins + Duration::from_secs_f64(takes);
        self.residents.push(Resident { model, ready_at, last_used: self.now });
        Ok(Load { model, evicted })
    }

    /// The place of the model that goes: `victim` if it is there, else the idle one that was used longest ago. `None` if
    /// that would be a busy one.
    fn place_to_free(&self, victim: Option<usize>) -> Option<usize> {
        let is_idle = |resident: &Resident| self.running(resident.model) == 0;
        // What the scheduler believes may be gone: a load that failed, and went on.
        if let Some(place) = self.residents.iter().position(|resident| Some(resident.model) == victim) {
            return is_idle(&self.residents[place]).then_some(place);
        }
        let idle = self.residents.iter().enumerate().filter(|(_, resident)| is_idle(resident));
        idle.min_by_key(|(_, resident)| (resident.last_used, resident.model)).map(|(place, _)| place)
    }

    /// Lets go of a request. Its load, if it waited for one, goes on.
    pub(crate) fn drop_run(&mut self, now: Time, grant: GrantId) -> Option<Run> {
        self.advance(now);
        let place = self.runs.iter().position(|run| run.grant == grant)?;
        Some(self.runs.remove(place))
    }

    /// Goes away: everything is lost. Returns what ran.
    pub(crate) fn crash(&mut self, now: Time) -> Vec<Run> {
        self.advance(now);
        self.is_away = true;
        self.residents.clear();
        std::mem::take(&mut self.runs)
    }

    fn rate(&self) -> f64 {
        let served = self.runs.iter().filter(|run| run.started.is_some()).count();
        self.server.rate(u32::try_from(served).unwrap_or(u32::MAX))
    }

    /// Brings all work up to `now`. Nothing must have been due before.
    fn advance(&mut self, now: Time) {
        let done = seconds(now.since(self.now)) * self.rate();
        for run in self.runs.iter_mut().filter(|run| run.started.is_some()) {
            run.left -= done;
        }
        self.now = now;
    }

    /// When something happens next, if nothing new comes.
    pub(crate) fn next(&self) -> Option<Time> {
        let rate = self.rate();
        let next = self.runs.iter().map(|run| {
            if run.started.is_none() {
                return self.ready_at(run.model).max(self.now);
            }
            let first = if run.has_begun { 0.0 } else { run.left_at_first };
            let until = first.max(run.left_at_break.unwrap_or(0.0));
            // Rounded up, so that the work is done when the time has come.
            let wait = ((run.left - until).max(0.0) / rate * 1e6).ceil() / 1e6;
            self.now + Duration::from_secs_f64(wait)
        });
        next.min()
    }

    /// When `model` is in memory; now if it is not even on its way.
    pub(crate) fn ready_at(&self, model: usize) -> Time {
        let resident = self.residents.iter().find(|resident| resident.model == model);
        resident.map_or(self.now, |resident| resident.ready_at)
    }

    /// Goes on to `now`, and says what has happened, in the order in which the requests came.
    pub(crate) fn go_on(&mut self, now: Time) -> Vec<Happening> {
        self.advance(now);
        let mut happened = Vec::new();
        let ready: Vec<usize> = self.ready().collect();
        for run in &mut self.runs {
            if run.started.is_none() && ready.contains(&run.model) {
                run.started = Some(now);
                happened.push(Happening::Started(*run));
            }
        }
        let mut kept = Vec::with_capacity(self.runs.len());
        for mut run in std::mem::take(&mut self.runs) {
            // A millionth of a second of work is no work: times are rounded to it.
            let is_past = |mark: f64| run.started.is_some() && run.left <= mark + 1e-6;
            let breaks = run.left_at_break.is_some_and(is_past);
            let (begins, ends) = (!run.has_begun && is_past(run.left_at_first), is_past(0.0));
            if begins && !breaks {
                run.has_begun = true;
                happened.push(Happening::Begun(run));
            }
            if breaks {
                happened.push(Happening::Broke(run));
            } else if ends {
                happened.push(Happening::Done(run));
            } else {
                kept.push(run);
            }
        }
        self.runs = kept;
        for happening in &happened {
            if let Happening::Done(run) | Happening::Broke(run) = happening {
                for resident in self.residents.iter_mut().filter(|resident| resident.model == run.model) {
                    resident.last_used = now;
                }
            }
        }
        happened
    }
}

/// Microseconds as seconds.
pub(crate) fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}

/// The moment `seconds` after the start.
pub(crate) fn moment(seconds: f64) -> Time {
    Time::default() + Duration::from_secs_f64(seconds.max(0.0))
}
