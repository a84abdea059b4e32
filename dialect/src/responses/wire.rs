//! The form of the stream's events.

use serde::Serialize;

use crate::hub::Json;

use super::item::{Content, Item, Summary};
use super::response::Response;

/// An event. What does not belong to it is left out.
#[derive(Clone, Default, Serialize)]
pub(super) struct Wire<'a> {
    /// Which.
    pub(super) r#type: &'static str,
    /// The how manieth it is, from 0.
    pub(super) sequence_number: u64,
    /// The response at this point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response: Option<Response<'a>>,
    /// The item it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) item_id: Option<&'a str>,
    /// The item's place in `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_index: Option<usize>,
    /// The part's place in its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_index: Option<usize>,
    /// The part's place in its thoughts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary_index: Option<usize>,
    /// The source's place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotation_index: Option<usize>,
    /// The item itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) item: Option<&'a Item>,
    /// The part itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<PartOf<'a>>,
    /// The source itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotation: Option<&'a Json>,
    /// More of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<&'a str>,
    /// The called tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    /// All arguments of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<&'a str>,
    /// A custom tool's whole input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<&'a str>,
    /// The whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
    /// The whole refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<&'a str>,
    /// How likely the tokens were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<&'a [Json]>,
}

/// A part, whatever it is a part of.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum PartOf<'a> {
    /// Of a message.
    Message(&'a Content),
    /// Of thoughts.
    Thoughts(&'a Summary),
}

impl Wire<'_> {
    /// Appends the event to `out` as a server-sent one.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(self.r#type.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        serde_json::to_writer(&mut *out, self).expect("our own types are always JSON");
        out.extend_from_slice(b"\n\n");
    }
}
