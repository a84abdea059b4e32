//! The usual length of a model's requests, over all backends: what "a request" means in an expected time.

use std::collections::VecDeque;

use dialect::Endpoint;

use super::sample::Size;

/// Requests looked at. Bounded, so that the same newest requests give the same answer whatever came before.
const KEPT: usize = 128;
/// How much of the mean each new request is.
const NEWEST: f64 = 0.05;

/// The latest requests for a model.
#[derive(Clone, Default, Debug)]
pub(super) struct Usual {
    /// Oldest first; the length only where the backend told.
    requests: VecDeque<(Endpoint, Option<Size>)>,
}

impl Usual {
    /// Takes in a request.
    pub(super) fn add(&mut self, endpoint: Endpoint, size: Option<Size>) {
        if self.requests.len() >= KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back((endpoint, size));
    }

    /// What is usual now.
    pub(super) fn mean(&self) -> Mean {
        let mut all = Sum::default();
        let mut each = [Sum::default(); Endpoint::ALL.len()];
        let mut shares = [0.0; Endpoint::ALL.len()];
        let mut weight = 1.0;
        for (endpoint, size) in self.requests.iter().rev() {
            shares[place(*endpoint)] += weight;
            if let Some(size) = size {
                all.add(*size, weight);
                each[place(*endpoint)].add(*size, weight);
            }
            weight *= 1.0 - NEWEST;
        }
        let overall = all.mean().unwrap_or(Size::UNIT);
        Mean { sizes: each.map(|sum| sum.mean().unwrap_or(overall)), shares }
    }
}

/// The usual length of a request at each endpoint, and how many of the requests go there.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Mean {
    sizes: [Size; Endpoint::ALL.len()],
    shares: [f64; Endpoint::ALL.len()],
}

impl Default for Mean {
    fn default() -> Self {
        Usual::default().mean()
    }
}

impl Mean {
    /// The usual length at `endpoint`.
    pub(super) fn size(&self, endpoint: Endpoint) -> Size {
        self.sizes[place(endpoint)]
    }

    /// How much of the work is done at `endpoint`, relative to the others.
    pub(super) fn share(&self, endpoint: Endpoint) -> f64 {
        self.shares[place(endpoint)]
    }
}

#[derive(Clone, Copy, Default)]
struct Sum {
    input: f64,
    output: f64,
    weight: f64,
}

impl Sum {
    fn add(&mut self, size: Size, weight: f64) {
        self.input += size.input * weight;
        self.output += size.output * weight;
        self.weight += weight;
    }

    fn mean(self) -> Option<Size> {
        let size = Size { input: self.input / self.weight, output: self.output / self.weight };
        (self.weight > 0.0).then_some(size)
    }
}

/// Where an endpoint stands in an array with a place for each.
pub(super) fn place(endpoint: Endpoint) -> usize {
    endpoint.index()
}
