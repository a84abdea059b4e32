//! An answer in the hub, whole; and how answers end.

use std::borrow::Cow;

use super::json::Json;
use super::{Beginning, CallPiece, Delta, Part, PartKind, Usage, tokens};

/// A whole answer.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Answer {
    /// The backend's id for it.
    pub(crate) id: Option<String>,
    /// The backend's name for the model.
    pub(crate) model: Option<String>,
    /// When it was made, in seconds since 1970.
    pub(crate) created: Option<i64>,
    /// The answers, by the number of each; nearly always one.
    pub(crate) choices: Vec<Choice>,
    /// The tokens used.
    pub(crate) usage: Usage,
    /// The class of service it was given.
    pub(crate) service_tier: Option<String>,
}

impl Answer {
    /// Counts the answer's tokens roughly, if the backend counted none, as it is done for streams.
    pub(crate) fn count(&mut self) {
        let parts = self.choices.iter().flat_map(|choice| &choice.parts);
        let bytes = parts.map(|part| match &part.kind {
            PartKind::Text { text, .. } | PartKind::Thinking { text, .. } | PartKind::Refusal(text) => {
                text.len()
            }
            PartKind::ToolCall(call) => call.arguments.len(),
            _ => 0,
        });
        let rough = tokens::rough(bytes.sum());
        self.usage.output_tokens.get_or_insert(rough);
    }

    /// Tells the answer as the stream that it might have been.
    pub(crate) fn play(self, sink: &mut dyn FnMut(Delta<'_>)) {
        let Self { id, model, created, choices, usage, service_tier } = self;
        sink(Delta::Begin(Beginning { id, model, created, service_tier }));
        sink(Delta::Usage(usage));
        for (choice, whole) in (0..).zip(choices) {
            // First, so that a call which the limit of tokens cut is known to be half.
            // First, for it tells whether the last call may be half.
            sink(Delta::Finish { choice, finish: whole.finish });
            for (index, part) in (0..).zip(whole.parts) {
                play_part(choice, index, part, sink);
                sink(Delta::Over { choice });
            }
            if let Some(logprobs) = &whole.logprobs
                && let Ok(value) = serde_json::from_str(logprobs.as_str())
            {
                sink(Delta::Logprobs { choice, value });
            }
        }
        sink(Delta::End);
    }
}

fn play_part(choice: u32, index: u32, part: Part, sink: &mut dyn FnMut(Delta<'_>)) {
    match part.kind {
        PartKind::Text { text, sources: None } => sink(Delta::Text { choice, text: text.into() }),
        PartKind::Refusal(text) => sink(Delta::Refusal { choice, text: text.into() }),
        PartKind::Thinking { text, signature } => {
            sink(Delta::Thinking { choice, text: text.into() });
            if let Some(signature) = signature {
                sink(Delta::ThinkingSignature { choice, signature });
            }
        }
        PartKind::ToolCall(call) => sink(Delta::ToolCall {
            choice,
            index,
            piece: CallPiece {
                id: Some(call.id.into()),
                name: Some(call.name.into()),
                arguments: Cow::Owned(call.arguments),
                is_custom: call.is_custom,
                is_whole: true,
                signature: call.signature,
            },
        }),
        _ => sink(Delta::Part { choice, part }),
    }
}

/// One of the answers.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Choice {
    /// What is said, in order.
    pub(crate) parts: Vec<Part>,
    /// How it ended.
    pub(crate) finish: Finish,
    /// How likely the tokens were, as OpenAI writes it.
    pub(crate) logprobs: Option<Json>,
}

impl Choice {
    /// The reason for its end: one that merely stopped, but calls a tool, ended to have it called.
    pub(crate) fn settle(&mut self) {
        let calls = self.parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall(_)));
        self.finish.settle(calls);
    }
}

/// How an answer ended.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Finish {
    /// Why.
    pub(crate) reason: Reason,
    /// Which stop sequence ended it, where the backend says.
    pub(crate) stop_sequence: Option<String>,
}

impl Finish {
    /// An end for `reason`.
    pub(crate) fn because(reason: Reason) -> Self {
        Self { reason, stop_sequence: None }
    }

    /// Whether the answer was cut off by a limit: then its last call may be half.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(self.reason, Reason::Length | Reason::ContextFull)
    }

    /// Several servers say `stop` although tools are called; the limit of tokens is never made up.
    pub(crate) fn settle(&mut self, calls: bool) {
        if calls && matches!(self.reason, Reason::Stop | Reason::Unknown) {
            self.reason = Reason::ToolCalls;
        }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// The model was done.
    Stop,
    /// A stop sequence came.
    StopSequence,
    /// The most tokens were generated.
    Length,
    /// The context was full.
    ContextFull,
    /// Tools are to be called.
    ToolCalls,
    /// The provider's filter or the model itself declined.
    Refusal,
    /// A hosted API wants to be asked to go on.
    Pause,
    /// The model wrote a call of a tool that makes no sense.
    BadToolCall,
    /// The backend did not say, or in a word that nobody knows.
    #[default]
    Unknown,
}
