//! `preserve_model_coverage`: a backend takes the oldest request it can serve, unless that would unload the last copy
//! of a model for which somebody waits.
//!
//! A copy is one on a backend that swaps and can be used: what need not be loaded needs no copy.

use super::current::Currents;
use super::deferred::drain;
use super::desk::{Desk, Head};
use super::pull::PullRule;
use super::{Board, Reason};
use crate::scheduler::model::ModelIx;

/// The rule; it remembers nothing.
#[derive(Debug)]
pub(super) struct Coverage;

impl PullRule for Coverage {
    fn take<'d, 'b>(
        &self,
        board: &Board<'b>,
        currents: &Currents,
        desk: &'d Desk<'_, 'b>,
    ) -> Option<(&'d Head<'b>, Reason)> {
        let head = desk.oldest()?;
        let covers_nothing = match desk.current() {
            Some(current) if !desk.is_current(head.model) => has_other_copy(board, currents, desk, current),
            _ => true,
        };
        if covers_nothing && desk.fits(head) { Some((head, Reason::Turn)) } else { drain(desk) }
    }
}

/// Whether another backend that can be used is at `model`, too.
fn has_other_copy(board: &Board<'_>, currents: &Currents, desk: &Desk<'_, '_>, model: ModelIx) -> bool {
    let own = desk.backend().id;
    let mut others =
        board.backends().iter().filter(|other| other.id != own && other.swaps() && other.is_open());
    others.any(|other| currents.of(other).is_some_and(|current| board.serves(other, current, model)))
}
