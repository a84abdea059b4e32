//! What the strategies of old must do, and the defects they must not have any more.

mod all;
mod coverage;
mod fair_share;
mod moves;
mod pulls;
mod pushes;
mod reserves;

use ipc_proto::control::Ending;
use ipc_proto::ids::RequestId;

use super::{House, backend, catalog, cloud};
use crate::scheduler::catalog::{Backend, Catalog, Strategy};

/// Every strategy here.
const ALL: [Strategy; 8] = [
    Strategy::ModelAffinityLeastBusy,
    Strategy::LeastBusy,
    Strategy::RoundRobin,
    Strategy::Random,
    Strategy::DeferredModelThenCapable,
    Strategy::PreserveModelCoverage,
    Strategy::FairShareRoundRobin,
    Strategy::Fifo,
];

/// Those that bind a request when it comes.
const PUSH: [Strategy; 4] =
    [Strategy::ModelAffinityLeastBusy, Strategy::LeastBusy, Strategy::RoundRobin, Strategy::Random];

/// Those whose backends look into a common queue.
const PULL: [Strategy; 4] = [
    Strategy::DeferredModelThenCapable,
    Strategy::PreserveModelCoverage,
    Strategy::FairShareRoundRobin,
    Strategy::Fifo,
];

/// Those under which a backend serves what waits for its model before it changes it. Fair sharing without a bound.
const DRAINING: [Strategy; 6] = [
    Strategy::ModelAffinityLeastBusy,
    Strategy::LeastBusy,
    Strategy::RoundRobin,
    Strategy::DeferredModelThenCapable,
    Strategy::PreserveModelCoverage,
    Strategy::FairShareRoundRobin,
];

/// The rule of `strategy` for these backends.
fn under(strategy: Strategy, backends: Vec<Backend>) -> Catalog {
    Catalog { strategy, ..catalog(backends) }
}

fn house(strategy: Strategy, backends: Vec<Backend>) -> House {
    House::of(under(strategy, backends))
}

/// The same models on backends with these names and priorities.
fn equals(named: &[(&str, i32)], models: &[&str]) -> Vec<Backend> {
    named.iter().map(|(name, priority)| backend(name, *priority, models)).collect()
}

/// `backend` with so many slots.
fn wide(backend: Backend, slots: u32) -> Backend {
    Backend { slots: Some(slots), ..backend }
}

/// Completes what runs of `asked`, one after the other in order of asking, until nothing runs; gives the order in
/// which they ran, counted from 1.
fn order_of_service(house: &mut House, asked: &[RequestId]) -> Vec<usize> {
    let mut served = Vec::new();
    let mut left: Vec<(usize, RequestId)> = (1..).zip(asked.iter().copied()).collect();
    while let Some(at) = left.iter().position(|(_, id)| house.grant_is_live(*id)) {
        let (number, id) = left.remove(at);
        served.push(number);
        house.complete(id);
    }
    assert_eq!(left, [], "everybody is served");
    served
}

/// The only backend is busy with `current` while `models` are asked for; gives the order in which they ran.
fn order_after(catalog: Catalog, current: &str, models: &[&str]) -> Vec<usize> {
    let mut house = House::of(catalog);
    let first = house.ask(current);
    house.begin(first);
    let asked: Vec<RequestId> = models.iter().map(|model| house.ask(model)).collect();
    house.finish(first, Ending::Complete, Some(200));
    house.close(first, 200, None);
    order_of_service(&mut house, &asked)
}

/// The backends that requests ran on, empty for none.
fn places(house: &House, asked: &[RequestId]) -> Vec<String> {
    asked.iter().map(|id| house.place(*id)).collect()
}

/// Has each named backend answer a request for a model, so that it holds it, by way of aliases nobody else uses.
fn warmed(mut catalog: Catalog, holds: &[(u32, &str)]) -> House {
    for (backend, model) in holds {
        catalog = super::house::aliased(catalog, &format!("{model}@{backend}"), model, Some(*backend));
    }
    let mut house = House::of(catalog);
    for (backend, model) in holds {
        let warming = house.ask(&format!("{model}@{backend}"));
        house.complete(warming);
    }
    house
}
