//! What the strategy remembers between two decisions: rates of arrival, pauses between requests, who is leaving, what
//! faster backends would have saved. Everything else is on the board.

use std::collections::BTreeMap;

use ipc_proto::ids::BackendId;

use crate::clock::Time;
use crate::scheduler::model::ModelIx;
use crate::scheduler::policy::{Board, News, Reason};

/// The memory of a rate of arrival, in seconds.
const RATE_MEMORY_S: f64 = 300.0;
/// So many pauses are remembered of each model.
const GAPS: usize = 9;

/// A model that has to make room for another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Leaving {
    /// Admits nothing more here.
    pub(super) victim: ModelIx,
    /// Is loaded when nothing of the victim runs any more.
    pub(super) claimant: ModelIx,
    /// Since when the claimant had waited for a backend.
    pub(super) since: Time,
    /// Why.
    pub(super) reason: Reason,
}

/// The latest pauses of a model, in seconds.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Gaps {
    latest_s: [f64; GAPS],
    /// How many there were, of which the latest are kept.
    seen: usize,
}

impl Gaps {
    /// Adds a pause.
    pub(super) fn add(&mut self, gap_s: f64) {
        self.latest_s[self.seen % GAPS] = gap_s;
        self.seen += 1;
    }

    /// Those that are remembered, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = f64> {
        self.latest_s.into_iter().take(self.seen)
    }

    /// The pause that half of them stay below; 0 of none.
    pub(super) fn median_s(&self) -> f64 {
        let mut sorted: Vec<f64> = self.iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }
}

/// What is remembered of a model.
#[derive(Clone, Copy, Default, Debug)]
struct ModelMemory {
    /// Arrivals per second, as of `rate_at`.
    rate: f64,
    rate_at: Time,
    /// When it last had a holder.
    held: Time,
    /// Whether it had one at the latest decision.
    had_holder: bool,
    /// The latest pauses from "ran dry" to the next arrival.
    gaps: Gaps,
    /// When it ran dry, if nobody has asked for it since.
    dry: Option<Time>,
}

/// What is remembered of a backend.
#[derive(Clone, Copy, Default, Debug)]
struct BackendMemory {
    leaving: Option<Leaving>,
    /// When it last finished the last request of a model for which nothing waits.
    dry_at: Time,
    /// The model for whose follow-ups it waits.
    lingers: Option<ModelIx>,
}

/// What the strategy remembers.
#[derive(Default, Debug)]
pub(super) struct Memory {
    models: Vec<ModelMemory>,
    backends: BTreeMap<BackendId, BackendMemory>,
    /// Seconds lost by not moving a model to an idle, faster backend.
    regrets: BTreeMap<(ModelIx, BackendId), f64>,
    pub(super) lingers_won: u64,
    pub(super) lingers_lost: u64,
}

impl Memory {
    /// Takes in what has happened.
    pub(super) fn news(&mut self, board: &Board<'_>, news: News, now: Time) {
        match news {
            News::Arrived { model, is_retry: false, .. } => self.arrived(board.models().plain(model), now),
            News::Ended { backend, resident, .. } => self.ended(board, backend, resident, now),
            News::Dispatched { backend, resident, is_load, .. } => {
                self.dispatched(backend, resident, is_load);
            }
            News::Forgotten { backend } => {
                self.backends.remove(&backend);
                self.regrets.retain(|(_, of), _| *of != backend);
            }
            News::Arrived { .. } | News::Left { .. } | News::Ready { .. } | News::Surveyed => {}
        }
    }

    fn arrived(&mut self, name: ModelIx, now: Time) {
        let model = self.model_mut(name);
        model.rate = model.rate_at(now) + 1.0 / RATE_MEMORY_S;
        model.rate_at = now;
        if let Some(dry) = model.dry.take() {
            model.gaps.add(now.seconds_since(dry));
        }
    }

    fn ended(&mut self, board: &Board<'_>, id: BackendId, resident: ModelIx, now: Time) {
        let Some(backend) = board.backend(id) else { return };
        let still_runs = backend.grants.values().any(|grant| grant.resident == resident);
        if still_runs || board.has_work(backend, resident) {
            return;
        }
        self.backends.entry(id).or_default().dry_at = now;
        if board.models().kin(resident).iter().all(|kin| board.queue(*kin).len() == 0) {
            self.model_mut(board.models().plain(resident)).dry = Some(now);
        }
    }

    fn dispatched(&mut self, id: BackendId, resident: ModelIx, is_load: bool) {
        let backend = self.backends.entry(id).or_default();
        let Some(awaited) = backend.lingers else { return };
        if awaited == resident {
            self.lingers_won += 1;
            backend.lingers = None;
        } else if is_load {
            self.lingers_lost += 1;
            backend.lingers = None;
        }
    }

    fn model_mut(&mut self, model: ModelIx) -> &mut ModelMemory {
        if self.models.len() <= model.index() {
            self.models.resize_with(model.index() + 1, ModelMemory::default);
        }
        &mut self.models[model.index()]
    }

    fn model(&self, model: ModelIx) -> ModelMemory {
        self.models.get(model.index()).copied().unwrap_or_default()
    }

    /// Arrivals per second for the name that `plain` stands for.
    pub(super) fn rate(&self, plain: ModelIx, now: Time) -> f64 {
        self.model(plain).rate_at(now)
    }

    /// The pauses before follow-ups for the name that `plain` stands for.
    pub(super) fn gaps(&self, plain: ModelIx) -> Gaps {
        self.model(plain).gaps
    }

    /// When `model` last had a holder.
    pub(super) fn held(&self, model: ModelIx, now: Time) -> Time {
        let model = self.model(model);
        if model.had_holder { now } else { model.held }
    }

    /// Notes whether `model` has a holder now. One that had a holder at the last decision had it until now.
    pub(super) fn note_holder(&mut self, model: ModelIx, has_holder: bool, now: Time) {
        let model = self.model_mut(model);
        if model.had_holder || has_holder {
            model.held = model.held.max(now);
        }
        model.had_holder = has_holder;
    }

    /// Who is leaving a backend, and for whom.
    pub(super) fn leaving(&self, backend: BackendId) -> Option<Leaving> {
        self.backends.get(&backend).and_then(|backend| backend.leaving)
    }

    /// Decides who is leaving a backend.
    pub(super) fn set_leaving(&mut self, backend: BackendId, leaving: Option<Leaving>) {
        self.backends.entry(backend).or_default().leaving = leaving;
    }

    /// Ends every claim that is not sound any more. Says whether there was one.
    pub(super) fn keep_claims(&mut self, is_sound: impl Fn(BackendId, &Leaving) -> bool) -> bool {
        let mut has_ended = false;
        for (id, backend) in &mut self.backends {
            if backend.leaving.is_some_and(|leaving| !is_sound(*id, &leaving)) {
                backend.leaving = None;
                has_ended = true;
            }
        }
        has_ended
    }

    /// Ends every claim: nobody waits.
    pub(super) fn end_all_claims(&mut self) {
        for backend in self.backends.values_mut() {
            backend.leaving = None;
        }
    }

    /// When a backend last ran dry.
    pub(super) fn dry_at(&self, backend: BackendId) -> Time {
        self.backends.get(&backend).map_or(Time::default(), |backend| backend.dry_at)
    }

    /// Notes that a backend waits for follow-ups for `model`.
    pub(super) fn note_linger(&mut self, backend: BackendId, model: Option<ModelIx>) {
        self.backends.entry(backend).or_default().lingers = model;
    }

    /// Adds to the regret of not having `model` on `backend`, in seconds; tells the sum.
    pub(super) fn regret(&mut self, model: ModelIx, backend: BackendId, seconds: f64) -> f64 {
        let regret = self.regrets.entry((model, backend)).or_default();
        *regret += seconds;
        *regret
    }

    /// `model` has been moved: nothing is regretted any more.
    pub(super) fn forget_regrets(&mut self, model: ModelIx) {
        self.regrets.retain(|(of, _), _| *of != model);
    }
}

impl ModelMemory {
    fn rate_at(&self, now: Time) -> f64 {
        self.rate * (-now.seconds_since(self.rate_at) / RATE_MEMORY_S).exp()
    }
}
