//! A chunk of a stream, or a whole answer: the two differ only in whether a choice has a `delta` or a `message`.
//!
//! Servers of this dialect differ in many small things; what they are known to send is read here, and a member of an
//! unexpected type is passed over where nothing hangs on it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::Usage;
use crate::hub::Beginning;
use crate::usage::Tally;

/// The chunk.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    // Wanted once, and not worth an error: they are read where they are wanted.
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created: Option<&'a RawValue>,
    #[serde(borrow, default)]
    service_tier: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

impl Chunk<'_> {
    /// How the answer begins, as far as it is said here.
    pub(super) fn beginning(&self) -> Beginning {
        let text = |value: Option<&RawValue>| -> Option<String> {
            serde_json::from_str(value?.get()).ok().filter(|text: &String| !text.is_empty())
        };
        Beginning {
            id: text(self.id),
            model: text(self.model),
            created: self.created.and_then(|value| value.get().parse().ok()),
            service_tier: text(self.service_tier),
        }
    }

    /// The tokens that it reports.
    pub(super) fn usage(&self) -> Option<Usage> {
        // Some servers report them in the choice.
        let in_choice = || self.choices.iter().flatten().find_map(|choice| choice.usage);
        let usage = self.usage.or_else(in_choice)?;
        let mut tally = Tally::default();
        tally.add(crate::Dialect::OpenAi, usage);
        Some(tally.usage(crate::Dialect::OpenAi))
    }
}

/// One of the answers.
#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(borrow, default)]
    delta: Option<Said<'a>>,
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    /// Of completions.
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    /// How likely the tokens were.
    #[serde(borrow, default)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
    #[serde(borrow, default, alias = "matched_stop")]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    /// Takes out what is said, in a stream or in a whole answer.
    pub(super) fn take_said(&mut self) -> Option<Said<'a>> {
        self.delta.take().or(self.message.take())
    }

    /// The stop sequence that ended it, where the server says which. It may be the number of a token, which says nothing.
    pub(super) fn stop_sequence(&self) -> Option<String> {
        serde_json::from_str(self.stop_reason?.get()).ok()
    }
}

/// What is said in a choice.
#[derive(Default, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow, default)]
    pub(super) content: Words<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Words<'a>,
    #[serde(borrow, default)]
    reasoning: Words<'a>,
    #[serde(borrow, default)]
    pub(super) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    pub(super) function_call: Option<CallBody<'a>>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) images: Option<&'a RawValue>,
}

impl<'a> Said<'a> {
    /// The thoughts told in plain words, by whichever of their names. Some servers say the same under both.
    pub(super) fn thoughts(&mut self) -> Option<Cow<'a, str>> {
        let plain = std::mem::take(&mut self.reasoning_content).text;
        let other = std::mem::take(&mut self.reasoning).text;
        let in_content = std::mem::take(&mut self.content.thoughts);
        plain.filter(|text| !text.is_empty()).or(other).or(in_content).filter(|text| !text.is_empty())
    }
}

/// A call of a tool, or a piece of one.
#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) function: Option<CallBody<'a>>,
    #[serde(borrow, default)]
    pub(super) custom: Option<CallBody<'a>>,
    #[serde(borrow, default)]
    extra_content: Option<&'a RawValue>,
}

impl Call<'_> {
    /// Google's signature on it.
    pub(super) fn signature(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Outer {
            google: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            thought_signature: String,
        }
        serde_json::from_str(self.extra_content?.get())
            .ok()
            .map(|Outer { google: Inner { thought_signature } }| thought_signature)
    }
}

/// What is called, and with what.
#[derive(Deserialize)]
pub(super) struct CallBody<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default, alias = "input")]
    arguments: Option<&'a RawValue>,
}

impl<'a> CallBody<'a> {
    /// The arguments, and whether they are whole: some servers send the object itself and not its text.
    pub(super) fn arguments(&self) -> (Cow<'a, str>, bool) {
        match self.arguments.map(RawValue::get) {
            None => (Cow::Borrowed(""), false),
            Some(written) if written.starts_with('"') => {
                let Ok(Text(text)) = serde_json::from_str(written) else { return (Cow::Borrowed(""), false) };
                (text, false)
            }
            Some(written) => (Cow::Borrowed(written), true),
        }
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Content: a string, or, from some servers, a list of parts. Anything else says nothing.
#[derive(Default)]
pub(super) struct Words<'a> {
    /// The text; of parts it is put together.
    pub(super) text: Option<Cow<'a, str>>,
    /// Thoughts among the parts.
    thoughts: Option<Cow<'a, str>>,
}

/// A part of content in a list.
#[derive(Deserialize)]
struct ListPart<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Words<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Words<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of parts")
    }

    fn visit_unit<E>(self) -> Result<Words<'de>, E> {
        Ok(Words::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Words<'de>, E> {
        Ok(Words::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Words<'de>, E> {
        Ok(Words::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Words<'de>, E> {
        Ok(Words::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Words<'de>, E> {
        Ok(Words::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Words::default())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Words<'de>, E> {
        Ok(Words { text: Some(Cow::Borrowed(text)), thoughts: None })
    }

    fn visit_str<E>(self, text: &str) -> Result<Words<'de>, E> {
        Ok(Words { text: Some(Cow::Owned(text.to_owned())), thoughts: None })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words<'de>, A::Error> {
        let (mut text, mut thoughts) = (String::new(), String::new());
        while let Some(part) = list.next_element::<ListPart<'de>>()? {
            if let Some(Text(piece)) = part.text {
                text.push_str(&piece);
            }
            if let Some(piece) = part.thinking.text {
                thoughts.push_str(&piece);
            }
        }
        let some = |text: String| (!text.is_empty()).then_some(Cow::Owned(text));
        Ok(Words { text: some(text), thoughts: some(thoughts) })
    }
}
