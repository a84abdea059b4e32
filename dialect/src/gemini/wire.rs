//! The parts of messages as they are written, in requests and in answers alike.

use std::borrow::Cow;

use serde::Serialize;

use crate::hub::Json;

/// One turn, or what a candidate says.
#[derive(Serialize)]
pub(super) struct Content<'a> {
    /// What is said, in order.
    pub(super) parts: Vec<Written<'a>>,
    /// `user` or `model`; none for the system's instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
}

/// A part, made here or as somebody else wrote it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Written<'a> {
    /// Made here.
    Made(Box<OutPart<'a>>),
    /// A whole part as it came.
    Raw(Json),
}

/// A part: one of these members, and what stands beside it.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutPart<'a> {
    /// Words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Cow<'a, str>>,
    /// Whether they are thoughts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) thought: bool,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inline_data: Option<Blob<'a>>,
    /// A file elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_data: Option<FileData<'a>>,
    /// A function is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_call: Option<FunctionCall<'a>>,
    /// A function answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_response: Option<FunctionResponse<'a>>,
    /// What proves the thoughts behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought_signature: Option<Cow<'a, str>>,
}

impl<'a> OutPart<'a> {
    /// Words.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// Thoughts.
    pub(super) fn thought(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: Some(text.into()), thought: true, ..Self::default() }
    }

    /// A call.
    pub(super) fn call(call: FunctionCall<'a>) -> Self {
        Self { function_call: Some(call), ..Self::default() }
    }
}

impl<'a> From<OutPart<'a>> for Written<'a> {
    fn from(part: OutPart<'a>) -> Self {
        Self::Made(Box::new(part))
    }
}

/// Bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob<'a> {
    /// Their media type.
    pub(super) mime_type: Cow<'a, str>,
    /// The bytes in base64.
    pub(super) data: &'a str,
}

/// A file elsewhere.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileData<'a> {
    /// Its media type; an uploaded file has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mime_type: Option<&'a str>,
    /// Its address.
    pub(super) file_uri: &'a str,
}

/// A call of a function.
#[derive(Serialize)]
pub(super) struct FunctionCall<'a> {
    /// By which the answer finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Cow<'a, str>>,
    /// The function.
    pub(super) name: Cow<'a, str>,
    /// With what: an object.
    pub(super) args: Json,
}

/// What a function answered.
#[derive(Serialize)]
pub(super) struct FunctionResponse<'a> {
    /// The id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    /// The function.
    pub(super) name: Cow<'a, str>,
    /// The answer: an object.
    pub(super) response: Json,
    /// Pictures and files in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<OutPart<'a>>,
}
