//! The strategies that bind a request to a backend when it comes. The binding lasts as long as the backend can be
//! used: from one that is down, drained or has failed the request it goes to another at once.
//!
//! Where the rule goes by what is busy now, it is asked again on behalf of a backend that has nothing to do: a request
//! that waits elsewhere moves there if the rule would bind it there today. A rule that goes by turn or by lot is not
//! asked twice.

use std::collections::BTreeMap;
use std::fmt::Debug;

use ipc_proto::ids::{BackendId, RequestId};

use super::current::Currents;
use super::deferred::drain;
use super::desk::{Desk, Head, Whose, is_reserve};
use super::{Board, Choice, Newcomer, News, Placement, Policy, Reason};
use crate::clock::Time;
use crate::scheduler::backend::Backend;
use crate::scheduler::lane::{Lane, LaneKey};
use crate::scheduler::model::ModelIx;

/// To whom a request is bound.
pub(super) trait PushRule: Debug + Send {
    /// The one of `fit`, best by priority first and never empty, to which a request for `model` is bound.
    fn bind(&mut self, crowd: &Crowd<'_, '_>, model: ModelIx, fit: &[&Backend]) -> BackendId;

    /// What [`Self::bind`] would say, if the rule goes by what is busy now.
    fn would_bind(&self, crowd: &Crowd<'_, '_>, model: ModelIx, fit: &[&Backend]) -> Option<BackendId> {
        let _ = (crowd, model, fit);
        None
    }

    /// What the backend at `desk` takes of what is bound to it.
    fn take<'d, 'b>(&self, desk: &'d Desk<'_, 'b>) -> Option<&'d Head<'b>> {
        drain(desk).map(|(head, _)| head)
    }
}

/// How busy the backends are.
pub(super) struct Crowd<'a, 'b> {
    board: &'a Board<'b>,
    currents: &'a Currents,
    /// Requests that wait, by the backend they are bound to.
    waiting: BTreeMap<BackendId, usize>,
}

impl<'a, 'b> Crowd<'a, 'b> {
    /// The backends as they are, but for a request that is bound to `absent` and does not count.
    fn new(board: &'a Board<'b>, currents: &'a Currents, absent: Option<BackendId>) -> Self {
        let mut waiting: BTreeMap<BackendId, usize> = BTreeMap::new();
        for (key, lane) in board.lanes() {
            if let Some(bound) = key.bound {
                *waiting.entry(bound).or_default() += lane.len();
            }
        }
        if let Some(waiting) = absent.and_then(|absent| waiting.get_mut(&absent)) {
            *waiting = waiting.saturating_sub(1);
        }
        Self { board, currents, waiting }
    }

    /// What runs on `backend`, and what waits for it.
    pub(super) fn load(&self, backend: &Backend) -> usize {
        backend.grants.len() + self.waiting.get(&backend.id).copied().unwrap_or(0)
    }

    /// Whether `backend` is at `model`.
    pub(super) fn is_at(&self, backend: &Backend, model: ModelIx) -> bool {
        let current = self.currents.of(backend);
        current.is_some_and(|current| self.board.serves(backend, current, model))
    }
}

/// A strategy that binds.
#[derive(Debug)]
pub(super) struct Push<R> {
    rule: R,
    currents: Currents,
}

impl<R: PushRule> Push<R> {
    /// The strategy of `rule`.
    pub(super) fn new(rule: R) -> Self {
        Self { rule, currents: Currents::default() }
    }

    fn desk<'a, 'b>(
        &self,
        board: &'a Board<'b>,
        backend: &'b Backend,
        whose: Whose,
        now: Time,
    ) -> Desk<'a, 'b> {
        Desk::new(board, backend, self.currents.of(backend), whose, now)
    }

    /// The request for which the backend at `desk`, where nobody waits, is the right one today. What waits for the
    /// model it is at comes first.
    fn newly_bound<'d, 'b>(&self, board: &Board<'b>, desk: &'d Desk<'_, 'b>) -> Option<&'d Head<'b>> {
        let mut right = desk.heads().filter(|head| {
            let crowd = Crowd::new(board, &self.currents, head.key.bound);
            let fit = choices(board, &head.lane.candidates, head.avoided);
            desk.fits(head) && self.rule.would_bind(&crowd, head.model, &fit) == Some(desk.backend().id)
        });
        let first = right.next()?;
        if desk.is_current(first.model) {
            return Some(first);
        }
        Some(right.find(|head| desk.is_current(head.model)).unwrap_or(first))
    }
}

impl<R: PushRule> Policy for Push<R> {
    fn heeds_classes(&self) -> bool {
        false
    }

    fn place(&mut self, board: &Board<'_>, newcomer: &Newcomer<'_>) -> Placement {
        let fit = choices(board, newcomer.candidates, newcomer.avoided);
        let crowd = Crowd::new(board, &self.currents, None);
        let bound = (!fit.is_empty()).then(|| self.rule.bind(&crowd, newcomer.lane.model, &fit));
        Placement { at: newcomer.arrived, bound }
    }

    fn news(&mut self, _board: &Board<'_>, news: News, _now: Time) {
        self.currents.hear(news);
    }

    fn choose(&mut self, board: &Board<'_>, now: Time) -> Choice {
        if let Some(request) = misplaced(board) {
            return Choice::Rebind { request };
        }
        let mut until: Option<Time> = None;
        let mut at_leisure = Vec::new();
        for backend in board.backends().iter().filter(|backend| backend.takes_more()) {
            let desk = self.desk(board, backend, Whose::Own, now);
            if let Some(head) = self.rule.take(&desk) {
                return desk.dispatch(head, Reason::Bound);
            }
            if desk.oldest().is_none() {
                at_leisure.push(*backend);
            }
            until = [until, desk.opens()].into_iter().flatten().min();
        }
        for backend in at_leisure {
            let desk = self.desk(board, backend, Whose::Others, now);
            let head =
                if is_reserve(backend) { desk.oldest_that_fits() } else { self.newly_bound(board, &desk) };
            if let Some(head) = head {
                return desk.dispatch(head, Reason::Idle);
            }
            until = [until, desk.opens()].into_iter().flatten().min();
        }
        Choice::Wait { until }
    }
}

/// The backends among which a request may be bound now, best first: those that can be used, without the one that
/// failed it and without reserves as long as others are left.
fn choices<'b>(board: &Board<'b>, candidates: &[BackendId], avoided: Option<BackendId>) -> Vec<&'b Backend> {
    let mut fit: Vec<&Backend> =
        candidates.iter().filter_map(|id| board.backend(*id)).filter(|backend| backend.is_open()).collect();
    keep_if_any(&mut fit, |backend| avoided != Some(backend.id));
    keep_if_any(&mut fit, |backend| !is_reserve(backend));
    fit
}

fn keep_if_any(fit: &mut Vec<&Backend>, wanted: impl Fn(&Backend) -> bool) {
    if fit.iter().any(|backend| wanted(backend)) {
        fit.retain(|backend| wanted(backend));
    }
}

/// A request that is not bound, or to a backend that is none of its choices, although it has choices.
fn misplaced(board: &Board<'_>) -> Option<RequestId> {
    board.lanes().find_map(|(key, lane)| {
        let content =
            lane.next(|avoided| avoided.is_none()).filter(|_| !is_well_placed(board, key, lane, None));
        let averse = || {
            lane.next(|avoided| avoided.is_some())?;
            let mut groups = lane.candidates.iter().copied().map(Some);
            groups.find_map(|avoided| {
                lane.next(|other| other == avoided).filter(|_| !is_well_placed(board, key, lane, avoided))
            })
        };
        content.or_else(averse).map(|(_, waiter)| waiter.request)
    })
}

/// Whether those of `lane` that avoid `avoided` are bound to one of their choices, or have none.
fn is_well_placed(board: &Board<'_>, key: &LaneKey, lane: &Lane, avoided: Option<BackendId>) -> bool {
    let bound =
        key.bound.filter(|bound| lane.candidates.contains(bound)).and_then(|bound| board.backend(bound));
    if bound.is_some_and(|bound| bound.is_open() && !is_reserve(bound) && avoided != Some(bound.id)) {
        return true;
    }
    let fit = choices(board, &lane.candidates, avoided);
    fit.is_empty() || fit.iter().any(|backend| key.bound == Some(backend.id))
}
