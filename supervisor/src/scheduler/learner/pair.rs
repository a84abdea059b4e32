//! What was seen of one model on one backend, and what follows from it alone.

use std::collections::VecDeque;

use dialect::Endpoint;

use super::estimate::{Estimate, median};
use super::grid::UNKNOWN_SERVICE;
use super::record::Record;
use super::sample::{Sample, Size};
use super::usual::{Mean, place};

/// Loads looked at: with five the median bears two outliers.
pub(super) const LOADS: usize = 5;
/// No request is expected to take less, in seconds.
const SHORTEST: f64 = 0.001;
/// An answer whose first byte came before this share of its time was streamed.
const EARLY: f64 = 0.9;

/// One model on one backend.
#[derive(Clone, Default, Debug)]
pub(super) struct Pair {
    kinds: [Option<Box<Kind>>; Endpoint::ALL.len()],
    /// The latest attempts that loaded the model, oldest first.
    loads: VecDeque<(Endpoint, Sample)>,
}

/// The same, at one endpoint.
#[derive(Clone, Default, Debug)]
pub(super) struct Kind {
    pub(super) record: Record,
    pub(super) estimate: Option<Estimate>,
}

impl Pair {
    /// Takes in an attempt; see [`Record::add`]. Estimates follow with [`Pair::estimate`].
    pub(super) fn add(&mut self, endpoint: Endpoint, sample: Sample) -> Option<bool> {
        if sample.loaded() {
            if self.loads.len() >= LOADS {
                self.loads.pop_front();
            }
            self.loads.push_back((endpoint, sample));
        }
        self.kinds[place(endpoint)].get_or_insert_default().record.add(sample)
    }

    /// Estimates anew what the samples say when `mean` is usual. `touched`: there are new ones; otherwise only what
    /// depends on the usual length is looked at.
    pub(super) fn estimate(&mut self, mean: &Mean, touched: bool) {
        let loads: Vec<Sample> = self.loads.iter().map(|(_, sample)| *sample).collect();
        for endpoint in Endpoint::ALL {
            let Some(kind) = &mut self.kinds[place(endpoint)] else { continue };
            if touched || kind.record.has_uncounted() {
                kind.estimate = Estimate::of(&kind.record.samples, mean.size(endpoint), &loads);
            }
        }
    }

    /// What is known at `endpoint`.
    pub(super) fn kind(&self, endpoint: Endpoint) -> Option<&Kind> {
        self.kinds[place(endpoint)].as_deref()
    }

    /// Expected seconds of a usual request, the model being loaded; `None` if no request ever found it so.
    pub(super) fn service(&self, mean: &Mean) -> Option<f64> {
        let (mut seconds, mut shares) = (0.0, 0.0);
        let (mut plain, mut measured) = (0.0, 0.0);
        for endpoint in Endpoint::ALL {
            let Some(estimate) = self.kind(endpoint).and_then(|kind| kind.estimate) else { continue };
            let expected = estimate.seconds(mean.size(endpoint));
            seconds += mean.share(endpoint) * expected;
            shares += mean.share(endpoint);
            plain += expected;
            measured += 1.0;
        }
        if measured == 0.0 {
            return None;
        }
        let service = if shares > 0.0 { seconds / shares } else { plain / measured };
        Some(service.max(SHORTEST))
    }

    /// Expected seconds of a request of this length; `None` where nothing like it was measured.
    pub(super) fn predict(&self, endpoint: Endpoint, size: Size) -> Option<f64> {
        let at = |endpoint| self.kind(endpoint).and_then(|kind| kind.estimate);
        let generates = |endpoint: &Endpoint| *endpoint != Endpoint::Embeddings;
        // The same model generates at the same speed at whatever endpoint.
        let alike = || Endpoint::ALL.into_iter().filter(generates).find_map(at);
        let estimate = at(endpoint).or_else(|| if generates(&endpoint) { alike() } else { None })?;
        Some(estimate.seconds(size).max(SHORTEST))
    }

    /// Expected seconds of a load: the median of what the latest loading attempts took beyond their service, which
    /// is expected to take `service` where their length or the speed is not known; `None` where the model was never
    /// seen at work. A load is over when the first byte comes. `None` if none was seen.
    pub(super) fn load(&self, service: Option<f64>) -> Option<f64> {
        let mut beyond = [0.0; LOADS];
        for (beyond, (endpoint, sample)) in beyond.iter_mut().zip(&self.loads) {
            let known = sample.is_counted.then(|| self.predict(*endpoint, sample.size(Size::UNIT))).flatten();
            *beyond = match known.or(service) {
                Some(service) => (sample.seconds() - service).clamp(0.0, sample.first_byte()),
                None => load_of_a_stranger(*sample),
            };
        }
        median(&mut beyond[..self.loads.len()])
    }
}

/// What a loading attempt says of the load where nothing is known of the service: in a stream all of it comes before
/// the first byte, with the prompt, which is little beside it; of a whole answer three quarters at least are taken for it, because
/// a load counted as none would make the backend look as if it swapped freely.
fn load_of_a_stranger(sample: Sample) -> f64 {
    let is_stream = sample.first_byte() < EARLY * sample.seconds();
    if is_stream {
        sample.first_byte()
    } else {
        (sample.seconds() - UNKNOWN_SERVICE).max(sample.seconds() * 0.75)
    }
}
