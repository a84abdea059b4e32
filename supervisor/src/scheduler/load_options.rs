//! Load options: what a request needs of a model in memory, and what its body is made to say, so that engines load
//! no model anew for a difference that nobody needs.

use std::collections::BTreeMap;

use dialect::load::{LoadEdit, LoadOptions};
use ipc_proto::ids::ModelName;

use super::catalog::LoadPolicy;
use super::model::LoadNeed;
use crate::clock::Time;

/// A length of context that somebody has asked for within this time is what a cold model is loaded for, in
/// microseconds: an hour.
const LATELY_US: u64 = 3_600_000_000;

/// What a request with these options needs.
pub(super) fn need(policy: LoadPolicy, options: &LoadOptions) -> LoadNeed {
    match policy {
        LoadPolicy::Bucket => {
            options.context.map_or(LoadNeed::Any, |context| LoadNeed::AtLeast(bucket(context)))
        }
        LoadPolicy::Pass if !options.is_empty() => LoadNeed::Exactly(options.clone()),
        LoadPolicy::Pass | LoadPolicy::Pin | LoadPolicy::Strip => LoadNeed::Any,
    }
}

/// The length of context that is loaded for one of `context` tokens: the next power of two.
fn bucket(context: u64) -> u64 {
    context.max(1).checked_next_power_of_two().unwrap_or(context)
}

/// The options a cold model is loaded with for a request with `options`; `largest` is the longest context anybody
/// has asked for lately.
pub(super) fn to_load(policy: LoadPolicy, options: &LoadOptions, largest: Option<u64>) -> LoadOptions {
    match policy {
        LoadPolicy::Bucket => {
            LoadOptions { context: options.context.map(bucket).max(largest), others: options.others.clone() }
        }
        LoadPolicy::Pin | LoadPolicy::Pass => options.clone(),
        LoadPolicy::Strip => LoadOptions::default(),
    }
}

/// What is done with a request's `options` so that a model that was loaded with `loaded` serves it.
pub(super) fn edit(policy: LoadPolicy, options: &LoadOptions, loaded: &LoadOptions) -> LoadEdit {
    match policy {
        LoadPolicy::Pass => LoadEdit::Keep,
        LoadPolicy::Bucket | LoadPolicy::Pin | LoadPolicy::Strip if options == loaded => LoadEdit::Keep,
        LoadPolicy::Bucket | LoadPolicy::Pin | LoadPolicy::Strip => LoadEdit::Set(loaded.clone()),
    }
}

/// The contexts that were asked for lately, by model.
#[derive(Default, Debug)]
pub(super) struct Contexts {
    /// By length: when it was asked for last. Few: powers of two.
    asked: BTreeMap<ModelName, BTreeMap<u64, Time>>,
}

impl Contexts {
    /// Somebody asks for `context` tokens.
    pub(super) fn asked(&mut self, model: &ModelName, context: u64, now: Time) {
        let contexts = self.asked.entry(model.clone()).or_default();
        contexts.retain(|_, last| now.since(*last) < LATELY_US);
        contexts.insert(bucket(context), now);
    }

    /// The longest that was asked for lately.
    pub(super) fn largest(&self, model: &ModelName, now: Time) -> Option<u64> {
        let contexts = self.asked.get(model)?.iter().rev();
        let mut lately = contexts.filter(|(_, last)| now.since(**last) < LATELY_US);
        lately.next().map(|(context, _)| *context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(tokens: u64) -> LoadOptions {
        LoadOptions { context: Some(tokens), ..LoadOptions::default() }
    }

    #[test]
    fn a_context_needs_the_next_power_of_two_and_nothing_else_tells_models_apart() {
        let mut options = context(5000);
        options.others.insert("num_gpu".to_owned(), "20".to_owned());
        assert_eq!(need(LoadPolicy::Bucket, &options), LoadNeed::AtLeast(8192));
        assert_eq!(need(LoadPolicy::Bucket, &context(8192)), LoadNeed::AtLeast(8192));
        assert_eq!(need(LoadPolicy::Bucket, &context(u64::MAX)), LoadNeed::AtLeast(u64::MAX));
        assert_eq!(need(LoadPolicy::Pass, &options), LoadNeed::Exactly(options.clone()));
        assert_eq!(need(LoadPolicy::Pass, &LoadOptions::default()), LoadNeed::Any);
        assert_eq!(need(LoadPolicy::Pin, &options), LoadNeed::Any);
        assert_eq!(need(LoadPolicy::Strip, &options), LoadNeed::Any);
    }

    #[test]
    fn a_cold_model_is_loaded_for_the_longest_context_of_the_last_hour() {
        let (mut contexts, model) = (Contexts::default(), ModelName::new("m"));
        contexts.asked(&model, 30_000, Time(0));
        contexts.asked(&model, 4000, Time(5));
        let largest = |now| contexts.largest(&model, Time(now));
        assert_eq!((largest(5), largest(LATELY_US)), (Some(32_768), Some(4096)));
        assert_eq!(largest(2 * LATELY_US), None);
        let loaded = to_load(LoadPolicy::Bucket, &context(2000), largest(5));
        assert_eq!(loaded, context(32_768));
        assert_eq!(to_load(LoadPolicy::Pin, &context(2000), largest(5)), context(2000));
    }

    #[test]
    fn a_request_is_made_to_say_what_is_loaded() {
        let (small, large) = (context(2000), context(8192));
        assert_eq!(edit(LoadPolicy::Bucket, &small, &large), LoadEdit::Set(large.clone()));
        assert_eq!(edit(LoadPolicy::Bucket, &large, &large), LoadEdit::Keep);
        assert_eq!(edit(LoadPolicy::Pass, &small, &large), LoadEdit::Keep);
        let nothing = LoadOptions::default();
        assert_eq!(edit(LoadPolicy::Strip, &small, &nothing), LoadEdit::Set(nothing));
    }
}
