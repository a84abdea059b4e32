//! Medians, percentiles and the few casts between counts and figures.

/// `count` as a figure; exact up to 2^53, which no count here comes near.
#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^53")]
pub(crate) fn figure(count: u64) -> f64 {
    count as f64
}

/// A length as a figure.
pub(crate) fn length(count: usize) -> f64 {
    figure(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The value below which `percent` of the sample lies (nearest rank); `None` for an empty sample.
pub(crate) fn percentile(sample: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The middle of the sample: of an even number, the mean of the two in the middle.
pub(crate) fn median(sample: &[f64]) -> Option<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// The smallest and the largest of the sample.
pub(crate) fn spread(sample: &[f64]) -> Option<(f64, f64)> {
    let least = sample.iter().copied().min_by(f64::total_cmp)?;
    let most = sample.iter().copied().max_by(f64::total_cmp)?;
    Some((least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_take_the_nearest_rank() {
        let sample: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&sample, 50), Some(50.0));
        assert_eq!(percentile(&sample, 99), Some(99.0));
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn the_median_of_an_even_sample_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((1.0, 3.0)));
    }
}
