//! What Gemini's models take, as far as their names tell: thinking by levels or by tokens, pictures in results.

use serde::Serialize;

use crate::hub::{Losses, Reasoning, Said};

/// The `thinkingConfig` of a request.
#[derive(Default, PartialEq, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the API's names")]
#[serde(rename_all = "camelCase")]
pub(super) struct Thinking {
    /// For models before 3: how many tokens; -1 is as the model likes.
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<i64>,
    /// For models from 3 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    /// Whether the answer tells the thoughts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    include_thoughts: bool,
}

/// A model of Google's.
#[derive(Clone, Copy)]
pub(super) struct Model<'a> {
    name: &'a str,
}

impl<'a> Model<'a> {
    /// The model that the backend calls `name`.
    pub(super) fn named(name: &'a str) -> Self {
        Self { name }
    }

    /// The number of its generation, if the name has one.
    fn generation(self) -> Option<u32> {
        let (_, after) = self.name.split_once("gemini-")?;
        let digits = after.split(|letter: char| !letter.is_ascii_digit()).next()?;
        digits.parse().ok()
    }

    /// Whether it is one of the generation 3 or later.
    pub(super) fn is_third(self) -> bool {
        self.generation().is_some_and(|generation| generation >= 3)
    }

    /// Whether it refuses calls of the history that no Gemini model signed. One whose name has no number is taken to.
    pub(super) fn wants_signatures(self) -> bool {
        self.thinks() && self.generation().is_none_or(|generation| generation >= 3)
    }

    /// Whether it thinks. One whose name tells nothing is taken to.
    fn thinks(self) -> bool {
        let is_old = self.generation() == Some(1) || self.name.contains("gemini-2.0");
        !is_old && !self.name.contains("gemma")
    }

    fn is_pro(self) -> bool {
        self.name.contains("-pro")
    }

    /// The least and the most tokens that may be set aside for thoughts, and whether none at all may.
    fn budgets(self) -> (u64, u64, bool) {
        if self.is_pro() {
            (128, 32_768, false)
        } else if self.name.contains("-lite") {
            (512, 24_576, true)
        } else {
            (1, 24_576, true)
        }
    }

    /// How to ask it for as much thinking as the client wants. `None`: nothing is asked for.
    pub(super) fn thinking(self, said: &Said<Reasoning>, losses: &mut Losses) -> Option<Thinking> {
        let Said { value: reasoning, at } = said;
        let wanted = reasoning.wanted();
        if !self.thinks() {
            if wanted == Some(true) || reasoning.shown == Some(true) {
                losses.add(at.as_str(), "this model does not think");
            }
            return None;
        }
        let mut thinking = if self.is_third() {
            Thinking { thinking_level: self.level(reasoning, at, losses), ..Thinking::default() }
        } else {
            Thinking { thinking_budget: self.budget(reasoning, at, losses), ..Thinking::default() }
        };
        thinking.include_thoughts = reasoning.shown.unwrap_or(wanted == Some(true)) && wanted != Some(false);
        (thinking != Thinking::default()).then_some(thinking)
    }

    fn level(self, reasoning: &Reasoning, at: &str, losses: &mut Losses) -> Option<&'static str> {
        let least = if self.is_pro() { "LOW" } else { "MINIMAL" };
        let level = match reasoning.as_effort()? {
            "none" => {
                losses.add(at, "this model always thinks: it is asked for the least");
                least
            }
            "minimal" => least,
            "low" => "LOW",
            "medium" if self.name.contains("gemini-3-pro") => "HIGH",
            "medium" => "MEDIUM",
            "high" | "xhigh" | "max" => "HIGH",
            _ => {
                losses.add(at, "Gemini has no such level of thinking");
                return None;
            }
        };
        if reasoning.effort.as_ref().is_some_and(|effort| !effort.eq_ignore_ascii_case(level)) {
            losses.add(at, format!("asked for as {level}, the nearest that this model has"));
        }
        Some(level)
    }

    fn budget(self, reasoning: &Reasoning, at: &str, losses: &mut Losses) -> Option<i64> {
        let (least, most, may_be_none) = self.budgets();
        if reasoning.wanted()? {
            let Some(wanted) = reasoning.as_budget() else { return Some(-1) };
            let budget = wanted.clamp(least, most);
            if budget != wanted {
                losses.add(
                    at,
                    format!("this model thinks for {least} to {most} tokens: {budget} are asked for"),
                );
            }
            return i64::try_from(budget).ok();
        }
        if may_be_none {
            return Some(0);
        }
        losses.add(at, "this model always thinks: it is asked for the least");
        i64::try_from(least).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thinking(model: &str, reasoning: Reasoning) -> (String, Option<String>) {
        let mut losses = Losses::default();
        let thinking = Model::named(model).thinking(&Said::new("r", reasoning), &mut losses);
        (serde_json::to_string(&thinking).unwrap(), losses.header())
    }

    fn effort(word: &str) -> Reasoning {
        Reasoning { effort: Some(word.to_owned()), ..Reasoning::default() }
    }

    #[test]
    fn models_from_3_on_get_a_level() {
        let (json, lost) = thinking("gemini-3.1-pro-preview", effort("medium"));
        assert_eq!((json.as_str(), lost), (r#"{"thinkingLevel":"MEDIUM","includeThoughts":true}"#, None));
        let budget = Reasoning { budget: Some(2000), shown: Some(false), ..Reasoning::default() };
        assert_eq!(thinking("models/gemini-4-flash", budget).0, r#"{"thinkingLevel":"LOW"}"#);
        let (json, lost) = thinking("gemini-3-flash-preview", effort("none"));
        assert_eq!(json, r#"{"thinkingLevel":"MINIMAL"}"#);
        assert!(lost.is_some_and(|lost| lost.starts_with("r: this model always thinks")));
    }

    #[test]
    fn models_before_get_a_budget_within_their_limits() {
        assert_eq!(
            thinking("gemini-2.5-flash", effort("low")).0,
            r#"{"thinkingBudget":2048,"includeThoughts":true}"#
        );
        assert_eq!(
            thinking("gemini-2.5-flash", effort("none")),
            (r#"{"thinkingBudget":0}"#.to_owned(), None)
        );
        let budget = Reasoning { budget: Some(50_000), ..Reasoning::default() };
        let (json, lost) = thinking("gemini-2.5-pro", budget);
        assert_eq!(json, r#"{"thinkingBudget":32768,"includeThoughts":true}"#);
        assert!(lost.is_some());
        let adaptive = Reasoning { enabled: Some(true), ..Reasoning::default() };
        assert_eq!(thinking("gemini-2.5-pro", adaptive).0, r#"{"thinkingBudget":-1,"includeThoughts":true}"#);
    }

    #[test]
    fn t23_a_model_that_does_not_think_is_not_asked_to() {
        let (json, lost) = thinking("gemini-2.0-flash", effort("high"));
        assert_eq!((json.as_str(), lost.as_deref()), ("null", Some("r: this model does not think")));
        assert_eq!(thinking("gemini-2.0-flash", effort("none")), ("null".to_owned(), None));
    }
}
