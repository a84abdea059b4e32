//! Whether the children still listen: those that have been silent are asked for a sign of life, and one that stays
//! silent is hung, which nobody else would notice while nothing is asked of it.
//!
//! It counts looks, not time: after the whole machine has slept everybody gets the chance to answer first.

use std::collections::BTreeMap;

use crate::children::ChildId;

/// Between two looks, in milliseconds.
pub(crate) const LOOK_EVERY_MS: u64 = 10_000;
/// So many questions in a row may stay unanswered.
const MOST_UNANSWERED: u32 = 3;

/// What a look at a silent child leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Finding {
    /// It is to be asked.
    Ask,
    /// It has been asked often enough.
    Hung,
}

/// The silent children, and how many questions each has left unanswered.
#[derive(Default)]
pub(crate) struct Vigil {
    unanswered: BTreeMap<ChildId, u32>,
}

impl Vigil {
    /// A child has said something.
    pub(crate) fn heard(&mut self, child: ChildId) {
        self.unanswered.remove(&child);
    }

    /// Looks at every child that has a link, and says which are to be asked and which are hung. A child that has
    /// spoken since the last look is left in peace.
    pub(crate) fn look(&mut self, linked: impl Iterator<Item = ChildId>) -> Vec<(ChildId, Finding)> {
        let before = std::mem::take(&mut self.unanswered);
        let mut found = Vec::new();
        for child in linked {
            let asked = before.get(&child).copied();
            self.unanswered.insert(child, asked.map_or(0, |asked| asked + 1));
            match asked {
                None => {}
                Some(asked) if asked < MOST_UNANSWERED => found.push((child, Finding::Ask)),
                Some(_) => found.push((child, Finding::Hung)),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use ipc_proto::ids::{BackendId, WorkerId};

    use super::*;

    fn child(backend: u32) -> ChildId {
        ChildId::Worker(WorkerId { backend: BackendId(backend), generation: 1 })
    }

    #[test]
    fn a_silent_child_is_asked_thrice_and_then_given_up() {
        let mut vigil = Vigil::default();
        let one = || std::iter::once(child(1));
        assert_eq!(vigil.look(one()), [], "it has just come");
        for _ in 0..MOST_UNANSWERED {
            assert_eq!(vigil.look(one()), [(child(1), Finding::Ask)]);
        }
        assert_eq!(vigil.look(one()), [(child(1), Finding::Hung)]);
    }

    #[test]
    fn whoever_speaks_is_left_in_peace_and_whoever_has_gone_is_forgotten() {
        let mut vigil = Vigil::default();
        let both = || [child(1), child(2)].into_iter();
        vigil.look(both());
        assert_eq!(vigil.look(both()), [(child(1), Finding::Ask), (child(2), Finding::Ask)]);
        vigil.heard(child(1));
        assert_eq!(vigil.look(both()), [(child(2), Finding::Ask)]);
        assert_eq!(vigil.look(std::iter::once(child(1))), [(child(1), Finding::Ask)]);
        assert_eq!(vigil.look(both()), [(child(1), Finding::Ask)], "the other begins anew");
    }
}
