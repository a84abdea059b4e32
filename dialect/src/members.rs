//! The top-level members of a request body that proxylm reads or changes, found in one pass.
//!
//! Values stay where they are in the body; what is not needed is skipped, never built. Of a member that is there
//! twice the last one counts, here and therefore in everything that reads or edits a body.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The mark that some programs put in front of UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The members, each as it is written in the body.
#[derive(Default)]
pub(crate) struct Members<'a> {
    pub(crate) model: Option<&'a RawValue>,
    pub(crate) stream: Option<&'a RawValue>,
    pub(crate) stream_options: Option<&'a RawValue>,
    pub(crate) max_tokens: Option<&'a RawValue>,
    pub(crate) max_completion_tokens: Option<&'a RawValue>,
    pub(crate) max_output_tokens: Option<&'a RawValue>,
    pub(crate) num_ctx: Option<&'a RawValue>,
    pub(crate) options: Option<&'a RawValue>,
    pub(crate) system: Option<&'a RawValue>,
    /// What stands in place of a system prompt elsewhere: `instructions`, or Gemini's `systemInstruction`.
    pub(crate) instructions: Option<&'a RawValue>,
    pub(crate) prompt: Option<&'a RawValue>,
    pub(crate) input: Option<&'a RawValue>,
    /// Gemini's `generationConfig`.
    pub(crate) generation: Option<&'a RawValue>,
    /// `messages`, or Gemini's `contents`.
    pub(crate) messages: Opening<'a>,
}

impl<'a> Members<'a> {
    /// Reads the members of `body`; fails when it is no JSON object.
    pub(crate) fn read(body: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(without_mark(body))
    }
}

/// `body` without a byte order mark at its beginning.
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// Where in `body` the `value` that was read from it lies.
pub(crate) fn range_of(value: &RawValue, body: &[u8]) -> Range<usize> {
    let start = value.get().as_ptr().addr() - body.as_ptr().addr();
    start..start + value.get().len()
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Model,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    NumCtx,
    Options,
    System,
    #[serde(alias = "systemInstruction", alias = "system_instruction")]
    Instructions,
    Prompt,
    Input,
    #[serde(alias = "generationConfig")]
    GenerationConfig,
    #[serde(alias = "contents")]
    Messages,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut found = Members::default();
        while let Some(name) = map.next_key()? {
            let place = match name {
                Name::Model => &mut found.model,
                Name::Stream => &mut found.stream,
                Name::StreamOptions => &mut found.stream_options,
                Name::MaxTokens => &mut found.max_tokens,
                Name::MaxCompletionTokens => &mut found.max_completion_tokens,
                Name::MaxOutputTokens => &mut found.max_output_tokens,
                Name::NumCtx => &mut found.num_ctx,
                Name::Options => &mut found.options,
                Name::System => &mut found.system,
                Name::Instructions => &mut found.instructions,
                Name::Prompt => &mut found.prompt,
                Name::Input => &mut found.input,
                Name::GenerationConfig => &mut found.generation,
                Name::Messages => {
                    found.messages = map.next_value()?;
                    continue;
                }
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = Some(map.next_value()?);
        }
        Ok(found)
    }
}

/// The most messages of an opening: a system prompt, instructions, and what the user says first.
const MAX_OPENING: usize = 3;

/// How a conversation opens: its first messages up to one from the user, which later turns repeat unchanged.
#[derive(Default)]
pub(crate) struct Opening<'a> {
    messages: [Option<&'a RawValue>; MAX_OPENING],
}

impl<'a> Opening<'a> {
    /// How the list `value` opens; nothing if it is no list.
    pub(crate) fn of(value: &'a RawValue) -> Self {
        serde_json::from_str(value.get()).unwrap_or_default()
    }

    /// The messages, each as it is written in the body.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &'a str> {
        self.messages.iter().flatten().map(|message| message.get())
    }
}

impl<'de> Deserialize<'de> for Opening<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OpeningVisitor)
    }
}

struct OpeningVisitor;

/// Whatever is no list has no opening: what to say about it is the backend's to decide.
impl<'de> Visitor<'de> for OpeningVisitor {
    type Value = Opening<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Opening<'de>, A::Error> {
        let mut opening = Opening::default();
        for place in &mut opening.messages {
            let Some(message) = list.next_element::<&RawValue>()? else { return Ok(opening) };
            *place = Some(message);
            // Quotes inside a text are escaped, so this is a whole string: nearly always the message's role. Where
            // it is not, the opening is shorter, and still the same in every turn.
            if message.get().contains("\"user\"") {
                break;
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(opening)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Opening<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Opening::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Opening<'de>, E> {
        Ok(Opening::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Opening<'de>, E> {
        Ok(Opening::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Opening<'de>, E> {
        Ok(Opening::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Opening<'de>, E> {
        Ok(Opening::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Opening<'de>, E> {
        Ok(Opening::default())
    }

    fn visit_unit<E>(self) -> Result<Opening<'de>, E> {
        Ok(Opening::default())
    }
}
