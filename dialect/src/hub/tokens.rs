//! Rough counts of tokens, where something must be said and nobody has counted.

/// The tokens in so many bytes of text: about four bytes each, and at least one.
pub(crate) fn rough(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4).max(1)
}
