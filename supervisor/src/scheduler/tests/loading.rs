//! Load options: clients that want different contexts share one model in memory.

use dialect::load::{LoadEdit, LoadOptions};
use ipc_proto::control::{LoadedModel, ProbeReport};
use ipc_proto::ids::{ModelName, RequestId};
use ipc_proto::spec::BackendKind;

use super::{House, backend, catalog};
use crate::scheduler::catalog::{Backend, LoadPolicy, Strategy};

fn ollama(name: &str) -> Backend {
    Backend { kind: BackendKind::Ollama, ..backend(name, 1, &["m"]) }
}

fn house(policy: LoadPolicy) -> House {
    let mut under = catalog(vec![ollama("a")]);
    (under.load_options, under.strategy) = (policy, Strategy::ModelTurns);
    House::of(under)
}

fn context(tokens: u64) -> LoadOptions {
    LoadOptions { context: Some(tokens), ..LoadOptions::default() }
}

/// A request with this context has run; what its body was made to say, and whether the model was loaded for it.
fn run(house: &mut House, tokens: Option<u64>) -> (LoadEdit, bool) {
    let mut admission = house.admission("m");
    admission.load = tokens.map(context).unwrap_or_default();
    let id: RequestId = house.admit(admission);
    let ran = (house.lease(id).load, house.record(id).swap);
    house.complete(id);
    ran
}

#[test]
fn two_clients_with_different_contexts_cause_one_load() {
    let mut house = house(LoadPolicy::Bucket);
    assert_eq!(run(&mut house, Some(8000)), (LoadEdit::Set(context(8192)), true));
    for _ in 0..50 {
        assert_eq!(run(&mut house, Some(4096)), (LoadEdit::Set(context(8192)), false));
        assert_eq!(run(&mut house, Some(8192)), (LoadEdit::Keep, false));
        assert_eq!(run(&mut house, None), (LoadEdit::Set(context(8192)), false));
    }
    let counters = house.scheduler.counters();
    assert_eq!((counters.swaps, counters.avoided_reloads), (1, 100));
    assert_eq!(house.view("a").turns[0].context, Some(8192));
    assert_eq!(run(&mut house, Some(9000)), (LoadEdit::Set(context(16_384)), true), "more is needed");
}

#[test]
fn a_policy_decides_what_becomes_of_load_options() {
    let mut pin = house(LoadPolicy::Pin);
    assert_eq!(run(&mut pin, Some(5000)), (LoadEdit::Keep, true));
    assert_eq!(run(&mut pin, Some(9000)), (LoadEdit::Set(context(5000)), false));
    let mut pass = house(LoadPolicy::Pass);
    assert_eq!(run(&mut pass, Some(5000)), (LoadEdit::Keep, true));
    assert_eq!(run(&mut pass, Some(4000)), (LoadEdit::Keep, true));
    let mut strip = house(LoadPolicy::Strip);
    assert_eq!(run(&mut strip, Some(5000)), (LoadEdit::Set(LoadOptions::default()), true));
    assert_eq!(run(&mut strip, None), (LoadEdit::Keep, false));
}

#[test]
fn the_context_that_the_engine_tells_counts() {
    let mut house = house(LoadPolicy::Bucket);
    let loaded = LoadedModel { id: ModelName::new("m"), context: Some(32_768) };
    let report = ProbeReport {
        models: Ok(Vec::new()),
        loaded: Some(vec![loaded]),
        slots: None,
        max_models: None,
        took_us: 0,
    };
    house.told(0, 1, report);
    assert_eq!(run(&mut house, Some(20_000)), (LoadEdit::Set(context(32_768)), false));
}

#[test]
fn engines_without_load_options_are_asked_as_they_are() {
    let mut house = House::with(vec![backend("a", 1, &["m"])]);
    assert_eq!(run(&mut house, Some(8000)), (LoadEdit::Keep, true));
    assert_eq!(run(&mut house, Some(16_000)), (LoadEdit::Keep, false));
}
