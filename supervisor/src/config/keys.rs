//! New keys: long, random, and safe to paste anywhere.

use ipc_proto::secret::Secret;

use super::error::ConfigError;

/// The keys of a new configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct FreshKeys {
    /// For the first client.
    pub client: Secret,
    /// For the administrator.
    pub admin: Secret,
}

impl FreshKeys {
    /// Draws them from the system's random numbers.
    pub fn draw() -> Result<Self, ConfigError> {
        Ok(Self { client: random_key("sk-proxylm-")?, admin: random_key("sk-proxylm-admin-")? })
    }
}

/// `prefix` and 256 random bits, as letters, digits, dashes and underscores.
pub(super) fn random_key(prefix: &str) -> Result<Secret, ConfigError> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|error| ConfigError::Random { reason: error.to_string() })?;
    Ok(Secret::new(format!("{prefix}{}", url_safe(&random))))
}

/// Base64 in its form for URLs, without padding.
fn url_safe(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_u32;
        for index in 0..3 {
            bits = bits << 8 | u32::from(group.get(index).copied().unwrap_or(0));
        }
        for index in 0..=group.len() {
            let six = bits >> (18 - 6 * index) & 0x3f;
            text.push(char::from(ALPHABET[six as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_for_urls() {
        let cases: [(&[u8], &str); 6] = [
            (b"", ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xfb, 0xff, 0xfe], "-__-"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(url_safe(bytes), expected);
        }
    }

    #[test]
    fn keys_are_long_and_never_the_same() {
        let (one, other) = (FreshKeys::draw().unwrap(), FreshKeys::draw().unwrap());
        assert_ne!(one.client, other.client);
        assert_ne!(one.client, one.admin);
        assert_eq!(one.client.expose().len(), "sk-proxylm-".len() + 43);
        assert!(!format!("{one:?}").contains("sk-"));
    }
}
