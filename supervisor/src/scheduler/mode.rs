//! Whether a backend swaps, where nobody has said so: a guess by what it is, then by measurement. A first byte comes
//! late after a change of model only where a change costs something.

use std::collections::VecDeque;

use ipc_proto::ids::ModelName;
use ipc_proto::spec::BackendKind;

use super::backend::Backend;

/// The newest first bytes of each kind that count.
const KEPT: usize = 9;
/// With fewer of a kind nothing is decided.
const LEAST: usize = 5;
/// A generic backend that lists so many models is a hosted service.
const HOSTED_MODELS: usize = 20;

/// A change that costs less than this, in seconds, and
const FREE_BELOW_S: f64 = 0.25;
/// less than so many warm first bytes
const FREE_BELOW_WARM: f64 = 1.5;
/// and this, in seconds, is free.
const FREE_BEYOND_WARM_S: f64 = 0.1;
/// A change that costs more than this, in seconds, and
const SWAPS_ABOVE_S: f64 = 1.0;
/// more than so many warm first bytes is a swap.
const SWAPS_ABOVE_WARM: f64 = 2.0;

/// What has been measured.
#[derive(Default, Debug)]
pub(super) struct Mode {
    /// First bytes after a change of model, in seconds, the reading of the prompt taken off.
    changed: VecDeque<f64>,
    /// The others.
    warm: VecDeque<f64>,
    /// The conclusion, once there is one.
    swaps: Option<bool>,
    /// The model of the latest attempt sent.
    latest: Option<ModelName>,
}

impl Mode {
    /// Whether it swaps, by measurement; `None` before there is enough of it.
    pub(super) fn swaps(&self) -> Option<bool> {
        self.swaps
    }

    /// An attempt for `model` is sent. Says whether the one before was for another model.
    pub(super) fn sent(&mut self, model: &ModelName) -> bool {
        let is_change = self.latest.as_ref() != Some(model);
        if is_change {
            self.latest = Some(model.clone());
        }
        is_change
    }

    /// An attempt's first byte came after `seconds`, the reading of the prompt taken off. `swaps` says what is held
    /// true so far. Says whether that has changed.
    pub(super) fn measured(&mut self, is_change: bool, seconds: f64, swaps: bool) -> bool {
        let kept = if is_change { &mut self.changed } else { &mut self.warm };
        kept.push_back(seconds.max(0.0));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        let (Some(changed), Some(warm)) = (median(&self.changed), median(&self.warm)) else { return false };
        let costs = changed - warm;
        let is_free = costs < FREE_BELOW_S && changed < FREE_BELOW_WARM * warm + FREE_BEYOND_WARM_S;
        let is_swap = costs > SWAPS_ABOVE_S && changed > SWAPS_ABOVE_WARM * warm;
        let is_news = if swaps { is_free } else { is_swap };
        if is_news {
            self.swaps = Some(!swaps);
            // The next conclusion is drawn from what is measured under this one.
            self.changed.clear();
            self.warm.clear();
        }
        is_news
    }
}

fn median(kept: &VecDeque<f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = kept.iter().copied().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    (sorted.len() >= LEAST).then(|| sorted[sorted.len() / 2])
}

impl Backend {
    /// Whether it swaps, by what it is.
    pub(super) fn swaps_by_nature(&self) -> bool {
        let lists_many = self.offered.as_ref().is_some_and(|offered| offered.len() >= HOSTED_MODELS);
        let is_hosted = self.spec.kind == BackendKind::OpenAi && lists_many;
        self.spec.swaps_at_first() && !is_hosted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conclusion after so many changes and others that take so long.
    fn conclusion(swaps: bool, number: usize, changed: f64, warm: f64) -> Option<bool> {
        let mut mode = Mode::default();
        for _ in 0..number {
            mode.measured(true, changed, swaps);
            mode.measured(false, warm, swaps);
        }
        mode.swaps()
    }

    #[test]
    fn a_change_that_costs_nothing_is_free_and_a_load_is_not() {
        assert_eq!(conclusion(true, 5, 0.6, 0.5), Some(false));
        assert_eq!(conclusion(true, 4, 0.6, 0.5), None, "too few");
        assert_eq!(conclusion(true, 9, 1.5, 0.3), None, "a load of a second");
        assert_eq!(conclusion(false, 5, 3.5, 0.3), Some(true));
        assert_eq!(conclusion(false, 9, 1.2, 0.5), None, "not clear enough");
    }

    #[test]
    fn one_outlier_decides_nothing() {
        let mut mode = Mode::default();
        for first_byte in [0.4, 60.0, 0.4, 0.4, 0.4, 0.4] {
            mode.measured(true, first_byte, true);
            mode.measured(false, 0.4, true);
        }
        assert_eq!(mode.swaps(), Some(false));
    }

    #[test]
    fn a_change_is_told_by_the_model_sent_before() {
        let mut mode = Mode::default();
        let sent = ["a", "a", "b", "a"].map(|model| mode.sent(&ModelName::new(model)));
        assert_eq!(sent, [true, false, true, true]);
    }
}
