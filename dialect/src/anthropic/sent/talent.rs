//! What a model can do, as far as its name and its server tell.
//!
//! Anthropic's models refuse what they do not know, and newer ones refuse what older ones wanted. The names of Claude models
//! carry their version; of any other name it is assumed that it stands for a model of today.

use crate::translate::Engine;

/// What is known of a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Talent {
    /// Whether it runs at Anthropic.
    pub(super) is_hosted: bool,
    /// Whether the server runs models of one's own.
    pub(super) is_local: bool,
    /// Its major and minor version.
    version: Option<(u32, u32)>,
}

impl Talent {
    /// What is known of `model` on such a server.
    pub(super) fn of(model: &str, engine: Engine) -> Self {
        Self { is_hosted: engine == Engine::Provider, is_local: engine.is_local(), version: version(model) }
    }

    /// Whether it decides by itself how much it thinks, and refuses or will refuse budgets.
    pub(super) fn is_adaptive(self) -> bool {
        self.is_hosted && self.version.is_some_and(|version| version >= (4, 6))
    }

    /// Whether it leaves its thoughts out unless told otherwise.
    pub(super) fn hides_thoughts(self) -> bool {
        self.is_hosted && self.version.is_some_and(|version| version >= (4, 7))
    }

    /// Whether it can think at all.
    pub(super) fn thinks(self) -> bool {
        self.version.is_none_or(|version| version >= (3, 7))
    }

    /// Whether it takes a temperature, `top_p` and `top_k`.
    pub(super) fn is_drawn(self) -> bool {
        !self.hides_thoughts()
    }

    /// Whether it takes a temperature and `top_p` at once.
    pub(super) fn takes_both(self) -> bool {
        !self.is_hosted || self.version.is_some_and(|version| version < (4, 1))
    }

    /// Whether its server holds answers and arguments to a schema.
    pub(super) fn keeps_to_schemas(self) -> bool {
        self.is_hosted && self.version.is_none_or(|version| version >= (4, 1))
    }
}

/// The version in the name of a Claude model: `claude-3-7-sonnet-20250219` is 3.7, `claude-sonnet-4-20250514` is 4.0.
fn version(model: &str) -> Option<(u32, u32)> {
    let (_, rest) = model.split_once("claude")?;
    let small = |word: &str| word.parse::<u32>().ok().filter(|_| word.len() <= 2);
    let mut words = rest.split(|c: char| !c.is_ascii_alphanumeric()).skip_while(|word| small(word).is_none());
    let major = small(words.next()?)?;
    Some((major, words.next().and_then(small).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names_old_and_new() {
        for (name, expected) in [
            ("claude-3-7-sonnet-20250219", Some((3, 7))),
            ("claude-3-opus-latest", Some((3, 0))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-opus-4-1-20250805", Some((4, 1))),
            ("anthropic/claude-sonnet-4.6", Some((4, 6))),
            ("claude-opus-5", Some((5, 0))),
            ("claude-next", None),
            ("qwen3-4b", None),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
    }

    #[test]
    fn only_hosted_models_are_judged_by_their_names() {
        let hosted = |name| Talent::of(name, Engine::Provider);
        assert!(hosted("claude-opus-4-7").is_adaptive() && !hosted("claude-opus-4-7").is_drawn());
        assert!(!hosted("claude-sonnet-4-5").is_adaptive() && hosted("claude-sonnet-4-5").keeps_to_schemas());
        assert!(!hosted("claude-3-5-haiku").thinks() && hosted("claude-3-5-haiku").takes_both());
        let local = Talent::of("claude-opus-4-7", Engine::LmStudio);
        assert!(local.is_drawn() && !local.keeps_to_schemas() && local.takes_both());
    }
}
