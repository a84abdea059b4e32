//! The object `response`: what an answer is as a whole, and what it repeats of the request.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::Usage;
use crate::hub::{Beginning, Finish, Json, Reason, Request, ids};
use crate::translate::Terms;

use super::item::{Item, Status};
use super::usage;

/// What is repeated, in the order in which it is written, and what it is if the client did not say it. Nothing is stored, no
/// earlier answer is built on.
const MEMBERS: [(&str, &str); 21] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", r#""default""#),
    ("store", "false"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// What stays the same in every form of one response.
pub(super) struct Frame {
    id: String,
    created_at: i64,
    model: String,
    repeated: Vec<(&'static str, Json)>,
}

impl Frame {
    /// The frame for an answer to `request` that begins as `beginning`.
    pub(super) fn new(request: &Request, terms: &Terms, beginning: &Beginning) -> Self {
        let id = beginning.id.clone().filter(|id| id.starts_with("resp_"));
        let mut frame = Self {
            id: id.unwrap_or_else(|| ids::made("resp_", &terms.label, 0)),
            created_at: beginning.created.unwrap_or(terms.now),
            model: beginning.model.clone().unwrap_or_else(|| request.model.clone()),
            repeated: repeated(request),
        };
        if let Some(tier) = &beginning.service_tier {
            let given = frame.repeated.iter_mut().find(|(name, _)| *name == "service_tier");
            if let Some((_, value)) = given {
                *value = Json::of(tier);
            }
        }
        frame
    }

    /// The response at this point.
    pub(super) fn at<'a>(&'a self, end: &End, output: &'a [Item], usage: Option<&Usage>) -> Response<'a> {
        let (status, reason) = (end.status, end.reason);
        Response { frame: self, status, reason, output, usage: usage.map(usage::written) }
    }
}

fn repeated(request: &Request) -> Vec<(&'static str, Json)> {
    let said = |name: &str| request.repeated.iter().find(|extra| extra.name == name).map(|e| e.value.clone());
    let usual = |text: &str| Json::parse(text).expect("the values above are JSON");
    MEMBERS.iter().map(|(name, otherwise)| (*name, said(name).unwrap_or_else(|| usual(otherwise)))).collect()
}

/// How far a response is, and why it went no further.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    status: &'static str,
    reason: Option<&'static str>,
}

impl End {
    /// It is being told.
    pub(super) const NONE: Self = Self { status: "in_progress", reason: None };

    /// The end of an answer. One in which the model declined in words is whole.
    pub(super) fn of(finish: &Finish, has_refused: bool) -> Self {
        let reason = match finish.reason {
            Reason::Length | Reason::ContextFull => "max_output_tokens",
            Reason::Refusal if !has_refused => "content_filter",
            Reason::Pause => "pause",
            Reason::BadToolCall => "malformed_tool_call",
            Reason::Stop | Reason::StopSequence | Reason::ToolCalls | Reason::Refusal | Reason::Unknown => {
                return Self { status: "completed", reason: None };
            }
        };
        Self { status: "incomplete", reason: Some(reason) }
    }

    /// The event that tells it.
    pub(super) fn event(self) -> &'static str {
        if self.reason.is_none() { "response.completed" } else { "response.incomplete" }
    }

    /// The status of the item that was told last.
    pub(super) fn of_item(self) -> Status {
        if self.reason.is_none() { Status::Completed } else { Status::Incomplete }
    }
}

/// A response at one point.
#[derive(Clone)]
pub(super) struct Response<'a> {
    frame: &'a Frame,
    status: &'static str,
    reason: Option<&'static str>,
    output: &'a [Item],
    usage: Option<usage::Written>,
}

impl Serialize for Response<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Incomplete {
            reason: &'static str,
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.frame.id)?;
        map.serialize_entry("object", "response")?;
        map.serialize_entry("created_at", &self.frame.created_at)?;
        map.serialize_entry("status", self.status)?;
        map.serialize_entry("error", &None::<()>)?;
        map.serialize_entry("incomplete_details", &self.reason.map(|reason| Incomplete { reason }))?;
        map.serialize_entry("model", &self.frame.model)?;
        map.serialize_entry("output", self.output)?;
        for (name, value) in &self.frame.repeated {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("usage", &self.usage)?;
        map.end()
    }
}
