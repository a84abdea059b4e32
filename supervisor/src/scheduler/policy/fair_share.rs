//! `fair_share_round_robin`: like `deferred_model_then_capable`, but after so many requests in a row for one model the
//! oldest request for another has its turn. Without a bound it is the same.

use std::collections::BTreeMap;

use ipc_proto::ids::BackendId;

use super::current::Currents;
use super::deferred::drain;
use super::desk::{Desk, Head};
use super::pull::PullRule;
use super::{Board, News, Reason};
use crate::scheduler::model::ModelIx;

/// The rule, and how many requests in a row each backend has begun for the model it was asked for last.
#[derive(Default, Debug)]
pub(super) struct FairShare {
    rows: BTreeMap<BackendId, (ModelIx, u32)>,
}

impl PullRule for FairShare {
    fn take<'d, 'b>(
        &self,
        board: &Board<'b>,
        _currents: &Currents,
        desk: &'d Desk<'_, 'b>,
    ) -> Option<(&'d Head<'b>, Reason)> {
        let limit = board.knobs().max_consecutive_per_model;
        let in_a_row = self.rows.get(&desk.backend().id).map_or(0, |(_, count)| *count);
        let is_over = limit > 0 && in_a_row >= limit && desk.current().is_some();
        let other = desk.heads().find(|head| !desk.is_current(head.model)).filter(|_| is_over);
        match other {
            // While something runs that would have to leave, nothing more begins: the bound would not hold otherwise.
            Some(other) => desk.fits(other).then_some((other, Reason::Turn)),
            None => drain(desk),
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Dispatched { backend, resident, .. } => {
                let row = self.rows.entry(backend).or_insert((resident, 0));
                let before = if row.0 == resident { row.1 } else { 0 };
                *row = (resident, before.saturating_add(1));
            }
            News::Forgotten { backend } => {
                self.rows.remove(&backend);
            }
            _ => {}
        }
    }
}
