//! `deferred_model_then_capable`: a backend serves what waits for the model it is at, oldest first; with nothing left
//! it takes the oldest request it can serve. Another model may wait for ever.

use super::current::Currents;
use super::desk::{Desk, Head};
use super::pull::PullRule;
use super::{Board, Reason};

/// The rule; it remembers nothing.
#[derive(Debug)]
pub(super) struct Deferred;

impl PullRule for Deferred {
    fn take<'d, 'b>(
        &self,
        _board: &Board<'b>,
        _currents: &Currents,
        desk: &'d Desk<'_, 'b>,
    ) -> Option<(&'d Head<'b>, Reason)> {
        drain(desk)
    }
}

/// The oldest for the model the backend is at, else the oldest of all it can begin.
pub(super) fn drain<'d, 'b>(desk: &'d Desk<'_, 'b>) -> Option<(&'d Head<'b>, Reason)> {
    let head = desk.oldest_of_current().or_else(|| desk.oldest_that_fits());
    head.map(|head| (head, Reason::Switch))
}
