//! A string that never shows itself: provider keys and boot secrets on their way to the one process that needs them.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// A secret string: it travels over links, and prints as `[secret]` everywhere else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself; name the reason where you call this.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The key of the digests by which frontends know client keys; drawn anew at every start.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pepper([u8; 32]);

impl Pepper {
    /// Takes 256 random bits.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// The digest of `key` under this pepper (HMAC-SHA-256). Keys are long and random, so nothing slower is
    /// needed; and since the pepper is secret and short-lived, looking a digest up in a table tells nothing.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    pub fn digest(&self, key: &str) -> KeyDigest {
        let mut mac =
            <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(key.as_bytes());
        KeyDigest(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[pepper]")
    }
}

/// What a frontend knows of a client key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct KeyDigest([u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("sk-123")), "[secret]");
    }
}
