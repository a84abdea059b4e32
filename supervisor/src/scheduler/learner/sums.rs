//! The sums a least squares fit needs, kept as whole numbers: a sample can be taken out again without a trace, so
//! they depend on what is in the ring and on nothing that was in it before.

use super::sample::Sample;

/// Sums over samples: tokens of the prompt, tokens generated, microseconds, and their products.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Sums {
    pub(super) samples: u64,
    pub(super) input: u128,
    pub(super) output: u128,
    pub(super) total: u128,
    pub(super) input_input: u128,
    pub(super) input_output: u128,
    pub(super) output_output: u128,
    pub(super) input_total: u128,
    pub(super) output_total: u128,
    pub(super) total_total: u128,
}

impl Sums {
    fn of(sample: &Sample) -> Self {
        let (input, output) = (u128::from(sample.input), u128::from(sample.output));
        let total = u128::from(sample.total_us);
        Self {
            samples: 1,
            input,
            output,
            total,
            input_input: input * input,
            input_output: input * output,
            output_output: output * output,
            input_total: input * total,
            output_total: output * total,
            total_total: total * total,
        }
    }

    /// Takes `sample` in.
    pub(super) fn add(&mut self, sample: &Sample) {
        *self = self.combine(&Self::of(sample), |all, one| all + one);
    }

    /// Takes `sample` out, which was taken in before.
    pub(super) fn remove(&mut self, sample: &Sample) {
        *self = self.combine(&Self::of(sample), |all, one| all - one);
    }

    /// The sums over both.
    pub(super) fn and(&self, other: &Self) -> Self {
        self.combine(other, |one, another| one + another)
    }

    fn combine(&self, other: &Self, with: fn(u128, u128) -> u128) -> Self {
        let samples = with(self.samples.into(), other.samples.into());
        Self {
            samples: u64::try_from(samples).expect("a ring's length fits"),
            input: with(self.input, other.input),
            output: with(self.output, other.output),
            total: with(self.total, other.total),
            input_input: with(self.input_input, other.input_input),
            input_output: with(self.input_output, other.input_output),
            output_output: with(self.output_output, other.output_output),
            input_total: with(self.input_total, other.input_total),
            output_total: with(self.output_total, other.output_total),
            total_total: with(self.total_total, other.total_total),
        }
    }
}

/// The nearest floating-point number.
#[expect(clippy::cast_precision_loss, reason = "sixteen digits are enough for a time or a count of tokens")]
pub(super) fn real(exact: u128) -> f64 {
    exact as f64
}

/// `one * other - third * fourth`, nearest to the exact result.
pub(super) fn difference(one: u128, other: u128, third: u128, fourth: u128) -> f64 {
    let (minuend, subtrahend) = (one * other, third * fourth);
    if minuend >= subtrahend { real(minuend - subtrahend) } else { -real(subtrahend - minuend) }
}
