//! Slots lent ahead of requests: when, to whom, how they are used, and how they come back.

use dialect::Usage;
use ipc_proto::control::{Class, Ending, Finished, StandingGrant, ToFrontend, ToWorker};
use ipc_proto::failure::{Failure, FailureKind};
use ipc_proto::ids::{BackendId, GrantId, RequestId, WorkerId};
use ipc_proto::operator::RequestState;

use super::house::{FRONTEND, House, aliased, backend, catalog, cloud};
use crate::scheduler::catalog::Backend;
use crate::scheduler::{Effect, Event, Order};

fn worker(generation: u32) -> WorkerId {
    WorkerId { backend: BackendId(0), generation }
}

fn lent(house: &House) -> Vec<StandingGrant> {
    let lent = |effect: &Effect| match effect {
        Effect::ToFrontend(FRONTEND, ToFrontend::Lent(loan)) => Some((**loan).clone()),
        _ => None,
    };
    house.seen.iter().filter_map(lent).collect()
}

/// The recalls sent to workers since anybody looked.
fn recalled(house: &mut House) -> Vec<GrantId> {
    let recalled = |effect: &Effect| match effect {
        Effect::ToWorker(_, ToWorker::Recall { grant }) => Some(*grant),
        _ => None,
    };
    let recalled = house.seen.iter().filter_map(recalled).collect();
    house.seen.clear();
    recalled
}

/// A house in which a request for `m` has just been served, and what was lent then.
fn after_one(backends: Vec<Backend>) -> (House, Option<StandingGrant>) {
    let mut house = House::with(backends);
    let first = house.ask("m");
    house.complete(first);
    let loan = lent(&house).pop();
    house.seen.clear();
    (house, loan)
}

fn with_a_loan() -> (House, StandingGrant) {
    let (house, loan) = after_one(vec![cloud("a", 1, &["m", "n"])]);
    (house, loan.expect("a slot is lent"))
}

fn ask_under(house: &mut House, grant: GrantId) -> RequestId {
    let mut admission = house.admission("m");
    admission.under = Some(grant);
    house.admit(admission)
}

fn finish(house: &mut House, grant: GrantId, ending: Ending) {
    let finished = Finished {
        grant,
        ending,
        usage: Usage { input_tokens: Some(3), ..Usage::default() },
        upstream_status: Some(200),
        first_byte_us: Some(700),
        total_us: 900,
        bytes_received: 5,
        warnings: String::new(),
    };
    house.tell(Event::Finished { worker: worker(1), finished: Box::new(finished) });
}

fn is_granted(house: &House) -> bool {
    house.seen.iter().any(|effect| matches!(effect, Effect::ToFrontend(_, ToFrontend::Granted(_))))
}

/// Something that befalls a house with this loan.
type Happening = fn(&mut House, &StandingGrant);

/// Slots of `a` used and lent.
fn slots(house: &House) -> (u32, u32) {
    (house.view("a").slots_used, house.view("a").lent)
}

#[test]
fn a_slot_is_lent_for_exactly_what_has_just_been_let_through() {
    let mut house = House::of(aliased(catalog(vec![cloud("a", 1, &["m"])]), "alias", "m", None));
    let first = house.ask("alias");
    house.complete(first);
    let [loan] = &lent(&house)[..] else { panic!("one slot is lent") };
    assert_eq!((loan.model.as_str(), loan.worker), ("alias", worker(1)));
    assert_eq!(loan.upstream_model.as_ref().map(ToString::to_string).as_deref(), Some("m"));
    assert_eq!(slots(&house), (0, 1));
}

#[test]
fn nothing_is_lent_where_there_is_something_to_decide() {
    let nothing = |backends: Vec<Backend>, why: &str| assert_eq!(after_one(backends).1, None, "{why}");
    nothing(vec![backend("a", 1, &["m"])], "it changes models");
    nothing(vec![cloud("a", 1, &["m"]), cloud("b", 2, &["m"])], "there is another for the model");
    let shared = vec![cloud("a", 1, &["m", "n"]), cloud("b", 2, &["n"])];
    nothing(shared, "a loan would send somebody who asks for n to the worse backend");

    let mut house = House::with(vec![cloud("a", 1, &["m"])]);
    let failed = house.ask("m");
    house.fail_with(failed, FailureKind::ServerError);
    assert_eq!(lent(&house), [], "it failed");
    let running: Vec<_> = (0..3).map(|_| house.ask("m")).collect();
    house.pass(2000);
    house.complete(running[0]);
    assert_eq!(lent(&house).len(), 0, "the last slot stays for somebody else");
    house.complete(running[1]);
    assert_eq!(lent(&house).len(), 1);
    house.tell(Event::Stop);
    house.complete(running[2]);
    assert_eq!(lent(&house).len(), 1, "the instance is stopping");
}

#[test]
fn nothing_is_lent_for_a_request_that_says_how_it_wants_to_be_treated() {
    let mut house = House::with(vec![cloud("a", 1, &["m"])]);
    let mut classed = house.admission("m");
    classed.class = Some(Class::default());
    let mut loading = house.admission("m");
    loading.load.context = Some(8192);
    for admission in [classed, loading] {
        let id = house.admit(admission);
        house.complete(id);
        assert_eq!(lent(&house), []);
    }
}

#[test]
fn a_frontend_holds_no_more_than_sixteen() {
    let many = Backend { slots: Some(30), ..cloud("a", 1, &["m"]) };
    let mut house = House::with(vec![many]);
    let running: Vec<_> = (0..20).map(|_| house.ask("m")).collect();
    for request in running {
        house.complete(request);
    }
    assert_eq!(slots(&house), (0, 16));
}

#[test]
fn a_used_loan_is_the_grant_of_its_request() {
    let (mut house, loan) = with_a_loan();
    let id = ask_under(&mut house, loan.grant);
    assert!(!is_granted(&house), "nothing is said");
    assert_eq!(slots(&house), (1, 0));
    let record = house.record(id);
    assert_eq!((record.state, record.attempts, record.queue_us), (RequestState::Running, 1, Some(0)));
    assert_eq!((record.backend.as_str(), record.started_unix_us), ("a", Some(record.arrived_unix_us)));
    house.tell(Event::Started { worker: worker(1), grant: loan.grant });
    finish(&mut house, loan.grant, Ending::Complete);
    assert_eq!((slots(&house), lent(&house).len()), ((0, 1), 1), "the next one is lent");
    house.close(id, 200, None);
    let ended = house.ended();
    assert_eq!((ended[0].state, ended[0].input_tokens), (RequestState::Completed, Some(3)));
}

#[test]
fn what_ends_before_its_request_is_known_is_remembered_for_it() {
    let (mut house, loan) = with_a_loan();
    house.tell(Event::Started { worker: worker(1), grant: loan.grant });
    house.tell(Event::Begun { worker: worker(1), grant: loan.grant, first_byte_us: 9 });
    assert_eq!(slots(&house), (1, 0));
    finish(&mut house, loan.grant, Ending::Complete);
    assert_eq!((slots(&house), lent(&house).len()), ((0, 1), 1), "its slot is free, and lent again");
    let id = ask_under(&mut house, loan.grant);
    assert_eq!((slots(&house), house.record(id).input_tokens), ((0, 1), Some(3)));
    house.close(id, 200, None);
    let ended = house.ended();
    assert_eq!((ended[0].state, ended[0].attempts, ended[0].queue_us), (RequestState::Completed, 1, Some(0)));
    assert!(!is_granted(&house));
}

#[test]
fn a_failure_under_a_loan_is_tried_again_like_any_other() {
    let (mut house, loan) = with_a_loan();
    let failure = Failure::new(FailureKind::ServerError, "it broke");
    finish(&mut house, loan.grant, Ending::Failed(failure.clone()));
    let id = ask_under(&mut house, loan.grant);
    house.tell(Event::AttemptFailed { frontend: FRONTEND, request: id, grant: loan.grant, failure });
    assert_eq!(house.view("a").failures, 1, "blamed once");
    house.pass(2000);
    assert_eq!((house.place(id).as_str(), house.record(id).attempts), ("a", 2));
}

#[test]
fn a_loan_that_has_lapsed_makes_an_ordinary_request() {
    let (mut house, loan) = with_a_loan();
    house.pass(12_000);
    assert_eq!(recalled(&mut house), [loan.grant]);
    assert_eq!(slots(&house), (0, 1), "only the worker frees it");
    finish(&mut house, loan.grant, Ending::NeverStarted);
    assert_eq!(slots(&house), (0, 0));
    let id = ask_under(&mut house, loan.grant);
    let (_, grant) = house.grant_of(id);
    assert_ne!(grant, loan.grant);
    let failure = Failure::new(FailureKind::GrantLapsed, "taken back");
    house.tell(Event::AttemptFailed { frontend: FRONTEND, request: id, grant: loan.grant, failure });
    assert_eq!((house.grant_of(id).1, house.record(id).attempts), (grant, 1), "it is not news");
    house.complete(id);
    assert_eq!(house.ended()[0].state, RequestState::Completed);
}

#[test]
fn a_recall_that_comes_too_late_changes_nothing() {
    let (mut house, loan) = with_a_loan();
    house.pass(12_000);
    house.tell(Event::Started { worker: worker(1), grant: loan.grant });
    house.pass(60_000);
    assert_eq!(slots(&house), (1, 0), "the worker lives, and the attempt goes on");
    let id = ask_under(&mut house, loan.grant);
    finish(&mut house, loan.grant, Ending::Complete);
    house.close(id, 200, None);
    assert_eq!(house.ended()[0].state, RequestState::Completed);
}

#[test]
fn a_recall_that_wins_the_race_lapses_the_grant_it_became() {
    let (mut house, loan) = with_a_loan();
    house.pass(12_000);
    let id = ask_under(&mut house, loan.grant);
    finish(&mut house, loan.grant, Ending::NeverStarted);
    let failure = Failure::new(FailureKind::GrantLapsed, "taken back");
    house.tell(Event::AttemptFailed { frontend: FRONTEND, request: id, grant: loan.grant, failure });
    assert_ne!(house.grant_of(id).1, loan.grant, "it is granted anew, at once");
    assert_eq!(house.record(id).attempts, 1);
}

#[test]
fn who_waits_gets_what_is_lent() {
    let (mut house, loan) = with_a_loan();
    let running: Vec<_> = (0..4).map(|_| house.ask("n")).collect();
    assert!(running[..3].iter().all(|id| house.runs(*id)));
    assert!(!house.runs(running[3]));
    assert_eq!(recalled(&mut house), [loan.grant]);
    finish(&mut house, loan.grant, Ending::NeverStarted);
    assert!(house.runs(running[3]));
    assert_eq!(slots(&house), (4, 0));
}

#[test]
fn a_loan_goes_back_with_what_it_rests_on() {
    let cases: [(&str, Happening); 5] = [
        ("drained", |house, _| {
            house.order(Order::Drain { backend: "a".to_owned() }).unwrap();
        }),
        ("replaced", |house, _| {
            house.order(Order::Restart { backend: "a".to_owned() }).unwrap();
        }),
        ("down", |house, _| {
            let id = house.ask("n");
            house.fail_with(id, FailureKind::Unreachable);
        }),
        ("returned", |house, loan| house.tell(Event::Returned { frontend: FRONTEND, grant: loan.grant })),
        ("stopped", |house, _| house.tell(Event::Stop)),
    ];
    for (what, happens) in cases {
        let (mut house, loan) = with_a_loan();
        happens(&mut house, &loan);
        assert_eq!(recalled(&mut house), [loan.grant], "{what}");
    }
}

#[test]
fn another_catalog_takes_everything_back() {
    let (mut house, loan) = with_a_loan();
    let both = catalog(vec![cloud("a", 1, &["m", "n"]), cloud("b", 2, &["n"])]);
    house.tell(Event::Reconfigured(std::sync::Arc::new(both)));
    assert_eq!(recalled(&mut house), [loan.grant]);
}

#[test]
fn a_lost_frontend_leaves_no_loan_behind() {
    let (mut house, unused) = with_a_loan();
    let second = house.ask("m");
    house.complete(second);
    let used = lent(&house).pop().expect("another");
    house.tell(Event::Started { worker: worker(1), grant: used.grant });
    house.tell(Event::FrontendGone { frontend: FRONTEND });
    for loan in [&unused, &used] {
        let is_it = |effect: &Effect| matches!(effect, Effect::ToWorker(_, ToWorker::Revoke { grant }) if *grant == loan.grant);
        assert!(house.seen.iter().any(is_it), "{:?}", loan.grant);
    }
    finish(&mut house, unused.grant, Ending::NeverStarted);
    finish(&mut house, used.grant, Ending::Cancelled);
    assert_eq!(slots(&house), (0, 0));
}

#[test]
fn a_worker_that_does_not_answer_a_recall_is_ended() {
    let (mut house, _) = with_a_loan();
    house.pass(12_000);
    house.seen.clear();
    house.pass(5000);
    assert!(house.seen.iter().any(|effect| *effect == Effect::KillWorker(worker(1))));
}

#[test]
fn a_dead_worker_takes_its_loans_along() {
    let (mut house, unused) = with_a_loan();
    let second = house.ask("m");
    house.complete(second);
    let used = lent(&house).pop().expect("another");
    house.tell(Event::Started { worker: worker(1), grant: used.grant });
    house.tell(Event::WorkerGone { worker: worker(1) });
    assert_eq!(slots(&house), (0, 0));
    house.pass(2000);
    house.worker_starts(worker(2));
    // Nobody is known to have come with this one: it waits for nobody's failure.
    let first = ask_under(&mut house, unused.grant);
    assert_eq!(house.grant_of(first).0, worker(2));
    // This one ran: what becomes of it is its frontend's to say.
    let second = ask_under(&mut house, used.grant);
    assert_eq!((house.runs(second), house.place(second)), (true, String::new()));
    let failure = Failure::new(FailureKind::WorkerLost, "gone");
    house.tell(Event::AttemptFailed { frontend: FRONTEND, request: second, grant: used.grant, failure });
    house.pass(2000);
    assert_eq!((house.grant_of(second).0, house.record(second).attempts), (worker(2), 2));
}

#[test]
fn what_came_under_a_loan_is_explained_by_it() {
    let (mut house, loan) = with_a_loan();
    let id = ask_under(&mut house, loan.grant);
    let explained = house.scheduler.explain(house.now, &id.to_string()).unwrap();
    let [decision] = &explained.decisions[..] else { panic!("{explained:?}") };
    assert_eq!((decision.chosen.as_str(), decision.reason.as_str()), ("a", "loaded"));
    assert!(decision.candidates[0].verdict.starts_with("lent a slot ahead"), "{decision:?}");
    let (mut house, _) = with_a_loan();
    let asked = house.ask("m");
    let explained = house.scheduler.explain(house.now, &asked.to_string()).unwrap();
    assert!(explained.decisions.iter().all(|it| !it.candidates[0].verdict.starts_with("lent")));
}
