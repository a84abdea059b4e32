//! Why a request was sent where it was: the scheduler's decisions as operators read them.

use serde::{Deserialize, Serialize};

use super::RequestRecord;

/// How a request was decided on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The request.
    pub record: RequestRecord,
    /// The decisions, in order; the last one is what is true now if it still waits.
    pub decisions: Vec<Decision>,
}

/// One look of the scheduler at a request: where it could go, and where it went.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at_unix_us: i64,
    /// The backend it was sent to; empty if it waits.
    pub chosen: String,
    /// Why: `loaded`, `relief`, `copy`, `moved`, `claim_overdue`, `claim_burst`, `overflow`, `retry`, or the word of
    /// another strategy; `waits`, `paused` (it waits, and an operator has paused the instance) or `refused` if it was not
    /// sent.
    pub reason: String,
    /// Its place among the requests for the same model, from 1.
    pub position: Option<u64>,
    /// The expected time until an attempt begins, in milliseconds.
    pub estimated_wait_ms: Option<u64>,
    /// Every backend that offers the model, best first.
    pub candidates: Vec<Candidate>,
}

/// A backend as it looked for one request at one moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub backend: String,
    /// What spoke for it or against it, in a few words: `holds the model, 1 of 4 slots free`.
    pub verdict: String,
    /// Whether the request could have been sent there.
    pub eligible: bool,
    /// Whether it held the model.
    pub holds_model: bool,
    /// Expected load of the model there, in milliseconds; 0 if it is loaded.
    pub load_ms: u64,
    /// Expected service of one request there, in milliseconds.
    pub service_ms: u64,
    /// The model's score there, where the strategy has one: waiting relieved per second of work.
    pub score: Option<f64>,
}
