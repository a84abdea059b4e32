//! What one candidate says to a client: parts made of whatever the backend's answer is made of.
//!
//! Signatures stand on the part that follows the thoughts, as Gemini itself has them, so that clients keep them. Thoughts in
//! words go only to a client that asked for them (`includeThoughts`), signatures always.

use serde::Serialize;

use crate::hub::{Finish, Json, Part, PartKind, Signature, arguments, custom_tools};

use super::wire::{FunctionCall, OutPart};
use super::{logprobs, media, reasons, signature};

/// One candidate, or a piece of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a, P> {
    /// What it says.
    pub(super) content: Content<'a, P>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_reason: Option<&'static str>,
    /// Its number.
    pub(super) index: u32,
    /// How likely its tokens were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs_result: Option<logprobs::Result>,
}

/// What it says.
#[derive(Serialize)]
pub(super) struct Content<'a, P> {
    /// The parts.
    pub(super) parts: &'a [P],
    /// Always `model`.
    pub(super) role: &'static str,
}

impl<'a, P> Content<'a, P> {
    /// The model says `parts`.
    pub(super) fn of(parts: &'a [P]) -> Self {
        Self { parts, role: "model" }
    }
}

/// The parts of one candidate that have not been sent.
#[derive(Default)]
pub(super) struct Speech {
    shows_thoughts: bool,
    parts: Vec<Json>,
    /// A signature for the part that comes next.
    proof: Option<String>,
    logprobs: Option<logprobs::Result>,
    finish: Option<&'static str>,
}

impl Speech {
    /// One in which thoughts are told if `shows_thoughts`.
    pub(super) fn new(shows_thoughts: bool) -> Self {
        Self { shows_thoughts, ..Self::default() }
    }

    /// Whether nothing waits to be sent before the next part.
    pub(super) fn is_clear(&self) -> bool {
        self.parts.is_empty() && self.proof.is_none() && self.logprobs.is_none()
    }

    /// Whether thoughts are told.
    pub(super) fn shows_thoughts(&self) -> bool {
        self.shows_thoughts
    }

    /// Words.
    pub(super) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            let thought_signature = self.proof.take().map(Into::into);
            self.push(&OutPart { thought_signature, ..OutPart::text(text) });
        }
    }

    /// Thoughts in words.
    pub(super) fn thought(&mut self, text: &str) {
        if self.shows_thoughts && !text.is_empty() {
            self.release_proof();
            self.push(&OutPart::thought(text));
        }
    }

    /// The signature of the thoughts before it, or sealed thoughts.
    pub(super) fn sign(&mut self, signature: &Signature, is_sealed: bool) {
        self.release_proof();
        self.proof = Some(signature::written(signature, is_sealed).into_owned());
    }

    /// A call. One whose arguments were cut off in their middle is not told.
    pub(super) fn call(
        &mut self,
        id: &str,
        name: &str,
        written: &str,
        is_custom: bool,
        own: Option<&Signature>,
    ) {
        let args = if is_custom {
            Json::parse(&custom_tools::wrapped(written))
        } else {
            arguments::mended(written).and_then(|text| Json::parse(&text))
        };
        let Some(args) = args else { return };
        if let Some(own) = own {
            self.sign(own, false);
        }
        let id = Some(id).filter(|id| !id.is_empty()).map(Into::into);
        let thought_signature = self.proof.take().map(Into::into);
        let call = OutPart::call(FunctionCall { id, name: name.into(), args });
        self.push(&OutPart { thought_signature, ..call });
    }

    /// A part that comes all at once. What only another dialect has is told in words, if there are any.
    pub(super) fn part(&mut self, part: &Part) {
        match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal(text) => self.text(text),
            PartKind::Thinking { text, signature } => {
                self.thought(text);
                if let Some(signature) = signature {
                    self.sign(signature, false);
                }
            }
            PartKind::SealedThinking { data } => self.sign(data, true),
            PartKind::ToolCall(call) => {
                self.call(&call.id, &call.name, &call.arguments, call.is_custom, call.signature.as_ref());
            }
            PartKind::Image { source, .. } => self.media(media::written(source, "image/png")),
            PartKind::Audio { source } => self.media(media::written(source, "audio/wav")),
            PartKind::Video { source } => self.media(media::written(source, "video/mp4")),
            PartKind::Document { source, .. } => self.media(media::written(source, "application/pdf")),
            PartKind::Foreign { kind, raw, .. } if is_own(kind) => {
                self.release_proof();
                self.parts.push(raw.clone());
            }
            PartKind::Foreign { text, .. } => self.text(text.as_deref().unwrap_or_default()),
            PartKind::ToolResult(_) => {}
        }
    }

    /// How likely the tokens were, as OpenAI writes it.
    pub(super) fn likely(&mut self, told: &str) {
        let Some(told) = logprobs::written(told) else { return };
        match &mut self.logprobs {
            Some(known) => known.extend(told),
            None => self.logprobs = Some(told),
        }
    }

    /// The candidate ends.
    pub(super) fn finish(&mut self, finish: &Finish) {
        self.finish = Some(reasons::written(finish.reason));
    }

    /// Whether it has ended.
    pub(super) fn has_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Takes what waits to be sent. With `is_last` there is always a part, if only an empty text, as Gemini itself ends.
    pub(super) fn take(
        &mut self,
        is_last: bool,
    ) -> (Vec<Json>, Option<logprobs::Result>, Option<&'static str>) {
        if is_last {
            self.release_proof();
            if self.parts.is_empty() {
                self.push(&OutPart::text(""));
            }
        }
        (std::mem::take(&mut self.parts), self.logprobs.take(), self.finish)
    }

    fn media(&mut self, part: Option<OutPart<'_>>) {
        if let Some(part) = part {
            let thought_signature = self.proof.take().map(Into::into);
            self.push(&OutPart { thought_signature, ..part });
        }
    }

    /// A signature that no part followed gets one of its own.
    fn release_proof(&mut self) {
        if let Some(proof) = self.proof.take() {
            self.push(&OutPart { thought_signature: Some(proof.into()), ..OutPart::thought("") });
        }
    }

    fn push(&mut self, part: &OutPart<'_>) {
        self.parts.push(Json::of(part));
    }
}

fn is_own(kind: &str) -> bool {
    matches!(kind, "executableCode" | "codeExecutionResult")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemini::signature::Proof;
    use crate::hub::Provider;

    fn said(shows: bool, kinds: Vec<PartKind>) -> serde_json::Value {
        let mut speech = Speech::new(shows);
        for kind in kinds {
            speech.part(&Part::answered(kind));
        }
        serde_json::to_value(speech.take(true).0).expect("it is JSON")
    }

    fn signed(data: &str) -> Signature {
        Signature { provider: Provider::Anthropic, data: data.to_owned() }
    }

    #[test]
    fn ts_04_signatures_stand_on_the_part_that_follows_the_thoughts() {
        let thinking = PartKind::Thinking { text: "Hm.".to_owned(), signature: Some(signed("one")) };
        let kinds = vec![thinking, PartKind::plain("Hello")];
        let proof = |part: &serde_json::Value| {
            let written = part["thoughtSignature"].as_str().expect("a signature");
            let proof = Proof::read(written).expect("it is one");
            (proof.signature.data, proof.is_sealed)
        };
        let shown = said(true, kinds.clone());
        assert_eq!(shown[0], serde_json::json!({"text": "Hm.", "thought": true}));
        assert_eq!((shown[1]["text"].as_str(), proof(&shown[1])), (Some("Hello"), ("one".to_owned(), false)));
        let hidden = said(false, kinds);
        assert_eq!(
            (hidden[0]["text"].as_str(), proof(&hidden[0])),
            (Some("Hello"), ("one".to_owned(), false))
        );
    }

    #[test]
    fn seals_that_follow_each_other_all_stay() {
        let seal = |data: &str| PartKind::SealedThinking { data: signed(data) };
        let parts = said(false, vec![seal("one"), seal("two")]);
        let read = |part: usize| Proof::read(parts[part]["thoughtSignature"].as_str().expect("a signature"));
        let expected = |data: &str| Some(Proof { signature: signed(data), is_sealed: true });
        assert_eq!((read(0), read(1)), (expected("one"), expected("two")));
        assert_eq!(parts[1]["thought"], true);
    }

    #[test]
    fn a_call_that_was_cut_is_left_out_and_a_text_stands_in_for_nothing() {
        let mut speech = Speech::new(false);
        speech.call("1", "f", "{\"a\":", false, None);
        assert_eq!(serde_json::to_string(&speech.take(true).0).expect("it is JSON"), r#"[{"text":""}]"#);
        speech.call("1", "f", "", false, None);
        let call = r#"[{"functionCall":{"id":"1","name":"f","args":{}}}]"#;
        assert_eq!(serde_json::to_string(&speech.take(false).0).expect("it is JSON"), call);
    }
}
