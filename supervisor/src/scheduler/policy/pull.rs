//! The strategies that bind nothing: a backend with a free slot looks into the common queue and takes what its rule
//! says. Of several idle backends the best by priority looks first, whatever the others hold.

use std::fmt::Debug;

use ipc_proto::ids::BackendId;

use super::current::Currents;
use super::desk::{Desk, Head, Whose, earlier, opinions};
use super::{Board, Choice, News, Opinion, Policy, Reason};
use crate::clock::Time;
use crate::scheduler::model::ModelIx;

/// What a backend takes.
pub(super) trait PullRule: Debug + Send {
    /// What the backend at `desk` takes now, if anything, and why if it has to load the model for it.
    fn take<'d, 'b>(
        &self,
        board: &Board<'b>,
        currents: &Currents,
        desk: &'d Desk<'_, 'b>,
    ) -> Option<(&'d Head<'b>, Reason)>;

    /// Whether what waits for the model a backend is at comes before what is older.
    fn prefers_current(&self) -> bool {
        true
    }

    /// Something has happened.
    fn hear(&mut self, news: News) {
        let _ = news;
    }
}

/// A strategy that binds nothing.
#[derive(Debug)]
pub(super) struct Pull<R> {
    rule: R,
    currents: Currents,
}

impl<R: PullRule> Pull<R> {
    /// The strategy of `rule`.
    pub(super) fn new(rule: R) -> Self {
        Self { rule, currents: Currents::default() }
    }
}

impl<R: PullRule> Policy for Pull<R> {
    fn heeds_classes(&self) -> bool {
        false
    }

    fn news(&mut self, _board: &Board<'_>, news: News, _now: Time) {
        self.currents.hear(news);
        self.rule.hear(news);
    }

    fn choose(&mut self, board: &Board<'_>, now: Time) -> Choice {
        if !board.is_anything_free() {
            return Choice::Wait { until: None };
        }
        let mut until: Option<Time> = None;
        for backend in board.backends().iter().filter(|backend| backend.takes_more()) {
            let desk = Desk::new(board, backend, self.currents.of(backend), Whose::Own, now);
            if let Some((head, reason)) = self.rule.take(board, &self.currents, &desk) {
                return desk.dispatch(head, reason);
            }
            until = earlier(until, desk.opens());
        }
        Choice::Wait { until }
    }

    fn opinions(&self, board: &Board<'_>, model: ModelIx, _now: Time) -> Vec<(BackendId, Opinion)> {
        opinions(board, model, |backend| self.currents.of(backend).filter(|_| self.rule.prefers_current()))
    }
}
