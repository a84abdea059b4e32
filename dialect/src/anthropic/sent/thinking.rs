//! How much the model thinks, and what must give way to it.
//!
//! Anthropic refuses thinking beside a forced call, and in a turn whose beginning was not thought about; a refused request
//! helps nobody, so the thinking is left out then, and said to be.

use crate::hub::{Losses, Reasoning, Said};

use super::Task;
use super::toolbox::Toolbox;
use super::turns::Talk;
use crate::hub::Object;

/// The smallest budget that Anthropic takes.
const SMALLEST_BUDGET: u64 = 1_024;

/// The budget where thinking is wanted and nothing more is said.
const BUDGET: u64 = 8_192;

/// What is decided.
pub(super) struct Thinking {
    /// The member `thinking`.
    pub(super) config: Option<Object>,
    /// The member `effort` of `output_config`.
    pub(super) effort: Option<String>,
    /// The limit of tokens, which thoughts count against.
    pub(super) max_tokens: u64,
    /// Whether the model thinks.
    pub(super) is_on: bool,
}

/// Decides about the thinking of one request.
pub(super) fn decide(task: Task<'_>, toolbox: &Toolbox, turns: &Talk, losses: &mut Losses) -> Thinking {
    let asked = task.request.max_tokens.as_ref();
    let max_tokens = asked.map_or(task.terms.max_tokens, |asked| asked.value);
    let off = Thinking { config: None, effort: None, max_tokens, is_on: false };
    let Some(said) = &task.request.reasoning else { return off };
    match said.value.wanted() {
        Some(true) => {}
        // Models of one's own think unless told not to.
        Some(false) if task.talent.is_local => {
            return Thinking { config: Some(Object::typed("disabled")), ..off };
        }
        _ => return off,
    }
    if let Some(reason) = why_not(task, toolbox, turns) {
        losses.add(&said.at, reason);
        return off;
    }
    if task.talent.is_adaptive() {
        return Thinking {
            config: Some(adaptive(task, &said.value)),
            effort: effort(task, &said.value),
            is_on: true,
            ..off
        };
    }
    with_budget(task, said, max_tokens, losses)
}

/// Why the model cannot think, if it cannot.
fn why_not(task: Task<'_>, toolbox: &Toolbox, turns: &Talk) -> Option<&'static str> {
    if !task.talent.thinks() {
        Some("this model cannot think")
    } else if toolbox.is_forced() {
        Some("left out: Anthropic's models do not think when they must call a tool")
    } else if turns.is_prefilled {
        Some("left out: Anthropic's models do not think when their answer is begun for them")
    } else if turns.is_unthought && !task.talent.is_adaptive() && !task.talent.is_local {
        Some("left out for this turn: its calls were made without signed thoughts")
    } else {
        None
    }
}

fn adaptive(task: Task<'_>, reasoning: &Reasoning) -> Object {
    let display = match reasoning.shown {
        Some(false) => Some("omitted"),
        _ => task.talent.hides_thoughts().then_some("summarized"),
    };
    Object::typed("adaptive").with_some("display", display)
}

fn effort(task: Task<'_>, reasoning: &Reasoning) -> Option<String> {
    let word = match reasoning.as_effort()? {
        "minimal" | "low" => "low",
        "medium" => "medium",
        "xhigh" if task.talent.hides_thoughts() => "xhigh",
        "xhigh" | "max" => "max",
        _ => "high",
    };
    Some(word.to_owned())
}

/// The older form. The limit is raised where it leaves no room for an answer beside the thoughts.
fn with_budget(task: Task<'_>, said: &Said<Reasoning>, max_tokens: u64, losses: &mut Losses) -> Thinking {
    let asked = said.value.as_budget().unwrap_or(BUDGET);
    let budget = asked.max(SMALLEST_BUDGET);
    let mut thinking = Thinking { config: None, effort: None, max_tokens, is_on: true };
    if budget >= max_tokens {
        thinking.max_tokens = max_tokens.saturating_add(budget);
        if let Some(limit) = &task.request.max_tokens {
            let raised = thinking.max_tokens;
            losses.add(&limit.at, format!("raised to {raised}: {budget} tokens are for thoughts"));
        }
    }
    if asked < budget && said.value.budget.is_some() {
        losses.add(&said.at, "raised to 1024 tokens, the least that Anthropic takes");
    }
    thinking.config = Some(Object::typed("enabled").with("budget_tokens", &budget));
    thinking
}
