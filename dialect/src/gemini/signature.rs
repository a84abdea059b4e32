//! Signatures of thoughts in `thoughtSignature`: Google's own as they are, those of other providers marked.
//!
//! The field is base64, and SDKs decode it: a foreign signature goes as base64 of `mark#signature`, sealed thoughts as
//! base64 of `mark#sealed#data`. What comes back in the alphabet of URLs is the same signature.

use std::borrow::Cow;

use crate::hub::{PartKind, Provider, Signature};

use super::base64;

/// What Google documents for calls that no Gemini model signed: its check of signatures is passed over.
pub(super) const SKIP: &str = "skip_thought_signature_validator";

/// Another such value.
const OTHER_SKIP: &str = "context_engineering_is_the_way_to_go";

/// Between the mark and the data of sealed thoughts.
const SEALED: &str = "sealed#";

/// A signature as it stands in a client's history or in an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Proof {
    /// The signature.
    pub(super) signature: Signature,
    /// Whether it holds the thoughts themselves.
    pub(super) is_sealed: bool,
}

impl Proof {
    /// What `written` is. `None` for the value that stands for no signature.
    pub(super) fn read(written: &str) -> Option<Self> {
        let is_skip = |text: &[u8]| [SKIP, OTHER_SKIP].iter().any(|skip| skip.as_bytes() == text);
        let is_short = written.len() < 64;
        if written.is_empty()
            || is_short
                && (is_skip(written.as_bytes())
                    || base64::decoded(written).is_some_and(|text| is_skip(&text)))
        {
            return None;
        }
        let own = || Self {
            signature: Signature { provider: Provider::Gemini, data: base64::standard(written.to_owned()) },
            is_sealed: false,
        };
        Some(Self::read_foreign(written).unwrap_or_else(own))
    }

    fn read_foreign(written: &str) -> Option<Self> {
        // All marks begin with a letter, and so does their base64; a long signature of Google's own is not decoded.
        let begins_like_one = |provider: Provider| {
            let start = base64::encoded(&provider.mark().as_bytes()[..6]);
            written.starts_with(&start)
        };
        if !begins_like_one(Provider::Anthropic) && !begins_like_one(Provider::OpenAi) {
            return None;
        }
        let text = String::from_utf8(base64::decoded(written)?).ok()?;
        let (mark, data) = text.split_once('#')?;
        let provider = Provider::of_mark(mark)?;
        let sealed = data.strip_prefix(SEALED);
        let signature = Signature { provider, data: sealed.unwrap_or(data).to_owned() };
        Some(Self { signature, is_sealed: sealed.is_some() })
    }

    /// It as thoughts without words.
    pub(super) fn into_part(self) -> PartKind {
        if self.is_sealed {
            PartKind::SealedThinking { data: self.signature }
        } else {
            PartKind::Thinking { text: String::new(), signature: Some(self.signature) }
        }
    }
}

/// `signature` as a client gets it; `is_sealed` if it holds the thoughts themselves.
pub(super) fn written(signature: &Signature, is_sealed: bool) -> Cow<'_, str> {
    if signature.provider == Provider::Gemini {
        return Cow::Borrowed(&signature.data);
    }
    let sealed = if is_sealed { SEALED } else { "" };
    let text = format!("{}#{sealed}{}", signature.provider.mark(), signature.data);
    Cow::Owned(base64::encoded(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_signatures_come_back_whatever_alphabet_they_went_through() {
        for provider in [Provider::Anthropic, Provider::OpenAi] {
            for is_sealed in [false, true] {
                let signature = Signature { provider, data: "EqQBCg+/==??>>".to_owned() };
                let text = written(&signature, is_sealed);
                assert!(base64::decoded(&text).is_some(), "SDKs decode it: {text}");
                let proof = Proof { signature: signature.clone(), is_sealed };
                assert_eq!(Proof::read(&text), Some(proof.clone()));
                let of_urls = text.replace('+', "-").replace('/', "_");
                assert_eq!(Proof::read(&of_urls), Some(proof));
            }
        }
    }

    #[test]
    fn googles_own_stay_as_they_are_and_the_skip_value_is_none() {
        let proof = Proof::read("CiQBcsjafA_-").expect("it is one");
        assert_eq!(
            proof.signature,
            Signature { provider: Provider::Gemini, data: "CiQBcsjafA/+".to_owned() }
        );
        assert_eq!(written(&proof.signature, false), "CiQBcsjafA/+");
        assert_eq!(Proof::read(SKIP), None);
        assert_eq!(Proof::read(&base64::encoded(SKIP.as_bytes())), None);
    }
}
