//! Thoughts with their signatures, as they travel through clients of this dialect: in `reasoning_details`, beside the plain
//! text of `reasoning_content`.
//!
//! Each entry says by its `format` who made the signature. A client that sends an answer back with all its members gives
//! the signature back to the provider that wants it.

use serde::{Deserialize, Serialize};

use crate::hub::{Json, PartKind, Provider, Signature};

const TEXT: &str = "reasoning.text";
const SEALED: &str = "reasoning.encrypted";

/// One entry of `reasoning_details`.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Detail {
    #[serde(default)]
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing)]
    summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
}

impl Detail {
    /// The entry number `index` for signed thoughts.
    pub(super) fn signed(index: u32, text: &str, signature: &Signature) -> Self {
        Self {
            r#type: TEXT.to_owned(),
            text: Some(text.to_owned()),
            signature: Some(signature.data.clone()),
            format: Some(signature.provider.mark().to_owned()),
            index: Some(index),
            ..Self::default()
        }
    }

    /// The entry number `index` for thoughts that only the provider can read.
    pub(super) fn sealed(index: u32, data: &Signature) -> Self {
        Self {
            r#type: SEALED.to_owned(),
            data: Some(data.data.clone()),
            format: Some(data.provider.mark().to_owned()),
            index: Some(index),
            ..Self::default()
        }
    }

    /// The entry for a part of an answer, if it is one that needs it.
    pub(super) fn of(index: u32, kind: &PartKind) -> Option<Self> {
        match kind {
            PartKind::Thinking { text, signature: Some(signature) } => {
                Some(Self::signed(index, text, signature))
            }
            PartKind::SealedThinking { data } => Some(Self::sealed(index, data)),
            _ => None,
        }
    }

    fn provider(&self) -> Option<Provider> {
        self.format.as_deref().and_then(Provider::of_mark)
    }
}

/// The thoughts told as plain `words` and in `details`. Where the details tell them too, the plain words say nothing new.
/// A signature of nobody known is dropped: no provider would take it.
pub(super) fn read(words: Option<String>, details: Option<&Json>) -> Vec<PartKind> {
    let details: Vec<Detail> = details.and_then(Json::to).unwrap_or_default();
    let mut thoughts: Vec<(Option<u32>, PartKind)> = Vec::new();
    for detail in details {
        let provider = detail.provider();
        let (index, format) = (detail.index, |data| provider.map(|provider| Signature { provider, data }));
        if detail.r#type == SEALED {
            let Some(data) = detail.data.and_then(format) else { continue };
            seal(&mut thoughts, index, data);
            continue;
        }
        let text = detail.text.or(detail.summary).unwrap_or_default();
        let signature = detail.signature.filter(|data| !data.is_empty()).and_then(format);
        // The pieces of a stream, sent back as they came.
        if let Some((last, PartKind::Thinking { text: known, signature: open @ None })) = thoughts.last_mut()
            && *last == index
            && index.is_some()
        {
            known.push_str(&text);
            *open = signature;
        } else if !text.is_empty() || signature.is_some() {
            thoughts.push((index, PartKind::Thinking { text, signature }));
        }
    }
    let mut thoughts: Vec<_> = thoughts.into_iter().map(|(_, kind)| kind).collect();
    let Some(words) = words.filter(|words| !words.is_empty()) else { return thoughts };
    let has_text = |kind: &PartKind| matches!(kind, PartKind::Thinking { text, .. } if !text.is_empty());
    if !thoughts.iter().any(has_text) {
        match thoughts.iter_mut().find(|kind| matches!(kind, PartKind::Thinking { .. })) {
            Some(PartKind::Thinking { text, .. }) => *text = words,
            _ => thoughts.insert(0, PartKind::Thinking { text: words, signature: None }),
        }
    }
    thoughts
}

/// OpenAI's own seals belong to the summary told just before.
fn seal(thoughts: &mut Vec<(Option<u32>, PartKind)>, index: Option<u32>, data: Signature) {
    if data.provider == Provider::OpenAi
        && let Some((_, PartKind::Thinking { signature: open @ None, .. })) = thoughts.last_mut()
    {
        *open = Some(data);
        return;
    }
    thoughts.push((index, PartKind::SealedThinking { data }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    fn signed(text: &str, provider: Provider, data: &str) -> PartKind {
        let signature = Signature { provider, data: data.to_owned() };
        PartKind::Thinking { text: text.to_owned(), signature: Some(signature) }
    }

    #[test]
    fn tq_26_what_is_written_is_read_again() {
        let sealed = Signature { provider: Provider::Anthropic, data: "zz".to_owned() };
        let thoughts = [
            signed("one", Provider::Anthropic, "s1"),
            PartKind::SealedThinking { data: sealed },
            signed("", Provider::Gemini, "s2"),
        ];
        let written: Vec<_> =
            (0..).zip(&thoughts).filter_map(|(index, kind)| Detail::of(index, kind)).collect();
        assert_eq!(read(Some("one".to_owned()), Some(&Json::of(&written))), thoughts);
    }

    #[test]
    fn pieces_of_a_stream_are_put_together() {
        let pieces = details(
            r#"[{"type":"reasoning.text","text":"a","index":0},{"type":"reasoning.text","text":"b","index":0},
            {"type":"reasoning.text","signature":"s","format":"anthropic-claude-v1","index":0}]"#,
        );
        assert_eq!(read(None, Some(&pieces)), [signed("ab", Provider::Anthropic, "s")]);
    }

    #[test]
    fn a_signature_without_text_takes_the_plain_words_and_a_strange_one_is_dropped() {
        let only = details(r#"[{"type":"reasoning.text","signature":"s","format":"anthropic-claude-v1"}]"#);
        assert_eq!(read(Some("w".to_owned()), Some(&only)), [signed("w", Provider::Anthropic, "s")]);
        let strange = details(r#"[{"type":"reasoning.text","text":"t","signature":"s","format":"x"}]"#);
        let plain = PartKind::Thinking { text: "t".to_owned(), signature: None };
        assert_eq!(read(None, Some(&strange)), [plain]);
    }
}
