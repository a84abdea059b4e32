//! A stand-in for what is learned: every load takes ten seconds, every request five.

use std::collections::BTreeMap;

use ipc_proto::ids::{BackendId, ModelName};

/// A model's number in what is learned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LearnedModel(u32);

/// What is learned.
#[derive(Default, Debug)]
pub struct Learner {
    models: BTreeMap<ModelName, LearnedModel>,
}

impl Learner {
    /// The number of `model`.
    pub fn model(&mut self, model: &ModelName) -> LearnedModel {
        let next = LearnedModel(u32::try_from(self.models.len()).unwrap_or(u32::MAX));
        *self.models.entry(model.clone()).or_insert(next)
    }

    /// Says that there is this backend.
    pub fn backend(&mut self, _backend: BackendId, _name: &str) {}

    /// The expected service of one request, in seconds.
    pub fn service(&self, _backend: BackendId, _model: LearnedModel) -> f64 {
        5.0
    }

    /// The expected load, in seconds.
    pub fn load(&self, _backend: BackendId, _model: LearnedModel) -> f64 {
        10.0
    }
}
