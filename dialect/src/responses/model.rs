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
