//! Ids that are made up where a dialect wants one and nobody gave it: the same for the same request, and told apart.

use std::borrow::Cow;

/// An id with `prefix` for the `count`-th thing of the answer to the request `seed`: 24 hexadecimal digits follow the prefix.
pub(crate) fn made(prefix: &str, seed: &str, count: usize) -> String {
    let high = hash(seed.as_bytes(), 0xcbf2_9ce4_8422_2325);
    let low = hash(prefix.as_bytes(), hash(&count.to_le_bytes(), high));
    format!("{prefix}{high:016x}{:08x}", low & 0xffff_ffff)
}

/// `id` in the alphabet of ids that Anthropic takes (letters, digits, `_`, `-`; 64 of them at most): unchanged if it fits, else
/// another that is always the same for it.
pub(crate) fn plain(id: &str) -> Cow<'_, str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (1..=64).contains(&id.len()) && id.bytes().all(fits) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(made("call_", id, 0))
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8], start: u64) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_differ() {
        assert_eq!(made("call_", "r-1", 1), made("call_", "r-1", 1));
        assert_ne!(made("call_", "r-1", 1), made("call_", "r-1", 2));
        assert_ne!(made("call_", "r-1", 1), made("call_", "r-2", 1));
        assert_eq!(made("msg_", "r-1", 0).len(), "msg_".len() + 24);
        assert_eq!(plain("toolu_01-x"), "toolu_01-x");
        assert_eq!(plain("a b"), plain("a b"));
        assert_ne!(plain("a b"), plain("a.b"));
    }
}
