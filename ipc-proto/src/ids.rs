//! The names of things that cross a link. All are small values; none is a secret.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One client request. Minted by the frontend, ordered by time, unique.
///
/// The client may bring its own `X-Request-Id`; that is the request's [`Label`], which need not be unique.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u128);

impl RequestId {
    /// A new id, later than every one this process minted before.
    pub fn mint() -> Self {
        Self(Uuid::now_v7().as_u128())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).fmt(f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the client and the operator call a request: the `X-Request-Id` of the response and of the history.
///
/// It is the client's own value when that is well formed, else the text of the [`RequestId`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Label(Arc<str>);

impl Label {
    /// The longest label taken from a client.
    pub const MAX_LEN: usize = 64;

    /// Takes over a client's value: 1 to 64 of letters, digits, `-`, `_`, `.`, `:`. Anything else is `None`.
    pub fn from_client(value: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_LEN).contains(&value.len());
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        (fits && value.bytes().all(safe)).then(|| Self(value.into()))
    }

    /// The label of a request whose client brought none.
    pub fn of(id: RequestId) -> Self {
        Self(id.to_string().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lease of one slot for one attempt. Unique within a supervisor's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct GrantId(pub u64);

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

/// A configured backend, by its place in the instance's life: a name keeps its id across reloads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct BackendId(pub u32);

/// One process that serves a backend: the `generation`-th.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct WorkerId {
    /// The backend served.
    pub backend: BackendId,
    /// Counts from 1; news of one generation never touches another.
    pub generation: u32,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}-{}", self.backend.0, self.generation)
    }
}

/// One frontend process: the `generation`-th in its seat.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct FrontendId {
    /// Which of the N frontends, from 0.
    pub seat: u16,
    /// Counts from 1.
    pub generation: u32,
}

impl fmt::Display for FrontendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{}-{}", self.seat, self.generation)
    }
}

/// A model's name, as asked for or as the backend knows it. Compared exactly, case included.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// Wraps `name`.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A client key, by its place in the frontend's spec. [`KeyId::ANONYMOUS`] where no key is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct KeyId(pub u32);

impl KeyId {
    /// Nobody in particular: the instance asks for no key.
    pub const ANONYMOUS: Self = Self(u32::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_take_only_short_safe_text() {
        assert_eq!(
            Label::from_client("req_01.a:b-c").map(|label| label.to_string()).as_deref(),
            Some("req_01.a:b-c")
        );
        for bad in ["", "a b", "a\nb", "é", &"x".repeat(65)] {
            assert_eq!(Label::from_client(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn request_ids_are_minted_in_order() {
        let ids: Vec<_> = (0..1000).map(|_| RequestId::mint()).collect();
        assert!(ids.is_sorted());
    }
}
