//! The strategies that bind a request to a backend when it comes. The binding lasts as long as the backend can be
//! used: from one that is down, drained or has failed the request it goes to another at once.
//!
//! Where the rule goes by what is busy now, it is asked again on behalf of a backend that has nothing to do: a request
//! that waits elsewhere moves there if the rule would bind it there today. A rule that goes by turn or by lot is not
//! asked twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use ipc_proto::ids::{BackendId, RequestId};

use super::current::Currents;
use super::deferred::drain;
use super::desk::{Desk, Head, Whose, earlier, is_reserve, opinions};
use super::{Board, Choice, Newcomer, News, Opinion, Placement, Policy, Reason};
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

    /// Whether what waits for the model a backend is at comes before what is older.
    fn prefers_current(&self) -> bool {
        true
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
    /// The backend to which a request is bound that is asked about, and does not count.
    absent: Option<BackendId>,
}

impl<'a, 'b> Crowd<'a, 'b> {
    fn new(board: &'a Board<'b>, currents: &'a Currents) -> Self {
        let mut waiting: BTreeMap<BackendId, usize> = BTreeMap::new();
        for (key, lane) in board.lanes() {
            if let Some(bound) = key.bound {
                *waiting.entry(bound).or_default() += lane.len();
            }
        }
        Self { board, currents, waiting, absent: None }
    }

    /// What runs on `backend`, and what waits for it.
    pub(super) fn load(&self, backend: &Backend) -> usize {
        let waiting = self.waiting.get(&backend.id).copied().unwrap_or(0);
        backend.grants.len() + waiting - usize::from(self.absent == Some(backend.id))
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
    /// Whether every binding has been looked at since some backend has changed.
    is_settled: bool,
}

impl<R: PushRule> Push<R> {
    /// The strategy of `rule`.
    pub(super) fn new(rule: R) -> Self {
        Self { rule, currents: Currents::default(), is_settled: false }
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
    /// model it is at comes first. Of each model only the oldest is asked about: nobody of its model overtakes it.
    fn newly_bound<'d, 'b>(&self, crowd: &mut Crowd<'_, 'b>, desk: &'d Desk<'_, 'b>) -> Option<&'d Head<'b>> {
        let mut asked = BTreeSet::new();
        let mut first = None;
        for head in desk.heads() {
            if !asked.insert(head.model) || !desk.fits(head) {
                continue;
            }
            crowd.absent = head.key.bound;
            let fit = choices(crowd.board, &head.lane.candidates, head.avoided);
            if self.rule.would_bind(crowd, head.model, &fit) != Some(desk.backend().id) {
                continue;
            }
            if desk.is_current(head.model) {
                return Some(head);
            }
            first = first.or(Some(head));
        }
        first
    }

    /// What one of `idle`, where nobody waits, begins of what is bound to others; else when it may.
    fn relieve<'b>(
        &self,
        board: &Board<'b>,
        idle: &[&'b Backend],
        now: Time,
    ) -> Result<Choice, Option<Time>> {
        let mut opens: Option<Time> = None;
        let mut crowd = Crowd::new(board, &self.currents);
        for backend in idle {
            let desk = self.desk(board, backend, Whose::Others, now);
            let head = if is_reserve(backend) {
                desk.oldest_that_fits()
            } else {
                self.newly_bound(&mut crowd, &desk)
            };
            if let Some(head) = head {
                return Ok(desk.dispatch(head, Reason::Idle));
            }
            opens = earlier(opens, desk.opens());
        }
        Err(opens)
    }
}

impl<R: PushRule> Policy for Push<R> {
    fn heeds_classes(&self) -> bool {
        false
    }

    fn place(&mut self, board: &Board<'_>, newcomer: &Newcomer<'_>) -> Placement {
        let fit = choices(board, newcomer.candidates, newcomer.avoided);
        let crowd = Crowd::new(board, &self.currents);
        let bound = (!fit.is_empty()).then(|| self.rule.bind(&crowd, newcomer.lane.model, &fit));
        Placement { at: newcomer.arrived, bound }
    }

    fn news(&mut self, _board: &Board<'_>, news: News, _now: Time) {
        self.is_settled &= news != News::Surveyed;
        self.currents.hear(news);
    }

    fn choose(&mut self, board: &Board<'_>, now: Time) -> Choice {
        if !self.is_settled
            && let Some(request) = misplaced(board)
        {
            return Choice::Rebind { request };
        }
        self.is_settled = true;
        debug_assert_eq!(misplaced(board), None, "bindings change with the backends alone");
        let mut until: Option<Time> = None;
        let mut idle = Vec::new();
        for backend in board.backends().iter().filter(|backend| backend.takes_more()) {
            let desk = self.desk(board, backend, Whose::Own, now);
            if let Some(head) = self.rule.take(&desk) {
                return desk.dispatch(head, Reason::Bound);
            }
            if desk.oldest().is_none() {
                idle.push(*backend);
            }
            until = earlier(until, desk.opens());
        }
        if idle.is_empty() {
            return Choice::Wait { until };
        }
        let relief = self.relieve(board, &idle, now);
        relief.unwrap_or_else(|opens| Choice::Wait { until: earlier(until, opens) })
    }

    fn opinions(&self, board: &Board<'_>, model: ModelIx, _now: Time) -> Vec<(BackendId, Opinion)> {
        opinions(board, model, |backend| self.currents.of(backend).filter(|_| self.rule.prefers_current()))
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
