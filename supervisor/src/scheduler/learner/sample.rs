//! An observation as the learner keeps it: small, bounded in every number, and sorted into what it can teach.

use dialect::Endpoint;

use super::Observation;
use super::sums::real;

/// The most tokens and the longest time that count: sums of a thousand products of two such sums stay exact.
const MOST_TOKENS: u64 = 1 << 22;
const LONGEST_US: u64 = 1 << 36;
/// A prompt token costs about so much of a generated one, until a backend has shown better.
pub(super) const PROMPT_WEIGHT: f64 = 1.0 / 25.0;

/// The length of a request, in tokens.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Size {
    pub(super) input: f64,
    pub(super) output: f64,
}

impl Size {
    /// What a request counts as whose tokens nobody knows, and no other's of the model either.
    pub(super) const UNIT: Self = Self { input: 0.0, output: 1.0 };

    /// The length in tokens generated, or worth as much.
    pub(super) fn weight(self) -> f64 {
        self.output + self.input * PROMPT_WEIGHT
    }
}

/// How an attempt found the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// Loaded, as far as the proxy knows.
    Warm,
    /// It began a load.
    Load,
    /// It waited for a load that another began.
    AfterLoad,
}

/// One completed attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) total_us: u64,
    /// The whole time if no first byte was seen before the end.
    pub(super) first_byte_us: u64,
    pub(super) input: u32,
    pub(super) output: u32,
    /// Whether the two above are known.
    pub(super) is_counted: bool,
    pub(super) start: Start,
    /// Whether the published fit rests on it.
    pub(super) is_published: bool,
}

impl Sample {
    /// What is kept of `observation`; `None` if it took no time and so teaches nothing.
    ///
    /// A backend that tells the tokens generated but not the prompt's is taken to have had no prompt. Embeddings
    /// generate nothing: they are counted by their prompt, and published too.
    pub(super) fn of(observation: &Observation) -> Option<Self> {
        let generates = observation.endpoint != Endpoint::Embeddings;
        let told = if generates { observation.output_tokens } else { observation.input_tokens };
        let tokens = |told: Option<u64>| {
            u32::try_from(told.unwrap_or(0).min(MOST_TOKENS)).expect("the bound fits 32 bits")
        };
        let (input, output) = (tokens(observation.input_tokens), tokens(observation.output_tokens));
        let is_counted = told.is_some() && (input > 0 || output > 0);
        let start = match (observation.loaded, observation.after_load) {
            (true, _) => Start::Load,
            (false, true) => Start::AfterLoad,
            (false, false) => Start::Warm,
        };
        let total_us = observation.total_us.min(LONGEST_US);
        (total_us > 0).then_some(Self {
            total_us,
            first_byte_us: observation.first_byte_us.unwrap_or(total_us).min(total_us),
            input,
            output,
            is_counted,
            start,
            is_published: is_counted && start != Start::AfterLoad && (output > 0 || !generates),
        })
    }

    /// Whether its time is that of the service alone, as far as the proxy knows.
    pub(super) fn is_warm(&self) -> bool {
        self.start == Start::Warm
    }

    /// Whether it began a load.
    pub(super) fn loaded(&self) -> bool {
        self.start == Start::Load
    }

    /// From begin to end, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        real(self.total_us.into()) / 1e6
    }

    /// From begin to the first byte, in seconds.
    pub(super) fn first_byte(&self) -> f64 {
        real(self.first_byte_us.into()) / 1e6
    }

    /// Whether the answer came in one piece, so that its first byte is as good as its end.
    pub(super) fn is_whole(&self) -> bool {
        self.first_byte_us >= self.total_us - self.total_us / 10
    }

    /// Its length; `usual` where the backend did not tell.
    pub(super) fn size(&self, usual: Size) -> Size {
        if self.is_counted {
            Size { input: f64::from(self.input), output: f64::from(self.output) }
        } else {
            usual
        }
    }
}
