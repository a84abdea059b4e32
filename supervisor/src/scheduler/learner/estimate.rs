//! The scheduler's estimate of one backend, model and endpoint: seconds per prompt token and per generated token.
//!
//! With few samples it is one number, seconds per weighted token, so that a long answer is not taken for a slow
//! backend; with more it becomes a fit of both, which forgets. It is a function of the latest samples alone, is not
//! carried away by single outliers, and leaves out attempts that seem to have waited for a load nobody asked for.

use std::collections::VecDeque;

use super::sample::{PROMPT_WEIGHT, Sample, Size};

/// Samples looked at.
const WINDOW: usize = 128;
/// How much of its say a sample keeps with each later one.
const FORGETTING: f64 = 0.98;
/// With so many counted samples the fit begins to have a say, and with so many it has all of it.
const BLEND_FROM: f64 = 2.0;
const BLEND_TO: f64 = 8.0;
/// How strongly the fit is drawn to the one number, relative to the samples: enough to decide what they leave open.
const PRIOR: f64 = 1e-3;
/// No sample counts for more than so many times what is usual.
const MOST: f64 = 5.0;
/// From so many samples on a late first byte is a sign of a load.
const FEWEST_TO_JUDGE: usize = 5;
/// Loads shorter than this, in seconds, are not told from noise.
const SHORTEST_LOAD: f64 = 1.0;
/// A first byte that a load held up comes at least so many times later than expected.
const LATE: f64 = 2.0;

/// What a request costs in time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Estimate {
    /// Seconds per prompt token.
    input: f64,
    /// Seconds per generated token.
    output: f64,
    /// Samples that were left out because a load seems to have held them up.
    pub(super) hidden: u32,
    /// Whether the latest sample is one of them.
    pub(super) newest_is_hidden: bool,
}

impl Estimate {
    /// The estimate from the warm ones among `samples` (oldest first); `None` if there is none. `usual` is the
    /// length of those that were not counted; `loads` are the latest attempts that loaded the model.
    pub(super) fn of(samples: &VecDeque<Sample>, usual: Size, loads: &[Sample]) -> Option<Self> {
        let warm = samples.iter().rev().filter(|sample| sample.is_warm()).take(WINDOW);
        let window: Vec<(&Sample, Size)> = warm.map(|sample| (sample, sample.size(usual))).collect();
        let rough = Rough::of(&window)?;
        let late = rough.lateness(&window, loads);
        let mut all = Weighted::default();
        let mut counted = Weighted::default();
        let mut hidden = 0;
        for (sample, size) in &window {
            if late.is_some_and(|late| late.holds(&rough, sample, *size)) {
                hidden += 1;
                continue;
            }
            let seconds = sample.seconds().min(rough.bound(*size));
            all.add(*size, seconds);
            if sample.is_counted {
                counted.add(*size, seconds);
            }
        }
        let newest_is_hidden = samples.back().is_some_and(|newest| {
            newest.is_warm() && late.is_some_and(|late| late.holds(&rough, newest, newest.size(usual)))
        });
        let rate = all.rate()?;
        let (input, output) = counted.blend(rate);
        Some(Self { input, output, hidden, newest_is_hidden })
    }

    /// Expected seconds of a request of this length.
    pub(super) fn seconds(&self, size: Size) -> f64 {
        self.input * size.input + self.output * size.output
    }
}

/// The median of `values`, the lower of two middle ones; `None` if there is none. Leaves them in another order.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len().checked_sub(1)? / 2;
    let (_, median, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*median)
}

/// The median over the samples of what `figure` makes of each.
fn median_of(window: &[(&Sample, Size)], figure: impl Fn(&Sample, Size) -> f64) -> Option<f64> {
    let mut figures: Vec<f64> = window.iter().map(|(sample, size)| figure(sample, *size)).collect();
    median(&mut figures)
}

/// A first look at the samples that no minority of them can spoil.
struct Rough {
    /// Median seconds per weighted token.
    rate: f64,
    /// Median seconds.
    seconds: f64,
}

impl Rough {
    fn of(window: &[(&Sample, Size)]) -> Option<Self> {
        let rate = median_of(window, |sample, size| sample.seconds() / size.weight())?;
        let seconds = median_of(window, |sample, _| sample.seconds())?;
        Some(Self { rate, seconds })
    }

    /// The most that a sample of this length counts for, in seconds.
    fn bound(&self, size: Size) -> f64 {
        MOST * self.seconds.max(self.rate * size.weight())
    }

    /// When the first byte would come, in seconds.
    fn first_byte(&self, sample: &Sample, size: Size) -> f64 {
        let weight = if sample.is_whole() { size.weight() } else { 1.0 + size.input * PROMPT_WEIGHT };
        self.rate * weight
    }

    /// What a late first byte is; `None` where too little is known to say.
    fn lateness(&self, window: &[(&Sample, Size)], loads: &[Sample]) -> Option<Lateness> {
        if window.len() < FEWEST_TO_JUDGE {
            return None;
        }
        let beyond = |load: &Sample| {
            let known = load.is_counted.then(|| self.rate * load.size(Size::UNIT).weight());
            (load.seconds() - known.unwrap_or(self.seconds)).clamp(0.0, load.first_byte())
        };
        let mut loads: Vec<f64> = loads.iter().map(beyond).collect();
        let load = median(&mut loads).filter(|load| *load >= SHORTEST_LOAD)?;
        let factor = median_of(window, |sample, size| sample.first_byte() / self.first_byte(sample, size))?;
        Some(Lateness { factor: factor.max(1.0), load })
    }
}

/// What it takes to call a first byte late.
#[derive(Clone, Copy)]
struct Lateness {
    /// How much later than by the rough rate first bytes usually come.
    factor: f64,
    /// Seconds of a load.
    load: f64,
}

impl Lateness {
    /// Whether a load seems to have held `sample` up.
    fn holds(&self, rough: &Rough, sample: &Sample, size: Size) -> bool {
        // A whole answer of unknown length may just be a long one.
        if sample.is_whole() && !sample.is_counted {
            return false;
        }
        let expected = self.factor * rough.first_byte(sample, size);
        sample.first_byte() > (expected + self.load / 2.0).max(LATE * expected)
    }
}

/// Sums for a weighted fit, fed newest first.
struct Weighted {
    say: f64,
    samples: f64,
    tokens: f64,
    seconds: f64,
    input_input: f64,
    input_output: f64,
    output_output: f64,
    input_seconds: f64,
    output_seconds: f64,
}

impl Default for Weighted {
    fn default() -> Self {
        Self {
            say: 1.0,
            samples: 0.0,
            tokens: 0.0,
            seconds: 0.0,
            input_input: 0.0,
            input_output: 0.0,
            output_output: 0.0,
            input_seconds: 0.0,
            output_seconds: 0.0,
        }
    }
}

impl Weighted {
    fn add(&mut self, size: Size, seconds: f64) {
        let Size { input, output } = size;
        self.samples += 1.0;
        self.tokens += self.say * size.weight();
        self.seconds += self.say * seconds;
        self.input_input += self.say * input * input;
        self.input_output += self.say * input * output;
        self.output_output += self.say * output * output;
        self.input_seconds += self.say * input * seconds;
        self.output_seconds += self.say * output * seconds;
        self.say *= FORGETTING;
    }

    /// Seconds per weighted token; `None` without samples.
    fn rate(&self) -> Option<f64> {
        (self.tokens > 0.0).then(|| self.seconds / self.tokens)
    }

    /// Seconds per prompt token and per generated token: by `rate` with few samples, by the fit with many.
    fn blend(&self, rate: f64) -> (f64, f64) {
        let share = ((self.samples - BLEND_FROM) / (BLEND_TO - BLEND_FROM)).clamp(0.0, 1.0);
        let one_number = (rate * PROMPT_WEIGHT, rate);
        if share <= 0.0 {
            return one_number;
        }
        let fitted = self.fit(one_number);
        let mix = |one: f64, fitted: f64| one + share * (fitted - one);
        (mix(one_number.0, fitted.0), mix(one_number.1, fitted.1))
    }

    /// The least squares fit of both, drawn to `prior`; where one of them would be negative it is zero and the
    /// other explains everything.
    fn fit(&self, prior: (f64, f64)) -> (f64, f64) {
        let (inputs, both, outputs) = (self.input_input, self.input_output, self.output_output);
        let (ridged_inputs, ridged_outputs) = (inputs * (1.0 + PRIOR), outputs * (1.0 + PRIOR));
        let determinant = ridged_inputs * ridged_outputs - both * both;
        if determinant <= 0.0 {
            // No sample had a prompt, or none an answer.
            let alone = |product: f64, square: f64, other: f64| {
                if square > 0.0 { product / square } else { other }
            };
            return (
                alone(self.input_seconds, inputs, prior.0),
                alone(self.output_seconds, outputs, prior.1),
            );
        }
        let input_rest = self.input_seconds - prior.0 * inputs - prior.1 * both;
        let output_rest = self.output_seconds - prior.0 * both - prior.1 * outputs;
        let input = prior.0 + (input_rest * ridged_outputs - output_rest * both) / determinant;
        let output = prior.1 + (output_rest * ridged_inputs - input_rest * both) / determinant;
        if input < 0.0 {
            return (0.0, self.output_seconds / outputs);
        }
        if output < 0.0 {
            return (self.input_seconds / inputs, 0.0);
        }
        (input, output)
    }
}
