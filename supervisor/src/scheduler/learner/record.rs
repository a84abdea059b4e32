//! What was seen of one backend, model and endpoint: the newest thousand attempts and what is known of them at once.

use std::collections::VecDeque;

use super::fit::Fit;
use super::sample::{Sample, Size};
use super::sums::Sums;

/// Attempts kept per backend, model and endpoint.
pub(super) const KEPT: usize = 1000;
/// An attempt that takes at least so many times the expected is slow.
const SLOW: f64 = 2.0;

/// The newest attempts, oldest first.
#[derive(Clone, Default, Debug)]
pub(super) struct Record {
    pub(super) samples: VecDeque<Sample>,
    /// Over the published samples without a load.
    pub(super) clean: Sums,
    /// Over the published samples with one.
    pub(super) loaded: Sums,
    /// Whether the latest published sample took much longer than expected.
    pub(super) is_slow: bool,
    /// Samples whose length the backend did not tell.
    uncounted: u32,
}

impl Record {
    /// Takes in an attempt. Returns whether the backend is slow now, if that is another answer than before.
    pub(super) fn add(&mut self, sample: Sample) -> Option<bool> {
        // Before the comparison, so that it rests on nothing that is not kept with the new one.
        if self.samples.len() >= KEPT
            && let Some(oldest) = self.samples.pop_front()
        {
            self.uncounted -= u32::from(!oldest.is_counted);
            if oldest.is_published {
                self.sums(oldest.loaded()).remove(&oldest);
            }
        }
        self.uncounted += u32::from(!sample.is_counted);
        let was_slow = self.is_slow;
        if sample.is_published {
            self.is_slow = self.judge(&sample);
            self.sums(sample.loaded()).add(&sample);
        }
        self.samples.push_back(sample);
        (was_slow != self.is_slow).then_some(self.is_slow)
    }

    /// Whether some sample's length is taken to be the usual one.
    pub(super) fn has_uncounted(&self) -> bool {
        self.uncounted > 0
    }

    fn sums(&mut self, loaded: bool) -> &mut Sums {
        if loaded { &mut self.loaded } else { &mut self.clean }
    }

    fn judge(&self, sample: &Sample) -> bool {
        let Size { input, output } = sample.size(Size::UNIT);
        let fit = Fit::of(&self.clean, &self.loaded);
        let expected_ms = fit.map_or(0.0, |fit| fit.predict(input, output, sample.loaded()));
        if expected_ms > 0.0 { sample.seconds() * 1000.0 >= SLOW * expected_ms } else { self.is_slow }
    }
}
