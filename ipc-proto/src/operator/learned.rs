//! What has been learned of models on backends, as operators read it.

use dialect::Endpoint;
use serde::{Deserialize, Serialize};

/// What has been learned of a model on a backend at one endpoint.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LearnedView {
    /// The backend.
    pub backend: String,
    /// The model, by the backend's name.
    pub model: String,
    /// The operation.
    pub endpoint: Endpoint,
    /// Observations it rests on.
    pub samples: u64,
    /// Of them, with a load of the model.
    pub loads: u64,
    /// Whether there is enough for a fit.
    pub fitted: bool,
    /// The load, in milliseconds.
    pub load_ms: f64,
    /// Prompt tokens per second; 0: unknown.
    pub input_per_second: f64,
    /// Generated tokens per second; 0: unknown.
    pub output_per_second: f64,
    /// Half the width of the 95 % interval of the three above; `None`: unknown.
    pub confidence: Option<Confidence>,
    /// How much of the variance the fit explains, 0 to 1.
    pub r_squared: f64,
    /// `good` or `degraded`; empty without a fit.
    pub quality: String,
    /// Whether the latest request took at least twice as long as expected.
    pub slow: bool,
    /// The expected service of a usual request, as the scheduler uses it, in milliseconds.
    pub service_ms: f64,
    /// The expected load, as the scheduler uses it, in milliseconds.
    pub expected_load_ms: f64,
}

/// Half-widths of 95 % intervals.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Confidence {
    /// Of the load, in milliseconds; 0: unknown.
    pub load_ms: f64,
    /// Of the prompt tokens per second; 0: unknown.
    pub input_per_second: f64,
    /// Of the generated tokens per second; 0: unknown.
    pub output_per_second: f64,
}
