//! How long the scheduler takes for one event that leads to a decision, with many models, backends and waiting requests.

use std::sync::Arc;

use dialect::load::LoadOptions;
use dialect::{Endpoint, Usage};
use ipc_proto::control::{Admission, Ending, Finished, Grant, Outcome, ToFrontend};
use ipc_proto::ids::{BackendId, FrontendId, KeyId, Label, ModelName, RequestId, WorkerId};
use supervisor::clock::Time;
use supervisor::scheduler::catalog::Strategy;
use supervisor::scheduler::{Effect, Event, Scheduler};
use supervisor::simulation::{Instance, Server, Setting};

use crate::clock::now_ns;
use crate::report::say;
use crate::statistics::{figure, percentile};

const FRONTEND: FrontendId = FrontendId { seat: 0, generation: 1 };
/// So many requests end and as many come while it is measured.
const TURNS: u64 = 2000;
/// Clients among whom the requests are dealt.
const CLIENTS: u32 = 50;
/// Sizes: models, backends, waiting requests.
const SIZES: [(usize, u32, u64); 3] = [(16, 8, 1000), (16, 8, 10_000), (64, 32, 10_000)];

/// Measures and prints.
pub(crate) fn measure() {
    say(
        "\n| models × backends, waiting | a request ends and the next is sent: median / p99 | one comes and waits: median / p99 |",
    );
    say("|---|--:|--:|");
    for (models, backends, waiting) in SIZES {
        let mut desk = Desk::new(models, backends);
        let (ends, comes) = desk.measure(waiting);
        let cell = |times: &[f64]| {
            let at = |percent| percentile(times, percent).unwrap_or(0.0) / 1000.0;
            format!("{:.1} µs / {:.1} µs", at(50), at(99))
        };
        say(&format!("| {models} × {backends}, {waiting} | {} | {} |", cell(&ends), cell(&comes)));
    }
}

/// A scheduler and everything around it.
struct Desk {
    scheduler: Scheduler,
    models: usize,
    now: Time,
    minted: u64,
    effects: Vec<Effect>,
    running: Vec<Grant>,
}

impl Desk {
    fn new(models: usize, backends: u32) -> Self {
        let server = |number: u32| Server {
            name: format!("server-{number}"),
            priority: 100,
            can: vec![true; models],
            t_load: vec![10.0; models],
            s_per_prompt_token: vec![0.001; models],
            s_per_output_token: vec![0.02; models],
            overhead: 0.0,
            max_models: 1,
            slots: 1,
            alpha: 0.25,
            down: Vec::new(),
            error_rate: 0.0,
        };
        let mut instance = Instance::new("decision", 0, (0..backends).map(server).collect(), Vec::new());
        instance.clients = CLIENTS as usize;
        let catalog = Setting::new(Strategy::ModelTurns).catalog(&instance);
        let mut desk = Self {
            scheduler: Scheduler::new(Arc::new(catalog), 1, 0),
            models,
            now: Time(0),
            minted: 0,
            effects: Vec::new(),
            running: Vec::new(),
        };
        desk.scheduler.start(desk.now, &mut desk.effects);
        desk.tell(Event::FrontendUp { frontend: FRONTEND, pid: 1 });
        desk.tell(Event::FrontendListening { frontend: FRONTEND, address: ([127, 0, 0, 1], 1).into() });
        for backend in (0..backends).map(BackendId) {
            let worker = WorkerId { backend, generation: 1 };
            desk.tell(Event::WorkerUp { worker, pid: 1 });
            desk.tell(Event::WorkerReady { worker });
        }
        desk
    }

    /// Tells the scheduler, and returns how long it took, in nanoseconds.
    fn tell(&mut self, event: Event) -> f64 {
        self.effects.clear();
        let before = now_ns();
        self.scheduler.handle(self.now, event, &mut self.effects);
        let took = figure(now_ns() - before);
        for effect in self.effects.drain(..) {
            if let Effect::ToFrontend(_, ToFrontend::Granted(grant)) = effect {
                self.running.push(*grant);
            }
        }
        took
    }

    fn admit(&mut self) -> f64 {
        self.minted += 1;
        let id = RequestId(u128::from(self.minted));
        // A few models are asked for often, the others rarely.
        let spread = self.minted.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let rank = usize::try_from(spread).unwrap_or(0) % (self.models * self.models);
        let model = self.models - 1 - rank.isqrt();
        let admission = Admission {
            request: id,
            label: Label::of(id),
            endpoint: Endpoint::ChatCompletions,
            model: ModelName::new(&format!("model-{model}")),
            key: KeyId(u32::try_from(spread % u64::from(CLIENTS)).unwrap_or(0)),
            stream: true,
            body_bytes: 1000,
            max_output_tokens: None,
            affinity: 0,
            deadline_ms: None,
            waited_ms: 0,
            class: None,
            load: LoadOptions::default(),
            under: None,
            only: None,
        };
        self.tell(Event::Admit { frontend: FRONTEND, admission: Box::new(admission) })
    }

    /// The oldest running request goes through its life; returns how long its end and the next one's grant took.
    fn end_one(&mut self) -> Option<f64> {
        if self.running.is_empty() {
            return None;
        }
        let Grant { grant, worker, request, .. } = self.running.remove(0);
        self.now = self.now.plus_millis(700);
        self.tell(Event::Started { worker, grant });
        self.tell(Event::Begun { worker, grant, first_byte_us: 500_000 });
        let usage = Usage { input_tokens: Some(200), output_tokens: Some(90), ..Usage::default() };
        let finished = Finished {
            grant,
            ending: Ending::Complete,
            usage,
            upstream_status: Some(200),
            first_byte_us: Some(500_000),
            total_us: 2_000_000,
            bytes_received: 1000,
            warnings: String::new(),
        };
        let took = self.tell(Event::Finished { worker, finished: Box::new(finished) });
        let outcome = Outcome { status: 200, failure: None, first_byte_us: None, total_us: 1, bytes_sent: 1 };
        self.tell(Event::Closed { frontend: FRONTEND, request, outcome });
        Some(took)
    }

    /// The times of ends and of arrivals with `waiting` requests in the queue, in nanoseconds.
    fn measure(&mut self, waiting: u64) -> (Vec<f64>, Vec<f64>) {
        while self.scheduler.queued() < waiting {
            self.now = self.now.plus_millis(1);
            self.admit();
        }
        let (mut ends, mut comes) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            ends.extend(self.end_one());
            comes.push(self.admit());
        }
        (ends, comes)
    }
}
