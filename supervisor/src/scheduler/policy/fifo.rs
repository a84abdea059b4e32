//! `fifo`: strictly by arrival, whatever is loaded. Nobody overtakes on a backend, also not to fill a free slot: the
//! yardstick for the other strategies.

use super::current::Currents;
use super::desk::{Desk, Head};
use super::pull::PullRule;
use super::{Board, Reason};

/// The rule; it remembers nothing.
#[derive(Debug)]
pub(super) struct Fifo;

impl PullRule for Fifo {
    fn take<'d, 'b>(
        &self,
        _board: &Board<'b>,
        _currents: &Currents,
        desk: &'d Desk<'_, 'b>,
    ) -> Option<(&'d Head<'b>, Reason)> {
        desk.oldest().filter(|head| desk.fits(head)).map(|head| (head, Reason::Turn))
    }

    fn prefers_current(&self) -> bool {
        false
    }
}
