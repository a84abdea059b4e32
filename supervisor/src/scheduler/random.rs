//! Chance from a seed: the scheduler's only source of it, so that a run can be repeated.

/// A small generator (splitmix64). Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The generator of `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// `milliseconds`, a fifth more or less, so that what failed together does not come back together.
    pub(super) fn jitter(&mut self, milliseconds: u64) -> u64 {
        let fifth = milliseconds / 5;
        self.between(milliseconds - fifth, milliseconds + fifth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_fifth_and_repeats_with_its_seed() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.jitter(1000)).collect::<Vec<_>>()
        };
        assert!(draw(7).iter().all(|pause| (800..=1200).contains(pause)));
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
