//! Each broken promise is named.

use super::super::draw::Flavour;
use super::super::engine::Resident;
use super::*;

/// An instance with two able servers for its first request's model, and the auditor of a run of it, both servers up.
fn with_audit(check: impl FnOnce(&Instance, &mut Audit<'_>, &[Engine<'_>])) {
    let mut instance = Instance::random(1, Flavour::Plain);
    let mut other = instance.servers[0].clone();
    other.name.push('b');
    instance.servers.truncate(1);
    instance.servers.push(other);
    instance.servers.iter_mut().for_each(|server| server.can.fill(true));
    instance.requests.iter_mut().for_each(|job| (job.model, job.client) = (0, 0));
    let setting = Setting::new(Strategy::DeferredModelThenCapable);
    let mut audit = Audit::new(&instance, &setting);
    (0..2).for_each(|server| audit.known_up(server, true));
    let engines: Vec<Engine<'_>> =
        instance.servers.iter().map(|server| Engine::new(server, [0; 3], 0.0)).collect();
    check(&instance, &mut audit, &engines);
}

fn complains(word: &str, found: Result<(), String>) {
    let complaint = found.expect_err("it is wrong");
    assert!(complaint.starts_with(word), "{complaint}");
}

#[test]
fn each_broken_promise_is_named() {
    with_audit(|_, audit, engines| {
        audit.arrived(Time(0), 0);
        audit.arrived(Time(1), 1);
        complains("P6", audit.granted(Time(2), 1, 0, 1, engines));
        complains("P1", audit.granted(Time(2), 0, 0, 2, engines));
        complains("P16", audit.granted(Time(2), 5, 0, 1, engines));
        assert_eq!(audit.granted(Time(2), 0, 0, 1, engines), Ok(()));
        complains("P16", audit.granted(Time(2), 0, 0, 2, engines));
        audit.failed(Time(3), 0, 0, false);
        complains("P13", audit.granted(Time(4), 0, 0, 2, engines));
        assert_eq!(audit.granted(Time(4), 0, 1, 2, engines), Ok(()));
        audit.known_up(1, false);
        complains("P2", audit.granted(Time(4), 1, 1, 1, engines));
        audit.left(1);
        complains("P16", audit.granted(Time(4), 1, 0, 1, engines));
        complains("P1", audit.over(2));
    });
}

#[test]
fn a_model_that_is_waited_for_must_not_go() {
    with_audit(|_, audit, _| {
        let swap = Load { model: 1, evicted: Some(0) };
        audit.arrived(Time(0), 0);
        complains("P5", audit.loaded(Time(1), 0, (swap, Time(1)), |_| None));
        audit.explained(0, 1, "claim_overdue");
        assert_eq!(audit.loaded(Time(1), 0, (swap, Time(1)), |_| None), Ok(()));
    });
}

#[test]
fn a_turn_that_is_claimed_has_paid_for_its_load() {
    with_audit(|_, audit, _| {
        let (first, swap) = (Load { model: 0, evicted: None }, Load { model: 1, evicted: Some(0) });
        let mut ends_at = |end: Time| {
            audit.arrived(Time(0), 0);
            assert_eq!(audit.loaded(Time(0), 0, (first, Time(5_000_000)), |_| None), Ok(()));
            audit.explained(0, 1, "claim_overdue");
            audit.loaded(end, 0, (swap, end), |_| Some(10.0))
        };
        complains("P5", ends_at(Time(60_000_000)));
        assert_eq!(ends_at(Time(86_000_000)), Ok(()), "eight loads after its own");
    });
}

#[test]
fn a_server_rests_for_a_round_trip_at_most() {
    let setting = Setting::new(Strategy::ModelTurns);
    let second = Time(1_000_000);
    with_audit(|instance, _, engines| {
        let mut lingers = Lingers::new(engines.len(), &setting);
        let mut engine = Engine::new(&instance.servers[0], [0; 3], 0.0);
        let rests = |lingers: &mut Lingers, engine: &Engine<'_>, now: Time, oldest: Time| {
            lingers.rests(now, (0, engine), (1, oldest), |_| Some(2.0))
        };
        complains("P12", rests(&mut lingers, &engine, second, Time(0)));
        engine.residents.push(Resident::ready(0));
        assert_eq!(rests(&mut lingers, &engine, second, Time(0)), Ok(()));
        assert_eq!(lingers.begin(Time(4_000_000), engines), Ok(()));
        assert_eq!(rests(&mut lingers, &engine, second, Time(0)), Ok(()));
        complains("P12", lingers.begin(Time(4_100_000), engines));
        complains("P12", rests(&mut lingers, &engine, Time(4_100_000), Time(0)));
        let mut forbidden = Lingers::new(engines.len(), &Setting { knobs: no_linger(), ..setting.clone() });
        complains("P12", rests(&mut forbidden, &engine, second, Time(0)));
    });
}

fn no_linger() -> crate::scheduler::catalog::Knobs {
    crate::scheduler::catalog::Knobs { linger: false, ..Setting::new(Strategy::ModelTurns).knobs }
}

#[test]
fn two_claims_of_one_model_are_one_too_many() {
    let view = |next: &str| BackendView { next: next.to_owned(), ..empty_view() };
    complains(
        "P11",
        claims_are_single(&[view("leaving a for c, waited 4:02"), view("leaving b for c, waited 0:01")]),
    );
    assert_eq!(
        claims_are_single(&[view("leaving a for c, waited 4:02"), view("leaving c for b, waited 0:01")]),
        Ok(())
    );
}

fn empty_view() -> BackendView {
    BackendView {
        name: String::new(),
        kind: ipc_proto::spec::BackendKind::Fake,
        url: String::new(),
        priority: 0,
        health: String::new(),
        reason: String::new(),
        draining: false,
        worker_pid: None,
        generation: 0,
        worker: String::new(),
        slots_used: 0,
        lent: 0,
        slots: 0,
        max_models: None,
        current_model: String::new(),
        loading: false,
        turns: Vec::new(),
        next: String::new(),
        loaded_models: None,
        models: Vec::new(),
        queued: 0,
        failures: 0,
        swaps: 0,
    }
}
