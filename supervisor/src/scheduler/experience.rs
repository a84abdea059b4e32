//! What is drawn from a completed attempt: how long things take, and whether changes of model cost anything.

use std::collections::BTreeMap;

use dialect::Endpoint;
use ipc_proto::control::{Ending, Finished};
use ipc_proto::ids::{BackendId, ModelName};
use ipc_proto::operator::LearnedView;

use super::grant::Grant;
use super::laws::Laws;
use super::learner::{Learner, Observation};
use super::model::ModelIx;
use super::{Effect, Note, Scheduler, Turn};
use crate::clock::Time;

/// So many attempts of a kind are learned from in a second: more say nothing new, and cost time and rows.
const MOST_A_SECOND: u32 = 32;

/// How many attempts of each kind have been learned from in the second that runs.
#[derive(Default, Debug)]
pub(super) struct Lessons(BTreeMap<(BackendId, ModelIx, Endpoint), (u64, u32)>);

impl Lessons {
    /// Whether one more of this kind at `now` is worth learning from.
    fn has_room(&mut self, kind: (BackendId, ModelIx, Endpoint), now: Time) -> bool {
        let second = now.0 / 1_000_000;
        let (running, count) = self.0.entry(kind).or_default();
        if *running != second {
            (*running, *count) = (second, 0);
        }
        *count += 1;
        *count <= MOST_A_SECOND
    }
}

impl<L: Laws> Scheduler<L> {
    /// The scheduler with what was learned before: from the observations that were stored, oldest first.
    #[must_use]
    pub fn with_learner(mut self, learner: Learner) -> Self {
        self.learner = learner;
        self
    }

    /// What has been learned, for operators.
    pub fn learned(&self) -> Vec<LearnedView> {
        self.learner.figures()
    }

    /// How many seconds a load of `model` is expected to take on `backend`; `None` if nobody has heard of the model.
    pub fn expected_load_s(&self, backend: BackendId, model: &ModelName) -> Option<f64> {
        self.learner.known(model).map(|model| self.learner.load(backend, model))
    }

    /// Draws what there is to be drawn from an attempt on `on`.
    pub(super) fn learn(&mut self, turn: &mut Turn<'_>, on: BackendId, granted: &Grant, finished: &Finished) {
        if finished.ending != Ending::Complete {
            return;
        }
        let Some(endpoint) = self.requests.get(&granted.request).map(|request| request.admission.endpoint)
        else {
            return;
        };
        if !granted.is_swap && !self.lessons.has_room((on, granted.model, endpoint), turn.now) {
            return;
        }
        let observation = Observation {
            backend: on,
            model: self.models.name(granted.model).clone(),
            endpoint,
            input_tokens: finished.usage.input_tokens,
            output_tokens: finished.usage.output_tokens,
            total_us: finished.total_us,
            first_byte_us: finished.first_byte_us,
            loaded: granted.is_swap,
            after_load: granted.start.waits_for_load,
            concurrent: granted.start.concurrent,
        };
        self.measure_mode(turn, granted, &observation);
        self.learner.learn(&observation);
        if let Some(backend) = self.backends.get(&on) {
            turn.effects.push(Effect::Learned(observation.at(backend.spec.name.clone())));
        }
    }

    fn measure_mode(&mut self, turn: &mut Turn<'_>, granted: &Grant, observation: &Observation) {
        let Some(backend) = self.backends.get_mut(&observation.backend) else { return };
        let Some(first_byte_us) = observation.first_byte_us else { return };
        if backend.spec.serialize_by_model.is_some() || granted.start.waits_for_load {
            return;
        }
        let (swaps, model) = (backend.swaps(), self.models.learned(granted.model));
        let prompt_s = observation.input_tokens.and_then(|input| {
            self.learner.predict(observation.backend, model, observation.endpoint, input, 0)
        });
        let seconds = Time(first_byte_us).seconds_since(Time(0)) - prompt_s.unwrap_or(0.0);
        if backend.capacity.mode.measured(granted.start.is_change, seconds, swaps) {
            backend.recount_residents(turn.now);
            backend.capacity_changed();
            turn.note(Note::Mode { backend: backend.spec.name.clone(), swaps: !swaps });
            self.changes.terrain = true;
        }
    }
}
