//! Chance for simulated worlds: from a seed, or from the name of the very thing that is drawn.
//!
//! A draw by name is the same whatever else was drawn before, so that two strategies meet the same world: the third
//! load of a model on a server takes equally long under both.

/// A generator (splitmix64). Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The generator of a thing, named by numbers.
    pub(crate) fn named(name: &[u64]) -> Self {
        let mut dice = Self(0x6a09_e667_f3bc_c908);
        for part in name {
            dice.0 ^= part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            dice.0 = dice.next();
        }
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to 1, 1 excluded.
    pub(crate) fn unit(&mut self) -> f64 {
        // 32 bits are enough for worlds, and exact as a float.
        let bits = u32::try_from(self.next() >> 32).expect("32 bits are left");
        f64::from(bits) / 4_294_967_296.0
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A number from `low` to `high` whose logarithm is evenly spread.
    pub(crate) fn log_between(&mut self, low: f64, high: f64) -> f64 {
        (self.between(low.ln(), high.ln())).exp()
    }

    /// A whole number from `low` to `high`, both included.
    pub(crate) fn whole(&mut self, low: u32, high: u32) -> u32 {
        let spread = u64::from(high - low) + 1;
        low + u32::try_from((self.next() >> 11) % spread).expect("less than the spread")
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// The index of one of `weights`, each as likely as it weighs.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }

    /// A waiting time with this mean, of a thing that happens at any moment alike.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// A factor around 1: lognormal, with mean 1 and coefficient of variation `cv`.
    pub(crate) fn noise(&mut self, cv: f64) -> f64 {
        let variance = (1.0 + cv * cv).ln();
        // Box and Muller's transform of two even numbers into a normal one.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.unit()).cos();
        (normal * variance.sqrt() - variance / 2.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_mean_one_and_the_spread_it_is_given() {
        let mut dice = Dice::named(&[3]);
        let draws: Vec<f64> = (0..20_000).map(|_| dice.noise(0.15)).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!((mean - 1.0).abs() < 0.01 && (variance.sqrt() - 0.15).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn a_thing_is_drawn_alike_whenever_it_is_drawn() {
        assert_eq!(Dice::named(&[1, 2, 3]).next(), Dice::named(&[1, 2, 3]).next());
        assert_ne!(Dice::named(&[1, 2, 3]).next(), Dice::named(&[1, 3, 2]).next());
    }
}
