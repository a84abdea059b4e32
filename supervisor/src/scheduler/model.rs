//! Models as the scheduler tells them apart: a name and what a request needs the engine to have loaded it with. Each
//! gets a small number, so that decisions compare numbers and index arrays; names are kept for messages.

use std::collections::BTreeMap;

use dialect::load::LoadOptions;
use ipc_proto::ids::{BackendId, ModelName};

use super::learner::{LearnedModel, Learner};

/// So many models are told apart by their needs. Names come from backends' lists; needs come from clients, and a
/// client must not make the tables grow without end: further needs are not told apart.
const MOST_MODELS: usize = 4096;

/// The number of a model. Dense, from 0, in the order in which requests first asked for them; never taken back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ModelIx(u32);

impl ModelIx {
    /// As an index of an array.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a request needs of a model in memory.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum LoadNeed {
    /// Whatever it was loaded with will do.
    #[default]
    Any,
    /// At least this length of context, in tokens.
    AtLeast(u64),
    /// Exactly these options.
    Exactly(LoadOptions),
}

impl LoadNeed {
    /// Whether a model that was loaded for this need also serves `wanted`.
    fn covers(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::AtLeast(has), Self::AtLeast(needs)) => has >= needs,
            (Self::AtLeast(_), Self::Any) => true,
            (has, wanted) => has == wanted,
        }
    }
}

#[derive(Debug)]
struct Facts {
    name: ModelName,
    need: LoadNeed,
    /// The model of this name that needs nothing.
    plain: ModelIx,
    /// For a model that needs nothing: all models of its name, itself included.
    kin: Vec<ModelIx>,
    learned: LearnedModel,
    /// For a model that needs nothing: the backends that list the name, best first.
    listed_by: Vec<BackendId>,
}

/// All models that were ever asked for.
#[derive(Default, Debug)]
pub(super) struct Models {
    facts: Vec<Facts>,
    numbers: BTreeMap<ModelName, BTreeMap<LoadNeed, ModelIx>>,
}

impl Models {
    /// The number of `name` with `need`. A new name has no backend until [`Self::list`] gives it some.
    pub(super) fn intern(&mut self, name: &ModelName, need: &LoadNeed, learner: &mut Learner) -> ModelIx {
        if let Some(known) = self.find(name, need) {
            return known;
        }
        let plain = self.find(name, &LoadNeed::Any);
        let plain = plain.unwrap_or_else(|| self.add(name, LoadNeed::Any, None, learner));
        if *need == LoadNeed::Any || self.facts.len() >= MOST_MODELS {
            return plain;
        }
        self.add(name, need.clone(), Some(plain), learner)
    }

    fn add(
        &mut self,
        name: &ModelName,
        need: LoadNeed,
        plain: Option<ModelIx>,
        learner: &mut Learner,
    ) -> ModelIx {
        let number = ModelIx(u32::try_from(self.facts.len()).expect("fewer models than numbers"));
        let plain = plain.unwrap_or(number);
        self.numbers.entry(name.clone()).or_default().insert(need.clone(), number);
        self.facts.push(Facts {
            name: name.clone(),
            need,
            plain,
            kin: Vec::new(),
            learned: learner.model(name),
            listed_by: Vec::new(),
        });
        self.facts[plain.index()].kin.push(number);
        number
    }

    /// The number that stands for every name that nobody lists.
    pub(super) fn nobodys(&mut self, learner: &mut Learner) -> ModelIx {
        self.intern(&ModelName::new(""), &LoadNeed::Any, learner)
    }

    /// The number of `name` with `need`, if it has one.
    pub(super) fn find(&self, name: &ModelName, need: &LoadNeed) -> Option<ModelIx> {
        self.numbers.get(name)?.get(need).copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.facts.len()
    }

    /// Every model, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = ModelIx> + use<> {
        (0..u32::try_from(self.facts.len()).unwrap_or(u32::MAX)).map(ModelIx)
    }

    /// Its name.
    pub(super) fn name(&self, model: ModelIx) -> &ModelName {
        &self.facts[model.index()].name
    }

    /// Its name, for the learner.
    pub(super) fn learned(&self, model: ModelIx) -> LearnedModel {
        self.facts[model.index()].learned
    }

    /// What it needs.
    pub(super) fn need(&self, model: ModelIx) -> &LoadNeed {
        &self.facts[model.index()].need
    }

    /// The model of the same name that needs nothing.
    pub(super) fn plain(&self, model: ModelIx) -> ModelIx {
        self.facts[model.index()].plain
    }

    /// All models of the same name, itself included.
    pub(super) fn kin(&self, model: ModelIx) -> &[ModelIx] {
        &self.facts[self.plain(model).index()].kin
    }

    /// Whether `loaded` in memory serves requests for `wanted` as it is.
    pub(super) fn covers(&self, loaded: ModelIx, wanted: ModelIx) -> bool {
        loaded == wanted
            || (self.plain(loaded) == self.plain(wanted) && self.need(loaded).covers(self.need(wanted)))
    }

    /// The backends that list it, best first.
    pub(super) fn listed_by(&self, model: ModelIx) -> &[BackendId] {
        &self.facts[self.plain(model).index()].listed_by
    }

    /// Says which backends list the name of `model`, best first.
    pub(super) fn list(&mut self, model: ModelIx, backends: Vec<BackendId>) {
        let plain = self.plain(model);
        self.facts[plain.index()].listed_by = backends;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_context_serves_a_smaller_need_and_no_other_name() {
        let (mut models, mut learner) = (Models::default(), Learner::default());
        let mut model =
            |name: &str, need: LoadNeed| models.intern(&ModelName::new(name), &need, &mut learner);
        let (small, large) = (model("m", LoadNeed::AtLeast(4096)), model("m", LoadNeed::AtLeast(8192)));
        let (any, other) = (model("m", LoadNeed::Any), model("n", LoadNeed::AtLeast(8192)));
        let exact = model("m", LoadNeed::Exactly(LoadOptions::default()));
        assert_eq!(model("m", LoadNeed::AtLeast(4096)), small, "interned once");
        assert!(models.covers(large, small) && models.covers(large, any) && models.covers(any, any));
        assert!(!models.covers(small, large) && !models.covers(any, small) && !models.covers(other, small));
        assert!(!models.covers(exact, any) && !models.covers(large, exact));
        assert_eq!((models.plain(large), models.plain(any)), (any, any));
    }

    #[test]
    fn needs_beyond_the_bound_are_not_told_apart() {
        let (mut models, mut learner) = (Models::default(), Learner::default());
        let name = ModelName::new("m");
        for context in 0..2 * MOST_MODELS as u64 {
            models.intern(&name, &LoadNeed::AtLeast(context), &mut learner);
        }
        assert_eq!(models.len(), MOST_MODELS);
        let beyond = models.intern(&name, &LoadNeed::AtLeast(u64::MAX), &mut learner);
        assert_eq!(*models.need(beyond), LoadNeed::Any);
    }
}
