//! Signatures of thoughts as they travel through clients of this dialect.
//!
//! Anthropic's own stand as they are. Those of another provider begin with its mark and `#`, so that they find their
//! way back to it and to nobody else.

use std::borrow::Cow;

use crate::hub::{Provider, Signature};

/// What follows the mark where the signature belongs to the call that comes next.
const CALL: &str = ".call";

/// A signature, and what it signs.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Seal {
    /// The signature.
    pub(super) signature: Signature,
    /// Whether it signs the call that comes next, and no thoughts.
    pub(super) is_for_call: bool,
}

/// What `written` in a client's body is. `None` if it is empty: such thoughts are not signed.
pub(super) fn read(written: &str) -> Option<Seal> {
    if written.is_empty() {
        return None;
    }
    let foreign = written.split_once('#').and_then(|(mark, data)| {
        let (mark, is_for_call) = mark.strip_suffix(CALL).map_or((mark, false), |mark| (mark, true));
        let signature = Signature { provider: Provider::of_mark(mark)?, data: data.to_owned() };
        Some(Seal { signature, is_for_call })
    });
    let own = || Signature { provider: Provider::Anthropic, data: written.to_owned() };
    Some(foreign.unwrap_or_else(|| Seal { signature: own(), is_for_call: false }))
}

/// `signature` of thoughts, as a client gets it.
pub(super) fn written(signature: &Signature) -> Cow<'_, str> {
    match signature.provider {
        Provider::Anthropic => Cow::Borrowed(&signature.data),
        provider => Cow::Owned(format!("{}#{}", provider.mark(), signature.data)),
    }
}

/// `signature` of a call, as a client gets it in front of the call.
pub(super) fn written_for_call(signature: &Signature) -> String {
    format!("{}{CALL}#{}", signature.provider.mark(), signature.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t80_t87_signatures_come_back_to_who_made_them() {
        for provider in [Provider::Anthropic, Provider::OpenAi, Provider::Gemini] {
            let signature = Signature { provider, data: "a#b=".to_owned() };
            let thoughts = read(&written(&signature)).unwrap();
            assert_eq!(thoughts, Seal { signature: signature.clone(), is_for_call: false });
            let call = read(&written_for_call(&signature)).unwrap();
            assert_eq!(call, Seal { signature, is_for_call: true });
        }
        assert_eq!(read(""), None);
        assert_eq!(read("EqQB").unwrap().signature.provider, Provider::Anthropic);
    }
}
