//! The published fit: time = load + prompt tokens x time each + generated tokens x time each, nothing below zero.
//!
//! A non-negative least squares fit with a small ridge. The load is estimated from what loading attempts took
//! beyond the speeds of the others as soon as there are two others; a joint fit of all three tends to call the load
//! zero when there are few loads.

use super::sums::{Sums, difference, real};

/// Added to the diagonal of every normal matrix: columns that say the same share what they explain.
const RIDGE: f64 = 1e-4;
/// A determinant below this is zero, absolutely or relative to the product of the diagonal.
const SINGULAR: f64 = 1e-12;
/// Residuals below this share of the sum of squares are rounding, not noise.
const ROUNDING: f64 = 1e-13;
/// Fewer observations than this give no fit.
const FEWEST: u64 = 3;
/// From here on the fit explains enough of the variance to be called good.
const GOOD: f64 = 0.7;
/// The half-width of a 95 % interval, in standard errors.
const NORMAL_95: f64 = 1.96;
const US_PER_MS: f64 = 1000.0;

/// Load, prompt token, generated token: in this order everywhere in this file.
type Three = [f64; 3];
const LOAD: usize = 0;
const INPUT: usize = 1;
const OUTPUT: usize = 2;

/// What a model's time on a backend is made of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Fit {
    /// Milliseconds of a load, of a prompt token, of a generated token.
    pub(super) costs: Three,
    /// Whether the load is one of the coefficients.
    with_load: bool,
}

/// How good a fit is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Quality {
    /// The share of the variance it explains, 0 to 1.
    pub(super) r_squared: f64,
    /// Half-widths of the 95 % intervals of the costs, in milliseconds; 0: unknown. `None`: no interval at all.
    pub(super) intervals: Option<Three>,
}

impl Quality {
    /// The word for it.
    pub(super) fn as_str(&self) -> &'static str {
        if self.r_squared >= GOOD { "good" } else { "degraded" }
    }
}

impl Fit {
    /// The fit to the samples without a load and with one; `None` if there are too few.
    pub(super) fn of(clean: &Sums, loaded: &Sums) -> Option<Self> {
        if clean.samples + loaded.samples < FEWEST {
            return None;
        }
        let (costs_us, with_load) = if loaded.samples == 0 {
            let (input, output) = speeds(clean);
            ([0.0, input, output], false)
        } else if clean.samples >= 2 {
            let (input, output) = speeds(clean);
            let beyond = real(loaded.total) - input * real(loaded.input) - output * real(loaded.output);
            ([(beyond / real(loaded.samples.into())).max(0.0), input, output], true)
        } else {
            (Normal::of(clean, loaded).non_negative(), true)
        };
        let costs = costs_us.map(|cost| if cost.is_nan() { 0.0 } else { cost.max(0.0) / US_PER_MS });
        Some(Self { costs, with_load })
    }

    /// Expected milliseconds; 0: no idea.
    pub(super) fn predict(&self, input: f64, output: f64, loaded: bool) -> f64 {
        let load = if loaded { self.costs[LOAD] } else { 0.0 };
        load + self.costs[INPUT] * input + self.costs[OUTPUT] * output
    }

    /// How well it describes the samples it was made from.
    pub(super) fn quality(&self, clean: &Sums, loaded: &Sums) -> Quality {
        let normal = Normal::of(clean, loaded);
        let residuals = normal.residuals(self.costs.map(|cost| cost * US_PER_MS));
        let all = clean.and(loaded);
        let samples = real(all.samples.into());
        let spread = difference(all.total_total, all.samples.into(), all.total, all.total) / samples;
        let r_squared = if spread == 0.0 { 1.0 } else { (1.0 - residuals / spread).clamp(0.0, 1.0) };
        let terms = if self.with_load { 3.0 } else { 2.0 };
        let has_intervals = samples > terms && residuals > 0.0;
        let intervals = has_intervals.then(|| normal.inverse_diagonal(self.with_load)).flatten();
        let intervals = intervals.map(|diagonal| {
            let variance = residuals / (samples - terms);
            let half = |term: usize| {
                let known = self.costs[term] > 0.0 && diagonal[term] > 0.0;
                if known { NORMAL_95 * (variance * diagonal[term]).sqrt() / US_PER_MS } else { 0.0 }
            };
            [half(LOAD), half(INPUT), half(OUTPUT)]
        });
        Quality { r_squared, intervals }
    }
}

/// Half the width of the interval of a speed, in tokens per second, from `per_second` and the half-width of the
/// milliseconds per token; 0: unknown. Where the interval reaches zero time it is as wide as the speed itself.
pub(super) fn speed_interval(per_second: f64, half_width_ms: f64) -> f64 {
    if per_second <= 0.0 || half_width_ms <= 0.0 {
        return 0.0;
    }
    let token_ms = 1000.0 / per_second;
    if token_ms <= half_width_ms {
        return per_second;
    }
    (1000.0 / (token_ms - half_width_ms) - 1000.0 / (token_ms + half_width_ms)) / 2.0
}

/// Microseconds per prompt token and per generated token, both at least zero.
fn speeds(sums: &Sums) -> (f64, f64) {
    let (inputs, both, outputs) = (sums.input_input, sums.input_output, sums.output_output);
    let (by_input, by_output) = (sums.input_total, sums.output_total);
    let determinant =
        difference(inputs, outputs, both, both) + RIDGE * real(inputs + outputs) + RIDGE * RIDGE;
    let input = (difference(by_input, outputs, by_output, both) + RIDGE * real(by_input)) / determinant;
    let output = (difference(by_output, inputs, by_input, both) + RIDGE * real(by_output)) / determinant;
    if input >= 0.0 && output >= 0.0 {
        return (input, output);
    }
    let alone = |by: u128, squares: u128| real(by) / (real(squares) + RIDGE);
    let candidates = [(0.0, alone(by_output, outputs)), (alone(by_input, inputs), 0.0), (0.0, 0.0)];
    let normal = Normal::of(sums, &Sums::default());
    best(candidates.map(|(input, output)| [0.0, input, output]).into_iter(), &normal)
        .map_or((0.0, 0.0), |costs| (costs[INPUT], costs[OUTPUT]))
}

/// The candidate with the smallest residuals; of equals the first.
fn best(candidates: impl Iterator<Item = Three>, normal: &Normal) -> Option<Three> {
    let mut least: Option<(f64, Three)> = None;
    for candidate in candidates {
        let residuals = normal.residuals(candidate);
        if least.is_none_or(|(so_far, _)| residuals < so_far) {
            least = Some((residuals, candidate));
        }
    }
    least.map(|(_, candidate)| candidate)
}

/// The normal equations over all three columns, without the ridge.
struct Normal {
    matrix: [Three; 3],
    right: Three,
    squares: f64,
}

impl Normal {
    fn of(clean: &Sums, loaded: &Sums) -> Self {
        let all = clean.and(loaded);
        let (input, output) = (real(loaded.input), real(loaded.output));
        let both = real(all.input_output);
        Self {
            matrix: [
                [real(loaded.samples.into()), input, output],
                [input, real(all.input_input), both],
                [output, both, real(all.output_output)],
            ],
            right: [real(loaded.total), real(all.input_total), real(all.output_total)],
            squares: real(all.total_total),
        }
    }

    /// The sum of squared differences under these costs.
    fn residuals(&self, costs: Three) -> f64 {
        let mut sum = self.squares;
        for (row, cost) in costs.into_iter().enumerate() {
            let product: f64 = self.matrix[row].iter().zip(costs).map(|(entry, cost)| entry * cost).sum();
            sum += cost * (product - 2.0 * self.right[row]);
        }
        if sum < ROUNDING * self.squares { 0.0 } else { sum }
    }

    /// The matrix with the ridge on its diagonal.
    fn ridged(&self) -> [Three; 3] {
        let mut matrix = self.matrix;
        for (at, row) in matrix.iter_mut().enumerate() {
            row[at] += RIDGE;
        }
        matrix
    }

    /// The three costs that fit best, all at least zero.
    fn non_negative(&self) -> Three {
        if let Some(costs) = self.solve(&[LOAD, INPUT, OUTPUT])
            && costs.iter().all(|cost| *cost >= 0.0)
        {
            return costs;
        }
        let subsets: [&[usize]; 7] =
            [&[INPUT, OUTPUT], &[LOAD, OUTPUT], &[LOAD, INPUT], &[OUTPUT], &[INPUT], &[LOAD], &[]];
        let solved = subsets.into_iter().filter_map(|terms| self.solve(terms));
        let admissible = solved.filter(|costs| costs.iter().all(|cost| *cost >= 0.0));
        best(admissible, self).unwrap_or_default()
    }

    /// The costs when only `terms` may differ from zero; `None` if they cannot be told apart.
    fn solve(&self, terms: &[usize]) -> Option<Three> {
        // The left-out rows and columns become those of the unit matrix, with a zero on the right.
        let (mut matrix, mut right) = (self.ridged(), self.right);
        for term in (0..3).filter(|term| !terms.contains(term)) {
            for row in &mut matrix {
                row[term] = 0.0;
            }
            matrix[term] = Three::default();
            matrix[term][term] = 1.0;
            right[term] = 0.0;
        }
        let whole = regular(&matrix)?;
        let mut costs = Three::default();
        for (column, cost) in costs.iter_mut().enumerate() {
            let mut replaced = matrix;
            for (row, value) in replaced.iter_mut().zip(right) {
                row[column] = value;
            }
            *cost = determinant(&replaced) / whole;
        }
        Some(costs)
    }

    /// The diagonal of the inverse of the ridged matrix, with or without the load's row and column; `None` if it
    /// has none.
    fn inverse_diagonal(&self, with_load: bool) -> Option<Three> {
        let mut matrix = self.ridged();
        if !with_load {
            matrix[LOAD] = [1.0, 0.0, 0.0];
            matrix[INPUT][LOAD] = 0.0;
            matrix[OUTPUT][LOAD] = 0.0;
        }
        let whole = regular(&matrix)?;
        let minor = |one: usize, other: usize| {
            matrix[one][one] * matrix[other][other] - matrix[one][other] * matrix[other][one]
        };
        Some([minor(INPUT, OUTPUT) / whole, minor(LOAD, OUTPUT) / whole, minor(LOAD, INPUT) / whole])
    }
}

/// The determinant, unless it is as good as zero.
fn regular(matrix: &[Three; 3]) -> Option<f64> {
    let found = determinant(matrix);
    let scale = matrix[0][0] * matrix[1][1] * matrix[2][2];
    (found.abs() >= SINGULAR && found.abs() >= SINGULAR * scale).then_some(found)
}

fn determinant(matrix: &[Three; 3]) -> f64 {
    let [first, second, third] = matrix;
    let minor = |one: usize, other: usize| second[one] * third[other] - second[other] * third[one];
    first[0] * minor(1, 2) - first[1] * minor(0, 2) + first[2] * minor(0, 1)
}
