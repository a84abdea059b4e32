//! What completed attempts teach of loads and speeds, and what the scheduler may expect from it.
//!
//! Two views of the same thousand newest attempts of each backend, model and endpoint. The scheduler's is robust,
//! forgets, and always has an answer: expected seconds of service and of a load, also for pairs that were never
//! measured. The operators' is a plain fit with its quality. Everything is a function of the attempts kept, in
//! their order, so a learner refilled from the database answers like the one that saw them. Never reads a clock.

use std::collections::BTreeMap;

use dialect::Endpoint;
use ipc_proto::ids::{BackendId, ModelName};
use ipc_proto::operator::LearnedView;

use self::grid::Grid;
use self::sample::{Sample, Size};
use self::usual::{Mean, Usual};

mod estimate;
mod figures;
mod fit;
mod grid;
mod observation;
mod pair;
mod record;
mod sample;
mod sums;
#[cfg(test)]
mod tests;
mod usual;

pub use self::observation::Observation;

/// Observations kept per backend name, model and endpoint; older ones teach nothing any more, loads apart.
pub const KEPT: usize = record::KEPT;
/// So many of the newest observations that began a load teach, however old they are.
pub const KEPT_LOADS: usize = pair::LOADS;
/// Backends with a higher number are not learned of. Ids are dense, so nobody has one.
const MOST_BACKENDS: usize = 1 << 16;

/// A model, by its place among those the learner has heard of: an index that never changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LearnedModel(usize);

impl LearnedModel {
    /// The place, counted from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What one observation changed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Lesson {
    /// Whether the backend is slow for the model now, if that is another answer than before.
    pub slow: Option<bool>,
    /// The attempt seems to have waited for a load nobody asked for; its time teaches no service.
    pub hidden_reload: bool,
}

/// What has been learned.
#[derive(Clone, Default, Debug)]
pub struct Learner {
    models: BTreeMap<ModelName, LearnedModel>,
    /// By model.
    usual: Vec<(Usual, Mean)>,
    grid: Grid,
}

impl Learner {
    /// Makes a backend known by `name`, or gives it another name.
    pub fn backend(&mut self, backend: BackendId, name: &str) {
        if let Some(row) = row(backend) {
            self.grid.name(row, name);
            self.grid.settle(None);
        }
    }

    /// The index of `model`, made up if it is new. For models that backends offer, not for whatever clients ask for:
    /// a model is never given up.
    pub fn model(&mut self, model: &ModelName) -> LearnedModel {
        if let Some(known) = self.models.get(model) {
            return *known;
        }
        let index = LearnedModel(self.models.len());
        self.models.insert(model.clone(), index);
        self.usual.push((Usual::default(), Mean::default()));
        self.grid.models(self.models.values().copied());
        self.grid.settle(None);
        index
    }

    /// The index of `model`, if it is known.
    pub fn known(&self, model: &ModelName) -> Option<LearnedModel> {
        self.models.get(model).copied()
    }

    /// Takes in a completed attempt.
    pub fn learn(&mut self, observation: &Observation) -> Lesson {
        let Some((row, model, slow)) = self.take(observation) else { return Lesson::default() };
        self.conclude(model, Some(row));
        self.grid.settle(Some(model));
        let kind = self.grid.pair(row, model).and_then(|pair| pair.kind(observation.endpoint));
        let estimate = kind.and_then(|kind| kind.estimate);
        Lesson { slow, hidden_reload: estimate.is_some_and(|estimate| estimate.newest_is_hidden) }
    }

    /// Takes in many completed attempts, oldest first, as if they were learned one by one, but far faster: for the
    /// start, from what was stored.
    pub fn refill(&mut self, observations: impl IntoIterator<Item = Observation>) {
        for observation in observations {
            self.take(&observation);
        }
        for model in self.models.values().copied().collect::<Vec<_>>() {
            self.conclude(model, None);
        }
        self.grid.settle(None);
    }

    /// Expected seconds of a usual request for `model` on `backend`, the model being loaded.
    pub fn service(&self, backend: BackendId, model: LearnedModel) -> f64 {
        self.grid.answer(backend.0 as usize, model).service
    }

    /// Expected seconds of a load of `model` on `backend`.
    pub fn load(&self, backend: BackendId, model: LearnedModel) -> f64 {
        self.grid.answer(backend.0 as usize, model).load
    }

    /// Expected seconds of a request of this length in tokens, the model being loaded; `None` where nothing like it
    /// was measured: then [`Learner::service`] has a guess.
    pub fn predict(
        &self,
        backend: BackendId,
        model: LearnedModel,
        endpoint: Endpoint,
        input: u64,
        output: u64,
    ) -> Option<f64> {
        let size = Size { input: sums::real(input.into()), output: sums::real(output.into()) };
        self.grid.pair(backend.0 as usize, model)?.predict(endpoint, size)
    }

    /// Whether the latest attempt took at least twice as long as the fit over those before expected.
    pub fn is_slow(&self, backend: BackendId, model: LearnedModel, endpoint: Endpoint) -> bool {
        let pair = self.grid.pair(backend.0 as usize, model);
        pair.and_then(|pair| pair.kind(endpoint)).is_some_and(|kind| kind.record.is_slow)
    }

    /// Of the latest attempts for `model` on `backend`, how many seem to have waited for a load nobody asked for.
    pub fn hidden_reloads(&self, backend: BackendId, model: LearnedModel) -> u64 {
        let Some(pair) = self.grid.pair(backend.0 as usize, model) else { return 0 };
        let kinds = Endpoint::ALL.into_iter().filter_map(|endpoint| pair.kind(endpoint));
        kinds.filter_map(|kind| kind.estimate).map(|estimate| u64::from(estimate.hidden)).sum()
    }

    /// What has been learned, for operators: most observations first.
    pub fn figures(&self) -> Vec<LearnedView> {
        figures::figures(&self.grid, &self.models)
    }

    /// Keeps what is in an attempt. Returns where, and whether the backend is slow now if that is news.
    fn take(&mut self, observation: &Observation) -> Option<(usize, LearnedModel, Option<bool>)> {
        let row = row(observation.backend)?;
        let sample = Sample::of(observation)?;
        let model = self.model(&observation.model);
        let size = sample.is_counted.then(|| sample.size(Size::UNIT));
        self.usual[model.index()].0.add(observation.endpoint, size);
        let slow = self.grid.pair_mut(row, model).add(observation.endpoint, sample);
        Some((row, model, slow))
    }

    /// Estimates anew what the attempts for `model` say; `touched` as in [`Grid::measure`].
    fn conclude(&mut self, model: LearnedModel, touched: Option<usize>) {
        let (usual, mean) = &mut self.usual[model.index()];
        *mean = usual.mean();
        self.grid.measure(model, mean, touched);
    }
}

/// Where a backend stands.
fn row(backend: BackendId) -> Option<usize> {
    usize::try_from(backend.0).ok().filter(|row| *row < MOST_BACKENDS)
}
