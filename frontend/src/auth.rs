//! Who is asking: client keys against the spec's digests. No key is kept as text.

use std::borrow::Cow;
use std::collections::HashMap;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use ipc_proto::ids::KeyId;
use ipc_proto::secret::{KeyDigest, Pepper};
use ipc_proto::spec::Access;

use crate::routes::percent_decoded;

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
                "an API key is needed: send it as `Authorization: Bearer KEY`, or in the header `x-api-key`, \
                 `x-goog-api-key` or `x-proxylm-key`"
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

    /// The client whose key is shown by `headers`, or by the query string where the path has `query`. Whoever reaches
    /// the port may ask when no keys are configured.
    pub(crate) fn client(&self, headers: &HeaderMap, query: Option<&str>) -> Result<KeyId, NoEntry> {
        if self.keys.is_empty() {
            return Ok(KeyId::ANONYMOUS);
        }
        let asked = || query.and_then(in_query).filter(|key| !key.is_empty());
        let key = shown(headers).map(Cow::Borrowed).or_else(|| asked().map(Cow::Owned));
        let key = key.ok_or(NoEntry::Missing)?;
        self.keys.get(&self.pepper.digest(&key)).copied().ok_or(NoEntry::Unknown)
    }

    /// Whether `headers` show the admin key.
    pub(crate) fn admin(&self, headers: &HeaderMap) -> Result<(), NoEntry> {
        let key = shown(headers).ok_or(NoEntry::Missing)?;
        let right = self.admin.is_some_and(|admin| admin == self.pepper.digest(key));
        if right { Ok(()) } else { Err(NoEntry::Unknown) }
    }

    /// Whether `key` opens anything here: then it is no key for anybody else.
    pub(crate) fn is_ours(&self, key: &str) -> bool {
        let digest = self.pepper.digest(key);
        self.admin == Some(digest) || self.keys.contains_key(&digest)
    }

    /// The client's name, for logs.
    pub(crate) fn name(&self, key: KeyId) -> &str {
        self.names.get(&key).map_or("", String::as_str)
    }
}

/// The header that is for us alone: with it, all others can carry what the caller shows to a backend.
const OWN: &str = "x-proxylm-key";
/// Where else a key may stand, if there is no bearer token.
const OTHERS: [&str; 2] = ["x-api-key", "x-goog-api-key"];

/// The key that is shown: the header of our own wins, then a bearer token; any other authorization does not count.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let of = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?.trim();
        (!value.is_empty()).then_some(value)
    };
    of(OWN).or_else(|| bearer(headers)).or_else(|| OTHERS.into_iter().find_map(of))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    bearer_in(headers.get(AUTHORIZATION)?)
}

/// The bearer token in the value of an `Authorization` header, if it is one.
pub(crate) fn bearer_in(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The key in a query string, as Gemini's clients may send it.
pub(crate) fn in_query(query: &str) -> Option<String> {
    query.split('&').find_map(key_of).map(percent_decoded)
}

/// `query` without a key; `None` if nothing is left.
pub(crate) fn without_key(query: &str) -> Option<String> {
    let rest: Vec<&str> = query.split('&').filter(|pair| key_of(pair).is_none()).collect();
    (!rest.is_empty()).then(|| rest.join("&"))
}

fn key_of(pair: &str) -> Option<&str> {
    pair.strip_prefix("key=")
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
        let client = |pairs: &[(&'static str, &'static str)]| keyring().client(&headers(pairs), None);
        assert_eq!(client(&[]), Err(NoEntry::Missing));
        assert_eq!(client(&[("authorization", "bEARER  good ")]), Ok(KeyId(3)));
        assert_eq!(client(&[("x-api-key", "good")]), Ok(KeyId(3)));
        assert_eq!(client(&[("x-api-key", "Good")]), Err(NoEntry::Unknown));
        assert_eq!(client(&[("authorization", "good")]), Err(NoEntry::Missing));
    }

    #[test]
    fn auth_02_03_04_which_header_counts() {
        let client =
            |authorization| keyring().client(&headers(&[authorization, ("x-api-key", "good")]), None);
        assert_eq!(client(("authorization", "Bearer bad")), Err(NoEntry::Unknown));
        assert_eq!(client(("authorization", "Basic YWJj")), Ok(KeyId(3)));
        assert_eq!(client(("authorization", "Bearer ")), Ok(KeyId(3)));
        assert_eq!(keyring().client(&headers(&[("x-api-key", "root")]), None), Err(NoEntry::Unknown));
        assert_eq!(keyring().admin(&headers(&[("x-api-key", "good")])), Err(NoEntry::Unknown));
        assert_eq!(keyring().admin(&headers(&[("authorization", "Bearer root")])), Ok(()));
    }

    #[test]
    fn our_own_header_comes_first_and_googles_last() {
        let client = |pairs: &[(&'static str, &'static str)]| keyring().client(&headers(pairs), None);
        assert_eq!(client(&[("x-goog-api-key", "good")]), Ok(KeyId(3)));
        assert_eq!(client(&[("x-goog-api-key", "good"), ("x-api-key", "bad")]), Err(NoEntry::Unknown));
        assert_eq!(client(&[("x-proxylm-key", "good"), ("authorization", "Bearer sk-theirs")]), Ok(KeyId(3)));
        assert_eq!(client(&[("x-proxylm-key", "bad"), ("x-api-key", "good")]), Err(NoEntry::Unknown));
        assert_eq!(client(&[("x-proxylm-key", " "), ("x-api-key", "good")]), Ok(KeyId(3)));
    }

    #[test]
    fn a_key_in_the_query_opens_where_it_may_and_does_not_stay_there() {
        let client = |query| keyring().client(&headers(&[]), query);
        assert_eq!(client(Some("alt=sse&key=g%6Fod")), Ok(KeyId(3)));
        assert_eq!(client(Some("key=")), Err(NoEntry::Missing));
        assert_eq!(client(Some("key=bad")), Err(NoEntry::Unknown));
        assert_eq!(client(Some("monkey=good")), Err(NoEntry::Missing));
        let wins = keyring().client(&headers(&[("x-goog-api-key", "bad")]), Some("key=good"));
        assert_eq!(wins, Err(NoEntry::Unknown));
        assert_eq!(without_key("alt=sse&key=good&a=b").as_deref(), Some("alt=sse&a=b"));
        assert_eq!(without_key("key=good"), None);
    }

    #[test]
    fn what_opens_here_is_ours() {
        assert!(keyring().is_ours("good") && keyring().is_ours("root") && !keyring().is_ours("sk-theirs"));
    }
}
