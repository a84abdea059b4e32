//! What was changed in a request so that the backend takes it, and must be changed back in its answer.

use super::{Answer, PartKind, Reason};

/// The changes of one request.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Reversal {
    /// A tool that the model was made to call in place of answering in a form: its arguments are the answer.
    answer_tool: Option<String>,
    /// Names of tools: as sent, and as the client knows them.
    renamed: Vec<(String, String)>,
}

impl Reversal {
    /// From here on a call of `name` is the answer itself.
    pub(crate) fn answer_by(&mut self, name: impl Into<String>) {
        self.answer_tool = Some(name.into());
    }

    /// The tool that the client calls `original` is sent as `sent`.
    pub(crate) fn rename(&mut self, sent: impl Into<String>, original: impl Into<String>) {
        self.renamed.push((sent.into(), original.into()));
    }

    /// Whether a call of `name` is the answer itself.
    pub(crate) fn is_answer_tool(&self, name: &str) -> bool {
        self.answer_tool.as_deref() == Some(name)
    }

    /// Whether there is such a tool.
    pub(crate) fn has_answer_tool(&self) -> bool {
        self.answer_tool.is_some()
    }

    /// What the client calls the tool that was sent as `name`.
    pub(crate) fn original_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.renamed.iter().find(|(sent, _)| sent == name).map_or(name, |(_, original)| original)
    }

    /// Changes a whole answer back.
    pub(crate) fn apply(&self, answer: &mut Answer) {
        for choice in &mut answer.choices {
            let mut has_answered = false;
            for part in &mut choice.parts {
                let PartKind::ToolCall(call) = &mut part.kind else { continue };
                if self.is_answer_tool(&call.name) {
                    has_answered = true;
                    part.kind = PartKind::plain(std::mem::take(&mut call.arguments));
                } else {
                    call.name = self.original_name(&call.name).to_owned();
                }
            }
            if has_answered && choice.finish.reason == Reason::ToolCalls {
                choice.finish.reason = Reason::Stop;
            }
            choice.settle();
        }
    }
}
