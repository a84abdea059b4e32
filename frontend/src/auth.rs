//! Who is asking: client keys against the spec's digests. No key is kept as text.

use std::collections::HashMap;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ipc_proto::ids::KeyId;
use ipc_proto::secret::{KeyDigest, Pepper};
use ipc_proto::spec::Access;

/// The keys that open.
pub(crate) struct Keyring {
    pepper: Pepper,
    keys: HashMap<KeyDigest, KeyId>,
    names: HashMap<KeyId, String>,
    admin: Option<KeyDigest>,
}

/// Why nobody was let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoEntry {
    /// No key was shown.
    Missing,
    /// The key is not one of ours.
    Unknown,
}

impl NoEntry {
    /// One sentence for the client.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Missing => {
                "an API key is needed: send it as `Authorization: Bearer KEY` or in the header `x-api-key`"
            }
            Self::Unknown => "this API key is not known here",
        }
    }
}

impl Keyring {
    /// The keys of `access`.
    pub(crate) fn new(access: &Access) -> Self {
        Self {
            pepper: access.pepper,
            keys: access.keys.iter().map(|key| (key.digest, key.id)).collect(),
            names: access.keys.iter().map(|key| (key.id, key.name.clone())).collect(),
            admin: access.admin,
        }
    }

    /// The client whose key `headers` show. Whoever reaches the port may ask when no keys are configured.
    pub(crate) fn client(&self, headers: &HeaderMap) -> Result<KeyId, NoEntry> {
        if self.keys.is_empty() {
            return Ok(KeyId::ANONYMOUS);
        }
        let key = shown(headers).ok_or(NoEntry::Missing)?;
        self.keys.get(&self.pepper.digest(key)).copied().ok_or(NoEntry::Unknown)
    }

    /// Whether `headers` show the admin key.
    pub(crate) fn admin(&self, headers: &HeaderMap) -> Result<(), NoEntry> {
        let key = shown(headers).ok_or(NoEntry::Missing)?;
        let right = self.admin.is_some_and(|admin| admin == self.pepper.digest(key));
        if right { Ok(()) } else { Err(NoEntry::Unknown) }
    }

    /// The client's name, for logs.
    pub(crate) fn name(&self, key: KeyId) -> &str {
        self.names.get(&key).map_or("", String::as_str)
    }
}

/// The key that is shown: a bearer token wins over `x-api-key`; any other authorization does not count.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let own = || headers.get("x-api-key").and_then(|value| value.to_str().ok()).map(str::trim);
    bearer(headers).or_else(own).filter(|key| !key.is_empty())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use ipc_proto::spec::ClientKey;

    use super::*;

    fn keyring() -> Keyring {
        let pepper = Pepper::new([7; 32]);
        let key = ClientKey { id: KeyId(3), name: "ann".to_owned(), digest: pepper.digest("good") };
        Keyring::new(&Access { pepper, keys: vec![key], admin: Some(pepper.digest("root")) })
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn auth_01_either_header_opens_and_nothing_else() {
        let client = |pairs: &[(&'static str, &'static str)]| keyring().client(&headers(pairs));
        assert_eq!(client(&[]), Err(NoEntry::Missing));
        assert_eq!(client(&[("authorization", "bEARER  good ")]), Ok(KeyId(3)));
        assert_eq!(client(&[("x-api-key", "good")]), Ok(KeyId(3)));
        assert_eq!(client(&[("x-api-key", "Good")]), Err(NoEntry::Unknown));
        assert_eq!(client(&[("authorization", "good")]), Err(NoEntry::Missing));
    }

    #[test]
    fn auth_02_03_04_which_header_counts() {
        let client = |authorization| keyring().client(&headers(&[authorization, ("x-api-key", "good")]));
        assert_eq!(client(("authorization", "Bearer bad")), Err(NoEntry::Unknown));
        assert_eq!(client(("authorization", "Basic YWJj")), Ok(KeyId(3)));
        assert_eq!(client(("authorization", "Bearer ")), Ok(KeyId(3)));
        assert_eq!(keyring().client(&headers(&[("x-api-key", "root")])), Err(NoEntry::Unknown));
        assert_eq!(keyring().admin(&headers(&[("x-api-key", "good")])), Err(NoEntry::Unknown));
        assert_eq!(keyring().admin(&headers(&[("authorization", "Bearer root")])), Ok(()));
    }
}
