//! The laws the scheduler stands on, as constants that are all true.
//!
//! They have names so that the simulation can break one at a time and show that it would notice. The product knows
//! only [`Sound`]; the constants vanish when it is compiled.

/// The laws. Each default is the law; only a test says otherwise.
pub trait Laws {
    /// A slot is freed by the worker's word or death alone, also when an offer lapses.
    const ONLY_THE_WORKER_FREES: bool = true;
    /// News of one generation never touches another.
    const GENERATIONS_APART: bool = true;
    /// A request whose client has left takes its grant back.
    const WITHDRAWAL_REVOKES: bool = true;
    /// What a lost frontend held is forgotten.
    const LOST_FRONTENDS_FORGOTTEN: bool = true;
    /// A request that is tried again keeps its place.
    const RETRIES_KEEP_THEIR_PLACE: bool = true;
    /// A backend that swaps changes its model only when nothing runs there.
    const SWITCH_ONLY_WHEN_EMPTY: bool = true;
    /// The backend that failed last is avoided only while there is another.
    const EXCLUSION_YIELDS: bool = true;
    /// A loan taken back is left alone if an attempt runs under it.
    const RECALLS_SPARE_THE_USED: bool = true;
    /// What ends under a loan before its request is known is kept for that request.
    const EARLY_ENDS_REMEMBERED: bool = true;
}

/// Every law holds.
#[derive(Clone, Copy, Debug)]
pub enum Sound {}

impl Laws for Sound {}
