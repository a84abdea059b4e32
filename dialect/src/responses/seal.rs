//! Signatures in `encrypted_content`: OpenAI's own as they are, those of other providers with their mark before them.
//!
//! `mark#data` signs the thoughts in the same item; `mark##data` holds thoughts that only the provider can read.

use crate::hub::{PartKind, Provider, Signature};

/// What a reasoning item carries for `signature`; `is_sealed` says that the thoughts themselves are in it.
pub(super) fn written(signature: &Signature, is_sealed: bool) -> String {
    match signature.provider {
        Provider::OpenAi => signature.data.clone(),
        provider => {
            let hashes = if is_sealed { "##" } else { "#" };
            format!("{}{hashes}{}", provider.mark(), signature.data)
        }
    }
}

/// The thoughts of an item with this `text` and this `encrypted_content`.
pub(super) fn read(text: String, encrypted: Option<&str>) -> PartKind {
    let Some(encrypted) = encrypted.filter(|encrypted| !encrypted.is_empty()) else {
        return PartKind::Thinking { text, signature: None };
    };
    let marked = encrypted.split_once('#').and_then(|(mark, data)| Some((Provider::of_mark(mark)?, data)));
    let Some((provider, data)) = marked else {
        let signature = Signature { provider: Provider::OpenAi, data: encrypted.to_owned() };
        return PartKind::Thinking { text, signature: Some(signature) };
    };
    match data.strip_prefix('#') {
        Some(sealed) => PartKind::SealedThinking { data: Signature { provider, data: sealed.to_owned() } },
        None => PartKind::Thinking { text, signature: Some(Signature { provider, data: data.to_owned() }) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_every_provider_come_back_as_they_were() {
        for provider in [Provider::Anthropic, Provider::OpenAi, Provider::Gemini] {
            let signature = Signature { provider, data: "AbC+/=".to_owned() };
            let kind = read("why".to_owned(), Some(&written(&signature, false)));
            assert_eq!(kind, PartKind::Thinking { text: "why".to_owned(), signature: Some(signature) });
        }
        let sealed = Signature { provider: Provider::Anthropic, data: "xyz".to_owned() };
        assert_eq!(written(&sealed, true), "anthropic-claude-v1##xyz");
        assert_eq!(
            read(String::new(), Some(&written(&sealed, true))),
            PartKind::SealedThinking { data: sealed }
        );
    }
}
