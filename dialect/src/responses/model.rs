//! What OpenAI's own models take, as far as their names tell.
//!
//! Its API refuses a request that sets what the model does not have, so such settings must not be sent. A name that tells
//! nothing is asked for whatever the client says.

/// Whether a model thinks before it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Thinks {
    /// It does, and its temperature cannot be set.
    Always,
    /// It does not.
    Never,
    /// The name does not tell.
    Perhaps,
}

/// Whether the model called `name` thinks.
pub(crate) fn thinks(name: &str) -> Thinks {
    let name = base(name);
    let is_o_series =
        name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if is_o_series || name.contains("codex") {
        return Thinks::Always;
    }
    let Some(version) = name.strip_prefix("gpt-") else {
        return if name.starts_with("chatgpt-4") { Thinks::Never } else { Thinks::Perhaps };
    };
    match version.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse::<u32>().ok()) {
        Some(..=4) => Thinks::Never,
        Some(_) if version.contains("chat") => Thinks::Never,
        Some(_) => Thinks::Always,
        None => Thinks::Perhaps,
    }
}

/// Whether the model called `name` thinks when it is asked to (`wanted`), asked not to, or asked nothing. While it does, it
/// refuses any setting of how its tokens are drawn.
pub(crate) fn is_thinking(name: &str, wanted: Option<bool>) -> bool {
    let can_be_told_not_to = version(base(name)) >= Some((5, 1)) && !base(name).contains("codex");
    thinks(name) == Thinks::Always && (!can_be_told_not_to || wanted == Some(true))
}

/// The effort nearest to `wanted` that the model called `name` takes. One that its name says nothing of takes any but `max`,
/// a word that OpenAI does not have.
pub(crate) fn effort<'a>(name: &str, wanted: &'a str) -> &'a str {
    let name = base(name);
    let version = if thinks(name) == Thinks::Always { version(name).or(Some((0, 0))) } else { None };
    let is_codex = name.contains("codex");
    match (wanted, version) {
        ("none", Some(_)) => least_effort(name),
        ("minimal", Some(version)) if version != (5, 0) || is_codex => "low",
        ("xhigh" | "max", Some(version)) if version < (5, 2) && !name.contains("codex-max") => "high",
        ("max", _) => "xhigh",
        _ => wanted,
    }
}

/// The version in the name of one of OpenAI's GPT models.
fn version(base: &str) -> Option<(u32, u32)> {
    let mut digits =
        base.strip_prefix("gpt-")?.split(|c: char| !c.is_ascii_digit() && c != '.').next()?.split('.');
    let major = digits.next()?.parse().ok()?;
    Some((major, digits.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

/// The least effort that the model called `name` takes: the oldest of those that think cannot be told not to.
pub(crate) fn least_effort(name: &str) -> &'static str {
    let name = base(name);
    let is_o_series =
        name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_first_gpt_5 = name == "gpt-5" || name.starts_with("gpt-5-");
    match (is_o_series || name.contains("codex"), is_first_gpt_5) {
        (true, _) => "low",
        (false, true) => "minimal",
        (false, false) => "none",
    }
}

fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efforts_are_those_that_the_model_takes() {
        for (name, wanted, expected) in [
            ("gpt-5.2", "max", "xhigh"),
            ("gpt-5.1", "xhigh", "high"),
            ("gpt-5.1-codex-max", "max", "xhigh"),
            ("gpt-5.2", "minimal", "low"),
            ("gpt-5-mini", "minimal", "minimal"),
            ("gpt-5-codex", "minimal", "low"),
            ("o4-mini", "none", "low"),
            ("my-deployment", "max", "xhigh"),
            ("my-deployment", "none", "none"),
            ("gpt-oss-120b", "minimal", "minimal"),
        ] {
            assert_eq!(effort(name, wanted), expected, "{name} {wanted}");
        }
    }

    #[test]
    fn newer_models_think_only_when_asked_to() {
        for (name, wanted, expected) in [
            ("gpt-5.2", None, false),
            ("gpt-5.2", Some(true), true),
            ("gpt-5.2-codex", None, true),
            ("gpt-5", Some(false), true),
            ("o3", None, true),
            ("gpt-4.1", Some(true), false),
        ] {
            assert_eq!(is_thinking(name, wanted), expected, "{name} {wanted:?}");
        }
    }

    #[test]
    fn names_tell_whether_a_model_thinks() {
        for (name, expected) in [
            ("gpt-5", Thinks::Always),
            ("gpt-5.4-mini", Thinks::Always),
            ("openai/o4-mini", Thinks::Always),
            ("gpt-5-chat-latest", Thinks::Never),
            ("gpt-4.1", Thinks::Never),
            ("gpt-4o", Thinks::Never),
            ("gpt-oss-20b", Thinks::Perhaps),
            ("my-deployment", Thinks::Perhaps),
            ("olmo-2", Thinks::Perhaps),
        ] {
            assert_eq!(thinks(name), expected, "{name}");
        }
        let efforts = ["gpt-5-mini", "o3", "gpt-5.1"].map(least_effort);
        assert_eq!(efforts, ["minimal", "low", "none"]);
    }
}
